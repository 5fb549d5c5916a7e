//! What must happen now so that what runs becomes what the spec says.
//!
//! [`compute`] is a pure comparison of three things: the pod, what the runtime holds, and what the
//! probes and the back-off say. It keeps no memory, so a restarted kubelet simply goes on. The shell
//! calls it again after every change and after every plan that it carried out, until the plan is
//! empty: stopping comes in one round, starting anew in the next, when the exit is known.
//! Upstream: `computePodActions` in `pkg/kubelet/kuberuntime/kuberuntime_manager.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;

use crate::backoff::Backoff;
use crate::ephemeral;
use crate::names;
use crate::probe::{ProbeKind, Verdicts};
use crate::types::{
    ContainerKind, RestartPolicy, RunState, RuntimeContainer, RuntimePod, SignedDuration, Timestamp,
};
// lab:begin 08.4 what the spec says
use crate::types::{is_host_network, is_sidecar, restart_policy, spec};
// lab:end

/// Start this container, as this attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub name: String,
    pub kind: ContainerKind,
    pub restart_count: u32,
    /// Tell [`Backoff::next`] under this key that a restart happens, and when the last run ended.
    pub backoff_key: String,
    pub failed_at: Option<Timestamp>,
}

/// Why a container is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillReason {
    /// The spec's image changed.
    Changed,
    Probe(ProbeKind),
    /// Its `postStart` hook failed.
    PostStart,
    /// The whole pod goes.
    Pod,
    /// The runtime does not know what it is doing.
    Unknown,
}

/// Kill this container, with its grace period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    pub id: String,
    pub name: String,
    pub reason: KillReason,
    pub message: String,
}

/// A container that would be started if it had not failed so recently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackingOff {
    pub delay: SignedDuration,
    pub until: Timestamp,
}

// ANCHOR: plan
/// The plan. The shell carries it out from top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodActions {
    /// Stop every container and every sandbox first.
    pub kill_pod: bool,
    pub kill: Vec<Kill>,
    /// Dead containers that no status needs any more.
    pub remove: Vec<String>,
    /// Make a sandbox, as this attempt.
    pub create_sandbox: Option<u32>,
    /// In this order.
    pub start: Vec<Start>,
    /// Who must wait, and for how long; the shell calls again at the earliest `until`.
    pub backing_off: BTreeMap<String, BackingOff>,
}
// ANCHOR_END: plan

impl PodActions {
    /// Is there nothing to do (though perhaps something to wait for)?
    pub fn is_converged(&self) -> bool {
        !self.kill_pod
            && self.kill.is_empty()
            && self.remove.is_empty()
            && self.create_sandbox.is_none()
            && self.start.is_empty()
    }

    /// Plans the start of a container, unless its last exit is too recent.
    pub fn start_or_wait(
        &mut self,
        view: &View<'_>,
        kind: ContainerKind,
        container: &api::Container,
        last: Option<&RuntimeContainer>,
    ) {
        let key = format!("{}/{}", container.name, names::container_hash(container));
        let exited = last.filter(|c| c.state == RunState::Exited);
        let failed_at = exited.map(|c| c.finished_at.unwrap_or(c.created_at));
        if let Some(until) = failed_at.and_then(|at| view.backoff.waits_until(&key, at, view.now)) {
            let delay = view.backoff.delay(&key);
            self.backing_off.insert(container.name.clone(), BackingOff { delay, until });
            return;
        }
        // A container that was made but never started is made again under its own number.
        let restart_count = last.map_or(0, |c| match c.state {
            RunState::Created => c.restart_count,
            _ => c.restart_count + 1,
        });
        if let Some(created) = last.filter(|c| c.state == RunState::Created) {
            self.remove.push(created.id.clone());
        }
        self.start.push(Start {
            name: container.name.clone(),
            kind,
            restart_count,
            backoff_key: key,
            failed_at,
        });
    }
}

/// What [`compute`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub pod: &'a api::Pod,
    pub runtime: &'a RuntimePod,
    pub verdicts: &'a Verdicts,
    pub backoff: &'a Backoff,
    pub now: Timestamp,
}

