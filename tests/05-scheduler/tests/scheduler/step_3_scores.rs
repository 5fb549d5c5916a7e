//! Where a pod should run: worst fit, best fit, in step, and preferences.

use graded::graded;
use proptest::prelude::*;

use crate::heart::Packing;
use crate::heart::cache::Cache;
use crate::heart::cycle::Cycle;
use crate::heart::schedule::{Profile, schedule, score_nodes};
use crate::heart::scores::{NodeResourcesFit, Score, default_scores, stretch};
use crate::{json, node, node_with, pod_asking, pod_with};

fn cache_of(nodes: &[(&str, i64, i64)]) -> Cache {
    let mut cache = Cache::default();
    for (name, cpu, memory) in nodes {
        cache.set_node(node(name, 1000, 1000));
        cache.assume(&pod_asking(&format!("on-{name}"), *cpu, *memory), name);
    }
    cache
}

/// How `NodeResourcesFit` alone scores each node for a pod that asks for little.
fn fit_scores(packing: Packing, cache: &Cache) -> Vec<(String, i64)> {
    let pod = pod_asking("p", 100, 100);
    let cycle = Cycle::new(&pod, cache);
    let plugin = NodeResourcesFit(packing);
    cache.nodes().map(|node| (node.name().to_owned(), plugin.score(&cycle, node))).collect()
}

/// The pod counts as if it were there already, or two equal pods would be judged by different rules.
#[graded]
fn worst_fit_prefers_the_emptiest_node_and_best_fit_the_fullest_that_fits() {
    let cache = cache_of(&[("empty", 0, 0), ("full", 800, 800), ("half", 500, 500)]);
    let scores = |packing| fit_scores(packing, &cache);
    let named = |list: [(&str, i64); 3]| list.map(|(name, score)| (name.to_owned(), score)).to_vec();
    assert_eq!(scores(Packing::LeastAllocated), named([("empty", 90), ("full", 10), ("half", 40)]));
    assert_eq!(scores(Packing::MostAllocated), named([("empty", 10), ("full", 90), ("half", 60)]));
}

/// By the names that an operator writes into a flag. The last two lines are Borg's point.
#[graded]
fn each_strategy_scores_as_its_formula_says() {
    let cache = cache_of(&[("empty", 0, 0), ("even", 400, 400), ("uneven", 800, 100)]);
    let scores = |packing: &str| {
        let scores = fit_scores(packing.parse().expect("a strategy"), &cache);
        scores.into_iter().map(|(_, score)| score).collect::<Vec<_>>()
    };
    assert_eq!(scores("LeastAllocated"), [90, 50, 45]);
    assert_eq!(scores("MostAllocated"), [10, 50, 55]);
    assert_eq!(scores("Hybrid"), [55, 75, 60], "half of how full it is, and half of how even");
    assert!("Tightest".parse::<Packing>().is_err());
}

/// A resource that the node has none of says nothing about how full it is.
#[graded]
fn a_node_is_judged_by_the_resources_that_it_has() {
    let mut cache = Cache::default();
    for (name, cpu, memory) in [("no cpu", "0", "1000Mi"), ("nothing", "0", "0")] {
        let allocatable = json!({ "cpu": cpu, "memory": memory });
        cache.set_node(node_with(name, 0, 0, json!({ "status": { "allocatable": allocatable } })));
    }
    let scores =
        |packing| fit_scores(packing, &cache).into_iter().map(|(_, score)| score).collect::<Vec<_>>();
    assert_eq!(scores(Packing::LeastAllocated), [90, 0]);
    assert_eq!(scores(Packing::MostAllocated), [10, 0]);
    assert_eq!(scores(Packing::Hybrid), [55, 0]);
}

