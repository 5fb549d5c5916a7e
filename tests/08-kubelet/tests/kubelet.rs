//! The grading suite of chapter 08: one module for each step of the lab, and `given` for
//! what the lab does not ask for.

#[cfg(feature = "lab")]
pub use kubelet_lab as heart;
#[cfg(not(feature = "lab"))]
pub use kubelet_solution as heart;

#[path = "kubelet/history.rs"]
mod history;
#[path = "kubelet/support.rs"]
mod support;

#[path = "kubelet/step_1_pod_sources.rs"]
mod step_1_pod_sources;
#[path = "kubelet/step_2_pod_workers.rs"]
mod step_2_pod_workers;
#[path = "kubelet/step_3_restart_backoff.rs"]
mod step_3_restart_backoff;
#[path = "kubelet/step_4_actions.rs"]
mod step_4_actions;
#[path = "kubelet/step_5_probes.rs"]
mod step_5_probes;
#[path = "kubelet/step_6_status.rs"]
mod step_6_status;
#[path = "kubelet/step_7_volumes.rs"]
mod step_7_volumes;
#[path = "kubelet/step_8_termination.rs"]
mod step_8_termination;

#[path = "kubelet/ephemeral.rs"]
mod ephemeral;
#[path = "kubelet/given.rs"]
mod given;
#[path = "kubelet/said.rs"]
mod said;
