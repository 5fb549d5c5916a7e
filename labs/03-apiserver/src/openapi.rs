//! OpenAPI documents, thin: which operations there are on which kinds. Clients ask them whether
//! the server validates fields and which patches it takes; the fields of the kinds follow when
//! `kubectl explain` is to work.

use crate::discovery;
use objects::resources::{self, Resource};
use serde_json::{Map, Value, json};

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// `/openapi/v3`: where the documents are.
pub fn v3_index() -> Value {
    let mut paths = Map::new();
    for (group, versions) in discovery::groups() {
        for version in versions {
            let path = path_of(group, version);
            // The documents change with the program only.
            let url = format!("/openapi/v3/{path}?hash={}", env!("CARGO_PKG_VERSION"));
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
    }
    json!({ "paths": paths })
}

/// `/openapi/v3/apis/GROUP/VERSION` or `/openapi/v3/api/v1`; `path` is what follows `/openapi/v3/`.
pub fn v3_document(path: &str) -> Option<Value> {
    let (group, version) = match path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => (String::new(), version.to_string()),
        ["apis", group, version] => (group.to_string(), version.to_string()),
        _ => return None,
    };
    let known = discovery::groups().iter().any(|(g, v)| *g == group && v.contains(&version.as_str()));
    if !known {
        return None;
    }
    let mut paths = Map::new();
    for resource in resources::all().iter().filter(|r| r.group == group && r.version == version) {
        let base = format!("/{}", path_of(&group, &version));
        let collection = match resource.namespaced {
            true => format!("{base}/namespaces/{{namespace}}/{}", resource.plural),
            false => format!("{base}/{}", resource.plural),
        };
        paths.insert(collection.clone(), operations(resource, &["get", "post", "delete"]));
        paths.insert(
            format!("{collection}/{{name}}"),
            operations(resource, &["get", "put", "patch", "delete"]),
        );
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "v1.32.0" },
        "paths": paths,
        "components": { "schemas": {} },
    }))
}

const PATCHES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

fn operations(resource: &Resource, methods: &[&str]) -> Value {
    let mut out = Map::new();
    for method in methods {
        let mut operation = json!({
            "operationId": format!("{method}{}", resource.kind),
            "x-kubernetes-action": method,
            "x-kubernetes-group-version-kind": {
                "group": resource.group, "version": resource.version, "kind": resource.kind,
            },
            "responses": { "200": { "description": "OK" } },
        });
        if ["post", "put", "patch"].contains(method) {
            let parameter =
                |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
            let names = ["dryRun", "fieldManager", "fieldValidation"];
            operation["parameters"] = json!(names.iter().map(|n| parameter(n)).collect::<Vec<_>>());
            let media: Vec<&str> =
                if *method == "patch" { PATCHES.to_vec() } else { vec!["application/json"] };
            let content: Map<String, Value> = media
                .into_iter()
                .map(|m| (m.to_string(), json!({ "schema": { "type": "object" } })))
                .collect();
            operation["requestBody"] = json!({ "content": content });
        }
        out.insert((*method).into(), operation);
    }
    Value::Object(out)
}

/// `/openapi/v2` as JSON: a document that describes no type, which clients take for "unknown,
/// do not validate here".
pub fn v2_json() -> Value {
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": "v1.32.0" },
        "paths": {},
        "definitions": {},
    })
}

/// The content type of [`v2_protobuf`]. Clients ask for it with an `@` before the version, which Go's
/// `mime` package then refuses in an answer, so upstream answers with a dot.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The same document in gnostic's protobuf form (`openapi.v2.Document`: 1 swagger, 2 info,
/// 8 paths, 9 definitions; `Info`: 1 title, 2 version).
pub fn v2_protobuf() -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        // All of them are shorter than 128 bytes, so that a length is one byte.
        let mut out = vec![number << 3 | 2, bytes.len() as u8];
        out.extend_from_slice(bytes);
        out
    };
    let info = [field(1, b"Kubernetes"), field(2, b"v1.32.0")].concat();
    [field(1, b"2.0"), field(2, &info), field(8, b""), field(9, b"")].concat()
}
