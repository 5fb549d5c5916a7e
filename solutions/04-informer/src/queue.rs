//! The work queue (client-go's util/workqueue): keys that need attention, each at most once,
//! and never in two hands at the same time.
//!
//! ```text
//!   add(k) ----> dirty, queued --get--> processing --done--> (gone)
//!                  ^                       |
//!                  +---- added meanwhile --+   queued again only at done(k)
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The queue's state. Times are durations since any fixed start.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    /// What `get` hands out, oldest first.
    ready: VecDeque<T>,
    /// What needs work: everything in `ready`, and what was added while it was processed.
    // lab:given
    dirty: BTreeSet<T>,
    /// What somebody works on.
    // lab:given
    processing: BTreeSet<T>,
    /// What is added later: by time, in the order in which it was asked for.
    waiting: BTreeSet<(Duration, u64, T)>,
    /// When each waiting key is due, so that the earliest wish wins.
    due: BTreeMap<T, (Duration, u64)>,
    // lab:given
    wishes: u64,
    closed: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue {
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            processing: BTreeSet::new(),
            waiting: BTreeSet::new(),
            due: BTreeMap::new(),
            wishes: 0,
            closed: false,
        }
    }
}

impl<T: Ord + Clone> Queue<T> {
    /// Says that a key needs work. A key that waits already is not added again; one that is
    /// being worked on comes back after `done`, because the work may have missed the news.
    pub fn add(&mut self, item: T) {
        // lab:begin 04.6 mark it dirty; queue it unless it is queued or in somebody's hands
        if self.closed || !self.dirty.insert(item.clone()) {
            return;
        }
        if !self.processing.contains(&item) {
            self.ready.push_back(item);
        }
        // lab:end
    }

    /// The next key to work on, until `done` is called for it.
    pub fn get(&mut self) -> Option<T> {
        // lab:begin 04.6 hand out the oldest key: it is clean now, and in processing
        let item = self.ready.pop_front()?;
        // Now, not when the work is done: what comes in between must make it dirty again.
        self.dirty.remove(&item);
        let only_here = self.processing.insert(item.clone());
        assert!(only_here, "a key is in one hand at most");
        Some(item)
        // lab:end
    }

    /// The work on a key is over.
    pub fn done(&mut self, item: &T) {
        // lab:begin 04.6 take it out of processing; queue it again if it became dirty meanwhile
        let was_in_hand = self.processing.remove(item);
        let has_news = self.dirty.contains(item);
        if was_in_hand && has_news {
            self.ready.push_back(item.clone());
        }
        // lab:end
    }

    /// Adds a key after a while. Of several wishes for one key the earliest counts.
    pub fn add_after(&mut self, item: T, delay: Duration, now: Duration) {
        // lab:begin 04.7 remember when the key is due, unless it is due earlier already
        if self.closed {
            return;
        }
        if delay.is_zero() {
            self.add(item);
            return;
        }
        let due = now + delay;
        if let Some((earlier, wish)) = self.due.get(&item).copied() {
            if earlier <= due {
                return;
            }
            self.waiting.remove(&(earlier, wish, item.clone()));
        }
        self.wishes += 1;
        self.due.insert(item.clone(), (due, self.wishes));
        self.waiting.insert((due, self.wishes, item));
        // lab:end
    }

    /// Adds what is due at `now`, and says when to call again.
    pub fn poll_due(&mut self, now: Duration) -> Option<Duration> {
        // lab:begin 04.7 add everything that is due, the earliest first
        while let Some((due, _, item)) = self.waiting.first().cloned() {
            if due > now {
                return Some(due);
            }
            self.waiting.pop_first();
            self.due.remove(&item);
            self.add(item);
        }
        None
        // lab:end
    }

    /// Takes no more keys; what is queued is still handed out, what waits for its time is
    /// forgotten.
    pub fn shut_down(&mut self) {
        self.closed = true;
        self.waiting.clear();
        self.due.clear();
    }

    pub fn is_shut_down(&self) -> bool {
        self.closed
    }

    /// How many keys `get` can hand out now.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}
