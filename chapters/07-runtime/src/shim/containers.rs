//! Containers in the shim: started, signalled, and written down when they end.

use std::collections::btree_map::Entry;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use super::child::become_container;
use super::protocol::{Failure, Notice, Reply, Seen};
use super::spawn::{Says, Starting, spawn};
use super::streams::{SharedSink, Sink, pipes, pump, silence, watched};
use super::{Event, Shim};
use crate::cgroup;
use crate::heart::logs::Stream;
use crate::heart::namespaces::{Mode, NsPlan, plan_container, plan_pause};
use crate::heart::process::{Ended, Exit, exit_reason};
use crate::heart::spec::ContainerSpec;
use crate::sys::{now_ns, write_atomically};

/// A process may leave children that hold its pipes: their output is waited for this long.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// A container that was started.
pub(crate) struct Running {
    pub spec: ContainerSpec,
    pub pid: i32,
    pub started_at: i64,
    pub exit: Option<Exit>,
    /// Number of its mount namespace: all its processes have it, and nobody else.
    mount_ns: Option<u64>,
    pub sink: SharedSink,
    /// Its standard input, while somebody may still write to it.
    pub stdin: Option<Rc<AsyncFd<OwnedFd>>>,
    pub terminal: Option<Rc<AsyncFd<OwnedFd>>>,
    pumps: Vec<JoinHandle<()>>,
}

impl Running {
    /// Sends a signal to its first process or to all. Nobody there is no error.
    pub fn signal(&self, signal: i32, all: bool) {
        // SAFETY: takes numbers only. nix has no name for real-time signals.
        unsafe { libc::kill(self.pid, signal) };
        if let (true, Some(mount_ns), Ok(signal)) = (all, self.mount_ns, Signal::try_from(signal)) {
            cgroup::signal_all(mount_ns, signal);
        }
    }

    /// Whether its processes go with the first one by the kernel's own rule.
    fn owns_pid_namespace(&self) -> bool {
        self.spec.namespaces.pid == Mode::Container || self.spec.sandbox.is_some()
    }
}

impl Shim {
    /// The pause process; its namespaces are ready when the reply is sent.
    pub async fn start_sandbox(&self, spec: ContainerSpec, shm: Option<PathBuf>) -> Reply {
        if let Some(shm) = shm
            && let Err(error) = self.mount_shm(&shm)
        {
            return failure(false, &format!("mounting {}: {error}", shm.display()));
        }
        let plan = plan_pause(&spec.namespaces);
        self.launch(spec, plan).await
    }

    pub async fn start(&self, spec: ContainerSpec) -> Reply {
        let pause = self.containers.borrow().get(&self.id).filter(|p| p.exit.is_none()).map(|p| p.pid);
        let Some(pause) = pause else { return failure(false, "the pod sandbox is not running") };
        let plan = plan_container(&spec.namespaces, pause);
        self.launch(spec, plan).await
    }

    async fn launch(&self, spec: ContainerSpec, plan: NsPlan) -> Reply {
        let id = spec.id.clone();
        if let Entry::Occupied(_) = self.containers.borrow_mut().entry(id.clone()) {
            return failure(false, &format!("container {id} was started before"));
        }
        let bundle = spec.root.bundle.clone();
        let group = spec.cgroup.clone();
        let started_at = now_ns();
        match self.try_launch(spec, plan, started_at).await {
            Ok(pid) => {
                let _ = fs::write(bundle.join("started"), started_at.to_string());
                Reply { pid: Some(pid), ..Reply::default() }
            }
            Err(error) => {
                let message =
                    format!("OCI runtime create failed: unable to start container process: {error:#}");
                let exit = Exit {
                    code: 128,
                    reason: "StartError".into(),
                    message,
                    started_at,
                    finished_at: now_ns(),
                };
                cgroup::remove(&group);
                self.keep_exit(&bundle, &exit);
                failure(true, &exit.message)
            }
        }
    }

    async fn try_launch(&self, spec: ContainerSpec, plan: NsPlan, started_at: i64) -> anyhow::Result<i32> {
        let sink = Sink::open(spec.log_path.clone()).context("opening the log")?;
        let terminal = spec.process.terminal;
        let is_pause = spec.sandbox.is_some();
        let (stdio, ours) = if terminal || is_pause {
            (silence()?, None)
        } else {
            let (theirs, ours) = pipes(spec.process.stdin)?;
            (theirs, Some(ours))
        };
        cgroup::apply(&spec.cgroup)?;
        let starting = spawn(&plan, stdio, |inside| become_container(&spec, inside))?;
        let pid = starting.pid;
        // From here on the child is known, so that its end is noticed however early it comes.
        let mut running = Running {
            spec,
            pid,
            started_at,
            exit: None,
            mount_ns: cgroup::namespace_id(pid, "mnt"),
            sink,
            stdin: None,
            terminal: None,
            pumps: Vec::new(),
        };
        if let Some(ours) = ours {
            running.stdin = ours.stdin.map(watched).transpose()?;
            running.read(ours.stdout, Stream::Stdout)?;
            running.read(ours.stderr, Stream::Stderr)?;
        }
        cgroup::join(&running.spec.cgroup, pid).context("joining the control group")?;
        oom_score(&running);
        let id = running.spec.id.clone();
        self.containers.borrow_mut().insert(id.clone(), running);
        let heard = self.hear(&id, &starting).await;
        if heard.is_err() {
            // It never was a container; its end is not an exit.
            if let Some(failed) = self.containers.borrow_mut().remove(&id) {
                failed.signal(Signal::SIGKILL as i32, false);
                failed.sink.borrow_mut().close();
            }
        }
        heard.map(|()| pid)
    }

