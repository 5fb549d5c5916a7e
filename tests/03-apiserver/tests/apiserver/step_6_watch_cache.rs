use crate::common::{config_map, resource, stored};
use crate::heart::query::Query;
use crate::heart::selection::Selection;
use crate::heart::stored::Stored;
use crate::heart::watch_cache::{Change, Cursor, EventType, Interest, WatchCache};
use graded::graded;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const PREFIX: &str = "/registry/configmaps/";

fn interest(selector: &str) -> Interest {
    let query = Query::parse(&format!("labelSelector={selector}"));
    Interest {
        prefix: PREFIX.into(),
        selection: Selection::parse(resource("ConfigMap"), &query).expect("a selection"),
    }
}

fn put(name: &str, label: &str, revision: i64) -> Change {
    let object = stored("ConfigMap", revision, config_map(name, &[("on", label)]));
    Change { key: object.key.clone(), revision, object: Some(Arc::new(object)) }
}

fn delete(name: &str, revision: i64) -> Change {
    Change { key: format!("{PREFIX}default/{name}"), revision, object: None }
}

fn drain(cursor: &mut Cursor, cache: &WatchCache) -> Vec<String> {
    let events = cursor.poll(cache, 1000).expect("still in the window");
    let show = |kind: EventType, object: &Stored| {
        let value = object.value();
        format!(
            "{} {} {}",
            kind.as_str(),
            value["metadata"]["name"].as_str().unwrap_or("?"),
            value["metadata"]["resourceVersion"].as_str().unwrap_or("?")
        )
    };
    events.iter().map(|(kind, event)| show(*kind, event.shown(*kind).expect("a state"))).collect()
}

fn cache(changes: Vec<Change>) -> WatchCache {
    let mut cache = WatchCache::new(100);
    cache.replace(1, Vec::new());
    cache.apply(changes);
    cache
}

/// A controller that is not told keeps a ghost in its cache.
#[graded]
fn an_object_that_begins_to_match_is_added_and_one_that_stops_is_deleted() {
    let cache = cache(vec![
        put("a", "no", 2),
        put("a", "yes", 3),
        put("a", "yes", 4),
        put("a", "no", 5),
        put("a", "no", 6),
        put("a", "yes", 7),
        delete("a", 8),
    ]);
    let mut cursor = Cursor { interest: interest("on%3Dyes"), revision: 1 };
    assert_eq!(
        drain(&mut cursor, &cache),
        ["ADDED a 3", "MODIFIED a 4", "DELETED a 5", "ADDED a 7", "DELETED a 8"]
    );
    assert_eq!(drain(&mut cursor, &cache), Vec::<String>::new(), "each is told once");
}

/// The watcher needs a place from which to go on.
#[graded]
fn a_deletion_shows_the_last_state_under_the_deletions_revision() {
    let cache = cache(vec![put("a", "yes", 2), delete("a", 3)]);
    let mut cursor = Cursor { interest: interest(""), revision: 2 };
    let events = cursor.poll(&cache, 10).expect("still in the window");
    let line = String::from_utf8(events[0].1.line(events[0].0).to_vec()).expect("text");
    insta::assert_snapshot!(line);
}

/// Lists are answered from here too.
#[graded]
fn the_newest_state_is_found_by_key_and_listed_by_prefix() {
    let mut cache =
        cache(vec![put("b", "no", 2), put("a", "yes", 3), put("b", "yes", 4), put("c", "yes", 5)]);
    cache.apply(vec![delete("c", 6), delete("never", 7)]);
    let names = |prefix: &str| {
        let value = |object: &Arc<Stored>| object.value()["metadata"]["name"].as_str().map(str::to_owned);
        cache.list(prefix).filter_map(value).collect::<Vec<_>>()
    };
    assert_eq!(names(PREFIX), ["a", "b"]);
    assert_eq!(names(&format!("{PREFIX}default/b")), ["b"]);
    assert!(names("/registry/pods/").is_empty());
    assert_eq!((cache.len(), cache.is_empty(), cache.revision()), (2, false, 7));
    let b = cache.get(&format!("{PREFIX}default/b")).expect("it is there");
    assert_eq!(b.value()["metadata"]["resourceVersion"], "4");
    let mut cursor = Cursor { interest: interest(""), revision: 5 };
    assert_eq!(drain(&mut cursor, &cache), ["DELETED c 6"], "deleting what was not there is no event");
}

