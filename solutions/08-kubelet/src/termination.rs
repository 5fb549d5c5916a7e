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
// lab:begin 08.8 what the spec says
use crate::types::{ContainerKind, all_containers, spec};
// lab:end

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
    // lab:begin 08.8 the probe's, else the deletion's, else the spec's, else the default; then the limit
    let of_probe = match reason {
        KillReason::Probe(kind) => {
            container.and_then(|c| kind.of(c)).and_then(|probe| probe.termination_grace_period_seconds)
        }
        _ => None,
    };
    let own = of_probe
        .or(pod.metadata.deletion_grace_period_seconds)
        .or(spec(pod).termination_grace_period_seconds)
        .unwrap_or(DEFAULT_GRACE_SECONDS);
    own.min(limit.unwrap_or(own)).max(0)
    // lab:end
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
    // lab:begin 08.8 everything but sidecars at once, then the sidecars in reverse order, each alone
    let sidecars: Vec<&str> = pod
        .into_iter()
        .flat_map(all_containers)
        .filter(|(kind, _)| *kind == ContainerKind::Sidecar)
        .map(|(_, c)| c.name.as_str())
        .collect();
    let ids = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        (runtime.running()).filter(|c| wanted(&c.name)).map(|c| c.id.clone()).collect()
    };
    let first = ids(&|name| !sidecars.contains(&name));
    let rest = sidecars.iter().rev().map(|s| ids(&|name| name == *s));
    std::iter::once(first).chain(rest).filter(|wave| !wave.is_empty()).collect()
    // lab:end
}
