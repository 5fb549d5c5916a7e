//! `activeDeadlineSeconds`: how long a pod may be active on its node, whatever its containers do.
//!
//! The clock starts at `status.startTime`, which the API server keeps: a kubelet that was away takes
//! up the same deadline again. Upstream: `pkg/kubelet/active_deadline.go`.

use k8s_openapi::api::core::v1 as api;

use crate::status::is_over;
use crate::types::{SignedDuration, Timestamp, spec};

/// The reason of the pod's status, and of the event.
pub const REASON: &str = "DeadlineExceeded";

pub const MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// When the pod's time is up; `None` for one that may stay, or that has not been seen to start.
pub fn deadline(pod: &api::Pod, status: &api::PodStatus) -> Option<Timestamp> {
    let allowed = SignedDuration::from_secs(spec(pod).active_deadline_seconds?);
    status.start_time.as_ref()?.0.checked_add(allowed).ok()
}

/// Is its time up? A pod that was over before has kept its deadline.
pub fn is_past(pod: &api::Pod, status: &api::PodStatus, now: Timestamp) -> bool {
    match is_over(status) {
        true => status.reason.as_deref() == Some(REASON),
        false => deadline(pod, status).is_some_and(|at| at <= now),
    }
}

/// When to look at the pod for its deadline's sake: then, or soon if that has gone by unnoticed.
pub fn look_at(pod: &api::Pod, status: &api::PodStatus, now: Timestamp) -> Option<Timestamp> {
    let soon = now.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
    deadline(pod, status).map(|at| if at > now { at } else { soon })
}
