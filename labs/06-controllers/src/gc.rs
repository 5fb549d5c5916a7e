//! The garbage collector: what has lost all its owners goes too.
//!
//! Owner references point from dependents to owners, across all kinds. The graph holds
//! the metadata of every object, in both directions. Three ways to delete an owner:
//!
//! * **Background**: the owner goes at once; its dependents follow when they are found
//!   to have no owner left.
//! * **Foreground**: the owner waits, with the finalizer `foregroundDeletion`, until those
//!   dependents are gone that say `blockOwnerDeletion`.
//! * **Orphan**: the owner waits, with the finalizer `orphan`, until its dependents have
//!   forgotten it, and they stay.
//!
//! The graph is a cache, and caches lag. So nothing is deleted on its word: the shell reads
//! the object, and every owner that the graph does not hold, from the API server, by uid,
//! and [`judge`] decides on what was read.
//!
//! ```text
//!   watches of all kinds ─► Graph::handle ─► queue of uids ─► read live ─► judge ─► delete,
//!                                               ▲                            patch, or keep
//!                                               └── dependents of what went
//! ```
//!
//! Upstream: `pkg/controller/garbagecollector`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use objects::meta;

pub const FOREGROUND: &str = "foregroundDeletion";
pub const ORPHAN: &str = "orphan";

/// Where an object is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    pub kind: String,
    /// Empty for what has none.
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// One object in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphNode {
    pub identity: Identity,
    pub owners: Vec<Owner>,
    /// It has a deletion timestamp.
    pub going: bool,
    /// It waits for its dependents to go (`foregroundDeletion`).
    pub foreground: bool,
    /// It waits for its dependents to be orphaned (`orphan`).
    pub orphaning: bool,
}

/// One owner reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub uid: String,
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub blocks: bool,
}

/// The group in `apps/v1`; empty for the core's `v1`.
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

impl From<&OwnerReference> for Owner {
    fn from(reference: &OwnerReference) -> Self {
        Owner {
            uid: reference.uid.clone(),
            api_version: reference.api_version.clone(),
            kind: reference.kind.clone(),
            name: reference.name.clone(),
            blocks: reference.block_owner_deletion == Some(true),
        }
    }
}

pub fn owners(meta: &ObjectMeta) -> Vec<Owner> {
    meta.owner_references.iter().flatten().map(Owner::from).collect()
}

pub fn has_finalizer(meta: &ObjectMeta, name: &str) -> bool {
    meta.finalizers.iter().flatten().any(|finalizer| finalizer == name)
}

/// The objects to look at after a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// May have lost their owners, or wait for dependents: see [`judge`].
    pub check: BTreeSet<String>,
    /// Want their dependents to forget them: see [`Graph::dependents`].
    pub orphan: BTreeSet<String>,
}

/// Owners and dependents by uid. A uid that is not here may still exist.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<String, GraphNode>,
    dependents: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    pub fn get(&self, uid: &str) -> Option<&GraphNode> {
        self.nodes.get(uid)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &GraphNode> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| self.nodes.get(uid))
    }

    /// Dependents that a foreground deletion of `uid` waits for.
    pub fn blocking(&self, uid: &str) -> impl Iterator<Item = &GraphNode> {
        self.dependents(uid).filter(move |dependent| {
            let mut owners = dependent.owners.iter();
            owners.any(|owner| owner.uid == uid && owner.blocks)
        })
    }

    /// A watch shows an object, new or changed.
    pub fn handle(&mut self, identity: Identity, meta: &ObjectMeta) -> Work {
        let going = meta.deletion_timestamp.is_some();
        let node = GraphNode {
            owners: owners(meta),
            going,
            foreground: going && has_finalizer(meta, FOREGROUND),
            orphaning: going && has_finalizer(meta, ORPHAN),
            identity,
        };
        let uid = node.identity.uid.clone();
        let old = self.nodes.insert(uid.clone(), node.clone());
        let owners_before = old.as_ref().map(|old| old.owners.clone()).unwrap_or_default();
        for owner in &owners_before {
            self.unlink(&owner.uid, &uid);
        }
        for owner in &node.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
        }
        todo!(
            "lab 06.5: who must be looked at: an owner is unknown, owners changed, an owner waits, it begins to orphan or to wait"
        )
    }

    /// The object is gone: the watch says so, or reading it found nothing.
    pub fn handle_gone(&mut self, uid: &str) -> Work {
        let Some(node) = self.nodes.remove(uid) else {
            return Work::default();
        };
        for owner in &node.owners {
            self.unlink(&owner.uid, uid);
        }
        todo!("lab 06.5: its dependents may have lost their last owner; its owners may have waited for it")
    }

    /// What names an owner that the graph does not hold and that is one of `these`. While the owner's kind
    /// was not served nobody could say whether it is there, and so its dependents were kept: they
    /// are looked at once more when somebody can.
    pub fn without_owner(&self, these: impl Fn(&Owner) -> bool) -> Work {
        let lost = |owner: &Owner| !self.nodes.contains_key(&owner.uid) && these(owner);
        let dependents = self.nodes.values().filter(|node| node.owners.iter().any(lost));
        let check = dependents.map(|node| node.identity.uid.clone()).collect();
        Work { check, orphan: BTreeSet::new() }
    }

    pub fn waits(&self, uid: &str) -> bool {
        self.nodes.get(uid).is_some_and(|node| node.foreground)
    }

    fn unlink(&mut self, owner: &str, dependent: &str) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}

/// What the API server said about an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// It exists, and is not waiting for its dependents.
    Solid,
    /// There is no such object, or another one with its name.
    Absent,
    /// It is in foreground deletion, and waits for its dependents.
    Waiting,
}

/// What to do about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// Delete it (with its uid as precondition), under this propagation policy. If
    /// `unblock`, take `blockOwnerDeletion` off its owner references first, as two objects
    /// wait for each other.
    Delete {
        policy: &'static str,
        unblock: bool,
    },
    /// It has an owner still: remove the references to these.
    DropOwners(BTreeSet<String>),
    /// Its dependents are gone: let it go too.
    RemoveForeground,
    /// It waits: look at these dependents that block it.
    WaitFor(BTreeSet<String>),
}

/// Decides on an object as it was just read, with the state of each of its owners as they
/// were just read. `graph` tells about its dependents.
pub fn judge(live: &ObjectMeta, states: &BTreeMap<String, OwnerState>, graph: &Graph) -> Verdict {
    let uid = meta::uid(live);
    let foreground = has_finalizer(live, FOREGROUND);
    let owners = owners(live);
    let _ = (&states, &graph, &uid, &foreground, &owners);
    todo!("lab 06.5: going away, or waiting; a solid owner; an owner that waits; no owner left")
}

/// The references that are left when some owners are dropped.
pub fn without_owners(live: &ObjectMeta, dropped: &BTreeSet<String>) -> Vec<OwnerReference> {
    let references = live.owner_references.iter().flatten();
    references.filter(|reference| !dropped.contains(&reference.uid)).cloned().collect()
}

/// The finalizers that are left when one is removed.
pub fn without_finalizer(live: &ObjectMeta, name: &str) -> Vec<String> {
    live.finalizers.iter().flatten().filter(|finalizer| *finalizer != name).cloned().collect()
}
