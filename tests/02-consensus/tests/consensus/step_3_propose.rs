use bytes::Bytes;
use graded::graded;
use proptest::prelude::*;

use crate::chaos::{Mix, run};
use crate::cluster::{Cluster, peer};
use crate::heart::propose::Proposals;
use crate::heart::sessions::{Origin, Sessions, What};
use crate::heart::types::{Asked, Change, EntryKind};
use crate::heart::{Error, Member, Persisted};
use crate::model::{ModelSessions, origin};

/// Plays entries of members, one a line: `member.life #number settled mark`.
fn play(script: &str) -> String {
    let mut sessions = Sessions::default();
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<u64> = line
            .split(|c: char| !c.is_ascii_digit())
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().expect("a number"))
            .collect();
        let [member, life, number, settled] = words[..] else { panic!("not an entry: {line}") };
        let applied = sessions.admit(&origin(member, life, number, settled));
        out += &format!("{line:24} {}\n", if applied { "applied" } else { "void" });
    }
    out
}

#[graded]
fn an_entry_is_applied_once() {
    insta::assert_snapshot!(play(
        "1.1 #1 settled 1
         1.1 #1 settled 1
         1.1 #3 settled 1
         1.1 #2 settled 1
         1.1 #3 settled 2
         2.1 #1 settled 1
         2.1 #3 settled 1"
    ));
}

/// What is settled need not be remembered one by one, and can never be applied any more: its proposer was
/// answered, or has given it up.
#[graded]
fn what_is_settled_is_void() {
    insta::assert_snapshot!(play(
        "1.1 #2 settled 1
         1.1 #5 settled 4
         1.1 #3 settled 1
         1.1 #4 settled 1
         1.1 #4 settled 4
         1.1 #2 settled 1
         1.1 #6 settled 6
         1.1 #5 settled 6"
    ));
}

/// Those who waited for an earlier life's proposals are gone. Its numbers begin anew.
#[graded]
fn a_new_life_makes_the_earlier_ones_void() {
    insta::assert_snapshot!(play(
        "1.1 #7 settled 7
         1.3 #1 settled 1
         1.1 #8 settled 7
         1.2 #1 settled 1
         1.3 #1 settled 1
         1.3 #2 settled 1
         2.1 #8 settled 7"
    ));
}

#[graded]
fn sessions_can_be_asked_what_they_know() {
    let mut sessions = Sessions::default();
    assert!(!sessions.has(1, 1, 1), "nothing is known of it");
    sessions.admit(&origin(1, 2, 5, 3));
    assert!(sessions.has(1, 2, 5) && sessions.has(1, 2, 2) && !sessions.has(1, 2, 3));
    assert!(sessions.has(1, 1, 9) && !sessions.has(1, 3, 1), "an earlier life can do no more");
    sessions.forget(1);
    assert!(!sessions.has(1, 2, 5));
}

/// Somebody waits for a proposal in this process: it is proposed again, as the same one, until it is
/// applied.
#[graded]
fn a_proposal_is_due_when_it_was_given_to_nobody_or_long_ago() {
    let mut proposals = Proposals::new(7, 2);
    proposals.add_command(100, Bytes::from_static(b"a"), 10);
    proposals.add_command(101, Bytes::from_static(b"b"), 10);
    proposals.add_command(102, Bytes::from_static(b"c"), 10);
    assert_eq!(proposals.due(10, 5), [1, 2, 3], "in order, and nobody was given any");
    proposals.given(1, 10);
    proposals.given(2, 12);
    assert_eq!(proposals.due(14, 5), [3], "the others are under way");
    assert_eq!(proposals.due(15, 5), [1, 3], "five ticks are long enough for 1");
    assert_eq!(proposals.due(15, 0), [1, 2, 3], "a new leader is asked for all");
    assert_eq!(proposals.due(1000, u64::MAX), [3], "a leader's own are not lost");
    assert_eq!(proposals.fresh(), [3]);
}

