//! Leases: keys that go when nobody keeps them.
//!
//! Two halves, and the line between them is the one between what is replicated and what is not.
//! [`Leases`] says which leases exist and which keys hang on them; it is part of the store, changed
//! by commands, the same on every member. [`Expiry`] knows the time; only the member in charge has
//! one, and all that it can do is to propose that a lease be revoked, as any client can. So clocks
//! may differ, and keep-alives write nothing to disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::types::{Key, LeaseId, NO_LEASE};

/// Longest lease, in seconds: etcd's.
pub const MAX_TTL: i64 = 9_000_000_000;
/// Shortest, in seconds. etcd takes one and a half election timeouts, rounded up, so that a change
/// of leaders cannot outlast a lease; with its defaults that is this.
pub const MIN_TTL: i64 = 2;
/// A lease that nobody keeps alive for so long gets a checkpoint: etcd's.
pub const CHECKPOINT_INTERVAL_MS: u64 = 300_000;

/// The leases that exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leases {
    leases: BTreeMap<LeaseId, Lease>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lease {
    /// Seconds, as granted.
    pub ttl: i64,
    /// Seconds that were left at the last checkpoint, 0 for all of them.
    pub remaining: i64,
    pub keys: BTreeSet<Key>,
}

impl Leases {
    pub fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.leases.iter().map(|(id, lease)| (*id, lease))
    }

    /// A put may name no lease, or one that exists.
    pub(crate) fn check(&self, id: LeaseId) -> Result<(), Error> {
        if id == NO_LEASE || self.leases.contains_key(&id) { Ok(()) } else { Err(Error::LeaseNotFound) }
    }

    /// Returns the time to live that the lease really has.
    pub(crate) fn grant(&mut self, id: LeaseId, ttl: i64) -> Result<i64, Error> {
        if id == NO_LEASE {
            return Err(Error::LeaseNotFound);
        }
        if ttl > MAX_TTL {
            return Err(Error::LeaseTtlTooLarge);
        }
        if self.leases.contains_key(&id) {
            return Err(Error::LeaseExists);
        }
        let ttl = ttl.max(MIN_TTL);
        self.leases.insert(id, Lease { ttl, remaining: 0, keys: BTreeSet::new() });
        Ok(ttl)
    }

    /// Notes how much time a lease has left. One that is gone needs no time.
    pub(crate) fn checkpoint(&mut self, id: LeaseId, remaining: i64) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.remaining = if remaining < lease.ttl { remaining.max(0) } else { 0 };
        }
    }

    #[allow(dead_code, reason = "used by your answer")]
    /// Takes the lease out; whoever calls deletes its keys.
    pub(crate) fn revoke(&mut self, id: LeaseId) -> Result<Lease, Error> {
        self.leases.remove(&id).ok_or(Error::LeaseNotFound)
    }

    /// A key that hung on `from` now hangs on `to`; either may be none.
    pub(crate) fn reattach(&mut self, key: &Key, from: LeaseId, to: LeaseId) {
        if from == to {
            return;
        }
        let _ = &key;
        todo!("lab 01.6: a key hangs on one lease at most: take it off the old one, put it on the new one")
    }
}

/// When leases run out, by the clock of the member in charge. `now_ms` is milliseconds on any
/// clock that never goes back; the caller brings it.
///
/// Order of calls: `handle_grant` when a lease exists, `handle_keep_alive` as they come,
/// `poll_expired` when [`Self::next_deadline_ms`] has passed, `poll_checkpoints` when
/// [`Self::next_checkpoint_ms`] has, and `handle_revoke` when the lease is gone.
///
/// A member that takes charge begins with [`Expiry::of`]: nobody loses a lease to an election. Without
/// checkpoints every election would give a lease of a day another day. But then a lease that is kept
/// alive must not be ended by the time that an old checkpoint left it: when [`Lease::remaining`] is not
/// 0, propose a [`LeaseCheckpoint`](crate::Command::LeaseCheckpoint) of 0, and call
/// `handle_keep_alive` only when that is applied.
#[derive(Debug, Clone, Default)]
pub struct Expiry {
    leases: BTreeMap<LeaseId, Timer>,
    queue: BTreeSet<(u64, LeaseId)>,
    checkpoints: BTreeSet<(u64, LeaseId)>,
}

