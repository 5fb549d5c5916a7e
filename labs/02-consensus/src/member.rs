//! One member: what comes in, and what must be done, in which order.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::eraftpb::MessageType;
use raft::{RawNode, SnapshotStatus, StateRole};

use crate::error::Error;
use crate::log::Log;
use crate::propose::Proposals;
use crate::read::Reads;
use crate::ready::Unwritten;
use crate::snapshot::State;
use crate::timeout::Timeout;
use crate::types::{
    Asked, Change, Committed, LogEntry, MemberId, Message, Peer, Proposal, Role, SnapshotMeta, Standing, Vote,
};
use crate::{start, storage, wire};

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
    /// This will get no other answer. Nothing was done, unless `why` is [`Error::TimedOut`]: then nobody
    /// can tell.
    Refuse { what: Asked, why: Error },
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
/// says; and so on. While a [`Persist`] is being written, messages and ticks may be handled.
pub struct Member {
    pub(crate) config: Config,
    pub(crate) node: RawNode<Log>,
    pub(crate) timeout: Timeout,
    /// As of `applied`.
    pub(crate) state: State,
    pub(crate) proposals: Proposals,
    pub(crate) reads: Reads,
    /// Ticks since the start.
    pub(crate) now: u64,
    /// The tick at which each other member was heard last.
    pub(crate) heard: BTreeMap<MemberId, u64>,
    /// Index of the last entry that had its turn.
    pub(crate) applied: u64,
    /// Index of the last command that was handed out, or is in the snapshot.
    pub(crate) handed_out: u64,
    pub(crate) unwritten: Option<Unwritten>,
    /// The shell makes a snapshot.
    pub(crate) snapshot_asked: bool,
    /// What the shell knows of the standing.
    pub(crate) told: Standing,
    /// The term and leader to whom proposals and reads were given.
    pub(crate) asked: (u64, MemberId),
    pub(crate) out: Vec<Action>,
}

impl Member {
    /// # Errors
    /// When what the disk held cannot be (a gap, a commit index beyond the log).
    pub fn new(config: Config, persisted: Persisted) -> Result<Member, Error> {
        let (log, written) = start::log(&config, persisted)?;
        let state = State::decode(&log.snapshot().state)?;
        let applied = log.snapshot().index;
        let node = start::node(&config, log)?;
        let mut member = Member {
            timeout: Timeout::new(config.seed),
            proposals: Proposals::new(config.id, config.life),
            reads: Reads::new(config.id, config.life),
            now: 0,
            heard: BTreeMap::new(),
            state,
            applied,
            handed_out: applied,
            unwritten: None,
            snapshot_asked: false,
            told: Standing::default(),
            asked: (0, 0),
            out: Vec::new(),
            config,
            node,
        };
        member.timeout.set(&mut member.node);
        if let Some(first) = written {
            member.unwritten = Some(Unwritten::first());
            member.out.push(Action::Persist(first));
        }
        Ok(member)
    }

    /// Some time has gone by: one tick.
    pub fn handle_tick(&mut self) {
        self.now += 1;
        let raft_log = &self.node.raft.raft_log;
        // Whoever stands for election must have all its log on disk.
        if self.leads() || raft_log.persisted == raft_log.last_index() {
            self.node.tick();
        }
        self.settle();
        self.give_due();
        self.give_up();
    }

    /// A message from another member, as its [`Message::bytes`]. One that stands for a snapshot is given
    /// only after the snapshot's file has come whole.
    ///
    /// # Errors
    /// What no honest member can have said, with the reason; nothing has changed.
    pub fn handle_message(&mut self, bytes: &Bytes) -> Result<(), Error> {
        let mut raw = wire::decode(bytes)?;
        if self.state.members.is_removed(raw.from) || !wire::check(&raw, self.config.id, &self.node)? {
            return Ok(());
        }
        if raw.get_msg_type() == MessageType::MsgSnapshot {
            let meta = storage::snapshot_meta(raw.get_snapshot());
            raw.set_snapshot(storage::snapshot(&meta)?);
        }
        if self.state.members.get(raw.from).is_some() {
            self.heard.insert(raw.from, self.now);
        }
        // What it refuses is old, or from a member that is not one any more.
        let _ = self.node.step(raw);
        self.settle();
        Ok(())
    }

