//! The runtime's side of a shim: started once, found again by its socket.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::shim::protocol::{Failure, Reply, Request, read_message, write_message};

/// Talks to one shim; every call is a connection of its own.
#[derive(Debug, Clone)]
pub struct ShimClient {
    socket: PathBuf,
}

/// Why a shim did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// Nobody listens: the shim is gone.
    #[error("the pod's shim does not answer: {0}")]
    Gone(#[from] io::Error),
    #[error("{}", .0.message)]
    Failed(Failure),
}

impl ShimClient {
    pub fn new(socket: PathBuf) -> ShimClient {
        ShimClient { socket }
    }

    /// Starts a shim for a pod. It listens on a socket that is open before it runs, so there is
    /// nothing to wait for: the first call waits in the socket's queue.
    pub async fn start(socket: PathBuf, sandbox: &str) -> anyhow::Result<ShimClient> {
        let _ = std::fs::remove_file(&socket);
        let listener =
            UnixListener::bind(&socket).with_context(|| format!("listening on {}", socket.display()))?;
        let mut launcher = Command::new("/proc/self/exe");
        launcher.args(["shim", "--id", sandbox]).current_dir("/");
        launcher.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null());
        let status = launcher.status().await.context("starting a shim")?;
        ensure!(status.success(), "starting a shim: {status}");
        Ok(ShimClient { socket })
    }

    /// Asks, and answers the reply together with the connection, which may carry more.
    pub async fn open(&self, request: &Request) -> Result<(UnixStream, Reply), ShimError> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        write_message(&mut stream, request).await?;
        let reply: Option<Reply> = read_message(&mut stream).await?;
        let mut reply = reply.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        match reply.error.take() {
            Some(failure) => Err(ShimError::Failed(failure)),
            None => Ok((stream, reply)),
        }
    }

    pub async fn call(&self, request: &Request) -> Result<Reply, ShimError> {
        Ok(self.open(request).await?.1)
    }
}
