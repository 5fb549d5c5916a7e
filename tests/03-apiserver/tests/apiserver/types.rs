//! The table of types, held against the OpenAPI definitions of `k8s-openapi` (another reading of the
//! same Go types), and both readers that it drives against each other.

use crate::common::any_json;
use crate::heart::schema::book::BOOK;
use crate::heart::typed::Reader;
use crate::heart::types::{self, Field, Message, Shape, Type};
use crate::heart::{protobuf, typed};
use base64::Engine as _;
use objects::resources;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The definition of a message, by upstream's long name.
fn definition(message: &Message) -> Option<&'static Value> {
    let (package, name) = message.name.rsplit_once('.')?;
    let long = match package {
        "meta.v1" => "io.k8s.apimachinery.pkg.apis.meta.v1".to_string(),
        "apiextensions.v1" => "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1".into(),
        "apiregistration.v1" => "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1".into(),
        _ => format!("io.k8s.api.{package}"),
    };
    BOOK.get(&format!("{long}.{name}"))
}

/// The fields that a message has in JSON, its inlined ones too.
fn json_fields(message: &'static Message) -> BTreeMap<&'static str, &'static Field> {
    let mut all = BTreeMap::new();
    for field in &message.fields {
        match (field.shape, field.of) {
            (Shape::Inlined, Type::Message(inner)) => {
                all.extend(json_fields(types::message(inner).expect("is in the table")))
            }
            _ => drop(all.insert(field.name, field)),
        }
    }
    all
}

#[test]
fn the_fields_of_every_type_are_those_of_upstreams_definitions() {
    let mut compared = 0;
    for message in types::all().values() {
        let Some(definition) = definition(message) else { continue };
        // The three unions have no fields of their own in JSON.
        let Some(properties) = definition["properties"].as_object() else { continue };
        let theirs: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        let fields = json_fields(message);
        assert_eq!(fields.keys().copied().collect::<BTreeSet<_>>(), theirs, "{}", message.name);
        for (name, field) in fields {
            let written = &properties[name];
            let wanted = match (field.shape, field.of) {
                (Shape::List, _) => Some("array"),
                (Shape::Map, _) => Some("object"),
                (_, Type::Text | Type::Bytes) => Some("string"),
                (_, Type::Int32 | Type::Int64) => Some("integer"),
                (_, Type::Truth) => Some("boolean"),
                (_, Type::Float) => Some("number"),
                _ => None,
            };
            assert_eq!(written["type"].as_str(), wanted, "{}.{name}", message.name);
            let wide = written["format"] == "int64";
            assert!(!wide || field.of == Type::Int64, "{}.{name} has 64 bits", message.name);
        }
        compared += 1;
    }
    assert!(compared > 400, "{compared} types were compared");
}

/// Any object of a message, as JSON that both forms can carry: no zero where Go has no pointer, no
/// empty list. `seeds` decide everything.
fn object(message: &'static Message, seeds: &mut impl Iterator<Item = u8>, depth: usize) -> Value {
    let mut out = Map::new();
    for (name, field) in json_fields(message) {
        let seed = seeds.next().unwrap_or(0);
        // The deeper, the fewer; kinds stand in their envelope.
        if field.number == 0 || usize::from(seed % 8) <= depth {
            continue;
        }
        let Some(one) = value(field, seeds, depth) else { continue };
        let value = match field.shape {
            Shape::List => json!([one, one]),
            Shape::Map => json!({ format!("k{}", seed % 3): one }),
            _ => one,
        };
        out.insert(name.to_string(), value);
    }
    Value::Object(out)
}

