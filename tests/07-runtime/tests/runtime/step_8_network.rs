use graded::graded;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;

use crate::heart::cni::{parse_conf, plugin_input, template};
use crate::heart::network::{
    Cidr, GATEWAY, NetOp, NodeNet, RouteOp, Side, allocate, plan_attach, plan_routes,
};

fn cidr(text: &str) -> Cidr {
    text.parse().expect(text)
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().expect(text)
}

/// .0 is the network's own address, .1 by custom the gateway's.
#[graded]
fn the_first_pod_gets_the_address_after_the_gateways() {
    assert_eq!(allocate(cidr("10.244.1.0/24"), &BTreeSet::new(), None), Some(ip("10.244.1.2")));
}

/// Clients of the pod that is gone may still be writing to it: the next owner should not be the next
/// pod.
#[graded]
fn an_address_that_was_given_back_is_used_again_as_late_as_can_be() {
    let net = cidr("10.244.1.0/29");
    assert_eq!(allocate(net, &BTreeSet::new(), Some(ip("10.244.1.2"))), Some(ip("10.244.1.3")));
    assert_eq!(allocate(net, &BTreeSet::new(), Some(ip("10.244.1.6"))), Some(ip("10.244.1.2")));
    assert_eq!(allocate(net, &[ip("10.244.1.4")].into(), Some(ip("10.244.1.3"))), Some(ip("10.244.1.5")));
}

/// Better no pod than two with one address.
#[graded]
fn a_full_network_gives_none() {
    let used = [2, 3, 4, 5, 6].map(|last| Ipv4Addr::new(10, 0, 0, last)).into();
    assert_eq!(allocate(cidr("10.0.0.0/29"), &used, None), None);
    assert_eq!(allocate(cidr("10.0.0.0/31"), &BTreeSet::new(), None), None);
    assert_eq!(allocate(cidr("10.0.0.0/32"), &BTreeSet::new(), None), None);
}

/// Routed, not bridged: so every packet passes the node's rules, and services work (chapter 09).
#[graded]
fn a_pod_is_attached_by_a_routed_cable() {
    let ops = plan_attach("veth12345678", "eth0", ip("10.244.1.5"), 1500);
    assert_snapshot!(ops.iter().map(|op| format!("{op}\n")).collect::<String>());
}

/// The kernel's conditions, checked step by step on the plan, and the way of a packet at its end.
#[graded]
fn every_step_finds_what_it_needs_and_packets_find_their_way() {
    let pod_ip = ip("10.244.1.5");
    let (mut links, mut up, mut neighbours) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut routes: Vec<(Side, String, Cidr, Option<Ipv4Addr>)> = Vec::new();
    for op in plan_attach("vethx", "eth0", pod_ip, 1500) {
        match op {
            NetOp::Veth { host, pod, .. } => links.extend([(Side::Node, host), (Side::Pod, pod)]),
            NetOp::Address { side, link, .. } => assert!(links.contains(&(side, link))),
            NetOp::Up { side, link } => up.push((side, link)),
            NetOp::Neighbour { side, link, ip, mac } => {
                assert!(links.contains(&(side, link)));
                neighbours.insert(ip, mac);
            }
            NetOp::Route { side, link, to, via } => {
                assert!(up.contains(&(side, link.clone())), "a route needs a link that is up");
                if let Some(via) = via {
                    let direct = routes
                        .iter()
                        .any(|(s, l, t, v)| *s == side && *l == link && t.contains(via) && v.is_none());
                    assert!(direct, "nobody can reach the gateway yet: network is unreachable");
                }
                routes.push((side, link, to, via));
            }
        }
    }
    let way = |side: Side, to: Ipv4Addr| {
        let fitting = routes.iter().filter(|(s, _, t, _)| *s == side && t.contains(to));
        fitting
            .max_by_key(|(_, _, t, _)| t.prefix())
            .map(|(_, link, _, via)| (link.as_str(), via.unwrap_or(to)))
    };
    let (link, next) = way(Side::Pod, ip("10.96.0.1")).expect("a way out of the pod");
    assert_eq!((link, next), ("eth0", GATEWAY));
    assert!(neighbours.contains_key(&next), "nobody answers for the gateway");
    assert_eq!(way(Side::Node, pod_ip), Some(("vethx", pod_ip)));
    assert!(neighbours.contains_key(&pod_ip));
    assert_eq!(way(Side::Node, ip("10.244.1.6")), None, "the cable leads to one pod only");
}

fn node(name: &str, address: &str, pods: &str) -> NodeNet {
    NodeNet { name: name.into(), internal_ip: address.parse().ok(), pod_cidr: pods.parse().ok() }
}

