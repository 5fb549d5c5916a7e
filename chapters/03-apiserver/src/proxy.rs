//! Passing a request on to a kubelet, a pod or a service, and its answer back. An exec, an attach
//! and a port-forward begin as HTTP and become something else (WebSocket, SPDY), of which this
//! server understands nothing: after the 101 it copies bytes.
//!
//! Upstream: `UpgradeAwareHandler` and `Transport` in `apimachinery/pkg/util/proxy`. Left out: links
//! in HTML pages are not rewritten.

use crate::answer::{self, Body, BoxError};
use crate::app::App;
use crate::body::Upload;
use crate::handler::{Answer, Asked, header};
use crate::heart::connect::{self, Place, Via};
use crate::heart::status::{ApiError, Reason};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, EXPECT, HOST, HeaderName, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::tls::ClientFiles;
use tokio::net::TcpStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of a kubelet's refusal.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// How others are talked to.
pub struct Kubelets {
    tls: Arc<rustls::ClientConfig>,
    /// For pods and services, of which no authority is known.
    unverified: Arc<rustls::ClientConfig>,
}

impl Kubelets {
    pub fn new(tls: &ClientFiles) -> anyhow::Result<Kubelets> {
        let anybody = ClientFiles { ca: None, cert: None, key: None };
        Ok(Kubelets {
            tls: Arc::new(store::tls::client_config(tls, &[b"http/1.1"])?),
            unverified: Arc::new(store::tls::client_config(&anybody, &[b"http/1.1"])?),
        })
    }
}

/// Who is at the other end of a connection, noted on every request.
#[derive(Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// What a request is passed on for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A log: a body, or the kubelet's reason why not.
    Log,
    /// A stream, which is nothing without an upgrade.
    Stream,
    /// Whatever a client and a server have to say to each other. `prefix`: the path up to and with
    /// `/proxy`, under which the server appears.
    Proxy { prefix: String },
}

/// Send a request on to `path` at `place`, and its answer back, upgraded if both sides agree.
pub async fn pass_on(asked: Asked, place: Place, path: &str, purpose: Purpose) -> Answer {
    let Asked { app, mut request, .. } = asked;
    let upgrade = wants_upgrade(&request);
    if purpose == Purpose::Stream && !upgrade {
        return Err(ApiError::bad_request("Upgrade request required"));
    }
    let failed = |error: &dyn Display| match &purpose {
        Purpose::Proxy { .. } => connect::unreachable(error),
        _ => ApiError::internal(format!("error dialing backend: {error}")),
    };
    let mut sender = dial(&app, &place).await.map_err(|e| failed(&e))?;
    let own = own_host(&request);
    let client = upgrade.then(|| hyper::upgrade::on(&mut request));
    let onward = onward(request, &place, path, &purpose, upgrade).map_err(|e| failed(&e))?;
    let answer = sender.send_request(onward).await.map_err(|e| failed(&e))?;
    match (answer.status(), client) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(client)) => return Ok(splice(&app, client, answer)),
        (status, _) if purpose == Purpose::Stream && status.as_u16() < 400 => {
            let why = format!("invalid upgrade response: status code {}", status.as_u16());
            return Err(ApiError::internal(why));
        }
        (status, _) if purpose == Purpose::Log && !(200..=206).contains(&status.as_u16()) => {
            return Err(refusal(answer).await);
        }
        _ => {}
    }
    let (mut parts, body) = answer.into_parts();
    remove_hops(&mut parts.headers);
    if let Purpose::Proxy { prefix } = &purpose
        && let Some(location) = parts.headers.get(LOCATION).and_then(|l| l.to_str().ok())
        && let Ok(location) =
            HeaderValue::from_str(&connect::rewrite_location(location, prefix, &own, &place))
    {
        parts.headers.insert(LOCATION, location);
    }
    Ok(Response::from_parts(parts, body.map_err(|e| Box::new(e) as BoxError).boxed_unsync()))
}

/// Only HTTP/1.1 can become something else.
pub fn wants_upgrade<T>(request: &Request<T>) -> bool {
    let connection = header(request.headers(), CONNECTION.as_str()).to_ascii_lowercase();
    request.version() == Version::HTTP_11
        && request.headers().contains_key(UPGRADE)
        && connection.split(',').any(|word| word.trim() == "upgrade")
}

/// This server, as the client called it.
fn own_host<T>(request: &Request<T>) -> String {
    match request.uri().authority() {
        Some(authority) => authority.to_string(),
        None => header(request.headers(), HOST.as_str()).to_string(),
    }
}

async fn dial(app: &Arc<App>, place: &Place) -> io::Result<SendRequest<Body>> {
    let connect = async {
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await?;
        stream.set_nodelay(true)?;
        let tls = match place.via {
            Via::Http => return handshake(stream).await,
            Via::Https => &app.kubelets.unverified,
            Via::Kubelet => &app.kubelets.tls,
        };
        let name = ServerName::try_from(place.host.clone()).map_err(io::Error::other)?;
        handshake(tokio_rustls::TlsConnector::from(tls.clone()).connect(name, stream).await?).await
    };
    let error = match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
        Ok(Ok(sender)) => return Ok(sender),
        Ok(Err(error)) => error,
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    // In the words that people search for.
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        _ => error.to_string(),
    };
    Err(io::Error::new(error.kind(), format!("dial tcp {}: {why}", place.authority())))
}

