//! Autoscalers and disruption budgets: how many pods there should be, and may be missing.

use super::at::At;
use super::pods::resources;
use super::rules::{Row, Rule};
use crate::fields::Errors;
use crate::names;

pub static BUDGET: &[Row] = &[
    Row("spec", Rule::Code(one_limit)),
    Row("spec.minAvailable", Rule::Code(count)),
    Row("spec.maxUnavailable", Rule::Code(count)),
    Row("spec.selector", Rule::Selector),
    Row("spec.unhealthyPodEvictionPolicy", Rule::OneOf(&["AlwaysAllow", "IfHealthyBudget"])),
];

fn one_limit(spec: &At<'_>, errors: &mut Errors) {
    if spec.get("minAvailable").is_set() && spec.get("maxUnavailable").is_set() {
        spec.invalid("minAvailable and maxUnavailable cannot be both set", errors);
    }
}

fn count(at: &At<'_>, errors: &mut Errors) {
    if at.is_set() {
        at.int_or_percent(errors);
        at.at_most_100_percent(errors);
    }
}

pub static AUTOSCALER: &[Row] = &[
    Row("spec.minReplicas", Rule::Code(least)),
    Row("spec", Rule::Code(most)),
    Row("spec.scaleTargetRef", Rule::Code(reference)),
    Row("spec.metrics", Rule::Each(&[Row("", Rule::Code(metric))])),
    Row("spec.behavior.scaleUp", Rule::Within(SCALING_RULES)),
    Row("spec.behavior.scaleDown", Rule::Within(SCALING_RULES)),
];

static SCALING_RULES: &[Row] = &[
    Row("stabilizationWindowSeconds", Rule::Code(window)),
    Row("selectPolicy", Rule::OneOf(&["Disabled", "Max", "Min"])),
    Row("policies", Rule::Required("must specify at least one Policy")),
    Row(
        "policies",
        Rule::Each(&[
            Row("type", Rule::Code(|at, errors| at.unsupported(&["Percent", "Pods"], errors))),
            Row("value", Rule::Code(above_zero)),
            Row("periodSeconds", Rule::Code(above_zero)),
            Row(
                "periodSeconds",
                Rule::Code(|at, errors| {
                    if at.int().is_some_and(|seconds| seconds > 1800) {
                        at.invalid("must be less than or equal to 1800", errors);
                    }
                }),
            ),
        ]),
    ),
];

fn above_zero(at: &At<'_>, errors: &mut Errors) {
    if at.int().unwrap_or(0) <= 0 {
        at.invalid_number("must be greater than zero", errors);
    }
}

fn window(at: &At<'_>, errors: &mut Errors) {
    match at.int() {
        Some(seconds) if seconds < 0 => at.invalid("must be greater than or equal to zero", errors),
        Some(seconds) if seconds > 3600 => at.invalid("must be less than or equal to 3600", errors),
        _ => {}
    }
}

/// Scaling to nothing is behind a feature gate that is off.
fn least(min: &At<'_>, errors: &mut Errors) {
    if min.int().is_some_and(|min| min < 1) {
        min.invalid("must be greater than or equal to 1", errors);
    }
}

fn most(spec: &At<'_>, errors: &mut Errors) {
    let (min, max) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    let most = max.int().unwrap_or(0);
    if most < 1 {
        max.invalid_number("must be greater than 0", errors);
    }
    if min.int().is_some_and(|min| most < min) {
        max.invalid_number("must be greater than or equal to `minReplicas`", errors);
    }
}

fn reference(at: &At<'_>, errors: &mut Errors) {
    for key in ["kind", "name"] {
        if at.get(key).require(errors) {
            at.get(key).obey(names::path_segment, errors);
        }
    }
}

const TYPES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn metric(at: &At<'_>, errors: &mut Errors) {
    let kind = at.get("type");
    if kind.is_empty() {
        kind.required("must specify a metric source type", errors);
    }
    let known = TYPES.map(|(kind, _)| kind);
    kind.unsupported(&known, errors);
    let there: Vec<&str> = TYPES.iter().map(|(_, key)| *key).filter(|key| at.get(key).is_set()).collect();
    if let Some(first) = there.first() {
        source(&at.get(first), first, errors);
    }
    let Some((_, expected)) = TYPES.iter().find(|(name, _)| *name == kind.text()) else { return };
    if !at.get(expected).is_set() {
        at.get(expected).required("must populate information for the given metric source", errors);
    }
    for key in there.iter().filter(|key| *key != expected) {
        at.get(key).forbidden("must populate the given metric source only", errors);
    }
}

fn source(at: &At<'_>, key: &str, errors: &mut Errors) {
    let target = at.get("target");
    let (value, average, use_) =
        (target.get("value"), target.get("averageValue"), target.get("averageUtilization"));
    match key {
        "object" => reference(&at.get("describedObject"), errors),
        "resource" | "containerResource" => {
            let name = at.get("name");
            if name.is_empty() {
                name.required("must specify a resource name", errors);
            } else {
                resources::resource_name(name.text(), &name, errors);
            }
            if key == "containerResource" {
                let container = at.get("container");
                if container.is_empty() {
                    container.required("must specify a container", errors);
                } else {
                    container.obey(names::label, errors);
                }
            }
        }
        _ => {}
    }
    if matches!(key, "object" | "pods" | "external") {
        let name = at.at("metric.name");
        if name.is_empty() {
            name.required("must specify a metric name", errors);
        } else {
            name.obey(names::path_segment, errors);
        }
    }
    metric_target(&target, errors);
    match key {
        "object" if !value.is_set() && !average.is_set() => {
            average.required("must set either a target value or averageValue", errors);
        }
        "pods" if !average.is_set() => {
            average.required("must specify a positive target averageValue", errors);
        }
        "external" => match (value.is_set(), average.is_set()) {
            (false, false) => {
                average.required("must set either a target value for metric or a per-pod target", errors);
            }
            (true, true) => {
                value.forbidden("may not set both a target value for metric and a per-pod target", errors);
            }
            _ => {}
        },
        "resource" | "containerResource" => match (use_.is_set(), average.is_set()) {
            (false, false) => {
                use_.required("must set either a target raw value or a target utilization", errors);
            }
            (true, true) => {
                average.forbidden("may not set both a target raw value and a target utilization", errors);
            }
            _ => {}
        },
        _ => {}
    }
}

fn metric_target(at: &At<'_>, errors: &mut Errors) {
    let kind = at.get("type");
    if kind.is_empty() {
        kind.required("must specify a metric target type", errors);
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind.text()) {
        kind.invalid_text("must be either Utilization, Value, or AverageValue", errors);
    }
    for key in ["value", "averageValue"] {
        let amount = at.get(key);
        if amount.quantity().is_some_and(|amount| amount.is_zero() || amount.is_negative()) {
            amount.invalid("must be positive", errors);
        }
    }
    let utilization = at.get("averageUtilization");
    if utilization.int().is_some_and(|percent| percent < 1) {
        utilization.invalid("must be greater than 0", errors);
    }
}
