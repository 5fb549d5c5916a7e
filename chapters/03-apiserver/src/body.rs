//! Reading what a client sent. What the bytes mean is `heart::bodies`' affair; how many are read is
//! decided here.

use crate::handler::header;
use crate::heart::bodies::{self, Body};
use crate::heart::status::{ApiError, Reason};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use serde_json::Value;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The largest body that is read (upstream's limit, and etcd's twofold).
const MAX_BODY: usize = 3 * 1024 * 1024;

/// What is left of a body when the answer is ready is read and forgotten, if it is no more than this,
/// and comes in this time.
const MAX_FORGOTTEN: usize = 64 * 1024;
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(5);

/// What a client sends. Over HTTP/2 an answer to a request whose body nobody wanted ends the stream under
/// the client's hands, and some take that for a broken connection, and the answer for none.
pub struct Upload(Option<Incoming>);

impl Upload {
    pub fn new(body: Incoming) -> Upload {
        Upload(Some(body))
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // Without a runtime the connection is gone, too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime
                .spawn(tokio::time::timeout(FORGOTTEN_WITHIN, Limited::new(body, MAX_FORGOTTEN).collect()));
        }
    }
}

/// A body that should be an object of `kind`, in any of the forms that are read.
pub async fn read(request: &mut Request<Upload>, kind: &str) -> Result<Body, ApiError> {
    let content_type = header(request.headers(), CONTENT_TYPE.as_str()).to_string();
    bodies::read(kind, &content_type, &read_bytes(request).await?)
}

/// A body that may be missing: `null` then.
pub async fn read_optional(request: &mut Request<Upload>, kind: &str) -> Result<Value, ApiError> {
    let content_type = header(request.headers(), CONTENT_TYPE.as_str()).to_string();
    let bytes = read_bytes(request).await?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(Value::Null),
        false => Ok(bodies::read(kind, &content_type, &bytes)?.value),
    }
}

pub async fn read_bytes(request: &mut Request<Upload>) -> Result<Bytes, ApiError> {
    let collected = Limited::new(request.body_mut(), MAX_BODY).collect().await;
    collected.map(|body| body.to_bytes()).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            let message = format!("Request entity too large: limit is {MAX_BODY}");
            return ApiError::new(Reason::RequestEntityTooLarge, message);
        }
        ApiError::bad_request(format!("the body of the request could not be read: {error}"))
    })
}

/// What is applied: YAML, of which JSON is a part, and an object.
pub fn read_applied(bytes: &[u8]) -> Result<Body, ApiError> {
    let refuse = |why: String| ApiError::bad_request(format!("error decoding YAML: {why}"));
    let body = bodies::yaml(bytes).map_err(refuse)?;
    if body.value.is_null() || body.value.is_object() {
        return Ok(body);
    }
    let why = bodies::misfit(&body.value, "map[string]interface {}");
    Err(refuse(format!("error unmarshaling JSON: while decoding JSON: {why}")))
}
