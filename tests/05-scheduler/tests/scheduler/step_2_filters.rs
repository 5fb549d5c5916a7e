//! Where a pod may run: requests, selectors, taints, ports, and the words for a refusal.

use graded::graded;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, Taint, Toleration};
use proptest::prelude::*;

use crate::heart::affinity::requirement_holds;
use crate::heart::cache::Cache;
use crate::heart::cycle::Cycle;
use crate::heart::resources::pod_requests;
use crate::heart::schedule::{FitError, feasible_nodes};
use crate::heart::scores::{NodeAffinity, Score};
use crate::heart::taints::tolerates;
use crate::{Pod, Value, json, node, node_with, pod_asking, pod_with, profile};

/// The names of the nodes that no filter refuses.
fn fitting(cache: &Cache, pod: &Pod) -> Result<Vec<String>, FitError> {
    let nodes = feasible_nodes(cache, &Cycle::new(pod, cache), &profile())?;
    Ok(nodes.into_iter().map(|node| node.name().to_owned()).collect())
}

/// The message for a pod on nodes, or where it may go.
fn verdict(nodes: Vec<std::sync::Arc<k8s_openapi::api::core::v1::Node>>, spec: Value) -> String {
    let mut cache = Cache::default();
    for node in nodes {
        cache.set_node(node);
    }
    let pod = pod_with("p", spec);
    match fitting(&cache, &pod) {
        Ok(nodes) => format!("may go to {}", nodes.join(", ")),
        Err(error) => error.to_string(),
    }
}

fn asking(requests: Value) -> Value {
    json!({ "containers": [{ "name": "c", "resources": { "requests": requests } }] })
}

fn tainted(name: &str, taints: Value) -> std::sync::Arc<k8s_openapi::api::core::v1::Node> {
    node_with(name, 1000, 1000, json!({ "spec": { "taints": taints } }))
}

/// People paste these sentences into search boxes, and tools match on them.
#[graded]
fn a_refusal_says_why_in_upstreams_words() {
    let mut said = String::new();
    let mut say = |what: &str, text: String| writeln!(said, "{what}:\n  {text}").expect("a string");
    say("no nodes", verdict(vec![], json!({})));
    let two = || vec![node("n1", 1000, 1000), node("n2", 1000, 1000)];
    say("too much cpu for any node", verdict(two(), asking(json!({ "cpu": "2" }))));
    say(
        "too much of several",
        verdict(two(), asking(json!({ "cpu": "2", "memory": "2Gi", "x.io/gpu": "1" }))),
    );
    let full = || {
        let mut cache = Cache::default();
        for node in two() {
            cache.set_node(node);
        }
        cache.assume(&pod_asking("a", 800, 100), "n1");
        cache.assume(&pod_asking("b", 800, 100), "n2");
        cache
    };
    let pod = pod_with("p", asking(json!({ "cpu": "500m" })));
    let error = fitting(&full(), &pod).expect_err("200m are left on each, and it asks for 500m").to_string();
    say("room is taken", error);
    let mut never = asking(json!({ "cpu": "500m" }));
    never["preemptionPolicy"] = json!("Never");
    let error = fitting(&full(), &pod_with("p", never))
        .expect_err("200m are left on each, and it asks for 500m")
        .to_string();
    say("room is taken, and it never preempts", error);
    say("nodeSelector", verdict(two(), json!({ "nodeSelector": { "disk": "ssd" } })));
    let taints = json!([{ "key": "a", "value": "b", "effect": "NoSchedule" }]);
    let not_ready = json!([{ "key": "node.kubernetes.io/not-ready", "effect": "NoExecute" }]);
    let cordoned = node_with("n3", 1000, 1000, json!({ "spec": { "unschedulable": true } }));
    let nodes = vec![tainted("n1", taints), tainted("n2", not_ready), cordoned];
    say("taints, and a cordoned node", verdict(nodes, json!({})));
    let tiny =
        node_with("n1", 1000, 1000, json!({ "status": { "allocatable": { "cpu": "1", "pods": "0" } } }));
    say("no more pods", verdict(vec![tiny], json!({})));
    insta::assert_snapshot!(said);
}

