//! A disk that keeps what it was told to keep, and of the rest what it likes.
//!
//! A write is in memory until its file is synced; a new, renamed or removed name is in memory until the
//! names are synced. When a process is killed nothing is lost, for the memory is the machine's. When
//! the power fails, of each file any of the sectors that were not synced are there, zeros stand where
//! others are missing, and the file may be shorter; of the changes of names the first few are there.

use std::collections::{BTreeMap, VecDeque};

use crate::random::Random;

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What a sync waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    File(String),
    /// All that was created, renamed and removed.
    Names,
}

#[derive(Debug, Default, Clone)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    /// Not yet in `safe_names`, oldest first: a name, and the file that it stands for from then on.
    renamed: VecDeque<Vec<(String, Option<usize>)>>,
    /// How many of them have ever become safe.
    settled: usize,
    full: bool,
}

#[derive(Debug, Default, Clone)]
struct File {
    bytes: Vec<u8>,
    safe: Vec<u8>,
    /// Up to here both are the same.
    same: usize,
}

/// A sync that has begun: what will be safe when it has ended.
#[derive(Debug)]
pub struct Sync {
    what: Syncing,
}

#[derive(Debug)]
enum Syncing {
    File {
        file: usize,
        from: usize,
        tail: Vec<u8>,
    },
    /// So many steps in all.
    Names(usize),
    Nothing,
}

impl Disk {
    /// From now on nothing can be appended, or again.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Nothing when there is no such file.
    pub fn read(&self, name: &str) -> Option<&[u8]> {
        self.names.get(name).map(|file| &*self.files[*file].bytes)
    }

    /// In order of names.
    pub fn list(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// An empty file, instead of any of that name.
    pub fn create(&mut self, name: &str) {
        self.files.push(File::default());
        self.rename_all(vec![(name.to_string(), Some(self.files.len() - 1))]);
    }

    /// Adds to the file's end; makes the file if need be. A full disk takes a part of it.
    pub fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), Full> {
        if !self.names.contains_key(name) {
            self.create(name);
        }
        let file = &mut self.files[self.names[name]];
        let fits = if self.full { bytes.len() / 2 } else { bytes.len() };
        file.bytes.extend_from_slice(&bytes[..fits]);
        if self.full { Err(Full) } else { Ok(()) }
    }

    /// Cuts the file's end off.
    pub fn truncate(&mut self, name: &str, len: usize) {
        if let Some(file) = self.names.get(name) {
            let file = &mut self.files[*file];
            file.bytes.truncate(len);
            file.same = file.same.min(len);
        }
    }

    /// The file has another name, and what had that name is gone, in one step.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(file) = self.names.get(from) {
            let file = Some(*file);
            self.rename_all(vec![(from.to_string(), None), (to.to_string(), file)]);
        }
    }

    pub fn remove(&mut self, name: &str) {
        if self.names.contains_key(name) {
            self.rename_all(vec![(name.to_string(), None)]);
        }
    }

    fn rename_all(&mut self, step: Vec<(String, Option<usize>)>) {
        apply(&mut self.names, &step);
        self.renamed.push_back(step);
    }

    /// What is written by now will be safe at [`Self::end_sync`].
    pub fn begin_sync(&mut self, target: &Target) -> Sync {
        let what = match target {
            Target::Names => Syncing::Names(self.settled + self.renamed.len()),
            Target::File(name) => match self.names.get(name) {
                Some(&file) => {
                    let from = self.files[file].same;
                    Syncing::File { file, from, tail: self.files[file].bytes[from..].to_vec() }
                }
                None => Syncing::Nothing,
            },
        };
        Sync { what }
    }

    /// Syncs end in the order in which they began.
    pub fn end_sync(&mut self, sync: Sync) {
        match sync.what {
            Syncing::File { file, from, tail } => {
                let file = &mut self.files[file];
                file.safe.truncate(from);
                file.safe.extend_from_slice(&tail);
                let same = file.safe.iter().zip(&file.bytes).skip(from).take_while(|(a, b)| a == b).count();
                file.same = (from + same).min(file.bytes.len());
            }
            Syncing::Names(steps) => {
                while self.settled < steps
                    && let Some(step) = self.renamed.pop_front()
                {
                    apply(&mut self.safe_names, &step);
                    self.settled += 1;
                }
            }
            Syncing::Nothing => {}
        }
    }

    /// Writes and waits, for those who have nobody else to serve.
    pub fn sync(&mut self, target: &Target) {
        let sync = self.begin_sync(target);
        self.end_sync(sync);
    }

    /// All of it.
    pub fn sync_all(&mut self) {
        let names: Vec<String> = self.names.keys().cloned().collect();
        for name in names {
            self.sync(&Target::File(name));
        }
        self.sync(&Target::Names);
    }

    /// The power fails. Returns how many bytes that were not synced are there nevertheless, and how
    /// many there were.
    pub fn fail(&mut self, random: &mut Random) -> (usize, usize) {
        let steps = random.below(self.renamed.len() as u64 + 1) as usize;
        for step in self.renamed.drain(..steps) {
            apply(&mut self.safe_names, &step);
        }
        self.renamed.clear();
        self.names = self.safe_names.clone();
        let (mut kept, mut written) = (0, 0);
        for file in &mut self.files {
            let unsafe_bytes = file.bytes.len().saturating_sub(file.same);
            kept += file.fail(random);
            written += unsafe_bytes;
        }
        (kept, written)
    }
}

fn apply(names: &mut BTreeMap<String, usize>, step: &[(String, Option<usize>)]) {
    for (name, file) in step {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
}

impl File {
    fn fail(&mut self, random: &mut Random) -> usize {
        let same = self.same;
        if same == self.bytes.len() && same == self.safe.len() {
            return 0;
        }
        let (shorter, longer) =
            (self.bytes.len().min(self.safe.len()), self.bytes.len().max(self.safe.len()));
        // All of it and nothing of it are as likely as anything between.
        let (len, keep_per_mille) = match random.below(4) {
            0 => (self.safe.len(), 0),
            1 => (self.bytes.len(), 1000),
            2 => (longer, 500),
            _ => (random.between(shorter as u64, longer as u64) as usize, 700),
        };
        let mut bytes = self.safe.clone();
        bytes.resize(len, 0);
        let mut kept = 0;
        let mut start = same.min(len);
        while start < len {
            let end = len.min((start / SECTOR + 1) * SECTOR);
            if random.chance(keep_per_mille) {
                let written = self.bytes.get(start..end.min(self.bytes.len())).unwrap_or_default();
                bytes[start..end].fill(0);
                bytes[start..start + written.len()].copy_from_slice(written);
                kept += end - start;
            }
            start = end;
        }
        *self = File { same: bytes.len(), safe: bytes.clone(), bytes };
        kept
    }
}
