//! What the core knows of the world outside: values, never handles.
//!
//! `RuntimePod` is upstream's `kubecontainer.PodStatus`: everything that the container runtime
//! says of one pod at one moment. The shell asks the runtime and fills it; the core only reads.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1 as api;

pub use jiff::{SignedDuration, Timestamp};

/// A pod's identity. Names are used again (a StatefulSet's `web-0` returns under its old name),
/// uids never are: everything in the kubelet is keyed by uid.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Uid {
    /// The uid of an object that the API server has stored.
    pub fn of(pod: &api::Pod) -> Uid {
        Uid(pod.metadata.uid.clone().unwrap_or_default())
    }
}

/// A sandbox holds what the containers of a pod share, above all the network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    pub created_at: Timestamp,
    /// Empty with the host's network, and until the network plugin has answered.
    pub ips: Vec<String>,
    pub host_network: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunState {
    /// Made, not started: the kubelet died between the two calls.
    Created,
    Running,
    Exited,
    /// The runtime itself cannot say.
    Unknown,
}

/// One container that the runtime holds, running or dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeContainer {
    pub id: String,
    pub name: String,
    pub sandbox_id: String,
    /// From the annotation that the kubelet wrote: how often this container was restarted before.
    pub restart_count: u32,
    /// From the annotation: what the container was made from, see [`crate::names::container_hash`].
    pub hash: String,
    pub state: RunState,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, or empty.
    pub reason: String,
    /// What the container left at its `terminationMessagePath`.
    pub message: String,
    pub image: String,
    pub image_id: String,
}

/// All that the runtime says of one pod, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimePod {
    pub sandboxes: Vec<Sandbox>,
    pub containers: Vec<RuntimeContainer>,
}

impl RuntimePod {
    /// Puts what the runtime listed in order: the newest attempt comes first.
    pub fn new(mut sandboxes: Vec<Sandbox>, mut containers: Vec<RuntimeContainer>) -> Self {
        sandboxes.sort_by(|a, b| (b.attempt, b.created_at, &b.id).cmp(&(a.attempt, a.created_at, &a.id)));
        containers.sort_by(|a, b| {
            a.name
                .cmp(&b.name)
                .then(b.restart_count.cmp(&a.restart_count))
                .then(b.created_at.cmp(&a.created_at))
                .then(b.id.cmp(&a.id))
        });
        RuntimePod { sandboxes, containers }
    }

    /// The newest container of this name, from whatever sandbox.
    pub fn newest(&self, name: &str) -> Option<&RuntimeContainer> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The newest container of this name within one sandbox.
    pub fn newest_in(&self, name: &str, sandbox_id: &str) -> Option<&RuntimeContainer> {
        self.containers.iter().find(|c| c.name == name && c.sandbox_id == sandbox_id)
    }

    /// The sandbox that counts: the newest, if it is ready.
    pub fn ready_sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|s| s.ready)
    }

    pub fn running(&self) -> impl Iterator<Item = &RuntimeContainer> {
        self.containers.iter().filter(|c| c.state == RunState::Running)
    }

    /// Is anything left that holds a process or a network namespace?
    pub fn is_stopped(&self) -> bool {
        self.running().next().is_none() && !self.sandboxes.iter().any(|s| s.ready)
    }
}

/// The kinds of container of a pod, by when they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerKind {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container with `restartPolicy: Always`: keeps running beside the others.
    Sidecar,
    Main,
    /// Comes later to look inside, see [`crate::ephemeral`].
    Ephemeral,
}

/// Is this init container a sidecar?
pub fn is_sidecar(container: &api::Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The pod's spec; an empty one stands in for a pod that has none (the API server refuses those).
pub fn spec(pod: &api::Pod) -> &api::PodSpec {
    static EMPTY: std::sync::OnceLock<api::PodSpec> = std::sync::OnceLock::new();
    pod.spec.as_ref().unwrap_or_else(|| EMPTY.get_or_init(api::PodSpec::default))
}

/// Init containers in order, then the main ones, each with its kind.
pub fn all_containers(pod: &api::Pod) -> impl Iterator<Item = (ContainerKind, &api::Container)> {
    let spec = spec(pod);
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .map(|c| if is_sidecar(c) { (ContainerKind::Sidecar, c) } else { (ContainerKind::Init, c) });
    init.chain(spec.containers.iter().map(|c| (ContainerKind::Main, c)))
}

pub fn find_container<'a>(pod: &'a api::Pod, name: &str) -> Option<&'a api::Container> {
    all_containers(pod).map(|(_, c)| c).find(|c| c.name == name)
}

/// The pod's restart policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

pub fn restart_policy(pod: &api::Pod) -> RestartPolicy {
    match spec(pod).restart_policy.as_deref() {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

pub fn is_host_network(pod: &api::Pod) -> bool {
    spec(pod).host_network == Some(true)
}

/// Why a container that should run does not: shown as `state.waiting` (upstream's reason cache).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: String,
    pub message: String,
}

pub type WaitingReasons = BTreeMap<String, Waiting>;
