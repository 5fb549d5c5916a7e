//! Commands on their way through the journal, and who waits for their answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use tonic::Status;

use crate::heart::{Answer, Command};
use crate::journal::Proposal;
use crate::request::Reply;

/// A command that was proposed here and has not come back.
pub struct Pending {
    pub command: Command,
    bytes: usize,
    /// Nobody waits for what the store itself began.
    pub reply: Option<Reply<Answer>>,
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

    pub fn gather(&mut self, number: u64, command: Command, bytes: Vec<u8>, reply: Option<Reply<Answer>>) {
        self.bytes += bytes.len();
        self.under_way.insert(number, Pending { command, bytes: bytes.len(), reply });
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
    /// Tells whoever waits. If nobody does, the command is given back.
    pub fn refuse(self, why: Status) -> Option<Command> {
        match self.reply {
            Some(reply) => {
                let _ = reply.send(Err(why));
                None
            }
            None => Some(self.command),
        }
    }
}
