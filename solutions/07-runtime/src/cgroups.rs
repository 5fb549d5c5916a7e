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
    // lab:begin 07.6 for each line that mounts control groups: where, which version, which controllers
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        // Optional fields of varying number end with a lone dash.
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (left, right): (Vec<&str>, Vec<&str>) = (left.split(' ').collect(), right.split(' ').collect());
        let (Some(mount), Some(kind), Some(options)) = (left.get(4), right.first(), right.get(2)) else {
            continue;
        };
        let controllers = match *kind {
            "cgroup2" => Vec::new(),
            "cgroup" => options
                .split(',')
                .filter(|option| !matches!(*option, "rw" | "ro"))
                .map(str::to_owned)
                .collect(),
            _ => continue,
        };
        // Spaces in paths are written as octal escapes.
        let mount = PathBuf::from(mount.replace("\\040", " "));
        found.push(CgroupMount { mount, v2: *kind == "cgroup2", controllers });
    }
    found
    // lab:end
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
    // lab:begin 07.6 version 2 if it has memory and can be used, else the trees of version 1, else none
    for found in mounts.iter().filter(|found| found.v2) {
        let controllers: BTreeSet<String> =
            v2_controllers(&found.mount).split_whitespace().map(str::to_owned).collect();
        if controllers.contains("memory") && usable(&found.mount) {
            return Hierarchies::V2 { mount: found.mount.clone(), controllers };
        }
    }
    let mut trees = BTreeMap::new();
    for found in mounts.iter().filter(|found| !found.v2) {
        let wanted = found
            .controllers
            .iter()
            .filter(|name| CONTROLLERS.contains(&name.as_str()) || *name == "cpuacct");
        for name in wanted {
            if usable(&found.mount) {
                trees.entry(name.clone()).or_insert_with(|| found.mount.clone());
            }
        }
    }
    if trees.is_empty() { Hierarchies::None } else { Hierarchies::V1 { mounts: trees } }
    // lab:end
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
    // lab:begin 07.6 enable the controllers above the group; one write for each limit that is asked for and can be held
    let dir = mount.join(below);
    let on: Vec<String> = CONTROLLERS
        .iter()
        .filter(|name| controllers.contains(**name))
        .map(|name| format!("+{name}"))
        .collect();
    let mut parents: Vec<&Path> = below.ancestors().skip(1).collect();
    parents.reverse();
    let enable = parents.into_iter().map(|parent| (mount.join(parent), on.join(" "))).collect();
    let has = |name: &str| controllers.contains(name);
    let mut writes = Vec::new();
    let mut optional_writes = Vec::new();
    if has("cpu") && limits.cpu_shares > 0 {
        // 2..262144 shares become 1..10000: runc's ConvertCPUSharesToCgroupV2Value.
        let shares = limits.cpu_shares.clamp(2, 262_144);
        writes.push((dir.join("cpu.weight"), (1 + (shares - 2) * 9999 / 262_142).to_string()));
    }
    if has("cpu") && limits.cpu_quota > 0 {
        writes.push((dir.join("cpu.max"), format!("{} {}", limits.cpu_quota, period(limits))));
    }
    if has("memory") && limits.memory_bytes > 0 {
        writes.push((dir.join("memory.max"), limits.memory_bytes.to_string()));
        if limits.memory_swap_bytes >= limits.memory_bytes {
            let swap = limits.memory_swap_bytes - limits.memory_bytes;
            optional_writes.push((dir.join("memory.swap.max"), swap.to_string()));
        }
    }
    if has("pids") && limits.pids > 0 {
        writes.push((dir.join("pids.max"), limits.pids.to_string()));
    }
    optional_writes.extend(limits.unified.iter().map(|(file, value)| (dir.join(file), value.clone())));
    CgroupPlan {
        enable,
        writes,
        optional_writes,
        procs: vec![dir.join("cgroup.procs")],
        oom: has("memory").then(|| dir.join("memory.events")),
        dirs: vec![dir],
        not_enforced: Vec::new(),
    }
    // lab:end
}

fn plan_v1(mounts: &BTreeMap<String, PathBuf>, below: &Path, limits: &Limits) -> CgroupPlan {
    // lab:begin 07.6 the group in each tree; one write for each limit that is asked for and can be held
    let dirs: BTreeSet<PathBuf> = mounts.values().map(|mount| mount.join(below)).collect();
    let file =
        |controller: &str, name: &str| mounts.get(controller).map(|mount| mount.join(below).join(name));
    let mut writes = Vec::new();
    let mut optional_writes = Vec::new();
    let wanted = [
        ("cpu", "cpu.shares", limits.cpu_shares),
        ("cpu", "cpu.cfs_period_us", if limits.cpu_quota > 0 { period(limits) } else { 0 }),
        ("cpu", "cpu.cfs_quota_us", limits.cpu_quota),
        ("memory", "memory.limit_in_bytes", limits.memory_bytes),
        ("pids", "pids.max", limits.pids),
    ];
    for (controller, name, value) in wanted {
        if let (Some(path), true) = (file(controller, name), value > 0) {
            writes.push((path, value.to_string()));
        }
    }
    if let (Some(path), true) = (file("memory", "memory.memsw.limit_in_bytes"), limits.memory_swap_bytes > 0)
    {
        optional_writes.push((path, limits.memory_swap_bytes.to_string()));
    }
    CgroupPlan {
        enable: Vec::new(),
        procs: dirs.iter().map(|dir| dir.join("cgroup.procs")).collect(),
        oom: file("memory", "memory.oom_control"),
        dirs: dirs.into_iter().collect(),
        writes,
        optional_writes,
        not_enforced: Vec::new(),
    }
    // lab:end
}

/// Microseconds; the kernel's own where nobody names one.
// lab:given
fn period(limits: &Limits) -> i64 {
    if limits.cpu_period > 0 { limits.cpu_period } else { 100_000 }
}

/// How many processes the kernel killed in a group: the line `oom_kill N` of the plan's `oom` file.
pub fn oom_kills(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
