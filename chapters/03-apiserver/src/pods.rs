//! What only pods have: they are bound, evicted, and talked to through their kubelet.

use crate::answer;
use crate::handler::{self, Answer, Asked};
use crate::heart::delete::DeleteOptions;
use crate::heart::meta;
use crate::heart::request::{ResourcePath, Verb};
use crate::heart::status::ApiError;
use crate::heart::subresources;
use crate::proxy;
use crate::registry::{Change, Target};
use http::StatusCode;
use jiff::Timestamp;
use objects::resources::{self, Resource};
use serde_json::json;

/// Requests that last.
pub fn is_stream(resource: &Resource, path: &ResourcePath) -> bool {
    (resource.group, resource.kind) == ("", "Pod")
        && matches!(path.subresource.as_deref(), Some("log" | "exec" | "attach" | "portforward"))
}

fn success() -> Answer {
    let status =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(answer::value(StatusCode::CREATED, &status))
}

/// `POST pods/NAME/binding`, or `POST bindings` with the pod's name in the body.
pub async fn bind(asked: Asked, path: &ResourcePath, name: Option<&str>) -> Answer {
    let resource = resources::by_kind("", "v1", "Pod").ok_or_else(ApiError::no_route)?;
    let dry_run = asked.info.query.all("dryRun").any(|v| v == "All");
    let binding = handler::body(asked.request).await?;
    let name = name.unwrap_or_else(|| meta::name(&binding)).to_string();
    let target = Target { resource, namespace: path.namespace.as_deref(), name: &name };
    let now = Timestamp::now();
    asked
        .app
        .change(target, dry_run, |pod, _| {
            let mut bound = subresources::bind(resource, pod, &binding, now)?;
            meta::map_at(&mut bound, "metadata").shift_remove("resourceVersion");
            Ok(Change::Put(bound))
        })
        .await?;
    success()
}

/// An eviction is a polite delete. Disruption budgets, which may refuse one, come later.
pub async fn evict(asked: Asked, target: Target<'_>) -> Answer {
    let query = asked.info.query.clone();
    let eviction = handler::optional_body(asked.request).await?;
    let options = DeleteOptions::parse(&eviction["deleteOptions"], &query)?;
    asked.app.delete(target, &options).await?;
    success()
}

/// Pass a log, an exec, an attach or a port-forward on to the kubelet of the pod's node.
pub async fn stream(asked: Asked, target: Target<'_>, what: &str) -> Answer {
    if !matches!(asked.info.verb, Verb::Get | Verb::Create) {
        return Err(ApiError::method_not_allowed(""));
    }
    let pod = asked.app.get(target).await?.value();
    let query = &asked.info.query;
    let container = container_of(&pod, target, query.get("container"), what)?;
    let node = meta::text(&pod, &["spec", "nodeName"]);
    if node.is_empty() {
        return Err(ApiError::bad_request(format!("pod {} does not have a host assigned", target.name)));
    }
    let place = asked.app.kubelet_of(node).await?;
    let namespace = target.namespace.unwrap_or_default();
    let path = match what {
        "log" => format!("/containerLogs/{namespace}/{}/{container}", target.name),
        "portforward" => format!("/portForward/{namespace}/{}", target.name),
        _ => format!("/{what}/{namespace}/{}/{container}", target.name),
    };
    let path = match asked.request.uri().query() {
        Some(query) => format!("{path}?{}", kubelet_query(query, what)),
        None => path,
    };
    proxy::forward(&asked.app, asked.request, place, &path).await
}

/// The kubelet calls some parameters otherwise: `stdin` is `input`, `stdout` is `output`.
fn kubelet_query(query: &str, what: &str) -> String {
    if what == "log" || what == "portforward" {
        return query.to_string();
    }
    let rename = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = if value == "true" { "1" } else { value };
        match key {
            "stdin" => format!("input={value}"),
            "stdout" => format!("output={value}"),
            "stderr" => format!("error={value}"),
            "tty" => format!("tty={value}"),
            _ => pair.to_string(),
        }
    };
    query.split('&').map(rename).collect::<Vec<_>>().join("&")
}

/// The container that is meant: the one that is named, or the only one.
fn container_of(
    pod: &serde_json::Value,
    target: Target<'_>,
    asked: Option<&str>,
    what: &str,
) -> Result<String, ApiError> {
    let names = |list: &str| {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|c| c["name"].as_str().map(str::to_string)).collect::<Vec<_>>()
    };
    let (main, init) = (names("containers"), names("initContainers"));
    let all: Vec<String> = [main.clone(), init.clone(), names("ephemeralContainers")].concat();
    match asked.filter(|name| !name.is_empty()) {
        Some(name) if all.iter().any(|n| n == name) => Ok(name.to_string()),
        Some(name) => {
            Err(ApiError::bad_request(format!("container {name} is not valid for pod {}", target.name)))
        }
        None if what == "portforward" => Ok(String::new()),
        None => match main.as_slice() {
            [only] => Ok(only.clone()),
            _ => {
                let init = if init.is_empty() {
                    String::new()
                } else {
                    format!(" or one of the init containers: [{}]", init.join(" "))
                };
                Err(ApiError::bad_request(format!(
                    "a container name must be specified for pod {}, choose one of: [{}]{init}",
                    target.name,
                    main.join(" ")
                )))
            }
        },
    }
}
