//! What an author left out. Defaults are written into the object when it is stored, so that
//! every reader sees the same (upstream: `pkg/apis/*/v1/defaults.go`, and the admission plugin
//! DefaultTolerationSeconds).

mod cluster;
mod pods;
mod rows;
mod services;
mod workloads;
pub mod zeros;

pub use workloads::{count_templates, templates_counted};

use crate::meta::{self, as_map, default_text, default_to, map_at};
use base64::Engine;
use jiff::Timestamp;
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
        ("", "ReplicationController") => workloads::replication_controller(object),
        ("apps", "DaemonSet") => workloads::daemon_set(object),
        ("apps", "StatefulSet") => workloads::stateful_set(map_at(object, "spec")),
        ("batch", "Job") => workloads::job(object),
        ("batch", "CronJob") => workloads::cron_job(map_at(object, "spec")),
        ("", "Secret") => secret(object),
        ("", "Namespace") => namespace(object),
        _ => {
            if let Some(rows) = rows_of(resource) {
                rows::fill(as_map(object), rows);
            }
        }
    }
}

/// The kinds whose defaults are a table.
fn rows_of(resource: &Resource) -> Option<&'static [rows::Row]> {
    Some(match (resource.group, resource.kind) {
        ("", "LimitRange") => cluster::LIMIT_RANGE,
        ("", "Node") => cluster::NODE,
        ("", "PersistentVolume") => cluster::PERSISTENT_VOLUME,
        ("", "PersistentVolumeClaim") => cluster::CLAIM,
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => cluster::MUTATING_WEBHOOKS,
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => cluster::VALIDATING_WEBHOOKS,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => cluster::POLICY,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => cluster::POLICY_BINDING,
        ("apiregistration.k8s.io", "APIService") => cluster::API_SERVICE,
        ("autoscaling", "HorizontalPodAutoscaler") => cluster::AUTOSCALER,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => cluster::FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => cluster::PRIORITY_LEVEL,
        ("networking.k8s.io", "IngressClass") => cluster::INGRESS_CLASS,
        ("networking.k8s.io", "NetworkPolicy") => cluster::NETWORK_POLICY,
        ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding") => cluster::BINDING,
        ("scheduling.k8s.io", "PriorityClass") => cluster::PRIORITY_CLASS,
        ("storage.k8s.io", "CSIDriver") => cluster::CSI_DRIVER,
        ("storage.k8s.io", "StorageClass") => cluster::STORAGE_CLASS,
        _ => return None,
    })
}

/// Defaults that are only given to a new object.
pub fn apply_on_create(resource: &Resource, object: &mut Value) {
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::on_write(object),
        ("", "Namespace") => default_to(map_at(object, "spec"), "finalizers", json!(["kubernetes"])),
        _ => {}
    }
}

/// Defaults that whoever changes an object cannot leave out again.
pub fn apply_on_update(resource: &Resource, object: &mut Value) {
    if (resource.group, resource.kind) == ("", "Pod") {
        pods::on_write(object);
    }
}

/// The status that a new object starts with: whatever its author wrote there is not theirs to say.
pub fn initial_status(resource: &Resource, object: &mut Value, now: Timestamp) {
    let status = match (resource.group, resource.kind) {
        ("", "Pod") => pods::initial_status(object, now),
        ("", "Namespace") => json!({ "phase": "Active" }),
        ("", "Service") => json!({ "loadBalancer": {} }),
        ("", "PersistentVolume") => {
            json!({ "phase": "Pending", "lastPhaseTransitionTime": meta::time(now) })
        }
        ("", "PersistentVolumeClaim") => json!({ "phase": "Pending" }),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => json!({ "replicas": 0 }),
        ("apps", "StatefulSet") => json!({ "replicas": 0, "availableReplicas": 0 }),
        ("apps", "DaemonSet") => json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        }),
        // A kubelet registers its node together with the node's first status.
        ("", "Node") => return,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crate::custom::initial_status(object),
        _ => json!({}),
    };
    as_map(object).insert("status".into(), status);
    zeros::fill(resource, object);
}

/// What a writer of a status may leave out, since it is not theirs to say.
pub fn complete_status(resource: &Resource, old: &Value, new: &mut Value, now: Timestamp) {
    let before = &old["status"];
    match (resource.group, resource.kind) {
        ("", "Pod") => {
            if let Some(class) = before["qosClass"].as_str() {
                default_text(map_at(new, "status"), "qosClass", class);
            }
            pods::one_list_of_addresses(map_at(new, "status"));
        }
        ("", "PersistentVolume") => {
            let status = map_at(new, "status");
            let is_told = status
                .get("lastPhaseTransitionTime")
                .is_some_and(|time| !time.is_null() && *time != before["lastPhaseTransitionTime"]);
            if !is_told && status.get("phase") != before.get("phase") {
                status.insert("lastPhaseTransitionTime".into(), json!(meta::time(now)));
            }
        }
        _ => {}
    }
    zeros::fill(resource, new);
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
