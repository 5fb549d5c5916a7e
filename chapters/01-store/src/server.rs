//! The one loop that owns the store.
//!
//! ```text
//!   requests ──► [bounded queue] ──► loop ──► reads: at once, or when the journal says so
//!                                     │
//!                                     ├─ Propose ──► journal: order, disk, other members
//!                                     │                  │
//!                                     └◄─── Committed ◄──┘
//!                                     apply in order, tell the watchers, answer
//! ```
//!
//! Nothing is applied, seen by a read or told to a watcher before the journal has committed it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::auth::Sessions;
use crate::convert::status;
use crate::gate::no_leader;
use crate::heart::alarm::{Alarm, AlarmKind};
use crate::heart::auth::AuthError;
use crate::heart::lease::Expiry;
use crate::heart::snapshot::Snapshot;
use crate::heart::types::LeaseId;
use crate::heart::watch::{Delivery, Hub, NO_WATCH, Refusal, StreamId, What};
use crate::heart::{Answer, Command, Error, Store};
use crate::journal::{Ask, Entry, Journal, JournalEvent, Opened};
use crate::proposals::{Proposals, Waiter};
use crate::quota;
use crate::reads::Reads;
use crate::request::{QUEUE, Read, Reply, Request, ServerStatus, TimeToLive, WINDOW, WatchAsk};

/// Bytes of commands and of reads that are under way. When there are more, requests wait.
const UNDER_WAY_BYTES: usize = 8 << 20;
/// Changes that lagging watchers read before the loop looks at requests again.
const CATCH_UP: usize = 8192;
/// Log that is worth a snapshot, if the data is not larger than this.
const SNAPSHOT_BYTES: u64 = 8 << 20;
/// Leases that run out, or get a checkpoint, in one turn of the loop.
const LEASES_AT_ONCE: usize = 1000;
/// When a lease's revocation was refused.
const REVOKE_AGAIN: Duration = Duration::from_secs(1);

// ANCHOR: event
/// All that can wake the loop.
enum Event {
    Request(Request),
    /// Something was committed, or else became known.
    Journal(JournalEvent),
    JournalEnded,
    LeasesDue,
    /// There is history for lagging watchers, and nothing more urgent.
    CatchUp,
    ProgressDue,
    Stop,
}
// ANCHOR_END: event

/// What the loop is told about its member.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    pub member_id: u64,
    pub quota_bytes: Option<u64>,
    /// Between notices to watchers that hear nothing.
    pub progress_interval: Duration,
}

pub struct Server {
    config: Config,
    sessions: Arc<Sessions>,
    store: Store,
    applied: u64,
    hub: Hub,
    outboxes: BTreeMap<StreamId, mpsc::Sender<Delivery>>,
    requests: mpsc::Receiver<Request>,
    stop: oneshot::Receiver<()>,
    journal: Journal,
    /// The last number that the journal was given.
    number: u64,
    proposals: Proposals,
    reads: Reads,
    /// The leases' time, if this member keeps it.
    expiry: Option<Expiry>,
    /// Leases that ran out and could not be revoked, and when to try again.
    unrevoked: Option<(Instant, Vec<LeaseId>)>,
    snapshots: Snapshots,
    catching_up: bool,
    progress: Instant,
    started: Instant,
}

/// When the log is to be cut.
#[derive(Default)]
struct Snapshots {
    under_way: bool,
    /// What the last one, or the one under way, was of.
    applied: u64,
    wanted: bool,
    /// Who waits for the next, and for the one under way.
    waiting: Vec<oneshot::Sender<i64>>,
    served: Vec<oneshot::Sender<i64>>,
    log_bytes: u64,
    bytes: u64,
}

