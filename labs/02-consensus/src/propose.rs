//! What this member has proposed and not seen applied yet.
//!
//! ```text
//!   handle_propose ──▶ waiting ──leader known──▶ given to it ──applied──▶ answered
//!                         │                        │      ▲
//!                         │ long without a leader  │      └─ again, with the same number, when there
//!                         ▼                        ▼         is another leader or it takes long
//!                 refused: not done        given up: nobody can tell
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::error::Error;
use crate::membership;
use crate::sessions::{Origin, Sessions, What};
use crate::types::{Asked, Change, EntryKind, LogEntry, MemberId};

/// Proposals under way, by the number that their entries have.
#[derive(Debug)]
pub struct Proposals {
    me: MemberId,
    life: u64,
    /// The next one's number.
    next: u64,
    pending: BTreeMap<u64, Pending>,
}

#[derive(Debug)]
struct Pending {
    what: Asked,
    #[allow(dead_code, reason = "used by your answer")]
    body: Body,
    /// Tick at which it was asked for.
    since: u64,
    /// Tick at which it was last given to a leader.
    given: Option<u64>,
}

#[derive(Debug)]
enum Body {
    Command(Bytes),
    Change(Change),
}

impl Body {
    #[allow(dead_code, reason = "used by your answer")]
    fn encode(&self) -> (EntryKind, What, Bytes) {
        match self {
            Body::Command(command) => (EntryKind::Normal, What::Command, command.clone()),
            Body::Change(change) => membership::encode(change),
        }
    }
}

impl Proposals {
    pub fn new(me: MemberId, life: u64) -> Self {
        Proposals { me, life, next: 1, pending: BTreeMap::new() }
    }

    pub fn add_command(&mut self, number: u64, command: Bytes, now: u64) {
        self.add(Asked::Proposal(number), Body::Command(command), now);
    }

    pub fn add_change(&mut self, number: u64, change: Change, now: u64) {
        self.add(Asked::Change(number), Body::Change(change), now);
    }

    fn add(&mut self, what: Asked, body: Body, now: u64) {
        self.pending.insert(self.next, Pending { what, body, since: now, given: None });
        self.next += 1;
    }

    /// All below this number are settled: they were answered or given up.
    pub fn settled(&self) -> u64 {
        self.pending.keys().next().copied().unwrap_or(self.next)
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Numbers that came since a leader was last given some.
    pub fn fresh(&self) -> Vec<u64> {
        let fresh = self.pending.iter().rev().take_while(|(_, p)| p.given.is_none());
        let mut numbers: Vec<u64> = fresh.map(|(number, _)| *number).collect();
        numbers.reverse();
        numbers
    }

    /// Numbers that a leader should be given now: those that none was given yet, and those that were given
    /// to one `retry` ticks ago or more, for they may be lost.
    pub fn due(&self, now: u64, retry: u64) -> Vec<u64> {
        let _ = (&now, &retry);
        todo!("lab 02.3: in the order of their numbers")
    }

    /// The entry of a proposal, the same one each time but for what is settled. It has no index and no term.
    pub fn entry(&self, number: u64) -> Option<LogEntry> {
        let _ = &number;
        todo!("lab 02.3: what its body encodes to, and its origin, with this number, each time")
    }

    /// It was given to a leader.
    pub fn given(&mut self, number: u64, now: u64) {
        if let Some(pending) = self.pending.get_mut(&number) {
            pending.given = Some(now);
        }
    }

    /// An entry is applied. If it is one of these, of this life, somebody waits for it.
    pub fn applied(&mut self, origin: &Origin) -> Option<Asked> {
        let _ = &origin;
        todo!(
            "lab 02.3: nobody here waits for what another member proposed, or this one before it was started anew; the others are under way no more"
        )
    }

    /// Ends one that no leader was ever given.
    pub fn refuse_fresh(&mut self, number: u64) -> Option<Asked> {
        let fresh = self.pending.get(&number).is_some_and(|pending| pending.given.is_none());
        if fresh { self.pending.remove(&number).map(|pending| pending.what) } else { None }
    }

    /// Ends what is `patience` ticks old: nothing was done if no leader was ever given it, otherwise nobody
    /// can tell.
    pub fn give_up(&mut self, now: u64, patience: u64) -> Vec<(Asked, Error)> {
        let why = |p: &Pending| if p.given.is_some() { Error::TimedOut } else { Error::NoLeader };
        self.take(|_, p| now - p.since >= patience).iter().map(|p| (p.what, why(p))).collect()
    }

    /// The state came from elsewhere, in a snapshot: what is applied in it was not seen here, and its answer
    /// is lost.
    pub fn restored(&mut self, sessions: &Sessions) -> Vec<Asked> {
        let (me, life) = (self.me, self.life);
        self.take(|number, _| sessions.has(me, life, number)).iter().map(|p| p.what).collect()
    }

    fn take(&mut self, which: impl Fn(u64, &Pending) -> bool) -> Vec<Pending> {
        let numbers = self.pending.iter().filter(|(number, p)| which(**number, p));
        let numbers: Vec<u64> = numbers.map(|(number, _)| *number).collect();
        numbers.iter().filter_map(|number| self.pending.remove(number)).collect()
    }
}
