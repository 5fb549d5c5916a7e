//! The loop: everything that can happen, and what follows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use informer::{Client, EventRecorder, Informer, Query};
use k8s_openapi::api::core::v1 as api;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, info};

use crate::args::Args;
use crate::asks::{self, Ask, Probes};
use crate::cri::{Cri, Known};
use crate::ctx::{self, Ctx};
use crate::disk::{Dirs, make_dir};
use crate::heart::images;
use crate::heart::probe::{ProbeKind, Verdicts};
use crate::heart::sources::{Change, PodSource, PodUpdate};
use crate::heart::types::{Timestamp, Uid, spec};
use crate::heart::worker::{Action, Input, Outcome, PodState, PodWorker, Work};
use crate::pod::{self, Memory, Order, Report};
use crate::refs::Refs;
use crate::registry::Registry;
use crate::statuses::Statuses;
use crate::{listen, machine, node, notify, server};

/// Everything that can happen to a kubelet.
pub enum Event {
    /// The watch on this node's pods spoke.
    Pod(informer::Event<api::Pod>),
    /// Something happened to a container or the sandbox of this pod.
    Container(Uid),
    /// The runtime was listed: at the start, after it was away, and once in a while.
    Listed(Known),
    /// A piece of work has ended, one way or another.
    Worked(Box<Result<(Id, Report), JoinError>>),
    /// A probe was answered.
    Probed { uid: Uid, container: String, id: String, kind: ProbeKind, answer: Result<(), String> },
    /// A ConfigMap or Secret that pods refer to has changed.
    Reference { namespace: String, name: String },
    /// An image arrived.
    Image,
    /// The node's network became ready, or ceased to be.
    Network,
    /// A moment has come for which someone waits.
    Tick,
    /// The process is to end. Pods go on.
    Stop,
}

/// Full: whoever reports waits until the loop has caught up.
const EVENTS: usize = 1024;

/// One pod in the loop.
struct Entry {
    worker: PodWorker,
    pod: Option<Arc<api::Pod>>,
    /// Away with the task while work runs.
    memory: Option<Memory>,
    interrupt: watch::Sender<bool>,
    wake_at: Option<Timestamp>,
    probes: Probes,
    waits_for_image: bool,
    object_arrived: bool,
}

impl Entry {
    fn new(pod: Option<Arc<api::Pod>>) -> Entry {
        Entry {
            worker: PodWorker::default(),
            pod,
            memory: Some(Memory::default()),
            interrupt: watch::Sender::new(false),
            wake_at: None,
            probes: BTreeMap::new(),
            waits_for_image: false,
            object_arrived: false,
        }
    }
}

struct Loop {
    ctx: Arc<Ctx>,
    source: PodSource,
    pods: BTreeMap<Uid, Entry>,
    /// Pods that the runtime or the disk knew when it was last listed.
    known: BTreeSet<Uid>,
    image_arrivals: u64,
    working: JoinSet<Report>,
    working_for: HashMap<Id, Uid>,
    events: mpsc::Sender<Event>,
}

