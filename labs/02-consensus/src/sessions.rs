//! Applying once what may be in the log twice.
//!
//! A member whose proposal was not seen again cannot know whether it is lost or only late, so it proposes it
//! anew; then there may be two entries of one request, and both are committed. Each entry therefore says
//! who proposed it and as which one ([`Origin`]), and every member remembers, as a part of the replicated
//! state, which ones were applied ([`Sessions`]; Raft thesis, section 6.3). The same entries make the same
//! sessions everywhere, so all members leave out the same ones.
//!
//! What is remembered is short, for each entry also says below which number its proposer waits for nothing
//! any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::encoding::{Reader, Writer};
use crate::error::Error;
use crate::types::MemberId;

/// Who proposed an entry, kept in its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub member: MemberId,
    /// How often that member had been started.
    pub life: u64,
    /// Which of its proposals in this life, from 1.
    pub number: u64,
    /// It waits for none of its proposals with a smaller number any more.
    pub settled: u64,
    /// What the entry holds.
    pub what: What,
}

/// What the bytes of a normal entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A command of the store.
    Command,
    /// A [`Change`](crate::types::Change) of members.
    Change,
}

impl Origin {
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u64(match self.what {
            What::Command => 0,
            What::Change => 1,
        });
        [self.member, self.life, self.number, self.settled].into_iter().for_each(|n| w.u64(n));
        w.out
    }

    pub fn decode(bytes: &[u8]) -> Result<Origin, Error> {
        let mut r = Reader::new(bytes);
        let what = match r.u64()? {
            0 => What::Command,
            1 => What::Change,
            _ => return Err(Error::Malformed("an entry of an unknown sort".to_owned())),
        };
        let (member, life, number, settled) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
        r.finish()?;
        Ok(Origin { member, life, number, settled, what })
    }
}

/// What was applied, by member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    sessions: BTreeMap<MemberId, Session>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Session {
    life: u64,
    /// All numbers below are settled.
    settled: u64,
    /// Those that were applied, from `settled` on.
    applied: BTreeSet<u64>,
}

impl Sessions {
    /// An entry's turn has come: is it to be applied? If so it is remembered, and is not again.
    ///
    /// A member's new life makes void what its earlier lives proposed and nobody has seen yet: those who
    /// waited for it are gone.
    pub fn admit(&mut self, origin: &Origin) -> bool {
        let _ = &origin;
        todo!(
            "lab 02.3: an older life is void, a newer one begins a new session; the settled mark only rises and lets go what is below it; what is below it or was applied is not applied"
        )
    }

    /// Whether a proposal of this life was applied, or can never be any more.
    pub fn has(&self, member: MemberId, life: u64, number: u64) -> bool {
        let Some(session) = self.sessions.get(&member) else { return false };
        let done = number < session.settled || session.applied.contains(&number);
        session.life > life || (session.life == life && done)
    }

    /// A member is gone for good.
    pub fn forget(&mut self, member: MemberId) {
        self.sessions.remove(&member);
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u64(self.sessions.len() as u64);
        for (member, session) in &self.sessions {
            [*member, session.life, session.settled].into_iter().for_each(|n| w.u64(n));
            w.u64(session.applied.len() as u64);
            session.applied.iter().for_each(|number| w.u64(*number));
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Sessions, Error> {
        let sessions = r.list(|r| {
            let (member, life, settled) = (r.u64()?, r.u64()?, r.u64()?);
            let applied = r.list(Reader::u64)?.into_iter().collect();
            Ok((member, Session { life, settled, applied }))
        })?;
        Ok(Sessions { sessions: sessions.into_iter().collect() })
    }
}
