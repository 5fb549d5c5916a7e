//! The arithmetic of a rollout: how many pods of the new template may be added, and how
//! many of the old ones may go, so that at every moment there are
//!
//! * at most `replicas + maxSurge` pods, and
//! * at least `replicas - maxUnavailable` available ones.
//!
//! Upstream: `pkg/controller/deployment/rolling.go` and `util/deployment_util.go`.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::template::{MAX, size_annotation};

pub fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// The ReplicaSet's own controller has not seen its latest change yet.
pub fn is_behind(set: &ReplicaSet) -> bool {
    let observed = set.status.as_ref().and_then(|status| status.observed_generation);
    set.metadata.generation.unwrap_or(0) > observed.unwrap_or(0)
}

pub fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()).unwrap_or("RollingUpdate") == "RollingUpdate"
}

/// `maxSurge` and `maxUnavailable` as numbers of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub surge: i32,
    pub unavailable: i32,
}

/// Percentages are of `replicas`: surge rounds up, unavailable rounds down. If both come
/// out as zero nothing could ever move, so one pod may be unavailable then.
pub fn bounds(deployment: &Deployment) -> Bounds {
    if !is_rolling(deployment) {
        return Bounds { surge: 0, unavailable: 0 };
    }
    let replicas = wanted(deployment);
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".to_owned());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref()).unwrap_or(&quarter);
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&quarter);
    let _ = (&replicas, &surge, &unavailable);
    todo!("lab 06.2: each rounded to the careful side, not both zero, and no more unavailable than there are")
}

/// A number, or a percentage of `total` rounded up or down. What cannot be read is 0.
pub fn scaled(value: &IntOrString, total: i32, up: bool) -> i32 {
    let _ = (&value, &total, &up);
    todo!(
        "lab 06.2: whole pods of a number or of a text such as 25%; nothing that a user can write may overflow"
    )
}

/// How large the new ReplicaSet may be now, given the size of all of them together.
pub fn new_size(deployment: &Deployment, all_sizes: i32, current: i32) -> i32 {
    let replicas = wanted(deployment);
    let _ = (&all_sizes, &current, &replicas);
    todo!(
        "lab 06.2: recreate: all at once; rolling: what replicas + maxSurge leaves room for, and no more than replicas"
    )
}

/// The new sizes of the old ReplicaSets (oldest first), where they change: first the pods
/// that are not available anyway, then available ones as far as `maxUnavailable` allows.
/// While a status is older than its set's last change nothing is taken away: upstream is
/// less careful here, and can for a moment go below `replicas - maxUnavailable`.
pub fn shrink_old(deployment: &Deployment, old: &[ReplicaSet], new: &ReplicaSet) -> Vec<(usize, i32)> {
    let least_available = wanted(deployment) - bounds(deployment).unavailable;
    let _ = (&old, &new, &least_available);
    todo!(
        "lab 06.2: first pods that are not available, within the budget; then available ones that can be spared"
    )
}

/// The new sizes of several ReplicaSets when the Deployment is scaled in the middle of a
/// rollout: each gets its share, and the first one what rounding left over. `sets` come
/// largest first, the newer first among equals when growing, the older when shrinking.
pub fn proportional(deployment: &Deployment, sets: &[ReplicaSet]) -> Vec<i32> {
    let replicas = wanted(deployment);
    let most = if replicas > 0 { replicas + bounds(deployment).surge } else { 0 };
    let to_add = most - sets.iter().map(size).sum::<i32>();
    let mut added = 0;
    let mut sizes = Vec::new();
    for set in sets {
        let current = size(set);
        let left = to_add - added;
        let share = if current == 0 || left == 0 { 0 } else { fraction(deployment, set, replicas, most) };
        let share = if to_add > 0 { share.clamp(0, left.max(0)) } else { share.clamp(left.min(0), 0) };
        sizes.push(current + share);
        added += share;
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

/// What the set's part of the old total would be of the new one, less what it has.
fn fraction(deployment: &Deployment, set: &ReplicaSet, replicas: i32, most: i32) -> i32 {
    let current = size(set);
    if replicas == 0 {
        return -current;
    }
    let status = deployment.status.as_ref().and_then(|status| status.replicas);
    let before = size_annotation(set, MAX).or(status).filter(|before| *before > 0).unwrap_or(most);
    let scaled = f64::from(current) * f64::from(most) / f64::from(before);
    scaled.round() as i32 - current
}
