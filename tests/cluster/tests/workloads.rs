//! Scheduling and control: what Deployments, the scheduler and the controllers do to pods.

use e2e::Cluster;
use e2e::workload::{count_running, running, web};
use serde_json::Value;

fn cluster() -> &'static Cluster {
    Cluster::shared(&[])
}

fn pod(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
{spec}
  containers:
  - {{name: web, image: coracle/web:1}}
"
    )
}

#[test]
fn a_deployment_owns_a_replicaset_owns_pods_on_both_nodes() {
    let ns = cluster().namespace("work-deploy");
    cluster().apply(&ns, &web("web", 2, ""));
    let pods = cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 2));
    let mut nodes: Vec<&str> = pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["node-1", "node-2"], "replicas spread over the nodes");
    let sets = cluster().list(&ns, &["rs"]);
    assert_eq!(sets.len(), 1);
    assert_eq!(pods[0]["metadata"]["ownerReferences"][0]["name"], sets[0]["metadata"]["name"]);
    assert_eq!(sets[0]["metadata"]["ownerReferences"][0]["kind"], "Deployment");
    // Its status follows a moment after its pods.
    cluster().kubectl(&["-n", &ns, "rollout", "status", "deployment/web", "--timeout", "60s"]).ok();
    let table = cluster().kubectl(&["-n", &ns, "get", "deployment", "web", "--no-headers"]).ok();
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words[..4], ["web", "2/2", "2", "2"]);
}

#[test]
fn scaling_goes_up_and_down() {
    let ns = cluster().namespace("work-scale");
    cluster().apply(&ns, &web("web", 1, ""));
    cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 1));
    cluster().kubectl(&["-n", &ns, "scale", "deployment", "web", "--replicas", "4"]).ok();
    cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 4));
    cluster().kubectl(&["-n", &ns, "scale", "deployment", "web", "--replicas", "1"]).ok();
    cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 1));
}

#[test]
fn a_rolling_update_replaces_every_pod_and_can_be_undone() {
    let ns = cluster().namespace("work-rollout");
    cluster().apply(&ns, &web("web", 3, ""));
    cluster().kubectl(&["-n", &ns, "rollout", "status", "deployment/web", "--timeout", "60s"]).ok();
    let before: Vec<Value> =
        cluster().list(&ns, &["pods"]).iter().map(|pod| pod["metadata"]["name"].clone()).collect();
    let patch = r#"{"spec":{"template":{"metadata":{"labels":{"release":"two"}}}}}"#;
    cluster().kubectl(&["-n", &ns, "patch", "deployment", "web", "-p", patch]).ok();
    let status =
        cluster().kubectl(&["-n", &ns, "rollout", "status", "deployment/web", "--timeout", "60s"]).ok();
    assert!(status.ends_with("deployment \"web\" successfully rolled out\n"), "{status}");
    let after = cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 3));
    assert!(after.iter().all(
        |pod| !before.contains(&pod["metadata"]["name"]) && pod["metadata"]["labels"]["release"] == "two"
    ));
    let history = cluster().kubectl(&["-n", &ns, "rollout", "history", "deployment/web"]).ok();
    assert!(history.contains("1         <none>\n2         <none>"), "{history}");
    cluster().kubectl(&["-n", &ns, "rollout", "undo", "deployment/web"]).ok();
    cluster().wait_for_all(&ns, &["pods"], |pods| {
        count_running(pods, 3) && pods.iter().all(|pod| pod["metadata"]["labels"]["release"].is_null())
    });
}

#[test]
fn deleting_a_deployment_removes_everything_under_it() {
    let ns = cluster().namespace("work-gc");
    cluster().apply(&ns, &web("web", 2, ""));
    cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 2));
    cluster().kubectl(&["-n", &ns, "delete", "deployment", "web"]).ok();
    cluster().wait_for_all(&ns, &["rs"], |sets| sets.is_empty());
    cluster().wait_for_all(&ns, &["pods"], |pods| pods.is_empty());
}

#[test]
fn an_orphaning_delete_leaves_the_pods() {
    let ns = cluster().namespace("work-orphan");
    cluster().apply(&ns, &web("web", 1, ""));
    cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 1));
    cluster().kubectl(&["-n", &ns, "delete", "deployment", "web", "--cascade=orphan"]).ok();
    cluster().wait_for_all(&ns, &["rs"], |sets| {
        sets.len() == 1 && sets[0]["metadata"]["ownerReferences"].is_null()
    });
    assert_eq!(cluster().list(&ns, &["pods"]).len(), 1);
}

#[test]
fn a_deleted_namespace_takes_its_content_along() {
    let ns = cluster().namespace("work-namespace");
    cluster().apply(&ns, &web("web", 1, ""));
    cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 1));
    cluster().kubectl(&["delete", "namespace", &ns, "--timeout", "60s"]).ok();
    assert!(cluster().kubectl(&["get", "namespace", &ns]).refused().contains("not found"));
    let left = cluster().coracle(&["etcdctl", "get", "--prefix", "--keys-only", "/registry"]).ok();
    assert!(
        !left.lines().any(|key| key.contains("/work-namespace")),
        "the store still holds parts of it:\n{left}"
    );
}

