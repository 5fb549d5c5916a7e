//! What Go writes though nobody said it.

use crate::common::{any_json, context, created, deployment, now, resource, stored};
use crate::heart::convert;
use crate::heart::defaults::zeros;
use crate::heart::kind::Kind;
use crate::heart::managed::{self, Writer};
use crate::heart::patches::{self, PatchType};
use crate::heart::reading::decode_body;
use crate::heart::write::{Context, Part, prepare_update};
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};

fn named(spec: Value) -> Value {
    let mut object = json!({ "metadata": { "name": "web" } });
    for (key, value) in spec.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    object
}

#[test]
fn a_new_object_says_what_go_says() {
    let container = json!({ "name": "c", "image": "i" });
    let template = json!({ "spec": { "containers": [container], "restartPolicy": "Never" } });
    let job = created("Job", named(json!({ "spec": { "template": template } })));
    assert_eq!(job["spec"]["template"]["metadata"]["creationTimestamp"], Value::Null);
    assert!(
        job["spec"]["template"]["metadata"].as_object().is_some_and(|m| m.contains_key("creationTimestamp"))
    );
    let cron = created(
        "CronJob",
        named(
            json!({ "spec": { "schedule": "* * * * *", "jobTemplate": { "spec": { "template": template } } } }),
        ),
    );
    let nothing = json!({ "creationTimestamp": null });
    assert_eq!(cron["spec"]["jobTemplate"]["metadata"], nothing);
    assert_eq!(cron["spec"]["jobTemplate"]["spec"]["template"]["metadata"], nothing);
    let backend = json!({ "service": { "name": "s", "port": { "number": 80 } } });
    let ingress = created("Ingress", named(json!({ "spec": { "defaultBackend": backend } })));
    assert_eq!(ingress["status"], json!({ "loadBalancer": {} }));
    let budget =
        created("PodDisruptionBudget", named(json!({ "spec": { "minAvailable": 1, "selector": {} } })));
    let counts =
        json!({ "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 });
    assert_eq!(budget["status"], counts);
    let target = json!({ "kind": "Deployment", "name": "web", "apiVersion": "apps/v1" });
    let scaler = created(
        "HorizontalPodAutoscaler",
        named(json!({ "spec": { "maxReplicas": 2, "scaleTargetRef": target } })),
    );
    assert_eq!(scaler["status"], json!({ "desiredReplicas": 0, "currentMetrics": null }));
    let aggregated = json!({ "clusterRoleSelectors": [{ "matchLabels": { "a": "b" } }] });
    let role = created("ClusterRole", named(json!({ "aggregationRule": aggregated })));
    assert_eq!(role.get("rules"), Some(&Value::Null));
    let event = created(
        "Event",
        named(json!({
            "metadata": { "name": "e", "namespace": "default" }, "involvedObject": { "namespace": "default" },
        })),
    );
    for key in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        assert_eq!(event.get(key), Some(&Value::Null), "{key}");
    }
    assert_eq!((&event["source"], &event["reportingComponent"]), (&json!({}), &json!("")));
    let newer = resources::by_kind("events.k8s.io", "v1", "Event").expect("a kind");
    let newer = convert::from_storage(newer, event);
    for key in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"] {
        assert_eq!(newer.get(key), Some(&Value::Null), "{key}");
    }
    assert_eq!((&newer["deprecatedSource"], newer.get("reportingController")), (&json!({}), None));
}

/// As a real server answers: an empty text, number, list or map was not said, unless it is a pointer in Go or
/// has no `omitempty`.
#[test]
fn what_says_nothing_is_left_out() {
    let map = created(
        "ConfigMap",
        json!({
            "metadata": { "name": "c", "labels": {}, "annotations": {}, "finalizers": [] },
            "data": {}, "binaryData": {}, "immutable": false,
        }),
    );
    let said: Vec<&str> = map.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert_eq!(said, ["kind", "apiVersion", "metadata", "immutable"]);
    for key in ["labels", "annotations", "finalizers"] {
        assert_eq!(map["metadata"].get(key), None, "{key}");
    }
    let service =
        json!({ "spec": { "selector": {}, "externalIPs": [], "ports": [{ "port": 80, "nodePort": 0 }] } });
    let service = created("Service", named(service));
    assert_eq!((service["spec"].get("selector"), service["spec"].get("externalIPs")), (None, None));
    assert_eq!(service["spec"]["ports"][0].get("nodePort"), None);
    let role = created("Role", named(json!({ "rules": [] })));
    assert_eq!(role.get("rules"), Some(&Value::Null));
    // Who takes the last label away owns nothing, and a list that was and is empty changes nothing.
    let kind = Kind::builtin(resource("ConfigMap"));
    let writer = Writer { kind: &kind, manager: "me", subresource: "", now: now() };
    let mut old = created("ConfigMap", json!({ "metadata": { "name": "c", "labels": { "a": "b" } } }));
    managed::note_update(&writer, None, &mut old);
    assert!(old["metadata"]["managedFields"].is_array());
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({});
    new["metadata"]["finalizers"] = json!([]);
    managed::note_update(&writer, Some(&old), &mut new);
    assert_eq!(new["metadata"].get("managedFields"), None);
}

