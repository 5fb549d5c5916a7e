//! A store so simple that it is plainly right: it keeps a whole copy of everything for each
//! revision.

use std::collections::{BTreeMap, BTreeSet};

use crate::heart::alarm::{Alarm, AlarmKind};
use crate::heart::range::{Range, SortOrder, SortTarget};
use crate::heart::txn::{Compare, DeleteRange, Op, Put, Target, Txn};
use crate::heart::types::{Event, KeyRange, RangeEnd, Record};
use crate::heart::{Command, Error};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kv {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub create: i64,
    pub modified: i64,
    pub version: i64,
    pub lease: i64,
}

impl From<&Record> for Kv {
    fn from(r: &Record) -> Self {
        Kv {
            key: r.key.to_vec(),
            value: r.value().to_vec(),
            create: r.create,
            modified: r.revision.main,
            version: r.version,
            lease: r.lease,
        }
    }
}

/// One change: the new version or the deleted key, and what was there at the revision before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: Vec<u8>,
    pub now: Option<Kv>,
    pub prev: Option<Kv>,
    pub main: i64,
}

impl From<&Event> for Change {
    fn from(e: &Event) -> Self {
        Change {
            key: e.record.key.to_vec(),
            now: (!e.record.is_tombstone()).then(|| Kv::from(&*e.record)),
            prev: e.prev.as_deref().map(Kv::from),
            main: e.record.revision.main,
        }
    }
}

type State = BTreeMap<Vec<u8>, Kv>;

#[derive(Debug)]
pub struct Model {
    /// At `[n]`, everything as of revision n + 1.
    states: Vec<State>,
    pub changes: Vec<Change>,
    pub compacted: i64,
    /// Time to live, and what was left at the last checkpoint.
    pub leases: BTreeMap<i64, (i64, i64)>,
    pub alarms: BTreeSet<Alarm>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Ranged {
    pub revision: i64,
    pub kvs: Vec<Kv>,
    pub more: bool,
    pub count: i64,
}

/// What an operation answered, flattened.
#[derive(Debug, PartialEq, Eq)]
pub enum Did {
    Range(Ranged),
    Put { revision: i64, prev: Option<Kv> },
    Delete { revision: i64, deleted: i64, prev: Vec<Kv> },
    Txn { revision: i64, succeeded: bool, did: Vec<Did> },
    Compact,
    Grant { ttl: i64 },
    Revoke { revision: i64 },
    Checkpoint,
    Alarm(Option<Alarm>),
}

pub fn holds(keys: &KeyRange, key: &[u8]) -> bool {
    key >= &*keys.start
        && match &keys.end {
            RangeEnd::Single => key.len() == keys.start.len() && key.starts_with(&keys.start),
            RangeEnd::Unbounded => true,
            RangeEnd::Before(end) => key < &**end,
        }
}

impl Model {
    pub fn new() -> Self {
        Model {
            states: vec![State::new()],
            changes: Vec::new(),
            compacted: -1,
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
        }
    }

    pub fn revision(&self) -> i64 {
        self.states.len() as i64
    }

    fn now(&self) -> &State {
        self.states.last().expect("there is always a state")
    }

    pub fn range(&self, r: &Range) -> Result<Ranged, Error> {
        if r.revision > self.revision() {
            return Err(Error::FutureRevision);
        }
        let at = if r.revision <= 0 { self.revision() } else { r.revision };
        if at < self.compacted {
            return Err(Error::Compacted);
        }
        Ok(select(r, &self.states[at as usize - 1], self.revision()))
    }

