//! # Chapter 06: the controllers
//!
//! **The problem.** A user writes what should be; somebody must make it so, and keep it so
//! when machines fail and when the user changes their mind. Kubernetes has no central
//! script for this. It has many small loops, each of which looks at a few kinds of
//! objects, compares what should be (`spec`) with what is (`status`, and other objects),
//! and does the next step.
//!
//! ```text
//!   kubectl apply                                                       pods on nodes
//!        │                                                                    ▲
//!        ▼                                                                    │
//!   Deployment ──rollout──► ReplicaSet ──count──► Pod ──► (scheduler, kubelet)┘
//!                                                  │
//!   Service ────────────────endpoints──────────────┴─► EndpointSlice ─► (kube-proxy)
//!   Node + Lease ──health──► conditions, taints ──► eviction ──► (ReplicaSet replaces)
//!   ownerReferences ──garbage collection──► deletion      Namespace ──► empties itself
//! ```
//!
//! The loops never call each other. Each writes objects, and the watch of those objects
//! wakes the next.
//!
//! Everything here is values: a controller is a function from what was observed to a plan,
//! or a small state machine with `handle_*` and `plan`. The clock is an argument. The
//! shell (`chapters/06-controllers`) watches, queues keys, and applies plans.
//!
//! ## Reading order
//! [`replica_set`] with [`ranking`] and [`expectations`]; [`deployment`]; [`endpoints`];
//! [`node_health`], [`taints`], [`pod_gc`] and [`cidr`]; [`gc`]; [`namespace`] and
//! [`service_account`]; [`disruption`] and [`quota`].
//!
//! ## Invariants
//! 1. **Level, not edge.** A plan depends on what is, never on which event came. A lost
//!    event costs time, not correctness.
//! 2. A plan that has been applied and seen makes the next plan empty.
//! 3. Nobody acts twice for the same reason: an owner whose own writes the cache has not
//!    shown yet waits for them ([`expectations`]).
//! 4. A controller touches what it owns by uid. A name alone proves nothing.
//! 5. During a rolling update there are never more than `replicas + maxSurge` pods asked
//!    for, and no step removes an available pod if that leaves fewer than
//!    `replicas - maxUnavailable`.
//! 6. The garbage collector deletes nothing on the word of its cache.
//! 7. If all nodes are silent, nobody is evicted.
//! 8. Two nodes never get the same part of the pod network.
//!
//! ## Left out, compared with kube-controller-manager
//! * Leader election (`client-go/tools/leaderelection`): one process runs.
//! * Job, CronJob, DaemonSet, StatefulSet, autoscaling: later steps.
//! * Deployment: the rollback field of `extensions/v1beta1`; splitting of canaries by
//!   `collisionCount` is there. See `pkg/controller/deployment`.
//! * EndpointSlices: topology hints, dual stack (one family per Service), mirroring of
//!   hand-made Endpoints, `endpoints.kubernetes.io/last-change-trigger-time`.
//! * Node lifecycle: zones (all nodes are one), cloud providers, `out-of-service` taints.
//! * Disruption budgets: owners other than Deployments and ReplicaSets (upstream asks any kind for its
//!   scale).
//! * Garbage collection: the absent-owner cache, and the rules for references across
//!   namespaces. See `pkg/controller/garbagecollector/garbagecollector.go`.

pub mod bucket;
pub mod cidr;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod expectations;
pub mod gc;
pub mod namespace;
pub mod node_health;
pub mod pod_gc;
pub mod pods;
pub mod quota;
pub mod ranking;
pub mod replica_set;
pub mod service_account;
pub mod taints;
