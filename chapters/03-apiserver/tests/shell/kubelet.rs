//! A kubelet that tells what it was asked, and after an upgrade says it back with what was sent.

use crate::cluster::Cluster;
use bytes::Bytes;
use http_body_util::Full;
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

async fn answer(
    mut request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let asked = request.uri().to_string();
    if !request.headers().contains_key("upgrade") {
        let text = format!("{} {asked}\n", request.method());
        return Ok(http::Response::builder()
            .header("content-type", "text/plain")
            .body(text.into())
            .expect("an answer"));
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
