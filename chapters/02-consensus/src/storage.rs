//! A member's data directory: chapter 01's files, with chapter 02's frames in the log.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use bytes::Bytes;
use store::disk::{self, ADVICE, Dir, Log};
use store::heart::Store;
use store::heart::codec::{Decoder, Encoder, Malformed};
use store::heart::snapshot::Snapshot;
use store::heart::wal::{self, Kind};
use tracing::info;

use crate::heart::Persist;
use crate::heart::types::{LogEntry, SnapshotMeta, Vote};
use crate::incoming::{Arrived, arrivals};
use crate::raft_loop::Event;
use crate::record::{self, Replay};

/// The directory, ours alone as long as this lives.
pub struct Storage {
    log: Log,
    /// No entry that was ever written has this index or a greater one.
    next: u64,
    vote: Vote,
    snapshot: SnapshotMeta,
    snapshot_bytes: u64,
    writing: Option<Writing>,
    dir: Dir,
}

/// A snapshot that a thread of its own writes.
struct Writing {
    meta: SnapshotMeta,
    give_up: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What a start found.
pub struct Found {
    pub store: Store,
    pub vote: Vote,
    pub snapshot: SnapshotMeta,
    /// Chapter 01 wrote the snapshot alone: there is nothing of consensus in it.
    pub is_bare: bool,
    pub entries: Vec<LogEntry>,
}

impl Storage {
    /// Reads the directory, or makes it.
    pub fn open(dir: Dir) -> anyhow::Result<(Storage, Found)> {
        // What was arriving when it all stopped comes again.
        match std::fs::remove_dir_all(arrivals(dir.path())) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let (mut store, mut snapshot, mut snapshot_bytes) = (Store::new(), SnapshotMeta::default(), 0);
        let mut is_bare = false;
        if let Some(file) = dir.read_snapshot()? {
            is_bare = file.extra.is_empty();
            snapshot = match is_bare {
                true => SnapshotMeta { index: file.applied, term: 1, state: Bytes::new() },
                false => decode_meta(&file.extra, file.applied).context(ADVICE)?,
            };
            (store, snapshot_bytes) = (file.store, file.bytes);
        }
        let mut replay = Replay::default();
        let mut next = snapshot.index + 1;
        let log = dir.read_log(snapshot.index, |frame| {
            match frame.kind {
                Kind::Raft => replay.handle_record(frame.payload)?,
                Kind::Entries => {
                    let mut d = Decoder::new(frame.payload);
                    let (first, _term) = (d.u64()?, d.u64()?);
                    let commands = d.list(Decoder::slice)?;
                    d.finish()?;
                    for (index, command) in (first..).zip(commands) {
                        replay.handle_command(index, command)?;
                    }
                }
                _ => bail!("the frame has no place in a log"),
            }
            next = next.max(replay.entries.last().map_or(0, |entry| entry.index + 1));
            Ok(())
        })?;
        let followed = replay.follow(snapshot.index, snapshot.term);
        let followed = followed.with_context(|| format!("{}; {ADVICE}", dir.path().display()))?;
        let Replay { mut vote, entries } = replay;
        // All that is in a snapshot was committed.
        vote.commit = vote.commit.max(snapshot.index);
        vote.term = vote.term.max(snapshot.term);
        let end = entries.last().map_or(snapshot.index, |entry| entry.index);
        if vote.commit > end {
            bail!("{}: the log ends at {end}, {} was committed; {ADVICE}", dir.path().display(), vote.commit);
        }
        info!(snapshot = snapshot.index, end, commit = vote.commit, term = vote.term, "the data is read");
        let found = Found { store, vote, snapshot: snapshot.clone(), is_bare, entries };
        let mut storage = Storage { log, next, vote, snapshot, snapshot_bytes, writing: None, dir };
        if !followed {
            let snapshot = Some(storage.snapshot.clone());
            storage.append(&Persist { vote: Some(vote), snapshot, ..Persist::default() })?;
        }
        Ok((storage, found))
    }

    pub fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshot_bytes
    }

    /// Index of the last entry that is in the snapshot.
    pub fn snapshot_index(&self) -> u64 {
        self.snapshot.index
    }

