//! Snapshot files: frames of the core's `snapshot`, from the first to the last.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};

use super::{ADVICE, list, sync_dir};
use crate::heart::Store;
use crate::heart::snapshot::{Loader, Snapshot};
use crate::heart::wal::{self, Damage, HEADER_LEN, Kind};

/// What a snapshot file holds.
pub struct SnapshotFile {
    pub store: Store,
    /// Index of the last command in it.
    pub applied: u64,
    /// What [`Snapshot::extra`] was.
    pub extra: Vec<u8>,
    /// Its size.
    pub bytes: u64,
}

/// Where the snapshot after the command with this index has its place.
pub fn snapshot_path(dir: &Path, applied: u64) -> PathBuf {
    dir.join("snap").join(format!("{applied:016x}.snap"))
}

pub(super) fn read_newest(dir: &Path) -> anyhow::Result<Option<SnapshotFile>> {
    let mut files = list(&dir.join("snap"), "snap")?;
    let Some((_, path)) = files.pop() else { return Ok(None) };
    let read = read_snapshot_file(&path).with_context(|| format!("{}; {ADVICE}", path.display()))?;
    for (_, old) in files {
        fs::remove_file(old)?;
    }
    Ok(Some(read))
}

/// Reads a snapshot file, wherever it is, and looks at every checksum in it. Errors say at which byte.
pub fn read_snapshot_file(path: &Path) -> anyhow::Result<SnapshotFile> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    read_frames(file, size, false)
}

/// The same for a file in which the snapshot has `size` bytes, and may end in zeros.
pub fn read_saved_snapshot(path: &Path, size: u64) -> anyhow::Result<SnapshotFile> {
    read_frames(File::open(path)?, size, true)
}

fn read_frames(file: File, size: u64, padded: bool) -> anyhow::Result<SnapshotFile> {
    let (bytes, size) = (size, size as usize);
    let mut file = BufReader::new(file);
    let mut loader = Loader::default();
    let (mut at, mut chain) = (0, 0);
    let mut rest = Vec::new();
    while at < size {
        let damage = |why| Damage { at, why };
        let short = |e: io::Error| anyhow::Error::from(e).context(damage("the frame is not all there"));
        let mut head = [0; HEADER_LEN];
        file.read_exact(&mut head).map_err(short)?;
        let header = wal::decode_header(&head).map_err(damage)?;
        if header.len >= size - at {
            bail!(damage("the frame is not all there"));
        }
        rest.resize(header.len + 1, 0);
        file.read_exact(&mut rest).map_err(short)?;
        if !wal::is_intact(&header, chain, &rest) {
            bail!(damage("the frame does not have its checksum"));
        }
        loader.handle_frame(header.kind, &rest[..header.len]).with_context(|| format!("at byte {at}"))?;
        chain = header.checksum;
        at += HEADER_LEN + rest.len();
        if padded && header.kind == Kind::End {
            break;
        }
    }
    let extra = loader.extra().to_vec();
    let (store, applied) = loader.finish()?;
    Ok(SnapshotFile { store, applied, extra, bytes })
}

/// Writes a snapshot into a data directory and returns its size, or `None` if it was given up because
/// of `stop`. When it is back the snapshot is safe and older ones are gone; the log that it makes
/// needless can go too.
pub fn write_snapshot(dir: &Path, snapshot: &Snapshot, stop: &AtomicBool) -> anyhow::Result<Option<u64>> {
    let path = snapshot_path(dir, snapshot.applied);
    let unfinished = path.with_extension("tmp");
    let mut file = BufWriter::new(File::create(&unfinished)?);
    let mut size = 0;
    for frame in snapshot.frames() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        file.write_all(&frame)?;
        size += frame.len() as u64;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    adopt_snapshot(dir, &unfinished, snapshot.applied)?;
    Ok(Some(size))
}

/// Makes a whole, synced file of the same file system the directory's snapshot after command
/// `applied`. Older ones are removed.
pub fn adopt_snapshot(dir: &Path, file: &Path, applied: u64) -> anyhow::Result<()> {
    fs::rename(file, snapshot_path(dir, applied))?;
    sync_dir(&dir.join("snap"))?;
    for (number, path) in list(&dir.join("snap"), "snap")? {
        if number < applied {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
