//! Reading: which keys, as of when, in which order, how many.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::error::Error;
use crate::store::Store;
use crate::types::{KeyRange, Record};

/// etcd's `RangeRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub keys: KeyRange,
    /// 0 (or less): no limit.
    pub limit: i64,
    /// 0 (or less): now.
    pub revision: i64,
    pub order: SortOrder,
    pub target: SortTarget,
    pub keys_only: bool,
    pub count_only: bool,
    /// Bounds are inclusive; 0 means none.
    pub min_mod: i64,
    pub max_mod: i64,
    pub min_create: i64,
    pub max_create: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortOrder {
    #[default]
    None,
    Ascend,
    Descend,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortTarget {
    #[default]
    Key,
    Version,
    Create,
    Mod,
    Value,
}

/// etcd's `RangeResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeAnswer {
    /// The store's revision when it was asked, whatever revision was asked for.
    pub revision: i64,
    pub records: Vec<Arc<Record>>,
    /// The limit cut something off.
    pub more: bool,
    /// All keys in the range at that revision: limit and bounds do not change it.
    pub count: i64,
    /// Values are to be left out.
    pub keys_only: bool,
}

impl Range {
    /// All of `keys`, now, in order of keys.
    pub fn of(keys: KeyRange) -> Self {
        Range {
            keys,
            limit: 0,
            revision: 0,
            order: SortOrder::None,
            target: SortTarget::Key,
            keys_only: false,
            count_only: false,
            min_mod: 0,
            max_mod: 0,
            min_create: 0,
            max_create: 0,
        }
    }

    /// What is wrong with the request whatever the store holds.
    pub fn check(&self) -> Result<(), Error> {
        if self.keys.start.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
    }

    // lab:given
    fn is_filtered(&self) -> bool {
        self.min_mod != 0 || self.max_mod != 0 || self.min_create != 0 || self.max_create != 0
    }

    // lab:given
    fn admits(&self, r: &Record) -> bool {
        let within = |x: i64, min: i64, max: i64| (min == 0 || x >= min) && (max == 0 || x <= max);
        within(r.revision.main, self.min_mod, self.max_mod)
            && within(r.create, self.min_create, self.max_create)
    }

    // lab:given
    fn compare(&self, a: &Record, b: &Record) -> Ordering {
        let order = match self.target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create.cmp(&b.create),
            SortTarget::Mod => a.revision.main.cmp(&b.revision.main),
            SortTarget::Value => a.value().cmp(b.value()),
        };
        if self.order == SortOrder::Descend { order.reverse() } else { order }
    }
}

impl Store {
    /// Reads as of `range.revision`. `now` is the newest revision that this reader may see: the
    /// store's, or within a transaction that has already written, the one being made.
    pub(crate) fn range_at(&self, range: &Range, now: i64) -> Result<RangeAnswer, Error> {
        if range.revision > now {
            return Err(Error::FutureRevision);
        }
        let at = if range.revision <= 0 { now } else { range.revision };
        if at < self.compacted() {
            return Err(Error::Compacted);
        }
        Ok(self.select(range, at, now))
    }

    /// The keys of the range that exist at `at`, then counted, bounded, sorted and cut, in that
    /// order.
    fn select(&self, range: &Range, at: i64, now: i64) -> RangeAnswer {
        // lab:begin 01.1 count every key that existed at `at`; keep those within the bounds; sort (equal ones stay in key order); cut to the limit
        let mut answer = RangeAnswer { revision: now, keys_only: range.keys_only, ..Default::default() };
        let limit = usize::try_from(range.limit).ok().filter(|l| *l > 0).unwrap_or(usize::MAX);
        // Without sorting or bounds the first `limit` keys are the answer (and one more says that
        // there is more), so nothing beyond them is collected.
        let enough = if range.order == SortOrder::None && !range.is_filtered() {
            limit.saturating_add(1)
        } else {
            usize::MAX
        };
        let mut found = Vec::new();
        for (_, history) in self.histories(&range.keys) {
            let Some(record) = history.at(at) else { continue };
            answer.count += 1;
            if !range.count_only && found.len() < enough {
                found.push(record.clone());
            }
        }
        found.retain(|r| range.admits(r));
        if range.order != SortOrder::None || range.target != SortTarget::Key {
            found.sort_by(|a, b| range.compare(a, b));
        }
        answer.more = found.len() > limit;
        found.truncate(limit);
        answer.records = found;
        answer
        // lab:end
    }
}
