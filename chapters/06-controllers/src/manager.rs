//! The loop: every trigger of every controller on one page, and what it queues.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use informer::{Client, DynamicObject, Event as Change, EventRecorder, Informer, Keyed, WorkQueue};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, Pod, ResourceQuota, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::Args;
use crate::accounts::Accounts;
use crate::budgets::Budgets;
use crate::context::Context;
use crate::deployments::Deployments;
use crate::driver::{queue, start};
use crate::endpoints::EndpointsOfServices;
use crate::evictions::Evictions;
use crate::garbage::{self, Garbage, Task};
use crate::heart::cidr::CidrAllocator;
use crate::heart::node_health::{NodeMonitor, Patience};
use crate::namespaces::Namespaces;
use crate::nodes::{ALL, Nodes};
use crate::pod_gc::PodGc;
use crate::quotas::Quotas;
use crate::replica_sets::ReplicaSets;
use crate::triggers::Triggers;

/// How many events may wait for the loop; more hold the watches back.
const PENDING: usize = 1024;
/// How often discovery is asked for kinds that are new, and how long after a definition changed.
const NEW_KINDS: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_millis(500);
/// How long the kinds that the garbage collector watches may take to be listed.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);
/// The caches that must be filled before anything is done.
const SOURCES: usize = 13;

/// Everything that the controllers react to.
pub enum Event {
    Pod(Change<Pod>),
    ReplicaSet(Change<ReplicaSet>),
    Deployment(Change<Deployment>),
    Budget(Change<PodDisruptionBudget>),
    Quota(Change<ResourceQuota>),
    Service(Change<Service>),
    Slice(Change<EndpointSlice>),
    Endpoints(Change<Endpoints>),
    Node(Change<Node>),
    Lease(Change<Lease>),
    Namespace(Change<Namespace>),
    Account(Change<ServiceAccount>),
    RootCa(Change<ConfigMap>),
    /// Of any other kind: for the garbage collector and namespaces that empty themselves.
    Other(Change<DynamicObject>),
    /// Silent nodes are looked for.
    MonitorTick,
    Stop,
}

/// One queue for each controller.
#[derive(Clone)]
pub struct Queues {
    pub replica_sets: WorkQueue<String>,
    pub deployments: WorkQueue<String>,
    pub budgets: WorkQueue<String>,
    pub quotas: WorkQueue<String>,
    pub endpoints: WorkQueue<String>,
    pub nodes: WorkQueue<()>,
    pub evictions: WorkQueue<String>,
    pub pod_gc: WorkQueue<()>,
    pub namespaces: WorkQueue<String>,
    pub accounts: WorkQueue<String>,
    pub garbage: WorkQueue<Task>,
}

impl Queues {
    fn new() -> Self {
        Queues {
            replica_sets: queue(),
            deployments: queue(),
            budgets: queue(),
            quotas: queue(),
            endpoints: queue(),
            nodes: queue(),
            evictions: queue(),
            pod_gc: queue(),
            namespaces: queue(),
            accounts: queue(),
            garbage: queue(),
        }
    }
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let client = Client::from_kubeconfig(&args.kubeconfig)?.called("kube-controller-manager");
    let networks = match args.allocate_node_cidrs {
        true => Some(CidrAllocator::new(&args.cluster_cidr, args.node_cidr_mask_size)?),
        false => None,
    };
    let root_certificate = match &args.root_ca_file {
        Some(path) => {
            Some(std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?)
        }
        None => None,
    };
    let monitor = NodeMonitor::new(Patience {
        grace: args.node_monitor_grace_period,
        startup_grace: args.node_startup_grace_period,
        eviction_rate: args.node_eviction_rate,
    });
    let context = Arc::new(Context::new(client, monitor, networks));
    let queues = Queues::new();
    let mut triggers = Triggers::new(Arc::clone(&context), queues.clone());
    let mut workers = JoinSet::new();
    let (sender, mut events) = mpsc::channel(PENDING);
    subscribe(&context, &sender);
    let mut others = watch_others(&context, sender.clone(), queues.garbage.clone());
    let mut monitor_tick = tokio::time::interval(args.node_monitor_period);
    monitor_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut not_synced = SOURCES;
    loop {
        let event = tokio::select! {
            Some(event) = events.recv() => event,
            _ = monitor_tick.tick() => Event::MonitorTick,
            _ = terminate.recv() => Event::Stop,
            _ = interrupt.recv() => Event::Stop,
            Some(ended) = others.join_next() => {
                ended.context("the garbage collector's watches ended")?;
                continue;
            }
        };
        let synced = match event {
            Event::Pod(change) => triggers.pod(change),
            Event::ReplicaSet(change) => triggers.replica_set(change),
            Event::Deployment(change) => triggers.deployment(change),
            Event::Budget(change) => triggers.budget(change),
            Event::Quota(change) => triggers.quota(change),
            Event::Service(change) => triggers.service(change),
            Event::Slice(change) => triggers.slice(change),
            Event::Endpoints(change) => triggers.endpoints(change),
            Event::Node(change) => triggers.node(change),
            Event::Lease(change) => triggers.lease(change),
            Event::Namespace(change) => triggers.namespace(change),
            Event::Account(change) => triggers.account(change),
            Event::RootCa(change) => triggers.root_ca(change),
            Event::Other(change) => {
                triggers.other(change);
                false
            }
            Event::MonitorTick => {
                queues.nodes.add(ALL);
                false
            }
            Event::Stop => return Ok(()),
        };
        if synced {
            not_synced -= 1;
            if not_synced == 0 {
                triggers.started();
                start_workers(&mut workers, &context, &queues, root_certificate.clone());
            }
        }
    }
}

