//! Cargo, and what it builds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::place::Place;

pub fn command(place: &Place) -> Command {
    let mut command = place.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&place.root);
    // Cargo tells these to the kit alone; a test that we start must not take the kit's for its own.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") {
            command.env_remove(name);
        }
    }
    command
}

/// What a build made that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub target: String,
    pub executable: PathBuf,
    /// The folder of its package.
    pub folder: PathBuf,
}

/// The message of cargo's that matters here; it has many more fields.
#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Runs cargo with `args`, showing its own progress, and returns what can be run.
pub fn build(place: &Place, args: &[&str]) -> Result<Vec<Artifact>> {
    let mut command = command(place);
    command.args(args).args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed", args.join(" "));
    }
    Ok(artifacts(&String::from_utf8_lossy(&output.stdout)))
}

/// The program `coracle`, built; `mine` names the chapters whose core is the student's.
pub fn build_coracle(place: &Place, release: bool, mine: &[String]) -> Result<PathBuf> {
    let mut args = vec!["build", "--package", "cluster"];
    let features = mine.iter().map(|number| format!("lab-{number}")).collect::<Vec<_>>().join(",");
    if !features.is_empty() {
        args.extend(["--features", &features]);
    }
    if release {
        args.push("--release");
    }
    let artifacts = build(place, &args)?;
    let coracle = artifacts.into_iter().find(|artifact| artifact.target == "coracle");
    Ok(coracle.context("cargo did not name the program that it built")?.executable)
}

fn artifacts(messages: &str) -> Vec<Artifact> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| {
            Some(Artifact {
                target: message.target?.name,
                executable: message.executable?,
                folder: message.manifest_path.as_deref().and_then(Path::parent)?.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_artifacts_that_run_are_taken() {
        let messages = r#"
            {"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","target":{"name":"a"},"executable":null}
            not json
            {"reason":"compiler-artifact","manifest_path":"/w/b/Cargo.toml","target":{"name":"b"},"executable":"/t/b"}
            {"reason":"build-finished","success":true}
        "#;
        let expected = Artifact { target: "b".into(), executable: "/t/b".into(), folder: "/w/b".into() };
        assert_eq!(artifacts(messages), [expected]);
    }
}
