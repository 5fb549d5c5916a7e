//! Disruption budgets: how many of the pods that a budget selects may be disturbed on purpose at this
//! moment (KEP-85; upstream: `pkg/controller/disruption/disruption.go`). The API server takes each
//! eviction off that number; this counts it anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use objects::labels::Selector;
use objects::meta;

use crate::deployment::rolling::scaled;
use crate::pods::{after, is_going, is_ready};

/// An evicted pod that has not even begun to go after this time was not evicted after all.
const DELETION_TIMEOUT_SECONDS: i64 = 120;

/// Somebody who wants so many pods: a Deployment, a ReplicaSet. The key is its uid.
pub type Wanted = BTreeMap<String, i32>;

/// Does the budget speak of this pod? One without a selector speaks of none, an empty one of all.
pub fn covers(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let selector = selector.and_then(|selector| Selector::from_label_selector(selector).ok());
    selector.is_some_and(|selector| selector.matches(meta::labels(&pod.metadata)))
}

/// What the budget's status should say of `pods`, which it covers, and when that may change by itself.
/// `wanted` has the owners of these pods.
pub fn status(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    wanted: &Wanted,
    now: Timestamp,
) -> (PodDisruptionBudgetStatus, Option<SignedDuration>) {
    let old = budget.status.clone().unwrap_or_default();
    let (expected, desired) = expected(budget, pods, wanted);
    let evicted = old.disrupted_pods.unwrap_or_default();
    let on_their_way: BTreeMap<String, Time> = pods
        .iter()
        .filter(|pod| !is_going(pod))
        .filter_map(|pod| evicted.get_key_value(meta::name(&pod.metadata)))
        .filter(|(_, since)| given_up_at(since) > now)
        .map(|(name, since)| (name.clone(), since.clone()))
        .collect();
    let healthy = |pod: &&Arc<Pod>| {
        !is_going(pod) && is_ready(pod) && !on_their_way.contains_key(meta::name(&pod.metadata))
    };
    let current = i32::try_from(pods.iter().filter(healthy).count()).unwrap_or(i32::MAX);
    // Where no pod is expected none may be disturbed: the first may come any moment.
    let allowed = if expected > 0 { (current - desired).max(0) } else { 0 };
    let again = on_their_way.values().map(given_up_at).min();
    let status = PodDisruptionBudgetStatus {
        conditions: Some(conditions(budget, old.conditions.unwrap_or_default(), allowed, now)),
        current_healthy: current,
        desired_healthy: desired,
        disrupted_pods: Some(on_their_way).filter(|pods| !pods.is_empty()),
        disruptions_allowed: allowed,
        expected_pods: expected,
        observed_generation: budget.metadata.generation,
    };
    (status, again.map(|at| at.duration_since(now)))
}

/// Whoever may write the status may write any time into it.
fn given_up_at(evicted: &Time) -> Timestamp {
    after(evicted.0, DELETION_TIMEOUT_SECONDS)
}

/// How many pods there should be, and how many of them healthy.
fn expected(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], wanted: &Wanted) -> (i32, i32) {
    let Some(spec) = &budget.spec else { return (0, 0) };
    let all = wanted.values().fold(0, |all: i32, more| all.saturating_add(*more));
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => (all, (all - scaled(most, all, true)).max(0)),
        // A number of pods needs nobody who says how many there should be.
        (None, Some(IntOrString::Int(least))) => (i32::try_from(pods.len()).unwrap_or(i32::MAX), *least),
        (None, Some(least)) => (all, scaled(least, all, true)),
        (None, None) => (0, 0),
    }
}

fn conditions(
    budget: &PodDisruptionBudget,
    mut all: Vec<Condition>,
    allowed: i32,
    now: Timestamp,
) -> Vec<Condition> {
    const TYPE: &str = "DisruptionAllowed";
    let (status, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let old = all.iter().find(|condition| condition.type_ == TYPE);
    let since = old.filter(|old| old.status == status).map(|old| old.last_transition_time.clone());
    let condition = Condition {
        type_: TYPE.into(),
        status: status.into(),
        reason: reason.into(),
        message: String::new(),
        observed_generation: budget.metadata.generation,
        last_transition_time: since.unwrap_or(Time(now)),
    };
    all.retain(|condition| condition.type_ != TYPE);
    all.push(condition);
    all
}
