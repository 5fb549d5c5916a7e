//! The kubelet's server: for the API server, on behalf of those who want to look inside a pod.
//!
//! HTTPS with a client certificate, HTTP/1.1 only, because exec and its kin switch protocols.
//! Upstream: `pkg/kubelet/server/server.go`.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use crate::ctx::Ctx;
use crate::{logs, stream};

pub type Body = UnsyncBoxBody<Bytes, Infallible>;
pub type Answer = Response<Body>;

/// Further connections wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1000;

/// A connection that does not get through its handshake in this time is closed.
const HANDSHAKE: Duration = Duration::from_secs(10);

pub fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text.into())).boxed_unsync());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn tls(ctx: &Ctx) -> anyhow::Result<Option<TlsAcceptor>> {
    let args = &ctx.args;
    let (Some(cert), Some(key), Some(ca)) =
        (&args.tls_cert_file, &args.tls_private_key_file, &args.client_ca_file)
    else {
        return Ok(None);
    };
    let certificates = |path: &Path| -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let pem =
            CertificateDer::pem_file_iter(path).with_context(|| format!("reading {}", path.display()))?;
        pem.collect::<Result<_, _>>().with_context(|| format!("reading {}", path.display()))
    };
    let mut roots = rustls::RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).context("taking in the client authority")?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .context("preparing to check client certificates")?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("reading {}", key.display()))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(cert)?, key)
        .context("loading the server's certificate")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Serves for ever. Without certificates there is no server: nobody could be told apart.
pub async fn run(ctx: Arc<Ctx>) {
    let acceptor = match tls(&ctx) {
        Ok(Some(acceptor)) => acceptor,
        Ok(None) => {
            return warn!(
                "no --tls-cert-file, --tls-private-key-file and --client-ca-file: no logs, no exec"
            );
        }
        Err(e) => return warn!(error = format!("{e:#}"), "the server cannot start: no logs, no exec"),
    };
    let address = (ctx.args.address, ctx.args.port);
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(e) => warn!(error = %e, "cannot listen on {}:{}", address.0, address.1),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    info!("serving on {}:{}", address.0, address.1);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(e) => {
                warn!(error = %e, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = socket.set_nodelay(true);
        let (ctx, acceptor) = (ctx.clone(), acceptor.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let socket = match tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await {
                Ok(Ok(socket)) => socket,
                Ok(Err(e)) => return debug!(error = %e, "a caller was turned away"),
                Err(_) => return debug!("a caller took too long to say who it is"),
            };
            let service = service_fn(move |request| {
                let ctx = ctx.clone();
                async move { Ok::<_, Infallible>(route(ctx, request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .with_upgrades()
                .await;
            if let Err(e) = served {
                debug!(error = %e, "a connection broke");
            }
        });
    }
}

async fn route(ctx: Arc<Ctx>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        ["healthz"] => text(StatusCode::OK, "ok"),
        ["pods"] => pods(&ctx),
        ["containerLogs", namespace, pod, container] => {
            logs::serve(&ctx, namespace, pod, container, request.uri().query().unwrap_or_default()).await
        }
        ["exec", namespace, pod, container] => {
            let call = stream::Call::Exec { namespace, pod, container };
            stream::serve(&ctx, &call, request).await
        }
        ["attach", namespace, pod, container] => {
            let call = stream::Call::Attach { namespace, pod, container };
            stream::serve(&ctx, &call, request).await
        }
        ["portForward", namespace, pod] => {
            let call = stream::Call::PortForward { namespace, pod };
            stream::serve(&ctx, &call, request).await
        }
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

fn pods(ctx: &Ctx) -> Answer {
    let mut items = Vec::new();
    for pod in ctx.registry.pods() {
        let mut pod = (*pod).clone();
        pod.status = Some(ctx.statuses.latest(&pod));
        items.push(pod);
    }
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items});
    let mut answer = text(StatusCode::OK, list.to_string());
    let json = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, json);
    answer
}

/// A query's parameters, decoded, in order.
pub fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|p| !p.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

/// Undoes percent-encoding, with `+` for a space.
fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let rest = bytes.clone();
                let digits: Vec<u8> = rest.take(2).collect();
                let hex = std::str::from_utf8(&digits).ok().filter(|d| d.len() == 2);
                match hex.and_then(|d| u8::from_str_radix(d, 16).ok()) {
                    Some(value) => {
                        out.push(value);
                        bytes.nth(1);
                    }
                    None => out.push(b'%'),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Is this flag of a query set?
pub fn flag(query: &[(String, String)], names: &[&str]) -> bool {
    query.iter().any(|(k, v)| names.contains(&k.as_str()) && (v == "1" || v == "true" || v == "t"))
}
