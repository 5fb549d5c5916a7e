//! The shared informer: one list and watch a process and kind, one cache, many readers.

use crate::client::{Client, ListOptions, Object, resource_of};
use crate::heart;
use crate::run::{self, Source};
use crate::{ApiResource, DynamicObject, Event, IndexFn, Keyed};
use heart::indexer::Indexer;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How many events a subscriber may leave unread before it holds the reflector back
/// (besides what one list brings at once).
pub(crate) const UNREAD: usize = 256;

/// Which objects an informer follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// `None` means all namespaces.
    pub namespace: Option<String>,
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
}

impl From<Query> for ListOptions {
    fn from(query: Query) -> ListOptions {
        ListOptions {
            namespace: query.namespace,
            label_selector: query.label_selector,
            field_selector: query.field_selector,
            ..ListOptions::default()
        }
    }
}

/// A cache that follows the API server. Clones share it; it lives until the last clone and
/// the last subscription are dropped.
pub struct Informer<K> {
    pub(crate) shared: Arc<Shared<K>>,
    /// Tells the loop, by being dropped with the last clone, that nobody reads any more.
    _alive: Arc<oneshot::Sender<()>>,
}

/// What the loop writes and everybody reads.
pub(crate) struct Shared<K> {
    pub(crate) store: RwLock<Indexer<K>>,
    pub(crate) synced: watch::Sender<bool>,
    /// Subscribers whom the loop has not met yet.
    pub(crate) joining: Mutex<Vec<mpsc::Sender<Event<K>>>>,
    pub(crate) joined: Notify,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Informer<K> {
        Informer { shared: self.shared.clone(), _alive: self._alive.clone() }
    }
}

impl<K> fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer").field("synced", &*self.shared.synced.borrow()).finish()
    }
}

impl<K: Object> Informer<K> {
    /// Starts to follow all objects of a kind that the query selects.
    pub fn start(client: &Client, query: Query) -> Informer<K> {
        Informer::start_indexed(client, query, Vec::new())
    }

    /// The same, with indices for [`by_index`](Informer::by_index).
    pub fn start_indexed(
        client: &Client,
        query: Query,
        indices: Vec<(&'static str, IndexFn<K>)>,
    ) -> Informer<K> {
        spawn(Source::new(client, resource_of::<K>(), query.into()), indices)
    }
}

impl Informer<DynamicObject> {
    /// Follows a kind that is known only at run time.
    pub fn start_dynamic(client: &Client, resource: &ApiResource, query: Query) -> Self {
        spawn(Source::new(client, resource.clone(), query.into()), Vec::new())
    }
}

fn spawn<K>(source: Source<K>, indices: Vec<(&'static str, IndexFn<K>)>) -> Informer<K>
where
    K: Keyed + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let (alive, abandoned) = oneshot::channel();
    let shared = Arc::new(Shared {
        store: RwLock::new(Indexer::new(indices)),
        synced: watch::Sender::new(false),
        joining: Mutex::new(Vec::new()),
        joined: Notify::new(),
    });
    tokio::spawn(run::run(source, shared.clone(), abandoned));
    Informer { shared, _alive: Arc::new(alive) }
}

impl<K: Keyed> Informer<K> {
    /// Hears of every change from now on; first of everything that exists, as `Added`, then
    /// `Synced`. Whoever does not read holds the whole informer back.
    pub fn subscribe(&self) -> mpsc::Receiver<Event<K>> {
        let (sender, receiver) = mpsc::channel(UNREAD);
        let mut joining = self.shared.joining.lock().unwrap_or_else(PoisonError::into_inner);
        joining.push(sender);
        drop(joining);
        self.shared.joined.notify_one();
        receiver
    }

    pub fn get(&self, ns: &str, name: &str) -> Option<Arc<K>> {
        self.store().get(&objects::meta::join_key(ns, name)).cloned()
    }

    /// Everything, by key.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.store().list()
    }

    /// Everything in one namespace, by key.
    pub fn list_in(&self, ns: &str) -> Vec<Arc<K>> {
        self.store().list_in(ns)
    }

    /// What an index of [`start_indexed`](Informer::start_indexed) files under a value.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        self.store().by_index(index, value)
    }

    /// Whether the cache held, at least once, all that existed at that moment.
    pub fn has_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Waits for that.
    pub async fn synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        // The sender lives in `shared`, which `self` holds: this cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    fn store(&self) -> RwLockReadGuard<'_, Indexer<K>> {
        self.shared.store.read().unwrap_or_else(PoisonError::into_inner)
    }
}
