//! Nodes: silence, taints, patience, and everybody's part of the network.

use graded::graded;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;

use crate::heart::bucket::TokenBucket;
use crate::heart::cidr::{CidrAllocator, CidrError};
use crate::heart::node_health::{Action, NodeMonitor, Patience, is_ready};
use crate::heart::pod_gc::{PodCollector, Reason};
use crate::heart::taints::evict_at;
use crate::{Value, at, json, merge, object, pod, text};

pub fn node(name: &str, more: Value) -> Node {
    let mut value = json!({
        "metadata": { "name": name, "uid": name, "creationTimestamp": text(0) },
        "spec": {},
        "status": { "conditions": [{
            "type": "Ready", "status": "True", "lastHeartbeatTime": text(0), "lastTransitionTime": text(0),
        }] },
    });
    merge(&mut value, &more);
    object(value)
}

fn lease(seconds: i64) -> Lease {
    object(json!({ "metadata": { "name": "n" }, "spec": { "renewTime": format!("{}", at(seconds)) } }))
}

fn monitor(eviction_rate: f64) -> NodeMonitor {
    NodeMonitor::new(Patience {
        grace: Duration::from_secs(40),
        startup_grace: Duration::from_secs(60),
        eviction_rate,
    })
}

/// Carries out what was planned.
fn apply(nodes: &mut [Arc<Node>], actions: &[Action]) {
    let slot = |nodes: &[Arc<Node>], node: &Node| {
        nodes.iter().position(|other| other.metadata.name == node.metadata.name).expect("a known node")
    };
    for action in actions {
        match action {
            Action::SetConditions { node, conditions } => {
                let node = Arc::make_mut(&mut nodes[slot(nodes, node)]);
                node.status.get_or_insert_default().conditions = Some(conditions.clone());
            }
            Action::SetTaints { node, taints } => {
                let node = Arc::make_mut(&mut nodes[slot(nodes, node)]);
                node.spec.get_or_insert_default().taints = Some(taints.clone());
            }
            Action::MarkPodsNotReady { .. } | Action::Tell { .. } => {}
        }
    }
}

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let mut lines: Vec<String> =
        taints.into_iter().flatten().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
    lines.sort();
    lines
}

/// Ten seconds between renewals and forty of grace: three may be lost.
#[graded]
fn a_node_that_renews_its_lease_stays_ready() {
    let mut monitor = monitor(1.0);
    let nodes = [Arc::new(node("n", json!({})))];
    for seconds in (0..200).step_by(10) {
        monitor.handle_sign(&nodes[0], Some(&lease(seconds)), at(seconds));
        assert_eq!(monitor.plan(&nodes, at(seconds + 9)), []);
    }
}

/// Unknown, and not False: nobody said that it is broken.
#[graded]
fn a_silent_node_becomes_unknown_after_the_grace_and_not_before() {
    let mut monitor = monitor(1.0);
    let silent = node(
        "n",
        json!({ "status": { "conditions": [
        { "type": "Ready", "status": "True", "lastHeartbeatTime": text(0) },
        { "type": "DiskPressure", "status": "False" },
    ] } }),
    );
    let nodes = [Arc::new(silent)];
    monitor.handle_sign(&nodes[0], Some(&lease(0)), at(0));
    monitor.handle_sign(&nodes[0], Some(&lease(0)), at(30));
    assert_eq!(monitor.plan(&nodes, at(39)), [], "the same lease again is no sign of life");
    let actions = monitor.plan(&nodes, at(40));
    insta::assert_debug_snapshot!(
        actions
            .iter()
            .map(|action| match action {
                Action::SetConditions { conditions, .. } => conditions
                    .iter()
                    .map(|c| format!("{}={} {:?} {:?}", c.type_, c.status, c.reason, c.message))
                    .collect::<Vec<_>>(),
                Action::SetTaints { taints, .. } =>
                    taints.iter().map(|t| format!("{}:{}", t.key, t.effect)).collect(),
                Action::MarkPodsNotReady { .. } => vec!["its pods are not ready".to_owned()],
                Action::Tell { note, .. } =>
                    vec![format!("{} {}: {}", note.type_, note.reason, note.message)],
            })
            .collect::<Vec<_>>()
    );
}

