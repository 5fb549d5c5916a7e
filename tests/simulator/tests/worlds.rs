//! A small program in the world: a register on one machine and its copy on another. It is made wrong on
//! purpose, found out, and the failing run made small.

use simulator::disk::Target;
use simulator::faults::{self, Fault, Machines, Planned};
use simulator::plan::Plan;
use simulator::process::{Here, Input, NotStarted, Output, Process};
use simulator::random::Random;
use simulator::trace::Trace;
use simulator::world::{Happening, World};

/// Counts what it is asked to, tells the other machine, answers when the count is on disk.
struct Counter {
    count: u64,
    outputs: Vec<Output<Counter>>,
    hasty: bool,
}

impl Process for Counter {
    /// Whether it answers before the disk does.
    type Setup = bool;
    type Message = u64;
    type Ask = ();
    type Answer = u64;

    fn start(hasty: &bool, here: &mut Here<'_>) -> Result<Self, NotStarted> {
        let count = here.disk.read("log").map_or(0, |log| log.iter().filter(|b| **b == b'+').count());
        here.disk.sync_all();
        Ok(Counter { count: count as u64, outputs: Vec::new(), hasty: *hasty })
    }

    fn handle(&mut self, input: Input<Self>, here: &mut Here<'_>) {
        match input {
            Input::Ask { client, .. } => {
                self.count += 1;
                let (client, answer) = (client, self.count);
                here.note(|| format!("counts {answer}"));
                if here.disk.append("log", b"+").is_err() {
                    self.outputs.push(Output::Stop("the disk is full".into()));
                    return;
                }
                self.outputs.push(Output::Wrote);
                if self.hasty {
                    self.outputs.push(Output::Answer { client, answer });
                }
                self.outputs.push(Output::Sync { target: Target::File("log".into()), token: FILE });
                self.outputs.push(Output::Sync { target: Target::Names, token: client });
            }
            Input::Synced { token } if !self.hasty && token != FILE => {
                self.outputs.push(Output::Answer { client: token, answer: self.count });
            }
            Input::Tick => {
                let to = 1 - here.machine;
                self.outputs.push(Output::Send { to, message: self.count });
            }
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Here<'_>) -> Option<Output<Self>> {
        (!self.outputs.is_empty()).then(|| self.outputs.remove(0))
    }

    fn describe(message: &u64) -> Option<String> {
        Some(format!("has {message}"))
    }
}

/// The sync of the file, which is waited for together with that of the names.
const FILE: u64 = u64::MAX;

fn plan(seed: u64) -> Plan<()> {
    let mut random = Random::new(seed);
    let end_us = 5_000_000;
    let faults = faults::draw(&mut random, 2, end_us);
    let mut requests: Vec<(u64, ())> = (0..20).map(|_| (random.below(end_us), ())).collect();
    requests.sort_unstable();
    Plan { seed, end_us, faults, requests }
}

/// Whether an answered count is lost, and the trace.
fn run(plan: &Plan<()>, hasty: bool, traced: bool) -> (bool, String) {
    let trace = Trace::new(traced);
    let mut world: World<Counter> = World::new(plan.seed, 2, 100_000, plan.faults.clone(), trace);
    world.start(0, hasty);
    world.start(1, hasty);
    for (number, (at_us, ())) in plan.requests.iter().enumerate() {
        world.wake(*at_us, number as u64);
    }
    world.wake(plan.end_us, 1000);
    world.wake(plan.end_us + 3_000_000, 1001);
    let mut answered = 0;
    while let Some(happening) = world.step() {
        match happening {
            Happening::Alarm(1000) => world.heal(),
            Happening::Alarm(1001) => break,
            Happening::Alarm(client) => world.ask(0, client, ()),
            Happening::Answer { answer, .. } => answered = answered.max(answer),
            Happening::Broken { why, .. } => panic!("{why}"),
            Happening::Started(_) | Happening::Stopped(_) => {}
        }
    }
    let counted = world.process(0).expect("all is healed").count;
    (counted < answered, world.trace.render())
}

#[test]
fn the_same_plan_gives_the_same_run() {
    for seed in 0..20 {
        let plan = plan(seed);
        let (once, again) = (run(&plan, false, true), run(&plan, false, true));
        assert!(!once.1.is_empty());
        assert_eq!(once, again, "seed {seed}");
    }
    assert_ne!(run(&plan(1), false, true), run(&plan(2), false, true));
}

#[test]
fn a_counter_that_waits_for_the_disk_loses_nothing() {
    for seed in 0..300 {
        assert!(!run(&plan(seed), false, false).0, "seed {seed}");
    }
}

#[test]
fn a_counter_that_does_not_wait_is_found_out_and_the_plan_made_small() {
    let seed = (0..5000).find(|seed| run(&plan(*seed), true, false).0).expect("it is found");
    let small = plan(seed).shrink(500, |plan| run(plan, true, false).0);
    assert!(small.faults.len() <= 3 && small.requests.len() <= 2, "{small:?}");
    let (fails, trace) = run(&small, true, true);
    assert!(fails && trace.contains("counts 1") && trace.contains("loses its power"), "{trace}");
}

#[test]
fn a_cut_is_one_way_if_it_says_so_and_ends() {
    let cut = |both_ways| Fault::Cut { from: Machines::of(&[0]), to: Machines::of(&[1]), both_ways };
    for both_ways in [false, true] {
        let faults = vec![Planned { at_us: 0, for_us: 1_000_000, fault: cut(both_ways) }];
        let plan = Plan { seed: 3, end_us: 2_000_000, faults, requests: Vec::new() };
        let (_, trace) = run(&plan, false, true);
        let (during, after) = trace.split_once("no more Cut").expect("it ends");
        assert!(during.contains("m0 ▶ m1 has 0 (no way)") && !during.contains("◀ m0"), "{trace}");
        assert_eq!(during.contains("◀ m1"), !both_ways, "{trace}");
        assert!(after.contains("◀ m0") && after.contains("◀ m1"), "{trace}");
    }
}
