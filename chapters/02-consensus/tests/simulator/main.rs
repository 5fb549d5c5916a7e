//! The whole cluster in one thread, thousands of times.
//!
//! Each seed is a cluster of real cores (consensus, store, watch hub, leases, the formats on disk) on
//! simulated machines, with clients, watchers and administrators, and with faults of many kinds. What
//! clients saw must be linearizable, watchers must be told the history, in order, once, whole revisions at
//! a time; members must agree on every entry; and when the faults end the cluster must come back.
//!
//! ```text
//!   CORACLE_LONG=1       as many seeds as CI tries
//!   CORACLE_SEEDS=100000 as many as one likes, or from one to another: 50000..100000
//!   CORACLE_SEED=17      this one, with its trace
//! ```
//!
//! A seed that fails is made small first: faults, requests and time are left out as long as it fails.

mod admin;
mod clients;
mod cluster;
mod files;
mod ledger;
mod member;
mod node;
mod requests;
mod state;
mod watchers;
mod words;

use std::ops::Range;

use cluster::{Summary, run};
use node::Sabotage;
use requests::plan;

const SEEDS: u64 = 200;
const SEEDS_OF_CI: u64 = 2_000;
/// A bug that is put back in must be found by then.
const SEEDS_TO_A_BUG: u64 = 1_000;
/// Lines of a trace that are shown.
const HEAD: usize = 500;
const TAIL: usize = 100;
/// Runs that may be spent on making a failing one small.
const SHRINKING: usize = 1_500;

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} should be a number"))
}

/// Which seeds are to be tried.
fn seeds() -> Range<u64> {
    let long = std::env::var_os("CORACLE_LONG").is_some();
    let Ok(wanted) = std::env::var("CORACLE_SEEDS") else {
        return 0..if long { SEEDS_OF_CI } else { SEEDS };
    };
    match wanted.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&wanted),
    }
}

/// Makes the seed's failure small and tells it.
fn explain(seed: u64, sabotage: Option<Sabotage>) -> String {
    let small = plan(seed).shrink(SHRINKING, |plan| run(plan, sabotage, false).verdict.is_err());
    let run = run(&small, sabotage, true);
    let why = run.verdict.expect_err("it failed without a trace");
    format!("{}\nseed {seed}: {why}\n", readable(&run.trace))
}

/// A cluster that does not come back tries for a long time: its middle says nothing.
fn readable(trace: &str) -> String {
    let lines: Vec<&str> = trace.lines().collect();
    let Some(left_out) = lines.len().checked_sub(HEAD + TAIL) else { return trace.to_string() };
    let (head, tail) = (lines[..HEAD].join("\n"), lines[HEAD + left_out..].join("\n"));
    format!("{head}\n… {left_out} lines …\n{tail}\n")
}

fn replay(seed: u64) -> String {
    format!("again: CORACLE_SEED={seed} cargo test -p consensus --test simulator every_seed")
}

#[test]
fn every_seed_is_linearizable_and_watchers_are_told_the_history() {
    if let Ok(seed) = std::env::var("CORACLE_SEED") {
        let seed = number(&seed);
        match run(&plan(seed), None, true) {
            run if run.verdict.is_err() => panic!("\n{}", explain(seed, None)),
            run => println!("{}{:?}", run.trace, run.verdict),
        }
        return;
    }
    let (seeds, start) = (seeds(), std::time::Instant::now());
    let count = seeds.end - seeds.start;
    let mut all = Summary::default();
    for seed in seeds {
        match run(&plan(seed), None, false).verdict {
            Ok(summary) => all.add(&summary),
            Err(_) => panic!("\n{}{}", explain(seed, None), replay(seed)),
        }
        if seed % 10_000 == 9_999 {
            println!("up to seed {seed} in {} s", start.elapsed().as_secs());
        }
    }
    println!("{count} seeds in {:.1} s: {all:?}", start.elapsed().as_secs_f64());
    // A run that does nothing finds nothing.
    assert!(all.done * 2 > all.operations, "most of what clients want is done");
    assert!(all.restored as u64 > count / 20, "members take over snapshots");
    assert!(all.changes as u64 > count / 20, "members come and go");
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in 0..20 {
        let (once, again) = (run(&plan(seed), None, true), run(&plan(seed), None, true));
        assert_eq!(once.verdict, again.verdict);
        assert!(once.trace == again.trace, "seed {seed} is not the same twice");
    }
}

/// The first seed that finds the bug, and what it says.
fn find(sabotage: Sabotage) {
    let found = (0..SEEDS_TO_A_BUG).find(|seed| run(&plan(*seed), Some(sabotage), false).verdict.is_err());
    let seed = found.unwrap_or_else(|| panic!("{sabotage:?} was not found"));
    println!("{sabotage:?} is found by seed {seed}:\n{}", explain(seed, Some(sabotage)));
}

#[test]
fn an_answer_before_the_disk_has_it_is_found() {
    find(Sabotage::AnswerBeforeSync);
}

#[test]
fn a_request_that_is_applied_twice_is_found() {
    find(Sabotage::ApplyTwice);
}

#[test]
fn a_read_from_a_deposed_leader_is_found() {
    find(Sabotage::ReadFromDeposed);
}
