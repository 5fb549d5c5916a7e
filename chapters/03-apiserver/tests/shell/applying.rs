//! Server-side apply from the outside: requests and their answers, and kubectl.

use crate::cluster::{Client, Cluster};
use crate::custom;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn apply(client: &Client, url: &str, applied: Value) -> (u16, Value) {
    client.patch(url, "application/apply-patch+yaml", applied).await
}

fn config_map(data: Value) -> Value {
    json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "c" }, "data": data })
}

fn deployment(replicas: Value, image: &str) -> Value {
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": image }] },
            },
        },
    })
}

/// Manager, operation and subresource of each entry, sorted.
fn managers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let name = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_string();
        format!("{} {} {}", text("manager"), text("operation"), text("subresource")).trim_end().to_string()
    };
    let mut names: Vec<String> = list.iter().map(name).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_applied_is_created_merged_refused_and_forced() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let at = |query: &str| format!("{MAPS}/c?{query}");
    let (status, refused) = apply(&admin, &at(""), config_map(json!({}))).await;
    assert_eq!((status, &refused["reason"]), (422, &json!("Invalid")), "{refused}");
    assert_eq!(refused["details"]["causes"][0]["field"], "fieldManager");
    // A dry run of what is not there, then the thing itself.
    let wanted = config_map(json!({ "x": "1", "y": "1" }));
    let (status, _) = apply(&admin, &at("fieldManager=a&dryRun=All"), wanted.clone()).await;
    assert_eq!((status, admin.get(&at("")).await.0), (201, 404));
    let (status, made) = apply(&admin, &at("fieldManager=a"), wanted.clone()).await;
    assert_eq!((status, managers(&made)), (201, vec!["a Apply".to_string()]), "{made}");
    let (status, same) = apply(&admin, &at("fieldManager=a"), wanted).await;
    assert_eq!((status, &same), (200, &made), "no write, no new version");
    // Two applicants, then a quarrel.
    let (status, both) = apply(&admin, &at("fieldManager=b"), config_map(json!({ "z": "1" }))).await;
    assert_eq!((status, &both["data"]), (200, &json!({ "x": "1", "y": "1", "z": "1" })));
    let (status, conflict) = apply(&admin, &at("fieldManager=b"), config_map(json!({ "x": "2" }))).await;
    assert_eq!((status, &conflict["reason"]), (409, &json!("Conflict")));
    assert_eq!(conflict["message"], "Apply failed with 1 conflict: conflict with \"a\": .data.x");
    let cause =
        json!({ "reason": "FieldManagerConflict", "message": "conflict with \"a\"", "field": ".data.x" });
    assert_eq!(conflict["details"]["causes"], json!([cause]));
    let (status, forced) =
        apply(&admin, &at("fieldManager=b&force=true"), config_map(json!({ "x": "2" }))).await;
    assert_eq!((status, &forced["data"]), (200, &json!({ "x": "2", "y": "1" })), "{forced}");
    // What nobody says any more goes.
    let (_, gone) = apply(&admin, &at("fieldManager=a"), config_map(json!({}))).await;
    assert_eq!(gone["data"], json!({ "x": "2" }));
    // A lock, a wrong name, and what the kind does not have.
    let mut locked = config_map(json!({ "x": "3" }));
    locked["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    assert_eq!(apply(&admin, &at("fieldManager=b"), locked).await.0, 409);
    let (status, wrong) = apply(&admin, &format!("{MAPS}/d?fieldManager=a"), config_map(json!({}))).await;
    assert_eq!(status, 400, "{wrong}");
    let mut unknown = config_map(json!({}));
    unknown["foo"] = json!(1);
    let (status, unknown) = apply(&admin, &at("fieldManager=a"), unknown).await;
    let message =
        "failed to create typed patch object (/c; /v1, Kind=ConfigMap): .foo: field not declared in schema";
    assert_eq!((status, &unknown["message"], unknown.get("reason")), (500, &json!(message), None));
    let (status, no) = admin.patch(&at("force=true"), "application/merge-patch+json", json!({})).await;
    assert_eq!((status, &no["details"]["causes"][0]["field"]), (422, &json!("force")));
}

