//! The exact judge of a store that numbers its changes.
//!
//! An answer names a revision, so the order in which everything must have happened is given: writes by
//! their revisions, and what only looked, behind the write of the revision that it saw. What is left to
//! check: each answer says what that order makes true; nothing is written that nobody asked for, or
//! twice; and the order agrees with time: what ended before something else began stands before it.

use std::collections::{BTreeMap, HashMap};

use crate::history::{Call, Change, Entry, History, Key, Operation, Outcome, Read, Value, Violation};

/// What the store says has happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// By revision, without a gap.
    pub revisions: BTreeMap<i64, Revision>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// In the order in which the store made them; no key twice.
    pub changes: Vec<Change>,
    /// Not a client's doing, but the end of a lease.
    pub expiry: bool,
}

impl Written {
    /// The newest revision; of an empty store, that of etcd's.
    pub fn last(&self) -> i64 {
        self.revisions.last_key_value().map_or(1, |(revision, _)| *revision)
    }
}

/// Whether the history is linearizable.
pub fn judge(history: &History, written: &Written) -> Result<(), Violation> {
    let judge = Judge::new(history, written)?;
    judge.answers()?;
    let places = judge.places()?;
    judge.order(&places)
}

struct Judge<'a> {
    history: &'a History,
    written: &'a Written,
    /// Each key's changes, oldest first.
    keys: BTreeMap<Key, Vec<(i64, Option<Value>)>>,
}

/// Where an operation stands in the one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is this revision.
    Wrote(i64),
    /// It saw this one, and changed nothing.
    Saw(i64),
    /// It was not done, or may be anywhere.
    Nowhere,
}

impl<'a> Judge<'a> {
    fn new(history: &'a History, written: &'a Written) -> Result<Self, Violation> {
        let mut keys: BTreeMap<Key, Vec<(i64, Option<Value>)>> = BTreeMap::new();
        for (next, (revision, what)) in (2..).zip(&written.revisions) {
            if *revision != next || what.changes.is_empty() {
                return Err(Violation(format!("revision {next} is missing, or empty")));
            }
            for change in &what.changes {
                keys.entry(change.key).or_default().push((*revision, change.value));
            }
        }
        Ok(Judge { history, written, keys })
    }