    pub fn apply(&mut self, command: &Command) -> Result<Did, Error> {
        command.check()?;
        self.check_alarms(command)?;
        match command {
            Command::Put(put) => {
                self.check_lease(put)?;
                self.check_kept(put)?;
                let mut draft = self.draft();
                let did = draft.put(put);
                self.commit(draft);
                Ok(did)
            }
            Command::Delete(delete) => {
                let mut draft = self.draft();
                let did = draft.delete(delete);
                self.commit(draft);
                Ok(did)
            }
            Command::Txn(txn) => {
                let mut chosen = Vec::new();
                self.choose(txn, &mut chosen);
                for op in &chosen {
                    if let Op::Put(put) = op {
                        self.check_kept(put)?;
                        self.check_lease(put)?;
                    }
                }
                for op in &chosen {
                    if let Op::Range(r) = op {
                        if r.revision > self.revision() {
                            return Err(Error::FutureRevision);
                        }
                        if r.revision != 0 && r.revision < self.compacted {
                            return Err(Error::Compacted);
                        }
                    }
                }
                let mut draft = self.draft();
                let Did::Txn { succeeded, did, .. } = self.run(txn, &mut draft) else { unreachable!() };
                let revision = draft.revision();
                self.commit(draft);
                Ok(Did::Txn { revision, succeeded, did })
            }
            Command::Compact { revision } if *revision <= self.compacted => Err(Error::Compacted),
            Command::Compact { revision } if *revision > self.revision() => Err(Error::FutureRevision),
            Command::Compact { revision } => {
                self.compacted = *revision;
                Ok(Did::Compact)
            }
            Command::LeaseGrant { id: 0, .. } => Err(Error::LeaseNotFound),
            Command::LeaseGrant { ttl, .. } if *ttl > 9_000_000_000 => Err(Error::LeaseTtlTooLarge),
            Command::LeaseGrant { id, .. } if self.leases.contains_key(id) => Err(Error::LeaseExists),
            Command::LeaseGrant { id, ttl } => {
                self.leases.insert(*id, ((*ttl).max(2), 0));
                Ok(Did::Grant { ttl: (*ttl).max(2) })
            }
            Command::LeaseRevoke { id } => {
                self.leases.remove(id).ok_or(Error::LeaseNotFound)?;
                let mut draft = self.draft();
                for key in self.attached(*id) {
                    draft.delete(&DeleteRange { keys: KeyRange::single(key), prev_kv: false });
                }
                let revision = draft.revision();
                self.commit(draft);
                Ok(Did::Revoke { revision })
            }
            Command::LeaseCheckpoint { leases } => {
                for (id, left) in leases {
                    self.leases.entry(*id).and_modify(|(ttl, remaining)| {
                        *remaining = if (1..*ttl).contains(left) { *left } else { 0 };
                    });
                }
                Ok(Did::Checkpoint)
            }
            Command::Alarm { alarm, raise: true } => {
                self.alarms.insert(*alarm);
                Ok(Did::Alarm(Some(*alarm)))
            }
            Command::Alarm { alarm, raise: false } => {
                Ok(Did::Alarm(self.alarms.remove(alarm).then_some(*alarm)))
            }
            Command::Auth(_) | Command::As(..) => unreachable!("nobody changes users here"),
        }
    }

    fn check_alarms(&self, command: &Command) -> Result<(), Error> {
        let raised = |kind| self.alarms.iter().any(|alarm| alarm.kind == kind);
        let grows = match command {
            Command::Put(_) | Command::LeaseGrant { .. } => true,
            Command::Txn(txn) => {
                let mut found = Vec::new();
                txn.success.iter().chain(&txn.failure).for_each(|op| writes(op, true, &mut found));
                found.iter().any(|write| matches!(write, Write::Put(..)))
            }
            _ => false,
        };
        let about = matches!(command, Command::Alarm { .. } | Command::LeaseCheckpoint { .. });
        if !about && raised(AlarmKind::Corrupt) {
            return Err(Error::Corrupt);
        }
        if grows && raised(AlarmKind::NoSpace) { Err(Error::NoSpace) } else { Ok(()) }
    }

    pub fn attached(&self, lease: i64) -> Vec<Vec<u8>> {
        self.now().values().filter(|kv| kv.lease == lease).map(|kv| kv.key.clone()).collect()
    }

