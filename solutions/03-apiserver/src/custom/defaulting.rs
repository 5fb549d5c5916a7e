//! Filling in what the schema says for what was left unsaid (upstream:
//! `apiextensions-apiserver/pkg/apiserver/schema/defaulting`).

use super::schema::Schema;
use serde_json::Value;

/// Fill in every default. Happens on a request, and again when an object is read that was stored
/// before the schema had the default. Twice is once.
///
/// A `null` where the schema does not allow one counts as nothing said: it becomes the default, or
/// goes where there is none. A default appears only where its parent is: a default for
/// `spec.replicas` does not make a `spec`.
pub fn apply(object: &mut Value, schema: &Schema) {
    // lab:begin 03.9 nulls that are not allowed go, absent properties get their default, then look inside; items and other keys too
    match object {
        Value::Object(map) => {
            map.retain(|key, value| {
                let schema = schema.child(key);
                !value.is_null() || schema.is_none_or(|s| s.nullable || s.default.is_some())
            });
            for (key, property) in &schema.properties {
                let missing = map.get(key).is_none_or(|value| is_forbidden_null(value, property));
                if let Some(default) = property.default.as_ref().filter(|_| missing) {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, value) in map.iter_mut() {
                if let Some(schema) = schema.child(key) {
                    replace_null(value, schema);
                    apply(value, schema);
                }
            }
        }
        Value::Array(items) => {
            for (item, schema) in items.iter_mut().zip(std::iter::repeat(schema.items.as_deref())) {
                if let Some(schema) = schema {
                    replace_null(item, schema);
                    apply(item, schema);
                }
            }
        }
        _ => {}
    }
    // lab:end
}

fn is_forbidden_null(value: &Value, schema: &Schema) -> bool {
    value.is_null() && !schema.nullable
}

/// The default in the place of a null that is not allowed, if there is a default.
// lab:given
fn replace_null(value: &mut Value, schema: &Schema) {
    if let Some(default) = schema.default.as_ref().filter(|_| is_forbidden_null(value, schema)) {
        *value = default.clone();
    }
}
