//! One HTTP connection to the API server, shared by everything in a process: requests with
//! an answer, and watches without an end.

use crate::heart;
use crate::{Config, Error};
use bytes::Bytes;
use heart::wire::{Lines, MAX_LINE, WatchEvent, decode};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// How long a request may take that is not a watch.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read into memory.
const MAX_ANSWER: usize = 256 << 20;
/// How often a request is repeated that the server turned away with "429, come back in …".
const MAX_TURNED_AWAY: u32 = 10;

type Http = Legacy<HttpsConnector<HttpConnector>, Full<Bytes>>;

#[derive(Clone)]
pub(crate) struct HttpClient {
    http: Http,
    base: Arc<str>,
    token: Option<HeaderValue>,
    user_agent: HeaderValue,
}

impl HttpClient {
    pub(crate) fn new(config: &Config) -> Result<HttpClient, Error> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        connector.set_keepalive(Some(Duration::from_secs(30)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config.tls()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        // All watches share one HTTP/2 connection. Each may lag by its own window; the
        // connection's window is so large that a lagging one does not stop the others. Pings
        // find a peer that vanished without a word.
        let http = Legacy::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_initial_stream_window_size(1 << 20)
            .http2_initial_connection_window_size(64 << 20)
            .http2_keep_alive_interval(Duration::from_secs(15))
            .http2_keep_alive_timeout(Duration::from_secs(15))
            .http2_keep_alive_while_idle(true)
            .build(connector);
        let bearer = |token: &String| HeaderValue::try_from(format!("Bearer {token}"));
        let token = config.token.as_ref().map(bearer).transpose();
        let mut token = token.map_err(|_| Error::Config("the token is no header value".into()))?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let user_agent = HeaderValue::from_static("coracle");
        Ok(HttpClient { http, base: config.server.trim_end_matches('/').into(), token, user_agent })
    }

    /// Go by this name.
    pub(crate) fn call_me(&mut self, program: &str) {
        let agent = format!("{program}/v{}", env!("CARGO_PKG_VERSION"));
        if let Ok(agent) = HeaderValue::try_from(agent) {
            self.user_agent = agent;
        }
    }

    /// A request and its whole answer, whatever its code.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Error> {
        for _ in 0..MAX_TURNED_AWAY {
            let exchange = self.exchange(method.clone(), path, content_type, body.clone());
            let (response, body) =
                tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| timed_out())??;
            let code = response.status();
            let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok());
            match after.and_then(|seconds| seconds.parse::<u64>().ok()) {
                Some(seconds) if code == StatusCode::TOO_MANY_REQUESTS => {
                    tokio::time::sleep(Duration::from_secs(seconds.min(60))).await;
                }
                _ => return Ok((code, body)),
            }
        }
        Err(api_error(StatusCode::TOO_MANY_REQUESTS, b"the server turned the request away"))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<(Response<()>, Bytes), Error> {
        let (head, body) = self.open(method, path, content_type, body).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Error::Transport)?;
        Ok((Response::from_parts(head, ()), body.to_bytes()))
    }

    /// A watch: the answer's events one by one.
    pub(crate) async fn watch(&self, path: &str) -> Result<Watch, Error> {
        let opening = self.open(Method::GET, path, "", Bytes::new());
        let response = tokio::time::timeout(TIMEOUT, opening).await.map_err(|_| timed_out())??;
        let code = response.status();
        let body = response.into_body();
        if code.is_success() {
            return Ok(Watch { body, lines: Lines::new(MAX_LINE) });
        }
        let answer = Limited::new(body, 1 << 20).collect();
        let answer = tokio::time::timeout(TIMEOUT, answer).await.map_err(|_| timed_out())?;
        Err(api_error(code, &answer.map_err(Error::Transport)?.to_bytes()))
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, &self.user_agent);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(body)).map_err(|e| Error::Config(format!("{path:?}: {e}")))?;
        self.http.request(request).await.map_err(|e| Error::Transport(e.into()))
    }
}

/// A watch that is open. Dropping it ends it.
pub struct Watch {
    body: Incoming,
    lines: Lines,
}

impl Watch {
    /// The next event; `None` when the server ended the watch. May be dropped while it
    /// waits without losing anything.
    pub async fn next<K: DeserializeOwned>(&mut self) -> Option<Result<WatchEvent<K>, Error>> {
        loop {
            match self.lines.next_line() {
                Ok(Some(line)) => return Some(decode(line).map_err(Error::Decode)),
                Err(too_long) => return Some(Err(Error::Transport(too_long.into()))),
                Ok(None) => {}
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Some(data) = frame.data_ref() {
                        self.lines.push(data);
                    }
                }
                Err(e) => return Some(Err(Error::Transport(e.into()))),
            }
        }
    }
}

fn timed_out() -> Error {
    Error::Transport("the request timed out".into())
}

/// The error of an answer that is not a success: its Status, or one made of its text.
pub(crate) fn api_error(code: StatusCode, body: &[u8]) -> Error {
    let parsed = serde_json::from_slice::<Status>(body).ok();
    let mut status = parsed.filter(|status| status.message.is_some()).unwrap_or_else(|| Status {
        message: Some(match String::from_utf8_lossy(body).trim() {
            "" => code.to_string(),
            text => text.chars().take(1024).collect(),
        }),
        status: Some("Failure".to_owned()),
        ..Status::default()
    });
    status.code.get_or_insert_with(|| code.as_u16().into());
    Error::Api(Box::new(status))
}