/// Runs the kubelet until the process is told to end. Pods go on without it.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let client = Client::from_kubeconfig(&args.kubeconfig)
        .with_context(|| format!("reading {}", args.kubeconfig.display()))?
        .called("kubelet");
    let cri = Cri::new(&args.container_runtime_endpoint)?;
    let dirs = Dirs { root: args.root_dir.clone(), logs: args.pod_log_dir.clone() };
    make_dir(&dirs.pods()).context("making the pods' directory")?;
    make_dir(&dirs.logs).context("making the logs' directory")?;
    let machine = machine::look(&args)?;
    let node_name = machine.name.clone();
    info!(node = node_name, ip = machine.internal_ip, "starting");

    let (events, mut inbox) = mpsc::channel(EVENTS);
    let pods = Informer::<api::Pod>::start(
        &client,
        Query { field_selector: Some(format!("spec.nodeName={node_name}")), ..Query::default() },
    );
    let mut watch = pods.subscribe();
    let (runtime_name, runtime_name_seen) = watch::channel("coracle".to_owned());
    let (network, network_problem) = watch::channel(Some("the runtime was not asked yet".to_owned()));
    let ctx = Arc::new(Ctx {
        statuses: Statuses::new(client.clone()),
        recorder: EventRecorder::new(client.clone(), "kubelet", Some(&node_name)),
        registry: Arc::new(Registry::new()),
        refs: Refs::new(client.clone(), events.clone()),
        services: Informer::start(&client, Query::default()),
        node_dns: ctx::node_dns(),
        runtime_name: runtime_name_seen,
        network_problem,
        client,
        cri,
        machine,
        dirs,
        args,
    });
    let statuses = tokio::spawn(ctx.statuses.clone().run());
    let (runtime_moved, runtime_moves) = watch::channel(0_u64);
    let listener = tokio::spawn(listen::run(ctx.cri.clone(), events.clone(), runtime_moved));
    let node = tokio::spawn(node::run(ctx.clone(), runtime_name, network, runtime_moves));
    let lease = tokio::spawn(node::renew_lease(ctx.clone()));
    let server = tokio::spawn(server::run(ctx.clone()));
    let images = tokio::spawn(notify::run(ctx.args.image_notify.clone(), events.clone()));
    let bells = tokio::spawn(ring(ctx.network_problem.clone(), events.clone()));
    let helpers = [statuses, listener, node, lease, server, images, bells];

    let mut this = Loop {
        ctx,
        source: PodSource::default(),
        pods: BTreeMap::new(),
        known: BTreeSet::new(),
        image_arrivals: 0,
        working: JoinSet::new(),
        working_for: HashMap::new(),
        events,
    };
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    loop {
        let until_tick = this.until_tick();
        let event = tokio::select! {
            Some(event) = watch.recv() => Event::Pod(event),
            Some(event) = inbox.recv() => event,
            Some(result) = this.working.join_next_with_id() => Event::Worked(Box::new(result)),
            () = tokio::time::sleep(until_tick) => Event::Tick,
            _ = term.recv() => Event::Stop,
            _ = int.recv() => Event::Stop,
        };
        match event {
            Event::Stop => break,
            event => this.handle(event),
        }
    }
    info!("stopping; pods go on");
    helpers.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// Passes changes of the node's network on as events.
async fn ring(mut network: watch::Receiver<Option<String>>, events: mpsc::Sender<Event>) {
    while network.changed().await.is_ok() {
        if events.send(Event::Network).await.is_err() {
            return;
        }
    }
}

impl Loop {
    fn handle(&mut self, event: Event) {
        match event {
            Event::Pod(change) => self.pod_changed(change),
            Event::Container(uid) => self.input(&uid, Input::Wake),
            Event::Listed(known) => {
                self.known = known.into_iter().chain(self.ctx.dirs.known()).collect();
                self.kill_orphans();
                self.wake_all(|_| true);
            }
            Event::Worked(result) => self.worked(*result),
            Event::Probed { uid, container, id, kind, answer } => {
                self.probed(&uid, &container, &id, kind, answer);
            }
            Event::Reference { namespace, name } => {
                for uid in self.ctx.refs.users(&namespace, &name) {
                    if let Some(entry) = self.pods.get_mut(&uid) {
                        entry.object_arrived = true;
                    }
                    self.input(&uid, Input::Wake);
                }
            }
            Event::Image => {
                self.image_arrivals += 1;
                self.wake_all(|entry| entry.waits_for_image);
            }
            Event::Network => self.wake_all(|_| true),
            Event::Tick => self.tick(),
            Event::Stop => {}
        }
    }

