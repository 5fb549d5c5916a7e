//! The runtime process: starts, finds what an earlier one left, and serves CRI.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, anyhow};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnixListenerStream;

use crate::cgroup;
use crate::convert::Node;
use crate::cri;
use crate::cri::image_service_server::ImageServiceServer;
use crate::cri::runtime_service_server::RuntimeServiceServer;
use crate::heart::cgroups::Hierarchies;
use crate::heart::process::Exit;
use crate::images::{ImageStore, Layers};
use crate::network::Network;
use crate::shim::protocol::{Notice, Reply, Request, read_message};
use crate::shim_client::ShimClient;
use crate::state::{Container, ContainerRecord, Disk, Phase, Sandbox, SandboxRecord, State};
use crate::stream::Streams;
use crate::sys::{in_user_namespace, is_mapped, now_ns};

/// The container runtime: CRI on a Unix socket.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// What survives a reboot: records of pods and containers, their writable layers
    #[arg(long, default_value = "/var/lib/coracle/runtime")]
    pub root: PathBuf,
    /// What does not: sockets of shims
    #[arg(long, default_value = "/run/coracle/runtime")]
    pub state: PathBuf,
    /// Where to serve CRI
    #[arg(long, default_value = "unix:///run/coracle/runtime.sock")]
    pub address: String,
    /// OCI image layout, shared by all nodes
    #[arg(long, default_value = "/var/lib/coracle/images")]
    pub images: PathBuf,
    /// Unpacked layers, shared too; default: `layers` in the image directory
    #[arg(long)]
    pub layers: Option<PathBuf>,
    #[arg(long, default_value = "/opt/cni/bin", value_delimiter = ',')]
    pub cni_bin_dir: Vec<PathBuf>,
    #[arg(long, default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
    /// Where exec, attach and port-forward are streamed; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub streaming_address: std::net::SocketAddr,
    #[arg(long, default_value = "coracle/pause:1")]
    pub sandbox_image: String,
    /// Control group above those of the pods
    #[arg(long, default_value = "/coracle")]
    pub cgroup_parent: String,
}

/// What wakes the runtime besides calls: what shims say.
pub(crate) enum Event {
    /// A process of a pod has ended; the pod's own id stands for the pause process.
    Exited {
        sandbox: String,
        notice: Notice,
    },
    /// A shim is gone, and with it every process of the pod.
    ShimGone {
        sandbox: String,
    },
    Terminate,
}

/// Everything the calls work with.
pub(crate) struct Runtime {
    pub args: Args,
    pub disk: Disk,
    pub store: ImageStore,
    pub layers: Layers,
    pub trees: Hierarchies,
    pub network: Network,
    pub streams: Arc<Streams>,
    pub in_user_namespace: bool,
    tty_group: bool,
    state: Mutex<State>,
    /// Streams of GetContainerEvents. One that falls this far behind is ended: its kubelet asks
    /// again and lists.
    subscribers: Mutex<Vec<mpsc::Sender<Result<cri::ContainerEventResponse, tonic::Status>>>>,
    events: mpsc::UnboundedSender<Event>,
}

/// Events that a subscriber may leave unread.
const EVENT_QUEUE: usize = 1024;

/// Serves until SIGTERM. Pods go on without it.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let streams = Streams::bind(args.streaming_address).await?;
    // Unbounded, but every message stands for a process that ended.
    let (events, mut inbox) = mpsc::unbounded_channel();
    let runtime = Arc::new(Runtime::open(args, streams, events)?);
    runtime.recover().await?;
    tokio::spawn(crate::stream::serve(Arc::clone(&runtime)));
    tokio::spawn(unpack_sandbox_image(Arc::clone(&runtime)));

    let listener = listen(&runtime.args.address)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tonic::transport::Server::builder()
        .add_service(RuntimeServiceServer::new(crate::service::Service(Arc::clone(&runtime))))
        .add_service(ImageServiceServer::new(crate::image_service::Service(Arc::clone(&runtime))))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async {
            let _ = stopped.await;
        });
    let server = tokio::spawn(server);
    tracing::info!("runtime serves {}", runtime.args.address);

    loop {
        let event = tokio::select! {
            Some(event) = inbox.recv() => event,
            _ = terminate.recv() => Event::Terminate,
            _ = interrupt.recv() => Event::Terminate,
        };
        match event {
            Event::Exited { sandbox, notice } => runtime.handle_exit(&sandbox, notice),
            Event::ShimGone { sandbox } => runtime.handle_shim_gone(&sandbox),
            Event::Terminate => break,
        }
    }
    // Open event streams would hold a graceful end up for ever.
    drop(stop);
    runtime.lock_subscribers().clear();
    let _ = tokio::time::timeout(std::time::Duration::from_millis(200), server).await;
    Ok(())
}

