//! One piece of work on one pod: sync, terminate, clean up.
//!
//! A task does it and gives back a [`Report`]. What must be remembered from one piece of work to the
//! next travels along as [`Memory`]; nobody else holds it meanwhile, so nothing is locked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::config;
use crate::ctx::Ctx;
use crate::disk::make_dir;
use crate::heart::actions::{PodActions, Start, View, compute};
use crate::heart::backoff::{Backoff, go_duration};
use crate::heart::probe::Verdicts;
use crate::heart::status::{self, StatusView};
use crate::heart::types::{
    RunState, RuntimePod, SignedDuration, Timestamp, Uid, Waiting, WaitingReasons, find_container,
    is_host_network,
};
use crate::heart::volumes::OnDisk;
use crate::heart::worker::{Outcome, Work};
use crate::heart::{deadline, images, names, words};
use crate::refs::Token;
use crate::{prober, stop};

/// What the kubelet remembers of a pod between two pieces of work. After a restart it is empty.
#[derive(Default)]
pub struct Memory {
    pub restarts: Backoff,
    pub pulls: Backoff,
    /// How pulling an image failed last.
    pub pull_failed: BTreeMap<String, PullFailure>,
    /// The arrivals of images that have been taken into account.
    pub image_arrivals: u64,
    pub waiting: WaitingReasons,
    pub volumes: BTreeMap<String, OnDisk>,
    pub tokens: BTreeMap<String, Token>,
    /// The back-offs that an event has been made of.
    announced: BTreeMap<String, Timestamp>,
    /// Containers that could not be made or started: how often in a row, and until when they wait.
    holds: BTreeMap<String, (u32, Timestamp)>,
    /// How often in a row the work broke off.
    failures: u32,
}

#[derive(Clone)]
pub struct PullFailure {
    pub at: Timestamp,
    pub cause: String,
}

/// What to do, and the world as the loop sees it.
pub struct Order {
    pub uid: Uid,
    pub work: Work,
    /// `None` for a pod that only the runtime knows.
    pub pod: Option<Arc<api::Pod>>,
    pub verdicts: Verdicts,
    pub image_arrivals: u64,
    /// The pod, or a ConfigMap or Secret that it refers to, has changed.
    pub object_arrived: bool,
    /// Turns true when the work should end soon.
    pub interrupt: watch::Receiver<bool>,
}

/// What came of it.
pub struct Report {
    pub memory: Memory,
    pub outcome: Outcome,
    /// The runtime's view at the end, if it was reached.
    pub runtime: Option<RuntimePod>,
    /// When to look again even if nothing happens.
    pub wake_at: Option<Timestamp>,
}

/// Why a sync breaks off. The reason is an event's; an empty one is not worth an event.
#[derive(Debug)]
pub struct SyncError {
    pub reason: &'static str,
    pub message: String,
}

impl From<tonic::Status> for SyncError {
    fn from(status: tonic::Status) -> Self {
        SyncError { reason: "", message: status.message().to_owned() }
    }
}

/// One pod's work under way.
pub struct Job<'a> {
    pub ctx: &'a Ctx,
    pub order: &'a Order,
    pub memory: &'a mut Memory,
    pub record: RuntimePod,
    pub verdicts: Verdicts,
}

