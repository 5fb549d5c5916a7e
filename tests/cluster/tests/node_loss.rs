//! A node that goes away: noticed, replaced, and welcome when it returns.

use e2e::Cluster;
use e2e::workload::{count_running, running, web};

fn cluster() -> &'static Cluster {
    // A lost node is noticed within seconds here, by the controllers' own flags.
    Cluster::shared(&[
        "--set",
        "controller-manager.node-monitor-period=500ms",
        "--set",
        "controller-manager.node-monitor-grace-period=4s",
        "--set",
        "kubelet.node-status-update-frequency=1s",
    ])
}

#[test]
fn a_stopped_node_turns_not_ready_and_its_pods_are_replaced_elsewhere() {
    let ns = cluster().namespace("work-node-loss");
    let impatient = "
      nodeSelector: {role: spare}
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}";
    cluster().coracle(&["node", "add", "node-3"]).ok();
    cluster().wait_for("", "node/node-3", running);
    cluster().kubectl(&["label", "node", "node-3", "role=spare"]).ok();
    cluster().apply(&ns, &web("web", 1, impatient));
    let pods = cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 1));
    assert_eq!(pods[0]["spec"]["nodeName"], "node-3");
    cluster().kubectl(&["label", "node", "node-2", "role=spare"]).ok();
    cluster().coracle(&["node", "stop", "node-3"]).ok();
    cluster().wait_for("", "node/node-3", |node| !running(node));
    let table = cluster().kubectl(&["get", "node", "node-3", "--no-headers"]).ok();
    assert_eq!(table.split_whitespace().nth(1), Some("NotReady"));
    cluster().wait_for_all(&ns, &["pods"], |pods| {
        pods.iter().any(|pod| running(pod) && pod["spec"]["nodeName"] == "node-2")
    });
    cluster().coracle(&["node", "start", "node-3"]).ok();
    cluster().wait_for("", "node/node-3", running);
    // The old pod was deleted while its node was away: the node, back again, lets it go.
    cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 1));
    cluster().kubectl(&["delete", "namespace", &ns]).ok();
    cluster().coracle(&["node", "stop", "node-3"]).ok();
    cluster().kubectl(&["delete", "node", "node-3"]).ok();
}

/// A node that only its object claims: nothing runs on it, and nothing may be scheduled to it.
const CLAIMED: &str = "
apiVersion: v1
kind: Node
metadata: {name: claimed}
spec: {podCIDR: 10.244.200.0/24, podCIDRs: [10.244.200.0/24], unschedulable: true}
status: {addresses: [{type: InternalIP, address: 10.89.0.200}]}
";

#[test]
fn a_route_is_made_once_and_goes_with_its_node() {
    let routed = |wanted: bool| {
        e2e::retry("the route comes and goes", e2e::PATIENCE, || {
            let routes = cluster().enter("node-1", &["ip", "route", "show", "10.244.200.0/24"]).ok();
            (routes.starts_with("10.244.200.0/24 via 10.89.0.200 dev eth0") == wanted).then_some(())
        });
    };
    cluster().kubectl_with(&["create", "-f", "-"], CLAIMED).ok();
    routed(true);
    // Whatever else changes on nodes is no reason to touch it.
    for count in ["1", "2", "3"] {
        cluster().kubectl(&["label", "node", "claimed", "--overwrite", &format!("change={count}")]).ok();
    }
    cluster().kubectl(&["delete", "node", "claimed"]).ok();
    routed(false);
    let log = cluster().coracle(&["logs", "node-1/node-routes"]).ok();
    assert_eq!(log.matches(" route 10.244.200.0/24 via 10.89.0.200").count(), 1, "{log}");
}