/// Every pod needs it: the first one should not have to wait for it.
async fn unpack_sandbox_image(runtime: Arc<Runtime>) {
    let name = &runtime.args.sandbox_image;
    if let Ok(Some(image)) = runtime.store.find(name)
        && let Err(error) = runtime.unpacked(&image).await
    {
        tracing::warn!("sandbox image {name}: {error:#}");
    }
}

/// Listens on `unix:///path`, taking the place of a runtime that is gone.
fn listen(address: &str) -> anyhow::Result<UnixListener> {
    let path = Path::new(address.strip_prefix("unix://").unwrap_or(address));
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let _ = fs::remove_file(path);
    UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()))
}

impl Runtime {
    fn open(
        args: Args,
        streams: Arc<Streams>,
        events: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<Runtime> {
        let store = ImageStore::open(&args.images)?;
        let layers_dir = args.layers.clone().unwrap_or_else(|| args.images.join("layers"));
        let layers = Layers::open(&layers_dir)?;
        let layers = Layers::open(fs::canonicalize(layers.dir())?)?;
        let trees = cgroup::detect(&args.cgroup_parent);
        for missing in trees.not_enforced() {
            tracing::warn!(
                "limits: no {missing} controller can be used here: {missing} limits are not enforced"
            );
        }
        let network = Network { bin_dirs: args.cni_bin_dir.clone(), conf_dir: args.cni_conf_dir.clone() };
        Ok(Runtime {
            disk: Disk::open(&args.root, &args.state)?,
            store,
            layers,
            trees,
            network,
            streams,
            in_user_namespace: in_user_namespace(),
            tty_group: is_mapped("gid", 5),
            state: Mutex::default(),
            subscribers: Mutex::default(),
            events,
            args,
        })
    }

    pub fn node(&self) -> Node<'_> {
        Node {
            disk: &self.disk,
            trees: &self.trees,
            cgroup_parent: &self.args.cgroup_parent,
            layers_dir: self.layers.dir(),
            in_user_namespace: self.in_user_namespace,
            tty_group: self.tty_group,
        }
    }

