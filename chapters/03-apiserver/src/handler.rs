//! One request from its first line to its answer: who asks, what for, may they, then the verb.

use crate::answer::{self, Body};
use crate::app::App;
use crate::heart::access::{self, User};
use crate::heart::delete::DeleteOptions;
use crate::heart::discovery;
use crate::heart::openapi;
use crate::heart::protobuf;
use crate::heart::query::{ListOptions, VersionMatch, WriteOptions};
use crate::heart::render::{self, View};
use crate::heart::request::{RequestInfo, ResourcePath, Route, Verb};
use crate::heart::selection::Selection;
use crate::heart::status::{ApiError, Reason};
use crate::heart::stored::Stored;
use crate::heart::write::{self, Part};
use crate::registry::Target;
use crate::{lists, pods, watching};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use objects::resources::{self, Resource};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Semaphore;

/// The largest body that is read (upstream's limit, and etcd's twofold).
const MAX_BODY: usize = 3 * 1024 * 1024;

pub type Answer = Result<Response<Body>, ApiError>;

/// A request whose line was understood.
pub struct Asked {
    pub app: Arc<App>,
    pub user: User,
    pub info: RequestInfo,
    pub request: Request<Incoming>,
}

/// Answer a request. Never fails: what goes wrong is an answer too.
pub async fn serve(app: Arc<App>, user: User, request: Request<Incoming>) -> Response<Body> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let started = std::time::Instant::now();
    let name = user.name.clone();
    let response = respond(app, user, request).await.unwrap_or_else(|e| answer::error(&e));
    tracing::debug!(%method, %uri, user = name, status = response.status().as_u16(), took = ?started.elapsed());
    response
}

async fn respond(app: Arc<App>, user: User, request: Request<Incoming>) -> Answer {
    let line = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let info = RequestInfo::parse(request.method().as_str(), line)?;
    access::authorize(&user, &info).map_err(|error| match user.is_anonymous() && !app.knows_clients() {
        true => ApiError::unauthorized(),
        false => error,
    })?;
    let asked = Asked { app, user, info, request };
    match asked.info.route.clone() {
        Route::Plain(path) => plain(&asked, &path),
        Route::Resource(path) => resource(asked, &path).await,
    }
}

/// Health, version, discovery and OpenAPI.
fn plain(asked: &Asked, path: &str) -> Answer {
    let trimmed = path.trim_end_matches('/');
    let accept = header(asked.request.headers(), ACCEPT.as_str());
    let found = match trimmed {
        "/version" => Some(discovery::version()),
        "/livez" | "/healthz" => return Ok(answer::text(StatusCode::OK, "ok")),
        "/readyz" => {
            return Ok(match asked.app.ready.load(Ordering::Acquire) {
                true => answer::text(StatusCode::OK, "ok"),
                false => answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the store has not been read yet"),
            });
        }
        "/api" | "/apis" if wants_aggregated(accept) => {
            let body = crate::heart::stored::encode(&discovery::aggregated(trimmed == "/api"));
            return Ok(answer::bytes(StatusCode::OK, discovery::AGGREGATED, body));
        }
        "/openapi/v2" if accept.contains("protobuf") => {
            return Ok(answer::bytes(StatusCode::OK, openapi::V2_PROTOBUF, openapi::v2_protobuf()));
        }
        "/openapi/v2" => Some(openapi::v2_json()),
        "/openapi/v3" => Some(openapi::v3_index()),
        "" => Some(
            serde_json::json!({ "paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"] }),
        ),
        other => match other.strip_prefix("/openapi/v3/") {
            Some(document) => openapi::v3_document(document),
            None => discovery::legacy(trimmed, &asked.app.address).transpose()?,
        },
    };
    match found {
        Some(value) => Ok(answer::value(StatusCode::OK, &value)),
        None => Err(ApiError::no_route()),
    }
}

fn wants_aggregated(accept: &str) -> bool {
    accept.split(',').any(|offer| {
        let parts: Vec<&str> = offer.split(';').map(str::trim).collect();
        ["g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"].iter().all(|p| parts.contains(p))
    })
}

pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// A request about objects.
async fn resource(asked: Asked, path: &ResourcePath) -> Answer {
    if access::is_question(&path.group, &path.resource)
        && path.version == "v1"
        && asked.info.verb == Verb::Create
    {
        let (user, name) = (asked.user.clone(), path.resource.clone());
        let question = body(asked.request).await?;
        return Ok(answer::value(StatusCode::CREATED, &access::answer(&user, &name, &question)));
    }
    if (path.group.as_str(), path.resource.as_str()) == ("", "bindings") && asked.info.verb == Verb::Create {
        return pods::bind(asked, path, None).await;
    }
    let found = resources::by_plural(&path.group, &path.version, &path.resource);
    let resource = found.ok_or_else(ApiError::no_route)?;
    if path.namespace.is_some() && !resource.namespaced {
        return Err(ApiError::no_route());
    }
    if resource.namespaced && path.namespace.is_none() && path.name.is_some() {
        return Err(ApiError::no_route());
    }
    let semaphore = match asked.info.verb {
        Verb::Watch => &asked.app.long_running,
        _ if pods::is_stream(resource, path) => &asked.app.long_running,
        Verb::Get | Verb::List => &asked.app.reads,
        _ => &asked.app.writes,
    };
    let permit =
        Semaphore::try_acquire_owned(semaphore.clone()).map_err(|_| ApiError::too_many_requests())?;
    if let (Some(subresource), Some(name)) = (&path.subresource, &path.name) {
        if !discovery::served_subresources(resource).any(|served| served == subresource) {
            return Err(ApiError::no_route());
        }
        return subresource_of(asked, resource, path, name, subresource).await;
    }
    if !resource.verbs.contains(&asked.info.verb.as_str()) {
        return Err(ApiError::method_not_allowed(""));
    }
    let name = path.name.as_deref().unwrap_or_default();
    let target = Target { resource, namespace: path.namespace.as_deref(), name };
    match asked.info.verb {
        Verb::Get => get(&asked, target).await,
        Verb::List => list(&asked, resource, path).await,
        Verb::Watch => {
            let view = asked.view()?;
            let options = ListOptions::parse(&asked.info.query, true)?;
            let selection = Selection::parse(resource, &asked.info.query)?;
            let interest = lists::interest(resource, path.namespace.as_deref(), selection)?;
            let body = watching::start(&asked.app, resource, view, interest, &options, permit).await?;
            let mut response = answer::json(StatusCode::OK, Bytes::new());
            *response.body_mut() = body;
            Ok(response)
        }
        Verb::Create => create(asked, resource, path).await,
        Verb::Update => update(asked, target, Part::Main).await,
        Verb::Patch => patch(asked, target, Part::Main).await,
        Verb::Delete => delete(asked, target).await,
        Verb::DeleteCollection => delete_collection(asked, resource, path).await,
    }
}

impl Asked {
    pub fn view(&self) -> Result<View, ApiError> {
        View::negotiate(header(self.request.headers(), ACCEPT.as_str()), &self.info.query)
    }

    fn object(&self, resource: &Resource, status: StatusCode, stored: &Stored) -> Answer {
        Ok(answer::json(status, render::object(resource, self.view()?, stored, Timestamp::now())))
    }
}

async fn get(asked: &Asked, target: Target<'_>) -> Answer {
    let version = match asked.info.query.get("resourceVersion").unwrap_or("") {
        "" => VersionMatch::Newest,
        "0" => VersionMatch::Any,
        text => VersionMatch::NotOlderThan(text.parse().map_err(|_| {
            ApiError::bad_request(format!("resourceVersion: Invalid value: {text:?}: must be an integer"))
        })?),
    };
    let stored = asked.app.get_at(target, version).await?;
    asked.object(target.resource, StatusCode::OK, &stored)
}

async fn list(asked: &Asked, resource: &'static Resource, path: &ResourcePath) -> Answer {
    let view = asked.view()?;
    let options = ListOptions::parse(&asked.info.query, false)?;
    let selection = Selection::parse(resource, &asked.info.query)?;
    let interest = lists::interest(resource, path.namespace.as_deref(), selection)?;
    let (items, meta) = asked.app.list(resource, &interest, &options).await?;
    let items = items.iter().map(|s| s.as_ref());
    Ok(answer::json(StatusCode::OK, render::list(resource, view, &meta, items, Timestamp::now())))
}

