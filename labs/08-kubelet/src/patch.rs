//! The smallest patch that takes one pod status to another.
//!
//! The kubelet patches `/status` only when something changed, and only what changed: conditions of
//! others stay untouched. It is a strategic merge patch, whose lists of conditions merge by `type`
//! and whose addresses merge by `ip`; container statuses are replaced as a whole.
//! Upstream: `PatchPodStatus` in `pkg/util/pod`.

use k8s_openapi::api::core::v1 as api;
use serde_json::{Map, Value, json};

use crate::types::Uid;

/// `None` if there is nothing to say. The uid makes the patch fail on another pod of the same name.
pub fn status_patch(uid: &Uid, old: &api::PodStatus, new: &api::PodStatus) -> Option<Value> {
    let (old, new) = (fields(old), fields(new));
    let mut patch = Map::new();
    for (key, value) in &new {
        let before = old.get(key);
        if before == Some(value) {
            continue;
        }
        let change = match key.as_str() {
            "conditions" => changed_elements(before, value, "type", false),
            "podIPs" | "hostIPs" => changed_elements(before, value, "ip", true),
            _ => value.clone(),
        };
        if change.as_array().is_none_or(|a| !a.is_empty()) {
            patch.insert(key.clone(), change);
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then(|| json!({"metadata": {"uid": uid.0}, "status": patch}))
}

fn fields(status: &api::PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The elements of a list merged by key that are new or different, and, if `delete`, orders to
/// delete those that are gone.
fn changed_elements(old: Option<&Value>, new: &Value, key: &str, delete: bool) -> Value {
    let empty = Vec::new();
    let old = old.and_then(Value::as_array).unwrap_or(&empty);
    let new = new.as_array().unwrap_or(&empty);
    let find = |list: &[Value], element: &Value| -> Option<Value> {
        list.iter().find(|e| e.get(key) == element.get(key)).cloned()
    };
    let mut changes: Vec<Value> = Vec::new();
    for element in new {
        match find(old, element) {
            Some(before) if before == *element => {}
            before => {
                let mut change = element.clone();
                // A field that the element no longer has must be deleted by name.
                if let (Some(Value::Object(before)), Some(now)) = (before, change.as_object_mut()) {
                    for gone in before.keys() {
                        now.entry(gone.clone()).or_insert(Value::Null);
                    }
                }
                changes.push(change);
            }
        }
    }
    if delete {
        for element in old.iter().filter(|e| find(new, e).is_none()) {
            changes.push(json!({"$patch": "delete", (key): element.get(key)}));
        }
    }
    Value::Array(changes)
}
