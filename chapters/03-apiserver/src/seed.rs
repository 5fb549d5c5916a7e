//! What is there from the start, and is put back when it is gone: four namespaces, and the
//! `kubernetes` service with this server behind it (upstream: `pkg/controlplane/controller`).

use crate::app::App;
use crate::heart::admission::{Operation, builtin};
use crate::heart::kind::Kind;
use crate::heart::status::{ApiError, Reason};
use crate::heart::write::Part;
use crate::writing::Writing;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::net::IpAddr;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Make what is missing. Called at the start and every few seconds after it.
pub async fn keep_up(app: &App, advertise: Option<(IpAddr, u16)>) -> Result<(), ApiError> {
    let namespaces = NAMESPACES.map(|name| {
        let object = json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": name } });
        ensure(app, "", "v1", "Namespace", None, object)
    });
    for result in join_all(namespaces).await {
        result?;
    }
    let classes = builtin::SYSTEM_PRIORITIES.map(|(name, value, description)| {
        let class = json!({
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": { "name": name },
            "value": value,
            "description": description,
        });
        ensure(app, "scheduling.k8s.io", "v1", "PriorityClass", None, class)
    });
    for result in join_all(classes).await {
        result?;
    }
    if !app.front.known.is_empty() {
        let known = json!({
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": { "name": "extension-apiserver-authentication" },
            "data": app.front.known,
        });
        ensure(app, "", "v1", "ConfigMap", Some("kube-system"), known).await?;
    }
    let Some((address, port)) = advertise else { return Ok(()) };
    let labels = json!({ "component": "apiserver", "provider": "kubernetes" });
    let service = json!({
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": { "name": "kubernetes", "labels": labels },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": app.net.first().to_string(),
            "ports": [{ "name": "https", "protocol": "TCP", "port": 443, "targetPort": port }],
        },
    });
    let endpoints = json!({
        "kind": "Endpoints",
        "apiVersion": "v1",
        // The slice is kept here too, so nobody should mirror these endpoints.
        "metadata": { "name": "kubernetes", "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" } },
        "subsets": [{
            "addresses": [{ "ip": address.to_string() }],
            "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
        }],
    });
    let slice = json!({
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": { "name": "kubernetes", "labels": { "kubernetes.io/service-name": "kubernetes" } },
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{ "addresses": [address.to_string()], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
    });
    let made = join_all([
        ensure(app, "", "v1", "Service", Some("default"), service),
        ensure(app, "", "v1", "Endpoints", Some("default"), endpoints),
        ensure(app, "discovery.k8s.io", "v1", "EndpointSlice", Some("default"), slice),
    ])
    .await;
    made.into_iter().collect()
}

/// Create the object, or bring what it says about addresses up to date.
async fn ensure(
    app: &App,
    group: &str,
    version: &str,
    kind: &str,
    namespace: Option<&str>,
    object: Value,
) -> Result<(), ApiError> {
    let Some(kind) = Kind::named(group, version, kind) else { return Ok(()) };
    let mut writing = Writing::own(Operation::Update, &kind, namespace, crate::heart::meta::name(&object));
    if let Some(stored) = app.cached(writing.target()) {
        let now = stored.value();
        let stale = ["subsets", "endpoints", "data"].iter().any(|key| now.get(key) != object.get(key));
        if !stale {
            return Ok(());
        }
        app.update(&writing, Part::Main, &mut Vec::new(), |old, _| {
            let mut new = old.clone();
            for key in ["subsets", "endpoints", "ports", "data"] {
                if let Some(value) = object.get(key) {
                    crate::heart::meta::as_map(&mut new).insert(key.into(), value.clone());
                }
            }
            Ok(new)
        })
        .await?;
        return Ok(());
    }
    writing.attributes.operation = Operation::Create;
    match app.create(&writing, writing.decode(object)?, &mut Vec::new()).await {
        Err(error) if error.reason != Reason::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
