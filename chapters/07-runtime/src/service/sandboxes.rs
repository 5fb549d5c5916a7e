//! Pod sandboxes.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, anyhow};
use tonic::Status;

use crate::cri::*;
use crate::heart::cgroups::CgroupPlan;
use crate::heart::sandbox::{Dns, hosts, resolv_conf};
use crate::network::PodName;
use crate::server::{Runtime, internal, not_found};
use crate::shim::protocol::Request;
use crate::shim_client::ShimClient;
use crate::state::{Sandbox, SandboxRecord};
use crate::sys::{now_ns, random_id};

impl Runtime {
    pub async fn run_pod_sandbox(
        &self,
        request: RunPodSandboxRequest,
    ) -> Result<RunPodSandboxResponse, Status> {
        let config = request.config.ok_or_else(|| Status::invalid_argument("config is missing"))?;
        if !request.runtime_handler.is_empty() {
            let message = format!("no runtime for {:?} is configured", request.runtime_handler);
            return Err(Status::invalid_argument(message));
        }
        let metadata =
            config.metadata.clone().ok_or_else(|| Status::invalid_argument("metadata is missing"))?;
        let same = self.state().sandboxes.values().find_map(|pod| {
            (pod.record.config.metadata.as_ref() == Some(&metadata)).then(|| pod.record.id.clone())
        });
        if let Some(id) = same {
            let message = format!(
                "pod sandbox {}/{} attempt {} is reserved for {id:?}",
                metadata.namespace, metadata.name, metadata.attempt
            );
            return Err(Status::already_exists(message));
        }
        let mut record = SandboxRecord {
            id: random_id().map_err(internal)?,
            config,
            created_at: now_ns(),
            complete: false,
            stopped: false,
            pause_pid: 0,
            cgroup: CgroupPlan::default(),
            ips: Vec::new(),
            network: None,
        };
        if let Err(error) = self.make_sandbox(&mut record).await {
            self.discard(&record).await;
            return Err(internal(error));
        }
        let id = record.id.clone();
        self.state().sandboxes.insert(id.clone(), Sandbox { record, ready: true, stopping: false });
        if let Err(error) = self.follow(&id).await {
            tracing::warn!("pod sandbox {id}: {error:#}");
        }
        self.publish(&id, ContainerEventType::ContainerCreatedEvent);
        self.publish(&id, ContainerEventType::ContainerStartedEvent);
        Ok(RunPodSandboxResponse { pod_sandbox_id: id })
    }

    async fn make_sandbox(&self, record: &mut SandboxRecord) -> anyhow::Result<()> {
        let bundle = self.disk.sandbox(&record.id);
        for name in ["upper", "work", "rootfs"] {
            fs::create_dir_all(bundle.join(name))?;
        }
        self.disk.save_sandbox(record)?;
        let name = &self.args.sandbox_image;
        let image = self.store.find(name)?;
        let image = image.ok_or_else(|| anyhow!("failed to get sandbox image {name:?}: not found"))?;
        let layers = self.unpacked(&image).await?;
        let spec = self.node().pause(record, &image, layers)?;
        record.cgroup = spec.cgroup.clone();

        let shim = ShimClient::start(self.disk.socket(&record.id), &record.id).await?;
        let shm = (!record.host_ipc()).then(|| self.disk.shm(&record.id));
        let reply = shim.call(&Request::Sandbox { spec: Box::new(spec), shm }).await?;
        record.pause_pid = reply.pid.context("the shim gave no process id")?;

        if !record.host_network() {
            let list = self.network.load()?;
            let netns = format!("/proc/{}/ns/net", record.pause_pid);
            // On disk before it is done: whoever finds this half way gives the address back.
            record.network = Some((list.clone(), serde_json::Value::Null));
            self.disk.save_sandbox(record)?;
            let added = self.network.add(&list, &pod_name(record), &netns).await;
            let (result, ips) = added.context("failed to setup network for sandbox")?;
            record.ips = ips;
            record.network = Some((list, result));
        }
        self.write_pod_files(record)?;
        record.complete = true;
        self.disk.save_sandbox(record)
    }

