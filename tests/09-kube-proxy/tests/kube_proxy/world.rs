//! Small clusters to make rules for: by hand, and by chance.

use std::net::{Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::heart::{self, Cidr, Config, Endpoint, Protocol, ServicePort, ServicePortName, Snapshot};
use crate::tracer::{Kernel, Origin, Packet};

pub const NODE: &str = "node-1";
pub const NODE_IP: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 11);
/// A pod of this node and one of another; a machine outside the cluster.
pub const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 77);
pub const FAR_POD: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 77);
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

pub fn config() -> Config {
    Config { cluster_cidr: Some(cidr("10.244.0.0/16")) }
}

pub fn cidr(text: &str) -> Cidr {
    text.parse().expect(text)
}

pub fn kernel(snapshot: &Snapshot) -> Kernel {
    Kernel::with_rules(&heart::build(snapshot, &config()).to_string(), &[NODE_IP])
}

pub fn name(namespace: &str, name: &str, port: &str, protocol: Protocol) -> ServicePortName {
    ServicePortName { namespace: namespace.into(), name: name.into(), port: port.into(), protocol }
}

/// `shop/web`, TCP 80 on 10.96.0.10, with `spec` merged in.
pub fn service(spec: Value) -> Service {
    let mut object = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80, "protocol": "TCP"}]},
    });
    for (key, value) in spec.as_object().expect("an object") {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).expect("a Service")
}

/// A slice of `shop/web` on port 8080.
pub fn slice(endpoints: Value) -> EndpointSlice {
    let object = json!({
        "metadata": {"namespace": "shop", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    });
    serde_json::from_value(object).expect("an EndpointSlice")
}

/// A ready endpoint of a slice.
pub fn pod(ip: &str, node: &str) -> Value {
    json!({"addresses": [ip], "nodeName": node, "conditions": {"ready": true}})
}

/// `shop/web` with `spec`, served by one pod on this node.
pub fn stall(spec: Value) -> Snapshot {
    Snapshot::collect([&service(spec)], [&slice(json!([pod("10.244.0.5", NODE)]))], NODE)
}

/// `shop/web` with `spec`, served by one pod here and two elsewhere.
pub fn shop(spec: Value) -> Snapshot {
    let endpoints =
        json!([pod("10.244.0.5", NODE), pod("10.244.1.5", "node-2"), pod("10.244.2.5", "node-3")]);
    Snapshot::collect([&service(spec)], [&slice(endpoints)], NODE)
}

pub fn packet(origin: Origin, source: Ipv4Addr, destination: &str) -> Packet {
    Packet { origin, protocol: "tcp", source, destination: destination.parse().expect(destination) }
}

pub fn address(text: &str) -> SocketAddrV4 {
    text.parse().expect(text)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (0u8..3, 1u8..6, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(node, host, ready, serving, terminating)| Endpoint {
            address: SocketAddrV4::new(Ipv4Addr::new(10, 244, node, host), 8080),
            ready,
            serving: serving || ready,
            terminating: terminating && !ready,
            local: node == 0,
        },
    )
}

/// A service port that nobody else's addresses collide with, since they are made of its number.
fn service_port(number: u8, upto: Upto) -> impl Strategy<Value = ServicePort> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let flags = proptest::array::uniform7(any::<bool>());
    (protocol, flags).prop_map(move |(protocol, flags)| {
        let [node_port, external, balancer, ranges, sticky, internal_local, external_local] = flags;
        let [node_port, external, balancer, ranges] =
            [node_port, external, balancer, ranges].map(|flag| flag && upto >= Upto::External);
        let sticky = sticky && upto >= Upto::Affinity;
        let given = |present: bool, value| if present { vec![value] } else { Vec::new() };
        ServicePort {
            name: name(
                "ns",
                &format!("svc-{number}"),
                if number.is_multiple_of(2) { "http" } else { "" },
                protocol,
            ),
            cluster_ip: Ipv4Addr::new(10, 96, 0, number),
            port: 80,
            node_port: node_port.then_some(30_000 + u16::from(number)),
            external_ips: given(external, Ipv4Addr::new(192, 0, 2, number)),
            load_balancer_ips: given(balancer, Ipv4Addr::new(198, 51, 100, number)),
            load_balancer_source_ranges: if ranges { vec![cidr("203.0.113.0/25")] } else { Vec::new() },
            affinity_seconds: sticky.then_some(60),
            internal_policy_local: internal_local,
            external_policy_local: external_local,
        }
    })
}

/// What a cluster made by chance may use: as much as a student has come to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upto {
    /// Cluster IPs with one endpoint at most.
    Chains,
    /// And with several.
    Balance,
    /// And node ports, external IPs, load balancers.
    External,
    /// And session affinity: everything.
    Affinity,
}

/// Up to four service ports with up to five endpoints each.
pub fn snapshot(upto: Upto) -> impl Strategy<Value = Snapshot> {
    let most = if upto == Upto::Chains { 1 } else { 5 };
    let one = move |number: u8| {
        proptest::option::weighted(
            0.8,
            (service_port(number, upto), proptest::collection::vec(endpoint(), 0..=most)).prop_map(
                |(service, mut endpoints)| {
                    endpoints.sort_by_key(|endpoint| endpoint.address);
                    endpoints.dedup_by_key(|endpoint| endpoint.address);
                    (service, endpoints)
                },
            ),
        )
    };
    (one(1), one(2), one(3), one(4)).prop_map(|(a, b, c, d)| {
        let mut snapshot = Snapshot::default();
        for (service, endpoints) in [a, b, c, d].into_iter().flatten() {
            snapshot.endpoints.insert(service.name.clone(), endpoints);
            snapshot.services.insert(service.name.clone(), service);
        }
        snapshot
    })
}

/// Any packet that could mean something in [`snapshot`]'s clusters, and some that mean nothing.
pub fn any_packet() -> impl Strategy<Value = Packet> {
    let number = 1u8..6;
    let destination = (number, 0u8..6).prop_map(|(number, kind)| match kind {
        0 => SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, number), 80),
        1 => SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, number), 80),
        2 => SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, number), 80),
        3 => SocketAddrV4::new(NODE_IP, 30_000 + u16::from(number)),
        // Right address and wrong port; and a node port's number on a foreign address.
        4 => SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, number), 81),
        _ => SocketAddrV4::new(STRANGER, 30_000 + u16::from(number)),
    });
    let source = prop_oneof![
        (0u8..3, 1u8..6).prop_map(|(node, host)| (Origin::Link, Ipv4Addr::new(10, 244, node, host))),
        Just((Origin::Link, POD)),
        Just((Origin::Link, STRANGER)),
        Just((Origin::Link, Ipv4Addr::new(203, 0, 113, 200))),
        Just((Origin::Node, NODE_IP)),
    ];
    let protocol = prop_oneof![Just("tcp"), Just("udp")];
    (source, destination, protocol).prop_map(|((origin, source), destination, protocol)| Packet {
        origin,
        protocol,
        source,
        destination,
    })
}
