//! Step 1: from services and endpoints to chains.

use graded::graded;
use proptest::prelude::*;
use serde_json::json;

use crate::heart::{Protocol, Snapshot, build, names};
use crate::tracer::{Fate, Origin};
use crate::world::{self, NODE, POD, STRANGER, Upto, kernel, name, packet, pod, service, shop, slice, stall};
use crate::{expect, heart};

/// The hashes are from published listings of real clusters: who greps there must find the same here.
#[graded]
fn chain_names_hash_as_upstream_hashes_them() {
    // From published listings; the first three by releases that wrote an unnamed port as `ns/name:`.
    for (service_port, endpoint, hash) in [
        ("sock-shop/payment:", "", "T7TCZ5NWHRXELJYN"),
        ("sock-shop/payment:", "10.244.1.13:80", "OO2TWKZ7ZV6AUJIZ"),
        ("sock-shop/payment:", "10.244.3.2:80", "UV4LMV4IYDXHR55Y"),
        ("sock-shop/payment", "", "YPMKE2SU3KTCWTCV"),
        ("default/kubernetes:https", "", "NPX46M4PTMTKRN6Y"),
    ] {
        assert_eq!(names::hash(service_port, "tcp", endpoint), hash, "{service_port} {endpoint}");
    }
}

/// DNS has one port by TCP and by UDP: two service ports, two sets of chains.
#[graded]
fn a_service_ports_chains_are_named_for_namespace_name_port_and_protocol() {
    let api = name("default", "kubernetes", "https", Protocol::Tcp);
    assert_eq!(names::cluster(&api), "KUBE-SVC-NPX46M4PTMTKRN6Y");
    assert_eq!(names::local(&api), "KUBE-SVL-NPX46M4PTMTKRN6Y");
    assert_eq!(names::external(&api), "KUBE-EXT-NPX46M4PTMTKRN6Y");
    let payment = name("sock-shop", "payment", "", Protocol::Tcp);
    assert_eq!(names::cluster(&payment), "KUBE-SVC-YPMKE2SU3KTCWTCV");
    let dns = |protocol| names::cluster(&name("kube-system", "kube-dns", "dns", protocol));
    assert_ne!(dns(Protocol::Tcp), dns(Protocol::Udp));
}

/// Byte by byte what iptables-restore reads: comments, order of matches, chains.
#[graded]
fn a_cluster_ip_with_one_endpoint_reads_as_on_a_real_node() {
    insta::assert_snapshot!(build(&stall(json!({})), &world::config()));
}

/// An endpoint that moves from one slice to another is in both for a moment, and must not be lost in
/// between.
#[graded]
fn slices_of_one_service_are_merged_and_the_hopeful_report_wins() {
    let gone = slice(json!([{"addresses": ["10.244.0.5"], "conditions": {"ready": false}}]));
    let here = slice(json!([pod("10.244.0.5", NODE), pod("10.244.1.5", "node-2")]));
    for order in [[&gone, &here], [&here, &gone]] {
        let merged = heart::model::merge_slices(order, NODE);
        let endpoints = &merged[&name("shop", "web", "", Protocol::Tcp)];
        let seen: Vec<_> = endpoints.iter().map(|e| (e.address.to_string(), e.ready, e.local)).collect();
        assert_eq!(seen, [("10.244.0.5:8080".into(), true, true), ("10.244.1.5:8080".into(), true, false)]);
    }
}

/// Slices written by hand state nothing; their endpoints are meant to be used.
#[graded]
fn conditions_that_are_not_stated_are_the_hopeful_ones() {
    let silent = slice(json!([{"addresses": ["10.244.0.5"]}]));
    let [(_, endpoint)] = &heart::model::endpoints_in(&silent, NODE)[..] else { panic!("one endpoint") };
    assert!(endpoint.ready && endpoint.serving && !endpoint.terminating && !endpoint.local);
}

/// This is all that readiness does: the rule is not there.
#[graded]
fn an_endpoint_that_is_not_ready_gets_no_traffic() {
    let endpoints =
        json!([pod("10.244.0.5", NODE), {"addresses": ["10.244.0.6"], "conditions": {"ready": false}}]);
    let snapshot = Snapshot::collect([&service(json!({}))], [&slice(endpoints)], NODE);
    let fates = kernel(&snapshot).fates(&packet(Origin::Link, POD, "10.96.0.10:80"));
    assert_eq!(fates, [(delivered("10.244.0.5:8080", false), vec![])]);
}

/// A rollout of one replica: the old pod still serves while the new one is not ready, so nobody
/// notices.
#[graded]
fn an_endpoint_that_is_going_serves_until_another_is_ready() {
    let going = json!({
        "addresses": ["10.244.0.5"],
        "conditions": {"ready": false, "serving": true, "terminating": true},
    });
    let fate = |endpoints| {
        let snapshot = Snapshot::collect([&service(json!({}))], [&slice(endpoints)], NODE);
        kernel(&snapshot).fates(&packet(Origin::Link, POD, "10.96.0.10:80")).remove(0).0
    };
    assert_eq!(fate(json!([going])), delivered("10.244.0.5:8080", false));
    assert_eq!(fate(json!([going, pod("10.244.0.6", NODE)])), delivered("10.244.0.6:8080", false));
}

