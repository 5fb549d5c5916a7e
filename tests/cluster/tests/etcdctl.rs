//! The real etcdctl against the cluster's store, from the host.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use e2e::Cluster;

fn cluster() -> &'static Cluster {
    Cluster::shared(&["--nodes", "1"])
}

fn etcdctl(args: &[&str]) -> e2e::Ran {
    let mut all = vec!["etcdctl"];
    all.extend(args);
    cluster().coracle(&all)
}

#[test]
fn keys_read_as_on_a_real_cluster() {
    let keys = etcdctl(&["get", "--prefix", "--keys-only", "/registry"]).ok();
    for key in [
        "/registry/minions/node-1",
        "/registry/namespaces/default",
        "/registry/services/specs/default/kubernetes",
        "/registry/leases/kube-node-lease/node-1",
    ] {
        assert!(keys.lines().any(|line| line == key), "no {key} in\n{keys}");
    }
}

#[test]
fn put_get_and_del_keep_their_history() {
    assert_eq!(etcdctl(&["put", "/mine/a", "one"]).ok(), "OK\n");
    let first = etcdctl(&["get", "/mine/a", "-w", "json"]).json();
    let revision = first["header"]["revision"].as_i64().expect("a revision");
    assert_eq!(etcdctl(&["put", "/mine/a", "two"]).ok(), "OK\n");
    assert_eq!(etcdctl(&["get", "/mine/a"]).ok(), "/mine/a\ntwo\n");
    assert_eq!(etcdctl(&["get", "/mine/a", "--rev", &revision.to_string()]).ok(), "/mine/a\none\n");
    assert_eq!(etcdctl(&["del", "/mine/a"]).ok(), "1\n");
    assert_eq!(etcdctl(&["get", "/mine/a"]).ok(), "");
}

#[test]
fn a_watch_scrolls_the_clusters_changes() {
    let mut watch = e2e::coracle(cluster().home())
        .args(["etcdctl", "watch", "--prefix", "/registry/configmaps/"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("etcdctl starts");
    let lines = BufReader::new(watch.stdout.take().expect("its output is a pipe")).lines();
    // The watch may begin after the first write, so writes go on until one was seen.
    let name = |n: u32| format!("scrolling-{n}");
    let seen = std::thread::spawn(move || {
        lines.map_while(Result::ok).find(|line| line.contains("/registry/configmaps/default/scrolling-"))
    });
    let mut n = 0;
    while !seen.is_finished() && n < 200 {
        let manifest = format!("---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {}}}}}", name(n));
        cluster().kubectl_with(&["create", "-f", "-"], &manifest).ok();
        n += 1;
    }
    assert!(seen.is_finished(), "the watch showed none of {n} writes");
    assert!(seen.join().expect("the reader did not panic").is_some());
    watch.kill().expect("the watch can be ended");
    watch.wait().expect("the watch ended");
}

#[test]
fn endpoint_status_and_leases_answer() {
    let status = etcdctl(&["endpoint", "status", "-w", "json"]).json();
    assert!(
        status[0]["Status"]["header"]["revision"].as_i64().is_some_and(|revision| revision > 1),
        "{status}"
    );
    let granted = etcdctl(&["lease", "grant", "300"]).ok();
    assert!(granted.starts_with("lease ") && granted.contains("granted with TTL(300s)"), "{granted}");
    let id = granted.split_whitespace().nth(1).expect("an id");
    assert!(etcdctl(&["lease", "keep-alive", "--once", id]).ok().contains("keepalived with TTL(300)"));
    assert!(etcdctl(&["lease", "revoke", id]).ok().contains("revoked"));
}

#[test]
fn without_a_client_certificate_the_store_says_nothing() {
    let endpoint = etcdctl(&["endpoint", "status", "-w", "json"]).json()[0]["Endpoint"]
        .as_str()
        .expect("an endpoint")
        .to_owned();
    let plain = e2e::run(
        std::process::Command::new(e2e::program("etcdctl"))
            .env("ETCDCTL_API", "3")
            .args([
                "--endpoints",
                &endpoint,
                "--insecure-skip-tls-verify",
                "--dial-timeout",
                "2s",
                "--command-timeout",
                "2s",
            ])
            .args(["get", "--prefix", "/registry"]),
    );
    assert!(!plain.succeeded() && plain.stdout.is_empty(), "{plain:?}");
}
