//! Watching: every watcher gets exactly the history of its keys, in order, once.
//!
//! ```text
//!                       handle_create
//!              start ≤ now │ │ start > now
//!                          ▼ ▼
//!   ┌─────────┐  caught up   ┌────────┐ handle_commit
//!   │ lagging │ ───────────► │ synced │ ─────────────► delivery
//!   └─────────┘ ◄─────────── └────────┘
//!        │        no credit
//!        └─ poll_catch_up: from the store's changes ─► delivery, or "compacted"
//! ```
//!
//! A synced watcher is told of a change as it happens. A reader that is slow costs no memory: when
//! its stream has no credit left, its watchers are put aside with nothing but the revision that
//! they need next, and later read the store's own history. etcd calls the groups synced and
//! unsynced (and keeps a third, of victims, which credit makes needless).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::auth::AuthError;
use crate::error::Error;
use crate::interest::{Address, Interest, Interests};
use crate::store::Store;
use crate::types::{Event, KeyRange};

pub type StreamId = u64;
/// A client's number for one of its watchers; unique within a stream.
pub type WatchId = i64;
/// Stands for no watcher, or for all of a stream.
pub const NO_WATCH: WatchId = -1;

/// How many events a watcher may be given at once when it catches up, and how far a stream may so
/// overdraw its credit. A single revision is never split, however large.
pub const CATCH_UP_EVENTS: usize = 512;
/// And how many bytes, about.
pub const CATCH_UP_BYTES: u64 = 1 << 20;

/// etcd's `WatchCreateRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSpec {
    pub keys: KeyRange,
    /// The first revision wanted; 0 for the next.
    pub start: i64,
    pub no_put: bool,
    pub no_delete: bool,
    pub prev_kv: bool,
    pub progress_notify: bool,
    pub fragment: bool,
    /// 0: choose one.
    pub id: WatchId,
}

impl WatchSpec {
    pub fn of(keys: KeyRange, start: i64) -> Self {
        WatchSpec {
            keys,
            start,
            no_put: false,
            no_delete: false,
            prev_kv: false,
            progress_notify: false,
            fragment: false,
            id: 0,
        }
    }

    // lab:given
    fn interest(&self) -> Interest {
        let WatchSpec { no_put, no_delete, prev_kv, .. } = *self;
        Interest { keys: self.keys.clone(), no_put, no_delete, prev_kv }
    }
}

/// Something to send to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub stream: StreamId,
    pub watch: WatchId,
    /// The store's revision, for the header.
    pub revision: i64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Created,
    /// Not created; `watch` is [`NO_WATCH`].
    Refused(Refusal),
    /// As the client asked.
    Canceled,
    /// The watcher is gone: it needs revisions before this one, and they are forgotten.
    Compacted(i64),
    /// Of one or more whole revisions; never empty. Watchers that are told the same share it.
    Events {
        events: Arc<[Event]>,
        fragment: bool,
    },
    /// All up to the header's revision has been delivered.
    Progress,
}

/// Texts are etcd's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("mvcc: watcher range is empty")]
    EmptyRange,
    #[error("mvcc: duplicate watch ID provided on the WatchStream")]
    DuplicateId,
    #[error("{}", Error::Compacted)]
    NegativeStart,
    /// As a Go client prints a status.
    #[error("rpc error: code = {} desc = {_0}", _0.code())]
    Denied(AuthError),
}

/// All watchers of a store, in memory.
///
/// Order of calls: tell it what happened with `handle_*`; while [`Self::poll_catch_up`] says that
/// there is more to do, call it again when there is time; after each of these take deliveries with
/// [`Self::poll_delivery`] until there is none.
#[derive(Debug)]
pub struct Hub {
    streams: BTreeMap<StreamId, Stream>,
    synced: Interests,
    lagging: BTreeSet<Address>,
    /// Where the last round of catching up stopped: the next begins behind it.
    // lab:given
    cursor: Address,
    /// Events that a stream may be sent before it says that it has taken some.
    window: i64,
    out: VecDeque<Delivery>,
}

