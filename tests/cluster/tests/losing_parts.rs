//! Every part may be killed at any time: containers and traffic go on, the part returns and catches up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use e2e::Cluster;
use e2e::workload::WEB;
use serde_json::Value;

/// Requests to the service, one after the other from the sandbox's node-1, until told to stop.
struct Traffic {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    thread: std::thread::JoinHandle<Result<(), String>>,
}

impl Traffic {
    fn start(cluster: &'static Cluster, url: String) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (stopped, count) = (stop.clone(), answered.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let ran = cluster
                    .enter("node-1", &[e2e::ON_NODE, "fetch", &url, "--count", "20", "--timeout", "2s"]);
                if !ran.succeeded() {
                    let why = format!("after {} answers: {}", count.load(Ordering::Relaxed), ran.stderr);
                    eprintln!("traffic stopped {why}");
                    return Err(why);
                }
                count.fetch_add(20, Ordering::Relaxed);
            }
            Ok(())
        });
        Self { stop, answered, thread }
    }

    /// Waits for `more` further answers: proof that traffic flows now.
    fn flows(&self, more: u32, when: &str) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        e2e::retry(&format!("traffic {when}"), e2e::PATIENCE, || {
            std::thread::yield_now();
            assert!(!self.thread.is_finished(), "traffic stopped {when}");
            (self.answered.load(Ordering::Relaxed) >= goal).then_some(())
        });
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .expect("the traffic's thread did not panic")
            .unwrap_or_else(|error| panic!("traffic stopped: {error}"));
    }
}

/// What must not change when a part dies: which containers run, and how often they were started.
fn containers(pods: &[Value]) -> Vec<(String, String, u64)> {
    let mut all: Vec<_> = pods
        .iter()
        .map(|pod| {
            let status = &pod["status"]["containerStatuses"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (
                text(&pod["metadata"]["name"]),
                text(&status["containerID"]),
                status["restartCount"].as_u64().unwrap_or(99),
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn any_part_dies_and_nobody_notices() {
    let cluster = Cluster::shared(&[]);
    let ns = cluster.namespace("losing");
    cluster.apply(&ns, WEB);
    let ready = |pods: &[Value]| {
        pods.len() == 2 && pods.iter().all(|pod| pod["status"]["containerStatuses"][0]["ready"] == true)
    };
    let before = containers(&cluster.wait_for_all(&ns, &["pods"], ready));
    let address =
        cluster.get(&ns, "service/web")["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    let url = format!("http://{address}/");
    // The rules are read and not tried out: a SYN that comes before them leaves through the default path, and
    // the kernel remembers that for two minutes for whoever gets its port next.
    e2e::retry("node-1 knows both pods", e2e::PATIENCE, || {
        let rules = cluster.enter("node-1", &["iptables-save", "-t", "nat"]).ok();
        let to_pods = format!("--comment \"{ns}/web\" -m tcp -j DNAT");
        (rules.matches(&to_pods).count() == 2).then_some(())
    });
    let traffic = Traffic::start(cluster, url);

    let parts = [
        "store",
        "apiserver",
        "scheduler",
        "controller-manager",
        "node-1/kubelet",
        "node-1/runtime",
        "node-1/kube-proxy",
        "node-1/node-routes",
        "node-2/kubelet",
        "node-2/runtime",
        "node-2/kube-proxy",
        "node-2/node-routes",
    ];
    for (round, part) in parts.into_iter().enumerate() {
        let old = cluster.pid(part).unwrap_or_else(|| panic!("{part} has a process"));
        let (node, pid) = (part.split_once('/').map_or("", |(node, _)| node), old.to_string());
        cluster.enter(node, &["kill", "-9", &pid]).ok();
        traffic.flows(40, &format!("after kill -9 of {part}"));
        e2e::retry(&format!("{part} is restarted"), e2e::PATIENCE, || {
            cluster.pid(part).filter(|new| *new != old)
        });
        // It works again: a new pod goes through the API server, store, scheduler, kubelet and runtime.
        let probe = format!("probe-{round}");
        let manifest = format!(
            "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {probe}}}, spec: {{replicas: 2, selector: {{matchLabels: {{probe: {probe}}}}}, template: {{metadata: {{labels: {{probe: {probe}}}}}, spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: web, image: 'coracle/web:1'}}]}}}}}}}}"
        );
        e2e::retry("the API takes a Deployment", e2e::PATIENCE, || {
            cluster.kubectl_with(&["-n", &ns, "apply", "-f", "-"], &manifest).succeeded().then_some(())
        });
        let selector = format!("probe={probe}");
        cluster.wait_for_all(&ns, &["pods", "-l", &selector], ready);
        cluster.kubectl(&["-n", &ns, "delete", "deployment", &probe]).ok();
        cluster.wait_for_all(&ns, &["pods", "-l", &selector], |pods| pods.is_empty());
        let after = containers(&cluster.wait_for_all(&ns, &["pods", "-l", "app=web"], ready));
        assert_eq!(before, after, "kill -9 of {part} changed the running containers");
    }
    traffic.end();
}

#[test]
fn an_exit_while_the_runtime_is_away_is_not_lost() {
    let cluster = Cluster::shared(&[]);
    let ns = cluster.namespace("losing-exit");
    let manifest = "
apiVersion: v1
kind: Pod
metadata: {name: short}
spec:
  nodeName: node-2
  restartPolicy: Never
  containers: [{name: main, image: 'busybox:1', command: [sh, -c, 'read line < /go/pipe; exit 42'], volumeMounts: [{name: go, mountPath: /go}]}]
  initContainers: [{name: pipe, image: 'busybox:1', command: [mkfifo, /go/pipe], volumeMounts: [{name: go, mountPath: /go}]}]
  volumes: [{name: go, hostPath: {path: /var/lib/losing-exit, type: DirectoryOrCreate}}]
";
    cluster.apply(&ns, manifest);
    cluster.wait_for(&ns, "pod/short", |pod| pod["status"]["phase"] == "Running");
    let (runtime, kubelet) = (
        cluster.pid("node-2/runtime").expect("a process"),
        cluster.pid("node-2/kubelet").expect("a process"),
    );
    // Both are gone when the container ends.
    let script = format!("kill -9 {runtime} {kubelet}; echo now > /var/lib/losing-exit/pipe");
    cluster.enter("node-2", &["sh", "-c", &script]).ok();
    let pod = cluster.wait_for(&ns, "pod/short", |pod| pod["status"]["phase"] == "Failed");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 42);
}
