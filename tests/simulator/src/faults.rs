//! What goes wrong, and when: drawn from a seed before the world begins, so that any of it can be left
//! out of a second try.

use std::fmt;

use crate::random::Random;

/// Some machines, by their numbers from 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Machines(pub u32);

impl Machines {
    pub fn of(machines: &[usize]) -> Self {
        Machines(machines.iter().fold(0, |set, machine| set | 1 << machine))
    }

    pub fn has(self, machine: usize) -> bool {
        self.0 & 1 << machine != 0
    }
}

impl fmt::Debug for Machines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((0..32).filter(|machine| self.has(*machine))).finish()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The process ends before one of its next outputs, so many of them later. What it wrote stays.
    Kill {
        machine: usize,
        outputs: u64,
    },
    /// The machines lose their power, each before one of its next outputs, so many of them later (or a
    /// little later if there are none). What they wrote and did not sync may be lost.
    PowerLoss {
        machines: Machines,
        outputs: u64,
    },
    /// The process stands still, then goes on as if nothing had been.
    Pause {
        machine: usize,
    },
    /// What one side sends does not reach the other side.
    Cut {
        from: Machines,
        to: Machines,
        both_ways: bool,
    },
    /// Messages are lost, so many of a thousand.
    Loss {
        per_mille: u64,
    },
    /// Messages arrive twice, so many of a thousand.
    Duplication {
        per_mille: u64,
    },
    /// Messages take longer, each by another time up to this: they overtake one another.
    Delay {
        up_to_us: u64,
    },
    SlowDisk {
        machine: usize,
        up_to_us: u64,
    },
    FullDisk {
        machine: usize,
    },
    /// The machine's clock is so much later from now on.
    ClockJump {
        machine: usize,
        by_us: u64,
    },
    /// The machine's clock and ticks go so many thousandths as fast.
    ClockRate {
        machine: usize,
        per_mille: u64,
    },
}

/// A fault, when it begins, and how long it lasts (or the machine stays down).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub at_us: u64,
    pub for_us: u64,
    pub fault: Fault,
}

/// How many kinds there are for [`draw`].
const KINDS: u64 = 11;

/// Swarm testing (Groce and others, 2012): each seed has only some of the kinds of faults, for a fault
/// of one kind can hide what another would show.
pub fn draw(random: &mut Random, machines: usize, until_us: u64) -> Vec<Planned> {
    let mut planned = Vec::new();
    let density = random.between(1, 4);
    for kind in 0..KINDS {
        if random.chance(600) {
            continue;
        }
        for _ in 0..random.between(1, density) {
            let fault = draw_one(random, kind, machines);
            let at_us = random.below(until_us);
            let for_us = match random.below(3) {
                0 => random.between(1_000, 300_000),
                1 => random.between(300_000, 2_000_000),
                _ => random.between(1_000_000, 6_000_000),
            };
            planned.push(Planned { at_us, for_us, fault });
        }
    }
    planned.sort_by_key(|p| p.at_us);
    planned
}

fn draw_one(random: &mut Random, kind: u64, machines: usize) -> Fault {
    let machine = random.below(machines as u64) as usize;
    let all = Machines((1 << machines) - 1);
    // Crashes hit between outputs, so how many come first matters more than when.
    let outputs = random.below(30);
    match kind {
        0 => Fault::Kill { machine, outputs },
        1 => {
            // Often one machine, and often the whole room.
            let machines = match random.below(3) {
                0 => all,
                1 => Machines(1 << machine | (random.draw() as u32 & all.0)),
                _ => Machines(1 << machine),
            };
            Fault::PowerLoss { machines, outputs }
        }
        2 => Fault::Pause { machine },
        3 => {
            let side = match random.below(2) {
                0 => Machines(1 << machine),
                _ => Machines(random.draw() as u32 & all.0),
            };
            Fault::Cut { from: side, to: Machines(all.0 & !side.0), both_ways: true }
        }
        4 => {
            let from = Machines(random.draw() as u32 & all.0);
            let to = Machines(random.draw() as u32 & all.0);
            Fault::Cut { from, to, both_ways: false }
        }
        5 => Fault::Loss { per_mille: random.between(10, 400) },
        6 => Fault::Duplication { per_mille: random.between(10, 400) },
        7 => {
            let longest = *random.pick(&[5_000, 50_000, 500_000]);
            Fault::Delay { up_to_us: random.between(1_000, longest) }
        }
        8 => Fault::SlowDisk { machine, up_to_us: random.between(10_000, 1_000_000) },
        9 => Fault::FullDisk { machine },
        _ => {
            if random.chance(500) {
                Fault::ClockJump { machine, by_us: random.between(10_000, 30_000_000) }
            } else {
                Fault::ClockRate { machine, per_mille: random.between(300, 3_000) }
            }
        }
    }
}
