//! What a schema may not say, beside being structural: words without meaning here, combinations
//! that contradict each other, defaults that the schema itself refuses (upstream:
//! `ValidateCustomResourceDefinitionOpenAPISchema`).

use super::schema::{Additional, Schema};
use super::{defaulting, pruning, rules, structural, validation};
use crate::fields::Errors;
use serde_json::{Value, json};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// Fields of Go's struct that a root may have beside a `/status`, as upstream's message lists them.
const AT_ROOT: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]";
/// Those that it may not have, under their names in a definition.
const NOT_AT_ROOT: [&str; 16] = [
    "id",
    "$schema",
    "$ref",
    "default",
    "enum",
    "maxProperties",
    "minProperties",
    "allOf",
    "oneOf",
    "anyOf",
    "not",
    "additionalProperties",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
];

/// Check the schema of one version; `stated` is what was read into `schema`.
pub fn check(schema: &Schema, stated: &Value, has_status: bool, at: &str, errors: &mut Errors) {
    if has_status {
        if !schema.kind.is_empty() && schema.kind != "object" {
            let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            errors.invalid(&format!("{at}.type"), &json!(schema.kind), why);
        }
        if NOT_AT_ROOT.iter().any(|word| stated.get(word).is_some_and(|v| !v.is_null())) {
            let why = format!(
                "only {AT_ROOT} fields are allowed at the root of the schema if the status subresource is enabled"
            );
            errors.invalid(at, stated, why);
        }
    }
    let before = errors.len();
    node(schema, at, errors);
    structural::check(schema, at, errors);
    if errors.len() == before {
        // Only a sound schema can say whether its defaults and rules are.
        defaults(schema, at, errors);
        rules::check_rules(schema, at, errors);
    }
}

fn node(schema: &Schema, at: &str, errors: &mut Errors) {
    words(schema, at, errors);
    extensions(schema, at, errors);
    if let (Some(additional), false) = (&schema.additional, schema.properties.is_empty())
        && *additional != Additional::Any(true)
    {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.forbidden(&format!("{at}.additionalProperties"), why);
    }
    for (word, inner) in children(schema) {
        node(inner, &format!("{at}.{word}"), errors);
    }
}

/// Every schema directly inside this one, with its place.
fn children(schema: &Schema) -> Vec<(String, &Schema)> {
    let own = &schema.conditions;
    let mut out: Vec<(String, &Schema)> = Vec::new();
    out.extend(schema.properties.iter().map(|(key, inner)| (format!("properties[{key}]"), inner)));
    out.extend(schema.additional_schema().map(|inner| ("additionalProperties".into(), inner)));
    out.extend(schema.items.as_deref().map(|inner| ("items".into(), inner)));
    for (word, list) in [("allOf", &own.all_of), ("oneOf", &own.one_of), ("anyOf", &own.any_of)] {
        out.extend(list.iter().enumerate().map(|(i, inner)| (format!("{word}[{i}]"), inner)));
    }
    out.extend(own.not.as_deref().map(|inner| ("not".into(), inner)));
    out
}

fn words(schema: &Schema, at: &str, errors: &mut Errors) {
    for word in schema.others.iter().filter(|word| !["title", "description"].contains(&word.as_str())) {
        errors.forbidden(&format!("{at}.{word}"), &format!("{word} is not supported"));
    }
    let kind = format!("{at}.type");
    match schema.kind.as_str() {
        "" => {}
        "null" => errors.forbidden(&kind, "type cannot be set to null, use nullable as an alternative"),
        known if TYPES.contains(&known) => {}
        _ => errors.unsupported(&kind, &json!(schema.kind), &TYPES),
    }
    if schema.conditions.unique_items {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&format!("{at}.uniqueItems"), why);
    }
    if schema.int_or_string && !schema.kind.is_empty() {
        let why = "must be empty if x-kubernetes-int-or-string is true";
        errors.invalid(&kind, &json!(schema.kind), why);
    }
}

