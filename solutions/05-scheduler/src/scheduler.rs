//! The scheduler as one state machine: what the watches say goes in, decisions come out.
//!
//! Calling order: `handle_pod`, `handle_pod_gone`, `handle_node` and `handle_node_gone`
//! for everything the watches deliver, in any order; after each of them `poll` until it
//! returns `None`. Each [`Action::Bind`] is answered once, by `handle_bound` or
//! `handle_bind_failed`, whenever its round trip is over. Call `poll` again at
//! `next_wakeup` at the latest.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use k8s_openapi::jiff::Timestamp;

use crate::cache::Cache;
use crate::pod::pod_key;
use crate::queue::{ClusterEvent, QueuedPod, SchedulingQueue};
use crate::schedule::Profile;

// ANCHOR: actions
/// What the shell must do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write the decision to the API server, and report back.
    Bind { pod: Arc<Pod>, node: String },
    /// Tell the user why the pod waits: an event, and a condition if it changed.
    TellWaiting { pod: Arc<Pod>, message: String, condition: Option<PodCondition> },
}
// ANCHOR_END: actions

/// See the module's text.
pub struct Scheduler {
    // lab:given
    name: String,
    // lab:given
    profile: Profile,
    queue: SchedulingQueue,
    cache: Cache,
    /// Decided, and on their way to the API server.
    binding: BTreeMap<String, QueuedPod>,
}

impl Scheduler {
    /// Places pods whose `schedulerName` is `name`.
    pub fn new(name: &str, profile: Profile) -> Self {
        Scheduler {
            name: name.to_owned(),
            profile,
            queue: SchedulingQueue::default(),
            cache: Cache::default(),
            binding: BTreeMap::new(),
        }
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// How many pods wait for a decision.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A pod is new or has changed.
    pub fn handle_pod(&mut self, pod: Arc<Pod>, now: Timestamp) {
        let key = pod_key(&pod);
        self.drop_namesake(&key, &pod, now);
        // lab:begin 05.4 who has the last word: the end, the watch, our own assumption, and only then the queue
        use crate::pod::{has_ended, is_ours_to_place, node_name};
        if has_ended(&pod) {
            return self.handle_pod_gone(&pod, now);
        }
        if node_name(&pod).is_some() {
            self.queue.remove(&key);
            let news = self.cache.placed_uid(&key).is_none();
            self.cache.confirm(pod);
            if news {
                self.queue.cluster_event(ClusterEvent::PodPlaced, now);
            }
        } else if self.cache.is_assumed(&key) {
            // The watch is behind our own binding: what was assumed stands.
        } else if is_ours_to_place(&pod, &self.name) {
            self.queue.add(pod, now);
        } else {
            self.queue.remove(&key);
        }
        // lab:end
    }

    /// A pod was deleted, or has ended and takes no room any more.
    pub fn handle_pod_gone(&mut self, pod: &Pod, now: Timestamp) {
        let key = pod_key(pod);
        self.queue.remove(&key);
        self.binding.remove(&key);
        if self.cache.remove_pod(&key) {
            self.queue.cluster_event(ClusterEvent::PodGone, now);
        }
    }

    /// A node is new or has changed.
    pub fn handle_node(&mut self, node: Arc<Node>, now: Timestamp) {
        let old = self.cache.set_node(Arc::clone(&node));
        for event in node_events(old.as_deref(), &node) {
            self.queue.cluster_event(event, now);
        }
    }

    pub fn handle_node_gone(&mut self, name: &str) {
        self.cache.remove_node(name);
    }

    /// The API server took the binding. The watch will confirm it.
    pub fn handle_bound(&mut self, key: &str) {
        self.binding.remove(key);
    }

    /// It did not. The room is free again, and the pod tries again after a back-off.
    pub fn handle_bind_failed(&mut self, key: &str, now: Timestamp) {
        // lab:begin 05.4 forget the assumption, queue the pod again, and tell the others that there is room; but the pod may be gone, or bound after all
        if let Some(queued) = self.binding.remove(key) {
            self.cache.forget(key);
            if self.cache.placed_uid(key).is_none() {
                self.queue.failed(queued, now);
                self.queue.cluster_event(ClusterEvent::PodGone, now);
            }
        }
        // lab:end
    }

    /// The next decision, if a pod waits for one. `tie` chooses among equally good nodes.
    pub fn poll(&mut self, now: Timestamp, tie: u64) -> Option<Action> {
        let queued = self.queue.pop(now)?;
        let pod = Arc::clone(&queued.pod);
        // lab:begin 05.4 a node: assume it and remember the binding; no node: wait, and say why
        use crate::pod::unschedulable_condition;
        use crate::schedule::{Decision, schedule};
        match schedule(&self.cache, &pod, &self.profile, tie) {
            Ok(Decision { node, .. }) => {
                self.cache.assume(&pod, &node);
                self.binding.insert(pod_key(&pod), queued);
                Some(Action::Bind { pod, node })
            }
            Err(error) => {
                let message = error.to_string();
                let condition = unschedulable_condition(&pod, &message, now);
                self.queue.no_node_fits(queued, error.woken_by, now);
                Some(Action::TellWaiting { pod, message, condition })
            }
        }
        // lab:end
    }

    /// When to poll again if nothing comes in before.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.queue.next_wakeup()
    }

    /// A pod was deleted and made anew under its old name between two looks of the watch.
    fn drop_namesake(&mut self, key: &str, pod: &Pod, now: Timestamp) {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if self.cache.placed_uid(key).is_some_and(|placed| placed != uid) {
            self.cache.remove_pod(key);
            self.binding.remove(key);
            self.queue.cluster_event(ClusterEvent::PodGone, now);
        }
    }
}

/// What may help a waiting pod in the change of a node.
fn node_events(old: Option<&Node>, new: &Node) -> Vec<ClusterEvent> {
    let Some(old) = old else {
        return vec![ClusterEvent::NodeAdded];
    };
    let mut events = Vec::new();
    let allocatable = |node: &Node| node.status.as_ref().and_then(|s| s.allocatable.clone());
    if allocatable(old) != allocatable(new) {
        events.push(ClusterEvent::NodeAllocatable);
    }
    if old.metadata.labels != new.metadata.labels {
        events.push(ClusterEvent::NodeLabels);
    }
    let taints = |node: &Node| {
        let spec = node.spec.as_ref();
        let taints = spec.and_then(|spec| spec.taints.clone()).unwrap_or_default();
        (taints, spec.and_then(|spec| spec.unschedulable).unwrap_or(false))
    };
    if taints(old) != taints(new) {
        events.push(ClusterEvent::NodeTaints);
    }
    events
}
