//! The judges are judged: right histories pass, and every way in which one can be wrong is found.

use simulator::history::{Answer, Call, Change, Entry, History, Outcome, Read};
use simulator::judge::revisions::{Revision, Written};
use simulator::judge::watch::{Told, Watched};
use simulator::judge::{linear, revisions, watch};
use simulator::random::Random;

/// A store that does one thing at a time, and writes down what it does.
#[derive(Default)]
struct Truth {
    written: Written,
}

impl Truth {
    fn state(&self, first: u8, last: u8, at: i64) -> Vec<Entry> {
        let mut entries = Vec::new();
        for key in first..=last {
            let mut newest = None;
            for (revision, made) in self.written.revisions.range(..=at) {
                for change in made.changes.iter().filter(|change| change.key == key) {
                    newest = change.value.map(|value| Entry { key, value, revision: *revision });
                }
            }
            entries.extend(newest);
        }
        entries
    }

    fn apply(&mut self, call: &Call) -> Answer {
        let now = self.written.last();
        let changes: Vec<Change> = match call {
            Call::Put(puts) => puts.iter().map(|&(key, value)| Change { key, value: Some(value) }).collect(),
            Call::Delete(first, last) => {
                let there = self.state(*first, *last, now).into_iter();
                there.map(|entry| Change { key: entry.key, value: None }).collect()
            }
            Call::Swap { key, expected, value } => {
                let found = self.state(*key, *key, now).first().map_or(0, |entry| entry.revision);
                let change = Change { key: *key, value: Some(*value) };
                if found == *expected { vec![change] } else { Vec::new() }
            }
            Call::Read(read) => {
                let entries = self.state(read.first, read.last, read.at.unwrap_or(now));
                return Answer { revision: now, changed: false, entries };
            }
        };
        let changed = !changes.is_empty();
        if changed {
            self.written.revisions.insert(now + 1, Revision { changes, expiry: false });
        }
        Answer { revision: self.written.last(), changed, entries: Vec::new() }
    }
}

fn draw_call(random: &mut Random, value: u64, last: i64) -> Call {
    let key = random.below(3) as u8;
    match random.below(7) {
        0 | 1 => Call::Put(vec![(key, value)]),
        2 => Call::Put(vec![(key, value), (key + 1, value + 1000)]),
        3 => Call::Delete(key, key + random.below(2) as u8),
        4 => Call::Swap { key, expected: random.below(last as u64 + 1) as i64, value },
        5 => {
            let at = random.chance(200).then(|| random.between(1, last as u64) as i64);
            Call::Read(Read { first: 0, last: 3, at, linearizable: true })
        }
        _ => Call::Read(Read { first: key, last: key, at: None, linearizable: true }),
    }
}

/// Overlapping operations of four clients, each done at some moment between its beginning and its end.
fn right_history(random: &mut Random, operations: usize) -> (History, Written) {
    let mut truth = Truth::default();
    let mut history = History::default();
    let mut free_us = [0u64; 4];
    let mut planned = Vec::new();
    for _ in 0..operations {
        let client = random.below(4) as usize;
        let begin = free_us[client] + random.below(20);
        let done = begin + random.below(20);
        let end = done + random.below(20);
        free_us[client] = end + 1;
        planned.push((begin, done, end, client));
    }
    planned.sort_unstable();
    let mut by_done: Vec<usize> = (0..planned.len()).collect();
    by_done.sort_by_key(|at| planned[*at].1);
    let calls: Vec<_> = by_done
        .iter()
        .enumerate()
        .map(|(value, at)| {
            let call = draw_call(random, value as u64 + 1, truth.written.last());
            // Some are never done, and some done and never answered.
            let fate = random.below(10);
            let answer = (fate != 0).then(|| truth.apply(&call));
            (*at, call, answer.filter(|_| fate != 1))
        })
        .collect();
    let mut calls = calls;
    calls.sort_by_key(|(at, ..)| *at);
    for (at, call, answer) in calls {
        let (begin, _, end, client) = planned[at];
        let number = history.invoke(client as u64, call, begin);
        if let Some(answer) = answer {
            history.end(number, Outcome::Done(answer), end);
        }
    }
    (history, truth.written)
}

