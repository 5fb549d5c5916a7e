//! A kubeconfig with certificates, partly in files beside it, against a server that wants
//! them: the connection is HTTP/2, and the server learns who we are.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use informer::Client;
use k8s_openapi::api::core::v1::ConfigMap;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn issue(&self, name: &str, addresses: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = addresses.iter().map(|a| (*a).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }
}

/// Serves one ConfigMap whose data say how the client came.
async fn serve(authority: &Authority) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("an authority");
    let (certificate, key) = authority.issue("server", &["127.0.0.1"]);
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("a certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(socket).await else { continue };
            let known = stream.get_ref().1.peer_certificates().is_some_and(|c| !c.is_empty());
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| async move {
                let body = format!(
                    r#"{{"metadata":{{}},"data":{{"version":"{:?}","known":"{known}"}}}}"#,
                    request.version()
                );
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    format!("https://{address}")
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn kubeconfig(directory: &Path, server: &str, cluster: &str, user: &str) -> std::path::PathBuf {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: there\n\
         contexts: [{{name: elsewhere, context: {{cluster: no, user: no}}}}, {{name: there, context: {{cluster: c, user: u, namespace: x}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{server}', {cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    );
    let path = directory.join("kubeconfig");
    std::fs::write(&path, text).expect("a file");
    path
}

#[tokio::test]
async fn a_kubeconfig_with_data_and_files_makes_an_authenticated_http_2_connection() {
    let authority = Authority::new();
    let server = serve(&authority).await;
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = authority.issue("me", &[]);
    std::fs::write(directory.path().join("me.pem"), certificate.pem()).expect("a file");
    let cluster = format!("certificate-authority-data: {}", base64(&authority.0.pem()));
    let user = format!("client-certificate: me.pem, client-key-data: {}", base64(&key.serialize_pem()));
    let path = kubeconfig(directory.path(), &server, &cluster, &user);
    let client = Client::from_kubeconfig(&path).expect("a client");
    let answer: ConfigMap = client.get("default", "x").await.expect("an answer");
    let data = answer.data.expect("data");
    assert_eq!((data["version"].as_str(), data["known"].as_str()), ("HTTP/2.0", "true"));
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted_unless_told_so() {
    let authority = Authority::new();
    let server = serve(&authority).await;
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = authority.issue("me", &[]);
    let user = format!(
        "client-certificate-data: {}, client-key-data: {}",
        base64(&certificate.pem()),
        base64(&key.serialize_pem())
    );
    let other = format!("certificate-authority-data: {}", base64(&Authority::new().0.pem()));
    let path = kubeconfig(directory.path(), &server, &other, &user);
    let client = Client::from_kubeconfig(&path).expect("a client");
    let error = client.get::<ConfigMap>("default", "x").await.expect_err("a stranger");
    assert!(matches!(error, informer::Error::Transport(_)), "{error}");
    let path = kubeconfig(directory.path(), &server, "insecure-skip-tls-verify: true", &user);
    let client = Client::from_kubeconfig(&path).expect("a client");
    client.get::<ConfigMap>("default", "x").await.expect("told not to look");
}

#[test]
fn a_kubeconfig_without_its_context_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("kubeconfig");
    std::fs::write(&path, "current-context: here\n").expect("a file");
    let Err(error) = Client::from_kubeconfig(&path) else { panic!("there is no context") };
    assert!(error.to_string().ends_with("kubeconfig: no context \"here\""), "{error}");
    assert!(Client::from_kubeconfig(&directory.path().join("nothing")).is_err());
}