fn extensions(schema: &Schema, at: &str, errors: &mut Errors) {
    if schema.preserve_denied {
        let field = format!("{at}.x-kubernetes-preserve-unknown-fields");
        errors.invalid(&field, &json!(false), "must be true or undefined");
    }
    let (list_type, keys) =
        (format!("{at}.x-kubernetes-list-type"), format!("{at}.x-kubernetes-list-map-keys"));
    match schema.list_type.as_str() {
        "" => {}
        "atomic" | "set" | "map" if schema.kind != "array" => {
            let why = "must be array if x-kubernetes-list-type is specified";
            match schema.kind.as_str() {
                "" => errors.required(&format!("{at}.type"), why),
                kind => errors.invalid(&format!("{at}.type"), &json!(kind), why),
            }
        }
        "atomic" | "set" | "map" => {}
        _ => errors.unsupported(&list_type, &json!(schema.list_type), &["atomic", "set", "map"]),
    }
    let is_map = schema.list_type == "map";
    if is_map && schema.list_map_keys.is_empty() {
        errors.required(&keys, "must not be empty if x-kubernetes-list-type is map");
    }
    if !is_map && !schema.list_map_keys.is_empty() {
        errors.forbidden(&keys, "must not be set if x-kubernetes-list-type is not map");
    }
    if let Some(items) = schema.items.as_deref().filter(|_| is_map) {
        if items.kind != "object" {
            let why = "must be object if parent array's x-kubernetes-list-type is map";
            errors.invalid(&format!("{at}.items.type"), &json!(items.kind), why);
        }
        for (i, key) in schema.list_map_keys.iter().enumerate() {
            list_key(items, key, at, &format!("{keys}[{i}]"), errors);
        }
    }
    match schema.map_type.as_str() {
        "" => {}
        "atomic" | "granular" if schema.kind != "object" => {
            let why = "must be object if x-kubernetes-map-type is specified";
            errors.invalid(&format!("{at}.type"), &json!(schema.kind), why);
        }
        "atomic" | "granular" => {}
        _ => {
            let field = format!("{at}.x-kubernetes-map-type");
            errors.unsupported(&field, &json!(schema.map_type), &["atomic", "granular"]);
        }
    }
}

/// A key of a list must be a scalar that every item has.
fn list_key(items: &Schema, key: &str, at: &str, field: &str, errors: &mut Errors) {
    let Some(property) = items.properties.get(key) else {
        let why = "must be one of the fields defined in items.properties";
        return errors.invalid(field, &json!(key), why);
    };
    if ["object", "array"].contains(&property.kind.as_str()) {
        let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
        errors.invalid(&format!("{at}.items.properties[{key}].type"), &json!(property.kind), why);
    }
    if property.default.is_none() && !items.conditions.required.iter().any(|required| required == key) {
        let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
        errors.required(&format!("{at}.items.properties[{key}].default"), why);
    }
}

/// A default must be what its schema asks for, and have nothing that would be pruned.
fn defaults(schema: &Schema, at: &str, errors: &mut Errors) {
    if let Some(default) = &schema.default {
        let field = format!("{at}.default");
        let mut pruned = default.clone();
        if !pruning::prune_value(&mut pruned, schema).is_empty() {
            errors.invalid(&field, default, "must not have unknown fields");
        }
        defaulting::apply(&mut pruned, schema);
        let mut found = Errors::default();
        validation::check(&pruned, schema, None, &mut found);
        errors.append_under(&field, found);
    }
    for (key, inner) in &schema.properties {
        defaults(inner, &format!("{at}.properties[{key}]"), errors);
    }
    if let Some(inner) = schema.additional_schema() {
        defaults(inner, &format!("{at}.additionalProperties"), errors);
    }
    if let Some(inner) = schema.items.as_deref() {
        defaults(inner, &format!("{at}.items"), errors);
    }
}
