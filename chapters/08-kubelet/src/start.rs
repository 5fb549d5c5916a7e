//! Starting one container: image, configuration, create, start, hook.
//! Upstream: `startContainer` in `pkg/kubelet/kuberuntime/kuberuntime_container.go`.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::api::core::v1 as api;
use runtime::cri as pb;
use tonic::Status;

use crate::config;
use crate::heart::actions::Start;
use crate::heart::env::Sources;
use crate::heart::images::{self, Decision};
use crate::heart::security::ImageUser;
use crate::heart::types::{Timestamp, Waiting, find_container};
use crate::heart::volumes::VolumePlan;
use crate::pod::Job;
use crate::prober;

fn waiting(reason: &str, message: impl Into<String>) -> Waiting {
    Waiting { reason: reason.to_owned(), message: message.into() }
}

/// What the runtime said, as kubectl users know it from upstream.
fn rpc(status: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

impl Job<'_> {
    /// Starts a container, or says why it waits.
    pub async fn start(
        &mut self,
        pod: &api::Pod,
        start: &Start,
        sandbox_id: &str,
        sandbox: &pb::PodSandboxConfig,
        sources: &Sources,
        volumes: &BTreeMap<String, VolumePlan>,
    ) -> Result<(), Waiting> {
        let name = start.name.as_str();
        let Some(container) = find_container(pod, name) else {
            return Err(waiting("CreateContainerConfigError", "the container is not in the spec"));
        };
        let (image_ref, image_user) = self.image(pod, container, sandbox).await?;
        let error = |reason: &str, message: String| {
            self.ctx.event(pod, Some(name), true, "Failed", &format!("Error: {message}"));
            waiting(reason, message)
        };
        let message_file = (self.ctx.dirs)
            .make_termination_message(&self.order.uid, name, start.restart_count)
            .map_err(|e| error("CreateContainerConfigError", e.to_string()))?;
        let inputs = config::ContainerInputs {
            restart_count: start.restart_count,
            image_ref: &image_ref,
            image_user: &image_user,
            sources,
            volumes,
            termination_message: &message_file,
        };
        let config = config::container(self.ctx, pod, container, &inputs)
            .map_err(|e| error("CreateContainerConfigError", format!("{e:#}")))?;
        let mut cri = self.ctx.cri.runtime.clone();
        let request = pb::CreateContainerRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox.clone()),
        };
        let id = match cri.create_container(request).await {
            Ok(answer) => answer.into_inner().container_id,
            Err(e) => return Err(error("CreateContainerError", e.message().to_owned())),
        };
        self.ctx.event(pod, Some(name), false, "Created", &format!("Created container: {name}"));
        let request = pb::StartContainerRequest { container_id: id.clone() };
        if let Err(e) = cri.start_container(request).await {
            return Err(error("RunContainerError", e.message().to_owned()));
        }
        self.ctx.event(pod, Some(name), false, "Started", &format!("Started container {name}"));
        let hook = container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref());
        if let Some(hook) = hook
            && let Err(cause) = prober::hook(self.ctx, container, hook, &id, &sources.pod_ips, None).await
        {
            let message = format!("PostStartHook failed: {cause}");
            self.ctx.event(pod, Some(name), true, "FailedPostStartHook", &message);
            let _ = cri.stop_container(pb::StopContainerRequest { container_id: id, timeout: 2 }).await;
            return Err(waiting("PostStartHookError", message));
        }
        Ok(())
    }

    /// Makes sure that the image is there; returns what to call it and whom it runs as.
    async fn image(
        &mut self,
        pod: &api::Pod,
        container: &api::Container,
        sandbox: &pb::PodSandboxConfig,
    ) -> Result<(String, ImageUser), Waiting> {
        let name = Some(container.name.as_str());
        let image = container.image.clone().unwrap_or_default();
        let ctx = self.ctx;
        let found = self.image_status(&image).await.map_err(|e| {
            let message = format!("Failed to inspect image {image:?}: {}", rpc(&e));
            ctx.event(pod, name, true, "InspectFailed", &message);
            waiting("ImageInspectError", message)
        })?;
        let now = Timestamp::now();
        let failed_at = self.memory.pull_failed.get(&image).copied();
        let backing_off = failed_at.and_then(|at| self.memory.pulls.waits_until(&image, at, now));
        match images::decide(images::policy(container), found.is_some(), backing_off.is_some()) {
            Decision::UseLocal => {
                let message = format!("Container image {image:?} already present on machine");
                ctx.event(pod, name, false, "Pulled", &message);
            }
            Decision::NeverPull => {
                let message = format!("Container image {image:?} is not present with pull policy of Never");
                ctx.event(pod, name, true, images::ERR_IMAGE_NEVER_PULL, &message);
                return Err(waiting(images::ERR_IMAGE_NEVER_PULL, message));
            }
            Decision::BackOff => {
                let message = format!("Back-off pulling image {image:?}");
                ctx.event(pod, name, false, "BackOff", &message);
                let error = format!("Error: {}", images::IMAGE_PULL_BACK_OFF);
                ctx.event(pod, name, true, "Failed", &error);
                return Err(waiting(images::IMAGE_PULL_BACK_OFF, message));
            }
            Decision::Pull => {
                ctx.event(pod, name, false, "Pulling", &format!("Pulling image {image:?}"));
                let began = Instant::now();
                if let Err(e) = self.pull(&image, sandbox).await {
                    let cause = rpc(&e);
                    let message = format!("Failed to pull image {image:?}: {cause}");
                    ctx.event(pod, name, true, "Failed", &message);
                    let error = format!("Error: {}", images::ERR_IMAGE_PULL);
                    ctx.event(pod, name, true, "Failed", &error);
                    let at = failed_at.unwrap_or(now);
                    self.memory.pulls.next(&image, at, now);
                    self.memory.pull_failed.insert(image, now);
                    return Err(waiting(images::ERR_IMAGE_PULL, cause));
                }
                self.memory.pull_failed.remove(&image);
                self.memory.pulls.forget(&image);
                let size = self.image_status(&image).await.ok().flatten().map_or(0, |i| i.size);
                let took = format!("{}ms", began.elapsed().as_millis());
                let message = format!(
                    "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {size} bytes."
                );
                ctx.event(pod, name, false, "Pulled", &message);
            }
        }
        let found = match found {
            Some(found) => Some(found),
            None => self.image_status(&image).await.ok().flatten(),
        };
        let Some(found) = found else {
            return Err(waiting(images::ERR_IMAGE_PULL, "the image is gone again"));
        };
        let user = ImageUser { uid: found.uid.map(|u| u.value), username: found.username };
        Ok((found.id, user))
    }

    async fn image_status(&self, image: &str) -> Result<Option<pb::Image>, Status> {
        let image = pb::ImageSpec { image: image.to_owned(), ..Default::default() };
        let request = pb::ImageStatusRequest { image: Some(image), verbose: false };
        Ok(self.ctx.cri.images.clone().image_status(request).await?.into_inner().image)
    }

    /// Pulls, unless the pod ends meanwhile.
    async fn pull(&self, image: &str, sandbox: &pb::PodSandboxConfig) -> Result<(), Status> {
        let image = pb::ImageSpec { image: image.to_owned(), ..Default::default() };
        let request =
            pb::PullImageRequest { image: Some(image), auth: None, sandbox_config: Some(sandbox.clone()) };
        let mut images = self.ctx.cri.images.clone();
        let mut interrupt = self.order.interrupt.clone();
        tokio::select! {
            answer = images.pull_image(request) => answer.map(|_| ()),
            _ = interrupt.wait_for(|stop| *stop) => Err(Status::cancelled("the pod is being stopped")),
        }
    }
}
