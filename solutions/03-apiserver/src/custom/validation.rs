//! Whether an object is what its schema says, in upstream's sentences (upstream: `kube-openapi`'s
//! `pkg/validation`, and for the sentences' frame `apiextensions-apiserver/pkg/apiserver/validation`).
//!
//! An update is held against what was there: a part that did not change is not complained about,
//! so that an object which is older than a rule can still be changed elsewhere (KEP-4008).

use super::ratchet::Old;
use super::schema::{Additional, Schema};
use super::values::{check_allowed, check_items, check_junctions, check_number, check_text};
use crate::fields::Errors;
use serde_json::{Map, Value, json};

/// Check an object; `old` is what it was, for an update.
pub fn check(object: &Value, schema: &Schema, old: Option<&Value>, errors: &mut Errors) {
    let old = old.map_or(Old::Nothing, Old::At);
    check_value(object, schema, old, "", errors);
}

/// One value and what is inside it. `path` is empty at the root, else `spec.list[0].name`.
pub fn check_value(value: &Value, schema: &Schema, old: Old<'_>, path: &str, errors: &mut Errors) {
    if old.is_same(value) {
        return;
    }
    check_type(value, schema, path, errors);
    if value.is_null() {
        return check_allowed(value, schema, path, errors);
    }
    check_junctions(value, schema, path, errors);
    match value {
        Value::String(text) => check_text(text, schema, path, errors),
        Value::Number(_) => check_number(value, schema, path, errors),
        Value::Array(items) => check_items(items, schema, old, path, errors),
        _ => {}
    }
    check_allowed(value, schema, path, errors);
    if let Value::Object(map) = value {
        check_properties(map, schema, old, path, errors);
        check_forbidden(map, schema, path, errors);
    }
}

/// The field that an error names. Upstream has no name for the root, and prints that.
pub fn field(path: &str) -> &str {
    if path.is_empty() { "<nil>" } else { path }
}

/// The value's type must be the schema's. An integer is a number too, and a number without a
/// fraction an integer; `null` is for nullable nodes alone; an int-or-string is either; a schema
/// that names no type takes any.
fn check_type(value: &Value, schema: &Schema, path: &str, errors: &mut Errors) {
    // lab:begin 03.9 what the value is, what is wanted, and the few pairs that fit although they differ
    let is = super::structural::type_of(value);
    let wanted = match schema.kind.as_str() {
        "" if schema.int_or_string => "integer,string",
        kind => kind,
    };
    let fits = match (wanted, is) {
        ("", _) => true,
        (_, "null") => schema.nullable,
        ("integer,string", "integer" | "string") | ("number", "integer") => true,
        ("integer", "number") => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        (wanted, is) => wanted == is,
    };
    if !fits {
        let why = format!("{path} in body must be of type {wanted}: \"{is}\"");
        errors.type_invalid(field(path), &json!(is), why);
    }
    // lab:end
}

/// The keys of an object: how many, which must be there, and each against its own schema.
fn check_properties(
    map: &Map<String, Value>,
    schema: &Schema,
    old: Old<'_>,
    path: &str,
    errors: &mut Errors,
) {
    // lab:begin 03.9 too few or too many ends it; then every key that has a schema, with what it was before; then what is required and missing
    let count = map.len() as i64;
    let own = &schema.conditions;
    if let Some(least) = own.min_properties.filter(|least| count < *least) {
        let why = format!("{path} in body should have at least {least} properties");
        return errors.invalid(field(path), &json!(count), why);
    }
    if let Some(most) = own.max_properties.filter(|most| count > *most) {
        return errors.too_many(field(path), map.len(), most);
    }
    for (key, value) in map {
        if let Some(schema) = schema.child(key) {
            check_value(value, schema, old.key(key), &super::pruning::child(path, key), errors);
        }
    }
    for key in own.required.iter().filter(|key| !map.contains_key(*key)) {
        errors.required(&super::pruning::child(path, key), "");
    }
    // lab:end
}

/// Keys that `additionalProperties: false` keeps out.
fn check_forbidden(map: &Map<String, Value>, schema: &Schema, path: &str, errors: &mut Errors) {
    if schema.additional == Some(Additional::Any(false)) {
        for key in map.keys().filter(|key| !schema.properties.contains_key(*key)) {
            let why = format!("{path}.{key} in body is a forbidden property");
            errors.invalid(&super::pruning::child(path, key), &json!(""), why);
        }
    }
}
