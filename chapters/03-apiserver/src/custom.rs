//! The loop behind CustomResourceDefinitions: it says in their status whether their names are
//! free and that they are served, and empties those that are to go (upstream:
//! `apiextensions-apiserver/pkg/controller/{status,establish,finalizer}`).
//!
//! Several servers may run this loop on one store: each decision is a function of what the store
//! has, and whoever is second finds it made. What is served follows from the status alone
//! (`caches`), so all of them serve the same.

use crate::app::App;
use crate::caches::KindCache;
use crate::heart::admission::Operation;
use crate::heart::custom::{self, Definition, Names, Taken};
use crate::heart::delete::DeleteOptions;
use crate::heart::keys;
use crate::heart::kind::Kind;
use crate::heart::meta;
use crate::heart::status::{ApiError, Reason};
use crate::heart::stored::Stored;
use crate::heart::write;
use crate::writing::{Change, Target, Writing};
use futures_util::future::select_all;
use jiff::Timestamp;
use objects::resources;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// After a failure, and when somebody else's finalizer holds an object back.
const RETRY: Duration = Duration::from_secs(1);

/// Keep the status of every definition right, for ever.
pub async fn run(app: Arc<App>) {
    let Some(kind) = Kind::named("apiextensions.k8s.io", "v1", "CustomResourceDefinition") else { return };
    let Some(cache) = app.caches.of(kind.resource) else { return };
    app.caches.wait_synced().await;
    let mut changed = cache.changed.subscribe();
    loop {
        // Seen before looking: what changes while we look is looked at again.
        changed.borrow_and_update();
        let (mut waking, retry) = match round(&app, &kind, &cache).await {
            Ok(emptying) => (emptying, None),
            Err(error) => {
                tracing::warn!(%error, "a definition could not be settled");
                (Vec::new(), Some(RETRY))
            }
        };
        waking.push(changed.clone());
        let any = select_all(waking.iter_mut().map(|one| Box::pin(one.changed())));
        match retry {
            None => drop(any.await),
            Some(delay) => drop(tokio::time::timeout(delay, any).await),
        }
    }
}

/// Look at every definition once. Gives what to wait for beside the definitions themselves: the
/// objects of those that are being emptied.
async fn round(app: &App, kind: &Kind, cache: &KindCache) -> Result<Vec<watch::Receiver<i64>>, ApiError> {
    let mut emptying = Vec::new();
    let names: Vec<String> = cache.read(|cache| cache.list("").map(|stored| stored.key.clone()).collect());
    for key in names {
        // What was settled just now counts for the next one.
        let all: Vec<Arc<Stored>> = cache.read(|cache| cache.list("").cloned().collect());
        let Some(stored) = all.iter().find(|stored| stored.key == key) else { continue };
        let crd = stored.value();
        let target = Target { kind, namespace: None, name: meta::name(&crd) };
        if meta::is_deleting(&crd) && meta::finalizers(&crd).iter().any(|f| f == custom::CLEANUP) {
            emptying.extend(empty(app, target, &crd).await?);
            continue;
        }
        let taken = taken(&all, &crd);
        if custom::settle(&crd, &taken, Timestamp::now()) == crd {
            continue;
        }
        app.settle(target, |old| custom::settle(old, &taken, Timestamp::now())).await?;
    }
    Ok(emptying)
}

fn without_version(mut crd: Value) -> Value {
    meta::map_at(&mut crd, "metadata").shift_remove("resourceVersion");
    crd
}

/// The names of this definition's group that others have.
fn taken(all: &[Arc<Stored>], crd: &Value) -> Taken {
    let group = meta::text(crd, &["spec", "group"]);
    let mut taken = Taken::default();
    for resource in resources::all().iter().filter(|resource| resource.group == group) {
        taken.add(&Names {
            plural: resource.plural.into(),
            singular: resource.singular.into(),
            kind: resource.kind.into(),
            list_kind: format!("{}List", resource.kind),
            short_names: resource.short_names.iter().map(|name| name.to_string()).collect(),
            categories: Vec::new(),
        });
    }
    for other in all.iter().map(|stored| stored.value()) {
        if meta::text(&other, &["spec", "group"]) == group && meta::name(&other) != meta::name(crd) {
            taken.add(&Names::parse(&other["status"]["acceptedNames"]));
        }
    }
    taken
}

/// Delete every object of a definition, then let the definition go. Gives what to wait for while
/// objects are still there.
async fn empty(app: &App, target: Target<'_>, crd: &Value) -> Result<Option<watch::Receiver<i64>>, ApiError> {
    app.caches.wait_for(app.store.revision().await?).await?;
    let stored = Arc::new(Definition::parse(crd)).stored();
    let instances = stored.as_ref().and_then(|kind| app.caches.of(kind.resource));
    if let (Some(kind), Some(instances)) = (stored, instances) {
        let changed = instances.changed.subscribe();
        let objects: Vec<Arc<Stored>> = instances.read(|cache| cache.list("").cloned().collect());
        for object in &objects {
            let Some((namespace, name)) = keys::split_key(kind.resource, &object.key) else { continue };
            let deleting = deleting(&kind, namespace, name);
            match app.delete(&deleting, &DeleteOptions::default(), &mut Vec::new()).await {
                Err(error) if error.reason == Reason::NotFound => {}
                other => drop(other?),
            }
        }
        if !objects.is_empty() {
            return Ok(Some(changed));
        }
    }
    let emptied = app.change(target, false, |old, _| {
        let mut new = without_version(old.clone());
        let mut finalizers = meta::finalizers(old);
        finalizers.retain(|finalizer| finalizer != custom::CLEANUP);
        meta::set_finalizers(&mut new, &finalizers);
        let (reason, why) = ("InstanceDeletionCompleted", "removed all instances");
        custom::set_condition(&mut new, "Terminating", false, reason, why, Timestamp::now());
        Ok(match write::is_finished(target.kind.resource, &new) {
            true => Change::Remove,
            false => Change::Put(new),
        })
    });
    match emptied.await {
        Err(error) if error.reason == Reason::NotFound => Ok(None),
        other => other.map(|_| None),
    }
}

fn deleting(kind: &Kind, namespace: Option<&str>, name: &str) -> Writing {
    let mut writing = Writing::own(Operation::Delete, kind, namespace, name);
    writing.attributes.options = DeleteOptions::default().to_value();
    writing
}

impl App {
    /// Whether this kind's definition is on its way out: then nothing new is made of it.
    pub fn is_going(&self, kind: &Kind) -> bool {
        let Some(own) = &kind.custom else { return false };
        let crd = Kind::named("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let stored = crd
            .and_then(|crd| self.cached(Target { kind: &crd, namespace: None, name: &own.definition.name }));
        stored.is_some_and(|stored| meta::is_deleting(&stored.value()))
    }
}
