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

use raft::eraftpb::Message as Raw;
use raft::{Ready, StateRole};

use crate::member::{Action, Member, Persist};
use crate::membership;
use crate::sessions::Origin;
use crate::snapshot::{Effect, State};
use crate::storage;
use crate::types::{Asked, Change, Committed, LogEntry, SnapshotMeta, Standing, Vote};
use crate::wire;

/// What waits for the disk.
#[derive(Debug)]
pub(crate) struct Unwritten {
    number: u64,
    /// The `raft` crate's number for it. The first write of a cluster has none.
    ready: Option<u64>,
    messages: Vec<Raw>,
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
        }
        if self.node.store().snapshot_wanted.take() && !self.snapshot_asked {
            self.snapshot_asked = true;
            out.insert(0, Action::WantSnapshot);
        }
        out
    }

    /// One round of the loop.
    fn turn(&mut self, mut ready: Ready, out: &mut Vec<Action>) {
        let mut now = ready.take_messages();
        let mut later = ready.take_persisted_messages();
        let vote = self.vote();
        // The only voter leads without asking anybody, in a term that its disk does not know yet.
        if vote.term != self.node.store().vote().term {
            later.append(&mut now);
        }
        send(now, out);
        self.apply(ready.take_committed_entries().into_iter().map(LogEntry::from), out);
        for state in ready.take_read_states() {
            self.reads.confirm(&state.request_ctx, state.index);
        }
        self.tell_readable(out);

        let number = ready.number();
        let must_sync = ready.must_sync();
        let snapshot = (!ready.snapshot().is_empty()).then(|| storage::snapshot_meta(ready.snapshot()));
        let entries: Vec<LogEntry> = ready.take_entries().into_iter().map(LogEntry::from).collect();
        let log = self.node.mut_store();
        if let Some(meta) = &snapshot {
            log.restore(meta.clone());
        }
        log.append(&entries);
        log.set_vote(vote);
        self.node.advance_append_async(ready);
        self.node.advance_apply_to(self.applied);
        if must_sync {
            // The commit index goes with the entries: a member that has a change of members in its log
            // must not forget that the one before is committed, or it would count an old majority.
            out.push(Action::Persist(Persist {
                number,
                vote: Some(vote),
                snapshot: snapshot.clone(),
                entries,
            }));
            self.unwritten = Some(Unwritten { number, ready: Some(number), messages: later, snapshot });
        } else {
            self.node.on_persist_ready(number);
            send(later, out);
        }
    }

    /// The disk has what [`Persist`] of this number held.
    pub fn handle_persisted(&mut self, number: u64) {
        let Some(written) = self.unwritten.take_if(|unwritten| unwritten.number == number) else { return };
        if let Some(ready) = written.ready {
            self.node.on_persist_ready(ready);
        }
        let mut out = std::mem::take(&mut self.out);
        send(written.messages, &mut out);
        if let Some(meta) = written.snapshot {
            self.restore(meta, &mut out);
        }
        self.out = out;
        self.settle();
    }

    /// The leader's snapshot is on disk, and everything begins anew behind it.
    fn restore(&mut self, meta: SnapshotMeta, out: &mut Vec<Action>) {
        self.state = State::decode(&meta.state).expect("it was looked at when it came");
        self.applied = meta.index;
        self.handed_out = meta.index;
        self.node.advance_apply_to(meta.index);
        out.push(Action::Restore(meta));
        out.push(Action::Members);
        for what in self.proposals.restored(&self.state.sessions) {
            out.push(Action::Refuse { what, why: crate::Error::TimedOut });
        }
        self.tell_readable(out);
    }

    /// Gives each entry its turn: commands to the store, changes of members to the `raft` crate.
    fn apply(&mut self, entries: impl Iterator<Item = LogEntry>, out: &mut Vec<Action>) {
        let mut commands = Vec::new();
        for entry in entries {
            self.applied = entry.index;
            let effect = self.state.apply(&entry);
            if effect == Effect::Nothing {
                continue;
            }
            let origin = Origin::decode(&entry.context).ok();
            let asked = origin.and_then(|origin| self.proposals.applied(&origin));
            match effect {
                Effect::Nothing => {}
                Effect::Command => {
                    let number = asked.and_then(|asked| match asked {
                        Asked::Proposal(number) => Some(number),
                        Asked::Change(_) | Asked::Reads(_) => None,
                    });
                    self.handed_out = entry.index;
                    commands.push(Committed { index: entry.index, number, command: entry.data });
                }
                Effect::Change(change, possible) => {
                    if !commands.is_empty() {
                        out.push(Action::Apply(std::mem::take(&mut commands)));
                    }
                    if possible.is_ok() {
                        self.change(&change);
                        out.push(Action::Members);
                    }
                    if let Some(what @ Asked::Change(number)) = asked {
                        out.push(match possible {
                            Ok(()) => Action::Changed { number },
                            Err(why) => Action::Refuse { what, why },
                        });
                    }
                }
            }
        }
        if !commands.is_empty() {
            out.push(Action::Apply(commands));
        }
    }

    /// From now on another majority decides.
    fn change(&mut self, change: &Change) {
        let Some(conf) = membership::conf_change(change) else { return };
        self.node.apply_conf_change(&conf).expect("the change was checked");
        if let Change::Remove(id) = change {
            self.heard.remove(id);
            if *id == self.config.id && self.node.raft.state == StateRole::Leader {
                // The others must hear that it is committed; then one of them leads.
                self.node.raft.bcast_append();
                let term = self.node.raft.term;
                self.node.raft.become_follower(term, 0);
            }
        }
    }

    fn vote(&self) -> Vote {
        let hard = self.node.raft.hard_state();
        Vote { term: hard.term, vote: hard.vote, commit: hard.commit }
    }

    fn tell_readable(&mut self, out: &mut Vec<Action>) {
        if let Some(number) = self.reads.readable(self.applied) {
            out.push(Action::Readable { number, index: self.handed_out });
        }
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

fn send(messages: Vec<Raw>, out: &mut Vec<Action>) {
    if !messages.is_empty() {
        out.push(Action::Send(messages.iter().map(wire::encode).collect()));
    }
}
