//! The classic manifest, unmodified: it waits for its image, says so, and runs a real nginx soon after
//! the image was imported.

use std::path::Path;

use e2e::Cluster;
use serde_json::Value;

#[test]
fn the_classic_manifest_waits_and_then_runs_a_real_nginx() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("nginx");
    let made = e2e::run(std::process::Command::new(examples.join("nginx-rootfs.sh")).arg(&root));
    if !made.succeeded() {
        println!("skipped: no nginx from the distribution's packages: {}", made.stderr);
        return;
    }

    let cluster = Cluster::shared(&[]);
    let manifest = examples.join("nginx-deployment.yaml");
    let manifest = manifest.to_str().expect("a plain path");
    assert_eq!(
        cluster.kubectl(&["apply", "-f", manifest]).ok(),
        "deployment.apps/nginx-deployment created\n"
    );
    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    cluster.wait_for_all("default", &["pods"], |pods| {
        pods.len() == 2
            && pods.iter().all(|pod| waiting(pod) == "ImagePullBackOff" || waiting(pod) == "ErrImagePull")
    });
    let table = cluster.kubectl(&["get", "pods", "--no-headers"]).ok();
    assert!(
        table.lines().all(|line| line.contains("ImagePullBackOff") || line.contains("ErrImagePull")),
        "{table}"
    );
    let events = cluster.kubectl(&["get", "events"]).ok();
    assert!(events.contains("Failed to pull image \"nginx:1.7.9\""), "{events}");

    let root = root.to_str().expect("a plain path");
    cluster
        .coracle(&["image", "import", root, "--tag", "nginx:1.7.9", "--", "nginx", "-g", "daemon off;"])
        .ok();
    let pods = cluster.wait_for_all("default", &["pods"], |pods| {
        pods.len() == 2 && pods.iter().all(|pod| pod["status"]["containerStatuses"][0]["ready"] == true)
    });
    for pod in &pods {
        let url = format!("http://{}/", pod["status"]["podIP"].as_str().expect("an address"));
        let page = e2e::retry("nginx answers", e2e::PATIENCE, || {
            let ran = cluster.enter("node-1", &["busybox", "wget", "-q", "-O", "-", &url]);
            ran.succeeded().then_some(ran.stdout)
        });
        assert!(page.contains("Welcome to nginx!"), "{page}");
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let logs = cluster.kubectl(&["logs", name]).ok();
        assert!(logs.contains("\"GET / HTTP/1.1\" 200"), "{logs}");
    }
}