fn value(field: &Field, seeds: &mut impl Iterator<Item = u8>, depth: usize) -> Option<Value> {
    let seed = i64::from(seeds.next().unwrap_or(0));
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    Some(match field.of {
        Type::Text => json!(format!("t{seed}")),
        Type::Int32 => json!(seed + 1),
        Type::Int64 => json!(-(seed << 40) - 1),
        Type::Truth => json!(true),
        Type::Float => json!(seed as f64 + 0.5),
        Type::Bytes => json!(base64(&format!("b{seed}"))),
        Type::Quantity => json!(format!("{}Mi", seed * 2 + 1)),
        Type::IntOrString if seed % 2 == 0 => json!(seed),
        Type::IntOrString => json!(format!("{seed}%")),
        Type::Time => json!("2026-01-02T03:04:05Z"),
        Type::MicroTime => json!("2026-01-02T03:04:05.000006Z"),
        Type::Raw => json!({ "raw": [seed, null, "x"] }),
        Type::Message(name) => object(types::message(name)?, seeds, depth + 1),
        Type::Union(name) => {
            let inner = &types::message(name)?.fields;
            let schema = inner.iter().find(|f| f.name == "schema").filter(|_| seed % 2 == 0);
            let chosen = schema.or_else(|| inner.iter().find(|f| f.name != "schema"))?;
            let one = value(chosen, seeds, depth)?;
            if chosen.shape == Shape::List { json!([one]) } else { one }
        }
    })
}

// An encoder, for these tests alone: it knows Go's `Marshal` methods, not the decoder.

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes_field(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number_field(number: u32, value: i64, out: &mut Vec<u8>) {
    varint(u64::from(number) << 3, out);
    varint(value as u64, out);
}

fn encode_message(message: &'static Message, object: &Value, out: &mut Vec<u8>) {
    for field in &message.fields {
        if let (Shape::Inlined, Type::Message(inner)) = (field.shape, field.of) {
            let mut bytes = Vec::new();
            encode_message(types::message(inner).expect("known"), object, &mut bytes);
            bytes_field(field.number, &bytes, out);
        }
        let found = &object[field.name];
        match field.shape {
            _ if found.is_null() => {}
            Shape::Inlined => {}
            Shape::One => encode_value(field, field.number, found, out),
            Shape::List => found
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|item| encode_value(field, field.number, item, out)),
            Shape::Map => {
                for (key, value) in found.as_object().into_iter().flatten() {
                    let mut entry = Vec::new();
                    bytes_field(1, key.as_bytes(), &mut entry);
                    encode_value(field, 2, value, &mut entry);
                    bytes_field(field.number, &entry, out);
                }
            }
        }
    }
}

fn encode_value(field: &Field, number: u32, value: &Value, out: &mut Vec<u8>) {
    let text = || value.as_str().expect("text").to_string();
    let mut inner = Vec::new();
    match field.of {
        Type::Text => return bytes_field(number, text().as_bytes(), out),
        Type::Int32 | Type::Int64 => return number_field(number, value.as_i64().expect("a number"), out),
        Type::Truth => return number_field(number, i64::from(value == true), out),
        Type::Float => {
            varint(u64::from(number) << 3 | 1, out);
            return out.extend_from_slice(&value.as_f64().expect("a number").to_le_bytes());
        }
        Type::Bytes => {
            let raw = base64::engine::general_purpose::STANDARD.decode(text()).expect("base64");
            return bytes_field(number, &raw, out);
        }
        Type::Quantity => bytes_field(1, text().as_bytes(), &mut inner),
        Type::IntOrString => {
            number_field(1, i64::from(value.is_string()), &mut inner);
            number_field(2, value.as_i64().unwrap_or(0), &mut inner);
            bytes_field(3, value.as_str().unwrap_or("").as_bytes(), &mut inner);
        }
        Type::Time | Type::MicroTime => {
            let time: jiff::Timestamp = text().parse().expect("a time");
            number_field(1, time.as_second(), &mut inner);
            number_field(2, i64::from(time.subsec_nanosecond()), &mut inner);
        }
        Type::Raw => bytes_field(1, value.to_string().as_bytes(), &mut inner),
        Type::Message(name) => encode_message(types::message(name).expect("known"), value, &mut inner),
        Type::Union(name) => {
            let wrapper = types::message(name).expect("known");
            let other = wrapper.fields.iter().find(|f| f.name != "schema").expect("a field");
            let name = if value.is_object() { "schema" } else { other.name };
            encode_message(wrapper, &json!({ name: value }), &mut inner);
        }
    }
    bytes_field(number, &inner, out);
}