impl Server {
    pub fn new(
        config: Config,
        sessions: Arc<Sessions>,
        opened: Opened,
        requests: mpsc::Receiver<Request>,
        stop: oneshot::Receiver<()>,
    ) -> Self {
        let Opened { store, applied, log_bytes, snapshot_bytes, journal } = opened;
        let started = Instant::now();
        Server {
            config,
            sessions,
            store,
            applied,
            hub: Hub::new(WINDOW),
            outboxes: BTreeMap::new(),
            requests,
            stop,
            journal,
            number: 0,
            proposals: Proposals::default(),
            reads: Reads::default(),
            expiry: None,
            unrevoked: None,
            snapshots: Snapshots { log_bytes, bytes: snapshot_bytes, ..Snapshots::default() },
            catching_up: false,
            progress: started + config.progress_interval,
            started,
        }
    }

    pub async fn run(mut self) -> anyhow::Result<()> {
        loop {
            match self.next_event().await {
                Event::Request(request) => {
                    self.handle_request(request);
                    // Whatever else has come meanwhile shares the journal's next turn.
                    for _ in 0..QUEUE {
                        let Ok(request) = self.requests.try_recv() else { break };
                        self.handle_request(request);
                    }
                }
                Event::Journal(event) => self.handle_journal(event)?,
                Event::JournalEnded => bail!("the journal has ended"),
                Event::LeasesDue => self.handle_leases_due(),
                Event::CatchUp => self.catching_up = self.hub.poll_catch_up(&self.store, CATCH_UP),
                Event::ProgressDue => {
                    self.progress += self.config.progress_interval;
                    self.hub.handle_tick(self.store.revision());
                }
                Event::Stop => break,
            }
            self.ask_journal();
            self.deliver();
        }
        self.finish().await
    }

    async fn next_event(&mut self) -> Event {
        let has_room = self.proposals.bytes() + self.reads.bytes() < UNDER_WAY_BYTES;
        let due = self.leases_due();
        tokio::select! {
            biased;
            event = self.journal.events.recv() => event.map_or(Event::JournalEnded, Event::Journal),
            _ = &mut self.stop => Event::Stop,
            () = sleep_until(due) => Event::LeasesDue,
            request = self.requests.recv(), if has_room => request.map_or(Event::Stop, Event::Request),
            () = sleep_until(Some(self.progress)) => Event::ProgressDue,
            () = std::future::ready(()), if self.catching_up => Event::CatchUp,
        }
    }

    fn leases_due(&self) -> Option<Instant> {
        let expiry = self.expiry.as_ref()?;
        let ms = [expiry.next_deadline_ms(), expiry.next_checkpoint_ms()].into_iter().flatten().min();
        let at = ms.map(|ms| self.started + Duration::from_millis(ms));
        let again = self.unrevoked.as_ref().map(|(at, _)| *at);
        at.into_iter().chain(again).min()
    }

    fn handle_request(&mut self, request: Request) {
        let revision = self.store.revision();
        match request {
            Request::Read(read) => self.handle_read(read),
            Request::Write(command, bytes, reply) => self.handle_write(command, bytes, reply),
            Request::KeepAlive(id, reply) => self.handle_keep_alive(id, reply),
            Request::TimeToLive(id, reply) => {
                let left = self.expiry.as_ref().map(|e| (revision, self.time_to_live(id, e)));
                let _ = reply.send(left.ok_or_else(no_leader));
            }
            Request::Leases(reply) => {
                let mut ids: Vec<LeaseId> = self.store.leases().iter().map(|(id, _)| id).collect();
                ids.sort_by_key(|id| self.expiry.as_ref().and_then(|e| e.deadline_ms(*id)));
                let _ = reply.send((revision, ids));
            }
            Request::Status(reply) => {
                let status = ServerStatus {
                    revision,
                    applied: self.applied,
                    disk_bytes: self.snapshots.log_bytes + self.snapshots.bytes,
                    data_bytes: self.store.size(),
                    alarms: self.store.alarms().iter().collect(),
                };
                let _ = reply.send(status);
            }
            Request::Snapshot(reply) => drop(reply.send(Snapshot::of(&self.store, self.applied))),
            Request::Defragment(reply) => self.snapshots.waiting.push(reply),
            Request::Watch(stream, ask) => self.handle_watch(stream, ask),
        }
    }

