//! The data directory.
//!
//! ```text
//!   wal/0000000000000001.wal     commands, by the index of the first
//!   wal/0000000000002710.wal
//!   snap/000000000000270f.snap   the whole store after command 0x270f
//!   lock
//! ```
//!
//! A snapshot begins with a new log file, so that the old ones can go as soon as the snapshot is
//! safe. Names are written for people; what is believed is in the files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::heart::log::{self, Segment, Tail};
use crate::heart::snapshot::{Loader, Snapshot};
use crate::heart::wal::{self, Damage, HEADER_LEN};
use crate::heart::{Command, Store};

/// Log files are read whole at start, so they end at about this size.
const SEGMENT_BYTES: u64 = 8 << 20;

const ADVICE: &str = "writes that were acknowledged may be lost, so nothing was changed: \
    put back the file from a copy, or move the data directory away to start empty";

/// What a start found.
pub struct Opened {
    pub store: Store,
    /// Index of the last command in the store.
    pub applied: u64,
    pub log: Log,
    /// Bytes of log that a snapshot would save.
    pub log_bytes: u64,
    pub snapshot_bytes: u64,
}

/// The log's end, where commands are written.
pub struct Log {
    dir: PathBuf,
    file: File,
    chain: u32,
    next: u64,
    len: u64,
    buffer: Vec<u8>,
    _lock: Flock<File>,
}

/// Reads the directory, or makes it.
pub fn open(dir: &Path) -> anyhow::Result<Opened> {
    let lock = prepare(dir).with_context(|| format!("data directory {}", dir.display()))?;
    let (mut store, snapshot, snapshot_bytes) = load_snapshot(dir)?;
    let mut files = list(&dir.join("wal"), "wal")?;
    // What the snapshot covers was about to be removed.
    while files.len() > 1 && files[1].0 <= snapshot + 1 {
        fs::remove_file(&files.remove(0).1)?;
    }
    if snapshot > 0 && files.is_empty() {
        bail!("{}: there is a snapshot but no log; {ADVICE}", dir.join("wal").display());
    }
    let mut tail: Option<Tail> = None;
    let mut last: Option<PathBuf> = None;
    let mut log_bytes = 0;
    for (at, (_, path)) in files.iter().enumerate() {
        let is_last = at + 1 == files.len();
        let replayed = replay(path, tail, snapshot, &mut store);
        let replayed = replayed.with_context(|| format!("{}; {ADVICE}", path.display()))?;
        match replayed {
            Some(now) if now.torn && !is_last => {
                bail!("{}: {}; {ADVICE}", path.display(), cut_short(now.len))
            }
            Some(now) => {
                log_bytes += now.len as u64;
                tail = Some(now);
                last = Some(path.clone());
            }
            None if is_last && (tail.is_some() || snapshot == 0) => {
                info!(file = %path.display(), "the log file was not begun before a crash: removed");
                fs::remove_file(path)?;
            }
            None => bail!("{}: {}; {ADVICE}", path.display(), cut_short(0)),
        }
    }
    let log = match (tail, last) {
        (Some(tail), Some(path)) => Log::reopen(dir, &path, tail, lock)?,
        _ => Log::create(dir, 1, 0, lock)?,
    };
    let applied = log.next - 1;
    if applied < snapshot {
        bail!("{}: the log ends before the snapshot does; {ADVICE}", dir.display());
    }
    info!(revision = store.revision(), applied, "the store is read");
    Ok(Opened { store, applied, log, log_bytes, snapshot_bytes })
}

fn cut_short(at: usize) -> Damage {
    Damage { at, why: "the file ends early, yet there is more log" }
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

fn replay(
    path: &Path,
    before: Option<Tail>,
    snapshot: u64,
    store: &mut Store,
) -> anyhow::Result<Option<Tail>> {
    let bytes = fs::read(path)?;
    let mut first = before.is_none();
    log::replay(&bytes, before, |entry| {
        if std::mem::take(&mut first) && entry.index > snapshot + 1 {
            bail!("the log begins at command {}, the snapshot ends at {snapshot}", entry.index);
        }
        if entry.index > snapshot {
            let command = Command::decode(entry.command);
            // What the command answered is long told; errors are part of history too.
            store.apply(&command.with_context(|| format!("command {}", entry.index))?);
        }
        Ok(())
    })
}

fn load_snapshot(dir: &Path) -> anyhow::Result<(Store, u64, u64)> {
    let mut files = list(&dir.join("snap"), "snap")?;
    let Some((_, path)) = files.pop() else { return Ok((Store::new(), 0, 0)) };
    let loaded = read_snapshot(&path).with_context(|| format!("{}; {ADVICE}", path.display()))?;
    for (_, old) in files {
        fs::remove_file(old)?;
    }
    Ok(loaded)
}

fn read_snapshot(path: &Path) -> anyhow::Result<(Store, u64, u64)> {
    let file = File::open(path)?;
    let size = file.metadata()?.len() as usize;
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
    }
    let (store, applied) = loader.finish()?;
    Ok((store, applied, size as u64))
}

