//! What a structural schema may say, and where: the parts that no step asks for.

use crate::heart::custom::{self, Schema};
use crate::heart::fields::Errors;
use objects::resources;
use serde_json::{Value, json};

/// What is wrong with a schema, a line an error.
fn wrong(schema: &Value) -> String {
    let mut found = Errors::default();
    custom::check_structural(&Schema::parse(schema), "schema", &mut found);
    let any = resources::by_kind("", "v1", "Pod").expect("a kind");
    let causes = match found.into_result(any, "x") {
        Ok(()) => return "    nothing\n".into(),
        Err(error) => error.details.map(|details| details.causes).unwrap_or_default(),
    };
    causes.iter().map(|cause| format!("    {}: {}\n", cause.field, cause.message)).collect()
}

/// The field `a` of an object, whose spine is a string.
fn with_condition(condition: Value) -> Value {
    json!({
        "type": "object",
        "properties": { "a": { "type": "string" } },
        "allOf": [{ "properties": { "a": condition } }],
    })
}

#[test]
fn each_word_that_belongs_to_the_spine_is_refused_in_a_condition_by_its_own_name() {
    let words = [
        ("type", json!("string")),
        ("additionalProperties", json!({ "type": "string" })),
        ("default", json!("x")),
        ("title", json!("x")),
        ("description", json!("x")),
        ("nullable", json!(true)),
        ("x-kubernetes-preserve-unknown-fields", json!(true)),
        ("x-kubernetes-embedded-resource", json!(true)),
        ("x-kubernetes-int-or-string", json!(true)),
        ("x-kubernetes-list-map-keys", json!(["k"])),
        ("x-kubernetes-list-type", json!("set")),
        ("x-kubernetes-map-type", json!("atomic")),
        ("x-kubernetes-validations", json!([{ "rule": "true" }])),
        ("properties", json!({ "metadata": {} })),
        ("pattern", json!("^a")),
        ("maxLength", json!(3)),
    ];
    let all: String = words
        .into_iter()
        .map(|(word, said)| format!("{word}\n{}", wrong(&with_condition(json!({ word: said })))))
        .collect();
    insta::assert_snapshot!(all);
}

#[test]
fn what_contradicts_itself_is_refused_where_it_stands() {
    let string = json!({ "type": "string" });
    let embedded = |more: Value| {
        let mut schema = json!({ "type": "object", "x-kubernetes-embedded-resource": true });
        let (into, from) = (schema.as_object_mut().expect("a map"), more);
        into.extend(from.as_object().expect("a map").clone());
        json!({ "type": "object", "properties": { "spec": schema } })
    };
    let field = |of: Value| json!({ "type": "object", "properties": { "f": of } });
    let schemas = [
        field(json!({ "x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true })),
        field(
            json!({ "type": "object", "x-kubernetes-int-or-string": true, "x-kubernetes-embedded-resource": true, "properties": { "a": string } }),
        ),
        embedded(json!({ "additionalProperties": string })),
        embedded(json!({})),
        embedded(json!({ "x-kubernetes-preserve-unknown-fields": true })),
        embedded(
            json!({ "properties": { "kind": { "type": "integer" }, "apiVersion": string, "metadata": string } }),
        ),
        embedded(
            json!({ "properties": { "metadata": { "type": "object", "properties": { "labels": { "type": "object" } } } } }),
        ),
        // A field of that name, which is no resource's.
        field(json!({ "type": "object", "properties": { "kind": { "type": "integer" } } })),
        json!({ "type": "object", "properties": { "kind": string, "apiVersion": { "type": "object" }, "metadata": { "type": "array", "items": string } } }),
        json!({ "type": "object", "properties": { "metadata": { "type": "object", "description": "its own", "properties": { "name": string, "generateName": string } } } }),
        json!({ "type": "object", "properties": { "metadata": { "type": "object", "properties": { "name": string, "labels": { "type": "object" } } } } }),
        field(json!({ "type": "string", "anyOf": [{ "type": "string" }] })),
        field(
            json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "string" }, { "type": "integer" }] }),
        ),
        field(json!({ "type": "array", "items": {} })),
        field(json!({ "type": "object", "additionalProperties": {} })),
        field(json!({ "type": "string", "pattern": "(" })),
        field(json!({ "type": "array", "items": string, "not": { "items": { "nullable": true } } })),
        field(
            json!({ "type": "object", "properties": { "a": { "type": "string" } }, "oneOf": [{ "properties": { "b": {} } }, { "not": { "properties": { "c": {} } } }] }),
        ),
        field(
            json!({ "type": "array", "items": { "type": "object", "anyOf": [{ "properties": { "x": {} } }] } }),
        ),
    ];
    let all: String = schemas.iter().map(|schema| format!("{schema}\n{}", wrong(schema))).collect();
    insta::assert_snapshot!(all);
}
