//! The control socket: one JSON document a line, between the operator's verbs and the sandbox's
//! PID 1, and (with the same `UnitStatus`) from each node's init to PID 1.

use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::heart::Node;
use crate::heart::supervision::Exit;
use crate::home::Home;
use crate::sys;

const SOCKET: &str = "control.sock";
/// Answers that wait for a slow reader; one that is slower is cut off.
const WAITING_ANSWERS: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Request {
    /// One `Answer::Status`.
    Status,
    /// An `Answer::Status`, then an `Answer::Change` for each change, until the asker goes.
    Follow,
    /// Cuts a node's power. `Answer::Done` when nothing of it is left.
    StopNode { node: String },
    /// Switches on a node that is new; its certificates and kubeconfigs lie ready. `Answer::Done` at once.
    AddNode { node: Node },
    /// Switches it on again. `Answer::Done` at once.
    StartNode { node: String },
    /// Ends everything in order. `Answer::Done` at once; the end of PID 1 is the end.
    ShutDown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    Status(Status),
    Change(UnitStatus),
    Done,
    Refused { reason: String },
}

/// What a sandbox says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How limits on containers are enforced: `cgroup v1 (cpu, memory)`, or `not enforced`.
    pub limits: String,
    /// Which user ids exist inside.
    pub ids: String,
    /// The chapters whose core is the student's: `05`.
    #[serde(default)]
    pub mine: Vec<String>,
    pub components: Vec<UnitStatus>,
}

/// One program, or one node (its init).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// `apiserver`, `node-1`, `node-1/kubelet`.
    pub name: String,
    pub state: Phase,
    /// As its own machine numbers it: the node for what runs on one, else the sandbox.
    pub pid: Option<u32>,
    /// In milliseconds since 1970.
    pub since: Option<i64>,
    pub restarts: u32,
    pub last_exit: Option<Exit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Stopped,
    /// Between a death and the next start.
    Waiting,
    Running,
    Stopping,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Phase::Stopped => "stopped",
            Phase::Waiting => "waiting",
            Phase::Running => "running",
            Phase::Stopping => "stopping",
        })
    }
}

/// Opens the socket, in place of one that a dead sandbox left.
pub fn listen(home: &Home) -> Result<UnixListener> {
    let folder = home.run();
    let path = folder.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("removing the old socket");
        }
        _ => {}
    }
    let opened = File::open(&folder)?;
    let listener = UnixListener::bind(sys::path_of(&opened).join(SOCKET))
        .with_context(|| format!("opening {}", path.display()))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes the socket's file.
pub fn forget(folder: &Path) {
    // It may never have been there.
    let _ = std::fs::remove_file(folder.join(SOCKET));
}

/// The operator's end.
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    pub fn connect(home: &Home) -> Result<Self> {
        let folder = File::open(home.run())?;
        let stream =
            UnixStream::connect(sys::path_of(&folder).join(SOCKET)).context("the cluster is not up")?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    pub fn send(&mut self, request: &Request) -> Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line).context("asking the sandbox")
    }

    /// The next answer; `None` when the sandbox has ended.
    pub fn answer(&mut self) -> Result<Option<Answer>> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => {
                Ok(Some(serde_json::from_str(&line).context("an answer that this version does not know")?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error).context("reading the sandbox's answer"),
        }
    }

    /// One question, one answer.
    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        self.send(request)?;
        match self.answer()? {
            Some(Answer::Refused { reason }) => anyhow::bail!("{reason}"),
            Some(answer) => Ok(answer),
            None => anyhow::bail!("the sandbox ended without an answer"),
        }
    }

    pub fn status(&mut self) -> Result<Status> {
        match self.ask(&Request::Status)? {
            Answer::Status(status) => Ok(status),
            other => anyhow::bail!("asked for the status, the sandbox said {other:?}"),
        }
    }
}

/// Asked by somebody who reads the answers from the other end of `answers`.
#[derive(Debug)]
pub struct Asked {
    pub request: Request,
    pub answers: mpsc::Sender<Answer>,
}

/// PID 1's end: passes on what is asked, for ever.
pub async fn serve(listener: tokio::net::UnixListener, asked: mpsc::Sender<Asked>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, asked.clone()));
            }
            Err(error) => {
                // Out of descriptors, perhaps: others must end first.
                tracing::warn!(%error, "a connection to the control socket was lost");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: tokio::net::UnixStream, asked: mpsc::Sender<Asked>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(reader).lines();
    let (answers, mut pending) = mpsc::channel(WAITING_ANSWERS);
    loop {
        let answer = tokio::select! {
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                match serde_json::from_str(&line) {
                    Ok(request) => {
                        if asked.send(Asked { request, answers: answers.clone() }).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    Err(error) => Answer::Refused { reason: format!("not understood: {error}") },
                }
            }
            Some(answer) = pending.recv() => answer,
        };
        let Ok(mut line) = serde_json::to_vec(&answer) else { return };
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}
