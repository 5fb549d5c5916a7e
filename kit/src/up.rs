//! `cargo kit up`: builds, and starts the cluster.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::{cargo, setup};

#[derive(clap::Args, Default)]
pub struct Args {
    /// How many nodes [default: as many as last time, or 2]
    #[arg(long)]
    nodes: Option<u32>,
    /// Build with optimisation: slower to build, and smaller and faster to run
    #[arg(long)]
    release: bool,
    /// More flags for `coracle up`
    #[arg(last = true)]
    more: Vec<String>,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    setup::ensure(place)?;
    let coracle = cargo::build_coracle(place, args.release)?;
    let mut up = place.command(&coracle);
    up.arg("up");
    if let Some(nodes) = args.nodes {
        up.args(["--nodes", &nodes.to_string()]);
    }
    let status = up.args(&args.more).status().with_context(|| format!("cannot run {}", coracle.display()))?;
    if !status.success() {
        bail!("the cluster did not come up ({status}); the logs are in {}", place.logs().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// For the demo: two nodes, and nothing special.
pub fn two_nodes() -> Args {
    Args { nodes: Some(2), ..Args::default() }
}
