//! Loads of calls with one answer each: every client asks again as soon as it has its answer.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clients::Clients;
use crate::figures::Figures;
use crate::system::System;
use crate::wire::{self, Message};

/// Keys that the loads write and read. They are there before the first load.
pub const KEYS: u64 = 10_000;
pub const VALUE_BYTES: usize = 256;
const RANGE_KEYS: u64 = 1_000;
/// Not measured: connections open, caches fill.
const WARM_UP: Duration = Duration::from_millis(300);
/// Puts of one transaction when keys are laid out before a measurement.
const PUTS_A_TXN: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    Put,
    /// Nine reads of one key to each put.
    Mixed,
    /// Reads of 1,000 keys.
    Range,
    /// Each client updates a key of its own, if it is as the client left it.
    CompareAndSwap,
}

pub fn key(number: u64) -> Vec<u8> {
    format!("/bench/keys/{number:08}").into_bytes()
}

/// Lays out keys, many at a time.
pub fn fill(system: &System, keys: u64, value_bytes: usize) -> Result<()> {
    let value = vec![b'v'; value_bytes];
    let batches = (0..keys).step_by(PUTS_A_TXN as usize).map(|first| {
        let batch = first..keys.min(first + PUTS_A_TXN);
        (wire::TXN, wire::puts(batch.map(|n| wire::put(&key(n), &value))))
    });
    call_each(system, 8, batches)
}

/// Puts each of so many keys once, each in a call of its own.
pub fn put_each(system: &System, keys: u64, value_bytes: usize) -> Result<()> {
    let value = vec![b'v'; value_bytes];
    call_each(system, 128, (0..keys).map(|n| (wire::PUT, wire::put(&key(n), &value))))
}

fn call_each(
    system: &System,
    count: usize,
    mut calls: impl Iterator<Item = (&'static str, Message)>,
) -> Result<()> {
    let mut clients = Clients::connect(&system.members, count)?;
    let mut free: Vec<usize> = (0..count).collect();
    let mut under_way = 0;
    loop {
        while let Some(client) = free.pop() {
            let Some((path, message)) = calls.next() else { break };
            clients.call(client, path, &message.finish(), true);
            under_way += 1;
        }
        if under_way == 0 {
            return Ok(());
        }
        clients.wait(None, |answer| {
            free.push(answer.client);
            under_way -= 1;
        })?;
    }
}

pub fn measure(system: &System, load: Load, count: usize, time: Duration) -> Result<Figures> {
    let mut clients = Clients::connect(&system.members, count)?;
    let mut work = Work::new(load, count);
    for client in 0..count {
        work.begin(&mut clients, client);
    }
    let warm = Instant::now() + WARM_UP;
    while Instant::now() < warm {
        work.step(&mut clients, Some(warm))?;
    }
    work.latencies.clear();
    let lap = system.lap()?;
    let until = Instant::now() + time;
    while Instant::now() < until {
        work.step(&mut clients, Some(until))?;
    }
    Ok(Figures::of_calls(work.latencies, lap.end()?))
}

/// What the clients are about.
struct Work {
    load: Load,
    value: Vec<u8>,
    random: Random,
    /// The revision at which each client left its key.
    left: Vec<u64>,
    /// Clients that have their answer.
    free: Vec<usize>,
    latencies: Vec<Duration>,
}

impl Work {
    fn new(load: Load, count: usize) -> Self {
        Work {
            load,
            value: vec![b'v'; VALUE_BYTES],
            random: Random(0x9e37_79b9_7f4a_7c15),
            left: vec![u64::MAX; count],
            free: Vec::new(),
            latencies: Vec::new(),
        }
    }

    fn begin(&mut self, clients: &mut Clients, client: usize) {
        let any = self.random.below(KEYS);
        let (path, message): (_, Message) = match self.load {
            Load::Mixed if self.random.below(10) > 0 => (wire::RANGE, wire::range(&key(any), b"")),
            Load::Put | Load::Mixed => (wire::PUT, wire::put(&key(any), &self.value)),
            Load::Range => {
                let first = self.random.below(KEYS - RANGE_KEYS);
                (wire::RANGE, wire::range(&key(first), &key(first + RANGE_KEYS)))
            }
            Load::CompareAndSwap if self.left[client] == u64::MAX => {
                (wire::PUT, wire::put(&key(client as u64), &self.value))
            }
            Load::CompareAndSwap => {
                let swap = wire::put_if_unchanged(&key(client as u64), &self.value, self.left[client]);
                (wire::TXN, swap)
            }
        };
        clients.call(client, path, &message.finish(), true);
    }

    /// Waits for answers, and asks again for each.
    fn step(&mut self, clients: &mut Clients, until: Option<Instant>) -> Result<()> {
        let Work { free, latencies, left, load, .. } = self;
        clients.wait(until, |answer| {
            latencies.push(answer.begun.elapsed());
            if *load == Load::CompareAndSwap {
                left[answer.client] = wire::revision(answer.message);
            }
            free.push(answer.client);
        })?;
        for client in std::mem::take(&mut self.free) {
            self.begin(clients, client);
        }
        Ok(())
    }
}

/// Marsaglia's xorshift: the same load each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
