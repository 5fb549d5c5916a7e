//! Small kinds of the cluster: namespaces, nodes, events, leases, priorities, runtimes.

use super::at::At;
use super::meta;
use super::pods::{resources, scheduling};
use super::rules::{Change, Row, Rule};
use crate::fields::{Errors, IMMUTABLE, go_strings};
use crate::names;
use std::collections::BTreeSet;

pub static NAMESPACE: &[Row] = &[Row(
    "spec.finalizers",
    Rule::Each(&[
        Row("", Rule::Code(|name, errors| name.named("spec.finalizers").obey(names::qualified, errors))),
        Row("", Rule::Code(|name, errors| meta::finalizer_name(&name.named("spec.finalizers"), errors))),
    ]),
)];

pub static NODE: &[Row] = &[
    Row("spec.taints", Rule::Code(scheduling::taints)),
    Row("status.capacity", Rule::Code(amounts)),
    Row("status.allocatable", Rule::Code(amounts)),
    Row("spec.podCIDRs", Rule::Code(pod_cidrs)),
];

pub static NODE_CHANGES: &[Change] = &[Change::Code(node_update)];

fn amounts(map: &At<'_>, errors: &mut Errors) {
    for (name, amount) in map.entries() {
        resources::amount_of(name, &amount.named(map.child(name)), errors);
    }
}

fn pod_cidrs(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    let families: BTreeSet<bool> =
        list.texts().into_iter().filter_map(names::parse_cidr).map(|(ip, _)| ip.is_ipv4()).collect();
    for cidr in list.items() {
        cidr.obey(names::cidr, errors);
    }
    if list.len() > 1 && (families.len() < 2 || list.len() > 2) {
        list.invalid("may specify no more than one CIDR for each IP family", errors);
    }
    for cidr in list.items() {
        if !seen.insert(cidr.text()) {
            cidr.duplicate(errors);
        }
    }
}

/// What a node is given once stays.
fn node_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for address in new.at("status.addresses").items() {
        if seen.contains(&address.value) {
            address.duplicate(errors);
        }
        seen.push(address.value);
    }
    for (key, shown) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
        let (before, now) = (old.get("spec").get(key), new.get("spec").get(key));
        if !before.is_empty() && before.value != now.value {
            let why = format!("node updates may not change {shown} except from \"\" to valid");
            now.forbidden(&why, errors);
        }
    }
}

pub static LEASE: &[Row] = &[Row(
    "spec",
    Rule::Within(&[
        Row("leaseDurationSeconds", Rule::Code(above_zero)),
        Row(
            "leaseTransitions",
            Rule::Code(|at, errors| {
                if at.int().is_some_and(|n| n < 0) {
                    at.invalid("must be greater than or equal to 0", errors);
                }
            }),
        ),
        Row("strategy", Rule::Code(strategy)),
    ]),
)];

fn above_zero(at: &At<'_>, errors: &mut Errors) {
    if at.int().is_some_and(|n| n <= 0) {
        at.invalid("must be greater than 0", errors);
    }
}

fn strategy(at: &At<'_>, errors: &mut Errors) {
    at.one_of(&["OldestEmulationVersion"], errors);
}

/// The highest priority that is not the system's.
const HIGHEST: i64 = 1_000_000_000;

pub static PRIORITY_CLASS: &[Row] = &[
    Row("", Rule::Code(priority)),
    Row("preemptionPolicy", Rule::OneOf(&["PreemptLowerPriority", "Never"])),
];

pub static PRIORITY_CLASS_CHANGES: &[Change] = &[Change::Code(priority_update)];

fn priority(class: &At<'_>, errors: &mut Errors) {
    let (name, value) = (class.at("metadata.name"), class.get("value"));
    let system = match name.text() {
        "system-node-critical" => Some(2_000_001_000),
        "system-cluster-critical" => Some(2_000_000_000),
        _ => None,
    };
    let reserved = |why: String, errors: &mut Errors| {
        let why = format!(
            "priority class names with 'system-' prefix are reserved for system use only. error: {why}"
        );
        name.forbidden(&why, errors);
    };
    match system {
        Some(number) if value.int() != Some(number) => {
            reserved(format!("value of {} PriorityClass must be {number}", name.text()), errors);
        }
        Some(_) if class.get("globalDefault").is_true() => {
            reserved(format!("globalDefault of {} PriorityClass must be false", name.text()), errors);
        }
        Some(_) => {}
        None if name.text().starts_with("system-") => {
            reserved(format!("{} is not a known system priority class", name.text()), errors);
        }
        None if value.int().is_some_and(|value| value > HIGHEST) => {
            value
                .forbidden(&format!("maximum allowed value of a user defined priority is {HIGHEST}"), errors);
        }
        None => {}
    }
}

fn priority_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    if old.get("value").int().unwrap_or(0) != new.get("value").int().unwrap_or(0) {
        new.get("value").forbidden("may not be changed in an update.", errors);
    }
    let policy = new.get("preemptionPolicy");
    if old.get("preemptionPolicy").value != policy.value {
        policy.invalid(IMMUTABLE, errors);
    }
}

pub static RUNTIME_CLASS: &[Row] = &[
    Row("handler", Rule::Code(|handler, errors| handler.obey(names::label, errors))),
    Row(
        "overhead.podFixed",
        Rule::Code(|at, errors| resources::overhead(&at.named("overhead.podFixed"), errors)),
    ),
    Row("scheduling.nodeSelector", Rule::Labels),
    Row("scheduling.tolerations", Rule::Each(scheduling::TOLERATION)),
];

pub static RUNTIME_CLASS_CHANGES: &[Change] = &[Change::Immutable("handler")];

/// Lists that must name something, `*` being alone.
pub fn wildcard_alone(list: &At<'_>, what: &str, errors: &mut Errors) {
    if list.len() > 1 && list.texts().contains(&"*") {
        let printed = go_strings("string", list.value);
        let why = format!("if '*' is present, must not specify other {what}");
        errors.invalid_text(&list.path, &printed, &why);
    }
}
