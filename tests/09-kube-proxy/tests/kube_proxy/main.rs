//! Chapter 09, judged. Each `step_…` module belongs to a step of the lab. Two oracles stand beside
//! the goldens: [`tracer`], a small netfilter that reads rule text and walks packets through it, and
//! the real `iptables-restore` in a network namespace of its own, where this machine has it.

#[cfg(feature = "lab")]
use kube_proxy_lab as heart;
#[cfg(not(feature = "lab"))]
use kube_proxy_solution as heart;

mod expect;
mod given;
mod kernel;
mod step_1_chains;
mod step_2_probabilities;
mod step_3_external;
mod step_4_affinity;
mod step_5_sync;
mod step_6_stale_flows;
mod tracer;
mod world;
