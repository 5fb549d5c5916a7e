//! Reading and writing the metadata of dynamic objects.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The text at a path of keys, or "" where there is none.
pub fn text<'v>(object: &'v Value, path: &[&str]) -> &'v str {
    path.iter().fold(object, |at, key| &at[*key]).as_str().unwrap_or_default()
}

pub fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}

pub fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}

pub fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"])
}

pub fn resource_version(object: &Value) -> &str {
    text(object, &["metadata", "resourceVersion"])
}

pub fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

pub fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_string)).collect()
}

pub fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    let metadata = map_at(object, "metadata");
    if finalizers.is_empty() {
        metadata.shift_remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), json!(finalizers));
    }
}

/// The map under `key`, made if it is not there. What is there in its place is dropped: callers
/// have checked the shape before (`typed::decode`), or do not care.
pub fn map_at<'v>(object: &'v mut Value, key: &str) -> &'v mut Map<String, Value> {
    let map = as_map(object);
    as_map(map.entry(key).or_insert_with(|| json!({})))
}

/// The value as a map; anything else becomes an empty one.
pub fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Set `key` unless it has a value.
pub fn default_to(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.into(), value.into());
    }
}

/// As `default_to`, and an empty text counts as no value.
pub fn default_text(map: &mut Map<String, Value>, key: &str, value: &str) {
    if map.get(key).is_none_or(|v| v.is_null() || v.as_str() == Some("")) {
        map.insert(key.into(), value.into());
    }
}

/// Kubernetes' time: RFC 3339, seconds, UTC.
pub fn time(now: Timestamp) -> String {
    // Sub-second digits would be printed by Display; the wire form has none.
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub fn set_resource_version(object: &mut Value, revision: i64) {
    map_at(object, "metadata").insert("resourceVersion".into(), json!(revision.to_string()));
}

/// The order in which metadata is printed.
const METADATA_ORDER: [&str; 13] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
];

/// The order that every answer has: kind, apiVersion, metadata, the rest as it came, status last.
pub fn in_order(object: Value, kind: &str, api_version: &str) -> Value {
    let Value::Object(mut from) = object else { return object };
    let mut out = Map::new();
    out.insert("kind".into(), json!(kind));
    out.insert("apiVersion".into(), json!(api_version));
    from.shift_remove("kind");
    from.shift_remove("apiVersion");
    let mut metadata = match from.shift_remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    let mut ordered = Map::new();
    for key in METADATA_ORDER {
        if let Some(value) = metadata.shift_remove(key) {
            ordered.insert(key.into(), value);
        }
    }
    ordered.extend(metadata);
    out.insert("metadata".into(), Value::Object(ordered));
    let status = from.shift_remove("status");
    out.extend(from);
    if let Some(status) = status {
        out.insert("status".into(), status);
    }
    Value::Object(out)
}

/// Drop every `null` inside maps: for a built-in kind it says the same as nothing at all.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
