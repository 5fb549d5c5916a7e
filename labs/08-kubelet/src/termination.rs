//! Graceful termination: ask, wait, insist.
//!
//! ```text
//!  t=0                                  grace                            grace period
//!   ├── preStop hook ──┬── SIGTERM ... the process ends by itself ...  ──┤ SIGKILL
//!                      └ what the hook used up is no longer there for the process (2 s at least)
//! ```
//!
//! The main containers go together; the sidecars serve them to the end and go after them, the last
//! one first. Upstream: `killContainer` and `termination_order.go` in `pkg/kubelet/kuberuntime`.

use k8s_openapi::api::core::v1 as api;

use crate::actions::KillReason;
use crate::types::RuntimePod;

/// A process always gets this long between SIGTERM and SIGKILL, whatever a hook used up.
pub const MINIMUM_GRACE_SECONDS: i64 = 2;

/// Where the pod and the probe name none.
pub const DEFAULT_GRACE_SECONDS: i64 = 30;

/// The grace period with which a container is killed, in seconds.
///
/// A probe's own `terminationGracePeriodSeconds` counts if that probe is the reason. Otherwise the
/// pod's `deletionGracePeriodSeconds`, if it is being deleted, or its spec's figure. `limit` (of a
/// second, more urgent order to stop) can only shorten it. Never negative.
pub fn grace_seconds(
    pod: &api::Pod,
    container: Option<&api::Container>,
    reason: &KillReason,
    limit: Option<i64>,
) -> i64 {
    let _ = (&pod, &container, &reason, &limit);
    todo!("lab 08.8: the probe's, else the deletion's, else the spec's, else the default; then the limit")
}

/// What is left for the process once the hook has used `spent_seconds` of its grace period.
/// An order to stop at once (0) stays one.
pub fn remaining_grace(grace_seconds: i64, spent_seconds: i64) -> i64 {
    if grace_seconds <= MINIMUM_GRACE_SECONDS {
        return grace_seconds.max(0);
    }
    (grace_seconds - spent_seconds.max(0)).clamp(MINIMUM_GRACE_SECONDS, grace_seconds)
}

/// The order in which the running containers of a pod are stopped: waves of container ids. Those
/// of one wave are stopped together; the next wave waits for them. Containers that the spec does
/// not know (any more) go first.
pub fn stop_order(pod: Option<&api::Pod>, runtime: &RuntimePod) -> Vec<Vec<String>> {
    let _ = (&pod, &runtime);
    todo!("lab 08.8: everything but sidecars at once, then the sidecars in reverse order, each alone")
}
