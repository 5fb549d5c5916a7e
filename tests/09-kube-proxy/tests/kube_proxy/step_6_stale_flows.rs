//! Step 6: the UDP flows that outlive their endpoint.

use std::collections::BTreeSet;

use graded::graded;
use serde_json::json;

use crate::heart::{Protocol, Snapshot, StaleFlow, stale_flows};
use crate::world::NODE;

fn dns(pods: &[&str]) -> Snapshot {
    let service = json!({
        "metadata": {"namespace": "kube-system", "name": "kube-dns"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "nodePort": 30054},
        ]},
    });
    let endpoints: Vec<_> = pods.iter().map(|ip| json!({"addresses": [ip]})).collect();
    let slice = json!({
        "metadata": {"namespace": "kube-system", "name": "x", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}],
        "endpoints": endpoints,
    });
    let (service, slice) = (serde_json::from_value(service), serde_json::from_value(slice));
    Snapshot::collect([&service.expect("a Service")], [&slice.expect("a slice")], NODE)
}

fn commands(flows: BTreeSet<StaleFlow>) -> Vec<String> {
    flows.iter().map(|flow| flow.args().join(" ")).collect()
}

/// A resolver keeps one port open, and would ask a dead pod for ever.
#[graded]
fn udp_flows_to_an_endpoint_that_went_are_deleted() {
    let stale = stale_flows(&dns(&["10.244.0.5", "10.244.0.6"]), &dns(&["10.244.0.6"]));
    assert_eq!(
        commands(stale),
        [
            "-D --orig-dst 10.96.0.10 --dst-nat 10.244.0.5 -p udp",
            "-D -p udp --dport 30053 --dst-nat 10.244.0.5"
        ]
    );
}

/// The kernel remembers "not translated" as well, for as long as the client keeps asking.
#[graded]
fn udp_flows_from_before_the_first_endpoint_are_deleted() {
    let stale = stale_flows(&dns(&[]), &dns(&["10.244.0.5"]));
    assert_eq!(commands(stale), ["-D --orig-dst 10.96.0.10 -p udp", "-D -p udp --dport 30053"]);
}

/// A TCP client whose pod is gone is told so by a reset; its other connections are none of our business.
#[graded]
fn connections_of_tcp_are_left_alone() {
    let mut tcp = [dns(&["10.244.0.5"]), dns(&[])];
    for snapshot in &mut tcp {
        snapshot.services.retain(|name, _| name.protocol == Protocol::Tcp);
    }
    assert_eq!(stale_flows(&tcp[0], &tcp[1]), BTreeSet::new());
    assert_eq!(stale_flows(&tcp[1], &tcp[0]), BTreeSet::new());
}

/// Every address by which a client may have come has an entry of its own in the connection table.
#[graded]
fn every_address_of_a_service_is_thought_of() {
    let with_external = |pods: &[&str]| {
        let mut snapshot = dns(pods);
        for service in snapshot.services.values_mut() {
            service.external_ips.push([192, 0, 2, 7].into());
        }
        snapshot
    };
    let external = std::net::Ipv4Addr::new(192, 0, 2, 7);
    let (none, one) = (with_external(&[]), with_external(&["10.244.0.5"]));
    assert!(stale_flows(&none, &one).contains(&StaleFlow::ToAddress(external)));
    let gone = StaleFlow::AddressToEndpoint(external, [10, 244, 0, 5].into());
    assert!(stale_flows(&one, &none).contains(&gone));
}

/// Its address may be given to another service, whose clients should not land on old pods.
#[graded]
fn a_deleted_service_takes_its_flows_along_and_an_unchanged_one_keeps_them() {
    let before = dns(&["10.244.0.5"]);
    assert_eq!(stale_flows(&before, &before), BTreeSet::new());
    assert_eq!(stale_flows(&before, &Snapshot::default()).len(), 2);
}
