use graded::graded;
use proptest::prelude::*;

use crate::chaos::{Mix, quiet, run};
use crate::cluster::Cluster;
use crate::heart::log::{Log, MAX_KEPT_BYTES, Missing};
use crate::heart::snapshot::State;
use crate::heart::types::{Asked, Vote};
use crate::heart::{Error, Member};
use crate::model::{ModelLog, entry, snapshot};

/// Entries 6 to 12 behind a snapshot of entry 5.
fn log() -> Log {
    let mut log = Log::new(snapshot(5, 2), Vote::default());
    let entries: Vec<_> = (6..=12).map(|index| entry(index, index / 3, "x")).collect();
    log.append(&entries);
    log
}

#[graded]
fn what_is_in_a_snapshot_goes_but_for_what_is_kept() {
    let mut all = log();
    all.compact(snapshot(10, 3), 0);
    assert_eq!((all.first_index(), all.last_index()), (11, 12), "10 and all before it are gone");
    assert_eq!((all.term(10), all.term(9)), (Ok(3), Err(Missing::Compacted)), "10 is the one in front");
    assert_eq!(all.snapshot().index, 10);
    let mut some = log();
    some.compact(snapshot(10, 3), 2);
    assert_eq!(some.first_index(), 9, "9 and 10 are kept for who is a little behind");
    assert_eq!((some.term(8), some.snapshot().index), (Ok(2), 10));
    assert_eq!(some.slice(9, 13, u64::MAX).map(|slice| slice.len()), Ok(4));
    some.compact(snapshot(12, 4), 1);
    assert_eq!((some.first_index(), some.term(11)), (12, Ok(3)));
    let mut many = log();
    many.compact(snapshot(10, 3), 100);
    assert_eq!((many.first_index(), many.snapshot().index), (6, 10), "there is room for all");
    assert_eq!(many.term(5), Ok(2));
}

#[graded]
fn an_older_snapshot_changes_nothing() {
    let mut log = log();
    log.compact(snapshot(10, 3), 0);
    for index in [4, 5, 10] {
        log.compact(snapshot(index, 1), 0);
        assert_eq!((log.first_index(), log.snapshot().index, log.snapshot().term), (11, 10, 3));
    }
    log.compact(snapshot(12, 4), 0);
    assert_eq!((log.first_index(), log.last_index(), log.term(12)), (13, 12, Ok(4)), "nothing is left");
}

/// Values may be large, and what is kept is in memory.
#[graded]
fn what_is_kept_is_bounded_by_bytes_too() {
    assert_eq!(MAX_KEPT_BYTES, 8_388_608);
    let mut log = Log::default();
    let large = "x".repeat(MAX_KEPT_BYTES / 4);
    let entries: Vec<_> = (1..=10).map(|index| entry(index, 1, &large)).collect();
    log.append(&entries);
    log.compact(snapshot(10, 1), 100);
    assert_eq!(log.first_index(), 8, "three and not four: an entry is more than its data");
    let mut log = Log::default();
    let exact = "x".repeat(MAX_KEPT_BYTES / 4 - entry(1, 1, "").size());
    let entries: Vec<_> = (1..=10).map(|index| entry(index, 1, &exact)).collect();
    log.append(&entries);
    log.compact(snapshot(10, 1), 100);
    assert_eq!(log.first_index(), 7, "four are exactly as much as may be kept");
}

/// The store is behind: its snapshot is of what it has applied, and so must the state be.
#[graded]
fn the_state_is_that_of_the_store_s_own_index() {
    let mut cluster = Cluster::with_leader(3);
    let mut metas = Vec::new();
    for command in ["a", "b", "c"] {
        cluster.propose(2, command);
        cluster.settle();
        let index = cluster.standing(1).applied;
        metas.push(cluster.node(1).member.snapshot_meta(index).expect("it is applied"));
    }
    for meta in &metas {
        let later = cluster.node(1).member.snapshot_meta(meta.index);
        assert_eq!(later.as_ref(), Ok(meta), "what comes later does not change the state at {}", meta.index);
        let elsewhere = cluster.node(3).member.snapshot_meta(meta.index);
        assert_eq!(elsewhere.as_ref().map(|meta| &meta.state), Ok(&meta.state), "all members have the same");
    }
    let state = |meta| State::decode(meta).expect("it can be read");
    let (first, last) = (state(&metas[0].state), state(&metas[2].state));
    assert_eq!(first.members, last.members);
    assert!(first.sessions.has(2, 1, 1) && !first.sessions.has(2, 1, 3) && last.sessions.has(2, 1, 3));
    let standing = cluster.standing(1);
    assert!(cluster.node(1).member.snapshot_meta(standing.commit + 1).is_err(), "it is not applied yet");
    cluster.snapshot(1);
    assert!(cluster.node(1).member.snapshot_meta(metas[0].index).is_err(), "it is gone");
    assert!(cluster.node(1).member.snapshot_meta(metas[2].index).is_ok(), "of the last one there is");
}