    /// Lets the child go on and listens until its program runs.
    async fn hear(&self, id: &str, starting: &Starting) -> anyhow::Result<()> {
        starting.go()?;
        while let Some((says, descriptor)) = starting.hear().await? {
            match says {
                Says::Note(note) => eprintln!("shim {}: container {id}: {note}", self.id),
                Says::Failed(why) => anyhow::bail!(why),
                Says::Terminal => {
                    let Some(master) = descriptor else { continue };
                    let master = watched(master)?;
                    let mut containers = self.containers.borrow_mut();
                    let Some(running) = containers.get_mut(id) else { continue };
                    running.pumps.push(tokio::task::spawn_local(pump(
                        Rc::clone(&master),
                        Stream::Stdout,
                        Rc::clone(&running.sink),
                    )));
                    if running.spec.process.stdin {
                        running.stdin = Some(Rc::clone(&master));
                    }
                    running.terminal = Some(master);
                }
            }
        }
        Ok(())
    }

    /// A child that is no command of `exec` has ended: a container, or an orphan.
    pub(super) fn handle_child(&self, pid: i32, ended: Ended) {
        let finished_at = now_ns();
        let mut containers = self.containers.borrow_mut();
        let found = containers.values_mut().find(|running| running.pid == pid && running.exit.is_none());
        let Some(running) = found else { return };
        if let (false, Some(mount_ns)) = (running.owns_pid_namespace(), running.mount_ns) {
            cgroup::signal_all(mount_ns, Signal::SIGKILL);
        }
        let pumps = std::mem::take(&mut running.pumps);
        let id = running.spec.id.clone();
        let events = self.events.clone();
        tokio::task::spawn_local(async move {
            let all = async {
                for pump in pumps {
                    let _ = pump.await;
                }
            };
            let _ = tokio::time::timeout(DRAIN_TIME, all).await;
            let _ = events.send(Event::Drained(id, ended, finished_at));
        });
    }

    /// A container's end: on disk first, then to whoever listens.
    pub(super) fn handle_end(&self, id: &str, ended: Ended, finished_at: i64) {
        let mut containers = self.containers.borrow_mut();
        let Some(running) = containers.get_mut(id) else { return };
        let (code, reason) = exit_reason(ended, cgroup::oom_killed(&running.spec.cgroup));
        let started_at = running.started_at;
        let exit = Exit { code, reason: reason.into(), message: String::new(), started_at, finished_at };
        self.keep_exit(&running.spec.root.bundle, &exit);
        running.exit = Some(exit.clone());
        running.stdin = None;
        running.terminal = None;
        running.sink.borrow_mut().close();
        cgroup::remove(&running.spec.cgroup);
        let notice = Notice { id: id.to_owned(), exit };
        self.listeners.borrow_mut().retain(|listener| listener.send(notice.clone()).is_ok());
    }

    fn keep_exit(&self, bundle: &std::path::Path, exit: &Exit) {
        let written = serde_json::to_vec(exit).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|json| write_atomically(&bundle.join("exit.json"), &json)) {
            eprintln!("shim {}: writing {}: {error}", self.id, bundle.display());
        }
    }

    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Reply {
        match self.containers.borrow().get(id) {
            Some(running) if running.exit.is_none() => running.signal(signal, all),
            Some(_) => {}
            None => return failure(false, &format!("container {id} was not started")),
        }
        Reply::default()
    }

    pub fn reopen_log(&self, id: &str) -> Reply {
        match self.containers.borrow().get(id) {
            Some(running) if running.exit.is_none() => match running.sink.borrow_mut().reopen() {
                Ok(()) => Reply::default(),
                Err(error) => failure(false, &format!("opening the log: {error}")),
            },
            _ => failure(false, &format!("container {id} is not running")),
        }
    }

    pub fn state(&self) -> Reply {
        let containers = self.containers.borrow();
        let seen = |running: &Running| Seen {
            id: running.spec.id.clone(),
            pid: running.pid,
            started_at: running.started_at,
            exit: running.exit.clone(),
        };
        Reply { containers: containers.values().map(seen).collect(), ..Reply::default() }
    }

    fn mount_shm(&self, path: &std::path::Path) -> anyhow::Result<()> {
        fs::create_dir_all(path)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("shm"), path, Some("tmpfs"), flags, Some("mode=1777,size=65536k"))?;
        *self.shm.borrow_mut() = Some(path.to_owned());
        Ok(())
    }
}

impl Running {
    fn read(&mut self, from: OwnedFd, stream: Stream) -> std::io::Result<()> {
        let pump = pump(watched(from)?, stream, Rc::clone(&self.sink));
        self.pumps.push(tokio::task::spawn_local(pump));
        Ok(())
    }
}

/// Tells the kernel how dear the process is. To lower the score needs a privilege that many
/// machines withhold; nothing else depends on it.
fn oom_score(running: &Running) {
    let Some(score) = running.spec.process.oom_score_adj else { return };
    if let Err(error) = fs::write(format!("/proc/{}/oom_score_adj", running.pid), score.to_string()) {
        tracing::debug!("oom_score_adj {score}: {error}");
    }
}

pub(super) fn failure(start: bool, message: &str) -> Reply {
    Reply { error: Some(Failure { start, message: message.to_owned() }), ..Reply::default() }
}
