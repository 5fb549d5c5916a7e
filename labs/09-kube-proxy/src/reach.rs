//! Which of a service port's endpoints a packet may be sent to. Readiness, termination and the two
//! traffic policies meet here, and nowhere else. Upstream: `CategorizeEndpoints` in
//! `pkg/proxy/topology.go`.

use crate::model::{Endpoint, ServicePort};

/// The answer for one service port on this node. Each list keeps the order of the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach<'a> {
    /// For traffic that may go to any node.
    pub cluster: Vec<&'a Endpoint>,
    /// For traffic that must stay on this node; empty unless a policy says Local.
    pub local: Vec<&'a Endpoint>,
    /// Those in either: each has a chain of its own.
    pub all: Vec<&'a Endpoint>,
    /// Whether there is a usable endpoint anywhere. It tells "nobody serves this" (reject) from
    /// "nobody on this node serves this" (drop).
    pub any: bool,
}

pub fn reach<'a>(service: &ServicePort, endpoints: &'a [Endpoint]) -> Reach<'a> {
    let cluster = if service.uses_cluster_endpoints() { usable(endpoints, |_| true) } else { Vec::new() };
    let local = if service.uses_local_endpoints() { usable(endpoints, |e| e.local) } else { Vec::new() };
    let is_in = |list: &[&Endpoint], e: &Endpoint| list.iter().any(|other| other.address == e.address);
    let all = endpoints.iter().filter(|e| is_in(&cluster, e) || is_in(&local, e)).collect();
    Reach { any: !usable(endpoints, |_| true).is_empty(), cluster, local, all }
}

/// The ready endpoints among those that `may_use` admits. While there is none (the last pods of a
/// Service are going away and no new one is ready yet) those that terminate but still serve do, so
/// that a rollout of one replica loses no connection.
pub fn usable(endpoints: &[Endpoint], may_use: impl Fn(&Endpoint) -> bool) -> Vec<&Endpoint> {
    let _ = (&endpoints, &may_use);
    todo!("lab 09.1: the ready ones; if there is none, the ones that terminate and still serve")
}
