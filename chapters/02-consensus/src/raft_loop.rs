//! The thread that owns a member of consensus: one loop over all that can wake it.
//!
//! ```text
//!   store's loop ──Ask──►┐                     ┌──► Outgoing: streams to the other members
//!   other members ──────►│ Event ► Member ► Action ► Storage: write, fdatasync
//!   services, clock ────►┘    ▲        │       └──► JournalEvent: to the store's loop
//!                             └────────┘ handle_persisted
//! ```
//!
//! All that has come while the disk was busy is handled before the next write, so one `fdatasync`
//! serves it all. Messages go out before the write that stands behind them in the core's list: a
//! leader's entries travel while its own disk works (Raft thesis, section 10.2.1).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use store::heart::snapshot::Snapshot;
use store::journal::{Ask, Entry, JournalEvent, Standing};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use crate::heart::types::{Asked, Change, Committed, MemberId, Message, Peer, Proposal, Role};
use crate::heart::{Action, Error, Member, types};
use crate::incoming::Arrived;
use crate::outgoing::Outgoing;
use crate::storage::Storage;
use crate::view::{Door, View};
use crate::wire::status;

/// An only voter that does not lead after so many waits as everybody does.
const MOST_ELECTION_TICKS: usize = 1000;
/// Events that are handled before the core is asked what to do.
const AT_ONCE: usize = 4096;
/// How long a member that was removed goes on, so that the others and its clients hear of it.
const FAREWELL: Duration = Duration::from_secs(1);

type Reply = oneshot::Sender<Result<(), Error>>;

// ANCHOR: event
/// All that can wake the thread, but for time.
pub enum Event {
    /// The store's loop wants something.
    Asked(Ask),
    /// Another member's message.
    Message(Bytes),
    /// A snapshot from the leader, whole and checked, with its message.
    Arrived(Box<Arrived>),
    /// A snapshot to another member has arrived there, or not.
    SnapshotSent { to: MemberId, arrived: bool },
    /// Messages to another member do not arrive.
    Unreachable(MemberId),
    /// This member's own snapshot of so many bytes is safe; or could not be written; or was given up.
    Written(anyhow::Result<Option<u64>>),
    /// A client wants a change of members.
    Change(Change, Reply),
    /// A client wants another leader.
    Transfer(MemberId, Reply),
    /// This member is about to stop: another should lead, if this one does.
    HandOver(Reply),
    /// Answered when this member knows all members as of now.
    Barrier(Reply),
    /// Another member says that this one belongs to the cluster no more.
    Removed,
}
// ANCHOR_END: event

/// A read on its way.
enum Read {
    /// The store loop's, with its number.
    Loop(u64),
    Barrier(Reply),
}

pub struct RaftLoop {
    pub id: MemberId,
    pub member: Member,
    pub storage: Storage,
    pub outgoing: Outgoing,
    pub events: Receiver<Event>,
    /// The other end of `events`.
    pub myself: Sender<Event>,
    pub door: Door,
    pub to_store: mpsc::Sender<JournalEvent>,
    pub standing: Arc<Standing>,
    pub view: watch::Sender<View>,
    /// Members that were known when this one joined: how to answer them before the log says who they are.
    pub address_book: Vec<Peer>,
    pub tick: Duration,
    pub snapshot_count: Option<u64>,
    /// The log's end when the process started: what is before it may have been acknowledged.
    pub end_at_start: u64,
    pub state: State,
}

/// What the loop itself remembers.
#[derive(Default)]
pub struct State {
    /// Index of the last command that the store's loop was given.
    given: u64,
    leading: bool,
    last_read: u64,
    /// By the numbers that the core was given; rising.
    reads: VecDeque<(u64, Read)>,
    /// May be answered when the core has applied the index.
    readable: VecDeque<(u64, Read)>,
    last_change: u64,
    changes: BTreeMap<u64, Reply>,
    arrived: Option<Box<Arrived>>,
    /// Commands since the last snapshot was asked for.
    since_snapshot: u64,
    stop: bool,
    leave_at: Option<Instant>,
}

