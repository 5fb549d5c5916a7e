//! The member's thread of a machine: events come in, the core says what to do, and it is done one step at
//! a time, as the shell's `raft_loop.rs` does it.

use consensus::heart::types::{Asked, Change, Committed, Message, Peer, Proposal, Role, Standing};
use consensus::heart::{Action, Error};
use simulator::process::{Here, Output};
use store::heart::snapshot::Snapshot;

use crate::files::{Files, Op, snapshot_name};
use crate::node::{Event, Job, MEMBER, NOBODY, Node, Sabotage, Step, Wire, id_of, machine_of, perform};
use crate::state::{Reply, Told, pop_if};
use crate::words;

/// What is sent whole and never acknowledged is given up after so many ticks.
const SNAPSHOT_TICKS: u64 = 20;
/// Names that a proposal has when it is made anew under [`Sabotage::ApplyTwice`].
const ALIAS: u64 = 1 << 40;
/// Who asks for the publication of a member's name: itself.
const MYSELF: u64 = u64::MAX;

impl Node {
    pub(crate) fn poll_member(&mut self, here: &mut Here<'_>) -> Option<Output<Self>> {
        while !self.member_waits {
            if let Some(step) = self.steps.pop_front() {
                if let Some(output) = self.step(step, here) {
                    return Some(output);
                }
                continue;
            }
            let actions = self.member.poll_actions();
            if !actions.is_empty() {
                // Before anybody hears that they have changed: who was removed may be gone at once.
                if actions.contains(&Action::Members) {
                    let ops = self.files.note_commit(self.member.applied());
                    self.ops(ops);
                }
                for action in actions {
                    self.plan(action, here);
                }
                continue;
            }
            self.answer_reads();
            self.consider_alone();
            if !self.steps.is_empty() {
                continue;
            }
            // The core wants nothing more done with it: whoever sent a snapshot is told what became of it.
            if let Some(arrived) = self.arrived.take() {
                let message = Wire::Taken { arrived: arrived.store.is_none() };
                return Some(Output::Send { to: arrived.from, message });
            }
            if self.lead_if_alone() {
                continue;
            }
            // All that came while the disk was busy is handled before the next write.
            if self.events.is_empty() || self.member.is_removed() {
                return None;
            }
            while let Some(event) = self.events.pop_front() {
                self.handle_event(event, here);
                if self.arrived.is_some() {
                    break;
                }
            }
        }
        None
    }

    fn step(&mut self, step: Step, here: &mut Here<'_>) -> Option<Output<Self>> {
        match step {
            Step::Send(Message { to, bytes, snapshot }) => {
                let message = match snapshot {
                    None => Wire::Raft(bytes),
                    Some(meta) => match here.disk.read(&snapshot_name(meta.index)) {
                        Some(file) => {
                            self.sent_at.insert(to, self.ticks);
                            Wire::Snapshot { bytes, file: file.into() }
                        }
                        None => {
                            self.events.push_back(Event::SnapshotSent { to, arrived: false });
                            return None;
                        }
                    },
                };
                return Some(Output::Send { to: machine_of(to), message });
            }
            Step::Op(Op::Sync(target)) if self.setup.sabotage == Some(Sabotage::AnswerBeforeSync) => {
                return Some(Output::Sync { target, token: NOBODY });
            }
            Step::Op(Op::Sync(target)) => {
                self.member_waits = true;
                return Some(Output::Sync { target, token: MEMBER });
            }
            Step::Op(op) => return Some(perform(op, here)),
            Step::Persisted(number) => self.member.handle_persisted(number),
            Step::Tell(told) => self.state.told.push_back(told),
            Step::Answer(client, answer) => return Some(Output::Answer { client, answer }),
            Step::Write(snapshot, meta) => {
                let ops = Files::write_snapshot(snapshot, &meta, here.disk);
                self.jobs.extend(ops.into_iter().map(Job::Op));
                self.jobs.push_back(Job::Tell(Event::Written(meta)));
            }
        }
        None
    }

    fn ops(&mut self, ops: Vec<Op>) {
        self.steps.extend(ops.into_iter().map(Step::Op));
    }

