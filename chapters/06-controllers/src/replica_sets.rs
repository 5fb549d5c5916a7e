//! Carries out what `heart::replica_set` plans.

use std::sync::Arc;

use futures_util::future::join_all;
use informer::{Error, EventRecorder, object_reference};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use objects::meta;

use crate::context::{BY_CONTROLLER, Context, lock, orphans_of};
use crate::driver::{Again, Reconcile};
use crate::heart::replica_set::{Failure, Observed, Plan, new_pod, plan, slow_start, status};
use crate::owned::{adopt, delete_options, namespace_is_terminating, release, replica_set_may_adopt};

pub struct ReplicaSets {
    pub recorder: EventRecorder,
}

impl Reconcile for ReplicaSets {
    type Key = String;
    const NAME: &'static str = "replicaset";

    async fn reconcile(&self, context: &Context, key: &String) -> Result<Again, Error> {
        let (namespace, name) = meta::split_key(key);
        let Some(set) = context.caches.replica_sets.get(namespace, name) else {
            return Ok(None);
        };
        let uid = meta::uid(&set.metadata).to_owned();
        let pods = &context.caches.pods;
        let mut candidates = pods.by_index(BY_CONTROLLER, &uid);
        candidates.extend(pods.by_index(BY_CONTROLLER, &orphans_of(namespace)));
        let siblings = self.siblings(context, &set);
        let now = Timestamp::now();
        let may_act = lock(&context.expectations).satisfied(&uid, now);
        let plan =
            plan(&Observed { replica_set: &set, pods: &candidates, siblings: &siblings, may_act, now });

        self.claim(context, &set, &plan).await?;
        let outcome = self.fill(context, &set, &plan).await;
        let failure = outcome.as_ref().err().map(|(failure, _)| failure);
        let (status, again) = status(&set, &plan.mine, failure, now);
        if set.status.as_ref() != Some(&status) {
            let updated = ReplicaSet { status: Some(status), ..ReplicaSet::clone(&set) };
            match context.client.replace_status(&updated).await {
                Ok(written) => context.wrote(Self::NAME, key, "ReplicaSet", &written),
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        match outcome {
            Ok(()) => Ok(again),
            Err((_, error)) => Err(error),
        }
    }
}

impl ReplicaSets {
    /// The pods of all sets with the same owner.
    fn siblings(&self, context: &Context, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let pods_of =
            |set: &ReplicaSet| context.caches.pods.by_index(BY_CONTROLLER, meta::uid(&set.metadata));
        match meta::controller_of(&set.metadata) {
            None => pods_of(set),
            Some(owner) => {
                let sets = context.caches.replica_sets.by_index(BY_CONTROLLER, &owner.uid);
                sets.iter().flat_map(|set| pods_of(set)).collect()
            }
        }
    }

    async fn claim(&self, context: &Context, set: &ReplicaSet, plan: &Plan) -> Result<(), Error> {
        let client = &context.client;
        if !plan.adopt.is_empty() && !replica_set_may_adopt(client, set).await? {
            return Ok(());
        }
        let adopting = plan.adopt.iter().map(|pod| (pod, adopt(meta::owner_reference(set), &pod.metadata)));
        let releasing =
            plan.release.iter().map(|pod| (pod, release(meta::uid(&set.metadata), &pod.metadata)));
        for (pod, patch) in adopting.chain(releasing) {
            let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
            match client.patch::<Pod>(namespace, name, &patch, None).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Creates what is missing, deletes what is too much.
    async fn fill(&self, context: &Context, set: &ReplicaSet, plan: &Plan) -> Result<(), (Failure, Error)> {
        if plan.create == 0 && plan.delete.is_empty() {
            return Ok(());
        }
        let uid = meta::uid(&set.metadata);
        let going = plan.delete.iter().map(|pod| meta::uid(&pod.metadata).to_owned());
        lock(&context.expectations).expect(uid, plan.create, going, Timestamp::now());
        self.create(context, set, plan.create).await?;
        self.delete(context, set, plan).await
    }

    async fn create(
        &self,
        context: &Context,
        set: &ReplicaSet,
        count: usize,
    ) -> Result<(), (Failure, Error)> {
        let about = object_reference(set);
        let uid = meta::uid(&set.metadata);
        let pod = new_pod(set);
        let mut not_tried = count;
        for batch in slow_start(count) {
            not_tried -= batch;
            let requests = (0..batch).map(|_| context.client.create(&pod));
            let mut failure = None;
            for result in join_all(requests).await {
                match result {
                    Ok(created) => {
                        let message = format!("Created pod: {}", meta::name(&created.metadata));
                        self.recorder.event(&about, "Normal", "SuccessfulCreate", &message);
                    }
                    Err(error) => {
                        lock(&context.expectations).creation_seen(uid);
                        failure = Some(error);
                    }
                }
            }
            if let Some(error) = failure {
                for _ in 0..not_tried {
                    lock(&context.expectations).creation_seen(uid);
                }
                if namespace_is_terminating(&error) {
                    return Ok(());
                }
                let message = format!("Error creating: {error}");
                self.recorder.event(&about, "Warning", "FailedCreate", &message);
                return Err((Failure::Create(error.to_string()), error));
            }
        }
        Ok(())
    }

    async fn delete(&self, context: &Context, set: &ReplicaSet, plan: &Plan) -> Result<(), (Failure, Error)> {
        let about = object_reference(set);
        let requests = plan.delete.iter().map(|pod| async move {
            let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
            let options = delete_options(meta::uid(&pod.metadata), "Background");
            (pod, context.client.delete::<Pod>(namespace, name, &options).await)
        });
        let mut failed = None;
        for (pod, result) in join_all(requests).await {
            let name = meta::name(&pod.metadata);
            match result {
                Ok(()) => {
                    let message = format!("Deleted pod: {name}");
                    self.recorder.event(&about, "Normal", "SuccessfulDelete", &message);
                }
                Err(error) => {
                    lock(&context.expectations)
                        .deletion_seen(meta::uid(&set.metadata), meta::uid(&pod.metadata));
                    if !error.is_not_found() {
                        let message = format!("Error deleting: {error}");
                        self.recorder.event(&about, "Warning", "FailedDelete", &message);
                        failed = Some((Failure::Delete(error.to_string()), error));
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
