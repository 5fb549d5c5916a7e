//! The state: every key's history, the changes in order, the leases.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::alarm::Alarms;
use crate::auth::Auth;
use crate::codec::Malformed;
use crate::error::Error;
use crate::history::History;
use crate::lease::Leases;
use crate::range::{Range, RangeAnswer};
use crate::types::{Event, Key, KeyRange, LeaseId, NO_LEASE, Record, Revision, Value};

/// The whole store as a value. Reads borrow it; [`Store::apply`](crate::command) changes it. The
/// same commands in the same order make the same store: there is no clock and no chance in it.
#[derive(Debug, Clone)]
pub struct Store {
    index: BTreeMap<Key, History>,
    /// Every change at or after the compacted revision, in order: what watchers catch up from.
    log: VecDeque<Arc<Record>>,
    revision: i64,
    compacted: i64,
    pub(crate) leases: Leases,
    pub(crate) alarms: Alarms,
    pub(crate) auth: Auth,
    size: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store is at revision 1, as etcd's; nothing has been compacted, which is -1.
    pub fn new() -> Self {
        Store {
            index: BTreeMap::new(),
            log: VecDeque::new(),
            revision: 1,
            compacted: -1,
            leases: Leases::default(),
            alarms: Alarms::default(),
            auth: Auth::default(),
            size: 0,
        }
    }

    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The last compacted revision: the oldest one that can still be read. -1 when there was none.
    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// About what is held, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Users, roles and what they may do.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Reads.
    pub fn range(&self, range: &Range) -> Result<RangeAnswer, Error> {
        self.range_at(range, self.revision)
    }

    /// What is remembered of the keys of a range, in order of keys.
    pub fn histories<'a>(&'a self, keys: &'a KeyRange) -> impl Iterator<Item = (&'a Key, &'a History)> {
        // An empty range is no range to a map: look at nothing instead.
        let bounds = (!keys.is_empty()).then(|| keys.bounds());
        bounds.into_iter().flat_map(|bounds| self.index.range::<[u8], _>(bounds))
    }

    /// The key as it is now.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<Record>> {
        self.index.get(key)?.latest()
    }

    /// The changes of revision `from` and later, oldest first. They are all there for any `from`
    /// that is not less than [`Self::compacted`].
    pub fn changes(&self, from: i64) -> impl Iterator<Item = &Arc<Record>> {
        let start = self.log.partition_point(|r| r.revision.main < from);
        self.log.range(start..)
    }

    /// What the record's key was before its revision, for watchers that ask: nothing when a life
    /// of the key begins with it, or when it is compacted away.
    pub fn previous(&self, record: &Record) -> Option<&Arc<Record>> {
        if record.version == 1 {
            return None;
        }
        self.index.get(&record.key)?.at(record.revision.main - 1)
    }

    /// Forgets what no read at `at` or later needs. The changes of revision `at` itself stay for
    /// watchers, deletions too.
    pub fn compact(&mut self, at: i64) -> Result<(), Error> {
        if at <= self.compacted {
            return Err(Error::Compacted);
        }
        if at > self.revision {
            return Err(Error::FutureRevision);
        }
        self.forget(at);
        Ok(())
    }

    fn forget(&mut self, at: i64) {
        debug_assert!(self.compacted < at, "compaction goes forward");
        self.compacted = at;
        todo!(
            "lab 01.2: compact the history of each key that has changed up to `at`, drop keys of which nothing is left, and drop the changes before `at`"
        )
    }

    /// An empty store that is about to be given [`Self::retained`] of another.
    pub(crate) fn begin_load(&mut self, revision: i64, compacted: i64) {
        (self.revision, self.compacted) = (revision, compacted);
    }

    /// What another store retained, in any order; fast if it is in its own.
    ///
    /// # Errors
    /// When a key has two records of one revision.
    pub(crate) fn load(&mut self, mut records: Vec<Arc<Record>>) -> Result<(), Malformed> {
        records.sort_by(|a, b| a.key.cmp(&b.key).then(a.revision.cmp(&b.revision)));
        self.size = records.iter().map(|r| r.size()).sum();
        let of_one_key = records.chunk_by(|a, b| a.key == b.key);
        if of_one_key.clone().any(|of_it| of_it.windows(2).any(|r| r[0].revision == r[1].revision)) {
            return Err(Malformed("a record is there twice"));
        }
        // Given keys in their order, a map is built without searching.
        self.index =
            of_one_key.map(|of_it| (of_it[0].key.clone(), of_it.iter().cloned().collect())).collect();
        let mut log = records;
        log.retain(|r| r.revision.main >= self.compacted);
        log.sort_unstable_by_key(|r| r.revision);
        // Of the compacted revision itself, only watchers remember more than its result.
        for record in log.iter().take_while(|r| r.revision.main == self.compacted) {
            self.size -= forget_key(&mut self.index, &record.key, self.compacted);
        }
        self.log = log.into();
        Ok(())
    }

    /// Every record that is still needed: by key what reads can find, and then what only watchers of the
    /// compacted revision can.
    pub(crate) fn retained(&self) -> Vec<Arc<Record>> {
        let found = self.index.values().flat_map(|h| h.records());
        let of_compacted = self.changes(self.compacted).take_while(|r| r.revision.main == self.compacted);
        let is_found = |r: &Record| {
            self.index.get(&r.key).is_some_and(|h| h.records().iter().any(|f| f.revision == r.revision))
        };
        found.chain(of_compacted.filter(|r| !is_found(r))).cloned().collect()
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.index.values().filter_map(|h| h.latest())
    }

    fn remember(&mut self, record: Arc<Record>) {
        self.size += record.size();
        self.index.entry(record.key.clone()).or_default().push(record.clone());
        self.log.push_back(record);
    }
}

