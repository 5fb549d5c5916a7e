//! One machine of the cluster: the real core, driven as the shell's `raft_loop.rs` drives it, beside the
//! loop of the store. Both share a thread here, and take turns as the seed will have it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use consensus::heart::types::{Change, MemberId, Message, Peer, Proposal, SnapshotMeta, Standing};
use consensus::heart::{Config, Member, Persisted};
use simulator::disk::Target;
use simulator::process::{Here, Input, NotStarted, Output, Process};
use store::heart::Store;
use store::heart::snapshot::Snapshot;

use crate::files::{Files, Found, Op, read_snapshot};
use crate::ledger::Shared;
use crate::requests::Shape;
use crate::state::{Ask, Out, Reply, State, Told};
use crate::words;

/// A bug that is put back in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// What is written counts as being on disk before it is.
    AnswerBeforeSync,
    /// What was proposed and not seen again is proposed anew as something else.
    ApplyTwice,
    /// Who thinks to be the leader answers reads without asking the others.
    ReadFromDeposed,
}

#[derive(Clone)]
pub struct Setup {
    pub machine: usize,
    pub first_members: Vec<Peer>,
    pub shape: Shape,
    pub seed: u64,
    pub ledger: Shared,
    pub sabotage: Option<Sabotage>,
}

/// From machine to machine.
#[derive(Clone)]
pub enum Wire {
    Raft(Bytes),
    Snapshot {
        bytes: Bytes,
        file: Rc<[u8]>,
    },
    /// The snapshot came, and was of use or not.
    Taken {
        arrived: bool,
    },
}

pub fn id_of(machine: usize) -> MemberId {
    machine as MemberId + 1
}

pub fn machine_of(id: MemberId) -> usize {
    id as usize - 1
}

/// Tokens of waits: of the member's thread, of the snapshot writer's, of the store's loop, of nobody.
pub(crate) const MEMBER: u64 = 1;
const WRITER: u64 = 2;
const STORE: u64 = 3;
pub(crate) const NOBODY: u64 = 4;

pub(crate) enum Event {
    Tick,
    Message(Bytes),
    Arrived(Box<Arrived>),
    SnapshotSent { to: MemberId, arrived: bool },
    Unreachable(MemberId),
    Written(SnapshotMeta),
    Propose(Proposal),
    Read(u64),
    Snapshot(Snapshot),
    Change(u64, Change),
    Transfer(u64, MemberId),
}

pub(crate) struct Arrived {
    pub(crate) from: usize,
    pub(crate) message: Bytes,
    pub(crate) name: String,
    pub(crate) meta: SnapshotMeta,
    pub(crate) store: Option<Store>,
}

/// What the member's thread does next.
pub(crate) enum Step {
    Send(Message),
    Op(Op),
    Persisted(u64),
    Tell(Told),
    Answer(u64, Reply),
    /// Hand the snapshot to the thread that writes it.
    Write(Snapshot, SnapshotMeta),
}

/// What the thread beside it does.
pub(crate) enum Job {
    Op(Op),
    Tell(Event),
}

pub struct Node {
    pub(crate) setup: Setup,
    pub member: Member,
    pub(crate) files: Files,
    pub state: State,
    pub(crate) events: VecDeque<Event>,
    pub(crate) steps: VecDeque<Step>,
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) member_waits: bool,
    pub(crate) writer_waits: bool,
    pub(crate) store_wakes: bool,
    pub(crate) store_runs: bool,
    /// Index of the last command that the store's loop was given.
    pub(crate) given: u64,
    pub(crate) leading: bool,
    pub(crate) alone: bool,
    pub(crate) end_at_start: u64,
    pub(crate) reads: VecDeque<u64>,
    pub(crate) readable: VecDeque<(u64, u64)>,
    pub(crate) last_change: u64,
    pub(crate) changes: BTreeMap<u64, u64>,
    pub(crate) arrived: Option<Box<Arrived>>,
    pub(crate) since_snapshot: u64,
    pub(crate) writing: Option<SnapshotMeta>,
    pub(crate) ticks: u64,
    pub(crate) ticks_at_once: usize,
    pub(crate) sent_at: BTreeMap<MemberId, u64>,
    pub standing: Standing,
    /// Under [`Sabotage::ApplyTwice`]: what is proposed and not seen.
    pub(crate) proposed: BTreeMap<u64, Bytes>,
    pub(crate) aliases: BTreeMap<u64, u64>,
}