/// And a second look at the same silence plans nothing new.
#[graded]
fn a_lost_node_is_tainted_while_another_is_well_and_clean_again_when_it_returns() {
    let mut monitor = monitor(1.0);
    let mut nodes = [Arc::new(node("lost", json!({}))), Arc::new(node("well", json!({})))];
    for node in &nodes {
        monitor.handle_sign(node, Some(&lease(0)), at(0));
    }
    monitor.handle_sign(&nodes[1], Some(&lease(50)), at(50));
    let actions = monitor.plan(&nodes, at(50));
    apply(&mut nodes, &actions);
    assert_eq!(
        taints(&nodes[0]),
        ["node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"],
    );
    assert!(taints(&nodes[1]).is_empty(), "the other one is well");
    let again = monitor.plan(&nodes, at(51));
    assert!(again.iter().all(|action| matches!(action, Action::MarkPodsNotReady { .. })), "{again:?}");
    let back = json!({ "type": "Ready", "status": "True", "lastHeartbeatTime": text(60) });
    Arc::make_mut(&mut nodes[0]).status.get_or_insert_default().conditions = Some(object(json!([back])));
    monitor.handle_sign(&nodes[0], Some(&lease(60)), at(60));
    let actions = monitor.plan(&nodes, at(60));
    apply(&mut nodes, &actions);
    assert!(is_ready(&nodes[0]) && taints(&nodes[0]).is_empty(), "{:?}", taints(&nodes[0]));
}

/// Pods may have more patience with a node that speaks.
#[graded]
fn a_node_that_says_it_is_not_ready_gets_another_taint_than_one_that_says_nothing() {
    let mut monitor = monitor(1.0);
    let broken = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    let mut nodes = [Arc::new(node("broken", broken)), Arc::new(node("well", json!({})))];
    for node in &nodes {
        monitor.handle_sign(node, Some(&lease(0)), at(0));
    }
    let actions = monitor.plan(&nodes, at(1));
    apply(&mut nodes, &actions);
    assert_eq!(
        taints(&nodes[0]),
        ["node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/not-ready:NoSchedule"],
    );
}

/// Then it is more likely this controller that has lost its network.
#[graded]
fn if_all_nodes_are_silent_nobody_is_evicted() {
    let mut monitor = monitor(1.0);
    let mut nodes = [Arc::new(node("a", json!({}))), Arc::new(node("b", json!({})))];
    for node in &nodes {
        monitor.handle_sign(node, Some(&lease(0)), at(0));
    }
    let actions = monitor.plan(&nodes, at(100));
    apply(&mut nodes, &actions);
    for node in &nodes {
        assert_eq!(taints(node), ["node.kubernetes.io/unreachable:NoSchedule"]);
    }
}

/// A mistake of this loop must not empty a cluster before somebody sees it.
#[graded]
fn evictions_begin_at_no_more_than_the_given_rate() {
    let mut monitor = monitor(0.1);
    let mut nodes: Vec<Arc<Node>> =
        ["a", "b", "c", "well"].iter().map(|name| Arc::new(node(name, json!({})))).collect();
    for node in &nodes {
        monitor.handle_sign(node, Some(&lease(0)), at(0));
    }
    let mut evicting = Vec::new();
    for seconds in [50, 51, 59, 60, 70] {
        monitor.handle_sign(&nodes[3], Some(&lease(seconds)), at(seconds));
        let actions = monitor.plan(&nodes, at(seconds));
        apply(&mut nodes, &actions);
        let tainted = |node: &&Arc<Node>| taints(node).iter().any(|taint| taint.ends_with("NoExecute"));
        evicting.push(nodes.iter().filter(tainted).count());
    }
    assert_eq!(evicting, [1, 1, 1, 2, 3], "one node in ten seconds");
}