/// Forgets of one key what no read at `at` or later needs, and returns how much that was.
#[allow(dead_code, reason = "used by your answer")]
fn forget_key(index: &mut BTreeMap<Key, History>, key: &Key, at: i64) -> u64 {
    let Some(history) = index.get_mut(key) else { return 0 };
    let gone = history.compact(at).iter().map(|r| r.size()).sum();
    if history.is_empty() {
        index.remove(key);
    }
    gone
}

/// A change in the making. All of it has one main revision, the store's next; nothing at all
/// happens to the revision when nothing was written.
pub(crate) struct Writer<'a> {
    pub(crate) store: &'a mut Store,
    events: Vec<Event>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(store: &'a mut Store) -> Self {
        Writer { store, events: Vec::new() }
    }

    /// The revision that a read in here answers with: the store's until something is written.
    pub(crate) fn revision(&self) -> i64 {
        self.store.revision + i64::from(!self.events.is_empty())
    }

    pub(crate) fn range(&self, range: &Range) -> Result<RangeAnswer, Error> {
        self.store.range_at(range, self.revision())
    }

    pub(crate) fn put(&mut self, key: &Key, value: Value, lease: LeaseId) {
        let _ = (&key, &value, &lease);
        todo!(
            "lab 01.1: write the next version of a living key, or the first version of a new life, at the store's next revision"
        )
    }

    /// Deletes what is there and returns it, in order of keys.
    pub(crate) fn delete(&mut self, keys: &KeyRange) -> Vec<Arc<Record>> {
        let _ = &keys;
        todo!(
            "lab 01.2: write one tombstone for each living key of the range, each with its own sub revision"
        )
    }

    /// Ends the change; its events, in order.
    pub(crate) fn finish(self) -> Vec<Event> {
        if !self.events.is_empty() {
            self.store.revision += 1;
        }
        self.events
    }

    /// What the next record gets.
    #[allow(dead_code, reason = "used by your answer")]
    fn next(&self) -> Revision {
        Revision { main: self.store.revision + 1, sub: self.events.len() as u32 }
    }

    /// Keeps a record and tells of it. `prev` is the living record that it follows, if there is one.
    #[allow(dead_code, reason = "used by your answer")]
    fn write(&mut self, record: Record, prev: Option<&Arc<Record>>) {
        let held = prev.map_or(NO_LEASE, |p| p.lease);
        self.store.leases.reattach(&record.key, held, record.lease);
        // What the event is told of is older than this revision; `prev` may have been written in it.
        let prev = match prev {
            Some(prev) if prev.revision.main == record.revision.main => self.store.previous(&record).cloned(),
            prev => prev.cloned(),
        };
        let record = Arc::new(record);
        self.store.remember(record.clone());
        self.events.push(Event { record, prev });
    }
}
