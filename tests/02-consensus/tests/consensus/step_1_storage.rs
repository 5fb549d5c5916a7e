use std::panic::{AssertUnwindSafe, catch_unwind};

use graded::graded;
use proptest::prelude::*;

use crate::cluster::{config, peer};
use crate::heart::log::{Log, Missing};
use crate::heart::types::{SnapshotMeta, Vote};
use crate::heart::{Error, Member, Persisted};
use crate::model::{ModelLog, entry, snapshot};

/// Entries 6 to 9 behind a snapshot of entry 5.
fn log() -> Log {
    let mut log = Log::new(snapshot(5, 2), Vote::default());
    log.append(&[entry(6, 2, "a"), entry(7, 3, "b"), entry(8, 3, "c"), entry(9, 4, "d")]);
    log
}

/// The `raft` crate asks for the term of the entry in front when it sends the first one to a follower: there
/// the two logs must agree.
#[graded]
fn the_term_of_the_entry_in_front_is_known_and_of_no_older_one() {
    let log = log();
    assert_eq!(log.term(5), Ok(2), "the snapshot's last entry is the one in front");
    assert_eq!(log.term(4), Err(Missing::Compacted));
    assert_eq!(log.term(0), Err(Missing::Compacted));
    assert_eq!([log.term(6), log.term(7), log.term(9)], [Ok(2), Ok(3), Ok(4)]);
    assert_eq!(log.term(10), Err(Missing::Unavailable), "nobody has appended it");
    let empty = Log::default();
    assert_eq!(empty.term(0), Ok(0), "in front of entry 1 there is entry 0 of term 0");
    assert_eq!(empty.term(1), Err(Missing::Unavailable));
}

#[graded]
fn a_slice_ends_before_its_end_and_has_what_is_here_only() {
    let log = log();
    assert_eq!(log.slice(6, 8, u64::MAX), Ok(vec![entry(6, 2, "a"), entry(7, 3, "b")]));
    assert_eq!(log.slice(9, 10, u64::MAX), Ok(vec![entry(9, 4, "d")]), "up to the end of the log");
    assert_eq!(log.slice(10, 10, u64::MAX), Ok(Vec::new()), "nothing may be asked for at the end");
    assert_eq!(log.slice(5, 8, u64::MAX), Err(Missing::Compacted));
    assert_eq!(log.slice(8, 11, u64::MAX), Err(Missing::Unavailable));
}

/// A message has a bound. But an entry that is larger than the bound must get through too, alone.
#[graded]
fn a_slice_is_cut_by_bytes_but_has_one_entry_always() {
    let log = log();
    let one = entry(6, 2, "a").size() as u64;
    let lengths = |max: u64| log.slice(6, 10, max).map(|slice| slice.len());
    assert_eq!(lengths(0), Ok(1), "the first entry is sent however large it is");
    assert_eq!(lengths(one), Ok(1));
    assert_eq!(lengths(2 * one - 1), Ok(1), "a second one would be too much");
    assert_eq!(lengths(2 * one), Ok(2), "exactly as much as may be is not too much");
    assert_eq!(lengths(4 * one), Ok(4));
}

/// A leader that was cut off has entries that nobody else has. The new leader's take their place, and what
/// stood behind them goes, even if there is nothing new to stand there.
#[graded]
fn new_entries_replace_the_end_from_their_first_index_on() {
    let mut log = log();
    log.append(&[entry(7, 5, "x")]);
    assert_eq!(log.last_index(), 7, "entries 8 and 9 were behind an entry that never was");
    assert_eq!(log.slice(6, 8, u64::MAX), Ok(vec![entry(6, 2, "a"), entry(7, 5, "x")]));
    log.append(&[entry(8, 5, "y"), entry(9, 6, "z")]);
    assert_eq!((log.last_index(), log.term(9)), (9, Ok(6)));
    log.append(&[]);
    assert_eq!(log.last_index(), 9, "nothing is appended, so nothing goes");
    log.append(&[entry(6, 7, "w")]);
    assert_eq!((log.first_index(), log.last_index()), (6, 6), "the first one may be replaced too");
}

