//! # kube-proxy, the shell: watch, compute, restore
//!
//! The core ([`heart`]) says which rules a cluster means. This crate keeps a node's kernel in step
//! with it: it watches Services and EndpointSlices, and hands the difference to `iptables-restore`.
//!
//! ```text
//!   API server --watch--> Informer<Service>        \
//!                                                   >  one loop over Event  -->  Job  --> a thread that
//!   API server --watch--> Informer<EndpointSlice>  /        ^      (what to restore)      runs iptables
//!                                                           |                                |
//!                     Pace: at once, joined, periodic ------'---------------- Event::Synced -'
//! ```
//!
//! ## Invariants
//! 1. **No rule is written before both informers have told everything.** A half-known cluster would
//!    delete the chains of the half that is not known yet, in the middle of traffic. So a restart
//!    changes nothing until it knows all, and then changes only what is different.
//! 2. **One writer, one job at a time.** Changes that come while iptables runs are joined into the
//!    next job.
//! 3. **What is remembered is what was written.** The memory of the kernel's contents is replaced
//!    only after a restore succeeded; after a failure, and every `--iptables-sync-period`, nothing is
//!    assumed: chains are listed, everything of ours is written anew, jumps are checked. That repairs
//!    what somebody else deleted.
//! 4. **Bulk rules go through one `iptables-restore --noflush`**: atomic for each table, and silent
//!    about chains that are not ours. Only the jumps out of the kernel's own chains are single rules.
//! 5. **An end leaves the rules in place.** Traffic goes on without kube-proxy; only changes wait.
//!
//! ## What is left out, and where to read it
//! Upstream is `cmd/kube-proxy/app` and `pkg/proxy/iptables/proxier.go`. Left out: the health and
//! metrics servers, IPv6, the Node watch (upstream needs it for topology hints, node IPs and the
//! health check of terminating nodes; our rules match local addresses by `--dst-type LOCAL`), limits
//! of the connection table, and the other modes: ipvs, nftables, and userspace, which later serves
//! hosts without iptables.

#[cfg(feature = "lab")]
pub use kube_proxy_lab as heart;
#[cfg(not(feature = "lab"))]
pub use kube_proxy_solution as heart;

pub mod kernel;
mod proxy;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use informer::{Client, Informer, Query};
use objects::duration::parse_go;

use crate::kernel::Kernel;
use crate::proxy::Proxy;

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// How to reach the API server.
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// This node's name, if it is not the host's.
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// The pod network: traffic to a cluster IP from anywhere else is masqueraded.
    #[arg(long, default_value = "10.244.0.0/16")]
    pub cluster_cidr: heart::Cidr,
    #[arg(long, default_value = "iptables")]
    pub proxy_mode: String,
    /// How often everything is written again, whether or not something changed.
    #[arg(long, value_parser = parse_go, default_value = "30s")]
    pub iptables_sync_period: Duration,
    /// The shortest time between two syncs; changes in between are joined. (Upstream: 1s.)
    #[arg(long, value_parser = parse_go, default_value = "100ms")]
    pub iptables_min_sync_period: Duration,
}

/// Serves until SIGTERM or SIGINT. The rules stay.
pub async fn run(args: Args) -> Result<()> {
    if args.proxy_mode != "iptables" {
        bail!("--proxy-mode {}: only iptables is there as yet", args.proxy_mode);
    }
    let node_name = match args.hostname_override {
        Some(name) => name,
        None => nix::unistd::gethostname()?.to_string_lossy().trim().to_lowercase(),
    };
    let kernel = Kernel::open()?;
    kernel::forward_packets();
    let client = Client::from_kubeconfig(&args.kubeconfig)
        .with_context(|| format!("cannot use the kubeconfig {}", args.kubeconfig.display()))?
        .called("kube-proxy");
    let services = Informer::start(&client, Query::default());
    // Slices of headless Services are for DNS; nobody's packets need them.
    let slices = Informer::start(
        &client,
        Query {
            label_selector: Some(
                "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name".to_owned(),
            ),
            ..Query::default()
        },
    );
    let config = heart::Config { cluster_cidr: Some(args.cluster_cidr) };
    let pace = heart::Pace::new(args.iptables_min_sync_period, args.iptables_sync_period);
    tracing::info!(node = node_name, "kube-proxy starts");
    Proxy::new(kernel, services, slices, node_name, config, pace).run().await
}
