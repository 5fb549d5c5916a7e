//! Traffic from outside the cluster: node ports, external IPs, load balancers' IPs. It arrives at
//! any node, and leaves by KUBE-EXT-…, the one place that knows what is different about it: who
//! answers must answer through this node, so it gets this node's address, unless the policy says
//! that only pods of this node may serve it, and then the client's own address is kept.

use crate::names;
use crate::rules::{Config, Rules, Table};
use crate::service::{Plan, Verdict};

pub fn write(rules: &mut Rules, config: &Config, plan: &Plan<'_>) {
    for (table, chain, rule) in capture_addresses(plan) {
        rules.push(table, chain, rule);
    }
    for (table, chain, rule) in capture_node_port(plan) {
        rules.push(table, chain, rule);
    }
    if plan.reach.any {
        rules.extend(Table::Nat, &names::external(&plan.service.name), external_chain(plan, config));
        if has_firewall(plan) {
            rules.extend(Table::Nat, &names::firewall(&plan.service.name), firewall_chain(plan));
        }
    }
}

/// What catches packets for a node port: in nat it leads to KUBE-EXT-… as long as there is any
/// endpoint (a pod or this node itself may use endpoints of other nodes whatever the policy); in
/// filter it refuses what the policy leaves without an endpoint.
pub fn capture_node_port(plan: &Plan<'_>) -> Vec<(Table, &'static str, String)> {
    let name = &plan.service.name;
    let protocol = name.protocol.as_str();
    let Some(port) = plan.service.node_port else { return Vec::new() };
    let _ = (&protocol, &port);
    todo!("lab 09.3: KUBE-NODEPORTS leads to the external chain; KUBE-EXTERNAL-SERVICES refuses")
}

/// What catches packets for external IPs and load balancers' IPs, with the service's own port.
fn capture_addresses(plan: &Plan<'_>) -> Vec<(Table, &'static str, String)> {
    let name = &plan.service.name;
    let through = if has_firewall(plan) { names::firewall(name) } else { names::external(name) };
    let external = plan.service.external_ips.iter().map(|ip| (ip, "external IP", names::external(name)));
    let balancer = plan.service.load_balancer_ips.iter().map(|ip| (ip, "loadbalancer IP", through.clone()));
    let mut rules = Vec::new();
    for (&ip, what, chain) in external.chain(balancer) {
        let packets = plan.packets_to(ip);
        if plan.reach.any {
            let rule = format!("-m comment --comment \"{name} {what}\" {packets} -j {chain}");
            rules.push((Table::Nat, names::SERVICES, rule));
        }
        if let Verdict::Refuse(why) = &plan.external {
            let refused = why.rule(name, &packets);
            rules.push((Table::Filter, names::EXTERNAL_SERVICES, refused));
        }
    }
    if has_firewall(plan) {
        // Who was let in has been translated by now; whoever still carries the address was not.
        for &ip in &plan.service.load_balancer_ips {
            let packets = plan.packets_to(ip);
            let comment = format!("{name} traffic not accepted by {through}");
            let rule = format!("-m comment --comment \"{comment}\" {packets} -j DROP");
            rules.push((Table::Filter, names::PROXY_FIREWALL, rule));
        }
    }
    rules
}

/// KUBE-EXT-…
///
/// `externalTrafficPolicy: Cluster`: everything is marked for masquerade and then balanced over all
/// endpoints. `Local`: pods, and this node itself, are let through to all endpoints, since for them
/// it is a short cut to the service and no external traffic; everything else goes unmarked to the
/// endpoints of this node, if there is one.
pub fn external_chain(plan: &Plan<'_>, config: &Config) -> Vec<String> {
    let name = &plan.service.name;
    let cluster = names::cluster(name);
    let _ = (&config, &cluster);
    todo!("lab 09.3: mark and balance; or keep the source, and stay on this node")
}

fn has_firewall(plan: &Plan<'_>) -> bool {
    let service = plan.service;
    plan.reach.any && !service.load_balancer_ips.is_empty() && !service.load_balancer_source_ranges.is_empty()
}

/// KUBE-FW-…: only these sources go on; KUBE-PROXY-FIREWALL drops the rest in the filter table.
fn firewall_chain(plan: &Plan<'_>) -> Vec<String> {
    let name = &plan.service.name;
    let chain = names::external(name);
    let allowed = plan.service.load_balancer_source_ranges.iter();
    let mut rules: Vec<String> = allowed
        .map(|range| format!("-m comment --comment \"{name} loadbalancer IP\" -s {range} -j {chain}"))
        .collect();
    let rest = format!("other traffic to {name} will be dropped by {}", names::PROXY_FIREWALL);
    rules.push(format!("-m comment --comment \"{rest}\""));
    rules
}
