//! Pods against the Pod Security Standards.

use crate::heart::access::User;
use crate::heart::admission::pod_security::{self, Level, Measure, Pod, Policy, Subject, Version};
use crate::heart::admission::{Attributes, Operation};
use crate::heart::kind::Kind;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write as _;

const LEVELS: [Level; 3] = [Level::Privileged, Level::Baseline, Level::Restricted];

fn write(group: &str, kind: &str, operation: Operation, subresource: &str) -> Attributes {
    let kind = Kind::named(group, "v1", kind).expect("it is in the table");
    Attributes {
        user: User::authenticated("jane", Vec::new()),
        operation,
        namespace: kind.resource.namespaced.then(|| "dev".to_string()),
        kind,
        name: "web".into(),
        subresource: subresource.into(),
        dry_run: false,
        options: Value::Null,
    }
}

/// A pod that says all that a restricted namespace wants to hear, with other fields in its metadata, spec
/// and first container.
fn careful(metadata: Value, spec: Value, container: Value) -> Value {
    let mut pod = json!({
        "metadata": { "name": "web" },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "a", "image": "web:1",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    });
    merge(&mut pod["metadata"], metadata);
    merge(&mut pod["spec"], spec);
    merge(&mut pod["spec"]["containers"][0], container);
    pod
}

/// A merge patch that keeps nulls out.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match value {
                    Value::Null => drop(into.shift_remove(&key)),
                    value => merge(into.entry(key).or_insert(json!({})), value),
                }
            }
        }
        (into, from) => *into = from,
    }
}

fn labelled(labels: Value) -> Value {
    let mut out = json!({ "metadata": { "name": "dev", "labels": {} } });
    for (key, value) in labels.as_object().into_iter().flatten() {
        out["metadata"]["labels"][format!("pod-security.kubernetes.io/{key}")] = value.clone();
    }
    out
}

/// What is not allowed, level by level.
fn against_all_levels(pod: &Value) -> String {
    let mut out = String::new();
    for level in LEVELS {
        let found = pod_security::find(level, &Pod::of(pod));
        let measure = Measure { level, version: Version::Latest };
        let shown: Vec<String> = found.iter().map(|f| f.to_string()).collect();
        let shown = if shown.is_empty() { "allowed".into() } else { shown.join("\n    ") };
        writeln!(out, "  {measure}:\n    {shown}").expect("writes");
    }
    out
}

