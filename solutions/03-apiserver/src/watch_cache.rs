//! The watch cache: the newest state of one kind, and a ring of the last changes, from which any
//! number of watchers are served without asking the store
//! (upstream: `apiserver/pkg/storage/cacher`).
//!
//! ```text
//!   store ──changes──► objects (key → newest state)
//!                      ring   [ e₁ e₂ e₃ … eₙ ]   bounded; what falls out moves `oldest` up
//!                               ▲     ▲
//!                        cursor A     cursor B    a watcher is a revision and an interest
//! ```
//! A watcher has no queue of its own: the ring is the queue of all of them. One that is too slow
//! finds its place fallen out of the ring, gets 410 Expired, and lists anew.

use crate::selection::Selection;
use crate::status::ApiError;
use crate::stored::Stored;
use crate::tables::Include;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque, vec_deque};
use std::sync::{Arc, Mutex, OnceLock};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Added => "ADDED",
            EventType::Modified => "MODIFIED",
            EventType::Deleted => "DELETED",
        }
    }
}

/// One change as it came from the store.
#[derive(Debug, Clone)]
pub struct Change {
    pub key: String,
    pub revision: i64,
    /// The new state; none when the key was deleted.
    pub object: Option<Arc<Stored>>,
}

/// One remembered change. What is encoded for the first watcher is shared with all others.
#[derive(Debug)]
pub struct CacheEvent {
    pub revision: i64,
    pub key: String,
    pub object: Option<Arc<Stored>>,
    pub previous: Option<Arc<Stored>>,
    gone: OnceLock<Arc<Stored>>,
    lines: Lines,
}

/// What watchers were told of a change, by what they are shown: the object, or its metadata alone.
#[derive(Debug, Default)]
pub struct Lines {
    objects: [OnceLock<Bytes>; 3],
    partial: [OnceLock<Bytes>; 3],
    /// A row of a Table says how old the object is: it is good for the second in which it was made.
    row: Mutex<Option<(Row, Bytes)>>,
}

/// Which row of a Table, made at which second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub second: i64,
    pub kind: EventType,
    pub include: Include,
    pub columns: bool,
}

impl CacheEvent {
    /// The state that a watcher is shown: the new one, or for a deletion the last one under the
    /// deletion's revision.
    pub fn shown(&self, kind: EventType) -> Option<&Arc<Stored>> {
        match kind {
            EventType::Deleted => {
                let previous = self.previous.as_ref()?;
                Some(self.gone.get_or_init(|| Arc::new(previous.at_revision(self.revision))))
            }
            _ => self.object.as_ref(),
        }
    }

    /// `{"type":…,"object":…}` and a newline, encoded once.
    pub fn line(&self, kind: EventType) -> Bytes {
        let line = || self.shown(kind).map(|object| line(kind.as_str(), &object.json)).unwrap_or_default();
        self.lines.objects[kind as usize].get_or_init(line).clone()
    }

    /// The line with the metadata alone, made by `make` for the first who wants it.
    pub fn partial_line(&self, kind: EventType, make: impl FnOnce() -> Bytes) -> Bytes {
        self.lines.partial[kind as usize].get_or_init(make).clone()
    }

    /// The line with a row of a Table: all watchers that are told within a second share it.
    pub fn row_line(&self, row: Row, make: impl FnOnce() -> Bytes) -> Bytes {
        // Whoever panicked while making a line left none behind.
        let mut kept = self.lines.row.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*kept {
            Some((which, line)) if *which == row => line.clone(),
            _ => kept.insert((row, make())).1.clone(),
        }
    }
}

/// One line of a watch.
pub fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(object.len() + 32);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
    Bytes::from(out)
}

/// What a watcher wants to hear about.
#[derive(Debug, Clone)]
pub struct Interest {
    /// The key prefix of its collection.
    pub prefix: String,
    pub selection: Selection,
}

impl Interest {
    pub fn wants(&self, object: &Stored) -> bool {
        object.key.starts_with(&self.prefix) && self.selection.matches(&object.labels, &object.fields)
    }

    /// How this watcher sees a change. An object that begins to match is ADDED for it, and one
    /// that stops matching is DELETED, whatever happened in the store.
    pub fn sees(&self, event: &CacheEvent) -> Option<EventType> {
        // lab:begin 03.6 what this watcher could see of it before, and what it can see now
        let before = event.previous.as_ref().is_some_and(|o| self.wants(o));
        let after = event.object.as_ref().is_some_and(|o| self.wants(o));
        match (before, after) {
            (false, true) => Some(EventType::Added),
            (true, true) => Some(EventType::Modified),
            (true, false) => Some(EventType::Deleted),
            (false, false) => None,
        }
        // lab:end
    }
}

