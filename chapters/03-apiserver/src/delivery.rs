//! The last thing that happens to an answer: written as the client reads it (YAML, JSON for people),
//! packed if it is long and the client unpacks, and given the number of the request.

use crate::answer::{self, Body, Whole};
use crate::app;
use crate::handler::header;
use crate::heart::negotiation::Writing;
use crate::heart::query::Query;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
    USER_AGENT, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::io::Write as _;

/// Shorter answers are not worth the work (upstream: `defaultGzipThresholdBytes`).
const PACK_FROM: usize = 128 * 1024;
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// What a request's head says about the form of its answer.
pub struct Delivery {
    writing: Writing,
    packed: bool,
    head_only: bool,
    id: HeaderValue,
}

impl Delivery {
    pub fn of<B>(request: &Request<B>) -> Delivery {
        let headers = request.headers();
        let query = Query::parse(request.uri().query().unwrap_or(""));
        let encodings = header(headers, ACCEPT_ENCODING.as_str()).split(',');
        let get = request.method() == Method::GET;
        Delivery {
            writing: Writing::negotiate(
                header(headers, ACCEPT.as_str()),
                &query,
                header(headers, USER_AGENT.as_str()),
            ),
            packed: get && encodings.map(|e| e.split(';').next().unwrap_or("")).any(|e| e.trim() == "gzip"),
            head_only: request.method() == Method::HEAD,
            id: request_id(headers),
        }
    }

    pub async fn send(self, mut response: Response<Body>) -> Response<Body> {
        response.headers_mut().insert(AUDIT_ID, self.id);
        let Some(Whole(mut bytes)) = response.extensions_mut().remove::<Whole>() else { return response };
        let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|t| t == answer::JSON);
        if is_json && let Some((content_type, written)) = self.writing.rewrite(&bytes) {
            bytes = written.into();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            *response.body_mut() = answer::full(bytes.clone());
        }
        if self.packed
            && response.status() == StatusCode::OK
            && bytes.len() >= PACK_FROM
            && let Some(packed) = pack(bytes.clone()).await
        {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            *response.body_mut() = answer::full(packed);
        }
        if self.head_only {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            *response.body_mut() = answer::full(Bytes::new());
        }
        response
    }
}

/// A request keeps the number that it came with.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sent = headers.get(AUDIT_ID).filter(|id| !id.is_empty() && id.len() <= 64);
    // A uid is letters, digits and dashes.
    sent.cloned().or_else(|| app::new_uid().try_into().ok()).unwrap_or(HeaderValue::from_static(""))
}

/// None where it cannot be packed: then it goes as it is.
async fn pack(bytes: Bytes) -> Option<Vec<u8>> {
    let work = move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
        encoder.write_all(&bytes).and_then(|()| encoder.finish())
    };
    tokio::task::spawn_blocking(work).await.ok()?.ok()
}
