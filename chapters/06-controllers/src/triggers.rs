//! What each change queues. The rule is upstream's for every controller: an object's own
//! key, the key of its owner, and the keys of those whose selector picks it.

use std::sync::Arc;

use informer::{DynamicObject, Event as Change, EventRecorder, Keyed, object_reference};
use jiff::Timestamp;
use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, Pod, ResourceQuota, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use objects::labels::Selector;
use objects::meta;

use crate::budgets::budgets_of;
use crate::context::{BY_NODE, Context, lock, tell};
use crate::endpoints::{service_of, services_of};
use crate::garbage::{enqueue, identity};
use crate::heart::deployment::rolling::is_rolling;
use crate::heart::namespace::is_terminating;
use crate::heart::pods::{Note, has_ended, is_going, is_ready, node_name};
use crate::manager::{Queues, Seen};
use crate::nodes::ALL;

/// Written by the API server itself, and no leftover of a deleted Service.
const API_SERVER: &str = "default/kubernetes";

pub struct Triggers {
    context: Arc<Context>,
    queues: Queues,
    recorder: EventRecorder,
    /// What existed at the start was announced by an earlier manager.
    started: bool,
}

impl Triggers {
    pub fn new(context: Arc<Context>, queues: Queues) -> Self {
        let recorder = EventRecorder::new(context.client.clone(), "node-controller", None);
        Triggers { context, queues, recorder, started: false }
    }

    /// All caches are filled: look at what may have happened while nobody looked.
    pub fn started(&mut self) {
        self.started = true;
        self.queues.nodes.add(ALL);
        self.queues.pod_gc.add(());
        for endpoints in self.context.caches.endpoints.list() {
            let (namespace, name) = (meta::namespace(&endpoints.metadata), meta::name(&endpoints.metadata));
            let leftover = self.context.caches.services.get(namespace, name).is_none();
            if leftover && endpoints.key() != API_SERVER {
                self.queues.endpoints.add(endpoints.key());
            }
        }
    }

    pub fn pod(&mut self, change: Change<Pod>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        let (context, queues) = (Arc::clone(&self.context), self.queues.clone());
        self.expectations(&seen);
        let owners = seen.each().filter_map(|pod| meta::controller_of(&pod.metadata));
        for owner in owners.filter(|owner| owner.kind == ReplicaSet::KIND) {
            let pod = seen.any().map(|pod| meta::namespace(&pod.metadata)).unwrap_or_default();
            queues.replica_sets.add(meta::join_key(pod, &owner.name));
            if seen.new.is_none() {
                self.pod_of_recreated(pod, owner);
            }
        }
        if let Some(pod) = seen.new.as_ref().filter(|pod| meta::controller_of(&pod.metadata).is_none()) {
            for set in context.caches.replica_sets.list_in(meta::namespace(&pod.metadata)) {
                if set.spec.as_ref().is_some_and(|spec| selects(&spec.selector, &pod.metadata)) {
                    queues.replica_sets.add(set.key());
                }
            }
        }
        let changed = match (&seen.old, &seen.new) {
            (Some(old), Some(new)) => endpoint_facts(old) != endpoint_facts(new),
            _ => true,
        };
        for pod in seen.each().filter(|_| changed) {
            for service in services_of(&context, pod) {
                queues.endpoints.add(service);
            }
        }
        for pod in seen.each() {
            for budget in budgets_of(&context, pod) {
                queues.budgets.add(budget);
            }
        }
        if let Seen { old: Some(old), new: Some(new) } = &seen
            && has_ended(new)
            && !has_ended(old)
        {
            self.freed(meta::namespace(&new.metadata));
        }
        if let Some(pod) = &seen.new {
            let node = context.caches.nodes.get("", node_name(pod));
            if node.is_some_and(|node| evicts(&node)) {
                queues.evictions.add(pod.key());
            }
            if is_going(pod) && node_name(pod).is_empty() {
                queues.pod_gc.add(());
            }
        }
        false
    }

    /// What this set waited to see.
    fn expectations(&self, seen: &Seen<Pod>) {
        let mut expectations = lock(&self.context.expectations);
        let owner = |pod: &Pod| meta::controller_of(&pod.metadata).map(|owner| owner.uid.clone());
        let replaced = match (&seen.old, &seen.new) {
            (Some(old), Some(new)) => old.metadata.uid != new.metadata.uid,
            (None, Some(_)) => true,
            _ => false,
        };
        if let Some(pod) = &seen.new
            && let Some(owner) = owner(pod)
        {
            if replaced {
                expectations.creation_seen(&owner);
            }
            if is_going(pod) {
                expectations.deletion_seen(&owner, pod.uid());
            }
        }
        if let Some(pod) = &seen.old
            && (seen.new.is_none() || replaced)
            && let Some(owner) = owner(pod)
        {
            expectations.deletion_seen(&owner, pod.uid());
        }
    }

