//! The reflector: keeps a copy of what the API server holds, by one list and then one watch
//! that never ends (client-go's tools/cache/reflector.go). This is its mind; the shell has
//! its hands.
//!
//! ```text
//!             last page                    event: remember its version
//!   Listing ------------> Watching(from) <--------+
//!      ^   \                 |   |   \____________|
//!      |    \ failed         |   | ended: watch again from the last version
//!      |     v               |   v
//!      |   Waiting <---------+  (a watch that died at once also waits)
//!      |     | time            failed
//!      +-----+------- 410 Gone: the version is too old, list again
//! ```

use crate::fifo::Delta;
use crate::keyed::Keyed;
use crate::wire::WatchEvent;
use std::sync::Arc;
use std::time::Duration;

/// How many objects one page of a list holds.
pub const PAGE: u32 = 500;
/// A watch that ends sooner than this and told nothing is a failure in disguise.
pub const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// What the shell does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// List one page, then call [`Reflector::handle_page`] or [`Reflector::handle_failure`].
    List { limit: Option<u32>, continue_: Option<String> },
    /// Watch from this version: [`Reflector::handle_opened`], then
    /// [`Reflector::handle_event`] for each event and [`Reflector::handle_failure`] at its end.
    Watch { resource_version: String },
    /// Ask again at this time.
    Wait { until: Duration },
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<K> {
    pub items: Vec<K>,
    pub resource_version: String,
    pub continue_: Option<String>,
}

/// Why a list or a watch is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The watch ended as every watch does: its time was over, or the connection broke.
    Ended,
    /// Nobody answers at the address.
    Unreachable,
    /// 410: the version or the continue token is older than the server remembers.
    Gone,
    /// The server answered with another error.
    Refused,
    /// What came cannot be read.
    Undecodable,
}

/// What the reflector is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Next: `handle_page`, until a page has no continue token; then `Watching`.
    Listing { continue_: Option<String> },
    /// Next: `handle_opened`, `handle_event`; `handle_failure` ends it.
    Watching { opened: Option<Duration>, told: bool },
    /// Next: time passes; then `Watching` if a version is known, else `Listing`.
    Waiting { until: Duration },
}

/// The state of one reflection. Times are durations since any fixed start.
///
/// Call [`poll_step`](Reflector::poll_step), do what it says, report what came of it, and
/// call it again.
#[derive(Debug)]
pub struct Reflector<K> {
    state: State,
    /// The pages of a list that is under way.
    // lab:given
    pages: Vec<Arc<K>>,
    /// Everything up to here has been handed on. `None`: only a list can help.
    version: Option<String>,
    /// The server lost a continue token: the next list comes in one piece.
    // lab:given
    unpaged: bool,
    /// Whether a list ever succeeded. Until then every failure is "not there yet".
    // lab:given
    listed: bool,
    failures: u32,
}

impl<K> Default for Reflector<K> {
    fn default() -> Reflector<K> {
        Reflector {
            state: State::Listing { continue_: None },
            pages: Vec::new(),
            version: None,
            unpaged: false,
            listed: false,
            failures: 0,
        }
    }
}

impl<K: Keyed> Reflector<K> {
    /// What to do at `now`.
    pub fn poll_step(&mut self, now: Duration) -> Step {
        // lab:begin 04.2 leave Waiting when its time has come, then say what the state asks for
        if matches!(self.state, State::Waiting { until } if until <= now) {
            self.state = match self.version {
                Some(_) => State::Watching { opened: None, told: false },
                None => State::Listing { continue_: None },
            };
        }
        match (&self.state, &self.version) {
            (State::Waiting { until }, _) => Step::Wait { until: *until },
            (State::Watching { .. }, Some(version)) => Step::Watch { resource_version: version.clone() },
            (State::Listing { continue_ }, _) => {
                Step::List { limit: (!self.unpaged).then_some(PAGE), continue_: continue_.clone() }
            }
            (State::Watching { .. }, None) => unreachable!("a watch starts at a version"),
        }
        // lab:end
    }

