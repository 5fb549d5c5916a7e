//! Reads what `heart::gc` wants to know, and does what it judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use informer::{ApiResource, DynamicObject, Error, Event as Change, Informer, Patch, Query, WorkQueue};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use crate::context::{Context, lock};
use crate::driver::{Again, Reconcile};
use crate::endpoints::ignore_missing;
use crate::heart::gc::{
    FOREGROUND, GraphNode, Identity, ORPHAN, Owner, OwnerState, Verdict, Work, group_of, has_finalizer,
    judge, without_finalizer, without_owners,
};
use crate::owned::{delete_options, or_unset, owners_patch};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Has this object lost its owners, or is it waiting for its dependents?
    Check(String),
    /// Make this object's dependents forget it.
    Orphan(String),
}

/// Kinds that the manager watches anyway, and whose events feed the graph.
const WATCHED: [(&str, &str); 11] = [
    ("", "pods"),
    ("", "nodes"),
    ("", "services"),
    ("", "endpoints"),
    ("", "namespaces"),
    ("", "serviceaccounts"),
    ("", "resourcequotas"),
    ("apps", "replicasets"),
    ("apps", "deployments"),
    ("discovery.k8s.io", "endpointslices"),
    ("policy", "poddisruptionbudgets"),
];

/// Events come and go by the thousand, own nothing and are owned by nobody.
const IGNORED: &str = "events";

pub fn enqueue(queue: &WorkQueue<Task>, work: Work) {
    for uid in work.check {
        queue.add(Task::Check(uid));
    }
    for uid in work.orphan {
        queue.add(Task::Orphan(uid));
    }
}

/// Kinds whose objects are kinds, or make more of them: when they change, discovery does.
const MAKERS: [&str; 2] = ["customresourcedefinitions", "apiservices"];

/// A watch of a kind that nobody else watches. It ends when this is dropped.
pub struct Watched {
    pub informer: Informer<DynamicObject>,
    forwarding: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

/// The watched kinds, by group and plural.
pub type WatchedKinds = BTreeMap<(String, String), Watched>;

/// Starts a watch for every kind that discovery lists and nobody watches yet, and ends those of
/// kinds that are not served any more. `changed` is told when kinds may have come or gone. Gives
/// the work on objects whose owners can be asked for only now.
pub async fn watch_others(
    context: &Context,
    watched: &mut WatchedKinds,
    events: &mpsc::Sender<Change<DynamicObject>>,
    changed: &Arc<Notify>,
) -> Result<Work, Error> {
    let found = context.client.discover().await?;
    for (group_version, error) in &found.failed {
        tracing::debug!(group_version, %error, "a group cannot be discovered");
    }
    let mut served = BTreeSet::new();
    for resource in &found.resources {
        let id = (resource.group.clone(), resource.plural.clone());
        let elsewhere = WATCHED.contains(&(id.0.as_str(), id.1.as_str()));
        let watchable = resource.supports("list") && resource.supports("watch");
        if elsewhere || !watchable || resource.plural == IGNORED {
            continue;
        }
        served.insert(id.clone());
        watched.entry(id).or_insert_with(|| watch(context, resource, events.clone(), changed.clone()));
    }
    // A group that did not answer is not gone.
    let away: BTreeSet<&str> =
        found.failed.iter().map(|(gv, _)| gv.split('/').next().unwrap_or("")).collect();
    watched.retain(|id, _| served.contains(id) || away.contains(id.0.as_str()));
    let new: Vec<ApiResource> = {
        let mut known = context.resources.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = std::mem::take(&mut *known);
        let is_known =
            |new: &ApiResource| before.iter().any(|old| (&old.group, &old.kind) == (&new.group, &new.kind));
        let new = found.resources.iter().filter(|resource| !is_known(resource)).cloned().collect();
        known.extend(found.resources);
        known.extend(before.into_iter().filter(|resource| away.contains(resource.group.as_str())));
        new
    };
    let is_new = |owner: &Owner| {
        new.iter()
            .any(|kind| (kind.group.as_str(), &kind.kind) == (group_of(&owner.api_version), &owner.kind))
    };
    Ok(lock(&context.graph).without_owner(is_new))
}

fn watch(
    context: &Context,
    resource: &ApiResource,
    events: mpsc::Sender<Change<DynamicObject>>,
    changed: Arc<Notify>,
) -> Watched {
    let informer = Informer::start_dynamic(&context.client, resource, Query::default());
    let mut changes = informer.subscribe();
    let makes_kinds = MAKERS.contains(&resource.plural.as_str());
    let forwarding = tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            if events.send(change).await.is_err() {
                return;
            }
            if makes_kinds {
                changed.notify_one();
            }
        }
    });
    Watched { informer, forwarding: forwarding.abort_handle() }
}