/// The store's watch begins anew after a broken connection, and not exactly where it ended.
#[graded]
fn what_the_store_repeats_is_told_once() {
    let changes = || vec![put("a", "yes", 2), put("b", "yes", 3), delete("a", 3)];
    let mut cache = cache(changes());
    cache.apply(changes());
    cache.apply(changes().split_off(1));
    let mut cursor = Cursor { interest: interest(""), revision: 1 };
    assert_eq!(drain(&mut cursor, &cache), ["ADDED a 2", "ADDED b 3", "DELETED a 3"]);
}

/// A thousand watchers, one encoding: that is what the cache is for.
#[graded]
fn a_line_is_encoded_once_for_all_watchers() {
    let cache = cache(vec![put("a", "yes", 2)]);
    let line = |selector: &str| {
        let mut cursor = Cursor { interest: interest(selector), revision: 1 };
        let events = cursor.poll(&cache, 10).expect("still in the window");
        events[0].1.line(events[0].0).as_ptr()
    };
    assert_eq!(line(""), line("on%3Dyes"), "both watchers share one buffer");
}

/// An honest error makes a client list anew; a silent gap makes it wrong for ever.
#[graded]
fn what_fell_out_of_the_window_is_410_and_never_a_gap() {
    let mut cache = WatchCache::new(3);
    cache.replace(10, Vec::new());
    cache.apply((11..=16).map(|revision| put("a", "yes", revision)).collect());
    let since = |revision: i64| {
        Cursor { interest: interest(""), revision }
            .poll(&cache, 10)
            .map(|e| e.len())
            .map_err(|e| e.reason.code())
    };
    assert_eq!(
        (9..=16).map(since).collect::<Vec<_>>(),
        [Err(410), Err(410), Err(410), Err(410), Ok(3), Ok(2), Ok(1), Ok(0)]
    );
}

/// Nobody knows what happened in between.
#[graded]
fn after_a_relist_watchers_of_before_must_list_too() {
    let mut cache = cache(vec![put("a", "yes", 2)]);
    cache.replace(20, Vec::new());
    assert!(Cursor { interest: interest(""), revision: 2 }.poll(&cache, 10).is_err());
    assert!(Cursor { interest: interest(""), revision: 20 }.poll(&cache, 10).is_ok());
}

/// Most watchers of a busy kind want to hear of few objects. What they do not want is no reason to
/// lose their place.
#[graded]
fn a_watcher_that_hears_nothing_does_not_fall_behind() {
    let mut cache = WatchCache::new(3);
    cache.replace(10, Vec::new());
    let mut cursor = Cursor { interest: interest("on%3Dyes"), revision: 10 };
    for revision in 11..30 {
        cache.apply(vec![put("a", "no", revision)]);
        assert_eq!(drain(&mut cursor, &cache), Vec::<String>::new());
        assert_eq!(cursor.revision, revision);
    }
    cache.progress(50);
    assert_eq!(drain(&mut cursor, &cache), Vec::<String>::new());
    assert_eq!(cursor.revision, 50, "the store went on, and nothing of this kind happened");
}

/// A cursor is one number, and cannot rest inside of a revision.
#[graded]
fn the_changes_of_one_revision_are_told_together() {
    let cache = cache(vec![put("a", "yes", 2), put("b", "yes", 3), put("c", "yes", 3), put("d", "yes", 4)]);
    let mut cursor = Cursor { interest: interest(""), revision: 1 };
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(cursor.poll(&cache, 1).expect("still in the window").len());
    }
    // A limit of one may be passed by the rest of a revision, and the order holds.
    assert_eq!(sizes.iter().sum::<usize>(), 4);
    assert!(sizes.iter().all(|size| *size <= 2), "by that rest, and by nothing more: {sizes:?}");
    assert!(!sizes.contains(&0) || sizes[3] == 0, "an empty answer means that there is no more: {sizes:?}");
}

/// A watch on the store that restarts may repeat.
#[graded]
fn what_was_seen_before_changes_nothing() {
    let mut cache = cache(vec![put("a", "yes", 2), put("a", "no", 3)]);
    cache.apply(vec![put("a", "yes", 2), put("b", "yes", 4)]);
    let mut cursor = Cursor { interest: interest(""), revision: 1 };
    assert_eq!(drain(&mut cursor, &cache), ["ADDED a 2", "MODIFIED a 3", "ADDED b 4"]);
}

