//! Workloads: what they share is a selector and a template that must agree (upstream:
//! `pkg/apis/apps/validation`, and the ReplicationController of `core`).

pub mod cron;
pub mod jobs;

use super::at::At;
use super::meta;
use super::pods;
use super::rules::{Change, Row, Rule, same};
use crate::fields::{Errors, go_map, go_selector, quote};

const NOT_NEGATIVE: Rule = Rule::NotNegative;

pub static DEPLOYMENT: &[Row] = &[
    Row("spec.replicas", NOT_NEGATIVE),
    Row("spec", Rule::Code(|spec, errors| selector_and_template(spec, "deployment", errors))),
    Row("spec", Rule::Code(|spec, errors| always_running(spec, "ReplicaSet", errors))),
    Row("spec.strategy", Rule::Code(strategy)),
    Row("spec.minReadySeconds", NOT_NEGATIVE),
    Row("spec.revisionHistoryLimit", NOT_NEGATIVE),
    Row("spec.progressDeadlineSeconds", NOT_NEGATIVE),
    Row("spec", Rule::Code(deadline)),
];

pub static REPLICA_SET: &[Row] = &[
    Row("spec.replicas", NOT_NEGATIVE),
    Row("spec.minReadySeconds", NOT_NEGATIVE),
    Row("spec", Rule::Code(|spec, errors| selector_and_template(spec, "deployment", errors))),
    Row("spec", Rule::Code(|spec, errors| always_running(spec, "ReplicaSet", errors))),
];

pub static DAEMON_SET: &[Row] = &[
    Row("spec", Rule::Code(|spec, errors| selector_and_template(spec, "daemonset", errors))),
    Row("spec", Rule::Code(|spec, errors| always_running(spec, "DaemonSet", errors))),
    Row("spec.minReadySeconds", NOT_NEGATIVE),
    Row("spec.updateStrategy", Rule::Code(daemon_strategy)),
    Row("spec.revisionHistoryLimit", NOT_NEGATIVE),
];

pub static STATEFUL_SET: &[Row] = &[
    Row("spec.podManagementPolicy", Rule::Code(management)),
    Row("spec.updateStrategy", Rule::Code(stateful_strategy)),
    Row(
        "spec.persistentVolumeClaimRetentionPolicy",
        Rule::Within(&[
            Row("whenDeleted", Rule::OneOf(&["Retain", "Delete"])),
            Row("whenScaled", Rule::OneOf(&["Retain", "Delete"])),
        ]),
    ),
    Row("spec.replicas", NOT_NEGATIVE),
    Row("spec.minReadySeconds", NOT_NEGATIVE),
    Row("spec.ordinals.start", NOT_NEGATIVE),
    Row("spec", Rule::Code(stateful_template)),
    Row("spec", Rule::Code(|spec, errors| always_running(spec, "StatefulSet", errors))),
];

pub static REPLICATION_CONTROLLER: &[Row] = &[
    Row("spec.minReadySeconds", NOT_NEGATIVE),
    Row("spec.selector", Rule::Required("")),
    Row("spec.replicas", NOT_NEGATIVE),
    Row("spec", Rule::Code(controller_template)),
    Row("spec", Rule::Code(|spec, errors| always_running(spec, "ReplicationController", errors))),
];

pub static CONTROLLER_REVISION: &[Row] =
    &[Row("data", Rule::Required("data is mandatory")), Row("revision", NOT_NEGATIVE)];

/// A workload keeps its selector: the pods it has would otherwise be nobody's.
pub static SELECTOR_CHANGES: &[Change] = &[Change::ImmutableSelector("spec.selector")];
pub static STATEFUL_SET_CHANGES: &[Change] = &[Change::Code(stateful_update)];
pub static CONTROLLER_REVISION_CHANGES: &[Change] = &[Change::Immutable("data")];

/// A selector that selects the template's pods, and nothing wrong with the template.
fn selector_and_template(spec: &At<'_>, kind: &str, errors: &mut Errors) {
    selector(spec, kind, errors);
    pods::template(&spec.get("template"), errors);
}