pub async fn run(ctx: Arc<Ctx>, order: Order, mut memory: Memory) -> Report {
    if order.object_arrived {
        memory.holds.clear();
    }
    if memory.image_arrivals != order.image_arrivals {
        memory.image_arrivals = order.image_arrivals;
        memory.pulls.clear();
        memory.pull_failed.clear();
    }
    let mut job = Job {
        ctx: &ctx,
        order: &order,
        memory: &mut memory,
        record: RuntimePod::default(),
        verdicts: order.verdicts.clone(),
    };
    let mut reached = true;
    let result = match job.fetch().await {
        Err(e) => {
            reached = false;
            Err(e)
        }
        Ok(()) => match (order.work, &order.pod) {
            (Work::Sync, Some(pod)) => job.sync(pod).await,
            (Work::Sync, None) => Ok(Outcome::Finished),
            (Work::Terminate { grace_seconds }, _) => stop::terminate(&mut job, grace_seconds).await,
            (Work::CleanUp { remove }, _) => stop::clean_up(&mut job, remove).await,
        },
    };
    let record = std::mem::take(&mut job.record);
    let mut wake_at = None;
    let outcome = match result {
        Ok(outcome) => {
            memory.failures = 0;
            outcome
        }
        Err(e) => {
            memory.failures += 1;
            wake_at = Some(retry_at(memory.failures));
            debug!(uid = %order.uid, work = ?order.work, error = e.message, "work on a pod broke off");
            if let (false, Some(pod)) = (e.reason.is_empty(), &order.pod) {
                warn!(pod = names::full_name(pod), reason = e.reason, "{}", e.message);
                ctx.event(pod, None, true, e.reason, &e.message);
            }
            Outcome::Failed
        }
    };
    if order.work == Work::Sync && outcome == Outcome::Ok {
        wake_at = next_look(&memory);
    }
    if let (Work::Sync, Some(pod)) = (order.work, &order.pod) {
        let due = deadline::look_at(pod, &ctx.statuses.latest(pod), Timestamp::now());
        wake_at = wake_at.into_iter().chain(due).min();
    }
    Report { memory, outcome, runtime: reached.then_some(record), wake_at }
}

/// A quarter of a second, doubling, at most ten seconds.
fn retry_at(failures: u32) -> Timestamp {
    let delay = SignedDuration::from_millis(250) * (1 << failures.clamp(1, 7) >> 1);
    later(delay.min(SignedDuration::from_secs(10)))
}

fn later(delay: SignedDuration) -> Timestamp {
    let now = Timestamp::now();
    now.checked_add(delay).unwrap_or(now)
}

/// The earliest moment at which something that waits by the clock may go on.
fn next_look(memory: &Memory) -> Option<Timestamp> {
    let now = Timestamp::now();
    let restarts = memory.announced.values().copied().filter(|until| *until > now);
    // Whatever is due by then but did not happen is not asked for more often than this.
    let soon = later(SignedDuration::from_secs(1));
    let waits_for_image = memory.waiting.values().any(|w| images::waits_for_image(&w.reason));
    // First the reason turns from ErrImagePull to ImagePullBackOff, then the pull is tried again.
    let fresh = memory.waiting.values().any(|w| w.reason == images::ERR_IMAGE_PULL);
    let pulls = memory.pull_failed.iter().filter(|_| waits_for_image).map(|(image, failed)| {
        let until = memory.pulls.waits_until(image, failed.at, now).unwrap_or(now);
        if fresh { soon } else { until.max(soon) }
    });
    let errors = memory.holds.values().map(|(_, until)| (*until).max(soon));
    let tokens = memory.tokens.values().map(|t| t.refresh_at.max(soon));
    restarts.chain(pulls).chain(errors).chain(tokens).min()
}

