//! Pods, and the templates that pods are made from.

use crate::fields::Errors;
use crate::names;
use objects::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value[key].as_array().into_iter().flatten().enumerate()
}

pub fn pod(object: &Value, errors: &mut Errors) {
    pod_spec(&object["spec"], "spec", errors);
}

pub fn pod_spec(spec: &Value, at: &str, errors: &mut Errors) {
    let volumes = volumes(spec, at, errors);
    let mut names_seen = BTreeSet::new();
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        errors.required(&format!("{at}.containers"), "");
    }
    for kind in ["containers", "initContainers", "ephemeralContainers"] {
        for (i, container) in list(spec, kind) {
            let at = format!("{at}.{kind}[{i}]");
            if !names_seen.insert(text(container, "name").to_string()) {
                errors.duplicate(&format!("{at}.name"), &container["name"]);
            }
            self::container(container, &at, &volumes, errors);
        }
    }
    one_of(spec, "restartPolicy", at, &["Always", "OnFailure", "Never"], errors);
    one_of(spec, "dnsPolicy", at, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|s| s < 0) {
        let why = "must be greater than or equal to 0";
        errors.invalid(
            &format!("{at}.terminationGracePeriodSeconds"),
            &spec["terminationGracePeriodSeconds"],
            why,
        );
    }
    if spec["activeDeadlineSeconds"].as_i64().is_some_and(|s| s < 1) {
        let why = "must be between 1 and 2147483647, inclusive";
        errors.invalid(&format!("{at}.activeDeadlineSeconds"), &spec["activeDeadlineSeconds"], why);
    }
    super::labels(&spec["nodeSelector"], &format!("{at}.nodeSelector"), errors);
    for key in ["serviceAccountName", "nodeName"] {
        let value = text(spec, key);
        for why in names::subdomain(value).into_iter().filter(|_| !value.is_empty()) {
            errors.invalid(&format!("{at}.{key}"), &spec[key], why);
        }
    }
    tolerations(spec, at, errors);
}

fn one_of(map: &Value, key: &str, at: &str, allowed: &[&str], errors: &mut Errors) {
    if !allowed.contains(&text(map, key)) {
        errors.unsupported(&format!("{at}.{key}"), &map[key], allowed);
    }
}

fn volumes(spec: &Value, at: &str, errors: &mut Errors) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for (i, volume) in list(spec, "volumes") {
        let at = format!("{at}.volumes[{i}]");
        let name = text(volume, "name");
        if name.is_empty() {
            errors.required(&format!("{at}.name"), "");
        } else {
            for why in names::label(name) {
                errors.invalid(&format!("{at}.name"), &volume["name"], why);
            }
        }
        if !seen.insert(name.to_string()) {
            errors.duplicate(&format!("{at}.name"), &volume["name"]);
        }
        let sources = volume.as_object().map_or(0, |map| map.len().saturating_sub(1));
        match sources {
            0 => errors.required(&at, "must specify a volume type"),
            1 => {}
            _ => errors.forbidden(&at, "may not specify more than 1 volume type"),
        }
        if volume["hostPath"].is_object() && text(&volume["hostPath"], "path").is_empty() {
            errors.required(&format!("{at}.hostPath.path"), "");
        }
        if volume["secret"].is_object() && text(&volume["secret"], "secretName").is_empty() {
            errors.required(&format!("{at}.secret.secretName"), "");
        }
        if volume["configMap"].is_object() && text(&volume["configMap"], "name").is_empty() {
            errors.required(&format!("{at}.configMap.name"), "");
        }
    }
    seen
}

fn container(container: &Value, at: &str, volumes: &BTreeSet<String>, errors: &mut Errors) {
    let name = text(container, "name");
    if name.is_empty() {
        errors.required(&format!("{at}.name"), "");
    } else {
        for why in names::label(name) {
            errors.invalid(&format!("{at}.name"), &container["name"], why);
        }
    }
    let image = text(container, "image");
    if image.is_empty() {
        errors.required(&format!("{at}.image"), "");
    } else if image.trim() != image {
        errors.invalid(
            &format!("{at}.image"),
            &container["image"],
            "must not have leading or trailing whitespace",
        );
    }
    one_of(container, "imagePullPolicy", at, &["Always", "IfNotPresent", "Never"], errors);
    ports(container, at, errors);
    for (i, env) in list(container, "env") {
        let at = format!("{at}.env[{i}]");
        if text(env, "name").is_empty() {
            errors.required(&format!("{at}.name"), "");
        } else {
            for why in names::env_var(text(env, "name")) {
                errors.invalid(&format!("{at}.name"), &env["name"], why);
            }
        }
        if env["valueFrom"].is_object() && !text(env, "value").is_empty() {
            errors.invalid_text(
                &format!("{at}.valueFrom"),
                "\"\"",
                "may not be specified when `value` is not empty",
            );
        }
    }
    let mut paths = BTreeSet::new();
    for (i, mount) in list(container, "volumeMounts") {
        let at = format!("{at}.volumeMounts[{i}]");
        match text(mount, "name") {
            "" => errors.required(&format!("{at}.name"), ""),
            name if !volumes.contains(name) => errors.not_found(&format!("{at}.name"), &mount["name"]),
            _ => {}
        }
        match text(mount, "mountPath") {
            "" => errors.required(&format!("{at}.mountPath"), ""),
            path if !paths.insert(path) => {
                errors.invalid(&format!("{at}.mountPath"), &mount["mountPath"], "must be unique");
            }
            _ => {}
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probe(&container[name], &format!("{at}.{name}"), name, errors);
    }
    resources(&container["resources"], &format!("{at}.resources"), errors);
}

fn ports(container: &Value, at: &str, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (i, port) in list(container, "ports") {
        let at = format!("{at}.ports[{i}]");
        let name = text(port, "name");
        if !name.is_empty() {
            for why in names::port_name(name) {
                errors.invalid(&format!("{at}.name"), &port["name"], why);
            }
            if !seen.insert(name) {
                errors.duplicate(&format!("{at}.name"), &port["name"]);
            }
        }
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => errors.required(&format!("{at}.containerPort"), ""),
            number => {
                if let Some(why) = names::port(number) {
                    errors.invalid(&format!("{at}.containerPort"), &port["containerPort"], why);
                }
            }
        }
        if let Some(why) = port["hostPort"].as_i64().filter(|p| *p != 0).and_then(names::port) {
            errors.invalid(&format!("{at}.hostPort"), &port["hostPort"], why);
        }
        one_of(port, "protocol", &at, &["SCTP", "TCP", "UDP"], errors);
    }
}

