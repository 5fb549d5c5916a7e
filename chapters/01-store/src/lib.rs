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
//! Members, elections and `/registry` on three machines: that is chapter 02. Tokens that are signed
//! (`--auth-token jwt`), the HTTP gateway, `/metrics`. The answer to `Snapshot` is in our own format,
//! which a real etcd cannot restore. In etcd: `server/etcdserver/v3_server.go` (a request's way through
//! raft), `server/etcdserver/api/v3rpc` (services; `watch.go` beside our `watch_service.rs`),
//! `server/auth` (beside our `auth.rs`), `server/storage/wal`.
//!
//! A limit of the HTTP/2 library: an `:authority` with a scheme in it is refused, which is what
//! etcdctl 3.4 sends for `endpoint status`, `defrag` and `endpoint hashkv` when `--endpoints` has
//! `http://`. Without the scheme (`--endpoints 127.0.0.1:2379`) they work.

#[cfg(feature = "lab")]
pub use store_lab as heart;
#[cfg(not(feature = "lab"))]
pub use store_solution as heart;

mod args;
mod auth;
pub mod cli;
mod cluster_service;
mod codec;
mod compactor;
mod connection;
mod convert;
pub mod dial;
pub mod disk;
mod duration;
pub mod etcd;
mod gate;
pub mod journal;
mod lease_service;
pub mod listen;
mod local;
mod log_thread;
mod maintenance_service;
pub mod peers;
mod proposals;
mod quota;
mod reads;
mod request;
pub mod saved;
mod server;
mod service;
pub mod tls;
mod watch_service;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::oneshot;
use tokio_stream::wrappers::ReceiverStream;
use tracing::info;

use auth::{AuthService, Guard, Sessions};
use gate::Gate;
use listen::Door;
use peers::{Alone, Peers};
use service::{Identity, Service};

pub use args::{Args, Settings};
pub use local::{Local, Queue, local};

/// How long clients that have requests under way may take to end when the store is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    serve(args, listen::told_to_stop()?).await
}

/// Serves, alone, until `stop` is ready. An error means that the store could not start, or that its
/// disk failed; what was answered is safe in any case.
pub async fn serve(args: Args, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let (settings, myself) = (args.settings()?, args.myself());
    // Clients may connect at once, and wait while the data is read.
    let doors = args.listen().await?;
    let (dir, member_id) = (args.dir(), myself.id);
    let opened = tokio::task::spawn_blocking(move || log_thread::open(&dir, member_id));
    let (local, queue) = local();
    let parts = Parts {
        settings,
        doors,
        opened: opened.await??,
        local,
        queue,
        peers: Arc::new(Alone { myself }),
        cluster_id: args::number(&["coracle", "cluster"]),
        member_id,
    };
    serve_with(parts, stop).await
}

/// What a member is made of.
pub struct Parts {
    /// [`Args::settings`].
    pub settings: Settings,
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
    let Parts { settings, doors, opened, local, queue, peers, cluster_id, member_id } = parts;
    let identity = Identity { cluster_id, member_id, standing: opened.journal.standing.clone() };
    let (stop_server, stopped) = oneshot::channel();
    let config = server::Config {
        member_id,
        quota_bytes: settings.limits.quota_bytes,
        progress_interval: settings.progress_interval,
    };
    let sessions = Arc::new(Sessions::new(&opened.store, opened.applied, settings.auth.token_ttl));
    let mut server =
        tokio::spawn(server::Server::new(config, sessions.clone(), opened, queue.0, stopped).run());
    if let Some(retention) = settings.retention {
        tokio::spawn(compactor::run(retention, local.clone(), identity.clone()));
    }

    let gate = Gate { identity: identity.clone(), peers: peers.clone() };
    let guard = Guard { sessions: sessions.clone(), local: local.clone() };
    let service = Service::new(local, peers, identity, settings.limits, sessions);
    let max_bytes = settings.limits.message_bytes();
    let (_health, health) = tonic_health::server::health_reporter();
    let (stop_serving, closing) = oneshot::channel::<()>();
    let router = tonic::transport::Server::builder()
        .max_concurrent_streams(settings.max_concurrent_streams.unwrap_or(u32::MAX))
        .http2_keepalive_interval(Some(settings.keepalive_interval))
        .http2_keepalive_timeout(Some(settings.keepalive_timeout))
        .layer(gate)
        .layer(guard)
        .add_service(etcd::kv_server::KvServer::new(service.clone()).max_decoding_message_size(max_bytes))
        .add_service(etcd::watch_server::WatchServer::new(service.clone()))
        .add_service(etcd::lease_server::LeaseServer::new(service.clone()))
        .add_service(etcd::cluster_server::ClusterServer::new(service.clone()))
        .add_service(etcd::maintenance_server::MaintenanceServer::new(service.clone()))
        .add_service(etcd::auth_server::AuthServer::new(AuthService::new(service, settings.auth)))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
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

/// For clients that ask which services and messages there are.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(etcd::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
