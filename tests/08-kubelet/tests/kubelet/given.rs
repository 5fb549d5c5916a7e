//! What the lab gives: environment, resources, DNS, logs, patches, images, the node, and the parts of
//! each step that no hole is in.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::heart::backoff::{Backoff, go_duration};
use crate::heart::env::{Sources, environment, expand_all, references};
use crate::heart::expand::expand;
use crate::heart::images::{Decision, decide, policy};
use crate::heart::logs::{LogReader, Options, parse_entry, tail_start};
use crate::heart::node;
use crate::heart::patch::status_patch;
use crate::heart::probe::{ContainerProbes, Timing, Verdicts};
use crate::heart::resources::{QosClass, cgroup_limits, cpu_quota, cpu_shares, oom_score_adj, qos_class};
use crate::heart::security::{ImageUser, effective};
use crate::heart::termination::remaining_grace;
use crate::heart::types::{RuntimePod, SignedDuration, Uid};
use crate::heart::volumes::{HostPathKind, VolumePlan, plan};
use crate::heart::{dns, names};
use crate::support::{self, at, pod, pod_of, run, sandbox, simple};

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn sources() -> Sources {
    let config: api::ConfigMap =
        of(json!({"metadata": {"name": "cfg"}, "data": {"mode": "fast", "app.conf": "x=1"}}));
    let secret: api::Secret = of(json!({"metadata": {"name": "key"}, "data": {"password": "aHVudGVy"}}));
    let service: api::Service = of(json!({
        "metadata": {"name": "my-db", "namespace": "default"},
        "spec": {"clusterIP": "10.96.1.1", "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}]},
    }));
    Sources {
        config_maps: BTreeMap::from([("cfg".into(), Arc::new(config))]),
        secrets: BTreeMap::from([("key".into(), Arc::new(secret))]),
        services: vec![Arc::new(service)],
        pod_ips: vec!["10.244.1.2".into()],
        host_ip: "10.89.0.11".into(),
        node_cpu_milli: 4000,
        node_memory: 8 << 30,
        ..Sources::default()
    }
}

fn env(container: Value) -> Result<BTreeMap<String, String>, String> {
    let pod = pod(json!({"nodeName": "node-1", "containers": [container]}));
    let container = &pod.spec.as_ref().expect("a spec").containers[0];
    let env = environment(&pod, container, &sources()).map_err(|e| e.to_string())?;
    Ok(env.into_iter().collect())
}

#[test]
fn variables_come_from_everywhere_and_the_later_wins() {
    let env = env(json!({
        "name": "a",
        "envFrom": [{"configMapRef": {"name": "cfg"}, "prefix": "C_"}, {"secretRef": {"name": "key"}}],
        "env": [
            {"name": "PLAIN", "value": "v"},
            {"name": "REF", "value": "$(PLAIN)-$(C_mode)-$(NOBODY)-$$(PLAIN)"},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "mode"}}},
            {"name": "PASS", "valueFrom": {"secretKeyRef": {"name": "key", "key": "password"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "password", "value": "mine"},
        ],
        "resources": {"limits": {"cpu": "1500m"}},
    }))
    .expect("an environment");
    let get = |name: &str| env.get(name).map(String::as_str);
    assert_eq!(get("REF"), Some("v-fast-$(NOBODY)-$(PLAIN)"));
    assert_eq!((get("MODE"), get("PASS")), (Some("fast"), Some("hunter")));
    assert_eq!((get("POD"), get("IP"), get("NODE")), (Some("web"), Some("10.244.1.2"), Some("node-1")));
    assert_eq!((get("CPU"), get("MEM")), (Some("2"), Some("8192")), "rounded up; the node's without a limit");
    assert_eq!(get("password"), Some("mine"));
    assert_eq!(get("MY_DB_SERVICE_HOST"), Some("10.96.1.1"));
    assert_eq!(get("MY_DB_SERVICE_PORT_SQL"), Some("5432"));
    assert_eq!(get("MY_DB_PORT_5432_TCP"), Some("tcp://10.96.1.1:5432"));
}

