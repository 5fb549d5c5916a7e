//! # The kubelet: the shell around the heart
//!
//! This crate gives the heart its hands: sockets to the API server and the container runtime, a
//! clock, a disk, and a server for those who want to look inside a container.
//!
//! ```text
//!                       ┌────────────────────── kubelet::Loop (one loop, one enum Event) ─┐
//!   API server ─watch──▶│ PodSource ─▶ PodWorker … ─▶ pod::run (a task per piece of work) │─CRI─▶ runtime
//!   runtime ────events─▶│ ContainerProbes ─▶ prober::ask                                  │
//!   image store ─notify▶└───────────────────────────────┬──────────────────────────────────┘
//!                                                        ▼
//!   API server ◀─patch /status, delete─ statuses::Statuses        node::run: Node, Lease, podCIDR
//!   API server ─https─▶ server: logs, exec, attach, port-forward ─▶ runtime's streaming server
//! ```
//!
//! ## Invariants
//!
//! 1. Every trigger is a variant of `kubelet::Event`; nothing else starts work on a pod.
//! 2. Nothing waits in the loop: work, probes and patches are tasks that answer with an event.
//! 3. Nobody is polled on the way from `apply` to Running: watches, the runtime's event stream and
//!    inotify wake the loop. Listing again is for reconnecting, and once in five minutes.
//! 4. The kubelet holds no state that it cannot read back: from the API server, from the labels on
//!    sandboxes and containers, and from its pod directories.
//! 5. The API server being away changes nothing for pods that run; they restart by their policy, and
//!    the last status of each pod is sent when it is back.
//! 6. A pod object is deleted at the API server only after its containers, sandboxes, volumes and
//!    directories are gone, and only under its uid.
//!
//! ## Left out, compared with the real kubelet
//!
//! Besides what the heart lists: `hostPort` is handed to the runtime but not checked for conflicts;
//! the server asks for a client certificate of the right authority but does not ask the API server
//! whether its owner may (`SubjectAccessReview`); `/metrics` and `/stats`; log rotation; secrets lie
//! in a directory and not in memory. To read on: `pkg/kubelet/kubelet.go` (`Run`, `syncLoop`),
//! `pkg/kubelet/pod_workers.go`, `pkg/kubelet/server/server.go`.

#[cfg(feature = "lab")]
pub use kubelet_lab as heart;
#[cfg(not(feature = "lab"))]
pub use kubelet_solution as heart;

mod args;
mod asks;
mod config;
mod cri;
mod ctx;
mod disk;
mod kubelet;
mod listen;
mod logs;
mod machine;
mod node;
mod notify;
mod pod;
mod prepare;
mod prober;
mod refs;
mod registry;
mod server;
mod start;
mod statuses;
mod stop;
mod stream;

pub use args::Args;
pub use kubelet::run;
