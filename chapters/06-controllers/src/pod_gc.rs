//! Carries out what `heart::pod_gc` plans.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use informer::Error;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::meta;

use crate::context::{Context, lock};
use crate::driver::{Again, Reconcile};
use crate::endpoints::ignore_missing;
use crate::evictions::disrupt;
use crate::heart::pod_gc::{PodCollector, Reason};
use crate::heart::pods::{has_ended, node_name};
use crate::owned::delete_options;

/// As upstream's.
const PERIOD: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct PodGc(pub Mutex<PodCollector>);

impl Reconcile for PodGc {
    type Key = ();
    const NAME: &'static str = "pod-gc";

    async fn reconcile(&self, context: &Context, _: &()) -> Result<Again, Error> {
        let nodes = context.caches.nodes.list();
        let names: BTreeSet<String> =
            nodes.iter().map(|node| meta::name(&node.metadata).to_owned()).collect();
        let pods = context.caches.pods.list();
        let doomed = lock(&self.0).plan(&pods, &names, Timestamp::now());
        for (pod, reason) in doomed {
            if reason == Reason::NodeIsGone {
                match context.client.get::<Node>("", node_name(&pod)).await {
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                    Ok(_) => continue,
                }
                let message = "PodGC: node no longer exists";
                let phase = (!has_ended(&pod)).then_some("Failed");
                disrupt(context, &pod, "DeletionByPodGC", message, phase).await?;
            }
            let mut options = delete_options(meta::uid(&pod.metadata), "Background");
            options.grace_period_seconds = Some(0);
            let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
            ignore_missing(context.client.delete::<Pod>(namespace, name, &options).await)?;
        }
        Ok(Some(PERIOD))
    }
}