#[test]
fn what_is_missing_is_named() {
    let missing = |source: Value| env(json!({"name": "a", "env": [{"name": "X", "valueFrom": source}]}));
    let said = |source| missing(source).expect_err("an error");
    assert_eq!(said(json!({"configMapKeyRef": {"name": "no", "key": "k"}})), "configmap \"no\" not found");
    assert_eq!(
        said(json!({"secretKeyRef": {"name": "key", "key": "k"}})),
        "couldn't find key k in Secret default/key"
    );
    let optional = json!({"secretKeyRef": {"name": "no", "key": "k", "optional": true}});
    assert_eq!(missing(optional).map(|env| env.contains_key("X")), Ok(false));
}

#[test]
fn all_that_a_pod_refers_to_is_found() {
    let pod = pod(json!({
        "containers": [{"name": "a", "envFrom": [{"secretRef": {"name": "s1"}}]}],
        "volumes": [
            {"name": "v", "projected": {"sources": [
                {"configMap": {"name": "c1"}}, {"serviceAccountToken": {"path": "token"}},
            ]}},
            {"name": "w", "secret": {"secretName": "s2"}},
        ],
    }));
    let found = references(&pod);
    assert_eq!(found.config_maps, ["c1".to_owned()].into());
    assert_eq!(found.secrets, ["s1".to_owned(), "s2".to_owned()].into());
    assert_eq!(found.tokens, [(String::new(), 3600)].into());
}

#[test]
fn command_lines_are_expanded() {
    let env = [("A".to_owned(), "1".to_owned())];
    let words = vec!["$(A)".to_owned(), "$A".into(), "$(A".into(), "$$".into()];
    assert_eq!(expand_all(Some(&words), &env), ["1", "$A", "$(A", "$"]);
}

