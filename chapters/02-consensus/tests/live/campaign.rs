//! Three members under load, and everything that can happen to them.
//!
//! `CORACLE_LONG=1` makes it a minute, `CORACLE_LIVE_SECONDS` as long as one likes, and
//! `CORACLE_LIVE_SEED` draws the same faults again.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use simulator::judge;
use simulator::random::Random;
use store::etcd::maintenance_client::MaintenanceClient;
use store::etcd::{HashKvRequest, StatusRequest};
use tokio::sync::watch;

use crate::clients::{Client, KEYS, Seen, channel};
use crate::machines::{Machines, inside};
use crate::watchers::{self, FIRST};

const MEMBERS: usize = 3;
const CLIENTS: u64 = 12;
/// For the members to find together and be asked again, after the last fault.
const RECOVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// `kill -9`, and a start.
    Kill,
    /// Stands still and goes on, and has noticed nothing.
    Pause,
    /// No member reaches it.
    Isolate,
    /// What it sends to one other is lost.
    OneWay,
    /// Its disk is full: it ends, and is started when there is room again.
    FullDisk,
    /// All are killed at once.
    Outage,
}

const FAULTS: [Fault; 6] =
    [Fault::Isolate, Fault::Kill, Fault::Pause, Fault::OneWay, Fault::FullDisk, Fault::Outage];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn three_members_keep_their_word_whatever_happens_to_them() {
    if !inside("campaign::three_members_keep_their_word_whatever_happens_to_them") {
        return;
    }
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_nanos() as u64;
    let seed = number("CORACLE_LIVE_SEED").unwrap_or_else(now);
    let long = if std::env::var_os("CORACLE_LONG").is_some() { 60 } else { 15 };
    let seconds = number("CORACLE_LIVE_SECONDS").unwrap_or(long);
    println!("CORACLE_LIVE_SEED={seed} CORACLE_LIVE_SECONDS={seconds}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(campaign(Random::new(seed), Duration::from_secs(seconds)));
}

async fn campaign(mut random: Random, load: Duration) {
    let mut machines = Machines::new(MEMBERS);
    let all: Vec<usize> = (1..=MEMBERS).collect();
    let start = format!("--initial-cluster {} --snapshot-count 1000", machines.initial_cluster(&all));
    for number in &all {
        machines.get(*number).start(&start);
    }
    let seen = Seen::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let machine = number as usize % MEMBERS + 1;
            let client = Client { number, machine, random: random.fork(), seen: seen.clone() };
            tokio::spawn(client.run())
        })
        .collect();
    let enough = Arc::new(watch::Sender::new(None));
    let mut watching = Vec::new();
    for number in &all {
        // One of all keys, and one of few.
        for (first, last) in [(0, KEYS - 1), (3, 4)] {
            watching.push(tokio::spawn(watchers::run(*number, first, last, enough.clone())));
        }
    }
    let (began, mut told) = (Instant::now(), Vec::new());
    let mut bag: Vec<Fault> = Vec::new();
    loop {
        if bag.is_empty() {
            bag = FAULTS.to_vec();
        }
        let fault = bag.swap_remove(random.below(bag.len() as u64) as usize);
        // Whatever happens, it happens to the leader every other time.
        let victim = match leader(&all).await {
            Some(leader) if random.chance(500) => leader,
            _ => *random.pick(&all),
        };
        told.push(format!("{fault:?} {victim}"));
        tokio::time::sleep(Duration::from_millis(random.between(300, 1200))).await;
        happen(fault, victim, &mut machines, &start, &mut random).await;
        if began.elapsed() >= load {
            break;
        }
    }
    println!("faults: {}", told.join(", "));
    // All is well again: every member takes a write, and everybody hears of the last one.
    let mut newest = FIRST;
    for number in &all {
        newest = newest.max(last_write(*number, &seen, &machines).await);
    }
    for client in clients {
        client.abort();
        let _ = client.await;
    }
    newest = newest.max(last_write(1, &seen, &machines).await);
    enough.send_replace(Some(newest));
    let mut watched = Vec::new();
    for watcher in watching {
        let told = tokio::time::timeout(RECOVERY, watcher).await;
        watched.push(
            told.unwrap_or_else(|_| panic!("a watcher hears nothing: {}", machines.last_words()))
                .expect("no panic"),
        );
    }
    let history = seen.history.lock().expect("a history").clone();
    let written = watchers::written(&watched[0]);
    let done = history.operations.iter().filter(|o| o.answer().is_some()).count();
    let refused = history.operations.iter().filter(|o| o.is_refused()).count();
    let logs: String = all.iter().map(|n| machines.get(*n).log()).collect();
    let (snapshots, full) = (logs.matches("taken over").count(), logs.matches("No space left").count());
    println!(
        "{} operations: {done} done, {refused} refused, the rest unknown; {} revisions; {snapshots} snapshots to \
         members that lagged; {full} times a member ended for want of space",
        history.operations.len(),
        written.last()
    );
    if let Err(wrong) = judge::revisions::judge(&history, &written) {
        panic!("the history is not linearizable: {wrong}");
    }
    for watched in &watched {
        if let Err(wrong) = judge::watch::judge(watched, &written, Some(newest)) {
            panic!("{wrong}");
        }
    }
    let mut hashes = Vec::new();
    for number in &all {
        let hash = HashKvRequest { revision: newest };
        let answer =
            MaintenanceClient::new(channel(*number)).hash_kv(hash).await.expect("a hash").into_inner();
        hashes.push((answer.hash, answer.compact_revision));
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "members differ: {hashes:?}");
}