#[test]
fn what_was_stored_without_is_shown_with_them() {
    let pod = json!({
        "metadata": { "name": "p", "namespace": "default" },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    let shown = stored("Pod", 5, pod).value();
    let condition =
        json!({ "type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": null });
    assert_eq!(shown["status"]["conditions"], json!([condition]));
    assert!(shown["metadata"].get("creationTimestamp").is_none(), "that is for its maker to say");
}

/// A status is written whole, and by people who leave out what Go would not.
#[test]
fn a_status_that_is_written_is_complete() {
    let old = created("PodDisruptionBudget", named(json!({ "spec": { "minAvailable": 1, "selector": {} } })));
    let mut new = old.clone();
    new["status"] = json!({ "currentHealthy": 3 });
    let context = Context { name: Some("web"), ..context("PodDisruptionBudget") };
    new["metadata"]["resourceVersion"] = json!("5");
    let written = prepare_update(&context, Part::Status, &old, 5, new).expect("is stored");
    let counts =
        json!({ "currentHealthy": 3, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 });
    assert_eq!(written["status"], counts);
}

/// What a client reads and sends back, whole or as a patch, is what it read.
#[test]
fn nobody_owns_what_nobody_said() {
    let kind = Kind::builtin(resource("Deployment"));
    let context = Context { name: Some("web"), ..context("Deployment") };
    let writer = Writer { manager: "m", subresource: "", kind: &kind, now: now() };
    let stamp = "/spec/template/metadata/creationTimestamp";
    let is_told = |object: &Value| object.pointer(stamp) == Some(&Value::Null);
    let old = stored("Deployment", 5, deployment()).value();
    assert!(is_told(&old));
    let update = |mut new: Value| {
        managed::note_update(&writer, Some(&old), &mut new);
        prepare_update(&context, Part::Main, &old, 5, new).expect("is stored")
    };
    let patched = |how: PatchType, patch: Value| {
        let patched = patches::apply(kind.resource, how, &old, &patch).expect("it fits");
        update(decode_body(&context, patched).expect("decodes").object)
    };
    let labels = json!({ "spec": { "template": { "metadata": { "creationTimestamp": null, "labels": { "app": "web" } } } } });
    let removed = json!([{ "op": "remove", "path": stamp }]);
    for written in [
        update(decode_body(&context, old.clone()).expect("decodes").object),
        patched(PatchType::Merge, labels.clone()),
        patched(PatchType::Strategic, labels),
        patched(PatchType::Json, removed),
    ] {
        assert!(is_told(&written));
        assert_eq!(
            written["metadata"]["generation"], old["metadata"]["generation"],
            "nothing is wanted anew"
        );
        assert!(!written["metadata"]["managedFields"].to_string().contains("creationTimestamp"));
    }
    let claim = json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "web", "namespace": "default" },
        "spec": { "template": { "metadata": { "creationTimestamp": null, "labels": { "more": "labels" } } } },
    });
    let claim = decode_body(&context, claim).expect("decodes").object;
    let applied = managed::apply(&writer, false, Some(&old), &claim).expect("nobody minds");
    let applied = prepare_update(&context, Part::Main, &old, 5, applied).expect("is stored");
    assert!(is_told(&applied));
    let owners = applied["metadata"]["managedFields"].to_string();
    assert!(owners.contains("f:more") && !owners.contains("creationTimestamp"), "{owners}");
}

proptest! {
    #[test]
    fn twice_is_once_for_every_kind(object in any_json()) {
        for resource in resources::served() {
            let mut once = object.clone();
            zeros::fill(resource, &mut once);
            let mut twice = once.clone();
            zeros::fill(resource, &mut twice);
            prop_assert_eq!(&once, &twice, "{}", resource.kind);
            zeros::trim(resource, &mut once);
            let mut twice = once.clone();
            zeros::fill(resource, &mut twice);
            zeros::trim(resource, &mut twice);
            prop_assert_eq!(&once, &twice, "{}", resource.kind);
            let kind = Kind::builtin(resource);
            kind.apply_defaults(&mut once);
            let mut again = once.clone();
            kind.apply_defaults(&mut again);
            prop_assert_eq!(&once, &again, "{}", resource.kind);
        }
    }
}