fn judge_both(history: &History, written: &Written) -> (bool, bool) {
    (revisions::judge(history, written).is_err(), linear::judge(history, 0..=4).is_err())
}

#[test]
fn right_histories_pass_both_judges() {
    for seed in 0..300 {
        let (history, written) = right_history(&mut Random::new(seed), 40);
        revisions::judge(&history, &written).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        linear::judge(&history, 0..=4).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

/// Changes one thing in a right history; false if there was nothing to change.
fn spoil(random: &mut Random, history: &mut History, written: &mut Written, how: u64) -> bool {
    let answered: Vec<usize> =
        (0..history.operations.len()).filter(|at| history.operations[*at].answer().is_some()).collect();
    let at = *random.pick(&answered);
    let operation = &mut history.operations[at];
    // Deletes look alike: another one, without an answer, may explain what this one did.
    let is_delete = matches!(operation.call, Call::Delete(..));
    let Some((end_us, Outcome::Done(answer))) = &mut operation.ended else { unreachable!() };
    let wrote = answer.changed && !is_delete;
    match how {
        // An answer names another revision.
        0 if wrote => answer.revision += 1,
        0 => return false,
        // A read shows a value that nobody has written, or not what is there.
        1 => match answer.entries.first_mut() {
            Some(entry) => entry.value += 5000,
            None => return false,
        },
        2 => return answer.entries.pop().is_some(),
        // A write that was acknowledged is lost.
        3 if wrote => answer.changed = false,
        3 => return false,
        // A write that was done was refused.
        4 if wrote => operation.ended = Some((*end_us, Outcome::Refused)),
        4 => return false,
        // A write is there twice.
        5 => {
            let Some((_, made)) = written.revisions.iter().next() else { return false };
            let (again, next) = (made.clone(), written.last() + 1);
            written.revisions.insert(next, again);
        }
        // Nobody has asked for it.
        6 => {
            let made = Revision { changes: vec![Change { key: 1, value: Some(9999) }], expiry: false };
            written.revisions.insert(written.last() + 1, made);
        }
        // A read from long ago, in the present.
        7 => {
            let Call::Read(Read { at: None, .. }) = operation.call else { return false };
            if answer.revision < 6 {
                return false;
            }
            operation.invoked_us += 100_000;
            *end_us += 100_000;
            let now = operation.invoked_us - 1;
            history.operations.push(operation_of_now(now, written));
        }
        _ => unreachable!(),
    }
    true
}

/// A write that has ended just before.
fn operation_of_now(now_us: u64, written: &mut Written) -> simulator::history::Operation {
    let call = Call::Put(vec![(0, 7777), (1, 7778), (2, 7779), (3, 7780)]);
    let changes = (0..4).map(|key| Change { key, value: Some(7777 + u64::from(key)) }).collect();
    let revision = written.last() + 1;
    written.revisions.insert(revision, Revision { changes, expiry: false });
    let answer = Answer { revision, changed: true, entries: Vec::new() };
    simulator::history::Operation {
        client: 9,
        call,
        invoked_us: now_us - 1,
        ended: Some((now_us, Outcome::Done(answer))),
    }
}

#[test]
fn every_way_to_be_wrong_is_found() {
    let mut by_values = [0; 8];
    for how in 0..8 {
        let mut tried = 0;
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let (mut history, mut written) = right_history(&mut random, 40);
            if !spoil(&mut random, &mut history, &mut written, how) {
                continue;
            }
            tried += 1;
            let (exact, search) = judge_both(&history, &written);
            assert!(exact, "way {how} of seed {seed} was not found");
            by_values[how as usize] += usize::from(search);
        }
        assert!(tried > 50, "way {how} was tried only {tried} times");
    }
    // What is wrong with values alone is found without revisions too.
    for how in [1, 7] {
        assert!(by_values[how] > 50, "way {how} was found by values only {} times", by_values[how]);
    }
}

#[test]
fn what_the_search_rejects_the_exact_judge_rejects_too() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (mut history, written) = right_history(&mut random, 20);
        // Two reads change places in time.
        let reads: Vec<usize> = (0..history.operations.len())
            .filter(|at| matches!(history.operations[*at].call, Call::Read(_)))
            .collect();
        let [a, .., b] = reads[..] else { continue };
        let taken = (history.operations[a].invoked_us, history.operations[b].invoked_us);
        let (first, second) = (history.operations[a].ended.clone(), history.operations[b].ended.clone());
        let (Some((first_us, first)), Some((second_us, second))) = (first, second) else { continue };
        let calls = (history.operations[a].call.clone(), history.operations[b].call.clone());
        history.operations[a].ended = Some((first_us, second));
        history.operations[b].ended = Some((second_us, first));
        (history.operations[a].call, history.operations[b].call) = (calls.1, calls.0);
        assert_eq!(taken, (history.operations[a].invoked_us, history.operations[b].invoked_us));
        let (exact, search) = judge_both(&history, &written);
        assert!(exact || !search, "seed {seed}");
    }
}

