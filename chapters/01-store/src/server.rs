//! The one loop that owns the store.
//!
//! ```text
//!   requests ──► [bounded queue] ──► loop ──► reads: answered at once
//!                                     │
//!                                     ├─ writes ──► batch ──► log thread: append, fdatasync
//!                                     │                            │
//!                                     └◄────────── Logged ◄────────┘
//!                                     apply in order, tell the watchers, answer
//! ```
//!
//! While the disk works on one batch the next one gathers: the slower the disk, the larger the
//! batches. Nothing is applied, seen by a read or told to a watcher before it is on disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::disk::{self, Job, LogThread, Opened};
use crate::heart::lease::Expiry;
use crate::heart::range::{Range, RangeAnswer};
use crate::heart::snapshot::Snapshot;
use crate::heart::txn::{Txn, TxnAnswer};
use crate::heart::types::{Key, LeaseId};
use crate::heart::watch::{Delivery, Hub, StreamId, WatchId, WatchSpec};
use crate::heart::{Answer, Command, Error, Store};

/// Requests that wait for the loop. When it is full, clients wait.
pub const QUEUE: usize = 1024;
/// Bytes of commands that gather while the disk is busy. When there are more, requests wait.
const BATCH_BYTES: usize = 4 << 20;
/// Events that a watch stream is sent ahead of what its client has taken.
pub const WINDOW: usize = 4096;
/// Answers that a stream may have beyond its events. A client that asks for more without reading
/// any loses its stream.
const CONTROL: usize = 1024;
/// Changes that lagging watchers read before the loop looks at requests again.
const CATCH_UP: usize = 8192;
/// Log that is worth a snapshot, if the data is not larger than this.
const SNAPSHOT_BYTES: u64 = 8 << 20;
const EXPIRE_AT_ONCE: usize = 1000;
/// etcd's.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(600);

pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What clients ask.
pub enum Request {
    Range(Box<Range>, Reply<RangeAnswer>),
    ReadTxn(Txn, Reply<TxnAnswer>),
    /// The command, also as bytes.
    Write(Command, Vec<u8>, Reply<Answer>),
    KeepAlive(LeaseId, oneshot::Sender<(i64, Option<i64>)>),
    TimeToLive(LeaseId, oneshot::Sender<(i64, Option<TimeToLive>)>),
    Leases(oneshot::Sender<(i64, Vec<LeaseId>)>),
    Status(oneshot::Sender<ServerStatus>),
    /// The store as it is now, to be read at leisure.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Gives back disk space; answered with the store's revision when it is done.
    Defragment(oneshot::Sender<i64>),
    Watch(StreamId, WatchAsk),
}

pub enum WatchAsk {
    Open(mpsc::Sender<Delivery>),
    Create(WatchSpec),
    Cancel(WatchId),
    Progress,
    /// The client has taken so many events.
    Taken(usize),
    Close,
}

pub struct TimeToLive {
    pub remaining: i64,
    pub granted: i64,
    pub keys: Vec<Key>,
}

pub struct ServerStatus {
    pub revision: i64,
    pub applied: u64,
    pub disk_bytes: u64,
    pub data_bytes: u64,
}

/// A channel for an outbox: as many places as a stream can be sent messages.
pub fn outbox() -> (mpsc::Sender<Delivery>, mpsc::Receiver<Delivery>) {
    mpsc::channel(WINDOW + CONTROL)
}

// ANCHOR: event
/// All that can wake the loop.
enum Event {
    Request(Request),
    /// The disk has done what it was asked; so many bytes were written.
    Logged(u64),
    /// The disk failed: nothing can be promised any more.
    LogFailed(anyhow::Error),
    /// A snapshot of so many bytes is safe, or could not be written.
    Snapshotted(anyhow::Result<u64>),
    LeasesDue,
    /// There is history for lagging watchers, and nothing more urgent.
    CatchUp,
    ProgressDue,
    Stop,
}
// ANCHOR_END: event

struct Pending {
    command: Command,
    /// Nobody waits for what the store itself began.
    reply: Option<Reply<Answer>>,
}

/// What the log's thread is doing for us.
enum InFlight {
    Batch(Vec<Pending>),
    /// A new log file, before a snapshot.
    Rotate,
}

pub struct Server {
    store: Store,
    hub: Hub,
    expiry: Expiry,
    outboxes: BTreeMap<StreamId, mpsc::Sender<Delivery>>,
    requests: mpsc::Receiver<Request>,
    stop: oneshot::Receiver<()>,
    dir: PathBuf,
    log: LogThread,
    applied: u64,
    pending: Vec<Pending>,
    encoded: Vec<Vec<u8>>,
    pending_bytes: usize,
    in_flight: Option<(InFlight, oneshot::Receiver<io::Result<u64>>)>,
    snapshotting: Option<JoinHandle<anyhow::Result<u64>>>,
    defragment: Vec<oneshot::Sender<i64>>,
    log_bytes: u64,
    snapshot_bytes: u64,
    catching_up: bool,
    progress: Instant,
    started: Instant,
}

