//! Nodes, namespaces, configuration, events and the rest of the cluster's furniture.

use super::{
    AGE, Cell, Column, NAME, count, items, length, made, number, or_none, str_of, text, text_or, time,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const NODE: &[Column] = &[
    NAME,
    made("Status", |n, _| json!(node_status(n))),
    made("Roles", |n, _| or_none(roles(n))),
    AGE,
    text("Version", "/status/nodeInfo/kubeletVersion"),
    made("Internal-IP", |n, _| or_none(address(n, "InternalIP"))).wide(),
    made("External-IP", |n, _| or_none(address(n, "ExternalIP"))).wide(),
    text_or("OS-Image", "/status/nodeInfo/osImage", "<unknown>").wide(),
    text_or("Kernel-Version", "/status/nodeInfo/kernelVersion", "<unknown>").wide(),
    text_or("Container-Runtime", "/status/nodeInfo/containerRuntimeVersion", "<unknown>").wide(),
];

fn node_status(node: &Value) -> String {
    let ready = items(&node["status"], "conditions").find(|c| c["type"] == "Ready");
    let word = match ready {
        Some(c) if c["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let cordoned = if node["spec"]["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
    format!("{word}{cordoned}")
}

/// Roles are labels: `node-role.kubernetes.io/ROLE`, or `kubernetes.io/role=ROLE`.
fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_string()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_string),
        None => None,
    };
    let roles: BTreeSet<String> = labels.filter_map(role).filter(|r| !r.is_empty()).collect();
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn address<'n>(node: &'n Value, kind: &str) -> &'n str {
    let found = items(&node["status"], "addresses").find(|a| a["type"] == kind);
    found.map(|a| str_of(a, "address")).unwrap_or_default()
}

pub const NAMESPACE: &[Column] = &[NAME, text("Status", "/status/phase"), AGE];

pub const COMPONENT_STATUS: &[Column] = &[
    NAME,
    made("Status", |c, _| {
        json!(match healthy(c) {
            None => "Unknown",
            Some(condition) if condition["status"] == "True" => "Healthy",
            Some(_) => "Unhealthy",
        })
    }),
    made("Message", |c, _| json!(healthy(c).map_or("", |condition| str_of(condition, "message")))),
    made("Error", |c, _| json!(healthy(c).map_or("", |condition| str_of(condition, "error")))),
];

fn healthy(component: &Value) -> Option<&Value> {
    items(component, "conditions").find(|condition| condition["type"] == "Healthy")
}

pub const CONFIG_MAP: &[Column] =
    &[NAME, made("Data", |c, _| json!(length(&c["data"]) + length(&c["binaryData"]))), AGE];

pub const SECRET: &[Column] =
    &[NAME, text("Type", "/type"), Column::new("Data", "string", Cell::Length("/data")), AGE];

pub const SERVICE_ACCOUNT: &[Column] =
    &[NAME, Column::new("Secrets", "string", Cell::Length("/secrets")), AGE];

pub const LEASE: &[Column] = &[NAME, text("Holder", "/spec/holderIdentity"), AGE];

pub const RUNTIME_CLASS: &[Column] = &[NAME, text("Handler", "/handler"), AGE];

pub const PRIORITY_CLASS: &[Column] = &[
    NAME,
    number("Value", "/value"),
    Column::new("Global-Default", "boolean", Cell::Truth("/globalDefault", false)),
    AGE,
    text("PreemptionPolicy", "/preemptionPolicy"),
];

pub const RESOURCE_QUOTA: &[Column] =
    &[NAME, made("Request", |q, _| json!(quota(q, false))), made("Limit", |q, _| json!(quota(q, true))), AGE];

/// `NAME: USED/HARD` of the limits, or of all the others.
fn quota(quota: &Value, limits: bool) -> String {
    let status = &quota["status"];
    let hard = status["hard"].as_object().into_iter().flatten();
    let mut list: Vec<String> = hard
        .filter(|(name, _)| name.starts_with("limits.") == limits)
        .map(|(name, hard)| {
            let used = status["used"][name].as_str().unwrap_or("0");
            format!("{name}: {used}/{}", hard.as_str().unwrap_or("0"))
        })
        .collect();
    list.sort();
    list.join(", ")
}

