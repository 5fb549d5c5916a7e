//! The document of OpenAPI 2.0 ("Swagger"): one for everything that is served.

use super::definitions::{Definitions, group_version_kind};
use super::operations::Operation;
use crate::schema::book::DEFINITIONS;
use serde_json::{Map, Value, json};

pub fn document(info: Value, definitions: &Definitions, operations: &[Operation]) -> Value {
    let definitions: Map<String, Value> =
        definitions.iter().map(|(name, described)| (name.clone(), schema(described))).collect();
    json!({
        "swagger": "2.0",
        "info": info,
        "paths": super::paths(operations, |(_, of, _)| json!({ "type": of, "uniqueItems": true }), operation),
        "definitions": definitions,
        "securityDefinitions": {
            "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization" },
        },
        "security": [{ "BearerToken": [] }],
    })
}

/// A schema as old clients expect it: upstream prunes defaults, too.
fn schema(described: &Value) -> Value {
    let Some(fields) = described.as_object() else { return described.clone() };
    let said = fields.iter().filter(|(key, _)| *key != "default");
    let form = |(key, value): (&String, &Value)| {
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(inner)) => {
                inner.iter().map(|(name, inner)| (name.clone(), schema(inner))).collect()
            }
            ("additionalProperties" | "items", inner) => schema(inner),
            (_, other) => other.clone(),
        };
        (key.clone(), value)
    };
    said.map(form).collect()
}

fn operation(of: &Operation, mut parameters: Vec<Value>) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("{DEFINITIONS}{name}") });
    let schema = match &of.answer {
        Some(name) => reference(name),
        None => json!({ "type": "string" }),
    };
    let answer = |code: &&str| {
        ((*code).to_owned(), json!({ "description": super::code_means(code), "schema": schema }))
    };
    let mut responses: Map<String, Value> = of.codes.iter().map(answer).collect();
    responses.insert("401".into(), json!({ "description": super::code_means("401") }));
    let mut consumes: &[&str] = &["*/*"];
    if let Some((media, body)) = &of.body {
        consumes = media;
        let required = of.method != "delete";
        let body = json!({ "name": "body", "in": "body", "schema": reference(body) });
        parameters.insert(0, body);
        if required {
            parameters[0]["required"] = json!(true);
        }
    }
    let produces: &[&str] = match (&of.answer, of.action) {
        (None, _) => &["*/*"],
        (Some(_), "list") => &["application/json", "application/json;stream=watch"],
        (Some(_), _) => &["application/json"],
    };
    let mut out = json!({
        "tags": [of.tag],
        "description": of.description,
        "operationId": of.id,
        "consumes": consumes,
        "produces": produces,
        "schemes": ["https"],
        "responses": responses,
        "x-kubernetes-action": of.action,
        "x-kubernetes-group-version-kind": group_version_kind(&of.kind.0, &of.kind.1, &of.kind.2),
    });
    if !parameters.is_empty() {
        out["parameters"] = json!(parameters);
    }
    out
}