#[derive(Debug)]
struct Stream {
    watchers: BTreeMap<WatchId, Watcher>,
    next_id: WatchId,
    credit: i64,
    lagging: usize,
    progress_wanted: bool,
}

#[derive(Debug)]
struct Watcher {
    interest: Arc<Interest>,
    progress_notify: bool,
    fragment: bool,
    /// Everything before this revision has been delivered or was not wanted. Of a synced watcher
    /// it may stay behind: being synced says it all.
    next: i64,
    /// Nothing was sent since the last tick.
    quiet: bool,
}

impl Hub {
    /// `window` is in events.
    pub fn new(window: usize) -> Self {
        Hub {
            streams: BTreeMap::new(),
            synced: Interests::default(),
            lagging: BTreeSet::new(),
            cursor: (0, 0),
            window: window as i64,
            out: VecDeque::new(),
        }
    }

    pub fn handle_open(&mut self, stream: StreamId) {
        let fresh = Stream {
            watchers: BTreeMap::new(),
            next_id: 0,
            credit: self.window,
            lagging: 0,
            progress_wanted: false,
        };
        self.streams.insert(stream, fresh);
    }

    pub fn handle_close(&mut self, stream: StreamId) {
        let Some(closed) = self.streams.remove(&stream) else { return };
        for (id, watcher) in closed.watchers {
            self.synced.remove(&watcher.interest, (stream, id));
            self.lagging.remove(&(stream, id));
        }
        self.out.retain(|d| d.stream != stream);
    }

    pub fn handle_create(&mut self, stream: StreamId, spec: WatchSpec, store: &Store) {
        let revision = store.revision();
        let Some(on) = self.streams.get_mut(&stream) else { return };
        let id = match on.choose_id(&spec) {
            Ok(id) => id,
            Err(refusal) => {
                let what = What::Refused(refusal);
                self.out.push_back(Delivery { stream, watch: NO_WATCH, revision, what });
                return;
            }
        };
        self.out.push_back(Delivery { stream, watch: id, revision, what: What::Created });
        // lab:begin 01.4 a watcher of the future is synced at once; one of the past is lagging, at the revision that it asked for
        let interest = Arc::new(spec.interest());
        let address = (stream, id);
        let past = spec.start != 0 && spec.start <= revision;
        let next = if past { spec.start } else { spec.start.max(revision + 1) };
        if past {
            on.lagging += 1;
            self.lagging.insert(address);
        } else {
            self.synced.insert(&interest, address);
        }
        let WatchSpec { progress_notify, fragment, .. } = spec;
        on.watchers.insert(id, Watcher { interest, progress_notify, fragment, next, quiet: true });
        // lab:end
    }

    pub fn handle_cancel(&mut self, stream: StreamId, id: WatchId, revision: i64) {
        if self.remove((stream, id)) {
            self.out.push_back(Delivery { stream, watch: id, revision, what: What::Canceled });
            self.settle(stream, revision);
        }
    }

    /// What a command wrote: all of one revision, in order.
    pub fn handle_commit(&mut self, events: &[Event]) {
        // lab:begin 01.4 collect for each interest what it wants of the revision, and deliver that in one piece to its watchers whose time has come, or let the watcher lag from this revision
        let Some(revision) = events.first().map(|e| e.record.revision.main) else { return };
        let mut batches: BTreeMap<Arc<Interest>, Vec<Event>> = BTreeMap::new();
        for Event { record, prev } in events {
            for interest in self.synced.of_key(&record.key) {
                if interest.wants(record) {
                    let prev = prev.clone().filter(|_| interest.prev_kv);
                    batches.entry(interest).or_default().push(Event { record: record.clone(), prev });
                }
            }
        }
        for (interest, events) in batches {
            let events: Arc<[Event]> = events.into();
            for address in self.synced.watchers(&interest) {
                let begun = self.next_of(address).is_some_and(|next| next <= revision);
                if begun && !self.deliver(address, revision, revision, events.clone()) {
                    self.lag(address, revision);
                }
            }
        }
        // lab:end
    }