fn probe(probe: &Value, at: &str, name: &str, errors: &mut Errors) {
    if !probe.is_object() {
        return;
    }
    let actions = ["exec", "httpGet", "tcpSocket", "grpc"];
    match actions.iter().filter(|a| probe[**a].is_object()).count() {
        0 => errors.required(at, "must specify a handler type"),
        1 => {}
        _ => errors.forbidden(at, "may not specify more than 1 handler type"),
    }
    if name != "readinessProbe" && probe["successThreshold"].as_i64() != Some(1) {
        errors.invalid(&format!("{at}.successThreshold"), &probe["successThreshold"], "must be 1");
    }
}

fn resources(resources: &Value, at: &str, errors: &mut Errors) {
    for list in ["limits", "requests"] {
        for (name, amount) in resources[list].as_object().into_iter().flatten() {
            let at = format!("{at}.{list}[{name}]");
            match Quantity::parse(amount.as_str().unwrap_or_default()) {
                Err(_) => errors.invalid(&at, amount, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
                Ok(quantity) if quantity.is_negative() => {
                    errors.invalid(&at, amount, "must be greater than or equal to 0");
                }
                Ok(_) => {}
            }
            if !name.contains('/') && !known_resource(name) {
                errors.invalid(
                    &at,
                    &Value::from(name.as_str()),
                    "must be a standard resource type or fully qualified",
                );
            }
        }
    }
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let amount = |v: &Value| Quantity::parse(v.as_str().unwrap_or_default()).ok();
        if let (Some(request), Some(limit)) = (amount(request), amount(&resources["limits"][name]))
            && request > limit
        {
            let why = format!("must be less than or equal to {name} limit of {limit}");
            errors.invalid(&format!("{at}.requests"), &resources["requests"][name], why);
        }
    }
}

fn known_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

fn tolerations(spec: &Value, at: &str, errors: &mut Errors) {
    for (i, toleration) in list(spec, "tolerations") {
        let at = format!("{at}.tolerations[{i}]");
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        if !key.is_empty() {
            for why in names::qualified(key) {
                errors.invalid(&format!("{at}.key"), &toleration["key"], why);
            }
        } else if operator != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(&format!("{at}.operator"), &toleration["operator"], why);
        }
        if !["", "Equal", "Exists"].contains(&operator) {
            errors.unsupported(&format!("{at}.operator"), &toleration["operator"], &["Equal", "Exists"]);
        }
        if operator == "Exists" && !text(toleration, "value").is_empty() {
            errors.invalid(
                &format!("{at}.operator"),
                &toleration["operator"],
                "value must be empty when `operator` is 'Exists'",
            );
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        let effect = text(toleration, "effect");
        if !effect.is_empty() && !effects.contains(&effect) {
            errors.unsupported(&format!("{at}.effect"), &toleration["effect"], &effects);
        }
    }
}

/// A pod is what it was made to be: only images, deadlines and more tolerations may change.
pub fn pod_update(old: &Value, new: &Value, errors: &mut Errors) {
    let mutable = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
    let tolerations = |pod: &Value| pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let kept = tolerations(old);
    if !kept.iter().all(|t| tolerations(new).contains(t)) {
        errors.forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
    let strip = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        for kind in ["containers", "initContainers"] {
            for container in spec.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(map) = container.as_object_mut() {
                    map.shift_remove("image");
                }
            }
        }
        if let Some(map) = spec.as_object_mut() {
            for key in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
                map.shift_remove(key);
            }
        }
        spec
    };
    if strip(old) != strip(new) {
        errors.forbidden("spec", mutable);
    }
}
