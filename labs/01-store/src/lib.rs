//! # The store: one truth, and its history
//!
//! Everything that a cluster knows is in one place: which pods should run, where they run, who holds
//! a lock. Many programs read and write it at once, none of them trusts its own memory, and each
//! wants to be told when something changes. So the place must answer three questions: *what is
//! so?*, *has it changed since I looked?* and *what has happened since?*. etcd answers them with
//! one idea: **nothing is overwritten**. Each change gets the next number, its *revision*, and is
//! kept beside what was there before (multi-version concurrency control, MVCC).
//!
//! ```text
//!  revision      2        3        4          5        6
//!             ┌──────┐ ┌──────┐ ┌──────┐ ┌────────┐ ┌──────┐
//!  log        │ a=1  │ │ b=1  │ │ a=2  │ │ del b  │ │ b=7  │      in order: watchers read it
//!             └──┬───┘ └──┬───┘ └──┬───┘ └───┬────┘ └──┬───┘
//!  index  a ─────┴─────────────────┘         │         │          by key: readers search it
//!         b ──────────────┴──────────────────┴─────────┘
//!
//!  get a rev=3 → a=1      compare mod(a)=4, then put a=3      watch b from 5 → del b, b=7
//! ```
//!
//! A read names a revision and sees the past unmoved. A write says "only if this key's last change
//! is still number 4" and so never undoes what it has not seen. A watch names where it stopped and
//! is given the rest. Kubernetes rests on this: `resourceVersion` is the revision, a conflict is
//! a compare that failed, an informer is a list at a revision and a watch from the next.
//!
//! ## Where things are
//!
//! | step | what you write | file |
//! |---|---|---|
//! | 1 | revisions and ranges | [`history`], [`range`], [`store`], [`types`] |
//! | 2 | tombstones and compaction | [`history`], [`store`] |
//! | 3 | transactions | [`txn`] |
//! | 4 | watching what comes | [`watch`], `interest` |
//! | 5 | history and slow watchers | [`watch`] |
//! | 6 | leases | [`lease`], [`command`] |
//! | 7 | the write-ahead log | [`wal`] |
//!
//! [`Store::apply`] is the one way to change a store, and [`Command`] all that it understands. The
//! shell (chapters/01-store) writes commands to disk, applies them, and answers; chapter 02 puts
//! consensus between, and nothing here changes for that.
//!
//! ## Invariants
//!
//! 1. The same commands in the same order make the same store and the same answers, errors too:
//!    no clock, no randomness, no file.
//! 2. A command that changes something takes exactly one main revision; one that fails or finds
//!    nothing to change takes none.
//! 3. A record is never changed. It is kept as long as a read at or after the compacted revision
//!    can find it, and every change from that revision on is in the log.
//! 4. A key's generation begins with version 1 and ends with a tombstone; within it the versions
//!    count up by one and the create revision stays.
//! 5. All compares of a transaction look at the store before it; its operations see one another.
//! 6. A watcher is given exactly the changes that it wants, in order, once, whole revisions at a
//!    time, until it is cancelled or told that the history it needs is compacted.
//! 7. What waits for a slow watcher is bounded by its stream's window, however much happens.
//! 8. A key hangs on one lease at most, the one that its last put named.
//! 9. Reading a log gives back every batch that was waited for, and of the one that was not either
//!    all or nothing. What cannot be explained by a crash is [`wal::Damage`], never skipped.
//!
//! ## What is left out
//!
//! etcd keeps only the index in memory and values in a B+tree file (bbolt); here values are in
//! memory too, once, and snapshots carry them to disk. So a start reads everything (a second or so for
//! a million keys), and the data must fit. etcd compacts in portions, a thousand keys at a time; here
//! it is one walk, a third of a second for two million changes, in which nothing else happens. Who
//! decides that there is no more space, how long a lease lasts by the clock, and who is asking, are
//! questions for the shell; what follows for all members (alarms, checkpoints, users and roles) is
//! here. To read on: `server/storage/mvcc` in etcd, `key_index.go` first (generations),
//! then `kvstore_txn.go`, `watchable_store.go`; `server/lease/lessor.go`; `server/storage/wal`.
//! Reed's thesis (1978) for the idea of versions; Chubby (OSDI 2006) for why a lock service wants
//! to be a small file system with events.

pub mod alarm;
pub mod auth;
pub mod codec;
pub mod command;
pub mod crc;
mod encoding;
pub mod error;
pub mod history;
mod interest;
pub mod lease;
pub mod log;
pub mod range;
pub mod snapshot;
pub mod store;
pub mod txn;
pub mod types;
pub mod wal;
pub mod watch;

pub use command::{Answer, Applied, Command};
pub use error::Error;
pub use store::Store;