#[graded]
fn an_entry_says_who_proposed_it_and_the_same_each_time() {
    let mut proposals = Proposals::new(7, 2);
    proposals.add_command(100, Bytes::from_static(b"a"), 10);
    proposals.add_command(101, Bytes::from_static(b"b"), 10);
    let origin_of = |proposals: &Proposals, number| {
        let entry = proposals.entry(number).expect("it is under way");
        assert_eq!((entry.index, entry.term), (0, 0), "where it will stand is the leader's to say");
        (entry.kind, entry.data.clone(), Origin::decode(&entry.context).expect("an origin"))
    };
    let second = Origin { member: 7, life: 2, number: 2, settled: 1, what: What::Command };
    let normal = EntryKind::Normal;
    assert_eq!(origin_of(&proposals, 2), (normal, Bytes::from_static(b"b"), second));
    proposals.given(2, 11);
    assert_eq!(
        origin_of(&proposals, 2),
        (normal, Bytes::from_static(b"b"), second),
        "proposed again, it is the same"
    );
    assert_eq!(proposals.applied(&origin(7, 2, 1, 1)), Some(Asked::Proposal(100)));
    let settled = Origin { settled: 2, ..second };
    assert_eq!(origin_of(&proposals, 2).2, settled, "all below 2 are settled now");
    assert_eq!(proposals.entry(1), None, "it is under way no more");
    proposals.add_change(5, Change::Remove(3), 11);
    let (kind, _, origin) = origin_of(&proposals, 3);
    assert_eq!((kind, origin.what), (EntryKind::Change, What::Change));
    proposals.add_change(6, Change::Publish { id: 7, name: "x".into(), client_urls: vec![] }, 11);
    let (kind, _, origin) = origin_of(&proposals, 4);
    assert_eq!((kind, origin.what), (EntryKind::Normal, What::Change), "who votes does not change");
}

/// Numbers begin anew with each life, and every member has its own: three things must be the same.
#[graded]
fn an_answer_is_for_who_asked_in_this_life() {
    let mut proposals = Proposals::new(7, 2);
    proposals.add_command(100, Bytes::from_static(b"a"), 10);
    proposals.add_change(4, Change::Remove(3), 10);
    assert_eq!(proposals.applied(&origin(6, 2, 1, 1)), None, "another member's");
    assert_eq!(proposals.applied(&origin(7, 1, 1, 1)), None, "one of before the last start");
    assert_eq!(proposals.applied(&origin(7, 3, 1, 1)), None);
    assert_eq!(proposals.applied(&origin(7, 2, 1, 1)), Some(Asked::Proposal(100)));
    assert_eq!(proposals.applied(&origin(7, 2, 1, 1)), None, "it was answered");
    assert_eq!((proposals.settled(), proposals.is_empty()), (2, false));
    assert_eq!(proposals.applied(&origin(7, 2, 2, 2)), Some(Asked::Change(4)));
    assert_eq!((proposals.settled(), proposals.is_empty()), (3, true), "all there were");
}

#[graded]
fn a_write_at_any_member_is_answered_there_and_done_everywhere() {
    let mut cluster = Cluster::with_leader(3);
    let first = cluster.propose(1, "a");
    let second = cluster.propose(2, "b");
    cluster.settle();
    cluster.tick_all(1);
    assert!(cluster.node(1).answered.contains_key(&first), "the leader answers its client");
    assert!(cluster.node(2).answered.contains_key(&second), "a follower answers its own");
    assert_eq!(cluster.node(3).answered.len(), 0, "nobody asked member 3");
    for id in 1..=3 {
        assert_eq!(cluster.commands(id), ["a", "b"]);
    }
    assert_eq!(cluster.node(1).refused, []);
}

/// The request is lost on its way to the leader.
#[graded]
fn what_was_lost_is_proposed_again() {
    let mut cluster = Cluster::with_leader(3);
    let number = cluster.propose(2, "a");
    cluster.network.clear();
    cluster.tick_all(8);
    assert!(!cluster.node(2).answered.contains_key(&number), "it is not too late yet");
    cluster.tick_all(3);
    assert!(cluster.node(2).answered.contains_key(&number), "after an election timeout it is asked again");
    assert_eq!(cluster.commands(3), ["a"]);
}

