//! What `kubectl get` prints. The server makes the columns, so that every client prints the same
//! (upstream: `pkg/printers/internalversion/printers.go`).

mod cluster;
mod network;
pub mod pods;
pub mod time;
mod workloads;

use crate::meta;
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::{Value, json};

/// One column. Priority 1 is shown by `-o wide` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: &'static str,
    pub format: &'static str,
    pub priority: u8,
}

pub(crate) const fn text(name: &'static str) -> Column {
    Column { name, kind: "string", format: "", priority: 0 }
}

pub(crate) const fn number(name: &'static str) -> Column {
    Column { name, kind: "integer", format: "", priority: 0 }
}

pub(crate) const fn wide(name: &'static str) -> Column {
    Column { name, kind: "string", format: "", priority: 1 }
}

pub(crate) const NAME: Column = Column { name: "Name", kind: "string", format: "name", priority: 0 };
pub(crate) const AGE: Column = text("Age");

/// How one kind is printed: its columns, and its cells in the same order.
pub struct Printer {
    pub columns: &'static [Column],
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
}

/// The printer of a kind. Kinds without one show a name and when they were made.
pub fn printer(resource: &Resource) -> Printer {
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::POD,
        ("apps", "Deployment") => workloads::DEPLOYMENT,
        ("apps", "ReplicaSet") | ("", "ReplicationController") => workloads::REPLICA_SET,
        ("apps", "DaemonSet") => workloads::DAEMON_SET,
        ("apps", "StatefulSet") => workloads::STATEFUL_SET,
        ("apps", "ControllerRevision") => workloads::CONTROLLER_REVISION,
        ("batch", "Job") => workloads::JOB,
        ("batch", "CronJob") => workloads::CRON_JOB,
        ("policy", "PodDisruptionBudget") => workloads::PDB,
        ("autoscaling", "HorizontalPodAutoscaler") => workloads::HPA,
        ("", "Service") => network::SERVICE,
        ("", "Endpoints") => network::ENDPOINTS,
        ("discovery.k8s.io", "EndpointSlice") => network::ENDPOINT_SLICE,
        ("networking.k8s.io", "Ingress") => network::INGRESS,
        ("networking.k8s.io", "NetworkPolicy") => network::NETWORK_POLICY,
        ("networking.k8s.io", "IngressClass") => network::INGRESS_CLASS,
        ("", "Node") => cluster::NODE,
        ("", "Namespace") => cluster::NAMESPACE,
        ("", "ConfigMap") => cluster::CONFIG_MAP,
        ("", "Secret") => cluster::SECRET,
        ("", "ServiceAccount") => cluster::SERVICE_ACCOUNT,
        ("coordination.k8s.io", "Lease") => cluster::LEASE,
        (_, "Event") => cluster::EVENT,
        ("", "PersistentVolume") => cluster::PERSISTENT_VOLUME,
        ("", "PersistentVolumeClaim") => cluster::PERSISTENT_VOLUME_CLAIM,
        ("storage.k8s.io", "StorageClass") => cluster::STORAGE_CLASS,
        ("scheduling.k8s.io", "PriorityClass") => cluster::PRIORITY_CLASS,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => cluster::ROLE_BINDING,
        _ => Printer {
            columns: &[NAME, Column { name: "Created At", kind: "date", format: "", priority: 0 }],
            cells: created,
        },
    }
}

fn created(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![name(object), object["metadata"]["creationTimestamp"].clone()]
}

/// How much of the object a row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    Nothing,
    Metadata,
    Object,
}

pub fn column_definitions(resource: &Resource) -> Value {
    let define = |column: &Column| {
        json!({
            "name": column.name,
            "type": column.kind,
            "format": column.format,
            "description": format!("{} of the {}", column.name, resource.kind),
            "priority": column.priority,
        })
    };
    Value::Array(printer(resource).columns.iter().map(define).collect())
}

pub fn row(resource: &Resource, object: &Value, include: Include, now: Timestamp) -> Value {
    let cells = (printer(resource).cells)(object, now);
    let mut row = json!({ "cells": cells });
    let shown = match include {
        Include::Nothing => return row,
        Include::Metadata => partial(object),
        Include::Object => object.clone(),
    };
    meta::as_map(&mut row).insert("object".into(), shown);
    row
}

/// The metadata of an object alone.
pub fn partial(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}

// Small helpers that the printers share.

pub(crate) fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

pub(crate) fn age(object: &Value, now: Timestamp) -> Value {
    json!(time::since(&object["metadata"]["creationTimestamp"], now))
}

pub(crate) fn str_of<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(crate) fn items<'v>(value: &'v Value, key: &str) -> std::slice::Iter<'v, Value> {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

pub(crate) fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

pub(crate) fn or_none(text: impl Into<String>) -> Value {
    let text = text.into();
    json!(if text.is_empty() { "<none>".to_string() } else { text })
}

/// Values joined by commas.
pub(crate) fn joined<'v>(list: impl Iterator<Item = &'v str>) -> String {
    list.collect::<Vec<_>>().join(",")
}
