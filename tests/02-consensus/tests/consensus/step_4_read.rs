use graded::graded;
use proptest::prelude::*;

use crate::chaos::{Mix, run};
use crate::cluster::Cluster;
use crate::heart::Error;
use crate::heart::read::Reads;
use crate::heart::types::Asked;

/// Begins a round that must begin.
#[track_caller]
fn begin(reads: &mut Reads, now: u64) -> Vec<u8> {
    reads.begin_round(now, 5).expect("somebody waits, and no round is under way")
}

#[graded]
fn many_reads_are_one_round() {
    let mut reads = Reads::new(1, 1);
    assert_eq!(reads.begin_round(0, 5), None, "nobody waits");
    (1..=1000).for_each(|number| reads.add(number, 0));
    let round = begin(&mut reads, 0);
    assert_eq!(reads.begin_round(0, 5), None, "all who wait are in it");
    assert_eq!(reads.readable(100), None, "the leader has not answered");
    reads.confirm(&round, 7);
    assert_eq!(reads.readable(6), None, "the store must have applied 7");
    assert_eq!(reads.readable(7), Some(1000), "one answer for all");
    assert_eq!(reads.readable(7), None, "once");
    assert!(reads.is_idle());
}

/// Its index may be older than the read: something was answered in between.
#[graded]
fn nobody_joins_a_round_under_way() {
    let mut reads = Reads::new(1, 1);
    reads.add(1, 0);
    let first = begin(&mut reads, 0);
    reads.add(2, 0);
    reads.add(3, 1);
    assert_eq!(reads.begin_round(1, 5), None, "one round at a time");
    reads.confirm(&first, 7);
    assert_eq!(reads.readable(7), Some(1), "2 and 3 came too late for this one");
    let second = begin(&mut reads, 1);
    assert_ne!(first, second, "an answer must say which round it is for");
    reads.confirm(&first, 9);
    assert_eq!(reads.readable(9), None, "the first round was answered already");
    reads.confirm(&second, 9);
    assert_eq!(reads.readable(9), Some(3));
}

#[graded]
fn a_round_that_may_be_lost_is_repeated_with_all_who_have_come_since() {
    let mut reads = Reads::new(1, 1);
    reads.add(1, 0);
    let first = begin(&mut reads, 0);
    assert_eq!(reads.begin_round(4, 5), None, "four ticks: the answer may still come");
    let second = begin(&mut reads, 5);
    reads.add(2, 7);
    assert_eq!(reads.begin_round(9, 5), None, "the second was asked at 5");
    let third = begin(&mut reads, 10);
    reads.confirm(&second, 3);
    assert_eq!(reads.readable(3), Some(1), "a late answer is one, for those who were in that round");
    reads.confirm(&first, 3);
    assert_eq!(reads.readable(3), None, "a round before it was answered with it");
    reads.confirm(&third, 4);
    assert_eq!(reads.readable(4), Some(2));
    assert_eq!(reads.begin_round(20, 5), None, "nobody waits any more");
}

#[graded]
fn answers_of_another_life_or_member_are_not_ours() {
    let (mut old, mut other, mut reads) = (Reads::new(1, 1), Reads::new(2, 2), Reads::new(1, 2));
    for reads in [&mut old, &mut other, &mut reads] {
        reads.add(1, 0);
    }
    let (old, other, ours) = (begin(&mut old, 0), begin(&mut other, 0), begin(&mut reads, 0));
    for context in [&old[..], &other, b"", b"\xff"] {
        reads.confirm(context, 5);
    }
    assert_eq!(reads.readable(100), None);
    reads.confirm(&ours, 5);
    assert_eq!(reads.readable(100), Some(1));
}

#[graded]
fn confirmed_reads_wait_for_what_they_must_see() {
    let mut reads = Reads::new(1, 1);
    for (number, index) in [(1, 5), (2, 6), (3, 9)] {
        reads.add(number, 0);
        let round = begin(&mut reads, 0);
        reads.confirm(&round, index);
    }
    assert_eq!(reads.readable(4), None);
    assert_eq!(reads.readable(8), Some(2), "5 and 6 are applied, 9 is not");
    assert!(!reads.is_idle());
    assert_eq!(reads.readable(9), Some(3));
}

#[graded]
fn reads_are_given_up_by_the_oldest_of_them() {
    let mut reads = Reads::new(1, 1);
    assert_eq!(reads.give_up(100, 70), None);
    reads.add(1, 0);
    reads.add(2, 10);
    assert_eq!(reads.give_up(69, 70), None);
    assert_eq!(reads.give_up(70, 70), Some(2), "nobody leads, and nobody was asked");
    assert!(reads.is_idle());
    reads.add(3, 100);
    begin(&mut reads, 100);
    reads.add(4, 110);
    begin(&mut reads, 120);
    reads.add(5, 130);
    assert_eq!(reads.give_up(169, 70), None);
    assert_eq!(reads.give_up(170, 70), Some(5), "those in rounds, and those in none");
    assert!(reads.is_idle());
    reads.add(6, 200);
    begin(&mut reads, 200);
    begin(&mut reads, 210);
    assert_eq!(reads.give_up(269, 70), None);
    assert_eq!(reads.give_up(270, 70), Some(6), "a repeated round waits since the first one was asked");
}

