//! One node as the scheduler sees it: what it has, and the pods that count on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::resources::{Resources, pod_requests, scored_requests};

/// A port that a pod takes on its node. `0.0.0.0` takes it on every address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    pub protocol: String,
    pub port: i32,
    pub ip: String,
}

impl HostPort {
    pub fn conflicts_with(&self, other: &HostPort) -> bool {
        let any = |ip: &str| ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || any(&self.ip) || any(&other.ip))
    }
}

/// The host ports that a pod's containers ask for.
pub fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let mut ports = Vec::new();
    for container in spec.containers.iter().chain(sidecars) {
        for port in container.ports.iter().flatten() {
            let Some(number) = port.host_port.filter(|number| *number > 0) else {
                continue;
            };
            ports.push(HostPort {
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                port: number,
                ip: port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned()),
            });
        }
    }
    ports
}

/// A node and the sum of its pods. The node itself may be unknown for a while:
/// pods and nodes come by different watches.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    pub node: Option<Arc<Node>>,
    pub allocatable: Resources,
    /// Sum of [`pod_requests`], and of [`scored_requests`].
    pub requested: Resources,
    pub scored: Resources,
    pub ports: BTreeSet<(HostPort, String)>,
    pub pods: BTreeMap<String, Arc<Pod>>,
}

impl NodeInfo {
    pub fn new(node: Arc<Node>) -> Self {
        let mut info = NodeInfo::default();
        info.set_node(node);
        info
    }

    pub fn set_node(&mut self, node: Arc<Node>) {
        let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
        self.allocatable = Resources::from_list(allocatable);
        self.node = Some(node);
    }

    pub fn name(&self) -> &str {
        self.node.as_ref().and_then(|node| node.metadata.name.as_deref()).unwrap_or_default()
    }

    /// A label of the node.
    pub fn label(&self, key: &str) -> Option<&str> {
        let labels = self.node.as_ref()?.metadata.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    }

    pub fn add_pod(&mut self, key: &str, pod: Arc<Pod>) {
        self.requested.add(&pod_requests(&pod));
        self.scored.add(&scored_requests(&pod));
        for port in host_ports(&pod) {
            self.ports.insert((port, key.to_owned()));
        }
        let replaced = self.pods.insert(key.to_owned(), pod);
        assert!(replaced.is_none(), "pod {key} was counted twice");
    }

    pub fn remove_pod(&mut self, key: &str) {
        if let Some(pod) = self.pods.remove(key) {
            self.requested.subtract(&pod_requests(&pod));
            self.scored.subtract(&scored_requests(&pod));
            self.ports.retain(|(_, owner)| owner != key);
        }
    }
}