fn subscribe(context: &Context, events: &mpsc::Sender<Event>) {
    let caches = &context.caches;
    pump(&caches.pods, events, Event::Pod);
    pump(&caches.replica_sets, events, Event::ReplicaSet);
    pump(&caches.deployments, events, Event::Deployment);
    pump(&caches.budgets, events, Event::Budget);
    pump(&caches.quotas, events, Event::Quota);
    pump(&caches.services, events, Event::Service);
    pump(&caches.slices, events, Event::Slice);
    pump(&caches.endpoints, events, Event::Endpoints);
    pump(&caches.nodes, events, Event::Node);
    pump(&caches.leases, events, Event::Lease);
    pump(&caches.namespaces, events, Event::Namespace);
    pump(&caches.accounts, events, Event::Account);
    pump(&caches.root_cas, events, Event::RootCa);
}

/// Many watches into one loop. The channel is bounded: the loop's pace is the watches' pace.
fn pump<K>(informer: &Informer<K>, events: &mpsc::Sender<Event>, wrap: fn(Change<K>) -> Event)
where
    K: Keyed + Send + Sync + 'static,
{
    let (mut changes, events) = (informer.subscribe(), events.clone());
    tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            if events.send(wrap(change)).await.is_err() {
                return;
            }
        }
    });
}

/// Watches whatever else discovery lists, now and when new kinds come.
fn watch_others(
    context: &Arc<Context>,
    events: mpsc::Sender<Event>,
    garbage_queue: WorkQueue<Task>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (sender, mut changes) = mpsc::channel(PENDING);
    tasks.spawn(async move {
        while let Some(change) = changes.recv().await {
            if events.send(Event::Other(change)).await.is_err() {
                return;
            }
        }
    });
    let context = Arc::clone(context);
    tasks.spawn(async move {
        let mut watched = garbage::WatchedKinds::new();
        let mut workers = JoinSet::new();
        let mut pause = Duration::from_millis(50);
        let changed = Arc::new(Notify::new());
        loop {
            match garbage::watch_others(&context, &mut watched, &sender, &changed).await {
                Ok(work) => {
                    garbage::enqueue(&garbage_queue, work);
                    let all = watched.values().map(|watched| watched.informer.synced());
                    // A kind that cannot be listed must not keep the others waiting: who looks for
                    // an owner that the graph does not have asks the server.
                    if tokio::time::timeout(SYNC_TIMEOUT, join_all(all)).await.is_err() {
                        tracing::info!("not every kind could be listed");
                    }
                    pause = NEW_KINDS;
                    if workers.is_empty() {
                        context.caches.synced().await;
                        let garbage = Garbage { queue: garbage_queue.clone() };
                        start(&mut workers, &context, garbage, &garbage_queue, 5);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "discovery failed");
                    pause =
                        if workers.is_empty() { (pause * 2).min(Duration::from_secs(2)) } else { NEW_KINDS };
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Several changes come together, and discovery follows them by a moment.
                () = changed.notified() => tokio::time::sleep(SETTLE).await,
            }
        }
    });
    tasks
}

fn start_workers(
    workers: &mut JoinSet<()>,
    context: &Arc<Context>,
    queues: &Queues,
    root_certificate: Option<String>,
) {
    let recorder = |component| EventRecorder::new(context.client.clone(), component, None);
    let replica_sets = ReplicaSets { recorder: recorder("replicaset-controller") };
    start(workers, context, replica_sets, &queues.replica_sets, 5);
    let deployments = Deployments { recorder: recorder("deployment-controller") };
    start(workers, context, deployments, &queues.deployments, 5);
    let budgets = Budgets { recorder: recorder("controllermanager") };
    start(workers, context, budgets, &queues.budgets, 1);
    start(workers, context, Quotas, &queues.quotas, 5);
    start(workers, context, EndpointsOfServices, &queues.endpoints, 5);
    let nodes = Nodes { recorder: recorder("node-controller") };
    start(workers, context, nodes, &queues.nodes, 1);
    let evictions =
        Evictions { recorder: recorder("taint-eviction-controller"), running: Mutex::new(BTreeSet::new()) };
    start(workers, context, evictions, &queues.evictions, 5);
    start(workers, context, PodGc::default(), &queues.pod_gc, 1);
    start(workers, context, Namespaces, &queues.namespaces, 2);
    start(workers, context, Accounts { root_certificate }, &queues.accounts, 1);
}

/// How an object's change looks to a trigger: before and after.
pub struct Seen<K> {
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

impl<K: Keyed> Seen<K> {
    /// `None` for [`Change::Synced`].
    pub fn of(change: Change<K>) -> Option<Self> {
        match change {
            Change::Added(new) => Some(Seen { old: None, new: Some(new) }),
            Change::Updated { old, new } => Some(Seen { old: Some(old), new: Some(new) }),
            Change::Deleted(old) => Some(Seen { old: Some(old), new: None }),
            Change::Synced => None,
        }
    }

    /// Whichever there is, the newer first.
    pub fn any(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Both, where there are two.
    pub fn each(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(&self.new)
    }
}
