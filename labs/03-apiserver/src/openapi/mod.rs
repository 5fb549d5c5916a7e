//! OpenAPI: what is served, for programs. `kubectl explain` reads it, `kubectl apply` asks it which
//! patches a kind takes and whether the server checks fields, and clients are generated from it.
//!
//! ```text
//!  types of k8s-openapi + facts ──► schema::book ──┐
//!  CustomResourceDefinitions ──────────────────────┼─► definitions ─┬─► v3: a document a group version
//!  the table of kinds ─────────────────────────────┴─► operations ──┴─► v2: one for all, as JSON
//!                                                                           └─► gnostic: as protobuf
//! ```
//!
//! A document takes a while to make: [`crate::documents`] keeps it as the bytes that go out.
//!
//! Left out: zero values as defaults (upstream says `default: ""` of every text that is not a
//! pointer), the deprecated `/watch/` paths, and documents of paths without resources.

pub mod definitions;
pub mod gnostic;
pub mod operations;
mod v2;
mod v3;

use crate::catalog::Catalog;
use crate::discovery;
use crate::kind::Kind;
use definitions::Form;
use operations::{Operation, Parameter};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The media type of [`v2_protobuf`]. Clients ask for it with an `@` before the version, which Go's
/// `mime` package then refuses in an answer, so upstream answers with a dot.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// `/openapi/v3/api/v1` or `/openapi/v3/apis/GROUP/VERSION`, about the kinds of that group version.
pub fn v3(kinds: &[Kind]) -> Value {
    v3::document(info(), &definitions::of(kinds, Form::V3), &operations::of(kinds))
}

/// `/openapi/v2`, about all kinds.
pub fn v2(catalog: &Catalog) -> Value {
    let kinds: Vec<Kind> = discovery::kinds(catalog).collect();
    v2::document(info(), &definitions::of(&kinds, Form::V2), &operations::of(&kinds))
}

/// The same for clients in Go, as `openapi.v2.Document` of gnostic.
pub fn v2_protobuf(catalog: &Catalog) -> Vec<u8> {
    gnostic::document(&v2(catalog))
}

/// What v3 calls the group versions that have a document here: `api/v1`, `apis/apps/v1`. Those of
/// other servers have one there.
pub fn group_versions(catalog: &Catalog) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for kind in discovery::kinds(catalog) {
        let path = path_of(kind.resource.group, kind.resource.version);
        if !out.contains(&path) {
            out.push(path);
        }
    }
    out
}

pub fn path_of(group: &str, version: &str) -> String {
    operations::base(group, version).split_off(1)
}

/// The kinds of such a group version.
pub fn kinds_of(catalog: &Catalog, path: &str) -> Vec<Kind> {
    let here = |kind: &Kind| path_of(kind.resource.group, kind.resource.version) == path;
    discovery::kinds(catalog).filter(here).collect()
}

fn info() -> Value {
    json!({ "title": "Kubernetes", "version": discovery::GIT_VERSION })
}

/// Operations by path and method, with the parameters that are in the path.
fn paths(
    operations: &[Operation],
    form: impl Fn(&Parameter) -> Value,
    render: impl Fn(&Operation, Vec<Value>) -> Value,
) -> Value {
    let parameter = |parameter: &Parameter, place: &str| {
        let (name, _, description) = parameter;
        let mut out = json!({ "name": name, "in": place, "description": description });
        if place == "path" {
            out["required"] = json!(true);
        }
        if let (Value::Object(out), Value::Object(form)) = (&mut out, form(parameter)) {
            out.extend(form);
        }
        out
    };
    let mut out: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations {
        let item = out.entry(&operation.path).or_insert_with(|| {
            let named = IN_PATH.iter().filter(|(name, ..)| operation.path.contains(&format!("{{{name}}}")));
            let mut parameters: Vec<Value> = named.map(|p| parameter(p, "path")).collect();
            parameters.push(parameter(&PRETTY, "query"));
            Map::from_iter([("parameters".to_owned(), Value::Array(parameters))])
        });
        let query = operation.query.iter().map(|p| parameter(p, "query")).collect();
        item.insert(operation.method.into(), render(operation, query));
    }
    out.into_iter().map(|(path, item)| (path.to_owned(), Value::Object(item))).collect()
}

const IN_PATH: [Parameter; 3] = [
    ("name", "string", "The object's name."),
    ("namespace", "string", "The namespace that it is in."),
    ("path", "string", "The path to ask for behind the proxy."),
];
const PRETTY: Parameter = ("pretty", "string", "Whether to indent the answer.");

fn code_means(code: &str) -> &'static str {
    match code {
        "200" => "OK",
        "201" => "Created",
        "202" => "Accepted",
        _ => "Unauthorized",
    }
}