    /// What a snapshot message is of, to be asked before it is handled.
    pub fn snapshot_of(bytes: &Bytes) -> Result<Option<SnapshotMeta>, Error> {
        Ok(wire::snapshot_of(&wire::decode(bytes)?))
    }

    /// Proposals of this member's clients. Each ends in [`Action::Apply`] or [`Action::Refuse`], whatever
    /// happens to leaders meanwhile, for it is proposed anew until it is applied; once.
    pub fn handle_propose(&mut self, proposals: Vec<Proposal>) {
        for Proposal { number, command } in proposals {
            self.proposals.add_command(number, command, self.now);
        }
        self.give_fresh();
    }

    /// Somebody wants to read. Numbers rise; one answer may serve many.
    pub fn handle_read(&mut self, number: u64) {
        self.reads.add(number, self.now);
        self.give_fresh();
    }

    /// A snapshot of the store after `index` is on disk: what [`Self::snapshot_meta`] gave for it is kept
    /// beside it. Older entries can go.
    pub fn handle_snapshot_made(&mut self, meta: SnapshotMeta) {
        assert!(meta.index <= self.applied, "a snapshot of what is not applied yet");
        self.snapshot_asked = false;
        let keep = self.config.keep_entries;
        self.node.mut_store().compact(meta, keep);
    }

    /// What consensus remembers at `index`, to be kept beside the store's snapshot.
    ///
    /// # Errors
    /// When `index` is not applied yet, or the last snapshot is newer; also one that the leader sent and
    /// that is being written.
    pub fn snapshot_meta(&self, index: u64) -> Result<SnapshotMeta, Error> {
        if index > self.applied {
            return Err(Error::Malformed(format!("index {index} is not applied yet")));
        }
        State::at(self.node.store(), index)
    }

    /// A change of members, done at [`Action::Changed`] or not, at [`Action::Refuse`]. Whoever adds,
    /// removes or promotes must ask the leader, who knows how the others are; and a leader is not removed
    /// before it has given up leading (it begins to when it refuses).
    pub fn handle_change(&mut self, number: u64, change: Change) {
        if let Err(why) = self.check_change(&change) {
            self.out.push(Action::Refuse { what: Asked::Change(number), why });
            return;
        }
        self.proposals.add_change(number, change, self.now);
        self.give_fresh();
    }

    /// The leader is asked to let `to` lead.
    pub fn handle_transfer(&mut self, to: MemberId) -> Result<(), Error> {
        if !self.leads() {
            return Err(Error::NotLeader);
        }
        if !self.state.members.voters().any(|peer| peer.id == to) {
            return Err(Error::BadTransferee);
        }
        self.node.transfer_leader(to);
        self.settle();
        Ok(())
    }

    /// Messages to this member do not arrive.
    pub fn handle_unreachable(&mut self, peer: MemberId) {
        self.node.report_unreachable(peer);
        self.settle();
    }

    /// A snapshot has arrived there whole, or not.
    pub fn handle_snapshot_sent(&mut self, peer: MemberId, arrived: bool) {
        let status = if arrived { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.node.report_snapshot(peer, status);
        self.settle();
    }

    pub fn standing(&self) -> Standing {
        let raft = &self.node.raft;
        let learner = self.state.members.get(self.config.id).is_some_and(|peer| peer.learner);
        let role = match raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Follower if learner => Role::Learner,
            StateRole::Follower => Role::Follower,
        };
        let commit = raft.raft_log.committed;
        Standing { term: raft.term, leader: raft.leader_id, role, commit, applied: self.handed_out }
    }

    pub(crate) fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// Index of the last entry that had its turn, whether it was a command or not. A store that has applied
    /// all that was handed out is the store after this entry, and its snapshot may say so.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// All members, by rising id, as of the last applied change.
    pub fn members(&self) -> Vec<Peer> {
        self.state.members.peers().cloned().collect()
    }

    /// This member is the only voter: whatever it has applied is the truth.
    pub fn is_alone(&self) -> bool {
        self.state.members.voters().map(|peer| peer.id).eq([self.config.id])
    }

    /// This member was a member once and is not any more.
    pub fn is_removed(&self) -> bool {
        self.state.members.is_removed(self.config.id)
    }

    /// All who were members once and are not any more: an id is never used again.
    pub fn removed(&self) -> Vec<MemberId> {
        self.state.members.removed().collect()
    }
}
