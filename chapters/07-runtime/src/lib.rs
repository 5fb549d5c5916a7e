//! # The container runtime
//!
//! A kubelet says "run this pod" over CRI; this chapter makes it so with nothing but the kernel.
//! The heart (solutions/07-runtime) decides which namespaces, mounts, limits and routes to ask for;
//! the shell here asks, and keeps what must live on when this process does not.
//!
//! ```text
//! kubelet ── CRI (gRPC, Unix socket) ──► runtime ─┬─ images      OCI layout, unpacked layers
//!                                                 ├─ CNI plugin  a program, run for each pod
//!                                                 └─ shim ───┬── pause      holds the namespaces
//!                      one for each pod, nobody's child      ├── container  ► log file
//!                                                            └── container
//! ```
//!
//! ## Where things are
//! | file | what |
//! |---|---|
//! | `server.rs` | the process: its loop over `Event`, and finding again what an earlier run left |
//! | `service/` | CRI's calls by subject; `image_service.rs` those about images |
//! | `state.rs` | records in memory and on disk |
//! | `convert.rs` | CRI's words to the heart's `ContainerSpec` |
//! | `shim/` | the shim: `mod.rs` its loop, `spawn.rs` the fork, `child.rs` from fork to execve |
//! | `sys.rs`, `cgroup.rs`, `netlink.rs` | plans carried out by the kernel |
//! | `images/` | the image store, imports, archives, unpacking |
//! | `network.rs`, `cni.rs`, `routes.rs` | calling plugins; our plugin; routes between nodes |
//! | `stream/` | exec, attach and port-forward, over WebSocket and SPDY |
//!
//! ## Invariants
//! 1. Killing the runtime kills nothing and loses nothing: processes belong to shims, ends are on
//!    disk before they are told, and a new runtime asks every shim how things are.
//! 2. What a container is follows from records that are written once (`container.json`, `started`,
//!    `exit.json`); no state is kept in two places.
//! 3. Nobody hears of an end before the start, and an end is told after the last log line.
//! 4. Whatever can be repeated by a kubelet (stop, remove, DEL) may be repeated.
//! 5. The state is never locked while waiting; a slow pod holds up no other.
//! 6. All unsafe code is here, in calls that the heart's plans name, each with its reason.
//!
//! ## Left out, and where to read it
//! Seccomp and AppArmor profiles are accepted and not applied (containerd `pkg/cri/opts`); image
//! pulls from registries (images are imported into the layout); host ports (the CNI portmap
//! plugin); user namespaces per pod; image volumes; checkpoints; pod-level figures.
//! Unpacked layers are never collected. The models: containerd's `internal/cri/server` for the
//! calls, its `core/runtime/v2` for shims, runc for the rest.

#[cfg(feature = "lab")]
pub use runtime_lab as heart;
#[cfg(not(feature = "lab"))]
pub use runtime_solution as heart;

/// CRI v1, client and server, generated from `proto/api.proto`.
pub mod cri {
    #![allow(clippy::all, missing_docs, deprecated)]
    tonic::include_proto!("runtime.v1");
}

mod cgroup;
pub mod cni;
mod convert;
mod image_service;
pub mod images;
mod netlink;
mod network;
pub mod routes;
mod server;
mod service;
pub mod shim;
mod shim_client;
mod state;
mod stream;
mod sys;

use std::path::Path;
use std::process::ExitCode;

pub use server::{Args, run};

/// Programs inside this one that must start before any thread, log or tokio does: the CNI plugin
/// (by its own name) and the shim. Call it first thing in `main`; `Some` is the exit code.
pub fn early_dispatch() -> Option<ExitCode> {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    if Path::new(&program).file_name().is_some_and(|name| name == "coracle-ptp") {
        return Some(cni::main());
    }
    match words.next().as_deref() {
        Some("shim") => {}
        Some("cni") => return Some(cni::main()),
        _ => return None,
    }
    let mut id = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--id" => id = words.next(),
            // Anything else (`--help`) is for those who explain commands.
            _ => return None,
        }
    }
    Some(shim::main(shim::Args { id: id? }))
}
