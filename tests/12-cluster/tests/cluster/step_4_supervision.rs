//! Who is started again, when, and in which order everything ends.

use graded::graded;
use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::heart::supervision::{Action, Exit, Policy, Signal, State, Supervisor};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A machine that obeys the supervisor at once, and keeps a record.
struct Machine {
    supervisor: Supervisor,
    now: Duration,
    next_pid: u32,
    living: BTreeMap<u32, String>,
    record: Vec<String>,
}

impl Machine {
    fn new(units: &[(&str, u8)]) -> Self {
        let mut supervisor = Supervisor::new(Policy::default());
        for (name, tier) in units {
            supervisor.add(name, *tier);
            supervisor.handle_start(name, Duration::ZERO);
        }
        Self { supervisor, now: Duration::ZERO, next_pid: 1, living: BTreeMap::new(), record: Vec::new() }
    }

    /// Does what must be done now.
    fn obey(&mut self) {
        for action in self.supervisor.poll(self.now) {
            let at = self.now.as_millis();
            match action {
                Action::Spawn { unit } => {
                    let pid = self.next_pid;
                    self.next_pid += 1;
                    self.living.insert(pid, unit.clone());
                    self.supervisor.handle_spawned(&unit, pid, self.now);
                    self.record.push(format!("{at} start {unit}"));
                }
                Action::Signal { unit, pid, signal } => {
                    assert_eq!(
                        self.living.get(&pid),
                        Some(&unit),
                        "a signal went to a process that is not the unit's"
                    );
                    let signal = match signal {
                        Signal::Term => "term",
                        Signal::Kill => "kill",
                    };
                    self.record.push(format!("{at} {signal} {unit}"));
                }
            }
        }
    }

    /// Lets time pass, with everything that becomes due in it.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.obey();
        let mut wakings = 0;
        while let Some(due) = self.supervisor.poll_deadline().filter(|due| *due <= end) {
            assert!(
                due >= self.now || self.supervisor.poll(self.now).is_empty(),
                "a deadline lies in the past"
            );
            self.now = self.now.max(due);
            self.obey();
            wakings += 1;
            assert!(
                wakings < 1000,
                "the supervisor asks to be woken for a moment that has come, again and again"
            );
        }
        self.now = end;
        self.obey();
    }

    fn dies(&mut self, unit: &str, exit: Exit) {
        let pid = *self.living.iter().find(|(_, name)| *name == unit).expect("it lives").0;
        self.living.remove(&pid);
        assert_eq!(self.supervisor.handle_exit(pid, exit, self.now).as_deref(), Some(unit));
        self.record.push(format!("{} died {unit}", self.now.as_millis()));
        self.obey();
    }

    fn told(&mut self) -> String {
        std::mem::take(&mut self.record).join("\n")
    }
}

/// One death is an accident, and costs nothing; ten in a row are a reason to wait.
#[graded]
fn the_pauses_are_none_then_doubling_up_to_the_bound() {
    let policy = Policy::default();
    let pauses: Vec<u128> = (1..=9).map(|failures| policy.pause(failures).as_millis()).collect();
    assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(
        policy.pause(u32::MAX),
        policy.longest_pause,
        "a unit that failed for a year still has its pause"
    );
}

