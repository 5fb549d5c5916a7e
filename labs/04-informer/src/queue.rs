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
    #[allow(dead_code, reason = "used by your answer")]
    dirty: BTreeSet<T>,
    /// What somebody works on.
    #[allow(dead_code, reason = "used by your answer")]
    processing: BTreeSet<T>,
    /// What is added later: by time, in the order in which it was asked for.
    waiting: BTreeSet<(Duration, u64, T)>,
    /// When each waiting key is due, so that the earliest wish wins.
    due: BTreeMap<T, (Duration, u64)>,
    #[allow(dead_code, reason = "used by your answer")]
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
        let _ = &item;
        todo!("lab 04.6: mark it dirty; queue it unless it is queued or in somebody's hands")
    }

    /// The next key to work on, until `done` is called for it.
    pub fn get(&mut self) -> Option<T> {
        todo!("lab 04.6: hand out the oldest key: it is clean now, and in processing")
    }

    /// The work on a key is over.
    pub fn done(&mut self, item: &T) {
        let _ = &item;
        todo!("lab 04.6: take it out of processing; queue it again if it became dirty meanwhile")
    }

    /// Adds a key after a while. Of several wishes for one key the earliest counts.
    pub fn add_after(&mut self, item: T, delay: Duration, now: Duration) {
        let _ = (&item, &delay, &now);
        todo!("lab 04.7: remember when the key is due, unless it is due earlier already")
    }

    /// Adds what is due at `now`, and says when to call again.
    pub fn poll_due(&mut self, now: Duration) -> Option<Duration> {
        let _ = &now;
        todo!("lab 04.7: add everything that is due, the earliest first")
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
