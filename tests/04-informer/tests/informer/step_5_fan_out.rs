use crate::heart::dynamic::DynamicObject;
use crate::heart::fifo::{Delta, DeltaFifo};
use crate::heart::indexer::{Event, Indexer};
use crate::heart::reflector::{Failure, Page, Reflector, Step};
use crate::heart::wire::WatchEvent;
use crate::{object, shared, show};
use graded::graded;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn line(event: &Event<DynamicObject>) -> String {
    match event {
        Event::Added(new) => format!("+{}", show(new)),
        Event::Updated { old, new } => format!("{} ~{}", show(old), show(new)),
        Event::Deleted(old) => format!("-{}", show(old)),
        Event::Synced => "synced".to_owned(),
    }
}

fn apply(indexer: &mut Indexer<DynamicObject>, deltas: Vec<Delta<DynamicObject>>) -> Vec<String> {
    indexer.apply("default/a", deltas).iter().map(line).collect()
}

/// After a gap the server's word for a change may be wrong for us: what it updated may be new here.
#[graded]
fn a_change_is_told_by_what_the_cache_held() {
    let mut cache = Indexer::new(vec![]);
    assert_eq!(
        apply(&mut cache, vec![Delta::Updated(shared("a", "1", 1))]),
        ["+a(1)@1"],
        "new to us is added"
    );
    assert_eq!(apply(&mut cache, vec![Delta::Added(shared("a", "1", 2))]), ["a(1)@1 ~a(1)@2"]);
    assert_eq!(apply(&mut cache, vec![Delta::Deleted(shared("a", "1", 3))]), ["-a(1)@3"], "the final state");
    assert_eq!(apply(&mut cache, vec![Delta::Deleted(shared("a", "1", 3))]), [""; 0], "nobody knew it");
}

/// A relist of ten thousand objects would otherwise be ten thousand pieces of work for every controller.
#[graded]
fn what_a_list_repeats_is_told_to_nobody() {
    let mut cache = Indexer::new(vec![]);
    apply(&mut cache, vec![Delta::Added(shared("a", "1", 1))]);
    assert_eq!(apply(&mut cache, vec![Delta::Replaced(shared("a", "1", 1))]), [""; 0]);
    assert_eq!(apply(&mut cache, vec![Delta::Replaced(shared("a", "1", 2))]), ["a(1)@1 ~a(1)@2"]);
}

/// Nobody saw it go. A handler must still learn that it is gone, and the old state is all that there is.
#[graded]
fn what_vanished_is_told_with_its_last_known_state() {
    let mut cache = Indexer::new(vec![]);
    apply(&mut cache, vec![Delta::Added(shared("a", "1", 1))]);
    assert_eq!(apply(&mut cache, vec![Delta::Vanished]), ["-a(1)@1"]);
    assert!(cache.is_empty());
}

/// A pod of a StatefulSet that was deleted and made again while nobody watched: told as an update, the new
/// one would inherit what was remembered of the old.
#[graded]
fn another_uid_is_another_object() {
    let mut cache = Indexer::new(vec![]);
    apply(&mut cache, vec![Delta::Added(shared("a", "1", 1))]);
    assert_eq!(apply(&mut cache, vec![Delta::Replaced(shared("a", "2", 9))]), ["-a(1)@1", "+a(2)@9"]);
    // A server that was restored from a backup may even repeat a version.
    assert_eq!(apply(&mut cache, vec![Delta::Replaced(shared("a", "3", 9))]), ["-a(2)@9", "+a(3)@9"]);
}

/// A server that remembers every change, and forgets old ones when it is told to.
#[derive(Default)]
struct Server {
    version: u64,
    live: BTreeMap<String, DynamicObject>,
    history: Vec<(u64, WatchEvent<DynamicObject>)>,
    compacted: u64,
}