#[test]
fn each_check_has_its_level_its_place_and_upstreams_words() {
    let spec = |spec: Value| careful(json!({}), spec, json!({}));
    let own = |context: Value| careful(json!({}), json!({}), json!({ "securityContext": context }));
    let whole = |context: Value| spec(json!({ "securityContext": context }));
    let volumes = |volumes: Value| spec(json!({ "volumes": volumes }));
    let table = [
        ("a pod that says everything", spec(json!({}))),
        ("a pod that says nothing", json!({ "metadata": {}, "spec": { "containers": [{ "name": "a" }] } })),
        (
            "two containers that say nothing",
            json!({ "metadata": {}, "spec": {
            "initContainers": [{ "name": "first" }], "containers": [{ "name": "a" }], "ephemeralContainers": [{ "name": "look" }],
        } }),
        ),
        ("host namespaces", spec(json!({ "hostNetwork": true, "hostPID": true, "hostIPC": true }))),
        ("privileged", own(json!({ "privileged": true }))),
        ("usual capabilities", own(json!({ "capabilities": { "add": ["NET_BIND_SERVICE", "CHOWN"] } }))),
        (
            "unusual capabilities",
            own(json!({ "capabilities": { "drop": [], "add": ["SYS_ADMIN", "NET_RAW"] } })),
        ),
        ("a directory of the host", volumes(json!([{ "name": "v", "hostPath": { "path": "/" } }]))),
        (
            "all kinds of volumes",
            volumes(json!([
                { "name": "c", "configMap": {} }, { "name": "e", "emptyDir": {} }, { "name": "p", "projected": {} },
                { "name": "n", "nfs": {} }, { "name": "i", "iscsi": {} }, { "name": "image", "image": {} },
            ])),
        ),
        (
            "host ports",
            careful(
                json!({}),
                json!({}),
                json!({ "ports": [{ "containerPort": 1 }, { "hostPort": 9090 }, { "hostPort": 80 }] }),
            ),
        ),
        ("a profile of files", own(json!({ "appArmorProfile": { "type": "Unconfined" } }))),
        (
            "profiles of files in annotations",
            careful(
                json!({ "annotations": {
                "container.apparmor.security.beta.kubernetes.io/a": "unconfined",
                "container.apparmor.security.beta.kubernetes.io/b": "localhost/mine",
                "container.apparmor.security.beta.kubernetes.io/c": "runtime/default",
            } }),
                json!({ "securityContext": { "appArmorProfile": { "type": "Unconfined" } } }),
                json!({}),
            ),
        ),
        ("labels of files", own(json!({ "seLinuxOptions": { "type": "spc_t", "user": "u", "role": "r" } }))),
        (
            "a usual type, an unusual user",
            whole(json!({ "seLinuxOptions": { "type": "container_engine_t", "user": "u" } })),
        ),
        ("the whole of /proc", own(json!({ "procMount": "Unmasked" }))),
        ("no profile of calls, container", own(json!({ "seccompProfile": { "type": "Unconfined" } }))),
        (
            "no profile of calls, both",
            careful(
                json!({}),
                json!({ "securityContext": { "seccompProfile": { "type": "Unconfined" } } }),
                json!({ "securityContext": { "seccompProfile": { "type": "Unconfined" } } }),
            ),
        ),
        (
            "a profile of calls for each container",
            careful(
                json!({}),
                json!({ "securityContext": { "seccompProfile": null } }),
                json!({ "securityContext": { "seccompProfile": { "type": "Localhost" } } }),
            ),
        ),
        (
            "kernel parameters",
            whole(
                json!({ "sysctls": [{ "name": "net.ipv4.tcp_rmem" }, { "name": "kernel.msgmax" }, { "name": "net.core.somaxconn" }] }),
            ),
        ),
        ("a process of a Windows host", whole(json!({ "windowsOptions": { "hostProcess": true } }))),
        (
            "for Windows",
            json!({ "metadata": {}, "spec": { "os": { "name": "windows" }, "containers": [{ "name": "a" }] } }),
        ),
        ("may become more", own(json!({ "allowPrivilegeEscalation": true }))),
        ("may be root, pod", whole(json!({ "runAsNonRoot": false }))),
        (
            "may be root, both",
            careful(
                json!({}),
                json!({ "securityContext": { "runAsNonRoot": false } }),
                json!({ "securityContext": { "runAsNonRoot": false } }),
            ),
        ),
        (
            "is root",
            careful(
                json!({}),
                json!({ "securityContext": { "runAsUser": 0 } }),
                json!({ "securityContext": { "runAsUser": 0 } }),
            ),
        ),
        ("is somebody", whole(json!({ "runAsUser": 1000 }))),
    ];
    let told = table.iter().map(|(name, pod)| format!("{name}\n{}", against_all_levels(pod)));
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
}

#[test]
fn labels_say_what_is_enforced_and_what_is_warned_of() {
    let read = |labels: Value| {
        let (policy, errors) = Policy::read(&labelled(labels)["metadata"]["labels"]);
        let told = match errors.is_empty() {
            true => String::new(),
            false => format!(": {}", errors.into_error("", "Namespace", "dev").message),
        };
        format!("{} {} {}{told}", policy.enforce, policy.warn, policy.audit)
    };
    assert_eq!(read(json!({})), "privileged:latest privileged:latest privileged:latest");
    assert_eq!(
        read(json!({ "enforce": "restricted", "enforce-version": "v1.25" })),
        "restricted:v1.25 restricted:v1.25 privileged:latest",
        "whoever forbids wants to be warned too"
    );
    assert_eq!(
        read(json!({ "enforce": "baseline", "enforce-version": "v1.0", "warn-version": "v1.30" })),
        "baseline:v1.0 baseline:v1.30 privileged:latest"
    );
    assert_eq!(
        read(json!({ "enforce": "restricted", "warn": "privileged", "audit": "baseline" })),
        "restricted:latest privileged:latest baseline:latest"
    );
    assert_eq!(
        read(json!({ "enforce": "nonsense" })),
        "restricted:latest privileged:latest privileged:latest: Namespace \"dev\" is invalid: \
         metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"nonsense\": \
         must be one of privileged, baseline, restricted"
    );
    for version in ["1.25", "v1", "v1.", "v1.x", "v1.05", "v2.1", ""] {
        let told = read(json!({ "warn": "baseline", "warn-version": version }));
        let why = format!(
            "metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"{version}\": must be \"latest\" or \"v1.x\""
        );
        assert!(told.contains(&why), "{told}");
    }
    assert!(
        read(json!({ "warn": "a", "audit": "b" }))
            .starts_with("privileged:latest privileged:latest privileged")
    );
}