/// Every pod can reach every other without translation: on one flat network, a route a node is all it
/// takes.
#[graded]
fn other_nodes_pods_are_reached_through_their_node() {
    let nodes = [
        node("me", "10.89.0.11", "10.244.0.0/24"),
        node("other", "10.89.0.12", "10.244.1.0/24"),
        node("new", "10.89.0.13", "no network yet"),
    ];
    let current =
        [(cidr("10.244.1.0/24"), ip("10.89.0.99")), (cidr("10.244.9.0/24"), ip("10.89.0.9"))].into();
    let ops = plan_routes("me", &nodes, &current);
    assert_eq!(
        ops,
        [
            RouteOp::Remove { to: cidr("10.244.9.0/24") },
            RouteOp::Set { to: cidr("10.244.1.0/24"), via: ip("10.89.0.12") },
        ]
    );
}

/// What the runtime writes when a node has no network is read by the same rules as anybody else's.
#[graded]
fn the_runtimes_own_network_can_be_read_back() {
    let list = parse_conf(&template(cidr("10.244.3.0/24"))).unwrap();
    assert_eq!(list.name, "coracle");
    assert_eq!(list.plugins[0]["ipam"]["subnet"], "10.244.3.0/24");
}

/// The older form of configuration is still what many plugins install.
#[graded]
fn a_single_plugin_is_a_list_of_one() {
    let list = parse_conf(r#"{"cniVersion":"1.0.0","name":"n","type":"bridge"}"#).unwrap();
    assert_eq!((list.name.as_str(), list.plugins.len()), ("n", 1));
    for bad in
        ["", "{}", r#"{"name":"n","plugins":[]}"#, r#"{"name":"n","plugins":[{}]}"#, r#"{"type":"bridge"}"#]
    {
        assert!(parse_conf(bad).is_err(), "{bad}");
    }
}

/// Plugins are chained: a port mapper must know the address that the one before it gave.
#[graded]
fn a_plugin_is_told_the_networks_name_and_the_result_so_far() {
    let list = parse_conf(
        r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a"},{"type":"b","capabilities":{"portMappings":true}}]}"#,
    );
    let previous = json!({ "ips": [] });
    let input = plugin_input(&list.unwrap(), 1, Some(&previous));
    assert_eq!(input, json!({ "type": "b", "cniVersion": "1.0.0", "name": "n", "prevResult": previous }));
}

proptest! {
    /// Pods come and go at random; a naive book keeps who has what.
    #[graded]
    fn no_address_is_ever_given_twice(prefix in 26..31_u8, steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200)) {
        let net = cidr(&format!("10.1.2.64/{prefix}"));
        let size = 2_usize.pow(32 - u32::from(prefix)).saturating_sub(3);
        let mut used = BTreeSet::new();
        let mut last = None;
        for (take, which) in steps {
            if take {
                match allocate(net, &used, last) {
                    Some(ip) => {
                        prop_assert!(net.contains(ip) && ip != ip_of(net, 0) && ip != ip_of(net, 1));
                        prop_assert!(u32::from(ip) != u32::from(net.address()) + (1 << (32 - prefix)) - 1, "broadcast");
                        prop_assert!(used.insert(ip), "{} was given twice", ip);
                        last = Some(ip);
                    }
                    None => prop_assert_eq!(used.len(), size, "none though some were free"),
                }
            } else if !used.is_empty() {
                let ip = *used.iter().nth(which.index(used.len())).unwrap();
                used.remove(&ip);
            }
        }
    }

    /// A loop that finds something to do on its own result never rests.
    #[graded]
    fn routes_come_to_rest_in_one_step(
        nodes in prop::collection::btree_map(0..6_u8, (0..6_u8, 0..6_u8), 0..6),
        before in prop::collection::btree_map(0..6_u8, 0..6_u8, 0..6),
    ) {
        let net = |n: u8| cidr(&format!("10.244.{n}.0/24"));
        let host = |n: u8| Ipv4Addr::new(10, 89, 0, 10 + n);
        // Each node has a network of its own.
        let nodes: Vec<NodeNet> = nodes
            .iter()
            .map(|(n, (address, _))| NodeNet { name: format!("n{n}"), internal_ip: Some(host(*address)), pod_cidr: Some(net(*n)) })
            .collect();
        let mut table: BTreeMap<Cidr, Ipv4Addr> = before.iter().map(|(n, via)| (net(*n), host(*via))).collect();
        for op in plan_routes("n0", &nodes, &table) {
            match op {
                RouteOp::Set { to, via } => drop(table.insert(to, via)),
                RouteOp::Remove { to } => drop(table.remove(&to)),
            }
        }
        let others = nodes.iter().filter(|node| node.name != "n0");
        let wanted: BTreeMap<Cidr, Ipv4Addr> =
            others.map(|node| (node.pod_cidr.unwrap(), node.internal_ip.unwrap())).collect();
        prop_assert_eq!(&table, &wanted);
        prop_assert_eq!(plan_routes("n0", &nodes, &table), vec![]);
    }
}

fn ip_of(net: Cidr, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.address()) + offset)
}
