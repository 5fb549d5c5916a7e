//! What every part of the kubelet shares.

use std::sync::Arc;

use informer::{Client, EventRecorder, Informer};
use k8s_openapi::api::core::v1 as api;
use tokio::sync::watch;

use crate::args::Args;
use crate::cri::Cri;
use crate::disk::Dirs;
use crate::heart::dns::DnsConfig;
use crate::heart::node::Machine;
use crate::heart::types::spec;
use crate::refs::Refs;
use crate::registry::Registry;
use crate::statuses::Statuses;

/// What every piece of work may use.
pub struct Ctx {
    pub args: Args,
    pub client: Client,
    pub cri: Cri,
    pub recorder: EventRecorder,
    pub statuses: Arc<Statuses>,
    pub registry: Arc<Registry>,
    pub refs: Refs,
    pub services: Informer<api::Service>,
    pub machine: Machine,
    pub node_dns: DnsConfig,
    pub dirs: Dirs,
    /// The runtime's name, from its Version.
    pub runtime_name: watch::Receiver<String>,
    /// Why pods cannot have a network yet, if so.
    pub network_problem: watch::Receiver<Option<String>>,
}

impl Ctx {
    pub fn memory_bytes(&self) -> i64 {
        i64::try_from(self.machine.memory_bytes).unwrap_or(i64::MAX)
    }

    /// An event about a pod, or about one of its containers.
    pub fn event(&self, pod: &api::Pod, container: Option<&str>, warning: bool, reason: &str, message: &str) {
        let mut about = informer::object_reference(pod);
        if let Some(name) = container {
            let init = spec(pod).init_containers.iter().flatten().any(|c| c.name == name);
            let list = if init { "initContainers" } else { "containers" };
            about.field_path = Some(format!("spec.{list}{{{name}}}"));
        }
        let kind = if warning { "Warning" } else { "Normal" };
        self.recorder.event(&about, kind, reason, message);
    }
}

/// The node's own resolver, for pods that use it.
pub fn node_dns() -> DnsConfig {
    DnsConfig::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}
