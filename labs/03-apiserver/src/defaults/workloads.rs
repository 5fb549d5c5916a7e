//! Defaults of the workloads: kinds that make pods from a template.

use super::cluster::claim_templates;
use super::rows::{Fill, Row, fill};
use super::{inside, pods};
use crate::fields::quote;
use crate::meta::{as_map, default_text, default_to, map_at};
use serde_json::{Map, Value, json};
use std::num::{IntErrorKind, ParseIntError};

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

/// The oldest workload may leave its selector and its labels to the template's.
pub fn replication_controller(object: &mut Value) {
    let spec = map_at(object, "spec");
    default_to(spec, "replicas", 1);
    // The only workload that may come without a template, and is told so.
    inside(spec, "template", pods::template);
    let Some(template) = spec.get("template") else { return };
    let labels = template["metadata"]["labels"].clone();
    if labels.is_object() {
        default_map(spec, "selector", &labels);
        default_map(map_at(object, "metadata"), "labels", &labels);
    }
}

/// As `default_to`, and an empty map counts as no value.
fn default_map(map: &mut Spec, key: &str, value: &Value) {
    if map.get(key).and_then(Value::as_object).is_none_or(Map::is_empty) {
        map.insert(key.into(), value.clone());
    }
}

/// Upstream's own form of a daemon set has a field that counts its templates; the form that is served
/// has it among the annotations, from the time when clients wrote it themselves.
const TEMPLATES: &str = "deprecated.daemonset.template.generation";

/// How many templates a daemon set has had; nothing said is none. The error is Go's.
pub fn templates_counted(set: &Value) -> Result<i64, String> {
    let Some(text) = set["metadata"]["annotations"][TEMPLATES].as_str() else { return Ok(0) };
    text.parse().map_err(|why: ParseIntError| {
        let why = match why.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {}: {why}", quote(text))
    })
}

fn write_count(set: &mut Value, count: i64) {
    let annotations = map_at(set, "metadata").entry("annotations").or_insert_with(|| json!({}));
    as_map(annotations).insert(TEMPLATES.into(), json!(count.to_string()));
}

/// A new set has its first template; later nobody but a new template changes the number.
pub fn count_templates(old: Option<&Value>, new: &mut Value) {
    let count = |set: &Value| templates_counted(set).unwrap_or(0);
    let now = match old {
        None => count(new).max(1),
        // A client may have written any number at first.
        Some(old) => count(old).saturating_add(i64::from(old["spec"]["template"] != new["spec"]["template"])),
    };
    write_count(new, now);
}

pub fn daemon_set(object: &mut Value) {
    let said = templates_counted(object).unwrap_or(0);
    write_count(object, said);
    let spec = map_at(object, "spec");
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
    claim_templates(spec);
    let retention = as_map(spec.entry("persistentVolumeClaimRetentionPolicy").or_insert_with(|| json!({})));
    default_text(retention, "whenDeleted", "Retain");
    default_text(retention, "whenScaled", "Retain");
}

pub fn job(object: &mut Value) {
    let spec = map_at(object, "spec");
    template(spec);
    // A work queue has parallelism and no completions; anything else is one run by default.
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".into(), json!(1));
    }
    // Retries that are counted for each index are not counted for all.
    let retries = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    let replaced = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    default_to(spec, "backoffLimit", retries);
    default_text(spec, "podReplacementPolicy", replaced);
    fill(spec, JOB);
    let labels = spec["template"]["metadata"]["labels"].clone();
    if labels.is_object() {
        default_map(map_at(object, "metadata"), "labels", &labels);
    }
}

static JOB: &[Row] = &[
    Row("parallelism", Fill::Number(1)),
    Row("completionMode", Fill::Text("NonIndexed")),
    Row("suspend", Fill::Flag(false)),
    Row("manualSelector", Fill::Flag(false)),
    Row(
        "podFailurePolicy",
        Fill::Within(&[Row(
            "rules",
            Fill::Each(&[Row("onPodConditions", Fill::Each(&[Row("status", Fill::Text("True"))]))]),
        )]),
    ),
];

pub fn cron_job(spec: &mut Spec) {
    default_text(spec, "concurrencyPolicy", "Allow");
    default_to(spec, "suspend", false);
    default_to(spec, "successfulJobsHistoryLimit", 3);
    default_to(spec, "failedJobsHistoryLimit", 1);
    let job = as_map(spec.entry("jobTemplate").or_insert_with(|| json!({})));
    template(as_map(job.entry("spec").or_insert_with(|| json!({}))));
}