/// The plugins, their weights, and what each says of three nodes, before and after normalising.
#[graded]
fn the_default_profile_weighs_opinions_as_upstream_does() {
    let mut cache = cache_of(&[("empty", 0, 0), ("uneven", 800, 100)]);
    let more = json!({
        "metadata": { "labels": { "disk": "ssd" } },
        "spec": { "taints": [{ "key": "old", "effect": "PreferNoSchedule" }] },
    });
    cache.set_node(node_with("tainted", 1000, 1000, more));
    let expressions = json!([{ "key": "disk", "operator": "Exists" }]);
    let preferred = json!([{ "weight": 7, "preference": { "matchExpressions": expressions } }]);
    let pod = pod_with(
        "p",
        json!({
            "containers": [{ "name": "c", "resources": { "requests": { "cpu": "100m", "memory": "100Mi" } } }],
            "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": preferred } },
        }),
    );
    let cycle = Cycle::new(&pod, &cache);
    let nodes: Vec<_> = cache.nodes().collect();
    let mut said = String::new();
    for (plugin, weight) in default_scores(Packing::LeastAllocated) {
        let raw: Vec<i64> = nodes.iter().map(|node| plugin.score(&cycle, node)).collect();
        let mut scores = raw.clone();
        plugin.normalize(&mut scores);
        said += &format!("{} x {weight}: {raw:?} -> {scores:?}\n", plugin.name());
    }
    said += &format!("{:?}\n", score_nodes(&nodes, &cycle, &Profile::new(Packing::LeastAllocated)));
    insta::assert_snapshot!(said);
}

/// Idle memory on a node without cpu is paid for and cannot be sold.
#[graded]
fn hybrid_fills_nodes_but_not_by_stranding_what_is_left() {
    let cache = cache_of(&[("even", 400, 400), ("stranded", 800, 100)]);
    let scores = fit_scores(Packing::Hybrid, &cache);
    assert!(scores[0].1 > scores[1].1, "a node without cpu cannot use its memory: {scores:?}");
    let cache = cache_of(&[("empty", 0, 0), ("fuller", 400, 400)]);
    let scores = fit_scores(Packing::Hybrid, &cache);
    assert!(scores[1].1 > scores[0].1, "in step, the fuller node is better: {scores:?}");
}

#[graded]
fn a_pod_that_requests_nothing_counts_as_a_small_one_when_nodes_are_scored() {
    let mut cache = Cache::default();
    cache.set_node(node("n1", 1000, 1000));
    cache.set_node(node("n2", 1000, 1000));
    let idle = pod_with("idle", json!({ "containers": [{ "name": "c" }] }));
    cache.assume(&idle, "n1");
    let pod = pod_with("next", json!({ "containers": [{ "name": "c" }] }));
    let profile = Profile::new(Packing::LeastAllocated);
    let node = schedule(&cache, &pod, &profile, 0).expect("room").node;
    assert_eq!(node, "n2", "else any number of them would go to one node");
    let cycle = Cycle::new(&pod, &cache);
    let scores: Vec<i64> =
        cache.nodes().map(|node| NodeResourcesFit(Packing::LeastAllocated).score(&cycle, node)).collect();
    assert_eq!(scores, [70, 85], "each counts as 100m of 1000m, and 200Mi of 1000Mi");
}

/// Scores of different plugins can be added only if they have one scale.
#[graded]
fn stretching_gives_the_largest_a_hundred_and_reversing_turns_round() {
    let stretched = |scores: &[i64], reverse| {
        let mut scores = scores.to_vec();
        stretch(&mut scores, reverse);
        scores
    };
    assert_eq!(stretched(&[0, 1, 2, 4], false), [0, 25, 50, 100]);
    assert_eq!(stretched(&[0, 1, 2, 4], true), [100, 75, 50, 0]);
    assert_eq!(stretched(&[0, 0], false), [0, 0]);
    assert_eq!(stretched(&[0, 0], true), [100, 100], "no objection anywhere: all are best");
}

