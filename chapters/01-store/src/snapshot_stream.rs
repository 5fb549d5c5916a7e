//! The file that `snapshot save` writes: a snapshot's frames, zeros up to a whole block, and a SHA-256
//! of all that, which etcdctl looks for.

use sha2::{Digest, Sha256};

use crate::heart::snapshot::Snapshot;

const BLOCK: usize = 512;

/// The file, piece by piece.
pub fn blobs(snapshot: &Snapshot) -> impl Iterator<Item = Vec<u8>> {
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
