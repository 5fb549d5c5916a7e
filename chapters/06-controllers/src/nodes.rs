//! Carries out what `heart::node_health` plans, and gives nodes their pod networks.

use informer::{Error, EventRecorder, Patch, object_reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::meta;
use serde_json::json;

use crate::context::{BY_NODE, Context, lock, tell};
use crate::driver::{Again, Reconcile};
use crate::heart::node_health::Action;
use crate::heart::pods::{Note, is_ready, whole_seconds};
use crate::owned::or_unset;

/// All nodes are judged together: whether one is evicted depends on the others.
pub const ALL: () = ();

pub struct Nodes {
    pub recorder: EventRecorder,
}

impl Reconcile for Nodes {
    type Key = ();
    const NAME: &'static str = "node";

    async fn reconcile(&self, context: &Context, _: &()) -> Result<Again, Error> {
        self.allocate(context).await?;
        let nodes = context.caches.nodes.list();
        let actions = lock(&context.monitor).plan(&nodes, Timestamp::now());
        let mut trouble = None;
        for action in actions {
            // One node's trouble must not keep the others waiting.
            match self.apply(context, action).await {
                Err(error) if !error.is_not_found() => trouble = Some(error),
                _ => {}
            }
        }
        trouble.map_or(Ok(None), Err)
    }
}

impl Nodes {
    async fn allocate(&self, context: &Context) -> Result<(), Error> {
        let Some(networks) = &context.networks else {
            return Ok(());
        };
        let nodes = context.caches.nodes.list();
        let has_one = |node: &Node| node.spec.as_ref().is_some_and(|spec| spec.pod_cidr.is_some());
        for node in nodes.iter().filter(|node| has_one(node)) {
            lock(networks).occupy(node);
        }
        for node in nodes.iter().filter(|node| !has_one(node)) {
            let name = meta::name(&node.metadata);
            let network = lock(networks).allocate(name);
            match network {
                Ok(cidr) => {
                    let patch = Patch::Merge(json!({ "spec": { "podCIDR": cidr, "podCIDRs": [cidr] } }));
                    match context.client.patch::<Node>("", name, &patch, None).await {
                        Ok(written) => context.wrote(Self::NAME, &ALL, "Node", &written),
                        Err(error) if error.is_not_found() => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => {
                    let note = Note::warning(
                        "CIDRNotAvailable",
                        format!("Node {name} status is now: CIDRNotAvailable"),
                    );
                    tell(&self.recorder, &object_reference(&**node), &note);
                    tracing::warn!(node = name, %error, "no pod network");
                }
            }
        }
        Ok(())
    }

    async fn apply(&self, context: &Context, action: Action) -> Result<(), Error> {
        match action {
            Action::Tell { node, note } => tell(&self.recorder, &object_reference(&*node), &note),
            Action::SetConditions { node, conditions } => {
                let mut updated = Node::clone(&node);
                updated.status.get_or_insert_default().conditions = Some(conditions);
                let written = context.client.replace_status(&updated).await?;
                context.wrote(Self::NAME, &ALL, "Node", &written);
            }
            Action::SetTaints { node, taints } => {
                // Without the resourceVersion: conditions may just have been written. The
                // uid keeps it from a new node of the same name.
                let patch = Patch::Merge(json!({
                    "metadata": { "uid": node.metadata.uid },
                    "spec": { "taints": or_unset(&taints) },
                }));
                let name = meta::name(&node.metadata);
                let written: Node = context.client.patch("", name, &patch, None).await?;
                context.wrote(Self::NAME, &ALL, "Node", &written);
            }
            Action::MarkPodsNotReady { node } => self.mark_pods(context, &node).await?,
        }
        Ok(())
    }

    async fn mark_pods(&self, context: &Context, node: &Node) -> Result<(), Error> {
        for pod in context.caches.pods.by_index(BY_NODE, meta::name(&node.metadata)) {
            if !is_ready(&pod) {
                continue;
            }
            let patch = Patch::Strategic(json!({ "status": { "conditions": [{
                "type": "Ready",
                "status": "False",
                "lastTransitionTime": whole_seconds(Timestamp::now()),
            }]}}));
            let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
            match context.client.patch::<Pod>(namespace, name, &patch, Some("status")).await {
                Ok(written) => {
                    context.wrote(Self::NAME, &ALL, "Pod", &written);
                    let note = Note::warning("NodeNotReady", "Node is not ready");
                    tell(&self.recorder, &object_reference(&*pod), &note);
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
