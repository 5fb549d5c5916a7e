//! What every write does beside what its step asks for.

use crate::common::{context, created, now, refused, resource};
use crate::heart::alloc::{ServiceNet, Used, allocate};
use crate::heart::delete::{DeleteOptions, Deletion, Propagation, prepare_delete};
use crate::heart::kind::Kind;
use crate::heart::meant::place;
use crate::heart::write::{Context, Part, is_finished, prepare_update};
use serde_json::{Value, json};

#[test]
fn each_part_is_named_as_in_its_path() {
    let parts = [Part::Main, Part::Status, Part::Finalize, Part::Approval, Part::EphemeralContainers];
    assert_eq!(parts.map(Part::subresource), ["", "status", "finalize", "approval", "ephemeralcontainers"]);
}

/// Conditions of these types are a decision on a request for a certificate, and on nothing else.
#[test]
fn a_node_may_have_conditions_that_are_called_like_decisions() {
    let old = created("Node", json!({ "metadata": { "name": "n" } }));
    let mut new = old.clone();
    new["status"] = json!({ "conditions": [{ "type": "Approved", "status": "True" }] });
    let context = Context { name: Some("n"), ..context("Node") };
    let written = prepare_update(&context, Part::Status, &old, 5, new).expect("is stored");
    assert_eq!(written["status"]["conditions"][0]["type"], "Approved");
}

