//! The environment of a container, and the fields of a pod that may be read into it.

use crate::fields::Errors;
use crate::names;
use crate::validation::at::At;
use crate::validation::rules::{Row, Rule};

pub static VARIABLE: &[Row] = &[Row("name", Rule::Named(names::env_var)), Row("", Rule::Code(value_from))];

const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields that exist, whether or not they may be read where they are named.
const KNOWN: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

fn value_from(variable: &At<'_>, errors: &mut Errors) {
    let from = variable.get("valueFrom");
    if !from.is_set() {
        return;
    }
    let mut sources = 0;
    for key in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"] {
        let source = from.get(key);
        if !source.is_set() {
            continue;
        }
        sources += 1;
        match key {
            "fieldRef" => field_ref(&source, &FIELDS, errors),
            "resourceFieldRef" => resource_field_ref(&source, false, errors),
            _ => {
                source.get("name").obey(names::subdomain, errors);
                if source.get("key").require(errors) {
                    source.get("key").obey(names::config_key, errors);
                }
            }
        }
    }
    let why = if sources == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
    } else if !variable.get("value").is_empty() {
        "may not be specified when `value` is not empty"
    } else if sources > 1 {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    errors.invalid_text(&from.path, "\"\"", why);
}

/// A field of the pod: `metadata.name`, `metadata.labels['app']`.
pub fn field_ref(at: &At<'_>, allowed: &[&str], errors: &mut Errors) {
    if !at.get("apiVersion").require(errors) || !at.get("fieldPath").require(errors) {
        return;
    }
    let at_path = at.get("fieldPath");
    let path = at_path.text();
    if at.get("apiVersion").text() != "v1" {
        let why =
            format!("error converting fieldPath: unsupported pod version: {}", at.get("apiVersion").text());
        return at_path.invalid(why, errors);
    }
    if let Some((map, key)) = subscript(path) {
        let key_wrong = match map {
            "metadata.annotations" => names::lower(names::qualified, key),
            "metadata.labels" => names::qualified(key),
            _ => {
                let why =
                    format!("error converting fieldPath: field label does not support subscript: {path}");
                return at_path.invalid(why, errors);
            }
        };
        for why in key_wrong {
            errors.invalid(&at.path, &key.into(), why);
        }
    } else if !KNOWN.contains(&path) {
        let why = format!("error converting fieldPath: field label not supported: {path}");
        at_path.invalid(why, errors);
    } else {
        at_path.unsupported(allowed, errors);
    }
}

/// `map['key']` in two.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
}

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// An amount that a container may use. A volume must say which container's.
pub fn resource_field_ref(at: &At<'_>, in_volume: bool, errors: &mut Errors) {
    let resource = at.get("resource");
    let pages = ["limits.hugepages-", "requests.hugepages-"].iter().any(|p| resource.text().starts_with(p));
    if in_volume && at.get("containerName").is_empty() {
        at.get("containerName").required("", errors);
    } else if resource.require(errors) && !pages {
        resource.unsupported(&RESOURCES, errors);
    }
    let divisor = at.get("divisor");
    let what = match resource.text().split_once('.').map_or("", |(_, name)| name) {
        _ if divisor.quantity().is_none_or(|q| q.is_zero()) => return,
        "cpu" if !["1m", "1"].contains(&divisor.text()) => {
            let why = "only divisor's values 1m and 1 are supported with the cpu resource";
            return errors.invalid(&divisor.path, resource.value, why);
        }
        "memory" => "memory",
        "ephemeral-storage" => "local ephemeral storage",
        _ if pages => "hugepages",
        _ => return,
    };
    let sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    if !sizes.contains(&divisor.text()) {
        let why =
            format!("only divisor's values {} are supported with the {what} resource", sizes.join(", "));
        errors.invalid(&divisor.path, resource.value, why);
    }
}

pub fn env_from(list: &At<'_>, errors: &mut Errors) {
    for item in list.items() {
        item.get("prefix").name(names::env_var, errors);
        let mut sources = 0;
        for key in ["configMapRef", "secretRef"] {
            let source = item.get(key);
            if source.is_set() {
                sources += 1;
                if source.get("name").require(errors) {
                    source.get("name").obey(names::subdomain, errors);
                }
            }
        }
        // Upstream's path is the list's.
        match sources {
            0 => {
                errors.invalid_text(&list.path, "\"\"", "must specify one of: `configMapRef` or `secretRef`")
            }
            1 => {}
            _ => errors.invalid_text(
                &list.path,
                "\"\"",
                "may not have more than one field specified at a time",
            ),
        }
    }
}
