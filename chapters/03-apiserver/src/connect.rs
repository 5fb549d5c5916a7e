//! Requests that are answered by others: logs and streams of pods, and `/proxy/`. The core says
//! where they go.

use crate::answer;
use crate::app;
use crate::handler::{Answer, Asked};
use crate::heart::connect::{self, Address, Place};
use crate::heart::kind::Kind;
use crate::heart::logs::LogOptions;
use crate::heart::meta;
use crate::heart::request::{ResourcePath, Verb};
use crate::heart::status::{ApiError, Reason};
use crate::proxy::{self, Purpose};
use crate::writing::Target;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

/// Requests that last.
pub fn lasts(path: &ResourcePath) -> bool {
    path.group.is_empty()
        && matches!(path.subresource.as_deref(), Some("log" | "exec" | "attach" | "portforward" | "proxy"))
}

/// A container's log, from the kubelet of its pod's node.
pub async fn log(asked: Asked, target: Target<'_>) -> Answer {
    if asked.info.verb != Verb::Get {
        return Err(ApiError::method_not_allowed(""));
    }
    let options = LogOptions::parse(&asked.info.query)?;
    options.validate(target.kind.resource, target.name)?;
    let pod = asked.app.get(target).await?.value();
    let container = connect::container(&pod, asked.info.query.get("container"))?;
    if meta::text(&pod, &["spec", "nodeName"]).is_empty() {
        let mut nothing = Response::new(answer::full(Bytes::new()));
        *nothing.status_mut() = StatusCode::NO_CONTENT;
        return Ok(nothing);
    }
    let place = kubelet_of(&asked, target.kind, &pod).await?;
    let (namespace, name) = (target.namespace.unwrap_or_default(), target.name);
    let path = format!("/containerLogs/{namespace}/{name}/{container}?{}", options.to_query());
    proxy::pass_on(asked, place, &path, Purpose::Log).await
}

/// An exec, an attach or a port-forward.
pub async fn stream(asked: Asked, target: Target<'_>, what: &str) -> Answer {
    if !matches!(asked.info.verb, Verb::Get | Verb::Create) {
        return Err(ApiError::method_not_allowed(""));
    }
    let pod = asked.app.get(target).await?.value();
    asked.admit_connect(target, what).await?;
    let query = &asked.info.query;
    let (namespace, name) = (target.namespace.unwrap_or_default(), target.name);
    let path = match what {
        "portforward" => format!("/portForward/{namespace}/{name}?{}", connect::ports_query(query)?),
        _ => {
            let container = connect::container(&pod, query.get("container"))?;
            format!("/{what}/{namespace}/{name}/{container}?{}", connect::command_query(query))
        }
    };
    let place = kubelet_of(&asked, target.kind, &pod).await?;
    proxy::pass_on(asked, place, &path, Purpose::Stream).await
}

/// `/proxy/...` of a pod, a service or a node.
pub async fn pass(asked: Asked, target: Target<'_>) -> Answer {
    let uri = asked.request.uri().clone();
    let (prefix, rest) = connect::split_at_proxy(uri.path(), target.kind.resource.namespaced);
    let id = target.name;
    let what = target.kind.resource.singular;
    let address = Address::parse(what, id)?;
    let target = Target { name: address.name, ..target };
    asked.admit_connect(target, "proxy").await?;
    let place = match what {
        "pod" => connect::pod_place(&asked.app.get(target).await?.value(), &address)?,
        "node" => connect::node_place(&asked.app.get(target).await?.value(), &address)?,
        _ => {
            let by_number = address.port.parse::<u64>().is_ok();
            let service = if by_number { asked.app.get(target).await?.value() } else { Value::Null };
            let port = connect::port_name(&service, &address)?;
            let kind = Kind::named("", "v1", "Endpoints").ok_or_else(ApiError::no_route)?;
            let endpoints = behind(&asked, target.kind, Target { kind: &kind, ..target }).await?;
            connect::service_place(&endpoints, id, &address, &port, app::random_u64())?
        }
    };
    if rest.is_empty()
        && let Some(there) = proxy::to_directory(&asked.request)
    {
        return Ok(there);
    }
    let slash = if rest.is_empty() { "/" } else { rest };
    let path = match uri.query() {
        Some(query) => format!("{slash}?{query}"),
        None => slash.to_string(),
    };
    proxy::pass_on(asked, place, &path, Purpose::Proxy { prefix: prefix.to_string() }).await
}

async fn kubelet_of(asked: &Asked, pods: &Kind, pod: &Value) -> Result<Place, ApiError> {
    let kind = Kind::named("", "v1", "Node").ok_or_else(ApiError::no_route)?;
    let node = Target { kind: &kind, namespace: None, name: connect::node_of(pod)? };
    connect::kubelet(&behind(asked, pods, node).await?)
}

/// What is needed for a request about something else. If there is none, upstream says so in the words
/// of what was asked for, under the name of what is missing.
async fn behind(asked: &Asked, about: &Kind, target: Target<'_>) -> Result<Value, ApiError> {
    match asked.app.get(target).await {
        Err(error) if error.reason == Reason::NotFound => Err(about.not_found(target.name)),
        found => Ok(found?.value()),
    }
}