    fn write_pod_files(&self, record: &SandboxRecord) -> anyhow::Result<()> {
        let node = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let config = &record.config;
        let dns = config.dns_config.clone().unwrap_or_default();
        let dns = Dns { servers: dns.servers, searches: dns.searches, options: dns.options };
        let (hosts_text, hostname) = if record.host_network() {
            (node("/etc/hosts"), node("/etc/hostname"))
        } else {
            let ip = record.ips.first().map(String::as_str);
            (hosts(ip, &config.hostname), format!("{}\n", config.hostname))
        };
        let bundle = self.disk.sandbox(&record.id);
        fs::write(bundle.join("hosts"), hosts_text)?;
        fs::write(bundle.join("hostname"), hostname)?;
        fs::write(bundle.join("resolv.conf"), resolv_conf(&dns, &node("/etc/resolv.conf")))?;
        Ok(())
    }

    /// Undoes whatever was done of a pod; what is not there is no error.
    pub async fn discard(&self, record: &SandboxRecord) {
        if let Err(error) = self.tear_down(record).await {
            tracing::warn!("pod sandbox {}: {error:#}", record.id);
        }
        self.delete_later(self.disk.sandbox(&record.id)).await;
    }

    /// Address back, processes gone, mounts gone.
    async fn tear_down(&self, record: &SandboxRecord) -> anyhow::Result<()> {
        if let Some((list, result)) = &record.network {
            let netns = format!("/proc/{}/ns/net", record.pause_pid);
            let netns = if std::path::Path::new(&netns).exists() { netns } else { String::new() };
            let done = self.network.del(list, &pod_name(record), &netns, result).await;
            done.context("failed to destroy network for sandbox")?;
        }
        let _ = self.shim(&record.id).call(&Request::Shutdown).await;
        crate::cgroup::remove(&record.cgroup);
        let shm = self.disk.shm(&record.id);
        let _ = nix::mount::umount2(&shm, nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&shm);
        let _ = fs::remove_file(self.disk.socket(&record.id));
        Ok(())
    }

    pub async fn stop_pod_sandbox(
        &self,
        request: StopPodSandboxRequest,
    ) -> Result<StopPodSandboxResponse, Status> {
        let found = self.state().sandbox(&request.pod_sandbox_id).map(|pod| pod.record.clone());
        // Unknown is stopped.
        let Some(mut record) = found else { return Ok(StopPodSandboxResponse {}) };
        if record.stopped {
            return Ok(StopPodSandboxResponse {});
        }
        let containers: Vec<String> =
            self.state().containers_of(&record.id).map(|container| container.record.id.clone()).collect();
        for id in containers {
            self.stop(&id, 0).await?;
        }
        if let Some(pod) = self.state().sandboxes.get_mut(&record.id) {
            pod.stopping = true;
        }
        self.tear_down(&record).await.map_err(internal)?;
        record.stopped = true;
        record.network = None;
        self.disk.save_sandbox(&record).map_err(internal)?;
        let id = record.id.clone();
        let was_ready = {
            let mut state = self.state();
            let Some(pod) = state.sandboxes.get_mut(&id) else { return Ok(StopPodSandboxResponse {}) };
            pod.record = record;
            std::mem::replace(&mut pod.ready, false)
        };
        if was_ready {
            self.publish(&id, ContainerEventType::ContainerStoppedEvent);
        }
        Ok(StopPodSandboxResponse {})
    }