/// The cache of one stored kind.
#[derive(Debug)]
pub struct WatchCache {
    objects: BTreeMap<String, Arc<Stored>>,
    ring: VecDeque<Arc<CacheEvent>>,
    /// The most events that are remembered.
    // lab:given
    capacity: usize,
    /// Everything up to this revision is in `objects`.
    revision: i64,
    /// A watch may start at this revision or later.
    // lab:given
    oldest: i64,
}

impl WatchCache {
    pub fn new(capacity: usize) -> WatchCache {
        WatchCache { objects: BTreeMap::new(), ring: VecDeque::new(), capacity, revision: 0, oldest: 0 }
    }

    /// Start again from a list read at `revision`. What happened before is not known any more.
    pub fn replace(&mut self, revision: i64, objects: Vec<Arc<Stored>>) {
        self.objects = objects.into_iter().map(|o| (o.key.clone(), o)).collect();
        self.ring.clear();
        self.revision = revision;
        self.oldest = revision;
    }

    /// Take in changes, all those of one revision together, in the store's order. A change that
    /// was seen before (a watch that restarts may repeat) changes nothing, and the deletion of a key
    /// that is not there is no event.
    pub fn apply(&mut self, changes: Vec<Change>) {
        // lab:begin 03.6 update the state, remember the event with what was there before, forget the eldest and how far back the ring reaches
        let seen = self.revision;
        for change in changes.into_iter().filter(|c| c.revision > seen) {
            let previous = match &change.object {
                Some(object) => self.objects.insert(change.key.clone(), object.clone()),
                None => self.objects.remove(&change.key),
            };
            self.revision = self.revision.max(change.revision);
            if previous.is_none() && change.object.is_none() {
                continue;
            }
            self.ring.push_back(Arc::new(CacheEvent {
                revision: change.revision,
                key: change.key,
                object: change.object,
                previous,
                gone: OnceLock::new(),
                lines: Default::default(),
            }));
            while self.ring.len() > self.capacity {
                if let Some(event) = self.ring.pop_front() {
                    self.oldest = event.revision;
                }
            }
        }
        // lab:end
    }

    /// The store is at `revision` and nothing of this kind changed on the way.
    pub fn progress(&mut self, revision: i64) {
        self.revision = self.revision.max(revision);
    }

    pub fn revision(&self) -> i64 {
        self.revision
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// The objects whose keys begin with `prefix`, in key order.
    pub fn list(&self, prefix: &str) -> impl Iterator<Item = &Arc<Stored>> {
        let start = prefix.to_string();
        self.objects.range(start.clone()..).take_while(move |(k, _)| k.starts_with(&start)).map(|(_, o)| o)
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Everything that happened after `revision`, oldest first, or 410 when that is not known.
    pub fn since(&self, revision: i64) -> Result<vec_deque::Iter<'_, Arc<CacheEvent>>, ApiError> {
        // lab:begin 03.6 is the whole way from there to now still in the ring?
        if revision < self.oldest {
            return Err(ApiError::too_old(revision, self.oldest));
        }
        let start = self.ring.partition_point(|event| event.revision <= revision);
        Ok(self.ring.range(start..))
        // lab:end
    }
}

/// A watcher's place in the stream.
#[derive(Debug, Clone)]
pub struct Cursor {
    pub interest: Interest,
    /// Everything up to here was delivered, or was not of interest.
    pub revision: i64,
}

impl Cursor {
    /// What to deliver next, at most about `limit` events (the events of one revision are never
    /// separated). Moves on past what is returned.
    pub fn poll(
        &mut self,
        cache: &WatchCache,
        limit: usize,
    ) -> Result<Vec<(EventType, Arc<CacheEvent>)>, ApiError> {
        // lab:begin 03.6 walk from here to now; stop between two revisions when there is enough
        let mut out = Vec::new();
        let mut reached = self.revision;
        for event in cache.since(self.revision)? {
            if out.len() >= limit && event.revision > reached {
                self.revision = reached;
                return Ok(out);
            }
            reached = event.revision;
            if let Some(kind) = self.interest.sees(event) {
                out.push((kind, event.clone()));
            }
        }
        self.revision = reached.max(cache.revision());
        Ok(out)
        // lab:end
    }
}