#[test]
fn it_is_about_pods_what_makes_pods_and_where_they_are() {
    let about = |group: &str, kind: &str, operation, part: &str| {
        pod_security::subject(&write(group, kind, operation, part))
    };
    assert_eq!(about("", "Pod", Operation::Create, ""), Some(Subject::Pod));
    assert_eq!(about("", "Pod", Operation::Update, "ephemeralcontainers"), Some(Subject::Pod));
    for part in ["status", "binding", "exec"] {
        assert_eq!(about("", "Pod", Operation::Update, part), None);
    }
    assert_eq!(about("", "Pod", Operation::Delete, ""), None);
    assert_eq!(about("", "Namespace", Operation::Update, ""), Some(Subject::Namespace));
    assert_eq!(about("", "Namespace", Operation::Update, "status"), None);
    assert_eq!(about("", "ConfigMap", Operation::Create, ""), None);
    let (plain, deep) = ("/spec/template", "/spec/jobTemplate/spec/template");
    for (group, kind, pointer) in [
        ("", "PodTemplate", "/template"),
        ("", "ReplicationController", plain),
        ("apps", "DaemonSet", plain),
        ("apps", "Deployment", plain),
        ("apps", "ReplicaSet", plain),
        ("apps", "StatefulSet", plain),
        ("batch", "CronJob", deep),
        ("batch", "Job", plain),
    ] {
        assert_eq!(about(group, kind, Operation::Create, ""), Some(Subject::Template(pointer)), "{kind}");
        assert_eq!(about(group, kind, Operation::Update, "status"), None, "{kind}");
        // The pointer leads to where this kind has its pods.
        let mut object = json!({});
        pointer[1..].split('/').fold(&mut object, |at, key| &mut at[key])["spec"] =
            json!({ "hostPID": true });
        let warning =
            pod_security::judge_template(&object, pointer, &labelled(json!({ "warn": "baseline" })));
        let said = "would violate PodSecurity \"baseline:latest\": host namespaces (hostPID=true)";
        assert_eq!(warning.as_deref(), Some(said), "{kind}");
    }
    assert_eq!(
        pod_security::judge_template(&json!({}), plain, &labelled(json!({ "warn": "baseline" }))),
        None
    );
}

#[test]
fn a_pod_is_refused_or_its_writer_warned() {
    let namespace = labelled(json!({ "enforce": "baseline", "warn": "restricted" }));
    let create = write("", "Pod", Operation::Create, "");
    let judge = |pod: &Value| pod_security::judge_pod(&create, pod, None, &namespace);
    let refused = judge(&careful(json!({}), json!({ "hostIPC": true }), json!({}))).expect_err("is refused");
    assert_eq!(refused.code(), 403);
    assert_eq!(
        refused.message,
        "pods \"web\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostIPC=true)"
    );
    let warned = judge(&careful(json!({}), json!({ "securityContext": { "runAsUser": 0 } }), json!({})));
    assert_eq!(
        warned.expect("is allowed").as_deref(),
        Some("would violate PodSecurity \"restricted:latest\": runAsUser=0 (pod must not set runAsUser=0)")
    );
    assert_eq!(judge(&careful(json!({}), json!({}), json!({}))), Ok(None));
    let bold = json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "a", "securityContext": { "privileged": true } }] } });
    assert_eq!(pod_security::judge_pod(&create, &bold, None, &Value::Null), Ok(None), "nobody asked");
}

