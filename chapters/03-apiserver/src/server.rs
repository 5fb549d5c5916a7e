//! The process: flags, sockets, the loop.

use crate::aggregation::Front;
use crate::app::App;
use crate::etcd::Store;
use crate::handler;
use crate::heart::alloc::ServiceNet;
use crate::identity::Tokens;
use crate::proxy::{Kubelets, Peer};
use crate::tls::Callers;
use crate::{admission, aggregation, custom, seed};
use anyhow::Context as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{FromRawFd as _, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::tls::{ClientFiles, Clients};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// Flags, named as upstream's.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// The store: an etcd v3 client URL.
    #[arg(long, default_value = "http://127.0.0.1:2379")]
    pub etcd_servers: String,
    #[arg(long)]
    pub etcd_cafile: Option<PathBuf>,
    #[arg(long)]
    pub etcd_certfile: Option<PathBuf>,
    #[arg(long)]
    pub etcd_keyfile: Option<PathBuf>,
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// 0 listens on inherited sockets alone.
    #[arg(long, default_value_t = 6443)]
    pub secure_port: u16,
    /// A socket that already listens; may be given several times.
    #[arg(long)]
    pub listen_fd: Vec<RawFd>,
    /// The address under which the cluster reaches this server: it stands behind the
    /// `kubernetes` service.
    #[arg(long)]
    pub advertise_address: Option<IpAddr>,
    #[arg(long)]
    pub tls_cert_file: PathBuf,
    #[arg(long)]
    pub tls_private_key_file: PathBuf,
    /// Clients with a certificate of this authority are who their certificate says.
    #[arg(long)]
    pub client_ca_file: Option<PathBuf>,
    #[arg(long)]
    pub kubelet_client_certificate: Option<PathBuf>,
    #[arg(long)]
    pub kubelet_client_key: Option<PathBuf>,
    #[arg(long)]
    pub kubelet_certificate_authority: Option<PathBuf>,
    /// The key that signs tokens of service accounts (P-256, PKCS#8, PEM). Without it this server
    /// makes one, and its tokens end with it.
    #[arg(long)]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// Who the tokens say that they are from.
    #[arg(long, default_value = "https://kubernetes.default.svc.cluster.local")]
    pub service_account_issuer: String,
    /// Whom a token is for when nobody is named; the issuer if not given.
    #[arg(long, value_delimiter = ',')]
    pub api_audiences: Vec<String>,
    /// What servers behind this one (APIService objects) are shown: a client certificate.
    #[arg(long)]
    pub proxy_client_cert_file: Option<PathBuf>,
    #[arg(long)]
    pub proxy_client_key_file: Option<PathBuf>,
    /// Who signs that certificate: servers behind this one read it in the ConfigMap
    /// `extension-apiserver-authentication`. And this server believes such a certificate itself, when it
    /// says in `X-Remote-User`, `X-Remote-Group` and `X-Remote-Extra-` for whom it speaks.
    #[arg(long)]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// The names that the certificate may have; any if none is given.
    #[arg(long, value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,
    /// What is not to be done to new objects, of what is done by default.
    #[arg(long, value_delimiter = ',')]
    pub disable_admission_plugins: Vec<admission::Plugin>,
    #[arg(long, default_value = "10.96.0.0/16")]
    pub service_cluster_ip_range: String,
    #[arg(long, default_value = "30000-32767")]
    pub service_node_port_range: String,
}

/// How often what must be there is looked after.
const KEEP_UP_EVERY: Duration = Duration::from_secs(10);
/// How long the store remembers what was (upstream: `--etcd-compaction-interval`).
const COMPACT_EVERY: Duration = Duration::from_secs(300);
/// Connections whose handshake is not finished; the next one waits in the kernel's queue.
const MAX_ACCEPTED: usize = 128;
/// A client that does not finish its handshake in this time is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

// ANCHOR: event
/// Everything that can happen to this process.
enum Event {
    Connection(TcpStream),
    /// Look after namespaces and the `kubernetes` service.
    KeepUp,
    /// Let the store forget what is older than the last time.
    Compact,
    Stop,
}
// ANCHOR_END: event