    /// A Deployment with the strategy Recreate waits until the last old pod is gone.
    fn pod_of_recreated(&self, namespace: &str, owner: &OwnerReference) {
        let caches = &self.context.caches;
        let set = caches.replica_sets.get(namespace, &owner.name);
        let owner = set.as_ref().and_then(|set| meta::controller_of(&set.metadata));
        if let Some(owner) = owner
            && let Some(deployment) = caches.deployments.get(namespace, &owner.name)
            && !is_rolling(&deployment)
        {
            self.queues.deployments.add(deployment.key());
        }
    }

    pub fn replica_set(&mut self, change: Change<ReplicaSet>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        for set in seen.each() {
            self.queues.replica_sets.add(set.key());
            let owner = meta::controller_of(&set.metadata).filter(|owner| owner.kind == Deployment::KIND);
            if let Some(owner) = owner {
                self.queues.deployments.add(meta::join_key(meta::namespace(&set.metadata), &owner.name));
            }
        }
        if let Some(set) = seen.new.as_ref().filter(|set| meta::controller_of(&set.metadata).is_none()) {
            for deployment in self.context.caches.deployments.list_in(meta::namespace(&set.metadata)) {
                if deployment.spec.as_ref().is_some_and(|spec| selects(&spec.selector, &set.metadata)) {
                    self.queues.deployments.add(deployment.key());
                }
            }
        }
        if let Seen { old: Some(set), new: None } = &seen {
            lock(&self.context.expectations).forget(set.uid());
        }
        false
    }

    pub fn deployment(&mut self, change: Change<Deployment>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        if let Some(deployment) = &seen.new {
            self.queues.deployments.add(deployment.key());
        }
        false
    }

    pub fn budget(&mut self, change: Change<PodDisruptionBudget>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        if let Some(budget) = &seen.new {
            self.queues.budgets.add(budget.key());
        }
        false
    }

    /// What is written into its status needs no answer: this controller wrote it, or the API server,
    /// which knows what it took off.
    pub fn quota(&mut self, change: Change<ResourceQuota>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        if let Some(quota) = &seen.new
            && seen.old.as_ref().is_none_or(|old| old.spec != quota.spec)
        {
            self.queues.quotas.add(quota.key());
        }
        false
    }

    /// Something in this namespace is not used any more.
    fn freed(&self, namespace: &str) {
        for quota in self.context.caches.quotas.list_in(namespace) {
            self.queues.quotas.add(quota.key());
        }
    }

    pub fn service(&mut self, change: Change<Service>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        if let Seen { old: Some(old), new: Some(new) } = &seen
            && old.spec != new.spec
        {
            self.freed(meta::namespace(&new.metadata));
        }
        if let Some(service) = seen.any() {
            self.queues.endpoints.add(service.key());
        }
        false
    }

    pub fn slice(&mut self, change: Change<EndpointSlice>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        for service in seen.each().filter_map(|slice| service_of(slice)) {
            self.queues.endpoints.add(service);
        }
        false
    }

    pub fn endpoints(&mut self, change: Change<Endpoints>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        if let Some(endpoints) = seen.any() {
            let (namespace, name) = (meta::namespace(&endpoints.metadata), meta::name(&endpoints.metadata));
            if self.context.caches.services.get(namespace, name).is_some() {
                self.queues.endpoints.add(endpoints.key());
            }
        }
        false
    }

    pub fn node(&mut self, change: Change<Node>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        let context = Arc::clone(&self.context);
        let Some(node) = seen.any() else {
            return false;
        };
        let name = meta::name(&node.metadata);
        if seen.new.is_some() {
            let lease = context.caches.leases.get("kube-node-lease", name);
            let is_new = lock(&context.monitor).handle_sign(node, lease.as_deref(), Timestamp::now());
            if is_new && self.started {
                self.tell_node(node, "RegisteredNode", "Registered", "in");
            }
        } else {
            lock(&context.monitor).handle_gone(name);
            lock(&context.taints).handle_gone(name);
            if let Some(networks) = &context.networks {
                lock(networks).release(name);
            }
            self.tell_node(node, "RemovingNode", "Removing", "from");
            self.queues.pod_gc.add(());
        }
        self.queues.nodes.add(ALL);
        let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
        let changed = seen.old.as_ref().map(|old| taints(old)) != seen.new.as_ref().map(|new| taints(new));
        if changed && seen.each().any(|node| evicts(node)) {
            for pod in context.caches.pods.by_index(BY_NODE, name) {
                self.queues.evictions.add(pod.key());
            }
        }
        false
    }

