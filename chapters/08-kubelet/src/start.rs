//! Starting one container: image, configuration, create, start, hook.
//! Upstream: `startContainer` in `pkg/kubelet/kuberuntime/kuberuntime_container.go`.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::api::core::v1 as api;
use runtime::cri as pb;
use tonic::Status;
use tracing::warn;

use crate::config;
use crate::disk::said;
use crate::heart::actions::Start;
use crate::heart::env::Sources;
use crate::heart::hooks::{self, Hook};
use crate::heart::images::{self, Decision, Refusal};
use crate::heart::security::ImageUser;
use crate::heart::types::{Timestamp, Waiting};
use crate::heart::volumes::VolumePlan;
use crate::heart::{ephemeral, names, words};
use crate::pod::{Job, PullFailure};
use crate::{prober, stop};

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
        let Some(container) = ephemeral::find_any(pod, name) else {
            return Err(waiting("CreateContainerConfigError", "the container is not in the spec"));
        };
        let container = container.as_ref();
        let (image_ref, image_user) = self.image(pod, container, sandbox).await?;
        let error = |reason: &str, message: String| {
            self.ctx.event(pod, Some(name), true, "Failed", &format!("Error: {message}"));
            waiting(reason, message)
        };
        let message_file = (self.ctx.dirs)
            .make_termination_message(&self.order.uid, name, start.restart_count)
            .map_err(|e| error("CreateContainerConfigError", words::system(&e)))?;
        let inputs = config::ContainerInputs {
            restart_count: start.restart_count,
            image_ref: &image_ref,
            image_user: &image_user,
            sources,
            volumes,
            termination_message: &message_file,
        };
        let target = ephemeral::target(pod, name, &self.record)
            .map_err(|message| error("CreateContainerConfigError", message))?;
        let mut config = config::container(self.ctx, pod, container, &inputs)
            .map_err(|e| error("CreateContainerConfigError", said(&e)))?;
        if let Some(target) = target {
            config::share_processes(&mut config, target);
        }
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
            && let Err(why) = prober::hook(self.ctx, container, hook, &id, &sources.pod_ips, None).await
        {
            let (reason, message) = Hook::PostStart.event();
            self.ctx.event(pod, Some(name), true, reason, message);
            if let Err(e) = stop::kill_some(self, pod, &[hooks::kill(&id, name)]).await {
                warn!(pod = names::full_name(pod), container = name, "not stopped: {}", e.message);
            }
            return Err(hooks::waiting(pod, container, hook, &why));
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
        let refuse = |refusal: Refusal| {
            for (warning, reason, message) in refusal.events() {
                ctx.event(pod, name, warning, reason, &message);
            }
            refusal.waiting
        };
        if let Some(refusal) = Refusal::invalid_name(&image) {
            return Err(refuse(refusal));
        }
        let found = (self.image_status(&image).await)
            .map_err(|e| refuse(Refusal::not_inspected(&image, &rpc(&e))))?;
        let now = Timestamp::now();
        let failed = self.memory.pull_failed.get(&image).cloned();
        let failed_at = failed.as_ref().map(|failed| failed.at);
        let backing_off = failed_at.and_then(|at| self.memory.pulls.waits_until(&image, at, now));
        match images::decide(images::policy(container), found.is_some(), backing_off.is_some()) {
            Decision::UseLocal => {
                let message = format!("Container image {image:?} already present on machine");
                ctx.event(pod, name, false, "Pulled", &message);
            }
            Decision::NeverPull => return Err(refuse(Refusal::never_pull(&image))),
            Decision::BackOff => {
                let cause = failed.map(|failed| failed.cause).unwrap_or_default();
                return Err(refuse(Refusal::back_off(&image, &cause)));
            }
            Decision::Pull => {
                ctx.event(pod, name, false, "Pulling", &format!("Pulling image {image:?}"));
                let began = Instant::now();
                if let Err(e) = self.pull(&image, sandbox).await {
                    let cause = rpc(&e);
                    let refusal = refuse(Refusal::not_pulled(&image, &cause));
                    let at = failed_at.unwrap_or(now);
                    self.memory.pulls.next(&image, at, now);
                    self.memory.pull_failed.insert(image, PullFailure { at: now, cause });
                    return Err(refusal);
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
