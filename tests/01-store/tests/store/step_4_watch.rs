use graded::graded;
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::Store;
use crate::heart::watch::{Hub, WatchSpec, What};
use crate::model::{Change, Model, holds};
use crate::random::{both, keys, write};
use crate::script::run;

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

#[graded]
fn a_watcher_of_the_past_catches_up_and_then_follows() {
    assert_snapshot!(run("
        put a 1
        put b 1
        del a
        watch s a.. from=2
        catch-up 100
        put c 1
    "));
}

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
        watch s a from=2 prev
        catch-up 100
    "));
}

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

#[graded]
fn a_watcher_that_needs_what_is_compacted_is_told_so() {
    assert_snapshot!(run("
        put a 1
        put a 2
        put a 3
        compact 3
        watch s a from=2
        watch s a from=3
        catch-up 100
        put a 4
    "));
}

#[graded]
fn the_compacted_revision_itself_can_be_watched_even_if_it_deleted() {
    assert_snapshot!(run("
        put a 1
        del a
        compact 3
        watch s a from=3
        catch-up 100
    "));
}

#[graded]
fn progress_is_told_when_all_watchers_of_the_stream_are_synced() {
    assert_snapshot!(run("
        put a 1
        watch s a
        progress s
        watch s b from=2
        progress s
        put a 2
        catch-up 100
        progress s
    "));
}

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

proptest! {
    /// With readers that are fast enough.
    #[graded]
    fn a_watcher_is_given_its_history_in_order_once(
        before in proptest::collection::vec(write(), 0..20),
        after in proptest::collection::vec(write(), 0..20),
        specs in proptest::collection::vec(spec(), 1..4),
    ) {
        let (mut store, mut model) = (Store::new(), Model::new());
        let mut hub = Hub::new(usize::MAX / 2);
        for command in &before {
            both(&mut store, &mut model, command)?;
        }
        let specs: Vec<_> = specs.into_iter().filter(|s| !s.keys.is_empty()).collect();
        let from = store.revision() + 1;
        hub.handle_open(7);
        for spec in &specs {
            hub.handle_create(7, spec.clone(), &store);
        }
        while hub.poll_catch_up(&store, 3) {}
        for command in &after {
            let events = both(&mut store, &mut model, command)?;
            hub.handle_commit(&events);
        }
        let mut heard = vec![Vec::<Change>::new(); specs.len()];
        while let Some(delivery) = hub.poll_delivery() {
            if let What::Events { events, .. } = delivery.what {
                heard[delivery.watch as usize].extend(events.iter().map(Change::from));
            }
        }
        for (spec, heard) in specs.iter().zip(heard) {
            let start = if spec.start == 0 { from } else { spec.start };
            prop_assert_eq!(heard, owed(&model, spec, start), "{:?}", spec);
        }
    }
}
