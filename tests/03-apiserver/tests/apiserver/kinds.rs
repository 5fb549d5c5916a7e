//! The tables that say what kinds are like: facts, columns, fields that selectors may ask for.

use crate::common::{created, now, refused, resource};
use crate::heart::convert;
use crate::heart::kinds;
use crate::heart::query::Query;
use crate::heart::selection::{Selection, fields_of};
use crate::heart::tables::{self, Include};
use objects::resources::{self, Resource};
use serde_json::{Value, json};

/// One line a kind: what sets it apart.
#[test]
fn every_kind_has_its_facts() {
    let line = |r: &Resource| {
        let facts = kinds::facts(r);
        let mut words = vec![format!("{:?}", facts.name)];
        let mut note = |said: bool, word: &str| words.extend(said.then(|| word.to_string()));
        note(facts.generation, if facts.counted_later { "generation of changes" } else { "generation" });
        facts.wished_metadata.iter().for_each(|key| note(true, &format!("{key} wished")));
        note(facts.create_on_update, "made by PUT");
        note(!facts.unconditional_update, "needs a version");
        note(facts.returns_deleted, "shown when deleted");
        note(facts.orphans, "orphans");
        let has_status = r.subresources.contains(&"status");
        note(has_status && facts.status_metadata.is_empty(), "status alone");
        format!("{}/{}: {}\n", r.api_version(), r.plural, words.join(", "))
    };
    let all: Vec<String> = resources::all().iter().map(line).collect();
    insta::assert_snapshot!(all.concat());
}

#[test]
fn a_custom_kind_counts_generations_and_insists_on_versions() {
    let widget = Resource { group: "example.com", kind: "Widget", ..*resource("ConfigMap") };
    let facts = kinds::facts(&widget);
    assert!(facts.generation && !facts.unconditional_update && facts.status_metadata.is_empty());
}

/// What discovery lists and the store does not have.
#[test]
fn questions_are_served_beside_what_is_stored() {
    let line = |r: &&Resource| {
        let subresource = |name: &&str| {
            let s = r.subresource(name).expect("its own");
            format!(" {name}({} {} {})", s.group, s.kind, s.verbs.join(","))
        };
        let parts: String = r.subresources.iter().map(subresource).collect();
        format!(
            "{} {} {}{parts}\n",
            r.api_version(),
            r.plural,
            if r.namespaced { "namespaced" } else { "global" }
        )
    };
    let all: Vec<String> = resources::served().iter().map(line).collect();
    insta::assert_snapshot!(all.concat());
}

/// Names, types and formats, as `kubectl get` is told them.
#[test]
fn every_column_has_the_type_that_upstream_gives_it() {
    let line = |r: &Resource| {
        let column = |c: &tables::Column| {
            let wide = if c.priority > 0 { " wide" } else { "" };
            let format = if c.format.is_empty() { String::new() } else { format!("/{}", c.format) };
            format!("{}: {}{format}{wide}", c.name, c.kind)
        };
        let columns: Vec<String> = tables::printer(r).columns.iter().map(column).collect();
        format!("{}/{}: {}\n", r.api_version(), r.plural, columns.join(", "))
    };
    let all: Vec<String> = resources::all().iter().map(line).collect();
    insta::assert_snapshot!(all.concat());
}

