//! Many watchers and one history, under everything that can happen to a watch: it is read seldom or
//! in small bites, its connection breaks, the ring forgets, the server reads the store anew. The
//! model knows the whole history and is asked what a watcher should have been told.

use crate::common::{config_map, resource, stored};
use crate::heart::paging::{Token, first_page};
use crate::heart::query::Query;
use crate::heart::selection::Selection;
use crate::heart::watch_cache::{Change, Cursor, EventType, Interest, WatchCache};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const PREFIX: &str = "/registry/configmaps/";

/// Namespace and name; the label, while it is there.
type Key = (u8, u8);
type Write = (Key, Option<bool>);

#[derive(Debug, Clone)]
enum Op {
    /// A transaction: everything in it has one revision.
    Write(Vec<Write>),
    /// A write to another kind.
    Elsewhere,
    Poll {
        watcher: usize,
        budget: usize,
    },
    /// The connection breaks; the client goes on from the last version that it was told.
    Reconnect(usize),
    /// The server had lost the store, and reads it anew.
    Replace,
}

fn op() -> impl Strategy<Value = Op> {
    let write = ((0..2u8, 0..3u8), prop::option::weighted(0.7, any::<bool>()));
    prop_oneof![
        8 => prop::collection::vec(write, 1..4).prop_map(Op::Write),
        1 => Just(Op::Elsewhere),
        6 => (0..4usize, 1..4usize).prop_map(|(watcher, budget)| Op::Poll { watcher, budget }),
        1 => (0..4usize).prop_map(Op::Reconnect),
        1 => Just(Op::Replace),
    ]
}

fn name((namespace, name): Key) -> String {
    format!("ns{namespace}/c{name}")
}

/// The store: every revision there ever was.
#[derive(Default)]
struct Model {
    history: Vec<(i64, Key, Option<bool>)>,
    revision: i64,
}

impl Model {
    fn at(&self, revision: i64) -> BTreeMap<Key, (i64, bool)> {
        let mut state = BTreeMap::new();
        for (at, key, now) in self.history.iter().filter(|(at, ..)| *at <= revision) {
            match now {
                Some(on) => state.insert(*key, (*at, *on)),
                None => state.remove(key),
            };
        }
        state
    }

    /// What a watcher with this interest is told of what happened after `from`, up to `to`.
    fn told(&self, wants: impl Fn(Key, bool) -> bool, from: i64, to: i64) -> Vec<String> {
        let (mut state, mut told) = (BTreeMap::<Key, bool>::new(), Vec::new());
        for (revision, key, now) in &self.history {
            let before = state.get(key).is_some_and(|on| wants(*key, *on));
            let after = now.is_some_and(|on| wants(*key, on));
            match now {
                Some(on) => state.insert(*key, *on),
                None => state.remove(key),
            };
            let kind = match (before, after) {
                (false, true) => "ADDED",
                (true, true) => "MODIFIED",
                (true, false) => "DELETED",
                (false, false) => continue,
            };
            if (from + 1..=to).contains(revision) {
                told.push(format!("{kind} {} {revision}", name(*key)));
            }
        }
        told
    }
}

fn object(key: Key, on: bool, revision: i64) -> Arc<crate::heart::stored::Stored> {
    let mut value = config_map(&format!("c{}", key.1), &[("on", if on { "yes" } else { "no" })]);
    value["metadata"]["namespace"] = format!("ns{}", key.0).into();
    Arc::new(stored("ConfigMap", revision, value))
}

/// A client: where it began, what it was told since, and the last version that it saw.
struct Watcher {
    cursor: Cursor,
    began: i64,
    told: Vec<String>,
    last: i64,
    lists: usize,
}

fn wants(watcher: usize) -> impl Fn(Key, bool) -> bool {
    move |key, on| match watcher {
        0 => true,
        1 => on,
        2 => key.0 == 1,
        _ => key.1 == 0,
    }
}

fn interest(watcher: usize) -> Interest {
    let (prefix, query) = match watcher {
        0 => ("", ""),
        1 => ("", "labelSelector=on%3Dyes"),
        2 => ("ns1/", ""),
        _ => ("", "fieldSelector=metadata.name%3Dc0"),
    };
    let selection = Selection::parse(resource("ConfigMap"), &Query::parse(query)).expect("a selection");
    Interest { prefix: format!("{PREFIX}{prefix}"), selection }
}

