pub use runtime_solution as heart;

/// CRI v1, client and server, generated from `proto/api.proto`.
pub mod cri {
    #![allow(clippy::all, missing_docs, deprecated)]
    tonic::include_proto!("runtime.v1");
}

mod cgroup;
pub mod cni;
mod convert;
mod forward;
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
