//! The pod's status: what the kubelet tells the world.
//!
//! Status is derived, never stored: the spec, what the runtime holds and what the probes say give
//! the same status each time. From the status before come only the things that cannot be derived:
//! when a condition changed last, when the pod first arrived, and the fate of containers that the
//! runtime no longer remembers. Upstream: `generateAPIPodStatus` in `pkg/kubelet/kubelet_pods.go`
//! and `pkg/kubelet/status/generate.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::conditions;
use crate::deadline;
use crate::ephemeral;
use crate::probe::Verdicts;
use crate::resources::qos_class;
use crate::types::{
    ContainerKind, RestartPolicy, RunState, RuntimeContainer, RuntimePod, Timestamp, Waiting, WaitingReasons,
    all_containers, is_host_network, is_sidecar, restart_policy, spec,
};

/// What [`generate`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct StatusView<'a> {
    pub pod: &'a api::Pod,
    /// The status before this one.
    pub old: &'a api::PodStatus,
    pub runtime: &'a RuntimePod,
    /// Why containers that should run do not.
    pub waiting: &'a WaitingReasons,
    pub verdicts: &'a Verdicts,
    pub host_ip: &'a str,
    /// The scheme of container ids, `coracle` or `containerd`.
    pub runtime_name: &'a str,
    /// Nothing will be started again: what has ended has ended for good.
    pub terminal: bool,
    pub now: Timestamp,
}

/// The whole status.
pub fn generate(view: &StatusView<'_>) -> api::PodStatus {
    let pod = view.pod;
    let old = view.old;
    let spec = spec(pod);
    let has_init = spec.init_containers.iter().flatten().next().is_some();
    let statuses_of = |main: bool| -> Vec<api::ContainerStatus> {
        all_containers(pod)
            .filter(|(kind, _)| (*kind == ContainerKind::Main) == main)
            .map(|(kind, c)| container_status(view, kind, c, has_init))
            .collect()
    };
    let (init, main) = (statuses_of(false), statuses_of(true));
    // Nobody is told that a pod has failed while something of it may still run.
    let expired = deadline::is_past(pod, old, view.now) && view.runtime.running().next().is_none();
    let (phase, reason, message) = match old.phase.as_deref() {
        // What was over once stays over.
        Some(over @ ("Succeeded" | "Failed")) => (over.to_owned(), old.reason.clone(), old.message.clone()),
        _ if expired => {
            ("Failed".to_owned(), Some(deadline::REASON.to_owned()), Some(deadline::MESSAGE.to_owned()))
        }
        _ => {
            let phase = phase(restart_policy(pod), spec, &init, &main, view.terminal);
            (phase.to_owned(), old.reason.clone(), old.message.clone())
        }
    };
    let ips = pod_ips(view);
    let conditions = conditions::all(&conditions::Facts {
        pod,
        old: old.conditions.as_deref().unwrap_or_default(),
        phase: &phase,
        init: &init,
        main: &main,
        sandbox_ready: sandbox_has_network(view),
        now: view.now,
    });
    let host_ip = (!view.host_ip.is_empty()).then(|| view.host_ip.to_owned());
    api::PodStatus {
        phase: Some(phase),
        conditions: Some(conditions),
        host_ips: host_ip.clone().map(|ip| vec![api::HostIP { ip }]),
        host_ip,
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| api::PodIP { ip }).collect()),
        start_time: old.start_time.clone().or(Some(Time(view.now))),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: (!main.is_empty()).then_some(main),
        ephemeral_container_statuses: ephemeral::statuses(
            pod,
            old,
            view.runtime,
            view.waiting,
            view.runtime_name,
        ),
        qos_class: Some(qos_class(spec).as_str().to_owned()),
        message,
        reason,
        ..api::PodStatus::default()
    }
}

fn sandbox_has_network(view: &StatusView<'_>) -> bool {
    view.runtime.ready_sandbox().is_some_and(|s| is_host_network(view.pod) || !s.ips.is_empty())
}

fn pod_ips(view: &StatusView<'_>) -> Vec<String> {
    let old = view.old;
    if is_host_network(view.pod) {
        let known = sandbox_has_network(view) || old.pod_ip.is_some();
        return (known && !view.host_ip.is_empty()).then(|| view.host_ip.to_owned()).into_iter().collect();
    }
    match view.runtime.sandboxes.first() {
        Some(s) if !s.ips.is_empty() => s.ips.clone(),
        // A stopped pod keeps the address that it had, as a record.
        _ => old.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect(),
    }
}

