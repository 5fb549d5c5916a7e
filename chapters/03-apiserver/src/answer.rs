//! HTTP answers.

use crate::heart::status::ApiError;
use crate::heart::stored::encode;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

pub const JSON: &str = "application/json";

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The bytes of an answer that is whole from the beginning: it may still be written otherwise on
/// its way out.
#[derive(Clone)]
pub struct Whole(pub Bytes);

pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = body.into();
    let mut response = Response::new(full(body.clone()));
    response.extensions_mut().insert(Whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    bytes(status, JSON, body)
}

/// Lines of JSON that come one after another.
pub fn stream(body: Body) -> Response<Body> {
    let mut response = json(StatusCode::OK, Bytes::new());
    response.extensions_mut().remove::<Whole>();
    *response.body_mut() = body;
    response
}

pub fn value(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    json(status, encode(value))
}

/// An error as its `Status`.
pub fn error(error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = value(status, &error.to_status());
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// What is said of a path that is nobody's, as Go's HTTP server says it.
pub fn nowhere() -> Response<Body> {
    let mut response = bytes(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Add `Warning` headers, as many as a client will read.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings.iter().take(50) {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
}
