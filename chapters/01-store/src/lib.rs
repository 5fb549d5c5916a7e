//! # The store as a server: etcd's v3 API on one node
//!
//! The core (solutions/01-store) is a value that changes by commands. Around it there must be a
//! process that speaks etcd's protocol, keeps its word over a crash, and lets no client harm
//! another.
//!
//! ```text
//!  etcdctl, API server
//!        │ gRPC, plain or TLS
//!  ┌─────▼─────┐   ┌──────────────┐  Request   ┌──────────┐   Ask    ┌───────────────┐
//!  │ listen.rs ├──►│ service.rs   ├───────────►│ server.rs├─────────►│ log_thread.rs │
//!  │ sockets   │   │ watch_service│◄───────────┤ the loop │◄─────────┤ write, fsync  │
//!  └───────────┘   │ convert.rs   │  answers,  │ owns the │ Journal- │ disk/: data   │
//!                  └──────────────┘  Delivery  │ core     │ Event    │ directory     │
//!                                              └──────────┘          └───────────────┘
//! ```
//!
//! One loop owns the store and sees every event of the process (`enum Event` in `server.rs`).
//! Clients' requests reach it through one bounded queue. Reads are answered at once. Writes go to the
//! *journal*, which puts them on disk: those that gather while the disk is busy share the next
//! `fdatasync` (group commit). They are applied, told to watchers and answered when it has returned.
//!
//! The loop knows no disk and no other members, only a [`journal::Journal`], and the services know
//! other members only as [`peers::Peers`]. So chapter 02 gives both something else to hold on to
//! ([`serve_with`]), and nothing here changes.
//!
//! ## Invariants
//!
//! 1. Nobody is told of a write, by answer, read or watch, before it is on disk.
//! 2. A disk that fails ends the process. It is never written to again in the hope that it works.
//! 3. At start the store is the snapshot and every whole batch of the log after it. A tail torn by
//!    a crash is cut; anything else that is not right is refused with the file, the byte and what
//!    to do, and nothing is changed.
//! 4. The log is cut when it has grown larger than the data (and 8 MiB), so disk and time to start
//!    are bounded by the data.
//! 5. A client that does not read holds up nobody and costs a bounded amount of memory: its events
//!    stay in the store until it has taken those that it was sent.
//! 6. Codes and texts of errors are etcd's, for clients compare them.
//!
//! ## What is left out
//!
//! Members, elections and `/registry` on three machines: that is chapter 02. Users and roles, the space quota and its alarm, lease checkpoints, the HTTP gateway,
//! `/metrics`. The answer to `Snapshot` is in our own format, which a real etcd cannot restore. In
//! etcd: `server/etcdserver/v3_server.go` (a request's way through raft), `server/etcdserver/api/v3rpc`
//! (services; `watch.go` beside our `watch_service.rs`), `server/storage/wal`.
//!
//! A limit of the HTTP/2 library: an `:authority` with a scheme in it is refused, which is what
//! etcdctl 3.4 sends for `endpoint status`, `defrag` and `endpoint hashkv` when `--endpoints` has
//! `http://`. Without the scheme (`--endpoints 127.0.0.1:2379`) they work.

#[cfg(feature = "lab")]
pub use store_lab as heart;
#[cfg(not(feature = "lab"))]
pub use store_solution as heart;

mod auth;
mod convert;
pub mod disk;
pub mod etcd;
pub mod journal;
pub mod listen;
mod local;
mod log_thread;
pub mod peers;
mod proposals;
mod reads;
mod request;
mod server;
mod service;
mod watch_service;

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_stream::wrappers::ReceiverStream;
use tracing::info;

use listen::{Door, TlsFiles};
use peers::{Alone, Peers};
use service::{Identity, MAX_MESSAGE_BYTES, Service};

pub use local::{Local, Queue, local};

/// How long clients that have requests under way may take to end when the store is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// etcd's flags, as far as one node needs them.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// Name of this member.
    #[arg(long, default_value = "default")]
    pub name: String,
    /// Where the data is kept [default: NAME.etcd].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// URLs to listen on for clients, separated by commas [default: http://localhost:2379, unless
    /// --listen-fd is given].
    #[arg(long, value_delimiter = ',')]
    pub listen_client_urls: Vec<String>,
    /// URLs that members lists tell clients [default: those that are listened on].
    #[arg(long, value_delimiter = ',')]
    pub advertise_client_urls: Vec<String>,
    /// A socket that listens already, by its number. May be repeated. It speaks TLS when there is
    /// a certificate.
    #[arg(long)]
    pub listen_fd: Vec<RawFd>,
    /// The server's certificate, and what leads from it to its authority (PEM).
    #[arg(long)]
    pub cert_file: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long)]
    pub key_file: Option<PathBuf>,
    /// Who signs clients' certificates (PEM).
    #[arg(long)]
    pub trusted_ca_file: Option<PathBuf>,
    /// Serve only clients with a certificate.
    #[arg(long)]
    pub client_cert_auth: bool,
}

