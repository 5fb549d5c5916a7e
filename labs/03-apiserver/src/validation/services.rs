//! Services: what they are, and what of an address may change (upstream: `ValidateService`).

use super::at::At;
use super::rules::{Change, Row, Rule};
use crate::fields::{Errors, IMMUTABLE, go_strings};
use crate::names;
use std::collections::BTreeSet;
use std::net::IpAddr;

pub static SERVICE: &[Row] = &[
    Row("spec", Rule::Code(by_type)),
    Row("spec", Rule::Code(ports)),
    Row("spec.selector", Rule::Labels),
    Row("spec.sessionAffinity", Rule::Choice(&["ClientIP", "None"])),
    Row("spec", Rule::Code(session)),
    Row("spec.externalIPs", Rule::Each(&[Row("", Rule::Code(external_ip))])),
    Row("spec.type", Rule::Choice(&["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"])),
    Row("spec", Rule::Code(no_port_twice)),
    Row("spec", Rule::Code(load_balancer)),
    Row("spec", Rule::Code(traffic)),
    Row("spec.trafficDistribution", Rule::OneOf(&["PreferClose"])),
];

pub static SERVICE_CHANGES: &[Change] =
    &[Change::Code(cluster_ips_update), Change::Code(ip_families_update), Change::Code(load_balancer_update)];

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

fn kind<'v>(spec: &At<'v>) -> &'v str {
    spec.get("type").text()
}

/// A service says its address under two names; either will do.
fn addresses<'v>(spec: &At<'v>) -> Vec<&'v str> {
    let all = spec.get("clusterIPs").texts();
    let one = spec.get("clusterIP").text();
    if all.is_empty() && !one.is_empty() { vec![one] } else { all }
}

fn is_headless(spec: &At<'_>) -> bool {
    addresses(spec) == ["None"]
}

fn by_type(spec: &At<'_>, errors: &mut Errors) {
    let headless = is_headless(spec);
    if spec.get("ports").is_empty() && !headless && kind(spec) != "ExternalName" {
        spec.get("ports").required("", errors);
    }
    match kind(spec) {
        kind @ ("LoadBalancer" | "NodePort") if headless => {
            let why = format!("may not be set to 'None' for {kind} services");
            errors.invalid(&spec.child("clusterIPs[0]"), &"None".into(), why);
        }
        "ExternalName" => {
            for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if !spec.get(key).is_empty() {
                    spec.get(key).forbidden("may not be set for ExternalName services", errors);
                }
            }
            let name = spec.get("externalName");
            let domain = name.text().strip_suffix('.').unwrap_or(name.text());
            if domain.is_empty() {
                name.required("", errors);
            }
            for why in names::subdomain(domain).into_iter().filter(|_| !domain.is_empty()) {
                errors.invalid(&name.path, &domain.into(), why);
            }
        }
        _ => {}
    }
}

fn ports(spec: &At<'_>, errors: &mut Errors) {
    let list = spec.get("ports");
    let mut seen = BTreeSet::new();
    for port in list.items() {
        let name = port.get("name");
        if !name.is_empty() {
            name.obey(names::label, errors);
            if !seen.insert(name.text()) {
                name.duplicate(errors);
            }
        } else if list.len() > 1 {
            name.required("", errors);
        }
        port.get("port").port(errors);
        port.get("protocol").choice(&PROTOCOLS, errors);
        port.get("targetPort").port_or_name(errors);
        if port.get("appProtocol").is_set() {
            port.get("appProtocol").obey(names::qualified, errors);
        }
    }
}

fn session(spec: &At<'_>, errors: &mut Errors) {
    let config = spec.get("sessionAffinityConfig");
    match spec.get("sessionAffinity").text() {
        "ClientIP" => {
            let why = "when session affinity type is ClientIP";
            let client = config.get("clientIP");
            let timeout = client.get("timeoutSeconds");
            match [&config, &client, &timeout].into_iter().find(|at| !at.is_set()) {
                Some(missing) => missing.required(why, errors),
                None if !timeout.int().is_some_and(|s| (1..=86400).contains(&s)) => {
                    timeout.invalid("must be greater than 0 and less than 86400", errors);
                }
                None => {}
            }
        }
        "None" if config.is_set() => {
            config.forbidden("must not be set when session affinity is None", errors);
        }
        _ => {}
    }
}