impl State {
    pub fn new(applied: u64) -> State {
        State { given: applied, ..State::default() }
    }
}

impl RaftLoop {
    /// Runs until the store's loop says stop, or nothing can be promised any more.
    pub fn run(mut self) {
        if let Err(e) = self.serve() {
            // If nobody listens, the store's loop has failed before us.
            let _ = self.to_store.blocking_send(JournalEvent::Failed(e));
        }
    }

    fn serve(&mut self) -> anyhow::Result<()> {
        self.handle_members();
        self.handle_standing(self.member.standing());
        self.lead_if_alone()?;
        let mut next_tick = Instant::now() + self.tick;
        loop {
            self.drive()?;
            if self.state.stop {
                return Ok(());
            }
            if self.state.leave_at.is_some_and(|at| at <= Instant::now()) {
                bail!("the member has been permanently removed from the cluster");
            }
            match self.events.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    self.handle(event)?;
                    for _ in 0..AT_ONCE {
                        let Ok(event) = self.events.try_recv() else { break };
                        self.handle(event)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the raft thread's own sender is gone"),
            }
            let now = Instant::now();
            if now >= next_tick {
                self.member.handle_tick();
                // Ticks that were missed are not made up for: others may have been heard meanwhile.
                next_tick = (next_tick + self.tick).max(now);
            }
        }
    }

    /// The only voter has nobody to wait for: its first election's ticks pass at once.
    fn lead_if_alone(&mut self) -> anyhow::Result<()> {
        self.drive()?;
        for _ in 0..MOST_ELECTION_TICKS {
            if !self.member.is_alone() || self.member.standing().leader != 0 {
                break;
            }
            self.member.handle_tick();
            self.drive()?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Asked(Ask::Propose(proposals)) => {
                let proposals = proposals.into_iter();
                let proposals = proposals.map(|p| Proposal { number: p.number, command: p.command });
                self.member.handle_propose(proposals.collect());
            }
            Event::Asked(Ask::Read(number)) => self.read(Read::Loop(number)),
            Event::Asked(Ask::Snapshot(snapshot)) => self.begin_snapshot(snapshot)?,
            Event::Asked(Ask::Stop) => self.state.stop = true,
            Event::Message(message) => {
                self.door.taken(&message);
                if let Err(e) = self.member.handle_message(&message) {
                    debug!("a message was refused: {e}");
                }
            }
            Event::Arrived(arrived) => self.handle_arrived(arrived)?,
            Event::SnapshotSent { to, arrived } => self.member.handle_snapshot_sent(to, arrived),
            Event::Unreachable(peer) => self.member.handle_unreachable(peer),
            Event::Written(result) => {
                let meta = self.storage.handle_written(result)?;
                if let Some(meta) = meta {
                    self.member.handle_snapshot_made(meta);
                }
                self.tell_snapshotted();
            }
            Event::Change(change, reply) => {
                self.state.last_change += 1;
                self.state.changes.insert(self.state.last_change, reply);
                self.member.handle_change(self.state.last_change, change);
            }
            Event::Transfer(to, reply) => {
                // Nobody waits any more: nobody need be told.
                let _ = reply.send(self.member.handle_transfer(to));
            }
            Event::HandOver(reply) => {
                let members = self.member.members();
                let mut reached =
                    members.iter().filter(|peer| !peer.learner && self.outgoing.reaches(peer.id));
                let to = reached.next().map_or(Err(Error::BadTransferee), |peer| Ok(peer.id));
                let _ = reply.send(to.and_then(|to| self.member.handle_transfer(to)));
            }
            Event::Barrier(reply) => self.read(Read::Barrier(reply)),
            Event::Removed => self.leave("another member says so"),
        }
        Ok(())
    }

    fn read(&mut self, read: Read) {
        self.state.last_read += 1;
        self.state.reads.push_back((self.state.last_read, read));
        self.member.handle_read(self.state.last_read);
    }