#[test]
fn a_pod_that_fits_nowhere_waits_with_a_reason_and_runs_when_room_appears() {
    let ns = cluster().namespace("work-pending");
    let cpu = cluster().get("", "node/node-1")["status"]["allocatable"]["cpu"]
        .as_str()
        .expect("a quantity")
        .to_owned();
    assert!(cpu.parse::<u32>().is_ok(), "whole processors: {cpu}");
    // One pod a node that takes all but a little of its processors, and one that then finds no room.
    let big = |name: &str| {
        let cpu: u32 = cpu.parse().expect("checked above");
        pod(name, "").replace(
            "image: coracle/web:1",
            &format!("image: coracle/web:1, resources: {{requests: {{cpu: {}m}}}}", cpu * 900),
        )
    };
    for name in ["first", "second"] {
        cluster().apply(&ns, &big(name));
    }
    cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 2));
    cluster().apply(&ns, &big("third"));
    let event = cluster()
        .watch(&ns, &["events", "--field-selector", "involvedObject.name=third,reason=FailedScheduling"])
        .until("an event that says why", e2e::PATIENCE, |event| event["reason"] == "FailedScheduling");
    let message = event["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("0/2 nodes are available: 2 Insufficient cpu."), "{message}");
    let table = cluster().kubectl(&["-n", &ns, "get", "pod", "third", "--no-headers"]).ok();
    assert_eq!(table.split_whitespace().nth(2), Some("Pending"));
    cluster().kubectl(&["-n", &ns, "delete", "pod", "first"]).ok();
    cluster().wait_for(&ns, "pod/third", running);
    cluster().kubectl(&["delete", "namespace", &ns]).ok();
}

#[test]
fn node_selectors_and_taints_steer_pods() {
    let ns = cluster().namespace("work-steer");
    cluster().apply(&ns, &pod("chosen", "  nodeSelector: {kubernetes.io/hostname: node-2}"));
    let chosen = cluster().wait_for(&ns, "pod/chosen", running);
    assert_eq!(chosen["spec"]["nodeName"], "node-2");
    cluster().apply(&ns, &pod("nowhere", "  nodeSelector: {disk: golden}"));
    let event = cluster().watch(&ns, &["events", "--field-selector", "involvedObject.name=nowhere"]).until(
        "an event that says why",
        e2e::PATIENCE,
        |event| event["reason"] == "FailedScheduling",
    );
    let message = event["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."),
        "{message}"
    );
    cluster().kubectl(&["label", "node", "node-1", "disk=golden"]).ok();
    let woken = cluster().wait_for(&ns, "pod/nowhere", running);
    assert_eq!(woken["spec"]["nodeName"], "node-1");
    cluster().kubectl(&["label", "node", "node-1", "disk-"]).ok();
}

/// The API server takes off, the quota's controller gives back, and whoever waits for it comes in.
#[test]
fn a_quota_holds_a_deployment_back_until_there_is_room() {
    let ns = cluster().namespace("quota");
    cluster().kubectl(&["-n", &ns, "create", "quota", "few", "--hard=pods=2,count/deployments.apps=2"]).ok();
    let used = |count: &str| {
        cluster().wait_for(&ns, "quota/few", |quota| quota["status"]["used"]["pods"] == count);
    };
    used("0");
    cluster().apply(&ns, &web("web", 3, ""));
    cluster().wait_for(&ns, "deploy/web", |deployment| deployment["status"]["readyReplicas"] == 2);
    used("2");
    let refused = cluster().wait_for_all(&ns, &["events"], |events| {
        events.iter().any(|event| event["reason"] == "FailedCreate")
    });
    let told: Vec<&str> = refused.iter().filter_map(|event| event["message"].as_str()).collect();
    let why = "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2";
    assert!(told.iter().any(|told| told.ends_with(why)), "{told:?}");
    let described = cluster().kubectl(&["describe", "namespace", &ns]).ok();
    let rows: Vec<Vec<&str>> = described.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["pods", "2", "2"]), "{described}");

    // What is let go makes room for what waited.
    cluster().apply(&ns, &web("other", 1, ""));
    cluster().kubectl(&["-n", &ns, "scale", "deploy", "web", "--replicas=1"]).ok();
    cluster().wait_for(&ns, "deploy/other", |deployment| deployment["status"]["readyReplicas"] == 1);
    cluster().kubectl(&["-n", &ns, "delete", "deploy", "--all"]).ok();
    used("0");
    cluster().kubectl(&["delete", "namespace", &ns, "--wait=false"]).ok();
}

/// The budget's controller counts, the API server takes off, and a drain waits for both.
#[test]
fn a_disruption_budget_lets_one_pod_go_at_a_time() {
    let ns = cluster().namespace("budget");
    cluster().apply(&ns, &web("web", 1, ""));
    let budget = ["-n", &ns, "create", "pdb", "web", "--selector=app=web", "--min-available=1"];
    cluster().kubectl(&budget).ok();
    let allowed = |count: i64| {
        cluster().wait_for(&ns, "pdb/web", |budget| {
            budget["status"]["disruptionsAllowed"] == count && budget["status"]["currentHealthy"] == count + 1
        });
    };
    let evict = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let url = format!("/api/v1/namespaces/{ns}/pods/{name}/eviction");
        let eviction = format!(
            r#"{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{name}","namespace":"{ns}"}}}}"#
        );
        cluster().kubectl_with(&["create", "--raw", &url, "-f", "-"], &eviction)
    };
    // Of one pod none may go.
    allowed(0);
    let only = cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 1));
    let refused = evict(&only[0]).refused();
    assert_eq!(
        refused,
        "Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.\n"
    );
    cluster().kubectl(&["-n", &ns, "scale", "deploy", "web", "--replicas=2"]).ok();
    allowed(1);
    let pods = cluster().wait_for_all(&ns, &["pods"], |pods| count_running(pods, 2));
    evict(&pods[0]).ok();
    // Another comes for the one that went, and then the second may go too.
    allowed(1);
    evict(&pods[1]).ok();
    let row = cluster().kubectl(&["-n", &ns, "get", "pdb", "web", "--no-headers"]).ok();
    assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), ["web", "1", "N/A"]);
    cluster().kubectl(&["delete", "namespace", &ns, "--wait=false"]).ok();
}
