//! What a pod's containers need before they are made: objects that it refers to, volumes, files.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;
use tracing::warn;

use crate::disk::{make_dir, said};
use crate::heart::env::{Sources, references};
use crate::heart::types::{Timestamp, is_host_network, spec};
use crate::heart::volumes::{VolumePlan, plan};
use crate::heart::{dns, names, words};
use crate::pod::{Job, SyncError};

/// A pod's volumes, planned, and everything that its containers' configuration is made from.
pub type Prepared = (Sources, BTreeMap<String, VolumePlan>);

impl Job<'_> {
    /// Fetches what the pod refers to, and brings its directories and volumes into being.
    pub async fn prepare(&mut self, pod: &Arc<api::Pod>) -> Result<Prepared, SyncError> {
        let dir = self.ctx.dirs.pod(&self.order.uid);
        make_dir(&dir)
            .map_err(|e| SyncError { reason: "FailedCreatePodDirectory", message: words::system(&e) })?;
        self.volumes(pod).await
    }

    pub async fn volumes(&mut self, pod: &Arc<api::Pod>) -> Result<Prepared, SyncError> {
        let sources = self.sources(pod).await;
        let failed = |message: String| SyncError { reason: "FailedMount", message };
        let plans = plan(pod, &sources).map_err(|e| failed(e.to_string()))?;
        let group = spec(pod).security_context.as_ref().and_then(|s| s.fs_group);
        let group = group.and_then(|gid| u32::try_from(gid).ok());
        self.ctx
            .dirs
            .set_up(&self.order.uid, &plans, group, &mut self.memory.volumes)
            .map_err(|e| failed(said(&e)))?;
        Ok((sources, plans))
    }

    async fn sources(&mut self, pod: &Arc<api::Pod>) -> Sources {
        let wanted = references(pod);
        let found = self.ctx.refs.find(pod, &wanted).await;
        let now = Timestamp::now();
        for (audience, seconds) in &wanted.tokens {
            if self.memory.tokens.get(audience).is_none_or(|t| t.refresh_at <= now) {
                let token = self.ctx.refs.token(pod, audience, *seconds, now).await;
                let old = self.memory.tokens.remove(audience).and_then(|t| t.text);
                self.memory.tokens.insert(audience.clone(), token.or(old, now));
            }
        }
        let tokens = self.memory.tokens.iter();
        let mut services = self.ctx.services.list_in(names::namespace(pod));
        if names::namespace(pod) != "default" {
            services.extend(self.ctx.services.get("default", "kubernetes"));
        }
        let ips = self.record.ready_sandbox().map(|s| s.ips.clone()).unwrap_or_default();
        Sources {
            config_maps: found.config_maps,
            secrets: found.secrets,
            services,
            tokens: tokens.filter_map(|(a, t)| Some((a.clone(), t.text.clone()?))).collect(),
            pod_ips: if is_host_network(pod) { vec![self.ctx.machine.internal_ip.clone()] } else { ips },
            host_ip: self.ctx.machine.internal_ip.clone(),
            node_cpu_milli: i64::try_from(self.ctx.machine.cpus).unwrap_or(0) * 1000,
            node_memory: self.ctx.memory_bytes(),
        }
    }

    /// Writes the pod's `/etc/hosts`, if it is not as it should be.
    pub fn write_hosts(&self, pod: &api::Pod, ips: &[String]) {
        let path = self.ctx.dirs.hosts_file(&self.order.uid);
        let text = dns::hosts_file(pod, ips, &self.ctx.args.cluster_domain);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&text)
            && let Err(e) = std::fs::write(&path, text)
        {
            warn!(path = %path.display(), error = %e, "cannot write the hosts file");
        }
    }
}
