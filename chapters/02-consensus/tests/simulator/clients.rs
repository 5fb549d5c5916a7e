//! Clients: each does one thing after another, gives up after a while, and goes on at another member
//! without knowing what became of it.

use std::collections::{BTreeMap, VecDeque};

use simulator::history::{Answer, Call, Entry, History, Key, Outcome, Read, Value};
use simulator::random::Random;
use simulator::world::World;
use store::heart::Command;
use store::heart::command::Answer as StoreAnswer;
use store::heart::range::{Range, RangeAnswer};
use store::heart::txn::{Compare, DeleteRange, Is, Op, OpAnswer, Put, Target, Txn};
use store::heart::types::{KeyRange, LeaseId, NO_LEASE};

use crate::node::Node;
use crate::requests::{LEASED, What, key_bytes, key_of, keys, value_bytes, value_of};
use crate::state::{Ask, Reply};

pub struct Client {
    number: u64,
    waiting: VecDeque<What>,
    busy: Option<Busy>,
    /// The member that it speaks to.
    pub machine: usize,
    /// What it saw last of each key: the revision of its change.
    seen: BTreeMap<Key, i64>,
    /// The newest revision that it knows.
    newest: i64,
}

struct Busy {
    /// Of the request, for its answer and its end of patience.
    request: u64,
    /// In the history, if it is judged.
    operation: Option<usize>,
}

/// What all clients share.
pub struct Shared {
    pub history: History,
    pub requests: u64,
    pub values: Value,
    pub leases: LeaseId,
    pub patience_us: u64,
}

impl Client {
    pub fn new(number: u64, machine: usize) -> Self {
        Client { number, waiting: VecDeque::new(), busy: None, machine, seen: BTreeMap::new(), newest: 1 }
    }

    pub fn is_busy(&self) -> bool {
        self.busy.is_some() || !self.waiting.is_empty()
    }

    pub fn is_waiting_for(&self, request: u64) -> bool {
        self.busy.as_ref().is_some_and(|busy| busy.request == request)
    }

    pub fn wants(&mut self, what: What) {
        self.waiting.push_back(what);
    }

    /// Begins the next thing, if nothing is under way.
    pub fn begin(&mut self, shared: &mut Shared, world: &mut World<Node>) {
        if self.busy.is_some() {
            return;
        }
        let Some(what) = self.waiting.pop_front() else { return };
        let (call, ask) = self.ask_for(what, shared);
        shared.requests += 1;
        let request = shared.requests;
        let (number, machine) = (self.number, self.machine);
        world.trace.note(None, || {
            let words = call.as_ref().map_or_else(|| format!("{ask:?}"), Call::to_string);
            format!("client {number} to m{machine}: {words}")
        });
        let operation = call.map(|call| shared.history.invoke(self.number, call, world.now_us()));
        self.busy = Some(Busy { request, operation });
        world.ask(machine, request, ask);
        world.wake(world.now_us() + shared.patience_us, request);
    }

    /// Nobody has answered: what it was may have been done, or be done yet.
    pub fn give_up(&mut self, request: u64, random: &mut Random, members: &[usize], world: &mut World<Node>) {
        if self.busy.take_if(|busy| busy.request == request).is_some() {
            let number = self.number;
            world.trace.note(None, || format!("client {number} gives up waiting"));
            self.machine = *random.pick(members);
        }
    }

    /// True if the answer was waited for.
    pub fn handle(
        &mut self,
        request: u64,
        reply: Reply,
        shared: &mut Shared,
        random: &mut Random,
        members: &[usize],
        world: &mut World<Node>,
    ) -> bool {
        let Some(busy) = self.busy.take_if(|busy| busy.request == request) else { return false };
        let outcome = self.outcome(reply);
        let number = self.number;
        world.trace.note(None, || match &outcome {
            Some(Outcome::Done(answer)) => format!("client {number}: {answer}"),
            Some(Outcome::Refused) => format!("client {number}: refused"),
            None => format!("client {number}: nobody knows"),
        });
        if !matches!(outcome, Some(Outcome::Done(_))) {
            self.machine = *random.pick(members);
        }
        if let (Some(operation), Some(outcome)) = (busy.operation, outcome) {
            shared.history.end(operation, outcome, world.now_us());
        }
        true
    }

