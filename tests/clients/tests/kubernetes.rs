//! Kubernetes' own components, unmodified, in the place of ours: a second scheduler, and the controller
//! manager. `kubernetes.sh` builds them; it takes too long to be done for every run of the tests.

use e2e::workload::{count_running, web};
use e2e::{Cluster, PATIENCE, retry};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A component that runs until this is dropped.
struct Component {
    child: Child,
    log: PathBuf,
}

/// Where Kubernetes' components are, if they are here.
fn components() -> Option<PathBuf> {
    let folder = std::env::var_os("CORACLE_KUBERNETES").map(PathBuf::from);
    if folder.is_none() {
        println!("SKIPPED: Kubernetes' own components are not here; tests/clients/kubernetes.sh builds them");
    }
    folder
}

impl Component {
    fn start(cluster: &Cluster, program: &Path, flags: &[&str]) -> Component {
        let name = program.file_name().unwrap_or_default().display().to_string();
        let log = cluster.home().join(format!("{name}.log"));
        let output = File::create(&log).expect("a log");
        let mut command = Command::new(program);
        // Nobody asks for their health or their metrics.
        command.args(["--port=0", "--secure-port=0", "-v=2"]).args(flags);
        command.stdout(output.try_clone().expect("a log")).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Component { child, log }
    }

    /// What it could not list, watch or read. (That an object has changed or gone meanwhile is its daily
    /// bread, and told too.)
    fn misunderstandings(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).expect("a log");
        let words =
            ["reflector.go", "decode", "unmarshal", "unknown", "could not find the requested resource"];
        let is_one =
            |line: &&str| line.starts_with(['E', 'F']) && words.iter().any(|word| line.contains(word));
        log.lines().filter(is_one).map(str::to_owned).collect()
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn selected(cluster: &Cluster, namespace: &str, label: &str) -> Vec<Value> {
    cluster.list(namespace, &["pods", "-l", label])
}

/// It reads pods, nodes and volumes in protobuf if it can, binds, writes events of the newer group, and
/// holds a lease.
#[test]
fn a_real_scheduler_schedules_beside_ours() {
    let Some(folder) = components() else { return };
    let cluster = Cluster::up(&["--nodes", "2"]);
    let config = cluster.home().join("scheduler.json");
    let kubeconfig = cluster.kubeconfig().display().to_string();
    let described = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1beta1", "kind": "KubeSchedulerConfiguration",
        "clientConnection": { "kubeconfig": kubeconfig },
        "leaderElection": { "leaderElect": true, "resourceName": "upstream", "resourceNamespace": "kube-system" },
        "profiles": [{ "schedulerName": "upstream" }],
    });
    fs::write(&config, described.to_string()).expect("written");
    let flags = [&format!("--config={}", config.display()), "--feature-gates=PodDisruptionBudget=false"];
    let scheduler = Component::start(&cluster, &folder.join("kube-scheduler"), &flags);

    cluster.apply("default", &web("web", 2, "      schedulerName: upstream"));
    cluster.wait_for_all("default", &["pods", "-l", "app=web"], |pods| count_running(pods, 2));
    let nodes: Vec<Value> =
        selected(&cluster, "default", "app=web").iter().map(|pod| pod["spec"]["nodeName"].clone()).collect();
    assert_ne!(nodes[0], nodes[1], "it spreads them");
    let lease = cluster.get("kube-system", "lease/upstream");
    assert!(lease["spec"]["holderIdentity"].is_string(), "{lease}");

    // Too large for any node: told on the pod and in an event.
    let large = "      schedulerName: upstream\n      nodeSelector: {moon: \"yes\"}";
    cluster.apply("default", &web("large", 1, large));
    let pods = cluster.wait_for_all("default", &["pods", "-l", "app=large"], |pods| {
        pods.iter().any(|pod| pod["status"]["conditions"][0]["reason"] == "Unschedulable")
    });
    let told = pods[0]["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned();
    assert!(told.starts_with("0/2 nodes are available: 2 node(s) didn't match"), "{told}");
    let described = cluster.kubectl(&["describe", "pods", "-l", "app=large"]).ok();
    assert!(described.contains("FailedScheduling") && described.contains("upstream"), "{described}");
    cluster.kubectl(&["label", "nodes", "node-2", "moon=yes"]).ok();
    cluster.wait_for_all("default", &["pods", "-l", "app=large"], |pods| count_running(pods, 1));
    assert_eq!(scheduler.misunderstandings(), Vec::<String>::new());
}

/// It finds out what is served, watches all of it, and writes what its controllers decide.
#[test]
fn a_real_controller_manager_takes_the_place_of_ours() {
    let Some(folder) = components() else { return };
    let cluster = Cluster::up(&["--nodes", "1"]);
    let kubeconfig = format!("--kubeconfig={}", cluster.kubeconfig().display());
    let manager = Component::start(&cluster, &folder.join("kube-controller-manager"), &[kubeconfig.as_str()]);
    let ours = cluster.pid("controller-manager").expect("it runs").to_string();
    cluster.enter("", &["kill", "-STOP", &ours]).ok();

    cluster.apply("default", &web("web", 2, ""));
    cluster.wait_for_all("default", &["pods", "-l", "app=web"], |pods| count_running(pods, 2));
    cluster.kubectl(&["rollout", "status", "deploy/web", "--timeout=60s"]).ok();
    cluster.kubectl(&["set", "env", "deploy/web", "A=1"]).ok();
    cluster.kubectl(&["rollout", "status", "deploy/web", "--timeout=60s"]).ok();
    cluster.kubectl(&["rollout", "undo", "deploy/web"]).ok();
    cluster.kubectl(&["rollout", "status", "deploy/web", "--timeout=60s"]).ok();

    // Kinds that our own manager does not look after.
    cluster.kubectl(&["create", "quota", "few", "--hard=pods=9"]).ok();
    cluster.kubectl(&["create", "job", "once", "--image=busybox:1", "--", "true"]).ok();
    cluster.kubectl(&["wait", "job/once", "--for=condition=Complete", "--timeout=60s"]).ok();
    let set = web("each", 2, "")
        .replace("kind: Deployment", "kind: StatefulSet")
        .replace("spec:\n  replicas", "spec:\n  serviceName: each\n  replicas");
    cluster.apply("default", &set);
    cluster.wait_for_all("default", &["pods", "-l", "app=each"], |pods| count_running(pods, 2));
    retry("the quota is counted", PATIENCE, || {
        let used = cluster.get("default", "quota/few")["status"]["used"]["pods"].clone();
        (used == "4").then_some(())
    });

    // Owners take what is theirs along, and a namespace all that is in it.
    cluster.kubectl(&["delete", "deploy/web", "--cascade=foreground", "--timeout=60s"]).ok();
    assert_eq!(selected(&cluster, "default", "app=web"), Vec::<Value>::new());
    let namespace = cluster.namespace("gone");
    cluster.apply(&namespace, &web("web", 1, ""));
    cluster.wait_for_all(&namespace, &["pods"], |pods| count_running(pods, 1));
    cluster.kubectl(&["delete", "namespace", &namespace, "--timeout=60s"]).ok();

    assert_eq!(manager.misunderstandings(), Vec::<String>::new());
    cluster.enter("", &["kill", "-CONT", &ours]).ok();
}