#[allow(dead_code, reason = "used by your answer")]
#[derive(Debug, Clone, Copy)]
struct Timer {
    ttl: i64,
    deadline_ms: u64,
    checkpoint_ms: u64,
    /// Handed out by `poll_expired`: there is no way back, the revocation is under way.
    expired: bool,
}

impl Expiry {
    /// Of all leases there are, with what was left of them, from `now_ms` on.
    pub fn of(leases: &Leases, now_ms: u64) -> Self {
        let mut expiry = Expiry::default();
        for (id, lease) in leases.iter() {
            let left = if lease.remaining > 0 { lease.remaining } else { lease.ttl };
            expiry.start(id, lease.ttl, left, now_ms);
        }
        expiry
    }

    /// `ttl` in seconds, as the grant answered it.
    pub fn handle_grant(&mut self, id: LeaseId, ttl: i64, now_ms: u64) {
        self.start(id, ttl, ttl, now_ms);
    }

    pub fn handle_revoke(&mut self, id: LeaseId) {
        if let Some(timer) = self.leases.remove(&id) {
            self.queue.remove(&(timer.deadline_ms, id));
            self.checkpoints.remove(&(timer.checkpoint_ms, id));
        }
    }

    /// Sets the lease's timer to `left` seconds from now, and plans its checkpoint.
    fn start(&mut self, id: LeaseId, ttl: i64, left: i64, now_ms: u64) {
        let _ = (&id, &ttl, &left, &now_ms);
        todo!(
            "lab 01.6: whatever timer there was is void; note the new deadline and the time of the next checkpoint, which a lease that ends before does not need"
        )
    }

    /// Starts the lease's time anew and returns it, in seconds; `None` when there is no such lease,
    /// or when it has already run out.
    pub fn handle_keep_alive(&mut self, id: LeaseId, now_ms: u64) -> Option<i64> {
        let ttl = self.leases.get(&id).filter(|t| !t.expired)?.ttl;
        self.start(id, ttl, ttl, now_ms);
        Some(ttl)
    }

    /// Whole seconds left.
    pub fn remaining(&self, id: LeaseId, now_ms: u64) -> Option<i64> {
        let timer = self.leases.get(&id)?;
        Some((timer.deadline_ms.saturating_sub(now_ms) / 1000) as i64)
    }

    /// Milliseconds left: to list leases by it.
    pub fn deadline_ms(&self, id: LeaseId) -> Option<u64> {
        self.leases.get(&id).map(|t| t.deadline_ms)
    }

    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// At most `limit` leases that have run out: revoke them. Each is named once.
    pub fn poll_expired(&mut self, now_ms: u64, limit: usize) -> Vec<LeaseId> {
        let _ = (&now_ms, &limit);
        todo!(
            "lab 01.6: take due leases off the front of the queue, mark them, and stop at the limit or at the first that still has time"
        )
    }

    pub fn next_checkpoint_ms(&self) -> Option<u64> {
        self.checkpoints.first().map(|(at, _)| *at)
    }

    /// At most `limit` leases that nobody has kept alive for a while, and the seconds that they have
    /// left, rounded up: propose them as a [`LeaseCheckpoint`](crate::Command::LeaseCheckpoint).
    pub fn poll_checkpoints(&mut self, now_ms: u64, limit: usize) -> Vec<(LeaseId, i64)> {
        let _ = (&now_ms, &limit);
        todo!(
            "lab 01.6: take due checkpoints off the front of their queue, say what is left, and plan each lease's next one if it lives to see it"
        )
    }
}

#[allow(dead_code, reason = "used by your answer")]
fn ttl_ms(ttl: i64) -> u64 {
    (ttl.max(0) as u64).saturating_mul(1000)
}
