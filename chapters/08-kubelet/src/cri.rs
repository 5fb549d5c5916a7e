//! The container runtime, over its Unix socket.
//!
//! The channel connects when it is first used and again after it broke, so a runtime that restarts
//! costs the calls under way and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use futures_util::future::join_all;
use hyper_util::rt::TokioIo;
use runtime::cri as pb;
use runtime::cri::image_service_client::ImageServiceClient;
use runtime::cri::runtime_service_client::RuntimeServiceClient;
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::heart::names;
use crate::heart::types::{RunState, RuntimeContainer, RuntimePod, Sandbox, Timestamp, Uid};

/// An answer may carry a probe's whole output.
const MAX_ANSWER_BYTES: usize = 40 << 20;

#[derive(Clone)]
struct UnixConnector(PathBuf);

impl tower_service::Service<Uri> for UnixConnector {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { UnixStream::connect(path).await.map(TokioIo::new) })
    }
}

/// Clients of both CRI services. Cheap to clone.
#[derive(Clone)]
pub struct Cri {
    pub runtime: RuntimeServiceClient<Channel>,
    pub images: ImageServiceClient<Channel>,
}

/// Every pod that the runtime knows.
pub type Known = BTreeSet<Uid>;

impl Cri {
    pub fn new(endpoint: &str) -> anyhow::Result<Cri> {
        let path = endpoint
            .strip_prefix("unix://")
            .with_context(|| format!("the runtime's endpoint {endpoint:?} does not begin with unix://"))?;
        // The URI is required and means nothing.
        let channel = Endpoint::from_static("http://runtime")
            .connect_with_connector_lazy(UnixConnector(PathBuf::from(path)));
        Ok(Cri {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            images: ImageServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES),
        })
    }

    /// Who runs at all? Answers with every pod of which the runtime holds anything.
    pub async fn known(&self) -> Result<Known, Status> {
        let (mut a, mut b) = (self.runtime.clone(), self.runtime.clone());
        let (sandboxes, containers) = tokio::try_join!(
            a.list_pod_sandbox(pb::ListPodSandboxRequest::default()),
            b.list_containers(pb::ListContainersRequest::default()),
        )?;
        let mut known = Known::new();
        let labels = (sandboxes.get_ref().items.iter().map(|s| &s.labels))
            .chain(containers.get_ref().containers.iter().map(|c| &c.labels));
        for labels in labels {
            known.extend(identity(labels));
        }
        Ok(known)
    }

    /// Everything about one pod.
    pub async fn pod(&self, uid: &Uid) -> Result<RuntimePod, Status> {
        let label_selector = BTreeMap::from([(names::POD_UID.to_owned(), uid.0.clone())]);
        let of_pod = pb::PodSandboxFilter { label_selector: label_selector.clone(), ..Default::default() };
        let of_container = pb::ContainerFilter { label_selector, ..Default::default() };
        let (mut a, mut b) = (self.runtime.clone(), self.runtime.clone());
        let (sandboxes, containers) = tokio::try_join!(
            a.list_pod_sandbox(pb::ListPodSandboxRequest { filter: Some(of_pod) }),
            b.list_containers(pb::ListContainersRequest { filter: Some(of_container) }),
        )?;
        let (sandboxes, containers) = (sandboxes.into_inner().items, containers.into_inner().containers);
        let (sandboxes, containers) = tokio::join!(
            join_all(sandboxes.iter().map(|s| self.sandbox(&s.id))),
            join_all(containers.iter().map(|c| self.container(&c.id, &c.pod_sandbox_id))),
        );
        Ok(RuntimePod::new(present(sandboxes)?, present(containers)?))
    }

    async fn sandbox(&self, id: &str) -> Result<Option<Sandbox>, Status> {
        let request = pb::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        let status = self.runtime.clone().pod_sandbox_status(request).await?.into_inner().status;
        Ok(status.map(|s| {
            let network = s.network.clone().unwrap_or_default();
            let more = network.additional_ips.into_iter().map(|ip| ip.ip);
            let options = s.linux.as_ref().and_then(|l| l.namespaces.as_ref()?.options.as_ref());
            Sandbox {
                attempt: s.metadata.as_ref().map_or(0, |m| m.attempt),
                ready: s.state() == pb::PodSandboxState::SandboxReady,
                created_at: time(s.created_at),
                ips: std::iter::once(network.ip).chain(more).filter(|ip| !ip.is_empty()).collect(),
                host_network: options.is_some_and(|o| o.network() == pb::NamespaceMode::Node),
                id: s.id,
            }
        }))
    }

    async fn container(&self, id: &str, sandbox_id: &str) -> Result<Option<RuntimeContainer>, Status> {
        let request = pb::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let status = self.runtime.clone().container_status(request).await?.into_inner().status;
        Ok(status.map(|s| container(s, sandbox_id)))
    }
}

/// What went away between the list and the question is simply not there.
fn present<T>(answers: Vec<Result<Option<T>, Status>>) -> Result<Vec<T>, Status> {
    answers
        .into_iter()
        .filter(|answer| !matches!(answer, Err(status) if status.code() == tonic::Code::NotFound))
        .filter_map(Result::transpose)
        .collect()
}

/// The pod's uid, out of the kubelet's labels; `None` for what is not the kubelet's.
pub fn identity(labels: &BTreeMap<String, String>) -> Option<Uid> {
    labels.get(names::POD_UID).cloned().map(Uid)
}

fn container(s: pb::ContainerStatus, sandbox_id: &str) -> RuntimeContainer {
    let annotation = |key: &str| s.annotations.get(key).cloned();
    let metadata = s.metadata.clone().unwrap_or_default();
    RuntimeContainer {
        state: match s.state() {
            pb::ContainerState::ContainerCreated => RunState::Created,
            pb::ContainerState::ContainerRunning => RunState::Running,
            pb::ContainerState::ContainerExited => RunState::Exited,
            pb::ContainerState::ContainerUnknown => RunState::Unknown,
        },
        name: s.labels.get(names::CONTAINER_NAME).cloned().unwrap_or(metadata.name),
        sandbox_id: sandbox_id.to_owned(),
        restart_count: annotation(names::RESTART_COUNT)
            .and_then(|n| n.parse().ok())
            .unwrap_or(metadata.attempt),
        hash: annotation(names::CONTAINER_HASH).unwrap_or_default(),
        created_at: time(s.created_at),
        started_at: (s.started_at > 0).then(|| time(s.started_at)),
        finished_at: (s.finished_at > 0).then(|| time(s.finished_at)),
        exit_code: s.exit_code,
        image: image_name(&s),
        // What it resolved to: by content, so preferably with the digest of its manifest.
        image_id: [&s.image_ref, &s.image_id]
            .into_iter()
            .find(|i| !i.is_empty())
            .cloned()
            .unwrap_or_default(),
        reason: s.reason,
        message: s.message,
        id: s.id,
    }
}

/// The image's name for people: what its author wrote, where the runtime has only an id.
fn image_name(s: &pb::ContainerStatus) -> String {
    let image = s.image.clone().unwrap_or_default();
    let is_id = image.image.is_empty() || image.image.starts_with("sha256:");
    if is_id && !image.user_specified_image.is_empty() { image.user_specified_image } else { image.image }
}

fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}
