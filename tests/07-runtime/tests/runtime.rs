//! The grading suite of chapter 07. Each module judges one step; `given` tries
//! what the lab does not ask for.
//!
//! Nothing here needs a privilege: plans are read, and carried out on toy kernels.

#[path = "runtime/step_1_namespaces.rs"]
mod step_1_namespaces;
#[path = "runtime/step_2_root_file_system.rs"]
mod step_2_root_file_system;
#[path = "runtime/step_3_layers.rs"]
mod step_3_layers;
#[path = "runtime/step_4_images.rs"]
mod step_4_images;
#[path = "runtime/step_5_privileges.rs"]
mod step_5_privileges;
#[path = "runtime/step_6_control_groups.rs"]
mod step_6_control_groups;
#[path = "runtime/step_7_sandbox.rs"]
mod step_7_sandbox;
#[path = "runtime/step_8_network.rs"]
mod step_8_network;
#[path = "runtime/step_9_logs.rs"]
mod step_9_logs;

#[path = "runtime/given.rs"]
mod given;
#[path = "runtime/spdy.rs"]
mod spdy;

#[cfg(feature = "lab")]
use runtime_lab as heart;
#[cfg(not(feature = "lab"))]
use runtime_solution as heart;

/// Owned strings from literals.
fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
