//! Containers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tonic::Status;

use super::sandboxes::has_labels;
use crate::cgroup;
use crate::convert::convert_limits;
use crate::cri::*;
use crate::heart::cgroups::plan as plan_cgroup;
use crate::heart::process::Exit;
use crate::images::Image;
use crate::server::{Runtime, internal, not_found};
use crate::shim::protocol::Request;
use crate::shim_client::ShimError;
use crate::state::{Container as Known, ContainerRecord, Phase};
use crate::sys::{now_ns, random_id};

impl Runtime {
    pub async fn create_container(
        &self,
        request: CreateContainerRequest,
    ) -> Result<CreateContainerResponse, Status> {
        let config = request.config.ok_or_else(|| Status::invalid_argument("config is missing"))?;
        let metadata =
            config.metadata.clone().ok_or_else(|| Status::invalid_argument("metadata is missing"))?;
        let name = config.image.as_ref().map(|image| image.image.clone()).unwrap_or_default();
        let (sandbox, target) = {
            let state = self.state();
            let pod = state.sandbox(&request.pod_sandbox_id);
            let pod = pod.ok_or_else(|| not_found("pod sandbox", &request.pod_sandbox_id))?;
            if !pod.ready {
                return Err(Status::failed_precondition(format!(
                    "pod sandbox {} is not ready",
                    pod.record.id
                )));
            }
            let same = state
                .containers_of(&pod.record.id)
                .find(|container| container.record.config.metadata.as_ref() == Some(&metadata));
            if let Some(same) = same {
                let message = format!(
                    "container {} attempt {} is reserved for {:?}",
                    metadata.name, metadata.attempt, same.record.id
                );
                return Err(Status::already_exists(message));
            }
            let target = target_of(&config).map(|id| {
                let found =
                    state.container(&id).and_then(|target| Some((target.record.id.clone(), target.pid()?)));
                found.ok_or_else(|| {
                    Status::failed_precondition(format!("target container {id:?} is not running"))
                })
            });
            (pod.record.clone(), target.transpose()?)
        };
        let image = self.store.find(&name).map_err(internal)?.ok_or_else(|| not_found("image", &name))?;
        let layers = self.unpacked(&image).await.map_err(internal)?;
        let id = random_id().map_err(internal)?;
        let (target, target_pid) = target.unzip();
        let spec = self
            .node()
            .container(&sandbox, &id, &config, &image, layers, target_pid)
            .context("failed to generate container spec")
            .map_err(internal)?;
        let record = ContainerRecord {
            id: id.clone(),
            sandbox: sandbox.id,
            config,
            created_at: now_ns(),
            image_ref: image.repo_digest(),
            image_id: image.id.clone(),
            spec,
            target,
        };
        self.make_bundle(&record).map_err(internal)?;
        self.state().containers.insert(id.clone(), Known::new(record, Phase::Created));
        self.publish(&id, ContainerEventType::ContainerCreatedEvent);
        Ok(CreateContainerResponse { container_id: id })
    }

    fn make_bundle(&self, record: &ContainerRecord) -> anyhow::Result<()> {
        let bundle = self.disk.container(&record.id);
        for name in ["upper", "work", "rootfs"] {
            fs::create_dir_all(bundle.join(name))?;
        }
        // The upper layer's top is the container's `/`: it looks as the image's does.
        if let Some(top) = record.spec.root.layers.first() {
            let mode = fs::metadata(record.spec.root.layers_dir.join(top))?.permissions();
            fs::set_permissions(bundle.join("upper"), mode)?;
        }
        self.disk.save_container(record)
    }

    /// Names of an image's layers, unpacked now if they were not before.
    pub async fn unpacked(&self, image: &Image) -> anyhow::Result<Vec<String>> {
        if let Some(ready) = self.layers.ready(image) {
            return Ok(ready);
        }
        let (layers, store, image) = (self.layers.clone(), self.store.clone(), image.clone());
        tokio::task::spawn_blocking(move || layers.ensure(&store, &image)).await?
    }

    pub async fn start_container(
        &self,
        request: StartContainerRequest,
    ) -> Result<StartContainerResponse, Status> {
        let (id, sandbox, spec) = {
            let mut state = self.state();
            let id = state.container(&request.container_id).map(|known| known.record.id.clone());
            let id = id.ok_or_else(|| not_found("container", &request.container_id))?;
            let Some(container) = state.containers.get_mut(&id) else {
                return Err(not_found("container", &id));
            };
            if !matches!(container.phase, Phase::Created) {
                let message =
                    format!("container {id} is in {} state", state_of(&container.phase).as_str_name());
                return Err(Status::failed_precondition(message));
            }
            container.phase = Phase::Starting(None);
            (id, container.record.sandbox.clone(), container.record.spec.clone())
        };
        for missing in &spec.cgroup.not_enforced {
            tracing::debug!("container {id}: its {missing} limit is not enforced");
        }
        let started_at = now_ns();
        let started = self.shim(&sandbox).call(&Request::Start { spec: Box::new(spec) }).await;
        let (outcome, early) = {
            let mut state = self.state();
            let Some(container) = state.containers.get_mut(&id) else {
                return Err(not_found("container", &id));
            };
            let early = match &container.phase {
                Phase::Starting(early) => early.clone(),
                _ => None,
            };
            match started {
                Ok(reply) => {
                    container.phase = Phase::Running { pid: reply.pid.unwrap_or_default(), started_at };
                    (Ok(()), early)
                }
                Err(error) => {
                    let exit = self.disk.exit(&id).unwrap_or_else(|| start_error(&error, started_at));
                    container.exit(exit);
                    (Err(internal(anyhow!(error))), None)
                }
            }
        };
        if outcome.is_err() {
            self.publish(&id, ContainerEventType::ContainerStoppedEvent);
            return outcome.map(|()| StartContainerResponse {});
        }
        self.publish(&id, ContainerEventType::ContainerStartedEvent);
        if let Some(exit) = early {
            if let Some(container) = self.state().containers.get_mut(&id) {
                container.exit(exit);
            }
            self.publish(&id, ContainerEventType::ContainerStoppedEvent);
        }
        Ok(StartContainerResponse {})
    }

