//! A member's data directory on a simulated disk: the same files with the same frames as the shell's
//! `storage.rs`, written in the same order, but one operation at a time, so that the power can fail
//! between any two.

use bytes::Bytes;
use consensus::heart::Persist;
use consensus::heart::types::{LogEntry, SnapshotMeta, Vote};
use consensus::record::{self, Replay};
use consensus::{decode_meta, encode_meta};
use simulator::disk::{Disk, Full, Target};
use simulator::process::NotStarted;
use store::heart::Store;
use store::heart::log::{Segment, walk};
use store::heart::snapshot::{Loader, Snapshot};
use store::heart::wal::{self, Damage, Frames, Kind, Next};

/// Small, so that there are many.
const SEGMENT_BYTES: usize = 8 << 10;

/// One operation of the disk.
#[derive(Debug, Clone)]
pub enum Op {
    Append(String, Vec<u8>),
    Sync(Target),
    Rename(String, String),
    Remove(String),
}

impl Op {
    /// All but waiting, which is the world's.
    pub fn perform(self, disk: &mut Disk) -> Result<(), Full> {
        match self {
            Op::Append(name, bytes) => disk.append(&name, &bytes)?,
            Op::Rename(from, to) => disk.rename(&from, &to),
            Op::Remove(name) => disk.remove(&name),
            Op::Sync(_) => {}
        }
        Ok(())
    }
}

pub struct Files {
    chain: u32,
    /// Of the log, oldest first; the last one is written to.
    parts: Vec<Part>,
    /// No entry that was ever written has this index or a greater one.
    next: u64,
    vote: Vote,
    pub snapshot: SnapshotMeta,
}

struct Part {
    number: u64,
    name: String,
    first: u64,
    len: usize,
    used: bool,
}

/// What a start found.
pub struct Found {
    pub store: Store,
    pub vote: Vote,
    pub snapshot: SnapshotMeta,
    pub entries: Vec<LogEntry>,
}

/// What is wrong with a file; no crash may lead to it.
#[derive(Debug)]
struct Wrong(String);

impl From<Damage> for Wrong {
    fn from(damage: Damage) -> Self {
        Wrong(damage.to_string())
    }
}

fn broken(why: String) -> NotStarted {
    NotStarted::Broken(why)
}

pub fn snapshot_name(index: u64) -> String {
    format!("snap/{index:016x}.snap")
}

impl Files {
    /// Reads the directory. What a start writes, it waits for.
    pub fn open(disk: &mut Disk) -> Result<(Files, Found), NotStarted> {
        let names: Vec<String> = disk.list().map(str::to_string).collect();
        let (snapshots, rest): (Vec<_>, Vec<_>) = names.into_iter().partition(|n| n.ends_with(".snap"));
        let (logs, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|n| n.ends_with(".wal"));
        rest.iter().filter(|name| name.ends_with(".tmp")).for_each(|name| disk.remove(name));
        let (mut store, mut snapshot) = (Store::new(), SnapshotMeta::default());
        if let Some((newest, older)) = snapshots.split_last() {
            let bytes = disk.read(newest).unwrap_or_default();
            (store, snapshot) = read_snapshot(bytes).map_err(|why| broken(format!("{newest}: {why}")))?;
            older.iter().for_each(|name| disk.remove(name));
        }
        let mut replay = Replay::default();
        let mut files =
            Files { chain: 0, parts: Vec::new(), next: snapshot.index + 1, vote: Vote::default(), snapshot };
        files.read_logs(disk, &logs, &mut replay)?;
        let meta = files.snapshot.clone();
        let followed = replay.follow(meta.index, meta.term).map_err(|e| broken(e.to_string()))?;
        let Replay { mut vote, entries } = replay;
        vote.commit = vote.commit.max(meta.index);
        vote.term = vote.term.max(meta.term);
        let end = entries.last().map_or(meta.index, |entry| entry.index);
        if vote.commit > end {
            return Err(broken(format!("the log ends at {end}, {} was committed", vote.commit)));
        }
        files.vote = vote;
        if !followed {
            let snapshot = Some(meta.clone());
            for op in files.append(&Persist { vote: Some(vote), snapshot, ..Persist::default() }) {
                op.perform(disk)?;
            }
        }
        // What an earlier life wrote and did not wait for counts from now on.
        disk.sync_all();
        Ok((files, Found { store, vote, snapshot: meta, entries }))
    }

    fn read_logs(&mut self, disk: &mut Disk, logs: &[String], replay: &mut Replay) -> Result<(), NotStarted> {
        let mut chain = None;
        for (at, name) in logs.iter().enumerate() {
            let is_last = at + 1 == logs.len();
            let bytes = disk.read(name).unwrap_or_default();
            let len = bytes.len();
            let walked = walk(bytes, chain, |frame| {
                let read = match frame.kind {
                    Kind::Raft => replay.handle_record(frame.payload),
                    _ => return Err(Wrong(format!("a frame at {} has no place here", frame.at))),
                };
                read.map_err(|e| Wrong(format!("at {}: {e}", frame.at)))?;
                self.next = self.next.max(replay.entries.last().map_or(0, |entry| entry.index + 1));
                Ok(())
            });
            match walked.map_err(|Wrong(why)| broken(format!("{name} ({len} bytes): {why}")))? {
                Some(walked) if walked.torn && !is_last => {
                    return Err(broken(format!("{name} ends early, yet there is more log")));
                }
                Some(walked) => {
                    if walked.torn {
                        disk.truncate(name, walked.len);
                    }
                    chain = Some(walked.chain);
                    let number = u64::from_str_radix(&name[4..20], 16).expect("a name of ours");
                    let (first, used) = (walked.segment.first, walked.frames > 0);
                    self.parts.push(Part { number, name: name.clone(), first, len: walked.len, used });
                }
                None if is_last && (chain.is_some() || self.snapshot.index == 0) => disk.remove(name),
                None => return Err(broken(format!("{name} has no beginning"))),
            }
        }
        self.chain = chain.unwrap_or(0);
        if self.parts.is_empty() {
            if self.snapshot.index > 0 {
                return Err(broken("there is a snapshot but no log".into()));
            }
            for op in self.begin(1) {
                op.perform(disk)?;
            }
        }
        Ok(())
    }

