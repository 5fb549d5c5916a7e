//! Defaults of services and their endpoints.

use super::each;
use super::rows::{Fill, Row, fill};
use crate::meta::{as_map, default_text, default_to};
use serde_json::{Map, Value, json};
use std::net::Ipv6Addr;

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
        fill(spec, &[Row("sessionAffinityConfig.clientIP.timeoutSeconds", Fill::Number(10800))]);
    }
    // Who knows of one address alone means it to be the first of all. Not the other way round: whoever
    // knows of the list says both.
    let one = spec.get("clusterIP").and_then(Value::as_str).filter(|ip| !ip.is_empty()).map(str::to_string);
    let has_list = spec.get("clusterIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if let (Some(ip), false) = (one, has_list) {
        spec.insert("clusterIPs".into(), json!([ip]));
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_string();
    if kind == "ExternalName" {
        return;
    }
    default_text(spec, "internalTrafficPolicy", "Cluster");
    families(spec);
    let outside = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if kind == "NodePort" || kind == "LoadBalancer" || outside {
        default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default_to(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn families(spec: &mut Map<String, Value>) {
    let asked = [spec.get("clusterIP"), spec.get("clusterIPs").and_then(|ips| ips.get(0))];
    let asked: Vec<&str> = asked.into_iter().flatten().filter_map(Value::as_str).collect();
    let is_headless = asked.contains(&"None");
    let is_v6 = asked.iter().any(|ip| ip.parse::<Ipv6Addr>().is_ok());
    // Whoever names its addresses by himself may name any.
    let is_open = is_headless && spec.get("selector").and_then(Value::as_object).is_none_or(Map::is_empty);
    default_text(spec, "ipFamilyPolicy", if is_open { "RequireDualStack" } else { "SingleStack" });
    // Of an address that this cluster has not, the allocator speaks.
    if !is_v6 {
        default_to(spec, "ipFamilies", json!(["IPv4"]));
    }
    if is_open
        && spec["ipFamilyPolicy"] != "SingleStack"
        && let Some(Value::Array(families)) = spec.get_mut("ipFamilies")
        && let [one] = families.as_slice()
    {
        let other = if one == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(json!(other));
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
