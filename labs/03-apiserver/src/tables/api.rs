//! The kinds that shape the API itself: who may change what passes, who answers for a group, and
//! whose requests wait for whose.

use super::{AGE, Cell, Column, NAME, items, made, number, str_of, text, text_or, workloads};
use serde_json::{Value, json};

const fn how_many(name: &'static str, pointer: &'static str) -> Column {
    Column { cell: Cell::Length(pointer), ..number(name, "") }
}

pub const WEBHOOKS: &[Column] = &[NAME, how_many("Webhooks", "/webhooks"), AGE];

pub const ADMISSION_POLICY: &[Column] = &[
    NAME,
    how_many("Validations", "/spec/validations"),
    made("ParamKind", |p, _| {
        let kind = &p["spec"]["paramKind"];
        match kind.is_object() {
            true => json!(format!("{}/{}", str_of(kind, "apiVersion"), str_of(kind, "kind"))),
            false => json!("<unset>"),
        }
    }),
    AGE,
];

pub const ADMISSION_POLICY_BINDING: &[Column] = &[
    NAME,
    text("PolicyName", "/spec/policyName"),
    made("ParamRef", |b, _| {
        let param = &b["spec"]["paramRef"];
        json!(match (str_of(param, "namespace"), str_of(param, "name")) {
            ("", "") if param["selector"].is_object() => workloads::selector_of(&param["selector"]),
            (_, "") => "<unset>".into(),
            // Whether the parameter has a namespace cannot be told from here.
            ("", name) => format!("*/{name}"),
            (namespace, name) => format!("{namespace}/{name}"),
        })
    }),
    AGE,
];

fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    items(&object["status"], "conditions").find(|c| c["type"] == kind)
}

pub const API_SERVICE: &[Column] = &[
    NAME,
    made("Service", |a, _| {
        let service = &a["spec"]["service"];
        match service.is_object() {
            true => json!(format!("{}/{}", str_of(service, "namespace"), str_of(service, "name"))),
            false => json!("Local"),
        }
    }),
    made("Available", |a, _| match condition(a, "Available") {
        None => json!("Unknown"),
        Some(c) if c["status"] == "True" || str_of(c, "reason").is_empty() => c["status"].clone(),
        Some(c) => json!(format!("{} ({})", str_of(c, "status"), str_of(c, "reason"))),
    }),
    AGE,
];

pub const FLOW_SCHEMA: &[Column] = &[
    NAME,
    text("PriorityLevel", "/spec/priorityLevelConfiguration/name"),
    Column::new("MatchingPrecedence", "string", Cell::Number("/spec/matchingPrecedence")),
    text_or("DistinguisherMethod", "/spec/distinguisherMethod/type", "<none>"),
    AGE,
    made("MissingPL", |f, _| json!(condition(f, "Dangling").map_or("?", |c| str_of(c, "status")))),
];

/// A number of the queues of a level that has some.
fn limited(level: &Value, pointer: &str) -> Value {
    level["spec"]["limited"].pointer(pointer).filter(|v| v.is_number()).cloned().unwrap_or(json!("<none>"))
}

pub const PRIORITY_LEVEL: &[Column] = &[
    NAME,
    text("Type", "/spec/type"),
    made("NominalConcurrencyShares", |l, _| limited(l, "/nominalConcurrencyShares")),
    made("Queues", |l, _| limited(l, "/limitResponse/queuing/queues")),
    made("HandSize", |l, _| limited(l, "/limitResponse/queuing/handSize")),
    made("QueueLengthLimit", |l, _| limited(l, "/limitResponse/queuing/queueLengthLimit")),
    AGE,
];
