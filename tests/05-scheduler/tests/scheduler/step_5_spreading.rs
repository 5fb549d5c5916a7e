//! Replicas apart: by default over hosts and zones, by constraint over any domain.

use graded::graded;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use proptest::prelude::*;

use crate::heart::Packing;
use crate::heart::cache::Cache;
use crate::heart::schedule::{Profile, schedule};
use crate::heart::scores::Score;
use crate::heart::spread::PodTopologySpread;
use crate::{Arc, bound, json, node, node_with, owned, pod_asking, pod_with, profile};

/// Places replicas one after the other, and counts them by node.
fn place(
    cache: &mut Cache,
    replicas: usize,
    profile: &Profile,
    pod: impl Fn(usize) -> Arc<Pod>,
) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for replica in 0..replicas {
        let pod = pod(replica);
        let Ok(decision) = schedule(cache, &pod, profile, replica as u64) else {
            break;
        };
        cache.assume(&pod, &decision.node);
        *counts.entry(decision.node).or_default() += 1;
    }
    counts
}

fn replica(index: usize) -> Arc<Pod> {
    owned(&pod_asking(&format!("r{index}"), 10, 10), "set")
}

/// A node that fails should not take both, though the score of room alone would put both on the idle
/// one.
#[graded]
fn two_replicas_land_on_two_nodes_even_if_one_node_is_busier() {
    let mut cache = Cache::default();
    cache.set_node(node("busy", 2000, 4000));
    cache.set_node(node("idle", 2000, 4000));
    cache.confirm(bound(&pod_asking("other", 600, 1200), "busy"));
    let counts = place(&mut cache, 2, &profile(), replica);
    assert_eq!(counts, BTreeMap::from([("busy".to_owned(), 1), ("idle".to_owned(), 1)]));
}

/// Nothing says that they belong together.
#[graded]
fn pods_without_an_owner_do_not_care() {
    let mut cache = Cache::default();
    cache.set_node(node("a", 2000, 4000));
    cache.set_node(node("b", 2000, 4000));
    let best_fit = Profile::new(Packing::MostAllocated);
    let counts = place(&mut cache, 2, &best_fit, |index| pod_asking(&format!("r{index}"), 500, 1000));
    assert_eq!(counts.len(), 1, "best fit alone fills one node: {counts:?}");
}

