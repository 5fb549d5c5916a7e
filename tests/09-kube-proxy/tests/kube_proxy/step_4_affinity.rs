//! Step 4: `sessionAffinity: ClientIP`.

use graded::graded;
use proptest::prelude::*;
use serde_json::json;

use crate::expect;
use crate::heart::build;
use crate::tracer::{Fate, Kernel, Origin};
use crate::world::{self, FAR_POD, POD, Upto, kernel, packet, shop};

fn sticky(seconds: u32) -> Kernel {
    kernel(&shop(json!({
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}},
    })))
}

/// Sends a packet whose tosses are lost `losses` times, and says which endpoint got it.
fn send(kernel: &mut Kernel, source: std::net::Ipv4Addr, mut losses: u32) -> String {
    let fate = kernel.send(&packet(Origin::Link, source, "10.96.0.10:80"), &mut |_| {
        let won = losses == 0;
        losses = losses.saturating_sub(1);
        won
    });
    let Fate::Delivered { to, .. } = fate else { panic!("{fate:?}") };
    to.ip().to_string()
}

/// Lists are asked before the first toss, and written in the endpoint's own chain.
#[graded]
fn a_service_with_affinity_reads_as_on_a_real_node() {
    insta::assert_snapshot!(build(&shop(json!({"sessionAffinity": "ClientIP"})), &world::config()));
}

/// A list costs memory for every client; nobody asked for one.
#[graded]
fn without_affinity_no_rule_remembers_anything() {
    let mut kernel = kernel(&shop(json!({})));
    send(&mut kernel, POD, 0);
    assert!(kernel.lists.is_empty());
}

/// A session lives in one pod's memory.
#[graded]
fn a_client_stays_with_its_endpoint_however_the_tosses_fall() {
    let mut kernel = sticky(60);
    assert_eq!(send(&mut kernel, POD, 1), "10.244.1.5");
    for losses in 0..3 {
        assert_eq!(send(&mut kernel, POD, losses), "10.244.1.5");
    }
    assert_eq!(send(&mut kernel, FAR_POD, 2), "10.244.2.5", "another client has a choice of its own");
}

/// Affinity for ever would keep load where it was on the first day.
#[graded]
fn a_client_that_was_silent_for_longer_than_the_timeout_is_given_a_new_endpoint() {
    let mut kernel = sticky(60);
    assert_eq!(send(&mut kernel, POD, 1), "10.244.1.5");
    kernel.now = 61;
    assert_eq!(send(&mut kernel, POD, 0), "10.244.0.5");
}

/// The timeout is about silence, not about the time since the first visit.
#[graded]
fn every_connection_starts_the_timeout_again() {
    let mut kernel = sticky(60);
    send(&mut kernel, POD, 1);
    for now in [50, 100, 150] {
        kernel.now = now;
        assert_eq!(send(&mut kernel, POD, 0), "10.244.1.5");
    }
}

proptest! {
    /// A packet by chance, in a cluster by chance, against a model that knows no chains.
    #[graded]
    fn every_packet_meets_the_fate_that_its_service_means(
        snapshot in world::snapshot(Upto::Affinity),
        packet in world::any_packet(),
    ) {
        expect::check(&snapshot, &packet)?;
    }

    /// Any number of clients, in any order: each has one home.
    #[graded]
    fn within_the_timeout_a_client_sees_one_endpoint_only(
        visits in proptest::collection::vec((0u8..4, 0u32..3, 0u64..20), 1..30),
    ) {
        let mut kernel = sticky(1000);
        let mut homes = std::collections::BTreeMap::new();
        for (client, losses, pause) in visits {
            kernel.now += pause;
            let got = send(&mut kernel, [10, 244, 3, client].into(), losses);
            let home = homes.entry(client).or_insert_with(|| got.clone());
            prop_assert_eq!(&*home, &got);
        }
    }
}
