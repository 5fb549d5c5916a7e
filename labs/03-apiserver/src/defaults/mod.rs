//! What an author left out. Defaults are written into the object when it is stored, so that
//! every reader sees the same (upstream: `pkg/apis/*/v1/defaults.go`, and the admission plugins
//! DefaultTolerationSeconds, Priority and ServiceAccount).

mod pods;
mod services;
mod workloads;

use crate::meta::{as_map, default_text, default_to, map_at};
use base64::Engine;
use objects::resources::Resource;
use serde_json::{Map, Value, json};

/// Fill in what is not there. Doing it twice changes nothing.
pub fn apply(resource: &Resource, object: &mut Value) {
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::pod(object),
        ("", "PodTemplate") => pods::template(map_at(object, "template")),
        ("", "Service") => services::service(map_at(object, "spec")),
        ("", "Endpoints") => services::endpoints(object),
        ("discovery.k8s.io", "EndpointSlice") => services::endpoint_slice(object),
        ("apps", "Deployment") => workloads::deployment(map_at(object, "spec")),
        ("apps", "ReplicaSet") => workloads::replica_set(map_at(object, "spec")),
        ("", "ReplicationController") => workloads::replication_controller(map_at(object, "spec")),
        ("apps", "DaemonSet") => workloads::daemon_set(map_at(object, "spec")),
        ("apps", "StatefulSet") => workloads::stateful_set(map_at(object, "spec")),
        ("batch", "Job") => workloads::job(map_at(object, "spec")),
        ("batch", "CronJob") => workloads::cron_job(map_at(object, "spec")),
        ("autoscaling", "HorizontalPodAutoscaler") => default_to(map_at(object, "spec"), "minReplicas", 1),
        ("", "Secret") => secret(object),
        ("", "Namespace") => namespace(object),
        ("", "PersistentVolume") => persistent_volume(map_at(object, "spec")),
        ("", "PersistentVolumeClaim") => default_text(map_at(object, "spec"), "volumeMode", "Filesystem"),
        _ => {}
    }
}

/// Defaults that are only given to a new object.
pub fn apply_on_create(resource: &Resource, object: &mut Value) {
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::on_create(object),
        ("", "Namespace") => default_to(map_at(object, "spec"), "finalizers", json!(["kubernetes"])),
        _ => {}
    }
}

/// The status that a new object starts with: whatever its author wrote there is not theirs to say.
pub fn initial_status(resource: &Resource, object: &mut Value) {
    let status = match (resource.group, resource.kind) {
        ("", "Pod") => json!({ "phase": "Pending", "qosClass": pods::qos_class(object) }),
        ("", "Namespace") => json!({ "phase": "Active" }),
        ("", "Service") => json!({ "loadBalancer": {} }),
        ("", "PersistentVolume" | "PersistentVolumeClaim") => json!({ "phase": "Pending" }),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => json!({ "replicas": 0 }),
        ("apps", "StatefulSet") => json!({ "replicas": 0, "availableReplicas": 0 }),
        ("apps", "DaemonSet") => json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        }),
        // A kubelet registers its node together with the node's first status.
        ("", "Node") => return,
        _ => json!({}),
    };
    as_map(object).insert("status".into(), status);
}

fn secret(object: &mut Value) {
    let map = as_map(object);
    default_text(map, "type", "Opaque");
    // stringData is for writing only: it becomes data.
    if let Some(Value::Object(plain)) = map.shift_remove("stringData") {
        let data = map_at(object, "data");
        for (key, value) in plain {
            let text = value.as_str().unwrap_or_default();
            data.insert(key, json!(base64::engine::general_purpose::STANDARD.encode(text)));
        }
    }
}

fn namespace(object: &mut Value) {
    let name = crate::meta::name(object).to_string();
    if !name.is_empty() {
        let labels = map_at(object, "metadata").entry("labels").or_insert_with(|| json!({}));
        as_map(labels).insert("kubernetes.io/metadata.name".into(), json!(name));
    }
}

fn persistent_volume(spec: &mut Map<String, Value>) {
    default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    default_text(spec, "volumeMode", "Filesystem");
}

/// Call `change` for each map in the list under `key`.
pub(crate) fn each(map: &mut Map<String, Value>, key: &str, mut change: impl FnMut(&mut Map<String, Value>)) {
    if let Some(Value::Array(list)) = map.get_mut(key) {
        list.iter_mut().filter_map(Value::as_object_mut).for_each(&mut change);
    }
}

/// Change the map under `key` if there is one.
pub(crate) fn inside(map: &mut Map<String, Value>, key: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(Value::Object(inner)) = map.get_mut(key) {
        change(inner);
    }
}
