//! Time that passes only when something happens.

use std::collections::BTreeMap;

/// What will happen, by when. What is due at the same time comes in the order in which it was put.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<(u64, u64), T>,
    put: u64,
    now_us: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { waiting: BTreeMap::new(), put: 0, now_us: 0 }
    }
}

impl<T> Queue<T> {
    /// Microseconds since the world began.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// What should have happened already happens now.
    pub fn put(&mut self, at_us: u64, what: T) {
        self.waiting.insert((at_us.max(self.now_us), self.put), what);
        self.put += 1;
    }

    /// The next thing; the clock moves there.
    pub fn take(&mut self) -> Option<T> {
        let ((at_us, _), what) = self.waiting.pop_first()?;
        self.now_us = at_us;
        Some(what)
    }
}