    pub async fn remove_pod_sandbox(
        &self,
        request: RemovePodSandboxRequest,
    ) -> Result<RemovePodSandboxResponse, Status> {
        let found = self.state().sandbox(&request.pod_sandbox_id).map(|pod| pod.record.id.clone());
        let Some(id) = found else { return Ok(RemovePodSandboxResponse {}) };
        self.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: id.clone() }).await?;
        let containers: Vec<String> =
            self.state().containers_of(&id).map(|container| container.record.id.clone()).collect();
        for container in containers {
            self.remove_container(RemoveContainerRequest { container_id: container }).await?;
        }
        self.delete_later(self.disk.sandbox(&id)).await;
        let gone = self.state().sandboxes.remove(&id);
        // When it stopped, its last process may still have been on its way out.
        if let Some(pod) = gone {
            crate::cgroup::remove(&pod.record.cgroup);
        }
        self.publish(&id, ContainerEventType::ContainerDeletedEvent);
        Ok(RemovePodSandboxResponse {})
    }

    pub async fn pod_sandbox_status(
        &self,
        request: PodSandboxStatusRequest,
    ) -> Result<PodSandboxStatusResponse, Status> {
        let state = self.state();
        let pod = state.sandbox(&request.pod_sandbox_id);
        let pod = pod.ok_or_else(|| not_found("pod sandbox", &request.pod_sandbox_id))?;
        let mut info = BTreeMap::new();
        if request.verbose {
            let detail = serde_json::json!({
                "pid": pod.record.pause_pid,
                "cniResult": pod.record.network.as_ref().map(|(_, result)| result),
                "config": pod.record.config,
            });
            info.insert("info".into(), detail.to_string());
        }
        Ok(PodSandboxStatusResponse {
            status: Some(sandbox_status(pod)),
            info,
            containers_statuses: state.containers_of(&pod.record.id).map(super::container_status).collect(),
            timestamp: now_ns(),
        })
    }

    pub async fn list_pod_sandbox(
        &self,
        request: ListPodSandboxRequest,
    ) -> Result<ListPodSandboxResponse, Status> {
        let filter = request.filter.unwrap_or_default();
        let state = self.state();
        let items = state.sandboxes.values().filter(|pod| {
            pod.record.id.starts_with(&filter.id)
                && filter.state.as_ref().is_none_or(|wanted| wanted.state() == pod_state(pod))
                && has_labels(&pod.record.config.labels, &filter.label_selector)
        });
        let items = items.map(|pod| PodSandbox {
            id: pod.record.id.clone(),
            metadata: pod.record.config.metadata.clone(),
            state: pod_state(pod).into(),
            created_at: pod.record.created_at,
            labels: pod.record.config.labels.clone(),
            annotations: pod.record.config.annotations.clone(),
            runtime_handler: String::new(),
        });
        Ok(ListPodSandboxResponse { items: items.collect() })
    }

    /// Deletes a directory without holding anybody up: files first, the record with them.
    pub async fn delete_later(&self, dir: std::path::PathBuf) {
        let done = tokio::task::spawn_blocking(move || {
            let gone = fs::remove_dir_all(&dir);
            (dir, gone)
        });
        if let Ok((dir, Err(error))) = done.await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("removing {}: {error}", dir.display());
        }
    }
}

pub fn sandbox_status(pod: &Sandbox) -> PodSandboxStatus {
    let config = &pod.record.config;
    let mut ips = pod.record.ips.iter();
    let options =
        config.linux.as_ref().and_then(|linux| linux.security_context.as_ref()?.namespace_options.clone());
    PodSandboxStatus {
        id: pod.record.id.clone(),
        metadata: config.metadata.clone(),
        state: pod_state(pod).into(),
        created_at: pod.record.created_at,
        network: Some(PodSandboxNetworkStatus {
            ip: ips.next().cloned().unwrap_or_default(),
            additional_ips: ips.map(|ip| PodIp { ip: ip.clone() }).collect(),
        }),
        linux: Some(LinuxPodSandboxStatus { namespaces: Some(Namespace { options }) }),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        runtime_handler: String::new(),
    }
}

fn pod_state(pod: &Sandbox) -> PodSandboxState {
    if pod.ready { PodSandboxState::SandboxReady } else { PodSandboxState::SandboxNotready }
}

/// Whether all wanted labels are there.
pub fn has_labels(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn pod_name(record: &SandboxRecord) -> PodName<'_> {
    let metadata = record.config.metadata.as_ref();
    PodName {
        sandbox: &record.id,
        namespace: metadata.map_or("", |metadata| &metadata.namespace),
        name: metadata.map_or("", |metadata| &metadata.name),
        uid: metadata.map_or("", |metadata| &metadata.uid),
    }
}
