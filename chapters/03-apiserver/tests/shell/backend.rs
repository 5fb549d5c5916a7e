//! An HTTPS server that answers as a test wants, and remembers what it was asked.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// One request as it came.
#[derive(Clone)]
pub struct Seen {
    pub method: String,
    pub url: String,
    pub headers: http::HeaderMap,
    pub body: Value,
}

pub struct Backend {
    pub port: u16,
    /// Who signed its certificate, PEM in base64: a `caBundle`.
    pub ca_bundle: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
}

impl Backend {
    /// Serve on 127.0.0.1, also under the name of the service `hook` in `default`. A request to
    /// which `answer` has none is not answered at all.
    pub async fn start(answer: impl Fn(&Seen) -> Option<(u16, Value)> + Send + Sync + 'static) -> Backend {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "hooks");
        let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["hook.default.svc".to_string()]).expect("a name");
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().expect("an address")));
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a server");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (answer, notes, count) = (Arc::new(answer), seen.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().expect("a count") += 1;
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let (answer, notes) = (answer.clone(), notes.clone());
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let (answer, notes) = (answer.clone(), notes.clone());
                    async move { Ok::<_, Infallible>(respond(request, answer.as_ref(), &notes).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades(),
                );
            }
        });
        let ca_bundle = data_encoding(ca_pem.as_bytes());
        Backend { port, ca_bundle, seen, connections }
    }

    /// What was asked since the last time.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().expect("the notes"))
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("a count")
    }
}

pub fn data_encoding(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

async fn respond(
    mut request: http::Request<Incoming>,
    answer: &(dyn Fn(&Seen) -> Option<(u16, Value)> + Send + Sync),
    notes: &Mutex<Vec<Seen>>,
) -> http::Response<Full<Bytes>> {
    let upgrade = request.headers().contains_key("upgrade").then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let bytes = match upgrade {
        Some(_) => Bytes::new(),
        None => body.collect().await.map(|b| b.to_bytes()).unwrap_or_default(),
    };
    let seen = Seen {
        method: parts.method.to_string(),
        url: parts.uri.to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    let answered = answer(&seen);
    notes.lock().expect("the notes").push(seen);
    if let Some(upgrade) = upgrade {
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut stream = TokioIo::new(upgrade.await.expect("an upgrade"));
            let mut sent = [0; 5];
            stream.read_exact(&mut sent).await.expect("five bytes");
            stream.write_all(&sent).await.expect("they go back");
            stream.shutdown().await.expect("it ends");
        });
        let response =
            http::Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "test");
        return response.body(Full::default()).expect("an answer");
    }
    match answered {
        Some((status, value)) => http::Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(value.to_string().into())
            .expect("an answer"),
        None => std::future::pending().await,
    }
}
