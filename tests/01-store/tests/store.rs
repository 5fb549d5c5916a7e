//! Judges the core of chapter 01. Each step has a module; `script` runs goldens, `model` is the
//! second opinion, `random` makes histories.

#[cfg(feature = "lab")]
use store_lab as heart;
#[cfg(not(feature = "lab"))]
use store_solution as heart;

#[path = "store/auth.rs"]
mod auth;
#[path = "store/given.rs"]
mod given;
#[path = "store/model.rs"]
mod model;
#[path = "store/random.rs"]
mod random;
#[path = "store/script.rs"]
mod script;

#[path = "store/step_1_revisions.rs"]
mod step_1_revisions;
#[path = "store/step_2_compaction.rs"]
mod step_2_compaction;
#[path = "store/step_3_transactions.rs"]
mod step_3_transactions;
#[path = "store/step_4_watch.rs"]
mod step_4_watch;
#[path = "store/step_5_slow_watchers.rs"]
mod step_5_slow_watchers;
#[path = "store/step_6_leases.rs"]
mod step_6_leases;
#[path = "store/step_7_log.rs"]
mod step_7_log;
#[path = "store/step_7_snapshots.rs"]
mod step_7_snapshots;
