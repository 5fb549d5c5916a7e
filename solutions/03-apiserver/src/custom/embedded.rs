//! The metadata of a custom resource, and resources inside it: `apiVersion`, `kind` and `metadata`
//! have the types that they have everywhere, whatever the schema says (upstream:
//! `apiextensions-apiserver/pkg/apiserver/schema/objectmeta`).

use super::pruning::child;
use super::schema::Schema;
use crate::fields::Errors;
use crate::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Read the metadata of the root and of embedded resources as `ObjectMeta`: what it does not have
/// is dropped and noted in `unknown`, and what has a wrong type is the error.
pub fn coerce(object: &mut Value, schema: &Schema, unknown: &mut Vec<String>) -> Result<(), String> {
    node(object, schema, true, "", unknown)
}

fn node(
    value: &mut Value,
    schema: &Schema,
    is_resource: bool,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            if is_resource {
                metadata(map, path, unknown)?;
            }
            for (key, value) in map.iter_mut() {
                if is_resource && key == "metadata" {
                    continue;
                }
                if let Some(inner) = schema.child(key) {
                    node(value, inner, inner.embedded, &child(path, key), unknown)?;
                }
            }
            Ok(())
        }
        Value::Array(items) => {
            let Some(inner) = schema.items.as_deref() else { return Ok(()) };
            for (i, item) in items.iter_mut().enumerate() {
                node(item, inner, inner.embedded, &format!("{path}[{i}]"), unknown)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn metadata(map: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) -> Result<(), String> {
    let Some(value) = map.get_mut("metadata") else { return Ok(()) };
    crate::meta::drop_nulls(value);
    let at = child(path, "metadata");
    if value.is_null() {
        map.shift_remove("metadata");
        return Ok(());
    }
    let read = ObjectMeta::deserialize(&*value).and_then(serde_json::to_value);
    let printed = read.map_err(|error| format!("{at}: {error}"))?;
    let Value::Object(metadata) = value else { return Ok(()) };
    metadata.retain(|key, _| {
        let known = printed.get(key).is_some() || key == "selfLink";
        if !known {
            unknown.push(child(&at, key));
        }
        known
    });
    Ok(())
}

/// Embedded resources must say what they are, and have a name that could be one.
pub fn check(value: &Value, schema: &Schema, path: &str, errors: &mut Errors) {
    match value {
        Value::Object(map) => {
            if schema.embedded {
                resource(map, path, errors);
            }
            for (key, value) in map {
                if let Some(inner) = schema.child(key) {
                    check(value, inner, &child(path, key), errors);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.items.as_deref() {
                for (i, item) in items.iter().enumerate() {
                    check(item, inner, &format!("{path}[{i}]"), errors);
                }
            }
        }
        _ => {}
    }
}

fn resource(map: &Map<String, Value>, path: &str, errors: &mut Errors) {
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    for key in ["apiVersion", "kind"] {
        if text(key).is_empty() {
            errors.required(&child(path, key), "must not be empty");
        }
    }
    if !text("kind").is_empty() {
        for why in names::label_1035(&text("kind").to_lowercase()) {
            let why = format!("may have mixed case, but should otherwise match: {why}");
            errors.invalid(&child(path, "kind"), &map["kind"], why);
        }
    }
    let Some(metadata) = map.get("metadata") else { return };
    let at = child(path, "metadata");
    let name = metadata["name"].as_str().unwrap_or_default();
    for why in names::path_segment(name) {
        errors.invalid(&format!("{at}.name"), &metadata["name"], why);
    }
    crate::validation::labels(&metadata["labels"], &format!("{at}.labels"), errors);
}
