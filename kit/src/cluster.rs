//! The verbs that `coracle` itself answers: everything after the verb is its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cargo;
use crate::place::Place;

/// Becomes `coracle VERB ARGS`, of the cluster that was started last.
pub fn hand_over(place: &Place, verb: &str, rest: &[OsString]) -> Result<ExitCode> {
    become_program(place.coracle()?.arg(verb).args(rest))
}

/// `down` and `reset`, for which there may be nothing to do.
pub fn stop(place: &Place, verb: &str, rest: &[OsString]) -> Result<ExitCode> {
    if place.home.join("bin/coracle").exists() {
        return hand_over(place, verb, rest);
    }
    println!("There is no cluster in {}.", place.home.display());
    Ok(ExitCode::SUCCESS)
}

/// Images can be made before the first cluster is.
pub fn image(place: &Place, rest: &[OsString]) -> Result<ExitCode> {
    let mut coracle = match place.coracle() {
        Ok(coracle) => coracle,
        Err(_) => place.command(cargo::build_coracle(place, false)?),
    };
    become_program(coracle.arg("image").args(rest))
}

pub fn become_program(command: &mut Command) -> Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    Err(command.exec()).with_context(|| format!("cannot run {program}"))
}