pub async fn handshake<S>(stream: S) -> io::Result<SendRequest<Body>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection onwards ended");
        }
    });
    Ok(sender)
}

fn onward(
    request: Request<Upload>,
    place: &Place,
    path: &str,
    purpose: &Purpose,
    upgrade: bool,
) -> http::Result<Request<Body>> {
    let own = own_host(&request);
    let (mut parts, body) = request.into_parts();
    if !upgrade {
        remove_hops(&mut parts.headers);
    }
    // Who asked was checked here, and whether to go on was answered here.
    for name in [AUTHORIZATION, EXPECT, HOST] {
        parts.headers.remove(name);
    }
    let mut headers = parts.headers;
    let mut set = |name: &'static str, value: &str| -> http::Result<()> {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        Ok(())
    };
    match purpose {
        Purpose::Proxy { .. } => {
            set("host", &own)?;
            set("x-forwarded-host", &own)?;
            set("x-forwarded-proto", "https")?;
            set("x-forwarded-uri", parts.uri.path())?;
            if let Some(Peer(peer)) = parts.extensions.get() {
                set("x-forwarded-for", &peer.ip().to_string())?;
            }
        }
        _ => set("host", &place.authority())?,
    }
    let mut onward = Request::builder().method(parts.method).uri(path);
    if let Some(all) = onward.headers_mut() {
        *all = headers;
    }
    onward.body(body.map_err(|e| Box::new(e) as BoxError).boxed_unsync())
}

/// Headers that are about one connection only: the known ones, and those that `Connection` names.
pub fn remove_hops(headers: &mut HeaderMap) {
    let named = header(headers, CONNECTION.as_str()).to_ascii_lowercase();
    let named: Vec<&str> = named.split(',').map(str::trim).collect();
    const KNOWN: [&str; 8] = [
        "connection",
        "upgrade",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "proxy-connection",
        "proxy-authorization",
    ];
    let hops: Vec<HeaderName> = headers
        .keys()
        .filter(|n| KNOWN.contains(&n.as_str()) || named.contains(&n.as_str()))
        .cloned()
        .collect();
    for name in hops {
        headers.remove(name);
    }
}

/// Why a kubelet has no log, as a Status. (Upstream: `GenericHttpResponseChecker`.)
async fn refusal(answer: Response<Incoming>) -> ApiError {
    let status = answer.status();
    let is_status = header(answer.headers(), CONTENT_TYPE.as_str()).starts_with(answer::JSON);
    let body = Limited::new(answer.into_body(), MAX_REFUSAL_BYTES).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&body).trim().to_string();
    let said = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(value) if is_status => value["message"].as_str().unwrap_or_default().to_string(),
        _ => text,
    };
    match status {
        StatusCode::BAD_REQUEST => ApiError::bad_request(said),
        StatusCode::NOT_FOUND => ApiError::new(Reason::NotFound, said),
        StatusCode::INTERNAL_SERVER_ERROR => ApiError::internal(said),
        StatusCode::SERVICE_UNAVAILABLE => ApiError::new(Reason::ServiceUnavailable, said),
        _ => ApiError::internal(format!("the kubelet answered {}: {said}", status.as_u16())),
    }
}

/// Give the client the other side's 101, then copy in both directions until one side ends.
pub fn splice(
    app: &Arc<App>,
    client: hyper::upgrade::OnUpgrade,
    answer: Response<Incoming>,
) -> Response<Body> {
    let mut response = Response::new(answer::full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer.headers().clone();
    let permit = app.long_running.clone().try_acquire_owned();
    let mut stopping = app.stopping.subscribe();
    tokio::spawn(async move {
        let _permit = permit;
        let (client, other) = match tokio::try_join!(client, hyper::upgrade::on(answer)) {
            Ok(both) => both,
            Err(error) => return tracing::warn!(%error, "an upgrade was not finished"),
        };
        let (mut client, mut other) = (TokioIo::new(client), TokioIo::new(other));
        tokio::select! {
            copied = tokio::io::copy_bidirectional(&mut client, &mut other) => {
                if let Err(error) = copied {
                    tracing::debug!(%error, "a stream onwards broke");
                }
            }
            _ = stopping.changed() => {}
        }
    });
    response
}

/// Where a page stands that was asked for without its last slash: its links would lead elsewhere.
pub fn to_directory(request: &Request<Upload>) -> Option<Response<Body>> {
    if wants_upgrade(request) || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::from_str(&format!("{}/{query}", request.uri().path())).ok()?;
    let mut response = Response::new(answer::full(Bytes::new()));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}