pub const CERTIFICATE_SIGNING_REQUEST: &[Column] = &[
    NAME,
    AGE,
    text_or("SignerName", "/spec/signerName", "<none>"),
    text("Requestor", "/spec/username"),
    made("RequestedDuration", |c, _| match c["spec"]["expirationSeconds"].as_i64() {
        Some(seconds) => json!(time::human(seconds)),
        None => json!("<none>"),
    }),
    made("Condition", |c, _| json!(decision(c))),
];

fn decision(request: &Value) -> String {
    let is = |kind: &str| items(&request["status"], "conditions").any(|c| c["type"] == kind);
    let word = match () {
        () if is("Denied") => "Denied",
        () if is("Approved") => "Approved",
        () => "Pending",
    };
    let failed = if is("Failed") { ",Failed" } else { "" };
    let issued = if str_of(&request["status"], "certificate").is_empty() { "" } else { ",Issued" };
    format!("{word}{failed}{issued}")
}

pub const ROLE_BINDING: &[Column] = &[
    NAME,
    made("Role", |b, _| {
        json!(format!("{}/{}", str_of(&b["roleRef"], "kind"), str_of(&b["roleRef"], "name")))
    }),
    AGE,
    made("Users", |b, _| subjects(b, "User")).wide(),
    made("Groups", |b, _| subjects(b, "Group")).wide(),
    made("ServiceAccounts", |b, _| subjects(b, "ServiceAccount")).wide(),
];

fn subjects(binding: &Value, kind: &str) -> Value {
    let subjects = items(binding, "subjects").filter(|s| s["kind"] == kind);
    let show = |s: &Value| match kind {
        "ServiceAccount" => format!("{}/{}", str_of(s, "namespace"), str_of(s, "name")),
        _ => str_of(s, "name").to_string(),
    };
    json!(subjects.map(show).collect::<Vec<_>>().join(", "))
}

pub const EVENT: &[Column] = &[
    made("Last Seen", |e, now| {
        let series = &e["series"]["lastObservedTime"];
        let last = [series, &e["lastTimestamp"]].into_iter().find(|time| !time.is_null());
        json!(time::since(last.unwrap_or(first_seen(e)), now))
    }),
    text("Type", "/type"),
    text("Reason", "/reason"),
    made("Object", |e, _| {
        let about = &e["involvedObject"];
        let kind = str_of(about, "kind").to_lowercase();
        match str_of(about, "name") {
            "" => json!(kind),
            name => json!(format!("{kind}/{name}")),
        }
    }),
    text("Subobject", "/involvedObject/fieldPath").wide(),
    made("Source", |e, _| json!(event_source(e))).wide(),
    made("Message", |e, _| json!(str_of(e, "message").trim())),
    made("First Seen", |e, now| json!(time::since(first_seen(e), now))).wide(),
    made("Count", |e, _| match e["series"]["count"].as_i64() {
        Some(times) => json!(times),
        // One event needs no count.
        None => json!(count(&e["count"]).max(1)),
    })
    .wide(),
    NAME.wide(),
];

fn first_seen(event: &Value) -> &Value {
    if event["firstTimestamp"].is_null() { &event["eventTime"] } else { &event["firstTimestamp"] }
}

fn event_source(event: &Value) -> String {
    let source = &event["source"];
    let component = match (str_of(source, "component"), str_of(event, "reportingComponent")) {
        ("", reporting) => reporting,
        (component, _) => component,
    };
    let host = match (str_of(source, "host"), str_of(event, "reportingInstance")) {
        ("", instance) => instance,
        (host, _) => host,
    };
    if host.is_empty() { component.to_string() } else { format!("{component}, {host}") }
}
