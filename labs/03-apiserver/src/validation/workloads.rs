//! Workloads: what they share is a selector and a template that must agree.

use super::pods;
use crate::fields::Errors;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::labels::Selector;
use objects::resources::Resource;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

pub fn workload(resource: &Resource, object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    negative("spec.replicas", &spec["replicas"], errors);
    negative("spec.minReadySeconds", &spec["minReadySeconds"], errors);
    negative("spec.revisionHistoryLimit", &spec["revisionHistoryLimit"], errors);
    selector(spec, errors);
    template(spec, errors);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if policy != "Always" && ["Never", "OnFailure"].contains(&policy.as_str().unwrap_or_default()) {
        errors.unsupported("spec.template.spec.restartPolicy", policy, &["Always"]);
    }
    if resource.kind == "Deployment" {
        strategy(&spec["strategy"], errors);
        let (deadline, ready) =
            (&spec["progressDeadlineSeconds"], spec["minReadySeconds"].as_i64().unwrap_or(0));
        if deadline.as_i64().is_some_and(|d| d <= ready) {
            errors.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds");
        }
    }
}

fn negative(at: &str, value: &Value, errors: &mut Errors) {
    if value.as_i64().is_some_and(|n| n < 0) {
        errors.invalid(at, value, "must be greater than or equal to 0");
    }
}

fn selector(spec: &Value, errors: &mut Errors) {
    let selector = &spec["selector"];
    let empty = |v: &Value| {
        v["matchLabels"].as_object().is_none_or(|m| m.is_empty())
            && v["matchExpressions"].as_array().is_none_or(Vec::is_empty)
    };
    if selector.is_null() {
        errors.required("spec.selector", "");
        return;
    }
    if empty(selector) {
        errors.invalid_text(
            "spec.selector",
            &go_selector(selector),
            "empty selector is invalid for deployment",
        );
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let parsed = LabelSelector::deserialize(selector).ok().map(|s| Selector::from_label_selector(&s));
    match parsed {
        Some(Ok(parsed)) => {
            if !parsed.matches(&crate::selection::labels_of(&spec["template"])) {
                let printed = go_map(labels);
                errors.invalid_text(
                    "spec.template.metadata.labels",
                    &printed,
                    "`selector` does not match template `labels`",
                );
            }
        }
        Some(Err(error)) => errors.invalid_text("spec.selector", &go_selector(selector), &error.to_string()),
        None => errors.invalid_text("spec.selector", &go_selector(selector), "invalid label selector"),
    }
}

fn template(spec: &Value, errors: &mut Errors) {
    let template = &spec["template"];
    super::labels(&template["metadata"]["labels"], "spec.template.metadata.labels", errors);
    pods::pod_spec(&template["spec"], "spec.template.spec", errors);
}

fn strategy(strategy: &Value, errors: &mut Errors) {
    let kind = strategy["type"].as_str().unwrap_or_default();
    match kind {
        "Recreate" if strategy["rollingUpdate"].is_object() => errors.forbidden(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        "Recreate" => {}
        "RollingUpdate" => {
            let rolling = &strategy["rollingUpdate"];
            for key in ["maxUnavailable", "maxSurge"] {
                let bad = match &rolling[key] {
                    Value::Number(n) => n.as_i64().is_none_or(|n| n < 0),
                    Value::String(s) => s.strip_suffix('%').is_none_or(|n| n.parse::<u32>().is_err()),
                    _ => false,
                };
                if bad {
                    let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                    errors.invalid(&format!("spec.strategy.rollingUpdate.{key}"), &rolling[key], why);
                }
            }
            let zero = |v: &Value| *v == 0 || *v == "0%";
            if zero(&rolling["maxUnavailable"]) && zero(&rolling["maxSurge"]) {
                let why = "may not be 0 when `maxSurge` is 0";
                errors.invalid("spec.strategy.rollingUpdate.maxUnavailable", &rolling["maxUnavailable"], why);
            }
        }
        _ => errors.unsupported("spec.strategy.type", &strategy["type"], &["Recreate", "RollingUpdate"]),
    }
}

pub fn job(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    for key in
        ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"]
    {
        negative(&format!("spec.{key}"), &spec[key], errors);
    }
    template(spec, errors);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if policy == "Always" {
        errors.unsupported("spec.template.spec.restartPolicy", policy, &["OnFailure", "Never"]);
    }
}

/// A workload keeps its selector: the pods it has would otherwise be nobody's.
pub fn update(resource: &Resource, old: &Value, new: &Value, errors: &mut Errors) {
    let (before, after) = (&old["spec"], &new["spec"]);
    match (resource.group, resource.kind) {
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") | ("batch", "Job")
            if before["selector"] != after["selector"] =>
        {
            errors.invalid_text("spec.selector", &go_selector(&after["selector"]), "field is immutable");
        }
        ("apps", "StatefulSet") => {
            let mutable = [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
                "revisionHistoryLimit",
            ];
            let rest = |spec: &Value| {
                let mut spec = spec.clone();
                if let Some(map) = spec.as_object_mut() {
                    map.retain(|key, _| !mutable.contains(&key.as_str()));
                }
                spec
            };
            if rest(before) != rest(after) {
                errors.forbidden("spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
            }
        }
        _ => {}
    }
    if resource.kind == "Job" && before["template"] != after["template"] && before["suspend"] != true {
        errors.invalid("spec.template", &after["template"], "field is immutable");
    }
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let map = value.as_object().into_iter().flatten();
    map.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_string())).collect()
}

/// `map[string]string{"app":"x"}`, as Go prints it.
fn go_map(value: &Value) -> String {
    if !value.is_object() {
        return "map[string]string(nil)".into();
    }
    let pairs: Vec<String> = strings(value).iter().map(|(k, v)| format!("{k:?}:{v:?}")).collect();
    format!("map[string]string{{{}}}", pairs.join(", "))
}

fn go_selector(selector: &Value) -> String {
    let expressions = match selector["matchExpressions"].as_array() {
        None => "[]v1.LabelSelectorRequirement(nil)".to_string(),
        Some(list) => {
            let print = |e: &Value| {
                let values: Vec<String> =
                    e["values"].as_array().into_iter().flatten().map(Value::to_string).collect();
                format!(
                    "v1.LabelSelectorRequirement{{Key:{}, Operator:{}, Values:[]string{{{}}}}}",
                    e["key"],
                    e["operator"],
                    values.join(", ")
                )
            };
            format!(
                "[]v1.LabelSelectorRequirement{{{}}}",
                list.iter().map(print).collect::<Vec<_>>().join(", ")
            )
        }
    };
    format!(
        "v1.LabelSelector{{MatchLabels:{}, MatchExpressions:{expressions}}}",
        go_map(&selector["matchLabels"])
    )
}