    fn tell_node(&self, node: &Node, reason: &'static str, verb: &str, preposition: &str) {
        let name = meta::name(&node.metadata);
        let message = format!("Node {name} event: {verb} Node {name} {preposition} Controller");
        tell(&self.recorder, &object_reference(node), &Note::normal(reason, message));
    }

    /// Leases are renewed all the time: they are noted, and start nothing.
    pub fn lease(&mut self, change: Change<Lease>) -> bool {
        let Some(seen) = Seen::of(change) else {
            return true;
        };
        if let Some(lease) = &seen.new
            && let Some(node) = self.context.caches.nodes.get("", meta::name(&lease.metadata))
        {
            lock(&self.context.monitor).handle_sign(&node, Some(lease), Timestamp::now());
        }
        false
    }

    pub fn namespace(&mut self, change: Change<Namespace>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        if let Some(namespace) = &seen.new {
            let queue =
                if is_terminating(namespace) { &self.queues.namespaces } else { &self.queues.accounts };
            queue.add(namespace.key());
        }
        false
    }

    pub fn account(&mut self, change: Change<ServiceAccount>) -> bool {
        let Some(seen) = self.observe(change) else {
            return true;
        };
        if let Some(account) = seen.any() {
            self.queues.accounts.add(meta::namespace(&account.metadata).to_owned());
        }
        false
    }

    /// ConfigMaps reach the garbage collector as [`Triggers::other`].
    pub fn root_ca(&mut self, change: Change<ConfigMap>) -> bool {
        let Some(seen) = Seen::of(change) else {
            return true;
        };
        if let Some(map) = seen.any() {
            lock(&self.context.caught_up).seen(ConfigMap::KIND, map.resource_version());
            self.queues.accounts.add(meta::namespace(&map.metadata).to_owned());
        }
        false
    }

    pub fn other(&mut self, change: Change<DynamicObject>) {
        let Some(seen) = Seen::of(change) else {
            return;
        };
        if let Some(object) = seen.any() {
            let (api_version, kind) = (object.api_version.clone(), object.kind.clone());
            self.collect(&seen, &api_version, &kind);
        }
    }

    /// What every kind has in common: the cache has moved on, and the graph learns of it.
    fn observe<K: Keyed + Resource>(&self, change: Change<K>) -> Option<Seen<K>> {
        let seen = Seen::of(change)?;
        if let Some(object) = seen.any() {
            lock(&self.context.caught_up).seen(K::KIND, object.resource_version());
        }
        self.collect(&seen, K::API_VERSION, K::KIND);
        Some(seen)
    }

    fn collect<K: Keyed>(&self, seen: &Seen<K>, api_version: &str, kind: &str) {
        let mut graph = lock(&self.context.graph);
        let gone = match (&seen.old, &seen.new) {
            (Some(old), Some(new)) if old.uid() == new.uid() => None,
            (old, _) => old.as_ref(),
        };
        if let Some(old) = gone {
            let work = graph.handle_gone(old.uid());
            enqueue(&self.queues.garbage, work);
            let namespace = meta::namespace(old.meta());
            self.freed(namespace);
            let terminating = self.context.caches.namespaces.get("", namespace);
            if terminating.is_some_and(|namespace| is_terminating(&namespace)) {
                self.queues.namespaces.add(namespace.to_owned());
            }
        }
        if let Some(new) = &seen.new {
            let work = graph.handle(identity(api_version, kind, new.meta()), new.meta());
            enqueue(&self.queues.garbage, work);
        }
    }
}

fn selects(selector: &LabelSelector, object: &ObjectMeta) -> bool {
    Selector::from_label_selector(selector).is_ok_and(|selector| selector.matches(meta::labels(object)))
}

/// Does the node send anybody away?
fn evicts(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().any(|taint| taint.effect == "NoExecute")
}

/// What an endpoint is made of: a change of anything else is no news to a Service.
fn endpoint_facts(pod: &Pod) -> impl PartialEq + '_ {
    let ips = pod.status.as_ref().map(|status| (&status.pod_ip, &status.pod_ips));
    let states = (has_ended(pod), is_going(pod), is_ready(pod));
    (ips, states, node_name(pod), meta::labels(&pod.metadata), meta::uid(&pod.metadata))
}
