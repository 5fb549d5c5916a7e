//! How many pods a budget lets go. Given to students; tested here, graded nowhere.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use proptest::prelude::*;

use crate::heart::disruption::{Wanted, covers, status};
use crate::{Value, at, json, object, pod, text};

fn budget(more: Value) -> PodDisruptionBudget {
    let mut value = json!({
        "metadata": { "name": "web", "namespace": "default", "generation": 3 },
        "spec": { "selector": { "matchLabels": { "app": "web" } } },
    });
    crate::merge(&mut value, &more);
    object(value)
}

fn ready(names: std::ops::Range<usize>) -> Vec<Arc<Pod>> {
    names.map(|i| pod(&format!("p{i}"), json!({}))).collect()
}

fn unready(name: &str) -> Arc<Pod> {
    pod(name, json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } }))
}

fn wanted(replicas: i32) -> Wanted {
    Wanted::from([("deployment".to_owned(), replicas)])
}

/// Allowed, healthy, desired, expected.
fn counts(status: &PodDisruptionBudgetStatus) -> (i32, i32, i32, i32) {
    let status = status.clone();
    (status.disruptions_allowed, status.current_healthy, status.desired_healthy, status.expected_pods)
}

#[test]
fn a_budget_counts_what_is_there_against_what_there_should_be() {
    let spec = |key: &str, value: Value| budget(json!({ "spec": { key: value } }));
    // Budget, ready pods, wanted replicas; allowed, healthy, desired, expected.
    for (budget, pods, replicas, expected) in [
        (spec("minAvailable", json!(2)), 3, 5, (1, 3, 2, 3)),
        (spec("minAvailable", json!(2)), 2, 5, (0, 2, 2, 2)),
        (spec("minAvailable", json!(2)), 1, 5, (0, 1, 2, 1)),
        (spec("minAvailable", json!(0)), 1, 5, (1, 1, 0, 1)),
        (spec("minAvailable", json!(0)), 0, 5, (0, 0, 0, 0)),
        (spec("minAvailable", json!("50%")), 5, 5, (2, 5, 3, 5)),
        (spec("minAvailable", json!("100%")), 5, 5, (0, 5, 5, 5)),
        (spec("maxUnavailable", json!(1)), 5, 5, (1, 5, 4, 5)),
        (spec("maxUnavailable", json!(1)), 4, 5, (0, 4, 4, 5)),
        (spec("maxUnavailable", json!("50%")), 5, 5, (3, 5, 2, 5)),
        (spec("maxUnavailable", json!(9)), 5, 5, (5, 5, 0, 5)),
        (spec("maxUnavailable", json!(1)), 5, 0, (0, 5, 0, 0)),
        (spec("selector", json!({})), 5, 5, (0, 5, 0, 0)),
    ] {
        let (status, again) = status(&budget, &ready(0..pods), &wanted(replicas), at(0));
        assert_eq!(counts(&status), expected, "{:?}", budget.spec);
        assert_eq!((status.observed_generation, again), (Some(3), None));
        let condition = &status.conditions.expect("conditions")[0];
        let (word, reason) = match expected.0 {
            0 => ("False", "InsufficientPods"),
            _ => ("True", "SufficientPods"),
        };
        assert_eq!((condition.type_.as_str(), condition.status.as_str()), ("DisruptionAllowed", word));
        assert_eq!(condition.reason, reason);
    }
}

#[test]
fn who_is_not_ready_or_going_or_evicted_is_not_healthy() {
    let spec = json!({ "spec": { "minAvailable": 1 } });
    let going = pod("going", json!({ "metadata": { "deletionTimestamp": text(0) } }));
    let pods: Vec<_> = ready(0..3).into_iter().chain([unready("slow"), going]).collect();
    assert_eq!(counts(&status(&budget(spec.clone()), &pods, &wanted(5), at(0)).0), (2, 3, 1, 5));

    // The API server has let p0 go a minute ago, and p9, which is gone; p1 was let go and stayed.
    let evicted = json!({ "p0": text(0), "p9": text(0), "p1": text(-61), "going": text(0) });
    let mut spent = spec;
    crate::merge(&mut spent, &json!({ "status": { "disruptedPods": evicted } }));
    let (counted, again) = status(&budget(spent), &pods, &wanted(5), at(60));
    assert_eq!(counts(&counted), (1, 2, 1, 5));
    assert_eq!(counted.disrupted_pods.expect("one").into_keys().collect::<Vec<_>>(), ["p0"]);
    assert_eq!(again.map(|again| again.as_secs()), Some(60), "then p0 was not evicted after all");
    let late = budget(json!({
        "spec": { "minAvailable": 1 }, "status": { "disruptedPods": { "p0": "9999-12-30T21:59:59Z" } },
    }));
    assert_eq!(
        counts(&status(&late, &pods, &wanted(5), at(60)).0),
        (1, 2, 1, 5),
        "any time may be written there"
    );
}

#[test]
fn a_condition_remembers_since_when() {
    let one = budget(json!({ "spec": { "minAvailable": 1 } }));
    let (first, _) = status(&one, &ready(0..2), &wanted(2), at(0));
    let since = |status: &PodDisruptionBudgetStatus| {
        status.conditions.as_ref().expect("conditions")[0].last_transition_time.0
    };
    let later = PodDisruptionBudget { status: Some(first.clone()), ..one };
    let (same, _) = status(&later, &ready(0..2), &wanted(2), at(10));
    assert_eq!(same, first, "nothing happened: nothing is written");
    let (fewer, _) = status(&later, &ready(0..1), &wanted(2), at(10));
    assert_eq!((since(&first), since(&fewer)), (at(0), at(10)));
}

#[test]
fn a_budget_speaks_of_whom_it_selects() {
    let web = pod("p", json!({}));
    assert!(covers(&budget(json!({})), &web));
    let other = json!({ "spec": { "selector": { "matchLabels": { "app": "db" } } } });
    assert!(!covers(&budget(other), &web));
    let mut all = budget(json!({}));
    all.spec.as_mut().expect("a spec").selector = Some(Default::default());
    assert!(covers(&all, &web), "an empty selector selects all");
    all.spec.as_mut().expect("a spec").selector = None;
    assert!(!covers(&all, &web), "none selects none");
}

proptest! {
    /// Whatever is let go, what is left is what was asked for.
    #[test]
    fn what_is_allowed_leaves_what_is_desired(
        pods in 0usize..12,
        sick in 0usize..4,
        replicas in 0i32..12,
        least in prop::option::of(0i32..12),
        percent in 0i32..=100,
        by_percent in any::<bool>(),
    ) {
        let number = if by_percent { json!(format!("{percent}%")) } else { json!(least.unwrap_or(1)) };
        let key = if least.is_some() { "minAvailable" } else { "maxUnavailable" };
        let all: Vec<_> =
            ready(0..pods).into_iter().chain((0..sick).map(|i| unready(&format!("s{i}")))).collect();
        let (status, _) = status(&budget(json!({ "spec": { key: number } })), &all, &wanted(replicas), at(0));
        let (allowed, healthy, desired, _) = counts(&status);
        prop_assert!(allowed >= 0 && allowed <= healthy);
        prop_assert!(allowed == 0 || healthy - allowed >= desired);
    }
}