/// Another write through a member, when it can be done at last.
async fn last_write(machine: usize, seen: &Arc<Seen>, machines: &Machines) -> i64 {
    let deadline = Instant::now() + RECOVERY;
    loop {
        match seen.write(machine).await {
            Ok(revision) => return revision,
            Err(why) => {
                assert!(Instant::now() < deadline, "machine {machine}: {why}\n{}", machines.last_words());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The machine whose member leads, as far as anybody knows.
async fn leader(machines: &[usize]) -> Option<usize> {
    for number in machines {
        let status = async { MaintenanceClient::new(channel(*number)).status(StatusRequest {}).await };
        if let Ok(Ok(status)) = tokio::time::timeout(Duration::from_millis(300), status).await {
            let status = status.into_inner();
            if status.header.is_some_and(|header| header.member_id == status.leader) {
                return Some(*number);
            }
        }
    }
    None
}

async fn happen(fault: Fault, victim: usize, machines: &mut Machines, start: &str, random: &mut Random) {
    let hold = Duration::from_millis(random.between(300, 2500));
    match fault {
        Fault::Kill => {
            machines.get(victim).kill();
            tokio::time::sleep(hold).await;
            machines.get(victim).start(start);
        }
        Fault::Pause => {
            machines.get(victim).signal(Signal::SIGSTOP);
            tokio::time::sleep(hold).await;
            machines.get(victim).signal(Signal::SIGCONT);
        }
        Fault::Isolate => {
            machines.get(victim).set_link(false);
            tokio::time::sleep(hold).await;
            machines.get(victim).set_link(true);
        }
        Fault::OneWay => {
            let other = victim % MEMBERS + 1;
            machines.get(victim).set_route(other, false);
            tokio::time::sleep(hold).await;
            machines.get(victim).set_route(other, true);
        }
        Fault::FullDisk => {
            machines.get(victim).set_disk_full(true);
            tokio::time::sleep(hold).await;
            machines.get(victim).kill();
            machines.get(victim).set_disk_full(false);
            machines.get(victim).start(start);
        }
        Fault::Outage => {
            (1..=MEMBERS).for_each(|number| machines.get(number).kill());
            (1..=MEMBERS).for_each(|number| machines.get(number).start(start));
        }
    }
}
