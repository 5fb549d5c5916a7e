//! What the kubelet knows of its pods at present, for those outside the loop: the server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1 as api;
use tokio::sync::watch;

use crate::heart::names;
use crate::heart::types::{RuntimePod, Uid};

#[derive(Clone, Debug, Default)]
pub struct View {
    pub pod: Arc<api::Pod>,
    pub runtime: RuntimePod,
}

/// Pods by uid, and a bell that rings when any of them changes.
pub struct Registry {
    views: Mutex<BTreeMap<Uid, View>>,
    changed: watch::Sender<u64>,
}

impl Registry {
    pub fn new() -> Registry {
        Registry { views: Mutex::default(), changed: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uid, View>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_pod(&self, pod: &Arc<api::Pod>) {
        self.lock().entry(Uid::of(pod)).or_default().pod = pod.clone();
    }

    pub fn set_runtime(&self, uid: &Uid, runtime: &RuntimePod) {
        if let Some(view) = self.lock().get_mut(uid) {
            view.runtime = runtime.clone();
        }
        self.changed.send_modify(|n| *n += 1);
    }

    pub fn remove(&self, uid: &Uid) {
        self.lock().remove(uid);
        self.changed.send_modify(|n| *n += 1);
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub fn get(&self, uid: &Uid) -> Option<View> {
        self.lock().get(uid).cloned()
    }

    /// By name; of several under one name the one that is not being deleted.
    pub fn find(&self, namespace: &str, name: &str) -> Option<(Uid, View)> {
        let views = self.lock();
        let mut found: Vec<_> = views
            .iter()
            .filter(|(_, v)| names::namespace(&v.pod) == namespace && names::name(&v.pod) == name)
            .collect();
        found.sort_by_key(|(_, v)| v.pod.metadata.deletion_timestamp.is_some());
        found.first().map(|(uid, view)| ((*uid).clone(), (*view).clone()))
    }

    pub fn pods(&self) -> Vec<Arc<api::Pod>> {
        self.lock().values().map(|v| v.pod.clone()).collect()
    }
}