fn read(key: u8) -> Call {
    Call::Read(Read { first: key, last: key, at: None, linearizable: true })
}

fn seen(revision: i64, value: Option<(u64, i64)>) -> Outcome {
    let entries = value.map(|(value, revision)| Entry { key: 0, value, revision }).into_iter().collect();
    Outcome::Done(Answer { revision, changed: false, entries })
}

#[test]
fn a_read_may_be_old_only_while_the_write_is_under_way() {
    for (invoked_us, wrong) in [(10, false), (20, false), (21, true)] {
        let mut truth = Truth::default();
        let mut history = History::default();
        let put = Call::Put(vec![(0, 1)]);
        let answer = truth.apply(&put);
        let write = history.invoke(0, put, 5);
        history.end(write, Outcome::Done(answer), 20);
        let old = history.invoke(1, read(0), invoked_us);
        history.end(old, seen(1, None), 30);
        assert_eq!(judge_both(&history, &truth.written), (wrong, wrong), "read from {invoked_us}");
    }
}

#[test]
fn a_write_without_answer_may_show_later_but_not_vanish_again() {
    let mut truth = Truth::default();
    let mut history = History::default();
    let put = Call::Put(vec![(0, 1)]);
    truth.apply(&put);
    history.invoke(0, put, 0);
    for (at, value) in [(100, None), (200, Some((1, 2)))] {
        let number = history.invoke(1, read(0), at);
        history.end(number, seen(if value.is_some() { 2 } else { 1 }, value), at + 10);
    }
    assert_eq!(judge_both(&history, &truth.written), (false, false));
    let number = history.invoke(1, read(0), 300);
    history.end(number, seen(1, None), 310);
    assert_eq!(judge_both(&history, &truth.written), (true, true));
}

#[test]
fn a_read_of_what_is_known_may_be_old_but_not_made_up() {
    let mut truth = Truth::default();
    let mut history = History::default();
    let put = Call::Put(vec![(0, 1)]);
    let answer = truth.apply(&put);
    let write = history.invoke(0, put, 0);
    history.end(write, Outcome::Done(answer), 5);
    let call = Call::Read(Read { first: 0, last: 0, at: None, linearizable: false });
    let number = history.invoke(1, call, 10);
    history.end(number, seen(1, None), 20);
    assert_eq!(judge_both(&history, &truth.written), (false, false));
    history.end(number, seen(1, Some((1, 2))), 20);
    assert!(judge_both(&history, &truth.written).0);
}