/// It was slow and not lost: then it comes twice.
#[graded]
fn what_was_only_late_is_applied_once() {
    let mut cluster = Cluster::with_leader(3);
    cluster.propose(2, "a");
    let late: Vec<_> = cluster.network.drain(..).collect();
    cluster.tick_all(12);
    assert_eq!(cluster.commands(1), ["a"]);
    late.iter().for_each(|(from, message)| cluster.deliver(*from, message));
    cluster.tick_all(3);
    for id in 1..=3 {
        assert_eq!(cluster.commands(id), ["a"], "two entries of one proposal are one command");
    }
    let entries = &cluster.node(1).disk.entries;
    let twice = entries.iter().filter(|entry| entry.data == "a").count();
    assert_eq!(twice, 2, "it is in the log twice, with one origin");
}

/// The worst moment: the leader has it, a majority has it, and the leader dies before it says so.
#[graded]
fn a_new_leader_is_asked_again_and_it_is_done_once() {
    let mut cluster = Cluster::with_leader(3);
    let number = cluster.propose(3, "a");
    cluster.deliver_between(3, 1);
    cluster.deliver_between(1, 2);
    cluster.isolate(1);
    cluster.elect(2);
    cluster.tick_all(2);
    assert!(cluster.node(3).answered.contains_key(&number), "member 3 must hear of it from the new leader");
    cluster.heal();
    cluster.tick_all(30);
    for id in 1..=3 {
        assert_eq!(cluster.commands(id), ["a"], "done once at member {id}");
    }
}

/// A leader that is alone appends what it never can commit. Another leader commits other things, and then
/// the first one's client must still be served.
#[graded]
fn a_deposed_leader_proposes_its_own_anew() {
    let mut cluster = Cluster::with_leader(3);
    cluster.isolate(1);
    let lost = cluster.propose(1, "mine");
    cluster.elect(2);
    cluster.propose(2, "theirs");
    cluster.settle();
    cluster.heal();
    cluster.tick_all(20);
    assert!(cluster.node(1).answered.contains_key(&lost));
    assert_eq!(cluster.commands(3), ["theirs", "mine"]);
}

/// Nobody waits for what was asked in an earlier life, and if it comes late it must not be done: its client
/// was told that the connection broke, and has asked again since.
#[graded]
fn an_earlier_life_s_late_proposal_is_not_applied_after_the_new_one_s() {
    let mut cluster = Cluster::with_leader(3);
    cluster.propose(2, "old");
    let late: Vec<_> = cluster.network.drain(..).collect();
    cluster.crash(2);
    cluster.tick_all(2);
    let new = cluster.propose(2, "new");
    cluster.settle();
    late.iter().for_each(|(from, message)| cluster.deliver(*from, message));
    cluster.tick_all(3);
    assert!(cluster.node(2).answered.contains_key(&new));
    assert_eq!(cluster.commands(1), ["new"]);
}

/// Told that it was not done, a client may do something else. So that must be true.
#[graded]
fn what_no_leader_was_given_is_refused_as_not_done() {
    let mut cluster = Cluster::with_leader(3);
    cluster.isolate(2);
    cluster.tick_all(25);
    let number = cluster.propose(2, "a");
    cluster.tick_all(69);
    assert_eq!(cluster.node(2).refused, [], "seven election timeouts it waits for a leader");
    cluster.tick_all(1);
    assert_eq!(cluster.node(2).refused, [(Asked::Proposal(number), Error::NoLeader)]);
    cluster.heal();
    cluster.tick_all(30);
    assert_eq!(cluster.commands(2), Vec::<String>::new(), "it was refused, so it is never done");
}

#[graded]
fn what_a_leader_was_given_and_nobody_saw_again_is_unknown() {
    let mut cluster = Cluster::with_leader(3);
    cluster.isolate(1);
    let number = cluster.propose(1, "a");
    cluster.tick_all(71);
    assert_eq!(cluster.node(1).refused, [(Asked::Proposal(number), Error::TimedOut)]);
    cluster.heal();
    let next = cluster.propose(1, "b");
    cluster.tick_all(30);
    assert!(cluster.node(1).answered.contains_key(&next), "the next one is done as ever");
    assert!(!cluster.node(1).answered.contains_key(&number), "it has had its answer");
}

