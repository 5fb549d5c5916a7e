//! A run: the plan's faults and requests on one cluster, then peace, then judgement.

use std::cell::RefCell;
use std::rc::Rc;

use consensus::heart::types::{Peer, Role};
use simulator::faults::Fault;
use simulator::history::{History, Violation};
use simulator::judge::{linear, revisions};
use simulator::plan::Plan;
use simulator::random::Random;
use simulator::trace::Trace;
use simulator::world::{Happening, World};
use store::heart::snapshot::Snapshot;

use crate::admin::Asking;
use crate::clients::{Client, Shared};
use crate::ledger::{Ledger, Shared as SharedLedger};
use crate::node::{Node, Sabotage, Setup, id_of, machine_of};
use crate::requests::{LEASED, MACHINES, Request, Shape, What};
use crate::state::Reply;
use crate::watchers::{Watcher, watcher_of};

/// Between two ticks of a member: etcd's heartbeat interval.
const TICK_US: u64 = 100_000;
/// After the last fault, everything must be well again within this time.
const RECOVERS_US: u64 = 60_000_000;
/// How often it is looked whether it is.
const LOOK_US: u64 = 200_000;

/// Alarms, apart from the ends of patience, which have the requests' own numbers.
const PLANNED: u64 = 1 << 40;
const LOOK: u64 = 1 << 41;
const TAKE: u64 = 1 << 42;
const CONNECT: u64 = 1 << 43;
pub const RETIRE: u64 = 1 << 44;
pub const AGAIN: u64 = 1 << 45;

/// What a run was like, to be sure that runs are worth something.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    pub operations: usize,
    pub done: usize,
    pub revisions: usize,
    pub elections: u64,
    pub changes: usize,
    pub restored: usize,
    pub ended_us: u64,
}

impl Summary {
    pub fn add(&mut self, other: &Summary) {
        let Summary { operations, done, revisions, elections, changes, restored, ended_us } = other;
        self.operations += operations;
        self.done += done;
        self.revisions += revisions;
        self.elections += elections;
        self.changes += changes;
        self.restored += restored;
        self.ended_us += ended_us;
    }
}

pub struct Run {
    pub verdict: Result<Summary, Violation>,
    pub trace: String,
}

pub(crate) struct Cluster<'a> {
    pub(crate) plan: &'a Plan<Request>,
    pub(crate) shape: Shape,
    pub(crate) world: World<Node>,
    pub(crate) random: Random,
    pub(crate) ledger: SharedLedger,
    pub(crate) setup: Setup,
    pub(crate) clients: Vec<Client>,
    pub(crate) shared: Shared,
    pub(crate) watchers: Vec<Watcher>,
    /// Machines that are members, or might be.
    pub(crate) machines: Vec<usize>,
    pub(crate) next_machine: usize,
    /// An administrator's requests under way.
    pub(crate) admin: Vec<Asking>,
    /// Refused: to be asked of another member.
    pub(crate) again: Vec<Asking>,
    pub(crate) takes: Vec<(usize, usize)>,
    pub(crate) healed: bool,
    pub(crate) changes: usize,
}

/// Does all of it.
pub fn run(plan: &Plan<Request>, sabotage: Option<Sabotage>, traced: bool) -> Run {
    let mut cluster = Cluster::new(plan, sabotage, traced);
    let verdict = cluster.run();
    if let Err(why) = &verdict {
        cluster.world.trace.note(None, || format!("WRONG: {why}"));
    }
    Run { verdict, trace: cluster.world.trace.render() }
}

impl<'a> Cluster<'a> {
    fn new(plan: &'a Plan<Request>, sabotage: Option<Sabotage>, traced: bool) -> Self {
        let shape = Shape::draw(plan.seed);
        let mut random = Random::new(plan.seed ^ 0xc11e_0175);
        let clock_faults = |f: &Fault| matches!(f, Fault::ClockJump { .. } | Fault::ClockRate { .. });
        let clocks_are_right = !plan.faults.iter().any(|planned| clock_faults(&planned.fault));
        let ledger = Rc::new(RefCell::new(Ledger::new(clocks_are_right)));
        let world = World::new(plan.seed, MACHINES, TICK_US, plan.faults.clone(), Trace::new(traced));
        let setup = Setup {
            machine: 0,
            first_members: (0..shape.members).map(|machine| peer(machine, false)).collect(),
            shape: shape.clone(),
            seed: plan.seed,
            ledger: ledger.clone(),
            sabotage,
        };
        let machines: Vec<usize> = (0..shape.members).collect();
        let clients = (0..shape.clients).map(|number| Client::new(number, *random.pick(&machines))).collect();
        let watchers = 0..shape.watchers;
        let watchers = watchers.map(|n| Watcher::new(n, &mut random, shape.slow_watcher_us)).collect();
        let shared = Shared {
            history: History::default(),
            requests: 0,
            values: 0,
            leases: 0,
            patience_us: shape.patience_us,
        };
        Cluster {
            plan,
            next_machine: shape.members,
            shape,
            world,
            random,
            ledger,
            setup,
            clients,
            shared,
            watchers,
            machines,
            admin: Vec::new(),
            again: Vec::new(),
            takes: Vec::new(),
            healed: false,
            changes: 0,
        }
    }

