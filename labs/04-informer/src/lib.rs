//! # Informers: a copy of the truth, and a list of things to look at
//!
//! A controller must know the state of the world and hear of its changes. Asking again and
//! again is slow and loads the server; only listening loses what happens while the
//! connection is down. The informer does both once: it lists, then watches from the very
//! version that the list had, and keeps a copy that its owner reads for nothing.
//!
//! ```text
//!   API server
//!      | list, watch (bytes)
//!      v
//!    wire          lines, events
//!      v
//!    reflector     what to ask next: list, watch from version v, wait
//!      v
//!    fifo          changes by object, in the order of the first one
//!      v
//!    indexer ----> events for every subscriber: Added, Updated, Deleted
//!      ^                         |
//!      | get, list, by_index     v  key "ns/name"
//!    controller <----------- queue  each key once, never in two hands, with back-off
//! ```
//!
//! The queue holds keys, not changes: a controller looks at the *current* state of a key and
//! brings the world one step nearer to it, so ten changes are one piece of work. That is
//! what "level-triggered" means, and why a lost or repeated event does no lasting harm.
//!
//! ## Reading order
//!
//! [`wire`], [`reflector`] (with [`backoff`]), [`fifo`], [`indexer`], then [`queue`] and
//! [`limit`]; [`correlate`] is how components tell what they did. [`keyed`], [`dynamic`] and
//! [`paths`] are given.
//!
//! ## Invariants
//!
//! 1. A watch starts at the version up to which everything was handed on: nothing is lost
//!    between a list and its watch, or between two watches.
//! 2. Each object's changes are told in order and once. Across a relist, states in between
//!    may be skipped; what is told still fits together and ends at the truth.
//! 3. 410 Gone leads to a list, and to nothing else; every other failure waits, the longer
//!    the more often it happens, up to a bound.
//! 4. An index is right after every single change.
//! 5. A key is in at most one hand; what is added while it is in a hand comes again.
//! 6. No memory without a bound: lines, waits, remembered events. (The cache itself is as
//!    large as what is followed.)
//!
//! ## Calling order
//!
//! The shell asks [`Reflector::poll_step`](reflector::Reflector::poll_step), does it, reports
//! with a `handle_` method, moves what came into the [`DeltaFifo`](fifo::DeltaFifo), pops it
//! into [`Indexer::apply`](indexer::Indexer::apply), and hands the events on.
//!
//! ## What is left out
//!
//! - Resync, which repeats the whole cache to the handlers now and then
//!   (client-go tools/cache/shared_informer.go); our controllers retry by the queue.
//! - Streaming lists (`sendInitialEvents`, KEP-3157) and listing from the server's cache
//!   (`resourceVersion=0`): here every list is consistent (tools/cache/reflector.go).
//! - Leader election (tools/leaderelection): one controller manager runs, restarted by its
//!   guardian.
//! - Merging many similar events into one (tools/record/events_cache.go, `EventAggregator`).

pub mod backoff;
pub mod correlate;
pub mod dynamic;
pub mod fifo;
pub mod indexer;
pub mod keyed;
pub mod limit;
pub mod paths;
pub mod queue;
pub mod reflector;
pub mod wire;
