//! Ephemeral containers: guests that come to look into a running pod (`kubectl debug`).
//!
//! They are added to the spec while the pod runs, start beside its containers, whatever state those
//! are in, and are never restarted. A pod does not wait for them: when its own containers have
//! ended, it ends, and its guests with it. Upstream: KEP-277, `EphemeralContainersToStart` in
//! `pkg/kubelet/kuberuntime/kuberuntime_manager.go`.

use std::borrow::Cow;

use k8s_openapi::api::core::v1 as api;

use crate::actions::{PodActions, Start};
use crate::status::container_state;
use crate::types::{ContainerKind, RunState, RuntimePod, WaitingReasons, find_container, spec};

/// The same as an ordinary container: it has no ports, probes, hooks or resources.
fn as_container(guest: &api::EphemeralContainer) -> api::Container {
    let guest = guest.clone();
    api::Container {
        name: guest.name,
        image: guest.image,
        image_pull_policy: guest.image_pull_policy,
        command: guest.command,
        args: guest.args,
        working_dir: guest.working_dir,
        env: guest.env,
        env_from: guest.env_from,
        volume_mounts: guest.volume_mounts,
        volume_devices: guest.volume_devices,
        security_context: guest.security_context,
        stdin: guest.stdin,
        stdin_once: guest.stdin_once,
        tty: guest.tty,
        termination_message_path: guest.termination_message_path,
        termination_message_policy: guest.termination_message_policy,
        ..api::Container::default()
    }
}

fn guests(pod: &api::Pod) -> impl Iterator<Item = &api::EphemeralContainer> {
    spec(pod).ephemeral_containers.iter().flatten()
}

/// A container of the pod or one of its guests.
pub fn find_any<'a>(pod: &'a api::Pod, name: &str) -> Option<Cow<'a, api::Container>> {
    let own = find_container(pod, name).map(Cow::Borrowed);
    own.or_else(|| guests(pod).find(|guest| guest.name == name).map(|guest| Cow::Owned(as_container(guest))))
}

/// Starts every guest that the runtime has never seen, before anything else.
pub fn start(pod: &api::Pod, runtime: &RuntimePod, actions: &mut PodActions) {
    let new = guests(pod).filter(|guest| runtime.newest(&guest.name).is_none()).map(|guest| Start {
        name: guest.name.clone(),
        kind: ContainerKind::Ephemeral,
        restart_count: 0,
        backoff_key: String::new(),
        failed_at: None,
    });
    actions.start.splice(0..0, new);
}

/// The run of the container in whose process namespace a guest wants to be: `Ok(None)` if it asked
/// for none.
pub fn target(pod: &api::Pod, name: &str, runtime: &RuntimePod) -> Result<Option<String>, String> {
    let guest = guests(pod).find(|guest| guest.name == name);
    let Some(target) = guest.and_then(|guest| guest.target_container_name.as_deref()) else {
        return Ok(None);
    };
    match runtime.newest(target) {
        Some(run) if run.state == RunState::Running => Ok(Some(run.id.clone())),
        Some(_) => Err(format!("target container {target:?} is not running")),
        None => Err(format!("unable to find target container {target:?}")),
    }
}

/// How the guests are, in the order of the spec.
pub fn statuses(
    pod: &api::Pod,
    old: &api::PodStatus,
    runtime: &RuntimePod,
    waiting: &WaitingReasons,
    runtime_name: &str,
) -> Option<Vec<api::ContainerStatus>> {
    let all: Vec<_> = guests(pod).map(|guest| status(guest, old, runtime, waiting, runtime_name)).collect();
    (!all.is_empty()).then_some(all)
}

fn status(
    guest: &api::EphemeralContainer,
    old: &api::PodStatus,
    runtime: &RuntimePod,
    waiting: &WaitingReasons,
    runtime_name: &str,
) -> api::ContainerStatus {
    let mut status = api::ContainerStatus {
        name: guest.name.clone(),
        image: guest.image.clone().unwrap_or_default(),
        last_state: Some(api::ContainerState::default()),
        ..api::ContainerStatus::default()
    };
    if let Some(run) = runtime.newest(&guest.name) {
        status.container_id = Some(format!("{runtime_name}://{}", run.id));
        status.image = run.image.clone();
        status.image_id = run.image_id.clone();
        status.state = Some(container_state(run, runtime_name));
        return status;
    }
    // What the runtime has forgotten is as it was told last.
    let before = old.ephemeral_container_statuses.iter().flatten().find(|before| before.name == guest.name);
    if let Some(ended) = before.filter(|b| b.state.as_ref().is_some_and(|state| state.terminated.is_some())) {
        return ended.clone();
    }
    let why = waiting.get(&guest.name);
    status.state = Some(api::ContainerState {
        waiting: Some(api::ContainerStateWaiting {
            reason: Some(why.map_or("ContainerCreating", |why| &why.reason).to_owned()),
            message: why.map(|why| why.message.clone()).filter(|message| !message.is_empty()),
        }),
        ..api::ContainerState::default()
    });
    status
}
