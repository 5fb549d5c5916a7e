//! What controllers and kubelets may write into a status.

use super::at::At;
use super::workloads::{collisions, counts};
use super::{pods, services};
use crate::fields::Errors;
use crate::meta;
use objects::resources::Resource;

pub fn update(resource: &Resource, old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let status = new.get("status");
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::status_update(old, new, errors),
        ("", "Service") | ("networking.k8s.io", "Ingress") => {
            services::load_balancer_status(&status.get("loadBalancer"), errors);
        }
        ("", "Namespace") => phase(new, errors),
        ("", "ReplicationController") | ("apps", "ReplicaSet") => {
            let of = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
            counts(&status, &of, &["observedGeneration"], errors);
        }
        ("apps", "Deployment") => {
            let of = ["updatedReplicas", "readyReplicas", "availableReplicas"];
            counts(&status, &of, &["unavailableReplicas", "observedGeneration"], errors);
            collisions(old, new, errors);
        }
        ("apps", "StatefulSet") => {
            let of = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
            counts(&status, &of, &["observedGeneration"], errors);
            collisions(old, new, errors);
        }
        ("apps", "DaemonSet") => {
            let numbers = [
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "observedGeneration",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
            ];
            numbers.iter().for_each(|key| status.get(key).not_negative(errors));
            collisions(old, new, errors);
        }
        ("batch", "Job") => {
            ["active", "succeeded", "failed"].iter().for_each(|key| status.get(key).not_negative(errors));
        }
        ("policy", "PodDisruptionBudget") => {
            let numbers = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
            numbers.iter().for_each(|key| status.get(key).not_negative(errors));
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            ["currentReplicas", "desiredReplicas"]
                .iter()
                .for_each(|key| status.get(key).not_negative(errors));
        }
        _ => {}
    }
}

/// A namespace is going exactly when somebody has said so.
fn phase(namespace: &At<'_>, errors: &mut Errors) {
    let phase = namespace.at("status.phase").named("status.Phase");
    match (meta::is_deleting(namespace.value), phase.text()) {
        (false, "Active") | (true, "Terminating") => {}
        (false, _) => phase.invalid_text("may only be 'Active' if `deletionTimestamp` is empty", errors),
        (true, _) => {
            phase.invalid_text("may only be 'Terminating' if `deletionTimestamp` is not empty", errors);
        }
    }
}
