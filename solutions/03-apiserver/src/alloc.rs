//! Addresses and node ports for services, out of two ranges (upstream:
//! `pkg/registry/core/service/{ipallocator,portallocator}`).
//!
//! Upstream keeps what is taken in the store; here it is read off the services themselves, and
//! the shell lets one service write at a time do so.

use crate::fields::Errors;
use crate::meta::{self, as_map, default_to, map_at};
use crate::status::ApiError;
use objects::resources::Resource;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The two ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceNet {
    base: u32,
    /// How many addresses the range has, the first and the last included.
    size: u32,
    cidr: String,
    ports: (u16, u16),
}

impl ServiceNet {
    /// `10.96.0.0/16` and `30000-32767`. `None` when either is not a range.
    pub fn parse(cidr: &str, ports: &str) -> Option<ServiceNet> {
        let (address, bits) = cidr.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let (low, high) = ports.split_once('-')?;
        let ports: (u16, u16) = (low.parse().ok()?, high.parse().ok()?);
        if !(8..=30).contains(&bits) || ports.0 == 0 || ports.0 > ports.1 {
            return None;
        }
        let size = 1u32 << (32 - bits);
        let base = u32::from(address) & !(size - 1);
        Some(ServiceNet { base, size, cidr: cidr.to_string(), ports })
    }

    /// The first usable address: that of the `kubernetes` service.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1)
    }

    pub fn contains(&self, ip: Ipv4Addr) -> bool {
        let ip = u32::from(ip);
        ip > self.base && ip < self.base + self.size - 1
    }

    /// A free address. The lowest part of the range is left to those who ask for an address by
    /// name, and used only when the rest is full.
    pub fn free_ip(&self, used: &BTreeSet<Ipv4Addr>, random: u64) -> Option<Ipv4Addr> {
        let usable = self.size - 2;
        let reserved = (self.size / 16).clamp(16, 256).min(usable / 2);
        let upper = usable - reserved;
        let start = (random % u64::from(upper)) as u32;
        let order = (0..upper).map(|i| reserved + (start + i) % upper).chain(0..reserved);
        order.map(|offset| Ipv4Addr::from(self.base + 1 + offset)).find(|ip| !used.contains(ip))
    }

    pub fn free_port(&self, used: &BTreeSet<u16>, random: u64) -> Option<u16> {
        let count = u32::from(self.ports.1 - self.ports.0) + 1;
        let start = (random % u64::from(count)) as u32;
        (0..count).map(|i| self.ports.0 + ((start + i) % count) as u16).find(|port| !used.contains(port))
    }
}

/// What services hold already.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Used {
    pub ips: BTreeSet<Ipv4Addr>,
    pub ports: BTreeSet<u16>,
}

impl Used {
    /// Note what a service holds.
    pub fn add(&mut self, service: &Value) {
        self.ips.extend(ip_of(service));
        self.ports.extend(node_ports(service).into_iter().map(|(_, port)| port));
        self.ports.extend(health_check_port(service));
    }

    pub fn remove(&mut self, service: &Value) {
        if let Some(ip) = ip_of(service) {
            self.ips.remove(&ip);
        }
        for port in node_ports(service).into_iter().map(|(_, port)| port).chain(health_check_port(service)) {
            self.ports.remove(&port);
        }
    }
}

fn ip_of(service: &Value) -> Option<Ipv4Addr> {
    meta::text(service, &["spec", "clusterIP"]).parse().ok()
}

fn node_ports(service: &Value) -> Vec<(usize, u16)> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten().enumerate();
    let number = |v: &Value| v["nodePort"].as_u64().and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0);
    ports.filter_map(|(i, port)| Some((i, number(port)?))).collect()
}

fn health_check_port(service: &Value) -> Option<u16> {
    service["spec"]["healthCheckNodePort"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok())
        .filter(|p| *p > 0)
}

/// A load balancer that sends only to nodes with pods must be able to ask which those are.
fn needs_health_check(service: &Value) -> bool {
    let field = |key: &str| meta::text(service, &["spec", key]);
    field("type") == "LoadBalancer" && field("externalTrafficPolicy") == "Local"
}

