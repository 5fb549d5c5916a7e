use graded::graded;
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::types::{KeyRange, RangeEnd};
use crate::heart::watch::{Hub, WatchSpec, What};
use crate::heart::{Command, Store};
use crate::model::{Change, Model, holds};
use crate::random::{both, keys, write};
use crate::script::run;

/// The changes of one transaction come together: whoever hears of one has heard of all.
#[graded]
fn a_watcher_hears_of_what_comes() {
    assert_snapshot!(run("
        put a 1
        watch s a*
        put a 2
        put b 1
        put ab 1
        del a
        txn ? put a 3; put ax 1; put b 2
    "));
}

/// A list at 3 and a watch from 4 must not repeat what the list had.
#[graded]
fn a_watcher_of_the_future_waits_for_its_revision() {
    assert_snapshot!(run("
        watch s a.. from=4
        put a 1
        put a 2
        put a 3
        put a 4
    "));
}

/// It lags: were it told of the new change now, the older ones would come after it, or never.
/// And while one lags, the stream may not be told "you have seen everything".
#[graded]
fn a_watcher_of_the_past_is_not_told_of_the_present_before_it() {
    assert_snapshot!(run("
        put a 1
        watch s a from=2
        watch s a
        put a 2
        progress s
    "));
}

/// The API server asks for the previous value: an object that no longer matches a selector is, to its
/// watcher, a deleted one.
#[graded]
fn filters_and_previous_values_are_as_asked() {
    assert_snapshot!(run("
        put a 1
        watch s a prev
        watch s a nodelete
        watch s a noput prev
        watch s a noput nodelete
        put a 2
        del a
        put a 3
    "));
}

/// Many watchers share one connection; the id is how the client tells them apart.
#[graded]
fn ids_are_chosen_or_taken_and_not_given_twice() {
    assert_snapshot!(run("
        watch s a
        watch s b id=2
        watch s c
        watch s d
        watch s e id=2
        watch s c..b
        watch s a from=-1
        watch t a
        put a 1
        put d 1
    "));
}

/// A client forgets an id when it cancels it, and would not know what to do with an event for it.
#[graded]
fn a_cancelled_watcher_is_silent() {
    assert_snapshot!(run("
        watch s a
        watch s a
        cancel s 0
        cancel s 0
        put a 1
        close s
        put a 2
    "));
}

/// A watcher of a quiet key would otherwise hold a revision that is soon compacted.
#[graded]
fn a_tick_tells_watchers_that_heard_nothing_how_far_they_are() {
    assert_snapshot!(run("
        watch s a progress
        watch s b progress
        watch s c
        tick
        put a 1
        tick
        tick
    "));
}

/// What a watcher is owed.
pub fn owed(model: &Model, spec: &WatchSpec, from: i64) -> Vec<Change> {
    let wanted = |c: &&Change| {
        let kind = if c.now.is_some() { !spec.no_put } else { !spec.no_delete };
        c.main >= from && kind && holds(&spec.keys, &c.key)
    };
    let mut owed: Vec<Change> = model.changes.iter().filter(wanted).cloned().collect();
    if !spec.prev_kv {
        owed.iter_mut().for_each(|c| c.prev = None);
    }
    owed
}

pub fn spec() -> impl Strategy<Value = WatchSpec> {
    let rare = || prop::bool::weighted(0.2);
    (keys(), prop_oneof![1 => Just(0), 2 => 1..30i64], rare(), rare(), any::<bool>()).prop_map(
        |(keys, start, no_put, no_delete, prev_kv)| WatchSpec {
            no_put,
            no_delete,
            prev_kv,
            ..WatchSpec::of(keys, start)
        },
    )
}

/// A range of short keys, so that many overlap, touch, or lie in one another.
fn short_range() -> impl Strategy<Value = KeyRange> {
    let key = || proptest::collection::vec(0..3u8, 1..4);
    (key(), key(), 0..4u8).prop_map(|(a, b, kind)| match kind {
        0 => KeyRange::single(a),
        1 => KeyRange { start: a.into(), end: RangeEnd::Unbounded },
        _ => KeyRange { start: a.clone().min(b.clone()).into(), end: RangeEnd::Before(a.max(b).into()) },
    })
}

proptest! {
    /// However many watchers there are, and whoever has gone meanwhile.
    #[graded]
    fn who_wants_a_key_is_told_of_it_and_nobody_else(
        acts in proptest::collection::vec((short_range(), 0..20i64, prop::bool::weighted(0.3)), 1..60),
        key in proptest::collection::vec(0..3u8, 1..4),
    ) {
        let (mut store, mut hub) = (Store::new(), Hub::new(1 << 20));
        let mut watchers = std::collections::BTreeMap::new();
        hub.handle_open(1);
        for (keys, id, looks) in acts {
            match watchers.remove(&id) {
                Some(_) => hub.handle_cancel(1, id, store.revision()),
                None if id > 0 && !keys.is_empty() => {
                    let prev_kv = id % 2 == 0;
                    let spec = WatchSpec { id, prev_kv, ..WatchSpec::of(keys.clone(), 0) };
                    hub.handle_create(1, spec, &store);
                    watchers.insert(id, keys);
                }
                None => {}
            }
            while hub.poll_delivery().is_some() {}
            if looks {
                let had = store.get(&key).is_some();
                let put = crate::heart::txn::Put::new(key.as_slice(), *b"1");
                hub.handle_commit(&store.apply(&Command::Put(put)).events);
                let mut told = Vec::new();
                while let Some(delivery) = hub.poll_delivery() {
                    let What::Events { events, .. } = delivery.what else { continue };
                    prop_assert_eq!(events.len(), 1);
                    prop_assert_eq!(events[0].prev.is_some(), had && delivery.watch % 2 == 0);
                    told.push(delivery.watch);
                }
                told.sort();
                let concerned = watchers.iter().filter(|(_, keys)| holds(keys, &key));
                prop_assert_eq!(told, concerned.map(|(id, _)| *id).collect::<Vec<_>>());
            }
        }
    }
}

proptest! {
    /// Of the present and the future; the past is the next step's.
    #[graded]
    fn a_watcher_is_given_what_comes_in_order_once(
        before in proptest::collection::vec(write(), 0..5),
        after in proptest::collection::vec(write(), 0..20),
        specs in proptest::collection::vec((spec(), 0..12i64), 1..4),
    ) {
        let (mut store, mut model) = (Store::new(), Model::new());
        let mut hub = Hub::new(usize::MAX / 2);
        for command in &before {
            both(&mut store, &mut model, command)?;
        }
        let from = store.revision() + 1;
        let specs = specs.into_iter().filter(|(spec, _)| !spec.keys.is_empty());
        let specs: Vec<_> = specs.map(|(spec, later)| WatchSpec { start: from + later, ..spec }).collect();
        hub.handle_open(7);
        for spec in &specs {
            hub.handle_create(7, spec.clone(), &store);
        }
        for command in &after {
            let events = both(&mut store, &mut model, command)?;
            hub.handle_commit(&events);
        }
        heard_is_owed(&mut hub, &model, &specs, from)?;
    }
}

/// What came out of the hub is what each watcher of stream 7 is owed; `from` is where those begin that
/// name no start.
pub fn heard_is_owed(
    hub: &mut Hub,
    model: &Model,
    specs: &[WatchSpec],
    from: i64,
) -> Result<(), TestCaseError> {
    let mut heard = vec![Vec::<Change>::new(); specs.len()];
    let mut last = vec![0; specs.len()];
    while let Some(delivery) = hub.poll_delivery() {
        if let What::Events { events, .. } = delivery.what {
            let watch = delivery.watch as usize;
            let first = events.first().map_or(0, |event| event.record.revision.main);
            prop_assert!(last[watch] < first, "revision {} came in two pieces", first);
            last[watch] = events.last().map_or(0, |event| event.record.revision.main);
            heard[watch].extend(events.iter().map(Change::from));
        }
    }
    for (spec, heard) in specs.iter().zip(heard) {
        let start = if spec.start == 0 { from } else { spec.start };
        prop_assert_eq!(heard, owed(model, spec, start), "{:?}", spec);
    }
    Ok(())
}