/// The first refusal ends it, so the order decides which reason a person reads.
#[graded]
fn the_filters_stand_in_upstreams_order_and_each_refuses_for_its_own_reason() {
    let more = json!({
        "spec": { "unschedulable": true, "taints": [{ "key": "a", "value": "b", "effect": "NoExecute" }] },
    });
    let mut cache = Cache::default();
    cache.set_node(node_with("n1", 1000, 1000, more));
    let port = json!([{ "containerPort": 80, "hostPort": 80 }]);
    cache.assume(&pod_with("there", json!({ "containers": [{ "name": "c", "ports": port }] })), "n1");
    let pod = pod_with(
        "p",
        json!({
            "nodeName": "n2", "nodeSelector": { "disk": "ssd" },
            "containers": [{ "name": "c", "ports": port, "resources": { "requests": { "cpu": "2" } } }],
        }),
    );
    let cycle = Cycle::new(&pod, &cache);
    let node = cache.node("n1").expect("it was set");
    let mut said = String::new();
    for filter in profile().filters {
        let refusal = filter.filter(&cycle, node).err();
        let reasons = refusal.map_or("may run".to_owned(), |refusal| {
            format!("{:?}{}", refusal.reasons, if refusal.resolvable { ", resolvable" } else { "" })
        });
        let events = filter.woken_by();
        writeln!(said, "{}: {reasons}\n  woken by {events:?}", filter.name()).expect("a string");
    }
    insta::assert_snapshot!(said);
}

/// A static pod, or one that a person placed: it may be nowhere else.
#[graded]
fn a_pod_that_names_its_node_may_run_there_and_nowhere_else() {
    let two = vec![node("n1", 1000, 1000), node("n2", 1000, 1000)];
    assert_eq!(verdict(two, json!({ "nodeName": "n2" })), "may go to n2");
}

/// Nothing is kept back: the last millicore is as good as the first.
#[graded]
fn a_pod_may_take_the_very_last_of_everything() {
    let last =
        node_with("n1", 1000, 1000, json!({ "status": { "allocatable": { "cpu": "1", "pods": "2" } } }));
    let mut cache = Cache::default();
    cache.set_node(last);
    cache.assume(&pod_asking("there", 600, 0), "n1");
    assert!(fitting(&cache, &pod_asking("p", 400, 0)).is_ok(), "400m are left, and one place for a pod");
    assert!(fitting(&cache, &pod_asking("p", 401, 0)).is_err());
    let error = fitting(&cache, &pod_asking("p", 1000, 0)).expect_err("400m are left");
    assert!(error.refusals["n1"].resolvable, "on an empty node it would just fit");
    let error = fitting(&cache, &pod_asking("p", 1001, 0)).expect_err("400m are left");
    assert!(!error.refusals["n1"].resolvable, "it is larger than the node");
}

/// Two pods that listen on one port of one node: one of them would never start.
#[graded]
fn a_host_port_is_taken_once_per_node_address_and_protocol() {
    let port = |port: Value| json!({ "containers": [{ "name": "c", "ports": [port] }] });
    let taken = pod_with("a", port(json!({ "containerPort": 80, "hostPort": 80, "hostIP": "10.0.0.1" })));
    let mut cache = Cache::default();
    cache.set_node(node("n1", 1000, 1000));
    cache.assume(&taken, "n1");
    let fits = |wanted: Value| fitting(&cache, &pod_with("b", port(wanted))).is_ok();
    assert!(!fits(json!({ "containerPort": 80, "hostPort": 80 })), "0.0.0.0 overlaps every address");
    assert!(!fits(json!({ "containerPort": 80, "hostPort": 80, "hostIP": "10.0.0.1" })));
    assert!(fits(json!({ "containerPort": 80, "hostPort": 80, "hostIP": "10.0.0.2" })));
    assert!(fits(json!({ "containerPort": 80, "hostPort": 80, "protocol": "UDP" })));
    assert!(fits(json!({ "containerPort": 80, "hostPort": 81 })));
    assert!(fits(json!({ "containerPort": 80 })), "a container port alone takes nothing of the node");
}

/// DaemonSets run on cordoned nodes too: they tolerate that very taint.
#[graded]
fn a_cordoned_node_takes_only_pods_that_tolerate_it() {
    let goes = |tolerations: Value| {
        let cordoned = node_with("n1", 1000, 1000, json!({ "spec": { "unschedulable": true } }));
        verdict(vec![cordoned], json!({ "tolerations": tolerations })) == "may go to n1"
    };
    let exists = |key: &str, effect: &str| json!([{ "key": key, "operator": "Exists", "effect": effect }]);
    assert!(!goes(json!([])), "it tolerates nothing");
    assert!(goes(exists("node.kubernetes.io/unschedulable", "NoSchedule")));
    assert!(!goes(exists("node.kubernetes.io/unschedulable", "NoExecute")), "another effect");
    assert!(!goes(exists("node.kubernetes.io/not-ready", "NoSchedule")), "another taint");
}