impl Watcher {
    fn poll(
        &mut self,
        which: usize,
        cache: &WatchCache,
        model: &Model,
        budget: usize,
    ) -> Result<(), TestCaseError> {
        let events = match self.cursor.poll(cache, budget) {
            Ok(events) => events,
            Err(error) => {
                prop_assert_eq!(error.reason.code(), 410);
                // What it was told until here must have been right, and then it lists.
                prop_assert_eq!(&self.told, &model.told(wants(which), self.began, self.last_complete()));
                let state: Vec<String> = cache
                    .list(&self.cursor.interest.prefix)
                    .filter(|o| self.cursor.interest.wants(o))
                    .map(|o| format!("{} {}", &o.key[PREFIX.len()..], o.revision))
                    .collect();
                let there =
                    model.at(cache.revision()).into_iter().filter(|(key, (_, on))| wants(which)(*key, *on));
                let expected: Vec<String> =
                    there.map(|(key, (at, _))| format!("{} {at}", name(key))).collect();
                prop_assert_eq!(state, expected);
                self.restart(cache.revision());
                self.lists += 1;
                return Ok(());
            }
        };
        for (kind, event) in events {
            let object = event.shown(kind).expect("a state");
            prop_assert_eq!(
                object.revision,
                if kind == EventType::Deleted { event.revision } else { object.revision }
            );
            self.told.push(format!("{} {} {}", kind.as_str(), &object.key[PREFIX.len()..], event.revision));
            self.last = event.revision;
        }
        Ok(())
    }

    fn last_complete(&self) -> i64 {
        self.cursor.revision
    }

    fn restart(&mut self, revision: i64) {
        self.cursor.revision = revision;
        (self.began, self.last) = (revision, revision);
        self.told.clear();
    }
}

proptest! {
    #[test]
    fn no_watcher_misses_repeats_or_confuses_anything(
        ops in prop::collection::vec(op(), 0..120), capacity in 1..12usize,
    ) {
        let mut model = Model { revision: 1, ..Model::default() };
        let mut cache = WatchCache::new(capacity);
        cache.replace(1, Vec::new());
        let mut watchers: Vec<Watcher> = (0..4)
            .map(|which| Watcher {
                cursor: Cursor { interest: interest(which), revision: 1 },
                began: 1,
                told: Vec::new(),
                last: 1,
                lists: 0,
            })
            .collect();
        for op in ops {
            match op {
                Op::Write(writes) => {
                    model.revision += 1;
                    let state = model.at(model.revision);
                    // In one transaction each key is written once, and what is not there is not deleted.
                    let unique: BTreeMap<Key, Option<bool>> = writes.into_iter().collect();
                    let mut changes = Vec::new();
                    for (key, now) in unique.into_iter().filter(|(k, now)| now.is_some() || state.contains_key(k)) {
                        model.history.push((model.revision, key, now));
                        let object = now.map(|on| object(key, on, model.revision));
                        changes.push(Change { key: format!("{PREFIX}{}", name(key)), revision: model.revision, object });
                    }
                    cache.apply(changes);
                    cache.progress(model.revision);
                }
                Op::Elsewhere => {
                    model.revision += 1;
                    cache.progress(model.revision);
                }
                Op::Poll { watcher, budget } => watchers[watcher].poll(watcher, &cache, &model, budget)?,
                Op::Reconnect(which) => {
                    let watcher = &mut watchers[which];
                    watcher.cursor.revision = watcher.last;
                }
                Op::Replace => {
                    let there = model.at(model.revision);
                    cache.replace(model.revision, there.iter().map(|(key, (at, on))| object(*key, *on, *at)).collect());
                }
            }
        }
        for (which, watcher) in watchers.iter_mut().enumerate() {
            while watcher.cursor.revision < model.revision {
                watcher.poll(which, &cache, &model, 2)?;
            }
            prop_assert_eq!(&watcher.told, &model.told(wants(which), watcher.began, model.revision));
        }
    }

    /// The pages of one list are the state of its first page, whatever is written between them.
    #[test]
    fn pages_of_one_list_are_one_state(
        rounds in prop::collection::vec(prop::collection::vec(((0..2u8, 0..9u8), any::<Option<bool>>()), 0..6), 1..12),
        limit in 1..4usize,
    ) {
        let mut model = Model { revision: 1, ..Model::default() };
        let write = |model: &mut Model, writes: &[Write]| {
            for (key, now) in writes {
                model.revision += 1;
                model.history.push((model.revision, *key, *now));
            }
        };
        write(&mut model, &rounds[0]);
        let first = model.revision;
        let expected: Vec<Key> = model.at(first).into_keys().collect();
        let (mut shown, mut token) = (Vec::new(), Token::new(first, ""));
        for round in rounds.iter().cycle() {
            let rest = model.at(token.revision).into_keys().map(|key| (name(key), key));
            let start = token.start.clone();
            let page = first_page(rest.filter(|(key, _)| *key >= start), limit, token.revision, true);
            shown.extend(page.items);
            let Some(next) = page.next else { break };
            token = Token::decode(&next.encode()).expect("our own");
            write(&mut model, round);
        }
        prop_assert_eq!(shown, expected);
    }
}