pub fn identity(api_version: &str, kind: &str, object: &ObjectMeta) -> Identity {
    Identity {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: meta::namespace(object).to_owned(),
        name: meta::name(object).to_owned(),
        uid: meta::uid(object).to_owned(),
    }
}

pub struct Garbage {
    pub queue: WorkQueue<Task>,
}

impl Reconcile for Garbage {
    type Key = Task;
    const NAME: &'static str = "garbage";

    async fn reconcile(&self, context: &Context, task: &Task) -> Result<Again, Error> {
        match task {
            Task::Check(uid) => self.check(context, uid).await?,
            Task::Orphan(uid) => self.orphan(context, uid).await?,
        }
        Ok(None)
    }
}

impl Garbage {
    async fn check(&self, context: &Context, uid: &str) -> Result<(), Error> {
        let Some(node) = worth_reading(context, uid) else {
            return Ok(());
        };
        let Some((resource, live)) = self.read(context, &node.identity).await? else {
            return Ok(());
        };
        let mut states = BTreeMap::new();
        for owner in crate::heart::gc::owners(&live.metadata) {
            if let Some(state) = owner_state(context, &node.identity.namespace, &owner).await? {
                states.insert(owner.uid, state);
            }
        }
        let verdict = judge(&live.metadata, &states, &lock(&context.graph));
        let Identity { namespace, name, .. } = &node.identity;
        let patch = match verdict {
            Verdict::Keep => return Ok(()),
            Verdict::WaitFor(dependents) => {
                for dependent in dependents {
                    if !lock(&context.graph).waits(&dependent) {
                        self.queue.add(Task::Check(dependent));
                    }
                }
                return Ok(());
            }
            Verdict::Delete { policy, unblock } => {
                if unblock {
                    let mut owners = live.metadata.owner_references.clone().unwrap_or_default();
                    for owner in &mut owners {
                        owner.block_owner_deletion = Some(false);
                    }
                    let patch = owners_patch(&live.metadata, &owners);
                    context.client.patch_dynamic(&resource, namespace, name, &patch, None).await?;
                }
                tracing::info!(kind = node.identity.kind, namespace, name, policy, "has no owner left");
                let options = delete_options(uid, policy);
                let deleted = context.client.delete_dynamic(&resource, namespace, name, &options).await;
                return ignore_missing(deleted);
            }
            Verdict::DropOwners(dropped) => {
                owners_patch(&live.metadata, &without_owners(&live.metadata, &dropped))
            }
            Verdict::RemoveForeground => finalizers_patch(&live.metadata, FOREGROUND),
        };
        let patched = context.client.patch_dynamic(&resource, namespace, name, &patch, None).await;
        ignore_missing(patched.map(drop))
    }