#[derive(Debug, Clone)]
enum Op {
    Put(u8, bool),
    Delete(u8),
    /// A write elsewhere: the revision moves, nothing here changes.
    Elsewhere,
    Poll,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..5u8, any::<bool>()).prop_map(|(k, on)| Op::Put(k, on)),
        2 => (0..5u8).prop_map(Op::Delete),
        1 => Just(Op::Elsewhere),
        3 => Just(Op::Poll),
    ]
}

/// The naive model of a watcher: it knows what it has been told of, and is told of differences.
fn oracle(history: &[(i64, String, Option<bool>)], from: i64, wants: impl Fn(bool) -> bool) -> Vec<String> {
    let (mut state, mut told) = (BTreeMap::new(), Vec::new());
    for (revision, name, now) in history {
        let before = state.get(name).is_some_and(|on| wants(*on));
        let after = now.is_some_and(&wants);
        match now {
            Some(on) => state.insert(name.clone(), *on),
            None => state.remove(name),
        };
        let kind = match (before, after) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => continue,
        };
        if *revision > from {
            told.push(format!("{kind} {name} {revision}"));
        }
    }
    told
}

proptest! {
    /// Invariant 4, for any history, any selector, and any size of a bite.
    #[graded]
    fn delivered_is_the_history_filtered_in_order_and_once(
        ops in prop::collection::vec(op(), 0..80),
        limit in 1..5usize,
        start in 1..20i64,
    ) {
        let mut cache = WatchCache::new(1000);
        cache.replace(1, Vec::new());
        let mut history: Vec<(i64, String, Option<bool>)> = Vec::new();
        let mut live: BTreeMap<String, bool> = BTreeMap::new();
        let mut revision = 1;
        let mut watchers = [("", Cursor { interest: interest(""), revision: start }, Vec::new()),
            ("yes", Cursor { interest: interest("on%3Dyes"), revision: start }, Vec::new())];
        let poll = |watchers: &mut [(&str, Cursor, Vec<String>); 2], cache: &WatchCache| {
            for (_, cursor, told) in watchers.iter_mut() {
                let events = cursor.poll(cache, limit).expect("still in the window");
                for (kind, event) in events {
                    let object = event.shown(kind).expect("a state");
                    let name = object.fields["metadata.name"].clone();
                    told.push(format!("{} {name} {}", kind.as_str(), object.revision));
                }
            }
        };
        for op in ops {
            revision += 1;
            match op {
                Op::Put(k, on) => {
                    let name = format!("c{k}");
                    cache.apply(vec![put(&name, if on { "yes" } else { "no" }, revision)]);
                    history.push((revision, name.clone(), Some(on)));
                    live.insert(name, on);
                }
                Op::Delete(k) => {
                    let name = format!("c{k}");
                    cache.apply(vec![delete(&name, revision)]);
                    if live.remove(&name).is_some() {
                        history.push((revision, name, None));
                    }
                }
                Op::Elsewhere => cache.progress(revision),
                Op::Poll if revision > start => poll(&mut watchers, &cache),
                Op::Poll => {}
            }
        }
        for _ in 0..200 {
            poll(&mut watchers, &cache);
        }
        let [(_, _, all), (_, _, some)] = watchers;
        prop_assert_eq!(all, oracle(&history, start, |_| true));
        prop_assert_eq!(some, oracle(&history, start, |on| on));
        let now: Vec<String> = cache.list(PREFIX).map(|o| o.fields["metadata.name"].clone()).collect();
        prop_assert_eq!(now, live.into_keys().collect::<Vec<_>>());
    }

    /// The same with a ring that forgets: complete, or refused.
    #[graded]
    fn a_bounded_ring_tells_everything_or_410(
        count in 1..60i64, capacity in 1..20usize, from in 0..70i64,
    ) {
        let mut cache = WatchCache::new(capacity);
        cache.replace(5, Vec::new());
        cache.apply((6..6 + count).map(|revision| put("a", "yes", revision)).collect());
        let mut cursor = Cursor { interest: interest(""), revision: from };
        match cursor.poll(&cache, usize::MAX) {
            Err(error) => {
                prop_assert_eq!(error.reason.code(), 410);
                prop_assert!(from < 5 || 5 + count - from > capacity as i64, "refused, though the ring reaches back");
            }
            Ok(events) => prop_assert_eq!(events.len() as i64, (5 + count - from).max(0)),
        }
    }
}