    fn handle_event(&mut self, event: Event, here: &mut Here<'_>) {
        match event {
            Event::Tick => {
                self.member.handle_tick();
                self.publish();
                let late = |at: &u64| at + SNAPSHOT_TICKS < self.ticks;
                let lost: Vec<_> =
                    self.sent_at.iter().filter(|(_, at)| late(at)).map(|(to, _)| *to).collect();
                for to in lost {
                    self.sent_at.remove(&to);
                    self.member.handle_snapshot_sent(to, false);
                }
            }
            Event::Message(bytes) => drop(self.member.handle_message(&bytes)),
            Event::Arrived(arrived) => {
                let message = arrived.message.clone();
                self.arrived = Some(arrived);
                let _ = self.member.handle_message(&message);
            }
            Event::SnapshotSent { to, arrived } => self.member.handle_snapshot_sent(to, arrived),
            Event::Unreachable(peer) => self.member.handle_unreachable(peer),
            Event::Written(meta) => {
                self.writing = None;
                if let Some(ops) = self.files.handle_written(&meta) {
                    self.ops(ops);
                    self.member.handle_snapshot_made(meta);
                }
                self.steps.push_back(Step::Tell(Told::Snapshotted));
            }
            Event::Propose(proposal) => {
                if self.setup.sabotage == Some(Sabotage::ApplyTwice) {
                    self.proposed.insert(proposal.number, proposal.command.clone());
                }
                self.member.handle_propose(vec![proposal]);
            }
            Event::Read(number) => {
                let leads = self.member.standing().role == Role::Leader;
                if leads && self.setup.sabotage == Some(Sabotage::ReadFromDeposed) {
                    self.steps.push_back(Step::Tell(Told::Readable { number, index: self.given }));
                } else {
                    self.reads.push_back(number);
                    self.member.handle_read(number);
                }
            }
            Event::Snapshot(snapshot) => self.begin_snapshot(snapshot, here),
            Event::Change(client, change) => {
                here.note(|| format!("is asked to change members: {change:?}"));
                self.last_change += 1;
                self.changes.insert(self.last_change, client);
                self.member.handle_change(self.last_change, change);
            }
            Event::Transfer(client, to) => {
                let done = self.member.handle_transfer(to).is_ok();
                here.note(|| format!("is asked to let m{} lead: {done}", machine_of(to)));
                let reply = if done { Reply::Done } else { Reply::Refused { unknown: false } };
                self.steps.push_back(Step::Answer(client, reply));
            }
        }
    }

    /// A member tells its name until everybody knows it.
    fn publish(&mut self) {
        let id = id_of(self.setup.machine);
        let asked = self.changes.values().any(|client| *client == MYSELF);
        let named = |peer: &Peer| peer.id == id && !peer.name.is_empty();
        if !asked && self.standing.leader != 0 && !self.member.members().iter().any(named) {
            let (name, client_urls) = (format!("m{}", self.setup.machine), Vec::new());
            self.last_change += 1;
            self.changes.insert(self.last_change, MYSELF);
            self.member.handle_change(self.last_change, Change::Publish { id, name, client_urls });
        }
    }

    fn begin_snapshot(&mut self, mut snapshot: Snapshot, here: &mut Here<'_>) {
        if snapshot.applied == self.given {
            // What follows are no commands, but changes of members.
            snapshot.applied = self.member.applied();
        }
        let meta = self.member.snapshot_meta(snapshot.applied);
        match meta {
            Ok(meta) if snapshot.applied >= self.files.snapshot.index && self.writing.is_none() => {
                here.note(|| format!("writes a snapshot of {}", meta.index));
                let ops = self.files.begin_file();
                self.ops(ops);
                self.writing = Some(meta.clone());
                self.steps.push_back(Step::Write(snapshot, meta));
                self.since_snapshot = 0;
            }
            _ => self.steps.push_back(Step::Tell(Told::Snapshotted)),
        }
    }

