//! The server as a process sees it: real sockets, real TLS, our own store behind it, and a
//! kubelet that is played here. Everything listens on 127.0.0.1, but for what is played to be a pod.

#[path = "shell/admission.rs"]
mod admission;
#[path = "shell/aggregation.rs"]
mod aggregation;
#[path = "shell/applying.rs"]
mod applying;
#[path = "shell/backend.rs"]
mod backend;
#[path = "shell/cluster.rs"]
mod cluster;
#[path = "shell/connecting.rs"]
mod connecting;
#[path = "shell/conversion.rs"]
mod conversion;
#[path = "shell/custom.rs"]
mod custom;
#[path = "shell/documents.rs"]
mod documents;
#[path = "shell/identity.rs"]
mod identity;
#[path = "shell/judging.rs"]
mod judging;
#[path = "shell/kinds.rs"]
mod kinds;
#[path = "shell/kubelet.rs"]
mod kubelet;
#[path = "shell/pod_security.rs"]
mod pod_security;
#[path = "shell/quotas.rs"]
mod quotas;
#[path = "shell/reads.rs"]
mod reads;
#[path = "shell/refusals.rs"]
mod refusals;

use cluster::Cluster;
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_made_read_changed_and_deleted() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (status, made) = admin.post(MAPS, json!({ "metadata": { "name": "c" }, "data": { "a": "1" } })).await;
    assert_eq!(status, 201, "{made}");
    let (status, again) = admin.post(MAPS, json!({ "metadata": { "name": "c" } })).await;
    assert_eq!((status, &again["reason"]), (409, &json!("AlreadyExists")));
    let (_, list) = admin.get(MAPS).await;
    assert_eq!(list["items"][0]["data"]["a"], "1", "a list sees one's own write at once");
    let mut newer = made.clone();
    newer["data"]["a"] = json!("2");
    let (status, newer) = admin.put(&format!("{MAPS}/c"), newer).await;
    assert_eq!(status, 200, "{newer}");
    let (status, late) = admin.put(&format!("{MAPS}/c"), made).await;
    assert_eq!((status, &late["reason"]), (409, &json!("Conflict")), "{late}");
    let patch = json!({ "data": { "b": "3" } });
    let (status, patched) =
        admin.patch(&format!("{MAPS}/c"), "application/merge-patch+json", patch.clone()).await;
    assert_eq!((status, &patched["data"]), (200, &json!({ "a": "2", "b": "3" })));
    let (_, same) = admin.patch(&format!("{MAPS}/c"), "application/merge-patch+json", patch).await;
    assert_eq!(same["metadata"], patched["metadata"], "a write that changes nothing makes no version");
    let (status, _) = admin.delete(&format!("{MAPS}/c")).await;
    assert_eq!(status, 200);
    assert_eq!(admin.get(&format!("{MAPS}/c")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_survives_the_store_and_loses_nothing() {
    let mut cluster = Cluster::start().await;
    let admin = cluster.admin();
    let mut watch = admin.watch(&format!("{MAPS}?watch=true&resourceVersion=0")).await;
    admin.post(MAPS, json!({ "metadata": { "name": "before" } })).await;
    assert_eq!(watch.next().await, "ADDED before");
    cluster.kill_store();
    // A read: a write that is not answered in time may still be done when the store comes back.
    let (status, answer) = admin.get(&format!("{MAPS}/before")).await;
    assert_eq!((status, &answer["reason"]), (503, &json!("ServiceUnavailable")), "{answer}");
    let (status, cached) = admin.get(&format!("{MAPS}?resourceVersion=0")).await;
    assert_eq!((status, &cached["items"][0]["metadata"]["name"]), (200, &json!("before")));
    cluster.start_store();
    admin.post_until_accepted(MAPS, json!({ "metadata": { "name": "after" } })).await;
    admin.delete(&format!("{MAPS}/before")).await;
    assert_eq!(watch.next().await, "ADDED after");
    assert_eq!(watch.next().await, "DELETED before");
}

/// The store is behind a protocol, so another one that speaks it may take its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_etcd_may_stand_under_the_server() {
    let Some(cluster) = Cluster::start_on_etcd().await else {
        println!("SKIPPED: there is no etcd here");
        return;
    };
    let admin = cluster.admin();
    let mut watch = admin.watch(&format!("{MAPS}?watch=true&resourceVersion=0")).await;
    let (status, made) = admin.post(MAPS, json!({ "metadata": { "name": "c" }, "data": { "a": "1" } })).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(watch.next().await, "ADDED c");
    let patch = json!({ "data": { "b": "2" } });
    let (status, patched) = admin.patch(&format!("{MAPS}/c"), "application/merge-patch+json", patch).await;
    assert_eq!((status, &patched["data"]), (200, &json!({ "a": "1", "b": "2" })));
    assert_eq!(watch.next().await, "MODIFIED c");
    let (status, late) = admin.put(&format!("{MAPS}/c"), made).await;
    assert_eq!((status, &late["reason"]), (409, &json!("Conflict")), "{late}");
    for name in ["d", "e"] {
        admin.post(MAPS, json!({ "metadata": { "name": name } })).await;
        assert_eq!(watch.next().await, format!("ADDED {name}"));
    }
    let (_, page) = admin.get(&format!("{MAPS}?limit=2")).await;
    let token = page["metadata"]["continue"].as_str().expect("there is more");
    let (_, rest) = admin.get(&format!("{MAPS}?limit=2&continue={token}")).await;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1), "{rest}");
    let (status, _) = admin.delete(&format!("{MAPS}/c")).await;
    assert_eq!(status, 200);
    assert_eq!(watch.next().await, "DELETED c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_one_list_are_one_state() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    for name in ["a", "b", "c", "d", "e"] {
        admin.post(MAPS, json!({ "metadata": { "name": name } })).await;
    }
    let (mut names, mut url) = (Vec::new(), format!("{MAPS}?limit=2"));
    loop {
        let (status, page) = admin.get(&url).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().cloned().unwrap_or_default();
        names.extend(items.iter().map(|i| i["metadata"]["name"].as_str().unwrap_or("?").to_string()));
        // What happens between two pages is not on the later ones.
        admin.post(MAPS, json!({ "metadata": { "generateName": "z" } })).await;
        match page["metadata"]["continue"].as_str() {
            Some(token) => url = format!("{MAPS}?limit=2&continue={token}"),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_of_one_object_lose_no_update() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(MAPS, json!({ "metadata": { "name": "c" } })).await;
    let writers = (0..8).map(|i| {
        let admin = admin.clone();
        async move {
            let patch = json!({ "data": { format!("k{i}"): "v" } });
            admin.patch(&format!("{MAPS}/c"), "application/merge-patch+json", patch).await.0
        }
    });
    let statuses = futures_util::future::join_all(writers).await;
    assert_eq!(statuses, [200; 8]);
    let (_, object) = admin.get(&format!("{MAPS}/c")).await;
    assert_eq!(object["data"].as_object().map(|d| d.len()), Some(8), "{object}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_turned_away() {
    let cluster = Cluster::start().await;
    let stranger = cluster.stranger();
    assert_eq!(stranger.get("/version").await.0, 200);
    let (status, answer) = stranger.get("/api/v1/secrets").await;
    assert_eq!((status, &answer["reason"]), (403, &json!("Forbidden")));
    let review = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (_, me) = cluster.admin().post(review, json!({ "kind": "SelfSubjectReview" })).await;
    assert_eq!(me["status"]["userInfo"]["username"], "admin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_has_what_every_cluster_has() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (_, service) = admin.get("/api/v1/namespaces/default/services/kubernetes").await;
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    let (_, endpoints) = admin.get("/api/v1/namespaces/default/endpoints/kubernetes").await;
    assert_eq!(endpoints["subsets"][0]["addresses"][0]["ip"], "192.0.2.1");
    let (status, answer) =
        admin.post("/api/v1/namespaces/nowhere/configmaps", json!({ "metadata": { "name": "c" } })).await;
    assert_eq!((status, &answer["message"]), (404, &json!("namespaces \"nowhere\" not found")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_written_at_once_get_addresses_of_their_own() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let url = "/api/v1/namespaces/default/services";
    let made = (0..12).map(|i| {
        let admin = admin.clone();
        async move {
            let service = json!({ "metadata": { "name": format!("s{i}") }, "spec": { "type": "NodePort", "ports": [{ "port": 80 }] } });
            let (status, service) = admin.post(url, service).await;
            assert_eq!(status, 201, "{service}");
            (service["spec"]["clusterIP"].to_string(), service["spec"]["ports"][0]["nodePort"].to_string())
        }
    });
    let (ips, ports): (std::collections::BTreeSet<_>, std::collections::BTreeSet<_>) =
        futures_util::future::join_all(made).await.into_iter().unzip();
    assert_eq!((ips.len(), ports.len()), (12, 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_works() {
    let cluster = Cluster::start().await;
    if std::process::Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        eprintln!("kubectl is not installed here: this test checked nothing");
        return;
    }
    let manifest =
        json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "c" }, "data": { "a": "b" } });
    let file = cluster.write("manifest.json", &manifest.to_string());
    let apply = ["apply", "-f", file.as_str()];
    assert_eq!(cluster.kubectl(&apply).await, "configmap/c created\n");
    assert_eq!(cluster.kubectl(&apply).await, "configmap/c unchanged\n");
    assert_eq!(cluster.kubectl(&["get", "cm", "c", "-o", "jsonpath={.data.a}"]).await, "b");
    assert_eq!(cluster.kubectl(&["create", "namespace", "dev"]).await, "namespace/dev created\n");
    assert_eq!(cluster.kubectl(&["auth", "can-i", "get", "pods"]).await, "yes\n");
    assert!(cluster.kubectl(&["get", "namespaces"]).await.starts_with("NAME              STATUS   AGE\n"));
}
