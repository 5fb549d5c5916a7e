//! The watch caches of all kinds, and the one watch on the store that feeds them.

use crate::app::App;
use crate::etcd::{Found, Store, StoreError};
use crate::heart::custom;
use crate::heart::kind::Kind;
use crate::heart::status::{ApiError, Reason};
use crate::heart::stored::Stored;
use crate::heart::watch_cache::{Change, WatchCache};
use objects::resources::{self, Resource};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};
use std::time::Duration;
use store::etcd::{EventType, WatchResponse};
use tokio::sync::watch;

/// Events that are remembered for each kind; a watcher that falls further behind lists anew.
const RING: usize = 4096;
/// How long a read waits for the cache to catch up with the store.
const FRESH_TIMEOUT: Duration = Duration::from_secs(3);

/// The cache of one storage prefix.
pub struct KindCache {
    pub kind: Kind,
    cache: RwLock<WatchCache>,
    /// Wakes the watchers of this kind.
    pub changed: watch::Sender<i64>,
    /// Counts the times that everything was read anew: watchers of before must list again.
    epoch: AtomicU64,
    /// The kind is no longer served, or not as it was: watches on it end.
    gone: AtomicBool,
}

/// Every definition in the store by its key: the revision at which it was read, and what it says
/// if it is established.
type Definitions = BTreeMap<String, (i64, Option<Arc<custom::Definition>>)>;

