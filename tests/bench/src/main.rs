//! # How fast is a store?
//!
//! A load generator that speaks plain etcd, so that any etcd can be measured, and a judge that
//! starts two of them and measures both in turns.
//!
//! ```text
//!   bench measure --endpoints URL        one store that runs already
//!   bench compare --coracle PROGRAM …    ours beside etcd: what `cargo kit bench store` calls
//! ```
//!
//! The generator has one thread, and shares the processors with the server that it measures. So it
//! speaks HTTP/2 and protobuf by hand (`http2.rs`, `wire.rs`), and costs a few microseconds a call.
//! Calls are closed loops: a client asks again when it has its answer. What it cannot do: TLS, and
//! reading the server's headers, so a refusal is seen, but not its reason.

mod clients;
mod compare;
mod disk;
mod figures;
mod http2;
mod load;
mod measures;
mod members;
mod system;
mod table;
mod watchers;
mod wire;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::system::System;

#[derive(Parser)]
#[command(name = "bench", about = "Measures stores that speak etcd's API", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measure a store that runs already
    Measure(Args),
    /// Start two stores and measure them in turns
    Compare(compare::Args),
}

#[derive(clap::Args)]
struct Args {
    /// Client URLs of all members
    #[arg(long, value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    /// Processes whose processor time counts
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    /// Of each measure, in seconds
    #[arg(long, default_value_t = 3.0)]
    time: f64,
    /// Only measures whose name has this in it: puts, watchers, …
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> Result<()> {
    match Cli::parse().verb {
        Verb::Measure(args) => measure(&args),
        Verb::Compare(args) => compare::run(&args),
    }
}

fn measure(args: &Args) -> Result<()> {
    let system = System::at(&args.endpoints, &args.pid)?;
    load::fill(&system, load::KEYS, load::VALUE_BYTES)?;
    for measure in measures::ALL {
        let name = measure.to_string();
        if name.contains(&args.only) {
            table::single(&name, &measure.run(&system, Duration::from_secs_f64(args.time))?);
        }
    }
    Ok(())
}