/// Entries that are kept for others are behind the snapshot: there is no state to begin with.
#[graded]
fn there_is_no_state_from_before_the_snapshot() {
    let mut log = log();
    log.compact(snapshot(10, 3), 5);
    assert!(State::at(&log, 8).is_err(), "entry 8 is here, and the state before it is not");
    assert_eq!(State::at(&log, 10).map(|meta| (meta.index, meta.term)), Ok((10, 3)));
    assert_eq!(State::at(&log, 12).map(|meta| (meta.index, meta.term)), Ok((12, 4)));
    assert!(State::at(&log, 13).is_err(), "nobody has appended it");
}

#[graded]
fn a_member_starts_from_its_snapshot_and_the_log_behind_it() {
    let mut cluster = Cluster::with_leader(3);
    for command in ["a", "b"] {
        cluster.propose(1, command);
        cluster.settle();
    }
    let meta = cluster.snapshot(1);
    cluster.propose(1, "c");
    cluster.settle();
    assert_eq!(cluster.node(1).disk.entries.first().map(|entry| entry.index), Some(meta.index + 1));
    let members = cluster.node(1).member.members();
    cluster.crash(1);
    assert_eq!(cluster.node(1).member.members(), members, "they are in the snapshot");
    cluster.tick_all(30);
    assert_eq!(cluster.commands(1), ["a", "b", "c"]);
    assert_eq!(cluster.commands(3), ["a", "b", "c"]);
}

/// Cuts member 3 off, does some work, makes snapshots so that the log is gone, and lets it come back.
fn left_behind() -> Cluster {
    let mut cluster = Cluster::with_leader(3);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.isolate(3);
    for command in ["b", "c", "d"] {
        cluster.propose(1, command);
        cluster.settle();
    }
    cluster.snapshot(1);
    cluster.snapshot(2);
    cluster.heal();
    cluster
}

#[graded]
fn who_is_far_behind_is_sent_a_snapshot() {
    let mut cluster = left_behind();
    cluster.take_trace();
    cluster.tick_all(15);
    assert_eq!(cluster.commands(3), ["a", "b", "c", "d"]);
    assert!(!cluster.node(1).snapshot_wanted, "there is one, and no other is wanted");
    let trace = cluster.take_trace().join("\n");
    assert!(trace.contains("3: restore snapshot"), "the entries are gone:\n{trace}");
    let (written, restored) = (trace.find("snapshot 8"), trace.find("3: restore"));
    assert!(written < restored, "it is on disk before the store loads it:\n{trace}");
    assert_eq!(cluster.standing(3).applied, cluster.standing(1).applied);
    let before = cluster.propose(3, "e");
    cluster.settle();
    cluster.tick_all(2);
    assert!(cluster.node(3).answered.contains_key(&before), "it goes on as a member like any other");
    cluster.crash(3);
    cluster.tick_all(3);
    assert_eq!(cluster.commands(3), ["a", "b", "c", "d", "e"]);
}

/// While it is being written, neither is it told to the leader nor loaded.
#[graded]
fn a_snapshot_counts_when_it_is_on_disk() {
    let mut cluster = left_behind();
    cluster.node(3).slow = true;
    cluster.tick_all(15);
    let unwritten = cluster.node(3).unwritten.clone().expect("a snapshot came");
    assert!(unwritten.snapshot.is_some());
    assert_eq!(cluster.commands(3), ["a"]);
    cluster.crash(3);
    assert_eq!(cluster.commands(3), Vec::<String>::new(), "it is as it was on disk");
    cluster.tick_all(30);
    assert_eq!(cluster.commands(3), ["a", "b", "c", "d"], "it is sent again");
}

#[graded]
fn a_snapshot_that_is_lost_is_sent_again() {
    let mut cluster = left_behind();
    let mut lost = 0;
    for _ in 0..200 {
        for id in 1..=3 {
            cluster.tick(id);
        }
        while let Some((from, message)) = cluster.network.pop_front() {
            if message.snapshot.is_some() && lost < 3 {
                lost += 1;
                cluster.node(from).member.handle_snapshot_sent(message.to, false);
            } else {
                cluster.deliver(from, &message);
            }
        }
    }
    assert_eq!((lost, cluster.commands(3).len()), (3, 4));
}

