//! Keeps the status of disruption budgets: what `heart::disruption` counts.

use std::sync::Arc;

use informer::{Error, EventRecorder, object_reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use objects::meta;

use crate::context::{Context, tell};
use crate::driver::{Again, Reconcile};
use crate::heart::disruption::{Wanted, covers, status};
use crate::heart::pods::Note;
use crate::owned::namespace_is_terminating;

pub struct Budgets {
    pub recorder: EventRecorder,
}

impl Reconcile for Budgets {
    type Key = String;
    const NAME: &'static str = "disruption";

    async fn reconcile(&self, context: &Context, key: &String) -> Result<Again, Error> {
        let (namespace, name) = meta::split_key(key);
        let Some(budget) = context.caches.budgets.get(namespace, name) else {
            return Ok(None);
        };
        let mut pods = context.caches.pods.list_in(namespace);
        pods.retain(|pod| covers(&budget, pod));
        if pods.is_empty() {
            let note = Note::normal("NoPods", "No matching pods found");
            tell(&self.recorder, &object_reference(&*budget), &note);
        }
        let (status, again) = status(&budget, &pods, &wanted(context, &pods), Timestamp::now());
        if budget.status.as_ref() != Some(&status) {
            let updated = PodDisruptionBudget { status: Some(status), ..PodDisruptionBudget::clone(&budget) };
            match context.client.replace_status(&updated).await {
                Ok(written) => context.wrote(Self::NAME, key, "PodDisruptionBudget", &written),
                Err(error) if error.is_not_found() || namespace_is_terminating(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(again.and_then(|again| again.try_into().ok()))
    }
}

/// How many pods the owners of these want: a ReplicaSet says it, or the Deployment above it.
fn wanted(context: &Context, pods: &[Arc<Pod>]) -> Wanted {
    let caches = &context.caches;
    let mut wanted = Wanted::new();
    for pod in pods {
        let namespace = meta::namespace(&pod.metadata);
        let owner = meta::controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet");
        let Some(set) = owner.and_then(|owner| caches.replica_sets.get(namespace, &owner.name)) else {
            continue;
        };
        let above = meta::controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment");
        let deployment = above.and_then(|owner| caches.deployments.get(namespace, &owner.name));
        let (uid, replicas) = match &deployment {
            Some(deployment) => {
                (&deployment.metadata.uid, deployment.spec.as_ref().and_then(|spec| spec.replicas))
            }
            None => (&set.metadata.uid, set.spec.as_ref().and_then(|spec| spec.replicas)),
        };
        wanted.insert(uid.clone().unwrap_or_default(), replicas.unwrap_or(1));
    }
    wanted
}

/// The budgets that cover this pod.
pub fn budgets_of(context: &Context, pod: &Pod) -> Vec<String> {
    let budgets = context.caches.budgets.list_in(meta::namespace(&pod.metadata));
    let covering = budgets.iter().filter(|budget| covers(budget, pod));
    covering.map(|budget| meta::key(&budget.metadata)).collect()
}
