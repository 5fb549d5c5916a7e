//! The verbs that `coracle` itself answers: everything after the verb is its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::place::{Place, program};

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
        Err(_) => place.command(cargo::build_coracle(place, false, &[])?),
    };
    become_program(coracle.arg("image").args(rest))
}

/// The real etcdctl; `coracle` knows the store's address and certificates.
pub fn etcdctl(place: &Place, rest: &[OsString]) -> Result<ExitCode> {
    if program("etcdctl").is_none() {
        bail!("etcdctl is not installed: `cargo kit setup` does that, or says how");
    }
    // `cargo kit etcdctl -- get …` is as good as without the dashes.
    let rest = if rest.first().is_some_and(|first| first == "--") { &rest[1..] } else { rest };
    hand_over(place, "etcdctl", rest)
}

fn become_program(command: &mut Command) -> Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    Err(command.exec()).with_context(|| format!("cannot run {program}"))
}
