//! What the server says of itself, as clients fetch it.

use crate::cluster::Cluster;
use serde_json::{Value, json};

fn header<'h>(headers: &'h http::HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_is_fetched_once() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (_, index) = admin.get("/openapi/v3").await;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().expect("an address").to_owned();
    let (status, headers) = admin.head(&url).await;
    assert_eq!(status, 200);
    assert!(header(&headers, "cache-control").contains("immutable"), "{headers:?}");
    let tag = header(&headers, "etag").to_owned();
    assert!(url.ends_with(&format!("?hash={}", tag.trim_matches('"'))), "{url} {tag}");
    assert_eq!(admin.clone().with("if-none-match", &tag).head(&url).await.0, 304);
    assert_eq!(admin.clone().with("if-none-match", "\"0\"").head(&url).await.0, 200);
    // An address from before the last change leads to the one of now.
    let (status, headers) = admin.head("/openapi/v3/apis/apps/v1?hash=0").await;
    assert_eq!((status, header(&headers, "location")), (301, url.as_str()));
    let protobuf = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    let (status, refused) = admin.get_as(&url, protobuf).await;
    assert_eq!((status, &refused["reason"]), (406, &json!("NotAcceptable")));
    let all = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let aggregated = admin.clone().with("accept", all);
    let (status, headers) = aggregated.head("/apis").await;
    assert_eq!((status, header(&headers, "content-type")), (200, all));
    let tag = header(&headers, "etag").to_owned();
    assert_eq!(aggregated.clone().with("if-none-match", &tag).head("/apis").await.0, 304);
    assert_eq!(admin.get_text("/openapi/v3/apis/apps/v7").await.0, 404);
}

/// As upstream: its own paths speak for themselves, and nobody speaks for the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_found_is_told_by_whom_the_path_belongs_to() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let own = ["/api/v9", "/api/v1/boats", "/apis/apps/v1/namespaces/default/boats", "/apis/apps/v9/boats"];
    for path in own.into_iter().chain(["/version/of/what", "/api/v1/namespaces/default/pods/web/boats"]) {
        let (status, told) = admin.get(path).await;
        let message = &told["message"];
        let expected = json!("the server could not find the requested resource");
        assert_eq!((status, &told["reason"], message), (404, &json!("NotFound"), &expected), "{path}");
    }
    for path in ["/boats", "/apis/boats.example.com", "/apis/boats.example.com/v1/boats", "/openapi/v9"] {
        let (status, headers, body) = admin.exchange("GET", path, &[], "").await;
        assert_eq!((status, &body[..]), (404, &b"404 page not found\n"[..]), "{path}");
        assert_eq!(header(&headers, "content-type"), "text/plain; charset=utf-8");
    }
    let raw = cluster.kubectl_fails(&["get", "--raw", "/boats"]).await;
    assert_eq!(raw.trim(), "Error from server (NotFound): the server could not find the requested resource");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_check_by_check() {
    let mut cluster = Cluster::start().await;
    let stranger = cluster.stranger();
    for path in ["/livez", "/healthz", "/readyz", "/readyz/etcd", "/livez/ping"] {
        assert_eq!(stranger.get_text(path).await, (200, "ok".into()), "{path}");
    }
    assert_eq!(
        stranger.get_text("/readyz?verbose").await,
        (200, "[+]ping ok\n[+]etcd ok\n[+]shutdown ok\nreadyz check passed\n".into()),
    );
    let (_, partly) = stranger.get_text("/readyz?verbose&exclude=etcd").await;
    assert!(partly.contains("[+]etcd excluded: ok\n"), "{partly}");
    let admin = cluster.admin();
    assert_eq!(admin.get_text("/readyz/nonsense").await.0, 404);
    let (_, root) = admin.get("/").await;
    for path in ["/api/v1", "/apis/apps", "/openapi/v3/apis/apps/v1", "/readyz/etcd"] {
        assert!(root["paths"].as_array().expect("paths").contains(&json!(path)), "{path}");
    }
    cluster.kill_store();
    assert_eq!(admin.get_text("/livez").await.0, 200, "a server without its store lives");
}

/// A definition makes a kind, and tools that know nothing of it can tell what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_explains_built_in_and_custom_kinds() {
    let cluster = Cluster::start().await;
    if std::process::Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        eprintln!("kubectl is not installed here: this test checked nothing");
        return;
    }
    let explained = cluster.kubectl(&["explain", "pod.spec.containers.ports"]).await;
    assert!(
        explained.starts_with("KIND:       Pod\nVERSION:    v1\n\nFIELD: ports <[]ContainerPort>\n"),
        "{explained}"
    );
    assert!(explained.contains("  containerPort\t<integer> -required-\n"), "{explained}");
    let policy = cluster.kubectl(&["explain", "pod.spec.restartPolicy"]).await;
    assert!(
        policy.contains("FIELD: restartPolicy <string>\nENUM:\n    Always\n    Never\n    OnFailure\n"),
        "{policy}"
    );
    let version2 = cluster.kubectl(&["explain", "deployment", "--output", "plaintext-openapiv2"]).await;
    assert!(version2.starts_with("KIND:     Deployment\nVERSION:  apps/v1\n"), "{version2}");
    let definition: Value = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "crontabs.stable.example.com" },
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": { "plural": "crontabs", "kind": "CronTab" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "description": "A job at a time.",
                "properties": { "spec": { "type": "object", "required": ["cron"], "properties": {
                    "cron": { "type": "string", "description": "When." },
                } } },
            } } }],
        },
    });
    let file = cluster.write("definition.json", &definition.to_string());
    cluster.kubectl(&["apply", "-f", &file]).await;
    cluster.kubectl(&["wait", "--for", "condition=Established", "crd/crontabs.stable.example.com"]).await;
    let again = cluster.kubectl(&["apply", "-f", &file]).await;
    assert_eq!(
        again,
        "customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com unchanged\n"
    );
    assert_eq!(
        cluster.kubectl(&["explain", "crontab.spec.cron"]).await,
        "GROUP:      stable.example.com\nKIND:       CronTab\nVERSION:    v1\n\nFIELD: cron <string>\n\n\n\
         DESCRIPTION:\n    When.\n    \n\n",
    );
}
