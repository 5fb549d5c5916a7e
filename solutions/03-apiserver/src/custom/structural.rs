//! Whether a schema is structural: it says of every field, outside of any condition, that it is
//! there and of which type it is. Only then can objects be pruned and defaulted without guessing
//! (upstream: `apiextensions-apiserver/pkg/apiserver/schema/validation.go`).

use super::schema::{Additional, Schema};
use crate::fields::Errors;
use serde_json::{Value, json};

/// Where a node stands: three sentences differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Root,
    Item,
    Field,
}

impl Level {
    /// What is said of a node without a type.
    // lab:given
    fn untyped(self) -> &'static str {
        match self {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        }
    }
}

/// Check a schema that stands at `at` in its definition. Errors are ordered by field.
pub fn check(schema: &Schema, at: &str, errors: &mut Errors) {
    let mut found = Errors::default();
    spine(schema, Level::Root, at, &mut found);
    complete(schema, Some(schema), at, &mut found);
    found.sort();
    errors.append(found);
}

/// A node of the spine, and everything below it.
fn spine(schema: &Schema, level: Level, at: &str, errors: &mut Errors) {
    own_type(schema, level, at, errors);
    if schema.int_or_string && schema.preserve {
        let why = "must be false if x-kubernetes-int-or-string is true";
        errors.invalid(&format!("{at}.x-kubernetes-preserve-unknown-fields"), &json!(true), why);
    }
    if schema.int_or_string && schema.embedded {
        let why = "must be false if x-kubernetes-int-or-string is true";
        errors.invalid(&format!("{at}.x-kubernetes-embedded-resource"), &json!(true), why);
    }
    resource_fields(schema, level, at, errors);
    conditions(schema, is_int_or_string(&schema.conditions.any_of), at, errors);
    if let Some(items) = &schema.items {
        spine(items, Level::Item, &format!("{at}.items"), errors);
    }
    for (key, property) in &schema.properties {
        spine(property, Level::Field, &format!("{at}.properties[{key}]"), errors);
    }
    if let Some(additional) = schema.additional_schema() {
        spine(additional, Level::Field, &format!("{at}.additionalProperties"), errors);
    }
}

/// What this node alone must say: a type, unless `x-kubernetes-int-or-string` or
/// `x-kubernetes-preserve-unknown-fields` says that there is none; `object` at the root and for an
/// embedded resource; the items of an array.
fn own_type(schema: &Schema, level: Level, at: &str, errors: &mut Errors) {
    // lab:begin 03.9 an array needs items; an embedded resource is an object; everything else needs some type; the root is an object without other keys
    let kind = format!("{at}.type");
    if schema.kind == "array" && schema.items.is_none() {
        errors.required(&format!("{at}.items"), "must be specified");
    }
    if schema.embedded && schema.kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        match schema.kind.as_str() {
            "" => errors.required(&kind, why),
            other => errors.invalid(&kind, &json!(other), why),
        }
    } else if schema.kind.is_empty() && !schema.int_or_string && !schema.preserve {
        errors.required(&kind, level.untyped());
    }
    if level == Level::Root {
        if !schema.kind.is_empty() && schema.kind != "object" {
            errors.invalid(&kind, &json!(schema.kind), "must be object at the root");
        }
        if schema.additional.is_some() {
            errors.forbidden(&format!("{at}.additionalProperties"), "must not be used at the root");
        }
    }
    // lab:end
}

/// The fields that every resource has are the server's: a schema may say little about them.
fn resource_fields(schema: &Schema, level: Level, at: &str, errors: &mut Errors) {
    if schema.embedded && schema.additional.is_some() {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        errors.forbidden(&format!("{at}.additionalProperties"), why);
    }
    if schema.embedded && !schema.preserve && schema.properties.is_empty() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.required(&format!("{at}.properties"), why);
    }
    if level != Level::Root && !schema.embedded {
        return;
    }
    for (key, kind) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
        if let Some(property) = schema.properties.get(key).filter(|p| p.kind != kind) {
            let field = format!("{at}.properties[{key}].type");
            errors.invalid(&field, &json!(property.kind), format!("must be {kind}"));
        }
    }
    if let Some(metadata) = schema.properties.get("metadata").filter(|_| level == Level::Root) {
        let mut rest = metadata.clone();
        rest.properties.retain(|key, _| !["name", "generateName"].contains(&key.as_str()));
        rest.kind.clear();
        rest.default = None;
        rest.conditions = Default::default();
        rest.others.clear();
        if rest != Schema::default() {
            let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.forbidden(&format!("{at}.properties[metadata]"), why);
        }
    }
}

/// The two ways in which the types of an int-or-string may be repeated as a condition.
fn is_int_or_string(any_of: &[Schema]) -> bool {
    let only = |kind: &str| Schema { kind: kind.into(), ..Schema::default() };
    any_of == [only("integer"), only("string")]
}

