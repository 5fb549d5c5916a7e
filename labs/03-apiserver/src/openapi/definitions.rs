//! Which definitions a document holds: the kinds, their lists, what requests and answers about them
//! carry, and everything that these are made of. In the words of OpenAPI v2, but for the schemas of
//! custom kinds, which have much that only v3 can say.

use crate::kind::Kind;
use crate::schema::book::{BOOK, DEFINITIONS, referred};
use crate::schema::definition_name;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

pub type Definitions = BTreeMap<String, Value>;

/// Which document the definitions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    V2,
    V3,
}

/// The name under which a kind is described. A custom kind's is its group backwards:
/// `com.example.stable.v1.CronTab`.
pub fn name_of(kind: &Kind) -> Option<String> {
    let r = kind.resource;
    match kind.custom {
        None => definition_name(r.group, r.version, r.kind).map(str::to_owned),
        Some(_) => {
            let group = r.group.rsplit('.').collect::<Vec<_>>().join(".");
            Some(format!("{group}.{}.{}", r.version, r.kind))
        }
    }
}

pub fn list_name_of(kind: &Kind) -> Option<String> {
    let listed = kind.resource.verbs.contains(&"list");
    let name = name_of(kind).filter(|_| listed)?;
    let package = name.strip_suffix(kind.resource.kind)?;
    Some(format!("{package}{}", list_kind(kind)))
}

/// What a list of the kind calls itself.
fn list_kind(kind: &Kind) -> String {
    let stated = kind.custom.as_ref().map(|custom| custom.definition.names.list_kind.clone());
    stated.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{}List", kind.resource.kind))
}

pub fn group_version_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "kind": kind, "version": version })
}

/// The definitions that describe these kinds completely: every `$ref` leads somewhere.
pub fn of(kinds: &[Kind], form: Form) -> Definitions {
    let mut out = Definitions::new();
    // What a custom kind refers to.
    let meta = format!("{META}.ObjectMeta");
    out.insert(meta.clone(), BOOK[&meta].clone());
    for kind in kinds {
        let r = kind.resource;
        let Some(name) = name_of(kind) else { continue };
        let mut schema = match &kind.custom {
            None => BOOK.get(&name).cloned().unwrap_or_default(),
            Some(custom) if form == Form::V2 => custom.openapi_v2(),
            Some(custom) => custom.openapi_v3(),
        };
        mark(&mut schema, group_version_kind(r.group, r.version, r.kind));
        if let Some(list) = list_name_of(kind) {
            out.insert(list, list_of(kind, &name));
        }
        out.insert(name, schema);
        for subresource in r.subresources.iter().filter_map(|name| r.subresource(name)) {
            let name = definition_name(subresource.group, subresource.version, subresource.kind);
            if let Some((name, schema)) = name.and_then(|name| BOOK.get_key_value(name)) {
                let mut schema = schema.clone();
                mark(
                    &mut schema,
                    group_version_kind(subresource.group, subresource.version, subresource.kind),
                );
                out.entry(name.clone()).or_insert(schema);
            }
        }
    }
    for (kind, everywhere) in SHARED {
        let name = format!("{META}.{kind}");
        let mut schema = BOOK.get(&name).cloned().unwrap_or_default();
        mark(&mut schema, group_version_kind("", "v1", kind));
        if everywhere {
            kinds.iter().for_each(|k| {
                mark(&mut schema, group_version_kind(k.resource.group, k.resource.version, kind))
            });
        }
        out.insert(name, schema);
    }
    out.insert(format!("{META}.Patch"), BOOK[&format!("{META}.Patch")].clone());
    close(&mut out);
    out
}

/// What requests and answers of all groups have in common, and whether each group calls it its own.
const SHARED: [(&str, bool); 4] =
    [("APIResourceList", false), ("DeleteOptions", true), ("Status", false), ("WatchEvent", true)];

/// Note that a definition is the form of a kind, once.
fn mark(schema: &mut Value, kind: Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    let marks = schema.entry("x-kubernetes-group-version-kind").or_insert_with(|| json!([]));
    if let Value::Array(marks) = marks
        && !marks.contains(&kind)
    {
        marks.push(kind);
    }
}

/// Add what the definitions refer to, until nothing is missing.
fn close(definitions: &mut Definitions) {
    let mut missing: Vec<String> = Vec::new();
    definitions.values().for_each(|schema| references(schema, &mut missing));
    while let Some(name) = missing.pop() {
        if let (false, Some(schema)) = (definitions.contains_key(&name), BOOK.get(&name)) {
            references(schema, &mut missing);
            definitions.insert(name, schema.clone());
        }
    }
}

fn references(schema: &Value, found: &mut Vec<String>) {
    found.extend(referred(schema).map(str::to_owned));
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values);
    let inner = fields.chain(schema.get("items")).chain(schema.get("additionalProperties"));
    inner.for_each(|schema| references(schema, found));
}

/// A list's type has no form in `k8s-openapi`; all of them are alike.
fn list_of(kind: &Kind, name: &str) -> Value {
    let r = kind.resource;
    let list = list_kind(kind);
    let words = |key: &str| BOOK[&format!("{META}.Status")]["properties"][key]["description"].clone();
    let mut schema = json!({
        "description": format!("{list} is a list of {}", r.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "description": words("apiVersion"), "type": "string" },
            "items": {
                "description": format!("List of {}.", r.plural),
                "type": "array",
                "items": { "$ref": format!("{DEFINITIONS}{name}") },
            },
            "kind": { "description": words("kind"), "type": "string" },
            "metadata": { "$ref": format!("{DEFINITIONS}{META}.ListMeta"), "description": words("metadata") },
        },
    });
    mark(&mut schema, group_version_kind(r.group, r.version, &list));
    schema
}
