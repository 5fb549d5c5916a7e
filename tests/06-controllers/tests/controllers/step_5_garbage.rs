//! Garbage collection: no orphan stays, nothing goes that has a living owner.

use graded::graded;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::prelude::*;

use crate::heart::gc::{
    FOREGROUND, Graph, Identity, ORPHAN, OwnerState, Verdict, Work, has_finalizer, judge, owners,
    without_finalizer, without_owners,
};
use crate::{Value, json, merge, object, text};

pub fn meta(name: &str, of: &[(&str, bool)], more: Value) -> ObjectMeta {
    let references: Vec<Value> = of
        .iter()
        .map(|(owner, blocks)| {
            json!({ "apiVersion": "v1", "kind": "Thing", "name": owner, "uid": owner, "blockOwnerDeletion": blocks })
        })
        .collect();
    let mut value =
        json!({ "name": name, "namespace": "default", "uid": name, "ownerReferences": references });
    merge(&mut value, &more);
    object(value)
}

pub fn identity(meta: &ObjectMeta) -> Identity {
    Identity {
        api_version: "v1".to_owned(),
        kind: "Thing".to_owned(),
        namespace: "default".to_owned(),
        name: meta.name.clone().expect("a name"),
        uid: meta.uid.clone().expect("a uid"),
    }
}

fn going(finalizer: &str) -> Value {
    json!({ "deletionTimestamp": text(0), "finalizers": [finalizer] })
}

pub fn checks(work: &Work) -> Vec<&str> {
    work.check.iter().map(String::as_str).collect()
}

fn states(list: &[(&str, OwnerState)]) -> BTreeMap<String, OwnerState> {
    list.iter().map(|(uid, state)| ((*uid).to_owned(), *state)).collect()
}

/// Nobody keeps a list of what must go with it; the graph is asked.
#[graded]
fn when_an_owner_goes_its_dependents_are_looked_at() {
    let mut graph = Graph::default();
    for meta in
        [meta("owner", &[], json!({})), meta("a", &[("owner", true)], json!({})), meta("b", &[], json!({}))]
    {
        assert!(graph.handle(identity(&meta), &meta).check.is_empty());
    }
    assert_eq!(checks(&graph.handle_gone("owner")), ["a"], "and b, which never had an owner, is not");
}

/// Its owner may be late, or may never have been.
#[graded]
fn a_dependent_of_an_owner_that_no_watch_has_shown_is_looked_at() {
    let mut graph = Graph::default();
    let dependent = meta("a", &[("unknown", true)], json!({}));
    assert_eq!(checks(&graph.handle(identity(&dependent), &dependent)), ["a"], "nobody knows its owner");
}

/// It waits for the last of them, and somebody must notice.
#[graded]
fn an_owner_in_foreground_deletion_is_looked_at_with_its_dependents_and_again_when_one_goes() {
    let mut graph = Graph::default();
    for meta in [meta("owner", &[], json!({})), meta("a", &[("owner", true)], json!({}))] {
        graph.handle(identity(&meta), &meta);
    }
    let waiting = meta("owner", &[], going(FOREGROUND));
    let work = graph.handle(identity(&waiting), &waiting);
    assert_eq!(checks(&work), ["a", "owner"], "it begins to wait, and its dependents are to go first");
    assert_eq!(checks(&graph.handle_gone("a")), ["owner"], "it waited for this one");
}

/// Whoever looks only when an owner dies misses what arrives while it is dying, and what gets away.
#[graded]
fn what_comes_to_a_waiting_owner_or_leaves_it_is_looked_at() {
    let mut graph = Graph::default();
    let owner = meta("owner", &[], going(FOREGROUND));
    graph.handle(identity(&owner), &owner);
    let late = meta("a", &[("owner", true)], json!({}));
    assert_eq!(checks(&graph.handle(identity(&late), &late)), ["a"], "its owner waits already");
    assert!(checks(&graph.handle(identity(&owner), &owner)).is_empty(), "it waited before: no news");
    let free = meta("a", &[], json!({}));
    let work = graph.handle(identity(&free), &free);
    assert_eq!(checks(&work), ["a", "owner"], "it has other owners now, and its former one waited for it");
    assert!(checks(&graph.handle(identity(&free), &free)).is_empty(), "nothing has changed");
}