/// `nodeSelectorTerms` is an "or" of "and"s; upstream chose the empty one to match nothing.
#[graded]
fn terms_are_alternatives_and_the_requirements_in_a_term_all_hold() {
    let wants = |terms: Value| {
        let affinity = json!({ "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms },
        }});
        let nodes =
            vec![node_with("n1", 1000, 1000, json!({ "metadata": { "labels": { "a": "1", "b": "2" } } }))];
        verdict(nodes, json!({ "affinity": affinity })) == "may go to n1"
    };
    let is = |key: &str, value: &str| json!({ "key": key, "operator": "In", "values": [value] });
    assert!(wants(json!([{ "matchExpressions": [is("a", "1"), is("b", "2")] }])));
    assert!(!wants(json!([{ "matchExpressions": [is("a", "1"), is("b", "3")] }])));
    assert!(wants(json!([{ "matchExpressions": [is("a", "9")] }, { "matchExpressions": [is("b", "2")] }])));
    assert!(wants(json!([{ "matchFields": [is("metadata.name", "n1")] }])));
    assert!(!wants(json!([{ "matchFields": [is("metadata.name", "n2")] }])));
    assert!(!wants(json!([{}])), "an empty term matches nothing");
    assert!(!wants(json!([])), "no term matches nothing");
}

/// The older field and the newer one may stand side by side, and neither repeals the other.
#[graded]
fn a_selector_and_an_affinity_must_both_hold() {
    let labels = json!({ "metadata": { "labels": { "a": "1" } } });
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "a", "operator": "Exists" }] }],
    }}});
    let goes = |selector: Value| {
        let nodes = vec![node_with("n1", 1000, 1000, labels.clone())];
        verdict(nodes, json!({ "nodeSelector": selector, "affinity": affinity })) == "may go to n1"
    };
    assert!(goes(json!({ "a": "1" })), "both hold");
    assert!(!goes(json!({ "a": "2" })), "the affinity alone is not enough");
}

/// As text, "9" is greater than "10".
#[graded]
fn gt_and_lt_compare_whole_numbers_and_hold_for_nothing_else() {
    let holds = |operator: &str, bound: &str, actual: Option<&str>| {
        let requirement = NodeSelectorRequirement {
            key: "k".to_owned(),
            operator: operator.to_owned(),
            values: Some(vec![bound.to_owned()]),
        };
        requirement_holds(&requirement, actual)
    };
    assert!(holds("Gt", "9", Some("10")));
    assert!(!holds("Gt", "10", Some("10")));
    assert!(holds("Lt", "10", Some("9")));
    assert!(!holds("Lt", "10", Some("nine")));
    assert!(!holds("Gt", "9", None));
}