    fn check_lease(&self, put: &Put) -> Result<(), Error> {
        let known = put.lease == 0 || self.leases.contains_key(&put.lease);
        if known { Ok(()) } else { Err(Error::LeaseNotFound) }
    }

    fn check_kept(&self, put: &Put) -> Result<(), Error> {
        let needed = put.ignore_value || put.ignore_lease;
        if needed && !self.now().contains_key(&*put.key) { Err(Error::KeyNotFound) } else { Ok(()) }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let found: Vec<&Kv> = self.now().values().filter(|kv| holds(&compare.keys, &kv.key)).collect();
        if found.is_empty() {
            let zero = Kv { key: vec![], value: vec![], create: 0, modified: 0, version: 0, lease: 0 };
            return !matches!(compare.than, Target::Value(_)) && accepts(compare, &zero);
        }
        found.into_iter().all(|kv| accepts(compare, kv))
    }

    /// The branch that is taken, nested ones inlined.
    fn choose<'a>(&self, txn: &'a Txn, chosen: &mut Vec<&'a Op>) -> bool {
        let succeeded = txn.compare.iter().all(|c| self.holds(c));
        for op in if succeeded { &txn.success } else { &txn.failure } {
            match op {
                Op::Txn(nested) => {
                    self.choose(nested, chosen);
                }
                op => chosen.push(op),
            }
        }
        succeeded
    }

    fn run(&self, txn: &Txn, draft: &mut Draft) -> Did {
        let succeeded = txn.compare.iter().all(|c| self.holds(c));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let did = ops.iter().map(|op| match op {
            Op::Put(put) => draft.put(put),
            Op::Delete(delete) => draft.delete(delete),
            Op::Txn(nested) => self.run(nested, draft),
            Op::Range(r) => {
                let past = r.revision > 0 && r.revision < draft.revision();
                let state = if past { &self.states[r.revision as usize - 1] } else { &draft.state };
                Did::Range(select(r, state, draft.revision()))
            }
        });
        Did::Txn { revision: 0, succeeded, did: did.collect() }
    }

    fn draft(&self) -> Draft {
        Draft {
            before: self.now().clone(),
            state: self.now().clone(),
            main: self.revision() + 1,
            changes: vec![],
        }
    }

    fn commit(&mut self, draft: Draft) {
        if !draft.changes.is_empty() {
            self.states.push(draft.state);
            self.changes.extend(draft.changes);
        }
    }
}

struct Draft {
    before: State,
    state: State,
    main: i64,
    changes: Vec<Change>,
}

impl Draft {
    fn revision(&self) -> i64 {
        if self.changes.is_empty() { self.main - 1 } else { self.main }
    }

    fn put(&mut self, put: &Put) -> Did {
        let prev = self.state.get(&*put.key).cloned();
        let mut kv = Kv {
            key: put.key.to_vec(),
            value: put.value.to_vec(),
            create: prev.as_ref().map_or(self.main, |p| p.create),
            modified: self.main,
            version: prev.as_ref().map_or(1, |p| p.version + 1),
            lease: put.lease,
        };
        if let Some(prev) = &prev {
            if put.ignore_value {
                kv.value = prev.value.clone();
            }
            if put.ignore_lease {
                kv.lease = prev.lease;
            }
        }
        self.state.insert(kv.key.clone(), kv.clone());
        self.change(kv.key.clone(), Some(kv));
        Did::Put { revision: self.main, prev: prev.filter(|_| put.prev_kv) }
    }

    fn delete(&mut self, delete: &DeleteRange) -> Did {
        let gone: Vec<Kv> = self.state.values().filter(|kv| holds(&delete.keys, &kv.key)).cloned().collect();
        for kv in &gone {
            self.state.remove(&kv.key);
            self.change(kv.key.clone(), None);
        }
        Did::Delete {
            revision: self.revision(),
            deleted: gone.len() as i64,
            prev: if delete.prev_kv { gone } else { vec![] },
        }
    }

