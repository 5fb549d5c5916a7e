//! Built-in kinds have types. Objects stay dynamic inside this server, but each is read once
//! through its type on the way in: what has the wrong shape is refused, what the kind does not
//! have is found.

use crate::kinds;
use crate::meta;
use crate::status::ApiError;
use k8s_openapi::api;
use objects::quantity::Quantity;
use objects::resources::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// An object that went through its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Without nulls and without the fields that the kind does not have.
    pub object: Value,
    /// Paths of those fields, as upstream names them: `spec.foo`, `spec.containers[0].bar`.
    pub unknown: Vec<String>,
}

/// Read `object` as this kind.
pub fn decode(resource: &Resource, mut object: Value) -> Result<Decoded, ApiError> {
    meta::drop_nulls(&mut object);
    let refuse = |why: &str| {
        let (kind, version) = (resource.kind, resource.version);
        ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    };
    if !canonical_quantities(&mut object) {
        return Err(refuse(QUANTITY_RULE));
    }
    let printed = round_trip(resource, &object).map_err(|error| refuse(&error.to_string()))?;
    let mut unknown = Vec::new();
    if let Some(printed) = printed {
        prune(&mut object, &printed, "", &mut unknown);
    }
    Ok(Decoded { object: meta::in_order(object, resource.kind, &kinds::api_version(resource)), unknown })
}

/// The message of a strict request with unknown fields.
pub fn strict_error(resource: &Resource, unknown: &[String]) -> ApiError {
    let list: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    let (kind, version) = (resource.kind, resource.version);
    ApiError::bad_request(format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
        list.join(", ")
    ))
}

/// Drop from `object` what its printed form lost, and note where.
fn prune(object: &mut Value, printed: &Value, path: &str, unknown: &mut Vec<String>) {
    match (object, printed) {
        (Value::Object(object), Value::Object(printed)) => {
            object.retain(|key, value| {
                let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match printed.get(key) {
                    Some(printed) => prune(value, printed, &here, unknown),
                    None => unknown.push(here),
                }
                printed.contains_key(key)
            });
        }
        (Value::Array(object), Value::Array(printed)) => {
            for (i, (value, printed)) in object.iter_mut().zip(printed).enumerate() {
                prune(value, printed, &format!("{path}[{i}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Maps from resource names to quantities, wherever they appear in a typed object.
const QUANTITY_MAPS: [&str; 9] = [
    "limits",
    "requests",
    "capacity",
    "allocatable",
    "hard",
    "used",
    "overhead",
    "default",
    "defaultRequest",
];

const QUANTITY_RULE: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Write quantities in their canonical form (`0.5` is `500m`): a number becomes text, as in Go.
/// False when one of them is none.
fn canonical_quantities(value: &mut Value) -> bool {
    match value {
        Value::Object(map) => map.iter_mut().all(|(key, value)| match key.as_str() {
            // Free text lives here, whatever its keys are called.
            "labels" | "annotations" | "data" | "stringData" | "matchLabels" | "nodeSelector" => true,
            "sizeLimit" | "divisor" => canonical_quantity(value),
            key if QUANTITY_MAPS.contains(&key) && value.is_object() => {
                value.as_object_mut().is_none_or(|map| map.values_mut().all(canonical_quantity))
            }
            _ => canonical_quantities(value),
        }),
        Value::Array(list) => list.iter_mut().all(canonical_quantities),
        _ => true,
    }
}

fn canonical_quantity(value: &mut Value) -> bool {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        // Not a quantity at all: the type says so.
        _ => return true,
    };
    match Quantity::parse(&text) {
        Ok(quantity) => *value = json!(quantity.to_string()),
        Err(_) => return false,
    }
    true
}

fn through<T: DeserializeOwned + Serialize>(value: &Value) -> serde_json::Result<Value> {
    serde_json::to_value(T::deserialize(value)?)
}

/// Print `object` after reading it as its type; `None` when the kind has no type here.
fn round_trip(resource: &Resource, object: &Value) -> serde_json::Result<Option<Value>> {
    if (resource.group, resource.version, resource.kind) == ("autoscaling", "v1", "HorizontalPodAutoscaler") {
        return through::<api::autoscaling::v1::HorizontalPodAutoscaler>(object).map(Some);
    }
    macro_rules! types {
        ($($group:literal $kind:literal => $type:ty,)*) => {
            match (resource.group, resource.kind) {
                $(($group, $kind) => through::<$type>(object).map(Some),)*
                _ => Ok(None),
            }
        };
    }
    types! {
        "" "Namespace" => api::core::v1::Namespace,
        "" "Node" => api::core::v1::Node,
        "" "Pod" => api::core::v1::Pod,
        "" "Service" => api::core::v1::Service,
        "" "Endpoints" => api::core::v1::Endpoints,
        "" "ConfigMap" => api::core::v1::ConfigMap,
        "" "Secret" => api::core::v1::Secret,
        "" "ServiceAccount" => api::core::v1::ServiceAccount,
        "" "Event" => api::core::v1::Event,
        "" "ReplicationController" => api::core::v1::ReplicationController,
        "" "PersistentVolume" => api::core::v1::PersistentVolume,
        "" "PersistentVolumeClaim" => api::core::v1::PersistentVolumeClaim,
        "" "ResourceQuota" => api::core::v1::ResourceQuota,
        "" "LimitRange" => api::core::v1::LimitRange,
        "" "PodTemplate" => api::core::v1::PodTemplate,
        "" "Binding" => api::core::v1::Binding,
        "events.k8s.io" "Event" => api::events::v1::Event,
        "apps" "Deployment" => api::apps::v1::Deployment,
        "apps" "ReplicaSet" => api::apps::v1::ReplicaSet,
        "apps" "DaemonSet" => api::apps::v1::DaemonSet,
        "apps" "StatefulSet" => api::apps::v1::StatefulSet,
        "apps" "ControllerRevision" => api::apps::v1::ControllerRevision,
        "batch" "Job" => api::batch::v1::Job,
        "batch" "CronJob" => api::batch::v1::CronJob,
        "coordination.k8s.io" "Lease" => api::coordination::v1::Lease,
        "discovery.k8s.io" "EndpointSlice" => api::discovery::v1::EndpointSlice,
        "autoscaling" "Scale" => api::autoscaling::v1::Scale,
        "policy" "PodDisruptionBudget" => api::policy::v1::PodDisruptionBudget,
        "autoscaling" "HorizontalPodAutoscaler" => api::autoscaling::v2::HorizontalPodAutoscaler,
        "networking.k8s.io" "Ingress" => api::networking::v1::Ingress,
        "networking.k8s.io" "IngressClass" => api::networking::v1::IngressClass,
        "networking.k8s.io" "NetworkPolicy" => api::networking::v1::NetworkPolicy,
        "rbac.authorization.k8s.io" "ClusterRole" => api::rbac::v1::ClusterRole,
        "rbac.authorization.k8s.io" "ClusterRoleBinding" => api::rbac::v1::ClusterRoleBinding,
        "rbac.authorization.k8s.io" "Role" => api::rbac::v1::Role,
        "rbac.authorization.k8s.io" "RoleBinding" => api::rbac::v1::RoleBinding,
        "storage.k8s.io" "StorageClass" => api::storage::v1::StorageClass,
        "scheduling.k8s.io" "PriorityClass" => api::scheduling::v1::PriorityClass,
        "node.k8s.io" "RuntimeClass" => api::node::v1::RuntimeClass,
    }
}
