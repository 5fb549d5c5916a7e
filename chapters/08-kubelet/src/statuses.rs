//! Tells the API server how the pods are: only what changed, the newest state only, one patch at a
//! time for each pod. While the API server is away the newest state of each pod waits here.
//!
//! Also the last word on a pod: when nothing of it is left, its object is deleted.
//! Upstream: `pkg/kubelet/status/status_manager.go`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use informer::{Client, Error, Patch};
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::heart::names;
use crate::heart::patch::status_patch;
use crate::heart::types::Uid;

const CONCURRENT_PATCHES: usize = 16;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Entry {
    pod: Arc<api::Pod>,
    /// What the API server should have.
    desired: Option<api::PodStatus>,
    /// What it has, as far as we know, and as of which resourceVersion.
    base: api::PodStatus,
    base_version: u64,
    dirty: bool,
    in_flight: bool,
    /// Nothing of the pod is left here: delete it there, once its status is told.
    finished: bool,
}

pub struct Statuses {
    client: Client,
    entries: Mutex<BTreeMap<Uid, Entry>>,
    bell: Notify,
}

fn version(pod: &api::Pod) -> u64 {
    pod.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}

impl Statuses {
    pub fn new(client: Client) -> Arc<Statuses> {
        Arc::new(Statuses { client, entries: Mutex::default(), bell: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uid, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch has delivered this version of the pod. If somebody else overwrote what we said,
    /// it is said again.
    pub fn observe(&self, pod: &Arc<api::Pod>) {
        let mut entries = self.lock();
        let entry = entries.entry(Uid::of(pod)).or_default();
        entry.pod = pod.clone();
        if version(pod) > entry.base_version {
            entry.base = pod.status.clone().unwrap_or_default();
            entry.base_version = version(pod);
            if entry.desired.is_some() {
                entry.dirty = true;
                self.bell.notify_one();
            }
        }
    }

    /// The newest status of the pod: ours, with the conditions that others wrote.
    pub fn latest(&self, pod: &api::Pod) -> api::PodStatus {
        let seen = pod.status.clone().unwrap_or_default();
        let entries = self.lock();
        let Some(mut ours) = entries.get(&Uid::of(pod)).and_then(|e| e.desired.clone()) else {
            return seen;
        };
        let mine = ours.conditions.get_or_insert_default();
        for theirs in seen.conditions.into_iter().flatten() {
            match mine.iter_mut().find(|c| c.type_ == theirs.type_) {
                // The five of the kubelet are its own; of the rest, what the watch says is newer.
                Some(c) if !crate::heart::conditions::is_ours(&c.type_) => *c = theirs,
                Some(_) => {}
                None => mine.push(theirs),
            }
        }
        ours
    }

    pub fn set(&self, uid: &Uid, status: api::PodStatus) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(uid) else {
            return;
        };
        if entry.desired.as_ref() != Some(&status) {
            entry.desired = Some(status);
            entry.dirty = true;
            self.bell.notify_one();
        }
    }

    /// Nothing of the pod is left on this node.
    pub fn finish(&self, uid: &Uid) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.finished = true;
            self.bell.notify_one();
        }
    }

    pub fn forget(&self, uid: &Uid) {
        self.lock().remove(uid);
    }

    /// Sends what is to be sent, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut sending: JoinSet<bool> = JoinSet::new();
        let mut delay = FIRST_RETRY;
        loop {
            while sending.len() < CONCURRENT_PATCHES
                && let Some(uid) = self.next()
            {
                sending.spawn(self.clone().send(uid));
            }
            let failed = tokio::select! {
                () = self.bell.notified() => false,
                Some(sent) = sending.join_next() => matches!(sent, Ok(false)),
            };
            if failed {
                // What rings meanwhile is remembered by the bell.
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(LAST_RETRY);
            } else if sending.is_empty() {
                delay = FIRST_RETRY;
            }
        }
    }

    /// Picks a pod about which something is to be said.
    fn next(&self) -> Option<Uid> {
        let mut entries = self.lock();
        let (uid, entry) = entries.iter_mut().find(|(_, e)| !e.in_flight && (e.dirty || e.finished))?;
        entry.in_flight = true;
        Some(uid.clone())
    }

    /// Returns false if it is worth another try.
    async fn send(self: Arc<Self>, uid: Uid) -> bool {
        let result = self.try_send(&uid).await;
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&uid) else {
            return true;
        };
        entry.in_flight = false;
        match result {
            Ok(()) => true,
            Err(e) if e.is_not_found() => {
                entries.remove(&uid);
                true
            }
            Err(e) => {
                let again = e.is_retriable() || e.is_conflict();
                entry.dirty |= again && entry.desired.is_some();
                match again {
                    true => debug!(pod = names::full_name(&entry.pod), error = %e, "status not sent yet"),
                    false => warn!(pod = names::full_name(&entry.pod), error = %e, "status was refused"),
                }
                false
            }
        }
    }

    async fn try_send(&self, uid: &Uid) -> Result<(), Error> {
        let (pod, patch, finished) = {
            let mut entries = self.lock();
            let Some(entry) = entries.get_mut(uid) else {
                return Ok(());
            };
            let dirty = std::mem::take(&mut entry.dirty);
            let desired = entry.desired.as_ref().filter(|_| dirty);
            let patch = desired.and_then(|desired| status_patch(uid, &entry.base, desired));
            (entry.pod.clone(), patch, entry.finished)
        };
        let (namespace, name) = (names::namespace(&pod), names::name(&pod));
        if let Some(patch) = patch {
            let patch = Patch::Strategic(patch);
            let answer: api::Pod = self.client.patch(namespace, name, &patch, Some("status")).await?;
            let mut entries = self.lock();
            if let Some(entry) = entries.get_mut(uid)
                && version(&answer) >= entry.base_version
            {
                entry.base_version = version(&answer);
                entry.base = answer.status.unwrap_or_default();
            }
        }
        if finished {
            let options = DeleteOptions {
                grace_period_seconds: Some(0),
                preconditions: Some(Preconditions { uid: Some(uid.0.clone()), ..Default::default() }),
                ..DeleteOptions::default()
            };
            match self.client.delete::<api::Pod>(namespace, name, &options).await {
                Ok(()) => {}
                // Gone, or another pod under the same name.
                Err(e) if e.is_not_found() || e.is_conflict() => {}
                Err(e) => return Err(e),
            }
            self.lock().remove(uid);
        }
        Ok(())
    }
}
