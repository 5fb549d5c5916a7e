//! From a method and a URL to what is asked: the first thing that happens to every request
//! (upstream: `apiserver/pkg/endpoints/request/requestinfo.go`).

use crate::query::Query;
use crate::status::ApiError;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }

    /// The HTTP method that asks for this verb.
    pub fn method(self) -> &'static str {
        match self {
            Verb::Get | Verb::List | Verb::Watch => "GET",
            Verb::Create => "POST",
            Verb::Update => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete | Verb::DeleteCollection => "DELETE",
        }
    }
}

/// `/apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE/TAIL`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcePath {
    /// Empty for the core group, which lives under `/api`.
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub resource: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
    /// What follows the subresource (`/proxy/some/path`).
    pub tail: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Health, version, discovery, OpenAPI: a path with no resource behind it.
    Plain(String),
    Resource(ResourcePath),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestInfo {
    pub verb: Verb,
    pub route: Route,
    pub query: Query,
}

impl RequestInfo {
    /// Read a request line. `path_and_query` is as sent, percent-encoded.
    pub fn parse(method: &str, path_and_query: &str) -> Result<RequestInfo, ApiError> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let query = Query::parse(query);
        // The old form of a watch, /api/v1/watch/pods, means ?watch=true; it may name one object.
        let plain = strip_watch_prefix(path).filter(|_| matches!(method, "GET" | "HEAD"));
        let route = parse_path(plain.as_deref().unwrap_or(path))?;
        let named = matches!(&route, Route::Resource(path) if path.name.is_some());
        let watch = query.flag("watch") && matches!(route, Route::Resource(_));
        let verb = match method {
            _ if plain.is_some() => Verb::Watch,
            _ => verb_of(method, named, watch)?,
        };
        Ok(RequestInfo { verb, route, query })
    }
}

/// Which verb a method asks for; a collection and a named object answer differently.
fn verb_of(method: &str, named: bool, watch: bool) -> Result<Verb, ApiError> {
    let _ = (&method, &named, &watch);
    todo!("lab 03.1: the method, a name or none, and whether it is a watch make the verb")
}

/// Take a path apart. Trailing slashes are forgiven; a bad escape is a bad request.
fn parse_path(path: &str) -> Result<Route, ApiError> {
    let mut parts = Vec::new();
    for part in path.trim_matches('/').split('/') {
        parts.push(
            Query::decode_segment(part).ok_or_else(|| ApiError::bad_request("invalid URL escape in path"))?,
        );
    }
    let (group, rest) = match parts.first().map(String::as_str) {
        Some("api") => (String::new(), parts.get(1..)),
        Some("apis") => (parts.get(1).cloned().unwrap_or_default(), parts.get(2..)),
        _ => return Ok(Route::Plain(path.to_string())),
    };
    let rest = rest.unwrap_or_default();
    match rest {
        [] | [_] => Ok(Route::Plain(path.to_string())),
        [version, rest @ ..] => Ok(Route::Resource(resource_path(group, version.clone(), rest))),
    }
}

/// The part after the version: `[namespaces NS] RESOURCE [NAME [SUBRESOURCE [TAIL…]]]`.
/// `rest` has at least one segment. An empty segment stands for nothing.
///
/// A namespace is an object too, with subresources of its own: `namespaces/dev/status` and
/// `namespaces/dev/finalize` are about it, and not about something in it.
fn resource_path(group: String, version: String, rest: &[String]) -> ResourcePath {
    let _ = (&group, &version, &rest);
    todo!("lab 03.1: find out whether a namespace is the scope or the object, then read the rest by position")
}

/// `/api/v1/watch/pods` without its `watch`.
fn strip_watch_prefix(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let at = match parts.first() {
        Some(&"api") => 2,
        Some(&"apis") => 3,
        _ => return None,
    };
    let found = parts.get(at) == Some(&"watch") && parts.len() > at + 1;
    found.then(|| {
        let kept: Vec<&str> = parts.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, p)| *p).collect();
        format!("/{}", kept.join("/"))
    })
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => write!(f, "/api/{}", Query::encode(&self.version))?,
            group => write!(f, "/apis/{}/{}", Query::encode(group), Query::encode(&self.version))?,
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "/namespaces/{}", Query::encode(namespace))?;
        }
        write!(f, "/{}", Query::encode(&self.resource))?;
        for part in [&self.name, &self.subresource].into_iter().flatten() {
            write!(f, "/{}", Query::encode(part))?;
        }
        if let Some(tail) = &self.tail {
            let parts: Vec<String> = tail.split('/').map(Query::encode).collect();
            write!(f, "/{}", parts.join("/"))?;
        }
        Ok(())
    }
}
