//! The shim: one small process for each pod, the parent of its containers.
//!
//! A runtime can be killed, updated and restarted; a process can have only one parent. So the
//! parent is somebody who does nothing else: the shim starts containers, holds their log pipes and
//! terminals, and writes down how they ended. The runtime finds it again by its socket.
//!
//! ```text
//! runtime ── socket ── shim ─┬─ pause        (holds the pod's namespaces)
//!                            ├─ container    (pipes → log file)
//!                            └─ container …
//! ```
//! 1. One thread, always: the shim forks (see `spawn`).
//! 2. An exit is on disk (`exit.json`) before anybody hears of it.
//! 3. An exit is reported after the last line of output is in the log.
//! 4. The containers of a pod do not outlive their shim: no orphan is left that nobody can stop.

mod child;
mod commands;
mod containers;
pub mod protocol;
mod spawn;
mod streams;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::Context;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, dup2_stdin, fork, setsid};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use self::containers::Running;
use self::protocol::{Notice, Reply, Request, read_message, write_message};
use crate::heart::process::Ended;

/// Started by the runtime only; standard input is the listening socket.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// Id of the pod sandbox.
    #[arg(long)]
    pub id: String,
}

/// What wakes a shim.
enum Event {
    Connection(UnixStream),
    /// Children have ended.
    Children,
    /// A container has ended and its output is in the log.
    Drained(String, Ended, i64),
    /// The pod is done with.
    Shutdown(UnixStream),
    Terminate,
}

/// What the shim knows; one thread, so plain cells.
pub(crate) struct Shim {
    id: String,
    containers: RefCell<BTreeMap<String, Running>>,
    /// Commands of `exec` by process id.
    commands: RefCell<BTreeMap<i32, oneshot::Sender<Ended>>>,
    /// Those who want to hear of exits. Unread notices are bounded by the number of containers.
    listeners: RefCell<Vec<mpsc::UnboundedSender<Notice>>>,
    shm: RefCell<Option<std::path::PathBuf>>,
    events: mpsc::UnboundedSender<Event>,
}

/// Serves a pod until it is shut down. The loop of this process: every trigger is in `Event`.
pub async fn run(args: Args) -> anyhow::Result<()> {
    tokio::task::LocalSet::new().run_until(serve(args)).await
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let listener = inherited_socket()?;
    let mut children = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Unbounded, but every message stands for a child or a connection of the one runtime.
    let (events, mut inbox) = mpsc::unbounded_channel();
    let shim = Rc::new(Shim {
        id: args.id,
        containers: RefCell::default(),
        commands: RefCell::default(),
        listeners: RefCell::default(),
        shm: RefCell::default(),
        events,
    });
    loop {
        let event = tokio::select! {
            accepted = listener.accept() => Event::Connection(accepted?.0),
            _ = children.recv() => Event::Children,
            Some(event) = inbox.recv() => event,
            _ = terminate.recv() => Event::Terminate,
        };
        match event {
            Event::Connection(connection) => {
                let shim = Rc::clone(&shim);
                tokio::task::spawn_local(async move {
                    let id = shim.id.clone();
                    if let Err(error) = shim.serve_connection(connection).await {
                        eprintln!("shim {id}: connection: {error:#}");
                    }
                });
            }
            Event::Children => shim.reap(),
            Event::Drained(id, ended, finished_at) => shim.handle_end(&id, ended, finished_at),
            Event::Shutdown(mut runtime) => {
                shim.kill_all();
                let _ = write_message(&mut runtime, &Reply::default()).await;
                return Ok(());
            }
            Event::Terminate => {
                shim.kill_all();
                return Ok(());
            }
        }
    }
}

impl Shim {
    async fn serve_connection(self: Rc<Self>, mut connection: UnixStream) -> anyhow::Result<()> {
        let Some(request) = read_message(&mut connection).await? else { return Ok(()) };
        let reply = match request {
            Request::Sandbox { spec, shm } => self.start_sandbox(*spec, shm).await,
            Request::Start { spec } => self.start(*spec).await,
            Request::Kill { id, signal, all } => self.kill(&id, signal, all),
            Request::ReopenLog { id } => self.reopen_log(&id),
            Request::State => self.state(),
            Request::Events => return self.stream_events(connection).await,
            Request::Exec { id, exec } => return self.exec(connection, &id, exec).await,
            Request::Attach { id, stdin } => return self.attach(connection, &id, stdin).await,
            Request::Shutdown => {
                let _ = self.events.send(Event::Shutdown(connection));
                return Ok(());
            }
        };
        Ok(write_message(&mut connection, &reply).await?)
    }

    /// Everything so far, then every exit, until the runtime goes away.
    async fn stream_events(self: Rc<Self>, mut connection: UnixStream) -> anyhow::Result<()> {
        let (sender, mut notices) = mpsc::unbounded_channel();
        self.listeners.borrow_mut().push(sender);
        write_message(&mut connection, &self.state()).await?;
        while let Some(notice) = notices.recv().await {
            // A runtime that is gone will ask again when it is back.
            if write_message(&mut connection, &notice).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Collects ended children: containers, commands of `exec`, and orphans that came to us.
    fn reap(&self) {
        loop {
            let (pid, ended) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid.as_raw(), Ended::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid.as_raw(), Ended::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            if let Some(command) = self.commands.borrow_mut().remove(&pid) {
                let _ = command.send(ended);
            } else {
                self.handle_child(pid, ended);
            }
        }
    }

    fn kill_all(&self) {
        let containers = self.containers.borrow();
        // The pause process last: its end would take a shared PID namespace down first.
        for running in containers.values().rev().filter(|running| running.exit.is_none()) {
            running.signal(Signal::SIGKILL as i32, true);
            crate::cgroup::remove(&running.spec.cgroup);
        }
        if let Some(shm) = self.shm.borrow_mut().take() {
            let _ = nix::mount::umount2(&shm, nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

/// The socket that the runtime gave us as standard input, moved out of the way.
fn inherited_socket() -> anyhow::Result<UnixListener> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener).context("standard input is no listening socket")
}

/// The shim as a process: steps out from under the runtime, then serves.
pub fn main(args: Args) -> ExitCode {
    let _ = setsid();
    // SAFETY: nothing has started a thread yet; both sides go on in ordinary code.
    match unsafe { fork() } {
        // The runtime waits for this one and so knows that the shim is nobody's child.
        Ok(ForkResult::Parent { .. }) => return ExitCode::SUCCESS,
        Ok(ForkResult::Child) => {}
        Err(error) => {
            eprintln!("shim: fork: {error}");
            return ExitCode::FAILURE;
        }
    }
    let _ = std::env::set_current_dir("/");
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let done =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from);
    match done.and_then(|tokio| tokio.block_on(run(args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shim: {error:#}");
            ExitCode::FAILURE
        }
    }
}