#[graded]
fn a_log_takes_no_gap_and_nothing_that_is_compacted() {
    let refused = |entry| catch_unwind(AssertUnwindSafe(|| log().append(&[entry]))).is_err();
    assert!(!refused(entry(10, 4, "next")), "the next one is taken");
    assert!(refused(entry(11, 4, "gap")), "there is no entry 10: a gap must never come to be");
    assert!(refused(entry(5, 9, "old")), "entry 5 is in the snapshot: it can never be another one");
    assert!(!refused(entry(6, 9, "first")), "the first one here is not compacted");
}

fn member(persisted: Persisted) -> Result<Member, Error> {
    Member::new(config(1, 1), persisted)
}

/// What was on disk comes back in the pieces in which it was written: later pieces replace.
#[graded]
fn a_log_is_made_of_its_history_and_refused_if_it_cannot_be() {
    let vote = Vote { term: 4, vote: 0, commit: 6 };
    let history = vec![entry(4, 1, "in the snapshot"), entry(6, 2, "a"), entry(7, 3, "b"), entry(6, 4, "c")];
    let start =
        |vote, entries| member(Persisted { vote, snapshot: snapshot(5, 2), entries, ..Default::default() });
    let started = start(vote, history).expect("entry 6 was replaced, and 7 with it");
    assert_eq!((started.standing().term, started.standing().commit), (4, 6));
    let why = |result: Result<Member, Error>| result.err().map(|e| e.to_string()).unwrap_or_default();
    assert_eq!(why(start(vote, vec![entry(7, 3, "b")])), "the log lacks entry 6");
    assert_eq!(why(start(vote, vec![])), "the log ends at entry 5, but 6 are committed");
    let old = Vote { term: 3, ..vote };
    let why_old = why(start(old, vec![entry(6, 4, "a")]));
    assert_eq!(why_old, "the log has entries of term 4, after term 3");
    let behind = Vote { commit: 2, ..vote };
    let commit = start(behind, vec![entry(6, 4, "a")]).map(|member| member.standing().commit);
    assert_eq!(commit, Ok(5), "what is in a snapshot is committed");
}

/// A log of chapter 01 has neither votes nor members. It becomes a cluster of one, and all of it counts.
#[graded]
fn a_log_of_one_machine_is_agreed_on_already() {
    let entries = vec![entry(1, 1, "a"), entry(2, 1, "b")];
    let alone = Persisted { entries: entries.clone(), bootstrap: vec![peer(1)], ..Default::default() };
    let started = member(alone).expect("it starts as a cluster of one");
    assert_eq!((started.standing().term, started.standing().commit), (1, 3), "and the member is entry 3");
    let joined = Persisted { entries: entries.clone(), ..Default::default() };
    assert_eq!(member(joined).map(|member| member.standing().commit), Ok(2));
    let three = Persisted { entries, bootstrap: (1..=3).map(peer).collect(), ..Default::default() };
    assert!(member(three).is_err(), "three members cannot all have written the same log alone");
    let foreign = Persisted { bootstrap: vec![peer(2)], ..Default::default() };
    assert!(member(foreign).is_err(), "a member is one of the members");
    let snapshot = SnapshotMeta { state: "?".into(), ..snapshot(5, 2) };
    assert!(member(Persisted { snapshot, ..Default::default() }).is_err(), "a state that cannot be read");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..Default::default() })]

    /// A law: whatever leaders come and go, a log answers as a map of everything does.
    #[graded]
    fn a_log_is_what_its_last_leaders_said(
        front in 0u64..4,
        rounds in proptest::collection::vec((0u64..6, 1u64..5, 0usize..30), 1..12),
    ) {
        let mut log = Log::new(snapshot(front, 1), Vote::default());
        let mut model = ModelLog::new(front, 1);
        for (term, (back, count, size)) in (1..).zip(rounds) {
            let from = (model.last_index() + 1).saturating_sub(back).max(front + 1);
            let data = "x".repeat(size);
            let entries: Vec<_> = (from..from + count).map(|index| entry(index, term, &data)).collect();
            log.append(&entries);
            model.append(&entries);
            model.compare(&log);
        }
    }
}