impl Args {
    fn client_urls(&self) -> Vec<String> {
        if self.listen_client_urls.is_empty() && self.listen_fd.is_empty() {
            return vec!["http://localhost:2379".into()];
        }
        self.listen_client_urls.clone()
    }

    /// What members lists tell clients.
    pub fn advertised(&self) -> Vec<String> {
        if self.advertise_client_urls.is_empty() {
            return self.client_urls();
        }
        self.advertise_client_urls.clone()
    }

    /// Where the data is kept.
    pub fn dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", self.name).into())
    }

    /// Opens the doors for clients.
    pub async fn listen(&self) -> anyhow::Result<Vec<Door>> {
        let files = TlsFiles {
            cert: self.cert_file.clone(),
            key: self.key_file.clone(),
            trusted_ca: self.trusted_ca_file.clone(),
            client_cert_auth: self.client_cert_auth,
        };
        let tls = listen::tls(&files, &[b"h2"])
            .context("--cert-file, --key-file, --client-cert-auth and --trusted-ca-file")?;
        listen::open(&self.client_urls(), &self.listen_fd, tls).await
    }

    /// The same name gives the same numbers after a restart.
    fn myself(&self) -> etcd::Member {
        etcd::Member {
            id: number(&["coracle", "member", &self.name]),
            name: self.name.clone(),
            peer_urls: vec!["http://localhost:2380".into()],
            client_urls: self.advertised(),
            is_learner: false,
        }
    }
}

/// FNV-1a.
fn number(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |n, byte| (n ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    serve(args, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// Serves, alone, until `stop` is ready. An error means that the store could not start, or that its
/// disk failed; what was answered is safe in any case.
pub async fn serve(args: Args, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let myself = args.myself();
    // Clients may connect at once, and wait while the data is read.
    let doors = args.listen().await?;
    let (dir, member_id) = (args.dir(), myself.id);
    let opened = tokio::task::spawn_blocking(move || log_thread::open(&dir, member_id));
    let (local, queue) = local();
    let parts = Parts {
        doors,
        opened: opened.await??,
        local,
        queue,
        peers: Arc::new(Alone { myself }),
        cluster_id: number(&["coracle", "cluster"]),
        member_id,
    };
    serve_with(parts, stop).await
}

/// What a member is made of.
pub struct Parts {
    /// For clients.
    pub doors: Vec<Door>,
    pub opened: journal::Opened,
    /// Both ends of [`local()`]: whoever makes them may keep a [`Local`] to answer other members with.
    pub local: Local,
    pub queue: Queue,
    pub peers: Arc<dyn Peers>,
    pub cluster_id: u64,
    pub member_id: u64,
}

/// Serves clients until `stop` is ready, as a member of whatever cluster the parts know of. When it
/// is back, the journal has ended.
pub async fn serve_with(parts: Parts, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Parts { doors, opened, local, queue, peers, cluster_id, member_id } = parts;
    let identity = Identity { cluster_id, member_id, standing: opened.journal.standing.clone() };
    let (stop_server, stopped) = oneshot::channel();
    let mut server = tokio::spawn(server::Server::new(opened, queue.0, stopped).run());

    let service = Service::new(local, peers, identity);
    let (stop_serving, closing) = oneshot::channel::<()>();
    let router = tonic::transport::Server::builder()
        .max_concurrent_streams(u32::MAX)
        .add_service(
            etcd::kv_server::KvServer::new(service.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(etcd::watch_server::WatchServer::new(service.clone()))
        .add_service(etcd::lease_server::LeaseServer::new(service.clone()))
        .add_service(etcd::cluster_server::ClusterServer::new(service.clone()))
        .add_service(etcd::maintenance_server::MaintenanceServer::new(service));
    let connections = ReceiverStream::new(listen::accept(doors));
    let serving = router.serve_with_incoming_shutdown(connections, async {
        // Dropping the sender is a signal too.
        let _ = closing.await;
    });
    let mut serving = tokio::spawn(serving);

    let stopping = tokio::select! {
        () = stop => true,
        result = &mut server => {
            result.context("the store's loop has ended")??;
            false
        }
        result = &mut serving => {
            result.context("the server has ended")?.context("cannot serve")?;
            false
        }
    };
    info!("stopping");
    let _ = stop_server.send(());
    let _ = stop_serving.send(());
    if stopping {
        server.await.context("the store's loop has ended")??;
        // Connections that stay open do not hold the store back.
        let _ = tokio::time::timeout(GRACE, serving).await;
    }
    Ok(())
}
