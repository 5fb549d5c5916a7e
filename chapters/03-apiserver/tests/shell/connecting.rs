//! Logs, streams and proxies: requests that others answer.

use crate::cluster::{Client, Cluster};
use crate::kubelet;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// The node `n1`, whose kubelet listens there.
async fn add_node(admin: &Client, port: u16) {
    let node = json!({
        "metadata": { "name": "n1" },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
        },
    });
    assert_eq!(admin.post("/api/v1/nodes", node).await.0, 201);
}

/// The pod `p` with one container `c`, on no node yet.
async fn add_pod(admin: &Client) {
    let pod =
        json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "x" }] } });
    assert_eq!(admin.post(PODS, pod).await.0, 201);
}

fn binding() -> Value {
    json!({ "metadata": { "name": "p" }, "target": { "kind": "Node", "name": "n1" } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_and_execs_reach_the_kubelet() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    add_node(&admin, kubelet::start(&cluster).await).await;
    add_pod(&admin).await;
    assert_eq!(admin.get_text(&format!("{PODS}/p/log")).await, (204, String::new()), "no node, no log");
    let early = admin.ask_upgrade(&format!("{PODS}/p/exec?command=sh&stdout=true")).await;
    assert_eq!(early.status(), 400);
    let early = early.into_body().collect().await.expect("a body").to_bytes();
    let early: Value = serde_json::from_slice(&early).expect("a Status");
    assert_eq!(early["message"], "pod p does not have a host assigned");
    assert_eq!(admin.post(&format!("{PODS}/p/binding"), binding()).await.0, 201);
    assert_eq!(admin.post(&format!("{PODS}/p/binding"), binding()).await.0, 409, "a pod is bound once");

    let (status, text) = admin.get_text(&format!("{PODS}/p/log?tailLines=2&follow=1&pretty=true")).await;
    assert_eq!((status, text.as_str()), (200, "GET /containerLogs/default/p/c?follow=true&tailLines=2\n"));
    let (status, bad) = admin.get(&format!("{PODS}/p/log?tailLines=-1&limitBytes=0")).await;
    let expected = "PodLogOptions \"p\" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, limitBytes: Invalid value: 0: must be greater than 0]";
    assert_eq!((status, &bad["message"]), (422, &json!(expected)));
    let (status, waiting) = admin.get(&format!("{PODS}/p/log?tailLines=13")).await;
    let expected = "container \"c\" in pod \"p\" is waiting to start: ContainerCreating";
    assert_eq!((status, &waiting["message"]), (400, &json!(expected)));
    let (status, other) = admin.get(&format!("{PODS}/p/log?container=d")).await;
    assert_eq!((status, &other["message"]), (400, &json!("container d is not valid for pod p")));
    assert_eq!(admin.get(&format!("{PODS}/q/log")).await.1["message"], "pods \"q\" not found");

    let url = format!("{PODS}/p/exec?command=sh&command=-c&command=a%20%26b&stdin=true&stdout=true");
    let answer = admin.upgrade(&url, b"hello").await;
    assert_eq!(answer, "/exec/default/p/c?input=1&output=1&command=sh&command=-c&command=a%20%26b hello");
    let answer = admin.upgrade(&format!("{PODS}/p/portforward?ports=80,81"), b"hello").await;
    assert_eq!(answer, "/portForward/default/p?port=80&port=81 hello");
    let (status, plain) = admin.get(&url).await;
    assert_eq!((status, &plain["message"]), (400, &json!("Upgrade request required")));
    let refused = admin.ask_upgrade(&format!("{PODS}/p/exec?command=refuse&stdout=true")).await;
    assert_eq!(refused.status(), 500);
    let why = refused.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(why, "container not found (\"c\")", "kubectl prints it as it comes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_proxy_is_its_kubelet() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    add_node(&admin, kubelet::start(&cluster).await).await;
    let proxy = "/api/v1/nodes/n1/proxy";
    let base = format!("https://{}{proxy}", cluster.address);
    let (status, location, text) = admin.ask("GET", &format!("{proxy}/stats//summary?x=%2F"), "").await;
    assert_eq!(
        (status, text.as_str()),
        (200, "GET /stats//summary?x=%2F for /api/v1/nodes/n1/proxy/stats//summary\n")
    );
    assert_eq!(location, format!("{base}/elsewhere?a=b"), "as the client must ask for it");
    let (status, _, text) = admin.ask("PUT", &format!("{proxy}/run/"), "a body").await;
    assert_eq!((status, text.as_str()), (200, "PUT /run/ for /api/v1/nodes/n1/proxy/run/ a body\n"));
    let (status, location, _) = admin.ask("GET", &format!("{proxy}/moved"), "").await;
    assert_eq!((status, location), (302, format!("{base}/elsewhere?a=b")));
    let (status, location, _) = admin.ask("GET", &format!("{proxy}?a=b"), "").await;
    assert_eq!((status, location), (301, format!("{proxy}/?a=b")), "its links are relative to a directory");
    assert_eq!(admin.ask("DELETE", proxy, "").await.2, "DELETE / for /api/v1/nodes/n1/proxy\n");
    assert_eq!(admin.upgrade(&format!("{proxy}/exec"), b"hello").await, "/exec hello");
    let (status, missing) = admin.get("/api/v1/nodes/n2/proxy/").await;
    assert_eq!((status, &missing["message"]), (404, &json!("nodes \"n2\" not found")));
    let (status, wrong) = admin.get("/api/v1/nodes/ftp:n1:1/proxy/").await;
    assert_eq!((status, &wrong["message"]), (400, &json!("invalid node request \"ftp:n1:1\"")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_and_services_are_reached_through_their_proxy() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let Some(address) = kubelet::start_plain().await else {
        eprintln!("this machine has no address but loopback: this test checked nothing");
        return;
    };
    add_pod(&admin).await;
    let status = json!({ "status": { "podIPs": [{ "ip": address.ip() }], "podIP": address.ip() } });
    let merge = "application/merge-patch+json";
    assert_eq!(admin.patch(&format!("{PODS}/p/status"), merge, status).await.0, 200);
    let port = address.port();
    let url = format!("{PODS}/p:{port}/proxy/a/b?c=d");
    let (status, location, text) = admin.ask("POST", &url, "body").await;
    assert_eq!(status, 200);
    assert_eq!(text, format!("POST /a/b?c=d for {PODS}/p:{port}/proxy/a/b body\n"));
    assert_eq!(location, format!("https://{}{PODS}/p:{port}/proxy/elsewhere?a=b", cluster.address));
    assert_eq!(admin.upgrade(&format!("{PODS}/http:p:{port}/proxy/x"), b"hello").await, "/x hello");
    let (status, refused) = admin.get(&format!("{PODS}/p:1/proxy/")).await;
    let why =
        format!("error trying to reach service: dial tcp {}:1: connect: connection refused", address.ip());
    assert_eq!((status, &refused["reason"]), (503, &json!("ServiceUnavailable")));
    assert_eq!(refused["message"], why);

    let services = "/api/v1/namespaces/default/services";
    let ports = json!([{ "name": "web", "port": 80 }, { "name": "more", "port": 81 }]);
    let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": ports } });
    let (status, made) = admin.post(services, service).await;
    assert_eq!(status, 201, "{made}");
    let (status, none) = admin.get(&format!("{services}/s:80/proxy/")).await;
    assert_eq!((status, &none["message"]), (404, &json!("services \"s\" not found")));
    let ready = json!({
        "metadata": { "name": "s" },
        "subsets": [{ "addresses": [{ "ip": address.ip() }], "ports": [{ "name": "web", "port": port }] }],
    });
    assert_eq!(admin.post("/api/v1/namespaces/default/endpoints", ready).await.0, 201);
    for id in ["s:80", "s:web", "http:s:web"] {
        let (status, _, text) = admin.ask("GET", &format!("{services}/{id}/proxy/hi"), "").await;
        assert_eq!((status, text), (200, format!("GET /hi for {services}/{id}/proxy/hi\n")));
    }
    for (id, why) in [
        ("s:more", "no endpoints available for service \"s:more\""),
        ("s", "no endpoints available for service \"s\""),
        ("s:82", "no service port 82 found for service \"s\""),
    ] {
        let (status, answer) = admin.get(&format!("{services}/{id}/proxy/")).await;
        assert_eq!((status, &answer["message"]), (503, &json!(why)));
    }
}
