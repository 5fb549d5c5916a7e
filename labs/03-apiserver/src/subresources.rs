//! Scale and binding: small objects that change one field of a large one.

use crate::fields::Errors;
use crate::meta::{self, map_at};
use crate::status::ApiError;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::labels::Selector;
use objects::resources::Resource;
use serde::Deserialize;
use serde_json::{Value, json};

/// The `Scale` of a workload (autoscaling/v1): how many, how many there are, and which.
pub fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut shown = serde_json::Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(key) {
            shown.insert(key.into(), value.clone());
        }
    }
    let mut status = json!({ "replicas": object["status"]["replicas"].as_i64().unwrap_or(0) });
    let selector = LabelSelector::deserialize(&object["spec"]["selector"])
        .ok()
        .and_then(|s| Selector::from_label_selector(&s).ok());
    if let Some(selector) = selector {
        status["selector"] = json!(selector.to_string());
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": shown,
        "spec": { "replicas": object["spec"]["replicas"].as_i64().unwrap_or(0) },
        "status": status,
    })
}

/// The workload with the number of replicas that a changed `Scale` asks for.
pub fn apply_scale(resource: &Resource, object: &Value, scale: &Value) -> Result<Value, ApiError> {
    let wanted = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if !(0..=i64::from(i32::MAX)).contains(&wanted) {
        let mut errors = Errors::default();
        errors.invalid("spec.replicas", &json!(wanted), "must be greater than or equal to 0");
        errors.into_result(resource, meta::name(object))?;
    }
    let mut out = object.clone();
    map_at(&mut out, "spec").insert("replicas".into(), json!(wanted));
    // The client's lock is on what it read: the workload's version under the Scale's name.
    let sent = meta::resource_version(scale).to_string();
    if !sent.is_empty() {
        map_at(&mut out, "metadata").insert("resourceVersion".into(), json!(sent));
    }
    Ok(out)
}

/// Put a pod on a node, once and for all.
pub fn bind(resource: &Resource, pod: &Value, binding: &Value, now: Timestamp) -> Result<Value, ApiError> {
    let name = meta::name(pod);
    let node = meta::text(binding, &["target", "name"]);
    if node.is_empty() {
        let mut errors = Errors::default();
        errors.required("target.name", "");
        errors.into_result(resource, name)?;
    }
    let uid = meta::uid(binding);
    if !uid.is_empty() && uid != meta::uid(pod) {
        return Err(ApiError::precondition(resource, name, "UID", uid, meta::uid(pod)));
    }
    if meta::is_deleting(pod) {
        let why = format!("pod {name} is being deleted, cannot be assigned to a host");
        return Err(ApiError::conflict(resource, name, &why));
    }
    let assigned = meta::text(pod, &["spec", "nodeName"]);
    if !assigned.is_empty() {
        let why = format!("pod {name} is already assigned to node \"{assigned}\"");
        return Err(ApiError::conflict(resource, name, &why));
    }
    let mut out = pod.clone();
    map_at(&mut out, "spec").insert("nodeName".into(), json!(node));
    if let Some(Value::Object(annotations)) = binding["metadata"].get("annotations") {
        let metadata = map_at(&mut out, "metadata");
        let own = meta::as_map(metadata.entry("annotations").or_insert_with(|| json!({})));
        own.extend(annotations.clone());
    }
    let scheduled = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": meta::time(now),
    });
    let status = map_at(&mut out, "status");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if let Value::Array(list) = conditions {
        list.retain(|c| c["type"] != "PodScheduled");
        list.push(scheduled);
    }
    meta::drop_nulls(&mut out);
    Ok(out)
}
