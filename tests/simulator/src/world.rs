//! The world: machines with processes and disks, a network between them, faults, and time.

use std::collections::{BTreeMap, VecDeque};

use crate::disk::Sync;
use crate::faults::{Fault, Planned};
use crate::machine::{Crash, Machine};
use crate::network::{Fate, Network};
use crate::process::{Here, Input, NotStarted, Output, Process};
use crate::queue::Queue;
use crate::random::Random;
use crate::trace::Trace;

/// How long a sync takes when nothing is wrong.
const SYNC_US: (u64, u64) = (100, 2_000);
/// An armed crash waits no longer than this for an output.
const CRASH_WAITS_US: u64 = 20_000;
/// After a process has ended itself.
const RESTART_US: u64 = 500_000;
/// A refused connection is noticed this often, of a thousand messages.
const NOTICED: u64 = 200;
/// More outputs than this at one moment are a loop without end.
const RESTLESS: usize = 100_000;

/// What the world tells whoever drives it: clients and judges are outside.
pub enum Happening<P: Process> {
    Answer {
        client: u64,
        machine: usize,
        answer: P::Answer,
    },
    /// The time that [`World::wake`] asked for.
    Alarm(u64),
    Started(usize),
    Stopped(usize),
    /// The machine's process could not be started from its disk.
    Broken {
        machine: usize,
        why: String,
    },
}

pub struct World<P: Process> {
    queue: Queue<Event<P>>,
    machines: Vec<Machine<P>>,
    network: Network,
    random: Random,
    tick_us: u64,
    faults: Vec<Planned>,
    /// Under way, by place in `faults`.
    active: BTreeMap<usize, Fault>,
    /// What comes to a client from one machine comes in order, as on a connection.
    last_answer_us: BTreeMap<(u64, usize), u64>,
    happened: VecDeque<Happening<P>>,
    pub trace: Trace,
}

enum Event<P: Process> {
    Input { machine: usize, life: Option<u64>, input: Input<P> },
    Synced { machine: usize, life: u64, sync: Sync, token: u64 },
    Tick { machine: usize, life: u64 },
    Begin(usize),
    End(usize),
    Crash { machine: usize, life: u64 },
    Start(usize),
    Tell(Happening<P>),
}

impl<P: Process> World<P> {
    /// Machines stand empty until [`Self::start`]. `tick_us` is the time between two ticks of a process.
    pub fn new(seed: u64, machines: usize, tick_us: u64, faults: Vec<Planned>, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let network = Network::new(random.fork(), machines);
        let mut queue = Queue::default();
        for (at, planned) in faults.iter().enumerate() {
            queue.put(planned.at_us, Event::Begin(at));
        }
        let machines = (0..machines).map(|_| Machine::new(random.fork())).collect();
        World {
            queue,
            machines,
            network,
            random,
            tick_us,
            faults,
            active: BTreeMap::new(),
            last_answer_us: BTreeMap::new(),
            happened: VecDeque::new(),
            trace,
        }
    }

    pub fn now_us(&self) -> u64 {
        self.queue.now_us()
    }

    /// `None` while the machine is down.
    pub fn process(&self, machine: usize) -> Option<&P> {
        self.machines[machine].process.as_ref()
    }

    /// Starts a machine for the first time; from then on it is started again whenever it went down.
    pub fn start(&mut self, machine: usize, setup: P::Setup) {
        self.machines[machine].setup = Some(setup);
        self.queue.put(0, Event::Start(machine));
    }

    /// The machine is switched off for good.
    pub fn retire(&mut self, machine: usize) {
        self.machines[machine].setup = None;
        self.down(machine, None);
        self.trace.note(Some(machine), || "is switched off for good".into());
    }

    /// A client's request sets out.
    pub fn ask(&mut self, machine: usize, client: u64, ask: P::Ask) {
        let at_us = self.now_us() + self.network.time_us();
        let input = Input::Ask { client, ask };
        self.queue.put(at_us, Event::Input { machine, life: None, input });
    }

