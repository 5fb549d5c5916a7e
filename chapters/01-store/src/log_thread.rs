//! The journal of a store that is alone: a thread that writes the log and waits for the disk.
//!
//! While the disk works on one batch the next one gathers in the queue: the slower the disk, the
//! larger the batches (group commit).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as queue;
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use tracing::info;

use crate::disk::{self, ADVICE, Dir, Log};
use crate::heart::log::{self, Batch};
use crate::heart::snapshot::Snapshot;
use crate::heart::wal::Kind;
use crate::heart::{Command, Store};
use crate::journal::{Ask, Entry, Journal, JournalEvent, Opened, Proposal, Standing};

/// Events that the loop has not taken yet. When it is full the thread waits.
const EVENTS: usize = 64;
/// There are no elections.
const TERM: u64 = 1;

/// Reads the directory, or makes it, and starts the thread. `member` leads, for want of others.
pub fn open(dir: &std::path::Path, member: u64) -> anyhow::Result<Opened> {
    let dir = Dir::open(dir)?;
    let (mut store, mut applied, mut snapshot_bytes) = (Store::new(), 0, 0);
    if let Some(file) = dir.read_snapshot()? {
        if !file.extra.is_empty() {
            bail!("{}: this is the directory of a member among others", dir.path().display());
        }
        (store, applied, snapshot_bytes) = (file.store, file.applied, file.bytes);
    }
    let covered = applied;
    let mut next = None;
    let mut log = dir.read_log(covered, |frame| {
        if frame.kind != Kind::Entries {
            bail!("the frame has no place in the log of a store that is alone");
        }
        let Batch { first, commands, .. } = Batch::decode(frame.payload)?;
        if first != next.unwrap_or(first) {
            bail!("commands are missing or doubled");
        }
        if first > applied + 1 {
            bail!("the log begins at command {first}, the snapshot ends at {applied}");
        }
        next = Some(first + commands.len() as u64);
        for (index, command) in (first..).zip(commands) {
            if index > applied {
                let command = Command::decode(command).with_context(|| format!("command {index}"))?;
                // What it answered is long told; errors are part of history too.
                store.apply(&command);
                applied = index;
            }
        }
        Ok(())
    })?;
    if log.first() > covered + 1 {
        let (first, at) = (log.first(), dir.path().display());
        bail!("{at}: the log begins at command {first}, the snapshot ends at {covered}; {ADVICE}");
    }
    if next.unwrap_or(log.first()) <= covered {
        bail!("{}: the log ends before the snapshot does; {ADVICE}", dir.path().display());
    }
    // A crash may have come before what the snapshot makes needless was removed.
    log.remove_covered(covered)?;
    info!(revision = store.revision(), applied, "the store is read");

    let log_bytes = log.bytes();
    let standing =
        Standing { alone: true.into(), term: TERM.into(), leader: member.into(), ..Standing::default() };
    let (asks, queue) = queue::channel();
    let (events, received) = mpsc::channel(EVENTS);
    let thread = LogThread {
        log,
        dir,
        next: applied + 1,
        snapshot: None,
        stop: Arc::default(),
        myself: asks.clone(),
        queue,
        events,
    };
    std::thread::Builder::new().name("log".into()).spawn(move || thread.run())?;
    let loop_end = LoopEnd(asks);
    let journal = Journal {
        asks: Box::new(move |ask| loop_end.send(ask)),
        events: received,
        standing: Arc::new(standing),
    };
    Ok(Opened { store, applied, log_bytes, snapshot_bytes, journal })
}

/// What the loop holds of the thread's queue.
struct LoopEnd(queue::Sender<Event>);

impl LoopEnd {
    fn send(&self, ask: Ask) {
        // A thread that has ended has said why.
        let _ = self.0.send(Event::Ask(ask));
    }
}

impl Drop for LoopEnd {
    /// A loop that failed asks for nothing more.
    fn drop(&mut self) {
        self.send(Ask::Stop);
    }
}

/// All that can wake the thread.
enum Event {
    Ask(Ask),
    /// A snapshot of so many bytes is safe, or could not be written, or was given up.
    Written(anyhow::Result<Option<u64>>),
}

