//! Resource quotas and limit ranges.

use super::at::At;
use super::pods::resources;
use super::rules::{Change, Row, Rule};
use crate::fields::{Errors, IMMUTABLE, go_strings};
use crate::names;
use objects::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

pub static QUOTA: &[Row] = &[
    Row("spec.hard", Rule::Code(hard)),
    Row("spec", Rule::Code(scopes)),
    Row("spec.scopeSelector", Rule::Within(&[Row("matchExpressions", Rule::Code(scope_selector))])),
    Row("status.hard", Rule::Code(hard)),
    Row("status.used", Rule::Code(hard)),
];

pub static QUOTA_CHANGES: &[Change] = &[Change::Code(scopes_update)];

/// What a quota counts without a domain in front.
const COUNTED: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
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
    "services.nodeports",
    "services.loadbalancers",
];

fn is_counted(name: &str) -> bool {
    COUNTED.contains(&name) || resources::is_huge_pages(name) || name.starts_with("requests.hugepages-")
}

fn hard(map: &At<'_>, errors: &mut Errors) {
    for (name, amount) in map.entries() {
        resources::any_resource_name(name, &amount, errors);
        if !name.contains('/') && !is_counted(name) {
            errors.invalid(&amount.path, &Value::from(name), "must be a standard resource for quota");
        }
        resources::amount_of(name, &amount, errors);
    }
}

const SCOPES: [&str; 6] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
];

/// Pods of best effort ask for nothing: only their number can be limited.
fn fits(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => {
            matches!(
                resource,
                "pods"
                    | "cpu"
                    | "memory"
                    | "ephemeral-storage"
                    | "requests.cpu"
                    | "requests.memory"
                    | "requests.ephemeral-storage"
                    | "limits.cpu"
                    | "limits.memory"
                    | "limits.ephemeral-storage"
            ) || resources::is_huge_pages(resource)
                || resource.starts_with("requests.hugepages-")
        }
        _ => true,
    }
}

fn scopes(spec: &At<'_>, errors: &mut Errors) {
    let (list, hard) = (spec.get("scopes"), spec.get("hard"));
    let wrong = |why: &str, errors: &mut Errors| {
        errors.invalid_text(&list.path, &go_strings("core.ResourceQuotaScope", list.value), why);
    };
    for scope in list.texts() {
        if !SCOPES.contains(&scope) {
            wrong("unsupported scope", errors);
        }
        for (name, _) in hard.entries() {
            if is_counted(name) && !fits(scope, name) {
                wrong("unsupported scope applied to resource", errors);
            }
        }
    }
    let all = list.texts();
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if all.contains(&one) && all.contains(&other) {
            wrong("conflicting scopes", errors);
        }
    }
}

fn scope_selector(list: &At<'_>, errors: &mut Errors) {
    for requirement in list.items() {
        // Upstream's paths stop at the list.
        let part = |key: &str| requirement.get(key).named(list.child(key));
        let (scope, operator, values) = (part("scopeName"), part("operator"), part("values"));
        if !SCOPES.contains(&scope.text()) {
            scope.invalid_text("unsupported scope", errors);
        } else if scope.text() != "PriorityClass" && operator.text() != "Exists" {
            let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            operator.invalid_text(why, errors);
        }
        match operator.text() {
            "In" | "NotIn" if values.is_empty() => {
                let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                values.required(why, errors);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                values.invalid(why, errors);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => operator.invalid_text("not a valid selector operator", errors),
        }
    }
}

fn scopes_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let set = |object: &At<'_>| {
        object.at("spec.scopes").texts().into_iter().map(String::from).collect::<BTreeSet<_>>()
    };
    if set(old) != set(new) {
        let scopes = new.at("spec.scopes");
        let printed = go_strings("core.ResourceQuotaScope", scopes.value);
        errors.invalid_text(&scopes.path, &printed, IMMUTABLE);
    }
}

pub static LIMIT_RANGE: &[Row] = &[
    Row("spec.limits", Rule::Each(&[Row("", Rule::Code(limit))])),
    Row("spec.limits", Rule::Unique("type")),
];

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

fn limit(at: &At<'_>, errors: &mut Errors) {
    let kind = at.get("type");
    kind.obey(names::qualified, errors);
    if !["Pod", "Container", "PersistentVolumeClaim"].contains(&kind.text()) && !kind.text().contains('/') {
        kind.invalid_text("must be a standard limit type or fully qualified", errors);
    }
    let mut keys = BTreeSet::new();
    for list in LISTS.map(|list| at.get(list)) {
        let forbidden = kind.text() == "Pod" && list.path.contains(".default");
        if forbidden && !list.is_empty() {
            list.forbidden("may not be specified when `type` is 'Pod'", errors);
        }
        for (name, amount) in list.entries().filter(|_| !forbidden) {
            if matches!(kind.text(), "Pod" | "Container") {
                resources::resource_name(name, &amount, errors);
            } else {
                resources::any_resource_name(name, &amount, errors);
            }
            keys.insert(name);
        }
    }
    if kind.text() == "PersistentVolumeClaim"
        && !at.at("min.storage").is_set()
        && !at.at("max.storage").is_set()
    {
        let why = "either minimum or maximum storage value is required, but neither was provided";
        at.get("limits").required(why, errors);
    }
    keys.into_iter().for_each(|key| relations(at, key, errors));
}

/// Least, usual and most of one resource are in order.
fn relations(at: &At<'_>, key: &str, errors: &mut Errors) {
    let amount = |list: &str| at.get(list).entry(key).quantity();
    let (min, max) = (amount("min"), amount("max"));
    let (usual, request) = (amount("default"), amount("defaultRequest"));
    let mut above =
        |a: Option<Quantity>, b: Option<Quantity>, list: &str, shown: Option<Quantity>, names: [&str; 2]| {
            if let (Some(a), Some(b), Some(shown)) = (a, b, shown)
                && a > b
            {
                let field = at.get(list).entry(key);
                let why = format!("{} value {a} is greater than {} value {b}", names[0], names[1]);
                errors.invalid(&field.path, &shown.to_string().into(), why);
            }
        };
    above(min, max, "min", min, ["min", "max"]);
    above(min, request, "defaultRequest", request, ["min", "default request"]);
    above(request, max, "defaultRequest", request, ["default request", "max"]);
    above(request, usual, "defaultRequest", request, ["default request", "default limit"]);
    // Of the limit upstream shows the bound that it breaks.
    above(min, usual, "default", min, ["min", "default"]);
    above(usual, max, "default", max, ["default", "max"]);
    let ratio = at.get("maxLimitRequestRatio").entry(key);
    if let Some(amount) = ratio.quantity().filter(|ratio| *ratio < Quantity::from_value(1)) {
        errors.invalid(&ratio.path, &amount.to_string().into(), format!("ratio {amount} is less than 1"));
    }
    let field = at.get("defaultRequest").entry(key);
    if let (Some(usual), Some(request)) = (usual, request)
        && usual != request
        && !resources::may_overcommit(key)
    {
        let why = format!("default value {usual} must equal to defaultRequest value {request} in {key}");
        errors.invalid(&field.path, &request.to_string().into(), why);
    }
}
