//! `cargo kit lab N`: what a chapter's lab asks, and where to begin.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::place::Place;

#[derive(clap::Args)]
pub struct Args {
    /// A chapter or a step: 5, 05-scheduler, 5.2
    target: crate::chapters::Target,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let _ = (place, args);
    bail!("this command is being built")
}
