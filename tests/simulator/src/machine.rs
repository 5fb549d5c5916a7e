//! A machine: a disk and a clock that outlive the process, and what is wrong with it at the moment.

use crate::disk::Disk;
use crate::process::{Input, Process};
use crate::random::Random;

pub(crate) struct Machine<P: Process> {
    pub(crate) setup: Option<P::Setup>,
    pub(crate) disk: Disk,
    pub(crate) process: Option<P>,
    /// Rises at each start: what was meant for an earlier process is not for this one.
    pub(crate) life: u64,
    pub(crate) random: Random,
    pub(crate) clock: Clock,
    pub(crate) paused: bool,
    pub(crate) held: Vec<Input<P>>,
    pub(crate) crash: Option<Crash>,
    pub(crate) slow_disk_us: u64,
    /// Syncs end in the order in which they began.
    pub(crate) disk_busy_until_us: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Crash {
    pub(crate) outputs_left: u64,
    pub(crate) power: bool,
    pub(crate) down_us: u64,
}

/// Starts at an hour of its own, and runs at its own pace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) since_us: u64,
    pub(crate) showed_us: u64,
    pub(crate) per_mille: u64,
}

impl Clock {
    pub(crate) fn at(&self, now_us: u64) -> u64 {
        self.showed_us + (now_us - self.since_us) * self.per_mille / 1000
    }

    pub(crate) fn set(&mut self, now_us: u64, by_us: u64, per_mille: u64) {
        *self = Clock { since_us: now_us, showed_us: self.at(now_us) + by_us, per_mille };
    }
}

impl<P: Process> Machine<P> {
    pub(crate) fn new(mut random: Random) -> Self {
        let showed_us = random.below(1_000_000_000);
        Machine {
            setup: None,
            disk: Disk::default(),
            process: None,
            life: 0,
            random,
            clock: Clock { since_us: 0, showed_us, per_mille: 1000 },
            paused: false,
            held: Vec::new(),
            crash: None,
            slow_disk_us: 0,
            disk_busy_until_us: 0,
        }
    }
}