#[test]
fn a_pod_that_was_there_before_may_change_in_what_is_harmless() {
    let namespace = labelled(json!({ "enforce": "restricted" }));
    let update = write("", "Pod", Operation::Update, "");
    let old = json!({ "metadata": { "name": "web", "annotations": {} }, "spec": {
        "containers": [{ "name": "a", "image": "web:1" }], "ephemeralContainers": [{ "name": "look", "image": "busybox" }],
    } });
    let allowed = |change: Value| {
        let mut new = old.clone();
        merge(&mut new, change);
        pod_security::judge_pod(&update, &new, Some(&old), &namespace).is_ok()
    };
    assert!(allowed(json!({ "metadata": { "labels": { "a": "b" }, "annotations": { "a": "b" } } })));
    assert!(allowed(json!({ "metadata": { "finalizers": [] }, "spec": { "activeDeadlineSeconds": 1 } })));
    assert!(!allowed(json!({ "spec": { "containers": [{ "name": "a", "image": "web:2" }] } })));
    assert!(!allowed(json!({ "spec": { "initContainers": [{ "name": "first" }] } })));
    assert!(!allowed(
        json!({ "metadata": { "annotations": { "seccomp.security.alpha.kubernetes.io/pod": "x" } } })
    ));
    assert!(!allowed(
        json!({ "metadata": { "annotations": { "container.seccomp.security.alpha.kubernetes.io/a": "x" } } })
    ));
    let two = json!([{ "name": "look", "image": "busybox" }, { "name": "more", "image": "busybox" }]);
    assert!(!allowed(json!({ "spec": { "ephemeralContainers": two } })));
}

#[test]
fn a_namespace_that_becomes_stricter_is_shown_its_pods() {
    let judge = |old: Option<Value>, new: Value| {
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let attributes = write("", "Namespace", operation, "");
        let judged = pod_security::judge_namespace(&attributes, &labelled(new), old.map(labelled).as_ref());
        judged.map(|measure| measure.map(|m| m.to_string())).map_err(|error| error.code())
    };
    let (none, base, strict) =
        (json!({}), json!({ "enforce": "baseline" }), json!({ "enforce": "restricted" }));
    assert_eq!(judge(None, strict.clone()), Ok(None), "a new one has no pods");
    assert_eq!(judge(Some(none.clone()), strict.clone()), Ok(Some("restricted:latest".into())));
    assert_eq!(judge(Some(strict.clone()), base.clone()), Ok(None));
    assert_eq!(judge(Some(base.clone()), base), Ok(None));
    let older = json!({ "enforce": "restricted", "enforce-version": "v1.25" });
    assert_eq!(judge(Some(strict), older), Ok(Some("restricted:v1.25".into())));
    let wrong = json!({ "warn": "nonsense" });
    assert_eq!(judge(None, wrong.clone()), Err(422));
    assert_eq!(judge(Some(none), wrong.clone()), Err(422));
    assert_eq!(judge(Some(wrong.clone()), wrong), Ok(None), "it was wrong before");
}

#[test]
fn existing_pods_are_told_of_in_groups() {
    let named = |name: &str, spec: Value| careful(json!({ "name": name }), spec, json!({}));
    let (bold, root) = (json!({ "hostPID": true }), json!({ "securityContext": { "runAsUser": 0 } }));
    let pods = [
        named("c", bold.clone()),
        named("b", bold.clone()),
        named("good", json!({})),
        named("r2", root.clone()),
        named("r1", root),
        named("d", bold),
        named("net", json!({ "hostNetwork": true, "securityContext": { "runAsNonRoot": false } })),
    ];
    let measure = Measure { level: Level::Restricted, version: Version::Latest };
    assert_eq!(
        pod_security::existing("dev", measure, pods.iter()),
        [
            "existing pods in namespace \"dev\" violate the new PodSecurity enforce level \"restricted:latest\"",
            "b (and 2 other pods): host namespaces",
            "net: host namespaces, runAsNonRoot != true",
            "r1 (and 1 other pod): runAsUser=0",
        ]
    );
    assert_eq!(pod_security::existing("dev", measure, [named("good", json!({}))].iter()), [""; 0]);
    let many = vec![named("good", json!({})); 3001];
    assert_eq!(
        pod_security::existing("dev", measure, many.iter()),
        ["new PodSecurity enforce level only checked against the first 3000 of 3001 existing pods"]
    );
}

