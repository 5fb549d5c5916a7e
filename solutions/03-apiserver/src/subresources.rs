//! Scale and binding: small objects that change one field of a large one.

use crate::fields::{Errors, quote};
use crate::kind::Kind;
use crate::kinds;
use crate::managed;
use crate::meant;
use crate::meta::{self, map_at};
use crate::status::{ApiError, Reason};
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

/// What is answered to who reads the `Scale` of what is not there (upstream: `ScaleREST.Get` of each
/// kind, the oldest of which has its own in another group).
pub fn no_scale(kind: &Kind, name: &str) -> ApiError {
    let resource = kind.resource;
    let group = if resource.kind == "ReplicationController" { "autoscaling" } else { resource.group };
    match kind.custom {
        Some(_) => kind.not_found(name),
        None => {
            let plural = format!("{}/scale", resource.plural);
            let message = format!("{} {} not found", kinds::qualify(&plural, group), quote(name));
            ApiError::new(Reason::NotFound, message).with(|details| {
                details.name = name.into();
                details.group = group.into();
                details.kind = plural;
            })
        }
    }
}

/// The workload with the number of replicas that a changed `Scale` asks for.
pub fn apply_scale(resource: &Resource, object: &Value, scale: &Value) -> Result<Value, ApiError> {
    apply_scale_by(resource, object, scale, |object, replicas| {
        map_at(object, "spec").insert("replicas".into(), json!(replicas));
    })
}

/// The same for a kind that keeps the number elsewhere: `put` puts it there.
pub fn apply_scale_by(
    resource: &Resource,
    object: &Value,
    scale: &Value,
    put: impl FnOnce(&mut Value, i64),
) -> Result<Value, ApiError> {
    let (name, uid) = (meta::name(object), meta::uid(scale));
    let wanted = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if wanted < 0 {
        let mut errors = Errors::default();
        errors.invalid("spec.replicas", &json!(wanted), "must be greater than or equal to 0");
        return Err(errors.into_error("autoscaling", "Scale", name));
    }
    if !uid.is_empty() && uid != meta::uid(object) {
        return Err(ApiError::precondition(resource, name, "UID", uid, meta::uid(object)));
    }
    let mut out = object.clone();
    put(&mut out, wanted);
    // The client's lock is on what it read: the workload's version under the Scale's name.
    let sent = meta::resource_version(scale).to_string();
    if !sent.is_empty() {
        map_at(&mut out, "metadata").insert("resourceVersion".into(), json!(sent));
    }
    Ok(out)
}

/// What is claimed of the workload by applying a `Scale`: no more than the number of replicas, if
/// it says one (upstream: `managedfields/scalehandler.go`, which goes the other way about).
pub fn scale_claim(kind: &Kind, scale: &Value) -> Result<Value, ApiError> {
    let resource = kind.resource;
    managed::check_type(scale, "autoscaling/v1", "Scale")?;
    let claim = json!({
        "apiVersion": kinds::api_version(resource), "kind": resource.kind, "metadata": scale["metadata"],
    });
    if scale["spec"]["replicas"].is_null() { Ok(claim) } else { kind.apply_scale(&claim, scale) }
}

/// Whether a binding is one, and is about the pod `name`. It is asked before anybody looks for the pod
/// (upstream: `BindingREST.Create` in `pkg/registry/core/pod/storage`).
pub fn check_binding(binding: &Value, name: &str) -> Result<(), ApiError> {
    if meta::name(binding) != name {
        return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
    }
    let (kind, node) = (meta::text(binding, &["target", "kind"]), meta::text(binding, &["target", "name"]));
    let mut errors = Errors::default();
    if !["", "Node"].contains(&kind) {
        errors.unsupported("target.kind", &json!(kind), &["Node", "<empty>"]);
    }
    if node.is_empty() {
        errors.required("target.name", "");
    }
    // Upstream does not say whose fault this is: no reason, and 500.
    errors.into_text().map_or(Ok(()), |text| Err(ApiError::new(Reason::Unknown, text)))
}

/// Put a pod on a node, once and for all. The binding was checked ([`check_binding`]).
pub fn bind(resource: &Resource, pod: &Value, binding: &Value, now: Timestamp) -> Result<Value, ApiError> {
    let name = meta::name(pod);
    let node = meta::text(binding, &["target", "name"]);
    meant::check_meant(resource, pod, binding)?;
    if meta::is_deleting(pod) {
        let why = format!("pod {name} is being deleted, cannot be assigned to a host");
        return Err(ApiError::conflict(&binding_of(resource), name, &why));
    }
    let assigned = meta::text(pod, &["spec", "nodeName"]);
    if !assigned.is_empty() {
        let why = format!("pod {name} is already assigned to node \"{assigned}\"");
        return Err(ApiError::conflict(&binding_of(resource), name, &why));
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

/// As messages name it.
fn binding_of(pods: &Resource) -> Resource {
    Resource { plural: "pods/binding", ..*pods }
}

/// The stored pod with the containers for looking into it that were sent; nothing else of it changes
/// (upstream: `podEphemeralContainersStrategy` in `pkg/registry/core/pod/strategy.go`).
pub fn ephemeral_containers_part(old: &Value, mut new: Value) -> Value {
    let mut out = old.clone();
    let spec = map_at(&mut out, "spec");
    match map_at(&mut new, "spec").shift_remove("ephemeralContainers") {
        Some(Value::Array(list)) if !list.is_empty() => {
            spec.insert("ephemeralContainers".into(), list.into())
        }
        _ => spec.shift_remove("ephemeralContainers"),
    };
    out
}