impl Server {
    pub fn new(
        dir: PathBuf,
        opened: Opened,
        requests: mpsc::Receiver<Request>,
        stop: oneshot::Receiver<()>,
    ) -> anyhow::Result<Self> {
        let Opened { store, applied, log, log_bytes, snapshot_bytes } = opened;
        let mut expiry = Expiry::default();
        // Nobody could keep a lease alive while we were away.
        for (id, lease) in store.leases().iter() {
            expiry.handle_grant(id, lease.ttl, 0);
        }
        let started = Instant::now();
        Ok(Server {
            store,
            hub: Hub::new(WINDOW),
            expiry,
            outboxes: BTreeMap::new(),
            requests,
            stop,
            dir,
            log: LogThread::start(log)?,
            applied,
            pending: Vec::new(),
            encoded: Vec::new(),
            pending_bytes: 0,
            in_flight: None,
            snapshotting: None,
            defragment: Vec::new(),
            log_bytes,
            snapshot_bytes,
            catching_up: false,
            progress: started + PROGRESS_INTERVAL,
            started,
        })
    }

    pub async fn run(mut self) -> anyhow::Result<()> {
        loop {
            match self.next_event().await {
                Event::Request(request) => {
                    self.handle_request(request);
                    // Whatever else has come meanwhile shares the disk's next write.
                    for _ in 0..QUEUE {
                        let Ok(request) = self.requests.try_recv() else { break };
                        self.handle_request(request);
                    }
                }
                Event::Logged(bytes) => self.handle_logged(bytes),
                Event::LogFailed(e) => return Err(e),
                Event::Snapshotted(result) => self.handle_snapshotted(result)?,
                Event::LeasesDue => self.handle_leases_due(),
                Event::CatchUp => self.catching_up = self.hub.poll_catch_up(&self.store, CATCH_UP),
                Event::ProgressDue => {
                    self.progress += PROGRESS_INTERVAL;
                    self.hub.handle_tick(self.store.revision());
                }
                Event::Stop => break,
            }
            self.begin_log_job();
            self.deliver();
        }
        self.finish().await
    }

    async fn next_event(&mut self) -> Event {
        let has_room = self.pending_bytes < BATCH_BYTES;
        let due = self.expiry.next_deadline_ms().map(|ms| self.started + Duration::from_millis(ms));
        tokio::select! {
            biased;
            result = wait(self.in_flight.as_mut().map(|(_, done)| done)) => match result {
                Ok(Ok(bytes)) => Event::Logged(bytes),
                Ok(Err(e)) => Event::LogFailed(anyhow::Error::from(e).context("cannot write the log")),
                Err(_) => Event::LogFailed(anyhow::anyhow!("the log's thread has ended")),
            },
            _ = &mut self.stop => Event::Stop,
            result = wait(self.snapshotting.as_mut()) => {
                Event::Snapshotted(result.context("the snapshot's thread has ended").and_then(|r| r))
            }
            () = sleep_until(due) => Event::LeasesDue,
            request = self.requests.recv(), if has_room => request.map_or(Event::Stop, Event::Request),
            () = sleep_until(Some(self.progress)) => Event::ProgressDue,
            () = std::future::ready(()), if self.catching_up => Event::CatchUp,
        }
    }

    fn handle_request(&mut self, request: Request) {
        let revision = self.store.revision();
        // A failed send means that the client has gone; there is nobody to tell.
        match request {
            Request::Range(range, reply) => drop(reply.send(self.store.range(&range))),
            Request::ReadTxn(txn, reply) => drop(reply.send(self.store.read_txn(&txn))),
            Request::Write(command, bytes, reply) => self.enqueue(command, bytes, Some(reply)),
            Request::KeepAlive(id, reply) => {
                let ttl = self.expiry.handle_keep_alive(id, self.now_ms());
                let _ = reply.send((revision, ttl));
            }
            Request::TimeToLive(id, reply) => {
                let lease = self.store.leases().get(id).zip(self.expiry.remaining(id, self.now_ms()));
                let lease = lease.map(|(lease, remaining)| TimeToLive {
                    remaining,
                    granted: lease.ttl,
                    keys: lease.keys.iter().cloned().collect(),
                });
                let _ = reply.send((revision, lease));
            }
            Request::Leases(reply) => {
                let mut ids: Vec<LeaseId> = self.store.leases().iter().map(|(id, _)| id).collect();
                ids.sort_by_key(|id| self.expiry.deadline_ms(*id));
                let _ = reply.send((revision, ids));
            }
            Request::Status(reply) => {
                let status = ServerStatus {
                    revision,
                    applied: self.applied,
                    disk_bytes: self.log_bytes + self.snapshot_bytes,
                    data_bytes: self.store.size(),
                };
                let _ = reply.send(status);
            }
            Request::Snapshot(reply) => drop(reply.send(Snapshot::of(&self.store, self.applied))),
            Request::Defragment(reply) => self.defragment.push(reply),
            Request::Watch(stream, ask) => self.handle_watch(stream, ask),
        }
    }

