//! Writes that are refused, or that seem to be what they are not: each in upstream's words.

use crate::MAPS;
use crate::cluster::{Client, Cluster};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const LIST: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

async fn begin(cluster: &Cluster) -> Client {
    let admin = cluster.admin();
    let map = json!({ "metadata": { "name": "c" }, "data": { "a": "1" } });
    assert_eq!(admin.post(MAPS, map).await.0, 201);
    admin
}

fn named(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

/// The code, the reason or a dash, the message, and the kind in the details if there are any.
fn told((status, answer): (u16, Value)) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    let message = text(&answer["message"]);
    let kind = answer["details"]["kind"].as_str().map(|kind| format!(" ({kind})")).unwrap_or_default();
    format!("{status} {} {message}{kind}", text(&answer["reason"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_that_says_nothing_is_no_wish_to_write() {
    let cluster = Cluster::start().await;
    let admin = begin(&cluster).await;
    let before = admin.get(&format!("{MAPS}/c")).await;
    let pods =
        json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    assert_eq!(admin.post(PODS, pods).await.0, 201);
    let (all, one) = (format!("{MAPS}?dryRun="), format!("{MAPS}/c?dryRun="));
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "p" } });
    let binding = json!({ "metadata": { "name": "p" }, "target": { "name": "n" } });
    for (options, answer) in [
        ("CreateOptions", admin.post(&all, named("d")).await),
        ("UpdateOptions", admin.put(&one, named("c")).await),
        ("PatchOptions", admin.patch(&one, MERGE, json!({ "data": null })).await),
        ("DeleteOptions", admin.delete(&one).await),
        ("DeleteOptions", admin.delete(&all).await),
        ("CreateOptions", admin.post(&format!("{PODS}/p/eviction?dryRun="), eviction).await),
        ("CreateOptions", admin.post(&format!("{PODS}/p/binding?dryRun="), binding).await),
    ] {
        let why = "dryRun: Unsupported value: []string{\"\"}: supported values: \"All\"";
        let expected = format!("422 Invalid {options}.meta.k8s.io \"\" is invalid: {why} ({options})");
        assert_eq!(told(answer), expected);
    }
    assert_eq!(admin.get(&format!("{MAPS}/c")).await, before);
    assert_eq!(admin.get(&format!("{MAPS}/d")).await.0, 404);
    assert_eq!(admin.get(&format!("{PODS}/p")).await.1["spec"]["nodeName"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_is_about_its_pod_and_a_node() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let pod =
        json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    assert_eq!(admin.post(PODS, pod).await.0, 201);
    let bind = |name: &str, target: Value| {
        let (admin, body) = (admin.clone(), json!({ "metadata": { "name": name }, "target": target }));
        async move { told(admin.post(&format!("{PODS}/p/binding"), body).await) }
    };
    let other = "400 BadRequest name in URL does not match name in Binding object";
    assert_eq!(bind("q", json!({ "name": "nx" })).await, other);
    let kind = "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"";
    assert_eq!(bind("p", json!({ "kind": "Pod", "name": "nx" })).await, format!("500 - {kind}"));
    let name = "target.name: Required value";
    assert_eq!(bind("p", json!({ "kind": "Node", "name": "" })).await, format!("500 - {name}"));
    assert_eq!(bind("p", json!({ "kind": "Pod" })).await, format!("500 - [{kind}, {name}]"));
    assert!(bind("p", json!({ "name": "nx" })).await.starts_with("201"));
    assert_eq!(bind("q", json!({ "name": "nx" })).await, other, "before what was bound");

    let gone = "404 NotFound pods \"nx\" not found (pods)";
    assert_eq!(told(admin.get(&format!("{PODS}/p/log")).await), gone, "it is on a node that nobody knows");
    let exec = admin.ask_upgrade(&format!("{PODS}/p/exec?command=sh&stdout=true")).await;
    assert_eq!(exec.status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patched_object_is_still_itself() {
    let cluster = Cluster::start().await;
    let admin = begin(&cluster).await;
    let (url, before) = (format!("{MAPS}/c"), admin.get(&format!("{MAPS}/c")).await);
    let nameless =
        "400 BadRequest the name of the object (c based on URL) was undeterminable: name must be provided";
    let bare = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
    for (kind, patch) in [
        (MERGE, json!({ "metadata": { "name": null } })),
        (STRATEGIC, json!({ "metadata": { "name": "" } })),
        (MERGE, json!({ "metadata": null })),
        (LIST, json!([{ "op": "remove", "path": "/metadata/name" }])),
        (LIST, json!([{ "op": "replace", "path": "", "value": bare }])),
    ] {
        assert_eq!(told(admin.patch(&url, kind, patch.clone()).await), nameless, "{kind} {patch}");
    }
    let applied = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "x": "y" } });
    let new = admin.patch(&format!("{MAPS}/new?fieldManager=me"), APPLY, applied).await;
    assert_eq!(told(new), nameless.replace("(c ", "(new "));
    assert_eq!(admin.get(&format!("{MAPS}/new")).await.0, 404);

    let fixed = "422 Invalid ConfigMap \"c\" is invalid: metadata.uid: Invalid value: \"abc\": field is immutable (ConfigMap)";
    let other = json!({ "metadata": { "uid": "abc" } });
    assert_eq!(told(admin.patch(&url, MERGE, other.clone()).await), fixed);
    assert_eq!(told(admin.patch(&url, STRATEGIC, other).await), fixed);
    let applied =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c", "uid": "abc" } });
    assert_eq!(told(admin.patch(&format!("{url}?fieldManager=me"), APPLY, applied).await), fixed);
    let late = json!({ "metadata": { "uid": "abc", "resourceVersion": "1" } });
    assert!(told(admin.patch(&url, MERGE, late).await).starts_with("409 Conflict"), "what is late is late");
    let version = json!({ "metadata": { "resourceVersion": "abc" } });
    let unread = "500 - strconv.ParseUint: parsing \"abc\": invalid syntax";
    assert_eq!(told(admin.patch(&url, MERGE, version).await), unread);
    let version = json!({ "metadata": { "name": "c", "resourceVersion": "abc" } });
    assert_eq!(told(admin.put(&url, version).await), unread);
    assert_eq!(admin.get(&url).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_names_a_uid_is_told_where_another_object_is() {
    let cluster = Cluster::start().await;
    let admin = begin(&cluster).await;
    let other = |plural: &str, key: &str, name: &str, uid: &Value| {
        format!(
            "409 Conflict Operation cannot be fulfilled on {plural} \"{name}\": StorageError: invalid object, \
             Code: 4, Key: /registry/{key}/default/{name}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: x, UID in object meta: {}",
            uid.as_str().unwrap_or("?")
        )
    };
    let body = |name: &str| json!({ "metadata": { "name": name, "uid": "x" }, "spec": { "replicas": 1 } });
    let (_, map) = admin.get(&format!("{MAPS}/c")).await;
    let expected = other("configmaps", "configmaps", "c", &map["metadata"]["uid"]) + " (configmaps)";
    let put = json!({ "metadata": { "name": "c", "uid": "x" } });
    assert_eq!(told(admin.put(&format!("{MAPS}/c"), put).await), expected);

    let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    let web = json!({ "metadata": { "name": "web" }, "spec": { "selector": { "matchLabels": { "a": "b" } }, "template": template } });
    let (status, web) = admin.post(DEPLOYMENTS, web).await;
    assert_eq!(status, 201, "{web}");
    let expected =
        other("deployments.apps", "deployments", "web", &web["metadata"]["uid"]) + " (deployments)";
    assert_eq!(told(admin.put(&format!("{DEPLOYMENTS}/web/scale"), body("web")).await), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_deleted_keeps_its_name_and_its_time() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let held = json!({ "metadata": { "name": "q", "finalizers": ["a/b"] } });
    assert_eq!(admin.post(MAPS, held).await.0, 201);
    assert!(told(admin.post(MAPS, named("q")).await).contains(" configmaps \"q\" already exists"));
    assert_eq!(admin.delete(&format!("{MAPS}/q")).await.0, 200);
    let still = "409 AlreadyExists object is being deleted: configmaps \"q\" already exists (configmaps)";
    assert_eq!(told(admin.post(MAPS, named("q")).await), still);
    assert_eq!(told(admin.post(&format!("{MAPS}?dryRun=All"), named("q")).await), still);
    let longer = json!({ "metadata": { "deletionGracePeriodSeconds": 5 } });
    let fixed = "422 Invalid ConfigMap \"q\" is invalid: metadata.deletionGracePeriodSeconds: Invalid value: 5: field is immutable (ConfigMap)";
    assert_eq!(told(admin.patch(&format!("{MAPS}/q"), MERGE, longer).await), fixed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named_by_what_was_asked_for() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let proxy = admin.get("/api/v1/namespaces/default/services/none/proxy/").await;
    assert_eq!(told(proxy), "404 NotFound services \"none\" not found (services)");
    let scale = admin.get(&format!("{DEPLOYMENTS}/none/scale")).await;
    assert_eq!(told(scale), "404 NotFound deployments/scale.apps \"none\" not found (deployments/scale)");
    let scale = admin.get("/api/v1/namespaces/default/replicationcontrollers/none/scale").await;
    let expected = "404 NotFound replicationcontrollers/scale.autoscaling \"none\" not found (replicationcontrollers/scale)";
    assert_eq!(told(scale), expected);
}