/// Its dependents must forget it before it goes.
#[graded]
fn an_owner_that_orphans_is_put_on_the_other_list() {
    let mut graph = Graph::default();
    let owner = meta("owner", &[], json!({}));
    graph.handle(identity(&owner), &owner);
    let leaving = meta("owner", &[], going(ORPHAN));
    let work = graph.handle(identity(&leaving), &leaving);
    assert_eq!((checks(&work), work.orphan.len()), (vec![], 1), "on the orphan list, and on no other");
    assert!(graph.handle(identity(&leaving), &leaving).orphan.is_empty(), "once is enough");
}

/// And one about which nothing is known must be respected.
#[graded]
fn one_solid_owner_is_enough_to_stay_and_the_lost_ones_are_dropped() {
    let graph = Graph::default();
    let both = meta("x", &[("a", true), ("b", true)], json!({}));
    let judge = |list: &[(&str, OwnerState)]| judge(&both, &states(list), &graph);
    use OwnerState::{Absent, Solid, Waiting};
    assert_eq!(judge(&[("a", Solid), ("b", Solid)]), Verdict::Keep);
    let dropped = |uid: &str| Verdict::DropOwners(BTreeSet::from([uid.to_owned()]));
    assert_eq!(judge(&[("a", Solid), ("b", Absent)]), dropped("b"));
    assert_eq!(judge(&[("a", Waiting), ("b", Solid)]), dropped("a"));
    assert_eq!(
        judge(&[("a", Absent), ("b", Absent)]),
        Verdict::Delete { policy: "Background", unblock: false }
    );
    assert_eq!(judge(&[("a", Absent)]), dropped("a"), "an owner that nobody could ask about is respected");
    let free = meta("x", &[], json!({}));
    assert_eq!(crate::heart::gc::judge(&free, &BTreeMap::new(), &graph), Verdict::Keep);
}

/// An object that is about to orphan its own dependents must still do so.
#[graded]
fn what_is_deleted_keeps_the_way_of_deletion_that_its_finalizers_ask_for() {
    let graph = Graph::default();
    let with = |finalizer: &str| meta("x", &[("a", true)], json!({ "finalizers": [finalizer] }));
    let absent = states(&[("a", OwnerState::Absent)]);
    let policy = |meta: &ObjectMeta| match judge(meta, &absent, &graph) {
        Verdict::Delete { policy, .. } => policy,
        other => panic!("it has no owner left, and was to be deleted, not {other:?}"),
    };
    assert_eq!(policy(&with(ORPHAN)), "Orphan");
    assert_eq!(policy(&with(FOREGROUND)), "Foreground");
    assert_eq!(policy(&with("example.com/f")), "Background");
}

/// From the owner to the leaves, and from the leaves back.
#[graded]
fn foreground_deletion_goes_down_the_tree_and_comes_back_up() {
    let mut graph = Graph::default();
    let owner = meta("owner", &[], going(FOREGROUND));
    let middle = meta("middle", &[("owner", true)], json!({}));
    let leaf = meta("leaf", &[("middle", true)], json!({}));
    for meta in [&owner, &middle, &leaf] {
        graph.handle(identity(meta), meta);
    }
    let waits = states(&[("owner", OwnerState::Waiting)]);
    assert_eq!(
        judge(&owner, &BTreeMap::new(), &graph),
        Verdict::WaitFor(BTreeSet::from(["middle".to_owned()]))
    );
    assert_eq!(judge(&middle, &waits, &graph), Verdict::Delete { policy: "Foreground", unblock: false });
    graph.handle_gone("leaf");
    assert_eq!(judge(&middle, &waits, &graph), Verdict::Delete { policy: "Background", unblock: false });
    graph.handle_gone("middle");
    assert_eq!(judge(&owner, &BTreeMap::new(), &graph), Verdict::RemoveForeground);
}

/// `blockOwnerDeletion` all around would make them wait until somebody comes by hand.
#[graded]
fn of_two_objects_that_wait_for_each_other_one_lets_go() {
    let mut graph = Graph::default();
    let dependent = meta("b", &[("a", true)], going(FOREGROUND));
    let object = meta("a", &[("b", true)], json!({}));
    graph.handle(identity(&object), &object);
    graph.handle(identity(&dependent), &dependent);
    let waits = states(&[("b", OwnerState::Waiting)]);
    assert_eq!(judge(&object, &waits, &graph), Verdict::Delete { policy: "Foreground", unblock: true });
}

