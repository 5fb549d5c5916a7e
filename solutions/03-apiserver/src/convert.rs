//! One stored object under two names: an Event of the core group and one of `events.k8s.io`
//! are the same thing with other words, and the core form is stored. An autoscaler is stored as v2;
//! v1 keeps in annotations what it has no fields for (`pkg/apis/autoscaling/v1/conversion.go`).

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
    let mut renamed =
        rename(object, |key| EVENT_WORDS.iter().find(|(old, _)| *old == key).map(|(_, new)| *new));
    for key in ["reportingController", "reportingInstance"] {
        // The core form writes these always, this one only if they say something.
        meta::as_map(&mut renamed).retain(|name, value| name != key || *value != "");
    }
    meta::in_order(renamed, served.kind, &kinds::api_version(served))
}

/// What an autoscaler of v1 has no field for is kept in its annotations.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// The words of v1 for the sources of metrics, and where v2 has the same.
const SOURCE_WORDS: [(&str, &[(&str, &str)]); 5] = [
    (
        "containerResource",
        &[
            ("name", "/name"),
            ("container", "/container"),
            ("targetAverageUtilization", "/target/averageUtilization"),
            ("targetAverageValue", "/target/averageValue"),
        ],
    ),
    (
        "external",
        &[
            ("metricName", "/metric/name"),
            ("metricSelector", "/metric/selector"),
            ("targetValue", "/target/value"),
            ("targetAverageValue", "/target/averageValue"),
        ],
    ),
    (
        "object",
        &[
            ("target", "/describedObject"),
            ("metricName", "/metric/name"),
            ("selector", "/metric/selector"),
            ("targetValue", "/target/value"),
            ("averageValue", "/target/averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", "/metric/name"),
            ("selector", "/metric/selector"),
            ("targetAverageValue", "/target/averageValue"),
        ],
    ),
    (
        "resource",
        &[
            ("name", "/name"),
            ("targetAverageUtilization", "/target/averageUtilization"),
            ("targetAverageValue", "/target/averageValue"),
        ],
    ),
];

/// An autoscaler of v1 knows one number, the cpu's target; v2 calls it a metric.
fn hpa_to_v2(mut object: Value) -> Value {
    let mut kept = |key: &str| {
        let annotations = object.pointer_mut("/metadata/annotations")?.as_object_mut()?;
        let text = annotations.shift_remove(key)?;
        serde_json::from_str::<Value>(text.as_str()?).ok()
    };
    let (metrics, behavior, conditions) = (kept(METRICS), kept(BEHAVIOR), kept(CONDITIONS));
    let mut metrics: Vec<Value> =
        metrics.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(metric_to_v2).collect();
    let spec = meta::map_at(&mut object, "spec");
    if let Some(percent) = spec.shift_remove("targetCPUUtilizationPercentage") {
        let target = json!({ "type": "Utilization", "averageUtilization": percent });
        metrics.push(json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } }));
    }
    if !metrics.is_empty() {
        spec.insert("metrics".into(), json!(metrics));
    }
    if let Some(behavior) = behavior.filter(Value::is_object) {
        spec.insert("behavior".into(), behavior);
    }
    let status = meta::map_at(&mut object, "status");
    status.shift_remove("currentCPUUtilizationPercentage");
    if let Some(conditions) = conditions.filter(Value::is_array) {
        status.insert("conditions".into(), conditions);
    }
    without_empty(&mut object, "/metadata", "annotations");
    without_empty(&mut object, "", "status");
    meta::in_order(object, "HorizontalPodAutoscaler", "autoscaling/v2")
}

fn hpa_to_v1(mut object: Value) -> Value {
    let spec = meta::map_at(&mut object, "spec");
    let (mut cpu, mut others) = (None, Vec::new());
    if let Some(Value::Array(metrics)) = spec.shift_remove("metrics") {
        for metric in metrics {
            let percent = &metric["resource"]["target"]["averageUtilization"];
            match metric["resource"]["name"] == "cpu" && percent.is_number() && cpu.is_none() {
                true => cpu = Some(percent.clone()),
                false => others.extend(metric_to_v1(&metric)),
            }
        }
    }
    if let Some(percent) = cpu {
        spec.insert("targetCPUUtilizationPercentage".into(), percent);
    }
    let behavior = spec.shift_remove("behavior");
    let status = meta::map_at(&mut object, "status");
    if let Some(Value::Array(current)) = status.shift_remove("currentMetrics") {
        let cpu = current.iter().find(|m| m["resource"]["name"] == "cpu");
        let percent = cpu.map(|m| m["resource"]["current"]["averageUtilization"].clone());
        if let Some(percent) = percent.filter(Value::is_number) {
            status.insert("currentCPUUtilizationPercentage".into(), percent);
        }
    }
    let conditions = status.shift_remove("conditions");
    let others = (!others.is_empty()).then(|| json!(others));
    for (key, kept) in [(METRICS, others), (BEHAVIOR, behavior), (CONDITIONS, conditions)] {
        if let Some(kept) = kept {
            let metadata = meta::map_at(&mut object, "metadata");
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            meta::as_map(annotations).insert(key.into(), json!(kept.to_string()));
        }
    }
    without_empty(&mut object, "", "status");
    meta::in_order(object, "HorizontalPodAutoscaler", "autoscaling/v1")
}

/// Leave out a map that this conversion emptied, or never filled.
fn without_empty(object: &mut Value, parent: &str, key: &str) {
    if let Some(Value::Object(map)) = object.pointer_mut(parent)
        && map.get(key) == Some(&json!({}))
    {
        map.shift_remove(key);
    }
}

fn metric_to_v1(metric: &Value) -> Option<Value> {
    let (source, words) = SOURCE_WORDS.iter().find(|(source, _)| metric[source].is_object())?;
    let mut out = Map::new();
    for (word, pointer) in *words {
        if let Some(value) = metric[source].pointer(pointer) {
            out.insert(word.to_string(), value.clone());
        }
    }
    Some(json!({ "type": metric["type"], *source: out }))
}

fn metric_to_v2(metric: &Value) -> Option<Value> {
    let (source, words) = SOURCE_WORDS.iter().find(|(source, _)| metric[source].is_object())?;
    let mut out = Map::new();
    for (word, pointer) in *words {
        let Some(value) = metric[source].get(word) else { continue };
        match pointer.trim_start_matches('/').split_once('/') {
            Some((parent, key)) => {
                let inner = out.entry(parent).or_insert_with(|| json!({}));
                meta::as_map(inner).insert(key.into(), value.clone());
            }
            None => {
                out.insert(pointer.trim_start_matches('/').into(), value.clone());
            }
        }
    }
    let target = meta::as_map(out.entry("target").or_insert_with(|| json!({})));
    let kind = match () {
        () if target.contains_key("averageUtilization") => "Utilization",
        () if target.contains_key("averageValue") => "AverageValue",
        () => "Value",
    };
    target.insert("type".into(), json!(kind));
    Some(json!({ "type": metric["type"], *source: out }))
}

fn rename(object: Value, word: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(map) = object else { return object };
    let renamed: Map<String, Value> =
        map.into_iter().map(|(key, value)| (word(&key).map_or(key.clone(), str::to_string), value)).collect();
    Value::Object(renamed)
}
