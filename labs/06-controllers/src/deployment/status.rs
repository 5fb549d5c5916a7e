//! The Deployment's status: counts, and two conditions that tools wait for.
//!
//! * `Available`: enough pods are available (`kubectl wait --for=condition=Available`).
//! * `Progressing`: the rollout moves, is done, or has not moved for
//!   `progressDeadlineSeconds` (`kubectl rollout status` gives up then).
//!
//! Upstream: `pkg/controller/deployment/progress.go` and `sync.go`.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::jiff::Timestamp;
use objects::meta;

use super::rolling::{available, bounds, size, wanted};
use crate::pods::{after, nonzero, whole_seconds};

const PROGRESSING: &str = "Progressing";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const DONE: &str = "NewReplicaSetAvailable";
const PAUSED: &str = "DeploymentPaused";

/// The conditions while a plan is made.
#[derive(Clone, Debug, Default)]
pub struct Conditions(pub Vec<DeploymentCondition>);

impl Conditions {
    pub fn get(&self, type_: &str) -> Option<&DeploymentCondition> {
        self.0.iter().find(|condition| condition.type_ == type_)
    }

    /// Sets a condition unless it says the same already. The transition time changes
    /// with the status only.
    pub fn set(&mut self, type_: &str, status: &str, reason: &str, message: String, now: Timestamp) {
        let now = whole_seconds(now);
        let mut since = Some(now.clone());
        if let Some(current) = self.get(type_) {
            if current.status == status && current.reason.as_deref() == Some(reason) {
                return;
            }
            if current.status == status {
                since.clone_from(&current.last_transition_time);
            }
        }
        self.remove(type_);
        self.0.push(DeploymentCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_update_time: Some(now),
            last_transition_time: since,
        });
    }

    pub fn remove(&mut self, type_: &str) {
        self.0.retain(|condition| condition.type_ != type_);
    }

    /// Progress counts from its last sign, so the time moves even if nothing else does.
    fn set_progressing(&mut self, reason: &str, message: String, now: Timestamp) {
        let kept = self.get(PROGRESSING).filter(|current| current.status == "True");
        let since = kept.and_then(|current| current.last_transition_time.clone());
        self.remove(PROGRESSING);
        self.set(PROGRESSING, "True", reason, message, now);
        if let (Some(since), Some(condition)) = (since, self.0.last_mut()) {
            condition.last_transition_time = Some(since);
        }
    }

    /// A step forward was made on the ReplicaSets themselves.
    pub fn note_new_set(&mut self, created: bool, name: &str, now: Timestamp) {
        let (reason, message) = match created {
            true => ("NewReplicaSetCreated", format!("Created new replica set \"{name}\"")),
            false => ("FoundNewReplicaSet", format!("Found new replica set \"{name}\"")),
        };
        self.set(PROGRESSING, "True", reason, message, now);
    }

    /// While a Deployment is paused its progress is unknown, and its deadline stands still.
    pub fn note_pause(&mut self, paused: bool, now: Timestamp) {
        let reason = self.get(PROGRESSING).and_then(|c| c.reason.as_deref()).unwrap_or("");
        if reason == TIMED_OUT || paused == (reason == PAUSED) {
            return;
        }
        let (reason, message) = match paused {
            true => (PAUSED, "Deployment is paused"),
            false => ("DeploymentResumed", "Deployment is resumed"),
        };
        self.set(PROGRESSING, "Unknown", reason, message.to_owned(), now);
    }
}

/// The deadline in seconds, unless there is none.
pub fn progress_deadline(deployment: &Deployment) -> Option<i32> {
    let deadline = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (deadline != i32::MAX).then_some(deadline)
}

