//! A store and an API server in this process, and clients for them.

use bytes::Bytes;
use clap::Parser as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::net::TcpListener;
use std::os::fd::IntoRawFd as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

/// Longer than anything here takes; a test that waits for ever fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(clap::Parser)]
struct StoreArgs {
    #[command(flatten)]
    store: store::Args,
}

pub struct Cluster {
    directory: tempfile::TempDir,
    store_socket: Option<TcpListener>,
    store: Option<Runtime>,
    etcd: Option<Child>,
    server: Option<Runtime>,
    pub address: String,
}

/// A certificate authority, a server's certificate for 127.0.0.1, and an administrator's.
fn certificates(directory: &std::path::Path) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "ca");
    let ca_cert = ca.self_signed(&ca_key).expect("a certificate");
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).expect("a file");
    write("ca.crt", ca_cert.pem());
    let issuer = Issuer::new(ca, ca_key);
    for (name, organisation, usage) in [
        ("server", "", ExtendedKeyUsagePurpose::ServerAuth),
        ("admin", "system:masters", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().expect("an address")));
        params.extended_key_usages.push(usage);
        write(&format!("{name}.crt"), params.signed_by(&key, &issuer).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

impl Cluster {
    /// Both run, and what the cluster starts with is there.
    pub async fn start() -> Cluster {
        let mut cluster = Cluster::begin().await;
        cluster.start_store();
        cluster.ready().await;
        cluster
    }

    /// The same on a real etcd, if this machine has one.
    pub async fn start_on_etcd() -> Option<Cluster> {
        let mut cluster = Cluster::begin().await;
        let client = cluster.store_socket.as_ref().expect("it is new").local_addr().expect("an address");
        let client = format!("http://{client}");
        // It opens its own sockets, on ports that were free just now.
        let free = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let peer = format!("http://{}", free.local_addr().expect("an address"));
        drop(free);
        cluster.store_socket = None;
        let etcd = std::process::Command::new("etcd")
            .arg("--data-dir")
            .arg(cluster.directory.path().join("etcd"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        cluster.etcd = Some(etcd.ok()?);
        cluster.ready().await;
        Some(cluster)
    }

    async fn begin() -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        certificates(directory.path());
        let store_socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("an address").to_string();
        let file = |name: &str| directory.path().join(name);
        let args = apiserver::Args {
            etcd_servers: format!("http://{}", store_socket.local_addr().expect("an address")),
            etcd_cafile: None,
            etcd_certfile: None,
            etcd_keyfile: None,
            bind_address: "127.0.0.1".parse().expect("an address"),
            secure_port: 0,
            listen_fd: vec![socket.into_raw_fd()],
            // A documentation address: nothing is ever sent there.
            advertise_address: Some("192.0.2.1".parse().expect("an address")),
            tls_cert_file: file("server.crt"),
            tls_private_key_file: file("server.key"),
            client_ca_file: Some(file("ca.crt")),
            kubelet_client_certificate: Some(file("admin.crt")),
            kubelet_client_key: Some(file("admin.key")),
            kubelet_certificate_authority: Some(file("ca.crt")),
            service_cluster_ip_range: "10.96.0.0/16".into(),
            service_node_port_range: "30000-32767".into(),
        };
        let server = Runtime::new().expect("a runtime");
        server.spawn(async move { apiserver::serve(args, std::future::pending()).await.expect("serves") });
        Cluster {
            directory,
            store_socket: Some(store_socket),
            store: None,
            etcd: None,
            server: Some(server),
            address,
        }
    }

    async fn ready(&self) {
        let admin = self.admin();
        let ready = async {
            while admin.get_text("/readyz").await.0 != 200 {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("the server becomes ready");
    }

    /// The store's socket stays with us, as it stays with the sandbox's first process.
    pub fn start_store(&mut self) {
        let socket = self.store_socket.as_ref().expect("the store is ours").try_clone().expect("a socket");
        let data = self.directory.path().join("store").display().to_string();
        let args = StoreArgs::parse_from([
            "store",
            "--data-dir",
            &data,
            "--listen-fd",
            &socket.into_raw_fd().to_string(),
        ]);
        let runtime = Runtime::new().expect("a runtime");
        runtime.spawn(async move { store::run(args.store).await.expect("serves") });
        self.store = Some(runtime);
    }

    /// Everything that the store was doing ends where it is.
    pub fn kill_store(&mut self) {
        if let Some(runtime) = self.store.take() {
            runtime.shutdown_background();
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.file(name), text).expect("a file");
        self.file(name).display().to_string()
    }

    pub fn admin(&self) -> Client {
        Client::new(self, Some("admin"))
    }

    pub fn stranger(&self) -> Client {
        Client::new(self, None)
    }

    /// Run kubectl as the administrator; what it printed.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        let file = |name: &str| self.file(name).display().to_string();
        let mut command = tokio::process::Command::new("kubectl");
        command.args(["--kubeconfig", "/dev/null", "--server", &format!("https://{}", self.address)]);
        command.args(["--certificate-authority", &file("ca.crt")]);
        command.args(["--client-certificate", &file("admin.crt"), "--client-key", &file("admin.key")]);
        command.args(["--cache-dir", &file("cache")]).args(args);
        let output =
            tokio::time::timeout(PATIENCE, command.output()).await.expect("in time").expect("kubectl runs");
        assert!(output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for runtime in [self.store.take(), self.server.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
        if let Some(mut etcd) = self.etcd.take() {
            // It may be gone already.
            let _ = etcd.kill();
            let _ = etcd.wait();
        }
    }
}

/// One connection a request: simple, and slow is fast enough.
#[derive(Clone)]
pub struct Client {
    address: String,
    tls: Arc<rustls::ClientConfig>,
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

impl Client {
    fn new(cluster: &Cluster, user: Option<&str>) -> Client {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(cluster.file("ca.crt")).expect("a certificate"))
            .expect("a root");
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let tls = match user {
            None => builder.with_no_client_auth(),
            Some(user) => {
                let cert = CertificateDer::from_pem_file(cluster.file(&format!("{user}.crt")))
                    .expect("a certificate");
                let key = PrivateKeyDer::from_pem_file(cluster.file(&format!("{user}.key"))).expect("a key");
                builder.with_client_auth_cert(vec![cert], key).expect("a client")
            }
        };
        Client { address: cluster.address.clone(), tls: Arc::new(tls) }
    }

    async fn connect(&self) -> Sender {
        let stream = tokio::net::TcpStream::connect(&self.address).await.expect("connects");
        let name = "127.0.0.1".try_into().expect("a name");
        let stream =
            tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, stream).await.expect("TLS");
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection.with_upgrades());
        sender
    }

    async fn send(
        &self,
        method: &str,
        url: &str,
        content_type: &str,
        body: &str,
    ) -> http::Response<Incoming> {
        let request = http::Request::builder()
            .method(method)
            .uri(url)
            .header("host", &self.address)
            .header("content-type", content_type)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .expect("a request");
        let sent = async { self.connect().await.send_request(request).await.expect("an answer") };
        tokio::time::timeout(PATIENCE, sent).await.expect("in time")
    }

    async fn json(&self, method: &str, url: &str, content_type: &str, body: &str) -> (u16, Value) {
        let answer = self.send(method, url, content_type, body).await;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    pub async fn get(&self, url: &str) -> (u16, Value) {
        self.json("GET", url, "", "").await
    }

    pub async fn get_text(&self, url: &str) -> (u16, String) {
        let answer = self.send("GET", url, "", "").await;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    pub async fn post(&self, url: &str, body: Value) -> (u16, Value) {
        self.json("POST", url, "application/json", &body.to_string()).await
    }

    /// A write while the store comes back.
    pub async fn post_until_accepted(&self, url: &str, body: Value) {
        let accepted = async { while self.post(url, body.clone()).await.0 == 503 {} };
        tokio::time::timeout(PATIENCE, accepted).await.expect("the store comes back");
    }

    pub async fn put(&self, url: &str, body: Value) -> (u16, Value) {
        self.json("PUT", url, "application/json", &body.to_string()).await
    }

    pub async fn patch(&self, url: &str, content_type: &str, body: Value) -> (u16, Value) {
        self.json("PATCH", url, content_type, &body.to_string()).await
    }

    pub async fn delete(&self, url: &str) -> (u16, Value) {
        self.json("DELETE", url, "application/json", "").await
    }

    pub async fn watch(&self, url: &str) -> Watch {
        let answer = self.send("GET", url, "", "").await;
        assert_eq!(answer.status(), 200);
        Watch { body: answer.into_body(), rest: Vec::new() }
    }

    /// Upgrade, send some bytes, and read what comes back until the other side ends.
    pub async fn upgrade(&self, url: &str, bytes: &[u8]) -> String {
        let request = http::Request::builder()
            .uri(url)
            .header("host", &self.address)
            .header("connection", "Upgrade")
            .header("upgrade", "test")
            .body(Full::default())
            .expect("a request");
        let mut sender = self.connect().await;
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.headers()["upgrade"], "test");
        let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.expect("an upgrade"));
        stream.write_all(bytes).await.expect("sends");
        stream.shutdown().await.expect("ends");
        let mut text = String::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("in time");
        read.expect("reads");
        text
    }
}

pub struct Watch {
    body: Incoming,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event, as "TYPE name".
    pub async fn next(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).expect("JSON");
                let text = |v: &Value| v.as_str().unwrap_or("?").to_string();
                return format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"]));
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event in time");
            let frame = frame.expect("the watch goes on").expect("a frame");
            self.rest.extend_from_slice(frame.data_ref().expect("data"));
        }
    }
}