    /// Does what the core says until it says nothing.
    fn drive(&mut self) -> anyhow::Result<()> {
        loop {
            let actions = self.member.poll_actions();
            if actions.is_empty() {
                break;
            }
            // Before anybody hears that they have changed: who was removed may be gone at once.
            if actions.contains(&Action::Members) {
                self.storage.note_commit(self.member.applied()).context("cannot write the log")?;
            }
            for action in actions {
                self.execute(action)?;
            }
        }
        self.standing.given.store(self.state.given, Ordering::Release);
        self.standing.turned.store(self.member.applied(), Ordering::Release);
        self.answer_reads();
        self.consider_alone();
        Ok(())
    }

    fn execute(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Send(messages) => messages.into_iter().for_each(|message| self.send(message)),
            Action::Persist(persist) => {
                let arrived = self.state.arrived.as_deref();
                self.storage.persist(&persist, arrived).context("cannot write the log")?;
                self.member.handle_persisted(persist.number);
            }
            Action::Apply(committed) => self.apply(committed),
            Action::Restore(meta) => {
                let arrived = self.state.arrived.take().filter(|arrived| arrived.meta.index == meta.index);
                let arrived = *arrived.context("a snapshot is to be loaded that has not come")?;
                info!(index = meta.index, "the leader's snapshot is taken over");
                self.state.given = meta.index;
                let store = Box::new(arrived.held.store);
                self.tell(JournalEvent::Restored { store, applied: meta.index });
                let _ = arrived.taken.send(());
            }
            Action::Readable { number, index } => {
                while let Some(read) = take_upto(&mut self.state.reads, number) {
                    self.state.readable.push_back((index, read));
                }
            }
            Action::Refuse { what, why } => self.refuse(what, why),
            Action::Changed { number } => {
                self.handle_members();
                if let Some(reply) = self.state.changes.remove(&number) {
                    let _ = reply.send(Ok(()));
                }
            }
            Action::WantSnapshot => self.tell(JournalEvent::SnapshotWanted),
            Action::Standing(standing) => self.handle_standing(standing),
            Action::Members => self.handle_members(),
        }
        Ok(())
    }

    fn send(&mut self, message: Message) {
        let Message { to, bytes, snapshot } = message;
        let Some(meta) = snapshot else {
            if !self.outgoing.send(to, bytes) {
                self.door.tell(Event::Unreachable(to));
            }
            return;
        };
        match self.storage.snapshot_file(meta.index) {
            Ok(file) => self.outgoing.send_snapshot(to, bytes, file),
            // A newer one has taken its place: the core will want to send that.
            Err(e) => {
                debug!(index = meta.index, "a snapshot is not there any more: {e}");
                self.door.tell(Event::SnapshotSent { to, arrived: false });
            }
        }
    }

    fn apply(&mut self, committed: Vec<Committed>) {
        let Some(last) = committed.last() else { return };
        self.state.given = last.index;
        self.state.since_snapshot += committed.len() as u64;
        let entries = committed.into_iter();
        let entries = entries.map(|Committed { index, number, command }| Entry { index, number, command });
        let log_bytes = self.storage.log_bytes();
        self.tell(JournalEvent::Committed { entries: entries.collect(), log_bytes });
        if self.snapshot_count.is_some_and(|count| self.state.since_snapshot >= count) {
            self.state.since_snapshot = 0;
            self.tell(JournalEvent::SnapshotWanted);
        }
    }

    /// The store's loop has been given everything up to here: it may answer.
    fn answer_reads(&mut self) {
        let mut readable = None;
        while let Some(read) = take_upto(&mut self.state.readable, self.state.given) {
            match read {
                Read::Loop(number) => readable = Some(number),
                Read::Barrier(reply) => drop(reply.send(Ok(()))),
            }
        }
        if let Some(number) = readable {
            // Not the core's index: the last entries may be no commands, which the loop never sees.
            self.tell(JournalEvent::Readable { number, index: self.state.given });
        }
    }

    fn refuse(&mut self, what: Asked, why: Error) {
        match what {
            Asked::Proposal(number) => self.tell(JournalEvent::Refused { number, why: status(why) }),
            Asked::Change(number) => {
                if let Some(reply) = self.state.changes.remove(&number) {
                    let _ = reply.send(Err(why));
                }
            }
            Asked::Reads(upto) => {
                while let Some(read) = take_upto(&mut self.state.reads, upto) {
                    match read {
                        Read::Loop(number) => {
                            self.tell(JournalEvent::Refused { number, why: status(why.clone()) });
                        }
                        Read::Barrier(reply) => drop(reply.send(Err(why.clone()))),
                    }
                }
            }
        }
    }

    fn handle_standing(&mut self, standing: types::Standing) {
        self.standing.term.store(standing.term, Ordering::Relaxed);
        self.standing.leader.store(standing.leader, Ordering::Relaxed);
        let leading = standing.role == Role::Leader;
        if leading != self.state.leading {
            self.state.leading = leading;
            info!(term = standing.term, leading, "this member's part has changed");
            self.tell(JournalEvent::Leading(leading));
        }
        self.view.send_modify(|view| view.standing = standing);
    }

    fn handle_members(&mut self) {
        let members = self.member.members();
        if !self.member.is_alone() {
            self.standing.alone.store(false, Ordering::Release);
        }
        self.view.send_modify(|view| {
            view.members.clone_from(&members);
            view.removed = self.member.removed();
        });
        let mut reach = members;
        if !reach.iter().any(|peer| peer.id == self.id) {
            let unknown = |peer: &&Peer| !reach.iter().any(|known| known.id == peer.id);
            let book: Vec<Peer> = self.address_book.iter().filter(unknown).cloned().collect();
            reach.extend(book);
        }
        self.outgoing.handle_members(&reach);
        if self.member.is_removed() {
            self.leave("the log says so");
        }
    }

    fn leave(&mut self, why: &str) {
        if self.state.leave_at.is_none() {
            warn!("this member was removed from the cluster: {why}");
            self.state.leave_at = Some(Instant::now() + FAREWELL);
        }
    }

    /// Alone, what the store has applied is the truth: when that is all that was ever acknowledged here,
    /// and the store's loop has taken it out of its queue.
    fn consider_alone(&self) {
        if self.state.leading
            && self.member.is_alone()
            && !self.standing.alone.load(Ordering::Relaxed)
            && self.member.applied() >= self.end_at_start
            && self.to_store.capacity() == self.to_store.max_capacity()
        {
            self.standing.alone.store(true, Ordering::Release);
        }
    }

    fn handle_arrived(&mut self, arrived: Box<Arrived>) -> anyhow::Result<()> {
        let message = arrived.message.clone();
        self.state.arrived = Some(arrived);
        if let Err(e) = self.member.handle_message(&message) {
            debug!("a snapshot was refused: {e}");
        }
        self.drive()?;
        // Whoever sent it is told that it was of no use, if nobody took it.
        self.state.arrived = None;
        Ok(())
    }

    fn begin_snapshot(&mut self, mut snapshot: Snapshot) -> anyhow::Result<()> {
        if snapshot.applied == self.state.given {
            // What follows are no commands, but changes of members: a new one may need to be in it.
            snapshot.applied = self.member.applied();
        }
        let meta = match self.member.snapshot_meta(snapshot.applied) {
            Ok(meta) if snapshot.applied >= self.storage.snapshot_index() => meta,
            _ => {
                debug!(index = snapshot.applied, "a snapshot came too late");
                self.tell_snapshotted();
                return Ok(());
            }
        };
        self.state.since_snapshot = 0;
        self.storage.begin_snapshot(snapshot, meta, self.myself.clone())
    }

    fn tell_snapshotted(&self) {
        let (snapshot_bytes, log_bytes) = (self.storage.snapshot_bytes(), self.storage.log_bytes());
        self.tell(JournalEvent::Snapshotted { snapshot_bytes, log_bytes });
    }

    /// When the store's loop is gone there is nobody to tell; it has said stop.
    fn tell(&self, event: JournalEvent) {
        let _ = self.to_store.blocking_send(event);
    }
}

/// The next of a queue whose numbers rise, if its number is not greater.
fn take_upto(queue: &mut VecDeque<(u64, Read)>, number: u64) -> Option<Read> {
    if queue.front()?.0 > number {
        return None;
    }
    queue.pop_front().map(|(_, read)| read)
}
