//! Carries out [`heart::cgroups`](crate::heart::cgroups) plans: a few directories and files.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::heart::cgroups::{CgroupPlan, Hierarchies, choose, mounts, oom_kills};

/// Finds the trees in which groups below `parent` can be made.
pub fn detect(parent: &str) -> Hierarchies {
    let info = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let below = Path::new(parent.trim_start_matches('/'));
    let usable =
        |mount: &Path| fs::create_dir_all(mount.join(below)).is_ok() && may_write(&mount.join(below));
    let controllers = |mount: &Path| {
        // Give the controllers down to our parent, as far as we may.
        let at_root = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
        let all: Vec<String> = at_root.split_whitespace().map(|name| format!("+{name}")).collect();
        let _ = fs::create_dir_all(mount.join(below));
        let mut above: Vec<&Path> = below.ancestors().skip(1).collect();
        above.reverse();
        for dir in above {
            for name in &all {
                let _ = fs::write(mount.join(dir).join("cgroup.subtree_control"), name);
            }
        }
        fs::read_to_string(mount.join(below).join("cgroup.controllers")).unwrap_or_default()
    };
    choose(&mounts(&info), controllers, usable)
}

fn may_write(dir: &Path) -> bool {
    nix::unistd::access(&dir.join("cgroup.procs"), nix::unistd::AccessFlags::W_OK).is_ok()
}

/// Makes the groups and sets the limits.
pub fn apply(plan: &CgroupPlan) -> anyhow::Result<()> {
    for (dir, controllers) in &plan.enable {
        fs::create_dir_all(dir).with_context(|| format!("making control group {}", dir.display()))?;
        for name in controllers.split_whitespace() {
            let _ = fs::write(dir.join("cgroup.subtree_control"), name);
        }
    }
    for dir in &plan.dirs {
        fs::create_dir_all(dir).with_context(|| format!("making control group {}", dir.display()))?;
    }
    for (file, value) in &plan.writes {
        fs::write(file, value).with_context(|| format!("setting limit {} = {value}", file.display()))?;
    }
    for (file, value) in &plan.optional_writes {
        if let Err(error) = fs::write(file, value) {
            tracing::debug!("limit {} = {value}: {error}", file.display());
        }
    }
    Ok(())
}

/// Moves a process into the groups.
pub fn join(plan: &CgroupPlan, pid: i32) -> io::Result<()> {
    plan.procs.iter().try_for_each(|file| fs::write(file, pid.to_string()))
}

/// Whether the kernel killed a process of the group for want of memory.
pub fn oom_killed(plan: &CgroupPlan) -> bool {
    plan.oom.as_ref().and_then(|file| fs::read_to_string(file).ok()).is_some_and(|text| oom_kills(&text) > 0)
}

/// Takes the groups away, as far as they are empty; the pod's own too when it was the last.
pub fn remove(plan: &CgroupPlan) {
    for dir in &plan.dirs {
        match fs::remove_dir(dir) {
            Ok(()) => {
                let _ = dir.parent().map(fs::remove_dir);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::debug!("control group {}: {error}", dir.display()),
        }
    }
}

/// Sends a signal to every process that sees the same mounts as a container does: they are its
/// own, even where it shares the process namespace. Answers how many there were.
pub fn signal_all(mount_ns: u64, signal: Signal) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = pids.filter(|pid| namespace_id(*pid, "mnt") == Some(mount_ns));
    ours.filter(|pid| kill(Pid::from_raw(*pid), signal).is_ok()).count()
}

/// Number of a process's namespace.
pub fn namespace_id(pid: i32, kind: &str) -> Option<u64> {
    let link: PathBuf = fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?;
    let text = link.to_string_lossy();
    text.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}