/// The log is dropped before the sender of events is: whoever sees them end can open the directory.
struct LogThread {
    log: Log,
    dir: Dir,
    /// Index of the next command.
    next: u64,
    /// One that is being written, and the command after which it is.
    snapshot: Option<(u64, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
    myself: queue::Sender<Event>,
    queue: queue::Receiver<Event>,
    events: mpsc::Sender<JournalEvent>,
}

impl LogThread {
    fn run(mut self) {
        if let Err(e) = self.serve() {
            // If nobody listens, the loop has failed before us.
            let _ = self.events.blocking_send(JournalEvent::Failed(e));
        }
        self.stop.store(true, Ordering::Relaxed);
        if let Some((_, writer)) = self.snapshot.take() {
            let _ = writer.join();
        }
    }

    fn serve(&mut self) -> anyhow::Result<()> {
        self.tell(JournalEvent::Leading(true));
        loop {
            let mut batch = Vec::new();
            let mut stop = false;
            let mut event = self.queue.recv().ok();
            // All that has come meanwhile shares one write.
            while let Some(now) = event {
                match now {
                    Event::Ask(Ask::Propose(proposals)) => batch.extend(proposals),
                    // What is applied here is the truth.
                    Event::Ask(Ask::Read(number)) => {
                        self.tell(JournalEvent::Readable { number, index: self.next - 1 });
                    }
                    Event::Ask(Ask::Snapshot(snapshot)) => self.begin_snapshot(snapshot)?,
                    Event::Ask(Ask::Stop) => stop = true,
                    Event::Written(result) => self.handle_written(result)?,
                }
                event = self.queue.try_recv().ok();
            }
            self.append(batch).context("cannot write the log")?;
            if stop {
                return Ok(());
            }
        }
    }

    fn append(&mut self, batch: Vec<Proposal>) -> anyhow::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.log.is_full() {
            self.log.rotate(self.next)?;
        }
        let commands: Vec<&[u8]> = batch.iter().map(|p| &*p.command).collect();
        let first = self.next;
        self.log.append(|out, chain| log::encode_batch(out, chain, first, TERM, &commands))?;
        self.next += batch.len() as u64;
        let entries = (first..).zip(batch).map(|(index, Proposal { number, command })| Entry {
            index,
            number: Some(number),
            command,
        });
        let entries = entries.collect();
        self.tell(JournalEvent::Committed { entries, log_bytes: self.log.bytes() });
        Ok(())
    }

    /// A snapshot begins with a new file of the log, so that the old ones can go as soon as it is safe.
    fn begin_snapshot(&mut self, snapshot: Snapshot) -> anyhow::Result<()> {
        self.log.rotate(self.next).context("cannot write the log")?;
        let applied = snapshot.applied;
        let (dir, stop, done) = (self.dir.path().to_path_buf(), self.stop.clone(), self.myself.clone());
        let write = move || {
            let written = disk::write_snapshot(&dir, &snapshot, &stop);
            // The thread has ended: the next start finds what is there.
            let _ = done.send(Event::Written(written));
        };
        let writer = std::thread::Builder::new().name("snapshot".into()).spawn(write)?;
        self.snapshot = Some((applied, writer));
        Ok(())
    }

    fn handle_written(&mut self, result: anyhow::Result<Option<u64>>) -> anyhow::Result<()> {
        let written = result.context("cannot write a snapshot")?;
        if let (Some((applied, _)), Some(snapshot_bytes)) = (self.snapshot.take(), written) {
            self.log.remove_covered(applied).context("cannot remove old log")?;
            let log_bytes = self.log.bytes();
            info!(bytes = snapshot_bytes, "snapshot written, log cut");
            self.tell(JournalEvent::Snapshotted { snapshot_bytes, log_bytes });
        }
        Ok(())
    }

    /// When the loop is gone there is nobody to tell, and the queue will end.
    fn tell(&self, event: JournalEvent) {
        let _ = self.events.blocking_send(event);
    }
}
