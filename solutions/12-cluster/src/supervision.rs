//! Who is started again, when, and in which order everything ends: the part of systemd that a
//! cluster needs, as a state machine without clock or processes.
//!
//! Calling order: tell it what happened (`handle_*`), then `poll` for what must be done now, then
//! sleep until `poll_deadline` or until the next thing happens. `now` is the time since any moment
//! that the caller chose, and never goes back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The pause before the second restart in a row; each further one is twice as long. The first is at once.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// A unit that lived this long is healthy: its next death counts as the first again.
    pub healthy_after: Duration,
    /// From the polite signal to the other one.
    pub patience: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            healthy_after: Duration::from_secs(10),
            patience: Duration::from_secs(5),
        }
    }
}

impl Policy {
    /// The pause before a restart after `failures` deaths in a row (1 for the first).
    pub fn pause(&self, failures: u32) -> Duration {
        // lab:begin 12.4 at once, then first_pause, doubled each time up to longest_pause
        match failures {
            0 | 1 => Duration::ZERO,
            _ => {
                let doublings = (failures - 2).min(31);
                self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause)
            }
        }
        // lab:end
    }
}

/// Where a unit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Has no process and shall have none. Next: `Waiting`, by `handle_start`.
    Stopped,
    /// Shall have a process from `until` on. Next: `Starting`, by `poll`.
    Waiting { until: Duration },
    /// Its process was asked for. Next: `Running`, or `Waiting` when it could not be started.
    Starting,
    /// Next: `Waiting` when it dies, `Stopping` when it shall.
    Running { pid: u32, since: Duration },
    /// Was told to end, and will be killed at `kill_at`. Next: `Stopped`, or `Waiting` when it was
    /// wished for again meanwhile.
    Stopping { pid: u32, kill_at: Duration },
}

impl State {
    pub fn pid(&self) -> Option<u32> {
        match self {
            State::Running { pid, .. } | State::Stopping { pid, .. } => Some(*pid),
            State::Stopped | State::Waiting { .. } | State::Starting => None,
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// It never ran.
    NotStarted,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "ended with exit code {code}"),
            Exit::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Exit::NotStarted => write!(f, "could not be started"),
        }
    }
}

/// One supervised program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub state: State,
    /// Whether it shall run.
    pub wanted: bool,
    /// At the end, units of a higher tier stop before those of a lower one.
    pub tier: u8,
    /// How often it was started again since it was last asked for.
    pub restarts: u32,
    /// Deaths in a row, each within `healthy_after` of its start.
    pub failures: u32,
    pub last_exit: Option<Exit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Term,
    Kill,
}

/// What the caller must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process, then call `handle_spawned` or `handle_not_spawned`.
    Spawn {
        unit: String,
    },
    Signal {
        unit: String,
        pid: u32,
        signal: Signal,
    },
}

/// All units of one machine.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    policy: Policy,
    units: BTreeMap<String, Unit>,
    /// Everything is to end; nothing starts any more.
    ending: bool,
}

impl Supervisor {
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    pub fn units(&self) -> &BTreeMap<String, Unit> {
        &self.units
    }

    /// Makes a unit known, stopped.
    pub fn add(&mut self, name: &str, tier: u8) {
        let unit =
            Unit { state: State::Stopped, wanted: false, tier, restarts: 0, failures: 0, last_exit: None };
        self.units.entry(name.to_owned()).or_insert(unit);
    }

    /// The unit whose process this is.
    pub fn unit_of(&self, pid: u32) -> Option<&str> {
        self.units.iter().find(|(_, unit)| unit.state.pid() == Some(pid)).map(|(name, _)| name.as_str())
    }

    /// Whether everything has ended that was to end.
    pub fn ended(&self) -> bool {
        self.ending && self.units.values().all(|unit| unit.state == State::Stopped)
    }

    /// Somebody wants a unit to run. No effect on one that does, or when everything is ending.
    pub fn handle_start(&mut self, name: &str, now: Duration) {
        if self.ending {
            return;
        }
        let Some(unit) = self.units.get_mut(name) else { return };
        if unit.wanted {
            return;
        }
        unit.wanted = true;
        unit.restarts = 0;
        unit.failures = 0;
        if unit.state == State::Stopped {
            unit.state = State::Waiting { until: now };
        }
    }

    /// Somebody wants a unit to stop. A running one is told to by `poll`.
    pub fn handle_stop(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else { return };
        unit.wanted = false;
        if matches!(unit.state, State::Waiting { .. }) {
            unit.state = State::Stopped;
        }
    }

