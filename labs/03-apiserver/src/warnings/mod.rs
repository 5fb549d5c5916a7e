//! What is stored as it was sent and still worth a word: fields that are going away, values that
//! another field hides, names that make trouble later. The words travel in `Warning` headers beside
//! the answer, and kubectl prints them (upstream: `WarningsOnCreate` and `WarningsOnUpdate` of each
//! strategy, `pkg/api/*/warnings.go`).
//!
//! A warning never changes the object and never refuses it. What only repeats itself is not said
//! again: kinds that count their changes are warned of when what is wanted has changed.

mod nodes;
mod others;
mod pods;
mod secrets;
mod volumes;

use crate::kind::Kind;
use crate::names;
use crate::validation::at::At;
use serde_json::Value;

/// What to say of a new object: checked, defaults applied, in the form in which it is stored.
pub fn of_create(kind: &Kind, object: &Value) -> Vec<String> {
    let mut said = Vec::new();
    if kind.custom.is_none() {
        let object = At::root(object);
        of_name(kind, &object, &mut said);
        of_content(kind, &object, true, &mut said);
    }
    said
}

/// As `of_create`, for an object that was `old` before.
pub fn of_update(kind: &Kind, new: &Value, old: &Value) -> Vec<String> {
    let mut said = Vec::new();
    if kind.custom.is_none() {
        let changed = new["metadata"]["generation"] != old["metadata"]["generation"];
        match (kind.resource.group, kind.resource.kind) {
            // Controllers and kubelets change pods all the time, and read no warnings.
            ("", "Pod") | ("networking.k8s.io", "Ingress") => {}
            ("apps", "StatefulSet") => others::stateful_set(&At::root(new), changed, false, &mut said),
            ("apps", "DaemonSet") if new["spec"]["template"] == old["spec"]["template"] => {}
            ("apps" | "batch", _) | ("", "ReplicationController" | "PodTemplate") if !changed => {}
            _ => of_content(kind, &At::root(new), false, &mut said),
        }
    }
    said
}

/// Say what has not been said before.
pub fn add(said: &mut Vec<String>, more: Vec<String>) {
    for warning in more {
        if !said.contains(&warning) {
            said.push(warning);
        }
    }
}

/// Pods are called after these, and their host names have no dots.
fn of_name(kind: &Kind, object: &At<'_>, said: &mut Vec<String>) {
    let used = match (kind.resource.group, kind.resource.kind) {
        ("", "Pod") => "the Pod's hostname",
        ("apps", "Deployment" | "ReplicaSet")
        | ("batch", "Job" | "CronJob")
        | ("", "ReplicationController") => "Pod names and hostnames",
        _ => return,
    };
    let name = object.at("metadata.name");
    let wrong = names::label(name.text());
    if !wrong.is_empty() {
        name.warn(
            format!(
                "this is used in {used}, which can result in surprising behavior; a DNS label is recommended: [{}]",
                wrong.join(" ")
            ),
            said,
        );
    }
}

fn of_content(kind: &Kind, object: &At<'_>, is_new: bool, said: &mut Vec<String>) {
    match (kind.resource.group, kind.resource.kind) {
        ("", "Pod") => pods::template(object, said),
        ("", "PodTemplate") => pods::template(&object.get("template"), said),
        ("", "ReplicationController") | ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => {
            pods::template(&object.at("spec.template"), said);
        }
        ("apps", "StatefulSet") => others::stateful_set(object, true, is_new, said),
        ("batch", "Job") => others::job(&object.get("spec"), said),
        ("batch", "CronJob") => others::job(&object.at("spec.jobTemplate.spec"), said),
        ("", "Node") => others::node(object, said),
        ("", "PersistentVolume") => others::volume(object, said),
        ("", "PersistentVolumeClaim") => others::claim(object, said),
        ("", "Secret") => secrets::secret(object, said),
        ("", "Service") => others::service(object, said),
        ("", "ServiceAccount") => others::account(object, said),
        ("discovery.k8s.io", "EndpointSlice") => others::slice(object, said),
        ("networking.k8s.io", "Ingress") => others::ingress(object, said),
        ("node.k8s.io", "RuntimeClass") => others::runtime_class(object, said),
        ("storage.k8s.io", "CSIStorageCapacity") => others::capacity(object, said),
        ("storage.k8s.io", "StorageClass") => others::storage_class(object, said),
        _ => {}
    }
}

impl At<'_> {
    fn warn(&self, what: impl AsRef<str>, said: &mut Vec<String>) {
        said.push(format!("{}: {}", self.path, what.as_ref()));
    }

    /// Bytes come whole.
    fn warn_of_fraction(&self, said: &mut Vec<String>) {
        if self.quantity().is_some_and(|amount| amount.milli_value() % 1000 != 0) {
            self.warn(
                format!("fractional byte value \"{}\" is invalid, must be an integer", self.text()),
                said,
            );
        }
    }
}
