//! The process: flags, sockets, the loop.

use crate::app::App;
use crate::etcd::Store;
use crate::handler;
use crate::heart::alloc::ServiceNet;
use crate::proxy::Kubelets;
use crate::{seed, tls};
use anyhow::Context as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{FromRawFd as _, RawFd};
use std::path::PathBuf;
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
    // A client may also show no certificate, and a token instead.
    let clients = args.client_ca_file.as_deref().map_or(Clients::Anybody, Clients::MayShow);
    let alpn: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let config = store::tls::server_config(&args.tls_cert_file, &args.tls_private_key_file, clients, &alpn)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listeners = listeners(&args).await?;
    let app = Arc::new(app(&args)?);
    let advertise = advertised(&args, &listeners);
    let (sender, mut events) = mpsc::channel(MAX_ACCEPTED);
    for listener in listeners {
        tokio::spawn(accept(listener, sender.clone()));
    }
    let feeding = tokio::spawn({
        let app = app.clone();
        async move { app.caches.feed(&app.store).await }
    });
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
                tokio::spawn(connection(app.clone(), acceptor.clone(), stream, done.clone()));
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
    let knows_clients = args.client_ca_file.is_some();
    Ok(App::new(
        Store::new(&args.etcd_servers, &etcd)?,
        net,
        Kubelets::new(&kubelet)?,
        address,
        knows_clients,
    ))
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

async fn connection(app: Arc<App>, acceptor: TlsAcceptor, stream: TcpStream, _done: mpsc::Sender<()>) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake timed out"),
    };
    let user = tls::user_of(stream.get_ref().1.peer_certificates().and_then(|c| c.first()));
    let mut stopping = app.stopping.subscribe();
    let service = service_fn(move |request| {
        let (app, user) = (app.clone(), user.clone());
        async move { Ok::<_, Infallible>(handler::serve(app, user, request).await) }
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
