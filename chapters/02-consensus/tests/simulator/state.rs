//! The loop that owns the store, as chapter 01's `server.rs` has it: it applies what the journal tells,
//! answers, and serves watchers. It runs beside the member, and may be behind it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use consensus::heart::types::{Change, Committed, MemberId, Proposal};
use store::heart::lease::Expiry;
use store::heart::range::{Range, RangeAnswer};
use store::heart::snapshot::Snapshot;
use store::heart::types::{KeyRange, LeaseId};
use store::heart::watch::{Delivery, Hub, WatchSpec};
use store::heart::{Answer, Command, Error, Store};

use crate::ledger::Shared;

/// Changes that lagging watchers read at once.
const CATCH_UP: usize = 4;

/// What clients ask.
#[derive(Debug, Clone)]
pub enum Ask {
    Write(Command),
    Read {
        range: Box<Range>,
        linearizable: bool,
    },
    KeepAlive(LeaseId),
    /// Whoever asks is a stream from then on, with one watcher.
    Watch {
        keys: KeyRange,
        start: i64,
    },
    Progress,
    Taken(usize),
    Close,
    Change(Change),
    Transfer(MemberId),
}

#[derive(Debug)]
pub enum Reply {
    Write(Result<Answer, Error>),
    Read(Result<RangeAnswer, Error>),
    KeptAlive,
    Delivery(Delivery),
    Done,
    /// `unknown`: it may be done all the same.
    Refused {
        unknown: bool,
    },
}

/// From the member to this loop: chapter 01's `JournalEvent`.
pub enum Told {
    Committed(Vec<Committed>),
    Readable { number: u64, index: u64 },
    Refused { number: u64, unknown: bool },
    Leading(bool),
    Restored { store: Box<Store>, applied: u64 },
    SnapshotWanted,
    Snapshotted,
}

/// From this loop to the member, or to clients.
pub enum Out {
    Propose(Proposal),
    Read(u64),
    Snapshot(Snapshot),
    Answer { client: u64, reply: Reply },
}

pub struct State {
    machine: usize,
    ledger: Shared,
    pub store: Store,
    pub applied: u64,
    hub: Hub,
    expiry: Option<Expiry>,
    number: u64,
    /// Who waits for a proposal; what a member itself began nobody waits for.
    proposals: BTreeMap<u64, u64>,
    revocations: BTreeMap<u64, LeaseId>,
    gathering: Vec<(u64, Range)>,
    asked: Option<(u64, Vec<(u64, Range)>)>,
    behind: VecDeque<(u64, Vec<(u64, Range)>)>,
    snapshot: Snapshots,
    catching_up: bool,
    pub told: VecDeque<Told>,
    pub asks: VecDeque<(u64, Ask)>,
    pub out: VecDeque<Out>,
}

#[derive(Default)]
struct Snapshots {
    wanted: bool,
    under_way: bool,
}

impl State {
    pub fn new(machine: usize, ledger: Shared, store: Store, applied: u64, window: usize) -> Self {
        State {
            machine,
            ledger,
            store,
            applied,
            hub: Hub::new(window),
            expiry: None,
            number: 0,
            proposals: BTreeMap::new(),
            revocations: BTreeMap::new(),
            gathering: Vec::new(),
            asked: None,
            behind: VecDeque::new(),
            snapshot: Snapshots::default(),
            catching_up: false,
            told: VecDeque::new(),
            asks: VecDeque::new(),
            out: VecDeque::new(),
        }
    }

    /// There is something to do, whatever the clock says.
    pub fn is_idle(&self) -> bool {
        self.told.is_empty() && self.asks.is_empty() && !self.catching_up
    }

    /// Does one thing. `alone`: reads need no asking.
    pub fn step(&mut self, now_ms: u64, alone: bool) {
        if let Some(told) = self.told.pop_front() {
            self.handle_told(told, now_ms);
        } else if let Some((client, ask)) = self.asks.pop_front() {
            self.handle_ask(client, ask, now_ms, alone);
        } else if self.catching_up {
            self.catching_up = self.hub.poll_catch_up(&self.store, CATCH_UP);
        }
        self.expire(now_ms);
        self.ask_member();
        while let Some(delivery) = self.hub.poll_delivery() {
            let client = delivery.stream;
            self.answer(client, Reply::Delivery(delivery));
        }
    }

    /// Leases whose time is over, if it is this member that keeps it.
    pub fn expire(&mut self, now_ms: u64) {
        let expired = self.expiry.as_mut().map(|expiry| expiry.poll_expired(now_ms, 10));
        for id in expired.into_iter().flatten() {
            let number = self.propose(&Command::LeaseRevoke { id });
            self.revocations.insert(number, id);
        }
    }

    fn answer(&mut self, client: u64, reply: Reply) {
        self.out.push_back(Out::Answer { client, reply });
    }

    fn propose(&mut self, command: &Command) -> u64 {
        self.number += 1;
        let proposal = Proposal { number: self.number, command: Bytes::from(command.encode()) };
        self.out.push_back(Out::Propose(proposal));
        self.number
    }

