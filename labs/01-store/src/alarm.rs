//! Alarms: what is wrong with a member, known to all of them.
//!
//! A member that finds its disk too full proposes an alarm like any other command. From then on all
//! members refuse alike what would make the data grow, until somebody has made room (compacted,
//! deleted) and takes the alarm back: `etcdctl alarm disarm`.

use std::collections::BTreeSet;

use crate::command::Command;
use crate::error::Error;
use crate::txn::{Op, Txn};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm {
    pub member: u64,
    pub kind: AlarmKind,
}

/// Numbers are etcd's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum AlarmKind {
    NoSpace = 1,
    /// A member's data is not what the others have.
    Corrupt = 2,
}

impl AlarmKind {
    pub(crate) fn from_byte(byte: u8) -> Option<AlarmKind> {
        [AlarmKind::NoSpace, AlarmKind::Corrupt].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The alarms that are raised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarms {
    raised: BTreeSet<Alarm>,
}

impl Alarms {
    pub fn iter(&self) -> impl Iterator<Item = Alarm> {
        self.raised.iter().copied()
    }

    pub fn is_raised(&self, kind: AlarmKind) -> bool {
        self.raised.iter().any(|alarm| alarm.kind == kind)
    }

    /// Raises the alarm or takes it back. The answer names it if it is raised now, or was until now.
    pub(crate) fn set(&mut self, alarm: Alarm, raise: bool) -> Option<Alarm> {
        let concerned = if raise {
            self.raised.insert(alarm);
            true
        } else {
            self.raised.remove(&alarm)
        };
        concerned.then_some(alarm)
    }

    /// What must not be done while an alarm is raised: with a corrupt member nothing that writes keys, without
    /// space nothing that may need some. Etcd looks for puts only in the uppermost level of a
    /// transaction; we look everywhere.
    pub(crate) fn check(&self, command: &Command) -> Result<(), Error> {
        match command {
            Command::Alarm { .. } | Command::LeaseCheckpoint { .. } | Command::Auth(_) => Ok(()),
            _ if self.is_raised(AlarmKind::Corrupt) => Err(Error::Corrupt),
            Command::Put(_) | Command::LeaseGrant { .. } if self.is_raised(AlarmKind::NoSpace) => {
                Err(Error::NoSpace)
            }
            Command::Txn(txn) if has_put(txn) && self.is_raised(AlarmKind::NoSpace) => Err(Error::NoSpace),
            _ => Ok(()),
        }
    }
}

fn has_put(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| match op {
        Op::Put(_) => true,
        Op::Range(_) | Op::Delete(_) => false,
        Op::Txn(txn) => has_put(txn),
    })
}
