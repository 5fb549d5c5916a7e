//! What may be stored, and what may change later (upstream: `pkg/apis/*/validation`).

mod config;
mod pods;
mod services;
mod workloads;

use crate::fields::Errors;
use crate::names::{self, Rule};
use crate::status::ApiError;
use objects::resources::Resource;
use serde_json::Value;

/// Check a new object, defaults applied.
pub fn validate_create(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    metadata(resource, object, &mut errors);
    content(resource, object, &mut errors);
    errors.into_result(resource, crate::meta::name(object))
}

/// Check a changed object against what it was.
pub fn validate_update(resource: &Resource, old: &Value, new: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    metadata(resource, new, &mut errors);
    finalizers_while_deleting(old, new, &mut errors);
    match (resource.group, resource.kind) {
        ("", "Pod") => {
            pods::pod(new, &mut errors);
            pods::pod_update(old, new, &mut errors);
        }
        ("", "Service") => {
            services::service(new, &mut errors);
            services::service_update(old, new, &mut errors);
        }
        ("apps" | "batch" | "", _) => {
            content(resource, new, &mut errors);
            workloads::update(resource, old, new, &mut errors);
            config::update(resource, old, new, &mut errors);
        }
        _ => content(resource, new, &mut errors),
    }
    errors.into_result(resource, crate::meta::name(new))
}

fn content(resource: &Resource, object: &Value, errors: &mut Errors) {
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::pod(object, errors),
        ("", "Service") => services::service(object, errors),
        ("", "Endpoints") => services::endpoints(object, errors),
        ("discovery.k8s.io", "EndpointSlice") => services::endpoint_slice(object, errors),
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet") => {
            workloads::workload(resource, object, errors);
        }
        ("batch", "Job") => workloads::job(object, errors),
        ("", "ConfigMap") => config::config_map(object, errors),
        ("", "Secret") => config::secret(object, errors),
        ("", "Node") => config::node(object, errors),
        (_, "Event") => config::event(object, errors),
        _ => {}
    }
}

fn name_rule(resource: &Resource) -> Rule {
    match (resource.group, resource.kind) {
        ("", "Namespace") => names::label,
        ("", "Service") => names::label_1035,
        ("rbac.authorization.k8s.io", _) => names::path_segment,
        _ => names::subdomain,
    }
}

/// Names, labels, annotations and owners are checked alike for every kind.
fn metadata(resource: &Resource, object: &Value, errors: &mut Errors) {
    let metadata = &object["metadata"];
    let name = crate::meta::name(object);
    if name.is_empty() {
        errors.required("metadata.name", "name or generateName is required");
    } else {
        for why in name_rule(resource)(name) {
            errors.invalid("metadata.name", &metadata["name"], why);
        }
    }
    let namespace = crate::meta::namespace(object);
    if resource.namespaced {
        for why in names::label(namespace) {
            errors.invalid("metadata.namespace", &metadata["namespace"], why);
        }
    } else if !namespace.is_empty() {
        errors.forbidden("metadata.namespace", "not allowed on this type");
    }
    labels(&metadata["labels"], "metadata.labels", errors);
    let mut size = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        for why in names::qualified(&key.to_lowercase()) {
            errors.invalid("metadata.annotations", &Value::from(key.as_str()), why);
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > 256 * 1024 {
        errors.invalid_text("metadata.annotations", "\"\"", "must have at most 262144 bytes");
    }
    let mut controllers = 0;
    for (i, owner) in metadata["ownerReferences"].as_array().into_iter().flatten().enumerate() {
        let at = format!("metadata.ownerReferences[{i}]");
        for key in ["apiVersion", "kind", "name", "uid"] {
            if owner[key].as_str().unwrap_or_default().is_empty() {
                errors.invalid(&format!("{at}.{key}"), &owner[key], format!("{key} must not be empty"));
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let why = "Only one reference can have Controller set to true";
        errors.invalid("metadata.ownerReferences", &metadata["ownerReferences"], why);
    }
    for finalizer in metadata["finalizers"].as_array().into_iter().flatten() {
        for why in names::qualified(finalizer.as_str().unwrap_or_default()) {
            errors.invalid("metadata.finalizers", finalizer, why);
        }
    }
}

/// Keys and values of a map of labels.
pub(crate) fn labels(labels: &Value, at: &str, errors: &mut Errors) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        for why in names::qualified(key) {
            errors.invalid(at, &Value::from(key.as_str()), why);
        }
        for why in names::label_value(value.as_str().unwrap_or_default()) {
            errors.invalid(at, value, why);
        }
    }
}

/// Once an object is going, nobody may hold it back any more.
fn finalizers_while_deleting(old: &Value, new: &Value, errors: &mut Errors) {
    if !crate::meta::is_deleting(old) {
        return;
    }
    let before = crate::meta::finalizers(old);
    let added: Vec<String> =
        crate::meta::finalizers(new).into_iter().filter(|f| !before.contains(f)).collect();
    if !added.is_empty() {
        let list: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
        errors.forbidden(
            "metadata.finalizers",
            &format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                list.join(", ")
            ),
        );
    }
}
