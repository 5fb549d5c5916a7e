//! What `kubectl get` prints. The server makes the columns, so that every client prints the same
//! (upstream: `pkg/printers/internalversion/printers.go`).

mod api;
mod cluster;
mod network;
pub mod pods;
mod storage;
pub mod time;
mod workloads;

use crate::meta;
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::{Value, json};

/// One column. Priority 1 is shown by `-o wide` alone.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: &'static str,
    pub format: &'static str,
    pub priority: u8,
    pub cell: Cell,
}

/// What stands in a column: most often a place in the object (a JSON pointer).
#[derive(Debug, Clone, Copy)]
pub enum Cell {
    /// Text, or what stands for nothing.
    Text(&'static str, &'static str),
    /// A number, or zero.
    Number(&'static str),
    /// A boolean, or what it is when nobody said.
    Truth(&'static str, bool),
    /// How many items or entries there are.
    Length(&'static str),
    /// How long ago this was.
    Since(&'static str),
    /// What is not in one place.
    Made(fn(&Value, Timestamp) -> Value),
}

impl Cell {
    fn of(self, object: &Value, now: Timestamp) -> Value {
        let at = |pointer| object.pointer(pointer).unwrap_or(&Value::Null);
        match self {
            Cell::Text(pointer, nothing) => match at(pointer) {
                Value::String(text) if !text.is_empty() => json!(text),
                _ => json!(nothing),
            },
            Cell::Number(pointer) => json!(count(at(pointer))),
            Cell::Truth(pointer, unset) => json!(at(pointer).as_bool().unwrap_or(unset)),
            Cell::Length(pointer) => json!(length(at(pointer))),
            Cell::Since(pointer) => json!(time::since(at(pointer), now)),
            Cell::Made(make) => make(object, now),
        }
    }
}

impl Column {
    const fn new(name: &'static str, kind: &'static str, cell: Cell) -> Column {
        Column { name, kind, format: "", priority: 0, cell }
    }

    const fn wide(self) -> Column {
        Column { priority: 1, ..self }
    }
}

/// Text at a pointer; none is an empty cell.
const fn text(name: &'static str, pointer: &'static str) -> Column {
    Column::new(name, "string", Cell::Text(pointer, ""))
}

/// Text at a pointer, or what stands for nothing.
const fn text_or(name: &'static str, pointer: &'static str, nothing: &'static str) -> Column {
    Column::new(name, "string", Cell::Text(pointer, nothing))
}

const fn number(name: &'static str, pointer: &'static str) -> Column {
    Column::new(name, "integer", Cell::Number(pointer))
}

/// Text that is not in one place.
const fn made(name: &'static str, make: fn(&Value, Timestamp) -> Value) -> Column {
    Column::new(name, "string", Cell::Made(make))
}

const NAME: Column =
    Column { format: "name", ..Column::new("Name", "string", Cell::Text("/metadata/name", "")) };
const AGE: Column = Column::new("Age", "string", Cell::Since("/metadata/creationTimestamp"));

/// How one kind is printed.
pub struct Printer {
    pub columns: &'static [Column],
}

/// The printer of a kind. Kinds without one show a name and when they were made.
pub fn printer(resource: &Resource) -> Printer {
    let found = PRINTERS.iter().find(|(group, kind, _)| (*group, *kind) == (resource.group, resource.kind));
    Printer { columns: found.map_or(DEFAULT, |(_, _, columns)| columns) }
}

static DEFAULT: &[Column] = &[
    NAME,
    Column::new(
        "Created At",
        "date",
        Cell::Made(|object, _| object["metadata"]["creationTimestamp"].clone()),
    ),
];

static PRINTERS: &[(&str, &str, &[Column])] = &[
    ("", "ComponentStatus", cluster::COMPONENT_STATUS),
    ("", "ConfigMap", cluster::CONFIG_MAP),
    ("", "Endpoints", network::ENDPOINTS),
    ("", "Event", cluster::EVENT),
    ("", "Namespace", cluster::NAMESPACE),
    ("", "Node", cluster::NODE),
    ("", "PersistentVolume", storage::PERSISTENT_VOLUME),
    ("", "PersistentVolumeClaim", storage::PERSISTENT_VOLUME_CLAIM),
    ("", "Pod", pods::POD),
    ("", "PodTemplate", workloads::POD_TEMPLATE),
    ("", "ReplicationController", workloads::REPLICATION_CONTROLLER),
    ("", "ResourceQuota", cluster::RESOURCE_QUOTA),
    ("", "Secret", cluster::SECRET),
    ("", "Service", network::SERVICE),
    ("", "ServiceAccount", cluster::SERVICE_ACCOUNT),
    ("apiregistration.k8s.io", "APIService", api::API_SERVICE),
    ("apps", "ControllerRevision", workloads::CONTROLLER_REVISION),
    ("apps", "DaemonSet", workloads::DAEMON_SET),
    ("apps", "Deployment", workloads::DEPLOYMENT),
    ("apps", "ReplicaSet", workloads::REPLICA_SET),
    ("apps", "StatefulSet", workloads::STATEFUL_SET),
    ("events.k8s.io", "Event", cluster::EVENT),
    ("autoscaling", "HorizontalPodAutoscaler", workloads::HPA),
    ("autoscaling", "Scale", workloads::SCALE),
    ("batch", "CronJob", workloads::CRON_JOB),
    ("batch", "Job", workloads::JOB),
    ("certificates.k8s.io", "CertificateSigningRequest", cluster::CERTIFICATE_SIGNING_REQUEST),
    ("networking.k8s.io", "Ingress", network::INGRESS),
    ("networking.k8s.io", "IngressClass", network::INGRESS_CLASS),
    ("networking.k8s.io", "NetworkPolicy", network::NETWORK_POLICY),
    ("policy", "PodDisruptionBudget", workloads::PDB),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", cluster::ROLE_BINDING),
    ("rbac.authorization.k8s.io", "RoleBinding", cluster::ROLE_BINDING),
    ("storage.k8s.io", "CSIDriver", storage::CSI_DRIVER),
    ("storage.k8s.io", "CSINode", storage::CSI_NODE),
    ("storage.k8s.io", "CSIStorageCapacity", storage::CSI_STORAGE_CAPACITY),
    ("storage.k8s.io", "StorageClass", storage::STORAGE_CLASS),
    ("storage.k8s.io", "VolumeAttachment", storage::VOLUME_ATTACHMENT),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", api::WEBHOOKS),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", api::ADMISSION_POLICY),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", api::ADMISSION_POLICY_BINDING),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", api::WEBHOOKS),
    ("scheduling.k8s.io", "PriorityClass", cluster::PRIORITY_CLASS),
    ("coordination.k8s.io", "Lease", cluster::LEASE),
    ("node.k8s.io", "RuntimeClass", cluster::RUNTIME_CLASS),
    ("discovery.k8s.io", "EndpointSlice", network::ENDPOINT_SLICE),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", api::FLOW_SCHEMA),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", api::PRIORITY_LEVEL),
];

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
    let columns = printer(resource).columns.iter();
    row_of(columns.map(|column| column.cell.of(object, now)).collect(), object, include)
}

