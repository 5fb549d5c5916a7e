//! What makes commands durable and puts them in one order, seen from the loop that owns the store.
//!
//! ```text
//!            Ask::Propose, Read, Snapshot
//!   loop ────────────────────────────────► journal       here: a thread that writes the log
//!    ▲                                        │          chapter 02: consensus among members
//!    └────────────────────────────────────────┘
//!      JournalEvent::Committed, Readable, …
//! ```
//!
//! The loop does not know how many members there are. It applies what is committed, in the order in
//! which it comes, and answers what it has proposed itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::heart::Store;
use crate::heart::snapshot::Snapshot;
use tonic::Status;

/// What the data directory held, and the journal that goes on from there.
pub struct Opened {
    pub store: Store,
    /// Index of the last command in the store.
    pub applied: u64,
    /// As [`JournalEvent::Snapshotted`] has them.
    pub log_bytes: u64,
    pub snapshot_bytes: u64,
    pub journal: Journal,
}

/// Both ends of a journal.
pub struct Journal {
    /// The loop bounds what it has under way, in bytes, so this need not.
    pub asks: Box<dyn Fn(Ask) + Send>,
    pub events: mpsc::Receiver<JournalEvent>,
    pub standing: Arc<Standing>,
}

/// What everyone may look at without asking. Written by the journal alone.
#[derive(Debug, Default)]
pub struct Standing {
    /// There is no other member: what is applied here is the truth, and a read need not ask. Becomes
    /// false before another member can be added.
    pub alone: AtomicBool,
    /// Of consensus; 1 where there is none.
    pub term: AtomicU64,
    /// 0 when none is known.
    pub leader: AtomicU64,
    /// Index of the last command that the loop was given, and of the last entry that had its turn, which may
    /// be none for the loop: a change of members. 0 where only the loop counts. The first is written first.
    pub given: AtomicU64,
    pub turned: AtomicU64,
}

impl Standing {
    /// How far the log is applied, if the loop has applied so many commands.
    pub fn applied(&self, commands: u64) -> u64 {
        let turned = self.turned.load(Ordering::Acquire);
        if commands >= self.given.load(Ordering::Acquire) { commands.max(turned) } else { commands }
    }
}

/// From the loop to the journal. Proposals and reads draw their numbers from one sequence, which
/// begins with 1 and rises: of one kind alone it has gaps.
pub enum Ask {
    /// Each comes back in [`JournalEvent::Committed`] or [`JournalEvent::Refused`].
    Propose(Vec<Proposal>),
    /// Say when reads that came before this ask may be answered: [`JournalEvent::Readable`] with this
    /// number, or a greater one; or [`JournalEvent::Refused`]. The loop asks for one at a time.
    Read(u64),
    /// The store after the command with index [`Snapshot::applied`]: keep it, and let older log go.
    /// Ends in [`JournalEvent::Snapshotted`]. The loop asks for one at a time.
    Snapshot(Snapshot),
    /// End: what the disk has begun is finished first; then the events end.
    Stop,
}

pub struct Proposal {
    pub number: u64,
    pub command: Bytes,
}

/// From the journal to the loop.
pub enum JournalEvent {
    /// On disk (of a majority, where there are several), in order, without a gap.
    Committed {
        entries: Vec<Entry>,
        /// Bytes of log that a snapshot would save.
        log_bytes: u64,
    },
    /// A store that has applied `index` may answer reads asked for with this number or a smaller one.
    Readable { number: u64, index: u64 },
    /// A proposal or a read that will not be done, as far as anyone can tell: what to tell the client.
    Refused { number: u64, why: Status },
    /// This member came to lead, and keeps the leases' time; or it does not lead any more.
    Leading(bool),
    /// Forget the store: this is the one that the leader sent, after the command with index `applied`.
    /// Whatever was proposed and is in it must have been refused before, or be refused soon.
    Restored { store: Box<Store>, applied: u64 },
    /// Ask for a snapshot now: another member needs it.
    SnapshotWanted,
    /// It is safe. So many bytes are on disk for it, and for the log behind it.
    Snapshotted { snapshot_bytes: u64, log_bytes: u64 },
    /// The disk failed, or this member was removed: nothing can be promised any more.
    Failed(anyhow::Error),
}

pub struct Entry {
    pub index: u64,
    /// If it was proposed here, by this process.
    pub number: Option<u64>,
    pub command: Bytes,
}
