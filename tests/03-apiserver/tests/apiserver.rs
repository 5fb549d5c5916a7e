//! The grading suite of chapter 03. One module a step; `given` tests what students get.

#[cfg(feature = "lab")]
use apiserver_lab as heart;
#[cfg(not(feature = "lab"))]
use apiserver_solution as heart;

#[path = "apiserver/accounts.rs"]
mod accounts;
#[path = "apiserver/admission.rs"]
mod admission;
#[path = "apiserver/aggregation.rs"]
mod aggregation;
#[path = "apiserver/cel.rs"]
mod cel;
#[path = "apiserver/common.rs"]
mod common;
#[path = "apiserver/connect.rs"]
mod connect;
#[path = "apiserver/custom.rs"]
mod custom;
#[path = "apiserver/definitions.rs"]
mod definitions;
#[path = "apiserver/discovery.rs"]
mod discovery;
#[path = "apiserver/gates.rs"]
mod gates;
#[path = "apiserver/given.rs"]
mod given;
#[path = "apiserver/judging.rs"]
mod judging;
#[path = "apiserver/kinds.rs"]
mod kinds;
#[path = "apiserver/managed.rs"]
mod managed;
#[path = "apiserver/one_apply.rs"]
mod one_apply;
#[path = "apiserver/openapi.rs"]
mod openapi;
#[path = "apiserver/parsers.rs"]
mod parsers;
#[path = "apiserver/pod_security.rs"]
mod pod_security;
#[path = "apiserver/quota.rs"]
mod quota;
#[path = "apiserver/reads.rs"]
mod reads;
#[path = "apiserver/schema.rs"]
mod schema;
#[path = "apiserver/selections.rs"]
mod selections;
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
#[path = "apiserver/step_8_server_side_apply.rs"]
mod step_8_server_side_apply;
#[path = "apiserver/step_9_custom_resources.rs"]
mod step_9_custom_resources;
#[path = "apiserver/types.rs"]
mod types;
#[path = "apiserver/validation.rs"]
mod validation;
#[path = "apiserver/warnings.rs"]
mod warnings;
#[path = "apiserver/watchers.rs"]
mod watchers;
#[path = "apiserver/writes.rs"]
mod writes;
#[path = "apiserver/zeros.rs"]
mod zeros;