    pub async fn stop_container(
        &self,
        request: StopContainerRequest,
    ) -> Result<StopContainerResponse, Status> {
        let found = self.state().container(&request.container_id).map(|known| known.record.id.clone());
        if let Some(id) = found {
            self.stop(&id, request.timeout).await?;
        }
        Ok(StopContainerResponse {})
    }

    /// Stop signal, grace period, KILL. Answers when the container has ended.
    pub async fn stop(&self, id: &str, grace_seconds: i64) -> Result<(), Status> {
        let (sandbox, signal, mut exited) = {
            let state = self.state();
            let Some(container) = state.containers.get(id) else { return Ok(()) };
            if !matches!(container.phase, Phase::Running { .. } | Phase::Starting(_)) {
                return Ok(());
            }
            let record = &container.record;
            (record.sandbox.clone(), record.spec.stop_signal, container.exited.subscribe())
        };
        let shim = self.shim(&sandbox);
        let kill = |signal: i32, all: bool| Request::Kill { id: id.to_owned(), signal, all };
        if grace_seconds > 0 {
            self.signal(&shim, &kill(signal, false)).await?;
            let grace = Duration::from_secs(grace_seconds.unsigned_abs());
            if let Ok(ended) = tokio::time::timeout(grace, exited.wait_for(|exited| *exited)).await {
                // The sender is gone only when the container is.
                let _ = ended;
                return Ok(());
            }
        }
        self.signal(&shim, &kill(libc::SIGKILL, true)).await?;
        let _ = exited.wait_for(|exited| *exited).await;
        Ok(())
    }

    async fn signal(&self, shim: &crate::shim_client::ShimClient, request: &Request) -> Result<(), Status> {
        match shim.call(request).await {
            // A shim that is gone has taken its containers with it; the loop hears of it too.
            Ok(_) | Err(ShimError::Gone(_)) => Ok(()),
            Err(error) => Err(internal(error)),
        }
    }

    pub async fn remove_container(
        &self,
        request: RemoveContainerRequest,
    ) -> Result<RemoveContainerResponse, Status> {
        let found = self.state().container(&request.container_id).map(|known| known.record.id.clone());
        let Some(id) = found else { return Ok(RemoveContainerResponse {}) };
        self.stop(&id, 0).await?;
        let group = self.state().containers.get(&id).map(|container| container.record.spec.cgroup.clone());
        if let Some(group) = group {
            cgroup::remove(&group);
        }
        self.delete_later(self.disk.container(&id)).await;
        // Subscribers see the pod without it, and whose it was.
        let sandbox = self.state().containers.remove(&id).map(|container| container.record.sandbox);
        self.publish_deleted(&id, &sandbox.unwrap_or_default());
        Ok(RemoveContainerResponse {})
    }

    pub async fn list_containers(
        &self,
        request: ListContainersRequest,
    ) -> Result<ListContainersResponse, Status> {
        let filter = request.filter.unwrap_or_default();
        let state = self.state();
        let found = state.containers.values().filter(|container| {
            container.record.id.starts_with(&filter.id)
                && container.record.sandbox.starts_with(&filter.pod_sandbox_id)
                && filter.state.as_ref().is_none_or(|wanted| wanted.state() == state_of(&container.phase))
                && has_labels(&container.record.config.labels, &filter.label_selector)
        });
        let containers = found.map(|container| {
            let record = &container.record;
            Container {
                id: record.id.clone(),
                pod_sandbox_id: record.sandbox.clone(),
                metadata: record.config.metadata.clone(),
                image: record.config.image.clone(),
                image_ref: record.image_ref.clone(),
                state: state_of(&container.phase).into(),
                created_at: record.created_at,
                labels: record.config.labels.clone(),
                annotations: record.config.annotations.clone(),
                image_id: record.image_id.clone(),
            }
        });
        Ok(ListContainersResponse { containers: containers.collect() })
    }