/// Each manager is somebody, whatever he calls himself; each endpoint has its own fields.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_noted_in_somebodys_name() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin().with("user-agent", "spade/1.0 (by hand)");
    let (status, made) = admin.post(DEPLOYMENTS, deployment(json!(1), "web:1")).await;
    assert_eq!((status, managers(&made)), (201, vec!["spade Update".to_string()]), "{made}");
    let web = format!("{DEPLOYMENTS}/web");
    let merge = "application/merge-patch+json";
    let status_patch = json!({ "status": { "replicas": 1 } });
    let (_, object) = admin.patch(&format!("{web}/status?fieldManager=dc"), merge, status_patch).await;
    assert_eq!(managers(&object), ["dc Update status", "spade Update"]);
    let list = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let status = list.iter().find(|entry| entry["subresource"] == "status").expect("noted");
    assert_eq!(status["fieldsV1"], json!({ "f:status": { "f:replicas": {} } }));
    let scale = json!({ "spec": { "replicas": 2 } });
    assert_eq!(admin.patch(&format!("{web}/scale?fieldManager=hpa"), merge, scale).await.0, 200);
    let wanted = json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": { "name": "web" }, "spec": { "replicas": 4 } });
    let (status, refused) = apply(&admin, &format!("{web}/scale?fieldManager=me"), wanted.clone()).await;
    let message = "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using apps/v1: .spec.replicas";
    assert_eq!((status, &refused["message"]), (409, &json!(message)));
    let (status, scaled) = apply(&admin, &format!("{web}/scale?fieldManager=me&force=1"), wanted).await;
    assert_eq!((status, &scaled["spec"]["replicas"]), (200, &json!(4)), "{scaled}");
    // Applied to the status, the rest is not claimed.
    let mut wanted = deployment(json!(9), "web:9");
    wanted["status"] = json!({ "replicas": 4 });
    let (status, object) = apply(&admin, &format!("{web}/status?fieldManager=st&force=true"), wanted).await;
    assert_eq!(
        (status, &object["status"]["replicas"], &object["spec"]["replicas"]),
        (200, &json!(4), &json!(4))
    );
    assert_eq!(managers(&object), ["me Apply scale", "spade Update", "st Apply status"]);
    // A list of objects has them too, and a Table's rows.
    let (_, list) = admin.get(DEPLOYMENTS).await;
    assert_eq!(managers(&list["items"][0]).len(), 3);
    let (_, table) = admin.get_as(DEPLOYMENTS, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    assert_eq!(managers(&table["rows"][0]["object"]).len(), 3);
    let (_, meta) = admin.get_as(&web, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").await;
    assert_eq!(managers(&meta).len(), 3);
    // A lost race is tried again, on what the other wrote.
    let racing = (0..6).map(|i| {
        let (admin, web) = (admin.clone(), web.clone());
        async move {
            let labels = json!({ format!("l{i}"): "x" });
            let claim = json!({ "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "web", "labels": labels } });
            apply(&admin, &format!("{web}?fieldManager=m{i}"), claim).await.0
        }
    });
    assert_eq!(futures_util::future::join_all(racing).await, [200; 6]);
    let (_, object) = admin.get(&web).await;
    assert_eq!(object["metadata"]["labels"].as_object().map(|l| l.len()), Some(6), "{object}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_on_the_server() {
    let cluster = Cluster::start().await;
    let one = cluster.write("one.json", &deployment(json!(1), "web:1").to_string());
    let two = cluster.write("two.json", &deployment(json!(2), "web:2").to_string());
    // First the old way, then the new one: no quarrel with its own past.
    cluster.kubectl(&["apply", "-f", &one]).await;
    let said = cluster.kubectl(&["apply", "--server-side", "-f", &two]).await;
    assert_eq!(said, "deployment.apps/web serverside-applied\n");
    let shown = cluster.kubectl(&["get", "deploy", "web", "-o", "json", "--show-managed-fields"]).await;
    let object: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(object["spec"]["replicas"], 2);
    let last =
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].to_string();
    assert!(last.contains("web:2"), "{last}");
    assert!(managers(&object).contains(&"kubectl Apply".to_string()), "{:?}", managers(&object));
    let hidden = cluster.kubectl(&["get", "deploy", "web", "-o", "json"]).await;
    assert!(!hidden.contains("managedFields"));
    // Somebody else scales; then it is a quarrel, unless forced.
    cluster.kubectl(&["scale", "deploy", "web", "--replicas=5"]).await;
    let said = cluster.kubectl_fails(&["apply", "--server-side", "-f", &two]).await;
    assert!(said.contains("Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas"), "{said}");
    let differs = cluster.kubectl_fails(&["diff", "--server-side", "--force-conflicts", "-f", &two]).await;
    assert!(differs.contains("-  replicas: 5") && differs.contains("+  replicas: 2"), "{differs}");
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &two]).await;
    cluster.kubectl(&["diff", "--server-side", "-f", &two]).await;
    cluster.kubectl(&["apply", "view-last-applied", "deploy/web"]).await;
    cluster.kubectl(&["apply", "edit-last-applied", "deploy/web"]).await;
    cluster.kubectl(&["apply", "set-last-applied", "-f", &two]).await;
    // And back again.
    cluster.kubectl(&["apply", "-f", &one]).await;
    cluster
        .kubectl(&[
            "apply",
            "--server-side",
            "--dry-run=server",
            "--field-manager=ci",
            "--force-conflicts",
            "-f",
            &two,
        ])
        .await;
    assert_eq!(cluster.kubectl(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]).await, "1");
}

