//! Where pods come from: the watch on `spec.nodeName=me`, turned into one update per pod.
//!
//! The reflector speaks of names; the kubelet lives by uids. Between two watch events a pod may
//! have been deleted and made again under its old name, so one event can mean two things for the
//! kubelet. And until the first full list is there, absence means nothing: a kubelet that has just
//! started must not kill the pods that it has not heard of *yet*.
//! Upstream: `pkg/kubelet/config` (`PodConfig`, `SourcesReady`). Static pods from files are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;

use crate::types::Uid;

/// What a watch says.
#[derive(Clone, Debug)]
pub enum Change {
    Seen(Arc<api::Pod>),
    Deleted(Arc<api::Pod>),
    /// The first full list has been delivered.
    Synced,
}

/// What it means for one pod.
#[derive(Clone, Debug, PartialEq)]
pub enum PodUpdate {
    /// The pod is new here.
    Add(Arc<api::Pod>),
    /// A known pod changed: spec, metadata or status.
    Update(Arc<api::Pod>),
    /// A known pod is being deleted: its `deletionTimestamp` is set, its grace period runs.
    Delete(Arc<api::Pod>),
    /// The API server no longer has it: it must not run, whatever its grace period was.
    Remove(Uid),
}

#[derive(Clone, Debug, Default)]
pub struct PodSource {
    pods: BTreeMap<Uid, Arc<api::Pod>>,
    synced: bool,
}

impl PodSource {
    /// Has the first list been seen whole? Before that nobody may be called an orphan.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    pub fn pods(&self) -> impl Iterator<Item = (&Uid, &Arc<api::Pod>)> {
        self.pods.iter()
    }

    pub fn get(&self, uid: &Uid) -> Option<&Arc<api::Pod>> {
        self.pods.get(uid)
    }

    /// Takes in one change of the watch, in the order in which it came.
    pub fn handle(&mut self, change: Change) -> Vec<PodUpdate> {
        // lab:begin 08.1 track pods by uid; an old uid under the same namespace and name is gone
        let pod = match change {
            Change::Synced => {
                self.synced = true;
                return Vec::new();
            }
            Change::Deleted(pod) => {
                let uid = Uid::of(&pod);
                let known = self.pods.remove(&uid).is_some();
                return known.then_some(PodUpdate::Remove(uid)).into_iter().collect();
            }
            Change::Seen(pod) => pod,
        };
        let uid = Uid::of(&pod);
        let same_name = |p: &api::Pod| {
            p.metadata.name == pod.metadata.name && p.metadata.namespace == pod.metadata.namespace
        };
        let replaced: Vec<Uid> = (self.pods.iter())
            .filter(|(old, p)| **old != uid && same_name(p))
            .map(|(old, _)| old.clone())
            .collect();
        let mut updates = Vec::new();
        for old in replaced {
            self.pods.remove(&old);
            updates.push(PodUpdate::Remove(old));
        }
        let known = self.pods.insert(uid, pod.clone()).is_some();
        updates.push(match (known, pod.metadata.deletion_timestamp.is_some()) {
            (false, _) => PodUpdate::Add(pod),
            (true, true) => PodUpdate::Delete(pod),
            (true, false) => PodUpdate::Update(pod),
        });
        updates
        // lab:end
    }

    /// Pods that the runtime runs and the API server does not know: to be killed, but only once
    /// the source has synced.
    pub fn orphans(&self, running: &BTreeSet<Uid>) -> Vec<Uid> {
        // lab:begin 08.1 nothing before the first full list
        if !self.synced {
            return Vec::new();
        }
        let unknown = running.iter().filter(|uid| !self.pods.contains_key(uid));
        unknown.cloned().collect()
        // lab:end
    }
}
