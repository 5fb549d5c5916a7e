//! One service port's rules: what catches its packets, and the chains they are led through.

use std::fmt;
use std::net::Ipv4Addr;

use crate::model::{Endpoint, ServicePort, ServicePortName};
use crate::names;
use crate::reach::{Reach, reach};
use crate::rules::{Config, Rules, Table};
use crate::{balance, external};

// ANCHOR: verdict
/// Where one kind of traffic of a service port goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To an endpoint, by way of this chain.
    Balance(String),
    Refuse(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody serves this: tell the client so.
    NoEndpoints,
    /// Others do, but the policy is Local and nobody on this node does: say nothing, so that a load
    /// balancer tries another node rather than give the client an error.
    NoLocalEndpoints,
}
// ANCHOR_END: verdict

impl Refusal {
    /// The rule that refuses `packets`, and says why in its comment.
    pub fn rule(self, name: &ServicePortName, packets: &str) -> String {
        let target = match self {
            Self::NoEndpoints => "REJECT",
            Self::NoLocalEndpoints => "DROP",
        };
        format!("-m comment --comment \"{name} {self}\" {packets} -j {target}")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEndpoints => "has no endpoints",
            Self::NoLocalEndpoints => "has no local endpoints",
        })
    }
}

/// A service port together with what was decided about it.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub service: &'a ServicePort,
    pub reach: Reach<'a>,
    /// For packets to the cluster IP.
    pub internal: Verdict,
    /// For packets to a node port, an external IP or a load balancer's IP, once they are through
    /// KUBE-EXT-….
    pub external: Verdict,
}

impl<'a> Plan<'a> {
    pub fn new(service: &'a ServicePort, endpoints: &'a [Endpoint]) -> Self {
        let reach = reach(service, endpoints);
        let internal = verdict(service, &reach, service.internal_policy_local);
        let external = verdict(service, &reach, service.external_policy_local);
        Self { service, reach, internal, external }
    }

    /// `-m tcp -p tcp -d IP --dport PORT`: the packets for one address of this service port.
    pub fn packets_to(&self, ip: Ipv4Addr) -> String {
        let protocol = self.service.name.protocol.as_str();
        format!("-m {protocol} -p {protocol} -d {ip} --dport {}", self.service.port)
    }
}

/// What becomes of traffic under one policy.
fn verdict(service: &ServicePort, reach: &Reach<'_>, local_only: bool) -> Verdict {
    // lab:begin 09.1 no endpoints, no local endpoints, or the chain that balances
    if !reach.any {
        Verdict::Refuse(Refusal::NoEndpoints)
    } else if !local_only {
        Verdict::Balance(names::cluster(&service.name))
    } else if reach.local.is_empty() {
        Verdict::Refuse(Refusal::NoLocalEndpoints)
    } else {
        Verdict::Balance(names::local(&service.name))
    }
    // lab:end
}

/// Adds everything that one service port needs to `rules`.
pub fn write(rules: &mut Rules, config: &Config, service: &ServicePort, endpoints: &[Endpoint]) {
    let plan = Plan::new(service, endpoints);
    let name = &service.name;
    for (table, chain, rule) in capture_cluster_ip(&plan) {
        rules.push(table, chain, rule);
    }
    if service.externally_accessible() {
        external::write(rules, config, &plan);
    }
    // The masquerade rule comes first in whichever chain the cluster IP leads to.
    if let Verdict::Balance(chain) = &plan.internal {
        rules.extend(Table::Nat, chain, masquerade_off_cluster(&plan, config));
    }
    if !plan.reach.cluster.is_empty() {
        rules.extend(Table::Nat, &names::cluster(name), balance::choose(service, &plan.reach.cluster));
    }
    if !plan.reach.local.is_empty() {
        rules.extend(Table::Nat, &names::local(name), balance::choose(service, &plan.reach.local));
    }
    for endpoint in &plan.reach.all {
        let chain = names::endpoint(name, endpoint.address);
        rules.extend(Table::Nat, &chain, balance::endpoint_chain(service, endpoint));
    }
}

/// The one rule that catches packets for the cluster IP: in the nat table it leads them to the
/// balancing chain, in the filter table it refuses them.
pub fn capture_cluster_ip(plan: &Plan<'_>) -> Vec<(Table, &'static str, String)> {
    let name = &plan.service.name;
    let packets = plan.packets_to(plan.service.cluster_ip);
    // lab:begin 09.1 in nat, a jump to the chain that balances; in filter, the refusal
    match &plan.internal {
        Verdict::Balance(chain) => vec![(
            Table::Nat,
            names::SERVICES,
            format!("-m comment --comment \"{name} cluster IP\" {packets} -j {chain}"),
        )],
        Verdict::Refuse(why) => vec![(Table::Filter, names::SERVICES, why.rule(name, &packets))],
    }
    // lab:end
}

/// Packets for the cluster IP from anywhere but the pod network get this node's address as their
/// source. A pod answers a pod directly, since both speak through the nodes that know the
/// connection; anyone else would get an answer from an address that it never wrote to.
fn masquerade_off_cluster(plan: &Plan<'_>, config: &Config) -> Vec<String> {
    let name = &plan.service.name;
    let packets = plan.packets_to(plan.service.cluster_ip);
    let from_outside = |cidr| {
        format!("-m comment --comment \"{name} cluster IP\" {packets} ! -s {cidr} -j {}", names::MARK_MASQ)
    };
    config.cluster_cidr.map(from_outside).into_iter().collect()
}
