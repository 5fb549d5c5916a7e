//! The file of `snapshot save`: a snapshot's frames, zeros up to a whole block, and a SHA-256 of all
//! that, which etcdctl looks for.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use crate::disk::{self, SnapshotFile};
use crate::etcd::SnapshotRequest;
use crate::etcd::maintenance_client::MaintenanceClient;
use crate::heart::snapshot::Snapshot;
use tonic::transport::Channel;

const BLOCK: usize = 512;
const HASH: usize = 32;

/// What a saved file holds.
pub struct Saved {
    pub file: SnapshotFile,
    /// A checksum of all keys, as `HashKV` has it.
    pub hash: u32,
    pub bytes: u64,
}

/// The file, piece by piece.
pub(crate) fn blobs(snapshot: &Snapshot) -> impl Iterator<Item = Vec<u8>> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut frames = Some(snapshot.frames());
    std::iter::from_fn(move || {
        if let Some(frame) = frames.as_mut()?.next() {
            hash.update(&frame);
            size += frame.len();
            return Some(frame);
        }
        frames = None;
        let mut end = vec![0; size.next_multiple_of(BLOCK) - size];
        hash.update(&end);
        end.extend_from_slice(&hash.finalize_reset());
        Some(end)
    })
}

/// Fetches the store of a member into a new file. It has its name when all of it is on disk.
pub async fn save(channel: Channel, token: Option<&str>, path: &Path) -> anyhow::Result<u64> {
    let mut request = tonic::Request::new(SnapshotRequest {});
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.parse().context("the token")?);
    }
    let mut pieces = MaintenanceClient::new(channel).snapshot(request).await?.into_inner();
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    let unfinished = PathBuf::from(unfinished);
    let mut file = File::create(&unfinished).with_context(|| unfinished.display().to_string())?;
    let mut bytes = 0;
    while let Some(piece) = pieces.message().await? {
        file.write_all(&piece.blob).with_context(|| unfinished.display().to_string())?;
        bytes += piece.blob.len() as u64;
    }
    ensure!(bytes as usize % BLOCK == HASH, "the stream ended early: {bytes} bytes came");
    file.sync_all()?;
    std::fs::rename(&unfinished, path).with_context(|| path.display().to_string())?;
    Ok(bytes)
}

/// Reads a saved file and looks at all its checksums. A file out of a data directory has no SHA-256
/// behind it: it is read as well, if `skip_hash`.
pub fn read(path: &Path, skip_hash: bool) -> anyhow::Result<Saved> {
    read_checked(path, skip_hash).with_context(|| path.display().to_string())
}

fn read_checked(path: &Path, skip_hash: bool) -> anyhow::Result<Saved> {
    let bytes = std::fs::metadata(path)?.len();
    let hashed = bytes as usize % BLOCK == HASH;
    if hashed {
        let same = hash_behind(path, bytes - HASH as u64)?;
        ensure!(same || skip_hash, "the file does not have its SHA-256: it was changed, or is not whole");
    } else if !skip_hash {
        bail!("there is no SHA-256 behind the data: --skip-hash-check reads a file that was copied");
    }
    let end = if hashed { bytes - HASH as u64 } else { bytes };
    let file = disk::read_saved_snapshot(path, end)?;
    let snapshot = Snapshot::of(&file.store, file.applied);
    let hash = snapshot.hash(snapshot.revision);
    Ok(Saved { file, hash, bytes })
}

fn hash_behind(path: &Path, data: u64) -> anyhow::Result<bool> {
    let mut file = BufReader::new(File::open(path)?);
    let mut hash = Sha256::new();
    std::io::copy(&mut Read::by_ref(&mut file).take(data), &mut hash)?;
    let mut behind = Vec::new();
    file.read_to_end(&mut behind)?;
    Ok(behind == hash.finalize().as_slice())
}
