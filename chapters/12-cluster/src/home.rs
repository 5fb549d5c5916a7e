//! The cluster's folder: what lies where, what is remembered between runs, and who is running.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::heart::mounts::HomePaths;
use crate::sys;

/// A cluster's folder, by its full path without links.
#[derive(Clone, Debug)]
pub struct Home {
    pub paths: HomePaths,
}

/// What a later `up` must do as this one did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub nodes: Option<u32>,
    pub api_port: Option<u16>,
    pub store_port: Option<u16>,
}

/// Who runs, as the host sees them. The guard writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The sandbox's PID 1.
    pub sandbox: Process,
    pub guard: Process,
}

/// A process, told from a later one of the same number by its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// In clock ticks since the machine started.
    pub started: u64,
}

impl Home {
    /// The folder that `--home` names, or `$CORACLE_HOME`, or `.coracle` here. Made when missing.
    pub fn open(wish: Option<&Path>) -> Result<Self> {
        let path = Self::wished(wish);
        fs::create_dir_all(&path).with_context(|| format!("making the folder {}", path.display()))?;
        Self::existing(wish)
    }

    /// The same, but it must be there.
    pub fn existing(wish: Option<&Path>) -> Result<Self> {
        let path = Self::wished(wish);
        let home =
            fs::canonicalize(&path).with_context(|| format!("there is no cluster in {}", path.display()))?;
        Ok(Self { paths: HomePaths { home } })
    }

    fn wished(wish: Option<&Path>) -> PathBuf {
        match wish {
            Some(path) => path.to_owned(),
            None => std::env::var_os("CORACLE_HOME").map_or_else(|| ".coracle".into(), PathBuf::from),
        }
    }

    pub fn path(&self) -> &Path {
        &self.paths.home
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.paths.home.join(name)
    }

    /// A short name of this home that no other on the machine has.
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.path().as_os_str().as_encoded_bytes());
        digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn pki(&self) -> PathBuf {
        self.join("pki")
    }

    pub fn kubeconfigs(&self) -> PathBuf {
        self.join("kubeconfigs")
    }

    /// The administrator's kubeconfig, for the host.
    pub fn kubeconfig(&self) -> PathBuf {
        self.join("kubeconfig")
    }

    pub fn logs(&self) -> PathBuf {
        self.join("logs")
    }

    /// Where a component's log lies: `apiserver`, or `node-1/kubelet`.
    pub fn log(&self, component: &str) -> PathBuf {
        self.logs().join(format!("{component}.log"))
    }

    pub fn run(&self) -> PathBuf {
        self.join("run")
    }

    pub fn memory(&self) -> Memory {
        read_json(&self.join("state.json")).unwrap_or_default()
    }

    pub fn remember(&self, memory: &Memory) -> Result<()> {
        write_json(&self.join("state.json"), memory)
    }

    /// Keeps other `up`s, `down`s and `reset`s of this home waiting until it is dropped.
    pub fn lock(&self) -> Result<Flock<File>> {
        fs::create_dir_all(self.run())?;
        let file = File::create(self.run().join("lock"))?;
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => Ok(lock),
            Err((_, error)) => bail!("locking {}: {error}", self.run().display()),
        }
    }

    /// The sandbox of this home, if it is up.
    pub fn running(&self) -> Option<Running> {
        self.last_running().filter(|running| running.sandbox.is_alive())
    }

    /// The last sandbox of this home; perhaps it is gone.
    pub fn last_running(&self) -> Option<Running> {
        read_json(&self.run().join("sandbox.json"))
    }

    pub fn set_running(&self, running: &Running) -> Result<()> {
        write_json(&self.run().join("sandbox.json"), running)
    }
}

impl Process {
    pub fn of(pid: Pid) -> Result<Self> {
        let started = start_of(pid.as_raw()).with_context(|| format!("process {pid} is gone"))?;
        Ok(Self { pid: pid.as_raw(), started })
    }

    /// Whether it runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.started)
    }

    /// A descriptor for exactly this process, unless it is gone.
    pub fn open(&self) -> Option<OwnedFd> {
        let fd = sys::pidfd(Pid::from_raw(self.pid)).ok()?;
        self.is_alive().then_some(fd)
    }

    /// Waits for its end; `false` when it has not ended within `patience`.
    pub fn wait(&self, patience: Duration) -> Result<bool> {
        match self.open() {
            Some(fd) => sys::wait_for_end(&fd, patience),
            None => Ok(true),
        }
    }

    pub fn signal(&self, signal: Signal) {
        let Some(fd) = self.open() else { return };
        // SAFETY: the descriptor is open; a null pointer asks for the default information.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()),
                signal as i32,
                0,
                0,
            )
        };
        if sent < 0 {
            tracing::debug!(pid = self.pid, "it ended before the signal");
        }
    }
}

/// The start time of a process (field 22 of its stat), unless it is gone or a zombie.
fn start_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name, may hold anything, parentheses too.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a file so that a reader sees the old or the new one, never a half.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        // A leftover may have another mode.
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(content)?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write_atomically(path, &serde_json::to_vec_pretty(value)?, 0o644)
}
