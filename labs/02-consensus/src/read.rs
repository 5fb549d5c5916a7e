//! Reads that see everything that was answered before they were asked for.
//!
//! A member's own store may be behind, and a leader may have been deposed without knowing it yet. So a read
//! asks the leader for its commit index, and the leader answers only after a majority has told it that it
//! still leads (read index, Raft thesis, section 6.4). Nothing is written.
//!
//! ```text
//!   read 1 ─┐
//!   read 2 ─┴▶ round A ──▶ leader ──heartbeat──▶ majority ──▶ index 17 ──▶ wait until 17 is applied
//!   read 3 ─┐   (under way: who comes now must not join it,                     │
//!   read 4 ─┴▶ round B   its index may be older than they are)                  ▼
//!                                                                       reads 1 and 2 are answered
//! ```

use std::collections::VecDeque;

use crate::encoding::{Reader, Writer};
use crate::types::MemberId;

#[derive(Debug)]
pub struct Reads {
    me: MemberId,
    life: u64,
    #[allow(dead_code, reason = "used by your answer")]
    next_round: u64,
    /// The greatest number that is in no round yet, and the tick since which somebody waits.
    waiting: Option<(u64, u64)>,
    /// Asked, not answered.
    rounds: VecDeque<Round>,
    /// Answered: reads up to this number, at this index.
    confirmed: VecDeque<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    #[allow(dead_code, reason = "used by your answer")]
    id: u64,
    /// All reads up to this number are in it or in one before.
    upto: u64,
    /// Tick at which it was asked.
    #[allow(dead_code, reason = "used by your answer")]
    asked: u64,
    /// Tick since which the first of its reads waits.
    since: u64,
}

impl Reads {
    pub fn new(me: MemberId, life: u64) -> Self {
        let (rounds, confirmed) = (VecDeque::new(), VecDeque::new());
        Reads { me, life, next_round: 1, waiting: None, rounds, confirmed }
    }

    /// Somebody wants to read.
    pub fn add(&mut self, number: u64, now: u64) {
        let since = self.waiting.map_or(now, |(_, since)| since);
        self.waiting = Some((number, since));
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_none() && self.rounds.is_empty() && self.confirmed.is_empty()
    }

    /// The context of a round to begin now, if there should be one: somebody waits and no round is under
    /// way, or the last one was asked `retry` ticks ago or more and may be lost. It takes in all who wait.
    pub fn begin_round(&mut self, now: u64, retry: u64) -> Option<Vec<u8>> {
        let _ = (&now, &retry);
        todo!(
            "lab 02.4: not while a round is under way that was asked less than `retry` ticks ago, and not if nobody waits; otherwise a new round with a number of its own, whose context is the answer, up to the greatest number that waits; it waits since the first of those in earlier rounds does"
        )
    }

    /// The leader says: what is committed up to `index` is all that reads in this round must see. Rounds
    /// before it are answered as well.
    pub fn confirm(&mut self, context: &[u8], index: u64) {
        let _ = (&context, &index);
        todo!(
            "lab 02.4: find the round with `round_of`; it and those before it are under way no more, and its reads may be answered once the index is applied"
        )
    }

    /// What goes to the leader and comes back.
    #[allow(dead_code, reason = "used by your answer")]
    fn context(&self, round: u64) -> Vec<u8> {
        let mut w = Writer::default();
        [self.me, self.life, round].into_iter().for_each(|n| w.u64(n));
        w.out
    }

    /// The number of a round, if it is one of this member in this life.
    #[allow(dead_code, reason = "used by your answer")]
    fn round_of(&self, context: &[u8]) -> Option<u64> {
        let mut r = Reader::new(context);
        let (me, life, round) = (r.u64().ok()?, r.u64().ok()?, r.u64().ok()?);
        ((me, life) == (self.me, self.life)).then_some(round)
    }

    /// Reads up to the number may be answered now, if this much is applied.
    pub fn readable(&mut self, applied: u64) -> Option<u64> {
        let _ = &applied;
        todo!(
            "lab 02.4: take the confirmed ones from the front while their index is applied; the last number of them counts for all"
        )
    }

    /// Ends all that waits, if the first of it has waited for `patience` ticks.
    pub fn give_up(&mut self, now: u64, patience: u64) -> Option<u64> {
        let first = self.rounds.front().map(|round| round.since);
        let since = first.or(self.waiting.map(|(_, since)| since))?;
        if now - since < patience {
            return None;
        }
        let asked = self.rounds.back().map(|round| round.upto);
        self.rounds.clear();
        self.waiting.take().map(|(number, _)| number).or(asked)
    }
}