#[graded]
fn a_message_says_of_which_snapshot_it_is() {
    let mut cluster = left_behind();
    let mut seen = 0;
    for _ in 0..15 {
        for id in 1..=3 {
            cluster.tick(id);
        }
        while let Some((from, message)) = cluster.network.pop_front() {
            assert_eq!(Member::snapshot_of(&message.bytes), Ok(message.snapshot.clone()));
            seen += usize::from(message.snapshot.is_some());
            if let Some(meta) = &message.snapshot {
                assert_eq!(*meta, cluster.node(from).disk.snapshot);
            }
            cluster.deliver(from, &message);
        }
    }
    assert!(seen > 0, "there was one");
}

/// What a snapshot replaces was applied by others. This member's own proposals among it are done, but their
/// answers were given to nobody here.
#[graded]
fn a_proposal_within_a_snapshot_has_no_answer() {
    let mut cluster = Cluster::with_leader(3);
    let number = cluster.propose(3, "mine");
    cluster.deliver_between(3, 1);
    cluster.isolate(3);
    let other = cluster.propose(3, "later");
    cluster.settle();
    cluster.propose(1, "b");
    cluster.settle();
    cluster.snapshot(1);
    cluster.snapshot(2);
    cluster.heal();
    cluster.tick_all(20);
    assert_eq!(cluster.node(3).refused, [(Asked::Proposal(number), Error::TimedOut)]);
    assert!(cluster.node(3).answered.contains_key(&other), "what is not in it goes on");
    assert_eq!(cluster.commands(3), ["mine", "b", "later"]);
}

/// Sessions are a part of the snapshot: who starts from it leaves out the same duplicates as all others.
#[graded]
fn duplicates_are_known_behind_a_snapshot_too() {
    let mut cluster = Cluster::with_leader(3);
    cluster.propose(2, "a");
    let late: Vec<_> = cluster.network.drain(..).collect();
    cluster.tick_all(12);
    assert_eq!(cluster.commands(3), ["a"]);
    for id in 1..=3 {
        cluster.snapshot(id);
    }
    cluster.crash(3);
    cluster.crash(1);
    cluster.elect(1);
    late.iter().for_each(|(from, message)| cluster.deliver(*from, message));
    cluster.tick_all(3);
    for id in 1..=3 {
        assert_eq!(cluster.commands(id), ["a"], "member {id} applies it twice: it has forgotten the session");
    }
}

#[graded]
fn reads_that_wait_are_served_by_a_snapshot() {
    let mut cluster = left_behind();
    cluster.read(3);
    cluster.tick_all(20);
    let readable = cluster.node(3).readable.clone();
    assert_eq!(readable.len(), 1, "what the read must see is in the snapshot: {readable:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..Default::default() })]

    /// A law: a log with snapshots answers as a map does of which the beginning is hidden.
    #[graded]
    fn a_compacted_log_has_the_rest_unchanged(
        rounds in proptest::collection::vec((0u64..4, 1u64..5, 0u64..8, 0u64..4, 0u8..8), 1..10),
    ) {
        let (mut log, mut model) = (Log::default(), ModelLog::default());
        for (term, (back, count, covered, keep, other)) in (1..).zip(rounds) {
            let applied = log.snapshot().index;
            let from = (model.last_index() + 1).saturating_sub(back).max(applied + 1);
            let entries: Vec<_> = (from..from + count).map(|index| entry(index, term, "xyz")).collect();
            log.append(&entries);
            model.append(&entries);
            let index = (applied + covered).min(log.last_index());
            if other == 0 {
                let (index, term) = (log.last_index() + covered, term + 1);
                log.restore(snapshot(index, term));
                model.restore(index, term);
            } else if let Ok(term) = log.term(index) {
                log.compact(snapshot(index, term), keep);
                if index > applied {
                    model.forget(index.saturating_sub(keep));
                }
                prop_assert_eq!(log.snapshot().index, index.max(applied));
            }
            model.compare(&log);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, ..Default::default() })]

    /// A law: with snapshots at any moment, all members still apply the same, once.
    #[graded]
    fn snapshots_change_nothing_that_anyone_sees(seed: u64) {
        let mix = Mix {
            propose: true, read: true, lose: 40, double: 40, reorder: 300, crash: 8, slow: true, snapshot: 20,
            partition: 6, ..Mix::default()
        };
        let mut cluster = run(seed, 1200, mix);
        let leader = cluster.leader().expect("somebody leads");
        let metas: Vec<_> = cluster.nodes.values().map(|node| node.disk.snapshot.clone()).collect();
        quiet(&mut cluster);
        for meta in metas {
            let state = State::decode(&meta.state).expect("it can be read");
            prop_assert!(meta.index == 0 || state.members.get(leader).is_some());
        }
    }
}
