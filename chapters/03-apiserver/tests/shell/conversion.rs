//! Versions of a custom kind: with and without a webhook between them; and what kubectl makes of it.

use crate::backend::{Backend, Seen};
use crate::cluster::Cluster;
use crate::custom::{CRDS, MERGE, crontabs, until};
use serde_json::{Value, json};

const V1: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";
const V2: &str = "/apis/stable.example.com/v2/namespaces/default/crontabs";

/// Two versions: `v1` is stored, and `v2` calls the replicas `size`.
fn two_versions(conversion: Value) -> Value {
    let mut crd = crontabs();
    let v1 = crd["spec"]["versions"][0].clone();
    let mut v2 = v1.clone();
    (v2["name"], v2["storage"]) = (json!("v2"), json!(false));
    for key in ["subresources", "selectableFields", "additionalPrinterColumns"] {
        v2[key] = json!(null);
    }
    v2["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({ "type": "object", "properties": { "size": { "type": "integer" }, "color": { "type": "string", "default": "red" } } });
    crd["spec"]["versions"] = json!([v1, v2]);
    crd["spec"]["conversion"] = conversion;
    crd
}

/// What the webhook does: `replicas` of one version are the `size` of the other. An object of the
/// name `bad` is refused.
fn convert(seen: &Seen) -> Option<(u16, Value)> {
    let request = &seen.body["request"];
    let wanted = request["desiredAPIVersion"].as_str()?;
    let (from, to) = if wanted.ends_with("v2") { ("replicas", "size") } else { ("size", "replicas") };
    let mut objects = request["objects"].as_array()?.clone();
    let bad = objects.iter().any(|object| object["metadata"]["name"] == "bad");
    for object in &mut objects {
        object["apiVersion"] = json!(wanted);
        let number = object["spec"][from].clone();
        object["spec"] = json!({ to: number });
    }
    let result = match bad {
        true => json!({ "status": "Failed", "message": "it is bad" }),
        false => json!({ "status": "Success" }),
    };
    let response = json!({ "uid": request["uid"], "result": result, "convertedObjects": objects });
    Some((
        200,
        json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response }),
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_turns_versions_into_each_other() {
    let backend = Backend::start(convert).await;
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let url = format!("https://127.0.0.1:{}/convert", backend.port);
    let webhook = json!({
        "conversionReviewVersions": ["v1"], "clientConfig": { "url": url, "caBundle": backend.ca_bundle },
    });
    let crd = two_versions(json!({ "strategy": "Webhook", "webhook": webhook }));
    let (code, made) = admin.post(CRDS, crd).await;
    assert_eq!(code, 201, "{made}");
    until(&admin, "crontabs.stable.example.com", "Established").await;

    let object = |name: &str| json!({ "apiVersion": "stable.example.com/v2", "kind": "CronTab", "metadata": { "name": name }, "spec": { "size": 3 } });
    let (code, made) = admin.post(V2, object("a")).await;
    assert_eq!(
        (code, &made["apiVersion"], &made["spec"]["size"]),
        (201, &json!("stable.example.com/v2"), &json!(3)),
        "{made}"
    );
    let (_, stored) = admin.get(&format!("{V1}/a")).await;
    assert_eq!(
        (&stored["apiVersion"], &stored["spec"]["replicas"]),
        (&json!("stable.example.com/v1"), &json!(3))
    );
    assert_eq!(stored["metadata"]["uid"], made["metadata"]["uid"]);
    admin.post(V2, object("b")).await;
    backend.take();
    let (_, list) = admin.get(V2).await;
    assert_eq!(
        (&list["items"][0]["spec"]["size"], &list["items"][1]["spec"]["color"]),
        (&json!(3), &json!("red"))
    );
    assert_eq!(backend.take().len(), 1, "a list is converted at once");
    let (code, changed) = admin.patch(&format!("{V2}/a"), MERGE, json!({ "spec": { "size": 5 } })).await;
    assert_eq!(
        (code, &changed["spec"]["size"], &changed["metadata"]["generation"]),
        (200, &json!(5), &json!(2))
    );
    let mut watch = admin.watch(&format!("{V2}?watch=true")).await;
    assert_eq!(watch.next().await, "ADDED a");
    assert_eq!(watch.next().await, "ADDED b");
    admin.delete(&format!("{V1}/b")).await;
    assert_eq!(watch.next().await, "DELETED b");
    let (code, refused) = admin.post(V2, object("bad")).await;
    assert_eq!(
        (code, refused["message"].as_str().unwrap_or_default()),
        (500, "conversion webhook for stable.example.com/v2, Kind=CronTab failed: it is bad")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_may_differ_in_name_alone() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(CRDS, two_versions(json!({ "strategy": "None" }))).await;
    until(&admin, "crontabs.stable.example.com", "Established").await;
    let object = json!({ "apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": { "name": "a" }, "spec": { "replicas": 3 } });
    let (code, made) = admin.post(V1, object).await;
    assert_eq!(code, 201, "{made}");
    let (_, shown) = admin.get(&format!("{V2}/a")).await;
    assert_eq!(shown["apiVersion"], "stable.example.com/v2");
    // From now on v2 is what is stored, and v1 is not served.
    let patch = json!([
        { "op": "replace", "path": "/spec/versions/0/storage", "value": false },
        { "op": "replace", "path": "/spec/versions/0/served", "value": false },
        { "op": "replace", "path": "/spec/versions/1/storage", "value": true },
    ]);
    let crd = format!("{CRDS}/crontabs.stable.example.com");
    let (code, changed) = admin.patch(&crd, "application/json-patch+json", patch).await;
    assert_eq!((code, &changed["status"]["storedVersions"]), (200, &json!(["v1", "v2"])), "{changed}");
    let gone = async { while admin.get(V1).await.0 != 404 {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("v1 goes");
    let (_, list) = admin.get(V2).await;
    assert_eq!(list["items"][0]["apiVersion"], "stable.example.com/v2", "{list}");
    let (code, changed) = admin.patch(&format!("{V2}/a"), MERGE, json!({ "spec": { "size": 1 } })).await;
    assert_eq!((code, &changed["spec"]["size"]), (200, &json!(1)), "{changed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_knows_custom_kinds() {
    let cluster = Cluster::start().await;
    if std::process::Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        eprintln!("kubectl is not installed here: this test checked nothing");
        return;
    }
    let crd = cluster.write("crd.json", &crontabs().to_string());
    cluster.kubectl(&["apply", "-f", &crd]).await;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/crontabs.stable.example.com"]).await;
    let tab = json!({ "apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": { "name": "a" }, "spec": { "replicas": 3 } });
    let file = cluster.write("tab.json", &tab.to_string());
    assert_eq!(cluster.kubectl(&["apply", "-f", &file]).await, "crontab.stable.example.com/a created\n");
    assert_eq!(cluster.kubectl(&["apply", "-f", &file]).await, "crontab.stable.example.com/a unchanged\n");
    let table = cluster.kubectl(&["get", "ct"]).await;
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NAME", "SPEC", "REPLICAS", "AGE"], "{table}");
    assert_eq!(words[1][..6], ["a", "5", "0", "*", "*", "*"], "{table}");
    cluster.kubectl(&["scale", "crontab/a", "--replicas=5"]).await;
    assert_eq!(cluster.kubectl(&["get", "ct", "a", "-o", "jsonpath={.spec.replicas}"]).await, "5");
    let status = "{\"status\":{\"replicas\":5}}";
    cluster.kubectl(&["patch", "ct", "a", "--subresource=status", "--type=merge", "-p", status]).await;
    assert_eq!(cluster.kubectl(&["get", "ct", "a", "-o", "jsonpath={.status.replicas}"]).await, "5");
    let explained = cluster.kubectl(&["explain", "crontab.spec"]).await;
    assert!(explained.contains("replicas") && explained.contains("<integer>"), "{explained}");
    assert!(cluster.kubectl(&["get", "all"]).await.contains("crontab.stable.example.com/a"));
    cluster.kubectl(&["delete", "-f", &crd, "--wait=true"]).await;
}