/// The whole comparison.
pub fn compute(view: &View<'_>) -> PodActions {
    let (pod, runtime) = (view.pod, view.runtime);
    let mut actions = PodActions::default();
    if pod.metadata.deletion_timestamp.is_some() {
        actions.kill_pod = !runtime.is_stopped();
        return actions;
    }
    let sandbox = match sandbox_needed(pod, runtime) {
        SandboxNeed::Keep(id) => id,
        SandboxNeed::New { attempt } => {
            fresh_sandbox(view, attempt, &mut actions);
            return actions;
        }
    };
    let initialized = init_actions(view, &sandbox, &mut actions);
    if initialized && !actions.kill_pod {
        main_actions(view, &sandbox, &mut actions);
    }
    if !actions.kill_pod {
        ephemeral::start(pod, runtime, &mut actions);
    }
    for id in superfluous(runtime) {
        if !actions.remove.contains(&id) {
            actions.remove.push(id);
        }
    }
    actions
}

/// Can the pod go on in the sandbox that it has?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SandboxNeed {
    /// Yes, in this one.
    Keep(String),
    /// No: it needs one, the `attempt`th.
    New { attempt: u32 },
}

/// A sandbox serves while it is ready, alone, of the right network, and has an address.
/// Attempts count from 0 and go up by one with each new sandbox.
pub fn sandbox_needed(pod: &api::Pod, runtime: &RuntimePod) -> SandboxNeed {
    // lab:begin 08.4 none: attempt 0. Otherwise the newest serves, or its successor is needed
    let Some(newest) = runtime.sandboxes.first() else {
        return SandboxNeed::New { attempt: 0 };
    };
    let ready = runtime.sandboxes.iter().filter(|s| s.ready).count();
    let host = is_host_network(pod);
    let serves =
        newest.ready && ready == 1 && newest.host_network == host && (host || !newest.ips.is_empty());
    if serves {
        SandboxNeed::Keep(newest.id.clone())
    } else {
        SandboxNeed::New { attempt: newest.attempt + 1 }
    }
    // lab:end
}

/// Should a main container that is not running be started (again)?
///
/// Never run: yes. Made but not started, or unknown: yes. Exited: as the restart policy says,
/// by its exit code. Running: no.
pub fn should_restart(policy: RestartPolicy, last: Option<&RuntimeContainer>) -> bool {
    // lab:begin 08.3 Always, OnFailure (exit code other than 0), Never
    let Some(last) = last else {
        return true;
    };
    match last.state {
        RunState::Running => false,
        RunState::Created | RunState::Unknown => true,
        RunState::Exited => match policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => last.exit_code != 0,
            RestartPolicy::Never => false,
        },
    }
    // lab:end
}

/// The pod has no sandbox that serves. What is left of the old one is stopped first; then a new one
/// begins with the first init container, if there are any. But a pod whose containers have all had
/// their last run needs no new sandbox.
pub fn fresh_sandbox(view: &View<'_>, attempt: u32, actions: &mut PodActions) {
    // lab:begin 08.4 stop the old; else, if anything is still to run: a sandbox, then the first init container or all main ones
    let (pod, runtime) = (view.pod, view.runtime);
    if !runtime.is_stopped() {
        actions.kill_pod = true;
        return;
    }
    let policy = restart_policy(pod);
    let to_start: Vec<&api::Container> =
        (spec(pod).containers.iter()).filter(|c| should_restart(policy, runtime.newest(&c.name))).collect();
    let began = attempt != 0 && !runtime.containers.is_empty();
    if to_start.is_empty() || (policy == RestartPolicy::Never && began) {
        return;
    }
    actions.create_sandbox = Some(attempt);
    let mut first = spec(pod).init_containers.iter().flatten();
    if let Some(c) = first.next() {
        let kind = match is_sidecar(c) {
            true => ContainerKind::Sidecar,
            false => ContainerKind::Init,
        };
        actions.start_or_wait(view, kind, c, runtime.newest(&c.name));
        return;
    }
    for c in to_start {
        actions.start_or_wait(view, ContainerKind::Main, c, runtime.newest(&c.name));
    }
    // lab:end
}