fn selector(spec: &At<'_>, kind: &str, errors: &mut Errors) {
    let (selector, labels) = (spec.get("selector"), spec.at("template.metadata.labels"));
    if !selector.is_set() {
        // A daemon set without a selector is only told that it selects nothing.
        if kind != "daemonset" {
            selector.required("", errors);
        }
        return no_match(&labels, errors);
    }
    meta::selector(&selector, errors);
    let empty = meta::is_empty_selector(&selector);
    let wrong = |why: &str, errors: &mut Errors| {
        errors.invalid_text(&selector.path, &go_selector(selector.value), why);
    };
    if empty {
        wrong(&format!("empty selector is invalid for {kind}"), errors);
    }
    match meta::parse_selector(&selector) {
        None => wrong("invalid label selector", errors),
        Some(parsed) if !parsed.matches(&meta::strings(labels.value)) => no_match(&labels, errors),
        Some(_) => {}
    }
}

fn no_match(labels: &At<'_>, errors: &mut Errors) {
    errors.invalid_text(&labels.path, &go_map(labels.value), "`selector` does not match template `labels`");
}

/// Upstream checks a stateful set's template only from the outside: the claims that its
/// containers mount are no volumes of the template. What is wrong inside shows when pods are made.
fn stateful_template(spec: &At<'_>, errors: &mut Errors) {
    selector(spec, "statefulset", errors);
    meta::template_meta(&spec.get("template"), errors);
}

/// The oldest selector is a plain map.
fn controller_template(spec: &At<'_>, errors: &mut Errors) {
    let (selector, labels) = (spec.get("selector"), spec.at("template.metadata.labels"));
    let template = spec.get("template");
    if !template.is_set() {
        return template.required("", errors);
    }
    if selector.entries().any(|(key, value)| labels.value[key] != *value.value) {
        no_match(&labels, errors);
    }
    pods::template(&template, errors);
}

/// Pods that are to run forever neither end nor have a deadline.
fn always_running(spec: &At<'_>, kind: &str, errors: &mut Errors) {
    let template = spec.at("template.spec");
    if spec.get("template").is_set() {
        template.get("restartPolicy").unsupported(&["Always"], errors);
    }
    let deadline = template.get("activeDeadlineSeconds");
    if deadline.is_set() {
        deadline.forbidden(&format!("activeDeadlineSeconds in {kind} is not Supported"), errors);
    }
}

fn strategy(at: &At<'_>, errors: &mut Errors) {
    let rolling = at.get("rollingUpdate");
    match at.get("type").text() {
        "Recreate" => {
            if rolling.is_set() {
                rolling.forbidden("may not be specified when strategy `type` is 'Recreate'", errors);
            }
        }
        "RollingUpdate" if !rolling.is_set() => {
            rolling.required("this should be defaulted and never be nil", errors);
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            unavailable.int_or_percent(errors);
            surge.int_or_percent(errors);
            if unavailable.int_or_percent_value() == 0 && surge.int_or_percent_value() == 0 {
                unavailable.invalid_int_or_string("may not be 0 when `maxSurge` is 0", errors);
            }
            unavailable.at_most_100_percent(errors);
        }
        _ => unknown_strategy(at, "Deployment", &["Recreate", "RollingUpdate"], errors),
    }
}

/// Upstream shows the whole structure; how it would go on is told when it is as short as this.
fn unknown_strategy(at: &At<'_>, kind: &str, known: &[&str], errors: &mut Errors) {
    if at.get("rollingUpdate").is_set() {
        return errors.unsupported(&at.path, at.value, known);
    }
    let of = if kind == "Deployment" { "DeploymentStrategy" } else { "DaemonSetUpdateStrategy" };
    let printed = format!(
        "apps.{of}{{Type:{}, RollingUpdate:(*apps.RollingUpdate{kind})(nil)}}",
        quote(at.get("type").text())
    );
    errors.unsupported_text(&at.path, &printed, known);
}

fn deadline(spec: &At<'_>, errors: &mut Errors) {
    let deadline = spec.get("progressDeadlineSeconds");
    if deadline.int().is_some_and(|d| d <= spec.get("minReadySeconds").int().unwrap_or(0)) {
        deadline.invalid("must be greater than minReadySeconds", errors);
    }
}

