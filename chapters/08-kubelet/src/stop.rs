//! Stopping: containers with grace, then sandboxes, then what the pod left behind.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use k8s_openapi::api::core::v1 as api;
use runtime::cri as pb;
use tonic::Code;
use tracing::{debug, info, warn};

use crate::ctx::Ctx;
use crate::heart::actions::{Kill, KillReason};
use crate::heart::hooks::Hook;
use crate::heart::termination::{grace_seconds, remaining_grace, stop_order};
use crate::heart::types::{Uid, find_container};
use crate::heart::worker::Outcome;
use crate::heart::{names, words};
use crate::pod::{Job, SyncError};
use crate::prober;

/// What is gone already counts as stopped.
fn gone_is_fine<T>(answer: Result<T, tonic::Status>) -> Result<(), SyncError> {
    match answer {
        Ok(_) => Ok(()),
        Err(e) if e.code() == Code::NotFound => Ok(()),
        Err(e) => Err(e.into()),
    }
}

pub async fn remove_container(job: &Job<'_>, id: &str) -> Result<(), SyncError> {
    let request = pb::RemoveContainerRequest { container_id: id.to_owned() };
    gone_is_fine(job.ctx.cri.runtime.clone().remove_container(request).await)
}

/// Stops one container: hook, TERM, KILL.
async fn kill(
    ctx: &Ctx,
    pod: Option<&api::Pod>,
    ips: &[String],
    order: &Kill,
    limit: Option<i64>,
) -> Result<(), SyncError> {
    let container = pod.and_then(|p| find_container(p, &order.name));
    let mut grace = match pod {
        Some(pod) => grace_seconds(pod, container, &order.reason, limit),
        None => limit.unwrap_or(1),
    };
    if let Some(pod) = pod {
        ctx.event(pod, Some(&order.name), false, "Killing", &order.message);
    }
    let hook = container.and_then(|c| c.lifecycle.as_ref()?.pre_stop.as_ref());
    if let (Some(pod), Some(container), Some(hook)) = (pod, container, hook)
        && grace > 0
    {
        let began = Instant::now();
        let timeout = Duration::from_secs(grace.unsigned_abs());
        let ran = prober::hook(ctx, container, hook, &order.id, ips, Some(timeout)).await;
        if let Err(why) = ran {
            warn!(pod = names::full_name(pod), container = order.name, why.error, "the preStop hook failed");
            let (reason, message) = Hook::PreStop.event();
            ctx.event(pod, Some(&order.name), true, reason, message);
        }
        let spent = i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX);
        grace = remaining_grace(grace, spent);
    }
    debug!(container = order.name, id = order.id, grace, "stopping");
    let request = pb::StopContainerRequest { container_id: order.id.clone(), timeout: grace };
    gone_is_fine(ctx.cri.runtime.clone().stop_container(request).await)
}

/// Stops some containers of a pod that goes on.
pub async fn kill_some(job: &Job<'_>, pod: &api::Pod, kills: &[Kill]) -> Result<(), SyncError> {
    let ips = ips(job);
    let all = join_all(kills.iter().map(|k| kill(job.ctx, Some(pod), &ips, k, None))).await;
    all.into_iter().collect()
}

fn ips(job: &Job<'_>) -> Vec<String> {
    job.record.ready_sandbox().map(|s| s.ips.clone()).unwrap_or_default()
}

/// Stops all containers in their order, then the sandboxes. Breaks off when it is interrupted.
pub async fn kill_pod(job: &Job<'_>, limit: Option<i64>) -> Result<(), SyncError> {
    let pod = job.order.pod.as_deref();
    let ips = ips(job);
    for wave in stop_order(pod, &job.record) {
        let running = job.record.running().filter(|c| wave.contains(&c.id));
        let kills: Vec<Kill> = running
            .map(|c| Kill {
                id: c.id.clone(),
                name: c.name.clone(),
                reason: KillReason::Pod,
                message: format!("Stopping container {}", c.name),
            })
            .collect();
        let all = join_all(kills.iter().map(|k| kill(job.ctx, pod, &ips, k, limit))).await;
        all.into_iter().collect::<Result<(), SyncError>>()?;
    }
    for sandbox in &job.record.sandboxes {
        let request = pb::StopPodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
        gone_is_fine(job.ctx.cri.runtime.clone().stop_pod_sandbox(request).await)?;
    }
    Ok(())
}

/// The pod must end: afterwards nothing of it runs.
pub async fn terminate(job: &mut Job<'_>, limit: Option<i64>) -> Result<Outcome, SyncError> {
    let mut interrupt = job.order.interrupt.clone();
    tokio::select! {
        done = kill_pod(job, limit) => done?,
        // A shorter grace period: the next piece of work begins anew with it.
        _ = interrupt.wait_for(|stop| *stop) => return Ok(Outcome::Interrupted),
    }
    job.fetch().await?;
    if let Some(c) = job.record.running().next() {
        let message = format!("container {} is still running", c.name);
        return Err(SyncError { reason: "FailedKillPod", message });
    }
    job.memory.waiting.clear();
    if let Some(pod) = job.order.pod.clone() {
        job.tell(&pod, true);
        info!(pod = names::full_name(&pod), "stopped");
    }
    Ok(Outcome::Ok)
}

/// Gives back what the pod held. With `remove`, nothing stays behind; the object at the API server
/// goes last.
pub async fn clean_up(job: &mut Job<'_>, remove: bool) -> Result<Outcome, SyncError> {
    let uid: &Uid = &job.order.uid;
    job.ctx.refs.release(uid);
    job.memory.volumes.clear();
    let failed = |e: std::io::Error| SyncError {
        reason: "FailedCleanUp",
        message: format!("cannot remove the pod's directories: {}", words::system(&e)),
    };
    if !remove {
        job.ctx.dirs.tear_down(uid).map_err(failed)?;
        return Ok(Outcome::Ok);
    }
    for sandbox in &job.record.sandboxes {
        let mut cri = job.ctx.cri.runtime.clone();
        let stop = pb::StopPodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
        gone_is_fine(cri.stop_pod_sandbox(stop).await)?;
        let remove = pb::RemovePodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
        gone_is_fine(cri.remove_pod_sandbox(remove).await)?;
    }
    for container in &job.record.containers {
        remove_container(job, &container.id).await?;
    }
    job.ctx.dirs.remove(uid).map_err(failed)?;
    job.fetch().await?;
    if job.order.pod.is_some() {
        job.ctx.statuses.finish(uid);
    }
    Ok(Outcome::Ok)
}