async fn create(asked: Asked, resource: &'static Resource, path: &ResourcePath) -> Answer {
    if path.name.is_some() || (resource.namespaced && path.namespace.is_none()) {
        return Err(ApiError::method_not_allowed(""));
    }
    let view = asked.view()?;
    let options = WriteOptions::parse(&asked.info.query)?;
    let object = body(asked.request).await?;
    let mut warnings = Vec::new();
    let namespace = path.namespace.as_deref();
    let stored = asked.app.create(resource, namespace, object, options, &mut warnings).await?;
    let json = render::object(resource, view, &stored, Timestamp::now());
    let mut response = answer::json(StatusCode::CREATED, json);
    answer::warn(&mut response, &warnings);
    Ok(response)
}

async fn update(asked: Asked, target: Target<'_>, part: Part) -> Answer {
    let view = asked.view()?;
    let options = WriteOptions::parse(&asked.info.query)?;
    let object = body(asked.request).await?;
    let mut warnings = Vec::new();
    let context = write_context(target);
    let decoded = asked.app.decode(&context, object.clone(), options, &mut warnings)?;
    let result = asked.app.update(target, part, options.dry_run, |_| Ok(decoded.clone())).await;
    let (status, stored) = match result {
        Err(error)
            if error.reason == Reason::NotFound
                && part == Part::Main
                && write::allows_create_on_update(target.resource)
                && crate::heart::meta::resource_version(&object).is_empty() =>
        {
            let created = asked.app.create(target.resource, target.namespace, object, options, &mut warnings);
            (StatusCode::CREATED, created.await?)
        }
        result => (StatusCode::OK, result?.stored().clone()),
    };
    let json = render::object(target.resource, view, &stored, Timestamp::now());
    let mut response = answer::json(status, json);
    answer::warn(&mut response, &warnings);
    Ok(response)
}

fn write_context<'a>(target: Target<'a>) -> write::Context<'a> {
    write::Context {
        resource: target.resource,
        namespace: target.namespace,
        name: Some(target.name),
        now: Timestamp::now(),
        uid: "",
        suffix: "",
    }
}

async fn patch(asked: Asked, target: Target<'_>, part: Part) -> Answer {
    use crate::heart::{convert, patches, patches::PatchType};
    let view = asked.view()?;
    let options = WriteOptions::parse(&asked.info.query)?;
    let kind = PatchType::parse(header(asked.request.headers(), CONTENT_TYPE.as_str()))?;
    let bytes = read_body(asked.request).await?;
    if kind == PatchType::Apply {
        return Err(patches::apply_is_not_served());
    }
    let patch = parse_json(&bytes)?;
    let mut warnings = Vec::new();
    let context = write_context(target);
    let outcome = asked
        .app
        .update(target, part, options.dry_run, |old| {
            let shown = convert::from_storage(target.resource, old.clone());
            let patched = patches::apply(target.resource, kind, &shown, &patch)?;
            warnings.clear();
            asked.app.decode(&context, patched, options, &mut warnings)
        })
        .await?;
    let json = render::object(target.resource, view, outcome.stored(), Timestamp::now());
    let mut response = answer::json(StatusCode::OK, json);
    answer::warn(&mut response, &warnings);
    Ok(response)
}

async fn delete(asked: Asked, target: Target<'_>) -> Answer {
    let options = DeleteOptions::parse(&optional_body(asked.request).await?, &asked.info.query)?;
    let outcome = asked.app.delete(target, &options).await?;
    Ok(answer::json(StatusCode::OK, asked.app.delete_answer(target, &outcome)))
}

async fn delete_collection(asked: Asked, resource: &'static Resource, path: &ResourcePath) -> Answer {
    let options = DeleteOptions::parse(&optional_body(asked.request).await?, &asked.info.query)?;
    let list = ListOptions::parse(&asked.info.query, false)?;
    let selection = Selection::parse(resource, &asked.info.query)?;
    let interest = lists::interest(resource, path.namespace.as_deref(), selection)?;
    let (items, meta) = asked.app.list(resource, &interest, &list).await?;
    for item in &items {
        let Some((namespace, name)) = crate::heart::keys::split_key(resource, &item.key) else { continue };
        let target = Target { resource, namespace, name };
        match asked.app.delete(target, &options).await {
            Err(error) if error.reason == Reason::NotFound => {}
            other => drop(other?),
        }
    }
    let items = items.iter().map(|s| s.as_ref());
    Ok(answer::json(StatusCode::OK, render::list(resource, View::Object, &meta, items, Timestamp::now())))
}

