//! Second opinions: a log that forgets nothing, and sessions that forget nothing. Slow, and plainly right.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::heart::log::{Log, Missing};
use crate::heart::sessions::{Origin, What};
use crate::heart::types::{EntryKind, LogEntry, SnapshotMeta};

/// A log as a map, with a mark below which nothing may be asked for.
#[derive(Debug, Clone, Default)]
pub struct ModelLog {
    entries: BTreeMap<u64, LogEntry>,
    /// Index and term of the entry in front.
    before: (u64, u64),
}

impl ModelLog {
    pub fn new(index: u64, term: u64) -> ModelLog {
        ModelLog { before: (index, term), ..ModelLog::default() }
    }

    pub fn last_index(&self) -> u64 {
        self.entries.keys().last().copied().unwrap_or(0).max(self.before.0)
    }

    pub fn append(&mut self, entries: &[LogEntry]) {
        for entry in entries {
            self.entries.retain(|index, _| *index < entry.index);
            self.entries.insert(entry.index, entry.clone());
        }
    }

    pub fn forget(&mut self, upto: u64) {
        if upto > self.before.0 {
            self.before = (upto, self.entries[&upto].term);
        }
    }

    pub fn restore(&mut self, index: u64, term: u64) {
        *self = ModelLog::new(index, term);
    }

    fn term(&self, index: u64) -> Result<u64, Missing> {
        match index {
            _ if index == self.before.0 => Ok(self.before.1),
            _ if index < self.before.0 => Err(Missing::Compacted),
            _ => self.entries.get(&index).map(|entry| entry.term).ok_or(Missing::Unavailable),
        }
    }

    fn slice(&self, low: u64, high: u64, max_bytes: u64) -> Result<Vec<LogEntry>, Missing> {
        if low <= self.before.0 {
            return Err(Missing::Compacted);
        }
        let whole: Option<Vec<LogEntry>> = (low..high).map(|i| self.entries.get(&i).cloned()).collect();
        let mut whole = whole.filter(|_| high <= self.last_index() + 1).ok_or(Missing::Unavailable)?;
        while whole.len() > 1 && whole.iter().map(|e| e.size() as u64).sum::<u64>() > max_bytes {
            whole.pop();
        }
        Ok(whole)
    }

    /// Asks both every question there is.
    pub fn compare(&self, log: &Log) {
        let (first, last) = (self.before.0 + 1, self.last_index());
        assert_eq!((log.first_index(), log.last_index()), (first, last), "the log reaches elsewhere");
        for index in 0..last + 3 {
            assert_eq!(log.term(index), self.term(index), "term of {index}, in a log {first}..={last}");
        }
        for low in first.saturating_sub(2)..last + 2 {
            for high in low..last + 3 {
                for max in [0, 60, 150, u64::MAX] {
                    let expected = self.slice(low, high, max);
                    assert_eq!(log.slice(low, high, max), expected, "{low}..{high}, {max} bytes");
                }
            }
        }
    }
}

/// Every entry that was ever admitted.
#[derive(Debug, Clone, Default)]
pub struct ModelSessions {
    admitted: BTreeSet<(u64, u64, u64)>,
    seen: Vec<Origin>,
}

impl ModelSessions {
    pub fn admit(&mut self, origin: &Origin) -> bool {
        self.seen.push(*origin);
        let same = self.seen.iter().filter(|o| o.member == origin.member);
        let life = same.clone().map(|o| o.life).max().unwrap_or(0);
        let settled = same.filter(|o| o.life == life).map(|o| o.settled).max().unwrap_or(0);
        let key = (origin.member, origin.life, origin.number);
        origin.life == life && origin.number >= settled && self.admitted.insert(key)
    }
}

pub fn entry(index: u64, term: u64, data: &str) -> LogEntry {
    let data = Bytes::copy_from_slice(data.as_bytes());
    LogEntry { index, term, kind: EntryKind::Normal, context: Bytes::new(), data }
}

pub fn snapshot(index: u64, term: u64) -> SnapshotMeta {
    SnapshotMeta { index, term, state: Bytes::new() }
}

pub fn origin(member: u64, life: u64, number: u64, settled: u64) -> Origin {
    Origin { member, life, number, settled, what: What::Command }
}
