//! What the runtime knows of pods and containers, in memory and on disk.
//!
//! ```text
//! ROOT/sandboxes/ID/   sandbox.json  hostname  hosts  resolv.conf   + bundle of the pause process
//! ROOT/containers/ID/  container.json  started  exit.json  upper/ work/ rootfs/
//! STATE/ID.sock        the shim's socket
//! ```
//! The runtime writes `sandbox.json` and `container.json`, the shim `started` and `exit.json`. What
//! a container *is* follows from these and from asking its shim, so nothing has to be kept in step.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::cri;
use crate::heart::cgroups::CgroupPlan;
use crate::heart::cni::ConfList;
use crate::heart::process::Exit;
use crate::heart::spec::ContainerSpec;
use crate::sys::write_atomically;

/// What is kept of a pod.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxRecord {
    pub id: String,
    pub config: cri::PodSandboxConfig,
    pub created_at: i64,
    /// Whether RunPodSandbox came to its end: what it left half done is cleared away.
    pub complete: bool,
    /// StopPodSandbox was done: no address, no processes.
    pub stopped: bool,
    pub pause_pid: i32,
    /// The pause process's own control group.
    pub cgroup: CgroupPlan,
    pub ips: Vec<String>,
    /// The network that it was put on, and the answer: DEL wants both.
    pub network: Option<(ConfList, Value)>,
}

impl SandboxRecord {
    fn namespaces(&self) -> cri::NamespaceOption {
        let linux = self.config.linux.as_ref();
        linux.and_then(|linux| linux.security_context.as_ref()?.namespace_options.clone()).unwrap_or_default()
    }

    pub fn host_network(&self) -> bool {
        self.namespaces().network() == cri::NamespaceMode::Node
    }

    pub fn host_ipc(&self) -> bool {
        self.namespaces().ipc() == cri::NamespaceMode::Node
    }
}

/// What is kept of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub id: String,
    pub sandbox: String,
    pub config: cri::ContainerConfig,
    pub created_at: i64,
    /// Repo digest of the image.
    pub image_ref: String,
    pub image_id: String,
    pub spec: ContainerSpec,
    /// The container whose processes it sees (mode TARGET).
    pub target: Option<String>,
}

#[derive(Debug)]
pub struct Sandbox {
    pub record: SandboxRecord,
    /// The pause process lives.
    pub ready: bool,
    /// StopPodSandbox is at work: that its shim goes is no surprise.
    pub stopping: bool,
}

/// Where a container is in its life; it only ever moves down this list.
#[derive(Debug, Clone)]
pub enum Phase {
    Created,
    /// StartContainer is at work; an exit that is reported meanwhile waits for it, so that nobody
    /// hears of the end before the start.
    Starting(Option<Exit>),
    Running {
        pid: i32,
        started_at: i64,
    },
    Exited(Exit),
}

#[derive(Debug)]
pub struct Container {
    pub record: ContainerRecord,
    pub phase: Phase,
    /// True once it has exited: StopContainer waits on this.
    pub exited: watch::Sender<bool>,
}

impl Container {
    pub fn new(record: ContainerRecord, phase: Phase) -> Container {
        let exited = watch::Sender::new(matches!(phase, Phase::Exited(_)));
        Container { record, phase, exited }
    }

    pub fn exit(&mut self, exit: Exit) {
        self.phase = Phase::Exited(exit);
        self.exited.send_replace(true);
    }

    pub fn pid(&self) -> Option<i32> {
        match self.phase {
            Phase::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }
}

/// All pods and containers.
#[derive(Debug, Default)]
pub struct State {
    pub sandboxes: BTreeMap<String, Sandbox>,
    pub containers: BTreeMap<String, Container>,
}

impl State {
    /// Finds a pod by its id or an unambiguous beginning of it.
    pub fn sandbox(&self, id: &str) -> Option<&Sandbox> {
        by_prefix(&self.sandboxes, id)
    }

    pub fn container(&self, id: &str) -> Option<&Container> {
        by_prefix(&self.containers, id)
    }

    pub fn containers_of(&self, sandbox: &str) -> impl Iterator<Item = &Container> {
        self.containers.values().filter(move |container| container.record.sandbox == sandbox)
    }
}

fn by_prefix<'a, T>(all: &'a BTreeMap<String, T>, id: &str) -> Option<&'a T> {
    if let Some(found) = all.get(id) {
        return Some(found);
    }
    let mut found =
        all.range(id.to_owned()..).take_while(|(known, _)| !id.is_empty() && known.starts_with(id));
    match (found.next(), found.next()) {
        (Some((_, one)), None) => Some(one),
        _ => None,
    }
}

/// Paths below the two directories of the runtime.
#[derive(Debug, Clone)]
pub struct Disk {
    root: PathBuf,
    state: PathBuf,
}

impl Disk {
    pub fn open(root: &Path, state: &Path) -> anyhow::Result<Disk> {
        for dir in [root.join("sandboxes"), root.join("containers"), state.to_owned()] {
            fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        }
        // Mounts are made by absolute paths.
        let real = |dir: &Path| fs::canonicalize(dir).with_context(|| format!("finding {}", dir.display()));
        Ok(Disk { root: real(root)?, state: real(state)? })
    }

    pub fn sandbox(&self, id: &str) -> PathBuf {
        self.root.join("sandboxes").join(id)
    }

    pub fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    /// Where a pod's shim listens: short, for paths of sockets have 107 bytes.
    pub fn socket(&self, sandbox: &str) -> PathBuf {
        self.state.join(format!("{}.sock", &sandbox[..sandbox.len().min(24)]))
    }

    /// Where a pod's shared memory is mounted.
    pub fn shm(&self, sandbox: &str) -> PathBuf {
        self.state.join(format!("{}.shm", &sandbox[..sandbox.len().min(24)]))
    }

    pub fn save_sandbox(&self, record: &SandboxRecord) -> anyhow::Result<()> {
        save(&self.sandbox(&record.id).join("sandbox.json"), record)
    }

    pub fn save_container(&self, record: &ContainerRecord) -> anyhow::Result<()> {
        save(&self.container(&record.id).join("container.json"), record)
    }

    /// All records that can be read, pods first. Directories without one are left-overs: they go.
    pub fn load(&self) -> anyhow::Result<(Vec<SandboxRecord>, Vec<ContainerRecord>)> {
        Ok((
            load(&self.root.join("sandboxes"), "sandbox.json")?,
            load(&self.root.join("containers"), "container.json")?,
        ))
    }

    /// How a container ended, if its shim wrote it down.
    pub fn exit(&self, container: &str) -> Option<Exit> {
        read(&self.container(container).join("exit.json")).ok()
    }

    /// When its shim started it.
    pub fn started_at(&self, container: &str) -> Option<i64> {
        fs::read_to_string(self.container(container).join("started")).ok()?.trim().parse().ok()
    }
}

fn save(path: &Path, record: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_vec(record)?;
    write_atomically(path, &json).with_context(|| format!("writing {}", path.display()))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn load<T: serde::de::DeserializeOwned>(dir: &Path, file: &str) -> anyhow::Result<Vec<T>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match read(&path.join(file)) {
            Ok(record) => records.push(record),
            Err(error) => {
                tracing::warn!("removing {}, which has no readable record: {error:#}", path.display());
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
    Ok(records)
}
