//! One member: what comes in, and what must be done, in which order.

use bytes::Bytes;

use crate::error::Error;
use crate::types::{
    Change, Committed, LogEntry, MemberId, Message, Peer, Proposal, SnapshotMeta, Standing, Vote,
};

/// How a member is set up. A tick is what the shell makes of it, 100 ms by default.
#[derive(Debug, Clone)]
pub struct Config {
    pub id: MemberId,
    /// Ticks without a leader before an election is tried; each time a random number up to twice that.
    pub election_ticks: usize,
    pub heartbeat_ticks: usize,
    /// Of the random numbers. Members must differ.
    pub seed: u64,
    /// Rises each time this member is started: sets its proposals apart from those of earlier lives.
    pub life: u64,
    /// Most bytes of entries in one message.
    pub max_message_bytes: u64,
    /// Most messages with entries on their way to one member.
    pub max_inflight: usize,
    /// Most bytes of entries that are not yet committed; more proposals are refused.
    pub max_uncommitted_bytes: u64,
    /// Entries that are kept in memory behind a snapshot, for followers who are a little behind.
    pub keep_entries: u64,
}

/// What the disk held when the member was started.
#[derive(Debug, Clone, Default)]
pub struct Persisted {
    pub vote: Vote,
    /// Default when there is none: then the log begins at index 1.
    pub snapshot: SnapshotMeta,
    /// Without a gap, from behind the snapshot (or before its end: those are passed over).
    pub entries: Vec<LogEntry>,
    /// The members, if neither snapshot nor entries say: the first start of a new cluster. Every
    /// member is given the same list, in any order.
    pub bootstrap: Vec<Peer>,
}

/// To be done by the shell, in the order given. See [`Member::poll_actions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Give each to the network and go on.
    Send(Vec<Message>),
    /// Write all of it in one piece, wait for the disk, and call [`Member::handle_persisted`]. There is
    /// never anything behind it in a list: what must wait for it comes after that call.
    Persist(Persist),
    /// Let the store apply these, in order, and answer those that have a number.
    Apply(Vec<Committed>),
    /// Load the store anew from the snapshot, which came with a message and is on disk by now.
    Restore(SnapshotMeta),
    /// Reads that were asked for with this number or a smaller one may be answered by a store that has
    /// applied `index`.
    Readable { number: u64, index: u64 },
    /// It will never be applied; its client must be told that it was not done.
    Refuse { number: u64, why: Error },
    /// A change of members, asked for with this number, is done (as of now, [`Member::members`] has it).
    Changed { number: u64 },
    /// A follower needs entries that are gone: make a snapshot of the store and call
    /// [`Member::handle_snapshot_made`]. Asked once until then.
    WantSnapshot,
    /// Who leads, or this member's role or term, is another than before.
    Standing(Standing),
    /// The members are others than before: connections may have to be made or ended.
    Members,
}

/// One write to the disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Persist {
    /// For [`Member::handle_persisted`].
    pub number: u64,
    pub vote: Option<Vote>,
    /// A snapshot that came from the leader: its file must be made this member's own; all earlier log
    /// and entries are void.
    pub snapshot: Option<SnapshotMeta>,
    /// Follow what the log has, or replace its end: an entry makes void every older one of the same or
    /// a greater index.
    pub entries: Vec<LogEntry>,
}

/// A member of a cluster.
///
/// Order of calls: any `handle_*`, then [`Self::poll_actions`] until it returns nothing, doing what it
/// says; and so on.
pub struct Member {}

#[allow(unused_variables)]
impl Member {
    /// # Errors
    /// When what the disk held cannot be (a gap, a commit index beyond the log).
    pub fn new(config: Config, persisted: Persisted) -> Result<Member, Error> {
        todo!()
    }

    /// Some time has gone by: one tick.
    pub fn handle_tick(&mut self) {
        todo!()
    }

    /// A message from another member, as its [`Message::bytes`]. One that stands for a snapshot is given
    /// only after the snapshot's file has come whole.
    pub fn handle_message(&mut self, bytes: &Bytes) -> Result<(), Error> {
        todo!()
    }

    /// What a snapshot message is of, to be asked before it is handled.
    pub fn snapshot_of(bytes: &Bytes) -> Result<Option<SnapshotMeta>, Error> {
        todo!()
    }

    /// Proposals of this member's clients. Each ends in [`Action::Apply`] or [`Action::Refuse`], whatever
    /// happens to leaders meanwhile, for it is proposed anew until it is applied; once.
    pub fn handle_propose(&mut self, proposals: Vec<Proposal>) {
        todo!()
    }

    /// Somebody wants to read. Numbers rise; one answer may serve many.
    pub fn handle_read(&mut self, number: u64) {
        todo!()
    }

    /// The disk has what [`Persist`] of this number held.
    pub fn handle_persisted(&mut self, number: u64) {
        todo!()
    }

    /// A snapshot of the store after `index` is on disk: what [`Self::snapshot_meta`] gave for it is kept
    /// beside it. Older entries can go.
    pub fn handle_snapshot_made(&mut self, meta: SnapshotMeta) {
        todo!()
    }

    /// What consensus remembers at `index`, an applied one, to be kept beside the store's snapshot.
    pub fn snapshot_meta(&self, index: u64) -> Result<SnapshotMeta, Error> {
        todo!()
    }

    /// A change of members, done at [`Action::Changed`] or not, at [`Action::Refuse`].
    pub fn handle_change(&mut self, number: u64, change: Change) {
        todo!()
    }

    /// The leader is asked to let `to` lead.
    pub fn handle_transfer(&mut self, to: MemberId) -> Result<(), Error> {
        todo!()
    }

    /// Messages to this member do not arrive.
    pub fn handle_unreachable(&mut self, peer: MemberId) {
        todo!()
    }

    /// A snapshot has arrived there whole, or not.
    pub fn handle_snapshot_sent(&mut self, peer: MemberId, arrived: bool) {
        todo!()
    }

    /// What is to be done now. After [`Action::Persist`] nothing comes until it is persisted.
    pub fn poll_actions(&mut self) -> Vec<Action> {
        todo!()
    }

    pub fn standing(&self) -> Standing {
        todo!()
    }

    /// All members, by rising id, as of the last applied change.
    pub fn members(&self) -> Vec<Peer> {
        todo!()
    }

    /// This member is the only voter: whatever it has applied is the truth.
    pub fn is_alone(&self) -> bool {
        todo!()
    }

    /// This member was a member once and is not any more.
    pub fn is_removed(&self) -> bool {
        todo!()
    }
}