/// Give a service what it asks for or lacks. `used` does not count what this service itself had.
pub fn allocate(
    resource: &Resource,
    service: &mut Value,
    net: &ServiceNet,
    used: &Used,
    random: u64,
) -> Result<(), ApiError> {
    let name = meta::name(service).to_string();
    let kind = meta::text(service, &["spec", "type"]).to_string();
    families(service).into_result(resource, &name)?;
    let mut errors = Errors::default();
    let spec_ip = meta::text(service, &["spec", "clusterIP"]).to_string();
    if kind != "ExternalName" && spec_ip != "None" {
        let ip = if spec_ip.is_empty() {
            let free = net.free_ip(&used.ips, random);
            Some(free.ok_or_else(|| full("serviceIP"))?)
        } else {
            let refused = |why: String| (format!("[]string{{{spec_ip:?}}}"), why);
            let wrong = match spec_ip.parse::<Ipv4Addr>() {
                Err(_) => Some(refused(format!("failed to allocate IP {spec_ip}: not an IPv4 address"))),
                Ok(ip) if !net.contains(ip) => Some(refused(format!(
                    "failed to allocate IP {spec_ip}: the provided IP ({spec_ip}) is not in the valid range. The range of valid IPs is {}",
                    net.cidr
                ))),
                Ok(ip) if used.ips.contains(&ip) => Some(refused(format!(
                    "failed to allocate IP {spec_ip}: provided IP is already allocated"
                ))),
                Ok(_) => None,
            };
            if let Some((printed, why)) = wrong {
                errors.invalid_text("spec.clusterIPs", &printed, &why);
            }
            None
        };
        if let Some(ip) = ip {
            let spec = map_at(service, "spec");
            spec.insert("clusterIP".into(), json!(ip.to_string()));
            spec.insert("clusterIPs".into(), json!([ip.to_string()]));
        }
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        allocate_ports(service, net, used, random, &mut errors)?;
    }
    errors.into_result(resource, &name)
}

/// This cluster has addresses of IPv4 alone; what a service asks of families must be had from that
/// (upstream: `initIPFamilyFields` in `pkg/registry/core/service/storage/alloc.go`).
fn families(service: &Value) -> Errors {
    let (mut errors, spec) = (Errors::default(), &service["spec"]);
    let list = |key: &str| spec[key].as_array().cloned().unwrap_or_default();
    let (ips, families, policy) = (list("clusterIPs"), list("ipFamilies"), &spec["ipFamilyPolicy"]);
    if spec["type"] == "ExternalName" {
        return errors;
    }
    if policy == "SingleStack" {
        for (items, what) in [(&ips, "cluster IPs"), (&families, "IP families")] {
            if items.len() == 2 {
                let why = format!(
                    "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                );
                errors.invalid("spec.ipFamilyPolicy", policy, why);
            }
        }
    }
    for (i, ip) in ips.iter().enumerate().skip(families.len()) {
        if ip.as_str().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()) {
            let why = "IPv6 is not configured on this cluster";
            errors.invalid(&format!("spec.clusterIPs[{i}]"), &spec["clusterIPs"], why);
        }
    }
    // Without addresses and without pods, any families may be told to whoever asks.
    let is_selecting = spec["selector"].as_object().is_some_and(|selector| !selector.is_empty());
    if !errors.is_empty() || spec["clusterIP"] == "None" && !is_selecting {
        return errors;
    }
    if policy == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        errors.invalid("spec.ipFamilyPolicy", policy, why);
    }
    for (i, family) in families.iter().enumerate().filter(|(_, family)| *family != "IPv4") {
        errors.invalid(&format!("spec.ipFamilies[{i}]"), family, "not configured on this cluster");
    }
    errors
}

fn full(what: &str) -> ApiError {
    ApiError::internal(format!("failed to allocate a {what}: range is full"))
}

