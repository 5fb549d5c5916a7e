//! The hands of kube-proxy on the real iptables, in a network namespace that ends with the test.

use std::collections::BTreeSet;
use std::process::Command;

use kube_proxy::heart::{
    Config, Endpoint, Installed, JUMPS, Protocol, Rules, ServicePort, ServicePortName, Snapshot, build,
};
use kube_proxy::kernel::{Job, Kernel};

/// Runs the named test of this file once more, in namespaces of its own, and says whether this call
/// is that one. Skips aloud where that is not allowed.
fn inside(test: &str) -> bool {
    if std::env::var_os("IN_NAMESPACE_OF_ITS_OWN").is_some() {
        return true;
    }
    let myself = std::env::current_exe().expect("a test has a file");
    // iptables' lock is in /run.
    let script = "mount -t tmpfs tmpfs /run && iptables -t nat -S >/dev/null && exec \"$@\"";
    let unshare = ["--net", "--mount", "sh", "-c"];
    let possible = Command::new("unshare").args(unshare).args([script, "sh", "true"]).output();
    match possible {
        Ok(output) if output.status.success() => {}
        other => {
            eprintln!("SKIPPED: no iptables in a namespace of its own here: {other:?}");
            return false;
        }
    }
    let mut again = Command::new("unshare");
    again.args(unshare).args([script, "sh"]).arg(myself).args(["--exact", test, "--nocapture"]);
    let output = again.env("IN_NAMESPACE_OF_ITS_OWN", "1").output().expect("unshare ran a moment ago");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

fn rules(pods: &[u8]) -> Rules {
    let name = ServicePortName {
        namespace: "shop".into(),
        name: "web".into(),
        port: String::new(),
        protocol: Protocol::Tcp,
    };
    let service = ServicePort {
        name: name.clone(),
        cluster_ip: [10, 96, 0, 10].into(),
        port: 80,
        node_port: Some(30080),
        external_ips: vec![],
        load_balancer_ips: vec![],
        load_balancer_source_ranges: vec![],
        affinity_seconds: None,
        internal_policy_local: false,
        external_policy_local: false,
    };
    let endpoint = |&host: &u8| Endpoint {
        address: std::net::SocketAddrV4::new([10, 244, 0, host].into(), 8080),
        ready: true,
        serving: true,
        terminating: false,
        local: true,
    };
    let mut snapshot = Snapshot::default();
    snapshot.services.insert(name.clone(), service);
    snapshot.endpoints.insert(name, pods.iter().map(endpoint).collect());
    build(&snapshot, &Config { cluster_cidr: "10.244.0.0/16".parse().ok() })
}

fn apply(installed: Option<Installed>, rules: &Rules) {
    let job = Job { installed, rules: rules.clone(), stale: BTreeSet::new(), canaries_made: false };
    Kernel::open().expect("iptables is here").apply(&job).expect("a sync");
}

fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().expect("a shell");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn saved() -> String {
    shell("iptables-save | grep -v '^#' | sed 's/ \\[.*//'")
}

#[test]
fn jumps_are_made_once_however_often_kube_proxy_starts() {
    if !inside("jumps_are_made_once_however_often_kube_proxy_starts") {
        return;
    }
    apply(None, &rules(&[5, 6]));
    let first = saved();
    apply(None, &rules(&[5, 6]));
    assert_eq!(saved(), first);
    let jumps = first.lines().filter(|line| {
        ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
            .iter()
            .any(|chain| line.starts_with(&format!("-A {chain} ")))
    });
    assert_eq!(jumps.count(), JUMPS.len());
}

#[test]
fn a_restart_removes_the_chains_that_nobody_needs_any_more() {
    if !inside("a_restart_removes_the_chains_that_nobody_needs_any_more") {
        return;
    }
    apply(None, &rules(&[5]));
    let wanted = saved();
    apply(None, &rules(&[5, 6, 7]));
    assert_ne!(saved(), wanted);
    apply(None, &rules(&[5]));
    assert_eq!(saved(), wanted);
}

#[test]
fn an_incremental_sync_ends_where_a_full_one_does() {
    if !inside("an_incremental_sync_ends_where_a_full_one_does") {
        return;
    }
    apply(None, &rules(&[6, 7]));
    let wanted = saved();
    apply(None, &rules(&[5]));
    apply(Some(Installed::exactly(&rules(&[5]))), &rules(&[6, 7]));
    assert_eq!(saved(), wanted);
}

#[test]
fn a_full_sync_repairs_what_somebody_flushed() {
    if !inside("a_full_sync_repairs_what_somebody_flushed") {
        return;
    }
    apply(None, &rules(&[5, 6]));
    let wanted = saved();
    shell("iptables -t nat -F && iptables -t nat -X && iptables -F KUBE-FORWARD");
    assert_ne!(saved(), wanted);
    apply(None, &rules(&[5, 6]));
    assert_eq!(saved(), wanted);
}

#[test]
fn rules_of_others_stay() {
    if !inside("rules_of_others_stay") {
        return;
    }
    shell("iptables -t nat -N MINE && iptables -t nat -A MINE -j RETURN && iptables -A INPUT -j ACCEPT");
    apply(None, &rules(&[5]));
    apply(None, &rules(&[]));
    let saved = saved();
    assert!(saved.contains("-A MINE -j RETURN") && saved.contains("-A INPUT -j ACCEPT"), "{saved}");
}
