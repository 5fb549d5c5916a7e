//! Answers that no object stands behind: health, version, discovery and OpenAPI.

use crate::answer::{self, Body, JSON};
use crate::app::App;
use crate::handler::{Answer, Asked, header};
use crate::health;
use crate::heart::documents::{Document, Documents};
use crate::heart::render;
use crate::heart::request::ResourcePath;
use crate::heart::status::{ApiError, Reason};
use crate::heart::{discovery, openapi};
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, VARY};
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::{Value, json};

pub async fn answer(asked: &Asked, path: &str) -> Answer {
    let app = &asked.app;
    let headers = asked.request.headers();
    let accept = header(headers, ACCEPT.as_str());
    let trimmed = path.trim_end_matches('/');
    let value = match trimmed {
        "" => json!({ "paths": paths(app) }),
        "/version" => discovery::version(),
        "/openid/v1/jwks" => app.tokens.signer.jwks(),
        "/.well-known/openid-configuration" => openid(&app.tokens.issuer.name),
        "/openapi/v2" if accept.contains("spec.v2") => {
            let made = made(app, |documents| documents.v2_protobuf().clone()).await?;
            return Ok(document(headers, openapi::V2_PROTOBUF, &made));
        }
        "/openapi/v2" => {
            return Ok(document(headers, JSON, &made(app, |documents| documents.v2_json().clone()).await?));
        }
        "/openapi/v3" => {
            return Ok(document(headers, JSON, &made(app, |documents| documents.v3_index().clone()).await?));
        }
        "/api" | "/apis" if let Some((form, media)) = discovery::negotiate(accept) => {
            return Ok(document(headers, media, app.documents().discovery(trimmed == "/api", form)));
        }
        other => {
            if let Some(group_version) = other.strip_prefix("/openapi/v3/") {
                let group_version = group_version.to_owned();
                let found = made(app, move |documents| documents.v3(&group_version).cloned()).await?;
                return v3(asked, other, &found.ok_or_else(ApiError::no_route)?);
            }
            if let Some(health) = health::answer(app, other, &asked.info.query) {
                return Ok(health);
            }
            discovery::legacy(&app.catalog(), other, &app.address).ok_or_else(ApiError::no_route)??
        }
    };
    Ok(answer::value(StatusCode::OK, &value))
}

/// A document that may have to be made first, which takes longer than others should wait.
async fn made<T: Send + 'static>(
    app: &App,
    find: impl FnOnce(&Documents) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let documents = app.documents();
    let made = tokio::task::spawn_blocking(move || find(&documents)).await;
    made.map_err(|error| ApiError::internal(format!("a document was not made: {error}")))
}

/// A document, or that the client's copy of it is good.
fn document(headers: &HeaderMap, media: &'static str, document: &Document) -> Response<Body> {
    let tag = format!("\"{}\"", document.tag);
    let known = header(headers, IF_NONE_MATCH.as_str()).split(',').map(str::trim);
    let fresh = known.into_iter().any(|known| known == tag || known == "*");
    let mut response = match fresh {
        true => answer::bytes(StatusCode::NOT_MODIFIED, media, ""),
        false => answer::bytes(StatusCode::OK, media, document.body.clone()),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

/// A group version's document. Under the address with its hash it never changes; an address with
/// another hash is an old one.
fn v3(asked: &Asked, path: &str, found: &Document) -> Answer {
    let headers = asked.request.headers();
    let accept = header(headers, ACCEPT.as_str());
    let readable = |media: &str| ["application/json", "application/*", "*/*", ""].contains(&media);
    if !accept.split(',').any(|offer| readable(offer.split(';').next().unwrap_or_default().trim())) {
        let message = "only the following media types are accepted: application/json";
        return Err(ApiError::new(Reason::NotAcceptable, message));
    }
    let mut response = match asked.info.query.get("hash") {
        Some(hash) if hash != found.tag => {
            let mut moved = answer::bytes(StatusCode::MOVED_PERMANENTLY, JSON, "");
            let place = HeaderValue::from_str(&format!("{path}?hash={}", found.tag));
            moved.headers_mut().insert(LOCATION, place.map_err(|_| ApiError::no_route())?);
            return Ok(moved);
        }
        _ => document(headers, JSON, found),
    };
    if asked.info.query.get("hash").is_some() {
        let forever = HeaderValue::from_static("public, immutable, max-age=31536000");
        response.headers_mut().insert(CACHE_CONTROL, forever);
    }
    Ok(response)
}

/// What `/` lists.
fn paths(app: &App) -> Vec<String> {
    let catalog = app.catalog();
    let fixed = ["/api", "/apis", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/version"];
    let mut paths: Vec<String> = fixed.map(str::to_owned).into_iter().chain(health::paths()).collect();
    paths.push("/.well-known/openid-configuration".into());
    for group_version in openapi::group_versions(&catalog) {
        paths.push(format!("/openapi/v3/{group_version}"));
        paths.push(format!("/{group_version}"));
    }
    let groups = discovery::groups(&catalog).into_iter().filter(|(group, _)| !group.is_empty());
    paths.extend(groups.map(|(group, _)| format!("/apis/{group}")));
    paths.sort();
    paths
}

/// Where others find the key that tokens are signed with (OpenID Connect Discovery 1.0).
fn openid(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

/// `componentstatuses`: outdated upstream, and still asked by people. The store is the one component
/// that this server knows; upstream knocks at the ports of two more, which ours do not open.
pub async fn component_statuses(asked: &Asked, path: &ResourcePath, resource: &Resource) -> Answer {
    let view = asked.view()?;
    let error = asked.app.store.revision().await.err().map(|error| error.to_string());
    let condition = match error {
        None => json!({ "type": "Healthy", "status": "True", "message": "ok" }),
        Some(why) => json!({ "type": "Healthy", "status": "False", "message": why, "error": why }),
    };
    let store = json!({
        "kind": "ComponentStatus", "apiVersion": "v1",
        "metadata": { "name": "etcd-0", "creationTimestamp": null }, "conditions": [condition],
    });
    let shown = match path.name.as_deref() {
        None => {
            json!({ "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": [store] })
        }
        Some("etcd-0") => store,
        Some(name) => {
            let message = format!("component status with name {name:?} not found");
            return Err(ApiError::new(Reason::NotFound, message));
        }
    };
    let mut response =
        answer::json(StatusCode::OK, render::unstored(resource, view, &shown, Timestamp::now()));
    answer::warn(&mut response, &["v1 ComponentStatus is deprecated in v1.19+".to_string()]);
    Ok(response)
}