impl KindCache {
    fn new(kind: Kind) -> KindCache {
        KindCache {
            kind,
            cache: RwLock::new(WatchCache::new(RING)),
            changed: watch::Sender::new(0),
            epoch: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        }
    }

    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Look into the cache. The lock is held for as long as `look` runs: it must not wait.
    pub fn read<T>(&self, look: impl FnOnce(&WatchCache) -> T) -> T {
        // A poisoned lock means that a reader panicked; the data is whole.
        look(&self.cache.read().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn write<T>(&self, change: impl FnOnce(&mut WatchCache) -> T) -> T {
        change(&mut self.cache.write().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }
}

pub struct Caches {
    kinds: RwLock<BTreeMap<&'static str, Arc<KindCache>>>,
    definitions: Mutex<Definitions>,
    /// The store's revision up to which every cache is complete; 0 before the first list.
    progress: watch::Sender<i64>,
}

impl Default for Caches {
    fn default() -> Caches {
        let stored = resources::all().iter().filter(|r| r.is_storage_version());
        let kinds = stored.map(|r| (r.storage_prefix, Arc::new(KindCache::new(Kind::builtin(r)))));
        Caches {
            kinds: RwLock::new(kinds.collect()),
            definitions: Mutex::default(),
            progress: watch::Sender::new(0),
        }
    }
}

impl Caches {
    /// The cache behind a resource, in whichever version it is served.
    pub fn of(&self, resource: &Resource) -> Option<Arc<KindCache>> {
        self.kinds().get(resource.storage_prefix).cloned()
    }

    fn kinds(&self) -> RwLockReadGuard<'_, BTreeMap<&'static str, Arc<KindCache>>> {
        self.kinds.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The kind that a store key belongs to.
    fn kind_of(&self, key: &str) -> Option<Arc<KindCache>> {
        let kinds = self.kinds();
        // Prefixes are at most two levels below /registry; names and namespaces follow.
        let mut end = key.len();
        while let Some(slash) = key[..end].rfind('/') {
            if let Some(kind) = kinds.get(&key[..slash]) {
                return Some(kind.clone());
            }
            end = slash;
        }
        None
    }

    pub fn revision(&self) -> i64 {
        *self.progress.borrow()
    }

    /// Wait until everything up to `revision` is here.
    pub async fn wait_for(&self, revision: i64) -> Result<(), ApiError> {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|now| *now > 0 && *now >= revision);
        if let Ok(Ok(_)) = tokio::time::timeout(FRESH_TIMEOUT, reached).await {
            return Ok(());
        }
        let current = self.revision();
        if current == 0 {
            return Err(ApiError::unavailable("the store has not been read yet"));
        }
        let message = format!("Too large resource version: {revision}, current: {current}");
        Err(ApiError::new(Reason::Timeout, format!("Timeout: {message}")).retry_after(1).cause(
            "ResourceVersionTooLarge",
            "Too large resource version",
            "",
        ))
    }

    /// Wait until a write of this server's own is here, before its client hears of it: then the
    /// client meets it in all that this server says and decides, lists of `resourceVersion=0` and
    /// admission too. (Upstream's caches may be behind there.) Caches that are late are no failure
    /// of a write that is done.
    pub async fn catch_up(&self, revision: i64) {
        let _ = self.wait_for(revision).await;
    }

    pub async fn wait_synced(&self) {
        let mut progress = self.progress.subscribe();
        // The sender lives as long as `self`.
        let _ = progress.wait_for(|now| *now > 0).await;
    }

    /// Keep the caches up with the store, for ever.
    pub async fn feed(&self, app: &App) {
        let mut delay = Duration::from_millis(50);
        loop {
            let before = self.revision();
            match self.follow(app).await {
                Ok(()) => tracing::info!("the store ended the watch"),
                Err(StoreError::Compacted) => {
                    // What was missed is forgotten: start from a new list.
                    tracing::warn!("the store forgot what this server missed, reading everything anew");
                    self.progress.send_replace(0);
                    continue;
                }
                Err(error) => tracing::warn!(%error, "the store is away"),
            }
            if self.revision() != before {
                delay = Duration::from_millis(50);
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(Duration::from_millis(500));
        }
    }

    /// List if nothing is known yet, then take in what happens until the watch breaks.
    async fn follow(&self, app: &App) -> Result<(), StoreError> {
        let store = &app.store;
        let newest = store.revision().await?;
        if self.revision() == 0 || newest < self.revision() {
            self.list(app).await?;
        }
        let mut stream = store.watch(self.revision() + 1).await?;
        while let Some(response) = stream.message().await? {
            if response.compact_revision > 0 {
                return Err(StoreError::Compacted);
            }
            if response.canceled {
                return Ok(());
            }
            self.take_in(app, response).await?;
        }
        Ok(())
    }

    async fn list(&self, app: &App) -> Result<(), StoreError> {
        let (at, found) = read_all(&app.store, "/registry/", 0).await?;
        let kinds: Vec<Arc<KindCache>> = self.kinds().values().cloned().collect();
        let mut by_kind: BTreeMap<&str, Vec<Arc<Stored>>> = BTreeMap::new();
        for item in found {
            if let Some((kind, stored)) = self.object(&item) {
                by_kind.entry(kind.kind.resource.storage_prefix).or_default().push(stored);
            }
        }
        for kind in &kinds {
            let objects = by_kind.remove(kind.kind.resource.storage_prefix).unwrap_or_default();
            kind.write(|cache| cache.replace(at, objects));
            kind.epoch.fetch_add(1, Ordering::AcqRel);
        }
        // Definitions are known now, and with them what else is to be read.
        self.settle_definitions(app, at).await?;
        self.publish(at, kinds.iter());
        Ok(())
    }

    /// Read one stored value; what is not an object of this API is passed over, aloud.
    fn object(&self, found: &Found) -> Option<(Arc<KindCache>, Arc<Stored>)> {
        let key = std::str::from_utf8(&found.key).ok()?;
        let kind = self.kind_of(key)?;
        match Stored::read(&kind.kind, key, found.revision, &found.value) {
            Some(stored) => Some((kind, Arc::new(stored))),
            None => {
                tracing::warn!(key, "the value in the store is not an object of this API");
                None
            }
        }
    }

    async fn take_in(&self, app: &App, response: WatchResponse) -> Result<(), StoreError> {
        let mut changes: BTreeMap<&str, (Arc<KindCache>, Vec<Change>)> = BTreeMap::new();
        let mut newest = self.revision();
        for event in response.events {
            let deleted = event.r#type == EventType::Delete as i32;
            let Some(kv) = event.kv else { continue };
            newest = newest.max(kv.mod_revision);
            let Ok(key) = std::str::from_utf8(&kv.key) else { continue };
            let Some(kind) = self.kind_of(key) else { continue };
            let found = Found { key: kv.key.clone(), value: kv.value.clone(), revision: kv.mod_revision };
            let object = if deleted { None } else { self.object(&found).map(|(_, stored)| stored) };
            let change = Change { key: key.to_string(), revision: kv.mod_revision, object };
            let prefix = kind.kind.resource.storage_prefix;
            changes.entry(prefix).or_insert_with(|| (kind, Vec::new())).1.push(change);
        }
        let mut touched = Vec::new();
        let mut definitions = false;
        for (_, (kind, changes)) in changes {
            definitions |= custom::is_definition(kind.kind.resource);
            kind.write(|cache| cache.apply(changes));
            touched.push(kind);
        }
        if definitions {
            self.settle_definitions(app, newest).await?;
        }
        self.publish(newest, touched.iter());
        Ok(())
    }

    /// Definitions may have changed: serve what they define from here on. A new prefix is read as
    /// it was at the revision `at`, which is how far the watch has come, and everything after it
    /// comes through the watch: nothing is missed, nothing comes twice. Only then are clients told,
    /// so that whoever sees a definition established finds its API.
    async fn settle_definitions(&self, app: &App, at: i64) -> Result<(), StoreError> {
        let definitions = self.established();
        let mut wanted = BTreeMap::new();
        for definition in &definitions {
            wanted.extend(definition.stored().map(|kind| (kind.resource.storage_prefix, (definition, kind))));
        }
        let current: Vec<Arc<KindCache>> = self.kinds().values().cloned().collect();
        for old in current {
            let Some(custom) = &old.kind.custom else { continue };
            let prefix = old.kind.resource.storage_prefix;
            match wanted.get(prefix) {
                Some((definition, _)) if Arc::ptr_eq(definition, &custom.definition) => {
                    wanted.remove(prefix);
                }
                // It went, or what it shows and indexes changed.
                _ => self.replace(prefix, None),
            }
        }
        for (prefix, (_, kind)) in wanted {
            let (_, found) = read_all(&app.store, &format!("{prefix}/"), at).await?;
            let cache = KindCache::new(kind);
            let read = |item: &Found| {
                let key = std::str::from_utf8(&item.key).ok()?;
                Stored::read(&cache.kind, key, item.revision, &item.value).map(Arc::new)
            };
            let objects = found.iter().filter_map(read).collect();
            cache.write(|cache| cache.replace(at, objects));
            self.replace(prefix, Some(Arc::new(cache)));
        }
        app.serve_custom(definitions.iter().flat_map(custom::Definition::served).collect());
        Ok(())
    }

    fn replace(&self, prefix: &'static str, new: Option<Arc<KindCache>>) {
        let mut kinds = self.kinds.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let old = match new {
            Some(new) => kinds.insert(prefix, new),
            None => kinds.remove(prefix),
        };
        if let Some(old) = old {
            old.gone.store(true, Ordering::Release);
            old.changed.send_modify(|_| {});
        }
    }

    /// The definitions that are served. One that did not change is the same value as before.
    fn established(&self) -> Vec<Arc<custom::Definition>> {
        let Some(cache) = Kind::named("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
            .and_then(|kind| self.of(kind.resource))
        else {
            return Vec::new();
        };
        let stored: Vec<Arc<Stored>> = cache.read(|cache| cache.list("").cloned().collect());
        let mut known = self.definitions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut next = Definitions::new();
        for crd in stored {
            let before = known.remove(&crd.key);
            let read = match before {
                Some((revision, definition)) if revision == crd.revision => definition,
                before => {
                    let value = crd.value();
                    let served = custom::is_true(&value, "Established");
                    let new = served.then(|| Arc::new(custom::Definition::parse(&value)));
                    match before.and_then(|(_, definition)| definition) {
                        Some(old) if new.as_ref().is_some_and(|new| *new == old) => Some(old),
                        _ => new,
                    }
                }
            };
            next.insert(crd.key.clone(), (crd.revision, read));
        }
        *known = next;
        known.values().filter_map(|(_, definition)| definition.clone()).collect()
    }

    /// First say how far everything is, then wake those whose kind changed.
    fn publish<'k>(&self, revision: i64, touched: impl Iterator<Item = &'k Arc<KindCache>>) {
        self.progress.send_replace(revision);
        for kind in touched {
            kind.changed.send_replace(revision);
        }
    }
}

/// Everything below a prefix, as it was at a revision; 0 is now. Gives the revision too.
async fn read_all(store: &Store, prefix: &str, at: i64) -> Result<(i64, Vec<Found>), StoreError> {
    let (mut found, mut start, mut at) = (Vec::new(), String::new(), at);
    loop {
        let page = store.list(prefix, &start, 1000, at).await?;
        if at == 0 {
            at = page.revision;
        }
        let last = page.items.last().map(|f| String::from_utf8_lossy(&f.key).into_owned());
        found.extend(page.items);
        match last.filter(|_| page.more) {
            Some(last) => start = format!("{}\0", last.strip_prefix(prefix).unwrap_or_default()),
            None => return Ok((at, found)),
        }
    }
}
