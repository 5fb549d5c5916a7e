//! What one disk write of a member holds: one frame of chapter 01's log, kind `Raft`.
//!
//! ```text
//!   flags │ vote: term, vote, commit │ snapshot: index, term │ first index, [term, kind, context, data]…
//!         │ if bit 0                 │ if bit 1              │ always; the list may be empty
//! ```
//!
//! Read in order, later records win: an entry makes void all older ones of its index and behind it, a
//! snapshot makes void all entries.

use bytes::Bytes;
use store::heart::codec::{Decoder, Encoder, Malformed};

use crate::heart::Persist;
use crate::heart::types::{EntryKind, LogEntry, Vote};

const HAS_VOTE: u8 = 1;
const HAS_SNAPSHOT: u8 = 2;

pub fn encode(persist: &Persist) -> Vec<u8> {
    let size: usize = persist.entries.iter().map(|e| e.context.len() + e.data.len() + 16).sum();
    let mut e = Encoder::default();
    e.out.reserve(size + 64);
    let has = |is: bool, bit| if is { bit } else { 0 };
    e.out.push(has(persist.vote.is_some(), HAS_VOTE) | has(persist.snapshot.is_some(), HAS_SNAPSHOT));
    if let Some(vote) = persist.vote {
        e.u64(vote.term);
        e.u64(vote.vote);
        e.u64(vote.commit);
    }
    if let Some(snapshot) = &persist.snapshot {
        e.u64(snapshot.index);
        e.u64(snapshot.term);
    }
    e.u64(persist.entries.first().map_or(0, |entry| entry.index));
    e.list(&persist.entries, |e, entry| {
        e.u64(entry.term);
        e.out.push(entry.kind as u8);
        e.bytes(&entry.context);
        e.bytes(&entry.data);
    });
    e.out
}

/// What a log says, record after record.
#[derive(Debug, Default)]
pub struct Replay {
    pub vote: Vote,
    /// Without a gap.
    pub entries: Vec<LogEntry>,
}

impl Replay {
    /// Takes in what [`encode`] made.
    pub fn handle_record(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let mut d = Decoder::new(payload);
        let flags = d.u8()?;
        if flags & !(HAS_VOTE | HAS_SNAPSHOT) != 0 {
            return Err(Malformed("a record has parts that this program does not know"));
        }
        if flags & HAS_VOTE != 0 {
            self.vote = Vote { term: d.u64()?, vote: d.u64()?, commit: d.u64()? };
        }
        if flags & HAS_SNAPSHOT != 0 {
            let _index_and_term = (d.u64()?, d.u64()?);
            self.entries.clear();
        }
        let mut index = d.u64()?;
        let entries = d.list(|d| {
            let term = d.u64()?;
            let kind = match d.u8()? {
                0 => EntryKind::Normal,
                1 => EntryKind::Change,
                _ => return Err(Malformed("an unknown kind of entry")),
            };
            let (context, data) = (Bytes::copy_from_slice(d.slice()?), Bytes::copy_from_slice(d.slice()?));
            let entry = LogEntry { index, term, kind, context, data };
            index = index.checked_add(1).ok_or(Malformed("an index is too great"))?;
            Ok(entry)
        })?;
        d.finish()?;
        entries.into_iter().try_for_each(|entry| self.push(entry))
    }

    /// A command of a log that chapter 01 wrote alone: of term 1, and certain.
    pub fn handle_command(&mut self, index: u64, command: &[u8]) -> Result<(), Malformed> {
        let data = Bytes::copy_from_slice(command);
        self.push(LogEntry { index, term: 1, kind: EntryKind::Normal, context: Bytes::new(), data })?;
        self.vote = Vote { term: 1, vote: 0, commit: index };
        Ok(())
    }