    /// The store is now this one, which has all that it had at revision `before` and more: it came from
    /// another member. What has happened between is read from its history.
    pub fn handle_restore(&mut self, before: i64, store: &Store) {
        for address in self.synced.all() {
            let next = self.next_of(address).unwrap_or_default().max(before + 1);
            if next <= store.revision() {
                self.lag(address, next);
            }
        }
    }

    /// The client has taken `events` of what it was sent: the credit that they cost is back.
    pub fn handle_taken(&mut self, stream: StreamId, events: usize) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.credit = (stream.credit + events as i64).min(self.window);
        }
    }

    /// The client asks how far its stream has come. It is told when all its watchers are synced.
    pub fn handle_progress_request(&mut self, stream: StreamId, revision: i64) {
        if let Some(on) = self.streams.get_mut(&stream) {
            on.progress_wanted = true;
            self.settle(stream, revision);
        }
    }

    /// Time for the notices that `progress_notify` asks for: watchers that heard nothing since the
    /// last tick are told how far they have come.
    pub fn handle_tick(&mut self, revision: i64) {
        for (stream, on) in &mut self.streams {
            for (id, watcher) in &mut on.watchers {
                let synced = !self.lagging.contains(&(*stream, *id)) && watcher.next <= revision + 1;
                let due = std::mem::replace(&mut watcher.quiet, true) && watcher.progress_notify;
                if synced && due && on.credit > 0 {
                    let (stream, watch, what) = (*stream, *id, What::Progress);
                    self.out.push_back(Delivery { stream, watch, revision, what });
                }
            }
        }
    }

    pub fn poll_delivery(&mut self) -> Option<Delivery> {
        self.out.pop_front()
    }

    /// Lets lagging watchers read history, each at most once a call, all together about `budget`
    /// changes. True when there is more that could be done at once.
    pub fn poll_catch_up(&mut self, store: &Store, budget: usize) -> bool {
        // lab:begin 01.5 give each lagging watcher a turn, beginning behind the one that had the last, until the budget is spent; then say whether another call could do something
        use std::ops::Bound;
        let mut left = budget;
        let behind = (Bound::Excluded(self.cursor), Bound::Unbounded);
        let round = self.lagging.range(behind).chain(self.lagging.range(..=self.cursor));
        for address in round.copied().collect::<Vec<_>>() {
            if left == 0 {
                break;
            }
            self.cursor = address;
            self.catch_up(address, store, &mut left);
        }
        self.lagging.iter().any(|(stream, _)| self.streams.get(stream).is_some_and(|s| s.credit > 0))
        // lab:end
    }

    /// One lagging watcher's turn, which may cost what is `left` of the budget.
    // lab:given
    fn catch_up(&mut self, address: Address, store: &Store, left: &mut usize) {
        let (stream, watch) = address;
        let Some(on) = self.streams.get_mut(&stream) else { return };
        let Some(watcher) = on.watchers.get_mut(&watch) else { return };
        let revision = store.revision();
        if watcher.next < store.compacted() {
            let what = What::Compacted(store.compacted());
            self.out.push_back(Delivery { stream, watch, revision, what });
            self.remove(address);
            self.settle(stream, revision);
            return;
        }
        // lab:begin 01.5 with credit, collect what it wants from the changes since `next`, stopping only between revisions when the batch is full or the budget is spent; then deliver, and when nothing is left it is synced
        if on.credit <= 0 {
            return;
        }
        let mut events = Vec::new();
        let mut size = 0;
        let mut reached = watcher.next - 1;
        let mut done = true;
        for record in store.changes(watcher.next) {
            let main = record.revision.main;
            let full = events.len() >= CATCH_UP_EVENTS || size >= CATCH_UP_BYTES;
            if main != reached && (full || *left == 0) {
                done = false;
                break;
            }
            reached = main;
            *left = left.saturating_sub(1);
            if watcher.interest.wants(record) {
                size += record.size();
                let prev = watcher.interest.prev_kv.then(|| store.previous(record).cloned());
                events.push(Event { record: record.clone(), prev: prev.flatten() });
            }
        }
        let reached = if done { revision } else { reached };
        watcher.next = reached + 1;
        if !events.is_empty() {
            self.deliver(address, reached, revision, events.into());
        }
        if done {
            self.catch_up_done(address, revision);
        }
        // lab:end
    }

    /// The first revision that a watcher still needs.
    // lab:given
    fn next_of(&self, (stream, watch): Address) -> Option<i64> {
        self.streams.get(&stream)?.watchers.get(&watch).map(|w| w.next)
    }

    /// Hands the events to the stream if it has credit, even if they cost more than it has. `upto` is
    /// the last revision in them. False: not taken.
    // lab:given
    fn deliver(&mut self, address: Address, upto: i64, revision: i64, events: Arc<[Event]>) -> bool {
        let (stream, watch) = address;
        let Some(on) = self.streams.get_mut(&stream) else { return true };
        let Some(watcher) = on.watchers.get_mut(&watch) else { return true };
        if on.credit <= 0 {
            return false;
        }
        on.credit -= events.len() as i64;
        watcher.next = upto + 1;
        watcher.quiet = false;
        let what = What::Events { events, fragment: watcher.fragment };
        self.out.push_back(Delivery { stream, watch, revision, what });
        true
    }

    /// A synced watcher falls behind: it needs everything from this revision on.
    // lab:given
    fn lag(&mut self, address: Address, from: i64) {
        // lab:begin 01.5 the watcher is lagging from now on, not synced, and needs this revision next
        let Some(on) = self.streams.get_mut(&address.0) else { return };
        let Some(watcher) = on.watchers.get_mut(&address.1) else { return };
        watcher.next = from;
        on.lagging += 1;
        self.synced.remove(&watcher.interest, address);
        self.lagging.insert(address);
        // lab:end
    }

    /// A lagging watcher has everything: it is synced again.
    // lab:given
    fn catch_up_done(&mut self, address: Address, revision: i64) {
        let Some(on) = self.streams.get_mut(&address.0) else { return };
        let Some(watcher) = on.watchers.get(&address.1) else { return };
        on.lagging -= 1;
        self.lagging.remove(&address);
        self.synced.insert(&watcher.interest, address);
        self.settle(address.0, revision);
    }

    fn remove(&mut self, address: Address) -> bool {
        let Some(on) = self.streams.get_mut(&address.0) else { return false };
        let Some(watcher) = on.watchers.remove(&address.1) else { return false };
        self.synced.remove(&watcher.interest, address);
        if self.lagging.remove(&address) {
            on.lagging -= 1;
        }
        true
    }

    fn settle(&mut self, stream: StreamId, revision: i64) {
        let Some(on) = self.streams.get_mut(&stream) else { return };
        if on.progress_wanted && on.lagging == 0 {
            on.progress_wanted = false;
            let what = What::Progress;
            self.out.push_back(Delivery { stream, watch: NO_WATCH, revision, what });
        }
    }
}

impl Stream {
    fn choose_id(&mut self, spec: &WatchSpec) -> Result<WatchId, Refusal> {
        if spec.start < 0 {
            return Err(Refusal::NegativeStart);
        }
        if spec.keys.is_empty() {
            return Err(Refusal::EmptyRange);
        }
        if spec.id != 0 {
            let taken = self.watchers.contains_key(&spec.id);
            return if taken { Err(Refusal::DuplicateId) } else { Ok(spec.id) };
        }
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }
}