    pub fn wake(&mut self, at_us: u64, token: u64) {
        self.queue.put(at_us, Event::Tell(Happening::Alarm(token)));
    }

    /// All faults end, those to come do not, and what is down is started.
    pub fn heal(&mut self) {
        self.trace.note(None, || "all faults end".into());
        for at in 0..self.faults.len() {
            self.end(at);
            self.faults[at].at_us = u64::MAX;
        }
        for machine in 0..self.machines.len() {
            self.machines[machine].crash = None;
            if self.machines[machine].process.is_none() {
                self.queue.put(0, Event::Start(machine));
            }
        }
    }

    /// Goes on until something happens that concerns the one outside. `None`: nothing ever will.
    pub fn step(&mut self) -> Option<Happening<P>> {
        loop {
            if let Some(happening) = self.happened.pop_front() {
                return Some(happening);
            }
            let event = self.queue.take()?;
            self.trace.set_now(self.queue.now_us());
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event<P>) {
        match event {
            Event::Input { machine, life, input } => {
                if life.is_none_or(|life| life == self.machines[machine].life) {
                    self.input(machine, input);
                }
            }
            Event::Synced { machine, life, sync, token } => {
                if self.machines[machine].life == life {
                    self.machines[machine].disk.end_sync(sync);
                    self.input(machine, Input::Synced { token });
                }
            }
            Event::Tick { machine, life } => {
                let now_us = self.now_us();
                let m = &mut self.machines[machine];
                if m.life != life {
                    return;
                }
                let next_us = now_us + self.tick_us * 1000 / m.clock.per_mille;
                self.queue.put(next_us, Event::Tick { machine, life });
                // A process that stands still is not woken for each tick that it missed.
                let missed = m.paused && m.held.iter().any(|input| matches!(input, Input::Tick));
                if !missed {
                    self.input(machine, Input::Tick);
                }
            }
            Event::Begin(at) => self.begin(at),
            Event::End(at) => self.end(at),
            Event::Crash { machine, life } => {
                if self.machines[machine].life == life && self.machines[machine].crash.is_some() {
                    self.crash(machine);
                }
            }
            Event::Start(machine) => self.start_process(machine),
            Event::Tell(happening) => self.happened.push_back(happening),
        }
    }

    fn begin(&mut self, at: usize) {
        let Planned { at_us, for_us, ref fault } = self.faults[at];
        if at_us == u64::MAX {
            return;
        }
        let (now_us, fault) = (self.now_us(), fault.clone());
        self.trace.note(None, || format!("{fault:?} for {} ms", for_us / 1000));
        match &fault {
            Fault::Kill { machine, outputs } => self.arm(*machine, *outputs, false, for_us),
            Fault::PowerLoss { machines, outputs } => {
                for machine in (0..self.machines.len()).filter(|machine| machines.has(*machine)) {
                    let outputs = self.random.below(outputs + 1);
                    self.arm(machine, outputs, true, for_us);
                }
            }
            Fault::ClockJump { machine, by_us } => {
                let clock = &mut self.machines[*machine].clock;
                clock.set(now_us, *by_us, clock.per_mille);
            }
            Fault::ClockRate { machine, per_mille } => {
                self.machines[*machine].clock.set(now_us, 0, *per_mille);
            }
            Fault::Pause { machine } => self.machines[*machine].paused = true,
            Fault::SlowDisk { machine, up_to_us } => self.machines[*machine].slow_disk_us = *up_to_us,
            Fault::FullDisk { machine } => self.machines[*machine].disk.set_full(true),
            Fault::Cut { .. } | Fault::Loss { .. } | Fault::Duplication { .. } | Fault::Delay { .. } => {}
        }
        self.active.insert(at, fault);
        self.network.set(self.active.values());
        self.queue.put(now_us + for_us, Event::End(at));
    }

    fn end(&mut self, at: usize) {
        let Some(fault) = self.active.remove(&at) else { return };
        let now_us = self.now_us();
        self.network.set(self.active.values());
        match fault {
            Fault::Kill { .. } | Fault::PowerLoss { .. } | Fault::ClockJump { .. } => return,
            Fault::ClockRate { machine, .. } => self.machines[machine].clock.set(now_us, 0, 1000),
            Fault::Pause { machine } => self.resume(machine),
            Fault::SlowDisk { machine, .. } => self.machines[machine].slow_disk_us = 0,
            Fault::FullDisk { machine } => self.machines[machine].disk.set_full(false),
            Fault::Cut { .. } | Fault::Loss { .. } | Fault::Duplication { .. } | Fault::Delay { .. } => {}
        }
        self.trace.note(None, || format!("no more {fault:?}"));
    }

    fn resume(&mut self, machine: usize) {
        self.machines[machine].paused = false;
        for input in std::mem::take(&mut self.machines[machine].held) {
            self.input(machine, input);
        }
    }

    fn arm(&mut self, machine: usize, outputs_left: u64, power: bool, down_us: u64) {
        let m = &mut self.machines[machine];
        if m.process.is_some() {
            m.crash = Some(Crash { outputs_left, power, down_us });
            let (at_us, life) = (self.queue.now_us() + CRASH_WAITS_US, m.life);
            self.queue.put(at_us, Event::Crash { machine, life });
        }
    }

    fn crash(&mut self, machine: usize) {
        let Some(crash) = self.machines[machine].crash.take() else { return };
        if crash.power {
            let m = &mut self.machines[machine];
            let (kept, written) = m.disk.fail(&mut m.random);
            self.trace.note(Some(machine), || {
                format!("loses its power; of {written} bytes that were not synced {kept} are there")
            });
        } else {
            self.trace.note(Some(machine), || "is killed".into());
        }
        self.down(machine, Some(crash.down_us));
    }

    fn down(&mut self, machine: usize, for_us: Option<u64>) {
        let m = &mut self.machines[machine];
        (m.process, m.crash) = (None, None);
        m.life += 1;
        m.paused = false;
        m.disk_busy_until_us = 0;
        m.held.clear();
        self.happened.push_back(Happening::Stopped(machine));
        if let Some(for_us) = for_us {
            self.queue.put(self.queue.now_us() + for_us, Event::Start(machine));
        }
    }

    fn start_process(&mut self, machine: usize) {
        let now_us = self.now_us();
        let m = &mut self.machines[machine];
        let Some(setup) = m.setup.as_ref().filter(|_| m.process.is_none()) else { return };
        let mut here = Here {
            machine,
            now_us: m.clock.at(now_us),
            disk: &mut m.disk,
            random: &mut m.random,
            trace: &mut self.trace,
        };
        here.note(|| "starts".into());
        match P::start(setup, &mut here) {
            Ok(process) => {
                m.life += 1;
                m.process = Some(process);
                let life = m.life;
                let first_us = now_us + self.random.below(self.tick_us);
                self.queue.put(first_us, Event::Tick { machine, life });
                self.happened.push_back(Happening::Started(machine));
                self.drain(machine);
            }
            Err(NotStarted::Later(why)) => {
                here.note(|| format!("does not start yet: {why}"));
                self.queue.put(now_us + RESTART_US, Event::Start(machine));
            }
            Err(NotStarted::Broken(why)) => {
                m.setup = None;
                self.happened.push_back(Happening::Broken { machine, why });
            }
        }
    }

    fn input(&mut self, machine: usize, input: Input<P>) {
        let now_us = self.now_us();
        let m = &mut self.machines[machine];
        if m.paused {
            m.held.push(input);
            return;
        }
        let clock_us = m.clock.at(now_us);
        let Some(process) = &mut m.process else { return };
        if let Input::Message { from, message } = &input
            && let Some(words) = P::describe(message)
        {
            self.trace.note(Some(machine), || format!("◀ m{from} {words}"));
        }
        let mut here = Here {
            machine,
            now_us: clock_us,
            disk: &mut m.disk,
            random: &mut m.random,
            trace: &mut self.trace,
        };
        process.handle(input, &mut here);
        self.drain(machine);
    }

    /// Takes the process's outputs, one by one.
    fn drain(&mut self, machine: usize) {
        for _ in 0..RESTLESS {
            let now_us = self.now_us();
            let m = &mut self.machines[machine];
            let Some(process) = &mut m.process else { return };
            if m.crash.is_some_and(|crash| crash.outputs_left == 0) {
                self.crash(machine);
                return;
            }
            let mut here = Here {
                machine,
                now_us: m.clock.at(now_us),
                disk: &mut m.disk,
                random: &mut m.random,
                trace: &mut self.trace,
            };
            let Some(output) = process.poll(&mut here) else { return };
            if let Some(crash) = &mut m.crash {
                crash.outputs_left -= 1;
            }
            self.perform(machine, output);
        }
        panic!("machine {machine} never comes to rest");
    }

    fn perform(&mut self, machine: usize, output: Output<P>) {
        let now_us = self.now_us();
        let life = Some(self.machines[machine].life);
        match output {
            Output::Send { to, message } => self.send(machine, to, message),
            Output::Answer { client, answer } => {
                let last = self.last_answer_us.entry((client, machine)).or_default();
                let at_us = (now_us + self.network.time_us()).max(*last);
                *last = at_us;
                self.queue.put(at_us, Event::Tell(Happening::Answer { client, machine, answer }));
            }
            Output::Wrote => {}
            Output::Sync { target, token } => {
                let m = &mut self.machines[machine];
                let (low, high) = SYNC_US;
                let takes = m.random.between(low, high) + m.random.below(m.slow_disk_us + 1);
                let (sync, life) = (m.disk.begin_sync(&target), m.life);
                m.disk_busy_until_us = m.disk_busy_until_us.max(now_us) + takes;
                self.queue.put(m.disk_busy_until_us, Event::Synced { machine, life, sync, token });
            }
            Output::Wake { in_us, token } => {
                let input = Input::Woken { token };
                self.queue.put(now_us + in_us, Event::Input { machine, life, input });
            }
            Output::Stop(why) => {
                self.trace.note(Some(machine), || format!("ends itself: {why}"));
                self.down(machine, Some(RESTART_US));
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, message: P::Message) {
        let now_us = self.now_us();
        let fate = self.network.send(from, to);
        if let Some(words) = P::describe(&message) {
            let how = match fate {
                Fate::Once(_) => "",
                Fate::Twice(..) => " (twice)",
                Fate::Lost => " (lost)",
                Fate::Cut => " (no way)",
            };
            self.trace.note(Some(from), || format!("▶ m{to} {words}{how}"));
        }
        let arrive = |message| Input::Message { from, message };
        match fate {
            Fate::Once(us) => {
                let input = arrive(message);
                self.queue.put(now_us + us, Event::Input { machine: to, life: None, input });
            }
            Fate::Twice(first_us, again_us) => {
                let input = arrive(message.clone());
                self.queue.put(now_us + first_us, Event::Input { machine: to, life: None, input });
                let input = arrive(message);
                self.queue.put(now_us + again_us, Event::Input { machine: to, life: None, input });
            }
            Fate::Lost => {}
            Fate::Cut => self.unreachable(from, to),
        }
        if fate != Fate::Cut && self.machines[to].process.is_none() {
            self.unreachable(from, to);
        }
    }

    fn unreachable(&mut self, from: usize, to: usize) {
        if self.random.chance(NOTICED) {
            let at_us = self.now_us() + self.network.time_us();
            let (life, input) = (Some(self.machines[from].life), Input::Unreachable { to });
            self.queue.put(at_us, Event::Input { machine: from, life, input });
        }
    }
}