    /// The state; held for a moment, never while waiting.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn shim(&self, sandbox: &str) -> ShimClient {
        ShimClient::new(self.disk.socket(sandbox))
    }

    /// Reads the records, and asks every shim how its pod is.
    async fn recover(&self) -> anyhow::Result<()> {
        let (sandboxes, containers) = self.disk.load()?;
        let mut by_sandbox: BTreeMap<String, Vec<ContainerRecord>> = BTreeMap::new();
        for record in containers {
            by_sandbox.entry(record.sandbox.clone()).or_default().push(record);
        }
        for record in sandboxes {
            if !record.complete {
                tracing::warn!("pod sandbox {} was left half made: removing it", record.id);
                self.discard(&record).await;
                continue;
            }
            let containers = by_sandbox.remove(&record.id).unwrap_or_default();
            self.recover_sandbox(record, containers).await;
        }
        for record in by_sandbox.into_values().flatten() {
            let _ = fs::remove_dir_all(self.disk.container(&record.id));
        }
        Ok(())
    }

    async fn recover_sandbox(&self, record: SandboxRecord, containers: Vec<ContainerRecord>) {
        let id = record.id.clone();
        let seen = if record.stopped { None } else { self.follow(&id).await.ok() };
        let alive = seen.is_some();
        let seen: BTreeMap<String, _> =
            seen.unwrap_or_default().containers.into_iter().map(|seen| (seen.id.clone(), seen)).collect();
        let mut state = self.state();
        for container in containers {
            let name = container.id.clone();
            let phase = match (self.disk.exit(&name), seen.get(&name), self.disk.started_at(&name)) {
                (Some(exit), _, _) => Phase::Exited(exit),
                (None, Some(seen), _) => Phase::Running { pid: seen.pid, started_at: seen.started_at },
                (None, None, Some(started_at)) => Phase::Exited(unknown_exit(started_at)),
                (None, None, None) if alive => Phase::Created,
                (None, None, None) => Phase::Exited(unknown_exit(0)),
            };
            state.containers.insert(name, Container::new(container, phase));
        }
        let ready = seen.get(&id).is_some_and(|pause| pause.exit.is_none());
        state.sandboxes.insert(id, Sandbox { record, ready, stopping: false });
    }

    /// Listens to a shim from here on; answers how things are now.
    pub async fn follow(&self, sandbox: &str) -> anyhow::Result<Reply> {
        let (stream, reply) = self.shim(sandbox).open(&Request::Events).await?;
        tokio::spawn(forward_notices(stream, sandbox.to_owned(), self.events.clone()));
        Ok(reply)
    }

    fn handle_exit(&self, sandbox: &str, notice: Notice) {
        let Notice { id, exit } = notice;
        {
            let mut state = self.state();
            if id == sandbox {
                if let Some(pod) = state.sandboxes.get_mut(sandbox) {
                    pod.ready = false;
                }
            } else if let Some(container) = state.containers.get_mut(&id) {
                match &mut container.phase {
                    Phase::Starting(early) => {
                        *early = Some(exit);
                        return;
                    }
                    Phase::Exited(_) => return,
                    Phase::Created | Phase::Running { .. } => container.exit(exit),
                }
            } else {
                return;
            }
        }
        self.publish(&id, cri::ContainerEventType::ContainerStoppedEvent);
    }

    /// Every process of the pod has ended with its shim; what is not on disk nobody will know.
    fn handle_shim_gone(&self, sandbox: &str) {
        let mut ended = Vec::new();
        {
            let mut state = self.state();
            let Some(pod) = state.sandboxes.get_mut(sandbox) else { return };
            if pod.stopping {
                return;
            }
            if std::mem::replace(&mut pod.ready, false) {
                tracing::warn!("the shim of pod sandbox {sandbox} is gone");
                ended.push(sandbox.to_owned());
            }
            for (id, container) in &mut state.containers {
                if container.record.sandbox == sandbox && container.pid().is_some() {
                    let started_at = self.disk.started_at(id).unwrap_or(0);
                    container.exit(self.disk.exit(id).unwrap_or_else(|| unknown_exit(started_at)));
                    ended.push(id.clone());
                }
            }
        }
        for id in ended {
            self.publish(&id, cri::ContainerEventType::ContainerStoppedEvent);
        }
    }

    fn lock_subscribers(
        &self,
    ) -> MutexGuard<'_, Vec<mpsc::Sender<Result<cri::ContainerEventResponse, tonic::Status>>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn subscribe(&self) -> mpsc::Receiver<Result<cri::ContainerEventResponse, tonic::Status>> {
        let (sender, receiver) = mpsc::channel(EVENT_QUEUE);
        self.lock_subscribers().push(sender);
        receiver
    }

    /// Tells every subscriber, with the pod as it is now.
    pub fn publish(&self, id: &str, kind: cri::ContainerEventType) {
        let sandbox = {
            let state = self.state();
            state
                .containers
                .get(id)
                .map_or_else(|| id.to_owned(), |container| container.record.sandbox.clone())
        };
        self.publish_of(&sandbox, id, kind);
    }

    /// A container is gone; its pod need not be.
    pub fn publish_deleted(&self, id: &str, sandbox: &str) {
        self.publish_of(sandbox, id, cri::ContainerEventType::ContainerDeletedEvent);
    }

    fn publish_of(&self, sandbox: &str, id: &str, kind: cri::ContainerEventType) {
        let event = {
            let state = self.state();
            cri::ContainerEventResponse {
                container_id: id.to_owned(),
                container_event_type: kind.into(),
                created_at: now_ns(),
                pod_sandbox_status: state.sandboxes.get(sandbox).map(crate::service::sandbox_status),
                containers_statuses: state
                    .containers_of(sandbox)
                    .map(crate::service::container_status)
                    .collect(),
            }
        };
        self.lock_subscribers().retain(|subscriber| subscriber.try_send(Ok(event.clone())).is_ok());
    }
}

async fn forward_notices(mut stream: UnixStream, sandbox: String, events: mpsc::UnboundedSender<Event>) {
    while let Ok(Some(notice)) = read_message::<Notice>(&mut stream).await {
        let _ = events.send(Event::Exited { sandbox: sandbox.clone(), notice });
    }
    let _ = events.send(Event::ShimGone { sandbox });
}

/// The end of a container that nobody saw (the node lost its power): as containerd puts it.
fn unknown_exit(started_at: i64) -> Exit {
    Exit {
        code: 255,
        reason: "Unknown".into(),
        message: "the container ended while nobody was there to see how".into(),
        started_at,
        finished_at: now_ns(),
    }
}

/// An error in the words of gRPC.
pub(crate) fn not_found(what: &str, id: &str) -> tonic::Status {
    tonic::Status::not_found(format!("{what} {id:?}: not found"))
}

pub(crate) fn internal(error: impl Into<anyhow::Error>) -> tonic::Status {
    tonic::Status::unknown(format!("{:#}", anyhow!(error)))
}
