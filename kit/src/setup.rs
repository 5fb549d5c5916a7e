//! `cargo kit setup`: installs what is missing, where that is allowed; otherwise says the one line to
//! run, and lets everything go on that works without.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use crate::needs::{Need, missing};
use crate::place::{Place, is_root, program};
use crate::say;

pub fn run(place: &Place) -> Result<ExitCode> {
    if ensure(place)? {
        println!("Everything that Coracle uses is here. `cargo kit doctor` looks closer.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing. Whether all is there in the end; an error if the cluster cannot work.
pub fn ensure(place: &Place) -> Result<bool> {
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(true);
    }
    if program("apt-get").is_none() {
        println!("Missing here, and this is neither Debian nor Ubuntu, so please install by hand:");
        wanted.iter().for_each(|need| describe(need));
    } else if !is_root() {
        println!("Missing here:");
        wanted.iter().for_each(|need| describe(need));
        println!(
            "To install, run:  {}",
            say::bold(&format!("sudo apt-get install -y {}", packages(&wanted)))
        );
    } else {
        install(place, &wanted);
    }
    let still = missing();
    for need in &still {
        if need.program == "kubectl" {
            println!("Without kubectl: see https://kubernetes.io/docs/tasks/tools/ (1.32 is a good choice).");
        }
    }
    let vital: Vec<&str> = still.iter().filter(|need| need.vital).map(|need| need.program).collect();
    if !vital.is_empty() {
        bail!("the cluster cannot work without {}", vital.join(" and "));
    }
    Ok(still.is_empty())
}

fn describe(need: &Need) {
    println!("    {:<10} {}", need.program, need.why);
}

fn packages(needs: &[&Need]) -> String {
    needs.iter().map(|need| need.package).collect::<Vec<_>>().join(" ")
}

fn install(place: &Place, wanted: &[&Need]) {
    // On a fresh machine no list of packages was fetched yet, or an old one.
    if let Err(why) = apt(place, &["update"]) {
        println!("{} {why:#}", say::yellow("apt-get update:"));
    }
    for need in wanted {
        println!("Installing {}: {}", say::bold(need.package), need.why);
        if let Err(why) = apt(place, &["install", "--yes", "--no-install-recommends", need.package]) {
            println!("    {} {why:#}", say::yellow("did not work:"));
        }
    }
}

fn apt(place: &Place, args: &[&str]) -> Result<()> {
    let mut apt: Command = place.command("apt-get");
    apt.arg("-qq").args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    say::run(&mut apt).map(drop)
}