/// A preferred term holds by the same rules as a required one; only what follows from it differs.
#[graded]
fn the_preferred_terms_that_hold_add_their_weights() {
    let mut cache = Cache::default();
    for (name, labels) in
        [("ab", json!({ "a": "", "b": "" })), ("b", json!({ "b": "" })), ("none", json!({}))]
    {
        cache.set_node(node_with(name, 1000, 1000, json!({ "metadata": { "labels": labels } })));
    }
    let prefer = |key: &str, weight: i32| {
        let expressions = json!([{ "key": key, "operator": "Exists" }]);
        json!({ "weight": weight, "preference": { "matchExpressions": expressions } })
    };
    let preferred = json!([prefer("a", 30), prefer("b", 20)]);
    let pod = pod_with(
        "p",
        json!({ "affinity": { "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        }}}),
    );
    let cycle = Cycle::new(&pod, &cache);
    let scores: Vec<i64> = cache.nodes().map(|node| NodeAffinity.score(&cycle, node)).collect();
    assert_eq!(scores, [50, 20, 0]);
}

proptest! {
    /// A label that is absent is in no set, and therefore not in any.
    #[graded]
    fn in_notin_exists_and_doesnotexist_mean_what_sets_mean(
        actual in prop::option::of("[ab]{1,2}"), values in prop::collection::vec("[ab]{1,2}", 0..3),
    ) {
        let holds = |operator: &str| {
            let requirement = NodeSelectorRequirement {
                key: "k".to_owned(), operator: operator.to_owned(), values: Some(values.clone()),
            };
            requirement_holds(&requirement, actual.as_deref())
        };
        let inside = match &actual {
            Some(actual) => values.contains(actual),
            None => false,
        };
        prop_assert_eq!(holds("In"), inside);
        prop_assert_eq!(holds("NotIn"), !inside);
        prop_assert_eq!(holds("Exists"), actual.is_some());
        prop_assert_eq!(holds("DoesNotExist"), actual.is_none());
        prop_assert!(!holds("Near"), "an unknown operator holds for nothing");
    }

    /// What a toleration leaves open, it tolerates: `operator: Exists` alone tolerates everything.
    #[graded]
    fn a_toleration_covers_a_taint_if_every_part_that_it_names_agrees(
        key in prop::sample::select(vec!["", "a", "b"]), value in prop::sample::select(vec!["", "x", "y"]),
        operator in prop::sample::select(vec!["", "Equal", "Exists"]),
        effect in prop::sample::select(vec!["", "NoSchedule", "NoExecute"]),
    ) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let toleration = Toleration {
            key: some(key), value: some(value), operator: some(operator), effect: some(effect),
            toleration_seconds: None,
        };
        for (taint_key, taint_value, taint_effect) in [("a", "x", "NoSchedule"), ("b", "", "NoExecute")] {
            let taint = Taint {
                key: taint_key.to_owned(), value: some(taint_value), effect: taint_effect.to_owned(),
                time_added: None,
            };
            let mut disagreements = Vec::new();
            if !effect.is_empty() && effect != taint_effect { disagreements.push("effect"); }
            if !key.is_empty() && key != taint_key { disagreements.push("key"); }
            if operator != "Exists" && value != taint_value { disagreements.push("value"); }
            prop_assert_eq!(tolerates(&toleration, &taint), disagreements.is_empty(), "{:?}", disagreements);
        }
    }
}

/// (cpu in thousandths, sidecar)
fn containers(max: usize) -> impl Strategy<Value = Vec<(i64, bool)>> {
    prop::collection::vec((0..500i64, any::<bool>()), 0..max)
}

fn pod_of(init: &[(i64, bool)], main: &[(i64, bool)], overhead: i64) -> Value {
    let container = |(index, (cpu, sidecar)): (usize, &(i64, bool))| {
        let mut container =
            json!({ "name": format!("c{index}"), "resources": { "requests": { "cpu": format!("{cpu}m") } } });
        if *sidecar {
            container["restartPolicy"] = json!("Always");
        }
        container
    };
    json!({
        "initContainers": init.iter().enumerate().map(container).collect::<Vec<_>>(),
        "containers": main.iter().map(|(cpu, _)| (*cpu, false)).enumerate()
            .map(|(index, c)| container((index, &c))).collect::<Vec<_>>(),
        "overhead": { "cpu": format!("{overhead}m") },
    })
}

proptest! {
    /// The second opinion starts the pod, container by container, and watches the meter.
    #[graded]
    fn a_pod_needs_what_its_hungriest_moment_needs(
        init in containers(5), main in containers(4), overhead in 0..50i64,
    ) {
        let mut running: i64 = 0;
        let mut peak: i64 = 0;
        for (cpu, sidecar) in &init {
            running += cpu;
            peak = peak.max(running);
            if !sidecar {
                running -= cpu;
            }
        }
        running += main.iter().map(|(cpu, _)| cpu).sum::<i64>();
        peak = peak.max(running);
        let pod = pod_with("p", pod_of(&init, &main, overhead));
        prop_assert_eq!(pod_requests(&pod).get("cpu"), peak + overhead);
    }

    /// The one promise of the filters: what is requested on a node never exceeds what it has.
    #[graded]
    fn a_pod_fits_exactly_where_a_plain_sum_says_so(
        present in prop::collection::vec((0..400i64, 0..400i64), 0..6),
        wanted in (0..400i64, 0..400i64), room in (1..1200i64, 1..1200i64), allowed_pods in 0..7usize,
    ) {
        let allocatable = json!({
            "cpu": format!("{}m", room.0), "memory": format!("{}Mi", room.1), "pods": allowed_pods.to_string(),
        });
        let mut cache = Cache::default();
        cache.set_node(node_with("n", 0, 0, json!({ "status": { "allocatable": allocatable } })));
        let mut used: BTreeMap<&str, i64> = BTreeMap::new();
        for (index, (cpu, memory)) in present.iter().enumerate() {
            cache.assume(&pod_asking(&format!("p{index}"), *cpu, *memory), "n");
            *used.entry("cpu").or_default() += cpu;
            *used.entry("memory").or_default() += memory;
        }
        let free = |name: &str, room: i64| room - used.get(name).copied().unwrap_or(0);
        let fits_cpu = wanted.0 == 0 || wanted.0 <= free("cpu", room.0);
        let fits_memory = wanted.1 == 0 || wanted.1 <= free("memory", room.1);
        let expected = fits_cpu && fits_memory && present.len() < allowed_pods;
        let pod = pod_asking("wanted", wanted.0, wanted.1);
        let verdict = fitting(&cache, &pod);
        prop_assert_eq!(verdict.is_ok(), expected, "{:?}", verdict);
    }
}
