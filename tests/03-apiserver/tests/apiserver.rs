//! The grading suite of chapter 03. One module a step; `given` tests what students get.

#[cfg(feature = "lab")]
use apiserver_lab as heart;
#[cfg(not(feature = "lab"))]
use apiserver_solution as heart;

#[path = "apiserver/common.rs"]
mod common;
#[path = "apiserver/given.rs"]
mod given;
#[path = "apiserver/step_1_requests.rs"]
mod step_1_requests;
#[path = "apiserver/step_2_keys.rs"]
mod step_2_keys;
#[path = "apiserver/step_3_concurrency.rs"]
mod step_3_concurrency;
#[path = "apiserver/step_4_patches.rs"]
mod step_4_patches;
#[path = "apiserver/step_5_selection.rs"]
mod step_5_selection;
#[path = "apiserver/step_6_watch_cache.rs"]
mod step_6_watch_cache;
#[path = "apiserver/step_7_tables.rs"]
mod step_7_tables;