    async fn orphan(&self, context: &Context, uid: &str) -> Result<(), Error> {
        let (node, dependents) = {
            let graph = lock(&context.graph);
            let dependents: Vec<GraphNode> = graph.dependents(uid).cloned().collect();
            (graph.get(uid).cloned(), dependents)
        };
        let Some(node) = node else {
            return Ok(());
        };
        for dependent in dependents {
            let Some((resource, live)) = self.read(context, &dependent.identity).await? else {
                continue;
            };
            let left = without_owners(&live.metadata, &BTreeSet::from([uid.to_owned()]));
            let patch = owners_patch(&live.metadata, &left);
            let Identity { namespace, name, .. } = &dependent.identity;
            let patched = context.client.patch_dynamic(&resource, namespace, name, &patch, None).await;
            ignore_missing(patched.map(drop))?;
        }
        let Some((resource, live)) = self.read(context, &node.identity).await? else {
            return Ok(());
        };
        if !has_finalizer(&live.metadata, ORPHAN) {
            return Ok(());
        }
        let patch = finalizers_patch(&live.metadata, ORPHAN);
        let Identity { namespace, name, .. } = &node.identity;
        let patched = context.client.patch_dynamic(&resource, namespace, name, &patch, None).await;
        ignore_missing(patched.map(drop))
    }

    /// The object as it is now. If it is gone, or another one has its name, the graph learns
    /// it here, before the watch tells.
    async fn read(
        &self,
        context: &Context,
        identity: &Identity,
    ) -> Result<Option<(ApiResource, DynamicObject)>, Error> {
        let Some(resource) = resource_of(context, &identity.api_version, &identity.kind) else {
            return Ok(None);
        };
        match context.client.get_dynamic(&resource, &identity.namespace, &identity.name).await {
            Ok(live) if meta::uid(&live.metadata) == identity.uid => return Ok(Some((resource, live))),
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        let work = lock(&context.graph).handle_gone(&identity.uid);
        enqueue(&self.queue, work);
        Ok(None)
    }
}

/// Only what may have to go is read: most objects have owners that the graph holds.
fn worth_reading(context: &Context, uid: &str) -> Option<GraphNode> {
    let graph = lock(&context.graph);
    let node = graph.get(uid)?;
    let waits = node.foreground;
    let held = |owner: &Owner| graph.get(&owner.uid).is_some() && !graph.waits(&owner.uid);
    let orphaned = !node.going && !node.owners.is_empty() && !node.owners.iter().all(held);
    (waits || orphaned).then(|| node.clone())
}

/// `None` if nobody can say: the owner's kind is not served here.
async fn owner_state(context: &Context, namespace: &str, owner: &Owner) -> Result<Option<OwnerState>, Error> {
    {
        let graph = lock(&context.graph);
        if let Some(node) = graph.get(&owner.uid) {
            return Ok(Some(if node.foreground { OwnerState::Waiting } else { OwnerState::Solid }));
        }
    }
    let Some(resource) = resource_of(context, &owner.api_version, &owner.kind) else {
        return Ok(None);
    };
    let namespace = if resource.namespaced { namespace } else { "" };
    match context.client.get_dynamic(&resource, namespace, &owner.name).await {
        Err(error) if error.is_not_found() => Ok(Some(OwnerState::Absent)),
        Err(error) => Err(error),
        Ok(live) if meta::uid(&live.metadata) != owner.uid => Ok(Some(OwnerState::Absent)),
        Ok(live) => {
            let going = live.metadata.deletion_timestamp.is_some();
            let waiting = going && has_finalizer(&live.metadata, FOREGROUND);
            Ok(Some(if waiting { OwnerState::Waiting } else { OwnerState::Solid }))
        }
    }
}

/// By group and kind; of several versions the named one if it is served.
fn resource_of(context: &Context, api_version: &str, kind: &str) -> Option<ApiResource> {
    let group = group_of(api_version);
    let resources = context.resources.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    let candidates = || resources.iter().filter(|resource| resource.group == group && resource.kind == kind);
    let exact = candidates().find(|resource| resource.api_version() == api_version);
    exact.or_else(|| candidates().next()).cloned()
}

fn finalizers_patch(live: &ObjectMeta, finalizer: &str) -> Patch {
    Patch::Merge(json!({ "metadata": {
        "uid": live.uid,
        "resourceVersion": live.resource_version,
        "finalizers": or_unset(&without_finalizer(live, finalizer)),
    }}))
}
