//! Events (upstream: `pkg/apis/core/validation/events.go`). The older ones count how often a thing
//! happened; the newer ones have a time of their own and say who reports. Whoever writes through
//! `events.k8s.io` may write the newer ones alone, and then only their series goes on.

use super::at::At;
use super::rules::{Row, Rule, immutable, same};
use crate::fields::Errors;
use crate::names;
use serde_json::Value;

pub static EVENT: &[Row] = &[Row("", Rule::Code(event))];

/// What each event must be, in its stored form.
fn event(event: &At<'_>, errors: &mut Errors) {
    let (there, here) = (event.at("involvedObject.namespace"), event.at("metadata.namespace").text());
    let is_new = event.get("eventTime").is_set();
    let fits = match (is_new, there.text()) {
        (false, "") => matches!(here, "" | "default"),
        (false, there) => there == here,
        (true, "") => matches!(here, "default" | "kube-system"),
        (true, _) => true,
    };
    if !fits {
        there.invalid_text("does not match event.namespace", errors);
    }
    if !is_new {
        return;
    }
    let reporter = event.get("reportingComponent").named("reportingController");
    reporter.require(errors);
    names::qualified(reporter.text()).into_iter().for_each(|why| reporter.invalid_text(why, errors));
    for key in ["reportingInstance", "action", "reason"] {
        event.get(key).require(errors);
        at_most(&event.get(key), 128, errors);
    }
    at_most(&event.get("message"), 1024, errors);
}

fn at_most(at: &At<'_>, most: usize, errors: &mut Errors) {
    if at.text().len() > most {
        errors.invalid(&at.path, &Value::from(""), format!("can have at most {most} characters"));
    }
}

/// What an event must be beside that to come through `events.k8s.io`.
pub fn create(event: &At<'_>, errors: &mut Errors) {
    series(event, errors);
    if !event.get("eventTime").is_set() {
        event.get("eventTime").required("", errors);
    }
    let unlike = |at: &At<'_>, why: &str, errors: &mut Errors| errors.invalid(&at.path, &"".into(), why);
    let kind = event.get("type");
    if !["Normal", "Warning"].contains(&kind.text()) {
        unlike(&kind, &format!("has invalid value: {}", kind.text()), errors);
    }
    for key in ["firstTimestamp", "lastTimestamp"] {
        if event.get(key).is_set() {
            unlike(&event.get(key), "needs to be unset", errors);
        }
    }
    if event.get("count").int().unwrap_or(0) != 0 {
        unlike(&event.get("count"), "needs to be unset", errors);
    }
    let source = event.get("source");
    if !source.get("component").is_empty() || !source.get("host").is_empty() {
        unlike(&source, "needs to be unset", errors);
    }
}

fn series(event: &At<'_>, errors: &mut Errors) {
    let series = event.get("series");
    if !series.is_set() {
        return;
    }
    if series.get("count").int().unwrap_or(0) < 2 {
        errors.invalid("series.count", &"".into(), "should be at least 2");
    }
    if !series.get("lastObservedTime").is_set() {
        series.get("lastObservedTime").required("", errors);
    }
}

const FIXED: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// The same for a change: what has happened stays as it was told.
pub fn update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    if !same(old.get("series").value, new.get("series").value) {
        series(new, errors);
    }
    for key in FIXED {
        let shown = if key == "reportingComponent" { "reportingController" } else { key };
        immutable(&old.get(key), &new.get(key).named(shown), errors);
    }
}
