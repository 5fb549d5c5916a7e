//! The way to API servers behind this one: requests are passed on with who asks in their headers,
//! and a loop looks whether the servers are there.

use crate::answer::{self, Body, BoxError};
use crate::app::App;
use crate::backends::{self, Place, Trust};
use crate::caches::KindCache;
use crate::handler::{Answer, Asked};
use crate::heart::access::User;
use crate::heart::admission::Operation;
use crate::heart::aggregation::{self, Aggregated, Backend, Finding};
use crate::heart::catalog::Catalog;
use crate::heart::delete::DeleteOptions;
use crate::heart::keys;
use crate::heart::kind::Kind;
use crate::heart::meta;
use crate::heart::status::{ApiError, Reason};
use crate::proxy;
use crate::writing::{Target, Writing};
use base64::Engine as _;
use futures_util::future::{join_all, select_all};
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::SendRequest;
use jiff::Timestamp;
use rustls::ClientConfig;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::tls::ClientFiles;

/// How often servers that are there are asked whether they still are (upstream: 30 s).
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// The longest that a server is waited for, to connect and to tell what it serves.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest list of resources that is read.
const MAX_DISCOVERY: usize = 3 * 1024 * 1024;

type Sender = SendRequest<Body>;

/// How this server stands before those behind it.
pub struct Front {
    /// The certificate that it shows, so that they believe what it says of who asks.
    identity: ClientFiles,
    /// What they must know for that: the data of a ConfigMap; empty if nobody told.
    pub known: Map<String, Value>,
    /// How to speak to those that were spoken to.
    configs: Mutex<HashMap<Trust, Arc<ClientConfig>>>,
}

/// Beyond this many all are forgotten.
const MAX_CONFIGS: usize = 64;

impl Front {
    pub fn new(identity: ClientFiles, known: Map<String, Value>) -> Front {
        Front { identity, known, configs: Mutex::default() }
    }

    fn config(&self, trust: Trust) -> Result<Arc<ClientConfig>, String> {
        let mut configs = self.configs.lock().unwrap_or_else(|p| p.into_inner());
        if let Some(config) = configs.get(&trust) {
            return Ok(config.clone());
        }
        if configs.len() >= MAX_CONFIGS {
            configs.clear();
        }
        let config = Arc::new(backends::client_config(&trust, &self.identity)?);
        configs.insert(trust, config.clone());
        Ok(config)
    }
}

/// The server behind this one that a path belongs to, if it is not answered here.
pub fn backend_of(app: &App, path: &str) -> Option<Backend> {
    let path = path.strip_prefix("/openapi/v3").unwrap_or(path);
    let name = aggregation::api_service_of(path)?;
    let kind = Kind::named("apiregistration.k8s.io", "v1", "APIService")?;
    let stored = app.cached(Target { kind: &kind, namespace: None, name: &name })?;
    Backend::read(&stored.value())
}

fn config_of(app: &App, backend: &Backend) -> Result<Arc<ClientConfig>, String> {
    let trust = match backend.insecure {
        true => Trust::Anybody,
        false => Trust::Bundle(
            base64::engine::general_purpose::STANDARD
                .decode(&backend.ca_bundle)
                .map_err(|error| error.to_string())?,
        ),
    };
    app.front.config(trust)
}

async fn connect(place: &Place, config: Arc<ClientConfig>) -> Result<Sender, String> {
    let connecting = async {
        let stream = backends::dial(place, config).await?;
        proxy::handshake(stream).await.map_err(|error| error.to_string())
    };
    let connected = tokio::time::timeout(PATIENCE, connecting).await;
    connected.map_err(|_| "context deadline exceeded".to_string())?
}

/// Pass a request on, and its answer back, both as they come.
pub async fn forward(asked: Asked, backend: Backend) -> Answer {
    let away = || {
        Ok(answer::bytes(
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain; charset=utf-8",
            "service unavailable\n",
        ))
    };
    if !backend.available {
        return away();
    }
    let (app, user) = (asked.app.clone(), asked.user.clone());
    let Ok(place) = app.behind_service(&backend.namespace, &backend.service, backend.port) else {
        return away();
    };
    let unreachable =
        |why: &dyn std::fmt::Display| ApiError::unavailable(format!("error trying to reach service: {why}"));
    let config = config_of(&app, &backend).map_err(|why| unreachable(&why))?;
    let mut sender = connect(&place, config).await.map_err(|why| unreachable(&why))?;
    let mut request = asked.request;
    let upgrading = proxy::wants_upgrade(&request);
    let upgrade = upgrading.then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(|error| unreachable(&error))?;
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    introduce(&mut parts.headers, &user, upgrading);
    let host = format!("{}:{}", place.name, backend.port);
    parts.headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| unreachable(&error))?);
    let body: Body = match upgrading {
        true => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        false => body.map_err(|error| Box::new(error) as BoxError).boxed_unsync(),
    };
    let answer = sender.send_request(Request::from_parts(parts, body)).await.map_err(|e| unreachable(&e))?;
    if let (StatusCode::SWITCHING_PROTOCOLS, Some(upgrade)) = (answer.status(), upgrade) {
        return Ok(proxy::splice(&app, upgrade, answer));
    }
    let (mut parts, body) = answer.into_parts();
    proxy::remove_hops(&mut parts.headers);
    Ok(http::Response::from_parts(parts, body.map_err(|e| Box::new(e) as BoxError).boxed_unsync()))
}

