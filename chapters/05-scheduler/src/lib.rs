//! # The scheduler process
//!
//! The decisions are in the core ([`heart`]); this is what stands around it: two watches,
//! one loop, and the requests that carry a decision to the API server.
//!
//! ```text
//!   informer: pods ──┐                            ┌──► POST …/pods/x/binding
//!   informer: nodes ─┼─► Event ─► heart::Scheduler ┤
//!   timer ───────────┤                            └──► event, PATCH …/pods/x/status
//!   requests' ends ──┘◄─────────────────────────────────────┘
//! ```
//!
//! ## Invariants
//! 1. Nothing is decided before both watches have delivered everything that existed at the
//!    start: a node looks empty until its pods are known.
//! 2. The loop never waits for a request. Requests run beside it, at most
//!    [`IN_FLIGHT`] of them; when there are more decisions than that, deciding waits.
//! 3. Each binding is reported back exactly once. If no answer came, the pod is read until
//!    one does: the API server may have taken the binding, and until that is known
//!    the room stays taken.
//! 4. Nothing is kept on disk. A scheduler that starts again reads what is bound and goes on
//!    with the rest.
//!
//! ## Left out, compared with kube-scheduler
//! Leader election, the configuration file (`KubeSchedulerConfiguration`; one of its
//! settings is here as `--scoring-strategy`), metrics and health endpoints.

use std::path::PathBuf;

use heart::{Packing, Profile, Scheduler};
use informer::{Client, EventRecorder, Informer, Query};

#[cfg(feature = "lab")]
pub use scheduler_lab as heart;
#[cfg(not(feature = "lab"))]
pub use scheduler_solution as heart;

mod apply;
mod run_loop;

pub use apply::IN_FLIGHT;

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// How to reach the API server, and as whom.
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// How nodes are filled: LeastAllocated (worst fit), MostAllocated (best fit) or Hybrid.
    #[arg(long, default_value = "LeastAllocated")]
    pub scoring_strategy: Packing,
}

/// Places pods until the process is told to end.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let client = Client::from_kubeconfig(&args.kubeconfig)?.called("kube-scheduler");
    let name = heart::pod::DEFAULT_SCHEDULER;
    let recorder = EventRecorder::new(client.clone(), name, None);
    let scheduler = Scheduler::new(name, Profile::new(args.scoring_strategy));
    let pods = Informer::start(&client, Query::default());
    let nodes = Informer::start(&client, Query::default());
    run_loop::run(scheduler, client, recorder, pods, nodes).await
}
