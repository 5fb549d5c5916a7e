//! What ought to happen to a packet, said without chains: the naive model that the tracer's answers
//! are held against.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use proptest::prelude::*;

use crate::heart::{Endpoint, ServicePort, Snapshot};
use crate::tracer::{Fate, Origin, Packet};
use crate::world::{NODE_IP, cidr, kernel};

/// By which of its addresses a packet means a service.
enum Door {
    ClusterIp,
    ExternalIp,
    LoadBalancer,
    NodePort,
}

/// The law: what the rules can do to a packet is what the cluster means for it.
pub fn check(snapshot: &Snapshot, packet: &Packet) -> Result<(), TestCaseError> {
    let possible: BTreeSet<Fate> = kernel(snapshot).fates(packet).into_iter().map(|(fate, _)| fate).collect();
    prop_assert_eq!(possible, fates(snapshot, packet));
    Ok(())
}

/// All fates that a packet may have, one for each endpoint it may be sent to.
fn fates(snapshot: &Snapshot, packet: &Packet) -> BTreeSet<Fate> {
    let untouched = || BTreeSet::from([Fate::Delivered { to: packet.destination, masqueraded: false }]);
    let Some((service, door)) = meant(snapshot, packet) else { return untouched() };
    let endpoints = snapshot.endpoints_of(&service.name);
    let anywhere = in_service(endpoints, false);
    let from_pod = cidr("10.244.0.0/16").contains(packet.source);
    let from_node = packet.source == NODE_IP;
    let internal = matches!(door, Door::ClusterIp);

    if anywhere.is_empty() {
        // A process of the node that writes to an external address: no rule stands in its way out.
        let goes_out = packet.origin == Origin::Node && matches!(door, Door::ExternalIp | Door::LoadBalancer);
        return if goes_out { untouched() } else { BTreeSet::from([Fate::Rejected]) };
    }
    let welcome = &service.load_balancer_source_ranges;
    if matches!(door, Door::LoadBalancer)
        && !welcome.is_empty()
        && !welcome.iter().any(|range| range.contains(packet.source))
    {
        return BTreeSet::from([Fate::Dropped]);
    }
    let local_only = match door {
        Door::ClusterIp => service.internal_policy_local,
        // For who is inside already, an external address is only another name.
        _ => service.external_policy_local && !from_pod && !from_node,
    };
    let candidates = if local_only { in_service(endpoints, true) } else { anywhere };
    if candidates.is_empty() {
        return BTreeSet::from([Fate::Dropped]);
    }
    let through_us = if internal {
        !from_pod
    } else if service.external_policy_local {
        from_node
    } else {
        true
    };
    candidates
        .into_iter()
        .map(|to| Fate::Delivered { to, masqueraded: through_us || *to.ip() == packet.source })
        .collect()
}

fn meant<'a>(snapshot: &'a Snapshot, packet: &Packet) -> Option<(&'a ServicePort, Door)> {
    let (ip, port) = (*packet.destination.ip(), packet.destination.port());
    snapshot.services.values().filter(|s| s.name.protocol.as_str() == packet.protocol).find_map(|service| {
        let door = if service.port == port && service.cluster_ip == ip {
            Door::ClusterIp
        } else if service.port == port && service.external_ips.contains(&ip) {
            Door::ExternalIp
        } else if service.port == port && service.load_balancer_ips.contains(&ip) {
            Door::LoadBalancer
        } else if service.node_port == Some(port) && ip == NODE_IP {
            Door::NodePort
        } else {
            return None;
        };
        Some((service, door))
    })
}

/// The ready ones; else those that still serve while they go.
fn in_service(endpoints: &[Endpoint], local_only: bool) -> Vec<SocketAddrV4> {
    let here = || endpoints.iter().filter(move |e| e.local || !local_only);
    let ready: Vec<_> = here().filter(|e| e.ready).map(|e| e.address).collect();
    if ready.is_empty() {
        here().filter(|e| e.serving && e.terminating).map(|e| e.address).collect()
    } else {
        ready
    }
}
