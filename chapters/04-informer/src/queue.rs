//! The work queue for tasks: the core's queue behind a lock, with a clock and a bell.

use crate::heart;
use heart::limit::{RateLimiter, TokenBucket};
use heart::queue::Queue;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long keys wait that failed.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// The wait after a key's first failure; it doubles with each further one.
    pub first: Duration,
    pub longest: Duration,
    /// Turns a second for all keys together, and how many at once.
    pub bucket: Option<(f64, u32)>,
}

impl RateLimit {
    /// client-go's: 5 ms to 1000 s a key, and ten turns a second, a hundred at once.
    pub fn default_controller() -> RateLimit {
        RateLimit {
            first: Duration::from_millis(5),
            longest: Duration::from_secs(1000),
            bucket: Some((10.0, 100)),
        }
    }
}

/// Keys that need work: each at most once, never in two hands at a time. Clones are the
/// same queue.
pub struct WorkQueue<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    state: Mutex<State<T>>,
    /// Rings when there may be something for somebody who waits in `get`.
    bell: Notify,
    start: Instant,
}

struct State<T> {
    queue: Queue<T>,
    limiter: RateLimiter<T>,
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> WorkQueue<T> {
        WorkQueue { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for WorkQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue").finish_non_exhaustive()
    }
}

impl<T: Ord + Clone> WorkQueue<T> {
    pub fn new(limit: RateLimit) -> WorkQueue<T> {
        let bucket = limit.bucket.map(|(per_second, burst)| TokenBucket::new(per_second, burst));
        let limiter = RateLimiter::new(limit.first, limit.longest, bucket);
        let state = Mutex::new(State { queue: Queue::default(), limiter });
        WorkQueue { inner: Arc::new(Inner { state, bell: Notify::new(), start: Instant::now() }) }
    }

    /// Asks for a key to be worked on, now or after the work that is under way on it.
    pub fn add(&self, item: T) {
        self.state().queue.add(item);
        self.inner.bell.notify_waiters();
    }

    /// Asks for it later. Of several wishes the earliest counts.
    pub fn add_after(&self, item: T, delay: Duration) {
        let now = self.now();
        self.state().queue.add_after(item, delay, now);
        self.inner.bell.notify_waiters();
    }

    /// Asks for it again after a failure: the wait doubles each time until `forget`.
    pub fn add_rate_limited(&self, item: T) {
        let now = self.now();
        let mut state = self.state();
        let delay = state.limiter.when(item.clone(), now);
        state.queue.add_after(item, delay, now);
        drop(state);
        self.inner.bell.notify_waiters();
    }

    /// The key is well again: its next failure is its first.
    pub fn forget(&self, item: &T) {
        self.state().limiter.forget(item);
    }

    /// How often it failed since it was last forgotten.
    pub fn retries(&self, item: &T) -> u32 {
        self.state().limiter.retries(item)
    }

    /// The next key, when there is one; `None` once the queue is shut down and empty.
    /// Every key that was got needs a `done`. May be dropped while it waits.
    pub async fn get(&self) -> Option<T> {
        loop {
            // Listening starts before looking, so that no ring is missed in between.
            let mut bell = std::pin::pin!(self.inner.bell.notified());
            bell.as_mut().enable();
            let due = {
                let mut state = self.state();
                let due = state.queue.poll_due(self.now());
                match state.queue.get() {
                    Some(item) => return Some(item),
                    None if state.queue.is_shut_down() => return None,
                    None => due,
                }
            };
            match due {
                Some(due) => {
                    // An error is the time being over: time to look again.
                    let _ = tokio::time::timeout_at(self.inner.start + due, bell).await;
                }
                None => bell.await,
            }
        }
    }

    /// The work on a key that `get` gave is over.
    pub fn done(&self, item: &T) {
        self.state().queue.done(item);
        self.inner.bell.notify_waiters();
    }

    /// How many keys wait for a hand.
    pub fn len(&self) -> usize {
        self.state().queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes no more keys; `get` gives out what is left, then `None`.
    pub fn shut_down(&self) {
        self.state().queue.shut_down();
        self.inner.bell.notify_waiters();
    }

    fn now(&self) -> Duration {
        self.inner.start.elapsed()
    }

    /// Nothing can panic while it holds the lock and leave the queue half changed.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