    /// Writes it as one frame and waits for the disk. After an error nothing is written again.
    /// `arrived`: the file of the snapshot that `persist` may name.
    pub fn persist(&mut self, persist: &Persist, arrived: Option<&Arrived>) -> anyhow::Result<()> {
        if let Some(meta) = &persist.snapshot {
            let arrived = arrived.filter(|arrived| arrived.meta.index == meta.index);
            let arrived = arrived.context("a snapshot is to be kept that has not come")?;
            self.give_up_writing();
            // The file first: a record of it without the file would be damage.
            disk::adopt_snapshot(self.dir.path(), &arrived.file.0, meta.index)?;
            (self.snapshot, self.snapshot_bytes) = (meta.clone(), arrived.held.bytes);
            self.next = self.next.max(meta.index + 1);
            self.log.rotate(self.next)?;
        } else if self.log.is_full() {
            self.begin_file()?;
        }
        self.vote = persist.vote.unwrap_or(self.vote);
        if let Some(last) = persist.entries.last() {
            self.next = self.next.max(last.index + 1);
        }
        self.append(persist)?;
        if persist.snapshot.is_some() {
            // The record says more than the old files did, but for the vote.
            self.append_vote()?;
            self.log.remove_covered(self.snapshot.index)?;
        }
        Ok(())
    }

    /// A file of the log begins with the vote: those before it may be removed.
    fn begin_file(&mut self) -> anyhow::Result<()> {
        self.log.rotate(self.next)?;
        self.append_vote()
    }

    /// A change of members is applied: after a crash this member must know that it counts. Who was removed
    /// may be gone by then, and without it there would be no majority of the old members.
    pub fn note_commit(&mut self, index: u64) -> anyhow::Result<()> {
        if index > self.vote.commit {
            self.vote.commit = index;
            self.append_vote()?;
        }
        Ok(())
    }

    fn append_vote(&mut self) -> anyhow::Result<()> {
        self.append(&Persist { vote: Some(self.vote), ..Persist::default() })
    }

    fn append(&mut self, persist: &Persist) -> anyhow::Result<()> {
        let payload = record::encode(persist);
        Ok(self.log.append(|out, chain| wal::encode(out, chain, Kind::Raft, &payload))?)
    }

    /// Begins to write a snapshot of the store; its end comes as [`Event::Written`].
    pub fn begin_snapshot(
        &mut self,
        mut snapshot: Snapshot,
        meta: SnapshotMeta,
        done: Sender<Event>,
    ) -> anyhow::Result<()> {
        self.begin_file()?;
        snapshot.extra = encode_meta(&meta);
        let (dir, give_up) = (self.dir.path().to_path_buf(), Arc::new(AtomicBool::new(false)));
        let stop = give_up.clone();
        let write = move || {
            let written = disk::write_snapshot(&dir, &snapshot, &stop);
            // The raft thread has ended: the next start finds what is there.
            let _ = done.send(Event::Written(written));
        };
        let thread = std::thread::Builder::new().name("snapshot".into()).spawn(write)?;
        self.writing = Some(Writing { meta, give_up, thread });
        Ok(())
    }

    /// What the snapshot is of that is safe now; `None` if it was given up.
    pub fn handle_written(
        &mut self,
        result: anyhow::Result<Option<u64>>,
    ) -> anyhow::Result<Option<SnapshotMeta>> {
        let written = result.context("cannot write a snapshot")?;
        let (Some(writing), Some(bytes)) = (self.writing.take(), written) else { return Ok(None) };
        if writing.meta.index < self.snapshot.index {
            return Ok(None);
        }
        (self.snapshot, self.snapshot_bytes) = (writing.meta.clone(), bytes);
        self.log.remove_covered(self.snapshot.index).context("cannot remove old log")?;
        info!(bytes, index = self.snapshot.index, "snapshot written, log cut");
        Ok(Some(writing.meta))
    }

    /// Nothing writes any more when this is back.
    pub fn give_up_writing(&mut self) {
        if let Some(writing) = self.writing.take() {
            writing.give_up.store(true, Ordering::Relaxed);
            let _ = writing.thread.join();
        }
    }

    /// The file of the snapshot with this index, if it is still there.
    pub fn snapshot_file(&self, index: u64) -> std::io::Result<File> {
        File::open(disk::snapshot_path(self.dir.path(), index))
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.give_up_writing();
    }
}

/// What is kept beside the store in a snapshot's file.
pub fn encode_meta(meta: &SnapshotMeta) -> Vec<u8> {
    let mut e = Encoder::default();
    e.u64(meta.index);
    e.u64(meta.term);
    e.bytes(&meta.state);
    e.out
}

/// `applied`: what the store in the same file says.
pub fn decode_meta(extra: &[u8], applied: u64) -> Result<SnapshotMeta, Malformed> {
    let mut d = Decoder::new(extra);
    let (index, term) = (d.u64()?, d.u64()?);
    let state = Bytes::copy_from_slice(d.slice()?);
    d.finish()?;
    if index != applied {
        return Err(Malformed("store and consensus are of different commands"));
    }
    Ok(SnapshotMeta { index, term, state })
}