/// The conditions of a node: they may restrict the spine, and say nothing that is the spine's, but
/// for the types of an int-or-string (`repeats_types`).
fn conditions(schema: &Schema, repeats_types: bool, at: &str, errors: &mut Errors) {
    let own = &schema.conditions;
    if !repeats_types {
        for (i, nested) in own.any_of.iter().enumerate() {
            condition(nested, false, &format!("{at}.anyOf[{i}]"), errors);
        }
    }
    for (i, nested) in own.all_of.iter().enumerate() {
        let repeats_types = i == 0 && is_int_or_string(&nested.conditions.any_of);
        condition(nested, repeats_types, &format!("{at}.allOf[{i}]"), errors);
    }
    for (i, nested) in own.one_of.iter().enumerate() {
        condition(nested, false, &format!("{at}.oneOf[{i}]"), errors);
    }
    if let Some(nested) = &own.not {
        condition(nested, false, &format!("{at}.not"), errors);
    }
    if let Some(Err(why)) = own.pattern.as_ref().map(|p| &p.compiled) {
        let text = json!(own.pattern.as_ref().map(|p| p.text.as_str()));
        let why = format!("must be a valid regular expression, but isn't: {why}");
        errors.invalid(&format!("{at}.pattern"), &text, why);
    }
}

fn condition(nested: &Schema, repeats_types: bool, at: &str, errors: &mut Errors) {
    conditions(nested, repeats_types, at, errors);
    said_by_the_spine(nested, at, errors);
    if let Some(items) = &nested.items {
        condition(items, false, &format!("{at}.items"), errors);
    }
    for (key, property) in &nested.properties {
        condition(property, false, &format!("{at}.properties[{key}]"), errors);
    }
}

fn said_by_the_spine(nested: &Schema, at: &str, errors: &mut Errors) {
    let mut refuse = |said: bool, word: &str, why: &str| {
        if said {
            errors.forbidden(&format!("{at}.{word}"), &format!("must be {why} to be structural"));
        }
    };
    refuse(!nested.kind.is_empty(), "type", "empty");
    refuse(nested.additional.is_some(), "additionalProperties", "undefined");
    refuse(nested.default.is_some(), "default", "undefined");
    for word in ["title", "description"] {
        refuse(nested.others.iter().any(|other| other == word), word, "empty");
    }
    refuse(nested.nullable, "nullable", "false");
    refuse(nested.preserve, "x-kubernetes-preserve-unknown-fields", "false");
    refuse(nested.embedded, "x-kubernetes-embedded-resource", "false");
    refuse(nested.int_or_string, "x-kubernetes-int-or-string", "false");
    refuse(!nested.list_map_keys.is_empty(), "x-kubernetes-list-map-keys", "empty");
    refuse(!nested.list_type.is_empty(), "x-kubernetes-list-type", "undefined");
    refuse(!nested.map_type.is_empty(), "x-kubernetes-map-type", "undefined");
    refuse(!nested.rules.is_empty(), "x-kubernetes-validations", "empty");
    if nested.properties.contains_key("metadata") {
        errors.forbidden(&format!("{at}.properties[metadata]"), "must not be specified in a nested context");
    }
}

/// Every field that a condition speaks of must be in the spine (upstream: `complete.go`).
fn complete(schema: &Schema, spine: Option<&Schema>, at: &str, errors: &mut Errors) {
    let nested = nested_of(schema);
    for (word, nested) in nested {
        specified(nested, spine, &format!("{at}.{word}"), at, errors);
    }
    for (key, property) in &schema.properties {
        complete(property, Some(property), &format!("{at}.properties[{key}]"), errors);
    }
    if let Some(items) = &schema.items {
        complete(items, Some(items), &format!("{at}.items"), errors);
    }
    if let Some(Additional::Of(additional)) = &schema.additional {
        complete(additional, Some(additional), &format!("{at}.additionalProperties"), errors);
    }
}

fn nested_of(schema: &Schema) -> Vec<(String, &Schema)> {
    let own = &schema.conditions;
    let lists = [("anyOf", &own.any_of), ("allOf", &own.all_of), ("oneOf", &own.one_of)];
    let mut out: Vec<(String, &Schema)> = Vec::new();
    for (word, list) in lists {
        out.extend(list.iter().enumerate().map(|(i, nested)| (format!("{word}[{i}]"), nested)));
    }
    out.extend(own.not.as_deref().map(|nested| ("not".to_string(), nested)));
    out
}

fn specified(nested: &Schema, spine: Option<&Schema>, at: &str, in_spine: &str, errors: &mut Errors) {
    let Some(here) = spine else {
        errors.required(in_spine, &format!("because it is defined in {at}"));
        return;
    };
    for (word, deeper) in nested_of(nested) {
        specified(deeper, Some(here), &format!("{at}.{word}"), in_spine, errors);
    }
    for (key, property) in &nested.properties {
        let (below, path) = (here.properties.get(key), format!("properties[{key}]"));
        specified(property, below, &format!("{at}.{path}"), &format!("{in_spine}.{path}"), errors);
    }
    if let Some(items) = &nested.items {
        specified(items, here.items.as_deref(), &format!("{at}.items"), &format!("{in_spine}.items"), errors);
    }
}

/// What kubectl and the OpenAPI documents call a type.
// lab:given
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
    }
}
