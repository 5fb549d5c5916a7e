//! Step 3: node ports, external addresses, and traffic from outside.

use graded::graded;
use proptest::prelude::*;
use serde_json::json;

use crate::expect;
use crate::heart::{Snapshot, build};
use crate::tracer::{Fate, Kernel, Origin};
use crate::world::{
    self, FAR_POD, NODE, NODE_IP, POD, STRANGER, Upto, kernel, packet, pod, service, shop, slice,
};

fn node_port(extra: serde_json::Value) -> serde_json::Value {
    let mut spec = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    for (key, value) in extra.as_object().expect("an object") {
        spec[key] = value.clone();
    }
    spec
}

fn all(kernel: &Kernel, origin: Origin, source: std::net::Ipv4Addr, to: &str) -> Vec<(String, bool)> {
    let fates = kernel.fates(&packet(origin, source, to));
    let deliveries = fates.into_iter().map(|(fate, _)| match fate {
        Fate::Delivered { to, masqueraded } => (to.ip().to_string(), masqueraded),
        other => (format!("{other:?}"), false),
    });
    deliveries.collect()
}

/// Byte by byte what iptables-restore reads, with KUBE-EXT and KUBE-NODEPORTS.
#[graded]
fn a_node_port_service_reads_as_on_a_real_node() {
    insta::assert_snapshot!(build(&shop(node_port(json!({}))), &world::config()));
}

/// The pod answers to whom it sees; that must be the node, for only the node can translate back.
#[graded]
fn a_node_port_leads_to_all_endpoints_and_hides_the_client() {
    let kernel = kernel(&shop(node_port(json!({}))));
    let everyone = ["10.244.0.5", "10.244.1.5", "10.244.2.5"].map(|ip| (ip.to_owned(), true));
    assert_eq!(all(&kernel, Origin::Link, STRANGER, "10.89.0.11:30080"), everyone);
    assert_eq!(all(&kernel, Origin::Node, NODE_IP, "10.89.0.11:30080"), everyone);
    assert_eq!(all(&kernel, Origin::Link, POD, "10.89.0.11:30080"), everyone);
}

/// A client need not know where the pods are: any node's address will do.
#[graded]
fn a_node_port_works_from_any_node_even_one_without_endpoints() {
    let elsewhere = slice(json!([pod("10.244.1.5", "node-2")]));
    let snapshot = Snapshot::collect([&service(node_port(json!({})))], [&elsewhere], NODE);
    let kernel = kernel(&snapshot);
    assert_eq!(all(&kernel, Origin::Link, STRANGER, "10.89.0.11:30080"), [("10.244.1.5".into(), true)]);
}

/// The same port number on another machine's address is none of our business.
#[graded]
fn a_node_port_is_a_port_of_the_node_alone() {
    let kernel = kernel(&shop(node_port(json!({}))));
    let to = "203.0.113.77:30080";
    assert_eq!(all(&kernel, Origin::Link, POD, to), [("203.0.113.77".into(), false)]);
    // Without the sysctl route_localnet an answer could not leave 127.0.0.1: it is left alone.
    assert_eq!(all(&kernel, Origin::Node, [127, 0, 0, 1].into(), "127.0.0.1:30080").len(), 1);
}

/// The refusal stands in filter, where INPUT and OUTPUT both come by.
#[graded]
fn a_node_port_without_endpoints_is_refused_from_outside_and_from_the_node() {
    let snapshot = Snapshot::collect([&service(node_port(json!({})))], [], NODE);
    let kernel = kernel(&snapshot);
    for (origin, source) in [(Origin::Link, STRANGER), (Origin::Node, NODE_IP)] {
        assert_eq!(all(&kernel, origin, source, "10.89.0.11:30080"), [("Rejected".into(), false)]);
    }
    insta::assert_snapshot!(build(&snapshot, &world::config()));
}

/// For logs, rate limits and bans the client's address is worth a way less.
#[graded]
fn external_policy_local_keeps_the_clients_address_and_the_node() {
    let snapshot = shop(node_port(json!({"externalTrafficPolicy": "Local"})));
    insta::assert_snapshot!(build(&snapshot, &world::config()));
    let kernel = kernel(&snapshot);
    assert_eq!(all(&kernel, Origin::Link, STRANGER, "10.89.0.11:30080"), [("10.244.0.5".into(), false)]);
}