/// Whoever kills the API server finds it back before he has typed the next command.
#[graded]
fn a_unit_that_dies_is_started_again_at_once() {
    let mut machine = Machine::new(&[("apiserver", 1)]);
    machine.pass(ms(500));
    machine.dies("apiserver", Exit::Signal(9));
    insta::assert_snapshot!(machine.told(), @r"
    0 start apiserver
    500 died apiserver
    500 start apiserver
    ");
    assert_eq!(machine.supervisor.units()["apiserver"].restarts, 1);
}

/// A wrong flag must not keep a processor busy all night.
#[graded]
fn a_unit_that_dies_again_and_again_waits_longer_each_time() {
    let mut machine = Machine::new(&[("store", 0)]);
    machine.obey();
    for _ in 0..4 {
        machine.dies("store", Exit::Code(1));
        let pause = machine.supervisor.poll_deadline().map_or(Duration::ZERO, |due| due - machine.now);
        machine.pass(pause);
    }
    insta::assert_snapshot!(machine.told(), @r"
    0 start store
    0 died store
    0 start store
    0 died store
    100 start store
    100 died store
    300 start store
    300 died store
    700 start store
    ");
}

/// A death a day for a month is thirty accidents, not a crash loop.
#[graded]
fn ten_healthy_seconds_make_the_next_death_the_first_again() {
    let mut machine = Machine::new(&[("store", 0)]);
    machine.obey();
    machine.dies("store", Exit::Code(1));
    machine.dies("store", Exit::Code(1));
    machine.pass(ms(100));
    machine.told();
    machine.pass(ms(9_999));
    machine.dies("store", Exit::Code(1));
    assert_eq!(
        machine.told(),
        "10099 died store",
        "9.999 s are not 10: the third death in a row has a pause"
    );
    machine.pass(ms(200));
    machine.told();
    machine.pass(ms(10_000));
    machine.dies("store", Exit::Code(1));
    assert_eq!(machine.told(), "20299 died store\n20299 start store");
}

/// A missing file is as good as a death at once.
#[graded]
fn a_program_that_cannot_be_started_has_pauses_too() {
    let mut supervisor = Supervisor::new(Policy::default());
    supervisor.add("store", 0);
    supervisor.handle_start("store", ms(0));
    for pause in [0, 100, 200] {
        let now = supervisor.poll_deadline().expect("it waits to be started");
        assert_eq!(supervisor.poll(now), [Action::Spawn { unit: "store".into() }]);
        supervisor.handle_not_spawned("store", now);
        assert_eq!(supervisor.poll_deadline(), Some(now + ms(pause)));
    }
    assert_eq!(supervisor.units()["store"].last_exit, Some(Exit::NotStarted));
}

/// `node stop` means stop; a supervisor that knows better could not be maintained under.
#[graded]
fn a_unit_that_was_stopped_rests_until_somebody_starts_it() {
    let mut machine = Machine::new(&[("node-1", 3)]);
    machine.pass(ms(100));
    machine.supervisor.handle_stop("node-1");
    machine.obey();
    machine.dies("node-1", Exit::Signal(15));
    machine.pass(ms(60_000));
    machine.supervisor.handle_start("node-1", machine.now);
    machine.pass(ms(0));
    insta::assert_snapshot!(machine.told(), @r"
    0 start node-1
    100 term node-1
    100 died node-1
    60100 start node-1
    ");
    assert_eq!(machine.supervisor.units()["node-1"].restarts, 0, "to be switched on is no restart");
}

/// The wish counts, not the plan.
#[graded]
fn a_unit_that_waits_for_its_restart_can_be_stopped() {
    let mut machine = Machine::new(&[("store", 0)]);
    machine.obey();
    machine.dies("store", Exit::Code(1));
    machine.dies("store", Exit::Code(1));
    machine.supervisor.handle_stop("store");
    machine.pass(ms(60_000));
    assert_eq!(machine.supervisor.units()["store"].state, State::Stopped);
    assert_eq!(machine.told().lines().last(), Some("0 died store"));
}

/// Patience ends; and the kernel does not forget a signal.
#[graded]
fn who_does_not_listen_is_killed_once() {
    let mut machine = Machine::new(&[("kubelet", 1)]);
    machine.obey();
    machine.supervisor.handle_stop("kubelet");
    machine.pass(ms(30_000));
    insta::assert_snapshot!(machine.told(), @r"
    0 start kubelet
    0 term kubelet
    5000 kill kubelet
    ");
}

/// Two processes of one unit would fight for its sockets and its files.
#[graded]
fn a_unit_that_is_wanted_again_while_it_stops_starts_when_it_has_stopped() {
    let mut machine = Machine::new(&[("node-1", 3)]);
    machine.obey();
    machine.supervisor.handle_stop("node-1");
    machine.obey();
    machine.supervisor.handle_start("node-1", machine.now);
    machine.pass(ms(10));
    assert_eq!(machine.living.len(), 1, "never two processes of one unit");
    machine.dies("node-1", Exit::Signal(15));
    machine.pass(ms(0));
    insta::assert_snapshot!(machine.told(), @r"
    0 start node-1
    0 term node-1
    10 died node-1
    10 start node-1
    ");
}

/// A kubelet that cannot reach its API server any more cannot say that its pods are gone.
#[graded]
fn at_the_end_what_others_depend_on_stops_last() {
    let mut machine =
        Machine::new(&[("store", 0), ("apiserver", 1), ("scheduler", 2), ("node-1", 3), ("node-2", 3)]);
    machine.obey();
    machine.told();
    machine.supervisor.handle_end();
    for unit in ["node-2", "node-1", "scheduler", "apiserver", "store"] {
        machine.pass(ms(10));
        assert!(!machine.supervisor.ended());
        machine.dies(unit, Exit::Code(0));
    }
    assert!(machine.supervisor.ended());
    insta::assert_snapshot!(machine.told(), @r"
    0 term node-1
    0 term node-2
    10 died node-2
    20 died node-1
    20 term scheduler
    30 died scheduler
    30 term apiserver
    40 died apiserver
    40 term store
    50 died store
    ");
}

/// Or the end never comes.
#[graded]
fn at_the_end_nothing_is_started_any_more() {
    let mut machine = Machine::new(&[("store", 0), ("apiserver", 1), ("scheduler", 2)]);
    machine.obey();
    machine.told();
    machine.supervisor.handle_end();
    machine.obey();
    // Its turn had not come yet.
    machine.dies("apiserver", Exit::Signal(9));
    machine.supervisor.handle_start("apiserver", machine.now);
    machine.pass(ms(1000));
    assert_eq!(machine.told(), "0 term scheduler\n0 died apiserver");
}

/// PID 1 reaps every process whose parent has died; most are nobody's unit.
#[graded]
fn the_end_of_an_orphan_concerns_nobody() {
    let mut machine = Machine::new(&[("store", 0)]);
    machine.obey();
    assert_eq!(machine.supervisor.handle_exit(4711, Exit::Code(0), ms(1)), None);
    assert_eq!(machine.supervisor.units()["store"].state, State::Running { pid: 1, since: ms(0) });
}

/// What can happen to a machine.
#[derive(Clone, Debug)]
enum Happening {
    Die(usize),
    Start(usize),
    Stop(usize),
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..3_usize).prop_map(Happening::Die),
        (0..3_usize).prop_map(Happening::Start),
        (0..3_usize).prop_map(Happening::Stop),
        (0..12_000_u64).prop_map(Happening::Pass),
    ]
}

proptest! {
    /// The second oracle: who was last asked for, and who has a process.
    #[graded]
    fn whatever_happens_in_the_end_exactly_those_run_that_are_wanted(story in proptest::collection::vec(happening(), 0..60)) {
        let names = ["a", "b", "c"];
        let mut machine = Machine::new(&[("a", 0), ("b", 1), ("c", 1)]);
        let mut wanted = [true; 3];
        machine.obey();
        for happening in story {
            match happening {
                Happening::Die(unit) => {
                    if machine.living.values().any(|name| name == names[unit]) {
                        machine.dies(names[unit], Exit::Signal(9));
                    }
                }
                Happening::Start(unit) => {
                    wanted[unit] = true;
                    machine.supervisor.handle_start(names[unit], machine.now);
                }
                Happening::Stop(unit) => {
                    wanted[unit] = false;
                    machine.supervisor.handle_stop(names[unit]);
                }
                Happening::Pass(time) => machine.pass(ms(time)),
            }
            machine.obey();
            for name in names {
                let processes = machine.living.values().filter(|living| *living == name).count();
                prop_assert!(processes <= 1, "{name} has {processes} processes");
            }
            // Whoever is to end does, in the end.
            let told_to_end: Vec<String> = machine
                .supervisor
                .units()
                .iter()
                .filter(|(_, unit)| matches!(unit.state, State::Stopping { .. }))
                .map(|(name, _)| name.clone())
                .collect();
            for name in told_to_end {
                machine.dies(&name, Exit::Signal(15));
            }
        }
        // No pause is longer than this.
        machine.pass(Policy::default().longest_pause);
        for (unit, name) in names.iter().enumerate() {
            let lives = machine.living.values().any(|living| living == name);
            prop_assert_eq!(lives, wanted[unit], "{} after all: {}", name, machine.told());
        }
    }
}