    fn handle_ask(&mut self, client: u64, ask: Ask, now_ms: u64, alone: bool) {
        match ask {
            Ask::Write(command) => {
                let number = self.propose(&command);
                self.proposals.insert(number, client);
            }
            Ask::Read { range, linearizable } if !linearizable || alone => {
                let answer = self.store.range(&range);
                self.answer(client, Reply::Read(answer));
            }
            Ask::Read { range, .. } => self.gathering.push((client, *range)),
            Ask::KeepAlive(id) => {
                let kept = self.expiry.as_mut().and_then(|expiry| expiry.handle_keep_alive(id, now_ms));
                let refused = Reply::Refused { unknown: false };
                self.answer(client, kept.map_or(refused, |_| Reply::KeptAlive));
            }
            Ask::Watch { keys, start } => {
                self.hub.handle_open(client);
                self.hub.handle_create(client, WatchSpec::of(keys, start), &self.store);
                self.catching_up = true;
            }
            Ask::Progress => self.hub.handle_progress_request(client, self.store.revision()),
            Ask::Taken(events) => {
                self.hub.handle_taken(client, events);
                self.catching_up = true;
            }
            Ask::Close => self.hub.handle_close(client),
            Ask::Change(_) | Ask::Transfer(_) => unreachable!("the member is asked"),
        }
    }

    fn ask_member(&mut self) {
        if self.asked.is_none() && !self.gathering.is_empty() {
            self.number += 1;
            self.asked = Some((self.number, std::mem::take(&mut self.gathering)));
            self.out.push_back(Out::Read(self.number));
        }
        if self.snapshot.wanted && !self.snapshot.under_way {
            self.snapshot = Snapshots { wanted: false, under_way: true };
            self.out.push_back(Out::Snapshot(Snapshot::of(&self.store, self.applied)));
        }
    }

    fn handle_told(&mut self, told: Told, now_ms: u64) {
        match told {
            Told::Committed(entries) => {
                for entry in entries {
                    self.apply(&entry, now_ms);
                }
                self.answer_reads();
            }
            Told::Readable { number, index } => {
                if let Some((_, reads)) = self.asked.take_if(|(asked, _)| *asked <= number) {
                    self.behind.push_back((index, reads));
                }
                self.answer_reads();
            }
            Told::Refused { number, unknown } => self.handle_refused(number, unknown),
            Told::Leading(leading) => {
                self.expiry = leading.then(|| Expiry::of(self.store.leases(), now_ms));
            }
            Told::Restored { store, applied } => {
                self.hub.handle_restore(self.store.revision(), &store);
                self.ledger.borrow_mut().restored += 1;
                self.catching_up = true;
                (self.store, self.applied) = (*store, applied);
                if self.expiry.is_some() {
                    self.expiry = Some(Expiry::of(self.store.leases(), now_ms));
                }
                self.answer_reads();
            }
            Told::SnapshotWanted => self.snapshot.wanted = true,
            Told::Snapshotted => self.snapshot.under_way = false,
        }
    }

    fn apply(&mut self, entry: &Committed, now_ms: u64) {
        let command = Command::decode(&entry.command).expect("a command of ours");
        assert!(entry.index > self.applied, "{} comes after {}", entry.index, self.applied);
        self.applied = entry.index;
        let applied = self.store.apply(&command);
        let revision = self.store.revision();
        let mut ledger = self.ledger.borrow_mut();
        ledger.applied(self.machine, entry.index, &entry.command, &command, &applied, revision);
        drop(ledger);
        match (&command, &applied.answer, &mut self.expiry) {
            (_, Ok(Answer::LeaseGrant { id, ttl, .. }), Some(expiry)) => {
                expiry.handle_grant(*id, *ttl, now_ms);
            }
            (Command::LeaseRevoke { id }, _, Some(expiry)) => expiry.handle_revoke(*id),
            (Command::Compact { .. }, Ok(_), _) => self.catching_up = true,
            _ => {}
        }
        self.hub.handle_commit(&applied.events);
        self.catching_up = true;
        let Some(number) = entry.number else { return };
        self.revocations.remove(&number);
        if let Some(client) = self.proposals.remove(&number) {
            self.answer(client, Reply::Write(applied.answer));
        }
    }

    fn answer_reads(&mut self) {
        while let Some((_, reads)) = pop_if(&mut self.behind, |(index, _)| *index <= self.applied) {
            for (client, range) in reads {
                let answer = self.store.range(&range);
                self.answer(client, Reply::Read(answer));
            }
        }
    }

    fn handle_refused(&mut self, number: u64, unknown: bool) {
        if let Some(client) = self.proposals.remove(&number) {
            self.answer(client, Reply::Refused { unknown });
        } else if let Some(id) = self.revocations.remove(&number) {
            if self.expiry.is_some() {
                let number = self.propose(&Command::LeaseRevoke { id });
                self.revocations.insert(number, id);
            }
        } else if let Some((_, reads)) = self.asked.take_if(|(asked, _)| *asked <= number) {
            for (client, _) in reads {
                self.answer(client, Reply::Refused { unknown: false });
            }
        }
    }
}

/// The first one, if it is such a one.
pub fn pop_if<T>(queue: &mut VecDeque<T>, such: impl FnOnce(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(such) { queue.pop_front() } else { None }
}
