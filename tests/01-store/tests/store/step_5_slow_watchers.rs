use graded::graded;
use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::watch::{CATCH_UP_BYTES, CATCH_UP_EVENTS, Hub, StreamId, WatchId, WatchSpec, What};
use crate::heart::{Command, Store};
use crate::model::{Change, Model};
use crate::random::{both, keys, write};
use crate::script::{run, run_with_window};
use crate::step_4_watch::{heard_is_owed, owed, spec};

/// List at 4, watch from 5, and nothing in between is lost: the reason why there are revisions.
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

/// The honest error. To its client it means: list again.
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

/// A tombstone that no read needs any more is still news to a watcher.
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

/// It is a promise, that everything up to this revision was delivered; the API server's cache rests on it.
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

/// What waits for it is bounded by its window, however much happens.
#[graded]
fn a_stream_that_does_not_read_is_sent_no_more_and_misses_nothing() {
    assert_snapshot!(run_with_window(
        2,
        "
        watch s a
        watch t a
        put a 1
        put a 2
        put a 3
        put a 4
        catch-up 100
        taken s 2
        catch-up 100
        taken s 2
        put a 5
        catch-up 100
    "
    ));
}

/// The window may be overdrawn; the promise that a transaction comes whole may not be broken.
#[graded]
fn a_revision_is_never_split_even_if_it_is_larger_than_the_window() {
    assert_snapshot!(run_with_window(
        1,
        "
        watch s a..
        txn ? put a 1; put b 1; put c 1
        txn ? put d 1; put e 1
        taken s 1
        catch-up 100
        taken s 2
        catch-up 1
    "
    ));
}

/// It has missed something, and must not believe otherwise.
#[graded]
fn a_slow_reader_that_compaction_overtakes_is_told_so() {
    assert_snapshot!(run_with_window(
        1,
        "
        watch s a
        put a 1
        put a 2
        put a 3
        compact 4
        progress s
        catch-up 100
        put a 4
    "
    ));
}

/// One kubelet whose disk hangs must not stop the scheduler.
#[graded]
fn a_slow_stream_does_not_hold_others_back() {
    assert_snapshot!(run_with_window(
        1,
        "
        watch slow a
        watch fast a
        put a 1
        taken fast 1
        put a 2
        taken fast 1
        put a 3
        catch-up 100
        taken slow 1
        catch-up 100
    "
    ));
}

/// The store does one thing at a time. Who reads a million changes must not be everybody's pause.
#[graded]
fn history_is_read_in_portions_and_by_turns() {
    let (mut store, mut hub) = (Store::new(), Hub::new(1_000_000));
    let put = Command::Put(crate::heart::txn::Put::new(*b"a", *b"1"));
    let many = CATCH_UP_EVENTS + 10;
    (0..many).for_each(|_| drop(store.apply(&put)));
    hub.handle_open(1);
    for _ in 0..2 {
        hub.handle_create(1, WatchSpec::of(crate::heart::types::KeyRange::single(*b"a"), 2), &store);
    }
    let mut sizes = Vec::new();
    loop {
        let more = hub.poll_catch_up(&store, CATCH_UP_EVENTS);
        while let Some(delivery) = hub.poll_delivery() {
            if let What::Events { events, .. } = delivery.what {
                sizes.push((delivery.watch, events.len()));
            }
        }
        if !more {
            break;
        }
        assert!(sizes.len() < 10, "there is always more to do: {sizes:?}");
    }
    assert_eq!(sizes, [(0, CATCH_UP_EVENTS), (1, CATCH_UP_EVENTS), (0, 10), (1, 10)]);
}

