//! Judges the core of chapter 02. Each step has a module; `cluster` is members, disks and a network in
//! one thread.

#[cfg(feature = "lab")]
use consensus_lab as heart;
#[cfg(not(feature = "lab"))]
use consensus_solution as heart;

#[path = "consensus/chaos.rs"]
mod chaos;
#[path = "consensus/cluster.rs"]
mod cluster;

#[path = "consensus/step_2_ready.rs"]
mod step_2_ready;