#[test]
fn kinds_that_no_step_prints_print_as_upstream() {
    let shown = [
        (
            "ResourceQuota",
            json!({
                "status": {
                    "hard": { "pods": "5", "limits.cpu": "2", "requests.cpu": "1" }, "used": { "pods": "3", "limits.cpu": "500m" },
                },
            }),
        ),
        (
            "PodTemplate",
            json!({
                "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }, { "name": "d", "image": "j" }] } },
            }),
        ),
        (
            "CertificateSigningRequest",
            json!({
                "spec": { "signerName": "example.com/s", "username": "u", "expirationSeconds": 86400 },
                "status": { "conditions": [{ "type": "Approved" }], "certificate": "Yw==" },
            }),
        ),
        ("CertificateSigningRequest", json!({ "status": { "conditions": [{ "type": "Failed" }] } })),
        (
            "APIService",
            json!({ "spec": {}, "status": { "conditions": [{ "type": "Available", "status": "True" }] } }),
        ),
        (
            "APIService",
            json!({
                "spec": { "service": { "namespace": "n", "name": "s" } },
                "status": { "conditions": [{ "type": "Available", "status": "False", "reason": "MissingEndpoints" }] },
            }),
        ),
        (
            "ValidatingAdmissionPolicy",
            json!({ "spec": { "validations": [{}, {}], "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" } } }),
        ),
        (
            "ValidatingAdmissionPolicyBinding",
            json!({ "spec": { "policyName": "p", "paramRef": { "name": "x" } } }),
        ),
        ("MutatingWebhookConfiguration", json!({ "webhooks": [{}, {}] })),
        (
            "CSIDriver",
            json!({ "spec": { "tokenRequests": [{ "audience": "a" }], "volumeLifecycleModes": ["Persistent", "Ephemeral"] } }),
        ),
        ("CSINode", json!({ "spec": { "drivers": [{}] } })),
        ("CSIStorageCapacity", json!({ "storageClassName": "fast" })),
        (
            "VolumeAttachment",
            json!({ "spec": { "attacher": "a", "nodeName": "n", "source": { "persistentVolumeName": "v" } }, "status": { "attached": true } }),
        ),
        (
            "PersistentVolumeClaim",
            json!({ "spec": { "storageClassName": "fast" }, "status": { "phase": "Pending", "capacity": { "storage": "1Gi" } } }),
        ),
        (
            "FlowSchema",
            json!({ "spec": { "matchingPrecedence": 9, "priorityLevelConfiguration": { "name": "l" } } }),
        ),
        (
            "PriorityLevelConfiguration",
            json!({ "spec": { "type": "Limited", "limited": { "nominalConcurrencyShares": 5, "limitResponse": { "queuing": { "queues": 64, "handSize": 6, "queueLengthLimit": 50 } } } } }),
        ),
        ("PriorityLevelConfiguration", json!({ "spec": { "type": "Exempt" } })),
        ("RuntimeClass", json!({ "handler": "h" })),
        (
            "StorageClass",
            json!({ "provisioner": "p", "metadata": { "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } } }),
        ),
        (
            "HorizontalPodAutoscaler",
            json!({
                "spec": {
                    "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "d" },
                    "metrics": [
                        { "type": "Resource", "resource": { "name": "cpu", "target": { "averageUtilization": 80 } } },
                        { "type": "External", "external": { "target": { "averageValue": "10" } } },
                        { "type": "Pods", "pods": { "target": { "averageValue": "1k" } } },
                    ],
                },
                "status": { "currentReplicas": 2, "currentMetrics": [
                    { "type": "Resource", "resource": { "current": { "averageUtilization": 7 } } },
                    { "type": "External", "external": { "current": { "averageValue": "4" } } },
                ] },
            }),
        ),
        (
            "Ingress",
            json!({
                "spec": { "rules": [{ "host": "a" }, { "host": "b" }, { "host": "c" }, { "host": "d" }], "tls": [{}] },
                "status": { "loadBalancer": { "ingress": [{ "hostname": "z" }, { "ip": "192.0.2.1" }] } },
            }),
        ),
    ];
    let line = |(kind, mut object): (&str, Value)| {
        object["metadata"]["name"] = json!("x");
        object["metadata"]["creationTimestamp"] = json!("2026-01-02T03:03:05Z");
        let row = tables::row(resource(kind), &object, Include::Nothing, now());
        format!("{kind}: {}\n", row["cells"])
    };
    let all: Vec<String> = shown.into_iter().map(line).collect();
    insta::assert_snapshot!(all.concat());
}

#[test]
fn a_field_that_nobody_indexes_is_refused_in_the_kinds_own_words() {
    let event = resources::by_kind("events.k8s.io", "v1", "Event").expect("a kind");
    let widget = Resource { group: "example.com", kind: "Widget", ..*resource("ConfigMap") };
    let asked = [
        (resource("Pod"), "spec.foo=bar"),
        (resource("ConfigMap"), "data.a=b"),
        (resource("Job"), "status.succeeded=1"),
        (resource("Event"), "regarding.kind=Pod"),
        (event, "involvedObject.kind=Pod"),
        (&widget, "spec.size=1"),
    ];
    let said: Vec<String> = asked
        .into_iter()
        .map(|(r, selector)| {
            let query = Query::parse(&format!("fieldSelector={}", selector.replace('=', "%3D")));
            format!("{}\n", refused(Selection::parse(r, &query)))
        })
        .collect();
    insta::assert_snapshot!(said.concat());
    let query = Query::parse("fieldSelector=regarding.kind%3DPod,reportingController%3Dc");
    assert!(Selection::parse(event, &query).is_ok());
}

#[test]
fn a_job_is_selected_by_its_successes() {
    let fields = fields_of(resource("Job"), &json!({ "status": { "succeeded": 3 } }));
    assert_eq!(fields["status.successful"], "3");
}

/// Who writes an autoscaler back through v1 takes nothing from those who wrote it in v2.
#[test]
fn an_autoscaler_loses_nothing_on_the_way_through_v1() {
    let v1 = resources::by_kind("autoscaling", "v1", "HorizontalPodAutoscaler").expect("a kind");
    let metric = json!({ "name": "m", "selector": { "matchLabels": { "a": "b" } } });
    let stored = json!({
        "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2",
        "metadata": { "name": "h", "annotations": { "mine": "too" } },
        "spec": {
            "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "d" },
            "metrics": [
                { "type": "Resource", "resource": { "name": "memory", "target": { "averageValue": "1Gi", "type": "AverageValue" } } },
                { "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "c", "target": { "averageUtilization": 5, "type": "Utilization" } } },
                { "type": "Pods", "pods": { "metric": metric, "target": { "averageValue": "5", "type": "AverageValue" } } },
                { "type": "Object", "object": { "describedObject": { "kind": "Service", "name": "s" }, "metric": metric, "target": { "value": "7", "type": "Value" } } },
                { "type": "External", "external": { "metric": metric, "target": { "value": "9", "type": "Value" } } },
                { "type": "Resource", "resource": { "name": "cpu", "target": { "averageUtilization": 80, "type": "Utilization" } } },
            ],
            "behavior": { "scaleDown": { "stabilizationWindowSeconds": 0 } },
        },
        "status": { "desiredReplicas": 2, "conditions": [{ "type": "AbleToScale", "status": "True" }] },
    });
    let shown = convert::from_storage(v1, stored.clone());
    assert_eq!(shown["spec"]["targetCPUUtilizationPercentage"], 80);
    assert_eq!(shown["spec"].get("metrics"), None);
    assert_eq!(convert::to_storage(v1, shown), stored);
    let plain = json!({
        "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1", "metadata": { "name": "h" },
        "spec": { "maxReplicas": 3, "targetCPUUtilizationPercentage": 50 },
    });
    assert_eq!(convert::from_storage(v1, convert::to_storage(v1, plain.clone())), plain);
}

/// Two jobs of one template must not count each other's pods.
#[test]
fn a_job_finds_its_pods_by_its_own_uid_unless_somebody_chose_otherwise() {
    let job = |more: Value| {
        let mut spec = json!({ "template": {
            "metadata": { "labels": { "app": "sum" } },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "x" }] },
        } });
        spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        let job = created("Job", json!({ "metadata": { "name": "j" }, "spec": spec }));
        (job["spec"]["selector"].clone(), job["spec"]["template"]["metadata"]["labels"].clone())
    };
    let uid = "00000000-0000-4000-8000-000000000001";
    let own = json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
    let labels = json!({
        "app": "sum", "controller-uid": uid, "job-name": "j",
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": "j",
    });
    assert_eq!(job(json!({})), (own.clone(), labels.clone()));
    assert_eq!(job(json!({ "manualSelector": false })), (own, labels));
    let chosen = json!({ "matchLabels": { "app": "sum" } });
    let manual = json!({ "manualSelector": true, "selector": chosen });
    assert_eq!(job(manual), (chosen, json!({ "app": "sum" })));
}