/// What is not committed is in memory, on every member. It has a bound.
#[graded]
fn a_leader_with_too_much_under_way_refuses_more() {
    let mut cluster = Cluster::with_leader(3);
    cluster.isolate(1);
    let large = "x".repeat(600 << 10);
    let first = cluster.propose(1, &large);
    let second = cluster.propose(1, &large);
    assert_eq!(cluster.node(1).refused, [(Asked::Proposal(second), Error::TooManyRequests)]);
    cluster.heal();
    cluster.tick_all(3);
    assert!(cluster.node(1).answered.contains_key(&first));
    let third = cluster.propose(1, &large);
    cluster.settle();
    assert!(cluster.node(1).answered.contains_key(&third), "there is room again");
    assert_eq!(cluster.commands(2).len(), 2);
}

/// Many at once are few messages, each within its bound.
#[graded]
fn a_follower_passes_many_on_in_few_messages() {
    let mut cluster = Cluster::with_leader(3);
    let large = "x".repeat(300 << 10);
    let proposals = (1..=5).map(|number| crate::heart::types::Proposal {
        number,
        command: Bytes::from(format!("{number}{large}")),
    });
    cluster.node(2).member.handle_propose(proposals.collect());
    cluster.act(2);
    let forwarded: Vec<usize> = cluster.network.iter().map(|(_, message)| message.bytes.len()).collect();
    assert_eq!(forwarded.len(), 2, "three fit in a message of a MiB");
    assert!(forwarded.iter().all(|len| *len <= (1 << 20)), "a message has a bound: {forwarded:?}");
    cluster.settle();
    cluster.tick_all(30);
    assert_eq!(cluster.node(2).answered.len(), 5);
}

/// The same calls make the same actions, and so any run can be replayed.
#[graded]
fn a_run_can_be_replayed() {
    let mix = Mix { propose: true, lose: 50, reorder: 300, crash: 5, ..Mix::default() };
    let (mut one, mut two) = (run(42, 600, mix), run(42, 600, mix));
    assert_eq!(one.take_trace(), two.take_trace());
    let started = |seed| {
        let persisted = Persisted { bootstrap: vec![peer(1)], ..Persisted::default() };
        let config = crate::heart::Config { seed, ..crate::cluster::config(1, 1) };
        let mut member = Member::new(config, persisted).expect("it starts");
        member.poll_actions();
        member.handle_persisted(0);
        member.poll_actions();
        (1..).find(|_| {
            member.handle_tick();
            !member.poll_actions().is_empty()
        })
    };
    let times: std::collections::BTreeSet<Option<u32>> = (0..50).map(started).collect();
    assert!(times.len() > 5, "members with different seeds stand at different times: {times:?}");
    assert!(times.iter().all(|ticks| ticks.is_some_and(|ticks| (10..20).contains(&ticks))), "{times:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    /// A law: sessions that forget what is settled admit what sessions that forget nothing do.
    #[graded]
    fn sessions_need_not_remember_everything(
        entries in proptest::collection::vec((1u64..3, 1u64..4, 1u64..8, 0u64..5), 0..60),
    ) {
        let (mut sessions, mut model) = (Sessions::default(), ModelSessions::default());
        for (member, life, number, behind) in entries {
            let origin = origin(member, life, number, number.saturating_sub(behind).max(1));
            prop_assert_eq!(sessions.admit(&origin), model.admit(&origin), "{:?}", origin);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, ..Default::default() })]

    /// A law: whatever happens, all members apply the same commands in the same order, each once, and none
    /// that was answered is lost.
    #[graded]
    fn all_members_apply_the_same_once(seed: u64) {
        let mix = Mix {
            propose: true, lose: 60, double: 80, reorder: 300, crash: 8, slow: true, partition: 4, transfer: 8,
            ..Mix::default()
        };
        run(seed, 1000, mix);
    }
}
