//! The grading suite of chapter 06. One module a step; `given` tests what students get.

#[path = "controllers/disruption.rs"]
mod disruption;
#[path = "controllers/given.rs"]
mod given;
#[path = "controllers/quota.rs"]
mod quota;
#[path = "controllers/step_1_replica_set.rs"]
mod step_1_replica_set;
#[path = "controllers/step_2_deployment.rs"]
mod step_2_deployment;
#[path = "controllers/step_2_rollouts.rs"]
mod step_2_rollouts;
#[path = "controllers/step_3_endpoints.rs"]
mod step_3_endpoints;
#[path = "controllers/step_4_nodes.rs"]
mod step_4_nodes;
#[path = "controllers/step_5_garbage.rs"]
mod step_5_garbage;
#[path = "controllers/step_6_namespace.rs"]
mod step_6_namespace;

use std::sync::Arc;

#[cfg(feature = "lab")]
use controllers_lab as heart;
#[cfg(not(feature = "lab"))]
use controllers_solution as heart;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// So many seconds after the beginning of the test.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("a time in range")
}

/// The same as the API writes it.
fn text(seconds: i64) -> String {
    at(seconds).to_string()
}

/// An object from its JSON.
fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("an object of this kind")
}

/// Adds or replaces what `more` has, at every depth.
fn merge(base: &mut Value, more: &Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, more) => base.clone_from(more),
    }
}

/// A running, ready pod `default/NAME` with labels `app: web` on node `n1`; its uid is its name.
fn pod(name: &str, more: Value) -> Arc<Pod> {
    let mut value = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name, "labels": { "app": "web" } },
        "spec": { "nodeName": "n1", "containers": [] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    merge(&mut value, &more);
    Arc::new(object(value))
}

/// An owner reference with `controller: true`.
fn owner(kind: &str, name: &str) -> Value {
    json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true }])
}
