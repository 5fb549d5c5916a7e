//! Defaults of services and their endpoints.

use super::each;
use crate::meta::{as_map, default_text, default_to};
use serde_json::{Map, Value, json};

pub fn service(spec: &mut Map<String, Value>) {
    default_text(spec, "type", "ClusterIP");
    default_text(spec, "sessionAffinity", "None");
    each(spec, "ports", |port| {
        default_text(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or(Value::Null);
        let unset = port.get("targetPort").is_none_or(|t| t.is_null() || *t == json!(0) || *t == json!(""));
        if unset {
            port.insert("targetPort".into(), number);
        }
    });
    if spec["sessionAffinity"] == "ClientIP" {
        default_to(
            as_map(spec.entry("sessionAffinityConfig").or_insert_with(|| json!({}))),
            "clientIP",
            json!({ "timeoutSeconds": 10800 }),
        );
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_string();
    if kind == "ExternalName" {
        return;
    }
    default_text(spec, "internalTrafficPolicy", "Cluster");
    default_text(spec, "ipFamilyPolicy", "SingleStack");
    default_to(spec, "ipFamilies", json!(["IPv4"]));
    if kind == "NodePort" || kind == "LoadBalancer" {
        default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default_to(spec, "allocateLoadBalancerNodePorts", true);
    }
    // clusterIPs[0] and clusterIP are one thing under two names.
    let single =
        spec.get("clusterIP").and_then(Value::as_str).filter(|ip| !ip.is_empty()).map(str::to_string);
    let first = spec.get("clusterIPs").and_then(|l| l[0].as_str()).map(str::to_string);
    match (single, first) {
        (Some(ip), None) => {
            spec.insert("clusterIPs".into(), json!([ip]));
        }
        (None, Some(ip)) => {
            spec.insert("clusterIP".into(), json!(ip));
        }
        _ => {}
    }
}

pub fn endpoints(object: &mut Value) {
    each(as_map(object), "subsets", |subset| {
        each(subset, "ports", |port| default_text(port, "protocol", "TCP"))
    });
}

pub fn endpoint_slice(object: &mut Value) {
    let map = as_map(object);
    each(map, "ports", |port| {
        default_to(port, "name", "");
        default_text(port, "protocol", "TCP");
    });
    each(map, "endpoints", |endpoint| {
        default_to(endpoint, "conditions", json!({}));
    });
}