proptest! {
    #[test]
    fn text_without_dollars_is_left_alone(text in "[a-z() ]{0,20}") {
        prop_assert_eq!(expand(&text, &|_| Some("!".into())), text);
    }

    #[test]
    fn doubled_dollars_bring_any_text_back(text in "[a-z()$]{0,20}") {
        prop_assert_eq!(expand(&text.replace('$', "$$"), &|_| Some("!".into())), text);
    }

    /// However the file is cut into pieces, the reader gives the same.
    #[test]
    fn a_log_reads_the_same_in_pieces_of_any_size(
        lines in prop::collection::vec(("[a-z]{0,6}", any::<bool>()), 0..12),
        cuts in prop::collection::vec(1..9_usize, 1..60),
    ) {
        let mut file = String::new();
        let mut expected = String::new();
        for (text, partial) in &lines {
            let tag = if *partial { "P" } else { "F" };
            file.push_str(&format!("2026-01-01T00:00:00.000000001Z stdout {tag} {text}\n"));
            expected.push_str(text);
            if !partial {
                expected.push('\n');
            }
        }
        let mut reader = LogReader::new(Options::default());
        let (mut out, mut rest, mut cuts) = (Vec::new(), file.as_bytes(), cuts.iter().cycle());
        while !rest.is_empty() {
            let n = cuts.next().copied().unwrap_or(1).min(rest.len());
            out.extend(reader.push(&rest[..n]));
            rest = &rest[n..];
        }
        prop_assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn the_tail_is_the_last_lines(text in "([a-c]{0,3}\n){0,8}", n in 0..10_usize) {
        let lines: Vec<&str> = text.lines().collect();
        let expected: String =
            lines[lines.len().saturating_sub(n)..].iter().map(|l| format!("{l}\n")).collect();
        match tail_start(text.as_bytes(), n) {
            Ok(start) => prop_assert_eq!(&text[start..], expected),
            Err(_) => prop_assert_eq!(text, expected),
        }
    }
}

#[test]
fn log_entries_have_a_time_a_stream_and_tags() {
    let entry = parse_entry(b"2026-01-01T00:00:05.5Z stderr P half a line").expect("an entry");
    assert_eq!((entry.stderr, entry.partial, entry.text), (true, true, &b"half a line"[..]));
    assert!(parse_entry(b"not a log line").is_none());
}

#[test]
fn logs_can_be_cut_by_time_and_size() {
    let file = b"2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:09Z stdout P tw\n2026-01-01T00:00:09Z stdout F o\n";
    let read = |options| String::from_utf8(LogReader::new(options).push(file)).expect("text");
    assert_eq!(read(Options { since: Some(at(5)), ..Options::default() }), "two\n");
    assert_eq!(read(Options { limit_bytes: Some(5), ..Options::default() }), "one\nt");
    let stamped = read(Options { timestamps: true, ..Options::default() });
    assert_eq!(stamped, "2026-01-01T00:00:01Z one\n2026-01-01T00:00:09Z two\n");
}

#[test]
fn classes_of_service() {
    let class = |resources: Value| {
        let pod = pod(json!({"containers": [{"name": "a", "resources": resources}]}));
        qos_class(pod.spec.as_ref().expect("a spec"))
    };
    assert_eq!(class(json!({})), QosClass::BestEffort);
    assert_eq!(class(json!({"requests": {"cpu": "0"}})), QosClass::BestEffort);
    assert_eq!(class(json!({"requests": {"cpu": "100m"}})), QosClass::Burstable);
    assert_eq!(class(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), QosClass::Guaranteed);
    let equal =
        json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
    assert_eq!(class(equal), QosClass::Guaranteed);
}

#[test]
fn quantities_become_cgroup_numbers() {
    assert_eq!([cpu_shares(0), cpu_shares(250), cpu_shares(1000)], [2, 256, 1024]);
    assert_eq!([cpu_quota(0), cpu_quota(5), cpu_quota(1500)], [0, 1000, 150_000]);
    assert_eq!(oom_score_adj(QosClass::Guaranteed, 0, 0, 100), -997);
    assert_eq!(oom_score_adj(QosClass::BestEffort, 0, 0, 100), 1000);
    assert_eq!(oom_score_adj(QosClass::Burstable, 0, 4 << 30, 16 << 30), 750);
    assert_eq!(oom_score_adj(QosClass::Burstable, 0, 0, 16 << 30), 999);
    let pod = pod(json!({"containers": [{"name": "a", "resources": {
        "requests": {"cpu": "500m"}, "limits": {"cpu": "2", "memory": "64Mi"},
    }}]}));
    let spec = pod.spec.as_ref().expect("a spec");
    let limits = cgroup_limits(spec, &spec.containers[0], 8 << 30);
    assert_eq!((limits.cpu_shares, limits.cpu_quota_us, limits.memory_limit), (512, 200_000, 64 << 20));
}

#[test]
fn the_container_runs_as_the_most_particular_user() {
    let pod = pod(json!({
        "securityContext": {"runAsUser": 1000, "fsGroup": 2000},
        "containers": [{"name": "a", "securityContext": {"runAsUser": 7, "capabilities": {"drop": ["ALL"]}}}],
    }));
    let container = &pod.spec.as_ref().expect("a spec").containers[0];
    let security = effective(&pod, container, &ImageUser::default()).expect("a context");
    assert_eq!((security.run_as_user, security.supplemental_groups), (Some(7), vec![2000]));
    assert_eq!(security.drop_capabilities, ["ALL"]);
}

#[test]
fn volumes_are_planned_without_a_file_system() {
    let pod = pod(json!({"containers": [], "volumes": [
        {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "host", "hostPath": {"path": "/data", "type": "DirectoryOrCreate"}},
        {"name": "cfg", "configMap": {"name": "cfg", "items": [{"key": "app.conf", "path": "etc/app.conf"}]}},
        {"name": "down", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]}));
    let plans = plan(&pod, &sources()).expect("plans");
    assert_eq!(plans["scratch"], VolumePlan::EmptyDir { tmpfs: true, size_limit: Some(1 << 20) });
    let host = VolumePlan::HostPath { path: "/data".into(), kind: HostPathKind::DirectoryOrCreate };
    assert_eq!(plans["host"], host);
    let names = |volume: &str| match &plans[volume] {
        VolumePlan::Files { payload, .. } => payload.keys().cloned().collect::<Vec<_>>(),
        other => panic!("not files: {other:?}"),
    };
    assert_eq!((names("cfg"), names("down")), (vec!["etc/app.conf".into()], vec!["name".to_owned()]));
}

#[test]
fn a_volume_that_cannot_be_says_which() {
    let missing = pod(json!({"containers": [], "volumes": [{"name": "v", "configMap": {"name": "no"}}]}));
    let said = plan(&missing, &sources()).map(|_| ()).expect_err("an error").to_string();
    assert_eq!(said, "MountVolume.SetUp failed for volume \"v\" : configmap \"no\" not found");
    let escape = pod(json!({"containers": [], "volumes": [{"name": "v", "configMap": {
        "name": "cfg", "items": [{"key": "mode", "path": "../../etc/passwd"}],
    }}]}));
    assert!(plan(&escape, &sources()).is_err());
}

#[test]
fn images_are_pulled_by_policy() {
    let of_image = |image: &str| policy(&of(json!({"name": "a", "image": image}))).to_owned();
    assert_eq!(of_image("nginx"), "Always");
    assert_eq!(of_image("localhost:5000/nginx:latest"), "Always");
    assert_eq!(of_image("localhost:5000/nginx:1.7.9"), "IfNotPresent");
    assert_eq!(decide("IfNotPresent", true, true), Decision::UseLocal);
    assert_eq!(decide("IfNotPresent", false, false), Decision::Pull);
    assert_eq!(decide("Always", true, true), Decision::BackOff);
    assert_eq!(decide("Never", false, false), Decision::NeverPull);
}

#[test]
fn names_are_looked_up_in_the_cluster_first() {
    let node = dns::DnsConfig::parse("nameserver 192.0.2.1\nsearch lan\noptions timeout:1\n");
    let cluster = ["10.96.0.10".to_owned()];
    let config = |extra: Value| {
        let mut spec = json!({"containers": []});
        for (key, value) in extra.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        dns::config(&pod(spec), &node, &cluster, "cluster.local")
    };
    let first = config(json!({}));
    assert_eq!(first.servers, cluster);
    assert_eq!(first.searches, ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "lan"]);
    assert_eq!(first.options, ["ndots:5"]);
    assert_eq!(config(json!({"hostNetwork": true})), node);
    assert_eq!(config(json!({"dnsPolicy": "Default"})), node);
    let own = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.9"]}});
    assert_eq!(config(own).servers, ["192.0.2.9"]);
}

#[test]
fn a_patch_says_only_what_changed() {
    let uid = Uid("u1".into());
    let old: api::PodStatus = of(json!({
        "phase": "Pending", "message": "old", "podIPs": [{"ip": "10.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "False", "reason": "X"}, {"type": "Theirs", "status": "True"}],
    }));
    assert_eq!(status_patch(&uid, &old, &old), None);
    let new: api::PodStatus = of(json!({
        "phase": "Running", "podIPs": [{"ip": "10.0.0.2"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }));
    let patch = status_patch(&uid, &old, &new).expect("a patch");
    let expected = json!({"metadata": {"uid": "u1"}, "status": {
        "phase": "Running", "message": null,
        "podIPs": [{"ip": "10.0.0.2"}, {"$patch": "delete", "ip": "10.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True", "reason": null}],
    }});
    assert_eq!(patch, expected);
}

#[test]
fn the_names_that_survive_a_restart() {
    let pod = pod_of(json!({
        "metadata": {"name": "web", "namespace": "prod", "uid": "u1", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "a", "image": "nginx:1.7.9"}]},
    }));
    let a = &pod.spec.as_ref().expect("a spec").containers[0];
    assert_eq!(names::container_hash(a), "c11d997f", "it must never change, or every container restarts");
    assert_eq!(names::full_name(&pod), "web_prod(u1)");
    assert_eq!(names::log_directory("prod", "web", &Uid("u1".into())), "prod_web_u1");
    assert_eq!(names::sandbox_labels(&pod)["app"], "web");
    assert_eq!(names::container_labels(&pod, "a")[names::CONTAINER_NAME], "a");
    assert_eq!(names::container_annotations(&pod, a, 3)[names::RESTART_COUNT], "3");
}

#[test]
fn a_node_is_ready_when_runtime_and_network_are() {
    let machine = node::Machine { name: "node-1".into(), cpus: 2, ..node::Machine::default() };
    let condition =
        |kind: &str, holds| node::RuntimeCondition { kind: kind.into(), holds, ..Default::default() };
    let health = |network| node::Health {
        runtime: Some(vec![
            condition("RuntimeReady", true),
            condition("NetworkReady", network),
            condition("LimitsEnforced", false),
        ]),
        ..node::Health::default()
    };
    let down = node::status(&machine, &node::Health::default(), None, at(0));
    assert!(!node::is_ready(Some(&down)));
    let waiting = node::status(&machine, &health(false), Some(&down), at(1));
    assert!(!node::is_ready(Some(&waiting)));
    let ready = node::status(&machine, &health(true), Some(&waiting), at(2));
    assert!(node::is_ready(Some(&ready)));
    let kinds: Vec<String> = ready.conditions.iter().flatten().map(|c| c.type_.clone()).collect();
    assert_eq!(kinds, ["MemoryPressure", "DiskPressure", "PIDPressure", "LimitsEnforced", "Ready"]);
    let same = node::status(&machine, &health(true), Some(&ready), at(9));
    assert!(!node::differs(&ready, &same), "a heartbeat alone is no change");
    assert!(node::differs(&waiting, &ready));
}

#[test]
fn numbers_that_are_not_given_are_upstreams() {
    let timing = Timing::of(&api::Probe::default());
    assert_eq!(timing.initial_delay, SignedDuration::ZERO);
    assert_eq!(timing.period, SignedDuration::from_secs(10));
    assert_eq!(timing.timeout, SignedDuration::from_secs(1));
    assert_eq!((timing.success_threshold, timing.failure_threshold), (1, 3));
}

#[test]
fn a_container_without_probes_is_started_and_ready_while_it_runs() {
    let c: api::Container = of(json!({"name": "a", "image": "x"}));
    assert!(ContainerProbes::new(&c, at(0), false).is_empty());
    assert!(Verdicts::default().ready(&c, "id"));
}

#[test]
fn delays_read_as_go_prints_them() {
    let print = |s| go_duration(SignedDuration::from_secs(s));
    assert_eq!([print(10), print(80), print(300), print(3600)], ["10s", "1m20s", "5m0s", "1h0m0s"]);
}

#[test]
fn a_pod_that_is_being_deleted_is_only_ever_stopped() {
    let mut pod = simple("Always");
    pod.metadata.deletion_timestamp = Some(Time(at(0)));
    let actions = support::plan(&pod, &RuntimePod::default(), &Backoff::default(), 0);
    assert!(actions.is_converged(), "nothing runs, so there is nothing to do: {actions:?}");
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![run(&pod, "a", 0)]);
    let actions = support::plan(&pod, &runtime, &Backoff::default(), 0);
    assert!(actions.kill_pod && actions.start.is_empty());
}

#[test]
fn a_hook_uses_up_the_grace_period_but_not_the_last_two_seconds() {
    assert_eq!(remaining_grace(30, 0), 30);
    assert_eq!(remaining_grace(30, 12), 18);
    assert_eq!(remaining_grace(30, 30), 2);
    assert_eq!(remaining_grace(30, 99), 2);
}

#[test]
fn an_order_to_stop_at_once_stays_one() {
    assert_eq!(remaining_grace(0, 0), 0);
    assert_eq!(remaining_grace(1, 7), 1);
}

proptest! {
    #[test]
    fn what_remains_is_within_what_was_granted(grace in 0..600_i64, spent in 0..900_i64) {
        let left = remaining_grace(grace, spent);
        prop_assert!((0..=grace).contains(&left));
        prop_assert!(left >= grace.min(2));
        prop_assert!(spent > 0 || left == grace);
    }
}
