//! Whether a message arrives, when, and how often.

use crate::faults::Fault;
use crate::random::Random;

/// How long a message takes when nothing is wrong.
const QUICK_US: u64 = 200;
const USUAL_US: u64 = 1_500;

#[derive(Debug)]
pub struct Network {
    random: Random,
    machines: usize,
    /// By sender and receiver.
    cut: Vec<bool>,
    loss: u64,
    duplication: u64,
    delay_us: u64,
}

/// What becomes of a message: after how many microseconds it arrives, each time that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Once(u64),
    Twice(u64, u64),
    Lost,
    /// There is no way, which a sender may notice.
    Cut,
}

impl Network {
    pub fn new(random: Random, machines: usize) -> Self {
        let cut = vec![false; machines * machines];
        Network { random, machines, cut, loss: 0, duplication: 0, delay_us: 0 }
    }

    /// What is wrong from now on.
    pub fn set<'a>(&mut self, faults: impl Iterator<Item = &'a Fault>) {
        (self.loss, self.duplication, self.delay_us) = (0, 0, 0);
        self.cut.fill(false);
        for fault in faults {
            match fault {
                Fault::Loss { per_mille } => self.loss = self.loss.max(*per_mille),
                Fault::Duplication { per_mille } => self.duplication = self.duplication.max(*per_mille),
                Fault::Delay { up_to_us } => self.delay_us = self.delay_us.max(*up_to_us),
                Fault::Cut { from, to, both_ways } => {
                    for a in 0..self.machines {
                        for b in 0..self.machines {
                            let there = from.has(a) && to.has(b);
                            let back = *both_ways && from.has(b) && to.has(a);
                            self.cut[a * self.machines + b] |= there || back;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut[from * self.machines + to]
    }

    pub fn send(&mut self, from: usize, to: usize) -> Fate {
        if self.is_cut(from, to) {
            Fate::Cut
        } else if self.random.chance(self.loss) {
            Fate::Lost
        } else if self.random.chance(self.duplication) {
            Fate::Twice(self.time_us(), self.time_us())
        } else {
            Fate::Once(self.time_us())
        }
    }

    /// A way from or to a client, who is in no partition.
    pub fn time_us(&mut self) -> u64 {
        QUICK_US + self.random.below(USUAL_US) + self.random.below(self.delay_us + 1)
    }
}
