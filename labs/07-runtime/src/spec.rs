//! What a container shall be: the values that plans are made from.
//!
//! The runtime makes a [`ContainerSpec`] of CRI's configuration and the image's; it travels as
//! JSON to the pod's shim, which carries it out. It plays the part of OCI's `config.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroups::CgroupPlan;
use crate::namespaces::Wanted;
use crate::ops::Propagation;

/// One container, or the pause process of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub id: String,
    pub namespaces: Wanted,
    pub root: RootSpec,
    /// Volumes and the files that the kubelet provides, in the order of the request.
    pub mounts: Vec<MountSpec>,
    pub process: ProcessSpec,
    pub cgroup: CgroupPlan,
    /// Where CRI log lines go; none for the pause process.
    pub log_path: Option<PathBuf>,
    /// For the pause process: the pod's host name and kernel settings.
    #[serde(default)]
    pub sandbox: Option<SandboxSetup>,
    /// Signal number that asks the process to end.
    pub stop_signal: i32,
}

/// What the first process of a pod sets up for all that follow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSetup {
    /// Set when the pod has a UTS namespace of its own.
    pub hostname: Option<String>,
    /// Whether the pod has a network namespace of its own.
    pub own_network: bool,
    /// Name (with dots) and value.
    pub sysctls: Vec<(String, String)>,
}

/// Where `/` comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSpec {
    /// Directory that holds one directory for each unpacked layer.
    pub layers_dir: PathBuf,
    /// Names in it, the uppermost layer first.
    pub layers: Vec<String>,
    /// The container's own: `upper`, `work`, and the mount point `rootfs`.
    pub bundle: PathBuf,
    pub readonly: bool,
    /// Inside a user namespace: overlay must use `user.overlay.*`.
    pub userxattr: bool,
    /// `gid=5` of devpts needs that group to be mapped.
    pub tty_group: bool,
    pub privileged: bool,
    pub masked_paths: Vec<PathBuf>,
    pub readonly_paths: Vec<PathBuf>,
    /// The pod's shared memory, a path of the node.
    pub shm: Option<PathBuf>,
    /// Cgroup v2: give the container a view of its own group.
    pub cgroup2: bool,
}

/// A path of the node that shall appear in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// A real path of the node, links resolved.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: PathBuf,
    pub readonly: bool,
    pub propagation: Propagation,
}

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Not empty.
    pub args: Vec<String>,
    /// `NAME=value`, each name once.
    pub env: Vec<String>,
    /// Absolute; made when missing.
    pub cwd: PathBuf,
    pub user: UserSpec,
    /// Bits by capability number: bounding set, and all that root has.
    pub capabilities: u64,
    /// Bits that survive `execve` for users other than root too.
    pub ambient: u64,
    pub no_new_privs: bool,
    pub terminal: bool,
    pub stdin: bool,
    /// Standard input ends with the first one who attached to it.
    pub stdin_once: bool,
    pub oom_score_adj: Option<i32>,
}

/// Whom it runs as: names are looked up in the image's `/etc/passwd` and `/etc/group`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSpec {
    /// `""`, `"1000"`, `"www"`, `"www:adm"`, `"1000:100"`: an image's `User` or what CRI says.
    pub user: String,
    /// CRI's `run_as_group`: wins over the group of `user`.
    pub group: Option<u32>,
    pub supplemental: Vec<u32>,
    /// `Strict`: the groups of the image's `/etc/group` do not count.
    pub strict_groups: bool,
}