/// `blockOwnerDeletion` is what makes an owner wait.
#[graded]
fn a_dependent_that_does_not_block_is_not_waited_for() {
    let mut graph = Graph::default();
    let owner = meta("owner", &[], going(FOREGROUND));
    let loose = meta("loose", &[("owner", false)], json!({}));
    graph.handle(identity(&loose), &loose);
    graph.handle(identity(&owner), &owner);
    assert_eq!(judge(&owner, &BTreeMap::new(), &graph), Verdict::RemoveForeground);
}

/// A server, a lagging watch, and the collector as the shell drives it.
#[derive(Default)]
struct World {
    truth: BTreeMap<String, ObjectMeta>,
    news: VecDeque<(String, Option<ObjectMeta>)>,
    graph: Graph,
    check: BTreeSet<String>,
    orphan: BTreeSet<String>,
    /// Uids whose dependents were let go on purpose.
    orphaned: BTreeSet<String>,
}

impl World {
    fn write(&mut self, meta: ObjectMeta) {
        let uid = meta.uid.clone().expect("a uid");
        self.news.push_back((uid.clone(), Some(meta.clone())));
        self.truth.insert(uid, meta);
    }

    fn remove(&mut self, uid: &str) {
        if self.truth.remove(uid).is_some() {
            self.news.push_back((uid.to_owned(), None));
        }
    }