/// A preference gives way when there is nothing else; that is what tells it from a filter.
#[graded]
fn a_taint_that_prefers_no_pods_is_avoided_but_not_forbidden() {
    let mut cache = Cache::default();
    let taints = json!([{ "key": "old", "effect": "PreferNoSchedule" }]);
    cache.set_node(node_with("a-tainted", 1000, 1000, json!({ "spec": { "taints": taints } })));
    let pod = pod_asking("p", 100, 100);
    let profile = Profile::new(Packing::LeastAllocated);
    assert_eq!(schedule(&cache, &pod, &profile, 0).expect("may run").node, "a-tainted");
    cache.set_node(node("b-clean", 1000, 1000));
    assert_eq!(schedule(&cache, &pod, &profile, 0).expect("may run").node, "b-clean");
}

/// A random tie spreads load, and as an argument it can be replayed.
#[graded]
fn equally_good_nodes_are_told_apart_by_the_tie_alone() {
    let mut cache = Cache::default();
    for name in ["n1", "n2", "n3"] {
        cache.set_node(node(name, 1000, 1000));
    }
    let pod = pod_asking("p", 100, 100);
    let profile = Profile::new(Packing::LeastAllocated);
    let choose = |tie| schedule(&cache, &pod, &profile, tie).expect("room").node;
    assert_eq!([choose(0), choose(1), choose(2), choose(3)], ["n1", "n2", "n3", "n1"]);
}

fn packing() -> impl Strategy<Value = Packing> {
    prop::sample::select(vec![Packing::LeastAllocated, Packing::MostAllocated, Packing::Hybrid])
}

proptest! {
    /// A plugin that leaves its range outvotes all others, whatever the weights say.
    #[graded]
    fn every_normalised_score_is_within_0_and_100_and_the_total_is_their_weighted_sum(
        nodes in prop::collection::vec((1..2000i64, 1..2000i64, 0..3usize, any::<bool>()), 1..6),
        wanted in (0..500i64, 0..500i64), packing in packing(),
    ) {
        let mut cache = Cache::default();
        for (index, (cpu, memory, replicas, tainted)) in nodes.iter().enumerate() {
            let name = format!("n{index}");
            let taints = if *tainted { json!([{ "key": "t", "effect": "PreferNoSchedule" }]) } else { json!([]) };
            cache.set_node(node_with(&name, *cpu, *memory, json!({ "spec": { "taints": taints } })));
            for replica in 0..*replicas {
                cache.assume(&pod_asking(&format!("p{index}-{replica}"), 300, 300), &name);
            }
        }
        let pod = pod_asking("wanted", wanted.0, wanted.1);
        let cycle = Cycle::new(&pod, &cache);
        let infos: Vec<_> = cache.nodes().collect();
        let mut expected = vec![0; infos.len()];
        for (plugin, weight) in default_scores(packing) {
            let mut scores: Vec<i64> = infos.iter().map(|node| plugin.score(&cycle, node)).collect();
            plugin.normalize(&mut scores);
            for (sum, score) in expected.iter_mut().zip(scores) {
                prop_assert!((0..=100).contains(&score), "{} gave {}", plugin.name(), score);
                *sum += weight * score;
            }
        }
        let totals = score_nodes(&infos, &cycle, &Profile::new(packing));
        prop_assert_eq!(totals.into_iter().map(|(_, total)| total).collect::<Vec<_>>(), expected);
    }

    /// A law in place of examples: which way the score must move.
    #[graded]
    fn more_load_never_raises_a_worst_fit_score_nor_lowers_a_best_fit_score(
        load in 0..900i64, more in 0..100i64,
    ) {
        let score = |packing, load| fit_scores(packing, &cache_of(&[("n", load, load)]))[0].1;
        let (before, after) = (load, load + more);
        prop_assert!(score(Packing::LeastAllocated, after) <= score(Packing::LeastAllocated, before));
        prop_assert!(score(Packing::MostAllocated, after) >= score(Packing::MostAllocated, before));
    }
}
