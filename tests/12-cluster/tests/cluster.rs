//! The grading suite of chapter 12, one module a step; `given` is about what students are given.

#[cfg(feature = "lab")]
use cluster_lab as heart;
#[cfg(not(feature = "lab"))]
use cluster_solution as heart;

#[path = "cluster/given.rs"]
mod given;
#[path = "cluster/step_1_addresses.rs"]
mod step_1_addresses;
#[path = "cluster/step_2_certificates.rs"]
mod step_2_certificates;
#[path = "cluster/step_3_mounts.rs"]
mod step_3_mounts;
#[path = "cluster/step_4_supervision.rs"]
mod step_4_supervision;
#[path = "cluster/step_5_command_lines.rs"]
mod step_5_command_lines;