    /// DELETE, as the API server does it.
    fn delete(&mut self, uid: &str, policy: &str) {
        let Some(mut meta) = self.truth.get(uid).cloned() else {
            return;
        };
        let finalizer = match policy {
            "Foreground" => FOREGROUND,
            "Orphan" => ORPHAN,
            _ => {
                if meta.finalizers.as_ref().is_none_or(Vec::is_empty) {
                    return self.remove(uid);
                }
                return;
            }
        };
        if policy == "Orphan" {
            self.orphaned.insert(uid.to_owned());
        }
        if meta.deletion_timestamp.is_none() {
            let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::at(0));
            meta.deletion_timestamp = Some(time);
            meta.finalizers = Some(vec![finalizer.to_owned()]);
            self.write(meta);
        }
    }

    /// Removing the last finalizer of what is going away lets it go.
    fn finalize(&mut self, uid: &str, finalizer: &str) {
        if let Some(mut meta) = self.truth.get(uid).cloned() {
            let left = without_finalizer(&meta, finalizer);
            let done = left.is_empty() && meta.deletion_timestamp.is_some();
            meta.finalizers = Some(left);
            if done { self.remove(uid) } else { self.write(meta) }
        }
    }

    fn drop_owners(&mut self, uid: &str, dropped: &BTreeSet<String>) {
        if let Some(mut meta) = self.truth.get(uid).cloned() {
            meta.owner_references = Some(without_owners(&meta, dropped));
            self.write(meta);
        }
    }

    fn deliver(&mut self) {
        let work = match self.news.pop_front() {
            Some((_, Some(meta))) => self.graph.handle(identity(&meta), &meta),
            Some((uid, None)) => self.graph.handle_gone(&uid),
            None => return,
        };
        self.queue(work);
    }

    fn queue(&mut self, work: Work) {
        self.check.extend(work.check);
        self.orphan.extend(work.orphan);
    }

    /// Works on one key. Err: something with a living owner was deleted.
    fn work(&mut self) -> Result<(), String> {
        if let Some(uid) = self.orphan.pop_first() {
            let dependents: Vec<String> =
                self.graph.dependents(&uid).map(|node| node.identity.uid.clone()).collect();
            for dependent in dependents {
                self.drop_owners(&dependent, &BTreeSet::from([uid.clone()]));
            }
            if self.truth.get(&uid).is_some_and(|meta| has_finalizer(meta, ORPHAN)) {
                self.finalize(&uid, ORPHAN);
            }
            return Ok(());
        }
        let Some(uid) = self.check.pop_first() else {
            return Ok(());
        };
        let Some(live) = self.truth.get(&uid).cloned() else {
            let work = self.graph.handle_gone(&uid);
            self.queue(work);
            return Ok(());
        };
        let mut states = BTreeMap::new();
        for owner in owners(&live) {
            let state = match (self.graph.get(&owner.uid), self.truth.get(&owner.uid)) {
                (Some(node), _) if node.foreground => OwnerState::Waiting,
                (Some(_), _) => OwnerState::Solid,
                (None, None) => OwnerState::Absent,
                (None, Some(owner))
                    if owner.deletion_timestamp.is_some() && has_finalizer(owner, FOREGROUND) =>
                {
                    OwnerState::Waiting
                }
                (None, Some(_)) => OwnerState::Solid,
            };
            states.insert(owner.uid, state);
        }
        match judge(&live, &states, &self.graph) {
            Verdict::Keep => {}
            Verdict::WaitFor(dependents) => {
                self.check.extend(dependents.into_iter().filter(|uid| !self.graph.waits(uid)));
            }
            Verdict::RemoveForeground => self.finalize(&uid, FOREGROUND),
            Verdict::DropOwners(dropped) => self.drop_owners(&uid, &dropped),
            Verdict::Delete { policy, unblock } => {
                let lives = |owner: &str| {
                    self.truth.get(owner).is_some_and(|owner| owner.deletion_timestamp.is_none())
                };
                if owners(&live).iter().any(|owner| lives(&owner.uid)) {
                    return Err(format!("{uid} was deleted, and has a living owner"));
                }
                if unblock {
                    let mut meta = live;
                    for owner in meta.owner_references.iter_mut().flatten() {
                        owner.block_owner_deletion = Some(false);
                    }
                    self.write(meta);
                }
                self.delete(&uid, policy);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8, BTreeSet<u8>, bool),
    Delete(u8, &'static str),
    Deliver,
    Work,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let policy = prop::sample::select(vec!["Background", "Foreground", "Orphan"]);
    let step = prop_oneof![
        5 => (0..10u8, prop::collection::btree_set(0..10u8, 0..3), any::<bool>())
            .prop_map(|(uid, owners, blocks)| Step::Create(uid, owners, blocks)),
        3 => (0..10u8, policy).prop_map(|(uid, policy)| Step::Delete(uid, policy)),
        6 => Just(Step::Deliver),
        6 => Just(Step::Work),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Watches lag and come in any order between kinds; in the end both halves must hold.
    #[graded]
    fn no_orphan_stays_and_nothing_with_a_living_owner_is_deleted(steps in steps()) {
        let mut world = World::default();
        let mut generation = BTreeMap::new();
        for step in steps {
            match step {
                // A name that comes again is another object: its uid counts up.
                Step::Create(index, of, blocks) => {
                    let latest = |index: &u8, generation: &BTreeMap<u8, u32>| {
                        format!("o{index}-{}", generation.get(index).copied().unwrap_or(0))
                    };
                    if world.truth.contains_key(&latest(&index, &generation)) {
                        continue;
                    }
                    *generation.entry(index).or_insert(0) += 1;
                    let owners: Vec<(String, bool)> = of
                        .iter()
                        .filter(|owner| **owner != index)
                        .map(|owner| (latest(owner, &generation), blocks))
                        .collect();
                    let owners: Vec<(&str, bool)> = owners.iter().map(|(uid, blocks)| (uid.as_str(), *blocks)).collect();
                    world.write(meta(&latest(&index, &generation), &owners, json!({})));
                }
                Step::Delete(index, policy) => {
                    let uid = format!("o{index}-{}", generation.get(&index).copied().unwrap_or(0));
                    world.delete(&uid, policy);
                }
                Step::Deliver => world.deliver(),
                Step::Work => {
                    let result = world.work();
                    prop_assert!(result.is_ok(), "{:?}", result);
                }
                Step::Restart => {
                    world.news.clear();
                    world.graph = Graph::default();
                    world.check.clear();
                    world.orphan.clear();
                    for meta in world.truth.values() {
                        world.news.push_back((meta.uid.clone().expect("a uid"), Some(meta.clone())));
                    }
                }
            }
        }
        for _ in 0..2_000 {
            world.deliver();
            let result = world.work();
            prop_assert!(result.is_ok(), "{:?}", result);
        }
        prop_assert!(world.news.is_empty() && world.check.is_empty() && world.orphan.is_empty(), "no rest");
        for (uid, object) in &world.truth {
            let owners = owners(object);
            let lost = !owners.is_empty() && owners.iter().all(|owner| !world.truth.contains_key(&owner.uid));
            prop_assert!(!lost, "{} has lost all its owners, and is still there", uid);
            prop_assert!(object.deletion_timestamp.is_none(), "{} waits for ever", uid);
        }
    }
}
