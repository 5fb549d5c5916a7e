//! The log's files. One frame is one write that was waited for; what the frames hold is the writer's
//! business.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tracing::{info, warn};

use super::{ADVICE, list, sync_dir};
use crate::heart::log::{self, Frame, Segment};
use crate::heart::wal::Damage;

/// Files of the log are read whole at start, so they end at about this size. Also what a snapshot may
/// leave behind of log that it makes needless.
const SEGMENT_BYTES: u64 = 4 << 20;

/// The log, open at its end. After an error of any method it is not used again: what the disk then
/// holds is known only to the next start.
pub struct Log {
    dir: PathBuf,
    file: File,
    chain: u32,
    /// Oldest first; the last one is written to.
    segments: Vec<Part>,
    buffer: Vec<u8>,
}

/// A file of the log.
struct Part {
    number: u64,
    path: PathBuf,
    /// The index that was to come next when the file was begun.
    first: u64,
    len: u64,
    /// There is more in it than its first frame.
    used: bool,
}

impl Log {
    /// Size of all files.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|part| part.len).sum()
    }

    /// The index that was to come next when the oldest file that is left was begun.
    pub fn first(&self) -> u64 {
        self.segments[0].first
    }

    /// The file is large enough: begin another.
    pub fn is_full(&self) -> bool {
        self.end().len >= SEGMENT_BYTES
    }

    /// Writes one frame and waits for the disk. `encode` is given the chain and returns the new one,
    /// as the core's encoders do.
    pub fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>, u32) -> u32) -> io::Result<()> {
        self.buffer.clear();
        self.chain = encode(&mut self.buffer, self.chain);
        self.file.write_all(&self.buffer)?;
        self.file.sync_data()?;
        let written = self.buffer.len() as u64;
        let end = self.segments.last_mut().expect("a log has a file");
        end.len += written;
        end.used = true;
        // One huge frame does not hold memory for ever.
        self.buffer.shrink_to(256 * 1024);
        Ok(())
    }

    /// Ends this file and begins the next. `first` is the index that comes next: all in the files so
    /// far is of smaller ones.
    pub fn rotate(&mut self, first: u64) -> io::Result<()> {
        if self.end().used {
            let number = first.max(self.end().number + 1);
            let (file, chain, part) = begin(&self.dir, number, first, self.chain)?;
            (self.file, self.chain) = (file, chain);
            self.segments.push(part);
        }
        Ok(())
    }

    /// Removes files in which there is nothing but what is `covered` by a snapshot. The one that is
    /// written to stays.
    pub fn remove_covered(&mut self, covered: u64) -> io::Result<()> {
        while self.segments.get(1).is_some_and(|next| next.first <= covered + 1) {
            fs::remove_file(&self.segments[0].path)?;
            self.segments.remove(0);
        }
        Ok(())
    }

    fn end(&self) -> &Part {
        self.segments.last().expect("a log has a file")
    }
}

fn begin(dir: &Path, number: u64, first: u64, chain: u32) -> io::Result<(File, u32, Part)> {
    let path = dir.join(format!("{number:016x}.wal"));
    let mut bytes = Vec::new();
    let chain = Segment { first, chain }.encode(&mut bytes);
    let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok((file, chain, Part { number, path, first, len: bytes.len() as u64, used: false }))
}

pub(super) fn read(
    dir: &Path,
    covered: u64,
    mut each: impl FnMut(Frame<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Log> {
    let dir = dir.join("wal");
    let files = list(&dir, "wal")?;
    if covered > 0 && files.is_empty() {
        bail!("{}: there is a snapshot but no log; {ADVICE}", dir.display());
    }
    let last = files.len().saturating_sub(1);
    let mut segments: Vec<Part> = Vec::new();
    let mut chain = None;
    for (at, (number, path)) in files.into_iter().enumerate() {
        let advise = || format!("{}; {ADVICE}", path.display());
        let bytes = fs::read(&path).with_context(advise)?;
        let walked =
            log::walk(&bytes, chain, |frame| each(frame).with_context(|| format!("at byte {}", frame.at)));
        match walked.with_context(advise)? {
            Some(walked) if walked.torn && at < last => {
                return Err(cut_short(walked.len)).with_context(advise);
            }
            Some(walked) => {
                if walked.torn {
                    cut(&path, bytes.len(), walked.len)?;
                }
                chain = Some(walked.chain);
                let (first, len) = (walked.segment.first, walked.len as u64);
                segments.push(Part { number, path, first, len, used: walked.frames > 0 });
            }
            None if at == last && (chain.is_some() || covered == 0) => {
                info!(file = %path.display(), "the log file was not begun before a crash: removed");
                fs::remove_file(&path)?;
            }
            None => return Err(cut_short(0)).with_context(advise),
        }
    }
    let Some(end) = segments.last() else {
        let (file, chain, part) = begin(&dir, 1, 1, 0)?;
        return Ok(Log { dir, file, chain, segments: vec![part], buffer: Vec::new() });
    };
    let file = OpenOptions::new().append(true).open(&end.path)?;
    // What a process wrote that was killed before it had waited for the disk counts from now on.
    file.sync_all()?;
    sync_dir(&dir)?;
    Ok(Log { dir, file, chain: chain.unwrap_or(0), segments, buffer: Vec::new() })
}

fn cut_short(at: usize) -> anyhow::Error {
    Damage { at, why: "the file ends early, yet there is more log" }.into()
}

fn cut(path: &Path, len: usize, good: usize) -> io::Result<()> {
    let bytes = len - good;
    warn!(file = %path.display(), at = good, bytes, "cut a write that a crash left unfinished");
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(good as u64)?;
    file.sync_all()
}
