//! What consensus itself remembers, beside what the store does: the members and the sessions.
//!
//! It is changed by entries alone, like the store, so a snapshot must have both as they were after the same
//! entry. The store's loop is behind this member, though: when its snapshot is made, later entries may
//! have changed the state here. So the state at an index is made anew ([`State::at`]): from the one in the
//! last snapshot, by the entries since then, which the log still has.

use crate::encoding::{Reader, Writer};
use crate::error::Error;
use crate::log::Log;
use crate::member::{Action, Member};
use crate::membership::{self, Membership};
use crate::sessions::{Origin, Sessions, What};
use crate::types::{Change, EntryKind, LogEntry, SnapshotMeta};

/// The replicated state of consensus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub members: Membership,
    pub sessions: Sessions,
}

/// What an entry asks for, once it is its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: a leader's first entry, or one that was applied before, or is void.
    Nothing,
    /// The entry's bytes are for the store.
    Command,
    /// The members have changed, or could not.
    Change(Change, Result<(), Error>),
}

impl State {
    /// An entry's turn has come. Entries of who is not a member are void: their proposer was removed, and
    /// its session with it. Entries without an origin are from the first start of a cluster or from
    /// chapter 01, and nobody proposes them twice.
    pub fn apply(&mut self, entry: &LogEntry) -> Effect {
        let origin = Origin::decode(&entry.context).ok();
        if origin.is_none() && !entry.context.is_empty() {
            return Effect::Nothing;
        }
        if let Some(origin) = &origin
            && (self.members.get(origin.member).is_none() || !self.sessions.admit(origin))
        {
            return Effect::Nothing;
        }
        let change = match (entry.kind, origin.map(|origin| origin.what)) {
            (EntryKind::Normal, _) if entry.data.is_empty() => return Effect::Nothing,
            (EntryKind::Normal, None | Some(What::Command)) => return Effect::Command,
            (EntryKind::Normal, Some(What::Change)) | (EntryKind::Change, _) => {
                membership::decode(entry.kind, &entry.data)
            }
        };
        let Ok(change) = change else { return Effect::Nothing };
        let possible = origin.map_or(Ok(()), |_| self.members.check(&change));
        if possible.is_ok() {
            self.members.apply(&change);
            if let Change::Remove(id) = change {
                self.sessions.forget(id);
            }
        }
        Effect::Change(change, possible)
    }

    /// The state after the entry with this index, which must be in the log and was applied, or be the last
    /// one of the snapshot.
    pub fn at(log: &Log, index: u64) -> Result<SnapshotMeta, Error> {
        // lab:begin 02.5 begin with the state in the log's snapshot, apply the entries from there up to the index, and give the result that index and its term; what is not in the log is an error
        let from = log.snapshot().index;
        let gone = |_| Error::Malformed(format!("there is no state for index {index}"));
        let mut state = State::decode(&log.snapshot().state)?;
        if index < from {
            return Err(gone(()));
        }
        for entry in log.slice(from + 1, index + 1, u64::MAX).map_err(|_| gone(()))? {
            state.apply(&entry);
        }
        let term = log.term(index).map_err(|_| gone(()))?;
        Ok(SnapshotMeta { index, term, state: state.encode().into() })
        // lab:end
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        self.members.encode(&mut w);
        self.sessions.encode(&mut w);
        w.out
    }

    /// No bytes are no state.
    pub fn decode(bytes: &[u8]) -> Result<State, Error> {
        if bytes.is_empty() {
            return Ok(State::default());
        }
        let mut r = Reader::new(bytes);
        let state = State { members: Membership::decode(&mut r)?, sessions: Sessions::decode(&mut r)? };
        r.finish()?;
        Ok(state)
    }
}

impl Member {
    /// The leader's snapshot is on disk, and everything begins anew behind it. Proposals of this member
    /// that are in it are applied, but their answers were given to nobody.
    // lab:given
    pub(crate) fn restore(&mut self, meta: SnapshotMeta, out: &mut Vec<Action>) {
        // lab:begin 02.5 the state is the snapshot's, and so is what is applied and handed out, as the `raft` crate must know; tell the shell; refuse what can have no answer; and reads may have waited for this
        self.state = State::decode(&meta.state).expect("it was looked at when it came");
        self.applied = meta.index;
        self.handed_out = meta.index;
        self.node.advance_apply_to(meta.index);
        out.push(Action::Restore(meta));
        out.push(Action::Members);
        for what in self.proposals.restored(&self.state.sessions) {
            out.push(Action::Refuse { what, why: Error::TimedOut });
        }
        self.tell_readable(out);
        // lab:end
    }
}
