//! The sandbox's control groups on the host: found, made, entered, and removed when all is over.
//!
//! Version 1 has a hierarchy for each controller (or for some together), version 2 has one tree in
//! which controllers must be handed down. We use version 2 where its controllers are ours to hand
//! down, else those hierarchies of version 1 that we may write, else none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use tracing::warn;

use crate::heart::mounts::Cgroups;

/// What limits and accounts for containers.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuacct", "memory", "pids", "freezer"];
const CONTROLLERS_V2: [&str; 3] = ["cpu", "memory", "pids"];

/// Where a sandbox's groups are, or would be, on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    kind: Cgroups,
    /// One folder for each hierarchy.
    folders: Vec<PathBuf>,
}

struct Mount {
    point: PathBuf,
    kind: String,
    options: String,
}

impl Groups {
    /// Makes the groups of the sandbox `id`.
    pub fn make(id: &str) -> Self {
        let mounts = mounts();
        Self::make_v2(&mounts, id)
            .or_else(|| Self::make_v1(&mounts, id))
            .unwrap_or(Self { kind: Cgroups::None, folders: Vec::new() })
    }

    pub fn kind(&self) -> &Cgroups {
        &self.kind
    }

    fn make_v2(mounts: &[Mount], id: &str) -> Option<Self> {
        let mount = mounts.iter().find(|mount| mount.kind == "cgroup2")?;
        let base = base_v2(mount)?;
        hand_down(&base).ok()?;
        let folder = base.join(name(id));
        make_folder(&folder).ok()?;
        Some(Self { kind: Cgroups::V2, folders: vec![folder] })
    }

    fn make_v1(mounts: &[Mount], id: &str) -> Option<Self> {
        let mut found: Vec<(String, PathBuf)> = Vec::new();
        for mount in mounts.iter().filter(|mount| mount.kind == "cgroup") {
            let controllers: Vec<&str> =
                mount.options.split(',').filter(|it| CONTROLLERS.contains(it)).collect();
            let folder = mount.point.join(name(id));
            if !controllers.is_empty() && make_folder(&folder).is_ok() {
                found.push((controllers.join(","), folder));
            }
        }
        found.sort();
        found.dedup_by(|later, earlier| later.0 == earlier.0);
        if found.is_empty() {
            return None;
        }
        let (hierarchies, folders) = found.into_iter().unzip();
        Some(Self { kind: Cgroups::V1(hierarchies), folders })
    }

    /// Moves a process in.
    pub fn enter(&self, pid: Pid) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), pid.to_string()))
    }
}

/// Removes whatever groups a sandbox of this name left, in every hierarchy.
pub fn sweep(id: &str) {
    for mount in mounts() {
        let mut folders = vec![mount.point.join(name(id))];
        if let ("cgroup2", Some(base)) = (mount.kind.as_str(), base_v2(&mount)) {
            folders.push(base.join(name(id)));
        }
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            if let Err(error) = remove(folder) {
                warn!(folder = %folder.display(), %error, "a control group stays");
            }
        }
    }
}

/// The folders of a sandbox's groups that are there.
pub fn left(id: &str) -> Vec<PathBuf> {
    mounts().into_iter().map(|mount| mount.point.join(name(id))).filter(|folder| folder.is_dir()).collect()
}

fn name(id: &str) -> String {
    format!("coracle-{id}")
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// A group is a folder whose files are not files: only folders are removed, the deepest first.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

/// Lets the groups below `folder` use the controllers. Fails when `folder` is not ours, or holds
/// processes (a group of version 2 has either members or groups with controllers).
pub fn hand_down(folder: &Path) -> io::Result<()> {
    let offered = fs::read_to_string(folder.join("cgroup.controllers"))?;
    let wanted: Vec<String> = CONTROLLERS_V2
        .iter()
        .filter(|it| offered.split_whitespace().any(|has| has == **it))
        .map(|it| format!("+{it}"))
        .collect();
    if wanted.is_empty() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "no controllers"));
    }
    fs::write(folder.join("cgroup.subtree_control"), wanted.join(" "))
}

/// Where groups of version 2 may be made: at the top for root, else below the group that this
/// process was delegated.
fn base_v2(mount: &Mount) -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(mount.point.clone());
    }
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(mount.point.join(path.trim_start_matches('/')))
}

/// The mounted hierarchies, from /proc/self/mountinfo.
fn mounts() -> Vec<Mount> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (mount, file_system) = line.split_once(" - ")?;
            let mut of_fs = file_system.split(' ');
            let kind = of_fs.next()?.to_owned();
            if kind != "cgroup" && kind != "cgroup2" {
                return None;
            }
            let options = of_fs.nth(1)?.to_owned();
            let mut of_mount = mount.split(' ').skip(3);
            let (root, point) = (of_mount.next()?, of_mount.next()?);
            // A mount of a part only would make groups where nobody looks for them.
            (root == "/").then(|| Mount { point: point.into(), kind, options })
        })
        .collect()
}
