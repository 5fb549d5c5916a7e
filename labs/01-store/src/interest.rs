//! Who is to be told of a change of a key.
//!
//! Watchers who want the same are one *interest*, so that what they are told is put together once,
//! whether one listens or a thousand. Interests are found by an interval tree: a list, sorted by start,
//! in which the middle is the root, and the halves on both sides of it are its subtrees. Each root
//! knows the latest end in its tree.
//!
//! ```text
//!              b to f                 latest: k       who has e?
//!             /      \
//!        b to d      h to k           d, k            left: ends at d, passed over whole
//!         /           /                               b to f: yes
//!     a to c       e to g             c, g            right: h begins behind e, e to g: yes
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::types::{Key, KeyRange, RangeEnd, Record};
use crate::watch::{StreamId, WatchId};

pub(crate) type Address = (StreamId, WatchId);

/// What a watcher wants of a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interest {
    pub keys: KeyRange,
    pub no_put: bool,
    pub no_delete: bool,
    pub prev_kv: bool,
}

impl Interest {
    #[allow(dead_code, reason = "used by your answer")]
    pub fn wants(&self, record: &Record) -> bool {
        let unwanted = if record.is_tombstone() { self.no_delete } else { self.no_put };
        !unwanted && self.keys.contains(&record.key)
    }

    fn end(&self) -> End {
        match &self.keys.end {
            RangeEnd::Single => End::Before([&self.keys.start, &[0][..]].concat().into()),
            RangeEnd::Before(end) => End::Before(end.clone()),
            RangeEnd::Unbounded => End::Never,
        }
    }
}

/// The interests of synced watchers.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    watchers: BTreeMap<Arc<Interest>, BTreeSet<Address>>,
    /// The keys of `watchers`, in their order: always the same ones.
    tree: Vec<Node>,
    /// The tree has changed, and what it knows of ends is not right any more.
    stale: bool,
}

#[derive(Debug)]
struct Node {
    interest: Arc<Interest>,
    /// Of this node and its two subtrees.
    latest: End,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Before(Key),
    Never,
}

impl Interests {
    pub fn insert(&mut self, interest: &Arc<Interest>, address: Address) {
        if let Some(same) = self.watchers.get_mut(interest) {
            same.insert(address);
            return;
        }
        self.watchers.insert(interest.clone(), BTreeSet::from([address]));
        let at = self.tree.partition_point(|node| node.interest < *interest);
        self.tree.insert(at, Node { interest: interest.clone(), latest: interest.end() });
        self.stale = true;
    }

    pub fn remove(&mut self, interest: &Arc<Interest>, address: Address) {
        let Some(same) = self.watchers.get_mut(interest) else { return };
        same.remove(&address);
        if same.is_empty() {
            self.watchers.remove(interest);
            let at = self.tree.partition_point(|node| node.interest < *interest);
            self.tree.remove(at);
            self.stale = true;
        }
    }

    /// Those whose range has the key.
    #[allow(dead_code, reason = "used by your answer")]
    pub fn of_key(&mut self, key: &[u8]) -> Vec<Arc<Interest>> {
        if std::mem::take(&mut self.stale) {
            renew(&mut self.tree);
        }
        let mut found = Vec::new();
        find(&self.tree, key, &mut found);
        found
    }

    #[allow(dead_code, reason = "used by your answer")]
    pub fn watchers(&self, interest: &Arc<Interest>) -> Vec<Address> {
        self.watchers.get(interest).into_iter().flatten().copied().collect()
    }

    pub fn all(&self) -> Vec<Address> {
        self.watchers.values().flatten().copied().collect()
    }
}

fn renew(tree: &mut [Node]) -> Option<End> {
    let (left, rest) = tree.split_at_mut(tree.len() / 2);
    let (root, right) = rest.split_first_mut()?;
    let latest = renew(left).max(renew(right)).max(Some(root.interest.end()));
    root.latest.clone_from(latest.as_ref()?);
    latest
}

fn find(tree: &[Node], key: &[u8], found: &mut Vec<Arc<Interest>>) {
    let (left, rest) = tree.split_at(tree.len() / 2);
    let Some((root, right)) = rest.split_first() else { return };
    if matches!(&root.latest, End::Before(end) if **end <= *key) {
        return;
    }
    find(left, key, found);
    if *root.interest.keys.start <= *key {
        if root.interest.keys.contains(key) {
            found.push(root.interest.clone());
        }
        find(right, key, found);
    }
}
