//! What the lab gives: documents, names and numbers around the holes.

use std::path::Path;

use serde_json::Value;

use crate::heart::cgroups::{Hierarchies, Limits, oom_kills, plan};
use crate::heart::cni::{addresses, environment, error, result};
use crate::heart::image::{ImageConfig, digest, working_dir};
use crate::heart::logs::timestamp;
use crate::heart::network::{Cidr, GATEWAY, host_link};
use crate::heart::process::{Ended, exit_reason, signal_number};
use crate::heart::sandbox::{hosts, log_path};

#[test]
fn the_working_directory_is_the_pods_else_the_images_else_the_root() {
    assert_eq!(working_dir("/image", "/pod").unwrap(), "/pod");
    assert_eq!(working_dir("/image", "").unwrap(), "/image");
    assert_eq!(working_dir("", "").unwrap(), "/");
    assert!(working_dir("", "relative").is_err());
}

#[test]
fn what_docker_writes_as_null_is_empty() {
    let text = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":null,"Entrypoint":["/x"],"Labels":null},
        "rootfs":{"type":"layers","diff_ids":["sha256:aa"]},"history":[]}"#;
    let config: ImageConfig = serde_json::from_str(text).unwrap();
    assert_eq!((config.config.cmd.len(), config.config.entrypoint.len()), (0, 1));
}

#[test]
fn signals_have_names_and_numbers() {
    for (name, number) in
        [("SIGTERM", 15), ("quit", 3), ("SIGWINCH", 28), ("9", 9), ("SIGRTMIN+3", 37), ("", 15), ("what", 15)]
    {
        assert_eq!(signal_number(name), number, "{name:?}");
    }
}

#[test]
fn a_signal_counts_as_128_and_its_number() {
    assert_eq!(exit_reason(Ended::Code(0), false), (0, "Completed"));
    assert_eq!(exit_reason(Ended::Code(3), false), (3, "Error"));
    assert_eq!(exit_reason(Ended::Signal(9), false), (137, "Error"));
    assert_eq!(exit_reason(Ended::Signal(9), true), (137, "OOMKilled"));
    assert_eq!(exit_reason(Ended::Signal(15), false), (143, "Error"));
}

#[test]
fn times_have_nine_digits_so_that_lines_sort() {
    assert_eq!(timestamp("2024-02-29T00:00:00Z".parse().unwrap()), "2024-02-29T00:00:00.000000000Z");
}

#[test]
fn kills_for_want_of_memory_are_counted_by_both_versions_in_the_same_words() {
    assert_eq!(oom_kills("low 0\nhigh 0\nmax 5\noom 1\noom_kill 2\n"), 2);
    assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"), 1);
    assert_eq!(oom_kills(""), 0);
}

#[test]
fn limits_that_nothing_enforces_are_named() {
    let limits = Limits { cpu_shares: 512, memory_bytes: 64 << 20, pids: 100, ..Limits::default() };
    let plan = plan(&Hierarchies::None, Path::new("/x"), &limits);
    assert_eq!(plan.not_enforced, ["cpu", "memory", "pids"]);
    assert!(plan.writes.is_empty() && plan.procs.is_empty());
    assert_eq!(Hierarchies::None.not_enforced(), ["cpu", "memory", "pids"]);
}

#[test]
fn a_pod_knows_itself_by_name() {
    let text = hosts(Some("10.244.1.5"), "web-0");
    assert!(text.starts_with("127.0.0.1\tlocalhost\n"), "{text}");
    assert!(text.ends_with("10.244.1.5\tweb-0\n"), "{text}");
    assert!(!hosts(None, "web-0").contains("web-0"));
}

#[test]
fn logs_stay_in_their_directory() {
    assert_eq!(
        log_path("/var/log/pods/x", "app/0.log").as_deref(),
        Some(Path::new("/var/log/pods/x/app/0.log"))
    );
    for (directory, path) in [("", "app/0.log"), ("/logs", ""), ("/logs", "../x"), ("/logs", "/etc/passwd")] {
        assert_eq!(log_path(directory, path), None, "{directory:?} {path:?}");
    }
}

#[test]
fn networks_are_kept_in_their_canonical_form() {
    let cidr = |text: &str| text.parse::<Cidr>().expect(text);
    assert_eq!(cidr("10.244.1.77/24").to_string(), "10.244.1.0/24");
    assert!(cidr("0.0.0.0/0").contains([1, 2, 3, 4].into()));
    for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/0", "10.0.0.0/x"] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad:?}");
    }
}

#[test]
fn the_nodes_end_has_the_same_short_name_every_time() {
    let name = host_link("container", "eth0");
    assert_eq!(name, host_link("container", "eth0"));
    assert_ne!(name, host_link("container", "eth1"));
    assert!(name.len() <= 15 && name.starts_with("veth"));
}

#[test]
fn the_pods_address_is_read_from_the_result() {
    let answer = result(
        "1.0.0",
        "veth0",
        "eth0",
        "0a:58:0a:f4:01:05",
        "/proc/1/ns/net",
        [10, 244, 1, 5].into(),
        GATEWAY,
    );
    assert_eq!(addresses(&answer), ["10.244.1.5"]);
    assert!(addresses(&Value::Null).is_empty());
}

#[test]
fn a_plugin_is_called_with_its_orders_in_the_environment() {
    let args = [("K8S_POD_NAMESPACE", "default"), ("K8S_POD_NAME", "web-0")];
    let env = environment("ADD", "c1", "/proc/7/ns/net", "eth0", "/opt/cni/bin", &args);
    let env: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected = [
        "CNI_ARGS=K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0",
        "CNI_COMMAND=ADD",
        "CNI_CONTAINERID=c1",
        "CNI_IFNAME=eth0",
        "CNI_NETNS=/proc/7/ns/net",
        "CNI_PATH=/opt/cni/bin",
    ];
    assert_eq!(env, expected);
}

#[test]
fn a_plugins_failure_has_a_code_and_words() {
    let failure = error("1.0.0", 11, "try again", "no address is free");
    assert_eq!(failure["code"], 11);
    assert_eq!((&failure["msg"], &failure["details"]), (&"try again".into(), &"no address is free".into()));
}

#[test]
fn a_digest_names_its_algorithm() {
    // SHA-256 of nothing.
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(digest(b""), empty);
}