    /// A new file of the log.
    fn begin(&mut self, first: u64) -> Vec<Op> {
        let number = first.max(self.parts.last().map_or(0, |part| part.number + 1));
        let name = format!("wal/{number:016x}.wal");
        let mut bytes = Vec::new();
        self.chain = Segment { first, chain: self.chain }.encode(&mut bytes);
        self.parts.push(Part { number, name: name.clone(), first, len: bytes.len(), used: false });
        let sync = Op::Sync(Target::File(name.clone()));
        vec![Op::Append(name, bytes), sync, Op::Sync(Target::Names)]
    }

    fn rotate(&mut self) -> Vec<Op> {
        let used = self.parts.last().is_some_and(|part| part.used);
        if used { self.begin(self.next) } else { Vec::new() }
    }

    fn append(&mut self, persist: &Persist) -> Vec<Op> {
        let mut bytes = Vec::new();
        self.chain = wal::encode(&mut bytes, self.chain, Kind::Raft, &record::encode(persist));
        let part = self.parts.last_mut().expect("a log has a file");
        part.len += bytes.len();
        part.used = true;
        let name = part.name.clone();
        vec![Op::Append(name.clone(), bytes), Op::Sync(Target::File(name))]
    }

    fn append_vote(&mut self) -> Vec<Op> {
        self.append(&Persist { vote: Some(self.vote), ..Persist::default() })
    }

    /// All up to here is committed, and must be known to be so after any crash.
    pub fn note_commit(&mut self, index: u64) -> Vec<Op> {
        if index <= self.vote.commit {
            return Vec::new();
        }
        self.vote.commit = index;
        self.append_vote()
    }

    /// One frame. `arrived`: the file of the snapshot that `persist` names.
    pub fn persist(&mut self, persist: &Persist, arrived: &str, disk: &Disk) -> Vec<Op> {
        let mut ops = Vec::new();
        if let Some(meta) = &persist.snapshot {
            ops.extend(adopt(arrived, meta.index, disk));
            self.snapshot = meta.clone();
            self.next = self.next.max(meta.index + 1);
            ops.extend(self.rotate());
        } else if self.parts.last().is_some_and(|part| part.len >= SEGMENT_BYTES) {
            ops.extend(self.begin_file());
        }
        self.vote = persist.vote.unwrap_or(self.vote);
        if let Some(last) = persist.entries.last() {
            self.next = self.next.max(last.index + 1);
        }
        ops.extend(self.append(persist));
        if persist.snapshot.is_some() {
            ops.extend(self.append_vote());
            ops.extend(self.remove_covered());
        }
        ops
    }

    /// A file of the log begins with the vote: those before it may be removed.
    pub fn begin_file(&mut self) -> Vec<Op> {
        let mut ops = self.rotate();
        ops.extend(self.append_vote());
        ops
    }

    /// After [`Self::begin_file`].
    pub fn write_snapshot(mut snapshot: Snapshot, meta: &SnapshotMeta, disk: &Disk) -> Vec<Op> {
        snapshot.extra = encode_meta(meta);
        let name = format!("{}.tmp", snapshot_name(meta.index));
        let mut ops = match disk.read(&name) {
            Some(_) => vec![Op::Remove(name.clone())],
            None => Vec::new(),
        };
        ops.extend(snapshot.frames().map(|frame| Op::Append(name.clone(), frame)));
        ops.push(Op::Sync(Target::File(name.clone())));
        ops.extend(adopt(&name, meta.index, disk));
        ops
    }

    /// Ends [`Self::write_snapshot`]. False: a newer one has come meanwhile.
    pub fn handle_written(&mut self, meta: &SnapshotMeta) -> Option<Vec<Op>> {
        if meta.index < self.snapshot.index {
            return None;
        }
        self.snapshot = meta.clone();
        Some(self.remove_covered())
    }

    fn remove_covered(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        while self.parts.get(1).is_some_and(|next| next.first <= self.snapshot.index + 1) {
            ops.push(Op::Remove(self.parts.remove(0).name));
        }
        ops
    }
}

/// Makes a whole, synced file the newest snapshot.
fn adopt(file: &str, index: u64, disk: &Disk) -> Vec<Op> {
    let name = snapshot_name(index);
    let mut ops = vec![Op::Rename(file.to_string(), name.clone()), Op::Sync(Target::Names)];
    let older = disk.list().filter(|other| other.ends_with(".snap") && **other < *name);
    ops.extend(older.map(|older| Op::Remove(older.to_string())));
    ops
}

pub fn read_snapshot(bytes: &[u8]) -> Result<(Store, SnapshotMeta), String> {
    let mut frames = Frames::new(bytes);
    let mut loader = Loader::default();
    loop {
        match frames.next_frame().map_err(|e| e.to_string())? {
            Next::Frame { kind, payload } => {
                loader.handle_frame(kind, payload).map_err(|e| e.to_string())?;
            }
            Next::End => break,
            Next::Torn { at } => return Err(format!("torn at {at}")),
        }
    }
    let extra = Bytes::copy_from_slice(loader.extra());
    let (store, applied) = loader.finish().map_err(|e| e.to_string())?;
    let meta = decode_meta(&extra, applied).map_err(|e| e.to_string())?;
    Ok((store, meta))
}