/// For who is inside, the node port is only another name for the service.
#[graded]
fn external_policy_local_lets_pods_and_the_node_itself_go_everywhere() {
    let kernel = kernel(&shop(node_port(json!({"externalTrafficPolicy": "Local"}))));
    let everyone = |masq| ["10.244.0.5", "10.244.1.5", "10.244.2.5"].map(|ip| (ip.to_owned(), masq));
    assert_eq!(all(&kernel, Origin::Link, POD, "10.89.0.11:30080"), everyone(false));
    assert_eq!(all(&kernel, Origin::Link, FAR_POD, "10.89.0.11:30080"), everyone(false));
    assert_eq!(all(&kernel, Origin::Node, NODE_IP, "10.89.0.11:30080"), everyone(true));
}

/// A balancer takes a refusal for an answer, and silence for a node to avoid.
#[graded]
fn external_policy_local_without_local_endpoints_drops_so_that_a_balancer_goes_on() {
    let elsewhere = slice(json!([pod("10.244.1.5", "node-2")]));
    let local = service(node_port(json!({"externalTrafficPolicy": "Local"})));
    let kernel = kernel(&Snapshot::collect([&local], [&elsewhere], NODE));
    assert_eq!(all(&kernel, Origin::Link, STRANGER, "10.89.0.11:30080"), [("Dropped".into(), false)]);
}

/// The address is somebody's promise to route it here; the port is the service's.
#[graded]
fn an_external_ip_answers_on_the_services_own_port() {
    let snapshot = shop(json!({"externalIPs": ["192.0.2.7"]}));
    let kernel = kernel(&snapshot);
    assert_eq!(all(&kernel, Origin::Link, STRANGER, "192.0.2.7:80").len(), 3);
    assert_eq!(all(&kernel, Origin::Link, STRANGER, "192.0.2.7:81"), [("192.0.2.7".into(), false)]);
}

/// The cloud's firewall may be missing; the rule must hold without it.
#[graded]
fn a_load_balancers_address_lets_only_its_source_ranges_in() {
    let mut balanced = service(json!({
        "type": "LoadBalancer",
        "loadBalancerSourceRanges": ["203.0.113.0/25"],
    }));
    let status = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.4"}, {"ip": "198.51.100.5", "ipMode": "Proxy"}]}});
    balanced.status = Some(serde_json::from_value(status).expect("a status"));
    let snapshot = Snapshot::collect([&balanced], [&slice(json!([pod("10.244.0.5", NODE)]))], NODE);
    insta::assert_snapshot!(build(&snapshot, &world::config()));
    let kernel = kernel(&snapshot);
    let from = |last: u8, to: &str| all(&kernel, Origin::Link, [203, 0, 113, last].into(), to);
    assert_eq!(from(9, "198.51.100.4:80"), [("10.244.0.5".into(), true)]);
    assert_eq!(from(200, "198.51.100.4:80"), [("Dropped".into(), false)]);
    assert_eq!(from(9, "198.51.100.5:80"), [("198.51.100.5".into(), false)], "ipMode Proxy is not ours");
}

proptest! {
    /// A packet by chance, in a cluster by chance, against a model that knows no chains.
    #[graded]
    fn every_packet_meets_the_fate_that_its_service_means(
        snapshot in world::snapshot(Upto::External),
        packet in world::any_packet(),
    ) {
        expect::check(&snapshot, &packet)?;
    }

    /// One mark in the wrong chain and every client looks like the node.
    #[graded]
    fn external_traffic_is_never_masqueraded_under_policy_local(
        mut snapshot in world::snapshot(Upto::External),
        mut packet in world::any_packet(),
    ) {
        for service in snapshot.services.values_mut() {
            service.external_policy_local = true;
        }
        (packet.origin, packet.source) = (Origin::Link, STRANGER);
        prop_assume!(!world::cidr("10.96.0.0/16").contains(*packet.destination.ip()));
        for (fate, _) in kernel(&snapshot).fates(&packet) {
            let hidden = matches!(fate, Fate::Delivered { masqueraded: true, .. });
            prop_assert!(!hidden, "{:?}", fate);
        }
    }
}
