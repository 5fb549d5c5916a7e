//! The words of the store: keys, revisions, records, events, key ranges.

use std::ops::Bound;
use std::sync::Arc;

/// Keys and values are any bytes. They are shared, never copied: an answer, a watcher's queue and
/// the index point to the same memory. That memory is theirs alone, not a part of the request or the
/// log entry that brought them, or a small value would keep all of it.
pub type Key = Arc<[u8]>;
pub type Value = Arc<[u8]>;

/// A lease's number; 0 means none.
pub type LeaseId = i64;
pub const NO_LEASE: LeaseId = 0;

/// When something was written. `main` counts transactions that changed something; `sub` counts
/// the changes within one. Only `main` is seen by clients, who call it *the* revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    pub main: i64,
    pub sub: u32,
}

/// One version of one key; a tombstone has no value. Never changed once written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: Key,
    /// `None`: the key was deleted here.
    pub value: Option<Value>,
    pub revision: Revision,
    /// Main revision of the put that began this life of the key; 0 in a tombstone.
    pub create: i64,
    /// 1 for the first put of a life; 0 in a tombstone.
    pub version: i64,
    pub lease: LeaseId,
}

impl Record {
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// The value's bytes; a tombstone has none.
    pub fn value(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }

    /// About what the record costs to keep, in bytes.
    pub fn size(&self) -> u64 {
        (self.key.len() + self.value().len() + size_of::<Self>()) as u64
    }
}

/// A change as a watcher sees it: the new version (or tombstone), and what was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub record: Arc<Record>,
    pub prev: Option<Arc<Record>>,
}

/// A set of neighbouring keys, as requests name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    pub start: Key,
    pub end: RangeEnd,
}

/// Where a [`KeyRange`] stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RangeEnd {
    /// The range is its start key alone.
    Single,
    /// Every key from the start on.
    Unbounded,
    /// Keys smaller than this one.
    Before(Key),
}

impl KeyRange {
    /// From the two fields on the wire: an empty `range_end` means one key, and one zero byte
    /// means no end at all.
    pub fn from_wire(key: &[u8], range_end: &[u8]) -> Self {
        let end = match range_end {
            [] => RangeEnd::Single,
            [0] => RangeEnd::Unbounded,
            end => RangeEnd::Before(end.into()),
        };
        KeyRange { start: key.into(), end }
    }

    pub fn single(key: impl Into<Key>) -> Self {
        KeyRange { start: key.into(), end: RangeEnd::Single }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let _ = &prefix;
        todo!("lab 01.1: end before the smallest key that is larger than all of these, if there is one")
    }

    /// Every key there can be. (The empty key is not a key.)
    pub fn all() -> Self {
        KeyRange { start: [0].into(), end: RangeEnd::Unbounded }
    }

    /// No key can be in it.
    pub fn is_empty(&self) -> bool {
        matches!(&self.end, RangeEnd::Before(end) if *end <= self.start)
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            RangeEnd::Single => key == &*self.start,
            RangeEnd::Unbounded => key >= &*self.start,
            RangeEnd::Before(end) => key >= &*self.start && key < &**end,
        }
    }

    /// For a `BTreeMap`'s `range`, which panics on a range that [`Self::is_empty`].
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = match &self.end {
            RangeEnd::Single => Bound::Included(&*self.start),
            RangeEnd::Unbounded => Bound::Unbounded,
            RangeEnd::Before(end) => Bound::Excluded(&**end),
        };
        (Bound::Included(&*self.start), end)
    }
}
