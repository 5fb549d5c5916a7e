//! The loop: every reason for kube-proxy to do something, on one page.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::FutureExt;
use informer::{Event as Change, Informer};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::heart::{Config, Installed, Pace, Rules, Snapshot, build, stale_flows};
use crate::kernel::{Job, Kernel};

enum Event {
    Service(Change<Service>),
    Slice(Change<EndpointSlice>),
    /// The pace allows, or demands, a sync.
    Due,
    /// The job that was running ended.
    Synced(Result<()>),
    Stop,
}

/// A job on its way, and what will hold if it succeeds.
struct Running {
    task: JoinHandle<Result<()>>,
    snapshot: Snapshot,
    rules: Rules,
}

pub struct Proxy {
    kernel: Kernel,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
    node_name: String,
    config: Config,
    pace: Pace,
    start: Instant,
    services_known: bool,
    slices_known: bool,
    /// What the kernel holds; `None` if that has to be looked up.
    installed: Option<Installed>,
    /// What those rules were made of.
    snapshot: Snapshot,
    canaries_made: bool,
    running: Option<Running>,
}

impl Proxy {
    pub fn new(
        kernel: Kernel,
        services: Informer<Service>,
        slices: Informer<EndpointSlice>,
        node_name: String,
        config: Config,
        pace: Pace,
    ) -> Self {
        Self {
            kernel,
            services,
            slices,
            node_name,
            config,
            pace,
            start: Instant::now(),
            services_known: false,
            slices_known: false,
            installed: None,
            snapshot: Snapshot::default(),
            canaries_made: false,
            running: None,
        }
    }

    pub async fn run(mut self) -> Result<()> {
        let mut services = self.services.subscribe();
        let mut slices = self.slices.subscribe();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            let due = self.due();
            let event = tokio::select! {
                // Changes come before the clock, so that those which are there already are joined.
                biased;
                _ = terminate.recv() => Event::Stop,
                _ = interrupt.recv() => Event::Stop,
                result = finished(&mut self.running) => Event::Synced(result),
                change = services.recv() => match change {
                    Some(change) => Event::Service(change),
                    None => bail!("the informer of Services ended"),
                },
                change = slices.recv() => match change {
                    Some(change) => Event::Slice(change),
                    None => bail!("the informer of EndpointSlices ended"),
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Event::Due,
            };
            match event {
                Event::Service(Change::Synced) => self.services_known = true,
                Event::Slice(Change::Synced) => self.slices_known = true,
                Event::Service(_) | Event::Slice(_) => self.pace.handle_change(),
                Event::Due => self.sync(),
                Event::Synced(result) => self.handle_synced(result),
                Event::Stop => break,
            }
        }
        // A restore that is under way is a transaction: let it end, for the log's sake.
        if self.running.is_some() {
            finished(&mut self.running).await?;
        }
        tracing::info!("kube-proxy ends; its rules stay");
        Ok(())
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// When to sync next; never before everything is known, nor while a job runs.
    fn due(&self) -> Option<Instant> {
        let free = self.services_known && self.slices_known && self.running.is_none();
        free.then(|| self.start + self.pace.due())
    }

    fn sync(&mut self) {
        if self.pace.is_periodic(self.now()) {
            self.installed = None;
        }
        let (services, slices) = (self.services.list(), self.slices.list());
        let snapshot =
            Snapshot::collect(services.iter().map(|s| &**s), slices.iter().map(|s| &**s), &self.node_name);
        let rules = build(&snapshot, &self.config);
        let job = Job {
            installed: self.installed.clone(),
            rules: rules.clone(),
            stale: stale_flows(&self.snapshot, &snapshot),
            canaries_made: self.canaries_made,
        };
        let kernel = self.kernel.clone();
        let task = tokio::task::spawn_blocking(move || kernel.apply(&job));
        // Readiness flaps and label changes make no other rules; then the job ends at once.
        self.running = Some(Running { task, snapshot, rules });
        // What changes from now on is for the next sync.
        self.pace.handle_started();
    }

    fn handle_synced(&mut self, result: Result<()>) {
        let Some(done) = self.running.take() else { return };
        let now = self.now();
        match result {
            Ok(()) => {
                self.installed = Some(Installed::exactly(&done.rules));
                self.snapshot = done.snapshot;
                self.canaries_made = true;
                self.pace.handle_synced(now);
            }
            Err(error) => {
                tracing::error!("cannot sync the rules, and will try again: {error:#}");
                self.installed = None;
                self.pace.handle_failed(now);
            }
        }
    }
}

/// The end of the running job; never, if there is none. The job stays for `handle_synced` to take.
async fn finished(running: &mut Option<Running>) -> Result<()> {
    match running {
        Some(running) => (&mut running.task).map(|joined| joined?).await,
        None => std::future::pending().await,
    }
}
