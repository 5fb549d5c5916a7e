//! The service account of a new pod, and the token that its containers find.

use crate::heart::admission::account::{run_as, wanted};
use proptest::prelude::*;
use serde_json::{Value, json};

const PLACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn account(fields: Value) -> Value {
    let mut account =
        json!({ "kind": "ServiceAccount", "apiVersion": "v1", "metadata": { "name": "robot" } });
    for (key, value) in fields.as_object().into_iter().flatten() {
        account[key] = value.clone();
    }
    account
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "c" }] } });
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    pod
}

fn admitted(mut pod: Value, account: &Value) -> Value {
    run_as(&mut pod, account, "bcdfg");
    pod
}

#[test]
fn every_container_finds_a_token() {
    let own = json!([{ "name": "mine", "mountPath": PLACE }]);
    let admitted = admitted(
        pod(json!({
            "initContainers": [{ "name": "first" }],
            "containers": [{ "name": "web" }, { "name": "has-its-own", "volumeMounts": own }],
            "volumes": [{ "name": "mine", "emptyDir": {} }],
        })),
        &account(json!({ "imagePullSecrets": [{ "name": "key" }] })),
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&admitted).expect("JSON"));
}

#[test]
fn the_pod_decides_before_its_account_whether_there_is_a_token() {
    let answer = |at: Option<bool>| at.map_or(json!({}), |it| json!({ "automountServiceAccountToken": it }));
    // Pod, account, whether there is one.
    for (own, of_account, expected) in [
        (None, None, true),
        (None, Some(false), false),
        (None, Some(true), true),
        (Some(true), Some(false), true),
        (Some(false), Some(true), false),
        (Some(false), None, false),
    ] {
        let admitted = admitted(pod(answer(own)), &account(answer(of_account)));
        let mounted = !admitted["spec"]["containers"][0]["volumeMounts"].is_null();
        assert_eq!(mounted, expected, "pod {own:?}, account {of_account:?}");
        assert_eq!(!admitted["spec"]["volumes"].is_null(), expected, "pod {own:?}, account {of_account:?}");
        // It runs as the account either way.
        assert_eq!(admitted["spec"]["serviceAccountName"], "robot");
        assert_eq!(admitted["spec"]["serviceAccount"], "robot");
    }
}

#[test]
fn what_the_pod_brings_is_used() {
    let secrets = json!([{ "name": "own" }]);
    let account = account(json!({ "imagePullSecrets": [{ "name": "key" }] }));
    let brought = json!([{ "name": "kube-api-access-early", "projected": { "sources": [] } }]);
    let admitted = admitted(pod(json!({ "imagePullSecrets": secrets, "volumes": brought })), &account);
    assert_eq!(admitted["spec"]["imagePullSecrets"], secrets);
    assert_eq!(admitted["spec"]["volumes"], brought);
    assert_eq!(admitted["spec"]["containers"][0]["volumeMounts"][0]["name"], "kube-api-access-early");
    // No volume for nobody: all containers have something of their own there.
    let own = json!([{ "name": "c", "volumeMounts": [{ "name": "mine", "mountPath": PLACE }] }]);
    let mut covered = pod(json!({ "containers": own }));
    run_as(&mut covered, &account, "bcdfg");
    assert_eq!(covered["spec"]["volumes"], Value::Null);
}

#[test]
fn who_mirrors_a_pod_of_a_node_has_no_account() {
    assert_eq!(wanted(&pod(json!({}))), Ok(Some("default")));
    assert_eq!(wanted(&pod(json!({ "serviceAccountName": "robot" }))), Ok(Some("robot")));
    let mirror = |spec: Value| {
        let mut pod = pod(spec);
        pod["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "1" });
        wanted(&pod).map(|name| name.map(str::to_string))
    };
    assert_eq!(mirror(json!({ "volumes": [{ "name": "v", "emptyDir": {} }] })), Ok(None));
    let refused = |what: &str| Err(format!("a mirror pod may not {what}"));
    assert_eq!(mirror(json!({ "serviceAccountName": "robot" })), refused("reference service accounts"));
    let key = json!({ "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
    for secret in [
        json!({ "imagePullSecrets": [{ "name": "s" }] }),
        json!({ "volumes": [{ "name": "v", "secret": { "secretName": "s" } }] }),
        json!({ "volumes": [{ "name": "v", "projected": { "sources": [{ "secret": { "name": "s" } }] } }] }),
        json!({ "containers": [{ "name": "c", "env": [key] }] }),
        json!({ "initContainers": [{ "name": "c", "envFrom": [{ "secretRef": { "name": "s" } }] }] }),
    ] {
        assert_eq!(mirror(secret.clone()), refused("reference secrets"), "{secret}");
    }
    let token = json!({ "sources": [{ "serviceAccountToken": { "path": "t" } }] });
    assert_eq!(
        mirror(json!({ "volumes": [{ "name": "v", "projected": token }] })),
        refused("use service account token volume projections")
    );
}

proptest! {
    #[test]
    fn admitted_twice_is_admitted_once(
        names in prop::collection::vec("[a-c]", 1..4),
        mounts in prop::collection::vec(prop::option::of("(/a|/b)"), 4),
        automount in prop::option::of(any::<bool>()),
    ) {
        let containers: Vec<Value> = names
            .iter()
            .zip(&mounts)
            .map(|(name, mount)| match mount {
                Some(path) => json!({ "name": name, "volumeMounts": [{ "name": "v", "mountPath": path }] }),
                None => json!({ "name": name }),
            })
            .collect();
        let account = account(json!({ "imagePullSecrets": [{ "name": "key" }] }));
        let mut once = pod(json!({ "containers": containers, "volumes": [{ "name": "v", "emptyDir": {} }] }));
        if let Some(automount) = automount {
            once["spec"]["automountServiceAccountToken"] = json!(automount);
        }
        run_as(&mut once, &account, "bcdfg");
        let mut twice = once.clone();
        run_as(&mut twice, &account, "zzzzz");
        prop_assert_eq!(once, twice);
    }
}
