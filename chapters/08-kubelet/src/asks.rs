//! The loop's side of probes: one question to one run, and the probes of the runs there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::ctx::Ctx;
use crate::heart::names;
use crate::heart::probe::{ContainerProbes, ProbeKind};
use crate::heart::types::{RunState, RuntimePod, Uid, all_containers, find_container};
use crate::kubelet::Event;
use crate::prober;

/// By container name: the run's id, and its probes.
pub type Probes = BTreeMap<String, (String, ContainerProbes)>;

/// One question to one run of a container.
pub struct Ask {
    pub uid: Uid,
    pub container: String,
    pub id: String,
    pub kind: ProbeKind,
}

impl Ask {
    pub async fn run(self, ctx: Arc<Ctx>, pod: Arc<api::Pod>, events: mpsc::Sender<Event>) {
        let view = ctx.registry.get(&self.uid).unwrap_or_default();
        let sandbox = view.runtime.ready_sandbox();
        let ip = sandbox.and_then(|s| s.ips.first()).unwrap_or(&ctx.machine.internal_ip).clone();
        let container = find_container(&pod, &self.container);
        let answer = match container.and_then(|c| Some((c, self.kind.of(c)?))) {
            Some((container, probe)) => prober::ask(&ctx, container, probe, &self.id, &ip).await,
            None => Ok(()),
        };
        if let Err(cause) = &answer {
            debug!(pod = names::full_name(&pod), container = self.container, cause, "unhealthy");
        }
        let Ask { uid, container, id, kind } = self;
        if events.send(Event::Probed { uid, container, id, kind, answer }).await.is_err() {
            warn!("the loop has ended");
        }
    }
}

/// Gives every run that has none its probes, and drops those of runs that have ended.
pub fn renew(probes: &mut Probes, pod: &api::Pod, runtime: &RuntimePod) {
    probes.retain(|name, (id, _)| runtime.running().any(|c| c.name == *name && c.id == *id));
    for (_, container) in all_containers(pod) {
        let Some(run) = runtime.newest(&container.name).filter(|c| c.state == RunState::Running) else {
            continue;
        };
        if probes.contains_key(&container.name) {
            continue;
        }
        let new = prober::probes(pod, container, run);
        if !new.is_empty() {
            probes.insert(container.name.clone(), (run.id.clone(), new));
        }
    }
}
