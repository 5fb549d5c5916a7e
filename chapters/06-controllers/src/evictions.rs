//! Deletes pods whose patience with their node's taints is over.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use informer::{Error, EventRecorder, Patch, object_reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use objects::meta;
use serde_json::json;

use crate::context::{Context, lock, tell};
use crate::driver::{Again, Reconcile};
use crate::endpoints::ignore_missing;
use crate::heart::pods::{Note, node_name, whole_seconds};
use crate::heart::taints::evict_at;
use crate::owned::delete_options;

pub struct Evictions {
    pub recorder: EventRecorder,
    /// Pods whose time runs, to tell when it no longer does.
    pub running: Mutex<BTreeSet<String>>,
}

impl Reconcile for Evictions {
    type Key = String;
    const NAME: &'static str = "taint-eviction";

    async fn reconcile(&self, context: &Context, key: &String) -> Result<Again, Error> {
        let (namespace, name) = meta::split_key(key);
        let pod = context.caches.pods.get(namespace, name);
        let node = pod.as_ref().and_then(|pod| context.caches.nodes.get("", node_name(pod)));
        let (Some(pod), Some(node)) = (pod, node) else {
            lock(&self.running).remove(key);
            return Ok(None);
        };
        let now = Timestamp::now();
        let taints = lock(&context.taints).handle_node(&node, now);
        let Some(at) = evict_at(&pod, &taints) else {
            if lock(&self.running).remove(key) && pod.metadata.deletion_timestamp.is_none() {
                let note = Note::normal("TaintManagerEviction", format!("Cancelling deletion of Pod {key}"));
                tell(&self.recorder, &object_reference(&*pod), &note);
            }
            return Ok(None);
        };
        if at > now {
            lock(&self.running).insert(key.clone());
            return Ok(Some(Duration::try_from(at.duration_since(now)).unwrap_or_default()));
        }
        lock(&self.running).remove(key);
        let note = Note::normal("TaintManagerEviction", format!("Marking for deletion Pod {key}"));
        tell(&self.recorder, &object_reference(&*pod), &note);
        let message = "Taint manager: deleting due to NoExecute taint";
        disrupt(context, &pod, "DeletionByTaintManager", message, None).await?;
        let options = delete_options(meta::uid(&pod.metadata), "Background");
        ignore_missing(context.client.delete::<Pod>(namespace, name, &options).await)?;
        Ok(None)
    }
}

/// Writes down why a pod that did nothing wrong is deleted.
pub async fn disrupt(
    context: &Context,
    pod: &Pod,
    reason: &str,
    message: &str,
    phase: Option<&str>,
) -> Result<(), Error> {
    let mut status = json!({ "conditions": [{
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": whole_seconds(Timestamp::now()),
    }]});
    if let Some(phase) = phase {
        status["phase"] = json!(phase);
    }
    let patch = Patch::Strategic(json!({ "status": status }));
    let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
    let written = context.client.patch::<Pod>(namespace, name, &patch, Some("status")).await;
    ignore_missing(written.map(drop))
}
