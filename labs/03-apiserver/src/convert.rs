//! One stored object under two names: an Event of the core group and one of `events.k8s.io`
//! are the same thing with other words. The core form is stored.

use crate::kinds;
use crate::meta;
use objects::resources::Resource;
use serde_json::{Map, Value, json};

/// The core word and the newer word for the same field.
const EVENT_WORDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// From the form that a client uses to the stored one.
pub fn to_storage(served: &Resource, object: Value) -> Value {
    if served.group == "autoscaling" && served.version == "v1" {
        return hpa_to_v2(object);
    }
    if served.group != "events.k8s.io" {
        return object;
    }
    let renamed = rename(object, |key| EVENT_WORDS.iter().find(|(_, new)| *new == key).map(|(old, _)| *old));
    let namespace = meta::namespace(&renamed).to_string();
    let mut out = meta::in_order(renamed, "Event", "v1");
    // The core form insists on what the event is about, and that it lives beside it.
    let about = meta::map_at(&mut out, "involvedObject");
    if !about.contains_key("namespace") && !namespace.is_empty() && namespace != "default" {
        about.insert("namespace".into(), json!(namespace));
    }
    out
}

/// From the stored form to the one that a client asked for.
pub fn from_storage(served: &Resource, object: Value) -> Value {
    if served.group == "autoscaling" && served.version == "v1" {
        return hpa_to_v1(object);
    }
    if served.group != "events.k8s.io" {
        return object;
    }
    let renamed = rename(object, |key| EVENT_WORDS.iter().find(|(old, _)| *old == key).map(|(_, new)| *new));
    meta::in_order(renamed, served.kind, &kinds::api_version(served))
}

/// Whether stored bytes can be passed on as they are.
pub fn is_identity(served: &Resource) -> bool {
    served.is_storage_version()
}

/// An autoscaler of v1 knows one number, the cpu's target; v2 calls it a metric.
fn hpa_to_v2(mut object: Value) -> Value {
    let spec = meta::map_at(&mut object, "spec");
    if let Some(percent) = spec.shift_remove("targetCPUUtilizationPercentage") {
        let target = json!({ "type": "Utilization", "averageUtilization": percent });
        let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        spec.insert("metrics".into(), json!([metric]));
    }
    meta::in_order(object, "HorizontalPodAutoscaler", "autoscaling/v2")
}

fn hpa_to_v1(mut object: Value) -> Value {
    let spec = meta::map_at(&mut object, "spec");
    if let Some(Value::Array(metrics)) = spec.shift_remove("metrics") {
        let cpu = metrics.iter().find(|m| m["resource"]["name"] == "cpu");
        let percent = cpu.map(|m| m["resource"]["target"]["averageUtilization"].clone());
        if let Some(percent) = percent.filter(Value::is_number) {
            spec.insert("targetCPUUtilizationPercentage".into(), percent);
        }
    }
    let status = meta::map_at(&mut object, "status");
    status.retain(|key, _| !["conditions", "currentMetrics"].contains(&key.as_str()));
    meta::in_order(object, "HorizontalPodAutoscaler", "autoscaling/v1")
}

fn rename(object: Value, word: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(map) = object else { return object };
    let renamed: Map<String, Value> =
        map.into_iter().map(|(key, value)| (word(&key).map_or(key.clone(), str::to_string), value)).collect();
    Value::Object(renamed)
}
