//! Restart back-off: 10 s, 20 s, 40 s … 5 min.
//!
//! A container that dies at once must not keep the machine busy with restarting it. The first
//! restart is free; each later one waits twice as long as the one before, counted from the exit.
//! A container that ran well for a while (twice the longest delay) is forgiven.
//! Upstream: `k8s.io/client-go/util/flowcontrol.Backoff`, used by `kuberuntime.doBackOff`.

use std::collections::BTreeMap;

use crate::types::{SignedDuration, Timestamp};

#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    initial: SignedDuration,
    max: SignedDuration,
    /// Bounded by its user: one entry a container of one pod.
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    delay: SignedDuration,
    /// When this delay was handed out, that is, when the last restart happened.
    updated_at: Timestamp,
}

impl Default for Backoff {
    /// Upstream's figures, for restarts and for pulls.
    fn default() -> Self {
        Backoff::new(SignedDuration::from_secs(10), SignedDuration::from_secs(300))
    }
}

impl Backoff {
    pub fn new(initial: SignedDuration, max: SignedDuration) -> Self {
        Backoff { initial, max, entries: BTreeMap::new() }
    }

    /// The delay that applies to `key` now; zero if it has none.
    pub fn delay(&self, key: &str) -> SignedDuration {
        self.entries.get(key).map_or(SignedDuration::ZERO, |e| e.delay)
    }

    /// When `key`, which failed at `failed_at`, may be tried again; `None` if that is now.
    ///
    /// An entry is stale, and does not hold anyone back, if the failure came more than twice
    /// `max` after the delay was handed out.
    pub fn waits_until(&self, key: &str, failed_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let _ = (&key, &failed_at, &now);
        todo!(
            "lab 08.3: no entry or a stale one: now. Otherwise failed_at + delay, if that is later than now"
        )
    }

    /// Takes note that `key`, which failed at `failed_at`, is tried again `now`, and returns the
    /// delay that a further failure will cost: `initial` the first time and after a stale entry,
    /// otherwise twice the delay before, at most `max`.
    pub fn next(&mut self, key: &str, failed_at: Timestamp, now: Timestamp) -> SignedDuration {
        let _ = (&key, &failed_at, &now);
        todo!("lab 08.3: the first delay or the doubled one, bounded; remember it with `now`")
    }

    pub fn forget(&mut self, key: &str) {
        self.entries.remove(key);
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// `10s`, `1m20s`, `5m0s`: a duration as Go prints whole seconds.
pub fn go_duration(d: SignedDuration) -> String {
    let total = d.as_secs();
    let (h, m, s) = (total / 3600, total / 60 % 60, total % 60);
    match (h, m) {
        (0, 0) => format!("{s}s"),
        (0, _) => format!("{m}m{s}s"),
        _ => format!("{h}h{m}m{s}s"),
    }
}
