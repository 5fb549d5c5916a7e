//! mdBook: found, or installed for this workspace alone.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::place::{Place, program};
use crate::{cargo, say};

const VERSION: &str = "0.5.4";

/// The one in `target/tools`, or one on the path that is as new; otherwise it is installed.
pub fn find_or_install(place: &Place) -> Result<PathBuf> {
    let tools = place.root.join("target/tools");
    let ours = tools.join("bin/mdbook");
    // Its pages are worked on further, so that a version with other pages will not do.
    let (series, _) = VERSION.rsplit_once('.').context("three numbers")?;
    if version(place, &ours).is_some_and(|version| version == VERSION) {
        return Ok(ours);
    }
    if let Some(theirs) = program("mdbook")
        && version(place, &theirs).is_some_and(|version| version.starts_with(&format!("{series}.")))
    {
        return Ok(theirs);
    }
    install(place, &tools)?;
    Ok(ours)
}

fn version(place: &Place, mdbook: &Path) -> Option<String> {
    let said = say::run(place.command(mdbook).arg("--version")).ok()?;
    Some(said.trim().rsplit('v').next()?.to_owned())
}

fn install(place: &Place, tools: &Path) -> Result<()> {
    println!(
        "The book needs mdBook {VERSION}. Installing it from crates.io into target/tools, for this workspace \
         alone:\nabout a minute on two cores, once."
    );
    let start = Instant::now();
    let build = tools.join("build-mdbook");
    let mut cargo = cargo::command(place);
    // Without optimisation, its own server and its watcher: the book takes a second to build either way.
    cargo.args(["install", "--quiet", "--locked", "--version", VERSION, "--debug", "--root"]).arg(tools);
    cargo.args(["--no-default-features", "--features", "search", "mdbook"]);
    cargo.env("CARGO_TARGET_DIR", &build).env("CARGO_PROFILE_DEV_DEBUG", "0").stdin(Stdio::null());
    let status = cargo.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("mdBook cannot be installed; an `mdbook` {VERSION} on your path will do, too");
    }
    std::fs::remove_dir_all(&build).with_context(|| build.display().to_string())?;
    println!("mdBook is installed ({}).", say::time(start.elapsed()));
    Ok(())
}

/// Builds the book; what mdBook warned of.
pub fn build(place: &Place, mdbook: &Path) -> Result<Vec<String>> {
    let mut command = place.command(mdbook);
    command.arg("build").arg(place.root.join("book")).env_remove("RUST_LOG").env_remove("MDBOOK_LOG");
    let output = command.output().with_context(|| format!("cannot run {}", mdbook.display()))?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("mdBook cannot build the book: {}", said.trim());
    }
    Ok(warnings(&said))
}

/// mdBook ends well even when a file to include is not there, and only says so.
fn warnings(said: &str) -> Vec<String> {
    let loud = |line: &&str| ["WARN", "ERROR"].iter().any(|word| line.trim_start().starts_with(word));
    said.lines().filter(loud).map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mdbook_is_not_content_though_it_ends_well() {
        let said = " INFO Book building has started\nERROR Error updating x\n WARN Caused By: y\n";
        assert_eq!(warnings(said), ["ERROR Error updating x", "WARN Caused By: y"]);
    }
}