impl Process for Node {
    type Setup = Setup;
    type Message = Wire;
    type Ask = Ask;
    type Answer = Reply;

    fn start(setup: &Setup, here: &mut Here<'_>) -> Result<Self, NotStarted> {
        let life = next_life(here)?;
        let (files, found) = Files::open(here.disk)?;
        let Found { store, vote, snapshot, entries } = found;
        here.note(|| {
            let end = entries.last().map_or(snapshot.index, |entry| entry.index);
            format!("life {life}: snapshot {}, log to {end}, {vote:?}", snapshot.index)
        });
        let end_at_start = entries.last().map_or(snapshot.index, |entry| entry.index);
        let applied = snapshot.index;
        let config = Config {
            id: id_of(setup.machine),
            election_ticks: setup.shape.election_ticks,
            heartbeat_ticks: 1,
            seed: setup.seed ^ (life << 32) ^ setup.machine as u64,
            life,
            max_message_bytes: 1 << 16,
            max_inflight: 16,
            max_uncommitted_bytes: 1 << 20,
            keep_entries: 5,
        };
        // Who comes later hears from the others who the members are.
        let is_founder = setup.machine < setup.shape.members;
        let bootstrap = if is_founder { setup.first_members.clone() } else { Vec::new() };
        let persisted = Persisted { vote, snapshot, entries, bootstrap };
        let member = Member::new(config, persisted).map_err(|e| NotStarted::Broken(e.to_string()))?;
        let (ledger, window) = (setup.ledger.clone(), setup.shape.window);
        Ok(Node {
            setup: setup.clone(),
            standing: member.standing(),
            member,
            files,
            state: State::new(setup.machine, ledger, store, applied, window),
            events: VecDeque::new(),
            steps: VecDeque::new(),
            jobs: VecDeque::new(),
            member_waits: false,
            writer_waits: false,
            store_wakes: false,
            store_runs: false,
            given: applied,
            leading: false,
            alone: false,
            end_at_start,
            reads: VecDeque::new(),
            readable: VecDeque::new(),
            last_change: 0,
            changes: BTreeMap::new(),
            arrived: None,
            since_snapshot: 0,
            writing: None,
            ticks: 0,
            ticks_at_once: 2 * setup.shape.election_ticks,
            sent_at: BTreeMap::new(),
            proposed: BTreeMap::new(),
            aliases: BTreeMap::new(),
        })
    }

    fn handle(&mut self, input: Input<Self>, here: &mut Here<'_>) {
        match input {
            Input::Tick => {
                self.ticks += 1;
                self.events.push_back(Event::Tick);
                self.state.expire(here.now_us / 1000);
            }
            Input::Message { from, message } => self.handle_wire(from, message, here),
            Input::Unreachable { to } => {
                self.events.push_back(Event::Unreachable(id_of(to)));
                if self.sent_at.remove(&id_of(to)).is_some() {
                    self.events.push_back(Event::SnapshotSent { to: id_of(to), arrived: false });
                }
            }
            Input::Ask { client, ask: Ask::Change(change) } => {
                self.events.push_back(Event::Change(client, change));
            }
            Input::Ask { client, ask: Ask::Transfer(to) } => {
                self.events.push_back(Event::Transfer(client, to));
            }
            Input::Ask { client, ask } => self.state.asks.push_back((client, ask)),
            Input::Synced { token: MEMBER } => self.member_waits = false,
            Input::Synced { token: WRITER } => self.writer_waits = false,
            Input::Woken { token: STORE } => (self.store_wakes, self.store_runs) = (false, true),
            Input::Synced { .. } | Input::Woken { .. } => {}
        }
    }

