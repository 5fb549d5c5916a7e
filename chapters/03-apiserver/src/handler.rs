//! One request from its first line to its answer: who asks, what for, may they, then the verb.

use crate::answer::{self, Body};
use crate::app::App;
use crate::body::Upload;
use crate::delivery::Delivery;
use crate::heart::access::{self, User};
use crate::heart::admission::{Attributes, Operation};
use crate::heart::discovery;
use crate::heart::kind::Kind;
use crate::heart::managed::options as ownership;
use crate::heart::patches::PatchType;
use crate::heart::query::WriteOptions;
use crate::heart::render::View;
use crate::heart::request::{RequestInfo, ResourcePath, Route, Verb};
use crate::heart::status::ApiError;
use crate::heart::write::Part;
use crate::tls::Caller;
use crate::writing::{Target, Writing};
use crate::{aggregation, connect, identity, plain, pods, subresources, verbs};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use objects::resources::{self, Resource};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub type Answer = Result<Response<Body>, ApiError>;

/// A request whose line was understood.
pub struct Asked {
    pub app: Arc<App>,
    pub user: User,
    pub info: RequestInfo,
    pub request: Request<Upload>,
}

/// Answer a request. Never fails: what goes wrong is an answer too.
pub async fn serve(app: Arc<App>, caller: Caller, request: Request<Incoming>) -> Response<Body> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let started = std::time::Instant::now();
    let name = caller.user.name.clone();
    let delivery = Delivery::of(&request);
    let response = match respond(app, caller, request.map(Upload::new)).await {
        Ok(response) => response,
        Err(error) if error == ApiError::no_route() && !discovery::is_own(uri.path()) => answer::nowhere(),
        Err(error) => answer::error(&error),
    };
    let response = delivery.send(response).await;
    tracing::debug!(%method, %uri, user = name, status = response.status().as_u16(), took = ?started.elapsed());
    response
}

async fn respond(app: Arc<App>, caller: Caller, request: Request<Upload>) -> Answer {
    let user = identity::who(&app, caller, request.headers()).await?;
    let line = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let info = RequestInfo::parse(request.method().as_str(), line)?;
    access::authorize(&user, &info).map_err(|error| match user.is_anonymous() && !app.knows_clients() {
        true => ApiError::unauthorized(),
        false => error,
    })?;
    let asked = Asked { app, user, info, request };
    if let Some(backend) = aggregation::backend_of(&asked.app, asked.request.uri().path()) {
        return aggregation::forward(asked, backend).await;
    }
    match asked.info.route.clone() {
        Route::Plain(path) => plain::answer(&asked, &path).await,
        Route::Resource(path) => resource(asked, &path).await,
    }
}

pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// The kind of a path, if it is one that is never stored.
fn unstored(path: &ResourcePath) -> Option<&'static Resource> {
    let wanted = (path.group.as_str(), path.version.as_str(), path.resource.as_str());
    resources::unstored().iter().find(|r| (r.group, r.version, r.plural) == wanted)
}

/// A request about objects.
async fn resource(asked: Asked, path: &ResourcePath) -> Answer {
    if let Some(resource) = unstored(path) {
        return match (resource.kind, asked.info.verb) {
            ("Binding", Verb::Create) => pods::bind(asked, path, None).await,
            ("ComponentStatus", Verb::Get | Verb::List) => {
                plain::component_statuses(&asked, path, resource).await
            }
            ("Binding" | "ComponentStatus", _) => Err(ApiError::method_not_allowed("")),
            (_, Verb::Create) => identity::review(asked, resource, path).await,
            _ => Err(ApiError::method_not_allowed("")),
        };
    }
    let kind = asked.app.kind_at(path).await?;
    // Upstream has a route for each method of a built-in kind, and none for this one but to a proxy.
    let to_proxy = path.subresource.as_deref() == Some("proxy");
    if asked.request.method() == Method::HEAD && kind.custom.is_none() && !to_proxy {
        return Err(ApiError::method_not_allowed(""));
    }
    let warning = kind.custom.as_ref().and_then(|custom| custom.version().warning.clone());
    let mut response = about(asked, path, kind).await?;
    answer::warn(&mut response, warning.as_slice());
    Ok(response)
}