/// A zone fails as a whole; two hosts in it are one failure.
#[graded]
fn replicas_spread_over_zones_before_they_double_up_in_one() {
    let mut cache = Cache::default();
    for (name, zone) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        let labels = json!({ "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone });
        cache.set_node(node_with(name, 2000, 4000, json!({ "metadata": { "labels": labels } })));
    }
    let counts = place(&mut cache, 2, &profile(), replica);
    assert!(counts.contains_key("b1"), "one of two replicas belongs into zone b: {counts:?}");
}

fn in_zone(name: &str, zone: Option<&str>) -> Arc<Node> {
    let mut labels = json!({ "kubernetes.io/hostname": name });
    if let Some(zone) = zone {
        labels["zone"] = json!(zone);
    }
    node_with(name, 100_000, 100_000, json!({ "metadata": { "labels": labels } }))
}

fn constrained(name: &str, when: &str, max_skew: i64) -> Arc<Pod> {
    let constraint = json!({
        "maxSkew": max_skew, "topologyKey": "zone", "whenUnsatisfiable": when,
        "labelSelector": { "matchLabels": { "app": "web" } },
    });
    let mut pod = Pod::clone(&pod_with(name, json!({ "topologySpreadConstraints": [constraint] })));
    pod.metadata.labels = Some(BTreeMap::from([("app".to_owned(), "web".to_owned())]));
    Arc::new(pod)
}

/// A node in no domain cannot keep the domains even.
#[graded]
fn a_node_without_the_key_is_refused_by_a_constraint_that_must_hold() {
    let mut cache = Cache::default();
    cache.set_node(in_zone("n1", None));
    let error = schedule(&cache, &constrained("p", "DoNotSchedule", 1), &profile(), 0)
        .expect_err("the only node is in no zone");
    assert_eq!(
        error.to_string(),
        "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required \
         label). preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    );
    assert!(schedule(&cache, &constrained("p", "ScheduleAnyway", 1), &profile(), 0).is_ok());
}

/// The emptiest domain counts even when nothing can be placed there: that is what "must" means.
#[graded]
fn a_domain_that_is_ahead_is_refused_until_the_others_catch_up() {
    let mut cache = Cache::default();
    cache.set_node(in_zone("a1", Some("a")));
    let cordoned = json!({ "metadata": { "labels": { "zone": "b" } }, "spec": { "unschedulable": true } });
    cache.set_node(node_with("b1", 1000, 1000, cordoned));
    cache.confirm(bound(&constrained("p0", "DoNotSchedule", 1), "a1"));
    let error = schedule(&cache, &constrained("p1", "DoNotSchedule", 1), &profile(), 0)
        .expect_err("zone a has one, b has none, and a skew of two is too much");
    assert!(error.to_string().contains("1 node(s) didn't match pod topology spread constraints,"), "{error}");
    assert!(schedule(&cache, &constrained("p2", "DoNotSchedule", 2), &profile(), 0).is_ok());
}

/// Who takes part in the counting, and who is counted.
#[graded]
fn only_pods_of_the_group_that_stay_count_and_only_nodes_that_the_pod_may_use() {
    let chosen = |spread: &dyn Fn(&mut Cache)| {
        let mut cache = Cache::default();
        cache.set_node(in_zone("a1", Some("a")));
        cache.set_node(in_zone("b1", Some("b")));
        spread(&mut cache);
        let pod = constrained("p", "DoNotSchedule", 1);
        let cycle = crate::heart::cycle::Cycle::new(&pod, &cache);
        cycle.must_spread.counts[0].domains.clone()
    };
    let counts = |a: i64, b: i64| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
    let member = |name: &str, change: &dyn Fn(&mut Pod)| {
        let mut pod = Pod::clone(&constrained(name, "DoNotSchedule", 1));
        change(&mut pod);
        bound(&pod, "a1")
    };
    assert_eq!(chosen(&|_| {}), counts(0, 0), "an empty domain is one");
    assert_eq!(chosen(&|cache| cache.confirm(member("m", &|_| {}))), counts(1, 0));
    let other_team = |pod: &mut Pod| pod.metadata.namespace = Some("other".to_owned());
    assert_eq!(chosen(&|cache| cache.confirm(member("m", &other_team))), counts(0, 0), "another namespace");
    let other_app = |pod: &mut Pod| pod.metadata.labels = None;
    assert_eq!(chosen(&|cache| cache.confirm(member("m", &other_app))), counts(0, 0), "not of the group");
    let going = |pod: &mut Pod| {
        pod.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time"));
    };
    assert_eq!(chosen(&|cache| cache.confirm(member("m", &going))), counts(0, 0), "on its way out");
    let no_zone = |cache: &mut Cache| drop(cache.set_node(in_zone("c1", None)));
    assert_eq!(chosen(&no_zone), counts(0, 0), "a node without the key is in no domain");
}

/// The exact numbers: upstream's weight of ln(domains + 2), the skew, and the turning round.
#[graded]
fn emptier_domains_score_higher_and_nodes_outside_of_all_domains_nothing() {
    let mut cache = Cache::default();
    for (name, zone) in [("a1", Some("a")), ("b1", Some("b")), ("c1", Some("c")), ("none", None)] {
        cache.set_node(in_zone(name, zone));
    }
    for (name, node) in [("m1", "a1"), ("m2", "a1"), ("m3", "b1")] {
        cache.assume(&constrained(name, "ScheduleAnyway", 1), node);
    }
    let pod = constrained("p", "ScheduleAnyway", 3);
    let cycle = crate::heart::cycle::Cycle::new(&pod, &cache);
    let mut scores: Vec<i64> = cache.nodes().map(|node| PodTopologySpread.score(&cycle, node)).collect();
    assert_eq!(scores, [5, 4, 2, -1], "2 ln 5 + 2, ln 5 + 2, and 2; the last one is not covered");
    PodTopologySpread.normalize(&mut scores);
    assert_eq!(scores, [40, 60, 100, 0]);
}

/// So that during an update the old version's pods do not push the new one's about.
#[graded]
fn match_label_keys_make_each_version_a_group_of_its_own() {
    let mut cache = Cache::default();
    cache.set_node(in_zone("a1", Some("a")));
    cache.set_node(in_zone("b1", Some("b")));
    let of_version = |name: &str, version: &str| {
        let mut pod = Pod::clone(&constrained(name, "DoNotSchedule", 1));
        pod.metadata.labels.get_or_insert_default().insert("version".to_owned(), version.to_owned());
        let constraints = pod.spec.get_or_insert_default().topology_spread_constraints.as_mut();
        constraints.expect("constraints")[0].match_label_keys = Some(vec!["version".to_owned()]);
        Arc::new(pod)
    };
    cache.assume(&of_version("old", "1"), "a1");
    cache.assume(&of_version("new", "2"), "b1");
    let pod = of_version("p", "2");
    let cycle = crate::heart::cycle::Cycle::new(&pod, &cache);
    let domains = &cycle.must_spread.counts[0].domains;
    assert_eq!((domains["a"], domains["b"]), (0, 1), "only pods of version 2 count");
}

/// A third zone that must exist keeps a second replica out of the first two until it does.
#[graded]
fn fewer_domains_than_min_domains_count_as_an_empty_one() {
    let mut cache = Cache::default();
    cache.set_node(in_zone("a1", Some("a")));
    cache.set_node(in_zone("b1", Some("b")));
    let pod = |name: &str, min_domains: i32| {
        let mut pod = Pod::clone(&constrained(name, "DoNotSchedule", 1));
        let constraints = pod.spec.get_or_insert_default().topology_spread_constraints.as_mut();
        constraints.expect("constraints")[0].min_domains = Some(min_domains);
        Arc::new(pod)
    };
    cache.assume(&pod("m1", 2), "a1");
    cache.assume(&pod("m2", 2), "b1");
    assert!(schedule(&cache, &pod("p", 2), &profile(), 0).is_ok(), "both zones have one");
    assert!(schedule(&cache, &pod("p", 3), &profile(), 0).is_err(), "the third zone has none");
}

/// A node that the pod's own selector rules out must not hold its domain down for ever.
#[graded]
fn a_zone_in_which_the_pod_may_not_run_is_not_the_emptiest() {
    let mut cache = Cache::default();
    cache.set_node(in_zone("a1", Some("a")));
    cache.set_node(in_zone("b1", Some("b")));
    for replica in 0..3 {
        let mut pod = Pod::clone(&constrained(&format!("p{replica}"), "DoNotSchedule", 1));
        let selector = BTreeMap::from([("kubernetes.io/hostname".to_owned(), "a1".to_owned())]);
        pod.spec.get_or_insert_default().node_selector = Some(selector);
        let pod = Arc::new(pod);
        let decision = schedule(&cache, &pod, &profile(), 0).expect("its only zone is never ahead of itself");
        cache.assume(&pod, &decision.node);
    }
}

proptest! {
    /// Spreading by score alone is exact when nothing else speaks against it.
    #[graded]
    fn replicas_on_equal_nodes_differ_by_one_at_most(nodes in 1..6usize, replicas in 0..20usize) {
        let mut cache = Cache::default();
        for index in 0..nodes {
            cache.set_node(node(&format!("n{index}"), 4000, 8000));
        }
        let counts = place(&mut cache, replicas, &profile(), replica);
        let most = counts.values().max().copied().unwrap_or(0);
        let least = if counts.len() < nodes { 0 } else { counts.values().min().copied().unwrap_or(0) };
        prop_assert_eq!(counts.values().sum::<usize>(), replicas);
        prop_assert!(most - least <= 1, "{:?}", counts);
    }

    /// After every single decision, not only at the end.
    #[graded]
    fn no_zone_ever_gets_further_ahead_than_max_skew(
        zones in prop::collection::vec(0..3u8, 1..7), replicas in 0..15usize, max_skew in 1..4i64,
    ) {
        let mut cache = Cache::default();
        for (index, zone) in zones.iter().enumerate() {
            cache.set_node(in_zone(&format!("n{index}"), Some(&format!("z{zone}"))));
        }
        let mut counts: BTreeMap<u8, i64> = zones.iter().map(|zone| (*zone, 0)).collect();
        for replica in 0..replicas {
            let pod = constrained(&format!("p{replica}"), "DoNotSchedule", max_skew);
            let decision = schedule(&cache, &pod, &profile(), replica as u64).expect("the emptiest zone is open");
            cache.assume(&pod, &decision.node);
            let index: usize = decision.node[1..].parse().expect("a node's number");
            *counts.get_mut(&zones[index]).expect("a zone") += 1;
            let (most, least) = (counts.values().max().unwrap_or(&0), counts.values().min().unwrap_or(&0));
            prop_assert!(most - least <= max_skew, "{:?}", counts);
        }
    }
}
