use graded::graded;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;
use proptest::prelude::*;
use serde_json::json;

use crate::heart::sources::{Change, PodSource, PodUpdate};
use crate::heart::types::Uid;
use crate::support::pod_of;

fn named(name: &str, uid: &str, deleting: bool) -> Arc<api::Pod> {
    let mut value = json!({"metadata": {"name": name, "namespace": "ns", "uid": uid}});
    if deleting {
        value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    Arc::new(pod_of(value))
}

fn words(updates: &[PodUpdate]) -> Vec<String> {
    let word = |u: &PodUpdate| match u {
        PodUpdate::Add(p) => format!("add {}", Uid::of(p)),
        PodUpdate::Update(p) => format!("update {}", Uid::of(p)),
        PodUpdate::Delete(p) => format!("delete {}", Uid::of(p)),
        PodUpdate::Remove(uid) => format!("remove {uid}"),
    };
    updates.iter().map(word).collect()
}

fn uids(names: &[&str]) -> BTreeSet<Uid> {
    names.iter().map(|n| Uid((*n).into())).collect()
}

/// Deleting is a process: first the API server says that the pod should go, and only at the end that
/// it is gone.
#[graded]
fn a_pod_is_added_then_updated_then_deleted_then_removed() {
    let mut source = PodSource::default();
    assert_eq!(words(&source.handle(Change::Seen(named("web", "u1", false)))), ["add u1"]);
    assert_eq!(words(&source.handle(Change::Seen(named("web", "u1", false)))), ["update u1"]);
    assert_eq!(words(&source.handle(Change::Seen(named("web", "u1", true)))), ["delete u1"]);
    assert_eq!(words(&source.handle(Change::Deleted(named("web", "u1", true)))), ["remove u1"]);
    assert_eq!(source.pods().count(), 0);
}

/// Two watch events can melt into one while the kubelet is away: it sees `web-0` with another uid.
#[graded]
fn a_pod_made_again_under_its_name_removes_the_one_before() {
    let mut source = PodSource::default();
    source.handle(Change::Seen(named("web-0", "old", false)));
    source.handle(Change::Seen(named("web-1", "other", false)));
    let updates = source.handle(Change::Seen(named("web-0", "new", false)));
    assert_eq!(words(&updates), ["remove old", "add new"], "the old must end before the new begins");
}

/// Names are used again, uids never are.
#[graded]
fn a_late_deletion_of_the_old_pod_does_not_touch_the_new_one() {
    let mut source = PodSource::default();
    source.handle(Change::Seen(named("web-0", "old", false)));
    source.handle(Change::Seen(named("web-0", "new", false)));
    assert_eq!(words(&source.handle(Change::Deleted(named("web-0", "old", true)))), [""; 0]);
    assert!(source.get(&Uid("new".into())).is_some());
}

/// A kubelet that restarts would otherwise kill every pod of its node, and start them all again.
#[graded]
fn nobody_is_an_orphan_before_the_first_list_is_complete() {
    let mut source = PodSource::default();
    let running = uids(&["u1", "u2"]);
    assert_eq!(source.orphans(&running), [], "a kubelet that knows nothing yet must kill nothing");
    source.handle(Change::Seen(named("web", "u1", false)));
    assert_eq!(source.orphans(&running), []);
    source.handle(Change::Synced);
    assert!(source.is_synced());
    assert_eq!(source.orphans(&running), [Uid("u2".into())]);
}

/// What matters is that this kubelet has not looked after it yet.
#[graded]
fn a_pod_that_is_first_seen_being_deleted_is_added_all_the_same() {
    let mut source = PodSource::default();
    let updates = source.handle(Change::Seen(named("web", "u1", true)));
    assert_eq!(words(&updates), ["add u1"], "its containers may still run from before a restart");
}

proptest! {
    /// The source agrees with a plain map, whatever the order of changes.
    #[graded]
    fn the_source_knows_exactly_the_pods_that_were_seen_and_not_deleted(
        steps in prop::collection::vec((0..4_u8, 0..3_u8, any::<bool>()), 0..60)
    ) {
        let mut source = PodSource::default();
        let mut model: BTreeMap<String, String> = BTreeMap::new(); // name -> uid
        let mut added: BTreeSet<String> = BTreeSet::new();
        for (name, generation, seen) in steps {
            let (name, uid) = (format!("p{name}"), format!("p{name}-{generation}"));
            let change = if seen {
                model.insert(name.clone(), uid.clone());
                Change::Seen(named(&name, &uid, false))
            } else {
                if model.get(&name) == Some(&uid) {
                    model.remove(&name);
                }
                Change::Deleted(named(&name, &uid, false))
            };
            for update in source.handle(change) {
                match update {
                    PodUpdate::Add(p) => prop_assert!(added.insert(Uid::of(&p).0), "added twice"),
                    PodUpdate::Remove(uid) => prop_assert!(added.remove(&uid.0), "removed but never added"),
                    PodUpdate::Update(p) | PodUpdate::Delete(p) => {
                        prop_assert!(added.contains(&Uid::of(&p).0), "updated but never added");
                    }
                }
            }
            let known: BTreeSet<String> = source.pods().map(|(uid, _)| uid.0.clone()).collect();
            let expected: BTreeSet<String> = model.values().cloned().collect();
            prop_assert_eq!(&known, &expected);
            prop_assert_eq!(&added, &expected);
        }
    }
}
