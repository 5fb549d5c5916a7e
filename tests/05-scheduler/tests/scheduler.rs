//! The grading suite of chapter 05. Each module judges one step.

#[path = "scheduler/step_1_queue.rs"]
mod step_1_queue;
#[path = "scheduler/step_2_filters.rs"]
mod step_2_filters;
#[path = "scheduler/step_3_scores.rs"]
mod step_3_scores;
#[path = "scheduler/step_4_assume.rs"]
mod step_4_assume;
#[path = "scheduler/step_5_spreading.rs"]
mod step_5_spreading;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
#[cfg(feature = "lab")]
use scheduler_lab as heart;
#[cfg(not(feature = "lab"))]
use scheduler_solution as heart;
use serde_json::{Value, json};

/// So many milliseconds after the beginning of the test.
fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).expect("a time in range")
}

/// A pod `default/NAME`; its uid is its name.
fn pod_with(name: &str, spec: Value) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": { "containers": [] },
    });
    for (key, value) in spec.as_object().expect("an object") {
        pod["spec"][key] = value.clone();
    }
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

/// A pod with one container that requests this.
fn pod_asking(name: &str, cpu_milli: i64, memory_mi: i64) -> Arc<Pod> {
    let requests = json!({ "cpu": format!("{cpu_milli}m"), "memory": format!("{memory_mi}Mi") });
    pod_with(name, json!({ "containers": [{ "name": "c", "resources": { "requests": requests } }] }))
}

/// The same pod, bound to a node.
fn bound(pod: &Pod, node: &str) -> Arc<Pod> {
    let mut pod = pod.clone();
    pod.spec.get_or_insert_default().node_name = Some(node.to_owned());
    Arc::new(pod)
}

/// The same pod, controlled by `owner`.
fn owned(pod: &Pod, owner: &str) -> Arc<Pod> {
    let mut pod = pod.clone();
    pod.metadata.owner_references = serde_json::from_value(json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true,
    }]))
    .expect("an owner reference");
    Arc::new(pod)
}

/// A node with labels, taints, and room.
fn node_with(name: &str, cpu_milli: i64, memory_mi: i64, more: Value) -> Arc<Node> {
    let mut node = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "spec": {},
        "status": { "allocatable": {
            "cpu": format!("{cpu_milli}m"), "memory": format!("{memory_mi}Mi"), "pods": "110",
        } },
    });
    for (part, fields) in more.as_object().expect("an object") {
        for (key, value) in fields.as_object().expect("an object") {
            node[part][key] = value.clone();
        }
    }
    Arc::new(serde_json::from_value(node).expect("a node"))
}

fn node(name: &str, cpu_milli: i64, memory_mi: i64) -> Arc<Node> {
    node_with(name, cpu_milli, memory_mi, json!({}))
}

fn profile() -> heart::Profile {
    heart::Profile::new(heart::Packing::LeastAllocated)
}
