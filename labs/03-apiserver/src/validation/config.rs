//! ConfigMaps, Secrets, Nodes and Events.

use crate::fields::Errors;
use crate::names;
use base64::Engine;
use objects::resources::Resource;
use serde_json::Value;

const MAX_BYTES: usize = 1024 * 1024;

pub fn config_map(object: &Value, errors: &mut Errors) {
    let mut size = 0;
    for list in ["data", "binaryData"] {
        for (key, value) in object[list].as_object().into_iter().flatten() {
            keys(key, list, errors);
            size += value.as_str().map_or(0, str::len);
            if list == "binaryData" && object["data"].get(key).is_some() {
                errors.invalid_text(
                    &format!("data[{key}]"),
                    &format!("{key:?}"),
                    "duplicate of key present in binaryData",
                );
            }
        }
    }
    if size > MAX_BYTES {
        errors.invalid_text("", "\"\"", "Too long: must have at most 1048576 bytes");
    }
}

pub fn secret(object: &Value, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        keys(key, "data", errors);
        let text = value.as_str().unwrap_or_default();
        size += text.len();
        if base64::engine::general_purpose::STANDARD.decode(text).is_err() {
            errors.invalid(&format!("data[{key}]"), value, "must be base64-encoded");
        }
    }
    if size > MAX_BYTES * 4 / 3 {
        errors.invalid_text("data", "\"\"", "Too long: must have at most 1048576 bytes");
    }
    let needs: &[&str] = match object["type"].as_str().unwrap_or_default() {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        _ => &[],
    };
    for key in needs {
        if object["data"][*key].is_null() {
            errors.required(&format!("data[{key}]"), "");
        }
    }
}

fn keys(key: &str, list: &str, errors: &mut Errors) {
    for why in names::config_key(key) {
        errors.invalid(&format!("{list}[{key}]"), &Value::from(key), why);
    }
}

pub fn node(object: &Value, errors: &mut Errors) {
    for (i, taint) in object["spec"]["taints"].as_array().into_iter().flatten().enumerate() {
        let at = format!("spec.taints[{i}]");
        for why in names::qualified(taint["key"].as_str().unwrap_or_default()) {
            errors.invalid(&format!("{at}.key"), &taint["key"], why);
        }
        for why in names::label_value(taint["value"].as_str().unwrap_or_default()) {
            errors.invalid(&format!("{at}.value"), &taint["value"], why);
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        if !effects.contains(&taint["effect"].as_str().unwrap_or_default()) {
            errors.unsupported(&format!("{at}.effect"), &taint["effect"], &effects);
        }
    }
}

/// An event lives in the namespace of what it is about; for things without one, in `default`.
pub fn event(object: &Value, errors: &mut Errors) {
    let about = object["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let here = crate::meta::namespace(object);
    let fits = if about.is_empty() { here == "default" || here == "kube-system" } else { here == about };
    if !fits {
        errors.invalid("involvedObject.namespace", &Value::from(about), "does not match event.namespace");
    }
}

/// `immutable: true` means it, and a Secret keeps its type.
pub fn update(resource: &Resource, old: &Value, new: &Value, errors: &mut Errors) {
    match resource.kind {
        "Secret" if old["type"] != new["type"] => errors.invalid("type", &new["type"], "field is immutable"),
        _ => {}
    }
    if !matches!(resource.kind, "Secret" | "ConfigMap") || old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        errors.forbidden("immutable", "field is immutable when `immutable` is set");
    }
    for list in ["data", "binaryData"] {
        if old[list] != new[list] {
            errors.forbidden(list, "field is immutable when `immutable` is set");
        }
    }
}