    fn pod_changed(&mut self, change: informer::Event<api::Pod>) {
        let (change, last) = match change {
            informer::Event::Added(pod) | informer::Event::Updated { new: pod, .. } => {
                (Change::Seen(pod), None)
            }
            informer::Event::Deleted(pod) => (Change::Deleted(pod.clone()), Some(pod)),
            informer::Event::Synced => (Change::Synced, None),
        };
        let synced = matches!(change, Change::Synced);
        for update in self.source.handle(change) {
            match update {
                PodUpdate::Add(pod) | PodUpdate::Update(pod) | PodUpdate::Delete(pod) => self.seen(pod),
                PodUpdate::Remove(uid) => {
                    if let (Some(entry), Some(last)) = (self.pods.get_mut(&uid), &last) {
                        entry.pod = Some(last.clone());
                    }
                    self.ctx.statuses.forget(&uid);
                    self.input(&uid, Input::Gone { grace_seconds: None });
                }
            }
        }
        if synced {
            info!(pods = self.pods.len(), "the pods of this node are known");
            self.kill_orphans();
        }
    }

    fn seen(&mut self, pod: Arc<api::Pod>) {
        let uid = Uid::of(&pod);
        self.ctx.statuses.observe(&pod);
        self.ctx.registry.set_pod(&pod);
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        let input = Input::Update {
            deletion_grace: pod.metadata.deletion_timestamp.is_some().then_some(grace),
            finished: matches!(phase, Some("Succeeded" | "Failed")),
        };
        let entry = self.pods.entry(uid.clone()).or_insert_with(|| Entry::new(None));
        // Our own status coming back is no reason to look again.
        let echo = entry.pod.as_ref().is_some_and(|old| same_but_status(old, &pod));
        entry.pod = Some(pod);
        entry.object_arrived |= !echo;
        if !echo || matches!(input, Input::Update { finished: true, .. }) {
            self.input(&uid, input);
        }
    }

    /// What the runtime or the disk holds and the API server does not know is ended.
    fn kill_orphans(&mut self) {
        for uid in self.source.orphans(&self.known) {
            if !self.pods.contains_key(&uid) {
                info!(%uid, "removing a pod that the API server does not know");
                self.pods.insert(uid.clone(), Entry::new(None));
                self.input(&uid, Input::Gone { grace_seconds: Some(1) });
            }
        }
    }

