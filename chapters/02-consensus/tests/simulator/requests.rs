//! What is asked of the cluster, drawn from a seed; and keys and values as bytes.

use simulator::faults;
use simulator::history::{Key, Value};
use simulator::plan::Plan;
use simulator::random::Random;
use store::heart::types::KeyRange;

/// Machines that there are. The first few are the first members.
pub const MACHINES: usize = 7;
/// Keys from here on hang on leases.
pub const LEASED: Key = 50;
const KEYS: u64 = 5;

pub fn key_bytes(key: Key) -> Vec<u8> {
    format!("k{key:03}").into_bytes()
}

pub fn key_of(bytes: &[u8]) -> Key {
    std::str::from_utf8(&bytes[1..]).ok().and_then(|s| s.parse().ok()).expect("a key of ours")
}

pub fn value_bytes(value: Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

pub fn value_of(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).ok().and_then(|s| s.parse().ok()).expect("a value of ours")
}

/// From the first key to the last, that one included.
pub fn keys(first: Key, last: Key) -> KeyRange {
    KeyRange::from_wire(&key_bytes(first), &if first == last { Vec::new() } else { key_bytes(last + 1) })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// One of the clients does it, when it has done what it was asked before.
    Client {
        client: u64,
        what: What,
    },
    /// A watcher loses its connection and makes another.
    Reconnect(usize),
    /// A watcher asks how far it has come.
    Progress(usize),
    Admin(Admin),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Put(Vec<Key>),
    Delete(Key, Key),
    /// Put if nobody else has changed the key since this client looked.
    Swap(Key),
    Read {
        first: Key,
        last: Key,
        linearizable: bool,
    },
    /// So many revisions before the newest that the client knows.
    ReadOld {
        back: i64,
    },
    /// A new lease, and a key that hangs on one: so many leases before the newest.
    Grant,
    PutLeased(Key, usize),
    KeepAlive(usize),
}

/// What an administrator does. Machines are numbers from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    Add {
        learner: bool,
    },
    Promote,
    Remove(usize),
    Transfer(usize),
    /// So many revisions before the newest are kept.
    Compact {
        keep: i64,
    },
}

/// How the cluster is set up; drawn with the plan, from the same seed.
#[derive(Debug, Clone)]
pub struct Shape {
    pub members: usize,
    pub clients: u64,
    /// So many of the clients only read: who waits for a write sees nothing meanwhile.
    pub readers: u64,
    pub watchers: usize,
    pub election_ticks: usize,
    /// Entries between two snapshots.
    pub snapshot_every: u64,
    /// How long clients wait for an answer.
    pub patience_us: u64,
    /// Events that a watcher may be sent ahead.
    pub window: usize,
    /// Microseconds that a watcher takes to take something.
    pub slow_watcher_us: u64,
}

impl Shape {
    pub fn draw(seed: u64) -> Shape {
        let mut random = Random::new(seed ^ 0x5ea5_1de5);
        let clients = random.between(2, 8);
        Shape {
            clients,
            readers: clients / 3,
            members: *random.pick(&[1, 2, 3, 3, 3, 3, 4, 5]),
            watchers: random.between(1, 3) as usize,
            election_ticks: random.between(4, 10) as usize,
            snapshot_every: *random.pick(&[8, 20, 50, 1000]),
            patience_us: random.between(200, 2_000) * 1_000,
            window: random.between(1, 20) as usize,
            slow_watcher_us: *random.pick(&[0, 10_000, 500_000]),
        }
    }
}

pub fn plan(seed: u64) -> Plan<Request> {
    let shape = Shape::draw(seed);
    let mut random = Random::new(seed);
    let end_us = random.between(4, 12) * 1_000_000;
    let faults = faults::draw(&mut random, shape.members, end_us);
    let mut requests = Vec::new();
    let with_admin = random.chance(700);
    for _ in 0..random.between(60, 260) {
        let client = random.below(shape.clients);
        let what = if client < shape.readers { draw_read(&mut random) } else { draw(&mut random) };
        requests.push((random.below(end_us), Request::Client { client, what }));
    }
    for _ in 0..random.below(6) {
        let watcher = random.below(shape.watchers as u64) as usize;
        let request =
            if random.chance(500) { Request::Reconnect(watcher) } else { Request::Progress(watcher) };
        requests.push((random.below(end_us), request));
    }
    for _ in 0..random.below(12) {
        let admin = match random.below(6) {
            0 | 1 => Admin::Transfer(random.below(shape.members as u64) as usize),
            2 => Admin::Compact { keep: random.below(20) as i64 },
            _ if !with_admin => continue,
            3 => Admin::Add { learner: random.chance(600) },
            4 => Admin::Promote,
            _ => Admin::Remove(random.below(MACHINES as u64) as usize),
        };
        requests.push((random.below(end_us), Request::Admin(admin)));
    }
    requests.sort_by_key(|(at_us, _)| *at_us);
    Plan { seed, end_us, faults, requests }
}

fn draw_read(random: &mut Random) -> What {
    What::Read { first: 0, last: random.below(KEYS) as Key, linearizable: random.chance(900) }
}

fn draw(random: &mut Random) -> What {
    let key = random.below(KEYS) as Key;
    let last = key + random.below(3) as Key;
    let lease = random.below(3) as usize;
    match random.below(20) {
        0..=4 => What::Put(vec![key]),
        5 | 6 => What::Put((key..=last).collect()),
        7 => What::Delete(key, last),
        8..=10 => What::Swap(key),
        11..=13 => What::Read { first: key, last: key, linearizable: true },
        14 => What::Read { first: 0, last: KEYS as Key + 2, linearizable: true },
        15 => What::Read { first: key, last, linearizable: false },
        16 => What::ReadOld { back: random.below(10) as i64 },
        17 => What::Grant,
        18 => What::PutLeased(LEASED + random.below(3) as Key, lease),
        _ => What::KeepAlive(lease),
    }
}
