//! What several steps need.

use crate::heart::catalog::Catalog;
use crate::heart::custom::Definition;
use crate::heart::kind::Kind;
use crate::heart::stored::Stored;
use crate::heart::write::Context;
use jiff::Timestamp;
use objects::resources::{self, Resource};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub fn resource(kind: &str) -> &'static Resource {
    resources::all().iter().find(|r| r.kind == kind).expect("a kind of the table")
}

pub fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

pub fn context(kind: &str) -> Context<'static> {
    let resource = resource(kind);
    Context {
        kind: Kind::builtin(resource),
        namespace: resource.namespaced.then_some("default"),
        name: None,
        now: now(),
        uid: "00000000-0000-4000-8000-000000000001",
        suffix: "x7k2p",
    }
}

/// The object as it would be stored, after create.
pub fn created(kind: &str, object: Value) -> Value {
    let decoded = crate::heart::reading::decode_body(&context(kind), object).expect("decodes");
    crate::heart::write::prepare_create(&context(kind), decoded.object).expect("is created")
}

pub fn deployment() -> Value {
    created(
        "Deployment",
        json!({
            "metadata": { "name": "web" },
            "spec": {
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
                },
            },
        }),
    )
}

pub fn config_map(name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: Map<String, Value> = labels.iter().map(|(k, v)| (k.to_string(), json!(v))).collect();
    json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": { "name": name, "namespace": "default", "labels": labels },
    })
}

pub fn stored(kind: &str, revision: i64, object: Value) -> Stored {
    let resource = resource(kind);
    let namespace = object["metadata"]["namespace"].as_str();
    let name = object["metadata"]["name"].as_str().expect("a name");
    let key = crate::heart::keys::object_key(resource, namespace, name).expect("a key");
    Stored::new(&Kind::builtin(resource), &key, revision, object)
}

/// Any JSON at all.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z.:/%-]{0,8}".prop_map(Value::from),
    ];
    let keys = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("status"),
        Just("name"),
        Just("labels"),
        Just("containers"),
        Just("ports"),
        Just("template"),
        Just("selector"),
        Just("conditions"),
        Just("type"),
        Just("replicas"),
        Just("finalizers"),
        Just("data"),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
            )),
        ]
    })
}

/// A catalog with the kind of a definition: crontabs, in two versions and with subresources.
pub fn crontabs() -> Catalog {
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage,
            "subresources": { "status": {}, "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" } },
            "schema": { "openAPIV3Schema": {
                "type": "object",
                "description": "A job at a time.",
                "properties": { "spec": {
                    "type": "object",
                    "required": ["cron"],
                    "properties": {
                        "cron": { "type": "string", "default": "* * * * *", "pattern": "^[0-9* ]+$" },
                        "replicas": { "type": "integer", "minimum": 1, "nullable": true },
                        "port": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
                        "hosts": {
                            "type": "array",
                            "items": { "type": "object", "properties": { "ip": { "type": "string" } } },
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["ip"],
                        },
                    },
                } },
            } },
        })
    };
    let definition = Definition::parse(&json!({
        "metadata": { "name": "crontabs.stable.example.com" },
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": {
                "plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabItems",
                "shortNames": ["ct"], "categories": ["all"],
            },
            "versions": [version("v1beta1", false), version("v1", true)],
        },
    }));
    Catalog { custom: Arc::new(definition).served(), ..Catalog::default() }
}

/// The message of a failure; a success fails the test.
pub fn refused<T: std::fmt::Debug>(result: Result<T, crate::heart::status::ApiError>) -> String {
    let error = result.expect_err("is refused");
    format!("{} {:?}: {}", error.reason.code(), error.reason, error.message)
}
