//! Random requests over few keys, so that they meet.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::heart::Command;
use crate::heart::alarm::{Alarm, AlarmKind};
use crate::heart::range::{Range, SortOrder, SortTarget};
use crate::heart::txn::{Compare, DeleteRange, Is, Op, OpAnswer, Put, Target, Txn, TxnAnswer};
use crate::heart::types::{KeyRange, RangeEnd};
use crate::heart::{Answer, Error, Store};
use crate::model::{Did, Kv, Model, Ranged};

pub fn key() -> impl Strategy<Value = &'static [u8]> {
    select(vec![&b"a"[..], b"aa", b"b", b"c", b"\xff", b"\xff\xff"])
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    select(vec![b"".to_vec(), b"1".to_vec(), b"2".to_vec(), vec![0; 3], vec![b'x'; 700]])
}

pub fn keys() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        3 => key().prop_map(KeyRange::single),
        2 => (key(), key()).prop_map(|(start, end)| {
            KeyRange { start: start.into(), end: RangeEnd::Before(end.into()) }
        }),
        1 => key().prop_map(|start| KeyRange { start: start.into(), end: RangeEnd::Unbounded }),
        1 => key().prop_map(KeyRange::prefix),
        1 => Just(KeyRange::all()),
    ]
}

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 1 => 1..4i64]
}

pub fn range() -> impl Strategy<Value = Range> {
    let order = select(vec![SortOrder::None, SortOrder::Ascend, SortOrder::Descend]);
    let target = select(vec![
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::Create,
        SortTarget::Mod,
        SortTarget::Value,
    ]);
    let bound = || prop_oneof![3 => Just(0), 1 => 1..20i64];
    let bounds = (bound(), bound(), bound(), bound());
    let revision = prop_oneof![2 => Just(0), 3 => -1..25i64];
    (keys(), -1..5i64, revision, order, target, bounds, any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |(keys, limit, revision, order, target, bounds, keys_only, count_only)| {
            let (min_mod, max_mod, min_create, max_create) = bounds;
            let mut range = Range::of(keys);
            range = Range { limit, revision, order, target, keys_only, count_only, ..range };
            Range { min_mod, max_mod, min_create, max_create, ..range }
        },
    )
}

/// Without a lease.
pub fn put() -> impl Strategy<Value = Put> {
    let kept = || prop::bool::weighted(0.1);
    (key(), value(), any::<bool>(), kept(), kept()).prop_map(
        |(key, value, prev_kv, ignore_value, ignore_lease)| {
            let put = Put::new(key, if ignore_value { vec![] } else { value });
            Put { prev_kv, ignore_value, ignore_lease, ..put }
        },
    )
}

fn leased_put() -> impl Strategy<Value = Put> {
    (put(), lease()).prop_map(|(put, lease)| Put { lease: if put.ignore_lease { 0 } else { lease }, ..put })
}

pub fn delete() -> impl Strategy<Value = DeleteRange> {
    (keys(), any::<bool>()).prop_map(|(keys, prev_kv)| DeleteRange { keys, prev_kv })
}

fn compare() -> impl Strategy<Value = Compare> {
    let is = select(vec![Is::Equal, Is::Greater, Is::Less, Is::NotEqual]);
    let than = prop_oneof![
        (0..4i64).prop_map(Target::Version),
        (0..20i64).prop_map(Target::Create),
        (0..20i64).prop_map(Target::Mod),
        (0..3i64).prop_map(Target::Lease),
        value().prop_map(|v| Target::Value(v.into())),
    ];
    (keys(), is, than).prop_map(|(keys, is, than)| Compare { keys, is, than })
}

/// Operations whose puts are these.
fn ops_of<P: Strategy<Value = Put> + 'static>(put: P) -> impl Strategy<Value = Vec<Op>> {
    let leaf = prop_oneof![
        2 => range().prop_map(Op::Range),
        3 => put.prop_map(Op::Put),
        1 => delete().prop_map(Op::Delete),
    ];
    let op = leaf.prop_recursive(2, 8, 3, |op| {
        (vec(compare(), 0..2), vec(op.clone(), 0..3), vec(op, 0..3))
            .prop_map(|(compare, success, failure)| Op::Txn(Txn { compare, success, failure }))
    });
    vec(op, 0..4)
}

pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    ops_of(put())
}

pub fn txn() -> impl Strategy<Value = Txn> {
    txn_of(ops(), ops())
}

fn txn_of(
    success: impl Strategy<Value = Vec<Op>>,
    failure: impl Strategy<Value = Vec<Op>>,
) -> impl Strategy<Value = Txn> {
    (vec(compare(), 0..3), success, failure).prop_map(|(compare, success, failure)| Txn {
        compare,
        success,
        failure,
    })
}

fn compact() -> impl Strategy<Value = Command> {
    (0..25i64).prop_map(|revision| Command::Compact { revision })
}

