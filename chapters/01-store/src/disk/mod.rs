//! The data directory, for whoever keeps a log and a snapshot in it: this chapter's log thread, and
//! chapter 02's members.
//!
//! ```text
//!   wal/0000000000000001.wal     frames of the log, in files of some size
//!   wal/0000000000002710.wal
//!   snap/000000000000270f.snap   the whole store after command 0x270f
//!   lock
//! ```
//!
//! The order of calls at a start: [`Dir::open`], [`Dir::read_snapshot`], [`Dir::read_log`]. Names of
//! files give their order, no more; what is believed is in the files, under checksums.

mod log;
mod snapshot;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};

pub use crate::heart::log::Frame;
pub use log::Log;
pub use snapshot::{
    SnapshotFile, adopt_snapshot, read_saved_snapshot, read_snapshot_file, snapshot_path, write_snapshot,
};

/// What to do about a file that is not what it was: we do not guess.
pub const ADVICE: &str = "writes that were acknowledged may be lost, so nothing was changed: \
    put back the file from a copy, or move the data directory away to start empty";

/// A data directory, ours alone as long as this lives.
pub struct Dir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Dir {
    /// Opens the directory, or makes it.
    pub fn open(path: &Path) -> anyhow::Result<Dir> {
        let lock = prepare(path).with_context(|| format!("data directory {}", path.display()))?;
        Ok(Dir { path: path.to_path_buf(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest snapshot, if there is one; older ones are removed.
    pub fn read_snapshot(&self) -> anyhow::Result<Option<SnapshotFile>> {
        snapshot::read_newest(&self.path)
    }

    /// Walks through the whole log, frame by frame, oldest first, and opens its end for writing.
    /// `covered` is the index up to which a snapshot has everything, 0 without one. An error of
    /// `each` is reported with the file, the byte and what to do.
    pub fn read_log(
        &self,
        covered: u64,
        each: impl FnMut(Frame<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Log> {
        log::read(&self.path, covered, each)
    }
}

fn prepare(dir: &Path) -> anyhow::Result<Flock<File>> {
    for dir in [dir.to_path_buf(), dir.join("wal"), dir.join("snap")] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    Flock::lock(lock, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, e)| anyhow::Error::from(e).context("another store is using it"))
}

/// Files of a kind by the number in their names; unfinished ones are removed.
fn list(dir: &Path, extension: &str) -> anyhow::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "tmp") {
            fs::remove_file(&path)?;
            continue;
        }
        let number = path.file_stem().and_then(|s| u64::from_str_radix(s.to_str()?, 16).ok());
        match number {
            Some(number) if path.extension().is_some_and(|e| e == extension) => files.push((number, path)),
            _ => bail!("{}: this file does not belong here", path.display()),
        }
    }
    files.sort();
    Ok(files)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
