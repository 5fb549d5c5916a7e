//! The grading suite of chapter 12, one module a step.

#[cfg(feature = "lab")]
use cluster_lab as heart;
#[cfg(not(feature = "lab"))]
use cluster_solution as heart;

#[path = "cluster/step_1_certificates.rs"]
mod step_1_certificates;
#[path = "cluster/step_2_supervision.rs"]
mod step_2_supervision;
#[path = "cluster/step_3_addresses_and_mounts.rs"]
mod step_3_addresses_and_mounts;
#[path = "cluster/step_4_command_lines.rs"]
mod step_4_command_lines;
