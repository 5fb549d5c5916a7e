//! Carries out the mount plan, and finds what the plan must know of the host.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::heart::mounts::{Cgroups, Host, SYSTEM_FOLDERS, Step};
use crate::sys;

const NOTHING: Option<&str> = None;
const QUIET: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// What the plans must know of this host.
pub fn look_at_host(cgroups: Cgroups, privileged: bool) -> Host {
    let system = SYSTEM_FOLDERS
        .iter()
        .filter_map(|name| {
            let path = Path::new("/").join(name);
            let is_link = path.symlink_metadata().ok()?.is_symlink();
            Some(((*name).to_owned(), if is_link { Some(fs::read_link(&path).ok()?) } else { None }))
        })
        .collect();
    Host { system, cgroups, privileged }
}

/// From here on, no mount of this namespace is seen outside, and none outside is seen here.
pub fn make_private() -> Result<()> {
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)
        .context("making all mounts private")
}

/// Carries out the steps in their order.
pub fn apply(steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(|step| apply_one(step).with_context(|| format!("mount step {step:?}")))
}

/// Makes `root` the root folder, and takes the old one away.
pub fn pivot(root: &Path) -> Result<()> {
    nix::unistd::chdir(root)?;
    // The old root is stacked below the new one for a moment: no folder is needed for it.
    nix::unistd::pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leaving the old root")?;
    nix::unistd::chdir("/").context("entering the new root")
}

fn apply_one(step: &Step) -> Result<()> {
    match step {
        Step::Folder { path } => fs::create_dir_all(path)?,
        Step::Link { path, target } => {
            make_parent(path)?;
            symlink(target, path)?;
        }
        Step::File { path, content } => {
            make_parent(path)?;
            fs::write(path, content)?;
        }
        Step::Copy { path, source } => {
            make_parent(path)?;
            copy(source, path)?;
        }
        Step::Tmpfs { path, mode } => {
            fs::create_dir_all(path)?;
            mount(
                Some("tmpfs"),
                path,
                Some("tmpfs"),
                MsFlags::MS_NOSUID,
                Some(format!("mode={mode:o}").as_str()),
            )?;
        }
        Step::Bind { path, source, read_only } => bind(source, path, *read_only)?,
        Step::Proc { path } => {
            fs::create_dir_all(path)?;
            mount(Some("proc"), path, Some("proc"), QUIET, NOTHING)?;
        }
        Step::Sysfs { path } => {
            fs::create_dir_all(path)?;
            if mount(Some("sysfs"), path, Some("sysfs"), QUIET | MsFlags::MS_RDONLY, NOTHING).is_err() {
                // Where the host itself sees only a part of /sys (in a container), the kernel gives
                // an ordinary user no fresh one.
                bind(Path::new("/sys"), path, true)?;
            }
        }
        Step::Devpts { path } => {
            fs::create_dir_all(path)?;
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
            let options = "newinstance,ptmxmode=0666,mode=0620";
            // The group tty exists only where more than one id is mapped.
            let with_group = format!("{options},gid=5");
            mount(Some("devpts"), path, Some("devpts"), flags, Some(with_group.as_str()))
                .or_else(|_| mount(Some("devpts"), path, Some("devpts"), flags, Some(options)))?;
        }
        Step::Cgroup { path, controllers } => {
            fs::create_dir_all(path)?;
            if controllers.is_empty() {
                mount(Some("cgroup2"), path, Some("cgroup2"), QUIET, NOTHING)?;
            } else {
                mount(Some("cgroup"), path, Some("cgroup"), QUIET, Some(controllers.join(",").as_str()))?;
            }
        }
    }
    Ok(())
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn bind(source: &Path, path: &Path, read_only: bool) -> Result<()> {
    let Ok(kind) = source.metadata() else {
        // A device or a kernel file that this host has not.
        return Ok(());
    };
    if kind.is_dir() {
        fs::create_dir_all(path)?;
    } else if !path.exists() {
        make_parent(path)?;
        fs::File::create(path)?;
    }
    mount(Some(source), path, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)?;
    if read_only {
        sys::make_read_only(path)?;
    }
    Ok(())
}

/// Copies what is there and may be read; links stay links.
fn copy(source: &Path, path: &Path) -> io::Result<()> {
    let Ok(kind) = source.symlink_metadata() else { return Ok(()) };
    if kind.is_symlink() {
        symlink(fs::read_link(source)?, path)
    } else if kind.is_dir() {
        fs::create_dir_all(path)?;
        let Ok(entries) = fs::read_dir(source) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            copy(&entry.path(), &path.join(entry.file_name()))?;
        }
        Ok(())
    } else if kind.is_file() {
        match fs::copy(source, path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result.map(|_| ()),
        }
    } else {
        Ok(())
    }
}