    /// The keys from the first to the last as they were at a revision.
    fn state(&self, first: Key, last: Key, at: i64) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (key, changes) in self.keys.range(first..=last) {
            let younger = changes.partition_point(|(revision, _)| *revision <= at);
            if let Some((revision, Some(value))) = younger.checked_sub(1).map(|newest| changes[newest]) {
                entries.push(Entry { key: *key, value, revision });
            }
        }
        entries
    }

    /// Each answer says what the order makes true.
    fn answers(&self) -> Result<(), Violation> {
        for operation in &self.history.operations {
            let Some(answer) = operation.answer() else { continue };
            let wrong = |why: String| Err(Violation(format!("{why}: {operation}")));
            if answer.revision > self.written.last() {
                return wrong(format!("there is no revision {}", answer.revision));
            }
            match &operation.call {
                Call::Read(read) => {
                    let at = read.at.unwrap_or(answer.revision);
                    let state = self.state(read.first, read.last, at);
                    if answer.entries != state || at > answer.revision {
                        return wrong(format!("at revision {at} there was {state:?}"));
                    }
                }
                call if answer.changed => {
                    let made = self.written.revisions.get(&answer.revision);
                    let due = self.due(call, answer.revision - 1);
                    if made.is_none_or(|made| made.expiry || made.changes != due) {
                        return wrong(format!("revision {} should be {due:?}", answer.revision));
                    }
                }
                call => {
                    let due = self.due(call, answer.revision);
                    if !due.is_empty() {
                        return wrong(format!("it should have made {due:?}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The changes that a call makes in a store which is at revision `at`.
    fn due(&self, call: &Call, at: i64) -> Vec<Change> {
        match call {
            Call::Put(puts) => puts.iter().map(|&(key, value)| Change { key, value: Some(value) }).collect(),
            Call::Delete(first, last) => {
                let there = self.state(*first, *last, at).into_iter();
                there.map(|entry| Change { key: entry.key, value: None }).collect()
            }
            Call::Swap { key, expected, value } => {
                let found = self.state(*key, *key, at).first().map_or(0, |entry| entry.revision);
                let change = Change { key: *key, value: Some(*value) };
                if found == *expected { vec![change] } else { Vec::new() }
            }
            Call::Read(_) => Vec::new(),
        }
    }

    /// Finds the operation behind each revision.
    fn places(&self) -> Result<Vec<Place>, Violation> {
        let operations = &self.history.operations;
        let mut places = vec![Place::Nowhere; operations.len()];
        let mut makers: BTreeMap<i64, usize> = BTreeMap::new();
        for (number, operation) in operations.iter().enumerate() {
            let Some(answer) = operation.answer() else { continue };
            places[number] = match &operation.call {
                // What a member happens to know may be old.
                Call::Read(Read { linearizable: false, .. }) => Place::Nowhere,
                // The past can be read anywhere: but the answer says what the present is.
                Call::Read(_) => Place::Saw(answer.revision),
                _ if !answer.changed => Place::Saw(answer.revision),
                _ => {
                    if let Some(other) = makers.insert(answer.revision, number) {
                        let (a, b) = (&operations[other], operation);
                        return Err(Violation(format!("two writes are one revision: {a}, and {b}")));
                    }
                    Place::Wrote(answer.revision)
                }
            };
        }
        self.unanswered(&mut places, &makers)?;
        Ok(places)
    }

    /// Revisions that no answer tells of must be those of unanswered calls, each once. A value names its
    /// call; deletes look alike, so they are matched.
    fn unanswered(&self, places: &mut [Place], makers: &BTreeMap<i64, usize>) -> Result<(), Violation> {
        let mut by_value: HashMap<Value, usize> = HashMap::new();
        for (number, operation) in self.history.operations.iter().enumerate() {
            match &operation.call {
                Call::Put(puts) => by_value.extend(puts.iter().map(|(_, value)| (*value, number))),
                Call::Swap { value, .. } => drop(by_value.insert(*value, number)),
                Call::Delete(..) | Call::Read(_) => {}
            }
        }
        let mut deleted = Vec::new();
        for (revision, made) in &self.written.revisions {
            if makers.contains_key(revision) || made.expiry {
                continue;
            }
            let changes = &made.changes;
            let Some(value) = changes[0].value else {
                deleted.push(*revision);
                continue;
            };
            let Some(maker) = by_value.get(&value).copied() else {
                return Err(Violation(format!("nobody asked for revision {revision}, {changes:?}")));
            };
            let operation = &self.history.operations[maker];
            let wrong = |why: &str| Violation(format!("revision {revision} {why}: {operation}"));
            if operation.is_refused() {
                return Err(wrong("was refused, and yet done"));
            }
            if places[maker] != Place::Nowhere || operation.ended.is_some() {
                return Err(wrong("was done before"));
            }
            if !self.makes(maker, *revision) {
                return Err(wrong("is not what was asked for"));
            }
            places[maker] = Place::Wrote(*revision);
        }
        self.unanswered_deletes(&deleted, places)
    }

    /// Gives each of these revisions an unanswered delete of its own, if there is any way to do so
    /// (augmenting paths). A delete cannot be a revision that somebody had seen before it began.
    fn unanswered_deletes(&self, revisions: &[i64], places: &mut [Place]) -> Result<(), Violation> {
        let operations = &self.history.operations;
        let is_open = |number: &usize| {
            let operation = &operations[*number];
            operation.ended.is_none() && matches!(operation.call, Call::Delete(..))
        };
        let deletes: Vec<usize> = (0..operations.len()).filter(is_open).collect();
        let seen = |number: usize| {
            let began_us = operations[number].invoked_us;
            let ended = |o: &&Operation| matches!(&o.ended, Some((at_us, _)) if *at_us < began_us);
            let before = operations.iter().zip(places.iter()).filter(|(o, _)| ended(o));
            let revisions = before.filter_map(|(_, place)| match place {
                Place::Wrote(revision) | Place::Saw(revision) => Some(*revision),
                Place::Nowhere => None,
            });
            revisions.max().unwrap_or(0)
        };
        let seen: Vec<i64> = deletes.iter().map(|number| seen(*number)).collect();
        let may =
            |delete: usize, revision: i64| revision > seen[delete] && self.makes(deletes[delete], revision);
        let mut taken: Vec<Option<i64>> = vec![None; deletes.len()];
        for revision in revisions {
            if !place(*revision, &may, &mut taken, &mut vec![false; deletes.len()]) {
                let changes = &self.written.revisions[revision].changes;
                return Err(Violation(format!("nobody asked for revision {revision}, {changes:?}")));
            }
        }
        for (delete, revision) in taken.into_iter().enumerate() {
            places[deletes[delete]] = revision.map_or(Place::Nowhere, Place::Wrote);
        }
        Ok(())
    }

    fn makes(&self, operation: usize, revision: i64) -> bool {
        let due = self.due(&self.history.operations[operation].call, revision - 1);
        due == self.written.revisions[&revision].changes
    }

    /// The order agrees with time. One sweep over all beginnings and ends: whatever begins stands behind
    /// everything that has ended.
    fn order(&self, places: &[Place]) -> Result<(), Violation> {
        let operations = &self.history.operations;
        let mut moments: Vec<(u64, bool, usize)> = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            moments.push((operation.invoked_us, false, number));
            if let Some((at_us, Outcome::Done(_))) = &operation.ended {
                // At the same moment beginnings come first: then the two overlap, and anything goes.
                moments.push((*at_us, true, number));
            }
        }
        moments.sort_unstable();
        let mut newest: Option<(i64, usize)> = None;
        for (_, ends, number) in moments {
            let revision = match places[number] {
                Place::Nowhere => continue,
                Place::Wrote(revision) | Place::Saw(revision) => revision,
            };
            let Some((before, other)) = newest else {
                newest = ends.then_some((revision, number));
                continue;
            };
            if ends {
                newest = newest.max(Some((revision, number)));
            } else if revision < before || (revision == before && places[number] == Place::Wrote(before)) {
                let (earlier, later): (&Operation, &Operation) = (&operations[other], &operations[number]);
                return Err(Violation(format!("{later}\nstands before revision {before} of\n{earlier}")));
            }
        }
        Ok(())
    }
}

/// Finds a taker for the revision, if need be by finding another revision for one that has one.
fn place(
    revision: i64,
    may: &impl Fn(usize, i64) -> bool,
    taken: &mut [Option<i64>],
    tried: &mut [bool],
) -> bool {
    for at in 0..taken.len() {
        if tried[at] || !may(at, revision) {
            continue;
        }
        tried[at] = true;
        if taken[at].is_none_or(|other| place(other, may, taken, tried)) {
            taken[at] = Some(revision);
            return true;
        }
    }
    false
}
