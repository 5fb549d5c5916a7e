//! What is measured, and for how long.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use crate::figures::Figures;
use crate::load::{self, Load};
use crate::system::System;
use crate::watchers;

#[derive(Debug, Clone, Copy)]
pub enum Measure {
    Calls(Load, usize),
    Watchers(usize),
}

pub const ALL: [Measure; 9] = [
    Measure::Calls(Load::Put, 1),
    Measure::Calls(Load::Put, 16),
    Measure::Calls(Load::Put, 128),
    Measure::Calls(Load::Mixed, 128),
    Measure::Calls(Load::Range, 16),
    Measure::Calls(Load::CompareAndSwap, 16),
    Measure::Watchers(1),
    Measure::Watchers(100),
    Measure::Watchers(1000),
];

impl Measure {
    pub fn run(self, system: &System, time: Duration) -> Result<Figures> {
        match self {
            Measure::Calls(load, clients) => load::measure(system, load, clients, time),
            Measure::Watchers(count) => watchers::measure(system, count, time),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, count, who) = match self {
            Measure::Calls(Load::Put, clients) => ("puts", clients, "client"),
            Measure::Calls(Load::Mixed, clients) => ("90/10 reads, puts", clients, "client"),
            Measure::Calls(Load::Range, clients) => ("ranges of 1,000 keys", clients, "client"),
            Measure::Calls(Load::CompareAndSwap, clients) => ("compare-and-swap", clients, "client"),
            Measure::Watchers(watchers) => ("events", watchers, "watcher"),
        };
        write!(f, "{what}, {count} {who}{}", if *count == 1 { "" } else { "s" })
    }
}
