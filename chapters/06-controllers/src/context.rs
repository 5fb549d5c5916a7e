//! What all controllers share: the client, the caches, and the record of their own writes.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use informer::{ApiResource, Client, EventRecorder, Informer, Keyed, Query};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, ObjectReference, Pod, ResourceQuota, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;

use crate::heart::cidr::CidrAllocator;
use crate::heart::expectations::{CaughtUp, Expectations};
use crate::heart::gc::Graph;
use crate::heart::node_health::NodeMonitor;
use crate::heart::pods::{Note, node_name};
use crate::heart::service_account::ROOT_CA;
use crate::heart::taints::TaintClock;

/// Index of pods and ReplicaSets: the uid of the controller, or `orphan:NAMESPACE`.
pub const BY_CONTROLLER: &str = "controller";
/// Index of pods.
pub const BY_NODE: &str = "node";

pub struct Caches {
    pub pods: Informer<Pod>,
    pub nodes: Informer<Node>,
    pub leases: Informer<Lease>,
    pub services: Informer<Service>,
    pub slices: Informer<EndpointSlice>,
    pub endpoints: Informer<Endpoints>,
    pub replica_sets: Informer<ReplicaSet>,
    pub deployments: Informer<Deployment>,
    pub budgets: Informer<PodDisruptionBudget>,
    pub quotas: Informer<ResourceQuota>,
    pub namespaces: Informer<Namespace>,
    pub accounts: Informer<ServiceAccount>,
    pub root_cas: Informer<ConfigMap>,
}

fn controller_key(object: &ObjectMeta) -> Vec<String> {
    match meta::controller_of(object) {
        Some(owner) => vec![owner.uid.clone()],
        None => vec![orphans_of(meta::namespace(object))],
    }
}

/// The index value of what nobody controls.
pub fn orphans_of(namespace: &str) -> String {
    format!("orphan:{namespace}")
}

impl Caches {
    fn start(client: &Client) -> Self {
        let all = Query::default;
        let in_lease_namespace = Query { namespace: Some("kube-node-lease".to_owned()), ..all() };
        let root_cas = Query { field_selector: Some(format!("metadata.name={ROOT_CA}")), ..all() };
        Caches {
            pods: Informer::start_indexed(
                client,
                all(),
                vec![
                    (BY_CONTROLLER, Box::new(|pod: &Pod| controller_key(&pod.metadata))),
                    (BY_NODE, Box::new(|pod: &Pod| vec![node_name(pod).to_owned()])),
                ],
            ),
            replica_sets: Informer::start_indexed(
                client,
                all(),
                vec![(BY_CONTROLLER, Box::new(|set: &ReplicaSet| controller_key(&set.metadata)))],
            ),
            nodes: Informer::start(client, all()),
            leases: Informer::start(client, in_lease_namespace),
            services: Informer::start(client, all()),
            slices: Informer::start(client, all()),
            endpoints: Informer::start(client, all()),
            deployments: Informer::start(client, all()),
            budgets: Informer::start(client, all()),
            quotas: Informer::start(client, all()),
            namespaces: Informer::start(client, all()),
            accounts: Informer::start(client, all()),
            root_cas: Informer::start(client, root_cas),
        }
    }
}

impl Caches {
    /// Waits until all of them hold what existed at the start.
    pub async fn synced(&self) {
        tokio::join!(
            self.pods.synced(),
            self.nodes.synced(),
            self.leases.synced(),
            self.services.synced(),
            self.slices.synced(),
            self.endpoints.synced(),
            self.replica_sets.synced(),
            self.deployments.synced(),
            self.budgets.synced(),
            self.quotas.synced(),
            self.namespaces.synced(),
            self.accounts.synced(),
        );
    }
}

pub struct Context {
    pub client: Client,
    pub caches: Caches,
    pub expectations: Mutex<Expectations>,
    pub caught_up: Mutex<CaughtUp>,
    pub graph: Mutex<Graph>,
    pub monitor: Mutex<NodeMonitor>,
    /// `None` without `--allocate-node-cidrs`.
    pub networks: Option<Mutex<CidrAllocator>>,
    pub taints: Mutex<TaintClock>,
    /// What discovery listed last.
    pub resources: RwLock<Vec<ApiResource>>,
}

impl Context {
    pub fn new(client: Client, monitor: NodeMonitor, networks: Option<CidrAllocator>) -> Self {
        Context {
            caches: Caches::start(&client),
            client,
            expectations: Mutex::default(),
            caught_up: Mutex::default(),
            graph: Mutex::default(),
            monitor: Mutex::new(monitor),
            networks: networks.map(Mutex::new),
            taints: Mutex::default(),
            resources: RwLock::default(),
        }
    }

    /// Has the cache shown everything that this work wrote?
    pub fn caught_up(&self, id: &str) -> bool {
        lock(&self.caught_up).satisfied(id, Timestamp::now())
    }

    /// The work on `key` of the controller `name` wrote this object.
    pub fn wrote<K: Keyed>(&self, name: &str, key: &impl std::fmt::Debug, kind: &'static str, object: &K) {
        let id = format!("{name}/{key:?}");
        lock(&self.caught_up).wrote(&id, kind, object.resource_version(), Timestamp::now());
    }
}

/// A poisoned lock means that a worker panicked between two whole states: go on.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn tell(recorder: &EventRecorder, about: &ObjectReference, note: &Note) {
    recorder.event(about, note.type_, note.reason, &note.message);
}
