//! Control groups: what a container may use, in both of the kernel's versions.
//!
//! Version 1 has a tree for each controller, version 2 one tree for all. Many machines have the
//! first, most the second, some a mixture; an ordinary user may have none that can be written. So
//! the plan says which limits hold *and which do not*.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The controllers that limits need.
pub const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Trees that can be written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hierarchies {
    /// One tree, and the controllers that it has.
    V2 { mount: PathBuf, controllers: BTreeSet<String> },
    /// Controller and its mount point.
    V1 { mounts: BTreeMap<String, PathBuf> },
    #[default]
    None,
}

/// A line of `/proc/self/mountinfo` that mounts control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupMount {
    pub mount: PathBuf,
    pub v2: bool,
    /// Version 1: the controllers of this tree.
    pub controllers: Vec<String>,
}

/// Finds the control group mounts in the text of `/proc/self/mountinfo` (proc(5)).
pub fn mounts(mountinfo: &str) -> Vec<CgroupMount> {
    let _ = &mountinfo;
    todo!("lab 07.6: for each line that mounts control groups: where, which version, which controllers")
}

/// Chooses the version: 2 where its tree has the memory controller, else 1.
///
/// `v2_controllers` is the text of the root's `cgroup.controllers`; `usable` says whether our
/// group could be made below a mount point.
pub fn choose(
    mounts: &[CgroupMount],
    v2_controllers: impl Fn(&Path) -> String,
    usable: impl Fn(&Path) -> bool,
) -> Hierarchies {
    let _ = (&mounts, &v2_controllers, &usable);
    todo!("lab 07.6: version 2 if it has memory and can be used, else the trees of version 1, else none")
}

impl Hierarchies {
    /// Controllers whose limits nothing enforces here.
    pub fn not_enforced(&self) -> Vec<&'static str> {
        let has = |name: &str| match self {
            Hierarchies::V2 { controllers, .. } => controllers.contains(name),
            Hierarchies::V1 { mounts } => mounts.contains_key(name),
            Hierarchies::None => false,
        };
        CONTROLLERS.into_iter().filter(|name| !has(name)).collect()
    }
}

/// CRI's limits; zero is "not asked for".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub cpu_shares: i64,
    /// Microseconds in each `cpu_period`.
    pub cpu_quota: i64,
    pub cpu_period: i64,
    pub memory_bytes: i64,
    /// Memory and swap together.
    pub memory_swap_bytes: i64,
    pub pids: i64,
    /// Files of version 2 as they are; they do nothing under version 1.
    pub unified: BTreeMap<String, String>,
}

/// What to do for one group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// Directories to make, parents first, each with what to write into its
    /// `cgroup.subtree_control` (version 2; a refusal is no error).
    pub enable: Vec<(PathBuf, String)>,
    /// The group's directory in each tree.
    pub dirs: Vec<PathBuf>,
    pub writes: Vec<(PathBuf, String)>,
    /// Written too, where the file exists (swap accounting is often off).
    pub optional_writes: Vec<(PathBuf, String)>,
    /// A process joins by its id written here.
    pub procs: Vec<PathBuf>,
    /// A file with a line `oom_kill N`.
    pub oom: Option<PathBuf>,
    /// Controllers of limits that were asked for and that nothing enforces.
    pub not_enforced: Vec<String>,
}

/// Plans the group at `path` (absolute, below the mount points) with `limits`.
pub fn plan(trees: &Hierarchies, path: &Path, limits: &Limits) -> CgroupPlan {
    let below = path.strip_prefix("/").unwrap_or(path);
    let mut plan = match trees {
        Hierarchies::V2 { mount, controllers } => plan_v2(mount, controllers, below, limits),
        Hierarchies::V1 { mounts } => plan_v1(mounts, below, limits),
        Hierarchies::None => CgroupPlan::default(),
    };
    let asked = [
        ("cpu", limits.cpu_quota > 0 || limits.cpu_shares > 0),
        ("memory", limits.memory_bytes > 0),
        ("pids", limits.pids > 0),
    ];
    let missing = trees.not_enforced();
    plan.not_enforced = asked
        .iter()
        .filter(|(name, asked)| *asked && missing.contains(name))
        .map(|(name, _)| (*name).into())
        .collect();
    plan
}

fn plan_v2(mount: &Path, controllers: &BTreeSet<String>, below: &Path, limits: &Limits) -> CgroupPlan {
    let _ = (&mount, &controllers, &below, &limits);
    todo!(
        "lab 07.6: enable the controllers above the group; one write for each limit that is asked for and can be held"
    )
}

fn plan_v1(mounts: &BTreeMap<String, PathBuf>, below: &Path, limits: &Limits) -> CgroupPlan {
    let _ = (&mounts, &below, &limits);
    todo!("lab 07.6: the group in each tree; one write for each limit that is asked for and can be held")
}

/// Microseconds; the kernel's own where nobody names one.
#[allow(dead_code, reason = "used by your answer")]
fn period(limits: &Limits) -> i64 {
    if limits.cpu_period > 0 { limits.cpu_period } else { 100_000 }
}

/// How many processes the kernel killed in a group: the line `oom_kill N` of the plan's `oom` file.
pub fn oom_kills(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
