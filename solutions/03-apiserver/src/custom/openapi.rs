//! A custom kind's definition for the OpenAPI documents: the schema as its author wrote it, with
//! what every object has (upstream: `apiextensions-apiserver/pkg/controller/openapi/builder`).

use super::Custom;
use crate::meta;
use serde_json::{Value, json};

const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

pub fn v3(custom: &Custom) -> Value {
    let mut schema = custom.version().stated.clone();
    let reference = json!({ "$ref": format!("#/components/schemas/{OBJECT_META}") });
    complete(&mut schema, custom, json!({ "allOf": [reference], "default": {}, "description": METADATA }));
    schema
}

/// Version 2 has no `nullable`, no junctors but `allOf`, and clients of it check less: what it
/// cannot say is left out, so that they do not refuse what the server would take.
pub fn v2(custom: &Custom) -> Value {
    let mut schema = custom.version().stated.clone();
    simplify(&mut schema);
    let metadata = json!({ "$ref": format!("#/definitions/{OBJECT_META}"), "description": METADATA });
    complete(&mut schema, custom, metadata);
    schema
}

fn complete(schema: &mut Value, custom: &Custom, metadata: Value) {
    let definition = &custom.definition;
    let map = meta::as_map(schema);
    meta::default_to(map, "type", "object");
    let properties = meta::as_map(map.entry("properties").or_insert_with(|| json!({})));
    properties.insert("apiVersion".into(), json!({ "type": "string", "description": API_VERSION }));
    properties.insert("kind".into(), json!({ "type": "string", "description": KIND }));
    properties.insert("metadata".into(), metadata);
    let gvk = json!({
        "group": definition.group, "version": custom.version().name, "kind": definition.names.kind,
    });
    map.insert("x-kubernetes-group-version-kind".into(), json!([gvk]));
}

fn simplify(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    let shapeless = map.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true))
        || map.get("x-kubernetes-int-or-string") == Some(&json!(true))
        || map.get("nullable") == Some(&json!(true));
    if shapeless {
        for key in ["type", "items", "properties", "nullable"] {
            map.shift_remove(key);
        }
    }
    for key in ["anyOf", "oneOf", "not", "nullable", "default"] {
        map.shift_remove(key);
    }
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(simplify);
    }
    for key in ["items", "additionalProperties"] {
        map.get_mut(key).into_iter().for_each(simplify);
    }
    for schema in map.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        simplify(schema);
    }
}
