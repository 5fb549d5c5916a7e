//! Amounts of resources that containers ask for and are limited to.

use crate::fields::Errors;
use crate::names;
use crate::validation::at::At;
use objects::quantity::Quantity;
use serde_json::Value;

/// `resources` of a container.
pub fn requirements(at: &At<'_>, errors: &mut Errors) {
    let (limits, requests) = (at.get("limits"), at.get("requests"));
    for (name, amount) in limits.entries() {
        container_amount(name, &amount, errors);
    }
    for (name, amount) in requests.entries() {
        resource_name(name, &amount, errors);
        amount_of(name, &amount, errors);
        let (asked, limit) = (amount.quantity(), limits.entry(name));
        match (asked, limit.quantity()) {
            (Some(asked), Some(limit)) if asked != limit && !may_overcommit(name) => {
                requests.invalid_amount(asked, format!("must be equal to {name} limit of {limit}"), errors)
            }
            (Some(asked), Some(limit)) if asked > limit => requests.invalid_amount(
                asked,
                format!("must be less than or equal to {name} limit of {limit}"),
                errors,
            ),
            (_, None) if !may_overcommit(name) => {
                limits.required("Limit must be set for non overcommitable resources", errors);
            }
            _ => {}
        }
        huge_pages(name, &amount, errors);
    }
    let any =
        |found: fn(&str) -> bool| limits.entries().chain(requests.entries()).any(|(name, _)| found(name));
    if any(is_huge_pages) && !any(|name| matches!(name, "cpu" | "memory")) {
        at.forbidden("HugePages require cpu or memory", errors);
    }
}

/// What a sandbox takes beside its containers. Upstream checks it as limits.
pub fn overhead(at: &At<'_>, errors: &mut Errors) {
    for (name, amount) in at.get("limits").named(at.child("limits")).entries() {
        container_amount(name, &amount, errors);
    }
    for (name, amount) in at.entries() {
        let path = format!("{}.limits[{name}]", at.path);
        container_amount(name, &amount.named(path), errors);
    }
}

fn container_amount(name: &str, amount: &At<'_>, errors: &mut Errors) {
    resource_name(name, amount, errors);
    amount_of(name, amount, errors);
    huge_pages(name, amount, errors);
}

impl At<'_> {
    fn invalid_amount(&self, amount: Quantity, why: String, errors: &mut Errors) {
        errors.invalid(&self.path, &Value::from(amount.to_string()), why);
    }
}

/// A resource of a container: of Kubernetes itself, or of somebody's domain.
pub fn resource_name(name: &str, at: &At<'_>, errors: &mut Errors) {
    let wrong = |why: &str, errors: &mut Errors| errors.invalid(&at.path, &Value::from(name), why);
    any_resource_name(name, at, errors);
    let of_container = matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_pages(name);
    match name.split_once('/') {
        None if !of_container => wrong("must be a standard resource for containers", errors),
        Some((domain, _)) if !domain.ends_with("kubernetes.io") && !is_extended(name) => {
            wrong("doesn't follow extended resource name standard", errors);
        }
        _ => {}
    }
}

/// The name of some resource.
pub fn any_resource_name(name: &str, at: &At<'_>, errors: &mut Errors) {
    let mut wrong = names::qualified(name);
    if wrong.is_empty() && !name.contains('/') && !is_standard(name) {
        wrong.push("must be a standard resource type or fully qualified".into());
    }
    for why in wrong {
        errors.invalid(&at.path, &Value::from(name), why);
    }
}

fn is_standard(name: &str) -> bool {
    const STANDARD: [&str; 19] = [
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "persistentvolumeclaims",
        "configmaps",
        "storage",
        "requests.storage",
        "services.nodeports",
    ];
    STANDARD.contains(&name)
        || name == "services.loadbalancers"
        || is_huge_pages(name)
        || name.starts_with("requests.hugepages-")
}

pub fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// A resource of somebody's domain that a node may have.
fn is_extended(name: &str) -> bool {
    !name.starts_with("requests.") && names::qualified(&format!("requests.{name}")).is_empty()
}

/// Resources of Kubernetes may be promised beyond what there is, except huge pages.
pub fn may_overcommit(name: &str) -> bool {
    let native = name.split_once('/').is_none_or(|(domain, _)| domain.ends_with("kubernetes.io"));
    native && !is_huge_pages(name)
}

/// Not negative, and whole where only whole ones make sense.
pub fn amount_of(name: &str, at: &At<'_>, errors: &mut Errors) {
    let Some(amount) = at.quantity() else { return };
    if amount.is_negative() {
        at.invalid_amount(amount, "must be greater than or equal to 0".into(), errors);
    }
    let counted = [
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    let whole = counted.contains(&name) || !may_overcommit(name) && !is_huge_pages(name);
    if whole && amount.nanos() % 1_000_000_000 != 0 {
        at.invalid_amount(amount, "must be an integer".into(), errors);
    }
}

/// Huge pages come whole.
fn huge_pages(name: &str, at: &At<'_>, errors: &mut Errors) {
    let Some(page) = name.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok()) else {
        return;
    };
    let Some(amount) = at.quantity().filter(|_| !page.is_zero()) else { return };
    if amount.nanos() % page.nanos() != 0 {
        let why = format!("{amount} is not positive integer multiple of {name}");
        at.invalid_amount(amount, why, errors);
    }
}
