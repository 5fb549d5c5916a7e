//! The cache: every object by its key, and by whatever else its readers look it up
//! (client-go's Indexer); and the fan-out, which turns changes into what handlers hear.

use crate::fifo::Delta;
use crate::keyed::Keyed;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What a handler is told, in the order in which it happened.
#[derive(Debug)]
pub enum Event<K> {
    Added(Arc<K>),
    Updated {
        old: Arc<K>,
        new: Arc<K>,
    },
    /// The last state that is known.
    Deleted(Arc<K>),
    /// Once for each subscriber: everything that existed at its start has been told.
    Synced,
}

impl<K> Clone for Event<K> {
    fn clone(&self) -> Event<K> {
        match self {
            Self::Added(object) => Self::Added(object.clone()),
            Self::Updated { old, new } => Self::Updated { old: old.clone(), new: new.clone() },
            Self::Deleted(object) => Self::Deleted(object.clone()),
            Self::Synced => Self::Synced,
        }
    }
}

/// The values under which an index finds an object; none, one or several.
pub type IndexFn<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

struct Index<K> {
    // lab:given
    values_of: IndexFn<K>,
    keys: BTreeMap<String, BTreeSet<String>>,
}

/// Objects by key, with named indices that are right after every change.
pub struct Indexer<K> {
    objects: BTreeMap<String, Arc<K>>,
    indices: BTreeMap<&'static str, Index<K>>,
}

impl<K> fmt::Debug for Indexer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indices: Vec<_> = self.indices.keys().collect();
        let keys: Vec<_> = self.objects.keys().collect();
        f.debug_struct("Indexer").field("objects", &keys).field("indices", &indices).finish()
    }
}

impl<K> Default for Indexer<K> {
    fn default() -> Indexer<K> {
        Indexer { objects: BTreeMap::new(), indices: BTreeMap::new() }
    }
}

impl<K: Keyed> Indexer<K> {
    pub fn new(indices: Vec<(&'static str, IndexFn<K>)>) -> Indexer<K> {
        let index = |(name, values_of)| (name, Index { values_of, keys: BTreeMap::new() });
        Indexer { objects: BTreeMap::new(), indices: indices.into_iter().map(index).collect() }
    }

    pub fn get(&self, key: &str) -> Option<&Arc<K>> {
        self.objects.get(key)
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str)
    }

    /// Every object, by key.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.objects.values().cloned().collect()
    }

    /// Every object of one namespace, by key.
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<K>> {
        // lab:begin 04.4 read the stretch of keys that start with the namespace
        // With the slash: the keys of `a-b` begin with `a`, too.
        let prefix = format!("{namespace}/");
        self.objects
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(_, object)| object.clone())
            .collect()
        // lab:end
    }

    /// Every object that the index files under this value, by key. An index that nobody
    /// made finds nothing.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        let keys = self.indices.get(index).and_then(|index| index.keys.get(value));
        keys.into_iter().flatten().filter_map(|key| self.objects.get(key)).cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Puts an object in the place of what had its key; returns what had.
    pub fn insert(&mut self, object: Arc<K>) -> Option<Arc<K>> {
        // lab:begin 04.4 replace the object and move its key in every index
        let key = object.key();
        let old = self.remove(&key);
        for index in self.indices.values_mut() {
            for value in (index.values_of)(&object) {
                index.keys.entry(value).or_default().insert(key.clone());
            }
        }
        self.objects.insert(key, object);
        old
        // lab:end
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &str) -> Option<Arc<K>> {
        // lab:begin 04.4 take the object out, and its key out of every index
        let old = self.objects.remove(key)?;
        for index in self.indices.values_mut() {
            for value in (index.values_of)(&old) {
                if let Some(keys) = index.keys.get_mut(&value) {
                    keys.remove(key);
                    if keys.is_empty() {
                        index.keys.remove(&value);
                    }
                }
            }
        }
        Some(old)
        // lab:end
    }

    /// Carries the changes of one object out and says what handlers hear of them.
    ///
    /// What a list repeats is told to nobody. An object of the same name with another uid is
    /// another object: the old one went, a new one came.
    pub fn apply(&mut self, key: &str, deltas: Vec<Delta<K>>) -> Vec<Event<K>> {
        // lab:begin 04.5 compare each change with the cache and tell the difference
        let mut events = Vec::new();
        for delta in deltas {
            match delta {
                Delta::Added(new) | Delta::Updated(new) | Delta::Replaced(new) => {
                    let same = self.get(key).is_some_and(|old| {
                        old.uid() == new.uid() && old.resource_version() == new.resource_version()
                    });
                    if same {
                        continue;
                    }
                    match self.insert(new.clone()) {
                        Some(old) if old.uid() == new.uid() => {
                            events.push(Event::Updated { old, new });
                        }
                        Some(old) => events.extend([Event::Deleted(old), Event::Added(new)]),
                        None => events.push(Event::Added(new)),
                    }
                }
                Delta::Deleted(last) => {
                    events.extend(self.remove(key).map(|_| Event::Deleted(last)));
                }
                Delta::Vanished => events.extend(self.remove(key).map(Event::Deleted)),
            }
        }
        events
        // lab:end
    }
}