    fn change(&mut self, key: Vec<u8>, now: Option<Kv>) {
        // A put that begins a life has nothing before it, whatever the revision began with.
        let begins = now.as_ref().is_some_and(|kv| kv.create == self.main);
        let prev = self.before.get(&key).filter(|_| !begins).cloned();
        self.changes.push(Change { key, now, prev, main: self.main });
    }
}

fn accepts(compare: &Compare, kv: &Kv) -> bool {
    compare.is.accepts(match &compare.than {
        Target::Version(n) => kv.version.cmp(n),
        Target::Create(n) => kv.create.cmp(n),
        Target::Mod(n) => kv.modified.cmp(n),
        Target::Lease(n) => kv.lease.cmp(n),
        Target::Value(v) => kv.value.as_slice().cmp(v),
    })
}

fn select(r: &Range, state: &State, revision: i64) -> Ranged {
    let mut kvs: Vec<Kv> = state.values().filter(|kv| holds(&r.keys, &kv.key)).cloned().collect();
    let count = kvs.len() as i64;
    if r.count_only {
        return Ranged { revision, kvs: vec![], more: false, count };
    }
    let bounded = [r.min_mod, r.max_mod, r.min_create, r.max_create] != [0; 4];
    // etcd cuts by key first when nothing but a target without an order is asked for.
    if r.order == SortOrder::None && !bounded && r.limit > 0 {
        kvs.truncate(r.limit as usize + 1);
    }
    kvs.retain(|kv| r.min_mod == 0 || kv.modified >= r.min_mod);
    kvs.retain(|kv| r.max_mod == 0 || kv.modified <= r.max_mod);
    kvs.retain(|kv| r.min_create == 0 || kv.create >= r.min_create);
    kvs.retain(|kv| r.max_create == 0 || kv.create <= r.max_create);
    kvs.sort_by(|a, b| {
        let order = match r.target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create.cmp(&b.create),
            SortTarget::Mod => a.modified.cmp(&b.modified),
            SortTarget::Value => a.value.cmp(&b.value),
        };
        if r.order == SortOrder::Descend { order.reverse() } else { order }
    });
    let more = r.limit > 0 && kvs.len() as i64 > r.limit;
    if more {
        kvs.truncate(r.limit as usize);
    }
    Ranged { revision, kvs, more, count }
}

/// Whether a list of operations may write a key twice: looks at every pair of writes and at where
/// their ways part.
pub fn writes_twice(ops: &[Op]) -> bool {
    let within = ops.iter().any(|op| match op {
        Op::Txn(txn) => writes_twice(&txn.success) || writes_twice(&txn.failure),
        _ => false,
    });
    let clash = |i: usize, j: usize| {
        let (mut a, mut b) = (vec![], vec![]);
        writes(&ops[i], true, &mut a);
        writes(&ops[j], true, &mut b);
        a.iter().any(|a| b.iter().any(|b| meets(a, i, b, j) || meets(b, j, a, i)))
    };
    within || (0..ops.len()).any(|i| (0..i).any(|j| clash(i, j)))
}

enum Write<'a> {
    Put(&'a [u8], bool),
    Delete(&'a KeyRange, bool),
}

fn writes<'a>(op: &'a Op, direct: bool, found: &mut Vec<Write<'a>>) {
    match op {
        Op::Put(put) => found.push(Write::Put(&put.key, direct)),
        Op::Delete(delete) => found.push(Write::Delete(&delete.keys, direct)),
        Op::Txn(txn) => txn.success.iter().chain(&txn.failure).for_each(|op| writes(op, false, found)),
        Op::Range(_) => {}
    }
}

/// One thing passes: a put in a nested transaction before a delete in a later one.
fn meets(a: &Write<'_>, at: usize, b: &Write<'_>, bt: usize) -> bool {
    match (a, b) {
        (Write::Put(a, _), Write::Put(b, _)) => a == b,
        (Write::Put(key, false), Write::Delete(keys, false)) => bt < at && holds(keys, key),
        (Write::Put(key, _), Write::Delete(keys, _)) => holds(keys, key),
        (Write::Delete(..), _) => false,
    }
}