    pub async fn container_status(
        &self,
        request: ContainerStatusRequest,
    ) -> Result<ContainerStatusResponse, Status> {
        let state = self.state();
        let container = state.container(&request.container_id);
        let container = container.ok_or_else(|| not_found("container", &request.container_id))?;
        let mut info = BTreeMap::new();
        if request.verbose {
            let detail = serde_json::json!({
                "sandboxID": container.record.sandbox,
                "pid": container.pid(),
                "spec": container.record.spec,
            });
            info.insert("info".into(), detail.to_string());
        }
        Ok(ContainerStatusResponse { status: Some(container_status(container)), info })
    }

    pub async fn update_container_resources(
        &self,
        request: UpdateContainerResourcesRequest,
    ) -> Result<UpdateContainerResourcesResponse, Status> {
        let asked = request.linux.unwrap_or_default();
        let record = {
            let mut state = self.state();
            let id = state.container(&request.container_id).map(|known| known.record.id.clone());
            let id = id.ok_or_else(|| not_found("container", &request.container_id))?;
            let Some(container) = state.containers.get_mut(&id) else {
                return Err(not_found("container", &id));
            };
            let plan = plan_cgroup(&self.trees, &self.group_of(&container.record), &convert_limits(&asked));
            if container.pid().is_some() {
                cgroup::apply(&plan).map_err(internal)?;
            }
            container.record.spec.cgroup = plan;
            container.record.config.linux.get_or_insert_default().resources = Some(asked);
            container.record.clone()
        };
        self.disk.save_container(&record).map_err(internal)?;
        Ok(UpdateContainerResourcesResponse {})
    }

    /// The control group of a container, as it was when it was made.
    fn group_of(&self, record: &ContainerRecord) -> std::path::PathBuf {
        let mounts: Vec<&Path> = match &self.trees {
            crate::heart::cgroups::Hierarchies::V2 { mount, .. } => vec![mount.as_path()],
            crate::heart::cgroups::Hierarchies::V1 { mounts } => {
                mounts.values().map(|mount| mount.as_path()).collect()
            }
            crate::heart::cgroups::Hierarchies::None => Vec::new(),
        };
        let dirs = record.spec.cgroup.dirs.iter();
        let below =
            dirs.flat_map(|dir| mounts.iter().filter_map(|mount| dir.strip_prefix(mount).ok())).next();
        Path::new("/").join(below.unwrap_or(Path::new("")))
    }

    pub async fn reopen_container_log(
        &self,
        request: ReopenContainerLogRequest,
    ) -> Result<ReopenContainerLogResponse, Status> {
        let (id, sandbox) = self.running(&request.container_id)?;
        self.shim(&sandbox).call(&Request::ReopenLog { id }).await.map_err(internal)?;
        Ok(ReopenContainerLogResponse {})
    }

    /// Ids of a running container and its pod.
    pub fn running(&self, id: &str) -> Result<(String, String), Status> {
        let state = self.state();
        let container = state.container(id).ok_or_else(|| not_found("container", id))?;
        if container.pid().is_none() {
            let message = format!(
                "container {id} is not in the running state: {}",
                state_of(&container.phase).as_str_name()
            );
            return Err(Status::failed_precondition(message));
        }
        Ok((container.record.id.clone(), container.record.sandbox.clone()))
    }
}

/// The container whose processes a new one wants to see.
fn target_of(config: &ContainerConfig) -> Option<String> {
    let options = config.linux.as_ref()?.security_context.as_ref()?.namespace_options.as_ref()?;
    (options.pid() == NamespaceMode::Target).then(|| options.target_id.clone())
}

/// An exit for a container that never ran, when its shim could not write one.
fn start_error(error: &ShimError, started_at: i64) -> Exit {
    let (message, finished_at) = (error.to_string(), now_ns());
    Exit { code: 128, reason: "StartError".into(), message, started_at, finished_at }
}

fn state_of(phase: &Phase) -> ContainerState {
    match phase {
        Phase::Created | Phase::Starting(_) => ContainerState::ContainerCreated,
        Phase::Running { .. } => ContainerState::ContainerRunning,
        Phase::Exited(_) => ContainerState::ContainerExited,
    }
}

pub fn container_status(container: &Known) -> ContainerStatus {
    let record = &container.record;
    let config = &record.config;
    let mut status = ContainerStatus {
        id: record.id.clone(),
        metadata: config.metadata.clone(),
        state: state_of(&container.phase).into(),
        created_at: record.created_at,
        image: config.image.clone(),
        image_ref: record.image_ref.clone(),
        image_id: record.image_id.clone(),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        mounts: config.mounts.clone(),
        log_path: record
            .spec
            .log_path
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
        resources: config
            .linux
            .as_ref()
            .and_then(|linux| linux.resources.clone())
            .map(|linux| ContainerResources { linux: Some(linux) }),
        ..ContainerStatus::default()
    };
    match &container.phase {
        Phase::Created | Phase::Starting(_) => {}
        Phase::Running { started_at, .. } => status.started_at = *started_at,
        Phase::Exited(exit) => {
            status.started_at = exit.started_at;
            status.finished_at = exit.finished_at;
            status.exit_code = exit.code;
            status.reason = exit.reason.clone();
            status.message = exit.message.clone();
        }
    }
    status
}