    /// Everything is to end, tier by tier.
    pub fn handle_end(&mut self) {
        self.ending = true;
    }

    /// The process that `poll` asked for runs.
    pub fn handle_spawned(&mut self, name: &str, pid: u32, now: Duration) {
        if let Some(unit) = self.units.get_mut(name) {
            assert_eq!(unit.state, State::Starting, "{name} was started without being asked for");
            unit.state = State::Running { pid, since: now };
        }
    }

    /// The process that `poll` asked for could not be started: as good as a death at once.
    pub fn handle_not_spawned(&mut self, name: &str, now: Duration) {
        let policy = self.policy;
        if let Some(unit) = self.units.get_mut(name) {
            unit.died(Exit::NotStarted, now, now, &policy);
        }
    }

    /// A process ended. The name of its unit, or `None` for an orphan that is none of ours.
    pub fn handle_exit(&mut self, pid: u32, exit: Exit, now: Duration) -> Option<String> {
        let name = self.unit_of(pid)?.to_owned();
        let policy = self.policy;
        let unit = self.units.get_mut(&name)?;
        let since = match unit.state {
            State::Running { since, .. } => since,
            _ => now,
        };
        unit.died(exit, since, now, &policy);
        Some(name)
    }

    /// What must be done now. Each action is given once.
    pub fn poll(&mut self, now: Duration) -> Vec<Action> {
        if self.ending {
            self.end_the_highest_tier();
        }
        let patience = self.policy.patience;
        self.units.iter_mut().filter_map(|(name, unit)| unit.poll(name, now, patience)).collect()
    }

    /// When `poll` has something to do if nothing happens before.
    pub fn poll_deadline(&self) -> Option<Duration> {
        // lab:begin 12.4 the earliest moment at which a pause or somebody's patience ends
        self.units
            .values()
            .filter_map(|unit| match unit.state {
                State::Waiting { until } => Some(until),
                State::Stopping { kill_at, .. } => Some(kill_at),
                State::Stopped | State::Starting | State::Running { .. } => None,
            })
            .min()
        // lab:end
    }

    /// Takes the wish to run from the units of the highest tier that still has one up, and the
    /// hope of a restart from all.
    fn end_the_highest_tier(&mut self) {
        let waiting: Vec<String> = self
            .units
            .iter()
            .filter(|(_, unit)| unit.state.pid().is_none())
            .map(|(name, _)| name.clone())
            .collect();
        for name in waiting {
            self.handle_stop(&name);
        }
        // lab:begin 12.4 stop what depends on others first, and nothing below it until it is gone
        let highest =
            self.units.values().filter(|unit| unit.state != State::Stopped).map(|unit| unit.tier).max();
        for unit in self.units.values_mut() {
            if Some(unit.tier) == highest {
                unit.wanted = false;
            }
        }
        // lab:end
    }
}

impl Unit {
    /// Its process ended at `now`, having started at `since`.
    fn died(&mut self, exit: Exit, since: Duration, now: Duration, policy: &Policy) {
        self.last_exit = Some(exit);
        // lab:begin 12.4 an unwanted unit rests; another starts again after a pause that its health decides
        if !self.wanted {
            self.state = State::Stopped;
            return;
        }
        // One that was told to stop and is wanted again did nothing wrong.
        let pause = if matches!(self.state, State::Stopping { .. }) {
            Duration::ZERO
        } else {
            let healthy = now.saturating_sub(since) >= policy.healthy_after;
            self.failures = if healthy { 1 } else { self.failures.saturating_add(1) };
            self.restarts = self.restarts.saturating_add(1);
            policy.pause(self.failures)
        };
        self.state = State::Waiting { until: now + pause };
        // lab:end
    }

    fn poll(&mut self, name: &str, now: Duration, patience: Duration) -> Option<Action> {
        let unit = name.to_owned();
        // lab:begin 12.4 start what has waited long enough; tell what is unwanted to end, and kill what does not listen
        match self.state {
            State::Waiting { until } if until <= now => {
                self.state = State::Starting;
                Some(Action::Spawn { unit })
            }
            State::Running { pid, .. } if !self.wanted => {
                self.state = State::Stopping { pid, kill_at: now + patience };
                Some(Action::Signal { unit, pid, signal: Signal::Term })
            }
            State::Stopping { pid, kill_at } if kill_at <= now => {
                // Once is enough: the kernel does not forget. The time only moves out of the way.
                self.state = State::Stopping { pid, kill_at: Duration::MAX };
                Some(Action::Signal { unit, pid, signal: Signal::Kill })
            }
            _ => None,
        }
        // lab:end
    }
}
