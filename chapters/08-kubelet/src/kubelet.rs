//! The loop: everything that can happen, and what follows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use informer::{Client, EventRecorder, Informer, Query};
use k8s_openapi::api::core::v1 as api;
use runtime::cri as pb;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{debug, error, info, warn};

use crate::args::Args;
use crate::cri::{Cri, Known, identity};
use crate::disk::{Dirs, make_dir};
use crate::heart::probe::{ContainerProbes, ProbeKind, Verdicts};
use crate::heart::sources::{Change, PodSource, PodUpdate};
use crate::heart::types::{RunState, RuntimePod, Timestamp, Uid, all_containers, find_container, spec};
use crate::heart::worker::{Action, Input, Outcome, PodState, PodWorker, Work};
use crate::heart::{images, names};
use crate::pod::{self, Ctx, Memory, Order, Report};
use crate::refs::Refs;
use crate::registry::Registry;
use crate::statuses::Statuses;
use crate::{machine, node, notify, prober, server};

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

/// Without any event, the runtime is listed this often, in case one was lost.
const RELIST: Duration = Duration::from_secs(300);

/// One pod in the loop.
struct Entry {
    worker: PodWorker,
    pod: Option<Arc<api::Pod>>,
    /// Away with the task while work runs.
    memory: Option<Memory>,
    interrupt: watch::Sender<bool>,
    wake_at: Option<Timestamp>,
    /// By container name: the run's id, and its probes.
    probes: BTreeMap<String, (String, ContainerProbes)>,
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
        .with_context(|| format!("reading {}", args.kubeconfig.display()))?;
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
        node_dns: pod::node_dns(),
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
    let listener = tokio::spawn(listen(ctx.cri.clone(), events.clone(), runtime_moved));
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

/// Listens to the runtime: its events while it is there, a list whenever it comes (back).
async fn listen(cri: Cri, events: mpsc::Sender<Event>, moved: watch::Sender<u64>) {
    let mut delay = Duration::from_millis(20);
    loop {
        if let Err(e) = listen_once(&cri, &events, &moved, &mut delay).await {
            debug!(error = e.message(), "the runtime is away");
        }
        // Whoever asks the runtime how it is asks again.
        moved.send_modify(|n| *n += 1);
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(1));
    }
}

async fn listen_once(
    cri: &Cri,
    events: &mpsc::Sender<Event>,
    moved: &watch::Sender<u64>,
    delay: &mut Duration,
) -> Result<(), tonic::Status> {
    let mut client = cri.runtime.clone();
    // Some runtimes answer this call only with their first event, so the list does not wait for it.
    let mut opening = std::pin::pin!(client.get_container_events(pb::GetEventsRequest {}));
    let mut stream = None;
    let mut seen = false;
    let mut relist = tokio::time::interval(RELIST);
    loop {
        let message = tokio::select! {
            opened = &mut opening, if stream.is_none() => {
                stream = Some(opened?.into_inner());
                // Whatever came between the list and the subscription is in the next list.
                relist.reset_immediately();
                continue;
            }
            _ = relist.tick() => {
                let known = cri.known().await?;
                *delay = Duration::from_millis(20);
                if !std::mem::replace(&mut seen, true) {
                    moved.send_modify(|n| *n += 1);
                }
                if events.send(Event::Listed(known)).await.is_err() {
                    return Ok(());
                }
                continue;
            }
            message = next(&mut stream) => message?,
        };
        let Some(message) = message else {
            return Ok(());
        };
        let sandbox = message.pod_sandbox_status.as_ref().map(|s| &s.labels);
        let labels = sandbox.into_iter().chain(message.containers_statuses.iter().map(|c| &c.labels));
        match labels.filter_map(identity).next() {
            Some(uid) => {
                if events.send(Event::Container(uid)).await.is_err() {
                    return Ok(());
                }
            }
            None => relist.reset_immediately(),
        }
    }
}

async fn next(
    stream: &mut Option<tonic::Streaming<pb::ContainerEventResponse>>,
) -> Result<Option<pb::ContainerEventResponse>, tonic::Status> {
    match stream {
        Some(stream) => stream.message().await,
        None => std::future::pending().await,
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
            renew_probes(&mut entry.probes, &pod, record);
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

/// One question to one run of a container.
struct Ask {
    uid: Uid,
    container: String,
    id: String,
    kind: ProbeKind,
}

impl Ask {
    async fn run(self, ctx: Arc<Ctx>, pod: Arc<api::Pod>, events: mpsc::Sender<Event>) {
        let view = ctx.registry.get(&self.uid).unwrap_or_default();
        let sandbox = view.runtime.ready_sandbox();
        let ip = sandbox.and_then(|s| s.ips.first()).unwrap_or(&ctx.machine.internal_ip).clone();
        let container = find_container(&pod, &self.container);
        let answer = match container.and_then(|c| Some((c, self.kind.of(c)?))) {
            Some((container, probe)) => prober::ask(&ctx, container, probe, &self.id, &ip).await,
            None => Ok(()),
        };
        if let Err(cause) = &answer {
            debug!(pod = names::full_name(&pod), container = self.container, cause, "unhealthy");
        }
        let Ask { uid, container, id, kind } = self;
        if events.send(Event::Probed { uid, container, id, kind, answer }).await.is_err() {
            warn!("the loop has ended");
        }
    }
}

/// Gives every run that has none its probes, and drops those of runs that have ended.
fn renew_probes(
    probes: &mut BTreeMap<String, (String, ContainerProbes)>,
    pod: &api::Pod,
    runtime: &RuntimePod,
) {
    probes.retain(|name, (id, _)| runtime.running().any(|c| c.name == *name && c.id == *id));
    for (_, container) in all_containers(pod) {
        let Some(run) = runtime.newest(&container.name).filter(|c| c.state == RunState::Running) else {
            continue;
        };
        if probes.contains_key(&container.name) {
            continue;
        }
        let statuses = pod.status.iter().flat_map(|s| {
            s.init_container_statuses.iter().flatten().chain(s.container_statuses.iter().flatten())
        });
        let was_ready = statuses
            .filter(|s| s.name == container.name && s.ready)
            .any(|s| s.container_id.as_deref().is_some_and(|id| id.ends_with(&format!("://{}", run.id))));
        let new = ContainerProbes::new(container, run.started_at.unwrap_or(run.created_at), was_ready);
        if !new.is_empty() {
            probes.insert(container.name.clone(), (run.id.clone(), new));
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
