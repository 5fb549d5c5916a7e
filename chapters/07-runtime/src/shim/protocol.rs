//! What a runtime and a shim say to each other over a Unix socket.
//!
//! Everything is a frame: a byte for the channel, four for the length (big-endian), then the bytes.
//! A connection begins with one request and one reply, both JSON on channel [`MESSAGE`]. After the
//! reply to `exec` and `attach` the same connection carries the streams both ways; their channels
//! are those of Kubernetes' `v5.channel.k8s.io`, so that the streaming server hands them on
//! unread. After the reply to `events` every exit is a [`Notice`].

use std::io;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::heart::process::Exit;
use crate::heart::spec::ContainerSpec;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Makes the pod's namespaces and starts the pause process; `shm`: where the pod's shared
    /// memory is mounted (on the node).
    Sandbox {
        spec: Box<ContainerSpec>,
        shm: Option<PathBuf>,
    },
    Start {
        spec: Box<ContainerSpec>,
    },
    /// `all`: every process of the container, not only its first.
    Kill {
        id: String,
        signal: i32,
        all: bool,
    },
    Exec {
        id: String,
        exec: ExecSpec,
    },
    Attach {
        id: String,
        stdin: bool,
    },
    ReopenLog {
        id: String,
    },
    State,
    /// Like `state`, and then every exit as it happens.
    Events,
    /// Kills what still runs and ends the shim.
    Shutdown,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecSpec {
    pub args: Vec<String>,
    pub terminal: bool,
    pub stdin: bool,
    /// The command ends with the connection.
    pub kill_on_close: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Reply {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Seen>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// The process could not be started at all: it has an exit code of its own on disk.
    pub start: bool,
    pub message: String,
}

/// A container as its shim knows it; the pod's own id stands for the pause process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    pub id: String,
    pub pid: i32,
    pub started_at: i64,
    pub exit: Option<Exit>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notice {
    pub id: String,
    pub exit: Exit,
}

pub const STDIN: u8 = 0;
pub const STDOUT: u8 = 1;
pub const STDERR: u8 = 2;
/// From the shim, at the end: [`Ended`].
pub const STATUS: u8 = 3;
/// To the shim: `{"Width":80,"Height":24}`.
pub const RESIZE: u8 = 4;
/// To the shim: no more standard input.
pub const CLOSE: u8 = 255;
/// Requests, replies and notices.
pub const MESSAGE: u8 = 100;

/// How a command of `exec` ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    pub code: i32,
}

/// Size of a terminal, in the words of kubectl.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    pub width: u16,
    pub height: u16,
}

/// No frame is longer.
pub const MAX_FRAME: usize = 1 << 20;

pub async fn write_frame(to: &mut (impl AsyncWrite + Unpin), channel: u8, bytes: &[u8]) -> io::Result<()> {
    let mut head = [channel, 0, 0, 0, 0];
    head[1..].copy_from_slice(&(bytes.len() as u32).to_be_bytes());
    let mut whole = Vec::with_capacity(head.len() + bytes.len());
    whole.extend_from_slice(&head);
    whole.extend_from_slice(bytes);
    to.write_all(&whole).await
}

/// The next frame; `None` at the end of the stream.
pub async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 5];
    match from.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    };
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(Some((head[0], bytes)))
}

/// Writes a value as JSON.
pub async fn write_message(to: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    write_frame(to, MESSAGE, &serde_json::to_vec(value)?).await
}

/// Reads a JSON value; `None` at the end of the stream.
pub async fn read_message<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    match read_frame(from).await? {
        Some((MESSAGE, bytes)) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Some((channel, _)) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message on channel {channel}")))
        }
        None => Ok(None),
    }
}
