//! What a member asks of the leader, who may be itself: to append proposals, and how far a read must see.

use raft::eraftpb::{Entry, Message as Raw, MessageType};

use crate::error::Error;
use crate::member::{Action, Member};
use crate::types::{Asked, LogEntry};

/// Election timeouts after which a request is given up: etcd's `ReqTimeout`, 7 seconds by default.
const PATIENCE: u64 = 7;

impl Member {
    /// After each call into the `raft` crate: the next election is this core's to time, and a new leader
    /// is asked for everything that the one before has not done.
    pub(crate) fn settle(&mut self) {
        self.timeout.set(&mut self.node);
        let leader = (self.node.raft.term, self.node.raft.leader_id);
        if leader != self.asked && leader.1 != 0 {
            self.asked = leader;
            self.propose_again(0);
            self.read(0);
        }
    }

    /// Asks for what has just come.
    pub(crate) fn give_fresh(&mut self) {
        self.propose(self.proposals.fresh());
        self.read(self.read_retry());
    }

    /// Asks again for what may be lost. A leader's own proposals are in its log, and are not lost while it
    /// leads.
    pub(crate) fn give_due(&mut self) {
        self.propose_again(if self.leads() { u64::MAX } else { self.config.election_ticks as u64 });
        self.read(self.read_retry());
    }

    /// Ends what has waited too long.
    pub(crate) fn give_up(&mut self) {
        let patience = PATIENCE * self.config.election_ticks as u64;
        let given_up = self.proposals.give_up(self.now, patience);
        self.out.extend(given_up.into_iter().map(|(what, why)| Action::Refuse { what, why }));
        if let Some(number) = self.reads.give_up(self.now, patience) {
            self.out.push(Action::Refuse { what: Asked::Reads(number), why: Error::TimedOut });
        }
    }

    fn propose_again(&mut self, retry: u64) {
        if !self.proposals.is_empty() {
            self.propose(self.proposals.due(self.now, retry));
        }
    }

    /// Proposes, in as many messages as it takes.
    fn propose(&mut self, numbers: Vec<u64>) {
        if self.node.raft.leader_id == 0 {
            return;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        for number in numbers {
            let Some(entry) = self.proposals.entry(number) else { continue };
            if bytes > 0 && bytes + entry.size() > self.config.max_message_bytes as usize {
                self.propose_batch(std::mem::take(&mut batch));
                bytes = 0;
            }
            bytes += entry.size();
            batch.push((number, entry));
        }
        if !batch.is_empty() {
            self.propose_batch(batch);
        }
    }

    fn propose_batch(&mut self, batch: Vec<(u64, LogEntry)>) {
        let (numbers, entries): (Vec<u64>, Vec<LogEntry>) = batch.into_iter().unzip();
        if self.is_full(&entries) {
            for what in numbers.into_iter().filter_map(|number| self.proposals.refuse_fresh(number)) {
                self.out.push(Action::Refuse { what, why: Error::TooManyRequests });
            }
            return;
        }
        let mut raw = Raw::new();
        raw.set_msg_type(MessageType::MsgPropose);
        raw.from = self.config.id;
        raw.set_entries(entries.into_iter().map(Entry::from).collect());
        // It is dropped while leadership is being transferred: then it was not given, and is due again.
        if self.node.raft.step(raw).is_ok() {
            numbers.iter().for_each(|number| self.proposals.given(*number, self.now));
        }
        self.timeout.set(&mut self.node);
    }

    /// Whether this is the leader and has as much in its log that is not committed as it may have.
    fn is_full(&self, entries: &[LogEntry]) -> bool {
        let raft = &self.node.raft;
        let bytes: usize = entries.iter().map(|entry| entry.data.len()).sum();
        let full = (raft.uncommitted_size() + bytes) as u64 > self.config.max_uncommitted_bytes;
        self.leads() && raft.uncommitted_size() > 0 && full
    }

    pub(crate) fn read(&mut self, retry: u64) {
        if self.node.raft.leader_id != 0
            && !self.reads.is_idle()
            && let Some(context) = self.reads.begin_round(self.now, retry)
        {
            self.node.read_index(context);
            self.timeout.set(&mut self.node);
        }
    }

    /// A round costs the leader a heartbeat and no write, so it is repeated sooner than a proposal.
    pub(crate) fn read_retry(&self) -> u64 {
        (self.config.election_ticks as u64 / 4).max(1)
    }
}