/// The state of one run, as the API spells it.
pub fn container_state(run: &RuntimeContainer, runtime_name: &str) -> api::ContainerState {
    let mut state = api::ContainerState::default();
    match run.state {
        RunState::Running => {
            state.running = Some(api::ContainerStateRunning { started_at: run.started_at.map(Time) });
        }
        RunState::Exited => {
            let default = if run.exit_code == 0 { "Completed" } else { "Error" };
            let reason = Some(run.reason.as_str()).filter(|r| !r.is_empty());
            state.terminated = Some(api::ContainerStateTerminated {
                exit_code: run.exit_code,
                reason: Some(reason.unwrap_or(default).to_owned()),
                message: Some(run.message.clone()).filter(|m| !m.is_empty()),
                started_at: run.started_at.map(Time),
                finished_at: run.finished_at.map(Time),
                container_id: Some(format!("{runtime_name}://{}", run.id)),
                signal: None,
            });
        }
        RunState::Created | RunState::Unknown => state.waiting = Some(waiting_state(None, false)),
    }
    state
}

/// Without a better reason, all containers of a pod that has init containers are "initializing".
fn waiting_state(why: Option<&Waiting>, has_init: bool) -> api::ContainerStateWaiting {
    let default = if has_init { "PodInitializing" } else { "ContainerCreating" };
    api::ContainerStateWaiting {
        reason: Some(why.map_or(default, |w| &w.reason).to_owned()),
        message: why.map(|w| w.message.clone()).filter(|m| !m.is_empty()),
    }
}

/// The status of one container.
///
/// `state` is that of the newest run. `lastState` is how the run before it ended; and while a
/// container waits for its next run, its ended run *is* the one before: it moves from `state` to
/// `lastState`, and `state` says why it waits.
pub fn container_status(
    view: &StatusView<'_>,
    kind: ContainerKind,
    container: &api::Container,
    has_init: bool,
) -> api::ContainerStatus {
    let Some(run) = view.runtime.newest(&container.name) else {
        return unknown_to_runtime(view, kind, container, has_init);
    };
    let status = api::ContainerStatus {
        name: container.name.clone(),
        container_id: Some(format!("{}://{}", view.runtime_name, run.id)),
        image: run.image.clone(),
        image_id: run.image_id.clone(),
        restart_count: i32::try_from(run.restart_count).unwrap_or(i32::MAX),
        ..api::ContainerStatus::default()
    };
    let _ = &status;
    todo!("lab 08.6: state, lastState, started and ready, with the reason for waiting where there is one")
}

/// The runtime has no container of this name: not made yet, or made and lost.
fn unknown_to_runtime(
    view: &StatusView<'_>,
    kind: ContainerKind,
    container: &api::Container,
    has_init: bool,
) -> api::ContainerStatus {
    let why = view.waiting.get(&container.name);
    let mut status = api::ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        state: Some(api::ContainerState {
            waiting: Some(waiting_state(why, has_init)),
            ..api::ContainerState::default()
        }),
        last_state: Some(api::ContainerState::default()),
        started: Some(false),
        ..api::ContainerStatus::default()
    };
    let Some(old) = old_status(view.old, &container.name) else {
        return status;
    };
    status.restart_count = old.restart_count;
    let old_state = old.state.clone().unwrap_or_default();
    if old_state.terminated.is_some() {
        // It ended, and the dead container has been cleared away since.
        let mut kept = old.clone();
        kept.ready = old.ready && kind == ContainerKind::Init;
        return kept;
    }
    if let Some(running) = old_state.running {
        let lost = api::ContainerState {
            terminated: Some(api::ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".into()),
                message: Some("The container could not be located when the pod was terminated".into()),
                started_at: running.started_at,
                container_id: old.container_id.clone(),
                ..api::ContainerStateTerminated::default()
            }),
            ..api::ContainerState::default()
        };
        if view.terminal {
            status.container_id = old.container_id.clone();
            status.state = Some(lost);
        } else {
            status.restart_count += 1;
            status.last_state = Some(lost);
        }
    } else {
        status.last_state = old.last_state.clone().or(status.last_state);
    }
    status
}

fn old_status<'a>(status: &'a api::PodStatus, name: &str) -> Option<&'a api::ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten()).find(|s| s.name == name)
}

/// How it ended, if that is what a state says.
#[allow(dead_code, reason = "used by your answer")]
fn terminated(state: Option<&api::ContainerState>) -> Option<&api::ContainerStateTerminated> {
    state.and_then(|s| s.terminated.as_ref())
}

/// Pending, Running, Succeeded or Failed.
///
/// `terminal` says that nothing will be started again, whatever the restart policy.
pub fn phase(
    policy: RestartPolicy,
    spec: &api::PodSpec,
    init: &[api::ContainerStatus],
    main: &[api::ContainerStatus],
    terminal: bool,
) -> &'static str {
    let sidecars: BTreeMap<&str, bool> =
        (spec.init_containers.iter().flatten()).map(|c| (c.name.as_str(), is_sidecar(c))).collect();
    let _ = (&policy, &init, &main, &terminal, &sidecars);
    todo!("lab 08.6: count what waits, runs, ended well and ended badly; then decide")
}

/// Is every container over for good, as the restart policy sees it?
pub fn is_over(status: &api::PodStatus) -> bool {
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}
