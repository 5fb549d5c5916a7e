//! Services, what is behind them, and what leads to them.

use super::{AGE, NAME, Printer, age, items, joined, name, or_none, str_of, text, wide};
use serde_json::{Value, json};

pub const SERVICE: Printer = Printer {
    columns: &[
        NAME,
        text("Type"),
        text("Cluster-IP"),
        text("External-IP"),
        text("Port(s)"),
        AGE,
        wide("Selector"),
    ],
    cells: |s, now| {
        let spec = &s["spec"];
        vec![
            name(s),
            spec["type"].clone(),
            or_none(str_of(spec, "clusterIP")),
            json!(external_ip(s)),
            or_none(service_ports(spec)),
            age(s, now),
            or_none(pairs(&spec["selector"])),
        ]
    },
};

fn pairs(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

fn external_ip(service: &Value) -> String {
    let spec = &service["spec"];
    let ips = joined(items(spec, "externalIPs").filter_map(Value::as_str));
    match str_of(spec, "type") {
        "ExternalName" => str_of(spec, "externalName").to_string(),
        "LoadBalancer" => {
            let ingress = items(&service["status"]["loadBalancer"], "ingress");
            let given =
                joined(ingress.map(|i| {
                    if str_of(i, "ip").is_empty() { str_of(i, "hostname") } else { str_of(i, "ip") }
                }));
            let all: Vec<String> = [given, ips].into_iter().filter(|t| !t.is_empty()).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        _ if ips.is_empty() => "<none>".into(),
        _ => ips,
    }
}

/// `80/TCP`, or `80:30080/TCP` with a node port.
fn service_ports(spec: &Value) -> String {
    let print = |port: &Value| match port["nodePort"].as_u64().filter(|p| *p > 0) {
        Some(node_port) => format!("{}:{node_port}/{}", port["port"], str_of(port, "protocol")),
        None => format!("{}/{}", port["port"], str_of(port, "protocol")),
    };
    items(spec, "ports").map(print).collect::<Vec<_>>().join(",")
}

/// The first three, and how many more there are.
fn some_of(list: Vec<String>, nothing: &str) -> Value {
    match list.len() {
        0 => json!(nothing),
        n if n > 3 => json!(format!("{} + {} more...", list[..3].join(","), n - 3)),
        _ => json!(list.join(",")),
    }
}

pub const ENDPOINTS: Printer = Printer {
    columns: &[NAME, text("Endpoints"), AGE],
    cells: |e, now| {
        let mut list = Vec::new();
        for subset in items(e, "subsets") {
            let addresses = || items(subset, "addresses").map(|a| str_of(a, "ip"));
            if items(subset, "ports").len() == 0 {
                list.extend(addresses().map(str::to_string));
            }
            for port in items(subset, "ports") {
                list.extend(addresses().map(|ip| format!("{ip}:{}", port["port"])));
            }
        }
        vec![name(e), some_of(list, "<none>"), age(e, now)]
    },
};

pub const ENDPOINT_SLICE: Printer = Printer {
    columns: &[NAME, text("AddressType"), text("Ports"), text("Endpoints"), AGE],
    cells: |e, now| {
        let ports =
            items(e, "ports").map(|p| p["port"].as_i64().map_or("*".into(), |p| p.to_string())).collect();
        let addresses = items(e, "endpoints").flat_map(|e| items(e, "addresses"));
        let addresses = addresses.filter_map(Value::as_str).map(str::to_string).collect();
        vec![
            name(e),
            e["addressType"].clone(),
            some_of(ports, "<unset>"),
            some_of(addresses, "<unset>"),
            age(e, now),
        ]
    },
};

pub const INGRESS: Printer = Printer {
    columns: &[NAME, text("Class"), text("Hosts"), text("Address"), text("Ports"), AGE],
    cells: |i, now| {
        let hosts = joined(items(&i["spec"], "rules").map(|r| str_of(r, "host")).filter(|h| !h.is_empty()));
        let ingress = items(&i["status"]["loadBalancer"], "ingress");
        let address = joined(
            ingress.map(|i| if str_of(i, "ip").is_empty() { str_of(i, "hostname") } else { str_of(i, "ip") }),
        );
        let ports = if items(&i["spec"], "tls").len() > 0 { "80, 443" } else { "80" };
        let hosts = if hosts.is_empty() { "*".to_string() } else { hosts };
        vec![
            name(i),
            or_none(str_of(&i["spec"], "ingressClassName")),
            json!(hosts),
            json!(address),
            json!(ports),
            age(i, now),
        ]
    },
};

pub const INGRESS_CLASS: Printer = Printer {
    columns: &[NAME, text("Controller"), text("Parameters"), AGE],
    cells: |c, now| {
        let parameters = &c["spec"]["parameters"];
        let text = if parameters.is_object() {
            let group = match str_of(parameters, "apiGroup") {
                "" => String::new(),
                group => format!(".{group}"),
            };
            format!("{}{group}/{}", str_of(parameters, "kind"), str_of(parameters, "name"))
        } else {
            String::new()
        };
        vec![name(c), json!(str_of(&c["spec"], "controller")), or_none(text), age(c, now)]
    },
};

pub const NETWORK_POLICY: Printer = Printer {
    columns: &[NAME, text("Pod-Selector"), AGE],
    cells: |n, now| vec![name(n), or_none(pairs(&n["spec"]["podSelector"]["matchLabels"])), age(n, now)],
};