    fn handle_read(&mut self, read: Read) {
        if read.is_serializable() || self.journal.standing.alone.load(Ordering::Acquire) {
            read.answer(&self.store);
        } else {
            self.reads.gather(read);
        }
    }

    fn handle_write(&mut self, command: Command, bytes: Vec<u8>, reply: Reply<Answer>) {
        let full = |cost| self.config.quota_bytes.is_some_and(|quota| self.store.size() + cost >= quota);
        if !quota::cost(&command).is_some_and(full) {
            return self.propose(command, bytes, Waiter::Answer(reply));
        }
        let alarm = Alarm { member: self.config.member_id, kind: AlarmKind::NoSpace };
        if self.store.alarms().iter().any(|raised| raised == alarm) {
            let _ = reply.send(Err(status(Error::NoSpace)));
        } else {
            warn!(bytes = self.store.size(), "the data has reached its quota: an alarm is raised");
            let alarm = Command::Alarm { alarm, raise: true };
            self.propose_own(alarm, Waiter::Instead(Error::NoSpace, reply));
        }
    }

    fn handle_keep_alive(&mut self, id: LeaseId, reply: Reply<(i64, Option<i64>)>) {
        if self.expiry.is_none() {
            let _ = reply.send(Err(no_leader()));
        } else if self.store.leases().get(id).is_some_and(|lease| lease.remaining > 0) {
            // Whoever leads next must not go by the old checkpoint.
            self.propose_own(
                Command::LeaseCheckpoint { leases: vec![(id, 0)] },
                Waiter::KeepAlive(id, reply),
            );
        } else {
            self.keep_alive(id, reply);
        }
    }

    fn keep_alive(&mut self, id: LeaseId, reply: Reply<(i64, Option<i64>)>) {
        let now_ms = self.now_ms();
        let kept = self.expiry.as_mut().map(|expiry| expiry.handle_keep_alive(id, now_ms));
        let _ = reply.send(kept.map(|ttl| (self.store.revision(), ttl)).ok_or_else(no_leader));
    }

    fn time_to_live(&self, id: LeaseId, expiry: &Expiry) -> Option<TimeToLive> {
        let (lease, remaining) = self.store.leases().get(id).zip(expiry.remaining(id, self.now_ms()))?;
        Some(TimeToLive { remaining, granted: lease.ttl, keys: lease.keys.iter().cloned().collect() })
    }

    fn handle_watch(&mut self, stream: StreamId, ask: WatchAsk) {
        let revision = self.store.revision();
        match ask {
            WatchAsk::Open(outbox) => {
                self.outboxes.insert(stream, outbox);
                self.hub.handle_open(stream);
            }
            WatchAsk::Create(spec, caller) => {
                match self.store.auth().check_range(caller.as_ref(), &spec.keys) {
                    Ok(()) => self.hub.handle_create(stream, spec, &self.store),
                    Err(e) => self.refuse_watch(stream, e),
                }
            }
            WatchAsk::Refuse(why) => self.refuse_watch(stream, why),
            WatchAsk::Cancel(id) => self.hub.handle_cancel(stream, id, revision),
            WatchAsk::Progress => self.hub.handle_progress_request(stream, revision),
            WatchAsk::Taken(events) => self.hub.handle_taken(stream, events),
            WatchAsk::Close => self.close_stream(stream),
        }
        self.catching_up = true;
    }

    fn refuse_watch(&mut self, stream: StreamId, why: AuthError) {
        // Behind the answers to what was asked before.
        self.deliver();
        let what = What::Refused(Refusal::Denied(why));
        self.send(Delivery { stream, watch: NO_WATCH, revision: self.store.revision(), what });
    }