    /// `None`: unknown.
    fn outcome(&mut self, reply: Reply) -> Option<Outcome> {
        let answer = match reply {
            Reply::Write(Ok(answer)) => written(&answer),
            Reply::Read(Ok(answer)) => self.read(&answer),
            // Whatever the store refuses has changed nothing.
            Reply::Write(Err(_)) | Reply::Read(Err(_)) => return Some(Outcome::Refused),
            Reply::Refused { unknown: false } => return Some(Outcome::Refused),
            Reply::Refused { unknown: true } => return None,
            Reply::KeptAlive | Reply::Done => Answer::default(),
            Reply::Delivery(_) => unreachable!("only streams are told"),
        };
        self.newest = self.newest.max(answer.revision);
        Some(Outcome::Done(answer))
    }

    fn read(&mut self, answer: &RangeAnswer) -> Answer {
        let entries: Vec<Entry> = answer
            .records
            .iter()
            .map(|record| Entry {
                key: key_of(&record.key),
                value: value_of(record.value()),
                revision: record.revision.main,
            })
            .collect();
        for entry in &entries {
            self.seen.insert(entry.key, entry.revision);
        }
        Answer { revision: answer.revision, changed: false, entries }
    }

    /// The call for the judges, if they know such calls, and the command for the store.
    fn ask_for(&mut self, what: What, shared: &mut Shared) -> (Option<Call>, Ask) {
        let mut value = || {
            shared.values += 1;
            shared.values
        };
        match what {
            What::Put(keys) => {
                let puts: Vec<(Key, Value)> = keys.into_iter().map(|key| (key, value())).collect();
                let command = match &puts[..] {
                    [(key, value)] => Command::Put(put(*key, *value, NO_LEASE)),
                    several => {
                        let puts = several.iter().map(|(key, value)| Op::Put(put(*key, *value, NO_LEASE)));
                        Command::Txn(Txn { success: puts.collect(), ..Txn::default() })
                    }
                };
                (Some(Call::Put(puts)), Ask::Write(command))
            }
            What::Delete(first, last) => {
                let delete = DeleteRange { keys: keys(first, last), prev_kv: false };
                (Some(Call::Delete(first, last)), Ask::Write(Command::Delete(delete)))
            }
            What::Swap(key) => {
                let (expected, value) = (self.seen.get(&key).copied().unwrap_or(0), value());
                let keys = KeyRange::single(key_bytes(key));
                let compare = vec![Compare { keys, is: Is::Equal, than: Target::Mod(expected) }];
                let success = vec![Op::Put(put(key, value, NO_LEASE))];
                let txn = Txn { compare, success, failure: vec![Op::Range(range(key, key))] };
                (Some(Call::Swap { key, expected, value }), Ask::Write(Command::Txn(txn)))
            }
            What::Read { first, last, linearizable } => {
                let call = Read { first, last, at: None, linearizable };
                let range = Box::new(range(first, last));
                (Some(Call::Read(call)), Ask::Read { range, linearizable })
            }
            What::ReadOld { back } => {
                let at = (self.newest - back).max(1);
                let call = Read { first: 0, last: LEASED - 1, at: Some(at), linearizable: true };
                let range = Range { revision: at, ..range(call.first, call.last) };
                (Some(Call::Read(call)), Ask::Read { range: Box::new(range), linearizable: true })
            }
            // Numbers are not used again: the end of an old lease may still be under way.
            What::Grant => {
                shared.leases += 1;
                (None, Ask::Write(Command::LeaseGrant { id: shared.leases, ttl: 2 }))
            }
            What::PutLeased(key, back) => {
                let (id, value) = ((shared.leases - back as LeaseId).max(1), value());
                (Some(Call::Put(vec![(key, value)])), Ask::Write(Command::Put(put(key, value, id))))
            }
            What::KeepAlive(back) => (None, Ask::KeepAlive((shared.leases - back as LeaseId).max(1))),
        }
    }
}

pub fn put(key: Key, value: Value, lease: LeaseId) -> Put {
    Put { lease, ..Put::new(key_bytes(key), value_bytes(value)) }
}

pub fn range(first: Key, last: Key) -> Range {
    Range::of(keys(first, last))
}

fn written(answer: &StoreAnswer) -> Answer {
    let (revision, changed) = match answer {
        StoreAnswer::Put(put) => (put.revision, true),
        StoreAnswer::Delete(delete) => (delete.revision, delete.deleted > 0),
        StoreAnswer::Txn(txn) => {
            let wrote = txn.answers.iter().any(|answer| matches!(answer, OpAnswer::Put(_)));
            (txn.revision, wrote)
        }
        _ => (0, false),
    };
    Answer { revision, changed, entries: Vec::new() }
}
