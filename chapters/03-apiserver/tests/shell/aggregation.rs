//! An API server behind this one.

use crate::backend::Backend;
use crate::cluster::{Client, Cluster, PATIENCE};
use serde_json::{Value, json};

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

/// The server tells what it serves, and says back what it was asked.
async fn metrics() -> Backend {
    Backend::start(|seen| match seen.url.as_str() {
        "/apis/metrics.example.com/v1" => Some((
            200,
            json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.example.com/v1",
                "resources": [
                    { "name": "loads", "singularName": "load", "namespaced": true, "kind": "Load", "verbs": ["get", "create"], "shortNames": ["ld"] },
                    { "name": "loads/status", "singularName": "", "namespaced": true, "kind": "Load", "verbs": ["get"] },
                ],
            }),
        )),
        url => Some((201, json!({ "asked": format!("{} {url}", seen.method), "body": seen.body }))),
    })
    .await
}

/// The condition of an APIService, when its reason is this one. The server's own caches are asked: by them
/// it decides where a request goes.
async fn until(admin: &Client, name: &str, reason: &str) -> Value {
    let waiting = async {
        loop {
            let (_, found) = admin.get(&format!("{SERVICES}/{name}?resourceVersion=0")).await;
            let condition = found["status"]["conditions"][0].clone();
            if condition["reason"] == reason {
                return condition;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{name} never is {reason}"))
}

fn api_service(backend: &Backend) -> Value {
    json!({
        "metadata": { "name": "v1.metrics.example.com" },
        "spec": {
            "group": "metrics.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "caBundle": backend.ca_bundle,
            "service": { "namespace": "default", "name": "hook", "port": 443 },
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_may_stand_behind_this_one() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let backend = metrics().await;
    let (status, made) = admin.post(SERVICES, api_service(&backend)).await;
    assert_eq!(status, 201, "{made}");
    let name = "v1.metrics.example.com";
    let condition = until(&admin, name, "ServiceNotFound").await;
    assert_eq!(condition["message"], "service/hook in \"default\" is not present");
    let loads = "/apis/metrics.example.com/v1/namespaces/default/loads";
    let (status, text) = admin.get_text(loads).await;
    assert_eq!((status, text.as_str()), (503, "service unavailable\n"));
    let service = json!({ "metadata": { "name": "hook" }, "spec": { "selector": { "a": "b" }, "ports": [{ "port": 443, "targetPort": backend.port }] } });
    assert_eq!(admin.post("/api/v1/namespaces/default/services", service).await.0, 201);
    until(&admin, name, "EndpointsNotFound").await;
    let slice = json!({
        "metadata": { "name": "hook-1", "labels": { "kubernetes.io/service-name": "hook" } },
        // An address may not be a loopback's; a name may.
        "addressType": "FQDN",
        "endpoints": [{ "addresses": ["localhost"], "conditions": { "ready": true } }],
        "ports": [{ "port": backend.port }],
    });
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    assert_eq!(admin.post(slices, slice).await.0, 201);
    let condition = until(&admin, name, "Passed").await;
    assert_eq!((&condition["status"], &condition["message"]), (&json!("True"), &json!("all checks passed")));
    // A request goes through as it is, with who asks in its headers, and nobody else.
    let stranger = admin.clone().with("x-remote-user", "root").with("x-remote-group", "system:masters");
    let (status, answered) = stranger.post(&format!("{loads}?a=b"), json!({ "spec": 1 })).await;
    assert_eq!((status, &answered["asked"]), (201, &json!(format!("POST {loads}?a=b"))));
    assert_eq!(answered["body"], json!({ "spec": 1 }));
    // Among what it was asked to see whether it is there.
    let headers = backend.take().into_iter().find(|seen| seen.method == "POST").expect("it came").headers;
    let all = |name: &str| headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>();
    assert_eq!(all("x-remote-user"), ["admin"]);
    assert_eq!(all("x-remote-group"), ["system:masters", "system:authenticated"]);
    assert_eq!(all("host"), ["hook.default.svc:443"]);
    assert_eq!(admin.upgrade(&format!("{loads}/x/watch"), b"hello").await, "hello");
    // Clients find it like any other.
    let list = async {
        loop {
            let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
            let (_, found) = admin.get_as("/apis", accept).await;
            let groups = found["items"].as_array().cloned().unwrap_or_default();
            if let Some(group) = groups.into_iter().find(|g| g["metadata"]["name"] == "metrics.example.com") {
                return group;
            }
            tokio::task::yield_now().await;
        }
    };
    let group = tokio::time::timeout(PATIENCE, list).await.expect("it is listed");
    let resource = &group["versions"][0]["resources"][0];
    assert_eq!(
        (&resource["resource"], &resource["scope"]),
        (&json!("loads"), &json!("Namespaced")),
        "{group}"
    );
    assert_eq!(resource["subresources"][0]["subresource"], "status");
    let (_, old) = admin.get("/apis/metrics.example.com").await;
    assert_eq!(old["preferredVersion"]["version"], "v1");
    // It goes away, and then its registration does.
    assert_eq!(admin.delete(&format!("{slices}/hook-1")).await.0, 200);
    until(&admin, name, "EndpointsNotFound").await;
    assert_eq!(admin.get_text(loads).await.0, 503);
    assert_eq!(admin.delete(&format!("{SERVICES}/{name}")).await.0, 200);
    assert_eq!(admin.get(SERVICES).await.0, 200);
    assert_eq!(admin.get(loads).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_believed_is_not_asked() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (backend, other) = (metrics().await, metrics().await);
    let service = json!({ "metadata": { "name": "hook" }, "spec": { "selector": { "a": "b" }, "ports": [{ "port": 443 }] } });
    assert_eq!(admin.post("/api/v1/namespaces/default/services", service).await.0, 201);
    let slice = json!({
        "metadata": { "name": "hook-1", "labels": { "kubernetes.io/service-name": "hook" } },
        "addressType": "FQDN",
        "endpoints": [{ "addresses": ["localhost"] }],
        "ports": [{ "port": backend.port }],
    });
    assert_eq!(admin.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice).await.0, 201);
    let mut wrong = api_service(&backend);
    wrong["spec"]["caBundle"] = json!(other.ca_bundle);
    assert_eq!(admin.post(SERVICES, wrong).await.0, 201);
    let condition = until(&admin, "v1.metrics.example.com", "FailedDiscoveryCheck").await;
    let url = format!("https://localhost:{}/apis/metrics.example.com/v1", backend.port);
    assert_eq!(
        condition["message"],
        format!(
            "failing or missing response from {url}: Get \"{url}\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
        )
    );
    // Unless nobody is to look.
    let patch = json!({ "spec": { "insecureSkipTLSVerify": true, "caBundle": null } });
    let url = format!("{SERVICES}/v1.metrics.example.com");
    assert_eq!(admin.patch(&url, "application/merge-patch+json", patch).await.0, 200);
    until(&admin, "v1.metrics.example.com", "Passed").await;
}

/// Servers behind this one read there whom to believe about who asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_behind_this_one_are_told_whom_to_believe() {
    let cluster = Cluster::start().await;
    let map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let (status, found) = cluster.admin().get(map).await;
    assert_eq!(status, 200, "{found}");
    let file = |name: &str| json!(std::fs::read_to_string(cluster.file(name)).expect("a file"));
    assert_eq!(
        (&found["data"]["requestheader-client-ca-file"], &found["data"]["client-ca-file"]),
        (&file("front-ca.crt"), &file("ca.crt"))
    );
    assert_eq!(found["data"]["requestheader-allowed-names"], "[\"front\"]");
    assert_eq!(found["data"]["requestheader-extra-headers-prefix"], "[\"X-Remote-Extra-\"]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_here_has_an_api_service_too() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let condition = until(&admin, "v1.apps", "Local").await;
    assert_eq!(condition["message"], "Local APIServices are always available");
    let (_, apps) = admin.get(&format!("{SERVICES}/v1.apps")).await;
    assert_eq!(apps["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "onstart");
    assert_eq!(
        (&apps["spec"]["groupPriorityMinimum"], &apps["spec"]["versionPriority"]),
        (&json!(17800), &json!(15))
    );
    until(&admin, "v1.", "Local").await;
    let definition = json!({
        "metadata": { "name": "boats.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "boats", "singular": "boat", "kind": "Boat" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (status, made) = admin.post(definitions, definition).await;
    assert_eq!(status, 201, "{made}");
    until(&admin, "v1.example.com", "Local").await;
    assert_eq!(admin.delete(&format!("{definitions}/boats.example.com")).await.0, 200);
    let gone = async {
        while admin.get(&format!("{SERVICES}/v1.example.com")).await.0 != 404 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it goes with its definition");
}