impl Job<'_> {
    pub fn interrupted(&self) -> bool {
        *self.order.interrupt.borrow()
    }

    /// Asks the runtime anew, and shows the answer to the rest of the kubelet.
    pub async fn fetch(&mut self) -> Result<(), SyncError> {
        let mut record = self.ctx.cri.pod(&self.order.uid).await?;
        for c in &mut record.containers {
            if c.state == RunState::Exited && c.message.is_empty() {
                c.message = self.last_words(&c.name, c.restart_count, c.exit_code);
            }
        }
        self.ctx.registry.set_runtime(&self.order.uid, &record);
        // The loop makes probes for runs once it has heard of them; until then what they begin with
        // counts, so that the first status after a restart takes nobody out of service.
        for (run, pod) in record.running().filter_map(|run| Some((run, self.order.pod.as_deref()?))) {
            if let Some(container) = find_container(pod, &run.name) {
                let first = || prober::probes(pod, container, run).verdict();
                self.verdicts.0.entry(run.id.clone()).or_insert_with(first);
            }
        }
        self.record = record;
        Ok(())
    }

    /// What an ended container left for its status: its termination message, or the end of its log
    /// if it failed and its policy says so.
    fn last_words(&self, container: &str, restart_count: u32, exit_code: i32) -> String {
        let said = self.ctx.dirs.read_termination_message(&self.order.uid, container, restart_count);
        let Some(pod) = &self.order.pod else {
            return said;
        };
        let policy = find_container(pod, container).and_then(|c| c.termination_message_policy.as_deref());
        if !said.is_empty() || exit_code == 0 || policy != Some("FallbackToLogsOnError") {
            return said;
        }
        let directory = names::log_directory(names::namespace(pod), names::name(pod), &self.order.uid);
        let path = self.ctx.dirs.logs.join(directory).join(names::log_file(container, restart_count));
        let raw = crate::disk::read_end(&path, 2048).unwrap_or_default();
        let lines = raw.lines().filter_map(|l| crate::heart::logs::parse_entry(l.as_bytes()));
        lines.map(|e| format!("{}\n", String::from_utf8_lossy(e.text))).collect()
    }

    /// Derives the status and hands it on; the status manager sends it if it says anything new.
    pub fn tell(&mut self, pod: &api::Pod, terminal: bool) -> api::PodStatus {
        let old = self.ctx.statuses.latest(pod);
        let status = status::generate(&StatusView {
            pod,
            old: &old,
            runtime: &self.record,
            waiting: &self.memory.waiting,
            verdicts: &self.verdicts,
            host_ip: &self.ctx.machine.internal_ip,
            runtime_name: &self.ctx.runtime_name.borrow(),
            terminal,
            now: Timestamp::now(),
        });
        self.ctx.statuses.set(&self.order.uid, status.clone());
        status
    }

    /// Compares and acts until there is nothing left to do now.
    async fn sync(&mut self, pod: &Arc<api::Pod>) -> Result<Outcome, SyncError> {
        let mut status = self.tell(pod, false);
        let mut failed: BTreeSet<String> = BTreeSet::new();
        // A round for stopping, one for starting, and a few for what happens meanwhile.
        for _ in 0..8 {
            if self.interrupted() {
                return Ok(Outcome::Interrupted);
            }
            if self.expired(pod, &status) {
                return Ok(Outcome::Finished);
            }
            let mut actions = compute(&View {
                pod,
                runtime: &self.record,
                verdicts: &self.verdicts,
                backoff: &self.memory.restarts,
                now: Timestamp::now(),
            });
            self.note_backing_off(pod, &actions);
            // What could not be started a moment ago is tried again later, not at once.
            let now = Timestamp::now();
            let held = |name: &str| self.memory.holds.get(name).is_some_and(|(_, until)| *until > now);
            actions.start.retain(|s| !failed.contains(&s.name) && !held(&s.name));
            if actions.is_converged() {
                break;
            }
            debug!(pod = names::full_name(pod), ?actions, "acting");
            let result = self.apply(pod, &actions, &mut failed).await;
            self.fetch().await?;
            status = self.tell(pod, false);
            result?;
        }
        if self.interrupted() {
            return Ok(Outcome::Interrupted);
        }
        let over = status::is_over(&status) && self.record.running().next().is_none();
        if self.expired(pod, &status) || over {
            return Ok(Outcome::Finished);
        }
        if self.record.running().next().is_some() {
            // Files that changed at their source reach the containers.
            self.volumes(pod).await?;
        }
        self.tell(pod, false);
        Ok(Outcome::Ok)
    }

    /// Has the pod had its time? Then whatever it still does ends now.
    fn expired(&self, pod: &api::Pod, status: &api::PodStatus) -> bool {
        let past = deadline::is_past(pod, status, Timestamp::now());
        if past {
            self.ctx.event(pod, None, false, deadline::REASON, deadline::MESSAGE);
        }
        past
    }

    /// Remembers who waits for its back-off, and says so once for each wait.
    fn note_backing_off(&mut self, pod: &api::Pod, actions: &PodActions) {
        for (name, wait) in &actions.backing_off {
            let delay = go_duration(wait.delay);
            let full = names::full_name(pod);
            let waiting = Waiting {
                reason: "CrashLoopBackOff".into(),
                message: format!("back-off {delay} restarting failed container={name} pod={full}"),
            };
            self.memory.waiting.insert(name.clone(), waiting);
            if self.memory.announced.insert(name.clone(), wait.until) != Some(wait.until) {
                let message = format!("Back-off restarting failed container {name} in pod {full}");
                self.ctx.event(pod, Some(name), true, "BackOff", &message);
            }
        }
        self.memory.announced.retain(|name, _| actions.backing_off.contains_key(name));
    }

    /// Carries out a plan, from top to bottom.
    async fn apply(
        &mut self,
        pod: &Arc<api::Pod>,
        actions: &PodActions,
        failed: &mut BTreeSet<String>,
    ) -> Result<(), SyncError> {
        if actions.kill_pod {
            stop::kill_pod(self, None).await?;
        }
        stop::kill_some(self, pod, &actions.kill).await?;
        for id in &actions.remove {
            stop::remove_container(self, id).await?;
        }
        if actions.create_sandbox.is_none() && actions.start.is_empty() {
            return Ok(());
        }
        let (mut sources, volumes) = self.prepare(pod).await?;
        let (sandbox_id, attempt) = match actions.create_sandbox {
            Some(attempt) => {
                let id = self.create_sandbox(pod, attempt).await?;
                self.fetch().await?;
                (id, attempt)
            }
            None => match self.record.ready_sandbox() {
                Some(s) => (s.id.clone(), s.attempt),
                None => return Ok(()),
            },
        };
        sources.pod_ips = match self.record.ready_sandbox() {
            Some(s) if !is_host_network(pod) => s.ips.clone(),
            _ => vec![self.ctx.machine.internal_ip.clone()],
        };
        self.write_hosts(pod, &sources.pod_ips);
        let sandbox = config::sandbox(self.ctx, pod, attempt);
        for start in &actions.start {
            if self.interrupted() {
                return Ok(());
            }
            self.note_restart(start);
            match self.start(pod, start, &sandbox_id, &sandbox, &sources, &volumes).await {
                Ok(()) => {
                    self.memory.waiting.remove(&start.name);
                    self.memory.holds.remove(&start.name);
                }
                Err(why) => {
                    self.hold(&start.name, &why);
                    info!(
                        pod = names::full_name(pod),
                        container = start.name,
                        "{}: {}",
                        why.reason,
                        why.message
                    );
                    self.memory.waiting.insert(start.name.clone(), why);
                    failed.insert(start.name.clone());
                }
            }
        }
        Ok(())
    }

    fn note_restart(&mut self, start: &Start) {
        if let Some(at) = start.failed_at {
            self.memory.restarts.next(&start.backoff_key, at, Timestamp::now());
        }
        self.memory.announced.remove(&start.name);
    }

    /// After an error of the runtime's a container waits, longer each time. One that waits for an
    /// image or an object does not: its arrival wakes it.
    fn hold(&mut self, name: &str, why: &Waiting) {
        if images::waits_for_image(&why.reason) {
            return;
        }
        let count = self.memory.holds.get(name).map_or(0, |(count, _)| *count) + 1;
        // Only a change of the pod or of what it refers to will help, and that wakes it.
        let hopeless = matches!(&*why.reason, "CreateContainerConfigError" | images::INVALID_IMAGE_NAME);
        let until = if hopeless { later(SignedDuration::from_secs(10)) } else { retry_at(count) };
        self.memory.holds.insert(name.to_owned(), (count, until));
    }

    async fn create_sandbox(&mut self, pod: &api::Pod, attempt: u32) -> Result<String, SyncError> {
        let problem = self.ctx.network_problem.borrow().clone();
        if let (Some(problem), false) = (problem, is_host_network(pod)) {
            let message = format!("network is not ready: {problem}");
            return Err(SyncError { reason: "NetworkNotReady", message });
        }
        let config = config::sandbox(self.ctx, pod, attempt);
        let failed = |message: String| SyncError {
            reason: "FailedCreatePodSandBox",
            message: format!("Failed to create pod sandbox: {message}"),
        };
        make_dir(config.log_directory.as_ref()).map_err(|e| failed(words::system(&e)))?;
        let request =
            runtime::cri::RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        let answer = self.ctx.cri.runtime.clone().run_pod_sandbox(request).await;
        match answer {
            Ok(answer) => Ok(answer.into_inner().pod_sandbox_id),
            // The runtime being away is not the pod's fault.
            Err(e) if e.code() == tonic::Code::Unavailable => Err(e.into()),
            Err(e) => Err(failed(e.message().to_owned())),
        }
    }
}
