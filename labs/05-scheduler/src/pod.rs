//! Small questions about a pod.

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// The scheduler that a pod without `schedulerName` asks for.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// `namespace/name`.
pub fn pod_key(pod: &Pod) -> String {
    objects::meta::key(&pod.metadata)
}

/// The node that the pod is bound to.
pub fn node_name(pod: &Pod) -> Option<&str> {
    let name = pod.spec.as_ref()?.node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

pub fn priority(pod: &Pod) -> i32 {
    pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0)
}

/// Nothing in it runs any more, so that it takes no room.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Does this pod wait for us: not bound, not ended, not going away, not gated,
/// and addressed to this scheduler?
pub fn is_ours_to_place(pod: &Pod, scheduler_name: &str) -> bool {
    let Some(spec) = &pod.spec else {
        return false;
    };
    let addressed_to = spec.scheduler_name.as_deref().unwrap_or(DEFAULT_SCHEDULER);
    node_name(pod).is_none()
        && addressed_to == scheduler_name
        && !has_ended(pod)
        && pod.metadata.deletion_timestamp.is_none()
        && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
}

/// The condition that tells why a pod waits, or `None` if the pod carries it already.
pub fn unschedulable_condition(pod: &Pod, message: &str, now: Timestamp) -> Option<PodCondition> {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let current = conditions.and_then(|list| list.iter().find(|c| c.type_ == "PodScheduled"));
    let stays_false = current.is_some_and(|c| c.status == "False");
    if stays_false
        && current.is_some_and(|c| {
            c.reason.as_deref() == Some("Unschedulable") && c.message.as_deref() == Some(message)
        })
    {
        return None;
    }
    let since =
        current.filter(|_| stays_false).and_then(|c| c.last_transition_time.clone()).unwrap_or(Time(now));
    Some(PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(since),
        ..PodCondition::default()
    })
}