    /// Takes a page in. The last one returns the whole list, for the queue's `replace`.
    pub fn handle_page(&mut self, page: Page<K>) -> Option<Vec<Arc<K>>> {
        // lab:begin 04.2 gather pages; after the last one, watch from the list's version
        self.pages.extend(page.items.into_iter().map(Arc::new));
        match page.continue_.filter(|token| !token.is_empty()) {
            Some(token) => {
                self.state = State::Listing { continue_: Some(token) };
                None
            }
            None => {
                self.version = Some(page.resource_version);
                self.state = State::Watching { opened: None, told: false };
                self.unpaged = false;
                self.listed = true;
                self.failures = 0;
                Some(std::mem::take(&mut self.pages))
            }
        }
        // lab:end
    }

    /// The server accepted the watch.
    pub fn handle_opened(&mut self, now: Duration) {
        self.state = State::Watching { opened: Some(now), told: false };
    }

    /// Takes an event in: what it means for the queue, or the failure that it carries, to
    /// be reported with [`handle_failure`](Reflector::handle_failure) in its turn.
    pub fn handle_event(&mut self, event: WatchEvent<K>) -> Result<Option<Delta<K>>, Failure> {
        // lab:begin 04.2 remember the version of everything that is handed on
        let (version, delta) = match event {
            WatchEvent::Added(object) => {
                (object.resource_version().to_owned(), Some(Delta::Added(Arc::new(object))))
            }
            WatchEvent::Modified(object) => {
                (object.resource_version().to_owned(), Some(Delta::Updated(Arc::new(object))))
            }
            WatchEvent::Deleted(object) => {
                (object.resource_version().to_owned(), Some(Delta::Deleted(Arc::new(object))))
            }
            WatchEvent::Bookmark { resource_version, .. } => (resource_version, None),
            WatchEvent::Error(status) if status.code == Some(410) => return Err(Failure::Gone),
            WatchEvent::Error(_) => return Err(Failure::Refused),
        };
        if !version.is_empty() {
            self.version = Some(version);
        }
        self.failures = 0;
        if let State::Watching { told, .. } = &mut self.state {
            *told = true;
        }
        Ok(delta)
        // lab:end
    }

    /// The list or the watch under way is over. `jitter` is a random number from 0 to 1.
    pub fn handle_failure(&mut self, failure: Failure, now: Duration, jitter: f64) {
        // lab:begin 04.2 decide whether to go on at once or to wait, and from which version
        use crate::backoff::Backoff;
        let listing = matches!(self.state, State::Listing { .. });
        let had_token = matches!(self.state, State::Listing { continue_: Some(_) });
        let at_once = match (failure, &self.state) {
            // The version is useless. A list that is too old itself must not spin.
            (Failure::Gone, _) => {
                self.version = None;
                self.unpaged = listing;
                !listing || had_token
            }
            // The same event would come again; a list may show a newer state.
            (Failure::Undecodable, _) => {
                self.version = None;
                false
            }
            (Failure::Ended, State::Watching { opened: Some(opened), told }) => {
                *told || now.saturating_sub(*opened) >= SHORTEST_WATCH
            }
            _ => false,
        };
        self.pages.clear();
        if at_once {
            self.state = State::Waiting { until: now };
            return;
        }
        let quick = !self.listed || matches!(failure, Failure::Unreachable | Failure::Ended);
        let backoff = if quick { Backoff::UNREACHABLE } else { Backoff::REFUSED };
        let until = now + backoff.delay(self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting { until };
        // lab:end
    }

    /// The version up to which everything has been handed on.
    pub fn resource_version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// How many times in a row it went wrong.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// How long one watch lasts before the server ends it: 5 to 10 minutes, so that watches
/// which began together do not all return together.
pub fn watch_timeout_s(jitter: f64) -> u32 {
    300 + (jitter.clamp(0.0, 1.0) * 300.0) as u32
}
