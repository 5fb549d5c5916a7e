//! What members have applied. They must agree: the same command at the same index, with the same
//! outcome. What they agree on is the history by which clients are judged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use simulator::history::{Change, Violation};
use simulator::judge::revisions::{Revision, Written};
use store::heart::types::{Event, LeaseId};
use store::heart::{Answer, Applied, Command};

use crate::requests::{key_of, value_of};

/// Leases are timed in milliseconds.
const ROUNDED_US: u64 = 2_000;

#[derive(Default)]
pub struct Ledger {
    entries: BTreeMap<u64, (Bytes, i64)>,
    pub written: Written,
    /// When each lease was first granted, by the world's clock, and its time to live in seconds.
    granted: BTreeMap<LeaseId, (u64, i64)>,
    /// Clocks are right, so leases can be judged.
    clocks_are_right: bool,
    pub now_us: u64,
    /// Snapshots that members took over.
    pub restored: usize,
    pub wrong: Option<Violation>,
}

/// All machines write into one; they are in one thread.
pub type Shared = Rc<RefCell<Ledger>>;

impl Ledger {
    pub fn new(clocks_are_right: bool) -> Self {
        Ledger { clocks_are_right, ..Ledger::default() }
    }

    /// A member's store has applied the entry with this index and is at `revision` now.
    pub fn applied(
        &mut self,
        machine: usize,
        index: u64,
        bytes: &Bytes,
        command: &Command,
        applied: &Applied,
        revision: i64,
    ) {
        if let Some((other, at)) = self.entries.get(&index) {
            if (other, *at) != (bytes, revision) {
                let why = format!(
                    "m{machine} applied at {index} what is not what another has there: {command:?}, revision \
                     {revision} where the other was at {at}"
                );
                self.wrong.get_or_insert(Violation(why));
            }
            return;
        }
        self.entries.insert(index, (bytes.clone(), revision));
        let expiry = matches!(command, Command::LeaseRevoke { .. });
        if !applied.events.is_empty() {
            let changes = applied.events.iter().map(change).collect();
            self.written.revisions.insert(revision, Revision { changes, expiry });
        }
        match (command, &applied.answer) {
            (_, Ok(Answer::LeaseGrant { id, ttl, .. })) => {
                self.granted.insert(*id, (self.now_us, *ttl));
            }
            (Command::LeaseRevoke { id }, Ok(_)) => self.expired(*id),
            _ => {}
        }
    }

    /// Nobody asks for the end of a lease here but the leader whose clock says so.
    fn expired(&mut self, id: LeaseId) {
        let Some((at_us, ttl)) = self.granted.get(&id) else { return };
        let lived_us = self.now_us - at_us;
        if self.clocks_are_right && lived_us + ROUNDED_US < *ttl as u64 * 1_000_000 {
            let why = format!("lease {id} of {ttl} s ended after {} ms", lived_us / 1000);
            self.wrong.get_or_insert(Violation(why));
        }
    }
}

/// As the judges write it.
pub fn change(event: &Event) -> Change {
    let record = &event.record;
    Change { key: key_of(&record.key), value: record.value.as_ref().map(|value| value_of(value)) }
}
