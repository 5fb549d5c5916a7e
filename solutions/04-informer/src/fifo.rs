//! The delta queue between the reflector and the cache (client-go's DeltaFIFO): for each
//! object the changes that were not handled yet, objects in the order of their first one.
//!
//! ```text
//!   a+ b+ a~ c+ a-     becomes     a: [+ ~ -]   b: [+]   c: [+]
//! ```

use crate::keyed::Keyed;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// One change of one object.
#[derive(Debug, PartialEq)]
pub enum Delta<K> {
    Added(Arc<K>),
    Updated(Arc<K>),
    Deleted(Arc<K>),
    /// A list holds it: new, changed or the same as before.
    Replaced(Arc<K>),
    /// A list lacks it, so it went while nobody watched. Its last state is not known here;
    /// client-go says `DeletedFinalStateUnknown`.
    Vanished,
}

impl<K> Delta<K> {
    fn object(&self) -> Option<&Arc<K>> {
        match self {
            Self::Added(o) | Self::Updated(o) | Self::Deleted(o) | Self::Replaced(o) => Some(o),
            Self::Vanished => None,
        }
    }

    /// Whether the object is gone after this.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Deleted(_) | Self::Vanished)
    }
}

impl<K> Clone for Delta<K> {
    fn clone(&self) -> Delta<K> {
        match self {
            Self::Added(object) => Self::Added(object.clone()),
            Self::Updated(object) => Self::Updated(object.clone()),
            Self::Deleted(object) => Self::Deleted(object.clone()),
            Self::Replaced(object) => Self::Replaced(object.clone()),
            Self::Vanished => Self::Vanished,
        }
    }
}

/// The queue. A key is in `order` exactly when it has deltas, and once.
#[derive(Debug)]
pub struct DeltaFifo<K> {
    // lab:given
    deltas: BTreeMap<String, Vec<Delta<K>>>,
    order: VecDeque<String>,
    /// Keys of the first list that were not popped yet; `None` before that list.
    initial: Option<BTreeSet<String>>,
}

impl<K> Default for DeltaFifo<K> {
    fn default() -> DeltaFifo<K> {
        DeltaFifo { deltas: BTreeMap::new(), order: VecDeque::new(), initial: None }
    }
}

impl<K: Keyed> DeltaFifo<K> {
    /// Appends a change that a watch told.
    pub fn push(&mut self, delta: Delta<K>) {
        let key = delta.object().map(|object| object.key());
        if let Some(key) = key {
            self.append(key, delta);
        }
    }

    /// Takes a whole list in. `known` are the keys that the cache holds: what is known, or
    /// waits here, and is not in the list has vanished.
    pub fn replace<'a>(&mut self, list: Vec<Arc<K>>, known: impl IntoIterator<Item = &'a str>) {
        // lab:begin 04.3 append Replaced for all in the list, Vanished for all that are not
        let listed: BTreeSet<String> = list.iter().map(|object| object.key()).collect();
        let mut unlisted: BTreeSet<String> = self.order.iter().cloned().collect();
        unlisted.extend(known.into_iter().map(str::to_owned));
        for object in list {
            self.append(object.key(), Delta::Replaced(object));
        }
        for key in unlisted.difference(&listed) {
            self.append(key.clone(), Delta::Vanished);
        }
        if self.initial.is_none() {
            self.initial = Some(self.order.iter().cloned().collect());
        }
        // lab:end
    }

    /// The object whose change waits longest, with all its changes, oldest first.
    pub fn pop(&mut self) -> Option<(String, Vec<Delta<K>>)> {
        // lab:begin 04.3 take the first key and everything known about it
        let key = self.order.pop_front()?;
        let deltas = self.deltas.remove(&key).unwrap_or_default();
        if let Some(initial) = &mut self.initial {
            initial.remove(&key);
        }
        Some((key, deltas))
        // lab:end
    }

    /// Whether everything that the first list held was popped.
    pub fn has_synced(&self) -> bool {
        self.initial.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// How many objects have changes here.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn append(&mut self, key: String, delta: Delta<K>) {
        // lab:begin 04.3 append in order; a second end in a row says nothing new
        let deltas = self.deltas.entry(key.clone()).or_default();
        if deltas.is_empty() {
            self.order.push_back(key);
        }
        let again = delta.is_end() && deltas.last().is_some_and(Delta::is_end);
        if !again {
            deltas.push(delta);
        }
        // lab:end
    }
}