impl Server {
    fn change(&mut self, name: &str, delete: bool) {
        self.version += 1;
        let (version, uid) = (self.version, format!("u{}", self.version));
        let event = match (self.live.get(name), delete) {
            (None, _) => {
                let new = object(name, &uid, version);
                self.live.insert(name.to_owned(), new.clone());
                WatchEvent::Added(new)
            }
            (Some(old), false) => {
                let mut new = old.clone();
                new.metadata.resource_version = Some(version.to_string());
                self.live.insert(name.to_owned(), new.clone());
                WatchEvent::Modified(new)
            }
            (Some(old), true) => {
                let mut last = old.clone();
                last.metadata.resource_version = Some(version.to_string());
                self.live.remove(name);
                WatchEvent::Deleted(last)
            }
        };
        self.history.push((version, event));
    }

    /// What happened after this version, or that it is forgotten.
    fn since(&self, version: u64) -> Option<Vec<WatchEvent<DynamicObject>>> {
        let after = self.history.iter().filter(|(at, _)| *at > version);
        (version >= self.compacted).then(|| after.map(|(_, event)| event.clone()).collect())
    }
}

/// A client made of the four parts, and what its handler heard.
struct Client {
    reflector: Reflector<DynamicObject>,
    fifo: DeltaFifo<DynamicObject>,
    cache: Indexer<DynamicObject>,
    heard: Vec<String>,
    now: Duration,
    lists: usize,
}

impl Client {
    fn new() -> Client {
        Client {
            reflector: Reflector::default(),
            fifo: DeltaFifo::default(),
            cache: Indexer::new(vec![]),
            heard: Vec::new(),
            now: Duration::ZERO,
            lists: 0,
        }
    }

    /// Takes one step against the server; of a watch at most so many events get through
    /// before the connection breaks.
    fn step(&mut self, server: &Server, through: usize, page: usize) {
        match self.reflector.poll_step(self.now) {
            Step::Wait { until } => self.now = until,
            Step::List { limit, continue_ } => {
                let from: usize = continue_.map_or(0, |token| token.parse().expect("our own token"));
                let size = if limit.is_some() { page } else { usize::MAX };
                let items: Vec<_> = server.live.values().skip(from).take(size).cloned().collect();
                let end = from + items.len();
                let resource_version = server.version.to_string();
                let continue_ = (end < server.live.len()).then(|| end.to_string());
                if let Some(all) = self.reflector.handle_page(Page { items, resource_version, continue_ }) {
                    self.lists += 1;
                    self.fifo.replace(all, self.cache.keys());
                }
            }
            Step::Watch { resource_version } => {
                match server.since(resource_version.parse().expect("a number")) {
                    None => self.reflector.handle_failure(Failure::Gone, self.now, 0.5),
                    Some(events) => {
                        self.reflector.handle_opened(self.now);
                        for event in events.into_iter().take(through) {
                            let delta = self.reflector.handle_event(event).expect("no error was sent");
                            delta.into_iter().for_each(|delta| self.fifo.push(delta));
                        }
                        self.reflector.handle_failure(Failure::Ended, self.now, 0.5);
                    }
                }
            }
        }
    }

    /// Handles up to so many queued objects.
    fn handle(&mut self, count: usize) {
        for _ in 0..count {
            let Some((key, deltas)) = self.fifo.pop() else { return };
            self.heard.extend(self.cache.apply(&key, deltas).iter().map(line));
        }
    }

    fn catch_up(&mut self, server: &Server) {
        let last = server.version.to_string();
        for _ in 0..1000 {
            if self.reflector.resource_version() == Some(&last) {
                return self.handle(usize::MAX);
            }
            self.step(server, usize::MAX, 3);
        }
        panic!("a thousand steps, and still at {:?} of {last}", self.reflector.resource_version());
    }
}

#[derive(Clone, Debug)]
enum Act {
    Change(String, bool),
    Compact,
    Step(usize, usize),
    Handle(usize),
}