/// The owners of a custom resource: its schema says how it falls apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_resource_has_owners_by_its_schema() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let mut crd = custom::crontabs();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let item = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "run": { "type": "string" } },
    });
    schema["properties"]["jobs"] = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": item,
    });
    schema["properties"]["free"] = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let (status, made) = admin.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd).await;
    assert_eq!(status, 201, "{made}");
    custom::until(&admin, "crontabs.stable.example.com", "Established").await;
    let tab = "/apis/stable.example.com/v1/namespaces/default/crontabs/t";
    let at = |query: &str| format!("{tab}?{query}");
    let wanted = |spec: Value| json!({ "apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": { "name": "t" }, "spec": spec });
    let one = wanted(
        json!({ "replicas": 1, "jobs": [{ "name": "a", "run": "x" }], "free": { "p": { "q": [1] } } }),
    );
    let (status, made) = apply(&admin, &at("fieldManager=one"), one).await;
    assert_eq!((status, &made["spec"]["cronSpec"]), (201, &json!("5 0 * * *")), "{made}");
    let (status, both) = apply(
        &admin,
        &at("fieldManager=two"),
        wanted(json!({ "jobs": [{ "name": "b" }], "free": { "r": 1 } })),
    )
    .await;
    assert_eq!(status, 200, "{both}");
    assert_eq!(both["spec"]["jobs"], json!([{ "name": "a", "run": "x" }, { "name": "b" }]));
    assert_eq!(both["spec"]["free"], json!({ "p": { "q": [1] }, "r": 1 }));
    let quarrel = wanted(json!({ "jobs": [{ "name": "a", "run": "y" }], "free": { "p": { "q": [2] } } }));
    let (_, conflict) = apply(&admin, &at("fieldManager=two"), quarrel).await;
    let message = "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.free.p.q\n- .spec.jobs[name=\"a\"].run";
    assert_eq!(conflict["message"], message, "{conflict}");
    let (status, unknown) = apply(&admin, &at("fieldManager=two"), wanted(json!({ "nothing": 1 }))).await;
    let message = "failed to create typed patch object (/t; stable.example.com/v1, Kind=CronTab): .spec.nothing: field not declared in schema";
    assert_eq!((status, &unknown["message"]), (500, &json!(message)));
    let scale = json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": { "name": "t" }, "spec": { "replicas": 4 } });
    let (status, scaled) = apply(&admin, &format!("{tab}/scale?fieldManager=hpa&force=true"), scale).await;
    assert_eq!((status, &scaled["spec"]["replicas"]), (200, &json!(4)), "{scaled}");
    let (_, left) = apply(&admin, &at("fieldManager=one"), wanted(json!({}))).await;
    assert_eq!(left["spec"]["jobs"], json!([{ "name": "b" }]), "{left}");
    assert_eq!((&left["spec"]["free"], &left["spec"]["replicas"]), (&json!({ "r": 1 }), &json!(4)));
    assert_eq!(managers(&left), ["hpa Apply scale", "one Apply", "two Apply"]);
}
