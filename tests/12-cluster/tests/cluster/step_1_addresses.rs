//! Who lives where.

use std::net::Ipv4Addr;

use graded::graded;
use proptest::prelude::*;

use crate::heart::{AddressPlan, Cidr, PlanError};

/// Pods find the API server at the first address of the Services, and DNS at the tenth, as in every
/// cluster that kubeadm made.
#[graded]
fn the_address_plan_is_the_documented_one() {
    let plan = AddressPlan::default();
    assert_eq!(plan.control_plane(), Ipv4Addr::new(10, 89, 0, 1));
    assert_eq!(plan.kubernetes_service(), Ipv4Addr::new(10, 96, 0, 1));
    assert_eq!(plan.dns_service(), Ipv4Addr::new(10, 96, 0, 10));
    let nodes: Vec<String> = plan
        .nodes(3)
        .expect("three fit")
        .into_iter()
        .map(|node| format!("{} {}", node.name, node.address))
        .collect();
    assert_eq!(nodes, ["node-1 10.89.0.11", "node-2 10.89.0.12", "node-3 10.89.0.13"]);
}

/// Better now than a node that shares its address with the broadcast.
#[graded]
fn more_nodes_than_addresses_are_refused_with_the_number_that_fits() {
    let plan = AddressPlan::default();
    let last = plan.nodes(244).expect("244 fit").pop().expect("there is a last one");
    assert_eq!(last.address, Ipv4Addr::new(10, 89, 0, 254));
    let refusal = plan.nodes(245).expect_err("245 do not fit");
    assert_eq!(refusal, PlanError::TooManyNodes { asked: 245, most: 244, network: "10.89.0.0/24".into() });
    assert_eq!(plan.nodes(0), Err(PlanError::NoNodes));
}

/// Who writes 10.89.0.1/24 meant a host, or 10.89.0.0/24. To guess would be to build on it.
#[graded]
fn a_network_is_written_with_its_prefix_and_nothing_behind_it() {
    for right in ["10.89.0.0/24", "10.0.0.0/8", "192.168.4.0/22", "10.89.0.7/32", "128.0.0.0/1"] {
        assert_eq!(right.parse::<Cidr>().map(|cidr| cidr.to_string()), Ok(right.to_owned()));
    }
    for wrong in [
        "10.89.0.0",
        "10.89.0.1/24",
        "10.89.0.0/33",
        "10.89.0.0/0",
        "10.89.0/24",
        "ten/24",
        "10.89.0.0/-1",
        "",
    ] {
        assert_eq!(wrong.parse::<Cidr>(), Err(PlanError::NotACidr { text: wrong.into() }), "{wrong}");
    }
}

/// And does not stumble over a number below zero.
#[graded]
fn a_network_too_small_for_a_node_says_that_none_fits() {
    for (network, most) in [("10.89.0.0/28", 4), ("10.89.0.0/29", 0), ("10.89.0.0/32", 0)] {
        let plan =
            AddressPlan { machine_room: network.parse().expect("a network"), ..AddressPlan::default() };
        let refusal = plan.nodes(5).expect_err("five do not fit");
        assert_eq!(refusal, PlanError::TooManyNodes { asked: 5, most, network: network.into() });
        assert_eq!(plan.nodes(most.max(1)).is_ok(), most > 0, "{most} fit into {network}");
    }
}

proptest! {
    /// Against plain counting, in numbers that cannot overflow.
    #[graded]
    fn the_nth_address_lies_inside_and_is_neither_the_first_nor_the_last(bits: u32, prefix in 8..=32_u8, n: u32) {
        let mask = u32::MAX << (32 - u32::from(prefix));
        let cidr: Cidr = format!("{}/{prefix}", Ipv4Addr::from(bits & mask)).parse().expect("a network");
        // The naive model: count from the network's own address, and compare as plain numbers.
        let first = u64::from(bits & mask);
        let broadcast = first + (1_u64 << (32 - u32::from(prefix))) - 1;
        let expected = first + u64::from(n);
        let n_th = cidr.nth(n);
        prop_assert_eq!(n_th.is_some(), expected < broadcast);
        if let Some(address) = n_th {
            prop_assert_eq!(u64::from(u32::from(address)), expected);
            prop_assert!(cidr.contains(address));
        }
        prop_assert_eq!(cidr.to_string().parse::<Cidr>(), Ok(cidr));
    }
}
