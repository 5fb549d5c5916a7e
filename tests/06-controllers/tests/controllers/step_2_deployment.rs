//! Deployment: the arithmetic, the history, and the words of its conditions and events.

use graded::graded;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::prelude::*;

use crate::heart::deployment::rolling::{bounds, new_size, proportional, scaled, shrink_old, size};
use crate::heart::deployment::template::REVISION;
use crate::heart::deployment::{Action, Observed, Plan, plan};
use crate::{Value, at, json, merge, object, owner, text};

pub fn deployment(replicas: i32, more: Value) -> Deployment {
    let mut value = json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "web", "generation": 1 },
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "selector": { "matchLabels": { "app": "web" } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": "web:1" }] },
            },
        },
    });
    merge(&mut value, &more);
    object(value)
}

pub fn strategy(surge: Value, unavailable: Value) -> Value {
    json!({ "spec": { "strategy": { "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } } } })
}

/// A ReplicaSet of `web` for this image, with so many pods wanted and available.
pub fn set(image: &str, wanted: i32, available: i32, more: Value) -> ReplicaSet {
    let name = format!("web-{}", image.replace(':', "-"));
    let mut value = json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "generation": 1,
            "labels": { "app": "web" }, "ownerReferences": owner("Deployment", "web"),
            "creationTimestamp": text(0),
        },
        "spec": {
            "replicas": wanted,
            "selector": { "matchLabels": { "app": "web", "pod-template-hash": name } },
            "template": {
                "metadata": { "labels": { "app": "web", "pod-template-hash": name } },
                "spec": { "containers": [{ "name": "c", "image": image }] },
            },
        },
        "status": {
            "replicas": wanted, "availableReplicas": available, "readyReplicas": available, "observedGeneration": 1,
        },
    });
    merge(&mut value, &more);
    object(value)
}

fn revision(number: i32) -> Value {
    json!({ "metadata": { "annotations": { REVISION: number.to_string() } } })
}

pub fn plan_for(deployment: &Deployment, sets: &[ReplicaSet], seconds: i64) -> Plan {
    let replica_sets: Vec<Arc<ReplicaSet>> = sets.iter().cloned().map(Arc::new).collect();
    let with_pods = BTreeSet::new();
    plan(&Observed { deployment, replica_sets: &replica_sets, with_pods: &with_pods, now: at(seconds) })
}

/// A plan as a person would tell it.
fn story(plan: &Plan) -> String {
    let mut out = String::new();
    for action in &plan.actions {
        let line = match action {
            Action::Create(set) => format!("create with {}", size(set)),
            Action::Update(set) => {
                format!("update {} to {}", set.metadata.name.as_deref().unwrap_or_default(), size(set))
            }
            Action::Delete(set) => format!("delete {}", set.metadata.name.as_deref().unwrap_or_default()),
            Action::Adopt(set) => format!("adopt {}", set.metadata.name.as_deref().unwrap_or_default()),
            Action::Release(set) => format!("release {}", set.metadata.name.as_deref().unwrap_or_default()),
            Action::SetRevision(revision) => format!("revision {revision}"),
            Action::Status(status) => {
                let mut line = "status".to_owned();
                for condition in status.conditions.iter().flatten() {
                    let (reason, message) = (condition.reason.as_deref(), condition.message.as_deref());
                    write!(
                        line,
                        "\n    {}={} {}: {}",
                        condition.type_,
                        condition.status,
                        reason.unwrap_or_default(),
                        message.unwrap_or_default()
                    )
                    .expect("a string");
                }
                line
            }
        };
        writeln!(out, "{line}").expect("a string");
    }
    for note in &plan.notes {
        writeln!(out, "event {} {}: {}", note.type_, note.reason, note.message).expect("a string");
    }
    out
}

/// Each to the careful side: rather one pod more than one too few.
#[graded]
fn percentages_of_surge_round_up_and_of_unavailable_round_down() {
    let of = |replicas, surge: Value, unavailable: Value| {
        let bounds = bounds(&deployment(replicas, strategy(surge, unavailable)));
        (bounds.surge, bounds.unavailable)
    };
    assert_eq!(of(4, json!("25%"), json!("25%")), (1, 1));
    assert_eq!(of(5, json!("25%"), json!("25%")), (2, 1));
    assert_eq!(of(2, json!("25%"), json!("25%")), (1, 0));
    assert_eq!(of(10, json!(3), json!(2)), (3, 2));
    assert_eq!(of(3, json!(0), json!(0)), (0, 1), "both zero could never move");
    assert_eq!(of(2, json!(0), json!(5)), (0, 2), "no more than there are");
}

proptest! {
    #[graded]
    fn a_percentage_agrees_with_ceil_and_floor(percent in 0..300i32, total in 0..500i32) {
        let exact = f64::from(percent) * f64::from(total) / 100.0;
        let value = IntOrString::String(format!("{percent}%"));
        prop_assert_eq!(scaled(&value, total, true), exact.ceil() as i32);
        prop_assert_eq!(scaled(&value, total, false), exact.floor() as i32);
    }
}

/// The upper promise: never more than `replicas` + `maxSurge`.
#[graded]
fn the_new_set_gets_what_replicas_and_surge_leave_room_for() {
    let web = deployment(10, strategy(json!(3), json!(2)));
    assert_eq!(new_size(&web, 10, 0), 3);
    assert_eq!(new_size(&web, 13, 3), 3, "no room");
    assert_eq!(new_size(&web, 9, 8), 10, "never more than replicas");
    assert_eq!(new_size(&web, 12, 12), 10, "too large already");
    let recreate = deployment(10, json!({ "spec": { "strategy": { "type": "Recreate" } } }));
    assert_eq!(new_size(&recreate, 99, 0), 10);
}

/// The lower promise: never fewer available than `replicas` - `maxUnavailable`. What is broken does not
/// count, so it goes first.
#[graded]
fn unhealthy_old_pods_go_first_and_healthy_ones_as_far_as_availability_allows() {
    let web = deployment(10, strategy(json!(3), json!(2)));
    let shrink = |old: &[ReplicaSet], new: &ReplicaSet| shrink_old(&web, old, new);
    let new = set("web:9", 3, 0, json!({}));
    assert_eq!(shrink(&[set("web:1", 10, 10, json!({}))], &new), [(0, 8)], "8 must stay available");
    assert_eq!(
        shrink(&[set("web:1", 10, 6, json!({}))], &new),
        [(0, 8)],
        "two of the four that are down anyway"
    );
    let two = [set("web:1", 4, 4, json!({})), set("web:2", 6, 3, json!({}))];
    assert_eq!(shrink(&two, &new), [(1, 4)], "the unhealthy of the second before the healthy of the first");
    assert_eq!(shrink(&[set("web:1", 8, 8, json!({}))], &new), []);
    let new = set("web:9", 5, 5, json!({}));
    assert_eq!(shrink(&[set("web:1", 8, 8, json!({}))], &new), [(0, 3)]);
}

/// The status counts pods that the last change may be taking away just now.
#[graded]
fn a_status_older_than_the_size_is_not_believed() {
    let web = deployment(4, strategy(json!(0), json!(1)));
    let mut old = set("web:1", 4, 4, json!({}));
    old.spec.as_mut().expect("a spec").replicas = Some(3);
    let new = set("web:9", 1, 1, json!({}));
    assert_eq!(shrink_old(&web, &[old.clone()], &new), [(0, 2)], "three of the four stay, and one is new");
    old.metadata.generation = Some(2);
    assert_eq!(shrink_old(&web, &[old], &new), [], "nobody knows yet which ones stay");
}

/// The example of the Kubernetes documentation, "Proportional scaling".
#[graded]
fn scaling_in_the_middle_of_a_rollout_gives_each_set_its_share() {
    let web = deployment(15, strategy(json!(3), json!(2)));
    let before = json!({ "metadata": { "annotations": {
        "deployment.kubernetes.io/desired-replicas": "10", "deployment.kubernetes.io/max-replicas": "13",
    }}});
    let sets = [set("web:1", 8, 8, before.clone()), set("web:2", 5, 0, before)];
    assert_eq!(proportional(&web, &sets), [11, 7]);
}

/// Shares are rounded, and what they come to together is not: the later ones get what is left.
#[graded]
fn what_rounding_leaves_over_or_lacks_is_settled_among_the_sets() {
    let shares = |size: i32, replicas: i32| {
        let max = json!({ "metadata": { "annotations": {
            "deployment.kubernetes.io/max-replicas": (3 * size).to_string(),
        }}});
        let sets = ["web:1", "web:2", "web:3"].map(|image| set(image, size, size, max.clone()));
        proportional(&deployment(replicas, strategy(json!(0), json!(1))), &sets)
    };
    assert_eq!(shares(1, 5), [2, 2, 1], "1 2/3 each: the third one pays");
    assert_eq!(shares(3, 13), [5, 4, 4], "4 1/3 each: the first one gains");
    assert_eq!(shares(3, 4), [1, 1, 2]);
    assert_eq!(shares(3, 0), [0, 0, 0]);
}

proptest! {
    #[graded]
    fn shares_add_up_to_the_new_total(
        sizes in prop::collection::vec(1..20i32, 1..5), replicas in 0..60i32, surge in 0..5i32,
    ) {
        let web = deployment(replicas, strategy(json!(surge), json!(1)));
        let total: i32 = sizes.iter().sum();
        let annotations = json!({ "metadata": { "annotations": {
            "deployment.kubernetes.io/max-replicas": total.to_string(),
        }}});
        let mut sizes = sizes;
        sizes.sort_by_key(|size| -size);
        let sets: Vec<ReplicaSet> =
            sizes.iter().enumerate().map(|(i, size)| set(&format!("web:{i}"), *size, *size, annotations.clone())).collect();
        let result = proportional(&web, &sets);
        let most = if replicas > 0 { replicas + surge } else { 0 };
        prop_assert!(result.iter().all(|size| *size >= 0), "{:?}", result);
        prop_assert_eq!(result.iter().sum::<i32>(), most);
    }
}

/// There is nothing old to be careful about.
#[graded]
fn a_new_deployment_creates_its_set_at_full_size() {
    let plan = plan_for(&deployment(2, json!({})), &[], 0);
    let Some(Action::Create(set)) = plan.actions.first() else {
        panic!("the first thing to do is to create a ReplicaSet: {plan:?}");
    };
    insta::assert_json_snapshot!(set);
    insta::assert_snapshot!(story(&plan));
}

/// `kubectl rollout status` waits for these words.
#[graded]
fn a_rollout_that_moves_says_so_and_one_that_is_done_too() {
    let progressing = json!({ "status": { "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2 } });
    let half = set("web:1", 2, 1, revision(1));
    let moving = plan_for(&deployment(2, progressing.clone()), &[half], 5);
    let done = plan_for(&deployment(2, progressing), &[set("web:1", 2, 2, revision(1))], 5);
    insta::assert_snapshot!(format!("{}\n{}", story(&moving), story(&done)));
}

/// Pipelines give up by this condition; nothing is rolled back by itself.
#[graded]
fn a_rollout_that_stands_still_misses_its_deadline() {
    let since = |seconds: i64| {
        json!({
            "metadata": { "annotations": { REVISION: "1" } },
            "spec": { "progressDeadlineSeconds": 60 },
            "status": {
                "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "unavailableReplicas": 2,
                "conditions": [{
                    "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "m",
                    "lastUpdateTime": text(seconds), "lastTransitionTime": text(seconds),
                }],
            },
        })
    };
    let sets = [set(
        "web:1",
        2,
        0,
        json!({ "metadata": { "annotations": {
            REVISION: "1",
            "deployment.kubernetes.io/desired-replicas": "2", "deployment.kubernetes.io/max-replicas": "3",
        }}}),
    )];
    let patient = plan_for(&deployment(2, since(0)), &sets, 59);
    assert_eq!(patient.look_again.map(|wait| wait.as_secs()), Some(2));
    insta::assert_snapshot!(story(&plan_for(&deployment(2, since(0)), &sets, 61)));
}

/// A rollback is a rollout like any other, and history grows forward only.
#[graded]
fn going_back_to_an_old_template_takes_up_its_old_set_under_a_new_revision() {
    let sets = [set("web:1", 0, 0, revision(1)), set("web:2", 2, 2, revision(2))];
    let plan = plan_for(&deployment(2, json!({})), &sets, 0);
    let Some(Action::Update(back)) = plan.actions.first() else {
        panic!("the old set is taken up again: {plan:?}");
    };
    let annotations = back.metadata.annotations.as_ref().expect("annotations");
    assert_eq!(annotations[REVISION], "3");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
    assert!(plan.actions.contains(&Action::SetRevision(3)), "the Deployment says which revision it is at");
}

/// Several changes of a template can be made one rollout, while the number still follows the load.
#[graded]
fn a_paused_deployment_scales_and_does_not_roll() {
    let paused = json!({ "spec": { "paused": true, "template": { "spec": {
        "containers": [{ "name": "c", "image": "web:2" }],
    }}}});
    let desired = json!({ "metadata": { "annotations": {
        REVISION: "1", "deployment.kubernetes.io/desired-replicas": "2",
    }}});
    insta::assert_snapshot!(story(&plan_for(&deployment(5, paused), &[set("web:1", 2, 2, desired)], 0)));
}

/// The same template with more patience is no rollout.
#[graded]
fn a_change_of_min_ready_seconds_changes_the_set_and_starts_nothing_new() {
    let updates = |wanted: Value, stands: Value| {
        let web = deployment(2, json!({ "spec": { "minReadySeconds": wanted } }));
        let set = set("web:1", 2, 2, json!({ "spec": { "minReadySeconds": stands } }));
        let plan = plan_for(&web, &[set], 0);
        assert!(!plan.actions.iter().any(|action| matches!(action, Action::Create(_))), "{plan:?}");
        plan.actions.into_iter().find_map(|action| match action {
            Action::Update(set) => set.spec.and_then(|spec| spec.min_ready_seconds),
            _ => None,
        })
    };
    assert_eq!(updates(json!(5), json!(null)), Some(5));
    assert_eq!(updates(json!(5), json!(3)), Some(5));
    assert_eq!(updates(json!(null), json!(3)), Some(0));
}

/// What is left of an older rollout has no share in the new number.
#[graded]
fn scaling_a_rollout_whose_new_set_is_complete_empties_the_old_ones() {
    let noted = |desired: i32| json!({ "metadata": { "annotations": { "deployment.kubernetes.io/desired-replicas": desired.to_string() } } });
    let web = deployment(4, json!({ "metadata": { "annotations": { REVISION: "2" } } }));
    let sizes = |new: &ReplicaSet| {
        let plan = plan_for(&web, &[set("web:0", 2, 2, noted(3)), new.clone()], 0);
        let size = |action: &Action| match action {
            Action::Update(set) => Some((set.metadata.name.clone().unwrap_or_default(), size(set))),
            _ => None,
        };
        plan.actions.iter().filter_map(size).collect::<Vec<_>>()
    };
    let old = |sizes: Vec<(String, i32)>| {
        sizes.into_iter().find(|(name, _)| name == "web-web-0").map(|(_, size)| size)
    };
    assert_eq!(old(sizes(&set("web:1", 4, 4, noted(4)))), Some(0), "the new set has all its four");
    assert_ne!(old(sizes(&set("web:1", 4, 3, noted(4)))), Some(0), "one of the four is not available");
    assert_ne!(old(sizes(&set("web:1", 3, 3, noted(4)))), Some(0), "it has three of four");
    assert_ne!(old(sizes(&set("web:1", 4, 4, noted(3)))), Some(0), "it has not been told of the new number");
}

/// Whoever chooses `Recreate` has something that two versions must not share.
#[graded]
fn recreate_waits_until_every_old_pod_is_gone() {
    let recreate = deployment(2, json!({ "spec": { "strategy": { "type": "Recreate" } } }));
    let old = |wanted, is| set("web:0", wanted, 0, json!({ "status": { "replicas": is } }));
    let creates = |plan: &Plan| plan.actions.iter().any(|action| matches!(action, Action::Create(_)));
    let first = plan_for(&recreate, &[old(2, 2)], 0);
    assert_eq!(first.notes[0].message, "Scaled down replica set web-web-0 from 2 to 0");
    assert!(!creates(&first), "the old pods are only being told to go");
    assert!(!creates(&plan_for(&recreate, &[old(0, 1)], 0)), "a pod is still counted");
    let lingering = BTreeSet::from(["web-web-0".to_owned()]);
    let sets = [Arc::new(old(0, 0))];
    let observed = Observed { deployment: &recreate, replica_sets: &sets, with_pods: &lingering, now: at(0) };
    assert!(!creates(&plan(&observed)), "a pod is still terminating");
    assert!(creates(&plan_for(&recreate, &[old(0, 0)], 0)));
}

/// Each old set is a template to go back to, and an object that everybody lists.
#[graded]
fn beyond_the_history_limit_the_oldest_empty_sets_are_deleted() {
    let status = json!({ "spec": { "revisionHistoryLimit": 2 } });
    let sets = [
        set("web:0", 0, 0, revision(4)),
        set("web:7", 0, 0, revision(1)),
        set("web:8", 0, 0, revision(2)),
        set("web:9", 0, 0, revision(3)),
        set("web:1", 2, 2, revision(5)),
    ];
    let plan = plan_for(&deployment(2, status), &sets, 0);
    let deleted: Vec<&str> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Delete(set) => set.metadata.name.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(deleted, ["web-web-7", "web-web-8"]);
}
