//! A kubelet (and a pod) that tells what it was asked, and after an upgrade says it back with what
//! was sent.

use crate::cluster::Cluster;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Serve on a port of 127.0.0.1; only clients with the cluster's certificates are let in.
pub async fn start(cluster: &Cluster) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cluster.file("ca.crt")).expect("a certificate")).expect("a root");
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .expect("a verifier");
    let cert = CertificateDer::from_pem_file(cluster.file("server.crt")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(cluster.file("server.key")).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![cert], key)
        .expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let server = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .with_upgrades();
            tokio::spawn(server);
        }
    });
    port
}

/// What a pod would serve: the same answers on plain HTTP, at an address that is not loopback. None if
/// this machine has no such address.
pub async fn start_plain() -> Option<std::net::SocketAddr> {
    // Nothing is sent: this only asks which address would be used.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    probe.connect("203.0.113.1:9").ok()?;
    let own = probe.local_addr().ok()?.ip();
    let listener = tokio::net::TcpListener::bind((own, 0)).await.ok()?;
    let address = listener.local_addr().ok()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .with_upgrades();
            tokio::spawn(server);
        }
    });
    Some(address)
}

async fn answer(
    mut request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let asked = request.uri().to_string();
    let told = |status: u16, text: String| {
        let answer = http::Response::builder().status(status).header("content-type", "text/plain");
        answer.header("location", "/elsewhere?a=b").body(text.into()).expect("an answer")
    };
    if asked.contains("tailLines=13") {
        return Ok(told(400, "container \"c\" in pod \"p\" is waiting to start: ContainerCreating".into()));
    }
    if asked.contains("refuse") {
        return Ok(told(500, "container not found (\"c\")".into()));
    }
    if asked.contains("moved") {
        return Ok(told(302, String::new()));
    }
    if !request.headers().contains_key("upgrade") {
        let method = request.method().clone();
        let forwarded = request.headers().get("x-forwarded-uri").cloned();
        let forwarded =
            forwarded.map(|uri| format!(" for {}", uri.to_str().expect("text"))).unwrap_or_default();
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        return Ok(told(200, format!("{method} {asked}{forwarded} {body}").trim_end().to_string() + "\n"));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.expect("an upgrade"));
        let mut sent = String::new();
        stream.read_to_string(&mut sent).await.expect("reads");
        stream.write_all(format!("{asked} {sent}").as_bytes()).await.expect("sends");
        stream.shutdown().await.expect("ends");
    });
    let answer =
        http::Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "test");
    Ok(answer.body(Full::default()).expect("an answer"))
}
