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
use std::time::{Duration, Instant};
use store::etcd::kv_client::KvClient;
use store::etcd::{CompactionRequest, RangeRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

/// Longer than anything here takes; a test that waits for ever fails instead.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(clap::Parser)]
struct StoreArgs {
    #[command(flatten)]
    store: store::Args,
}

#[derive(clap::Parser)]
struct ServerArgs {
    #[command(flatten)]
    server: apiserver::Args,
}

pub struct Cluster {
    directory: tempfile::TempDir,
    store_socket: Option<TcpListener>,
    store_url: String,
    store: Option<Runtime>,
    etcd: Option<Child>,
    server: Option<Runtime>,
    pub address: String,
}

/// Two authorities. One signs a server's certificate for 127.0.0.1 and an administrator's; the other signs
/// those of proxies in front of the server: one that it knows, and an impostor.
fn certificates(directory: &std::path::Path) {
    let (server, client) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
    authority(directory, "ca", &[("server", "", server), ("admin", "system:masters", client.clone())]);
    authority(directory, "front-ca", &[("front", "", client.clone()), ("impostor", "", client)]);
}

/// An authority, and what it has signed: names, organisations, what for.
fn authority(directory: &std::path::Path, name: &str, signed: &[(&str, &str, ExtendedKeyUsagePurpose)]) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, name);
    let ca_cert = ca.self_signed(&ca_key).expect("a certificate");
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).expect("a file");
    write(&format!("{name}.crt"), ca_cert.pem());
    let issuer = Issuer::new(ca, ca_key);
    for (name, organisation, usage) in signed {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, *name);
        params.distinguished_name.push(DnType::OrganizationName, *organisation);
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().expect("an address")));
        params.extended_key_usages.push(usage.clone());
        write(&format!("{name}.crt"), params.signed_by(&key, &issuer).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

/// A server on this store, and where it listens.
fn start_server(directory: &std::path::Path, store_url: &str) -> (Runtime, String) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address").to_string();
    let file = |name: &str| directory.join(name);
    let file = |name: &str| file(name).display().to_string();
    let flags = [
        ("etcd-servers", store_url.to_string()),
        ("bind-address", "127.0.0.1".into()),
        ("secure-port", "0".into()),
        ("listen-fd", socket.into_raw_fd().to_string()),
        // A documentation address: nothing is ever sent there.
        ("advertise-address", "192.0.2.1".into()),
        ("tls-cert-file", file("server.crt")),
        ("tls-private-key-file", file("server.key")),
        ("client-ca-file", file("ca.crt")),
        ("kubelet-client-certificate", file("admin.crt")),
        ("kubelet-client-key", file("admin.key")),
        ("kubelet-certificate-authority", file("ca.crt")),
        ("proxy-client-cert-file", file("front.crt")),
        ("proxy-client-key-file", file("front.key")),
        ("requestheader-client-ca-file", file("front-ca.crt")),
        ("requestheader-allowed-names", "front".into()),
        // No controller makes accounts here.
        ("disable-admission-plugins", "ServiceAccount".into()),
    ];
    let flags = flags.into_iter().map(|(name, value)| format!("--{name}={value}"));
    let args = ServerArgs::parse_from(std::iter::once("apiserver".to_string()).chain(flags)).server;
    let server = Runtime::new().expect("a runtime");
    server.spawn(async move { apiserver::serve(args, std::future::pending()).await.expect("serves") });
    (server, address)
}

impl Cluster {
    /// Both run, and what the cluster starts with is there.
    pub async fn start() -> Cluster {
        let store_socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let store_url = format!("http://{}", store_socket.local_addr().expect("an address"));
        let mut cluster = Cluster::begin(Some(store_socket), store_url).await;
        cluster.start_store();
        cluster.ready().await;
        cluster
    }