/// A `securityContext`, most of it missing.
fn any_context() -> BoxedStrategy<Value> {
    let profile = || prop_oneof![Just("RuntimeDefault"), Just("Localhost"), Just("Unconfined")];
    let capability = || prop::sample::select(vec!["ALL", "NET_BIND_SERVICE", "CHOWN", "SYS_ADMIN"]);
    let maybe = |field: BoxedStrategy<Value>| prop_oneof![Just(Value::Null), field].boxed();
    let flag = || any::<bool>().prop_map(Value::from).boxed();
    let typed = move || profile().prop_map(|kind| json!({ "type": kind })).boxed();
    let capabilities = (prop::collection::vec(capability(), 0..3), prop::collection::vec(capability(), 0..3))
        .prop_map(|(add, drop)| json!({ "add": add, "drop": drop }))
        .boxed();
    let fields: Vec<(&'static str, BoxedStrategy<Value>)> = vec![
        ("privileged", maybe(flag())),
        ("allowPrivilegeEscalation", maybe(flag())),
        ("runAsNonRoot", maybe(flag())),
        ("runAsUser", maybe((0i64..2).prop_map(Value::from).boxed())),
        ("procMount", maybe(prop_oneof![Just(json!("Default")), Just(json!("Unmasked"))].boxed())),
        ("seccompProfile", maybe(typed())),
        ("appArmorProfile", maybe(typed())),
        ("seLinuxOptions", maybe("[a-z_]{0,4}".prop_map(|kind| json!({ "type": kind })).boxed())),
        ("capabilities", maybe(capabilities)),
    ];
    let (keys, values): (Vec<&str>, Vec<_>) = fields.into_iter().unzip();
    values.prop_map(move |values| keys.iter().map(|key| key.to_string()).zip(values).collect()).boxed()
}

fn any_pod() -> impl Strategy<Value = Value> {
    let sources = prop::sample::select(vec!["hostPath", "nfs", "emptyDir", "csi"]);
    let volumes = prop::collection::vec(sources, 0..2)
        .prop_map(|kinds| kinds.iter().map(|kind| json!({ "name": "v", *kind: {} })).collect::<Vec<_>>());
    let container = (any_context(), any::<bool>()).prop_map(|(context, port)| {
        json!({ "name": "a", "securityContext": context, "ports": [{ "hostPort": if port { 80 } else { 0 } }] })
    });
    let containers = || prop::collection::vec(container.clone(), 0..3);
    (any_context(), containers(), containers(), volumes, any::<bool>()).prop_map(
        |(context, own, first, volumes, network)| {
            json!({ "metadata": {}, "spec": {
                "securityContext": context, "containers": own, "initContainers": first,
                "volumes": volumes, "hostNetwork": network,
            } })
        },
    )
}

/// What a container that a strict namespace takes says, and nothing else.
fn polished(pod: &mut Value) {
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            merge(
                &mut container["securityContext"],
                json!({
                    "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": null, "privileged": null,
                    "procMount": null, "appArmorProfile": null, "seLinuxOptions": null,
                    "seccompProfile": { "type": "Localhost" },
                }),
            );
            container["securityContext"]["capabilities"] =
                json!({ "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] });
            container["ports"] = json!([]);
        }
    }
    pod["spec"]["securityContext"] = json!({});
    pod["spec"]["volumes"] = json!([]);
    pod["spec"]["hostNetwork"] = json!(false);
}

proptest! {
    #[test]
    fn what_a_level_allows_every_looser_one_allows(pod in any_pod()) {
        let [privileged, baseline, restricted] = LEVELS.map(|level| pod_security::find(level, &Pod::of(&pod)));
        prop_assert!(privileged.is_empty());
        prop_assert!(!restricted.is_empty() || baseline.is_empty(), "{baseline:?}");
    }

    #[test]
    fn containers_that_say_everything_pass_whatever_the_pod_says(pod in any_pod()) {
        let mut pod = pod;
        polished(&mut pod);
        prop_assert_eq!(pod_security::find(Level::Restricted, &Pod::of(&pod)), Vec::new());
    }

    #[test]
    fn nothing_panics(value in crate::common::any_json()) {
        pod_security::find(Level::Restricted, &Pod::of(&value));
        let _ = Policy::read(&value);
        let update = write("", "Pod", Operation::Update, "");
        let _ = pod_security::judge_pod(&update, &value, Some(&json!({})), &value);
        let _ = pod_security::judge_namespace(&update, &value, Some(&value));
    }
}