    fn push(&mut self, entry: LogEntry) -> Result<(), Malformed> {
        if let Some(first) = self.entries.first().map(|first| first.index) {
            // Before the first: what this one replaces began in a file that is removed.
            let at = entry.index.saturating_sub(first);
            if at > self.entries.len() as u64 {
                return Err(Malformed("entries are missing"));
            }
            self.entries.truncate(at as usize);
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Leaves only what follows a snapshot of the log up to this index and term. False: the log has to be
    /// told so, in a record of the snapshot, before anything is written behind it.
    ///
    /// # Errors
    /// When the log goes on further behind it.
    pub fn follow(&mut self, index: u64, term: u64) -> Result<bool, Malformed> {
        let Some(first) = self.entries.first().map(|entry| entry.index) else { return Ok(true) };
        if first > index + 1 {
            return Err(Malformed("entries between the snapshot and the log are missing"));
        }
        let covered = ((index + 1 - first) as usize).min(self.entries.len());
        // A snapshot that came from the leader is on disk before the record that says so. After a crash
        // between the two the log ends before it, or has something there that the leader's made void.
        let end = self.entries[..covered].last();
        let is_ours = end.is_none_or(|end| (end.index, end.term) == (index, term));
        self.entries.drain(..covered);
        if !is_ours {
            self.entries.clear();
        }
        Ok(is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heart::types::SnapshotMeta;

    fn entry(index: u64, term: u64) -> LogEntry {
        let (context, data) = (Bytes::from_static(b"who"), Bytes::from(format!("{index} of {term}")));
        LogEntry { index, term, kind: EntryKind::Normal, context, data }
    }

    fn entries(range: std::ops::Range<u64>, term: u64) -> Persist {
        Persist { entries: range.map(|index| entry(index, term)).collect(), ..Persist::default() }
    }

    fn replayed(records: &[Persist]) -> Replay {
        let mut replay = Replay::default();
        for record in records {
            replay.handle_record(&encode(record)).expect("a record");
        }
        replay
    }

    fn held(replay: &Replay) -> Vec<(u64, u64)> {
        replay.entries.iter().map(|e| (e.index, e.term)).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let vote = Some(Vote { term: 3, vote: 7, commit: 2 });
        let change = LogEntry { kind: EntryKind::Change, ..entry(1, 3) };
        let replay = replayed(&[Persist { vote, entries: vec![change.clone()], ..Persist::default() }]);
        assert_eq!((Some(replay.vote), replay.entries), (vote, vec![change]));
    }

    #[test]
    fn a_later_entry_replaces_the_logs_end() {
        assert_eq!(held(&replayed(&[entries(1..6, 1), entries(3..5, 2)])), [(1, 1), (2, 1), (3, 2), (4, 2)]);
    }

    #[test]
    fn a_later_entry_may_replace_what_began_in_a_file_that_is_gone() {
        assert_eq!(held(&replayed(&[entries(5..8, 1), entries(3..5, 2)])), [(3, 2), (4, 2)]);
    }

    #[test]
    fn a_leaders_snapshot_makes_all_entries_void() {
        let snapshot = Some(SnapshotMeta { index: 9, term: 2, state: Bytes::new() });
        let snapshot = Persist { snapshot, ..Persist::default() };
        assert_eq!(held(&replayed(&[entries(1..6, 1), snapshot, entries(10..12, 2)])), [(10, 2), (11, 2)]);
    }

    #[test]
    fn a_log_follows_its_snapshot_or_is_void() {
        for (index, term, left) in
            [(3, 1, vec![(4, 1), (5, 1)]), (3, 2, vec![]), (5, 1, vec![]), (9, 2, vec![])]
        {
            let mut replay = replayed(&[entries(1..6, 1)]);
            replay.follow(index, term).expect("no gap");
            assert_eq!(held(&replay), left, "snapshot {index} of term {term}");
        }
        assert!(replayed(&[entries(5..6, 1)]).follow(3, 1).is_err());
    }

    #[test]
    fn gaps_and_nonsense_are_refused() {
        let mut replay = replayed(&[entries(5..6, 1)]);
        assert!(replay.handle_record(&encode(&entries(7..8, 1))).is_err());
        let whole = encode(&entries(1..3, 1));
        for len in 0..whole.len() {
            assert!(Replay::default().handle_record(&whole[..len]).is_err(), "{len} bytes of it");
        }
        assert!(Replay::default().handle_record(&[4, 0, 0]).is_err());
    }
}
