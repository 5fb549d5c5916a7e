//! What is said in fields of features that are off.

use crate::common::{any_json, resource};
use crate::heart::gates::drop_disabled;
use crate::heart::kinds::pod_template;
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};

fn dropped(kind: &str, mut object: Value) -> Value {
    drop_disabled(resource(kind), &mut object);
    object
}

#[test]
fn what_nobody_could_act_on_is_dropped_without_a_word() {
    let container = json!({
        "name": "c",
        "resizePolicy": [{ "resourceName": "cpu", "restartPolicy": "NotRequired" }],
        "resources": { "limits": { "cpu": "1" }, "claims": [{ "name": "gpu" }] },
        "securityContext": { "procMount": "Unmasked", "runAsUser": 1 },
    });
    let spec = json!({
        "hostUsers": false, "hostNetwork": true,
        "resources": { "limits": { "cpu": "1" } },
        "resourceClaims": [{ "name": "gpu" }],
        "securityContext": { "supplementalGroupsPolicy": "Strict", "seLinuxChangePolicy": "Recursive", "fsGroup": 1 },
        "containers": [container], "initContainers": [container],
        "volumes": [
            { "name": "i", "image": { "reference": "x" } },
            { "name": "p", "projected": { "sources": [{ "clusterTrustBundle": { "name": "b" } }, { "secret": { "name": "s" } }] } },
        ],
    });
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&dropped("Pod", json!({ "spec": spec }))).expect("JSON")
    );
    // Templates are treated as pods are.
    let kept = dropped("Pod", json!({ "spec": spec }))["spec"].clone();
    for (kind, at) in [
        ("PodTemplate", "/template"),
        ("Deployment", "/spec/template"),
        ("Job", "/spec/template"),
        ("CronJob", "/spec/jobTemplate/spec/template"),
    ] {
        let mut object = json!({ "spec": spec });
        for step in at.rsplit('/').filter(|step| !step.is_empty()) {
            object = json!({ step: object });
        }
        assert_eq!(dropped(kind, object).pointer(at).expect("it is there")["spec"], kept, "{kind}");
    }
    let claim = json!({ "spec": { "volumeAttributesClassName": "fast", "volumeMode": "Block" } });
    assert_eq!(dropped("PersistentVolumeClaim", claim), json!({ "spec": { "volumeMode": "Block" } }));
    let set =
        json!({ "spec": { "updateStrategy": { "rollingUpdate": { "maxUnavailable": 2, "partition": 1 } } } });
    let set = dropped("StatefulSet", set);
    assert_eq!(set["spec"]["updateStrategy"]["rollingUpdate"], json!({ "partition": 1 }));
    // What is not there does not come into being.
    assert_eq!(dropped("PersistentVolume", json!({})), json!({}));
}

proptest! {
    #[test]
    fn twice_is_once_and_nothing_comes_of_nothing(value in any_json()) {
        for resource in resources::all() {
            let mut once = value.clone();
            drop_disabled(resource, &mut once);
            let mut twice = once.clone();
            drop_disabled(resource, &mut twice);
            prop_assert_eq!(&once, &twice);
            let of_pods = pod_template(resource).is_some() || ["PersistentVolume", "PersistentVolumeClaim"].contains(&resource.kind);
            prop_assert!(of_pods || once == value, "{}", resource.kind);
        }
    }
}