    /// The same on a real etcd, if this machine has one.
    pub async fn start_on_etcd() -> Option<Cluster> {
        // It opens its own sockets. All of 127.0.0.0/8 is this machine's: nobody else takes this address.
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let host = std::net::Ipv4Addr::new(127, 64 | high, middle, low);
        let (client, peer) = (format!("http://{host}:2379"), format!("http://{host}:2380"));
        let mut cluster = Cluster::begin(None, client.clone()).await;
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

    async fn begin(store_socket: Option<TcpListener>, store_url: String) -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        certificates(directory.path());
        let (server, address) = start_server(directory.path(), &store_url);
        Cluster { directory, store_socket, store_url, store: None, etcd: None, server: Some(server), address }
    }

    /// Another server takes the place of the present one: it knows what the store knows.
    pub async fn replace_server(&mut self) {
        if let Some(runtime) = self.server.take() {
            runtime.shutdown_background();
        }
        let (server, address) = start_server(self.directory.path(), &self.store_url);
        (self.server, self.address) = (Some(server), address);
        self.ready().await;
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
        let runtime = Runtime::new().expect("a runtime");
        runtime.spawn(async move {
            let until = Instant::now() + PATIENCE;
            loop {
                let socket = socket.try_clone().expect("a socket").into_raw_fd().to_string();
                let args = StoreArgs::parse_from(["store", "--data-dir", &data, "--listen-fd", &socket]);
                match store::run(args.store).await {
                    // One that was killed lets go of its directory a moment later.
                    Err(error) if Instant::now() < until => println!("the store waits: {error:#}"),
                    ended => return ended.expect("serves"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        self.store = Some(runtime);
    }

    /// The store forgets everything before its newest revision.
    pub async fn compact_store(&self) {
        let address =
            self.store_socket.as_ref().expect("the store is ours").local_addr().expect("an address");
        let mut kv = KvClient::connect(format!("http://{address}")).await.expect("connects");
        let range = RangeRequest { key: Bytes::from_static(b"/"), count_only: true, ..Default::default() };
        let revision =
            kv.range(range).await.expect("an answer").into_inner().header.expect("a header").revision;
        let compaction = CompactionRequest { revision, physical: true };
        // Somebody else may have been here before.
        let _ = kv.compact(compaction).await;
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
        self.client("admin")
    }

    /// Who shows the certificate of this name.
    pub fn client(&self, name: &str) -> Client {
        Client::new(self, Some(name))
    }

    pub fn stranger(&self) -> Client {
        Client::new(self, None)
    }

    /// Run kubectl as the administrator; what it printed.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        let output = self.run_kubectl(args).await;
        assert!(output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Run kubectl, which must fail; what it complained of.
    pub async fn kubectl_fails(&self, args: &[&str]) -> String {
        let output = self.run_kubectl(args).await;
        assert!(!output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
    }

    async fn run_kubectl(&self, args: &[&str]) -> std::process::Output {
        let file = |name: &str| self.file(name).display().to_string();
        let mut command = tokio::process::Command::new("kubectl");
        command.args(["--kubeconfig", "/dev/null", "--server", &format!("https://{}", self.address)]);
        command.args(["--certificate-authority", &file("ca.crt")]);
        command.args(["--client-certificate", &file("admin.crt"), "--client-key", &file("admin.key")]);
        command.args(["--cache-dir", &file("cache")]).args(args).env("KUBE_EDITOR", "true");
        tokio::time::timeout(PATIENCE, command.output()).await.expect("in time").expect("kubectl runs")
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
    /// Sent with every request.
    headers: Vec<(String, String)>,
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
        Client { address: cluster.address.clone(), tls: Arc::new(tls), headers: Vec::new() }
    }

    /// The same client with one more header on each request.
    pub fn with(mut self, name: &str, value: &str) -> Client {
        self.headers.push((name.into(), value.into()));
        self
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
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request
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
        // A path that is nobody's is answered in words.
        let words = || Value::from(std::str::from_utf8(&bytes).expect("JSON or text"));
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| words()))
    }

    pub async fn get(&self, url: &str) -> (u16, Value) {
        self.json("GET", url, "", "").await
    }

    /// In another form than plain JSON.
    pub async fn get_as(&self, url: &str, accept: &str) -> (u16, Value) {
        let request = http::Request::builder()
            .uri(url)
            .header("host", &self.address)
            .header("accept", accept)
            .body(Full::default())
            .expect("a request");
        let sent = async { self.connect().await.send_request(request).await.expect("an answer") };
        let answer = tokio::time::timeout(PATIENCE, sent).await.expect("in time");
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    pub async fn get_text(&self, url: &str) -> (u16, String) {
        let answer = self.send("GET", url, "", "").await;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The status and the headers of the answer to a GET.
    pub async fn head(&self, url: &str) -> (u16, http::HeaderMap) {
        let answer = self.send("GET", url, "", "").await;
        (answer.status().as_u16(), answer.headers().clone())
    }

    /// Any method, and the whole answer: status, the header `Location`, and text.
    pub async fn ask(&self, method: &str, url: &str, body: &str) -> (u16, String, String) {
        let answer = self.send(method, url, "text/plain", body).await;
        let location = answer.headers().get("location").map(|l| l.to_str().expect("text").to_string());
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, location.unwrap_or_default(), String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Any request, and the whole answer: status, headers, bytes.
    pub async fn exchange(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, http::HeaderMap, Bytes) {
        let mut request = http::Request::builder().method(method).uri(url).header("host", &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let request = request.body(body).expect("a request");
        let exchange = async {
            let answer = self.connect().await.send_request(request).await.expect("an answer");
            let (head, body) = answer.into_parts();
            (head.status.as_u16(), head.headers, body.collect().await.expect("a body").to_bytes())
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("in time")
    }

    pub async fn post(&self, url: &str, body: Value) -> (u16, Value) {
        self.json("POST", url, "application/json", &body.to_string()).await
    }

    /// A write while the store comes back.
    pub async fn post_until_accepted(&self, url: &str, body: Value) {
        let accepted = async { while self.post(url, body.clone()).await.0 == 503 {} };
        tokio::time::timeout(PATIENCE, accepted).await.expect("the store comes back");
    }

    /// The `Warning` headers of an answer.
    pub async fn warnings(&self, method: &str, url: &str, body: Value) -> Vec<String> {
        let answer = self.send(method, url, "application/json", &body.to_string()).await;
        let all = answer.headers().get_all("warning").iter();
        all.filter_map(|value| value.to_str().ok().map(str::to_string)).collect()
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
        self.try_watch(url).await.expect("a watch")
    }

    /// A watch, if the server can serve it now.
    pub async fn try_watch(&self, url: &str) -> Option<Watch> {
        let answer = self.send("GET", url, "", "").await;
        (answer.status() == 200).then(|| Watch { body: answer.into_body(), rest: Vec::new() })
    }

    /// A watch of another form than plain JSON.
    pub async fn watch_as(&self, url: &str, accept: &str) -> Watch {
        let client = Client { headers: vec![("accept".into(), accept.into())], ..self.clone() };
        client.watch(url).await
    }

    /// Upgrade, send some bytes, and read what comes back until the other side ends.
    pub async fn upgrade(&self, url: &str, bytes: &[u8]) -> String {
        let answer = self.ask_upgrade(url).await;
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

    /// The answer to an upgrade that may be refused.
    pub async fn ask_upgrade(&self, url: &str) -> http::Response<Incoming> {
        let request = http::Request::builder()
            .uri(url)
            .header("host", &self.address)
            .header("connection", "Upgrade")
            .header("upgrade", "test")
            .body(Full::default())
            .expect("a request");
        self.connect().await.send_request(request).await.expect("an answer")
    }
}

pub struct Watch {
    body: Incoming,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event, as "TYPE name".
    pub async fn next(&mut self) -> String {
        let event = self.event().await.expect("the watch goes on");
        let text = |v: &Value| v.as_str().unwrap_or("?").to_string();
        format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }

    /// The next event; none when the server ended the watch.
    pub async fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("JSON"));
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event in time");
            self.rest.extend_from_slice(frame?.expect("a frame").data_ref().expect("data"));
        }
    }
}
