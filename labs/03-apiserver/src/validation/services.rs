//! Services, Endpoints and EndpointSlices.

use crate::fields::Errors;
use crate::names;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value[key].as_array().into_iter().flatten().enumerate()
}

pub fn service(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    let kind = text(spec, "type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        errors.unsupported("spec.type", &spec["type"], &kinds);
    }
    let headless = text(spec, "clusterIP") == "None";
    let ports = spec["ports"].as_array().map_or(0, Vec::len);
    if ports == 0 && !headless && kind != "ExternalName" {
        errors.required("spec.ports", "");
    }
    if kind == "ExternalName" && text(spec, "externalName").is_empty() {
        errors.required("spec.externalName", "");
    }
    if headless && kind != "ClusterIP" && kind != "ExternalName" {
        errors.invalid(
            "spec.clusterIPs[0]",
            &spec["clusterIP"],
            format!("may not be set to 'None' for {kind} services"),
        );
    }
    let ip = text(spec, "clusterIP");
    if !ip.is_empty() && !headless && ip.parse::<IpAddr>().is_err() {
        errors.invalid(
            "spec.clusterIPs[0]",
            &spec["clusterIP"],
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
    }
    if !["None", "ClientIP"].contains(&text(spec, "sessionAffinity")) {
        errors.unsupported("spec.sessionAffinity", &spec["sessionAffinity"], &["ClientIP", "None"]);
    }
    super::labels(&spec["selector"], "spec.selector", errors);
    service_ports(spec, ports, kind, errors);
}

fn service_ports(spec: &Value, count: usize, kind: &str, errors: &mut Errors) {
    let (mut by_name, mut by_port, mut by_node_port) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (i, port) in list(spec, "ports") {
        let at = format!("spec.ports[{i}]");
        let name = text(port, "name");
        if name.is_empty() {
            if count > 1 {
                errors.required(&format!("{at}.name"), "");
            }
        } else {
            for why in names::label(name) {
                errors.invalid(&format!("{at}.name"), &port["name"], why);
            }
            if !by_name.insert(name) {
                errors.duplicate(&format!("{at}.name"), &port["name"]);
            }
        }
        let protocol = text(port, "protocol");
        if !["TCP", "UDP", "SCTP"].contains(&protocol) {
            errors.unsupported(&format!("{at}.protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        }
        let number = port["port"].as_i64().unwrap_or(0);
        if let Some(why) = names::port(number) {
            errors.invalid(&format!("{at}.port"), &port["port"], why);
        } else if !by_port.insert((protocol, number)) {
            errors.duplicate(&at, port);
        }
        match &port["targetPort"] {
            Value::Number(number) => {
                if let Some(why) = names::port(number.as_i64().unwrap_or(0)) {
                    errors.invalid(&format!("{at}.targetPort"), &port["targetPort"], why);
                }
            }
            Value::String(name) => {
                for why in names::port_name(name) {
                    errors.invalid(&format!("{at}.targetPort"), &port["targetPort"], why);
                }
            }
            _ => {}
        }
        let node_port = port["nodePort"].as_i64().unwrap_or(0);
        if node_port != 0 && kind == "ClusterIP" {
            errors.forbidden(&format!("{at}.nodePort"), "may not be used when `type` is 'ClusterIP'");
        } else if node_port != 0 && !by_node_port.insert((protocol, node_port)) {
            errors.duplicate(&format!("{at}.nodePort"), &port["nodePort"]);
        }
    }
}

/// A service that keeps its kind keeps its address.
pub fn service_update(old: &Value, new: &Value, errors: &mut Errors) {
    let (before, after) = (&old["spec"], &new["spec"]);
    let external = |spec: &Value| text(spec, "type") == "ExternalName";
    if external(before) || external(after) || text(before, "clusterIP").is_empty() {
        return;
    }
    if before["clusterIP"] != after["clusterIP"] {
        let printed = format!("[]string{{{:?}}}", text(after, "clusterIP"));
        errors.invalid_text("spec.clusterIPs[0]", &printed, "may not change once set");
    }
}

fn address(ip: &Value, at: &str, errors: &mut Errors) {
    match ip.as_str().unwrap_or_default().parse::<IpAddr>() {
        Err(_) => errors.invalid(at, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        Ok(ip_address) if ip_address.is_loopback() => {
            errors.invalid(at, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
        }
        Ok(_) => {}
    }
}

pub fn endpoints(object: &Value, errors: &mut Errors) {
    for (i, subset) in list(object, "subsets") {
        for kind in ["addresses", "notReadyAddresses"] {
            for (j, endpoint) in list(subset, kind) {
                address(&endpoint["ip"], &format!("subsets[{i}].{kind}[{j}].ip"), errors);
            }
        }
        for (j, port) in list(subset, "ports") {
            if let Some(why) = names::port(port["port"].as_i64().unwrap_or(0)) {
                errors.invalid(&format!("subsets[{i}].ports[{j}].port"), &port["port"], why);
            }
        }
    }
}

pub fn endpoint_slice(object: &Value, errors: &mut Errors) {
    let kinds = ["FQDN", "IPv4", "IPv6"];
    if text(object, "addressType").is_empty() {
        errors.required("addressType", "");
    } else if !kinds.contains(&text(object, "addressType")) {
        errors.unsupported("addressType", &object["addressType"], &kinds);
    }
    for (i, endpoint) in list(object, "endpoints") {
        let addresses = endpoint["addresses"].as_array().map_or(0, Vec::len);
        if addresses == 0 {
            errors.required(&format!("endpoints[{i}].addresses"), "must contain at least 1 address");
        }
        for (j, ip) in list(endpoint, "addresses") {
            if text(object, "addressType") != "FQDN" {
                address(ip, &format!("endpoints[{i}].addresses[{j}]"), errors);
            }
        }
    }
}