/// A row of these cells.
pub fn row_of(cells: Vec<Value>, object: &Value, include: Include) -> Value {
    let shown = match include {
        Include::Nothing => Value::Null,
        Include::Metadata => partial(object),
        Include::Object => object.clone(),
    };
    json!({ "cells": cells, "object": shown })
}

/// The metadata of an object alone.
pub fn partial(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}

// Small helpers that the printers share.

fn length(value: &Value) -> usize {
    value.as_array().map(Vec::len).or(value.as_object().map(|map| map.len())).unwrap_or(0)
}

fn str_of<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn items<'v>(value: &'v Value, key: &str) -> std::slice::Iter<'v, Value> {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn or_none(text: impl Into<String>) -> Value {
    let text = text.into();
    json!(if text.is_empty() { "<none>".to_string() } else { text })
}

/// Values joined by commas.
fn joined<'v>(list: impl Iterator<Item = &'v str>) -> String {
    list.collect::<Vec<_>>().join(",")
}

/// A map of labels: `a=b,c=d`.
fn pairs(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

/// The first three, and how many more there are.
fn some_of(list: Vec<String>, nothing: &str) -> Value {
    match list.len() {
        0 => json!(nothing),
        n if n > 3 => json!(format!("{} + {} more...", list[..3].join(","), n - 3)),
        _ => json!(list.join(",")),
    }
}