    fn poll(&mut self, here: &mut Here<'_>) -> Option<Output<Self>> {
        loop {
            if let Some(out) = self.state.out.pop_front() {
                if let Some(output) = self.take_out(out) {
                    return Some(output);
                }
                continue;
            }
            if let Some(output) = self.poll_member(here) {
                return Some(output);
            }
            if let Some(output) = self.poll_writer(here) {
                return Some(output);
            }
            if self.store_runs {
                self.store_runs = !self.state.is_idle();
                self.setup.ledger.borrow_mut().now_us = here.trace.now_us();
                self.state.step(here.now_us / 1000, self.alone);
                continue;
            }
            if self.state.is_idle() || self.store_wakes {
                return None;
            }
            // The store's loop is a thread of its own: it comes to it soon, or a little later.
            self.store_wakes = true;
            let up_to_us = if here.random.chance(100) { 20_000 } else { 200 };
            let in_us = here.random.below(up_to_us);
            return Some(Output::Wake { in_us, token: STORE });
        }
    }

    fn describe(message: &Wire) -> Option<String> {
        match message {
            Wire::Raft(bytes) => words::message(bytes),
            Wire::Snapshot { file, .. } => Some(format!("a snapshot of {} bytes", file.len())),
            Wire::Taken { arrived } => Some(format!("the snapshot came: {arrived}")),
        }
    }
}

impl Node {
    fn handle_wire(&mut self, from: usize, message: Wire, here: &mut Here<'_>) {
        match message {
            Wire::Raft(bytes) => self.events.push_back(Event::Message(bytes)),
            Wire::Taken { arrived } => {
                let to = id_of(from);
                if self.sent_at.remove(&to).is_some() {
                    self.events.push_back(Event::SnapshotSent { to, arrived });
                }
            }
            // It is written to a file of its own, and looked through, before the core hears of it.
            Wire::Snapshot { bytes, file } => {
                let Ok((store, meta)) = read_snapshot(&file) else { return };
                let name = format!("in-{from}-{}.tmp", self.ticks);
                if here.disk.read(&name).is_some() {
                    return;
                }
                self.jobs.push_back(Job::Op(Op::Append(name.clone(), file.to_vec())));
                self.jobs.push_back(Job::Op(Op::Sync(Target::File(name.clone()))));
                let arrived = Arrived { from, message: bytes, name, meta, store: Some(store) };
                self.jobs.push_back(Job::Tell(Event::Arrived(Box::new(arrived))));
            }
        }
    }

    /// What the store's loop has to say.
    fn take_out(&mut self, out: Out) -> Option<Output<Self>> {
        match out {
            Out::Answer { client, reply } => return Some(Output::Answer { client, answer: reply }),
            Out::Propose(proposal) => self.events.push_back(Event::Propose(proposal)),
            Out::Read(number) => self.events.push_back(Event::Read(number)),
            Out::Snapshot(snapshot) => self.events.push_back(Event::Snapshot(snapshot)),
        }
        None
    }

    fn poll_writer(&mut self, here: &mut Here<'_>) -> Option<Output<Self>> {
        if self.writer_waits {
            return None;
        }
        Some(match self.jobs.pop_front()? {
            Job::Op(Op::Sync(target)) => {
                self.writer_waits = true;
                Output::Sync { target, token: WRITER }
            }
            Job::Op(op) => perform(op, here),
            Job::Tell(event) => {
                self.events.push_back(event);
                Output::Wrote
            }
        })
    }
}

pub(crate) fn perform(op: Op, here: &mut Here<'_>) -> Output<Node> {
    match op.perform(here.disk) {
        Ok(()) => Output::Wrote,
        Err(_) => Output::Stop("the disk is full".into()),
    }
}

/// Rises at each start; a file of its own says how far.
fn next_life(here: &mut Here<'_>) -> Result<u64, NotStarted> {
    let life = here.disk.read("life").map_or(0, |bytes| bytes.len() as u64) + 1;
    here.disk.remove("life.tmp");
    here.disk.append("life.tmp", &vec![b'+'; life as usize])?;
    here.disk.sync(&Target::File("life.tmp".into()));
    here.disk.rename("life.tmp", "life");
    here.disk.sync(&Target::Names);
    Ok(life)
}
