//! Connections to kubelets. A log is a body that is passed on; an exec, an attach and a
//! port-forward begin as HTTP and become something else (WebSocket, SPDY), of which this server
//! understands nothing: after the 101 it copies bytes.

use crate::answer::{self, Body};
use crate::app::App;
use crate::heart::status::ApiError;
use crate::registry::Target;
use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use objects::resources;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use store::tls::ClientFiles;
use tokio::net::TcpStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How kubelets are talked to.
pub struct Kubelets {
    tls: Arc<rustls::ClientConfig>,
}

impl Kubelets {
    pub fn new(tls: &ClientFiles) -> anyhow::Result<Kubelets> {
        Ok(Kubelets { tls: Arc::new(store::tls::client_config(tls, &[b"http/1.1"])?) })
    }
}

/// Where a node's kubelet listens.
pub struct Place {
    pub host: String,
    pub port: u16,
}

impl App {
    pub async fn kubelet_of(&self, node: &str) -> Result<Place, ApiError> {
        let resource = resources::by_kind("", "v1", "Node").ok_or_else(ApiError::no_route)?;
        let stored = self.get(Target { resource, namespace: None, name: node }).await?;
        let node = stored.value();
        let status = &node["status"];
        let address = |kind: &str| {
            let list = status["addresses"].as_array().into_iter().flatten();
            list.filter(|a| a["type"] == kind).find_map(|a| a["address"].as_str().map(str::to_string))
        };
        let host = address("InternalIP").or_else(|| address("ExternalIP")).or_else(|| address("Hostname"));
        let port = &status["daemonEndpoints"]["kubeletEndpoint"]["Port"];
        let port = port.as_u64().and_then(|p| u16::try_from(p).ok()).unwrap_or(10250);
        match host {
            Some(host) => Ok(Place { host, port }),
            None => Err(ApiError::internal("the node has no address yet")),
        }
    }
}

/// Send a request on to a kubelet and its answer back, upgraded if both sides agree.
pub async fn forward(
    app: &Arc<App>,
    mut request: Request<Incoming>,
    place: Place,
    path: &str,
) -> Result<Response<Body>, ApiError> {
    let gateway = |error: &dyn std::fmt::Display| {
        ApiError::internal(format!("error dialing backend: {}:{}: {error}", place.host, place.port))
    };
    let connect = async {
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(place.host.clone()).map_err(std::io::Error::other)?;
        tokio_rustls::TlsConnector::from(app.kubelets.tls.clone()).connect(name, stream).await
    };
    let stream = match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
        Ok(stream) => stream.map_err(|e| gateway(&e))?,
        Err(_) => return Err(gateway(&"timed out")),
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| gateway(&e))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a kubelet ended");
        }
    });
    let upgrade = request.headers().contains_key(UPGRADE);
    let mut onward = Request::builder().method(request.method()).uri(path);
    if let Some(headers) = onward.headers_mut() {
        for (name, value) in request.headers() {
            // Who asked was checked here; the kubelet knows this server only.
            if *name != HOST && *name != http::header::AUTHORIZATION && (upgrade || !is_hop(name)) {
                headers.append(name.clone(), value.clone());
            }
        }
        let host = HeaderValue::from_str(&format!("{}:{}", place.host, place.port));
        headers.insert(HOST, host.map_err(|e| gateway(&e))?);
    }
    let onward = onward.body(Full::<Bytes>::default()).map_err(|e| gateway(&e))?;
    let answer = sender.send_request(onward).await.map_err(|e| gateway(&e))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(splice(app, &mut request, answer));
    }
    if answer.status().is_server_error() && !is_status(&answer) {
        let (status, body) = (answer.status(), answer.into_body().collect().await.map_err(|e| gateway(&e))?);
        let text = String::from_utf8_lossy(&body.to_bytes()).trim().to_string();
        return Err(ApiError::internal(format!("the kubelet answered {}: {text}", status.as_u16())));
    }
    let (mut parts, body) = answer.into_parts();
    let hops: Vec<HeaderName> = parts.headers.keys().filter(|name| is_hop(name)).cloned().collect();
    for name in hops {
        parts.headers.remove(name);
    }
    Ok(Response::from_parts(parts, body.map_err(|e| Box::new(e) as answer::BoxError).boxed_unsync()))
}

/// Headers that are about one connection only.
fn is_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == UPGRADE
        || matches!(name.as_str(), "keep-alive" | "transfer-encoding" | "te" | "trailer" | "proxy-connection")
}

fn is_status(answer: &Response<Incoming>) -> bool {
    crate::handler::header(answer.headers(), "content-type").starts_with(answer::JSON)
}

/// Give the client the kubelet's 101, then copy in both directions until one side ends.
fn splice(app: &Arc<App>, request: &mut Request<Incoming>, answer: Response<Incoming>) -> Response<Body> {
    let mut response = Response::new(answer::full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer.headers().clone();
    let client = hyper::upgrade::on(request);
    let permit = app.long_running.clone().try_acquire_owned();
    let mut stopping = app.stopping.subscribe();
    tokio::spawn(async move {
        let _permit = permit;
        let (client, kubelet) = match tokio::try_join!(client, hyper::upgrade::on(answer)) {
            Ok(both) => both,
            Err(error) => return tracing::warn!(%error, "an upgrade was not finished"),
        };
        let (mut client, mut kubelet) = (TokioIo::new(client), TokioIo::new(kubelet));
        tokio::select! {
            copied = tokio::io::copy_bidirectional(&mut client, &mut kubelet) => {
                if let Err(error) = copied {
                    tracing::debug!(%error, "a stream to a kubelet broke");
                }
            }
            _ = stopping.changed() => {}
        }
    });
    response
}
