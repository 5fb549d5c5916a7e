//! Carries out what `heart::deployment` plans.

use std::collections::BTreeSet;
use std::sync::Arc;

use informer::{Error, EventRecorder, Patch, object_reference};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use objects::meta;
use serde_json::json;

use crate::context::{BY_CONTROLLER, Context, orphans_of, tell};
use crate::driver::{Again, Reconcile};
use crate::heart::deployment::status::{Conditions, progress_deadline};
use crate::heart::deployment::template::{REVISION, same_template};
use crate::heart::deployment::{Action, Observed, plan};
use crate::heart::pods::has_ended;
use crate::owned::{adopt, delete_options, deployment_may_adopt, namespace_is_terminating, release};

pub struct Deployments {
    pub recorder: EventRecorder,
}

impl Reconcile for Deployments {
    type Key = String;
    const NAME: &'static str = "deployment";

    async fn reconcile(&self, context: &Context, key: &String) -> Result<Again, Error> {
        let (namespace, name) = meta::split_key(key);
        let Some(deployment) = context.caches.deployments.get(namespace, name) else {
            return Ok(None);
        };
        let mut sets = context.caches.replica_sets.by_index(BY_CONTROLLER, meta::uid(&deployment.metadata));
        let with_pods = with_pods(context, &sets);
        sets.extend(context.caches.replica_sets.by_index(BY_CONTROLLER, &orphans_of(namespace)));
        let observed = Observed {
            deployment: &deployment,
            replica_sets: &sets,
            with_pods: &with_pods,
            now: Timestamp::now(),
        };
        let plan = plan(&observed);
        for action in plan.actions {
            match self.apply(context, key, &deployment, action).await {
                Ok(()) => {}
                Err(error) if namespace_is_terminating(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        for note in &plan.notes {
            tell(&self.recorder, &object_reference(&*deployment), note);
        }
        Ok(plan.look_again)
    }
}

/// The sets that still have pods which have not ended.
fn with_pods(context: &Context, sets: &[Arc<ReplicaSet>]) -> BTreeSet<String> {
    let uids = sets.iter().map(|set| meta::uid(&set.metadata));
    let alive = |uid: &&str| context.caches.pods.by_index(BY_CONTROLLER, uid).iter().any(|p| !has_ended(p));
    uids.filter(alive).map(str::to_owned).collect()
}

impl Deployments {
    async fn apply(
        &self,
        context: &Context,
        key: &String,
        deployment: &Deployment,
        action: Action,
    ) -> Result<(), Error> {
        let client = &context.client;
        let wrote = |set: &ReplicaSet| context.wrote(Self::NAME, key, "ReplicaSet", set);
        match action {
            Action::Adopt(set) => {
                if deployment_may_adopt(client, deployment).await? {
                    let patch = adopt(meta::owner_reference(deployment), &set.metadata);
                    wrote(&patch_set(context, &set, &patch).await?);
                }
            }
            Action::Release(set) => {
                let patch = release(meta::uid(&deployment.metadata), &set.metadata);
                wrote(&patch_set(context, &set, &patch).await?);
            }
            Action::Create(set) => wrote(&self.create(context, key, deployment, &set).await?),
            Action::Update(set) => {
                let spec = set.spec.as_ref();
                let patch = Patch::Merge(json!({
                    "metadata": { "uid": set.metadata.uid, "annotations": set.metadata.annotations },
                    "spec": {
                        "replicas": spec.and_then(|spec| spec.replicas),
                        "minReadySeconds": spec.and_then(|spec| spec.min_ready_seconds),
                    },
                }));
                wrote(&patch_set(context, &set, &patch).await?);
            }
            Action::Delete(set) => {
                let (namespace, name) = (meta::namespace(&set.metadata), meta::name(&set.metadata));
                let options = delete_options(meta::uid(&set.metadata), "Background");
                match client.delete::<ReplicaSet>(namespace, name, &options).await {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
            Action::SetRevision(revision) => {
                let patch = Patch::Merge(json!({
                    "metadata": { "annotations": { REVISION: revision.to_string() } },
                }));
                let (namespace, name) =
                    (meta::namespace(&deployment.metadata), meta::name(&deployment.metadata));
                // Beside the status: annotations that come with the spec count as a wish.
                let written: Deployment = client.patch(namespace, name, &patch, Some("status")).await?;
                context.wrote(Self::NAME, key, "Deployment", &written);
            }
            Action::Status(status) => {
                let patch = Patch::Merge(json!({ "status": status_patch(deployment, &status) }));
                let (namespace, name) =
                    (meta::namespace(&deployment.metadata), meta::name(&deployment.metadata));
                let written: Deployment = client.patch(namespace, name, &patch, Some("status")).await?;
                context.wrote(Self::NAME, key, "Deployment", &written);
            }
        }
        Ok(())
    }

    /// A name that is taken is either ours already (the cache lags), or another template's:
    /// then the count of collisions goes up, and with it the next name changes.
    async fn create(
        &self,
        context: &Context,
        key: &String,
        deployment: &Deployment,
        set: &ReplicaSet,
    ) -> Result<ReplicaSet, Error> {
        let error = match context.client.create(set).await {
            Ok(created) => return Ok(created),
            Err(error) => error,
        };
        let mut status = deployment.status.clone().unwrap_or_default();
        if error.is_already_exists() {
            let (namespace, name) = (meta::namespace(&set.metadata), meta::name(&set.metadata));
            let existing: ReplicaSet = context.client.get(namespace, name).await?;
            let template = deployment.spec.as_ref().map(|spec| &spec.template);
            if meta::is_controlled_by(&existing.metadata, &deployment.metadata)
                && template.is_some_and(|template| same_template(&existing, template))
            {
                return Ok(existing);
            }
            status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        } else if progress_deadline(deployment).is_some() && !namespace_is_terminating(&error) {
            let mut conditions = Conditions(status.conditions.take().unwrap_or_default());
            let message =
                format!("Failed to create new replica set \"{}\": {error}", meta::name(&set.metadata));
            conditions.set("Progressing", "False", "ReplicaSetCreateError", message, Timestamp::now());
            status.conditions = Some(conditions.0);
        }
        if deployment.status.as_ref() != Some(&status) {
            let updated = Deployment { status: Some(status), ..deployment.clone() };
            let written = context.client.replace_status(&updated).await?;
            context.wrote(Self::NAME, key, "Deployment", &written);
        }
        Err(error)
    }
}

/// The new status as a merge patch: a count that is no longer there must be unset.
fn status_patch(deployment: &Deployment, status: &impl serde::Serialize) -> serde_json::Value {
    let mut patch = serde_json::to_value(status).unwrap_or_default();
    let old = serde_json::to_value(&deployment.status).unwrap_or_default();
    if let (Some(patch), Some(old)) = (patch.as_object_mut(), old.as_object()) {
        for name in old.keys() {
            if !patch.contains_key(name) {
                patch.insert(name.clone(), serde_json::Value::Null);
            }
        }
    }
    patch
}

async fn patch_set(context: &Context, set: &ReplicaSet, patch: &Patch) -> Result<ReplicaSet, Error> {
    let (namespace, name) = (meta::namespace(&set.metadata), meta::name(&set.metadata));
    context.client.patch(namespace, name, patch, None).await
}
