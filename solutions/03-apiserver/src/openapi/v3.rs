//! A document of OpenAPI 3.0: one for each group and version (KEP-2896).

use super::definitions::{Definitions, group_version_kind};
use super::operations::{Operation, Parameter};
use crate::schema::book::referred;
use serde_json::{Map, Value, json};

const SCHEMAS: &str = "#/components/schemas/";

pub fn document(info: Value, definitions: &Definitions, operations: &[Operation]) -> Value {
    let schemas: Map<String, Value> =
        definitions.iter().map(|(name, schema)| (name.clone(), definition(name, schema))).collect();
    json!({
        "openapi": "3.0.0",
        "info": info,
        "paths": super::paths(operations, |parameter| json!({ "schema": typed(parameter) }), operation),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization" },
            },
        },
    })
}

/// Types that are one of two things, which version 2 cannot say.
fn definition(name: &str, described: &Value) -> Value {
    let either = match name.rsplit_once('.').map_or(name, |(_, last)| last) {
        "Quantity" => json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] }),
        "IntOrString" => {
            json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
        }
        _ => return schema(described),
    };
    let mut out = json!({ "description": described["description"] });
    if let (Value::Object(out), Value::Object(either)) = (&mut out, either) {
        out.extend(either);
    }
    out
}

/// A schema with version 3's references: one that says more than where to look stands in `allOf`.
fn schema(described: &Value) -> Value {
    let Some(fields) = described.as_object() else { return described.clone() };
    let mut out = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            ("$ref", _) => {
                let target =
                    json!({ "$ref": format!("{SCHEMAS}{}", referred(described).unwrap_or_default()) });
                if fields.len() == 1 {
                    return target;
                }
                out.insert("allOf".into(), json!([target]));
                continue;
            }
            ("properties", Value::Object(inner)) => {
                inner.iter().map(|(name, inner)| (name.clone(), schema(inner))).collect()
            }
            ("items" | "additionalProperties", inner) => schema(inner),
            (_, other) => other.clone(),
        };
        out.insert(key.clone(), value);
    }
    Value::Object(out)
}

fn typed((_, of, _): &Parameter) -> Value {
    json!({ "type": of, "uniqueItems": true })
}

fn reference(name: &str) -> Value {
    json!({ "schema": { "$ref": format!("{SCHEMAS}{name}") } })
}

fn operation(of: &Operation, parameters: Vec<Value>) -> Value {
    let content = match &of.answer {
        Some(name) => json!({ "application/json": reference(name) }),
        None => json!({ "*/*": { "schema": { "type": "string" } } }),
    };
    let mut content = content;
    if of.action == "list" {
        content["application/json;stream=watch"] = content["application/json"].clone();
    }
    let answer = |code: &&str| {
        let description = super::code_means(code);
        ((*code).to_owned(), json!({ "description": description, "content": content }))
    };
    let mut responses: Map<String, Value> = of.codes.iter().map(answer).collect();
    responses.insert("401".into(), json!({ "description": super::code_means("401") }));
    let mut out = json!({
        "tags": [of.tag],
        "description": of.description,
        "operationId": of.id,
        "responses": responses,
        "x-kubernetes-action": of.action,
        "x-kubernetes-group-version-kind": group_version_kind(&of.kind.0, &of.kind.1, &of.kind.2),
    });
    if !parameters.is_empty() {
        out["parameters"] = json!(parameters);
    }
    if let Some((media, body)) = &of.body {
        let content: Map<String, Value> = media.iter().map(|m| ((*m).to_owned(), reference(body))).collect();
        out["requestBody"] = json!({ "content": content });
        // Only an object that is not written need not be sent.
        if of.method != "delete" {
            out["requestBody"]["required"] = json!(true);
        }
    }
    out
}