/// Serve until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    serve(args, store::listen::told_to_stop()?).await
}

/// Serve until `stop` is done.
pub async fn serve(args: Args, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let authorities = [&args.client_ca_file, &args.requestheader_client_ca_file];
    let authorities: Vec<&Path> = authorities.into_iter().flatten().map(PathBuf::as_path).collect();
    // A client may also show no certificate, and a token instead.
    let clients = if authorities.is_empty() { Clients::Anybody } else { Clients::MayShow(&authorities) };
    let alpn: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let config = store::tls::server_config(&args.tls_cert_file, &args.tls_private_key_file, clients, &alpn)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listeners = listeners(&args).await?;
    let app = Arc::new(app(&args)?);
    let callers = Arc::new(Callers::new(&args)?);
    let advertise = advertised(&args, &listeners);
    let (sender, mut events) = mpsc::channel(MAX_ACCEPTED);
    for listener in listeners {
        tokio::spawn(accept(listener, sender.clone()));
    }
    let feeding = tokio::spawn({
        let app = app.clone();
        async move { app.caches.feed(&app).await }
    });
    let settling = tokio::spawn(custom::run(app.clone()));
    let aggregating = tokio::spawn(aggregation::run(app.clone()));
    let checking = tokio::spawn(admission::status::run(app.clone()));
    let mut stop = std::pin::pin!(stop);
    let mut keep_up = tokio::time::interval(KEEP_UP_EVERY);
    keep_up.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut compact = tokio::time::interval_at(tokio::time::Instant::now() + COMPACT_EVERY, COMPACT_EVERY);
    let mut forgettable = 0;
    let (done, mut connections_ended) = mpsc::channel::<()>(1);
    loop {
        let event = tokio::select! {
            Some(stream) = events.recv() => Event::Connection(stream),
            _ = keep_up.tick() => Event::KeepUp,
            _ = compact.tick() => Event::Compact,
            () = stop.as_mut() => Event::Stop,
        };
        match event {
            Event::Connection(stream) => {
                tokio::spawn(connection(
                    app.clone(),
                    callers.clone(),
                    acceptor.clone(),
                    stream,
                    done.clone(),
                ));
            }
            Event::KeepUp => drop(tokio::spawn(look_after(app.clone(), advertise))),
            Event::Compact => {
                let revision = std::mem::replace(&mut forgettable, app.caches.revision());
                if revision > 0 {
                    tokio::spawn(compact_store(app.clone(), revision));
                }
            }
            Event::Stop => break,
        }
    }
    tracing::info!("stopping");
    app.stopping.send_replace(true);
    drop(done);
    let _ = tokio::time::timeout(GRACE, connections_ended.recv()).await;
    settling.abort();
    aggregating.abort();
    checking.abort();
    feeding.abort();
    Ok(())
}

fn app(args: &Args) -> anyhow::Result<App> {
    let etcd = ClientFiles {
        ca: args.etcd_cafile.clone(),
        cert: args.etcd_certfile.clone(),
        key: args.etcd_keyfile.clone(),
    };
    let kubelet = ClientFiles {
        ca: args.kubelet_certificate_authority.clone(),
        cert: args.kubelet_client_certificate.clone(),
        key: args.kubelet_client_key.clone(),
    };
    let net = ServiceNet::parse(&args.service_cluster_ip_range, &args.service_node_port_range)
        .context("--service-cluster-ip-range or --service-node-port-range is not a range")?;
    let address = format!("{}:{}", args.advertise_address.unwrap_or(args.bind_address), args.secure_port);
    let knows_clients = args.client_ca_file.is_some() || args.requestheader_client_ca_file.is_some();
    let mut app = App::new(
        Store::new(&args.etcd_servers, &etcd)?,
        net,
        Kubelets::new(&kubelet)?,
        Tokens::new(
            args.service_account_signing_key_file.as_deref(),
            &args.service_account_issuer,
            &args.api_audiences,
        )?,
        address,
        knows_clients,
        front(args)?,
    );
    app.disabled_plugins.clone_from(&args.disable_admission_plugins);
    Ok(app)
}

