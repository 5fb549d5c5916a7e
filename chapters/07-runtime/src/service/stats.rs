//! What containers use, as their control groups count it.

use std::fs;
use std::path::PathBuf;

use tonic::Status;

use super::sandboxes::has_labels;
use crate::cri::*;
use crate::heart::cgroups::Hierarchies;
use crate::server::{Runtime, not_found};
use crate::state::Container as Known;
use crate::sys::now_ns;

impl Runtime {
    pub async fn container_stats(
        &self,
        request: ContainerStatsRequest,
    ) -> Result<ContainerStatsResponse, Status> {
        let state = self.state();
        let container = state.container(&request.container_id);
        let container = container.ok_or_else(|| not_found("container", &request.container_id))?;
        Ok(ContainerStatsResponse { stats: Some(self.stats_of(container)) })
    }

    pub async fn list_container_stats(
        &self,
        request: ListContainerStatsRequest,
    ) -> Result<ListContainerStatsResponse, Status> {
        let filter = request.filter.unwrap_or_default();
        let state = self.state();
        let found = state.containers.values().filter(|container| {
            container.pid().is_some()
                && container.record.id.starts_with(&filter.id)
                && container.record.sandbox.starts_with(&filter.pod_sandbox_id)
                && has_labels(&container.record.config.labels, &filter.label_selector)
        });
        Ok(ListContainerStatsResponse { stats: found.map(|container| self.stats_of(container)).collect() })
    }

    pub async fn pod_sandbox_stats(
        &self,
        _: PodSandboxStatsRequest,
    ) -> Result<PodSandboxStatsResponse, Status> {
        Err(Status::unimplemented("figures are kept by container: ask ContainerStats"))
    }

    pub async fn list_pod_sandbox_stats(
        &self,
        _: ListPodSandboxStatsRequest,
    ) -> Result<ListPodSandboxStatsResponse, Status> {
        Err(Status::unimplemented("figures are kept by container: ask ListContainerStats"))
    }

    fn stats_of(&self, container: &Known) -> ContainerStats {
        let record = &container.record;
        let timestamp = now_ns();
        let value = |value: u64| Some(UInt64Value { value });
        let mut stats = ContainerStats {
            attributes: Some(ContainerAttributes {
                id: record.id.clone(),
                metadata: record.config.metadata.clone(),
                labels: record.config.labels.clone(),
                annotations: record.config.annotations.clone(),
            }),
            ..ContainerStats::default()
        };
        if let Some(used_ns) = self.cpu_ns(container) {
            let usage_core_nano_seconds = value(used_ns);
            stats.cpu = Some(CpuUsage { timestamp, usage_core_nano_seconds, usage_nano_cores: None });
        }
        if let Some((used, idle_cache)) = self.memory(container) {
            stats.memory = Some(MemoryUsage {
                timestamp,
                usage_bytes: value(used),
                working_set_bytes: value(used.saturating_sub(idle_cache)),
                ..MemoryUsage::default()
            });
        }
        stats
    }

    fn cpu_ns(&self, container: &Known) -> Option<u64> {
        match &self.trees {
            Hierarchies::V2 { .. } => {
                let text = fs::read_to_string(self.group_dir(container, "")?.join("cpu.stat")).ok()?;
                Some(field(&text, "usage_usec")? * 1000)
            }
            _ => number(self.group_dir(container, "cpuacct")?.join("cpuacct.usage")),
        }
    }

    /// Bytes in use, and those of them that the kernel could take back.
    fn memory(&self, container: &Known) -> Option<(u64, u64)> {
        let (usage, cache) = match &self.trees {
            Hierarchies::V2 { .. } => ("memory.current", "inactive_file"),
            _ => ("memory.usage_in_bytes", "total_inactive_file"),
        };
        let dir = self.group_dir(container, "memory")?;
        let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
        Some((number(dir.join(usage))?, field(&stat, cache).unwrap_or(0)))
    }

    fn group_dir(&self, container: &Known, controller: &str) -> Option<PathBuf> {
        let mut dirs = container.record.spec.cgroup.dirs.iter();
        match &self.trees {
            Hierarchies::V1 { mounts } => {
                let mount = mounts.get(controller)?;
                dirs.find(|dir| dir.starts_with(mount)).cloned()
            }
            _ => dirs.next().cloned(),
        }
    }
}

fn number(file: PathBuf) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number behind a name, in a file with one pair a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