async fn about(asked: Asked, path: &ResourcePath, kind: Kind) -> Answer {
    let namespaced = kind.resource.namespaced;
    if path.namespace.is_some() && !namespaced {
        return Err(ApiError::no_route());
    }
    if namespaced && path.namespace.is_none() && path.name.is_some() {
        return Err(ApiError::no_route());
    }
    let permit = asked.permit(path)?;
    if let (Some(subresource), Some(name)) = (&path.subresource, &path.name) {
        if !kind.resource.subresources.contains(&subresource.as_str()) {
            return Err(match kind.custom {
                None => ApiError::no_route(),
                Some(_) => ApiError::not_found(kind.resource, name),
            });
        }
        let target = Target { kind: &kind, namespace: path.namespace.as_deref(), name };
        return subresources::answer(asked, path, target, subresource).await;
    }
    if !kind.resource.verbs.contains(&asked.info.verb.as_str()) {
        return Err(ApiError::method_not_allowed(""));
    }
    let name = path.name.as_deref().unwrap_or_default();
    if name.is_empty() && matches!(asked.info.verb, Verb::Update | Verb::Patch) {
        // A collection is not replaced.
        return Err(match kind.custom {
            None => ApiError::method_not_allowed(""),
            Some(_) => ApiError::bad_request("name must be provided"),
        });
    }
    let target = Target { kind: &kind, namespace: path.namespace.as_deref(), name };
    match asked.info.verb {
        Verb::Get => verbs::get(&asked, target).await,
        Verb::List => verbs::list(&asked, target).await,
        Verb::Watch => verbs::watch(&asked, target, permit).await,
        Verb::Create => verbs::create(asked, target).await,
        Verb::Update => verbs::update(asked, target, Part::Main).await,
        Verb::Patch => verbs::patch(asked, target, Part::Main).await,
        Verb::Delete => verbs::delete(asked, target).await,
        Verb::DeleteCollection => verbs::delete_collection(asked, target).await,
    }
}

impl App {
    /// The kind of a path. One that is not known may be defined a moment ago: whoever read that
    /// its definition is established finds it, even before the news came here by itself.
    async fn kind_at(&self, path: &ResourcePath) -> Result<Kind, ApiError> {
        let find = || self.catalog().by_plural(&path.group, &path.version, &path.resource);
        if let Some(kind) = find() {
            return Ok(kind);
        }
        if path.group.contains('.') {
            self.caches.wait_for(self.store.revision().await?).await?;
        }
        find().ok_or_else(ApiError::no_route)
    }
}

impl Asked {
    /// A place among the requests that run at once.
    fn permit(&self, path: &ResourcePath) -> Result<OwnedSemaphorePermit, ApiError> {
        let semaphore = match self.info.verb {
            Verb::Watch => &self.app.long_running,
            _ if connect::lasts(path) => &self.app.long_running,
            Verb::Get | Verb::List => &self.app.reads,
            _ => &self.app.writes,
        };
        Semaphore::try_acquire_owned(semaphore.clone()).map_err(|_| ApiError::too_many_requests())
    }

    pub fn view(&self) -> Result<View, ApiError> {
        View::negotiate(header(self.request.headers(), ACCEPT.as_str()), &self.info.query)
    }

    /// What this request is about to write.
    pub fn writing(
        &self,
        operation: Operation,
        target: Target<'_>,
        subresource: &str,
    ) -> Result<Writing, ApiError> {
        let manager = self.info.query.get("fieldManager").unwrap_or("");
        let shown = match operation {
            Operation::Create => "CreateOptions",
            Operation::Update if self.info.verb == Verb::Patch => "PatchOptions",
            Operation::Update => "UpdateOptions",
            Operation::Delete => "DeleteOptions",
            Operation::Connect => "",
        };
        let options = match operation {
            // A delete's own are in its body, and were read before.
            Operation::Delete => WriteOptions::default(),
            _ => WriteOptions::parse(shown, &self.info.query)?,
        };
        let content_type = header(self.request.headers(), CONTENT_TYPE.as_str());
        let applies = self.info.verb == Verb::Patch && PatchType::parse(content_type) == Ok(PatchType::Apply);
        let force = ownership::check(&self.info.query, shown, applies)?;
        let mut described = json!({ "kind": shown, "apiVersion": "meta.k8s.io/v1" });
        if options.dry_run {
            described["dryRun"] = json!(["All"]);
        }
        for key in ["fieldManager", "fieldValidation"] {
            if let Some(value) = self.info.query.get(key).filter(|value| !value.is_empty()) {
                described[key] = json!(value);
            }
        }
        let attributes = Attributes {
            user: self.user.clone(),
            operation,
            kind: target.kind.clone(),
            namespace: target.namespace.map(str::to_string),
            name: target.name.to_string(),
            subresource: subresource.to_string(),
            dry_run: options.dry_run,
            options: if shown.is_empty() { Value::Null } else { described },
        };
        let manager = match manager {
            "" => ownership::manager_of(header(self.request.headers(), USER_AGENT.as_str())),
            named => named.to_string(),
        };
        Ok(Writing { attributes, manager, applies, force, fields: options.field_validation })
    }
}
