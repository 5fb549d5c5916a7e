//! A directory beside a model, under whatever a core may ask for, and opened again and again.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use bytes::Bytes;
use store::disk::{Dir, read_snapshot_file, snapshot_path, write_snapshot};
use store::heart::Store;
use store::heart::snapshot::Snapshot;
use tokio::sync::oneshot;

use crate::heart::Persist;
use crate::heart::types::{EntryKind, LogEntry, SnapshotMeta, Vote};
use crate::incoming::{Arrived, Unfinished};
use crate::raft_loop::Event;
use crate::storage::{Found, Storage, encode_meta};

/// What should be on disk.
#[derive(Default)]
struct Model {
    vote: Vote,
    snapshot: SnapshotMeta,
    /// From behind the snapshot.
    entries: Vec<LogEntry>,
    term: u64,
}

impl Model {
    fn last(&self) -> u64 {
        self.snapshot.index + self.entries.len() as u64
    }

    fn entry(&self, index: u64) -> LogEntry {
        let data = format!("{index} of term {}", self.term).into();
        LogEntry { index, term: self.term, kind: EntryKind::Normal, context: Bytes::new(), data }
    }

    fn term_of(&self, index: u64) -> u64 {
        let at = index.checked_sub(self.snapshot.index + 1);
        at.map_or(self.snapshot.term, |at| self.entries[at as usize].term)
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

fn open(path: &Path) -> (Storage, Found) {
    Storage::open(Dir::open(path).expect("the directory")).expect("what was written")
}

/// Entries that follow, or replace the end of the log as far as it is not committed.
fn append(storage: &mut Storage, model: &mut Model, random: &mut Random) {
    model.term += random.below(2);
    model.vote.term = model.vote.term.max(model.term);
    let from = (model.last() + 1)
        .saturating_sub(random.below(8))
        .max(model.vote.commit.max(model.snapshot.index) + 1);
    model.entries.truncate((from - model.snapshot.index - 1) as usize);
    let first = model.entries.len();
    for index in from..=from + random.below(5) {
        model.entries.push(model.entry(index));
    }
    let least = model.vote.commit.max(model.snapshot.index);
    model.vote.commit = least + random.below(from - least);
    let entries = model.entries[first..].to_vec();
    let persist = Persist { vote: Some(model.vote), entries, ..Persist::default() };
    storage.persist(&persist, None).expect("written");
}

/// A snapshot of what is committed.
fn snapshot(storage: &mut Storage, model: &mut Model) {
    let index = model.vote.commit;
    if index <= model.snapshot.index {
        return;
    }
    let state = Bytes::from(format!("state at {index}"));
    let meta = SnapshotMeta { index, term: model.term_of(index), state };
    let (done, written) = mpsc::channel();
    storage.begin_snapshot(Snapshot::of(&Store::new(), index), meta.clone(), done).expect("begun");
    let Ok(Event::Written(result)) = written.recv() else { panic!("it ends") };
    assert_eq!(storage.handle_written(result).expect("written"), Some(meta.clone()));
    model.entries.drain(..(index - model.snapshot.index) as usize);
    model.snapshot = meta;
}

/// A leader's snapshot of more than there is here.
fn adopt(storage: &mut Storage, model: &mut Model, random: &mut Random, elsewhere: &Path) {
    let index = model.vote.commit.max(model.snapshot.index) + 1 + random.below(6);
    model.term += 1;
    let meta = SnapshotMeta { index, term: model.term, state: Bytes::from_static(b"the leader's") };
    let mut snapshot = Snapshot::of(&Store::new(), index);
    snapshot.extra = encode_meta(&meta);
    write_snapshot(elsewhere, &snapshot, &AtomicBool::new(false)).expect("written");
    let file = snapshot_path(elsewhere, index);
    let held = read_snapshot_file(&file).expect("whole");
    let (taken, _) = oneshot::channel();
    let arrived = Arrived { message: Bytes::new(), meta: meta.clone(), file: Unfinished(file), held, taken };
    model.vote = Vote { term: model.term, vote: 0, commit: index };
    let persist = Persist { vote: Some(model.vote), snapshot: Some(meta.clone()), ..Persist::default() };
    storage.persist(&persist, Some(&arrived)).expect("written");
    model.entries.clear();
    model.snapshot = meta;
}

#[test]
fn what_a_core_was_told_is_written_is_there_at_every_start() {
    for seed in 1..=10 {
        let mut random = Random(seed * 0x9e37_79b9);
        let (dir, elsewhere) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        drop(Dir::open(elsewhere.path()).expect("a directory"));
        let mut model = Model::default();
        let (mut storage, _) = open(dir.path());
        for step in 0..60 {
            match random.below(12) {
                0..8 => append(&mut storage, &mut model, &mut random),
                8 | 9 => snapshot(&mut storage, &mut model),
                10 if random.below(3) == 0 => adopt(&mut storage, &mut model, &mut random, elsewhere.path()),
                _ => {
                    drop(storage);
                    let (again, found) = open(dir.path());
                    storage = again;
                    let at = format!("seed {seed}, step {step}");
                    assert_eq!(found.entries, model.entries, "{at}");
                    assert_eq!(found.snapshot, model.snapshot, "{at}");
                    assert_eq!(found.vote, model.vote, "{at}");
                }
            }
        }
        // Old files go: what is left is worth about what the snapshot does not have.
        snapshot(&mut storage, &mut model);
        let files = std::fs::read_dir(dir.path().join("wal")).expect("the log").count();
        assert!(files <= 12, "seed {seed}: {files} files");
    }
}
