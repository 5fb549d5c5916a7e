//! Commands on their way through the journal, and who waits for their answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use tonic::Status;

use crate::heart::types::LeaseId;
use crate::heart::{Answer, Command, Error};
use crate::journal::Proposal;
use crate::request::Reply;

/// A command that was proposed here and has not come back.
pub struct Pending {
    pub command: Command,
    bytes: usize,
    pub waiter: Waiter,
}

/// What happens when it is applied.
pub enum Waiter {
    /// The store itself began it.
    Nobody,
    Answer(Reply<Answer>),
    /// It is an alarm: the client's own command is refused for this, now that all members know.
    Instead(Error, Reply<Answer>),
    /// The lease may be kept alive.
    KeepAlive(LeaseId, Reply<(i64, Option<i64>)>),
}

/// By number. Whoever adds to them looks at [`Self::bytes`].
#[derive(Default)]
pub struct Proposals {
    gathered: Vec<Proposal>,
    under_way: BTreeMap<u64, Pending>,
    bytes: usize,
}

impl Proposals {
    /// What all of them take, encoded.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn gather(&mut self, number: u64, command: Command, bytes: Vec<u8>, waiter: Waiter) {
        self.bytes += bytes.len();
        self.under_way.insert(number, Pending { command, bytes: bytes.len(), waiter });
        self.gathered.push(Proposal { number, command: Bytes::from(bytes) });
    }

    /// To be given to the journal now.
    pub fn take_gathered(&mut self) -> Vec<Proposal> {
        std::mem::take(&mut self.gathered)
    }

    /// It has come back, one way or the other.
    pub fn take(&mut self, number: u64) -> Option<Pending> {
        let pending = self.under_way.remove(&number)?;
        self.bytes -= pending.bytes;
        Some(pending)
    }
}

impl Pending {
    /// It will not come back. If nobody waits for it, it is given back.
    pub fn refuse(self, why: Status) -> Option<Command> {
        // A failed send means that the client has gone.
        match self.waiter {
            Waiter::Nobody => return Some(self.command),
            Waiter::Answer(reply) | Waiter::Instead(_, reply) => drop(reply.send(Err(why))),
            Waiter::KeepAlive(_, reply) => drop(reply.send(Err(why))),
        }
        None
    }
}
