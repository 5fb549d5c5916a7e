//! The real kubectl, as the administrator of our cluster: shown, so that a person learns the command,
//! and read, so that the demo knows how it went.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::place::Place;
use crate::say;

pub struct Kubectl<'a> {
    place: &'a Place,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Exec over WebSocket; older ones speak only SPDY, which our API server does not.
    pub fn speaks_websocket(self) -> bool {
        self >= Version { major: 1, minor: 31 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

pub fn client_version(place: &Place) -> Option<Version> {
    let said = say::run(place.command("kubectl").args(["version", "--client", "--output", "json"])).ok()?;
    parse_version(&said)
}

fn parse_version(said: &str) -> Option<Version> {
    let json: serde_json::Value = serde_json::from_str(said).ok()?;
    let version = json["clientVersion"]["gitVersion"].as_str()?.strip_prefix('v')?;
    let mut numbers = version.split('.');
    Some(Version { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
}

impl<'a> Kubectl<'a> {
    pub fn new(place: &'a Place) -> Result<Self> {
        let version = client_version(place).context("kubectl is not there, or does not run")?;
        Ok(Self { place, version })
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = self.place.command("kubectl");
        command.env("KUBECONFIG", self.place.kubeconfig()?).current_dir(&self.place.root);
        command.args(args).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs it without a word.
    pub fn quietly(&self, args: &[&str]) -> Result<String> {
        say::run(&mut self.command(args)?)
    }

    /// Shows the command and what it printed.
    pub fn shown(&self, args: &[&str]) -> Result<String> {
        say::command(&format!("kubectl {}", args.join(" ")));
        let printed = self.quietly(args)?;
        say::indented(&printed);
        Ok(printed)
    }

    pub fn pods(&self, selector: &str) -> Result<Vec<Pod>> {
        let json = self.quietly(&["get", "pods", "--selector", selector, "--output", "json"])?;
        let list: List = serde_json::from_str(&json).context("kubectl printed no list of pods")?;
        Ok(list.items.into_iter().map(Pod::from).collect())
    }

    /// Starts `kubectl get … --watch`, showing the command.
    pub fn watch(&self, args: &[&str]) -> Result<Rows> {
        say::command(&format!("kubectl {}", args.join(" ")));
        let mut child = self.command(args)?.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let stdout = child.stdout.take().context("piped a moment ago")?;
        // Full when nobody reads: then kubectl waits.
        let (sender, lines) = sync_channel(64);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Rows { child, lines })
    }
}

/// The rows of a running watch.
pub struct Rows {
    child: Child,
    lines: Receiver<String>,
}

impl Rows {
    /// Shows rows as they come, until one satisfies `done`.
    pub fn until(
        &self,
        what: &str,
        patience: Duration,
        mut done: impl FnMut(&Row<'_>) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    say::indented(&line);
                    if Row::parse(&line).is_some_and(|row| done(&row)) {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("{what}: not within {}", say::time(patience)),
                Err(RecvTimeoutError::Disconnected) => bail!("{what}: the watch ended"),
            }
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A row of `kubectl get pods`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    pub name: &'a str,
    pub ready: bool,
    pub status: &'a str,
    pub restarts: u32,
}

impl<'a> Row<'a> {
    /// `web-5d9 1/1 Running 1 (2s ago) 40s`; not the head of the table.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let name = fields.next()?;
        let (ready, all) = fields.next()?.split_once('/')?;
        let status = fields.next()?;
        Some(Self { name, ready: ready == all, status, restarts: fields.next()?.parse().ok()? })
    }

    pub fn is_running(&self) -> bool {
        self.ready && self.status == "Running"
    }
}

/// What the demo wants to know of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub node: String,
    pub restarts: u32,
    pub ready: bool,
    /// Somebody deleted it.
    pub leaving: bool,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    node_name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    restart_count: u32,
    ready: bool,
}

impl From<Item> for Pod {
    fn from(item: Item) -> Self {
        let containers = &item.status.container_statuses;
        Self {
            restarts: containers.iter().map(|container| container.restart_count).sum(),
            ready: !containers.is_empty() && containers.iter().all(|container| container.ready),
            leaving: item.metadata.deletion_timestamp.is_some(),
            name: item.metadata.name,
            node: item.spec.node_name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_with_and_without_the_time_of_the_last_restart() {
        let row = Row { name: "web-5d9", ready: true, status: "Running", restarts: 0 };
        assert_eq!(Row::parse("web-5d9   1/1   Running   0   40s"), Some(row.clone()));
        let restarted = Row::parse("web-5d9   0/1   Error   1 (2s ago)   40s").expect("a row");
        assert_eq!(restarted, Row { ready: false, status: "Error", restarts: 1, ..row });
        assert_eq!(Row::parse("NAME      READY   STATUS   RESTARTS   AGE"), None);
    }

    #[test]
    fn versions_are_read_whatever_stands_behind_them() {
        let of = |text: &str| parse_version(&format!(r#"{{"clientVersion": {{"gitVersion": "{text}"}}}}"#));
        assert_eq!(of("v1.32.4-dispatcher"), Some(Version { major: 1, minor: 32 }));
        assert!(of("v1.32.4").expect("a version").speaks_websocket());
        assert!(!of("v1.20.2").expect("a version").speaks_websocket());
        assert_eq!(of("none"), None);
    }

    #[test]
    fn a_pod_that_has_only_just_been_made_is_read_too() {
        let list: List = serde_json::from_str(r#"{"items": [{"metadata": {"name": "a"}}]}"#).expect("a list");
        let pods: Vec<Pod> = list.items.into_iter().map(Pod::from).collect();
        let fresh = Pod { name: "a".into(), node: String::new(), restarts: 0, ready: false, leaving: false };
        assert_eq!(pods, [fresh]);
    }
}
