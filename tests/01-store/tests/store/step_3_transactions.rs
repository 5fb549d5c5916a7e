use graded::graded;
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::range::Range;
use crate::heart::txn::{Compare, DeleteRange, Is, MAX_TXN_OPS, Op, Put, Target, Txn};
use crate::heart::types::KeyRange;
use crate::heart::{Answer, Command, Error, Store};
use crate::model::{Model, writes_twice};
use crate::random::{both, ops, simple, txn};
use crate::script::run;

/// Two controllers read the same object; the second one to write gets a conflict and reads again.
#[graded]
fn compare_and_swap_happens_once() {
    assert_snapshot!(run("
        put a 1
        txn mod(a)=2 ? put a 2; get a : get a
        txn mod(a)=2 ? put a 3; get a : get a
        txn version(b)=0 ? put b 1 : get b
        txn version(b)=0 ? put b 1 : get b
    "));
}

/// A watcher hears of all of it at once, and no read can fall in between.
#[graded]
fn all_of_a_transaction_has_one_revision() {
    assert_snapshot!(run("
        put a 1
        txn ? put b 1; put c 1; del a; get a.. : put x 1
        get a..
        get a.. rev=2
    "));
}

/// The operations are done in order, as if the transaction were a small program.
#[graded]
fn reads_within_see_earlier_writes_and_later_ones_not() {
    assert_snapshot!(run("
        put a 1
        txn ? get a; put a 2; get a; get a rev=2; put b 1 : get a
    "));
}

/// Otherwise every failed compare would wake all who wait for the next revision.
#[graded]
fn a_transaction_that_changes_nothing_takes_no_revision() {
    assert_snapshot!(run("
        put a 1
        txn ? del b; get a
        txn value(a)=2 ? put a 3
        txn ?
        get a
    "));
}

/// "Create only if it does not exist" is `version = 0`, and that is how Kubernetes creates.
#[graded]
fn where_there_is_no_key_numbers_are_zero_and_values_are_nothing() {
    assert_snapshot!(run("
        txn version(x)=0 create(x)=0 mod(x)=0 lease(x)=0 ? put yes 1
        txn value(x)= ? : put no 1
        txn value(x)!1 ? : put no 2
        txn version(x)<1 version(x)>-1 version(x)!3 ? put yes 2
    "));
}

/// "Nobody has touched any of these" is one guard.
#[graded]
fn a_compare_over_a_range_must_hold_for_every_key() {
    assert_snapshot!(run("
        put a 1
        put b 1
        txn value(a..c)=1 ? put all 1 : put some 1
        put b 2
        txn value(a..c)=1 ? put all 1 : put some 1
    "));
}

/// Or "the value at revision 7" would mean two things, and a watcher would have to be told both.
#[graded]
fn a_key_may_be_written_only_once() {
    assert_snapshot!(run("
        txn ? put a 1; put a 2
        txn ? put a 1; del a
        txn ? del a..c; put b 1
        txn ? del a..c; put c 1
        txn ? del a; del a
        txn ? get a : put a 1; put a 1
    "));
}

/// What can fail is looked for before the first write: there is no way back afterwards.
#[graded]
fn a_transaction_that_fails_changes_nothing() {
    assert_snapshot!(run("
        put a 1
        txn ? put b 1; get a rev=9
        txn ? put b 1; put c 1 lease=5
        txn ? put b 1; put c - keep-value
        get a..
    "));
}

/// The store does one thing at a time: a transaction of a million operations would be everybody's pause.
#[graded]
fn there_may_be_128_operations_of_a_kind_and_nesting_counts() {
    let put = |n: usize| Op::Put(Put::new(format!("{n}").as_bytes(), *b"1"));
    let full = Txn { success: (0..MAX_TXN_OPS).map(put).collect(), ..Default::default() };
    assert_eq!(full.check(), Ok(()));
    let compare = Compare { keys: KeyRange::single(*b"a"), is: Is::Equal, than: Target::Version(0) };
    let over = Txn { compare: vec![compare; MAX_TXN_OPS + 1], ..Default::default() };
    assert_eq!(over.check(), Err(Error::TooManyOps));
    let nested = Txn { success: vec![Op::Txn(full)], ..Default::default() };
    assert_eq!(nested.check(), Err(Error::TooManyOps), "one is spent on the outer transaction");
}

/// What is wrong whatever the store holds is said before anything is written to disk, wherever it stands.
#[graded]
fn a_request_that_cannot_be_is_refused_wherever_it_stands() {
    let put = Put::new(*b"a", *b"1");
    let delete = |key: &[u8]| DeleteRange { keys: KeyRange::single(key), prev_kv: false };
    let cases = [
        (Op::Put(Put::new(*b"", *b"1")), Err(Error::EmptyKey)),
        (Op::Put(Put { ignore_value: true, ..put.clone() }), Err(Error::ValueProvided)),
        (Op::Put(Put { ignore_value: true, ..Put::new(*b"a", *b"") }), Ok(())),
        (Op::Put(Put { ignore_lease: true, lease: 7, ..put.clone() }), Err(Error::LeaseProvided)),
        (Op::Put(Put { ignore_lease: true, ..put.clone() }), Ok(())),
        (Op::Put(Put { lease: 7, ..put }), Ok(())),
        (Op::Delete(delete(b"")), Err(Error::EmptyKey)),
        (Op::Delete(delete(b"a")), Ok(())),
        (Op::Range(Range::of(KeyRange::single(*b""))), Err(Error::EmptyKey)),
        (Op::Range(Range::of(KeyRange::all())), Ok(())),
    ];
    for (op, expected) in cases {
        match &op {
            Op::Put(put) => assert_eq!(Command::Put(put.clone()).check(), expected),
            Op::Delete(delete) => assert_eq!(Command::Delete(delete.clone()).check(), expected),
            Op::Range(range) => assert_eq!(range.check(), expected),
            Op::Txn(_) => {}
        }
        let success = Txn { success: vec![op.clone()], ..Default::default() };
        let failure = Txn { failure: vec![op.clone()], ..Default::default() };
        let nested = Txn { success: vec![Op::Txn(failure.clone())], ..Default::default() };
        for txn in [success, failure, nested] {
            assert_eq!(Command::Txn(txn).check(), expected, "{op:?}");
        }
    }
    let compare = Compare { keys: KeyRange::single(*b""), is: Is::Equal, than: Target::Version(0) };
    assert_eq!(Txn { compare: vec![compare], ..Default::default() }.check(), Err(Error::EmptyKey));
}

/// The same transaction without what writes.
fn reading(txn: Txn) -> Txn {
    let keep = |ops: Vec<Op>| {
        let ops = ops.into_iter().filter_map(|op| match op {
            Op::Range(range) => Some(Op::Range(range)),
            Op::Txn(txn) => Some(Op::Txn(reading(txn))),
            Op::Put(_) | Op::Delete(_) => None,
        });
        ops.collect()
    };
    Txn { compare: txn.compare, success: keep(txn.success), failure: keep(txn.failure) }
}

/// So which branches are taken can be said before anything is written, and clashes can be refused.
#[graded]
fn compares_of_a_nested_transaction_look_at_the_store_before_all_of_it() {
    let exists =
        |key: &[u8]| Compare { keys: KeyRange::single(key), is: Is::Greater, than: Target::Version(0) };
    let nested = Txn {
        compare: vec![exists(b"a")],
        success: vec![Op::Put(Put::new(*b"seen", *b"1"))],
        failure: vec![Op::Put(Put::new(*b"unseen", *b"1"))],
    };
    let outer = Txn { success: vec![Op::Put(Put::new(*b"a", *b"1")), Op::Txn(nested)], ..Default::default() };
    let mut store = Store::new();
    assert!(store.apply(&Command::Txn(outer)).answer.is_ok());
    assert!(store.get(b"unseen").is_some(), "the nested compare must not see the put before it");
}

/// Only one of its branches will be done. Whatever stands beside it is done with either.
#[graded]
fn the_branches_of_a_nested_transaction_exclude_each_other_and_nothing_else() {
    let put = |key: &[u8]| Op::Put(Put::new(key, *b"1"));
    let delete = || Op::Delete(DeleteRange { keys: KeyRange::single(*b"a"), prev_kv: false });
    let nested = |success, failure| Op::Txn(Txn { compare: vec![], success, failure });
    let check = |ops: Vec<Op>| Txn { success: ops, ..Default::default() }.check();
    assert_eq!(check(vec![nested(vec![put(b"a")], vec![put(b"a")])]), Ok(()), "one or the other");
    assert_eq!(check(vec![nested(vec![put(b"a")], vec![delete()])]), Ok(()), "one or the other");
    let twice = Err(Error::DuplicateKey);
    for branches in [nested(vec![put(b"a")], vec![]), nested(vec![], vec![put(b"a")])] {
        assert_eq!(check(vec![branches.clone(), put(b"a")]), twice, "a put behind it");
        assert_eq!(check(vec![put(b"a"), branches.clone()]), twice, "a put in front of it");
        assert_eq!(check(vec![branches.clone(), delete()]), twice, "a deletion behind it");
        assert_eq!(check(vec![branches.clone(), branches.clone()]), twice, "another nested transaction");
        assert_eq!(check(vec![branches, put(b"b")]), Ok(()), "another key");
    }
    assert_eq!(check(vec![nested(vec![delete()], vec![]), put(b"a")]), twice, "a nested deletion, and a put");
}

proptest! {
    #[graded]
    fn keys_written_twice_are_found_however_they_nest(ops in ops()) {
        let txn = Txn { success: ops.clone(), ..Default::default() };
        let expected = if writes_twice(&ops) { Err(Error::DuplicateKey) } else { Ok(()) };
        prop_assert_eq!(txn.check(), expected);
    }

    /// Past the log, and with the same answer.
    #[graded]
    fn a_transaction_that_reads_is_answered_as_if_it_were_written(
        history in proptest::collection::vec(simple(), 0..20),
        txn in txn(),
    ) {
        let mut store = Store::new();
        history.iter().filter(|c| c.check().is_ok()).for_each(|c| drop(store.apply(c)));
        let txn = reading(txn);
        let read = store.read_txn(&txn);
        let applied = store.apply(&Command::Txn(txn));
        prop_assert!(applied.events.is_empty());
        prop_assert_eq!(read.map(Answer::Txn), applied.answer);
    }

    #[graded]
    fn transactions_are_those_of_a_store_that_copies_everything(
        history in proptest::collection::vec(simple(), 0..20),
        txns in proptest::collection::vec(txn(), 1..10),
    ) {
        let (mut store, mut model) = (Store::new(), Model::new());
        for command in history.into_iter().chain(txns.into_iter().map(Command::Txn)) {
            both(&mut store, &mut model, &command)?;
        }
    }
}