/// Counts, and the `Available` condition.
pub fn counted(
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    old: &[ReplicaSet],
    mut conditions: Conditions,
    now: Timestamp,
) -> DeploymentStatus {
    let replicas = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
    let ready = |set: &ReplicaSet| set.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0);
    let all = || old.iter().chain(new);
    let available: i32 = all().map(available).sum();
    let should_be: i32 = all().map(size).sum();
    if available >= wanted(deployment) - bounds(deployment).unavailable {
        let message = "Deployment has minimum availability.".to_owned();
        conditions.set("Available", "True", "MinimumReplicasAvailable", message, now);
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        conditions.set("Available", "False", "MinimumReplicasUnavailable", message, now);
    }
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: nonzero(all().map(replicas).sum()),
        updated_replicas: nonzero(new.map_or(0, replicas)),
        ready_replicas: nonzero(all().map(ready).sum()),
        available_replicas: nonzero(available),
        unavailable_replicas: nonzero((should_be - available).max(0)),
        collision_count: deployment.status.as_ref().and_then(|status| status.collision_count),
        conditions: (!conditions.0.is_empty()).then_some(conditions.0),
    }
}

/// Every replica is of the new template and available, and nothing else is left.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = wanted(deployment);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

/// Counts and `Available` as above, `Progressing`, and the ReplicaSets' own failures.
/// The duration says when a rollout that stands still will have missed its deadline.
pub fn of_rollout(
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    old: &[ReplicaSet],
    conditions: Conditions,
    now: Timestamp,
) -> (DeploymentStatus, Option<Duration>) {
    let mut status = counted(deployment, new, old, conditions, now);
    let mut conditions = Conditions(status.conditions.take().unwrap_or_default());
    let before = deployment.status.clone().unwrap_or_default();
    let mut wait = None;
    let current = conditions.get(PROGRESSING).cloned();
    let reason = current.as_ref().and_then(|condition| condition.reason.as_deref()).unwrap_or("");
    let was_done = status.replicas == status.updated_replicas && reason == DONE;
    let subject = match new {
        Some(new) => format!("ReplicaSet \"{}\"", meta::name(&new.metadata)),
        None => format!("Deployment \"{}\"", meta::name(&deployment.metadata)),
    };
    match progress_deadline(deployment) {
        None => conditions.remove(PROGRESSING),
        Some(_) if was_done => {}
        Some(_) if is_complete(deployment, &status) => {
            let message = format!("{subject} has successfully progressed.");
            conditions.set(PROGRESSING, "True", DONE, message, now);
        }
        Some(_) if made_progress(&before, &status) => {
            let message = format!("{subject} is progressing.");
            conditions.set_progressing("ReplicaSetUpdated", message, now);
        }
        Some(deadline) => {
            let paused = deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
            let last = current.as_ref().and_then(|c| c.last_update_time.as_ref());
            if let Some(last) = last.filter(|_| !paused && reason != DONE && reason != TIMED_OUT) {
                let due = after(last.0, i64::from(deadline));
                if due < now {
                    let message = format!("{subject} has timed out progressing.");
                    conditions.set(PROGRESSING, "False", TIMED_OUT, message, now);
                } else {
                    let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
                    wait = Some(left + Duration::from_secs(1));
                }
            }
        }
    }
    conditions.remove("ReplicaFailure");
    if let Some(failure) = new.and_then(failure_of).or_else(|| old.iter().find_map(failure_of)) {
        conditions.0.push(failure);
    }
    status.conditions = (!conditions.0.is_empty()).then_some(conditions.0);
    (status, wait)
}

/// More of the new, less of the old, more ready, or more available than before.
fn made_progress(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let old = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(after.updated_replicas) > count(before.updated_replicas)
        || old(after) < old(before)
        || count(after.ready_replicas) > count(before.ready_replicas)
        || count(after.available_replicas) > count(before.available_replicas)
}

fn failure_of(set: &ReplicaSet) -> Option<DeploymentCondition> {
    let conditions = set.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions.iter().find(|condition| condition.type_ == "ReplicaFailure")?;
    Some(DeploymentCondition {
        type_: failure.type_.clone(),
        status: failure.status.clone(),
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        last_update_time: failure.last_transition_time.clone(),
        last_transition_time: failure.last_transition_time.clone(),
    })
}
