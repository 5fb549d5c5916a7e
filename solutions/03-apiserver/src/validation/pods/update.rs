//! What may change about a pod that exists (upstream: `ValidatePodUpdate`).

use super::scheduling::TOLERATION;
use crate::fields::{Errors, go_map};
use crate::validation::at::At;
use crate::validation::diff::diff;
use crate::validation::rules::{check, same};
use serde_json::{Map, Value};

const MUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A pod is what it was made to be, with few exceptions.
pub fn pod_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    annotations_update(old, new, errors);
    let (old, new) = (old.get("spec"), new.get("spec"));
    for list in ["containers", "initContainers"] {
        let (old, new) = (old.get(list), new.get(list));
        if old.len() != new.len() {
            return new.forbidden("pod updates may not add or remove containers", errors);
        }
        for container in new.items() {
            container.get("image").require(errors);
            super::containers::image_is_trimmed(&container, errors);
        }
    }
    if !deadline(&old.get("activeDeadlineSeconds"), &new.get("activeDeadlineSeconds"), errors) {
        return;
    }
    tolerations(&old.get("tolerations"), &new.get("tolerations"), errors);
    gates(&old.get("schedulingGates"), &new.get("schedulingGates"), errors);
    let before = Value::Object(without_mutable(&old, &old));
    let mut after = without_mutable(&new, &old);
    if !old.get("schedulingGates").is_empty() {
        gated(&old, &new, &mut after, errors);
    }
    let after = Value::Object(after);
    if !same(&before, &after) {
        new.forbidden(&format!("{MUTABLE}\n{}", diff("core.PodSpec", &before, &after)), errors);
    }
}

/// The spec without what has rules of its own.
fn without_mutable(spec: &At<'_>, old: &At<'_>) -> Map<String, Value> {
    let mut map = spec.value.as_object().cloned().unwrap_or_default();
    for key in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        map.shift_remove(key);
    }
    for list in ["containers", "initContainers"] {
        for container in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container.shift_remove("image");
            }
        }
    }
    // A negative grace period of old may be mended.
    let grace = "terminationGracePeriodSeconds";
    if old.get(grace).int().is_some_and(|seconds| seconds < 0) && spec.get(grace).int() == Some(1) {
        map.insert(grace.into(), old.get(grace).value.clone());
    }
    map
}

/// A deadline may be set, and moved nearer. False when the rest need not be looked at.
fn deadline(old: &At<'_>, new: &At<'_>, errors: &mut Errors) -> bool {
    match (old.int(), new.int()) {
        (_, Some(now)) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            new.invalid("must be between 0 and 2147483647, inclusive", errors);
            false
        }
        (Some(before), Some(now)) if before < now => {
            new.invalid("must be less than or equal to previous value", errors);
            false
        }
        (Some(_), None) => {
            new.invalid("must not update from a positive integer to nil value", errors);
            true
        }
        _ => true,
    }
}

/// Tolerations may come, and change how long they hold.
fn tolerations(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let lasting = |toleration: &At<'_>| {
        let mut map = toleration.value.as_object().cloned().unwrap_or_default();
        map.shift_remove("tolerationSeconds");
        Value::Object(map)
    };
    let kept = old.items().all(|t| new.items().any(|n| same(&lasting(&t), &lasting(&n))));
    if kept {
        new.items().for_each(|toleration| check(&toleration, TOLERATION, errors));
    } else {
        new.forbidden("existing toleration can not be modified except its tolerationSeconds", errors);
    }
}

/// Gates may go.
fn gates(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let before: Vec<&str> = old.items().map(|gate| gate.get("name").text()).collect();
    for name in new.items().map(|gate| gate.get("name")) {
        if !before.contains(&name.text()) {
            let why = format!("only deletion is allowed, but found new scheduling gate '{}'", name.text());
            name.forbidden(&why, errors);
        }
    }
}

/// As long as a pod waits for a gate, the choice of nodes may still be narrowed.
fn gated(old: &At<'_>, new: &At<'_>, after: &mut Map<String, Value>, errors: &mut Errors) {
    let (before, now) = (old.get("nodeSelector"), new.get("nodeSelector"));
    if before.entries().any(|(key, value)| now.entry(key).value != value.value) {
        let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.invalid_text(&now.path, &go_map(now.value), why);
    }
    put(after, "nodeSelector", before.value);
    let terms = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let (before, now) = (old.at(terms), new.at(terms));
    if !before.is_empty() && before.len() != now.len() {
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        now.invalid(why, errors);
    } else {
        for (before, now) in before.items().zip(now.items()) {
            let kept = ["matchExpressions", "matchFields"].iter().all(|list| {
                let now: Vec<&Value> = now.get(list).items().map(|r| r.value).collect();
                before.get(list).items().all(|r| now.contains(&r.value))
            });
            if !kept {
                now.invalid("only additions are allowed (no mutations or deletions)", errors);
            }
        }
    }
    let mut affinity = new.get("affinity").value.as_object().cloned().unwrap_or_default();
    put(&mut affinity, "nodeAffinity", old.at("affinity.nodeAffinity").value);
    put(after, "affinity", &Value::Object(affinity));
}

fn put(map: &mut Map<String, Value>, key: &str, value: &Value) {
    if value.is_null() || value.as_object().is_some_and(Map::is_empty) {
        map.shift_remove(key);
    } else {
        map.insert(key.into(), value.clone());
    }
}

/// Annotations that the kubelet reads once.
pub(super) fn annotations_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let spec = new.get("spec");
    let (old, new) = (old.at("metadata.annotations"), new.at("metadata.annotations"));
    let fixed = |key: &str| match key {
        "kubernetes.io/config.mirror" => Some("mirror pod annotation"),
        key if key.starts_with("container.apparmor.security.beta.kubernetes.io/") => {
            Some("AppArmor annotations")
        }
        _ => None,
    };
    for (key, value) in old.entries() {
        if let Some(what) = fixed(key).filter(|_| new.entry(key).value != value.value) {
            new.entry(key).forbidden(&format!("may not remove or update {what}"), errors);
        }
    }
    for (key, value) in new.entries() {
        if let Some(what) = fixed(key).filter(|_| !old.entry(key).is_set()) {
            value.forbidden(&format!("may not add {what}"), errors);
        }
    }
    // Said of the whole pod already; upstream says it again.
    super::pod_annotations(&new, &spec, errors);
}

/// Containers for looking into a pod may come; none may change or go.
pub fn ephemeral_containers_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let list = new.at("spec.ephemeralContainers");
    if old.at("metadata.annotations").entry("kubernetes.io/config.mirror").is_set() {
        return errors.forbidden("", "static pods do not support ephemeral containers");
    }
    for before in old.at("spec.ephemeralContainers").items() {
        let name = before.get("name").text();
        match list.items().find(|now| now.get("name").text() == name) {
            None => {
                let why = format!("existing ephemeral containers \"{name}\" may not be removed\n");
                list.forbidden(&why, errors);
            }
            Some(now) if !same(before.value, now.value) => {
                let change = diff("core.EphemeralContainer", before.value, now.value);
                let why = format!("existing ephemeral containers \"{name}\" may not be changed\n{change}");
                list.forbidden(&why, errors);
            }
            Some(_) => {}
        }
    }
}
