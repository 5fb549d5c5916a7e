//! Reads on their way to an answer that is not old.
//!
//! ```text
//!   gathering ──Ask::Read──► asked ──Readable──► behind an index ──applied──► answered
//! ```
//!
//! A member among others does not know by itself whether it has heard of every write that was
//! acknowledged: its journal finds out, for all reads that have gathered at once. A read that comes
//! while an ask is under way waits for the next, because a write may have been acknowledged between
//! that ask and the read.

use std::collections::VecDeque;

use tonic::Status;

use crate::convert::status;
use crate::heart::{Error, Store};
use crate::request::Read;

/// Reads on their way. Whoever adds to them looks at [`Self::bytes`].
#[derive(Default)]
pub struct Reads {
    gathering: Vec<Read>,
    asked: Option<(u64, Vec<Read>)>,
    /// May be answered when the store has applied the index; indexes rise.
    behind: VecDeque<(u64, Vec<Read>)>,
    bytes: usize,
}

impl Read {
    /// Needs no asking: its client is content with what this member has.
    pub fn is_serializable(&self) -> bool {
        match self {
            Read::Range { serializable, .. }
            | Read::Txn { serializable, .. }
            | Read::Look { serializable, .. } => *serializable,
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Read>()
            + match self {
                Read::Range { range, .. } => size_of_val(&**range) + range.keys.start.len(),
                Read::Txn { bytes, .. } => *bytes,
                Read::Look { .. } => 0,
            }
    }

    pub fn answer(self, store: &Store) {
        match self {
            Read::Range { range, caller, reply, .. } => {
                let allowed = store.auth().check_range(caller.as_ref(), &range.keys).map_err(Error::from);
                drop(reply.send(allowed.and_then(|()| store.range(&range)).map_err(status)));
            }
            Read::Txn { txn, caller, reply, .. } => {
                let allowed = store.auth().check_txn(caller.as_ref(), &txn).map_err(Error::from);
                drop(reply.send(allowed.and_then(|()| store.read_txn(&txn)).map_err(status)));
            }
            Read::Look { look, .. } => look(Ok(store)),
        }
    }

    fn refuse(self, why: Status) {
        match self {
            Read::Range { reply, .. } => drop(reply.send(Err(why))),
            Read::Txn { reply, .. } => drop(reply.send(Err(why))),
            Read::Look { look, .. } => look(Err(why)),
        }
    }
}

impl Reads {
    /// About what all of them take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn gather(&mut self, read: Read) {
        self.bytes += read.bytes();
        self.gathering.push(read);
    }

    /// Whether to ask now, with a number of the caller's.
    pub fn wants_ask(&self) -> bool {
        self.asked.is_none() && !self.gathering.is_empty()
    }

    pub fn asked(&mut self, number: u64) {
        self.asked = Some((number, std::mem::take(&mut self.gathering)));
    }

    pub fn handle_readable(&mut self, number: u64, index: u64) {
        if let Some((_, reads)) = self.asked.take_if(|(asked, _)| *asked <= number) {
            self.behind.push_back((index, reads));
        }
    }

    pub fn handle_refused(&mut self, number: u64, why: &Status) {
        let Some((_, reads)) = self.asked.take_if(|(asked, _)| *asked == number) else { return };
        for read in reads {
            self.bytes -= read.bytes();
            read.refuse(why.clone());
        }
    }

    /// Answers what a store that has applied so much may answer.
    pub fn answer(&mut self, store: &Store, applied: u64) {
        while self.behind.front().is_some_and(|(index, _)| *index <= applied)
            && let Some((_, reads)) = self.behind.pop_front()
        {
            for read in reads {
                self.bytes -= read.bytes();
                read.answer(store);
            }
        }
    }
}
