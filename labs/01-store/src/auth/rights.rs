//! Sets of keys that a user may read or write: permissions of many roles, laid over one another.

use crate::types::{Key, KeyRange, RangeEnd};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    ReadWrite,
}

/// One line of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub access: Access,
    pub keys: KeyRange,
}

impl Permission {
    /// What the root role has, as etcd shows it.
    pub fn everything() -> Self {
        let keys = KeyRange { start: Key::default(), end: RangeEnd::Unbounded };
        Permission { access: Access::ReadWrite, keys }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rights {
    read: Cover,
    write: Cover,
}

impl Rights {
    pub(super) fn of<'a>(permissions: impl Iterator<Item = &'a Permission>) -> Self {
        let (mut read, mut write) = (Vec::new(), Vec::new());
        for Permission { access, keys } in permissions {
            if *access != Access::Write {
                read.push(keys);
            }
            if *access != Access::Read {
                write.push(keys);
            }
        }
        Rights { read: Cover::of(read), write: Cover::of(write) }
    }

    pub(super) fn may_read(&self, keys: &KeyRange) -> bool {
        self.read.has(keys)
    }

    pub(super) fn may_write(&self, keys: &KeyRange) -> bool {
        self.write.has(keys)
    }
}

/// A set of keys as intervals that neither meet nor touch, in order. The end is excluded; without one
/// the interval goes on for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cover {
    intervals: Vec<(Key, Option<Key>)>,
}

impl Cover {
    fn of(ranges: Vec<&KeyRange>) -> Self {
        let mut all: Vec<_> = ranges.into_iter().filter(|r| !r.is_empty()).map(interval).collect();
        all.sort();
        let mut intervals: Vec<(Key, Option<Key>)> = Vec::new();
        for (start, end) in all {
            match intervals.last_mut() {
                Some((_, reached)) if reached.as_ref().is_none_or(|reached| start <= *reached) => {
                    if !is_before(end.as_ref(), reached.as_ref()) {
                        *reached = end;
                    }
                }
                _ => intervals.push((start, end)),
            }
        }
        Cover { intervals }
    }

    /// Whether every key of the range is in the set. What two permissions grant in halves is granted.
    fn has(&self, range: &KeyRange) -> bool {
        if range.is_empty() {
            return false;
        }
        let (start, end) = interval(range);
        let later = self.intervals.partition_point(|(first, _)| *first <= start);
        let Some((_, reached)) = later.checked_sub(1).map(|at| &self.intervals[at]) else { return false };
        !is_before(reached.as_ref(), end.as_ref())
    }
}

fn interval(range: &KeyRange) -> (Key, Option<Key>) {
    let end = match &range.end {
        // The next key there can be.
        RangeEnd::Single => Some(range.start.iter().copied().chain([0]).collect()),
        RangeEnd::Before(end) => Some(end.clone()),
        RangeEnd::Unbounded => None,
    };
    (range.start.clone(), end)
}

/// Of two ends: whether the first comes before the second. No end is behind all.
fn is_before(end: Option<&Key>, other: Option<&Key>) -> bool {
    match (end, other) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(end), Some(other)) => end < other,
    }
}
