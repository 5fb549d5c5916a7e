//! `exec` and `attach`: streams between a connection and a process.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::sys::signal::Signal;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::Shim;
use super::child::become_command;
use super::containers::failure;
use super::protocol::{
    CLOSE, Ended as EndedFrame, ExecSpec, RESIZE, Reply, STATUS, STDERR, STDIN, STDOUT, read_frame,
    write_frame, write_message,
};
use super::spawn::{Says, Starting, spawn};
use super::streams::{pipes, read_some, resize, silence, watched, write_all};
use crate::cgroup;
use crate::heart::namespaces::plan_exec;
use crate::heart::process::{Ended, exit_reason};

type Watched = Rc<AsyncFd<OwnedFd>>;

/// Frames on their way out: reading from the process waits when the other side is slow.
const OUT_QUEUE: usize = 4;
/// As for containers: how long output is waited for after the command has ended.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// A command that runs, and our ends of its streams.
struct Command {
    pid: i32,
    ended: oneshot::Receiver<Ended>,
    stdin: Option<Watched>,
    outputs: Vec<(u8, Watched)>,
    terminal: Option<Watched>,
}

impl Shim {
    pub(super) async fn exec(
        self: Rc<Self>,
        mut connection: UnixStream,
        id: &str,
        exec: ExecSpec,
    ) -> anyhow::Result<()> {
        let kill_on_close = exec.kill_on_close;
        let command = match self.start_command(id, exec).await {
            Ok(command) => command,
            Err(error) => {
                let message = format!("failed to exec in container: {error:#}");
                return Ok(write_message(&mut connection, &failure(true, &message)).await?);
            }
        };
        let reply = Reply { pid: Some(command.pid), ..Reply::default() };
        write_message(&mut connection, &reply).await?;
        let (incoming, outgoing) = connection.into_split();
        let (out, frames) = mpsc::channel(OUT_QUEUE);
        let writer = tokio::task::spawn_local(write_frames(outgoing, frames));
        let pid = command.pid;
        let readers: Vec<_> = command
            .outputs
            .into_iter()
            .map(|(channel, from)| tokio::task::spawn_local(forward(from, channel, out.clone())))
            .collect();
        let input = tokio::task::spawn_local(async move {
            take_input(incoming, command.stdin, command.terminal, || true).await;
            if kill_on_close {
                // SAFETY: takes numbers only; the child is ours and was not waited for, or this
                // task would have been aborted.
                unsafe { libc::kill(pid, Signal::SIGKILL as i32) };
            }
            std::future::pending::<()>().await;
        });
        let ended = command.ended.await.unwrap_or(Ended::Code(255));
        let all = async {
            for reader in readers {
                let _ = reader.await;
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIME, all).await;
        input.abort();
        let code = exit_reason(ended, false).0;
        let _ = out.send((STATUS, serde_json::to_vec(&EndedFrame { code })?)).await;
        drop(out);
        let _ = writer.await;
        Ok(())
    }

    async fn start_command(&self, id: &str, exec: ExecSpec) -> anyhow::Result<Command> {
        let (plan, mut process, group) = {
            let containers = self.containers.borrow();
            let running = containers.get(id).filter(|running| running.exit.is_none());
            let running = running.ok_or_else(|| anyhow!("container {id} is not running"))?;
            let spec = &running.spec;
            (plan_exec(&spec.namespaces, running.pid), spec.process.clone(), spec.cgroup.clone())
        };
        process.args = exec.args;
        process.terminal = exec.terminal;
        let (stdio, ours) = if exec.terminal {
            (silence()?, None)
        } else {
            let (theirs, ours) = pipes(exec.stdin)?;
            (theirs, Some(ours))
        };
        let starting = spawn(&plan, stdio, |inside| become_command(&process, inside))?;
        let pid = starting.pid;
        let (sender, ended) = oneshot::channel();
        self.commands.borrow_mut().insert(pid, sender);
        cgroup::join(&group, pid).context("joining the control group")?;
        let mut command = Command { pid, ended, stdin: None, outputs: Vec::new(), terminal: None };
        if let Some(ours) = ours {
            command.stdin = ours.stdin.map(watched).transpose()?;
            command.outputs = vec![(STDOUT, watched(ours.stdout)?), (STDERR, watched(ours.stderr)?)];
        }
        if let Some(master) = hear(&starting).await? {
            let master = watched(master)?;
            command.outputs = vec![(STDOUT, Rc::clone(&master))];
            command.stdin = exec.stdin.then(|| Rc::clone(&master));
            command.terminal = Some(master);
        }
        Ok(command)
    }

    pub(super) async fn attach(
        self: Rc<Self>,
        mut connection: UnixStream,
        id: &str,
        stdin: bool,
    ) -> anyhow::Result<()> {
        let found =
            self.containers.borrow().get(id).filter(|running| running.exit.is_none()).map(|running| {
                let input = if stdin { running.stdin.clone() } else { None };
                (
                    running.sink.borrow_mut().attach(),
                    input,
                    running.terminal.clone(),
                    running.spec.process.stdin_once,
                )
            });
        let Some((mut output, input, terminal, once)) = found else {
            let reply = failure(false, &format!("container {id} is not running"));
            return Ok(write_message(&mut connection, &reply).await?);
        };
        write_message(&mut connection, &Reply::default()).await?;
        let (incoming, mut outgoing) = connection.into_split();
        let has_input = input.is_some();
        let reading = tokio::task::spawn_local({
            let (shim, id) = (Rc::clone(&self), id.to_owned());
            // Without `stdinOnce` the container's input outlives whoever was attached to it.
            let close = move || {
                if let (true, true, Some(running)) =
                    (has_input, once, shim.containers.borrow_mut().get_mut(&id))
                {
                    running.stdin = None;
                }
                once
            };
            take_input(incoming, input, terminal, close)
        });
        while let Some((channel, bytes)) = output.recv().await {
            if write_frame(&mut outgoing, channel, &bytes).await.is_err() {
                return Ok(());
            }
        }
        let code = self.containers.borrow().get(id).and_then(|running| Some(running.exit.as_ref()?.code));
        let _ =
            write_frame(&mut outgoing, STATUS, &serde_json::to_vec(&EndedFrame { code: code.unwrap_or(0) })?)
                .await;
        reading.abort();
        Ok(())
    }
}

/// Lets a command go on; its terminal, if it has one.
async fn hear(starting: &Starting) -> anyhow::Result<Option<OwnedFd>> {
    starting.go()?;
    let mut terminal = None;
    while let Some((says, descriptor)) = starting.hear().await? {
        match says {
            Says::Failed(why) => anyhow::bail!(why),
            Says::Terminal => terminal = descriptor,
            Says::Note(_) => {}
        }
    }
    Ok(terminal)
}

/// Frames from the connection to the process, until the connection ends. `close` is called when
/// there will be no more input; it says whether the process shall see its end.
async fn take_input(
    mut from: OwnedReadHalf,
    mut stdin: Option<Watched>,
    terminal: Option<Watched>,
    close: impl Fn() -> bool,
) {
    while let Ok(Some((channel, bytes))) = read_frame(&mut from).await {
        match channel {
            STDIN => {
                let Some(to) = &stdin else { continue };
                if write_all(to, &bytes).await.is_err() {
                    stdin = None;
                }
            }
            RESIZE => {
                if let (Some(terminal), Ok(size)) = (&terminal, serde_json::from_slice(&bytes)) {
                    resize(terminal, &size);
                }
            }
            // The end of a pipe; a terminal is told by the character that means it.
            CLOSE => match (stdin.take(), &terminal) {
                (Some(to), Some(_)) if close() => drop(write_all(&to, &[4]).await),
                (to, _) => {
                    drop(to);
                    close();
                }
            },
            _ => {}
        }
    }
    close();
}

async fn forward(from: Watched, channel: u8, to: mpsc::Sender<(u8, Vec<u8>)>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Some(count) = read_some(&from, &mut buffer).await {
        if to.send((channel, buffer[..count].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn write_frames(mut to: OwnedWriteHalf, mut frames: mpsc::Receiver<(u8, Vec<u8>)>) {
    // With the other side gone, output is read and dropped: the command must not hang on it.
    let mut open = true;
    while let Some((channel, bytes)) = frames.recv().await {
        open = open && write_frame(&mut to, channel, &bytes).await.is_ok();
        debug_assert!(channel == STDOUT || channel == STDERR || channel == STATUS);
    }
}
