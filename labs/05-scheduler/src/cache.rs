//! The scheduler's picture of the cluster, with its own decisions painted in.
//!
//! A binding takes a round trip, and the watch that confirms it another one. The
//! next pod cannot wait for that, and must not be placed as if the last one were
//! nowhere. So a decision is **assumed** at once: the pod counts on its node from
//! the moment the node was chosen. Then either the watch shows the pod there
//! (`confirm`), or the binding failed (`forget`).
//!
//! Upstream: `pkg/scheduler/backend/cache`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::node_info::NodeInfo;
use crate::pod::pod_key;

#[derive(Clone, Debug)]
struct Placed {
    node: String,
    uid: String,
    assumed: bool,
}

/// Nodes, and every pod that takes room on one.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    nodes: BTreeMap<String, NodeInfo>,
    placed: BTreeMap<String, Placed>,
}

impl Cache {
    /// The nodes that can be chosen, in name order.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values().filter(|info| info.node.is_some())
    }

    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(name).filter(|info| info.node.is_some())
    }

    /// Stores a node and returns the one that it replaces.
    pub fn set_node(&mut self, node: Arc<Node>) -> Option<Arc<Node>> {
        let name = node.metadata.name.clone().unwrap_or_default();
        let info = self.nodes.entry(name).or_default();
        let old = info.node.take();
        info.set_node(node);
        old
    }

    /// A node is gone. Its pods stay counted until their own deletion arrives, so
    /// that the node does not come back empty.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.get_mut(name) {
            info.node = None;
        }
        self.sweep(name);
    }

    /// Counts a pod on the node that was chosen for it, before the API server knows.
    pub fn assume(&mut self, pod: &Arc<Pod>, node: &str) {
        let key = pod_key(pod);
        assert!(!self.placed.contains_key(&key), "pod {key} was placed twice");
        self.place(key, Arc::clone(pod), node.to_owned(), true);
    }

    /// The watch shows the pod on a node. Whatever was assumed, this is the truth.
    pub fn confirm(&mut self, pod: Arc<Pod>) {
        let _ = &pod;
        todo!("lab 05.4: whatever was counted under its key goes, and it counts where it says that it is")
    }

    /// The binding failed: an assumed pod gives its room back. A confirmed one
    /// keeps it, since the API server has the last word.
    pub fn forget(&mut self, key: &str) {
        if self.placed.get(key).is_some_and(|placed| placed.assumed) {
            self.remove_pod(key);
        }
    }

    /// The pod is gone, or has ended. True if it took room.
    pub fn remove_pod(&mut self, key: &str) -> bool {
        let Some(placed) = self.placed.remove(key) else {
            return false;
        };
        if let Some(info) = self.nodes.get_mut(&placed.node) {
            info.remove_pod(key);
        }
        self.sweep(&placed.node);
        true
    }

    /// The uid of the pod that takes room under this key.
    pub fn placed_uid(&self, key: &str) -> Option<&str> {
        self.placed.get(key).map(|placed| placed.uid.as_str())
    }

    pub fn is_assumed(&self, key: &str) -> bool {
        self.placed.get(key).is_some_and(|placed| placed.assumed)
    }

    fn place(&mut self, key: String, pod: Arc<Pod>, node: String, assumed: bool) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        self.nodes.entry(node.clone()).or_default().add_pod(&key, pod);
        self.placed.insert(key, Placed { node, uid, assumed });
    }

    fn sweep(&mut self, name: &str) {
        let empty = |info: &NodeInfo| info.node.is_none() && info.pods.is_empty();
        if self.nodes.get(name).is_some_and(empty) {
            self.nodes.remove(name);
        }
    }
}
