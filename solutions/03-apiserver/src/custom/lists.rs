//! Lists that say they are sets or maps must be (upstream:
//! `apiextensions-apiserver/pkg/apiserver/schema/listtype`).

use super::schema::Schema;
use crate::fields::Errors;
use serde_json::{Map, Value};

/// Find items that are there twice.
pub fn check(value: &Value, schema: &Schema, path: &str, errors: &mut Errors) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let here = match schema.properties.contains_key(key) {
                    true => super::pruning::child(path, key),
                    false => format!("{path}[{key}]"),
                };
                if let Some(schema) = schema.child(key) {
                    check(value, schema, &here, errors);
                }
            }
        }
        Value::Array(items) => {
            let identities: Vec<Value> = match schema.list_type.as_str() {
                "set" => items.clone(),
                "map" => items.iter().map(|item| keys_of(item, schema)).collect(),
                _ => Vec::new(),
            };
            for (i, identity) in identities.iter().enumerate() {
                if identities[..i].contains(identity) {
                    errors.duplicate(&format!("{path}[{i}]"), identity);
                }
            }
            if let Some(inner) = schema.items.as_deref() {
                for (i, item) in items.iter().enumerate() {
                    check(item, inner, &format!("{path}[{i}]"), errors);
                }
            }
        }
        _ => {}
    }
}

/// What tells an item apart from the others. A key that is not said counts as its default.
fn keys_of(item: &Value, list: &Schema) -> Value {
    let default = |key: &str| list.items.as_deref()?.properties.get(key)?.default.clone();
    let of = |key: &String| {
        let value = item.get(key).cloned().or_else(|| default(key))?;
        Some((key.clone(), value))
    };
    Value::Object(list.list_map_keys.iter().filter_map(of).collect::<Map<_, _>>())
}