#[graded]
fn a_read_anywhere_sees_what_was_answered_anywhere() {
    let mut cluster = Cluster::with_leader(3);
    cluster.propose(1, "a");
    cluster.settle();
    let index = cluster.node(1).answered.values().next().copied().expect("it is done");
    for id in 1..=3 {
        let number = cluster.read(id);
        cluster.settle();
        let readable = cluster.node(id).readable.clone();
        assert_eq!(readable, [(number, index)], "member {id}: what is to be seen, and no later than needed");
    }
}

/// It was told by nobody that another one leads. A majority would have told it.
#[graded]
fn a_deposed_leader_answers_no_read() {
    let mut cluster = Cluster::with_leader(3);
    cluster.propose(1, "old");
    cluster.settle();
    cluster.isolate(1);
    cluster.elect(2);
    cluster.propose(2, "new");
    cluster.settle();
    assert_eq!(cluster.commands(3), ["old", "new"]);
    cluster.read(1);
    cluster.tick(1);
    cluster.tick(1);
    cluster.settle();
    assert_eq!(
        cluster.node(1).readable,
        [],
        "it would answer without 'new', which a client was told is done"
    );
    cluster.heal();
    cluster.tick_all(20);
    assert_eq!(cluster.node(1).readable.len(), 1, "from the new leader it hears what to wait for");
    assert_eq!(cluster.commands(1), ["old", "new"]);
}

/// The leader has told it how far to read, but the entries are not here yet.
#[graded]
fn a_follower_waits_until_it_has_applied_what_it_must_see() {
    let mut cluster = Cluster::with_leader(3);
    cluster.propose(1, "a");
    cluster.deliver_between(1, 3);
    cluster.deliver_between(3, 1);
    assert_eq!(cluster.commands(1), ["a"], "members 1 and 3 are a majority");
    let late: Vec<_> = cluster.network.iter().filter(|(_, m)| m.to == 2).cloned().collect();
    cluster.network.retain(|(_, m)| m.to != 2);
    cluster.read(2);
    cluster.deliver_between(2, 1);
    cluster.deliver_between(1, 3);
    cluster.deliver_between(3, 1);
    cluster.deliver_between(1, 2);
    assert_eq!(cluster.node(2).readable, [], "it knows what to wait for, and waits");
    late.iter().for_each(|(from, message)| cluster.deliver(*from, message));
    cluster.tick_all(3);
    assert_eq!(cluster.node(2).readable.len(), 1);
}

/// A question that is lost is asked again soon: it costs a heartbeat, and somebody waits.
#[graded]
fn a_lost_question_is_asked_again() {
    let mut cluster = Cluster::with_leader(3);
    cluster.read(2);
    cluster.network.clear();
    cluster.tick_all(1);
    assert_eq!(cluster.node(2).readable, []);
    cluster.tick_all(1);
    assert_eq!(cluster.node(2).readable.len(), 1, "a quarter of an election timeout is enough");
}

#[graded]
fn those_who_came_during_a_round_have_the_next_at_once() {
    let mut cluster = Cluster::with_leader(3);
    cluster.read(2);
    let second = cluster.read(2);
    cluster.settle();
    let last = cluster.node(2).readable.last().map(|(number, _)| *number);
    assert_eq!(last, Some(second), "no tick was needed");
}

#[graded]
fn without_a_leader_reads_are_given_up() {
    let mut cluster = Cluster::with_leader(3);
    cluster.isolate(2);
    cluster.tick_all(25);
    let number = cluster.read(2);
    cluster.tick_all(71);
    assert_eq!(cluster.node(2).refused, [(Asked::Reads(number), Error::TimedOut)]);
}

#[graded]
fn an_only_member_reads_without_asking_anybody() {
    let mut cluster = Cluster::with_leader(1);
    let number = cluster.read(1);
    assert_eq!(cluster.node(1).readable, [(number, 0)], "nothing is in the store");
    cluster.propose(1, "a");
    cluster.read(1);
    assert_eq!(cluster.node(1).readable.last().map(|(_, index)| *index), Some(3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, ..Default::default() })]

    /// A law: wherever and whenever a read is asked for, it sees all that was answered before.
    #[graded]
    fn reads_are_linearizable(seed: u64) {
        let mix = Mix {
            propose: true, read: true, lose: 40, double: 40, reorder: 400, crash: 5, slow: true, partition: 8,
            transfer: 10, ..Mix::default()
        };
        run(seed, 1200, mix);
    }
}
