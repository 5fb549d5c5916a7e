//! The log: what consensus agrees on, entry by entry, and the end of it that is not agreed on yet.
//!
//! ```text
//!            before         snapshot            applied   committed      last
//!   index      3  │  4  5     6     7  8  9  10    11        12      13  14
//!   term       1  │  1  1     2     2  2  2   2     3         3       3   3
//!             gone│  kept for    │  behind the snapshot: needed to     │ may still
//!                 │  followers   │  start again                        │ be replaced
//! ```
//!
//! All of it is in memory. The shell has it on disk too, as a history of what was appended; the rule that
//! makes a log of that history is [`Log::append`]'s.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::types::{LogEntry, SnapshotMeta, Vote};

/// Most bytes that are kept behind a snapshot, however many entries they are.
pub const MAX_KEPT_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Index and term of the entry in front of the first one here. Its term is asked for when the first
    /// one is sent to a follower.
    before: (u64, u64),
    entries: VecDeque<LogEntry>,
    snapshot: SnapshotMeta,
    vote: Vote,
    pub(crate) snapshot_wanted: Cell<bool>,
}

/// Why an entry is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It was, and is in the snapshot now.
    Compacted,
    /// Nobody has appended it.
    Unavailable,
}

impl Log {
    /// A log that begins behind a snapshot, or with entry 1 if that is of nothing.
    pub fn new(snapshot: SnapshotMeta, vote: Vote) -> Self {
        let before = (snapshot.index, snapshot.term);
        Log { before, snapshot, vote, ..Log::default() }
    }

    /// Of the first entry that is here, or would be.
    pub fn first_index(&self) -> u64 {
        self.before.0 + 1
    }

    /// Of the last entry that is here, or of the one in front.
    pub fn last_index(&self) -> u64 {
        self.before.0 + self.entries.len() as u64
    }

    pub fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    pub fn vote(&self) -> Vote {
        self.vote
    }

    pub fn set_vote(&mut self, vote: Vote) {
        self.vote = vote;
    }

    /// Term of an entry that is here, or of the one in front of the first.
    pub fn term(&self, index: u64) -> Result<u64, Missing> {
        let _ = &index;
        todo!(
            "lab 02.1: the entry in front is kept as its index and term; what is older is compacted, what is younger than the last entry unavailable"
        )
    }

    /// Entries from `low` to before `high`, cut where their sizes ([`LogEntry::size`]) would add up to more
    /// than `max_bytes`; but not before there is one.
    pub fn slice(&self, low: u64, high: u64, max_bytes: u64) -> Result<Vec<LogEntry>, Missing> {
        let _ = (&low, &high, &max_bytes);
        todo!("lab 02.1: refuse what is not here; then clone entries while they fit, the first one always")
    }

    /// Appends entries, which follow one another. They may begin within the log: then a leader says that
    /// its end, from their first index on, never was.
    pub fn append(&mut self, entries: &[LogEntry]) {
        let _ = &entries;
        todo!(
            "lab 02.1: nothing behind the new entries' first index is true any more; neither below the first entry nor behind a gap may one be put"
        )
    }

    /// A snapshot was made of what is applied: entries in it may go, all but the last `keep` and
    /// [`MAX_KEPT_BYTES`], so that a follower who is a little behind needs no snapshot.
    pub fn compact(&mut self, snapshot: SnapshotMeta, keep: u64) {
        if snapshot.index <= self.snapshot.index {
            return;
        }
        let _ = &keep;
        todo!(
            "lab 02.5: of the entries in the snapshot count, from the youngest back, how many are kept; drop those before them and remember the last one that went; the snapshot is the new one"
        )
    }

    /// The leader's snapshot takes the place of everything.
    pub fn restore(&mut self, snapshot: SnapshotMeta) {
        self.entries.clear();
        self.before = (snapshot.index, snapshot.term);
        self.snapshot = snapshot;
    }
}

impl LogEntry {
    /// About how many bytes it takes in a message.
    pub fn size(&self) -> usize {
        self.data.len() + self.context.len() + 24
    }
}
