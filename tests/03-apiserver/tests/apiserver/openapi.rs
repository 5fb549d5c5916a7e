//! What the server says of its kinds in OpenAPI. Given to students; tested here, graded nowhere.

use crate::common::crontabs;
use crate::heart::catalog::Catalog;
use crate::heart::custom::Definition;
use crate::heart::documents::Documents;
use crate::heart::openapi::definitions::Form;
use crate::heart::{discovery, openapi};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

static DOCUMENTS: LazyLock<Documents> = LazyLock::new(|| Documents::new(Arc::new(Catalog::default())));
static V2: LazyLock<Value> = LazyLock::new(|| parsed(&DOCUMENTS.v2_json().body));

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

fn v3(path: &str) -> Value {
    parsed(&DOCUMENTS.v3(path).expect("a document").body)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

#[test]
fn the_index_leads_to_a_document_for_each_group_version() {
    let index = parsed(&DOCUMENTS.v3_index().body);
    let mut out = String::new();
    for (path, place) in object(&index["paths"]) {
        let url = place["serverRelativeURL"].as_str().expect("an address");
        let (before, hash) = url.split_once("?hash=").expect("a hash");
        assert_eq!(before, format!("/openapi/v3/{path}"));
        assert_eq!(hash, DOCUMENTS.v3(path).expect("a document").tag);
        out += &format!("{path}\n");
    }
    insta::assert_snapshot!(out);
    assert!(DOCUMENTS.v3("apis/nothing.example.com/v1").is_none());
}

#[test]
fn the_document_of_a_small_group() {
    let mut document = v3("apis/coordination.k8s.io/v1");
    // Definitions that every group has stand in every document.
    let schemas = document["components"]["schemas"].as_object_mut().expect("schemas");
    schemas.retain(|name, _| name.contains("coordination"));
    insta::assert_snapshot!(pretty(&document));
}

#[test]
fn a_definition_in_both_forms() {
    let name = "io.k8s.api.core.v1.ContainerPort";
    let v3 = v3("api/v1")["components"]["schemas"]["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"]
        .clone();
    insta::assert_snapshot!(format!("{}\n{}", pretty(&V2["definitions"][name]), pretty(&v3)));
}

/// Every reference in a document, wherever it stands.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            // A property may be called `$ref`, and then is no text.
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn assert_complete(document: &Value) -> usize {
    let mut found = Vec::new();
    references(document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').expect("a reference into the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    found.len()
}

#[test]
fn every_reference_leads_somewhere() {
    assert!(assert_complete(&V2) > 1000);
    for path in openapi::group_versions(&Catalog::default()) {
        assert!(assert_complete(&v3(&path)) > 20, "{path}");
    }
}

/// What both forms say of a field, in one form.
fn plain(schema: &Value) -> Value {
    let mut out = Map::new();
    for (key, value) in object(schema) {
        let value = match key.as_str() {
            "default" => continue,
            "allOf" => {
                out.insert("$ref".into(), plain(&value[0])["$ref"].clone());
                continue;
            }
            "$ref" => json!(value.as_str().and_then(|v| v.rsplit('/').next())),
            "properties" => object(value).iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
            "items" | "additionalProperties" => plain(value),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    Value::Object(out)
}

#[test]
fn both_versions_describe_the_same_kinds() {
    let mut seen = BTreeSet::new();
    for path in openapi::group_versions(&Catalog::default()) {
        let document = v3(&path);
        for (name, schema) in object(&document["components"]["schemas"]) {
            seen.insert(name.clone());
            let (mut v2, mut v3) = (plain(&V2["definitions"][name]), plain(schema));
            for either in [&mut v2, &mut v3] {
                // A document of version 3 says only its own group's names of what all groups have.
                object_mut(either).shift_remove("x-kubernetes-group-version-kind");
            }
            if schema["oneOf"].is_array() {
                assert_eq!(v2["type"], "string", "{name}");
            } else {
                assert_eq!(v2, v3, "{name}");
            }
        }
    }
    let all: BTreeSet<String> = object(&V2["definitions"]).keys().cloned().collect();
    assert_eq!(seen, all);
}

fn object_mut(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("an object")
}

#[test]
fn every_kind_has_a_definition_and_operations() {
    let definitions = object(&V2["definitions"]);
    let operations: Vec<&Value> =
        object(&V2["paths"]).values().flat_map(|path| object(path).values()).collect();
    for kind in discovery::kinds(&Catalog::default()) {
        let r = kind.resource;
        let name = json!({ "group": r.group, "kind": r.kind, "version": r.version });
        let marked = |schema: &Value, name: &Value| {
            schema["x-kubernetes-group-version-kind"].as_array().is_some_and(|names| names.contains(name))
        };
        let schema = definitions.values().find(|schema| marked(schema, &name));
        assert!(schema.is_some_and(|s| s["properties"]["metadata"].is_object()), "{name}");
        let list = json!({ "group": r.group, "kind": format!("{}List", r.kind), "version": r.version });
        assert_eq!(definitions.values().any(|s| marked(s, &list)), r.verbs.contains(&"list"), "{list}");
        let actions: BTreeSet<&str> = operations
            .iter()
            .filter(|operation| operation["x-kubernetes-group-version-kind"] == name)
            .filter_map(|operation| operation["x-kubernetes-action"].as_str())
            .collect();
        let expected = r.verbs.iter().filter(|verb| **verb != "watch").map(|verb| match *verb {
            "create" => "post",
            "update" => "put",
            other => other,
        });
        for action in expected {
            assert!(actions.contains(action), "{name}: {action} is not among {actions:?}");
        }
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let mut names = BTreeSet::new();
    for (path, item) in object(&V2["paths"]) {
        for (method, operation) in object(item).iter().filter(|(key, _)| *key != "parameters") {
            let id = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(id), "{id} is there twice: {method} {path}");
        }
    }
    // Clients in other languages are generated from these.
    for id in [
        "listCoreV1NamespacedPod",
        "listCoreV1PodForAllNamespaces",
        "readCoreV1NamespacedPodLog",
        "connectCoreV1GetNamespacedPodExec",
        "createCoreV1NamespacedPodEviction",
        "deleteCoreV1CollectionNamespacedPod",
        "replaceAppsV1NamespacedDeploymentScale",
        "patchRbacAuthorizationV1ClusterRole",
        "createAuthorizationV1SelfSubjectAccessReview",
    ] {
        assert!(names.contains(id), "{id}");
    }
}

/// kubectl asks this before it lets the server check fields, and before it sends a strategic patch.
#[test]
fn a_patch_says_what_it_takes() {
    let document = v3("apis/apps/v1");
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().expect("parameters").iter();
    let names: Vec<&str> = parameters.filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let media: Vec<&String> = object(&patch["requestBody"]["content"]).keys().collect();
    assert_eq!(
        media,
        [
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ],
    );
}

#[test]
fn a_custom_kind_is_described_as_its_author_did() {
    let documents = Documents::new(Arc::new(crontabs()));
    let v3 = parsed(&documents.v3("apis/stable.example.com/v1").expect("a document").body);
    assert_complete(&v3);
    let v2 = parsed(&documents.v2_json().body);
    assert_complete(&v2);
    let name = "com.example.stable.v1.CronTab";
    let both = json!({ "v2": v2["definitions"][name], "v3": v3["components"]["schemas"][name] });
    insta::assert_snapshot!(pretty(&both));
    let list = &v3["components"]["schemas"]["com.example.stable.v1.CronTabItems"];
    assert_eq!(list["x-kubernetes-group-version-kind"][0]["kind"], "CronTabItems");
    let paths = "/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}";
    let takes = |path: &str| v3["paths"][path]["patch"]["requestBody"]["content"].clone();
    assert!(object(&takes(paths)).keys().all(|media| !media.contains("strategic")));
    assert_eq!(
        v3["paths"][format!("{paths}/scale")]["get"]["x-kubernetes-group-version-kind"]["kind"],
        "Scale"
    );
    assert_eq!(object(&takes(&format!("{paths}/status"))).len(), 3);
    let read = gnostic::message(&documents.v2_protobuf().body, gnostic::DOCUMENT);
    let spec = format!("/definitions/{name}/properties/spec/properties");
    assert_eq!(read.pointer(&format!("{spec}/replicas")), Some(&json!({ "minimum": 1.0 })));
    assert_eq!(read.pointer(&format!("{spec}/hosts")), v2.pointer(&format!("{spec}/hosts")));
    // What no definition touches stays as it was, and its address too.
    assert_eq!(
        documents.v3("api/v1").expect("a document").tag,
        DOCUMENTS.v3("api/v1").expect("a document").tag
    );
    assert_ne!(documents.v3_index().tag, DOCUMENTS.v3_index().tag);
}

#[test]
fn the_tag_follows_the_bytes() {
    let again = Documents::new(Arc::new(Catalog::default()));
    assert_eq!(again.v2_json().tag, DOCUMENTS.v2_json().tag);
    assert_ne!(again.v2_json().tag, again.v2_protobuf().tag);
    assert_ne!(again.discovery(true, "v2").tag, again.discovery(true, "v2beta1").tag);
}

/// gnostic's messages, read back: by field number, what a field is called in JSON and what it holds.
/// From `openapiv2/OpenAPIv2.proto`, and of that what this server writes.
mod gnostic {
    use serde_json::{Map, Value};

    #[derive(Clone, Copy)]
    pub enum Field {
        Text,
        Texts,
        Flag,
        Double,
        /// A message whose fields are the value's.
        Message(fn() -> Fields),
        Messages(fn() -> Fields),
        /// A message with one field, which is the value.
        Wrapped(&'static Field),
        /// One of several messages, each of which is the value.
        Either(Fields),
        /// Entries: 1 name, 2 value.
        Named(&'static Field),
        /// Entries whose values are YAML, into the fields of the message itself.
        Extensions,
        /// Values that are YAML.
        Anys,
    }
    use Field::*;

    pub type Fields = &'static [(u32, &'static str, Field)];

    pub const DOCUMENT: Fields = &[
        (1, "swagger", Text),
        (2, "info", Message(|| &[(1, "title", Text), (2, "version", Text)])),
        (8, "paths", Wrapped(&Named(&Message(|| PATH_ITEM)))),
        (9, "definitions", Wrapped(&Named(&Message(|| SCHEMA)))),
    ];
    const SCHEMA: Fields = &[
        (1, "$ref", Text),
        (2, "format", Text),
        (4, "description", Text),
        (9, "minimum", Double),
        (13, "pattern", Text),
        (19, "required", Texts),
        (20, "enum", Anys),
        (21, "additionalProperties", Wrapped(&Message(|| SCHEMA))),
        (22, "type", Wrapped(&Text)),
        (23, "items", Wrapped(&Message(|| SCHEMA))),
        (25, "properties", Wrapped(&Named(&Message(|| SCHEMA)))),
        (31, "", Extensions),
    ];
    const PATH_ITEM: Fields = &[
        (2, "get", Message(|| OPERATION)),
        (3, "put", Message(|| OPERATION)),
        (4, "post", Message(|| OPERATION)),
        (5, "delete", Message(|| OPERATION)),
        (8, "patch", Message(|| OPERATION)),
        (9, "parameters", Messages(|| PARAMETERS_ITEM)),
        (10, "", Extensions),
    ];
    const OPERATION: Fields = &[
        (1, "tags", Texts),
        (3, "description", Text),
        (5, "operationId", Text),
        (6, "produces", Texts),
        (7, "consumes", Texts),
        (8, "parameters", Messages(|| PARAMETERS_ITEM)),
        (9, "responses", Wrapped(&Named(&Wrapped(&Message(|| RESPONSE))))),
        (10, "schemes", Texts),
        (13, "", Extensions),
    ];
    const RESPONSE: Fields =
        &[(1, "description", Text), (2, "schema", Wrapped(&Message(|| SCHEMA))), (5, "", Extensions)];
    const PARAMETERS_ITEM: Fields = &[(
        1,
        "",
        Either(&[
            (1, "", Message(|| BODY)),
            (2, "", Either(&[(3, "", Message(|| QUERY)), (4, "", Message(|| PATH))])),
        ]),
    )];
    const BODY: Fields =
        &[(2, "name", Text), (3, "in", Text), (4, "required", Flag), (5, "schema", Message(|| SCHEMA))];
    const QUERY: Fields = &[
        (1, "required", Flag),
        (2, "in", Text),
        (3, "description", Text),
        (4, "name", Text),
        (6, "type", Text),
        (20, "uniqueItems", Flag),
    ];
    const PATH: Fields = &[
        (1, "required", Flag),
        (2, "in", Text),
        (3, "description", Text),
        (4, "name", Text),
        (5, "type", Text),
        (19, "uniqueItems", Flag),
    ];

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in 0.. {
            let (byte, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if *byte < 0x80 {
                break;
            }
        }
        value
    }

    /// The fields of a message: numbers, and bytes or a number.
    fn fields(mut bytes: &[u8]) -> Vec<(u32, Result<&[u8], u64>)> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let number = u32::try_from(tag >> 3).expect("a field number");
            out.push((
                number,
                match tag & 7 {
                    0 => Err(varint(&mut bytes)),
                    1 => {
                        let (inner, rest) = bytes.split_first_chunk().expect("eight bytes");
                        bytes = rest;
                        Err(u64::from_le_bytes(*inner))
                    }
                    2 => {
                        let length = usize::try_from(varint(&mut bytes)).expect("a length");
                        let (inner, rest) = bytes.split_at(length);
                        bytes = rest;
                        Ok(inner)
                    }
                    other => panic!("wire type {other}"),
                },
            ));
        }
        out
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    pub fn message(bytes: &[u8], known: Fields) -> Value {
        let mut out = Map::new();
        for (number, value) in fields(bytes) {
            let (_, name, field) = known
                .iter()
                .find(|(n, ..)| *n == number)
                .unwrap_or_else(|| panic!("field {number} of {:?}", known.first().map(|k| k.1)));
            match (field, value) {
                (Texts, Ok(value)) => push(&mut out, name, text(value).into()),
                (Messages(of), Ok(value)) => push(&mut out, name, merged(message(value, of()))),
                (Extensions, Ok(value)) => {
                    let entry = fields(value);
                    let (key, any) = (entry[0].1.expect("a name"), entry[1].1.expect("a value"));
                    out.insert(text(key), yaml(any));
                }
                (Anys, Ok(value)) => push(&mut out, name, yaml(value)),
                (Flag, Err(value)) => drop(out.insert((*name).into(), (value == 1).into())),
                (Double, Err(value)) => drop(out.insert((*name).into(), f64::from_bits(value).into())),
                (field, Ok(value)) => drop(out.insert((*name).into(), one(*field, value))),
                (_, Err(_)) => panic!("a number in {name}"),
            }
        }
        Value::Object(out)
    }

    fn yaml(any: &[u8]) -> Value {
        let yaml = fields(any)[0];
        assert_eq!(yaml.0, 2, "yaml");
        serde_json::from_slice(yaml.1.expect("text")).expect("JSON is YAML")
    }

    fn push(out: &mut Map<String, Value>, name: &str, value: Value) {
        let list = out.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().expect("a list").push(value);
    }

    /// A message that stands for its only field.
    fn merged(value: Value) -> Value {
        match value {
            Value::Object(mut fields) if fields.len() == 1 && fields.contains_key("") => {
                fields.remove("").expect("it")
            }
            other => other,
        }
    }

    fn one(field: Field, bytes: &[u8]) -> Value {
        match field {
            Text => text(bytes).into(),
            Message(of) => message(bytes, of()),
            Either(of) => merged(message(bytes, of)),
            Wrapped(Named(of)) => {
                let entries = fields(bytes).into_iter().map(|(_, entry)| {
                    let entry = fields(entry.expect("an entry"));
                    assert_eq!((entry[0].0, entry[1].0), (1, 2));
                    (text(entry[0].1.expect("a name")), one(**of, entry[1].1.expect("a value")))
                });
                Value::Object(entries.collect())
            }
            Wrapped(of) => one(*of, fields(bytes)[0].1.expect("bytes")),
            Texts | Flag | Double | Messages(_) | Named(_) | Extensions | Anys => {
                panic!("has a place of its own")
            }
        }
    }
}

#[test]
fn the_protobuf_form_says_what_the_json_form_says() {
    let read = gnostic::message(&DOCUMENTS.v2_protobuf().body, gnostic::DOCUMENT);
    let mut expected = V2.clone();
    // Who may ask is no part of what is asked.
    object_mut(&mut expected).retain(|key, _| !key.starts_with("security"));
    for (name, definition) in object(&expected["definitions"]) {
        assert_eq!(&read["definitions"][name], definition, "{name}");
    }
    for (path, item) in object(&expected["paths"]) {
        assert_eq!(&read["paths"][path], item, "{path}");
    }
    assert_eq!(read, expected);
}

/// Schemas as authors of definitions write them, right or wrong.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,6}".prop_map(Value::from),
        Just(json!("object")),
        Just(json!("array")),
    ];
    let words = prop::sample::select(vec![
        "type",
        "format",
        "description",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "enum",
        "allOf",
        "minimum",
        "maxLength",
        "pattern",
        "uniqueItems",
        "default",
        "$ref",
        "x-kubernetes-list-type",
        "x-",
        "a",
    ]);
    leaf.prop_recursive(5, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((words.clone(), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// The lengths of a message and of all that look like messages within add up.
fn is_message(mut bytes: &[u8]) -> bool {
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        let mut tag = usize::from(*tag);
        if tag >= 0x80 {
            let Some((more, rest)) = bytes.split_first() else { return false };
            tag = tag & 0x7f | usize::from(*more) << 7;
            bytes = rest;
        }
        let skip = match tag & 7 {
            0 => bytes.iter().position(|byte| *byte < 0x80).map(|at| at + 1),
            1 => Some(8),
            2 => {
                let end = bytes.iter().position(|byte| *byte < 0x80);
                end.map(|end| {
                    let length =
                        bytes[..=end].iter().rev().fold(0, |n, byte| n << 7 | usize::from(byte & 0x7f));
                    end + 1 + length
                })
            }
            _ => None,
        };
        match skip.and_then(|skip| bytes.get(skip..)) {
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
    true
}

proptest! {
    #[test]
    fn any_schema_makes_a_message(schema in any_schema()) {
        let document = json!({ "swagger": "2.0", "definitions": { "x": schema }, "paths": { "/": schema } });
        let bytes = openapi::gnostic::document(&document);
        prop_assert!(is_message(&bytes));
    }

    #[test]
    fn any_schema_of_a_definition_is_described(schema in any_schema()) {
        let definition = Definition::parse(&json!({ "spec": {
            "group": "a.example.com", "names": { "plural": "as", "kind": "A" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        } }));
        let kinds = Arc::new(definition).served();
        let document = openapi::v3(&kinds);
        prop_assert!(document["components"]["schemas"]["com.example.a.v1.A"]["properties"]["kind"].is_object());
        for form in [Form::V2, Form::V3] {
            prop_assert!(openapi::definitions::of(&kinds, form).contains_key("com.example.a.v1.AList"));
        }
    }
}
