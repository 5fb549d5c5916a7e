//! Services, what is behind them, and what leads to them.

use super::workloads::selector_of;
use super::{AGE, Column, NAME, items, joined, made, or_none, pairs, some_of, str_of, text, text_or};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const SERVICE: &[Column] = &[
    NAME,
    text("Type", "/spec/type"),
    text_or("Cluster-IP", "/spec/clusterIP", "<none>"),
    made("External-IP", |s, _| json!(external_ip(s))),
    made("Port(s)", |s, _| or_none(service_ports(&s["spec"]))),
    AGE,
    made("Selector", |s, _| or_none(pairs(&s["spec"]["selector"]))).wide(),
];

fn external_ip(service: &Value) -> String {
    let spec = &service["spec"];
    let ips = joined(items(spec, "externalIPs").filter_map(Value::as_str));
    match str_of(spec, "type") {
        "ExternalName" => str_of(spec, "externalName").to_string(),
        "LoadBalancer" => {
            let given = given_addresses(service);
            let all: Vec<String> = [given, ips].into_iter().filter(|t| !t.is_empty()).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        _ if ips.is_empty() => "<none>".into(),
        _ => ips,
    }
}

/// What a load balancer was given, in order.
fn given_addresses(object: &Value) -> String {
    let ingress = items(&object["status"]["loadBalancer"], "ingress");
    let one = |i: &Value| match str_of(i, "ip") {
        "" => str_of(i, "hostname").to_string(),
        ip => ip.to_string(),
    };
    let all: BTreeSet<String> = ingress.map(one).filter(|address| !address.is_empty()).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}

/// `80/TCP`, or `80:30080/TCP` with a node port.
fn service_ports(spec: &Value) -> String {
    let print = |port: &Value| match port["nodePort"].as_u64().filter(|p| *p > 0) {
        Some(node_port) => format!("{}:{node_port}/{}", port["port"], str_of(port, "protocol")),
        None => format!("{}/{}", port["port"], str_of(port, "protocol")),
    };
    items(spec, "ports").map(print).collect::<Vec<_>>().join(",")
}

pub const ENDPOINTS: &[Column] = &[NAME, made("Endpoints", |e, _| some_of(addresses(e), "<none>")), AGE];

fn addresses(endpoints: &Value) -> Vec<String> {
    let mut list = Vec::new();
    for subset in items(endpoints, "subsets") {
        let addresses = || items(subset, "addresses").map(|a| str_of(a, "ip"));
        if items(subset, "ports").len() == 0 {
            list.extend(addresses().map(str::to_string));
        }
        for port in items(subset, "ports") {
            let joined = |ip: &str| match ip.contains(':') {
                true => format!("[{ip}]:{}", port["port"]),
                false => format!("{ip}:{}", port["port"]),
            };
            list.extend(addresses().map(joined));
        }
    }
    list
}

pub const ENDPOINT_SLICE: &[Column] = &[
    NAME,
    text("AddressType", "/addressType"),
    made("Ports", |e, _| {
        let ports = items(e, "ports").map(|p| match (p["port"].as_i64(), p["name"].as_str()) {
            (Some(port), _) => port.to_string(),
            (None, name) => name.unwrap_or("*").to_string(),
        });
        some_of(ports.collect(), "<unset>")
    }),
    made("Endpoints", |e, _| {
        let addresses = items(e, "endpoints").flat_map(|e| items(e, "addresses"));
        some_of(addresses.filter_map(Value::as_str).map(str::to_string).collect(), "<unset>")
    }),
    AGE,
];

pub const INGRESS: &[Column] = &[
    NAME,
    text_or("Class", "/spec/ingressClassName", "<none>"),
    made("Hosts", |i, _| {
        let hosts = items(&i["spec"], "rules").map(|rule| str_of(rule, "host")).filter(|h| !h.is_empty());
        some_of(hosts.map(str::to_string).collect(), "*")
    }),
    made("Address", |i, _| json!(given_addresses(i))),
    made("Ports", |i, _| json!(if items(&i["spec"], "tls").len() > 0 { "80, 443" } else { "80" })),
    AGE,
];

pub const INGRESS_CLASS: &[Column] = &[
    NAME,
    text("Controller", "/spec/controller"),
    made("Parameters", |c, _| {
        let parameters = &c["spec"]["parameters"];
        if !parameters.is_object() {
            return json!("<none>");
        }
        let group = match str_of(parameters, "apiGroup") {
            "" => String::new(),
            group => format!(".{group}"),
        };
        json!(format!("{}{group}/{}", str_of(parameters, "kind"), str_of(parameters, "name")))
    }),
    AGE,
];

pub const NETWORK_POLICY: &[Column] =
    &[NAME, made("Pod-Selector", |n, _| or_none(selector_of(&n["spec"]["podSelector"]))), AGE];
