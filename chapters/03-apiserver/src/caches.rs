//! The watch caches of all kinds, and the one watch on the store that feeds them.

use crate::etcd::{Found, Store, StoreError};
use crate::heart::status::{ApiError, Reason};
use crate::heart::stored::Stored;
use crate::heart::watch_cache::{Change, WatchCache};
use objects::resources::{self, Resource};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use store::etcd::{EventType, WatchResponse};
use tokio::sync::watch;

/// Events that are remembered for each kind; a watcher that falls further behind lists anew.
const RING: usize = 4096;
/// How long a read waits for the cache to catch up with the store.
const FRESH_TIMEOUT: Duration = Duration::from_secs(3);

/// The cache of one storage prefix.
pub struct KindCache {
    pub resource: &'static Resource,
    cache: RwLock<WatchCache>,
    /// Wakes the watchers of this kind.
    pub changed: watch::Sender<i64>,
    /// Counts the times that everything was read anew: watchers of before must list again.
    epoch: AtomicU64,
}

impl KindCache {
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
    kinds: BTreeMap<&'static str, Arc<KindCache>>,
    /// The store's revision up to which every cache is complete; 0 before the first list.
    progress: watch::Sender<i64>,
}

impl Default for Caches {
    fn default() -> Caches {
        let mut kinds = BTreeMap::new();
        for resource in resources::all().iter().filter(|r| r.is_storage_version()) {
            let cache = KindCache {
                resource,
                cache: RwLock::new(WatchCache::new(RING)),
                changed: watch::Sender::new(0),
                epoch: AtomicU64::new(0),
            };
            kinds.insert(resource.storage_prefix, Arc::new(cache));
        }
        Caches { kinds, progress: watch::Sender::new(0) }
    }
}

impl Caches {
    /// The cache behind a resource, in whichever version it is served.
    pub fn of(&self, resource: &Resource) -> Option<&Arc<KindCache>> {
        self.kinds.get(resource.storage_prefix)
    }

    /// The kind that a store key belongs to.
    fn kind_of(&self, key: &str) -> Option<&Arc<KindCache>> {
        // Prefixes are at most two levels below /registry; names and namespaces follow.
        let mut end = key.len();
        while let Some(slash) = key[..end].rfind('/') {
            if let Some(kind) = self.kinds.get(&key[..slash]) {
                return Some(kind);
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

    pub async fn wait_synced(&self) {
        let mut progress = self.progress.subscribe();
        // The sender lives as long as `self`.
        let _ = progress.wait_for(|now| *now > 0).await;
    }

    /// Keep the caches up with the store, for ever.
    pub async fn feed(&self, store: &Store) {
        let mut delay = Duration::from_millis(50);
        loop {
            let before = self.revision();
            match self.follow(store).await {
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
    async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        let newest = store.revision().await?;
        if self.revision() == 0 || newest < self.revision() {
            self.list(store).await?;
        }
        let mut stream = store.watch(self.revision() + 1).await?;
        while let Some(response) = stream.message().await? {
            if response.compact_revision > 0 {
                return Err(StoreError::Compacted);
            }
            if response.canceled {
                return Ok(());
            }
            self.take_in(response);
        }
        Ok(())
    }

    async fn list(&self, store: &Store) -> Result<(), StoreError> {
        let (mut found, mut start, mut at) = (Vec::new(), String::new(), 0);
        loop {
            let page = store.list("/registry/", &start, 1000, at).await?;
            if at == 0 {
                at = page.revision;
            }
            let last = page.items.last().map(|f| String::from_utf8_lossy(&f.key).into_owned());
            found.extend(page.items);
            match last.filter(|_| page.more) {
                Some(last) => start = format!("{}\0", last.trim_start_matches("/registry/")),
                None => break,
            }
        }
        let mut by_kind: BTreeMap<&str, Vec<Arc<Stored>>> = BTreeMap::new();
        for item in found {
            if let Some((kind, stored)) = self.object(&item) {
                by_kind.entry(kind.resource.storage_prefix).or_default().push(stored);
            }
        }
        for (prefix, kind) in &self.kinds {
            let objects = by_kind.remove(prefix).unwrap_or_default();
            kind.write(|cache| cache.replace(at, objects));
            kind.epoch.fetch_add(1, Ordering::AcqRel);
        }
        self.publish(at, self.kinds.values());
        Ok(())
    }

    /// Read one stored value; what is not an object of this API is passed over, aloud.
    fn object(&self, found: &Found) -> Option<(&Arc<KindCache>, Arc<Stored>)> {
        let key = std::str::from_utf8(&found.key).ok()?;
        let kind = self.kind_of(key)?;
        match Stored::read(kind.resource, key, found.revision, &found.value) {
            Some(stored) => Some((kind, Arc::new(stored))),
            None => {
                tracing::warn!(key, "the value in the store is not an object of this API");
                None
            }
        }
    }

    fn take_in(&self, response: WatchResponse) {
        let mut changes: BTreeMap<&str, Vec<Change>> = BTreeMap::new();
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
            changes.entry(kind.resource.storage_prefix).or_default().push(change);
        }
        let mut touched = Vec::new();
        for (prefix, changes) in changes {
            if let Some(kind) = self.kinds.get(prefix) {
                kind.write(|cache| cache.apply(changes));
                touched.push(kind);
            }
        }
        self.publish(newest, touched.into_iter());
    }

    /// First say how far everything is, then wake those whose kind changed.
    fn publish<'k>(&self, revision: i64, touched: impl Iterator<Item = &'k Arc<KindCache>>) {
        self.progress.send_replace(revision);
        for kind in touched {
            kind.changed.send_replace(revision);
        }
    }
}
