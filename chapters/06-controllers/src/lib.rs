//! # The controller manager
//!
//! What should be done is in the core ([`heart`]); this process watches, queues keys, asks
//! the core for a plan, and carries it out.
//!
//! ```text
//!   informers ─► Event ─► manager loop ─► work queues ─► workers: plan(cache) ─► requests
//!                              │               ▲                        │
//!                              └─ expectations └── again: back-off, or at a time
//! ```
//!
//! ## Reading order
//! [`manager`] (the loop: every trigger on one page), [`driver`] (queue, plan, apply, again),
//! [`context`] (caches and the client), then one file for each controller.
//!
//! ## Invariants
//! 1. No controller plans before every cache holds what existed at the start.
//! 2. A key is never worked on twice at once, so that a controller needs no locks of its own.
//! 3. Before a key is planned, the cache has shown what the key wrote last.
//! 4. Everything is woken by watches. Timers serve only what is about time: grace
//!    periods, deadlines, back-off.
//! 5. Nothing is kept on disk. A manager that starts again reads the caches and goes on.
//!
//! ## Left out, compared with kube-controller-manager
//! Leader election, metrics and health endpoints, `--controllers` to choose from them.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "lab")]
pub use controllers_lab as heart;
#[cfg(not(feature = "lab"))]
pub use controllers_solution as heart;

pub mod accounts;
pub mod budgets;
pub mod context;
pub mod deployments;
pub mod driver;
pub mod endpoints;
pub mod evictions;
pub mod garbage;
pub mod manager;
pub mod namespaces;
pub mod nodes;
pub mod owned;
pub mod pod_gc;
pub mod quotas;
pub mod replica_sets;
pub mod triggers;

fn duration(text: &str) -> Result<Duration, String> {
    objects::duration::parse_go(text).map_err(|error| error.to_string())
}

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// How to reach the API server, and as whom.
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// Give every node its part of the pod network.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub allocate_node_cidrs: bool,
    /// The pod network.
    #[arg(long, default_value = "10.244.0.0/16")]
    pub cluster_cidr: String,
    /// How large a node's part is.
    #[arg(long, default_value_t = 24)]
    pub node_cidr_mask_size: u8,
    /// How often silent nodes are looked for.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub node_monitor_period: Duration,
    /// How long a node may be silent.
    #[arg(long, default_value = "40s", value_parser = duration)]
    pub node_monitor_grace_period: Duration,
    /// The same for a node that has never said how it is.
    #[arg(long, default_value = "1m0s", value_parser = duration)]
    pub node_startup_grace_period: Duration,
    /// Nodes a second whose pods may begin to be evicted.
    #[arg(long, default_value_t = 0.1)]
    pub node_eviction_rate: f64,
    /// Published to every namespace as the ConfigMap kube-root-ca.crt.
    #[arg(long)]
    pub root_ca_file: Option<PathBuf>,
}

/// Runs all controllers until the process is told to end.
pub async fn run(args: Args) -> anyhow::Result<()> {
    manager::run(args).await
}