/// What the store can do by its second step: put, delete, compact.
pub fn simple() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => put().prop_map(Command::Put),
        3 => delete().prop_map(Command::Delete),
        1 => compact(),
    ]
}

/// What changes keys, without leases: put, delete, transaction.
pub fn write() -> impl Strategy<Value = Command> {
    let put = put().prop_map(|put| Put { ignore_value: false, ignore_lease: false, ..put });
    prop_oneof![
        8 => put.prop_map(Command::Put),
        3 => delete().prop_map(Command::Delete),
        2 => txn().prop_map(Command::Txn),
    ]
}

/// Everything but alarms.
pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => leased_put().prop_map(Command::Put),
        3 => delete().prop_map(Command::Delete),
        4 => txn_of(ops_of(leased_put()), ops_of(leased_put())).prop_map(Command::Txn),
        1 => compact(),
        1 => (0..4i64, 0..9i64).prop_map(|(id, ttl)| Command::LeaseGrant { id, ttl }),
        1 => (0..4i64).prop_map(|id| Command::LeaseRevoke { id }),
        1 => vec((0..4i64, -1..9i64), 0..3).prop_map(|leases| Command::LeaseCheckpoint { leases }),
    ]
}

/// Alarms too, though most of what follows one is refused.
pub fn alarming() -> impl Strategy<Value = Command> {
    let kind = prop_oneof![5 => Just(AlarmKind::NoSpace), 1 => Just(AlarmKind::Corrupt)];
    let alarm = (1..3u64, kind, prop::bool::weighted(0.4))
        .prop_map(|(member, kind, raise)| Command::Alarm { alarm: Alarm { member, kind }, raise });
    prop_oneof![8 => command(), 1 => alarm]
}

pub fn history(most: usize) -> impl Strategy<Value = Vec<Command>> {
    vec(alarming(), 0..most)
}

/// Does a command on both and compares what came of it. Returns the events.
pub fn both(
    store: &mut Store,
    model: &mut Model,
    command: &Command,
) -> Result<Vec<crate::heart::types::Event>, TestCaseError> {
    let before = model.changes.len();
    let checked = command.check();
    let (answer, events) = match checked {
        Ok(()) => {
            let applied = store.apply(command);
            (applied.answer.map(did), applied.events)
        }
        Err(e) => (Err(e), vec![]),
    };
    let expected = model.apply(command);
    prop_assert_eq!(answer, expected, "{:?}", command);
    let changes: Vec<crate::model::Change> = events.iter().map(Into::into).collect();
    prop_assert_eq!(&changes[..], &model.changes[before..], "events of {:?}", command);
    prop_assert_eq!(store.revision(), model.revision());
    prop_assert_eq!(store.compacted(), model.compacted);
    Ok(events)
}

fn did(answer: Answer) -> Did {
    match answer {
        Answer::Put(a) => did_op(OpAnswer::Put(a)),
        Answer::Delete(a) => did_op(OpAnswer::Delete(a)),
        Answer::Txn(a) => did_txn(a),
        Answer::Compact { .. } => Did::Compact,
        Answer::LeaseGrant { ttl, .. } => Did::Grant { ttl },
        Answer::LeaseRevoke { revision } => Did::Revoke { revision },
        Answer::LeaseCheckpoint { .. } => Did::Checkpoint,
        Answer::Alarm { alarm, .. } => Did::Alarm(alarm),
        Answer::Auth { .. } => unreachable!("nobody changes users here"),
    }
}

fn did_txn(a: TxnAnswer) -> Did {
    let did = a.answers.into_iter().map(did_op).collect();
    Did::Txn { revision: a.revision, succeeded: a.succeeded, did }
}

fn did_op(answer: OpAnswer) -> Did {
    let kv = |r: &std::sync::Arc<_>| Kv::from(&**r);
    match answer {
        OpAnswer::Range(a) => Did::Range(ranged(&a)),
        OpAnswer::Put(a) => Did::Put { revision: a.revision, prev: a.prev.as_ref().map(kv) },
        OpAnswer::Delete(a) => {
            let prev = a.prev.iter().map(kv).collect();
            Did::Delete { revision: a.revision, deleted: a.deleted, prev }
        }
        OpAnswer::Txn(a) => did_txn(a),
    }
}

pub fn ranged(a: &crate::heart::range::RangeAnswer) -> Ranged {
    let kvs = a.records.iter().map(|r| Kv::from(&**r)).collect();
    Ranged { revision: a.revision, kvs, more: a.more, count: a.count }
}

/// Reads the same from both.
pub fn same_range(store: &Store, model: &Model, range: &Range) -> Result<(), TestCaseError> {
    let read: Result<Ranged, Error> = store.range(range).map(|a| ranged(&a));
    prop_assert_eq!(read, model.range(range), "{:?}", range);
    Ok(())
}