fn body(version: &str, kind: &str, message: &'static Message, object: &Value) -> Vec<u8> {
    let (mut type_meta, mut raw, mut out) = (Vec::new(), Vec::new(), b"k8s\0".to_vec());
    bytes_field(1, version.as_bytes(), &mut type_meta);
    bytes_field(2, kind.as_bytes(), &mut type_meta);
    encode_message(message, object, &mut raw);
    bytes_field(1, &type_meta, &mut out);
    bytes_field(2, &raw, &mut out);
    out
}

/// Everything that may stand in an envelope: the kinds that are served, and what is sent to their
/// subresources.
fn bodies() -> Vec<(String, &'static str, &'static Message)> {
    let kinds = resources::served().into_iter().map(|r| (r.group, r.version, r.kind));
    let others = [
        ("", "v1", "DeleteOptions"),
        ("policy", "v1", "DeleteOptions"),
        ("autoscaling", "v1", "Scale"),
        ("policy", "v1", "Eviction"),
        ("authentication.k8s.io", "v1", "TokenRequest"),
    ];
    let named = kinds.chain(others).map(|(group, version, kind)| {
        let message = types::of_kind(group, version, kind).expect("a message");
        let version = if group.is_empty() { version.to_string() } else { format!("{group}/{version}") };
        (version, kind, message)
    });
    named.collect()
}

#[test]
fn zeros_are_written_where_go_writes_them() {
    let class = types::message("scheduling.v1.PriorityClass").expect("a message");
    let zeros = json!({ "value": 0, "globalDefault": false });
    let read = protobuf::decode(&body("scheduling.k8s.io/v1", "PriorityClass", class, &zeros));
    assert_eq!(
        read.expect("is read"),
        json!({ "kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "value": 0 })
    );
    let claim = types::message("core.v1.PersistentVolumeClaim").expect("a message");
    let none = json!({ "spec": { "storageClassName": "", "volumeName": "" } });
    let read = protobuf::decode(&body("v1", "PersistentVolumeClaim", claim, &none)).expect("is read");
    assert_eq!(read["spec"], json!({ "storageClassName": "" }), "no class is not the default class");
}

proptest! {
    /// JSON, to protobuf, and back, for every kind.
    #[test]
    fn a_body_says_the_same_in_json_and_in_protobuf(
        which in 0..bodies().len(), seeds in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let (version, kind, message) = bodies().swap_remove(which);
        let mut sent = object(message, &mut seeds.into_iter(), 0);
        let unknown = typed::read(message, &mut sent, Reader::Decoder);
        prop_assert_eq!(unknown, Ok(Vec::new()), "{}", sent);
        let bytes = body(&version, kind, message, &sent);
        let mut read = protobuf::decode(&bytes).expect("is read");
        prop_assert_eq!(&read["kind"], kind);
        for key in ["kind", "apiVersion"] {
            read.as_object_mut().expect("an object").shift_remove(key);
        }
        without_empty(&mut read);
        without_empty(&mut sent);
        prop_assert_eq!(read, sent);
    }

    /// Whatever JSON comes, reading it twice is reading it once, and nothing panics.
    #[test]
    fn what_was_read_is_in_its_final_form(sent in any_json(), kind in 0..resources::served().len()) {
        let resource = resources::served()[kind];
        let message = types::of_kind(resource.group, resource.version, resource.kind).expect("a message");
        let mut once = sent;
        if typed::read(message, &mut once, Reader::Decoder).is_ok() {
            let mut twice = once.clone();
            prop_assert_eq!(typed::read(message, &mut twice, Reader::Decoder), Ok(Vec::new()));
            prop_assert_eq!(once, twice);
        }
    }
}

/// A message without fields and no message are one in Go's JSON wherever there is no pointer; the
/// encoder above writes both.
fn without_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(without_empty);
            map.retain(|_, v| v != &json!({}));
        }
        Value::Array(list) => list.iter_mut().for_each(without_empty),
        _ => {}
    }
}