/// Addresses, their families, and how many of them are wanted. Where this does not hold nothing else is
/// looked at: upstream's allocator asks it, before validation.
pub fn cluster_ips(service: &At<'_>, errors: &mut Errors) {
    let spec = &service.get("spec");
    if kind(spec) == "ExternalName" {
        return;
    }
    let (one, all, families) = (spec.get("clusterIP"), spec.get("clusterIPs"), spec.get("ipFamilies"));
    let wrong = |why: &str, errors: &mut Errors| {
        errors.invalid_text(&all.path, &go_strings("string", all.value), why);
    };
    let first = all.items().next();
    match &first {
        Some(first) if one.is_empty() && !first.text().is_empty() => {
            wrong("must be empty when `clusterIP` is not specified", errors);
        }
        Some(first) if first.text() != one.text() => wrong("first value must match `clusterIP`", errors),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for family in families.items() {
        family.one_of(&["IPv4", "IPv6"], errors);
        if !seen.insert(family.text()) {
            family.duplicate(errors);
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    spec.get("ipFamilyPolicy").one_of(&policies, errors);
    let before = errors.len();
    let list = addresses(spec);
    for (i, ip) in list.iter().enumerate() {
        if i == 0 && *ip == "None" {
            if list.len() > 1 {
                wrong("'None' must be the first and only value", errors);
            }
            continue;
        }
        for why in names::ip(ip) {
            errors.invalid(&format!("{}[{i}]", all.path), &(*ip).into(), why);
        }
    }
    let is_readable = errors.len() == before;
    if list.len() > 2 {
        wrong("may only hold up to 2 values", errors);
    }
    if !is_readable {
        return;
    }
    let is_v4 = |ip: &str| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
    if list.len() > 1 && list.iter().all(|ip| is_v4(ip) == is_v4(list[0])) {
        wrong("may specify no more than one IP for each IP family", errors);
    }
    for (i, (ip, family)) in
        list.iter().zip(families.texts()).enumerate().filter(|(_, (ip, _))| **ip != "None")
    {
        if matches!(family, "IPv4" | "IPv6") && is_v4(ip) != (family == "IPv4") {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
            errors.invalid(&format!("{}[{i}]", all.path), &(*ip).into(), why);
        }
    }
}

fn external_ip(ip: &At<'_>, errors: &mut Errors) {
    if names::ip(ip.text()).is_empty() {
        ordinary_ip(ip, errors);
    } else {
        ip.obey(names::ip, errors);
    }
}

/// An address that other hosts can mean: not a loopback, not one of the link.
pub fn ordinary_ip(at: &At<'_>, errors: &mut Errors) {
    let Ok(ip) = at.text().parse::<IpAddr>() else { return };
    if ip.is_unspecified() {
        at.invalid(format!("may not be unspecified ({})", at.text()), errors);
    }
    if ip.is_loopback() {
        at.invalid("may not be in the loopback range (127.0.0.0/8, ::1/128)", errors);
    }
    let (link_local, link_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xffc0 == 0xfe80, ip.segments()[0] & 0xff0f == 0xff02),
    };
    if link_local {
        at.invalid("may not be in the link-local range (169.254.0.0/16, fe80::/10)", errors);
    }
    if link_multicast {
        at.invalid("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)", errors);
    }
}

fn no_port_twice(spec: &At<'_>, errors: &mut Errors) {
    let ports = spec.get("ports");
    if kind(spec) == "ClusterIP" {
        for port in ports.items().map(|port| port.get("nodePort")) {
            if port.int().unwrap_or(0) != 0 {
                port.forbidden("may not be used when `type` is 'ClusterIP'", errors);
            }
        }
    }
    let (mut node_ports, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for port in ports.items() {
        let node_port = port.get("nodePort");
        let key = (port.get("protocol").text(), node_port.int().unwrap_or(0));
        if key.1 != 0 && !node_ports.insert(key) {
            node_port.duplicate(errors);
        }
    }
    for port in ports.items() {
        let key = (port.get("protocol").text(), port.get("port").int().unwrap_or(0));
        if !numbers.insert(key) {
            let printed = format!(
                "core.ServicePort{{Name:\"\", Protocol:\"{}\", AppProtocol:(*string)(nil), Port:{}, TargetPort:intstr.IntOrString{{Type:0, IntVal:0, StrVal:\"\"}}, NodePort:0}}",
                key.0, key.1
            );
            errors.duplicate_text(&port.path, &printed);
        }
    }
}

fn load_balancer(spec: &At<'_>, errors: &mut Errors) {
    let balanced = kind(spec) == "LoadBalancer";
    let why = "may only be used when `type` is 'LoadBalancer'";
    // The capital is upstream's.
    let ranges = spec.get("loadBalancerSourceRanges").named(spec.child("LoadBalancerSourceRanges"));
    if !ranges.is_empty() {
        if !balanced {
            ranges.forbidden(why, errors);
        }
        for range in ranges.items() {
            for problem in names::cidr(range.text().trim()) {
                errors.invalid(&range.path, &range.text().trim().into(), problem);
            }
        }
    }
    let (allocate, class) = (spec.get("allocateLoadBalancerNodePorts"), spec.get("loadBalancerClass"));
    if allocate.is_set() && !balanced {
        allocate.forbidden(why, errors);
    }
    if class.is_set() {
        if balanced {
            class.obey(names::qualified, errors);
        } else {
            class.forbidden(why, errors);
        }
    }
}

fn is_external(spec: &At<'_>) -> bool {
    matches!(kind(spec), "LoadBalancer" | "NodePort")
        || kind(spec) == "ClusterIP" && !spec.get("externalIPs").is_empty()
}

fn needs_health_check(spec: &At<'_>) -> bool {
    kind(spec) == "LoadBalancer" && spec.get("externalTrafficPolicy").text() == "Local"
}

fn traffic(spec: &At<'_>, errors: &mut Errors) {
    let (external, internal) = (spec.get("externalTrafficPolicy"), spec.get("internalTrafficPolicy"));
    if is_external(spec) {
        external.choice(&["Cluster", "Local"], errors);
    } else if !external.is_empty() {
        external.invalid("may only be set for externally-accessible services", errors);
    }
    // That it is there is the allocator's care, which runs after this.
    let check = spec.get("healthCheckNodePort");
    if check.int().unwrap_or(0) != 0 {
        if needs_health_check(spec) {
            check.port(errors);
        } else {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            check.invalid(why, errors);
        }
    }
    if !internal.is_set() && matches!(kind(spec), "ClusterIP" | "NodePort" | "LoadBalancer") {
        internal.required("", errors);
    }
    internal.one_of(&["Cluster", "Local"], errors);
}

/// A service that keeps its kind keeps its first address; the second may come and go.
fn cluster_ips_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let (old, new) = (old.get("spec"), new.get("spec"));
    if [&old, &new].iter().any(|spec| kind(spec) == "ExternalName") || is_headless(&old) && is_headless(&new)
    {
        return;
    }
    let (before, now) = (addresses(&old), addresses(&new));
    let printed = go_strings("string", &now.clone().into());
    let wrong = |i: usize, why: &str, errors: &mut Errors| {
        errors.invalid_text(&new.child(&format!("clusterIPs[{i}]")), &printed, why);
    };
    if before.len() == now.len() {
        for i in (0..before.len()).filter(|i| before[*i] != now[*i]) {
            wrong(i, "may not change once set", errors);
        }
        return;
    }
    match (before.first(), now.first()) {
        (Some(_), None) => wrong(0, "primary clusterIP can not be unset", errors),
        (Some(before), Some(now)) if before != now => wrong(0, "may not change once set", errors),
        _ => {}
    }
    let policy = new.get("ipFamilyPolicy");
    if before.len() > now.len() && now.len() == 1 && policy.text() != "SingleStack" {
        policy.invalid("must be set to 'SingleStack' when releasing the secondary clusterIP", errors);
    }
}

fn ip_families_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let (old, new) = (old.get("spec"), new.get("spec"));
    if [&old, &new].iter().any(|spec| kind(spec) == "ExternalName" || is_headless(spec)) {
        return;
    }
    let (before, now) = (old.get("ipFamilies"), new.get("ipFamilies"));
    let (first, same_count) = (before.texts(), before.len() == now.len());
    let changed =
        first.iter().zip(now.texts()).enumerate().any(|(i, (a, b))| (same_count || i == 0) && *a != b);
    if changed {
        let printed = go_strings("core.IPFamily", now.value);
        errors.invalid_text(&format!("{}[0]", now.path), &printed, "may not change once set");
    }
    let policy = new.get("ipFamilyPolicy");
    if before.len() > now.len() && now.len() == 1 && policy.text() != "SingleStack" {
        policy.invalid("must be set to 'SingleStack' when releasing the secondary ipFamily", errors);
    }
}

fn load_balancer_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let (old, new) = (old.get("spec"), new.get("spec"));
    let class = new.get("loadBalancerClass");
    if [&old, &new].iter().all(|spec| kind(spec) == "LoadBalancer")
        && old.get("loadBalancerClass").value != class.value
    {
        class.invalid("may not change once set", errors);
    }
    let port = new.get("healthCheckNodePort");
    let before = old.get("healthCheckNodePort");
    if needs_health_check(&old) && needs_health_check(&new) && before.is_set() && before.value != port.value {
        port.forbidden(IMMUTABLE, errors);
    }
}

/// The address that a load balancer gave.
pub fn load_balancer_status(status: &At<'_>, errors: &mut Errors) {
    for ingress in status.get("ingress").items() {
        let (ip, host, mode) = (ingress.get("ip"), ingress.get("hostname"), ingress.get("ipMode"));
        ip.name(names::ip, errors);
        if mode.is_set() && ip.is_empty() {
            mode.forbidden("may not be specified when `ip` is not set", errors);
        } else {
            mode.one_of(&["Proxy", "VIP"], errors);
        }
        host.name(names::subdomain, errors);
        if host.text().parse::<IpAddr>().is_ok() {
            host.invalid("must be a DNS name, not an IP address", errors);
        }
    }
}
