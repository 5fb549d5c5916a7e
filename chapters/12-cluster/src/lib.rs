//! # The last chapter: one program, one sandbox, a whole cluster
//!
//! ## The problem
//!
//! A Kubernetes needs machines, a network between them, identities, and somebody who starts its
//! programs again when they die. A laptop has one machine, and its owner wants nothing changed on
//! it: no daemon, no bridge, no rule, no file outside one folder, and nothing left when it is over,
//! even when it is over because somebody pulled the plug. Nor does he want to be root.
//!
//! Linux has what it takes: namespaces. A process that is PID 1 of a PID namespace takes everything
//! in it along when it ends; links, rules and mounts of its other namespaces end with their last
//! process. So the cluster is the family of one process.
//!
//! ```text
//!  host      coracle up ──starts──> guard ──clone──┐      127.0.0.1:6443  127.0.0.1:2379
//!            (prints, watches,      (waits, then   │            │               │
//!             returns)               sweeps)       │      listening sockets, opened outside
//!  ────────────────────────────────────────────────┼────────────┼───────────────┼───────────
//!  sandbox   user? mount pid net uts ipc cgroup    v            │               │
//!            PID 1 `coracle sandbox` ── supervises ──> apiserver, store, scheduler,
//!              │    control socket <── status, node stop…       controller-manager
//!              │
//!              │  bridge coracle0 10.89.0.1/24: the machine room. No route leads out.
//!              ├───────────────────────────────┬──────────────────────── …
//!  nodes       │ clone: mount pid net uts ipc  │
//!            node-1 10.89.0.11               node-2 10.89.0.12
//!            PID 1 `coracle init`            PID 1 `coracle init`
//!              └─ runtime, kubelet,            └─ the same
//!                 kube-proxy, node-routes
//!                   └─ shims ─> pods
//! ```
//!
//! ## Where to begin reading
//!
//! `main` dispatches. [`up`] prepares and starts; [`guard`] makes the namespaces; [`sandbox`] and
//! [`init`] are the two PID 1s, each one loop over an `enum Event`; what they have in common is in
//! [`programs`]. What they decide, they ask of [`heart`].
//!
//! ## Invariants
//!
//! 1. **Nothing of the host changes, and nothing stays**: every mount is made after all mounts of
//!    the namespace became private, every link and rule in a network namespace of our own, every
//!    file below the home. What the kernel does not take back by itself, control groups and run
//!    files, the guard removes; when the guard was killed, the next `up`, `down` or `reset` does.
//! 2. **PID 1 is the cluster.** No process of it outlives PID 1, and killing any other process
//!    ends no more than that process (a node's init: that node).
//! 3. **No route leads out.** No namespace here has a default route, or a link to the host.
//! 4. **The sockets outlive the servers.** PID 1 holds what the host connects to, so that a client
//!    that comes while the API server restarts waits, and is not refused.
//! 5. **A restart changes nothing but the process**: same binary (the copy in the home), same
//!    command line, same log.
//! 6. **A node writes nowhere but below the home and into memory** (the mount plan's law).
//! 7. **Nobody polls.** `up` sleeps until the sandbox or the API server says something.
//! 8. **An ordinary user has the same cluster**, apart from what the kernel keeps from him; what
//!    is not enforced is said by `status`.
//!
//! ## What is left out, and where to read it
//!
//! - Machines that are machines: `kubeadm join` with a bootstrap token (kubeadm's
//!   `cmd/phases/join`), and several control planes.
//! - What kind does with a container image for each node, we do with the host's own `/usr`,
//!   read-only: kind's `pkg/cluster/internal/providers`.
//! - Unprivileged networks with a way out (slirp4netns, pasta) as in rootless Docker: ours has no
//!   way out on purpose.
//! - Log rotation beyond one old file; resource limits for the components themselves.
//! - A whole init: `systemd`, or the small `tini` and `catatonit` that containers use.

#[cfg(feature = "lab")]
pub use cluster_lab as heart;
#[cfg(not(feature = "lab"))]
pub use cluster_solution as heart;

pub mod cgroups;
pub mod control;
pub mod down;
pub mod elf;
pub mod enter;
pub mod guard;
pub mod home;
pub mod ids;
pub mod images;
pub mod init;
pub mod logs;
pub mod mine;
pub mod mounts;
pub mod network;
pub mod pause;
pub mod pki;
pub mod processes;
pub mod programs;
pub mod ready;
pub mod sandbox;
pub mod status;
pub mod sys;
pub mod up;
pub mod web;
