//! Cargo, and what it builds.

use std::io::{BufRead, BufReader};
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
    /// It runs tests.
    pub is_test: bool,
}

/// The message of cargo's that matters here; it has many more fields.
#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    message: Option<Said>,
}

#[derive(Deserialize)]
struct Said {
    level: String,
    rendered: Option<String>,
    /// A remark without a place is the compiler's farewell, as `aborting due to 2 previous errors`.
    #[serde(default)]
    spans: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Something that the compiler has to say about the code of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    pub is_error: bool,
    /// As the compiler would have printed it.
    pub text: String,
    /// The folder of the package.
    pub folder: PathBuf,
}

/// A build of which nothing was shown.
#[derive(Debug, Default)]
pub struct Quiet {
    pub succeeded: bool,
    pub artifacts: Vec<Artifact>,
    pub remarks: Vec<Remark>,
    /// What cargo itself said.
    pub said: String,
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

/// Runs cargo with `args`, and shows nothing: `now` hears what it is about.
pub fn build_quietly(place: &Place, args: &[&str], colour: bool, now: &mut dyn FnMut(&str)) -> Result<Quiet> {
    let mut command = command(place);
    let format = if colour { "json-diagnostic-rendered-ansi" } else { "json" };
    command.args(args).args(["--message-format", format, "--color", "never"]);
    // Cargo writes whole lines to either stream; on one pipe they need one reader.
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("cannot run cargo")?;
    // The command holds the writing end, and as long as somebody does, the reading never ends.
    drop(command);
    let mut quiet = Quiet::default();
    let mut messages = String::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        if line.starts_with('{') {
            messages += &line;
            messages.push('\n');
            continue;
        }
        match line.trim_start().split_once(' ') {
            Some(("Compiling", package)) => {
                now(&format!("compiling {}", package.split(' ').next().unwrap_or(package)));
            }
            Some(("Blocking" | "Downloading" | "Downloaded" | "Updating", _)) => now(line.trim()),
            _ => {}
        }
        quiet.said += &line;
        quiet.said.push('\n');
    }
    quiet.succeeded = child.wait()?.success();
    quiet.artifacts = artifacts(&messages);
    quiet.remarks = remarks(&messages);
    Ok(quiet)
}

/// The program `coracle`, built; `mine` names the chapters whose core is the student's.
pub fn build_coracle(place: &Place, release: bool, mine: &[String]) -> Result<PathBuf> {
    // With the student's cores it has a name of its own, lest a build without them takes its place
    // before it is started.
    let name = if mine.is_empty() { "coracle" } else { "coracle-mine" };
    let mut args = vec!["build", "--package", "cluster", "--bin", name];
    let features = mine.iter().map(|number| format!("lab-{number}")).collect::<Vec<_>>().join(",");
    if !features.is_empty() {
        args.extend(["--features", &features]);
    }
    if release {
        args.push("--release");
    }
    let artifacts = build(place, &args)?;
    let coracle = artifacts.into_iter().find(|artifact| artifact.target == name);
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
                is_test: message.profile.is_some_and(|profile| profile.test),
            })
        })
        .collect()
}

fn remarks(messages: &str) -> Vec<Remark> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter_map(|message| {
            let said = message.message.filter(|said| !said.spans.is_empty())?;
            Some(Remark {
                is_error: said.level.starts_with("error"),
                text: said.rendered?,
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
            {"reason":"compiler-artifact","manifest_path":"/w/b/Cargo.toml","target":{"name":"b"},"profile":{"test":true},"executable":"/t/b"}
            {"reason":"build-finished","success":true}
        "#;
        let expected =
            Artifact { target: "b".into(), executable: "/t/b".into(), folder: "/w/b".into(), is_test: true };
        assert_eq!(artifacts(messages), [expected]);
    }

    #[test]
    fn remarks_with_a_place_are_taken() {
        let messages = r#"
            {"reason":"compiler-message","manifest_path":"/w/a/Cargo.toml","message":{"level":"error","rendered":"error: no","spans":[{"line_start":1}]}}
            {"reason":"compiler-message","manifest_path":"/w/a/Cargo.toml","message":{"level":"warning","rendered":"warning: hm","spans":[{}]}}
            {"reason":"compiler-message","manifest_path":"/w/a/Cargo.toml","message":{"level":"error","rendered":"error: aborting","spans":[]}}
        "#;
        let told: Vec<_> = remarks(messages).into_iter().map(|it| (it.is_error, it.text)).collect();
        assert_eq!(told, [(true, "error: no".to_owned()), (false, "warning: hm".to_owned())]);
    }
}
