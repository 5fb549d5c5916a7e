//! The kubelet's directories: `pods/UID/` with volumes, hosts file and termination messages.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::heart::types::Uid;
use crate::heart::volumes::{FsStep, HostPathKind, OnDisk, VolumePlan, atomic_update};
use crate::heart::words;

/// What upstream reads of a termination message, at most.
const MAX_MESSAGE_BYTES: u64 = 4096;

#[derive(Clone, Debug)]
pub struct Dirs {
    pub root: PathBuf,
    pub logs: PathBuf,
}

impl Dirs {
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    pub fn pod(&self, uid: &Uid) -> PathBuf {
        self.pods().join(&uid.0)
    }

    fn volumes(&self, uid: &Uid) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    pub fn hosts_file(&self, uid: &Uid) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }

    /// Where one run of a container leaves its last words.
    pub fn termination_message(&self, uid: &Uid, container: &str, restart_count: u32) -> PathBuf {
        self.pod(uid).join("containers").join(container).join(restart_count.to_string())
    }

    /// Makes the file that is mounted at the container's `terminationMessagePath`.
    pub fn make_termination_message(&self, uid: &Uid, container: &str, count: u32) -> io::Result<PathBuf> {
        let path = self.termination_message(uid, container, count);
        make_dir(path.parent().unwrap_or(&self.root))?;
        File::create(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        Ok(path)
    }

    pub fn read_termination_message(&self, uid: &Uid, container: &str, count: u32) -> String {
        read_end(&self.termination_message(uid, container, count), MAX_MESSAGE_BYTES).unwrap_or_default()
    }

    /// Every pod that has a directory.
    pub fn known(&self) -> Vec<Uid> {
        let entries = fs::read_dir(self.pods()).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).map(Uid).collect()
    }

    /// Brings a pod's volumes to their plans. `state` is what this kubelet knows of their files.
    pub fn set_up(
        &self,
        uid: &Uid,
        plans: &BTreeMap<String, VolumePlan>,
        fs_group: Option<u32>,
        state: &mut BTreeMap<String, OnDisk>,
    ) -> anyhow::Result<()> {
        for (name, plan) in plans {
            self.set_up_one(uid, name, plan, fs_group, state).map_err(|cause| {
                anyhow::anyhow!("MountVolume.SetUp failed for volume {name:?} : {}", said(&cause))
            })?;
        }
        Ok(())
    }

    fn set_up_one(
        &self,
        uid: &Uid,
        name: &str,
        plan: &VolumePlan,
        fs_group: Option<u32>,
        state: &mut BTreeMap<String, OnDisk>,
    ) -> anyhow::Result<()> {
        if let VolumePlan::HostPath { path, kind } = plan {
            return check_host_path(Path::new(path), *kind);
        }
        let dir = self.volume_dir(uid, name, plan);
        match plan {
            VolumePlan::EmptyDir { tmpfs, size_limit } => {
                if dir.exists() {
                    return Ok(());
                }
                make_dir(&dir)?;
                if *tmpfs {
                    let data = size_limit.map(|bytes| format!("size={bytes}"));
                    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
                    mount(Some("tmpfs"), &dir, Some("tmpfs"), flags, data.as_deref())
                        .context("mounting tmpfs")?;
                }
                if let Some(gid) = fs_group {
                    chown(&dir, None, Some(gid)).context("changing the group")?;
                }
                let mode = if fs_group.is_some() { 0o2777 } else { 0o777 };
                fs::set_permissions(&dir, Permissions::from_mode(mode))?;
            }
            VolumePlan::Files { payload, .. } => {
                make_dir(&dir)?;
                let current = match state.get(name) {
                    Some(known) => known.clone(),
                    None => read_on_disk(&dir)?,
                };
                let stamp = jiff::Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S");
                let nanos = jiff::Timestamp::now().subsec_nanosecond();
                let new_dir = format!("..{stamp}.{nanos}");
                let steps = atomic_update(&current, payload, &new_dir);
                let changed = !steps.is_empty();
                for step in steps {
                    carry_out(&dir, &step, fs_group).with_context(|| format!("{step:?}"))?;
                }
                let top = |path: &String| path.split('/').next().unwrap_or(path).to_owned();
                state.insert(
                    name.to_owned(),
                    OnDisk {
                        data_dir: if changed { Some(new_dir) } else { current.data_dir },
                        links: payload.keys().map(top).collect(),
                        payload: Some(payload.clone()),
                    },
                );
            }
            VolumePlan::HostPath { .. } => {}
        }
        Ok(())
    }

    /// What is mounted into a container for this volume.
    pub fn volume_dir(&self, uid: &Uid, name: &str, plan: &VolumePlan) -> PathBuf {
        match plan {
            VolumePlan::HostPath { path, .. } => PathBuf::from(path),
            _ => self.volumes(uid).join(plan.plugin().unwrap_or("volume")).join(name),
        }
    }

    /// Unmounts and removes the pod's volumes.
    pub fn tear_down(&self, uid: &Uid) -> io::Result<()> {
        let volumes = self.volumes(uid);
        for plugin in fs::read_dir(&volumes).into_iter().flatten().flatten() {
            for volume in fs::read_dir(plugin.path()).into_iter().flatten().flatten() {
                // Only a tmpfs is a mount; of anything else this is refused.
                let _ = umount2(&volume.path(), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
            }
        }
        remove_all(&volumes)
    }

    /// Removes everything that the pod had, its logs too.
    pub fn remove(&self, uid: &Uid) -> io::Result<()> {
        self.tear_down(uid)?;
        remove_all(&self.pod(uid))?;
        // By uid: of a pod that only the disk knows the name is not known.
        let of_pod = format!("_{uid}");
        for entry in fs::read_dir(&self.logs).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().ends_with(&of_pod) {
                remove_all(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// An error and all that led to it, in Go's words where the system spoke.
pub fn said(error: &anyhow::Error) -> String {
    let one = |e: &(dyn std::error::Error + 'static)| match e.downcast_ref::<io::Error>() {
        Some(e) => words::system(e),
        None => e.to_string(),
    };
    error.chain().map(one).collect::<Vec<_>>().join(": ")
}

pub fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The last `limit` bytes of a file as text.
pub fn read_end(path: &Path, limit: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads back what an earlier kubelet wrote. The files themselves are not compared: they are
/// written once more, and `..data` moves to the new ones.
fn read_on_disk(dir: &Path) -> io::Result<OnDisk> {
    let mut found = OnDisk::default();
    if let Ok(target) = fs::read_link(dir.join("..data")) {
        found.data_dir = target.to_str().map(str::to_owned);
    }
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") {
            found.links.insert(name);
        }
    }
    Ok(found)
}

fn carry_out(dir: &Path, step: &FsStep, group: Option<u32>) -> io::Result<()> {
    match step {
        FsStep::MakeDir(path) => make_dir(&dir.join(path)),
        FsStep::Write { path, data, mode } => {
            let path = dir.join(path);
            let mode = if group.is_some() { mode | 0o040 } else { *mode };
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            file.write_all(data)?;
            // The umask had its say at creation.
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            match group {
                Some(gid) => chown(&path, None, Some(gid)),
                None => Ok(()),
            }
        }
        FsStep::Symlink { at, to } => {
            let at = dir.join(at);
            match fs::remove_file(&at) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            symlink(to, at)
        }
        FsStep::Rename { from, to } => fs::rename(dir.join(from), dir.join(to)),
        FsStep::Remove(path) => {
            let path = dir.join(path);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
                Ok(_) => fs::remove_file(path),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(e) => Err(e),
            }
        }
    }
}

fn check_host_path(path: &Path, kind: HostPathKind) -> anyhow::Result<()> {
    let shown = path.display();
    let found = fs::metadata(path).ok().map(|m| m.file_type());
    let (fits, what) = match kind {
        HostPathKind::Unchecked => {
            if found.is_none() {
                make_dir(path)?;
            }
            return Ok(());
        }
        HostPathKind::DirectoryOrCreate if found.is_none() => return Ok(make_dir(path)?),
        HostPathKind::FileOrCreate if found.is_none() => {
            fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path)?;
            return Ok(());
        }
        HostPathKind::Directory | HostPathKind::DirectoryOrCreate => {
            (found.is_some_and(|f| f.is_dir()), "a directory")
        }
        HostPathKind::File | HostPathKind::FileOrCreate => (found.is_some_and(|f| f.is_file()), "a file"),
        HostPathKind::Socket => (found.is_some_and(|f| f.is_socket()), "a socket file"),
        HostPathKind::CharDevice => (found.is_some_and(|f| f.is_char_device()), "a character device"),
        HostPathKind::BlockDevice => (found.is_some_and(|f| f.is_block_device()), "a block device"),
    };
    if !fits {
        bail!("hostPath type check failed: {shown} is not {what}");
    }
    Ok(())
}

/// A path below a volume that stays below it, whatever links are on the way. Made if absent.
pub fn sub_path(volume: &Path, sub: &str) -> anyhow::Result<PathBuf> {
    if sub.split('/').any(|part| part == "..") || sub.starts_with('/') {
        bail!("subPath {sub:?} must be a path within the volume");
    }
    let path = volume.join(sub);
    if !path.exists() {
        make_dir(&path)?;
    }
    let (real, root) = (fs::canonicalize(&path)?, fs::canonicalize(volume)?);
    if !real.starts_with(&root) {
        bail!("subPath {sub:?} leads out of the volume");
    }
    Ok(real)
}
