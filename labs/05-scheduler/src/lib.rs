//! # Chapter 05: the scheduler
//!
//! **The problem.** A pod without a node waits. Someone must choose a node that *may*
//! run it, the *best* of those, and write the choice down, for every pod, quickly, and
//! never twice for the same room. Kubernetes makes this one process that does nothing
//! else: it reads pods and nodes, and writes one field, `spec.nodeName`, through the
//! `binding` subresource.
//!
//! ```text
//!            watch pods, nodes                       POST …/binding
//!  API server ───────────────► ┌──────────────────┐ ──────────────► API server
//!                              │ queue ─► filter  │
//!                              │   ▲        │     │  no node fits:
//!                              │   │      score   │  event FailedScheduling,
//!                              │ events     │     │  condition PodScheduled=False
//!                              │   │      choose  │
//!                              │ cache ◄─ assume  │
//!                              └──────────────────┘
//! ```
//!
//! Everything here is values: [`Scheduler`] takes what the watches say, and returns
//! what should be done. The clock and the tie-breaking number are arguments, so a run
//! can be replayed. The shell (`chapters/05-scheduler`) has the sockets.
//!
//! ## Reading order
//! [`queue`] (who is next), [`filters`] with [`resources`], [`affinity`] and [`taints`]
//! (where it may run), [`scores`] (where it should run), [`schedule`] (one attempt),
//! [`cache`] (what was decided but not confirmed), [`spread`] (replicas apart), and
//! [`scheduler`], which ties them together.
//!
//! ## Invariants
//! 1. A pod is in at most one place: active, back-off, unschedulable, being bound, or
//!    placed.
//! 2. The requests of the pods on a node, assumed ones included, never exceed what the
//!    node has to give, whatever order the watches deliver in, as far as this
//!    scheduler alone places pods.
//! 3. A decision is visible to the next decision before the API server knows of it.
//! 4. What the watch confirms wins over what was assumed. An assumption ends by
//!    confirmation, by deletion of the pod, or by a refused binding; never by silence.
//! 5. A pod that nothing can help costs nothing: it sleeps until an event that one of the
//!    filters that refused it has asked for.
//! 6. Every score that counts is between 0 and 100 before its weight.
//! 7. The same cache, pod, profile and tie give the same node.
//!
//! ## Left out, compared with kube-scheduler
//! * Preemption (`framework/preemption`): the text of the event has its sentence, no
//!   pod is evicted yet. Nominated nodes go with it.
//! * Inter-pod affinity and anti-affinity, volumes, image locality, dynamic resources.
//! * Sampling (`percentageOfNodesToScore`): every node is looked at. Fine up to some
//!   hundred nodes; see `findNodesThatPassFilters` in `pkg/scheduler/schedule_one.go`.
//! * Several profiles, extenders, and the `Permit`/`Reserve` hooks of the scheduling
//!   framework; here `Reserve` is [`cache::Cache::assume`].
//! * Queueing hints that look into objects (`QueueingHintFn`); here a filter names the
//!   kinds of events that may help it.

pub mod affinity;
pub mod cache;
pub mod cycle;
pub mod filters;
pub mod node_info;
pub mod pod;
pub mod queue;
pub mod resources;
pub mod schedule;
pub mod scheduler;
pub mod scores;
pub mod spread;
pub mod taints;

pub use cache::Cache;
pub use queue::{ClusterEvent, SchedulingQueue};
pub use schedule::{Decision, FitError, Profile};
pub use scheduler::{Action, Scheduler};
pub use scores::Packing;
