use graded::graded;
use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::watch::{CATCH_UP_EVENTS, Hub, StreamId, WatchId, WatchSpec, What};
use crate::heart::{Command, Store};
use crate::model::{Change, Model};
use crate::random::{both, keys, write};
use crate::script::run_with_window;
use crate::step_4_watch::{owed, spec};

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
    }
    assert_eq!(sizes, [(0, CATCH_UP_EVENTS), (1, CATCH_UP_EVENTS), (0, 10), (1, 10)]);
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
        loop {
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