    fn plan(&mut self, action: Action, here: &mut Here<'_>) {
        match action {
            Action::Send(messages) => self.steps.extend(messages.into_iter().map(Step::Send)),
            Action::Persist(persist) => {
                here.note(|| format!("writes {}", words::persist(&persist)));
                let name = self.arrived.as_ref().map_or("", |arrived| &arrived.name);
                let ops = self.files.persist(&persist, name, here.disk);
                self.ops(ops);
                self.steps.push_back(Step::Persisted(persist.number));
            }
            Action::Apply(mut committed) => {
                let Some(last) = committed.last() else { return };
                let index = last.index;
                here.note(|| format!("applies up to {index}"));
                self.given = index;
                self.since_snapshot += committed.len() as u64;
                committed.iter_mut().for_each(|one| self.unalias(one));
                self.steps.push_back(Step::Tell(Told::Committed(committed)));
                if self.since_snapshot >= self.setup.shape.snapshot_every {
                    self.since_snapshot = 0;
                    self.steps.push_back(Step::Tell(Told::SnapshotWanted));
                }
            }
            Action::Restore(meta) => {
                let store = self.arrived.as_mut().filter(|arrived| arrived.meta.index == meta.index);
                let store = store.and_then(|arrived| arrived.store.take()).expect("it has come");
                here.note(|| format!("takes over a snapshot of {}", meta.index));
                self.given = meta.index;
                let told = Told::Restored { store: Box::new(store), applied: meta.index };
                self.steps.push_back(Step::Tell(told));
            }
            Action::Readable { number, index } => {
                while let Some(number) = pop_if(&mut self.reads, |n| *n <= number) {
                    self.readable.push_back((index, number));
                }
            }
            Action::Refuse { what, why } => self.refuse(what, &why, here),
            Action::Changed { number } => {
                self.handle_members();
                if let Some(client) = self.changes.remove(&number).filter(|client| *client != MYSELF) {
                    self.steps.push_back(Step::Answer(client, Reply::Done));
                }
            }
            Action::WantSnapshot => self.steps.push_back(Step::Tell(Told::SnapshotWanted)),
            Action::Standing(standing) => self.handle_standing(standing, here),
            Action::Members => {
                here.note(|| {
                    let members = self.member.members().into_iter();
                    let named = members
                        .map(|p| format!("m{}{}", p.id - 1, if p.learner { " (learner)" } else { "" }));
                    format!("the members are {}", named.collect::<Vec<_>>().join(", "))
                });
                self.handle_members();
            }
        }
    }

    /// The only voter has nobody to wait for: its first election's ticks pass at once.
    fn lead_if_alone(&mut self) -> bool {
        let waits = self.ticks_at_once > 0 && self.member.is_alone() && self.member.standing().leader == 0;
        if waits {
            self.ticks_at_once -= 1;
            self.member.handle_tick();
        } else {
            self.ticks_at_once = 0;
        }
        waits
    }

    fn handle_members(&mut self) {
        if !self.member.is_alone() {
            self.alone = false;
        }
    }

    fn handle_standing(&mut self, standing: Standing, here: &mut Here<'_>) {
        let Standing { term, leader, role, .. } = standing;
        let old = std::mem::replace(&mut self.standing, standing);
        here.note(|| format!("is {role:?} in term {term}, leader {leader}"));
        let leading = role == Role::Leader;
        if leading != self.leading {
            self.leading = leading;
            self.steps.push_back(Step::Tell(Told::Leading(leading)));
        }
        let is_new = (old.term, old.leader) != (term, leader);
        if is_new && leader != 0 && self.setup.sabotage == Some(Sabotage::ApplyTwice) {
            self.propose_as_others();
        }
    }

    fn answer_reads(&mut self) {
        let applied = self.member.standing().applied;
        let mut readable = None;
        while let Some((_, number)) = pop_if(&mut self.readable, |(index, _)| *index <= applied) {
            readable = Some(number);
        }
        if let Some(number) = readable {
            self.steps.push_back(Step::Tell(Told::Readable { number, index: self.given }));
        }
    }

    /// Alone, what the store has applied is the truth, when that is all that was ever acknowledged here.
    fn consider_alone(&mut self) {
        let all = self.member.standing().applied >= self.end_at_start && self.state.applied >= self.given;
        if self.leading && self.member.is_alone() && all && self.state.told.is_empty() {
            self.alone = true;
        }
    }

    fn refuse(&mut self, what: Asked, why: &Error, here: &mut Here<'_>) {
        here.note(|| format!("refuses {what:?}: {why}"));
        let unknown = *why == Error::TimedOut;
        match what {
            Asked::Proposal(number) => {
                self.proposed.remove(&number);
                self.steps.push_back(Step::Tell(Told::Refused { number, unknown }));
            }
            Asked::Change(number) => {
                if let Some(client) = self.changes.remove(&number).filter(|client| *client != MYSELF) {
                    self.steps.push_back(Step::Answer(client, Reply::Refused { unknown }));
                }
            }
            Asked::Reads(upto) => {
                while let Some(number) = pop_if(&mut self.reads, |n| *n <= upto) {
                    self.steps.push_back(Step::Tell(Told::Refused { number, unknown: false }));
                }
            }
        }
    }

    fn propose_as_others(&mut self) {
        let mut proposals = Vec::new();
        for (number, command) in &self.proposed {
            let alias = ALIAS + self.aliases.len() as u64;
            self.aliases.insert(alias, *number);
            proposals.push(Proposal { number: alias, command: command.clone() });
        }
        self.member.handle_propose(proposals);
    }

    fn unalias(&mut self, committed: &mut Committed) {
        if let Some(number) = committed.number {
            let number = self.aliases.get(&number).copied().unwrap_or(number);
            self.proposed.remove(&number);
            committed.number = Some(number);
        }
    }
}