    fn run(&mut self) -> Result<Summary, Violation> {
        let (shape, seed) = (&self.shape, self.plan.seed);
        self.world.trace.note(None, || format!("seed {seed}: {shape:?}"));
        for machine in 0..self.shape.members {
            self.start(machine);
        }
        for (at, (at_us, _)) in self.plan.requests.iter().enumerate() {
            self.world.wake(*at_us, PLANNED + at as u64);
        }
        for watcher in 0..self.watchers.len() {
            self.connect_later(watcher);
        }
        self.world.wake(self.plan.end_us, LOOK);
        while let Some(happening) = self.world.step() {
            let over = self.handle(happening)?;
            if let Some(wrong) = self.ledger.borrow_mut().wrong.take() {
                return Err(wrong);
            }
            if over {
                break;
            }
        }
        self.judge()
    }

    pub(crate) fn start(&mut self, machine: usize) {
        self.world.start(machine, Setup { machine, ..self.setup.clone() });
    }

    /// True when all is over.
    fn handle(&mut self, happening: Happening<Node>) -> Result<bool, Violation> {
        match happening {
            Happening::Answer { client, answer, .. } => match watcher_of(client) {
                Some(watcher) => self.handle_watcher(watcher, client, answer),
                None => self.handle_answer(client, answer),
            },
            Happening::Alarm(at) if at >= AGAIN => self.ask_again((at - AGAIN) as usize),
            Happening::Alarm(at) if at >= RETIRE => self.world.retire((at - RETIRE) as usize),
            Happening::Alarm(at) if at >= CONNECT => self.connect((at - CONNECT) as usize),
            Happening::Alarm(at) if at >= TAKE => {
                let (watcher, events) = self.takes[(at - TAKE) as usize];
                self.watchers[watcher].take(events, &mut self.world);
            }
            Happening::Alarm(at) if at >= LOOK => return self.look(),
            Happening::Alarm(at) if at >= PLANNED => {
                self.request(self.plan.requests[(at - PLANNED) as usize].1.clone());
            }
            Happening::Alarm(request) => {
                self.admin.retain(|asking| asking.request != request);
                for client in &mut self.clients {
                    client.give_up(request, &mut self.random, &self.machines, &mut self.world);
                    client.begin(&mut self.shared, &mut self.world);
                }
            }
            Happening::Stopped(machine) => {
                for watcher in 0..self.watchers.len() {
                    if self.watchers[watcher].is_at(machine) {
                        self.watchers[watcher].disconnect();
                        self.connect_later(watcher);
                    }
                }
            }
            Happening::Started(_) => {}
            Happening::Broken { machine, why } => {
                return Err(Violation(format!("m{machine} cannot be started: {why}")));
            }
        }
        Ok(false)
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Client { client, what } => {
                let client = &mut self.clients[client as usize];
                client.wants(what);
                client.begin(&mut self.shared, &mut self.world);
            }
            Request::Reconnect(watcher) => self.connect(watcher),
            Request::Progress(watcher) => self.watchers[watcher].ask_progress(&mut self.world),
            Request::Admin(admin) => self.administrate(admin),
        }
    }

    fn handle_answer(&mut self, request: u64, reply: Reply) {
        if self.handle_admin(request, &reply) {
            return;
        }
        let (shared, world) = (&mut self.shared, &mut self.world);
        let client = self.clients.iter_mut().find(|client| client.is_waiting_for(request));
        if let Some(client) = client {
            client.handle(request, reply, shared, &mut self.random, &self.machines, world);
            client.begin(shared, world);
        }
    }

    fn connect_later(&mut self, watcher: usize) {
        let at_us = self.world.now_us() + self.random.below(300_000);
        self.world.wake(at_us, CONNECT + watcher as u64);
    }

    fn connect(&mut self, watcher: usize) {
        let machine = *self.random.pick(&self.machines);
        if self.world.process(machine).is_some() {
            self.watchers[watcher].connect(machine, &mut self.world);
        } else {
            self.watchers[watcher].disconnect();
            self.connect_later(watcher);
        }
    }

    fn handle_watcher(&mut self, watcher: usize, stream: u64, reply: Reply) {
        let was_connected = self.watchers[watcher].is_connected();
        if let Some((at_us, events)) = self.watchers[watcher].handle(stream, reply, &mut self.world) {
            self.takes.push((watcher, events));
            self.world.wake(at_us, TAKE + self.takes.len() as u64 - 1);
        }
        if was_connected && !self.watchers[watcher].is_connected() {
            self.connect_later(watcher);
        }
    }

    /// After the last fault: is all well again?
    fn look(&mut self) -> Result<bool, Violation> {
        if !self.healed {
            self.healed = true;
            self.world.heal();
            for machine in self.machines.clone() {
                if self.world.process(machine).is_none() {
                    self.start(machine);
                }
            }
            // What everybody sees in the end.
            let (last, linearizable) = (LEASED + 10, true);
            for client in &mut self.clients {
                client.wants(What::Put(vec![0]));
                client.wants(What::Read { first: 0, last, linearizable });
                client.begin(&mut self.shared, &mut self.world);
            }
        }
        let unwell = self.unwell();
        let Some(why) = unwell else { return Ok(true) };
        if self.world.now_us() > self.plan.end_us + RECOVERS_US {
            return Err(Violation(format!(
                "after all faults have ended the cluster does not recover: {why}"
            )));
        }
        self.world.wake(self.world.now_us() + LOOK_US, LOOK);
        Ok(false)
    }

    /// Why not.
    fn unwell(&mut self) -> Option<String> {
        let leaders = (0..MACHINES).filter_map(|machine| Some((machine, self.world.process(machine)?)));
        let leader = leaders.filter(|(_, node)| node.member.standing().role == Role::Leader);
        let Some((leader, node)) = leader.max_by_key(|(_, node)| node.member.standing().term) else {
            return Some("nobody leads".into());
        };
        let members = node.member.members();
        // Who was added or removed without an answer is known now.
        self.machines = members.iter().map(|peer| machine_of(peer.id)).collect();
        let (applied, hash) = (node.member.applied(), hash(node));
        // Nothing comes from who never became a member, or is none any more.
        for watcher in 0..self.watchers.len() {
            let lost = (0..MACHINES).find(|m| self.watchers[watcher].is_at(*m) && !self.machines.contains(m));
            if lost.is_some() {
                self.connect(watcher);
            }
        }
        for machine in &self.machines {
            let Some(node) = self.world.process(*machine) else {
                return Some(format!("m{machine} is down"));
            };
            if (node.member.applied(), self::hash(node)) != (applied, hash) {
                let behind = node.member.applied();
                return Some(format!("m{machine} has applied {behind}, m{leader} {applied}"));
            }
        }
        if let Some(client) = self.clients.iter().position(Client::is_busy) {
            return Some(format!("client {client} waits for an answer"));
        }
        let ledger = self.ledger.borrow();
        let last = ledger.written.last();
        let complete = |watcher: &Watcher| watcher.judge(&ledger.written, Some(last));
        self.watchers.iter().find_map(|watcher| complete(watcher).err()).map(|violation| violation.0)
    }

    fn judge(&mut self) -> Result<Summary, Violation> {
        let ledger = self.ledger.borrow();
        let history = &self.shared.history;
        revisions::judge(history, &ledger.written)?;
        linear::judge(history, 0..LEASED)?;
        for watcher in &self.watchers {
            watcher.judge(&ledger.written, Some(ledger.written.last()))?;
        }
        let terms = self.machines.iter().filter_map(|machine| self.world.process(*machine));
        Ok(Summary {
            operations: history.operations.len(),
            done: history.operations.iter().filter(|operation| operation.answer().is_some()).count(),
            revisions: ledger.written.revisions.len(),
            elections: terms.map(|node| node.standing.term).max().unwrap_or(0),
            changes: self.changes,
            restored: ledger.restored,
            ended_us: self.world.now_us(),
        })
    }
}

fn hash(node: &Node) -> u32 {
    Snapshot::of(&node.state.store, 0).hash(i64::MAX)
}

/// It gets its name when it has started.
pub fn peer(machine: usize, learner: bool) -> Peer {
    let peer_urls = vec![format!("http://m{machine}:2380")];
    Peer { id: id_of(machine), peer_urls, learner, ..Peer::default() }
}
