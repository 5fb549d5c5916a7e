//! Deployments and the other kinds that make pods.

use super::{
    AGE, Cell, Column, NAME, count, items, joined, made, meta, number, or_none, pairs, str_of, text, text_or,
    time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::labels::Selector;
use serde::Deserialize;
use serde_json::{Value, json};

const CONTAINERS: Column = made("Containers", |w, _| containers(&w["spec"]["template"], "name")).wide();
const IMAGES: Column = made("Images", |w, _| containers(&w["spec"]["template"], "image")).wide();
const SELECTOR: Column = made("Selector", |w, _| or_none(selector_of(&w["spec"]["selector"]))).wide();

/// A number under a heading that upstream calls text.
const fn amount(name: &'static str, pointer: &'static str) -> Column {
    Column::new(name, "string", Cell::Number(pointer))
}

/// Names or images of the containers of a template.
fn containers(template: &Value, key: &str) -> Value {
    json!(joined(items(&template["spec"], "containers").map(|c| str_of(c, key))))
}

/// A label selector, as text; nothing for one that says nothing.
pub fn selector_of(selector: &Value) -> String {
    let parsed =
        LabelSelector::deserialize(selector).ok().and_then(|s| Selector::from_label_selector(&s).ok());
    match parsed {
        Some(selector) if !selector.is_everything() => selector.to_string(),
        _ => String::new(),
    }
}

/// So many of those that are wanted are ready.
const READY: Column = made("Ready", |w, _| {
    json!(format!("{}/{}", count(&w["status"]["readyReplicas"]), count(&w["spec"]["replicas"])))
});

pub const DEPLOYMENT: &[Column] = &[
    NAME,
    READY,
    amount("Up-to-date", "/status/updatedReplicas"),
    amount("Available", "/status/availableReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    Column { cell: Cell::Made(|d, _| json!(selector_of(&d["spec"]["selector"]))), ..SELECTOR },
];

pub const REPLICA_SET: &[Column] = &[
    NAME,
    number("Desired", "/spec/replicas"),
    number("Current", "/status/replicas"),
    number("Ready", "/status/readyReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// Its selector is older than label selectors: a map.
pub const REPLICATION_CONTROLLER: &[Column] = &[
    NAME,
    number("Desired", "/spec/replicas"),
    number("Current", "/status/replicas"),
    number("Ready", "/status/readyReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    made("Selector", |r, _| or_none(pairs(&r["spec"]["selector"]))).wide(),
];

pub const DAEMON_SET: &[Column] = &[
    NAME,
    number("Desired", "/status/desiredNumberScheduled"),
    number("Current", "/status/currentNumberScheduled"),
    number("Ready", "/status/numberReady"),
    number("Up-to-date", "/status/updatedNumberScheduled"),
    number("Available", "/status/numberAvailable"),
    made("Node Selector", |d, _| or_none(pairs(&d["spec"]["template"]["spec"]["nodeSelector"]))),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

pub const STATEFUL_SET: &[Column] = &[NAME, READY, AGE, CONTAINERS, IMAGES];

pub const POD_TEMPLATE: &[Column] = &[
    NAME,
    made("Containers", |t, _| containers(&t["template"], "name")),
    made("Images", |t, _| containers(&t["template"], "image")),
    made("Pod Labels", |t, _| or_none(pairs(&t["template"]["metadata"]["labels"]))),
];

pub const CONTROLLER_REVISION: &[Column] = &[
    NAME,
    made("Controller", |r, _| {
        let owner = items(&r["metadata"], "ownerReferences").find(|o| o["controller"] == true);
        let text = owner.map(|o| {
            let group = str_of(o, "apiVersion").split_once('/').map(|(group, _)| format!(".{group}"));
            format!("{}{}/{}", str_of(o, "kind").to_lowercase(), group.unwrap_or_default(), str_of(o, "name"))
        });
        or_none(text.unwrap_or_default())
    }),
    amount("Revision", "/revision"),
    AGE,
];

pub const JOB: &[Column] = &[
    NAME,
    made("Status", |j, _| json!(job_status(j))),
    made("Completions", |j, _| {
        let done = count(&j["status"]["succeeded"]);
        json!(match (j["spec"]["completions"].as_i64(), count(&j["spec"]["parallelism"])) {
            (Some(wanted), _) => format!("{done}/{wanted}"),
            (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
            (None, _) => format!("{done}/1"),
        })
    }),
    made("Duration", |j, now| {
        json!(match (&j["status"]["startTime"], &j["status"]["completionTime"]) {
            (Value::Null, _) => String::new(),
            (start, Value::Null) => time::since(start, now),
            (start, end) => time::between(start, end).unwrap_or_default(),
        })
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn job_status(job: &Value) -> &'static str {
    let is =
        |kind: &str| items(&job["status"], "conditions").any(|c| c["type"] == kind && c["status"] == "True");
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if meta::is_deleting(job) => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

pub const CRON_JOB: &[Column] = &[
    NAME,
    text("Schedule", "/spec/schedule"),
    text_or("Timezone", "/spec/timeZone", "<none>"),
    Column::new(
        "Suspend",
        "boolean",
        Cell::Made(|c, _| match c["spec"]["suspend"].as_bool() {
            Some(true) => json!("True"),
            Some(false) => json!("False"),
            None => json!("<unset>"),
        }),
    ),
    Column { cell: Cell::Length("/status/active"), ..number("Active", "") },
    made("Last Schedule", |c, now| match &c["status"]["lastScheduleTime"] {
        Value::Null => json!("<none>"),
        last => json!(time::since(last, now)),
    }),
    AGE,
    made("Containers", |c, _| containers(&c["spec"]["jobTemplate"]["spec"]["template"], "name")).wide(),
    made("Images", |c, _| containers(&c["spec"]["jobTemplate"]["spec"]["template"], "image")).wide(),
    made("Selector", |c, _| or_none(selector_of(&c["spec"]["jobTemplate"]["spec"]["selector"]))).wide(),
];

pub const PDB: &[Column] = &[
    NAME,
    made("Min Available", |p, _| bound(&p["spec"]["minAvailable"])),
    made("Max Unavailable", |p, _| bound(&p["spec"]["maxUnavailable"])),
    number("Allowed Disruptions", "/status/disruptionsAllowed"),
    AGE,
];

/// A number or a share.
fn bound(value: &Value) -> Value {
    match value {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    }
}

pub const SCALE: &[Column] =
    &[NAME, number("Desired", "/spec/replicas"), number("Available", "/status/replicas"), AGE];

pub const HPA: &[Column] = &[
    NAME,
    made("Reference", |h, _| {
        let target = &h["spec"]["scaleTargetRef"];
        json!(format!("{}/{}", str_of(target, "kind"), str_of(target, "name")))
    }),
    made("Targets", |h, _| json!(metrics(h))),
    made("MinPods", |h, _| {
        h["spec"]["minReplicas"].as_i64().map_or(json!("<unset>"), |n| json!(n.to_string()))
    }),
    amount("MaxPods", "/spec/maxReplicas"),
    amount("Replicas", "/status/currentReplicas"),
    AGE,
];

/// The first two metrics, each as `NAME: NOW/WANTED`, and how many more there are.
fn metrics(autoscaler: &Value) -> String {
    let current = &autoscaler["status"]["currentMetrics"];
    let mut list: Vec<String> =
        items(&autoscaler["spec"], "metrics").enumerate().map(|(i, m)| metric(m, &current[i])).collect();
    match list.len() {
        0 => "<none>".into(),
        n if n > 2 => {
            list.truncate(2);
            format!("{} + {} more...", list.join(", "), n - 2)
        }
        _ => list.join(", "),
    }
}

fn metric(metric: &Value, current: &Value) -> String {
    let field = match str_of(metric, "type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".into(),
    };
    let (source, now) = (&metric[field], &current[field]["current"]);
    let of = |value: &Value, key: &str| value[key].as_str().unwrap_or("<unknown>").to_string();
    let percent = |value: &Value, unset: &str| match value["averageUtilization"].as_i64() {
        Some(percent) => format!("{percent}%"),
        None => unset.to_string(),
    };
    let target = &source["target"];
    let average = target["averageValue"].is_string();
    match field {
        "resource" | "containerResource" if average => {
            format!("{}: {}/{}", str_of(source, "name"), of(now, "averageValue"), of(target, "averageValue"))
        }
        "resource" | "containerResource" => {
            format!("{}: {}/{}", str_of(source, "name"), percent(now, "<unknown>"), percent(target, "<auto>"))
        }
        "pods" => format!("{}/{}", of(now, "averageValue"), of(target, "averageValue")),
        _ if average => format!("{}/{} (avg)", of(now, "averageValue"), of(target, "averageValue")),
        _ => format!("{}/{}", of(now, "value"), of(target, "value")),
    }
}
