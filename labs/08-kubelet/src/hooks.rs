//! What is said of a lifecycle hook that failed.
//!
//! Events are read by more people than pods are, and what a hook printed may hold a secret. So the
//! event says that it failed, and the cause is for the container's status alone. Upstream:
//! `startContainer` and `executePreStopHook` in `pkg/kubelet/kuberuntime/kuberuntime_container.go`.

use k8s_openapi::api::core::v1 as api;

use crate::actions::{Kill, KillReason};
use crate::names;
use crate::types::Waiting;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Fails: the container is killed, and restarts as its pod's policy says.
    PostStart,
    /// Fails: the container is stopped all the same.
    PreStop,
}

impl Hook {
    /// Reason and message of the warning.
    pub fn event(self) -> (&'static str, &'static str) {
        match self {
            Hook::PostStart => ("FailedPostStartHook", "PostStartHook failed"),
            Hook::PreStop => ("FailedPreStopHook", "PreStopHook failed"),
        }
    }
}

/// How a hook failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub error: String,
    /// What a command printed, if there was one and it ran.
    pub output: String,
}

/// Why a container whose `postStart` hook failed waits.
pub fn waiting(
    pod: &api::Pod,
    container: &api::Container,
    hook: &api::LifecycleHandler,
    why: &Failure,
) -> Waiting {
    let of = format!("for Container {:?} in Pod {:?} failed", container.name, names::full_name(pod));
    let error = &why.error;
    let message = match (&hook.exec, &hook.http_get) {
        (Some(exec), _) => {
            let command = exec.command.as_deref().unwrap_or_default().join(" ");
            format!("Exec lifecycle hook ([{command}]) {of} - error: {error}, message: {:?}", why.output)
        }
        (None, Some(get)) => {
            let path = get.path.as_deref().unwrap_or_default();
            format!("HTTP lifecycle hook ({path}) {of} - error: {error}")
        }
        (None, None) => format!("lifecycle hook {of} - error: {error}"),
    };
    Waiting { reason: "PostStartHookError".to_owned(), message }
}

/// A container whose `postStart` hook failed goes, with its grace period and its `preStop` hook.
pub fn kill(id: &str, container: &str) -> Kill {
    Kill {
        id: id.to_owned(),
        name: container.to_owned(),
        reason: KillReason::PostStart,
        message: "FailedPostStartHook".to_owned(),
    }
}
