//! Whom exec, attach and port-forward reach, and what is said if nobody is there.
//!
//! Upstream: `GetExec`, `GetAttach` and `GetPortForward` in `pkg/kubelet/kubelet_pods.go`, which look
//! among what runs: who has ended is not found, as if it had never been.

use k8s_openapi::api::core::v1 as api;

use crate::names;
use crate::types::{RunState, RuntimePod};

/// `name_namespace`, as these messages call a pod.
fn full_name(pod: &api::Pod) -> String {
    format!("{}_{}", names::name(pod), names::namespace(pod))
}

fn running<'a>(runtime: &'a RuntimePod, container: &str) -> Option<&'a str> {
    runtime.newest(container).filter(|c| c.state == RunState::Running).map(|c| c.id.as_str())
}

/// The id of the container to run a command in.
pub fn to_exec<'a>(runtime: &'a RuntimePod, container: &str) -> Result<&'a str, String> {
    running(runtime, container).ok_or_else(|| format!("container not found ({container:?})"))
}

/// The id of the container to attach to.
pub fn to_attach<'a>(pod: &api::Pod, runtime: &'a RuntimePod, container: &str) -> Result<&'a str, String> {
    let missing = || format!("container {container} not found in pod {}", full_name(pod));
    running(runtime, container).ok_or_else(missing)
}

/// The id of the sandbox whose ports are reached.
pub fn to_forward<'a>(pod: &api::Pod, runtime: &'a RuntimePod) -> Result<&'a str, String> {
    let sandbox = runtime.ready_sandbox().map(|s| s.id.as_str());
    sandbox.ok_or_else(|| format!("pod not found ({:?})", full_name(pod)))
}
