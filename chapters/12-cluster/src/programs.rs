//! The hands of supervision: starts processes with their logs and sockets, reaps them, and tells
//! how they are. Both PID 1s, the sandbox's and a node's, have these.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tracing::{info, warn};

use crate::control::{Phase, UnitStatus};
use crate::heart::commands::Component;
use crate::heart::supervision::{self, Exit, Policy, State, Supervisor};
use crate::sys;

/// A log that has grown beyond this when its component starts is put aside as `NAME.log.1`.
const LOG_BOUND: u64 = 16 << 20;

/// The programs of one machine: what they are, and where they stand.
pub struct Programs {
    pub supervisor: Supervisor,
    components: BTreeMap<String, Component>,
    binary: PathBuf,
    logs: PathBuf,
    /// Listening sockets, by the component that is handed them.
    sockets: BTreeMap<String, Vec<RawFd>>,
    epoch: Instant,
    /// When the epoch was, in milliseconds since 1970.
    epoch_ms: i64,
    /// What was last told of each unit.
    told: BTreeMap<String, UnitStatus>,
}

impl Programs {
    pub fn new(binary: PathBuf, logs: PathBuf) -> Self {
        Self {
            supervisor: Supervisor::new(Policy::default()),
            components: BTreeMap::new(),
            binary,
            logs,
            sockets: BTreeMap::new(),
            epoch: Instant::now(),
            epoch_ms: jiff::Timestamp::now().as_millisecond(),
            told: BTreeMap::new(),
        }
    }

    /// Adds a component, to be started now, which inherits `sockets`.
    pub fn add(&mut self, component: Component, sockets: Vec<RawFd>) {
        let name = component.name.clone();
        self.supervisor.add(&name, component.tier);
        self.supervisor.handle_start(&name, self.now());
        self.sockets.insert(name.clone(), sockets);
        self.components.insert(name, component);
    }

    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// When something must be done though nothing happened.
    pub fn deadline(&self) -> Option<tokio::time::Instant> {
        self.supervisor.poll_deadline().and_then(|at| self.epoch.checked_add(at)).map(Into::into)
    }

    /// Starts a component and tells the supervisor how that went.
    pub fn start(&mut self, name: &str) {
        match self.spawn(name) {
            Ok(pid) => {
                info!(component = name, pid, "started");
                self.supervisor.handle_spawned(name, pid, self.now());
            }
            Err(error) => {
                warn!(component = name, %error, "cannot be started");
                self.supervisor.handle_not_spawned(name, self.now());
            }
        }
    }

    fn spawn(&self, name: &str) -> io::Result<u32> {
        let component = self.components.get(name).ok_or_else(|| io::Error::other("no such component"))?;
        let log = open_log(&self.logs.join(format!("{name}.log")))?;
        let mut command = Command::new(&self.binary);
        command
            .args(&component.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        for &socket in self.sockets.get(name).into_iter().flatten() {
            // SAFETY: one fcntl, which is safe between fork and exec.
            unsafe { command.pre_exec(move || sys::set_inherited(socket, true)) };
        }
        // The child is reaped with all others by `reap`.
        Ok(command.spawn()?.id())
    }

    pub fn signal(&self, pid: u32, signal: supervision::Signal) {
        let signal = match signal {
            supervision::Signal::Term => Signal::SIGTERM,
            supervision::Signal::Kill => Signal::SIGKILL,
        };
        // Until it is reaped its number is not given to another; when it has ended, all is well.
        let _ = nix::sys::signal::kill(pid_of(pid), signal);
    }

    /// Takes note of a process that ended, ours or an orphan's.
    pub fn ended(&mut self, pid: u32, exit: Exit) -> Option<String> {
        let name = self.supervisor.handle_exit(pid, exit, self.now())?;
        warn!(component = name, pid, "{exit}");
        Some(name)
    }

    /// How each unit is now.
    pub fn statuses(&self) -> Vec<UnitStatus> {
        self.supervisor.units().iter().map(|(name, unit)| self.status(name, unit)).collect()
    }

    fn status(&self, name: &str, unit: &supervision::Unit) -> UnitStatus {
        let state = match unit.state {
            State::Stopped => Phase::Stopped,
            State::Waiting { .. } | State::Starting => Phase::Waiting,
            State::Running { .. } => Phase::Running,
            State::Stopping { .. } => Phase::Stopping,
        };
        let since = match unit.state {
            State::Running { since, .. } => {
                Some(self.epoch_ms.saturating_add(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
            }
            _ => None,
        };
        let (restarts, last_exit) = (unit.restarts, unit.last_exit);
        UnitStatus { name: name.to_owned(), state, pid: unit.state.pid(), since, restarts, last_exit }
    }

    /// What has changed since this was last asked.
    pub fn changes(&mut self) -> Vec<UnitStatus> {
        let changed: Vec<UnitStatus> = self
            .statuses()
            .into_iter()
            .filter(|status| self.told.get(&status.name) != Some(status))
            .collect();
        self.told.extend(changed.iter().map(|status| (status.name.clone(), status.clone())));
        changed
    }
}

pub fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// Collects every child that has ended.
pub fn reap() -> Vec<(u32, Exit)> {
    let mut ended = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => ended.push((pid.as_raw().unsigned_abs(), Exit::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                ended.push((pid.as_raw().unsigned_abs(), Exit::Signal(signal as i32)))
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                warn!(%error, "waiting for children");
                return ended;
            }
        }
    }
}

/// Opens a log to append to.
pub fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if path.metadata().is_ok_and(|log| log.len() > LOG_BOUND) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}