async fn subresource_of(
    asked: Asked,
    resource: &'static Resource,
    path: &ResourcePath,
    name: &str,
    subresource: &str,
) -> Answer {
    let target = Target { resource, namespace: path.namespace.as_deref(), name };
    match (subresource, asked.info.verb) {
        ("status", Verb::Get) => get(&asked, target).await,
        ("status", Verb::Update) => update(asked, target, Part::Status).await,
        ("status", Verb::Patch) => patch(asked, target, Part::Status).await,
        ("finalize", Verb::Update) => update(asked, target, Part::Finalize).await,
        ("scale", _) => scale(asked, target).await,
        ("binding", Verb::Create) => pods::bind(asked, path, Some(name)).await,
        ("eviction", Verb::Create) => pods::evict(asked, target).await,
        ("log", Verb::Get) | ("exec" | "attach" | "portforward", _) => {
            pods::stream(asked, target, subresource).await
        }
        _ => Err(ApiError::method_not_allowed("")),
    }
}

async fn scale(asked: Asked, target: Target<'_>) -> Answer {
    use crate::heart::{patches, patches::PatchType, subresources};
    let scale_kind = Resource { group: "autoscaling", version: "v1", kind: "Scale", ..*target.resource };
    let stored = match asked.info.verb {
        Verb::Get => asked.app.get(target).await?,
        Verb::Update => {
            let scale = body(asked.request).await?;
            let dry_run = WriteOptions::parse(&asked.info.query)?.dry_run;
            let make = |old: &Value| subresources::apply_scale(target.resource, old, &scale);
            asked.app.update(target, Part::Main, dry_run, make).await?.stored().clone()
        }
        Verb::Patch => {
            let kind = PatchType::parse(header(asked.request.headers(), CONTENT_TYPE.as_str()))?;
            let dry_run = WriteOptions::parse(&asked.info.query)?.dry_run;
            let patch = parse_json(&read_body(asked.request).await?)?;
            let make = |old: &Value| {
                let scale = patches::apply(&scale_kind, kind, &subresources::scale_of(old), &patch)?;
                subresources::apply_scale(target.resource, old, &scale)
            };
            asked.app.update(target, Part::Main, dry_run, make).await?.stored().clone()
        }
        _ => return Err(ApiError::method_not_allowed("")),
    };
    Ok(answer::value(StatusCode::OK, &subresources::scale_of(&stored.value())))
}

/// A body in any of the forms that are read.
pub async fn body(request: Request<Incoming>) -> Result<Value, ApiError> {
    let content_type = header(request.headers(), CONTENT_TYPE.as_str()).to_string();
    let bytes = read_body(request).await?;
    match content_type.split(';').next().unwrap_or_default().trim() {
        "" | "application/json" | "text/plain" | "*/*" => parse_json(&bytes),
        "application/yaml" | "application/x-yaml" => parse_yaml(&bytes),
        protobuf::CONTENT_TYPE => protobuf::decode(&bytes),
        other => Err(ApiError::unsupported_media_type(format!(
            "the body of the request was in an unknown format ({other}) - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        ))),
    }
}

/// A body that may be missing: `null` then.
pub async fn optional_body(request: Request<Incoming>) -> Result<Value, ApiError> {
    if hyper::body::Body::is_end_stream(request.body()) {
        return Ok(Value::Null);
    }
    let content_type = header(request.headers(), CONTENT_TYPE.as_str()).to_string();
    if content_type.contains("protobuf") {
        return body(request).await;
    }
    let bytes = read_body(request).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) { Ok(Value::Null) } else { parse_json(&bytes) }
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, ApiError> {
    let collected = Limited::new(request.into_body(), MAX_BODY).collect().await;
    collected.map(|body| body.to_bytes()).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            let message = format!("Request entity too large: limit is {MAX_BODY}");
            return ApiError::new(Reason::RequestEntityTooLarge, message);
        }
        ApiError::bad_request(format!("the body of the request could not be read: {error}"))
    })
}

fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("the body of the request is not valid JSON: {error}")))
}

fn parse_yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_yaml::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("the body of the request is not valid YAML: {error}")))
}
