//! Judges the core of chapter 02. Each step has a module; `cluster` is members, disks and a network in
//! one thread, `chaos` what can happen to them, `model` the second opinion.

#[cfg(feature = "lab")]
use consensus_lab as heart;
#[cfg(not(feature = "lab"))]
use consensus_solution as heart;

#[path = "consensus/chaos.rs"]
mod chaos;
#[path = "consensus/cluster.rs"]
mod cluster;
#[path = "consensus/model.rs"]
mod model;

#[path = "consensus/step_1_storage.rs"]
mod step_1_storage;
#[path = "consensus/step_2_ready.rs"]
mod step_2_ready;
#[path = "consensus/step_3_propose.rs"]
mod step_3_propose;
#[path = "consensus/step_4_read.rs"]
mod step_4_read;
#[path = "consensus/step_5_snapshot.rs"]
mod step_5_snapshot;
#[path = "consensus/step_6_membership.rs"]
mod step_6_membership;
