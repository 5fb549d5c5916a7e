//! When to sync: at once if it has been quiet, not more often than `min_period` in a burst, again
//! every `sync_period` even if nothing happened, and with growing patience after a failure.
//! Upstream: `BoundedFrequencyRunner`.

use std::time::Duration;

/// Times are measured from any fixed moment. Call [`Pace::handle_change`] for every change and ask
/// [`Pace::due`] when to sync; call [`Pace::handle_started`] once a sync has taken what it needs of
/// the cluster, and [`Pace::handle_synced`] or [`Pace::handle_failed`] when it ended.
#[derive(Clone, Debug)]
pub struct Pace {
    min_period: Duration,
    sync_period: Duration,
    /// Set by a change, and from the start: the first sync is always owed.
    owed: bool,
    /// The earliest moment for an owed sync.
    not_before: Duration,
    /// The moment of the next sync that nobody asked for.
    periodic: Duration,
    failures: u32,
}

/// The wait after the first failure; it doubles up to `sync_period`.
const FIRST_RETRY: Duration = Duration::from_millis(500);

impl Pace {
    pub fn new(min_period: Duration, sync_period: Duration) -> Self {
        let (not_before, periodic) = (Duration::ZERO, Duration::MAX);
        Self { min_period, sync_period, owed: true, not_before, periodic, failures: 0 }
    }

    pub fn handle_change(&mut self) {
        self.owed = true;
    }

    /// Changes from here on are owed another sync.
    pub fn handle_started(&mut self) {
        self.owed = false;
    }

    pub fn handle_synced(&mut self, now: Duration) {
        self.failures = 0;
        self.not_before = now.saturating_add(self.min_period);
        self.periodic = now.saturating_add(self.sync_period);
    }

    pub fn handle_failed(&mut self, now: Duration) {
        self.owed = true;
        let patience = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(self.sync_period);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(patience.max(self.min_period));
    }

    /// The moment of the next sync; it may be past.
    pub fn due(&self) -> Duration {
        if self.owed { self.not_before.min(self.periodic) } else { self.periodic }
    }

    /// Whether a sync at `now` is the periodic one, which trusts nothing that it remembers.
    pub fn is_periodic(&self, now: Duration) -> bool {
        now >= self.periodic
    }
}
