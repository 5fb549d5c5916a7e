//! Debian's kubectl 1.20, twelve releases older than the API that is served: what its users do daily works.
//! (It execs, attaches and forwards ports by SPDY alone, which is not served yet.)

use e2e::workload::{WEB, count_running};
use e2e::{Cluster, Ran};

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

#[test]
fn kubectl_1_20_applies_watches_scales_and_deletes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = match unpack(folder.path()) {
        Ok(program) => program,
        Err(why) => {
            println!("skipped: no kubectl 1.20 from the distribution's packages: {why}");
            return;
        }
    };
    let cluster = Cluster::shared(&[]);
    let ns = cluster.namespace("old-kubectl");
    let manifest = folder.path().join("web.yaml");
    std::fs::write(&manifest, WEB).expect("the manifest can be written");
    let kubectl = |args: &[&str]| -> Ran {
        let mut command = std::process::Command::new(&program);
        command
            .env("KUBECONFIG", cluster.home().join("kubeconfig"))
            .env("HOME", folder.path())
            .args(["-n", &ns])
            .args(args);
        e2e::run(&mut command)
    };
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