#[test]
fn deletes_without_answers_are_told_apart_if_there_is_any_way() {
    // Both may have been the first one, but only the narrow one can have been the second.
    for narrow_first in [true, false] {
        let mut truth = Truth::default();
        let mut history = History::default();
        let wide = Call::Delete(0, 1);
        let narrow = Call::Delete(0, 0);
        let calls =
            if narrow_first { [narrow.clone(), wide.clone()] } else { [wide.clone(), narrow.clone()] };
        calls.into_iter().for_each(|call| _ = history.invoke(0, call, 0));
        let mut at = 1;
        for (call, then) in [(vec![(0, 1)], wide), (vec![(0, 2), (1, 3)], narrow)] {
            let put = Call::Put(call);
            let answer = truth.apply(&put);
            let number = history.invoke(1, put, at);
            history.end(number, Outcome::Done(answer), at + 1);
            truth.apply(&then);
            at += 2;
        }
        assert_eq!(judge_both(&history, &truth.written), (false, false));
        history.operations.remove(0);
        assert!(judge_both(&history, &truth.written).0);
    }
}

/// Revision 2: k0=1 k1=2; 3: k0=3; 4: k1 deleted; 5: k0=4 k2=5.
fn short_written() -> Written {
    let change = |key, value| Change { key, value };
    let revisions = [
        vec![change(0, Some(1)), change(1, Some(2))],
        vec![change(0, Some(3))],
        vec![change(1, None)],
        vec![change(0, Some(4)), change(2, Some(5))],
    ];
    let revisions = (2..).zip(revisions.map(|changes| Revision { changes, expiry: false })).collect();
    Written { revisions }
}

fn told(revision: i64, changes: &[(i64, u8, Option<u64>)]) -> Told {
    let changes = changes.iter().map(|&(revision, key, value)| (revision, Change { key, value })).collect();
    Told::Changes { revision, changes }
}

#[test]
fn watchers_are_told_the_history_in_order_once_and_whole() {
    let r2 = [(2, 0, Some(1)), (2, 1, Some(2))];
    let r3 = (3, 0, Some(3));
    let r4 = (4, 1, None);
    let r5 = (5, 0, Some(4));
    let good: &[&[Told]] = &[
        &[told(2, &r2), told(3, &[r3]), told(4, &[r4]), told(5, &[r5])],
        &[told(5, &[r2[0], r2[1], r3]), Told::Progress(3), told(5, &[r4, r5]), Told::Progress(5)],
        &[Told::Compacted(4), told(5, &[r4, r5])],
    ];
    let bad: &[(&str, &[Told])] = &[
        ("a revision is split", &[told(2, &r2[..1]), told(2, &r2[1..])]),
        ("one is missing", &[told(2, &r2), told(4, &[r4]), told(5, &[r5])]),
        ("one comes twice", &[told(2, &r2), told(3, &[r3]), told(3, &[r3]), told(4, &[r4, r5])]),
        ("the order is wrong", &[told(2, &r2), told(4, &[r4]), told(3, &[r3]), told(5, &[r5])]),
        ("a value is wrong", &[told(2, &r2), told(3, &[(3, 0, Some(9))]), told(5, &[r4, r5])]),
        ("the end is missing", &[told(2, &r2), told(3, &[r3])]),
        ("the store is behind what it tells", &[told(2, &r2), told(2, &[r3]), told(5, &[r4, r5])]),
        ("progress is ahead", &[told(2, &r2), Told::Progress(3), told(5, &[r3, r4, r5])]),
        ("what was asked for is not forgotten", &[told(2, &r2), Told::Compacted(3), told(5, &[r3, r4, r5])]),
        ("there is something else", &[told(5, &[r2[0], r2[1], r3, r4, r5, (5, 2, Some(5))])]),
    ];
    let judge = |told: &[Told]| {
        let watched = Watched { first: 0, last: 1, from: 2, told: told.to_vec() };
        watch::judge(&watched, &short_written(), Some(5))
    };
    for told in good {
        assert_eq!(judge(told), Ok(()));
    }
    for (why, told) in bad {
        assert!(judge(told).is_err(), "not found: {why}");
    }
}