/// A taint that a person set is not this controller's to take away.
#[graded]
fn taints_of_others_are_left_alone_and_a_cordon_is_shown_as_one() {
    let mut monitor = monitor(1.0);
    let cordoned =
        json!({ "spec": { "unschedulable": true, "taints": [{ "key": "mine", "effect": "NoExecute" }] } });
    let mut nodes = [Arc::new(node("n", cordoned))];
    monitor.handle_sign(&nodes[0], Some(&lease(0)), at(0));
    let actions = monitor.plan(&nodes, at(0));
    apply(&mut nodes, &actions);
    assert_eq!(taints(&nodes[0]), ["mine:NoExecute", "node.kubernetes.io/unschedulable:NoSchedule"]);
    Arc::make_mut(&mut nodes[0]).spec.get_or_insert_default().unschedulable = None;
    let actions = monitor.plan(&nodes, at(1));
    apply(&mut nodes, &actions);
    assert_eq!(taints(&nodes[0]), ["mine:NoExecute"]);
}

fn no_execute(key: &str, since: i64) -> (Taint, Timestamp) {
    (object(json!({ "key": key, "effect": "NoExecute" })), at(since))
}

/// Each pod says for itself how long it can wait for its node to come back.
#[graded]
fn a_pod_leaves_when_its_patience_with_a_taint_is_over() {
    let tolerating = |tolerations: Value| pod("p", json!({ "spec": { "tolerations": tolerations } }));
    let patient = |seconds: i64| json!({ "key": "a", "operator": "Exists", "tolerationSeconds": seconds });
    let for_ever = json!({ "key": "a", "operator": "Exists", "effect": "NoExecute" });
    let taint = [no_execute("a", 10)];
    assert_eq!(evict_at(&tolerating(json!([])), &taint), Some(at(10)), "no toleration: at once");
    assert_eq!(evict_at(&tolerating(json!([patient(300)])), &taint), Some(at(310)));
    assert_eq!(evict_at(&tolerating(json!([patient(-5)])), &taint), Some(at(10)));
    assert_eq!(evict_at(&tolerating(json!([for_ever])), &taint), None);
    assert_eq!(evict_at(&tolerating(json!([])), &[]), None);
    let late = [(taint[0].0.clone(), Timestamp::MAX)];
    assert_eq!(
        evict_at(&tolerating(json!([patient(300)])), &late),
        Some(Timestamp::MAX),
        "any time may be told"
    );
    let two = [no_execute("a", 10), no_execute("b", 20)];
    assert_eq!(evict_at(&tolerating(json!([patient(300)])), &two), Some(at(20)), "the earliest counts");
    let no_schedule = (object(json!({ "key": "a", "effect": "NoSchedule" })), at(0));
    assert_eq!(evict_at(&tolerating(json!([])), &[no_schedule]), None);
    let going = pod("p", json!({ "metadata": { "deletionTimestamp": text(0) } }));
    assert_eq!(evict_at(&going, &taint), None);
}

/// Watches of pods and nodes are not in step: a node may only seem to be gone.
#[graded]
fn pods_of_nodes_that_are_gone_are_collected_after_a_quarantine() {
    let mut collector = PodCollector::default();
    let pods = [pod("p", json!({ "spec": { "nodeName": "gone" } })), pod("q", json!({}))];
    let nodes = BTreeSet::from(["n1".to_owned()]);
    assert!(collector.plan(&pods, &nodes, at(0)).is_empty());
    assert!(collector.plan(&pods, &nodes, at(39)).is_empty());
    let doomed = collector.plan(&pods, &nodes, at(40));
    assert_eq!(doomed.len(), 1);
    assert_eq!((doomed[0].0.metadata.name.as_deref(), doomed[0].1), (Some("p"), Reason::NodeIsGone));
    let back = BTreeSet::from(["n1".to_owned(), "gone".to_owned()]);
    assert!(collector.plan(&pods, &back, at(50)).is_empty());
    assert!(collector.plan(&pods, &nodes, at(60)).is_empty(), "the quarantine begins anew");
}