    fn close_stream(&mut self, stream: StreamId) {
        self.outboxes.remove(&stream);
        self.hub.handle_close(stream);
    }

    fn propose(&mut self, command: Command, bytes: Vec<u8>, waiter: Waiter) {
        self.number += 1;
        self.proposals.gather(self.number, command, bytes, waiter);
    }

    fn propose_own(&mut self, command: Command, waiter: Waiter) {
        let bytes = command.encode();
        self.propose(command, bytes, waiter);
    }

    /// Gives the journal what has gathered.
    fn ask_journal(&mut self) {
        let proposals = self.proposals.take_gathered();
        if !proposals.is_empty() {
            (self.journal.asks)(Ask::Propose(proposals));
        }
        if self.reads.wants_ask() {
            self.number += 1;
            self.reads.asked(self.number);
            (self.journal.asks)(Ask::Read(self.number));
        }
        let snapshots = &mut self.snapshots;
        if snapshots.is_due(self.applied, self.store.size()) {
            snapshots.under_way = true;
            snapshots.wanted = false;
            snapshots.applied = self.applied;
            snapshots.served = std::mem::take(&mut snapshots.waiting);
            (self.journal.asks)(Ask::Snapshot(Snapshot::of(&self.store, self.applied)));
        }
    }

    fn handle_journal(&mut self, event: JournalEvent) -> anyhow::Result<()> {
        match event {
            JournalEvent::Committed { entries, log_bytes } => {
                self.snapshots.log_bytes = log_bytes;
                for entry in entries {
                    self.apply(entry)?;
                }
                self.sessions.handle_index(self.applied);
                self.reads.answer(&self.store, self.applied);
            }
            JournalEvent::Readable { number, index } => {
                self.reads.handle_readable(number, index);
                self.reads.answer(&self.store, self.applied);
            }
            JournalEvent::Refused { number, why } => self.handle_refused(number, why),
            JournalEvent::Leading(leading) => self.handle_leading(leading),
            JournalEvent::Restored { store, applied } => {
                self.hub.handle_restore(self.store.revision(), &store);
                self.store = *store;
                self.applied = applied;
                self.sessions.handle_restored(&self.store, applied);
                self.catching_up = true;
                self.handle_leading(self.expiry.is_some());
                self.reads.answer(&self.store, self.applied);
                info!(revision = self.store.revision(), applied, "the store is the leader's now");
            }
            JournalEvent::SnapshotWanted => self.snapshots.wanted = true,
            JournalEvent::Snapshotted { snapshot_bytes, log_bytes } => {
                self.snapshots.under_way = false;
                (self.snapshots.bytes, self.snapshots.log_bytes) = (snapshot_bytes, log_bytes);
                for reply in self.snapshots.served.drain(..) {
                    let _ = reply.send(self.store.revision());
                }
            }
            JournalEvent::Failed(e) => return Err(e),
        }
        Ok(())
    }

    fn apply(&mut self, entry: Entry) -> anyhow::Result<()> {
        let pending = entry.number.and_then(|number| self.proposals.take(number));
        let (command, waiter) = match pending {
            Some(pending) => (pending.command, pending.waiter),
            None => {
                let command = Command::decode(&entry.command);
                (command.with_context(|| format!("command {}", entry.index))?, Waiter::Nobody)
            }
        };
        self.applied = entry.index;
        let applied = self.store.apply(&command);
        let now_ms = self.now_ms();
        match (command.unsigned().1, &applied.answer, &mut self.expiry) {
            (_, Ok(Answer::LeaseGrant { id, ttl, .. }), Some(expiry)) => {
                expiry.handle_grant(*id, *ttl, now_ms);
            }
            (Command::LeaseRevoke { id }, Err(Error::Auth(_)), Some(_)) => {
                // The store's own was proposed when nobody had to be somebody.
                if matches!(waiter, Waiter::Nobody) {
                    self.revoke_again(*id);
                }
            }
            (Command::LeaseRevoke { id }, _, Some(expiry)) => expiry.handle_revoke(*id),
            (Command::Auth(command), Ok(_), _) => {
                self.sessions.handle_applied(command, &self.store, entry.index);
            }
            (Command::Compact { revision }, Ok(_), _) => {
                debug!(revision, "compacted");
                self.catching_up = true;
            }
            _ => {}
        }
        self.hub.handle_commit(&applied.events);
        match waiter {
            Waiter::Nobody => {}
            Waiter::Answer(reply) => drop(reply.send(applied.answer.map_err(status))),
            Waiter::Instead(why, reply) => drop(reply.send(Err(status(why)))),
            Waiter::KeepAlive(id, reply) => self.keep_alive(id, reply),
        }
        Ok(())
    }