/// An old kubelet knows of one address, a new one of a list; what is stored has both, and they agree.
#[test]
fn a_pod_shows_the_first_of_its_addresses() {
    let spec = json!({ "containers": [{ "name": "c", "image": "i" }] });
    let old = created("Pod", json!({ "metadata": { "name": "p" }, "spec": spec }));
    let mut all = String::new();
    for status in [
        json!({ "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }] }),
        json!({ "podIP": "10.0.0.2" }),
        json!({ "podIP": "10.0.0.2", "podIPs": [] }),
        json!({ "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }] }),
        json!({ "podIP": "10.0.0.2", "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }] }),
        json!({}),
    ] {
        let mut new = old.clone();
        new["status"] = status.clone();
        let context = Context { name: Some("p"), ..context("Pod") };
        let status_now =
            prepare_update(&context, Part::Status, &old, 5, new).expect("is stored")["status"].take();
        all += &format!("{status} -> {} {}\n", status_now["podIP"], status_now["podIPs"]);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn who_has_no_namespace_may_say_so() {
    let placed = |metadata: Value| {
        let mut object = json!({ "metadata": metadata });
        place(&Kind::builtin(resource("Node")), None, &mut object).expect("it has its place");
        object["metadata"].clone()
    };
    assert_eq!(placed(json!({ "name": "n", "namespace": "" })), json!({ "name": "n" }));
    // Left for validation to refuse.
    assert_eq!(placed(json!({ "name": "n", "namespace": "x" })), json!({ "name": "n", "namespace": "x" }));
}

/// Only what a kubelet is ending keeps the policy with which that began.
#[test]
fn what_waits_for_finalizers_alone_may_still_be_told_otherwise() {
    let going = json!({
        "metadata": {
            "name": "c", "deletionTimestamp": "2026-01-02T03:04:05Z", "deletionGracePeriodSeconds": 0,
            "finalizers": ["example.com/mine"],
        },
    });
    let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    let Deletion::Mark(told) =
        prepare_delete(resource("ConfigMap"), &going, 8, &options, now()).expect("is allowed")
    else {
        panic!("its policy changes")
    };
    assert_eq!(told["metadata"]["finalizers"], json!(["example.com/mine", "foregroundDeletion"]));
}

/// To be deleted is a wish too, where wishes are counted.
#[test]
fn a_generation_that_counts_nothing_does_not_begin_with_the_end() {
    let marked = |generation: i64| {
        let object = json!({ "metadata": { "name": "c", "generation": generation, "finalizers": ["example.com/mine"] } });
        match prepare_delete(resource("ConfigMap"), &object, 8, &DeleteOptions::default(), now()) {
            Ok(Deletion::Mark(marked)) => marked["metadata"]["generation"].clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((marked(0), marked(1)), (json!(0), json!(2)));
}

#[test]
fn an_object_is_finished_when_nobody_holds_it_and_nothing_has_time_left() {
    let ends = |grace: i64, finalizers: &[&str]| {
        let metadata = json!({
            "name": "p", "deletionTimestamp": "2026-01-02T03:04:05Z", "deletionGracePeriodSeconds": grace,
            "finalizers": finalizers,
        });
        is_finished(resource("Pod"), &json!({ "metadata": metadata }))
    };
    assert!(ends(0, &[]));
    assert!(!ends(30, &[]) && !ends(0, &["example.com/mine"]));
}

#[test]
fn a_pod_that_waits_for_a_gate_says_so_from_the_first_moment() {
    let pod = |gates: Value| {
        let spec = json!({ "containers": [{ "name": "c", "image": "i" }], "schedulingGates": gates });
        created("Pod", json!({ "metadata": { "name": "p" }, "spec": spec }))["status"]["conditions"].clone()
    };
    let waits = json!([{
        "type": "PodScheduled", "status": "False", "lastProbeTime": null,
        "lastTransitionTime": "2026-01-02T03:04:05Z", "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }]);
    assert_eq!(pod(json!([{ "name": "example.com/quota" }])), waits);
    assert_eq!(pod(json!([])), Value::Null);
}

#[test]
fn a_volume_notes_when_its_phase_became_what_it_is() {
    let spec = json!({
        "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" }, "hostPath": { "path": "/d" },
    });
    let old = created("PersistentVolume", json!({ "metadata": { "name": "v" }, "spec": spec }));
    assert_eq!(old["status"]["lastPhaseTransitionTime"], "2026-01-02T03:04:05Z");
    let later =
        Context { now: "2026-01-02T04:00:00Z".parse().expect("a time"), ..context("PersistentVolume") };
    let told = |phase: &str, time: Option<&str>| {
        let mut new = old.clone();
        new["status"]["phase"] = json!(phase);
        if let Some(time) = time {
            new["status"]["lastPhaseTransitionTime"] = json!(time);
        }
        let written = prepare_update(&later, Part::Status, &old, 5, new).expect("is stored");
        written["status"]["lastPhaseTransitionTime"].as_str().map(str::to_string)
    };
    assert_eq!(told("Pending", None).as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(told("Available", None).as_deref(), Some("2026-01-02T04:00:00Z"));
    assert_eq!(told("Available", Some("2026-01-01T00:00:00Z")).as_deref(), Some("2026-01-01T00:00:00Z"));
}

#[test]
fn the_networks_of_a_nodes_pods_are_one_under_two_names() {
    let node = |spec: Value| {
        let spec = created("Node", json!({ "metadata": { "name": "n" }, "spec": spec }))["spec"].clone();
        (spec["podCIDR"].clone(), spec["podCIDRs"].clone())
    };
    let (one, other) = ("10.0.0.0/24", "10.1.0.0/24");
    assert_eq!(node(json!({ "podCIDR": one })), (json!(one), json!([one])));
    assert_eq!(node(json!({ "podCIDRs": [one] })), (json!(one), json!([one])));
    assert_eq!(node(json!({ "podCIDR": one, "podCIDRs": [other] })), (json!(one), json!([one])));
    let both = json!([one, "fd00::/64"]);
    assert_eq!(node(json!({ "podCIDR": one, "podCIDRs": both })), (json!(one), both));
    assert_eq!(node(json!({})), (Value::Null, Value::Null));
}

#[test]
fn a_service_gets_no_family_that_the_cluster_has_not() {
    let net = ServiceNet::parse("10.96.0.0/16", "30000-30009").expect("a range");
    let allocated = |spec: Value| {
        let mut service = created("Service", json!({ "metadata": { "name": "s" }, "spec": spec }));
        allocate(resource("Service"), &mut service, &net, &Used::default(), 7).map(|()| service)
    };
    let ports = json!([{ "port": 80 }]);
    let dual = "this cluster is not configured for dual-stack services";
    for (spec, said) in [
        (json!({ "ipFamilies": ["IPv6"] }), "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster".into()),
        (
            json!({ "ipFamilyPolicy": "RequireDualStack" }),
            format!("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": {dual}"),
        ),
        (
            json!({ "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"] }),
            "spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster".into(),
        ),
        (
            json!({ "ipFamilies": ["IPv4", "IPv6"] }),
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified".into(),
        ),
        (
            json!({ "clusterIP": "fd00::1" }),
            "spec.clusterIPs[0]: Invalid value: []string{\"fd00::1\"}: IPv6 is not configured on this cluster".into(),
        ),
    ] {
        let mut spec = spec;
        spec["ports"] = ports.clone();
        let message = format!("422 Invalid: Service \"s\" is invalid: {said}");
        assert_eq!(refused(allocated(spec)), message);
    }
    for spec in [
        json!({ "ipFamilyPolicy": "PreferDualStack", "ports": ports }),
        json!({ "clusterIP": "None", "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"] }),
        json!({ "type": "ExternalName", "externalName": "a.b" }),
    ] {
        assert!(allocated(spec.clone()).is_ok(), "{spec}");
    }
}

#[test]
fn an_event_of_the_newer_form_is_told_as_it_was_and_stays_so() {
    let kind = Kind::named("events.k8s.io", "v1", "Event").expect("a kind");
    let new = json!({
        "metadata": { "name": "e", "namespace": "default" }, "involvedObject": { "namespace": "default" },
        "eventTime": "2026-01-02T03:04:05.000000Z", "type": "Normal", "reportingComponent": "a.b/c",
        "reportingInstance": "i", "action": "a", "reason": "r",
    });
    assert_eq!(kind.validate_served(None, &new), Ok(()));
    let but_for = |key: &str, value: Value| {
        let mut other = new.clone();
        other[key] = value;
        other
    };
    let mut out = String::new();
    let mut say = |result: Result<(), _>| out += &format!("{}\n", refused(result));
    for (key, value) in [
        ("eventTime", Value::Null),
        ("type", json!("Odd")),
        ("count", json!(3)),
        ("firstTimestamp", json!("2026-01-02T03:04:05Z")),
        ("source", json!({ "component": "c" })),
        ("series", json!({ "count": 1 })),
    ] {
        say(kind.validate_served(None, &but_for(key, value)));
    }
    for (key, value) in [("reason", json!("other")), ("message", json!("m"))] {
        say(kind.validate_served(Some(&new), &but_for(key, value)));
    }
    insta::assert_snapshot!(out);
    let going_on = json!({ "count": 2, "lastObservedTime": "2026-01-02T03:04:06.000000Z" });
    assert_eq!(kind.validate_served(Some(&new), &but_for("series", going_on)), Ok(()));
    let old_name = Kind::named("", "v1", "Event").expect("a kind");
    assert_eq!(old_name.validate_served(None, &but_for("type", json!("Odd"))), Ok(()));
}

#[test]
fn a_service_without_address_and_pods_is_of_any_family() {
    let families = |spec: Value| {
        let spec = created("Service", json!({ "metadata": { "name": "s" }, "spec": spec }))["spec"].clone();
        (spec["ipFamilyPolicy"].clone(), spec["ipFamilies"].clone())
    };
    let both = (json!("RequireDualStack"), json!(["IPv4", "IPv6"]));
    assert_eq!(families(json!({ "clusterIP": "None" })), both);
    let one = (json!("SingleStack"), json!(["IPv4"]));
    assert_eq!(families(json!({ "clusterIP": "None", "selector": { "a": "b" } })), one);
    assert_eq!(families(json!({ "clusterIP": "None", "ipFamilyPolicy": "SingleStack" })), one);
    let turned = (json!("RequireDualStack"), json!(["IPv6", "IPv4"]));
    assert_eq!(families(json!({ "clusterIP": "None", "ipFamilies": ["IPv6"] })), turned);
}

/// `object` changed and written, as its author would.
fn changed(kind: &str, part: Part, old: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut new = old.clone();
    new["metadata"]["resourceVersion"] = json!("5");
    change(&mut new);
    prepare_update(&context(kind), part, old, 5, new).expect("is accepted")
}

#[test]
fn a_job_without_labels_takes_those_of_its_pods() {
    let job = |labels: Value, of_pods: Value| {
        let pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }] });
        created(
            "Job",
            json!({
                "metadata": { "name": "x", "labels": labels },
                "spec": { "template": { "metadata": { "labels": of_pods }, "spec": pod } },
            }),
        )
    };
    let own = json!({ "a": "b" });
    for of_pods in [json!(null), json!({}), json!({ "c": "d" })] {
        let made = job(json!({}), of_pods.clone());
        let labels = &made["metadata"]["labels"];
        assert_eq!(labels, &made["spec"]["template"]["metadata"]["labels"], "{of_pods}");
        assert_eq!(labels["controller-uid"], made["metadata"]["uid"], "those that it gives them too");
    }
    assert_eq!(job(own.clone(), json!({ "c": "d" }))["metadata"]["labels"], own);
    assert_eq!(job(own.clone(), own.clone())["metadata"]["labels"], own, "these are its own");
}

#[test]
fn a_daemon_set_counts_its_templates_whatever_is_written() {
    const KEY: &str = "deprecated.daemonset.template.generation";
    let set = |annotations: Value| {
        let labels = json!({ "app": "x" });
        let pod = json!({ "containers": [{ "name": "c", "image": "i" }] });
        created(
            "DaemonSet",
            json!({
                "metadata": { "name": "x", "annotations": annotations },
                "spec": { "selector": { "matchLabels": labels },
                    "template": { "metadata": { "labels": labels }, "spec": pod } },
            }),
        )
    };
    let count = |set: &Value| set["metadata"]["annotations"][KEY].as_str().map(str::to_string);
    let first = set(json!({}));
    assert_eq!(count(&first).as_deref(), Some("1"));
    assert_eq!(count(&set(json!({ KEY: "-5" }))).as_deref(), Some("1"));
    assert_eq!(count(&set(json!({ KEY: "+07" }))).as_deref(), Some("7"));
    let forget = |set: &mut Value| set["metadata"]["annotations"] = json!(null);
    for part in [Part::Main, Part::Status] {
        assert_eq!(count(&changed("DaemonSet", part, &first, forget)).as_deref(), Some("1"));
    }
    let other = changed("DaemonSet", Part::Main, &first, |set| {
        set["spec"]["minReadySeconds"] = json!(3);
        set["metadata"]["annotations"][KEY] = json!("9");
    });
    assert_eq!((count(&other).as_deref(), &other["metadata"]["generation"]), (Some("1"), &json!(2)));
    let next = changed("DaemonSet", Part::Main, &other, |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("j");
    });
    assert_eq!((count(&next).as_deref(), &next["metadata"]["generation"]), (Some("2"), &json!(3)));
    let end = i64::MAX.to_string();
    let last = changed("DaemonSet", Part::Main, &set(json!({ KEY: end })), |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("j");
    });
    assert_eq!(count(&last), Some(end), "there is no number after it");
}

#[test]
fn a_driver_counts_its_changes_from_the_first_of_them() {
    let made = created("CSIDriver", json!({ "metadata": { "name": "x" }, "spec": {} }));
    assert_eq!(made["metadata"].get("generation"), None);
    let first = changed("CSIDriver", Part::Main, &made, |driver| {
        driver["spec"]["requiresRepublish"] = json!(true);
    });
    assert_eq!(first["metadata"]["generation"], 1);
    let same = changed("CSIDriver", Part::Main, &first, |driver| {
        driver["metadata"]["labels"] = json!({ "a": "b" });
    });
    assert_eq!(same["metadata"]["generation"], 1);
}
