//! Debian's kubectl 1.20, twelve releases older than the API that is served: what its users do daily works.
//! It execs, attaches, copies and forwards ports by SPDY alone.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use e2e::workload::{WEB, count_running, running};
use e2e::{Cluster, PortForward, Ran};

/// A kubectl 1.20 from the distribution's package, unpacked beside the tests and installed nowhere.
fn unpack(folder: &std::path::Path) -> Result<std::path::PathBuf, String> {
    let script = "apt-get download -q -o APT::Sandbox::User=root kubernetes-client && dpkg-deb -x kubernetes-client_*.deb .";
    let ran = e2e::run(std::process::Command::new("sh").args(["-c", script]).current_dir(folder));
    let path = folder.join("usr/bin/kubectl");
    if !ran.succeeded() {
        return Err(ran.stderr);
    }
    let version = e2e::run(std::process::Command::new(&path).args(["version", "--client", "--short"])).stdout;
    if version.contains("v1.20.") {
        Ok(path)
    } else {
        Err(format!("the distribution's kubectl is {version}"))
    }
}

/// The program, once for all tests; none where the distribution has another one.
fn program() -> Option<&'static PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let unpacked = || {
        // Beside the cluster's home, with which it goes.
        let folder = Cluster::shared(&[]).home().with_file_name("old-kubectl");
        std::fs::create_dir(&folder).expect("a folder");
        let unpacked = unpack(&folder);
        if let Err(why) = &unpacked {
            println!("skipped: no kubectl 1.20 from the distribution's packages: {why}");
        }
        unpacked.ok()
    };
    PROGRAM.get_or_init(unpacked).as_ref()
}

/// `kubectl -n NS`, with a home of its own.
fn command(program: &PathBuf, cluster: &Cluster, ns: &str) -> Command {
    let mut command = Command::new(program);
    command.env("KUBECONFIG", cluster.home().join("kubeconfig")).env("HOME", cluster.home());
    command.args(["-n", ns]).stdin(std::process::Stdio::null());
    command
}

#[test]
fn kubectl_1_20_execs_copies_attaches_and_forwards_ports() {
    let Some(program) = program() else { return };
    let cluster = Cluster::shared(&[]);
    let ns = cluster.namespace("old-streams");
    let kubectl = |args: &[&str]| e2e::run(command(program, cluster, &ns).args(args));
    let with =
        |args: &[&str], input: &str| e2e::run_with_input(command(program, cluster, &ns).args(args), input);
    cluster.apply(&ns, STREAMS);
    for pod in ["box", "ear"] {
        cluster.wait_for(&ns, &format!("pod/{pod}"), running);
    }

    let ran = kubectl(&["exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "out\n"), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("err\n"), "{}", ran.stderr);
    let long = "to and fro\n".repeat(200_000);
    assert_eq!(with(&["exec", "-i", "box", "--", "cat"], &long).ok(), long);
    let missing = kubectl(&["exec", "box", "-c", "none", "--", "true"]).refused();
    assert!(missing.contains("container none is not valid for pod box"), "{missing}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let (here, back) = (folder.path().join("here"), folder.path().join("back"));
    std::fs::write(&here, &long).expect("a file");
    let paths = [here, back].map(|path| path.to_str().expect("a plain path").to_owned());
    kubectl(&["cp", &paths[0], "box:/tmp/there"]).ok();
    kubectl(&["cp", "box:/tmp/there", &paths[1]]).ok();
    assert_eq!(std::fs::read_to_string(&paths[1]).expect("the copy"), long);

    assert!(with(&["attach", "-i", "ear"], "word\n").ok().contains("heard word\n"));

    let mut forward = command(program, cluster, &ns);
    forward.args(["port-forward", "pod/web", ":8080", ":9"]);
    let forward = PortForward::start(forward, 2);
    for answer in forward.three_answers(0) {
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    drop(forward.connect(1));
    let complaint = forward.line_with("error forwarding port 9 to pod");
    assert!(complaint.contains("onnection refused"), "{complaint}");
}

/// Something to look into, something that listens to its input, and something that serves.
const STREAMS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: box}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: 'busybox:1', command: [sleep, '3600']}]
---
apiVersion: v1
kind: Pod
metadata: {name: ear}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'busybox:1', stdin: true, stdinOnce: true, command: [sh, -c, 'read word; echo heard $word']}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: web, image: 'coracle/web:1', ports: [{containerPort: 8080}]}]
";

#[test]
fn kubectl_1_20_applies_watches_scales_and_deletes() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cluster = Cluster::shared(&[]);
    let ns = cluster.namespace("old-kubectl");
    let manifest = folder.path().join("web.yaml");
    std::fs::write(&manifest, WEB).expect("the manifest can be written");
    let kubectl = |args: &[&str]| -> Ran { e2e::run(command(program, cluster, &ns).args(args)) };
    let file = manifest.to_str().expect("a plain path");
    assert_eq!(kubectl(&["apply", "-f", file]).ok(), "deployment.apps/web created\nservice/web created\n");
    assert_eq!(
        kubectl(&["apply", "-f", file]).ok(),
        "deployment.apps/web unchanged\nservice/web unchanged\n"
    );
    cluster.wait_for_all(&ns, &["pods"], |pods| count_running(pods, 2));
    assert_eq!(
        kubectl(&["scale", "deployment", "web", "--replicas", "3"]).ok(),
        "deployment.apps/web scaled\n"
    );
    assert!(
        kubectl(&["rollout", "status", "deployment/web", "--timeout", "60s"])
            .ok()
            .ends_with("successfully rolled out\n")
    );
    assert!(kubectl(&["get", "pods", "-o", "wide"]).ok().starts_with("NAME "));
    assert!(kubectl(&["describe", "deployment", "web"]).ok().contains("MinimumReplicasAvailable"));
    assert!(kubectl(&["logs", "deployment/web"]).ok().contains("listens on port 8080"));
    assert_eq!(
        kubectl(&["patch", "service", "web", "-p", r#"{"metadata":{"labels":{"a":"b"}}}"#]).ok(),
        "service/web patched\n"
    );
    assert_eq!(
        kubectl(&["delete", "-f", file]).ok(),
        "deployment.apps \"web\" deleted\nservice \"web\" deleted\n"
    );
    cluster.wait_for_all(&ns, &["pods"], |pods| pods.is_empty());
}

/// It checks manifests itself, by OpenAPI v2 in protobuf.
#[test]
fn kubectl_1_20_explains_kinds_and_checks_manifests_by_them() {
    let Some(program) = program() else { return };
    let cluster = Cluster::shared(&[]);
    let ns = cluster.namespace("old-schemas");
    let explained =
        e2e::run(command(program, cluster, &ns).args(["explain", "deployment.spec.strategy"])).ok();
    assert!(explained.starts_with("KIND:     Deployment\nVERSION:  apps/v1\n"), "{explained}");
    let manifest =
        r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"s"},"spec":{"ports":[{"prt":80}]}}"#;
    let refused = e2e::run_with_input(command(program, cluster, &ns).args(["apply", "-f", "-"]), manifest);
    assert_ne!(refused.code, Some(0));
    for error in [
        r#"ValidationError(Service.spec.ports[0]): unknown field "prt" in io.k8s.api.core.v1.ServicePort"#,
        r#"ValidationError(Service.spec.ports[0]): missing required field "port" in io.k8s.api.core.v1.ServicePort"#,
    ] {
        assert!(refused.stderr.contains(error), "{}", refused.stderr);
    }
}