    fn handle_refused(&mut self, number: u64, why: Status) {
        let command = self.proposals.take(number).and_then(|pending| pending.refuse(why.clone()));
        match command.as_ref().map(|command| command.unsigned().1) {
            Some(Command::LeaseRevoke { id }) if self.expiry.is_some() => self.revoke_again(*id),
            _ => self.reads.handle_refused(number, &why),
        }
    }

    fn revoke_again(&mut self, id: LeaseId) {
        let again = || (Instant::now() + REVOKE_AGAIN, Vec::new());
        self.unrevoked.get_or_insert_with(again).1.push(id);
    }

    /// Whoever comes to lead begins every lease's time anew, or what the last checkpoint left of it:
    /// nobody loses one to an election, or to a time in which nobody could keep it alive.
    fn handle_leading(&mut self, leading: bool) {
        let now_ms = self.now_ms();
        self.unrevoked = None;
        self.expiry = leading.then(|| Expiry::of(self.store.leases(), now_ms));
    }

    fn handle_leases_due(&mut self) {
        let (now, now_ms) = (Instant::now(), self.now_ms());
        let Some(expiry) = &mut self.expiry else { return };
        let mut expired = expiry.poll_expired(now_ms, LEASES_AT_ONCE);
        let leases = expiry.poll_checkpoints(now_ms, LEASES_AT_ONCE);
        let again = self.unrevoked.take_if(|(at, _)| *at <= now);
        expired.extend(again.into_iter().flat_map(|(_, ids)| ids));
        for id in expired {
            debug!(id, "lease expired");
            let revoke = self.store.auth().as_root(Command::LeaseRevoke { id });
            self.propose_own(revoke, Waiter::Nobody);
        }
        if !leases.is_empty() {
            self.propose_own(Command::LeaseCheckpoint { leases }, Waiter::Nobody);
        }
    }

    fn deliver(&mut self) {
        while let Some(delivery) = self.hub.poll_delivery() {
            self.send(delivery);
        }
    }

    fn send(&mut self, delivery: Delivery) {
        let stream = delivery.stream;
        let Some(outbox) = self.outboxes.get(&stream) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = outbox.try_send(delivery) {
            warn!(stream, "a watch stream was closed: its client asks and does not read");
            self.close_stream(stream);
        }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// What the disk has begun is answered; the rest is refused, by dropping it.
    async fn finish(mut self) -> anyhow::Result<()> {
        self.outboxes.clear();
        self.requests.close();
        (self.journal.asks)(Ask::Stop);
        while let Some(event) = self.journal.events.recv().await {
            self.handle_journal(event)?;
        }
        Ok(())
    }
}

impl Snapshots {
    /// If another one would be of the same commands, only those who wait want it.
    fn is_due(&self, applied: u64, data_bytes: u64) -> bool {
        let too_long = self.log_bytes >= SNAPSHOT_BYTES.max(data_bytes) && applied > self.applied;
        !self.under_way && (self.wanted || too_long || !self.waiting.is_empty())
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
