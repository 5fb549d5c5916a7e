//! Step 2: every endpoint is as likely as every other.

use graded::graded;
use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use crate::expect;
use crate::heart::{Snapshot, balance, build};
use crate::tracer::{Fate, Origin};
use crate::world::{self, NODE, POD, Upto, kernel, packet, pod, service, shop, slice};

/// `shop/web` with `n` endpoints.
fn served_by(n: usize) -> Snapshot {
    let pods: Vec<_> = (0..n).map(|i| pod(&format!("10.244.{}.{}", i / 200, i % 200 + 2), NODE)).collect();
    Snapshot::collect([&service(json!({}))], [&slice(json!(pods))], NODE)
}

/// A coin with one side is a rule too many for every packet.
#[graded]
fn a_single_endpoint_needs_no_toss() {
    let fates = kernel(&served_by(1)).fates(&packet(Origin::Link, POD, "10.96.0.10:80"));
    assert!(matches!(&fates[..], [(_, tosses)] if tosses.is_empty()), "{fates:?}");
}

/// One toss at a half, then the rest: as upstream writes it.
#[graded]
fn a_cluster_ip_with_two_endpoints_reads_as_on_a_real_node() {
    let endpoints = slice(json!([pod("10.244.0.5", NODE), pod("10.244.1.5", "node-2")]));
    let snapshot = Snapshot::collect([&service(json!({}))], [&endpoints], NODE);
    insta::assert_snapshot!(build(&snapshot, &world::config()));
}

/// A rule is reached only by those that lost before it, so the coins must get better and better.
#[graded]
fn four_endpoints_toss_for_a_quarter_a_third_a_half_and_the_rest() {
    let snapshot = served_by(4);
    let (name, port) = snapshot.services.first_key_value().expect("one");
    let endpoints: Vec<_> = snapshot.endpoints_of(name).iter().collect();
    insta::assert_snapshot!(balance::spread(port, &endpoints).join("\n"));
}

/// Each share is multiplied out in the 31 random bits that the kernel draws: no rounding hides a
/// mistake.
#[graded]
fn the_shares_of_up_to_four_endpoints_are_equal_in_exact_arithmetic() {
    for n in 2..=4u128 {
        let fates = kernel(&served_by(n as usize)).fates(&packet(Origin::Link, POD, "10.96.0.10:80"));
        assert_eq!(fates.len() as u128, n);
        // The kernel compares 31 random bits with the threshold: count the outcomes that lead here.
        let tosses = n as usize - 1;
        let all = 1u128 << (31 * tosses);
        for (fate, path) in &fates {
            let ways = |t: &crate::tracer::Toss| {
                if t.won { u128::from(t.threshold) } else { (1 << 31) - u128::from(t.threshold) }
            };
            let unused = 1u128 << (31 * (tosses - path.len()));
            let outcomes = path.iter().map(ways).product::<u128>() * unused;
            // Each threshold is off by less than one in 2^31.
            let error = (outcomes * n).abs_diff(all);
            assert!(error <= n * n * (all >> 31), "{fate:?} of {n}: {outcomes} of {all}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// With 150 endpoints, too; and each is reached by exactly one way.
    #[graded]
    fn of_those_that_remain_each_endpoint_wins_its_fair_share(n in 1usize..150) {
        let fates = kernel(&served_by(n)).fates(&packet(Origin::Link, POD, "10.96.0.10:80"));
        let reached: BTreeSet<Fate> = fates.iter().map(|(fate, _)| fate.clone()).collect();
        prop_assert_eq!(reached.len(), n, "each endpoint is reached, and by one way");
        prop_assert_eq!(fates.len(), n);
        // By induction the shares are equal if the k-th toss is 1 in (n - k), whoever lost before.
        let (_, last) = fates.last().expect("n > 0");
        for (lost, toss) in last.iter().enumerate() {
            let remaining = (n - lost) as u64;
            let error = (u64::from(toss.threshold) * remaining).abs_diff(1 << 31);
            prop_assert!(error <= remaining, "toss {} of {}", lost, n);
        }
    }
}

proptest! {
    /// A packet by chance, in a cluster by chance, against a model that knows no chains.
    #[graded]
    fn every_packet_meets_the_fate_that_its_service_means(
        snapshot in world::snapshot(Upto::Balance),
        packet in world::any_packet(),
    ) {
        expect::check(&snapshot, &packet)?;
    }

    /// Equal text means nothing to write: without it every resync would rewrite the table.
    #[graded]
    fn the_same_cluster_gives_the_same_text_in_any_order_of_slices(split in 0usize..3) {
        let mut pods = [pod("10.244.0.5", NODE), pod("10.244.1.5", "node-2"), pod("10.244.2.5", "node-3")];
        pods.rotate_left(split);
        let (a, b) = pods.split_at(split);
        let slices = [slice(json!(a)), slice(json!(b))];
        let snapshot = Snapshot::collect([&service(json!({}))], &slices, NODE);
        let config = world::config();
        prop_assert_eq!(build(&snapshot, &config), build(&shop(json!({})), &config));
    }
}