fn any_act(compaction: bool) -> impl Strategy<Value = Act> {
    let weight = u32::from(compaction);
    prop_oneof![
        6 => ("[a-d]", prop::bool::weighted(0.3)).prop_map(|(name, delete)| Act::Change(name, delete)),
        4 => (0..4usize, 1..3usize).prop_map(|(through, page)| Act::Step(through, page)),
        3 => (0..3usize).prop_map(Act::Handle),
        weight => Just(Act::Compact),
    ]
}

fn run(acts: &[Act], server: &mut Server, client: &mut Client) {
    for act in acts {
        match act {
            Act::Change(name, delete) => server.change(name, *delete),
            Act::Compact => server.compacted = server.version,
            // A list is one look at the server, however many pages it has: paging across
            // changes is the server's affair, so pages come without changes in between.
            Act::Step(through, page) => {
                client.step(server, *through, *page);
                while matches!(client.reflector.poll_step(client.now), Step::List { continue_: Some(_), .. })
                {
                    client.step(server, *through, *page);
                }
            }
            Act::Handle(count) => client.handle(*count),
        }
    }
}

/// What a handler must hear of one object when nothing was missed.
fn told(history: &[(u64, WatchEvent<DynamicObject>)], name: &str) -> Vec<String> {
    let mut last: Option<String> = None;
    let mut told = Vec::new();
    for (_, event) in history {
        let (WatchEvent::Added(o) | WatchEvent::Modified(o) | WatchEvent::Deleted(o)) = event else {
            continue;
        };
        if o.metadata.name.as_deref() != Some(name) {
            continue;
        }
        match event {
            WatchEvent::Added(new) => told.push(format!("+{}", show(new))),
            WatchEvent::Modified(new) => {
                told.push(format!("{} ~{}", last.clone().unwrap_or_default(), show(new)))
            }
            _ => told.push(format!("-{}", show(o))),
        }
        last = Some(show(o));
    }
    told
}

proptest! {
    /// One list, and then watches that break anywhere: history, in order, once.
    #[graded]
    fn across_disconnects_every_object_is_told_its_whole_history_in_order_once(
        acts in prop::collection::vec(any_act(false), 0..80)
    ) {
        let (mut server, mut client) = (Server::default(), Client::new());
        client.step(&server, 0, 3);
        run(&acts, &mut server, &mut client);
        client.catch_up(&server);
        prop_assert_eq!(client.lists, 1, "nothing was compacted, so one list is enough");
        for name in ["a", "b", "c", "d"] {
            let heard: Vec<_> = client.heard.iter().filter(|line| line.trim_start_matches(['+', '-']).starts_with(name)).cloned().collect();
            prop_assert_eq!(heard, told(&server.history, name));
        }
    }

    /// With relists states in between may be skipped, and nothing else.
    #[graded]
    fn across_relists_what_is_told_is_consistent_and_ends_at_the_servers_state(
        acts in prop::collection::vec(any_act(true), 0..80)
    ) {
        let (mut server, mut client) = (Server::default(), Client::new());
        run(&acts, &mut server, &mut client);
        client.catch_up(&server);
        // Replaying what was told, each step must fit what was told before.
        let mut view = BTreeMap::<String, String>::new();
        for line in &client.heard {
            let name = |shown: &str| shown[..1].to_owned();
            match line.split_once(" ~") {
                Some((old, new)) => {
                    prop_assert_eq!(view.get(&name(old)).map(String::as_str), Some(old));
                    prop_assert_ne!(old, new);
                    view.insert(name(new), new.to_owned());
                }
                None if line.starts_with('+') => {
                    let shown = line[1..].to_owned();
                    prop_assert!(view.insert(name(&shown), shown).is_none(), "added twice: {}", line);
                }
                None => {
                    prop_assert!(view.remove(&name(&line[1..])).is_some(), "deleted twice: {}", line);
                }
            }
        }
        let live: BTreeMap<String, String> = server.live.iter().map(|(name, o)| (name.clone(), show(o))).collect();
        prop_assert_eq!(&view, &live);
        let cached: Vec<String> = client.cache.list().iter().map(|o| show(o)).collect();
        prop_assert_eq!(cached, live.into_values().collect::<Vec<_>>());
    }
}