/// A delivery is in memory, so it is not only the number of its events that counts.
#[graded]
fn a_portion_of_history_ends_when_its_bytes_are_enough() {
    let (mut store, mut hub) = (Store::new(), Hub::new(1_000_000));
    for n in 0..5 {
        let value = vec![n; CATCH_UP_BYTES as usize * 3 / 5];
        store.apply(&Command::Put(crate::heart::txn::Put::new(*b"a", value)));
    }
    hub.handle_open(1);
    hub.handle_create(1, WatchSpec::of(crate::heart::types::KeyRange::single(*b"a"), 2), &store);
    catch_up(&mut hub, &store, 1000);
    let mut sizes = Vec::new();
    while let Some(delivery) = hub.poll_delivery() {
        if let What::Events { events, .. } = delivery.what {
            sizes.push(events.len());
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
}

/// A follower that was away gets the leader's store. Its watchers do not notice.
#[graded]
fn a_restored_store_has_what_its_watchers_need() {
    let put = |key: &str| Command::Put(crate::heart::txn::Put::new(key.as_bytes(), *b"1"));
    let (mut store, mut hub) = (Store::new(), Hub::new(100));
    hub.handle_open(1);
    for (id, key, start) in [(1, "a", 0), (2, "b", 0), (3, "a", 7)] {
        let keys = crate::heart::types::KeyRange::single(key.as_bytes());
        hub.handle_create(1, WatchSpec { id, ..WatchSpec::of(keys, start) }, &store);
    }
    for key in ["a", "c", "c"] {
        hub.handle_commit(&store.apply(&put(key)).events);
    }
    let before = store.revision();
    for key in ["b", "a"] {
        store.apply(&put(key));
    }
    // What follows the revision that all have heard of is enough: nobody is told that it is not.
    store.apply(&Command::Compact { revision: before + 1 });
    hub.handle_restore(before, &store);
    catch_up(&mut hub, &store, 100);
    hub.handle_commit(&store.apply(&put("a")).events);
    let mut heard = Vec::new();
    while let Some(delivery) = hub.poll_delivery() {
        match delivery.what {
            What::Created => {}
            What::Events { events, .. } => {
                heard.extend(events.iter().map(|e| (delivery.watch, e.record.revision.main)));
            }
            other => panic!("{other:?} for {}", delivery.watch),
        }
    }
    heard.sort();
    assert_eq!(heard, [(1, 2), (1, 6), (1, 7), (2, 5), (3, 7)]);
}

/// "Everything up to here" is only true of a stream that has it, and said only to one that reads.
#[graded]
fn progress_is_not_told_to_who_is_behind() {
    assert_snapshot!(run_with_window(
        2,
        "
        put a 1
        watch s a from=2 progress
        watch s b progress
        watch t c progress
        watch t c from=9 progress
        progress s
        tick
        cancel s 0
        cancel s 0
        tick
        tick
        put c 1
        tick
        txn ? put c 2; put c1 2
        tick
        tick
        taken t 2
        tick
    "
    ));
}

/// What was not yet sent to it goes with it, and nobody else's.
#[graded]
fn a_closed_stream_takes_its_deliveries_along() {
    let (mut store, mut hub) = (Store::new(), Hub::new(100));
    let watch = WatchSpec::of(crate::heart::types::KeyRange::single(*b"a"), 0);
    for stream in [1, 2] {
        hub.handle_open(stream);
        hub.handle_create(stream, watch.clone(), &store);
    }
    let put = Command::Put(crate::heart::txn::Put::new(*b"a", *b"1"));
    hub.handle_commit(&store.apply(&put).events);
    hub.handle_close(1);
    let left: Vec<_> = std::iter::from_fn(|| hub.poll_delivery()).map(|d| d.stream).collect();
    assert_eq!(left, [2, 2]);
}

/// What may happen around a hub.
#[derive(Debug, Clone)]
enum Act {
    Write(Command),
    Compact(i64),
    Create(StreamId, WatchSpec),
    Cancel(StreamId, WatchId),
    Take(StreamId, usize),
    CatchUp(usize),
    Close(StreamId),
    /// The store is replaced by another member's, on which this has happened besides.
    Restore(Vec<Command>),
}

fn elsewhere() -> impl Strategy<Value = Command> {
    prop_oneof![5 => write(), 1 => (0..40i64).prop_map(|revision| Command::Compact { revision })]
}

fn act() -> impl Strategy<Value = Act> {
    let stream = || 0..3u64;
    prop_oneof![
        10 => write().prop_map(Act::Write),
        1 => (0..40i64).prop_map(Act::Compact),
        3 => (stream(), spec()).prop_map(|(s, spec)| Act::Create(s, spec)),
        1 => (stream(), keys(), 0..30i64).prop_map(|(s, keys, from)| Act::Create(s, WatchSpec::of(keys, from))),
        1 => (stream(), 0..4i64).prop_map(|(s, id)| Act::Cancel(s, id)),
        4 => (stream(), 1..6usize).prop_map(|(s, n)| Act::Take(s, n)),
        4 => (1..6usize).prop_map(Act::CatchUp),
        1 => stream().prop_map(Act::Close),
        1 => proptest::collection::vec(elsewhere(), 0..6).prop_map(Act::Restore),
    ]
}

/// A watcher as its client sees it.
struct Seen {
    spec: WatchSpec,
    from: i64,
    heard: Vec<Change>,
    compacted: bool,
}

#[derive(Default)]
struct Clients {
    seen: BTreeMap<(StreamId, WatchId), Seen>,
    /// Events sent and not taken.
    ahead: BTreeMap<StreamId, usize>,
}

impl Clients {
    fn receive(&mut self, hub: &mut Hub, model: &Model) -> Result<(), TestCaseError> {
        while let Some(delivery) = hub.poll_delivery() {
            let Some(seen) = self.seen.get_mut(&(delivery.stream, delivery.watch)) else { continue };
            match delivery.what {
                What::Events { events, .. } => {
                    prop_assert!(!seen.compacted, "events after the end");
                    *self.ahead.entry(delivery.stream).or_default() += events.len();
                    seen.heard.extend(events.iter().map(Change::from));
                    // Exactly the owed events up to some revision: in order, once, none split.
                    let owed = owed(model, &seen.spec, seen.from);
                    prop_assert!(owed.len() >= seen.heard.len(), "more than there is: {:?}", seen.spec);
                    for (heard, owed) in seen.heard.iter().zip(&owed) {
                        prop_assert_eq!(
                            (&heard.key, &heard.now, heard.main),
                            (&owed.key, &owed.now, owed.main)
                        );
                        // What was there before may be compacted by now, but is never another value.
                        prop_assert!(heard.prev == owed.prev || heard.prev.is_none());
                    }
                    let last = seen.heard.last().map(|c| c.main);
                    let next = owed.get(seen.heard.len()).map(|c| c.main);
                    prop_assert!(last != next, "revision {:?} was split", last);
                }
                What::Compacted(at) => {
                    prop_assert_eq!(at, model.compacted);
                    seen.compacted = true;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

proptest! {
    /// From any revision, with readers that are fast enough.
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
        catch_up(&mut hub, &store, 3);
        for command in &after {
            let events = both(&mut store, &mut model, command)?;
            hub.handle_commit(&events);
        }
        heard_is_owed(&mut hub, &model, &specs, from)?;
    }
}

/// Until there is nothing more to do; with a bound, for a hub that never gets there.
fn catch_up(hub: &mut Hub, store: &Store, budget: usize) {
    let mut turns = 0;
    while hub.poll_catch_up(store, budget) {
        turns += 1;
        assert!(turns < 10_000, "there is always more to do, and it is never done");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..Default::default() })]

    /// Streams of any slowness, compaction anywhere.
    #[graded]
    fn delivered_is_the_history_filtered_in_order_once_and_never_split(
        acts in proptest::collection::vec(act(), 0..80),
        window in 1..6usize,
    ) {
        let (mut store, mut model) = (Store::new(), Model::new());
        let mut hub = Hub::new(window);
        let mut clients = Clients::default();
        (0..3).for_each(|stream| hub.handle_open(stream));
        for act in acts {
            match act {
                Act::Write(command) => {
                    let events = both(&mut store, &mut model, &command)?;
                    hub.handle_commit(&events);
                }
                Act::Compact(at) => drop(both(&mut store, &mut model, &Command::Compact { revision: at })?),
                Act::Create(stream, spec) => {
                    hub.handle_create(stream, spec.clone(), &store);
                    let created = hub.poll_delivery().expect("an answer");
                    if created.what == What::Created {
                        let from = if spec.start == 0 { store.revision() + 1 } else { spec.start };
                        let seen = Seen { spec, from, heard: vec![], compacted: false };
                        clients.seen.insert((stream, created.watch), seen);
                    }
                }
                Act::Cancel(stream, id) => {
                    hub.handle_cancel(stream, id, store.revision());
                    clients.seen.remove(&(stream, id));
                }
                Act::Take(stream, n) => {
                    let ahead = clients.ahead.entry(stream).or_default();
                    let taken = n.min(*ahead);
                    *ahead -= taken;
                    hub.handle_taken(stream, taken);
                }
                Act::CatchUp(budget) => drop(hub.poll_catch_up(&store, budget)),
                Act::Restore(commands) => {
                    let before = store.revision();
                    for command in &commands {
                        both(&mut store, &mut model, command)?;
                    }
                    hub.handle_restore(before, &store);
                }
                Act::Close(stream) => {
                    hub.handle_close(stream);
                    hub.handle_open(stream);
                    clients.seen.retain(|(s, _), _| *s != stream);
                    clients.ahead.remove(&stream);
                }
            }
            clients.receive(&mut hub, &model)?;
        }
        // When everybody reads, everybody has everything.
        for turn in 0.. {
            prop_assert!(turn < 10_000, "everybody reads, and there is still more to do");
            for (stream, ahead) in &mut clients.ahead {
                hub.handle_taken(*stream, std::mem::take(ahead));
            }
            let more = hub.poll_catch_up(&store, 50);
            clients.receive(&mut hub, &model)?;
            if !more && clients.ahead.values().all(|n| *n == 0) {
                break;
            }
        }
        for seen in clients.seen.values().filter(|s| !s.compacted) {
            let owed = owed(&model, &seen.spec, seen.from);
            prop_assert_eq!(seen.heard.len(), owed.len(), "something is missing: {:?}", seen.spec);
        }
    }
}