fn daemon_strategy(at: &At<'_>, errors: &mut Errors) {
    let rolling = at.get("rollingUpdate");
    match at.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" if !rolling.is_set() => rolling.required("", errors),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            for field in [&unavailable, &surge] {
                field.int_or_percent(errors);
            }
            for field in [&unavailable, &surge] {
                field.at_most_100_percent(errors);
            }
            match (unavailable.int_or_percent_value(), surge.int_or_percent_value()) {
                (0, 0) => unavailable.required("cannot be 0 when maxSurge is 0", errors),
                (0, _) | (_, 0) => {}
                _ => surge.invalid_int_or_string("may not be set when maxUnavailable is non-zero", errors),
            }
        }
        _ => unknown_strategy(at, "DaemonSet", &["RollingUpdate", "OnDelete"], errors),
    }
}

fn management(at: &At<'_>, errors: &mut Errors) {
    match at.text() {
        "" => at.required("", errors),
        "OrderedReady" | "Parallel" => {}
        _ => at.invalid("must be 'OrderedReady' or 'Parallel'", errors),
    }
}

fn stateful_strategy(at: &At<'_>, errors: &mut Errors) {
    let rolling = at.get("rollingUpdate");
    match at.get("type").text() {
        "" => at.required("", errors),
        "OnDelete" => {
            if rolling.is_set() {
                let why = "only allowed for updateStrategy 'RollingUpdate'";
                if rolling.get("maxUnavailable").is_set() {
                    return rolling.invalid(why, errors);
                }
                let partition = rolling.get("partition").int().unwrap_or(0);
                let printed = format!(
                    "apps.RollingUpdateStatefulSetStrategy{{Partition:{partition}, MaxUnavailable:(*intstr.IntOrString)(nil)}}"
                );
                errors.invalid_text(&rolling.path, &printed, why);
            }
        }
        "RollingUpdate" => {
            rolling.get("partition").not_negative(errors);
            let unavailable = rolling.get("maxUnavailable");
            if unavailable.is_set() {
                unavailable.int_or_percent(errors);
                if unavailable.int_or_percent_value() == 0 {
                    unavailable.invalid_int_or_string("cannot be 0", errors);
                }
                unavailable.at_most_100_percent(errors);
            }
        }
        kind if !rolling.is_set() => {
            let printed = format!(
                "apps.StatefulSetUpdateStrategy{{Type:{}, RollingUpdate:(*apps.RollingUpdateStatefulSetStrategy)(nil)}}",
                quote(kind)
            );
            errors.invalid_text(&at.path, &printed, "must be 'RollingUpdate' or 'OnDelete'");
        }
        _ => at.invalid("must be 'RollingUpdate' or 'OnDelete'", errors),
    }
}

const STATEFUL_MUTABLE: [&str; 6] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn stateful_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let rest = |object: &At<'_>| {
        let mut spec = object.get("spec").value.clone();
        if let Some(map) = spec.as_object_mut() {
            map.retain(|key, _| !STATEFUL_MUTABLE.contains(&key.as_str()));
        }
        spec
    };
    if !same(&rest(old), &rest(new)) {
        new.get("spec").forbidden("updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden", errors);
    }
}

/// The counts that controllers report: whole and not against one another.
pub fn counts(status: &At<'_>, of_replicas: &[&str], others: &[&str], errors: &mut Errors) {
    let number = |key: &str| status.get(key).int().unwrap_or(0);
    for key in ["replicas"].iter().chain(of_replicas).chain(others) {
        status.get(key).not_negative(errors);
    }
    for key in of_replicas {
        if number(key) > number("replicas") {
            status.get(key).invalid_number("cannot be greater than status.replicas", errors);
        }
    }
    if of_replicas.contains(&"availableReplicas") && number("availableReplicas") > number("readyReplicas") {
        status.get("availableReplicas").invalid_number("cannot be greater than readyReplicas", errors);
    }
}

/// A count of collisions only grows.
pub fn collisions(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let (old, new) = (old.at("status.collisionCount"), new.at("status.collisionCount"));
    if old.int() > new.int() {
        new.invalid_number("cannot be decremented", errors);
    }
}