    fn wake_all(&mut self, wanted: impl Fn(&Entry) -> bool) {
        let uids: Vec<Uid> =
            self.pods.iter().filter(|(_, e)| wanted(e)).map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            self.input(&uid, Input::Wake);
        }
    }

    /// Gives a pod's state machine its input, and does what it says.
    fn input(&mut self, uid: &Uid, input: Input) {
        let Some(entry) = self.pods.get_mut(uid) else {
            return;
        };
        entry.wake_at = None;
        for action in entry.worker.handle(input) {
            match action {
                Action::Run(work) => self.begin(uid, work),
                Action::Interrupt => {
                    if let Some(entry) = self.pods.get(uid) {
                        entry.interrupt.send_replace(true);
                    }
                }
                Action::Forget => {
                    self.pods.remove(uid);
                    self.known.remove(uid);
                    self.ctx.registry.remove(uid);
                    self.ctx.statuses.forget(uid);
                }
            }
        }
    }

    fn begin(&mut self, uid: &Uid, work: Work) {
        let Some(entry) = self.pods.get_mut(uid) else {
            return;
        };
        if !matches!(work, Work::Sync) {
            entry.probes.clear();
        }
        entry.interrupt = watch::Sender::new(false);
        let verdicts = entry.probes.values().map(|(id, probes)| (id.clone(), probes.verdict()));
        let order = Order {
            uid: uid.clone(),
            work,
            pod: entry.pod.clone(),
            verdicts: Verdicts(verdicts.collect()),
            image_arrivals: self.image_arrivals,
            object_arrived: std::mem::take(&mut entry.object_arrived),
            interrupt: entry.interrupt.subscribe(),
        };
        let memory = entry.memory.take().unwrap_or_default();
        let task = self.working.spawn(pod::run(self.ctx.clone(), order, memory));
        self.working_for.insert(task.id(), uid.clone());
    }

    fn worked(&mut self, result: Result<(Id, Report), JoinError>) {
        let (id, report) = match result {
            Ok((id, report)) => (id, Some(report)),
            Err(e) => {
                error!(error = %e, "work on a pod ended in a panic");
                (e.id(), None)
            }
        };
        let Some(uid) = self.working_for.remove(&id) else {
            return;
        };
        let Some(entry) = self.pods.get_mut(&uid) else {
            return;
        };
        let Some(report) = report else {
            entry.memory = Some(Memory::default());
            return self.input(&uid, Input::Done(Outcome::Failed));
        };
        entry.waits_for_image = report.memory.waiting.values().any(|w| images::waits_for_image(&w.reason));
        entry.memory = Some(report.memory);
        if entry.worker.state() == PodState::Syncing
            && let (Some(pod), Some(record)) = (entry.pod.clone(), &report.runtime)
        {
            asks::renew(&mut entry.probes, &pod, record);
        }
        self.input(&uid, Input::Done(report.outcome));
        if let Some(entry) = self.pods.get_mut(&uid)
            && entry.worker.running().is_none()
        {
            entry.wake_at = report.wake_at;
        }
        self.ask_due();
    }

    fn probed(&mut self, uid: &Uid, container: &str, id: &str, kind: ProbeKind, answer: Result<(), String>) {
        let Some(entry) = self.pods.get_mut(uid) else {
            return;
        };
        let Some((current, probes)) = entry.probes.get_mut(container) else {
            return;
        };
        if current != id {
            return;
        }
        let changed = probes.handle_answer(kind, answer.is_ok(), Timestamp::now());
        if let (Err(cause), Some(pod)) = (&answer, &entry.pod) {
            let message = format!("{} probe failed: {cause}", kind.title());
            self.ctx.event(pod, Some(container), true, "Unhealthy", &message);
        }
        if changed {
            self.input(uid, Input::Wake);
        }
        self.ask_due();
    }

    /// When the loop must look at its clock again.
    fn until_tick(&self) -> Duration {
        let wakes = self.pods.values().filter_map(|e| e.wake_at);
        let probes = self.pods.values().flat_map(|e| e.probes.values());
        let next = wakes.chain(probes.filter_map(|(_, p)| p.next_due())).min();
        match next {
            None => Duration::from_secs(3600),
            Some(at) => Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO),
        }
    }

    fn tick(&mut self) {
        let now = Timestamp::now();
        let due: Vec<Uid> = (self.pods.iter())
            .filter(|(_, e)| e.wake_at.is_some_and(|at| at <= now))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in due {
            self.input(&uid, Input::Wake);
        }
        self.ask_due();
    }

    /// Sends out the probes whose time has come.
    fn ask_due(&mut self) {
        let now = Timestamp::now();
        for (uid, entry) in &mut self.pods {
            let Some(pod) = &entry.pod else {
                continue;
            };
            for (name, (id, probes)) in &mut entry.probes {
                for kind in probes.poll_due(now) {
                    let ask = Ask { uid: uid.clone(), container: name.clone(), id: id.clone(), kind };
                    tokio::spawn(ask.run(self.ctx.clone(), pod.clone(), self.events.clone()));
                }
            }
        }
    }
}

/// Do two versions of a pod ask for the same?
fn same_but_status(old: &api::Pod, new: &api::Pod) -> bool {
    let (a, b) = (&old.metadata, &new.metadata);
    a.deletion_timestamp == b.deletion_timestamp
        && a.deletion_grace_period_seconds == b.deletion_grace_period_seconds
        && a.labels == b.labels
        && a.annotations == b.annotations
        && spec(old) == spec(new)
}