fn allocate_ports(
    service: &mut Value,
    net: &ServiceNet,
    used: &Used,
    random: u64,
    errors: &mut Errors,
) -> Result<(), ApiError> {
    let mut taken = used.ports.clone();
    for (i, port) in node_ports(service) {
        let at = format!("spec.ports[{i}].nodePort");
        if port < net.ports.0 || port > net.ports.1 {
            let why = format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                net.ports.0, net.ports.1
            );
            errors.invalid(&at, &json!(port), why);
        } else if used.ports.contains(&port) {
            errors.invalid(&at, &json!(port), "provided port is already allocated");
        }
        taken.insert(port);
    }
    let checked = needs_health_check(service);
    match health_check_port(service) {
        Some(port) if used.ports.contains(&port) => {
            errors.invalid("spec.healthCheckNodePort", &json!(port), "provided port is already allocated");
        }
        Some(port) => {
            taken.insert(port);
        }
        None => {}
    }
    let spec = map_at(service, "spec");
    if checked && spec.get("healthCheckNodePort").and_then(Value::as_u64).unwrap_or(0) == 0 {
        let free = net.free_port(&taken, random.rotate_left(32)).ok_or_else(|| full("nodePort"))?;
        taken.insert(free);
        spec.insert("healthCheckNodePort".into(), json!(free));
    }
    let Some(Value::Array(ports)) = spec.get_mut("ports") else { return Ok(()) };
    for port in ports {
        let port = as_map(port);
        if port.get("nodePort").and_then(Value::as_u64).unwrap_or(0) == 0 {
            let free = net.free_port(&taken, random).ok_or_else(|| full("nodePort"))?;
            taken.insert(free);
            port.insert("nodePort".into(), json!(free));
        }
    }
    Ok(())
}

/// A client that replaces a service without naming what was allocated for it keeps it; a service
/// that gave up its kind gives up what came with it.
pub fn carry_over(old: &Value, new: &mut Value) {
    let kind = meta::text(new, &["spec", "type"]).to_string();
    let old_spec = &old["spec"];
    let spec = map_at(new, "spec");
    if kind == "ExternalName" {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            spec.shift_remove(key);
        }
        return;
    }
    if spec.get("clusterIP").is_none_or(|ip| *ip == "")
        && let Some(ip) = old_spec.get("clusterIP")
    {
        spec.insert("clusterIP".into(), ip.clone());
    }
    let has_list = spec.get("clusterIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if spec.get("clusterIP") == old_spec.get("clusterIP") {
        if let (false, Some(ips)) = (has_list, old_spec.get("clusterIPs")) {
            spec.insert("clusterIPs".into(), ips.clone());
        }
    } else if spec.get("clusterIPs") == old_spec.get("clusterIPs")
        && let Some(ip) = spec.get("clusterIP").cloned()
    {
        // Whoever changes the one address knows nothing of the list that has it too.
        spec.insert("clusterIPs".into(), json!([ip]));
    }
    let wants_ports = kind == "NodePort" || kind == "LoadBalancer";
    let outside = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    let mut give_up = |key: &str, given_up: bool| {
        // What somebody has just written is not silently dropped.
        if given_up && spec.get(key) == old_spec.get(key) {
            spec.shift_remove(key);
        }
    };
    give_up("externalTrafficPolicy", !wants_ports && !outside);
    give_up("allocateLoadBalancerNodePorts", kind != "LoadBalancer");
    give_up("loadBalancerClass", kind != "LoadBalancer");
    let checked = kind == "LoadBalancer" && spec.get("externalTrafficPolicy").is_some_and(|p| p == "Local");
    if checked {
        if let Some(port) = old_spec.get("healthCheckNodePort") {
            default_to(spec, "healthCheckNodePort", port.clone());
        }
    } else if spec.get("healthCheckNodePort") == old_spec.get("healthCheckNodePort") {
        spec.shift_remove("healthCheckNodePort");
    }
    let Some(Value::Array(ports)) = spec.get_mut("ports") else { return };
    for port in ports {
        let port = as_map(port);
        let before =
            old_spec["ports"].as_array().into_iter().flatten().find(|p| {
                Some(&p["port"]) == port.get("port") && Some(&p["protocol"]) == port.get("protocol")
            });
        let inherited = before.map(|p| &p["nodePort"]).filter(|p| p.is_number());
        if wants_ports {
            if port.get("nodePort").is_none_or(|p| *p == 0)
                && let Some(number) = inherited
            {
                port.insert("nodePort".into(), number.clone());
            }
        } else if port.get("nodePort").is_some_and(|p| Some(p) == inherited || *p == 0) {
            port.shift_remove("nodePort");
        }
    }
}
