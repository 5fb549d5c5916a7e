//! `cargo kit bench store`: our store beside etcd, in the same run on the same disk.
//!
//! The work is done by the program `bench` (tests/bench), which speaks etcd's protocol and knows no
//! chapter. Here both programs are built, as fast as they can be, and started.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cargo;
use crate::place::Place;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The store beside etcd: puts, reads, compare-and-swap, watchers, memory, start
    Store(Store),
}

#[derive(clap::Args)]
struct Store {
    /// Compare with the store at this URL (of its members: with commas between them) instead of an
    /// etcd that is started here. Its keys under /bench/ and /watched/ are overwritten
    #[arg(long, value_name = "URL")]
    peer: Option<String>,
    /// Members of each store
    #[arg(long, default_value_t = 1)]
    members: usize,
    /// One short run of each measure: a minute instead of five
    #[arg(long)]
    quick: bool,
    /// Only measures whose name has this in it: puts, watchers, memory, start, …
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
}

pub fn run(place: &Place, Args { what: What::Store(args) }: &Args) -> Result<ExitCode> {
    let built = cargo::build(place, &["build", "--release", "--package", "cluster", "--package", "bench"])?;
    let program = |name: &str| -> Result<PathBuf> {
        let artifact = built.iter().find(|artifact| artifact.target == name);
        Ok(artifact.with_context(|| format!("cargo did not name the program {name}"))?.executable.clone())
    };
    let bench = program("bench")?;
    // On the disk of the workspace: a temporary folder may be memory.
    let folder = bench.with_file_name("bench-data");
    let mut command = place.command(&bench);
    command.arg("compare").arg("--coracle").arg(program("coracle")?).arg("--folder").arg(folder);
    command.args(["--members", &args.members.to_string()]);
    if let Some(peer) = &args.peer {
        command.args(["--peer", peer]);
    }
    if let Some(only) = &args.only {
        command.args(["--only", only]);
    }
    if args.quick {
        command.arg("--quick");
    }
    let status = command.status().with_context(|| format!("cannot run {}", bench.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
