//! The words of consensus, as the shell hears them. No type of the `raft` crate leaves this crate.

use bytes::Bytes;

/// Never 0.
pub type MemberId = u64;

/// What must be on disk before anything that rests on it is said (Raft paper, figure 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vote {
    pub term: u64,
    /// Who got this member's vote in that term, 0 nobody.
    pub vote: MemberId,
    /// All up to here is known to be committed. May be behind the truth after a crash.
    pub commit: u64,
}

/// One entry of the log. Commands stay bytes: only the store looks into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub index: u64,
    pub term: u64,
    pub kind: EntryKind,
    /// Who proposed it: for applying it once, and answering.
    pub context: Bytes,
    pub data: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A command of the store, or nothing at all: what a new leader begins its term with.
    Normal = 0,
    /// A change of members, in the `raft` crate's encoding.
    Change = 1,
}

/// A member as all members know it; a part of the replicated state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    pub id: MemberId,
    /// Empty until the member has started for the first time.
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    /// Gets the log, has no vote.
    pub learner: bool,
}

/// A change of members, one at a time (Raft thesis, section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A voter, or a learner if its `learner` says so.
    Add(Peer),
    Remove(MemberId),
    /// A learner becomes a voter.
    Promote(MemberId),
    /// A member is reached elsewhere from now on.
    Update {
        id: MemberId,
        peer_urls: Vec<String>,
    },
    /// A member tells its name and where clients find it, each time it starts.
    Publish {
        id: MemberId,
        name: String,
        client_urls: Vec<String>,
    },
}

/// What a snapshot of the store is of, and what consensus itself remembers with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotMeta {
    /// Index and term of the last entry that is in it.
    pub index: u64,
    pub term: u64,
    /// Members and sessions at that index, encoded by this crate: opaque to the shell, which keeps it
    /// beside the store's own bytes.
    pub state: Bytes,
}

/// A message to another member. How it travels is the shell's business; it may be lost, doubled, late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub to: MemberId,
    pub bytes: Bytes,
    /// It stands for a whole snapshot: send it together with the snapshot's file, over a stream of its
    /// own, and tell [`Member::handle_snapshot_sent`](crate::Member::handle_snapshot_sent) how it went.
    pub snapshot: Option<SnapshotMeta>,
}

/// What was asked for, in [`Action::Refuse`](crate::Action::Refuse). Each sort has numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    Proposal(u64),
    Change(u64),
    /// All reads that wait, up to this number.
    Reads(u64),
}

/// A request of this member's clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The shell's own number for it, never used twice until this member is started anew.
    pub number: u64,
    pub command: Bytes,
}

/// A command whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub index: u64,
    /// Its number, if it was proposed here since this member started: somebody waits for the answer.
    pub number: Option<u64>,
    pub command: Bytes,
}

/// Who a member is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    pub term: u64,
    /// 0 when none is known.
    pub leader: MemberId,
    pub role: Role,
    pub commit: u64,
    /// Index of the last entry that was handed out in [`Action::Apply`](crate::Action::Apply).
    pub applied: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    #[default]
    Follower,
    Candidate,
    Leader,
    Learner,
}