/// Only a kubelet confirms a deletion, and this pod never had one.
#[graded]
fn a_pod_that_was_deleted_before_it_had_a_node_is_collected_at_once() {
    let pods =
        [pod("p", json!({ "metadata": { "deletionTimestamp": text(0) }, "spec": { "nodeName": "" } }))];
    let doomed = PodCollector::default().plan(&pods, &BTreeSet::new(), at(0));
    assert_eq!(doomed[0].1, Reason::NeverScheduled);
}

/// What was saved up is limited: a quiet night must not allow a wild morning.
#[graded]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let mut bucket = TokenBucket::new(0.5, 2);
    let takes: Vec<bool> = [0, 0, 0, 1, 2, 3, 4, 100, 100, 100].iter().map(|s| bucket.take(at(*s))).collect();
    assert_eq!(takes, [true, true, false, false, true, false, true, true, true, false]);
}

/// Routes and pods live on it; a node that asks again must hear the same.
#[graded]
fn nodes_get_the_lowest_free_network_and_keep_it() {
    let mut networks = CidrAllocator::new("10.244.0.0/16", 24).expect("a network");
    networks.occupy(&node("old", json!({ "spec": { "podCIDR": "10.244.1.0/24" } })));
    assert_eq!(networks.allocate("a").as_deref(), Ok("10.244.0.0/24"));
    assert_eq!(networks.allocate("b").as_deref(), Ok("10.244.2.0/24"));
    assert_eq!(networks.allocate("a").as_deref(), Ok("10.244.0.0/24"), "asked twice, the same answer");
    networks.release("old");
    assert_eq!(networks.allocate("c").as_deref(), Ok("10.244.1.0/24"));
}

/// A node without a network is a sentence in an event, and no crash.
#[graded]
fn a_network_that_is_full_or_malformed_says_so() {
    let mut tiny = CidrAllocator::new("10.0.0.0/23", 24).expect("a network");
    assert!(tiny.allocate("a").is_ok() && tiny.allocate("b").is_ok());
    assert_eq!(tiny.allocate("c"), Err(CidrError::Exhausted("c".to_owned())));
    for (cluster, mask) in
        [("10.0.0.0", 24), ("10.0.0/8", 24), ("10.0.0.0/33", 24), ("x/8", 24), ("10.0.0.0/24", 16)]
    {
        assert!(CidrAllocator::new(cluster, mask).is_err(), "{cluster} {mask}");
    }
}

proptest! {
    /// Two pods with one address: packets would reach either.
    #[graded]
    fn no_two_nodes_share_a_network(
        prefix in 8..24u8, extra in 0..6u8, steps in prop::collection::vec((0..20u8, any::<bool>()), 0..60),
    ) {
        let mask = prefix + extra;
        let mut networks = CidrAllocator::new(&format!("10.0.0.0/{prefix}"), mask).expect("a network");
        let mut given = std::collections::BTreeMap::new();
        for (node, leaves) in steps {
            let name = format!("n{node}");
            if leaves {
                networks.release(&name);
                given.remove(&name);
            } else if let Ok(cidr) = networks.allocate(&name) {
                prop_assert_eq!(cidr.split_once('/').map(|(_, bits)| bits.parse()), Some(Ok(mask)));
                given.insert(name, cidr);
            } else {
                prop_assert!(given.len() >= 1 << extra, "refused with {} of {} given", given.len(), 1 << extra);
            }
            let distinct: BTreeSet<&String> = given.values().collect();
            prop_assert_eq!(distinct.len(), given.len());
        }
    }
}