/// How servers behind this one are met, and what they must know to believe it.
fn front(args: &Args) -> anyhow::Result<Front> {
    let identity = ClientFiles {
        ca: None,
        cert: args.proxy_client_cert_file.clone(),
        key: args.proxy_client_key_file.clone(),
    };
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut known = serde_json::Map::new();
    if let Some(path) = &args.requestheader_client_ca_file {
        let list = |names: &[&str]| json!(names).to_string();
        known.insert("requestheader-client-ca-file".into(), json!(read(path)?));
        let allowed = json!(args.requestheader_allowed_names).to_string();
        known.insert("requestheader-allowed-names".into(), json!(allowed));
        known.insert("requestheader-username-headers".into(), json!(list(&["X-Remote-User"])));
        known.insert("requestheader-group-headers".into(), json!(list(&["X-Remote-Group"])));
        known.insert("requestheader-extra-headers-prefix".into(), json!(list(&["X-Remote-Extra-"])));
        if let Some(path) = &args.client_ca_file {
            known.insert("client-ca-file".into(), json!(read(path)?));
        }
    }
    Ok(Front::new(identity, known))
}

async fn listeners(args: &Args) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for fd in &args.listen_fd {
        // SAFETY: whoever started this process passed the descriptor for us alone to own.
        let socket = unsafe { std::net::TcpListener::from_raw_fd(*fd) };
        socket.set_nonblocking(true)?;
        listeners.push(TcpListener::from_std(socket).with_context(|| format!("--listen-fd {fd}"))?);
    }
    if args.secure_port != 0 {
        let address = SocketAddr::new(args.bind_address, args.secure_port);
        listeners
            .push(TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?);
    }
    anyhow::ensure!(
        !listeners.is_empty(),
        "neither --secure-port nor --listen-fd gives a socket to listen on"
    );
    for listener in &listeners {
        tracing::info!(address = %listener.local_addr()?, "listening");
    }
    Ok(listeners)
}

/// What stands behind the `kubernetes` service; nothing when no address of ours is known.
fn advertised(args: &Args, listeners: &[TcpListener]) -> Option<(IpAddr, u16)> {
    let port = match args.secure_port {
        0 => listeners.first()?.local_addr().ok()?.port(),
        port => port,
    };
    let bound = Some(args.bind_address).filter(|a| !a.is_unspecified() && !a.is_loopback());
    match args.advertise_address.or(bound) {
        Some(address) if !address.is_loopback() => Some((address, port)),
        _ => {
            tracing::warn!("no --advertise-address: the kubernetes service is not kept up");
            None
        }
    }
}

async fn accept(listener: TcpListener, connections: mpsc::Sender<TcpStream>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if connections.send(stream).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Out of descriptors, say: others will be closed.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn look_after(app: Arc<App>, advertise: Option<(IpAddr, u16)>) {
    app.caches.wait_synced().await;
    match seed::keep_up(&app, advertise).await {
        Ok(()) => {
            if !app.ready.swap(true, Ordering::AcqRel) {
                tracing::info!("ready");
            }
        }
        Err(error) => tracing::warn!(%error, "cannot make what the cluster starts with"),
    }
}

async fn compact_store(app: Arc<App>, revision: i64) {
    match app.store.compact(revision).await {
        Ok(()) => tracing::debug!(revision, "compacted"),
        // Another server was first, or the store is away: the next round will do.
        Err(error) => tracing::debug!(%error, revision, "not compacted"),
    }
}

async fn connection(
    app: Arc<App>,
    callers: Arc<Callers>,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    _done: mpsc::Sender<()>,
) {
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok().map(Peer);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake timed out"),
    };
    let caller = callers.caller(stream.get_ref().1.peer_certificates().unwrap_or_default());
    let mut stopping = app.stopping.subscribe();
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let (app, caller) = (app.clone(), caller.clone());
        async move { Ok::<_, Infallible>(handler::serve(app, caller, request).await) }
    });
    let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    server.http2().max_concurrent_streams(1000);
    let serving = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        // The guard that wait_for returns must not live into the branch.
        () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
