//! CustomResourceDefinitions and their objects, on a real server.

use crate::cluster::{Client, Cluster};
use serde_json::{Value, json};
use std::time::Duration;

pub const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const TABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";
pub const MERGE: &str = "application/merge-patch+json";

pub fn crontabs() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "crontabs.stable.example.com" },
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": { "plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"] },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "properties": {
                                "cronSpec": { "type": "string", "pattern": "^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$", "default": "5 0 * * *" },
                                "image": { "type": "string" },
                                "replicas": { "type": "integer", "minimum": 1, "maximum": 10 },
                                "least": { "type": "integer" },
                            },
                            "x-kubernetes-validations": [{ "rule": "!has(self.least) || self.least <= self.replicas" }],
                        },
                        "status": {
                            "type": "object",
                            "properties": { "replicas": { "type": "integer" }, "labelSelector": { "type": "string" } },
                        },
                    },
                } },
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.labelSelector",
                    },
                },
                "selectableFields": [{ "jsonPath": ".spec.image" }],
                "additionalPrinterColumns": [
                    { "name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec" },
                    { "name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas" },
                    { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
                ],
            }],
        },
    })
}

pub fn tab(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": { "name": name }, "spec": spec })
}

/// Wait until the definition says so; what it says then.
pub async fn until(client: &Client, name: &str, condition: &str) -> Value {
    let wanted = async {
        loop {
            let (_, crd) = client.get(&format!("{CRDS}/{name}")).await;
            let conditions = crd["status"]["conditions"].as_array().cloned().unwrap_or_default();
            if let Some(found) = conditions.iter().find(|c| c["type"] == condition) {
                return found.clone();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wanted).await.expect("the condition comes")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_makes_an_api() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (code, made) = admin.post(CRDS, crontabs()).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"]["names"]["listKind"], "CronTabList");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(made["status"]["conditions"], json!([]), "kubectl wait wants a list");
    assert_eq!(until(&admin, "crontabs.stable.example.com", "Established").await["status"], "True");

    let (code, made) = admin.post(TABS, tab("a", json!({ "replicas": 3, "foo": 1 }))).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"], json!({ "replicas": 3, "cronSpec": "5 0 * * *" }));
    assert_eq!(made["metadata"]["generation"], 1);
    let (code, refused) =
        admin.post(&format!("{TABS}?fieldValidation=Strict"), tab("b", json!({ "foo": 1 }))).await;
    assert_eq!(
        (code, refused["message"].as_str().unwrap_or_default()),
        (
            400,
            "CronTab in version \"v1\" cannot be handled as a CronTab: strict decoding error: unknown field \"spec.foo\""
        )
    );
    let (code, refused) = admin.post(TABS, tab("b", json!({ "replicas": "many", "cronSpec": "x" }))).await;
    assert_eq!(code, 422);
    let causes: Vec<&str> = refused["details"]["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|cause| cause["message"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        causes,
        [
            "Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
            "Invalid value: \"x\": spec.cronSpec in body should match '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$'",
            "Invalid value: 0: .spec.replicas accessor error: many is of the type string, expected int64",
            "Invalid value: \"null\": some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ]
    );
    let (code, refused) = admin.post(TABS, tab("b", json!({ "replicas": 2, "least": 3 }))).await;
    assert_eq!(code, 422);
    assert_eq!(
        refused["message"],
        "CronTab.stable.example.com \"b\" is invalid: spec: Invalid value: \"object\": failed rule: !has(self.least) || self.least <= self.replicas"
    );

    // A part that did not change is not complained about; a status is a status's writer's.
    let (code, patched) = admin
        .patch(&format!("{TABS}/a"), MERGE, json!({ "spec": { "image": "x" }, "status": { "replicas": 9 } }))
        .await;
    assert_eq!((code, &patched["metadata"]["generation"], patched.get("status")), (200, &json!(2), None));
    let status =
        json!({ "spec": { "image": "y" }, "status": { "replicas": 2, "labelSelector": "a=b", "foo": 1 } });
    let (code, patched) = admin.patch(&format!("{TABS}/a/status"), MERGE, status).await;
    assert_eq!(
        (code, &patched["metadata"]["generation"], &patched["spec"]["image"]),
        (200, &json!(2), &json!("x"))
    );
    assert_eq!(patched["status"], json!({ "replicas": 2, "labelSelector": "a=b" }));
    let (code, scale) =
        admin.patch(&format!("{TABS}/a/scale"), MERGE, json!({ "spec": { "replicas": 7 } })).await;
    assert_eq!(
        (code, &scale["spec"], &scale["status"]["selector"]),
        (200, &json!({ "replicas": 7 }), &json!("a=b"))
    );
    let (code, _) =
        admin.patch(&format!("{TABS}/a/scale"), MERGE, json!({ "spec": { "replicas": 70 } })).await;
    assert_eq!(code, 422);
    let (code, _) = admin
        .patch(&format!("{TABS}/a"), "application/strategic-merge-patch+json", json!({ "spec": {} }))
        .await;
    assert_eq!(code, 415);
    let (_, found) = admin.get(&format!("{TABS}?fieldSelector=spec.image%3Dx")).await;
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    let (code, _) = admin.get(&format!("{TABS}?fieldSelector=spec.replicas%3D7")).await;
    assert_eq!(code, 400);
    let (_, found) = admin.get(&format!("{TABS}?fieldSelector=spec.image%3Dy")).await;
    assert_eq!((&found["kind"], found["items"].as_array().map(Vec::len)), (&json!("CronTabList"), Some(0)));

    let mut watch = admin.watch(&format!("{TABS}?watch=true")).await;
    assert_eq!(watch.next().await, "ADDED a");
    admin.delete(&format!("{TABS}/a")).await;
    assert_eq!(watch.next().await, "DELETED a");
}

/// Deleting a definition deletes its objects first, and waits for those that somebody holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_definition_takes_its_objects_along() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let name = "crontabs.stable.example.com";
    admin.post(CRDS, crontabs()).await;
    until(&admin, name, "Established").await;
    admin.post(TABS, tab("free", json!({ "replicas": 3 }))).await;
    let mut held = tab("held", json!({ "replicas": 3 }));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    admin.post(TABS, held).await;

    let mut watch = admin.watch(&format!("{TABS}?watch=true")).await;
    assert_eq!(watch.next().await, "ADDED free");
    assert_eq!(watch.next().await, "ADDED held");
    let (code, _) = admin.delete(&format!("{CRDS}/{name}")).await;
    assert_eq!(code, 200);
    let mut events = vec![watch.next().await, watch.next().await];
    events.sort();
    assert_eq!(events, ["DELETED free", "MODIFIED held"]);
    let (code, refused) = admin.post(TABS, tab("late", json!({ "replicas": 3 }))).await;
    assert_eq!(code, 405, "{refused}");
    let (code, crd) = admin.get(&format!("{CRDS}/{name}")).await;
    assert_eq!(
        (code, &crd["metadata"]["finalizers"]),
        (200, &json!(["customresourcecleanup.apiextensions.k8s.io"]))
    );
    admin.patch(&format!("{TABS}/held"), MERGE, json!({ "metadata": { "finalizers": null } })).await;
    let gone = async { while admin.get(&format!("{CRDS}/{name}")).await.0 != 404 {} };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the definition goes");
    let gone = async { while admin.get(TABS).await.0 != 404 {} };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the API goes");
}

/// A server that comes later serves what the store says, objects and all.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_finds_the_same_api() {
    let mut cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(CRDS, crontabs()).await;
    until(&admin, "crontabs.stable.example.com", "Established").await;
    admin.post(TABS, tab("a", json!({ "replicas": 3 }))).await;
    cluster.replace_server().await;
    let admin = cluster.admin();
    let (code, list) = admin.get(&format!("{TABS}?resourceVersion=0")).await;
    assert_eq!((code, &list["items"][0]["metadata"]["name"]), (200, &json!("a")));
    let mut watch = admin.watch(&format!("{TABS}?watch=true&resourceVersion=0")).await;
    assert_eq!(watch.next().await, "ADDED a");
    admin.post(TABS, tab("b", json!({ "replicas": 3 }))).await;
    assert_eq!(watch.next().await, "ADDED b");
}

/// A changed schema holds at once, for what is stored already too; a version that is not served
/// any more is not found; names in use are not given twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_takes_effect_at_once() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let crd = format!("{CRDS}/crontabs.stable.example.com");
    admin.post(CRDS, crontabs()).await;
    until(&admin, "crontabs.stable.example.com", "Established").await;
    admin.post(TABS, tab("old", json!({ "replicas": 3 }))).await;
    let properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let patch = json!([
        { "op": "add", "path": format!("{properties}/extra"), "value": { "type": "string", "default": "new" } },
        { "op": "remove", "path": format!("{properties}/cronSpec") },
    ]);
    let (code, changed) = admin.patch(&crd, "application/json-patch+json", patch).await;
    assert_eq!((code, &changed["metadata"]["generation"]), (200, &json!(2)), "{changed}");
    let extra = async { while admin.get(&format!("{TABS}/old")).await.1["spec"]["extra"] != "new" {} };
    tokio::time::timeout(Duration::from_secs(20), extra).await.expect("the default shows");
    let (_, made) = admin.post(TABS, tab("young", json!({ "replicas": 3, "cronSpec": "x" }))).await;
    assert_eq!(made["spec"], json!({ "replicas": 3, "extra": "new" }));
    let (_, list) = admin.get(TABS).await;
    assert_eq!(list["items"][0]["spec"]["extra"], "new");

    let mut rival = crontabs();
    rival["metadata"]["name"] = json!("cronjobs.stable.example.com");
    rival["spec"]["names"] = json!({ "plural": "cronjobs", "kind": "CronJob", "shortNames": ["ct"] });
    admin.post(CRDS, rival).await;
    let accepted = until(&admin, "cronjobs.stable.example.com", "NamesAccepted").await;
    assert_eq!(
        (&accepted["reason"], &accepted["message"]),
        (&json!("ShortNamesConflict"), &json!("\"ct\" is already in use"))
    );
    let (code, _) = admin.get("/apis/stable.example.com/v1/namespaces/default/cronjobs").await;
    assert_eq!(code, 404);
}