    fn handle_watch(&mut self, stream: StreamId, ask: WatchAsk) {
        let revision = self.store.revision();
        match ask {
            WatchAsk::Open(outbox) => {
                self.outboxes.insert(stream, outbox);
                self.hub.handle_open(stream);
            }
            WatchAsk::Create(spec) => self.hub.handle_create(stream, spec, &self.store),
            WatchAsk::Cancel(id) => self.hub.handle_cancel(stream, id, revision),
            WatchAsk::Progress => self.hub.handle_progress_request(stream, revision),
            WatchAsk::Taken(events) => self.hub.handle_taken(stream, events),
            WatchAsk::Close => self.close_stream(stream),
        }
        self.catching_up = true;
    }

    fn close_stream(&mut self, stream: StreamId) {
        self.outboxes.remove(&stream);
        self.hub.handle_close(stream);
    }

    fn enqueue(&mut self, command: Command, bytes: Vec<u8>, reply: Option<Reply<Answer>>) {
        self.pending_bytes += bytes.len();
        self.encoded.push(bytes);
        self.pending.push(Pending { command, reply });
    }

    /// Keeps the disk busy: with the next batch, or with what a snapshot needs first.
    fn begin_log_job(&mut self) {
        if self.in_flight.is_some() {
            return;
        }
        let wanted = self.log_bytes >= SNAPSHOT_BYTES.max(self.store.size());
        let (what, job) = if (wanted || !self.defragment.is_empty()) && self.snapshotting.is_none() {
            (InFlight::Rotate, Job::Rotate)
        } else if !self.pending.is_empty() {
            self.pending_bytes = 0;
            let commands = std::mem::take(&mut self.encoded);
            (InFlight::Batch(std::mem::take(&mut self.pending)), Job::Append(commands))
        } else {
            return;
        };
        self.in_flight = Some((what, self.log.begin(job)));
    }

    fn handle_logged(&mut self, bytes: u64) {
        match self.in_flight.take() {
            Some((InFlight::Batch(batch), _)) => {
                self.log_bytes += bytes;
                for pending in batch {
                    self.apply(pending);
                }
            }
            Some((InFlight::Rotate, _)) => {
                let (dir, snapshot) = (self.dir.clone(), Snapshot::of(&self.store, self.applied));
                self.log_bytes = 0;
                let write = move || disk::write_snapshot(&dir, &snapshot);
                self.snapshotting = Some(tokio::task::spawn_blocking(write));
            }
            None => {}
        }
    }

    fn apply(&mut self, Pending { command, reply }: Pending) {
        self.applied += 1;
        let applied = self.store.apply(&command);
        match (&command, &applied.answer) {
            (_, Ok(Answer::LeaseGrant { id, ttl, .. })) => {
                self.expiry.handle_grant(*id, *ttl, self.now_ms());
            }
            (Command::LeaseRevoke { id }, _) => self.expiry.handle_revoke(*id),
            (Command::Compact { revision }, Ok(_)) => {
                debug!(revision, "compacted");
                self.catching_up = true;
            }
            _ => {}
        }
        self.hub.handle_commit(&applied.events);
        if let Some(reply) = reply {
            let _ = reply.send(applied.answer);
        }
    }

    fn handle_snapshotted(&mut self, result: anyhow::Result<u64>) -> anyhow::Result<()> {
        self.snapshotting = None;
        self.snapshot_bytes = result.context("cannot write a snapshot")?;
        info!(bytes = self.snapshot_bytes, "snapshot written, log cut");
        for reply in self.defragment.drain(..) {
            let _ = reply.send(self.store.revision());
        }
        Ok(())
    }

    fn handle_leases_due(&mut self) {
        for id in self.expiry.poll_expired(self.now_ms(), EXPIRE_AT_ONCE) {
            debug!(id, "lease expired");
            let command = Command::LeaseRevoke { id };
            let bytes = command.encode();
            self.enqueue(command, bytes, None);
        }
    }

    fn deliver(&mut self) {
        while let Some(delivery) = self.hub.poll_delivery() {
            let stream = delivery.stream;
            let Some(outbox) = self.outboxes.get(&stream) else { continue };
            if let Err(mpsc::error::TrySendError::Full(_)) = outbox.try_send(delivery) {
                warn!(stream, "a watch stream was closed: its client asks and does not read");
                self.close_stream(stream);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// What the disk has begun is answered; what it has not is refused, by dropping it.
    async fn finish(mut self) -> anyhow::Result<()> {
        self.outboxes.clear();
        if let Some((_, done)) = &mut self.in_flight
            && let Ok(result) = done.await
        {
            let bytes = result.context("cannot write the log")?;
            if !matches!(self.in_flight, Some((InFlight::Rotate, _))) {
                self.handle_logged(bytes);
            }
        }
        Ok(())
    }
}

/// The future, or never.
async fn wait<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
