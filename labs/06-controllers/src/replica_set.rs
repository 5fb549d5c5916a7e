//! ReplicaSet: keep so many pods of a template alive.
//!
//! ```text
//!   pods of the namespace ──claim──► mine ──compare with spec.replicas──► create n
//!                          │                                          └─► delete these
//!                          ├─► adopt: matches, has no owner
//!                          └─► release: mine, matches no more
//! ```
//!
//! Upstream: `pkg/controller/replicaset/replica_set.go`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use objects::labels::Selector;
use objects::meta;

use crate::pods::{is_active, whole_seconds};

/// At most so many pods are created or deleted by one reconcile.
pub const BURST: usize = 500;

/// Everything that one reconcile looks at.
pub struct Observed<'a> {
    pub replica_set: &'a ReplicaSet,
    /// The pods that the set controls, and those of its namespace that nobody controls.
    pub pods: &'a [Arc<Pod>],
    /// The pods of all ReplicaSets with the same owner (its own included).
    pub siblings: &'a [Arc<Pod>],
    /// The cache has caught up with this set's own writes (see [`crate::expectations`]).
    pub may_act: bool,
    pub now: Timestamp,
}

/// What to do; an empty plan means that the set is as it should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub adopt: Vec<Arc<Pod>>,
    pub release: Vec<Arc<Pod>>,
    pub create: usize,
    pub delete: Vec<Arc<Pod>>,
    /// The pods that count, after adopting and releasing, before creating and deleting.
    pub mine: Vec<Arc<Pod>>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.adopt.is_empty() && self.release.is_empty() && self.create == 0 && self.delete.is_empty()
    }
}

pub fn selector(set: &ReplicaSet) -> Option<Selector> {
    let selector = &set.spec.as_ref()?.selector;
    Selector::from_label_selector(selector).ok().filter(|selector| !selector.is_everything())
}

pub fn wanted(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

#[allow(dead_code, reason = "used by your answer")]
fn min_ready_seconds(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
}

/// What an owner does about something that it may or may not control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    Mine,
    Adopt,
    Release,
    NotMine,
}

/// The rule of ownership, for pods of ReplicaSets and ReplicaSets of Deployments alike:
/// the owner reference decides; the selector decides only what has no owner, and what
/// to let go. An owner that is going away takes and releases nothing, and nobody adopts
/// what is going away.
pub fn claim(owner: &ObjectMeta, selector: &Selector, object: &ObjectMeta) -> Claim {
    let _ = (&owner, &selector, &object);
    todo!("lab 06.1: the reference to an owner first, then the selector, then who is going away")
}

/// Compares what is with what should be.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let set = observed.replica_set;
    let mut plan = Plan::default();
    let Some(selector) = selector(set) else {
        return plan;
    };
    for pod in observed.pods.iter().filter(|pod| is_active(pod)) {
        match claim(&set.metadata, &selector, &pod.metadata) {
            Claim::Mine => plan.mine.push(Arc::clone(pod)),
            Claim::Adopt => {
                plan.adopt.push(Arc::clone(pod));
                plan.mine.push(Arc::clone(pod));
            }
            Claim::Release => plan.release.push(Arc::clone(pod)),
            Claim::NotMine => {}
        }
    }
    if !observed.may_act || set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    todo!(
        "lab 06.1: too few: create the difference; too many: delete those that are missed least; never more than BURST"
    )
}

/// How many pods to create at once: 1, then 2, then 4, … If the first one is refused
/// (a quota, a broken template), five hundred are not tried in vain.
pub fn slow_start(count: usize) -> Vec<usize> {
    let _ = &count;
    todo!("lab 06.1: batches that double, until they add up to `count`")
}

/// The pod that the set's template describes. The server makes up the end of its name.
pub fn new_pod(set: &ReplicaSet) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let from_template = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", meta::name(&set.metadata))),
            namespace: set.metadata.namespace.clone(),
            labels: from_template.labels,
            annotations: from_template.annotations,
            finalizers: from_template.finalizers,
            owner_references: Some(vec![meta::owner_reference(set)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// What went wrong when pods were created or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Create(String),
    Delete(String),
}

/// The status that the set should show, and how long it stays true if nothing happens: a ready
/// pod becomes available by time alone, `minReadySeconds` after it became ready.
///
/// Going pods are among the `replicas`, as all of `mine`, and in no other count: having all
/// labels of the template, ready, available. Counts of zero are left out, except `replicas`.
pub fn status(
    set: &ReplicaSet,
    mine: &[Arc<Pod>],
    failure: Option<&Failure>,
    now: Timestamp,
) -> (ReplicaSetStatus, Option<Duration>) {
    let spec = set.spec.as_ref();
    let template = spec.and_then(|spec| spec.template.as_ref()?.metadata.as_ref());
    let template_labels = template.and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    let _ = (&mine, &failure, &now, &template_labels);
    todo!("lab 06.1: count the pods that stay, and find the next moment at which one becomes available")
}

#[allow(dead_code, reason = "used by your answer")]
fn failure_condition(
    set: &ReplicaSet,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let old = set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let is_failure = |condition: &ReplicaSetCondition| condition.type_ == "ReplicaFailure";
    let mut conditions: Vec<_> = old.iter().filter(|c| !is_failure(c)).cloned().collect();
    if let Some(failure) = failure {
        let (reason, message) = match failure {
            Failure::Create(message) => ("FailedCreate", message),
            Failure::Delete(message) => ("FailedDelete", message),
        };
        let since = old.iter().find(|c| is_failure(c)).and_then(|c| c.last_transition_time.clone());
        conditions.push(ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.clone()),
            last_transition_time: Some(since.unwrap_or_else(|| whole_seconds(now))),
        });
    }
    (!conditions.is_empty()).then_some(conditions)
}