/// It failed its readiness probe or never passed it: only a pod that is going away may be a stopgap.
#[graded]
fn an_endpoint_that_serves_is_no_stopgap_unless_it_is_going() {
    let endpoints = json!([{"addresses": ["10.244.0.5"], "conditions": {"ready": false, "serving": true}}]);
    let snapshot = Snapshot::collect([&service(json!({}))], [&slice(endpoints)], NODE);
    let fates = kernel(&snapshot).fates(&packet(Origin::Link, POD, "10.96.0.10:80"));
    assert_eq!(fates, [(Fate::Rejected, vec![])]);
}

/// A client that is refused tries elsewhere; one that hears nothing waits for a minute.
#[graded]
fn a_service_without_endpoints_is_refused_at_once() {
    let snapshot = Snapshot::collect([&service(json!({}))], [], NODE);
    for (origin, source) in [(Origin::Link, POD), (Origin::Node, world::NODE_IP), (Origin::Link, STRANGER)] {
        let fates = kernel(&snapshot).fates(&packet(origin, source, "10.96.0.10:80"));
        assert_eq!(fates, [(Fate::Rejected, vec![])]);
    }
    insta::assert_snapshot!(build(&snapshot, &world::config()));
}

/// With its own address as the source it would answer itself directly, and reset the connection.
#[graded]
fn a_pod_that_reaches_itself_is_masqueraded_and_a_neighbour_is_not() {
    let kernel = kernel(&stall(json!({})));
    for (source, masqueraded) in [([10, 244, 0, 5], true), ([10, 244, 0, 6], false)] {
        let fates = kernel.fates(&packet(Origin::Link, source.into(), "10.96.0.10:80"));
        assert_eq!(fates, [(delivered("10.244.0.5:8080", masqueraded), vec![])]);
    }
}

/// The answer must come back through the node that translated the request.
#[graded]
fn traffic_from_outside_the_pod_network_is_masqueraded() {
    let kernel = kernel(&stall(json!({})));
    for (origin, source) in [(Origin::Node, world::NODE_IP), (Origin::Link, STRANGER)] {
        for (fate, _) in kernel.fates(&packet(origin, source, "10.96.0.10:80")) {
            assert!(matches!(fate, Fate::Delivered { masqueraded: true, .. }), "{fate:?}");
        }
    }
}

/// If it is not known who is outside, every client would lose its address to a guess.
#[graded]
fn without_a_pod_network_nothing_to_a_cluster_ip_is_masqueraded_but_hairpins() {
    let rules = build(&stall(json!({})), &heart::Config { cluster_cidr: None }).to_string();
    let kernel = crate::tracer::Kernel::with_rules(&rules, &[world::NODE_IP]);
    for (fate, _) in kernel.fates(&packet(Origin::Link, STRANGER, "10.96.0.10:80")) {
        assert!(matches!(fate, Fate::Delivered { masqueraded: false, .. }), "{fate:?}");
    }
}

/// An agent on every node, called by its neighbours only: another node's agent would be the wrong
/// one.
#[graded]
fn internal_traffic_policy_local_keeps_to_this_node_or_drops() {
    let snapshot = shop(json!({"internalTrafficPolicy": "Local"}));
    let to_service = packet(Origin::Link, POD, "10.96.0.10:80");
    assert_eq!(kernel(&snapshot).fates(&to_service), [(delivered("10.244.0.5:8080", false), vec![])]);
    insta::assert_snapshot!(build(&snapshot, &world::config()));

    let elsewhere = slice(json!([pod("10.244.1.5", "node-2")]));
    let local = service(json!({"internalTrafficPolicy": "Local"}));
    let snapshot = Snapshot::collect([&local], [&elsewhere], NODE);
    assert_eq!(kernel(&snapshot).fates(&to_service), [(Fate::Dropped, vec![])]);
}

fn delivered(to: &str, masqueraded: bool) -> Fate {
    Fate::Delivered { to: world::address(to), masqueraded }
}

proptest! {
    /// A packet by chance, in a cluster by chance, against a model that knows no chains.
    #[graded]
    fn every_packet_meets_the_fate_that_its_service_means(
        snapshot in world::snapshot(Upto::Chains),
        packet in world::any_packet(),
    ) {
        expect::check(&snapshot, &packet)?;
    }

    /// The rules stand in the way of all traffic of the node; they must mean only what they name.
    #[graded]
    fn a_packet_that_no_service_names_is_not_touched(
        snapshot in world::snapshot(Upto::Chains),
        ip in any::<u32>(),
        port in 1u16..,
    ) {
        let destination = std::net::SocketAddrV4::new(ip.into(), port);
        prop_assume!(!destination.ip().is_loopback());
        // Services live in these; everything else is foreign.
        prop_assume!(!["10.96.0.0/16", "192.0.2.0/24", "198.51.100.0/24", "10.89.0.11/32"]
            .iter().any(|own| world::cidr(own).contains(*destination.ip())));
        for (origin, source) in [(Origin::Link, POD), (Origin::Node, world::NODE_IP)] {
            let packet = packet(origin, source, &destination.to_string());
            let untouched = Fate::Delivered { to: destination, masqueraded: false };
            prop_assert_eq!(kernel(&snapshot).fates(&packet), vec![(untouched, vec![])]);
        }
    }
}