/// Init containers, one after the other. Returns whether the main containers may run.
///
/// A regular one must have exited with 0 before the next is looked at; a sidecar must have
/// started. One that failed is tried again, or fails the pod if the policy is `Never`. Once a main
/// container has been made in this sandbox, only sidecars still matter: those that exited restart.
pub fn init_actions(view: &View<'_>, sandbox: &str, actions: &mut PodActions) -> bool {
    // lab:begin 08.4 walk the init containers in order; stop at the first that is not through
    let main_began =
        (spec(view.pod).containers.iter()).any(|c| view.runtime.newest_in(&c.name, sandbox).is_some());
    for c in spec(view.pod).init_containers.iter().flatten() {
        let here = view.runtime.newest_in(&c.name, sandbox);
        let last = here.or_else(|| view.runtime.newest(&c.name));
        let state = here.map(|c| c.state);
        if is_sidecar(c) {
            if state != Some(RunState::Running) {
                actions.start_or_wait(view, ContainerKind::Sidecar, c, last);
            } else if let Some(kill) = here.and_then(|run| must_die(view, c, run)) {
                actions.kill.push(kill);
            } else if here.is_some_and(|run| view.verdicts.started(c, &run.id)) {
                continue;
            }
        } else {
            match here {
                _ if main_began => continue,
                Some(run) if run.state == RunState::Running => {}
                Some(run) if run.state == RunState::Exited && run.exit_code == 0 => continue,
                Some(run)
                    if run.state == RunState::Exited && restart_policy(view.pod) == RestartPolicy::Never =>
                {
                    actions.kill_pod = true;
                }
                _ => actions.start_or_wait(view, ContainerKind::Init, c, last),
            }
        }
        if !main_began {
            return false;
        }
    }
    true
    // lab:end
}

/// The main containers: all at once. One that must die is killed; its exit will bring us here
/// again, to restart it or not. If nothing runs and nothing will, the pod is over.
pub fn main_actions(view: &View<'_>, sandbox: &str, actions: &mut PodActions) {
    // lab:begin 08.4 keep, kill, or start (or wait), for each; kill the pod when nothing is left to run
    let policy = restart_policy(view.pod);
    let mut alive = 0;
    for c in &spec(view.pod).containers {
        let last = view.runtime.newest(&c.name);
        let running = last.filter(|l| l.state == RunState::Running && l.sandbox_id == sandbox);
        if let Some(run) = running {
            let Some(mut kill) = must_die(view, c, run) else {
                alive += 1;
                continue;
            };
            if policy != RestartPolicy::Never {
                kill.message.push_str(", will be restarted");
                alive += 1;
            }
            actions.kill.push(kill);
        } else if let Some(lost) = last.filter(|l| l.state == RunState::Unknown) {
            alive += 1;
            actions.kill.push(Kill {
                id: lost.id.clone(),
                name: c.name.clone(),
                reason: KillReason::Unknown,
                message: format!("Container {} is in unknown state", c.name),
            });
        } else if should_restart(policy, last) {
            alive += 1;
            actions.start_or_wait(view, ContainerKind::Main, c, last);
        }
    }
    if alive == 0 {
        actions.kill_pod = true;
    }
    // lab:end
}

/// Why a running container must die, if it must.
pub fn must_die(view: &View<'_>, container: &api::Container, run: &RuntimeContainer) -> Option<Kill> {
    let name = &container.name;
    let (reason, message) = if run.hash != names::container_hash(container) {
        (KillReason::Changed, format!("Container {name} definition changed"))
    } else {
        let kind = view.verdicts.failed(&run.id)?;
        (KillReason::Probe(kind), format!("Container {name} failed {} probe", kind.as_str()))
    };
    Some(Kill { id: run.id.clone(), name: name.clone(), reason, message })
}

/// Dead containers beyond the newest of each name. One dead run is kept: its exit code is the
/// `lastState`, its log is what `kubectl logs --previous` reads.
pub fn superfluous(runtime: &RuntimePod) -> Vec<String> {
    let mut dead_seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut superfluous = Vec::new();
    for c in &runtime.containers {
        if c.state != RunState::Exited {
            continue;
        }
        let seen = dead_seen.entry(&c.name).or_default();
        *seen += 1;
        if *seen > 1 {
            superfluous.push(c.id.clone());
        }
    }
    superfluous
}