/// Say who asks. What the client said of that itself is dropped: the server behind believes it.
fn introduce(headers: &mut http::HeaderMap, user: &User, upgrading: bool) {
    let said: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-remote-")).cloned().collect();
    said.iter().for_each(|name| drop(headers.remove(name)));
    headers.remove(AUTHORIZATION);
    if !upgrading {
        proxy::remove_hops(headers);
    }
    let mut add = |name: &str, value: &str| {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    };
    add("x-remote-user", &user.name);
    user.groups.iter().for_each(|group| add("x-remote-group", group));
    for (key, values) in &user.extra {
        let key = percent_encoded(key);
        values.iter().for_each(|value| add(&format!("x-remote-extra-{key}"), value));
    }
}

/// A key as it may stand in a header's name.
fn percent_encoded(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&b);
    let encode = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") };
    key.to_lowercase().bytes().map(encode).collect()
}

/// Keep APIServices and their status right, for ever.
pub async fn run(app: Arc<App>) {
    let watched = [
        ("apiregistration.k8s.io", "APIService"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("", "Service"),
        ("discovery.k8s.io", "EndpointSlice"),
    ];
    app.caches.wait_synced().await;
    let Some(kind) = Kind::named("apiregistration.k8s.io", "v1", "APIService") else { return };
    let Some(cache) = app.caches.of(kind.resource) else { return };
    let mut waking: Vec<_> = watched
        .iter()
        .filter_map(|(group, name)| Kind::named(group, "v1", name))
        .filter_map(|kind| app.caches.of(kind.resource).map(|cache| cache.changed.subscribe()))
        .collect();
    loop {
        // Seen before looking: what changes while we look is looked at again.
        waking.iter_mut().for_each(|one| drop(one.borrow_and_update()));
        let remote = match round(&app, &kind, &cache).await {
            Ok(remote) => remote,
            Err(error) => {
                tracing::warn!(%error, "an APIService could not be settled");
                true
            }
        };
        let any = select_all(waking.iter_mut().map(|one| Box::pin(one.changed())));
        match remote {
            true => drop(tokio::time::timeout(LOOK_AGAIN, any).await),
            false => drop(any.await),
        }
    }
}

fn all_of(cache: &KindCache) -> Vec<Value> {
    cache.read(|cache| cache.list("").map(|stored| stored.value()).collect())
}

/// Look at every APIService once. Whether any stands for another server.
async fn round(app: &App, kind: &Kind, cache: &KindCache) -> Result<bool, ApiError> {
    let mut served: Vec<(String, String, bool)> = Vec::new();
    for kind in app.catalog().kinds() {
        let (group, version) = (kind.resource.group.to_string(), kind.resource.version.to_string());
        if !served.iter().any(|(g, v, _)| (g, v) == (&group, &version)) {
            served.push((group, version, kind.custom.is_some()));
        }
    }
    for resource in objects::resources::unstored() {
        let (group, version) = (resource.group.to_string(), resource.version.to_string());
        if !served.iter().any(|(g, v, _)| (g, v) == (&group, &version)) {
            served.push((group, version, false));
        }
    }
    let (missing, superfluous) = aggregation::plan(&all_of(cache), &served);
    for object in missing {
        let writing = Writing::own(Operation::Create, kind, None, meta::name(&object));
        let made = app.create(&writing, writing.decode(object)?, &mut Vec::new()).await;
        match made {
            Err(error) if error.reason == Reason::AlreadyExists => {}
            made => drop(made?),
        }
    }
    for name in superfluous {
        let writing = Writing::own(Operation::Delete, kind, None, &name);
        match app.delete(&writing, &DeleteOptions::default(), &mut Vec::new()).await {
            Err(error) if error.reason == Reason::NotFound => {}
            other => drop(other?),
        }
    }
    let services = all_of(cache);
    let looked = join_all(services.iter().map(|service| look(app, service))).await;
    let (findings, found): (Vec<_>, Vec<_>) = looked.into_iter().unzip();
    let before = app.catalog();
    let known = found.into_iter().zip(&services);
    let known = known.filter_map(|(found, service)| found.or_else(|| remembered(&before, service)));
    // Served before it is said: who reads in a status that a server is there finds it.
    app.serve_aggregated(known.collect());
    for (service, finding) in services.iter().zip(&findings) {
        if aggregation::settle(service, finding, Timestamp::now()) == *service {
            continue;
        }
        let target = Target { kind, namespace: None, name: meta::name(service) };
        // What it stands for may have changed meanwhile: then it is looked at again.
        let settle = |old: &Value| match old["spec"] == service["spec"] {
            true => aggregation::settle(old, finding, Timestamp::now()),
            false => old.clone(),
        };
        app.settle(target, settle).await?;
    }
    Ok(findings.iter().any(|finding| *finding != Finding::Local))
}

/// What is known of a version whose server is away; `None` of one that is ours.
fn remembered(catalog: &Catalog, api_service: &Value) -> Option<Aggregated> {
    let Backend { group, version, .. } = Backend::read(api_service)?;
    let mut known = catalog.aggregated.iter();
    let known = known.find(|it| (&it.group, &it.version) == (&group, &version));
    let resources = known.map(|it| it.resources.clone()).unwrap_or_default();
    Some(Aggregated { group, version, resources, fresh: false })
}

/// See whether an APIService can be answered, and what it serves.
async fn look(app: &App, api_service: &Value) -> (Finding, Option<Aggregated>) {
    let Some(backend) = Backend::read(api_service) else { return (Finding::Local, None) };
    let Some(kind) = Kind::named("", "v1", "Service") else { return (Finding::ServiceNotFound, None) };
    let target = Target { kind: &kind, namespace: Some(&backend.namespace), name: &backend.service };
    let Some(stored) = app.cached(target) else { return (Finding::ServiceNotFound, None) };
    let service = stored.value();
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    if service["spec"]["type"] != "ExternalName" {
        let Some(port) = ports.find(|port| port["port"] == backend.port) else {
            return (Finding::NotListening, None);
        };
        let port_name = port["name"].as_str().unwrap_or_default();
        if app.ready_endpoint(&backend.namespace, &backend.service, port_name).is_none() {
            let finding = match has_slices(app, &backend) {
                true => Finding::NoAddresses { port_name: port_name.to_string() },
                false => Finding::NoEndpoints,
            };
            return (finding, None);
        }
    }
    let place = match app.behind_service(&backend.namespace, &backend.service, backend.port) {
        Ok(place) => place,
        Err(_) => return (Finding::NoEndpoints, None),
    };
    let url = format!("https://{}:{}{}", place.host, place.port, backend.path());
    match discover(app, &backend, &place).await {
        Ok(resources) => {
            let Backend { group, version, .. } = backend;
            (Finding::Passed, Some(Aggregated { group, version, resources, fresh: true }))
        }
        Err(Missing::Status(code)) => {
            (Finding::NoAnswer { why: format!("bad status from {url}: {code}"), url }, None)
        }
        Err(Missing::Answer(why)) => (Finding::NoAnswer { why: format!("Get {url:?}: {why}"), url }, None),
    }
}

fn has_slices(app: &App, backend: &Backend) -> bool {
    let kind = Kind::named("discovery.k8s.io", "v1", "EndpointSlice");
    let cache = kind.as_ref().and_then(|kind| app.caches.of(kind.resource));
    let prefix = kind.and_then(|kind| keys::list_prefix(kind.resource, Some(&backend.namespace)).ok());
    let (Some(cache), Some(prefix)) = (cache, prefix) else { return false };
    cache.read(|cache| {
        let mut slices = cache.list(&prefix);
        slices.any(|slice| slice.labels.get("kubernetes.io/service-name") == Some(&backend.service))
    })
}

enum Missing {
    Status(u16),
    Answer(String),
}

/// What the server says that it serves.
async fn discover(app: &App, backend: &Backend, place: &Place) -> Result<Value, Missing> {
    let asking = async {
        let config = config_of(app, backend).map_err(Missing::Answer)?;
        let mut sender = connect(place, config).await.map_err(Missing::Answer)?;
        let mut request =
            Request::get(backend.path()).header(HOST, format!("{}:{}", place.name, backend.port));
        if let Some(headers) = request.headers_mut() {
            introduce(
                headers,
                &User::authenticated("system:kube-aggregator", vec!["system:masters".into()]),
                false,
            );
        }
        let body: Body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = request.body(body).map_err(|error| Missing::Answer(error.to_string()))?;
        let answer =
            sender.send_request(request).await.map_err(|error| Missing::Answer(error.to_string()))?;
        if !answer.status().is_success() {
            return Err(Missing::Status(answer.status().as_u16()));
        }
        let read = Limited::new(answer.into_body(), MAX_DISCOVERY).collect().await;
        let bytes = read.map_err(|error| Missing::Answer(error.to_string()))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| Missing::Answer(error.to_string()))
    };
    let answered = tokio::time::timeout(PATIENCE, asking).await;
    answered.unwrap_or_else(|_| Err(Missing::Answer("context deadline exceeded".into())))
}