#[test]
fn what_does_not_fit_is_said_as_go_says_it() {
    let wrong = [
        ("apps", "Deployment", json!({ "spec": "none" })),
        ("apps", "Deployment", json!({ "spec": { "replicas": "3" } })),
        ("apps", "Deployment", json!({ "spec": { "replicas": 1.5 } })),
        ("apps", "Deployment", json!({ "spec": { "replicas": 3_000_000_000u64 } })),
        ("apps", "Deployment", json!({ "spec": { "paused": "yes" } })),
        ("apps", "Deployment", json!({ "metadata": { "labels": { "a": 1 } } })),
        ("apps", "Deployment", json!({ "metadata": { "labels": ["a"] } })),
        (
            "apps",
            "Deployment",
            json!({ "spec": { "template": { "spec": { "containers": [{}, { "ports": [{ "containerPort": "80" }] }] } } } }),
        ),
        ("apps", "Deployment", json!({ "spec": { "strategy": { "rollingUpdate": { "maxSurge": true } } } })),
        ("apps", "Deployment", json!({ "metadata": { "creationTimestamp": "yesterday" } })),
        ("", "Secret", json!({ "data": { "a": "not base64" } })),
        ("", "Secret", json!({ "data": { "a": 7 } })),
        ("", "Pod", json!({ "spec": { "containers": [{ "resources": { "limits": { "cpu": "lots" } } }] } })),
        ("", "Pod", json!({ "spec": { "containers": [{ "resources": { "limits": { "cpu": [] } } }] } })),
        (
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            json!({ "spec": { "versions": [{ "schema": { "openAPIV3Schema": { "items": 5 } } }] } }),
        ),
    ];
    let mut said = String::new();
    for (group, kind, mut object) in wrong {
        let message = types::of_kind(group, "v1", kind).expect("a message");
        said +=
            &format!("{}\n", typed::read(message, &mut object, Reader::Decoder).expect_err("does not fit"));
    }
    insta::assert_snapshot!(said);
}

/// A schema may have anything under `default`, `enum` and `example`, and quantities nowhere.
#[test]
fn the_raw_json_in_a_schema_is_left_alone() {
    let schema = json!({
        "type": "object", "default": { "limits": { "cpu": 0.5 }, "none": null }, "enum": [null, { "requests": {} }],
        "properties": { "a": { "type": "integer", "default": 0, "nullable": true } },
        "additionalProperties": false,
        "items": [{ "type": "string" }], "x-kubernetes-preserve-unknown-fields": false,
    });
    let message = types::message("apiextensions.v1.JSONSchemaProps").expect("a message");
    let mut read = schema.clone();
    assert_eq!(typed::read(message, &mut read, Reader::Decoder), Ok(Vec::new()));
    assert_eq!(read, schema);
}

/// What upstream's decoder makes of nulls: nothing of a field, a zero of an item.
#[test]
fn a_null_is_nothing_or_a_zero() {
    let mut pod = json!({
        "metadata": { "creationTimestamp": null, "labels": { "a": null } },
        "spec": { "nodeName": null, "containers": [null, { "args": ["x", null] }] },
    });
    let message = types::message("core.v1.Pod").expect("a message");
    assert_eq!(typed::read(message, &mut pod, Reader::Decoder), Ok(Vec::new()));
    let wanted = json!({
        "metadata": { "labels": { "a": "" } },
        "spec": { "containers": [{}, { "args": ["x", ""] }] },
    });
    assert_eq!(pod, wanted);
}
