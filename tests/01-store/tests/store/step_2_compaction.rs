use graded::graded;
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::range::Range;
use crate::heart::types::KeyRange;
use crate::heart::{Command, Store};
use crate::model::{Change, Model};
use crate::random::{both, range, same_range, simple};
use crate::script::run;

/// A deletion is written, not erased: a watcher that was away must be able to hear of it.
#[graded]
fn a_deleted_key_is_gone_now_and_still_there_then() {
    assert_snapshot!(run("
        put a 1
        del a prev
        get a
        get a rev=2
        get a rev=3
        del a
    "));
}

/// `create_revision` tells a lock that was released and taken again from one that was held all along.
#[graded]
fn a_key_that_comes_back_begins_anew() {
    assert_snapshot!(run("
        put a 1
        put a 2
        del a
        put a 3
        get a
    "));
}

/// Deleting a namespace's keys is one change: no reader sees half of them.
#[graded]
fn deleting_a_range_takes_one_revision() {
    assert_snapshot!(run("
        put a 1
        put b 1
        put c 1
        del a..c prev
        get a..
        del x..z
    "));
}

/// The API server compacts every five minutes. Who reads further back is told so, and lists again.
#[graded]
fn compaction_forgets_what_nobody_can_read_any_more() {
    assert_snapshot!(run("
        put a 1
        put a 2
        put b 1
        del b
        compact 4
        get a.. rev=3
        get a.. rev=4
        compact 5
        get a.. rev=5
        compact 4
        compact 5
        compact 6
        put a 3
        get a rev=5
    "));
}

/// Compaction at 0 is allowed once, as in etcd: it forgets nothing, but it is a compaction.
#[graded]
fn nothing_has_been_compacted_at_first() {
    assert_snapshot!(run("
        put a 1
        get a rev=1
        compact 0
        get a rev=1
        compact 0
    "));
}

/// A lease that is renewed every ten seconds would fill the store within days.
#[graded]
fn compaction_gives_memory_back() {
    let mut store = Store::new();
    let put = |n: i64| Command::Put(crate::heart::txn::Put::new(*b"key", vec![n as u8; 1000]));
    store.apply(&put(0));
    let one = store.size();
    (1..50).for_each(|n| drop(store.apply(&put(n))));
    assert_eq!(store.size(), 50 * one);
    store.apply(&Command::Compact { revision: store.revision() });
    assert_eq!(store.size(), one, "one version is left");
    store.apply(&Command::Delete(crate::heart::txn::DeleteRange { keys: KeyRange::all(), prev_kv: false }));
    store.apply(&Command::Compact { revision: store.revision() });
    assert_eq!(store.size(), 0, "the tombstone goes too");
    assert_eq!(store.histories(&KeyRange::all()).count(), 0, "and so does the key");
}

/// The last change of a key may be the one that makes an older record useless.
#[graded]
fn what_the_compacted_revision_itself_replaced_is_forgotten_too() {
    let mut store = Store::new();
    let mut apply = |command| drop(store.apply(&command));
    let put = |key: &[u8]| Command::Put(crate::heart::txn::Put::new(key, vec![1; 1000]));
    let single = |key: &[u8]| crate::heart::txn::DeleteRange { keys: KeyRange::single(key), prev_kv: false };
    apply(put(b"replaced"));
    apply(put(b"deleted"));
    apply(put(b"other"));
    apply(Command::Compact { revision: 4 });
    apply(put(b"replaced"));
    apply(Command::Compact { revision: 5 });
    let size = |store: &Store| -> u64 {
        store.histories(&KeyRange::all()).flat_map(|(_, h)| h.records()).map(|r| r.size()).sum()
    };
    assert_eq!(store.size(), size(&store));
    let records =
        |key: &[u8]| store.histories(&KeyRange::single(key)).map(|(_, h)| h.records().len()).sum::<usize>();
    assert_eq!(records(b"replaced"), 1, "the put at 2 can be seen by nobody who reads at 5");
    assert_eq!(records(b"deleted"), 1, "it lives");
    store.apply(&Command::Delete(single(b"deleted")));
    store.apply(&Command::Compact { revision: 6 });
    assert_eq!(
        store.histories(&KeyRange::single(*b"deleted")).count(),
        0,
        "deleted at 6, and nobody reads before 6"
    );
}

proptest! {
    /// Compaction anywhere in a history changes no answer but "compacted".
    #[graded]
    fn what_can_still_be_read_reads_as_before(
        history in proptest::collection::vec(simple(), 0..40),
        ranges in proptest::collection::vec(range(), 10),
        at in 0..40i64,
    ) {
        let (mut store, mut model) = (Store::new(), Model::new());
        for command in &history {
            both(&mut store, &mut model, command)?;
        }
        let compact = Command::Compact { revision: at.min(store.revision()) };
        both(&mut store, &mut model, &compact)?;
        for range in &ranges {
            same_range(&store, &model, range)?;
        }
        for revision in 0..=store.revision() + 1 {
            same_range(&store, &model, &Range { revision, ..Range::of(KeyRange::all()) })?;
        }
    }

    /// Also those of the compacted revision itself, deletions included.
    #[graded]
    fn all_changes_since_the_compacted_revision_are_kept(history in proptest::collection::vec(simple(), 0..40)) {
        let (mut store, mut model) = (Store::new(), Model::new());
        for command in &history {
            both(&mut store, &mut model, command)?;
        }
        let kept: Vec<_> = store.changes(store.compacted()).map(|r| (r.key.to_vec(), r.revision.main)).collect();
        let since = |c: &&Change| c.main >= model.compacted;
        let expected: Vec<_> = model.changes.iter().filter(since).map(|c| (c.key.clone(), c.main)).collect();
        prop_assert_eq!(kept, expected);
    }
}
