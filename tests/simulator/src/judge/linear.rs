//! The judge that believes no numbers: is there any order in which one register would have answered so?
//!
//! Wing and Gong's search (1993) with Lowe's memory (2017): try each operation that may come next, and
//! never come back to the same set of done operations in the same state. A history of many keys is
//! linearizable only if its part about each key is, so each key is searched alone (Herlihy and Wing,
//! locality): that finds no wrong between keys, but keeps the search short.

use std::collections::HashSet;
use std::hash::Hash;

use crate::history::{Call, Entry, History, Key, Outcome, Value, Violation};

/// The largest history that is searched: a set of operations is the bits of one number.
pub const MOST: usize = 128;
/// Steps of a search before it gives up.
const STEPS: usize = 5_000;

/// Something that does one thing at a time.
pub trait Model {
    type State: Clone + Eq + Hash;
    type Call;
    type Answer;

    /// The state after the call, if it could have been answered so. `None` for the answer: any.
    fn step(
        &self,
        state: &Self::State,
        call: &Self::Call,
        answer: Option<&Self::Answer>,
    ) -> Option<Self::State>;
}

/// One operation of a history.
#[derive(Debug, Clone)]
pub struct Event<C, A> {
    pub call: C,
    pub invoked_us: u64,
    /// `None`: it may happen at any time from then on, or never.
    pub ended: Option<(u64, A)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    Wrong,
    /// Too long to be searched.
    Undecided,
}

/// Searches for an order.
pub fn search<M: Model>(model: &M, start: M::State, events: &[Event<M::Call, M::Answer>]) -> Verdict {
    if events.len() > MOST {
        return Verdict::Undecided;
    }
    let must = (0..events.len()).filter(|at| events[*at].ended.is_some());
    let must = must.fold(0u128, |set, at| set | 1 << at);
    let mut seen = HashSet::new();
    let mut open = vec![(0u128, start)];
    while let Some((done, state)) = open.pop() {
        if done & must == must {
            return Verdict::Linearizable;
        }
        if seen.len() >= STEPS {
            return Verdict::Undecided;
        }
        let left = || (0..events.len()).filter(|at| done & 1 << at == 0);
        // What begins after something else has ended cannot come before it.
        let first_end = left().filter_map(|at| events[at].ended.as_ref().map(|(us, _)| *us)).min();
        for at in left() {
            let event = &events[at];
            if first_end.is_some_and(|end| event.invoked_us > end) {
                continue;
            }
            let answer = event.ended.as_ref().map(|(_, answer)| answer);
            if let Some(after) = model.step(&state, &event.call, answer) {
                let next = (done | 1 << at, after);
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }
    Verdict::Wrong
}

/// One key of a store.
pub struct Register;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfKey {
    Put(Value),
    Delete,
    /// Put, if the store thinks so: what it compares is not the value.
    Try(Value),
    Read,
}

/// What is known of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Changed(bool),
    Value(Option<Value>),
}

impl Model for Register {
    type State = Option<Value>;
    type Call = OfKey;
    type Answer = Told;

    fn step(&self, state: &Option<Value>, call: &OfKey, told: Option<&Told>) -> Option<Option<Value>> {
        match (call, told) {
            (OfKey::Put(value), _) => Some(Some(*value)),
            (OfKey::Delete, Some(Told::Changed(changed))) if *changed != state.is_some() => None,
            (OfKey::Delete, _) => Some(None),
            (OfKey::Try(_), Some(Told::Changed(false))) => Some(*state),
            (OfKey::Try(value), _) => Some(Some(*value)),
            (OfKey::Read, Some(Told::Value(value))) if value != state => None,
            (OfKey::Read, _) => Some(*state),
        }
    }
}

/// Whether the part of the history about each key is linearizable. Keys with too many operations are
/// passed over.
pub fn judge(history: &History, keys: impl Iterator<Item = Key>) -> Result<(), Violation> {
    for key in keys {
        let events = of_key(history, key);
        if search(&Register, None, &events) == Verdict::Wrong {
            let lines = history.operations.iter().filter(|o| about(&o.call, key).is_some());
            let lines: Vec<String> = lines.map(|operation| format!("  {operation}")).collect();
            let lines = lines.join("\n");
            return Err(Violation(format!("no order explains what was seen of k{key}:\n{lines}")));
        }
    }
    Ok(())
}

fn of_key(history: &History, key: Key) -> Vec<Event<OfKey, Told>> {
    let mut events = Vec::new();
    for operation in &history.operations {
        let Some(call) = about(&operation.call, key) else { continue };
        let ended = match &operation.ended {
            Some((_, Outcome::Refused)) => continue,
            Some((at_us, Outcome::Done(answer))) => {
                let told = match &operation.call {
                    Call::Read(_) => {
                        let found = answer.entries.iter().find(|entry| entry.key == key);
                        Told::Value(found.map(|Entry { value, .. }| *value))
                    }
                    // Of a range, "something was deleted" says nothing of one key.
                    Call::Delete(first, last) if first != last => Told::Nothing,
                    _ => Told::Changed(answer.changed),
                };
                Some((*at_us, told))
            }
            None if call == OfKey::Read => continue,
            None => None,
        };
        events.push(Event { call, invoked_us: operation.invoked_us, ended });
    }
    events
}

/// What a call means to one key.
fn about(call: &Call, key: Key) -> Option<OfKey> {
    match call {
        Call::Put(puts) => puts.iter().find(|(k, _)| *k == key).map(|(_, value)| OfKey::Put(*value)),
        Call::Delete(first, last) => (*first..=*last).contains(&key).then_some(OfKey::Delete),
        Call::Swap { key: k, value, .. } => (*k == key).then_some(OfKey::Try(*value)),
        Call::Read(read) if read.linearizable && read.at.is_none() => {
            (read.first..=read.last).contains(&key).then_some(OfKey::Read)
        }
        Call::Read(_) => None,
    }
}