/// Writes a snapshot, then removes what it makes needless. Its log file must have been begun.
/// Returns its size.
pub fn write_snapshot(dir: &Path, snapshot: &Snapshot) -> anyhow::Result<u64> {
    let path = dir.join("snap").join(format!("{:016x}.snap", snapshot.applied));
    let unfinished = path.with_extension("tmp");
    let mut file = BufWriter::new(File::create(&unfinished)?);
    let mut size = 0;
    for frame in snapshot.frames() {
        file.write_all(&frame)?;
        size += frame.len() as u64;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&unfinished, &path)?;
    sync_dir(&dir.join("snap"))?;
    let old = list(&dir.join("snap"), "snap")?.into_iter().filter(|(n, _)| *n < snapshot.applied);
    let log = list(&dir.join("wal"), "wal")?.into_iter().filter(|(n, _)| *n <= snapshot.applied);
    for (_, path) in old.chain(log) {
        fs::remove_file(path)?;
    }
    Ok(size)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

impl Log {
    fn create(dir: &Path, first: u64, chain: u32, lock: Flock<File>) -> anyhow::Result<Log> {
        let (file, chain, len) = begin_segment(dir, first, chain)?;
        let dir = dir.to_path_buf();
        Ok(Log { dir, file, chain, next: first, len, buffer: Vec::new(), _lock: lock })
    }

    fn reopen(dir: &Path, path: &Path, tail: Tail, lock: Flock<File>) -> anyhow::Result<Log> {
        let file = OpenOptions::new().append(true).open(path)?;
        let len = tail.len as u64;
        if tail.torn {
            let cut = file.metadata()?.len() - len;
            warn!(file = %path.display(), at = len, bytes = cut, "cut a write that a crash left unfinished");
            file.set_len(len)?;
            file.sync_all()?;
        }
        let (dir, chain, next) = (dir.to_path_buf(), tail.chain, tail.next);
        Ok(Log { dir, file, chain, next, len, buffer: Vec::new(), _lock: lock })
    }

    /// Writes commands as one frame and waits for the disk. After an error the log is not used
    /// again: what the disk then holds is known only to the next start.
    fn append(&mut self, commands: &[Vec<u8>]) -> io::Result<u64> {
        if self.len >= SEGMENT_BYTES {
            self.rotate()?;
        }
        self.buffer.clear();
        self.chain = log::encode_batch(&mut self.buffer, self.chain, self.next, 1, commands);
        self.file.write_all(&self.buffer)?;
        self.file.sync_data()?;
        self.next += commands.len() as u64;
        self.len += self.buffer.len() as u64;
        let written = self.buffer.len() as u64;
        // One huge batch does not hold memory for ever.
        self.buffer.shrink_to(256 * 1024);
        Ok(written)
    }

    /// Ends this file and begins the next.
    fn rotate(&mut self) -> io::Result<()> {
        (self.file, self.chain, self.len) = begin_segment(&self.dir, self.next, self.chain)?;
        Ok(())
    }
}

fn begin_segment(dir: &Path, first: u64, chain: u32) -> io::Result<(File, u32, u64)> {
    let dir = dir.join("wal");
    let path = dir.join(format!("{first:016x}.wal"));
    let mut bytes = Vec::new();
    let chain = Segment { first, chain }.encode(&mut bytes);
    // A file without commands may be there from before: it is the same.
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    sync_dir(&dir)?;
    Ok((file, chain, bytes.len() as u64))
}

/// Work for the log's thread.
pub enum Job {
    Append(Vec<Vec<u8>>),
    Rotate,
}

/// A thread of its own for waiting on the disk. It does one job at a time.
#[derive(Clone)]
pub struct LogThread {
    jobs: std::sync::mpsc::Sender<(Job, oneshot::Sender<io::Result<u64>>)>,
}

impl LogThread {
    pub fn start(mut log: Log) -> io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel::<(Job, oneshot::Sender<_>)>();
        std::thread::Builder::new().name("log".into()).spawn(move || {
            for (job, done) in queue {
                let result = match job {
                    Job::Append(commands) => log.append(&commands),
                    Job::Rotate => log.rotate().map(|()| 0),
                };
                // Whoever asked has gone away: the server is stopping.
                let _ = done.send(result);
            }
        })?;
        Ok(LogThread { jobs })
    }

    /// Begins a job; the answer is the number of bytes written. The caller has at most one under
    /// way, so the queue stays short.
    pub fn begin(&self, job: Job) -> oneshot::Receiver<io::Result<u64>> {
        let (done, result) = oneshot::channel();
        // A dead thread is noticed where the answer is awaited.
        let _ = self.jobs.send((job, done));
        result
    }
}
