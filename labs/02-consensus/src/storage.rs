//! The log as the `raft` crate wants to see it, and its types made of ours.

use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::log::{Log, Missing};
use crate::snapshot::State;
use crate::types::{EntryKind, LogEntry, SnapshotMeta, Vote};

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let state = State::decode(&self.snapshot().state).map_err(other)?;
        Ok(RaftState::new(hard_state(self.vote()), state.members.conf_state()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let entries = self.slice(low, high, max_size.into().unwrap_or(u64::MAX))?;
        Ok(entries.into_iter().map(Entry::from).collect())
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        Ok(Log::term(self, index)?)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(Log::first_index(self))
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(Log::last_index(self))
    }

    /// Asked for when a follower needs an entry that is gone. A snapshot from before this cluster knew its
    /// members (of chapter 01) is of no use to anyone else, one from before it knew this follower is refused
    /// by it: a new one is wanted.
    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let meta = Log::snapshot(self);
        let knows = State::decode(&meta.state).is_ok_and(|state| state.members.get(to).is_some());
        if !knows || meta.index < request_index {
            self.snapshot_wanted.set(true);
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        snapshot(meta).map_err(other)
    }
}

pub(crate) fn snapshot(meta: &SnapshotMeta) -> Result<Snapshot, crate::Error> {
    let members = State::decode(&meta.state)?.members;
    let mut snapshot = Snapshot::new();
    snapshot.mut_metadata().index = meta.index;
    snapshot.mut_metadata().term = meta.term;
    snapshot.mut_metadata().set_conf_state(members.conf_state());
    snapshot.data = meta.state.clone();
    Ok(snapshot)
}

pub(crate) fn snapshot_meta(snapshot: &Snapshot) -> SnapshotMeta {
    let (index, term) = (snapshot.get_metadata().index, snapshot.get_metadata().term);
    SnapshotMeta { index, term, state: snapshot.data.clone() }
}

pub(crate) fn hard_state(vote: Vote) -> HardState {
    let mut hard = HardState::new();
    (hard.term, hard.vote, hard.commit) = (vote.term, vote.vote, vote.commit);
    hard
}

pub(crate) fn conf_state(voters: Vec<u64>, learners: Vec<u64>) -> ConfState {
    ConfState::from((voters, learners))
}

fn other(e: crate::Error) -> raft::Error {
    StorageError::Other(Box::new(e)).into()
}

impl From<Missing> for raft::Error {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Compacted => StorageError::Compacted.into(),
            Missing::Unavailable => StorageError::Unavailable.into(),
        }
    }
}

impl From<LogEntry> for Entry {
    fn from(entry: LogEntry) -> Self {
        let mut out = Entry::new();
        out.index = entry.index;
        out.term = entry.term;
        out.set_entry_type(match entry.kind {
            EntryKind::Normal => EntryType::EntryNormal,
            EntryKind::Change => EntryType::EntryConfChange,
        });
        out.context = entry.context;
        out.data = entry.data;
        out
    }
}

impl From<Entry> for LogEntry {
    fn from(entry: Entry) -> Self {
        let kind = match entry.get_entry_type() {
            EntryType::EntryNormal => EntryKind::Normal,
            EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => EntryKind::Change,
        };
        let Entry { index, term, context, data, .. } = entry;
        LogEntry { index, term, kind, context, data }
    }
}
