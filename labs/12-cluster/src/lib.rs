//! The core of chapter 12: everything that must be *decided* before a cluster can stand, as values.
//!
//! # The problem
//!
//! A cluster is a dozen programs that trust each other, find each other, and outlive each other's
//! deaths. Before the first of them starts, somebody has to know who may speak as whom, who lives
//! at which address, what each machine's file system looks like, which flags each program gets,
//! and what to do when one dies. kubeadm, kind and systemd share this work in the real world.
//! Here it is four small questions, each answered by a pure function or a state machine:
//!
//! ```text
//!   addresses ─┬─> certificates   who may say what he is        (steps 1, 2)
//!              ├─> mounts         what a machine can see        (step 3)
//!              └─> commands ──┐   how each program is started   (step 5)
//!                             v
//!   deaths, time, wishes ─> supervision ─> Spawn, Signal        (step 4)
//! ```
//!
//! The shell (chapters/12-cluster) makes the keys, mounts the mounts, and runs the programs.
//!
//! # Invariants
//!
//! 1. **A name is proved by a certificate.** The API server believes the common name (user) and the
//!    organisations (groups) of a client certificate that the cluster's authority signed. No two
//!    components share one (the proxies of all nodes are one, as upstream), and a kubelet's key
//!    never leaves its node.
//! 2. **Three authorities.** What the store trusts is signed by its own authority, so that a
//!    cluster certificate, even the administrator's, opens nothing in the store. What the servers behind
//!    the API server trust is signed by another, so that nobody else can pass on a request in a third
//!    one's name.
//! 3. **A server's certificate names every address by which it is reached**, in `subjectAltName`;
//!    the common name is not looked at.
//! 4. **Nothing that a node may write lies outside the cluster's home.** Every writable bind mount
//!    of a node has its source below the home; everything else is read-only or memory.
//! 5. **A mount never hides what an earlier step made**, and finds its mount point made by one.
//! 6. **A unit that dies is started again**, at once the first time, then with doubling pauses up to
//!    a bound; a unit that was stopped on purpose is not. At most one process of a unit lives.
//! 7. **What others depend on stops last**: the store after the API server, the API server after
//!    its clients.
//! 8. **The same plan from the same input**: no clock, no randomness, no environment.
//!
//! # What is left out, and where to read it
//!
//! - Renewal of certificates, and signing requests (`certificates.k8s.io`): kubeadm's
//!   `app/phases/certs`, the kubelet's `pkg/kubelet/certificate`.
//! - Dependencies between units, sockets, timers: `systemd.unit(5)`. Restarting with back-off is
//!   `RestartSteps=` in `systemd.service(5)`.
//! - Joining from another machine with a bootstrap token: kubeadm's `app/phases/bootstraptoken`.

pub mod addresses;
pub mod certificates;
pub mod commands;
pub mod mounts;
pub mod supervision;

pub use addresses::{AddressPlan, Cidr, Node};

/// What can be wrong with a wish for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("{text:?} is no IPv4 network; write it as 10.89.0.0/24")]
    NotACidr { text: String },
    #[error("{asked} nodes do not fit into {network}: at most {most}")]
    TooManyNodes { asked: u32, most: u32, network: String },
    #[error("a cluster needs at least one node")]
    NoNodes,
    #[error("{text:?} is no setting; write COMPONENT.flag=value, for example kubelet.max-pods=50")]
    NotASetting { text: String },
    #[error("there is no component {component:?}; the components are {known}")]
    UnknownComponent { component: String, known: String },
}
