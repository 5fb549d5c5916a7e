//! Defaults of the workloads: kinds that make pods from a template.

use super::{inside, pods};
use crate::meta::{as_map, default_text, default_to};
use serde_json::{Map, Value, json};

type Spec = Map<String, Value>;

fn template(spec: &mut Spec) {
    pods::template(as_map(spec.entry("template").or_insert_with(|| json!({}))));
}

pub fn deployment(spec: &mut Spec) {
    default_to(spec, "replicas", 1);
    template(spec);
    let strategy = as_map(spec.entry("strategy").or_insert_with(|| json!({})));
    default_text(strategy, "type", "RollingUpdate");
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        let rolling = as_map(strategy.entry("rollingUpdate").or_insert_with(|| json!({})));
        default_to(rolling, "maxUnavailable", "25%");
        default_to(rolling, "maxSurge", "25%");
    }
    default_to(spec, "revisionHistoryLimit", 10);
    default_to(spec, "progressDeadlineSeconds", 600);
}

pub fn replica_set(spec: &mut Spec) {
    default_to(spec, "replicas", 1);
    template(spec);
}

pub fn replication_controller(spec: &mut Spec) {
    replica_set(spec);
    // The oldest workload may leave its selector to the template's labels.
    if spec.get("selector").and_then(Value::as_object).is_none_or(Map::is_empty) {
        let labels = spec["template"]["metadata"]["labels"].clone();
        if labels.is_object() {
            spec.insert("selector".into(), labels);
        }
    }
}

pub fn daemon_set(spec: &mut Spec) {
    template(spec);
    let strategy = as_map(spec.entry("updateStrategy").or_insert_with(|| json!({})));
    default_text(strategy, "type", "RollingUpdate");
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        let rolling = as_map(strategy.entry("rollingUpdate").or_insert_with(|| json!({})));
        default_to(rolling, "maxUnavailable", 1);
        default_to(rolling, "maxSurge", 0);
    }
    default_to(spec, "revisionHistoryLimit", 10);
}

pub fn stateful_set(spec: &mut Spec) {
    default_to(spec, "replicas", 1);
    template(spec);
    default_text(spec, "podManagementPolicy", "OrderedReady");
    let strategy = as_map(spec.entry("updateStrategy").or_insert_with(|| json!({})));
    default_text(strategy, "type", "RollingUpdate");
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        let rolling = as_map(strategy.entry("rollingUpdate").or_insert_with(|| json!({})));
        default_to(rolling, "partition", 0);
    }
    default_to(spec, "revisionHistoryLimit", 10);
    let retention = as_map(spec.entry("persistentVolumeClaimRetentionPolicy").or_insert_with(|| json!({})));
    default_text(retention, "whenDeleted", "Retain");
    default_text(retention, "whenScaled", "Retain");
}

pub fn job(spec: &mut Spec) {
    template(spec);
    // A work queue has parallelism and no completions; anything else is one run by default.
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".into(), json!(1));
    }
    default_to(spec, "parallelism", 1);
    default_to(spec, "backoffLimit", 6);
    default_text(spec, "completionMode", "NonIndexed");
    default_to(spec, "suspend", false);
}

pub fn cron_job(spec: &mut Spec) {
    default_text(spec, "concurrencyPolicy", "Allow");
    default_to(spec, "suspend", false);
    default_to(spec, "successfulJobsHistoryLimit", 3);
    default_to(spec, "failedJobsHistoryLimit", 1);
    inside(spec, "jobTemplate", |job| {
        inside(job, "spec", template);
    });
}
