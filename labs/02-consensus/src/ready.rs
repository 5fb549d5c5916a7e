//! The ready loop: what to do, in the one order in which nothing is said before it is true.
//!
//! ```text
//!   ready ──▶ Send      a leader's messages: they claim nothing of its own disk
//!             Apply     what a majority has on disk, this member included
//!             Readable  reads that have waited for these
//!             Persist   new entries, a vote, a term, a snapshot ──▶ disk ──▶ handle_persisted
//!                                                                               │
//!             Send      a follower's answers and votes: they rest on it  ◀──────┘
//!             Restore   a snapshot, now that it is on disk
//! ```
//!
//! A vote that is sent and then forgotten in a crash is given twice, and two leaders are elected. An entry
//! that is acknowledged and then forgotten was counted in a majority that is none. So what a follower says
//! waits for its disk. A leader may speak at once (Raft thesis, section 10.2.1): it counts itself only when
//! its own disk has the entry.

use raft::Ready;
use raft::eraftpb::Message as Raw;

use crate::member::{Action, Member, Persist};
use crate::storage;
use crate::types::{LogEntry, SnapshotMeta, Standing, Vote};
use crate::wire;

/// What waits for the disk.
#[derive(Debug)]
pub(crate) struct Unwritten {
    number: u64,
    /// The `raft` crate's number for it. The first write of a cluster has none.
    #[allow(dead_code, reason = "used by your answer")]
    ready: Option<u64>,
    #[allow(dead_code, reason = "used by your answer")]
    messages: Vec<Raw>,
    #[allow(dead_code, reason = "used by your answer")]
    snapshot: Option<SnapshotMeta>,
}

impl Unwritten {
    pub(crate) fn first() -> Self {
        Unwritten { number: 0, ready: None, messages: Vec::new(), snapshot: None }
    }
}

impl Member {
    /// What is to be done now. After [`Action::Persist`] nothing comes until it is persisted.
    pub fn poll_actions(&mut self) -> Vec<Action> {
        let mut out = std::mem::take(&mut self.out);
        while self.unwritten.is_none() && self.node.has_ready() {
            let ready = self.node.ready();
            self.tell_standing(&mut out);
            self.turn(ready, &mut out);
            self.settle();
            // A round of reads may have ended, and those who came meanwhile want the next.
            self.read(self.read_retry());
        }
        if self.node.store().snapshot_wanted.take() && !self.snapshot_asked {
            self.snapshot_asked = true;
            out.insert(0, Action::WantSnapshot);
        }
        out
    }

    /// One round of the loop.
    fn turn(&mut self, ready: Ready, out: &mut Vec<Action>) {
        let _ = (&ready, &out);
        todo!(
            "lab 02.2: in the picture's order: send, apply, tell who may read, keep and persist, and only what waited for the disk may be left; a term that is new to the disk makes a leader's messages wait as well"
        )
    }

    /// The disk has what [`Persist`] of this number held.
    pub fn handle_persisted(&mut self, number: u64) {
        let Some(written) = self.unwritten.take_if(|unwritten| unwritten.number == number) else { return };
        let _ = &written;
        todo!(
            "lab 02.2: the `raft` crate may count on it, if it gave it; what has waited is sent, and a snapshot takes the place of all"
        )
    }

    /// What is new goes into the log in memory, where the `raft` crate wants to find it. The commit index
    /// goes to disk with the entries: a member that has a change of members in its log must not forget that
    /// the one before is committed, or it would count an old majority.
    #[allow(dead_code, reason = "used by your answer")]
    fn keep(&mut self, ready: &mut Ready) -> Persist {
        let number = ready.number();
        let snapshot = (!ready.snapshot().is_empty()).then(|| storage::snapshot_meta(ready.snapshot()));
        let entries: Vec<LogEntry> = ready.take_entries().into_iter().map(LogEntry::from).collect();
        let vote = self.vote();
        let log = self.node.mut_store();
        if let Some(meta) = &snapshot {
            log.restore(meta.clone());
        }
        log.append(&entries);
        log.set_vote(vote);
        Persist { number, vote: Some(vote), snapshot, entries }
    }

    /// The only voter leads without asking anybody, in a term that its disk does not know yet. If it
    /// forgot that it did, it would lead twice in one term.
    #[allow(dead_code, reason = "used by your answer")]
    fn is_new_term(&self) -> bool {
        self.node.raft.term != self.node.store().vote().term
    }

    #[allow(dead_code, reason = "used by your answer")]
    fn vote(&self) -> Vote {
        let hard = self.node.raft.hard_state();
        Vote { term: hard.term, vote: hard.vote, commit: hard.commit }
    }

    fn tell_standing(&mut self, out: &mut Vec<Action>) {
        let now = self.standing();
        let key = |s: &Standing| (s.term, s.leader, s.role);
        if key(&now) != key(&self.told) {
            self.told = now;
            out.push(Action::Standing(now));
        }
    }
}

#[allow(dead_code, reason = "used by your answer")]
fn send(messages: Vec<Raw>, out: &mut Vec<Action>) {
    if !messages.is_empty() {
        out.push(Action::Send(messages.iter().map(wire::encode).collect()));
    }
}
