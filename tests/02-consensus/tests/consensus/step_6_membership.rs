use graded::graded;
use proptest::prelude::*;

use crate::chaos::{Mix, run};
use crate::cluster::{Cluster, Disk, peer};
use crate::heart::Error;
use crate::heart::membership::{Health, MAX_LEARNERS, Membership, is_majority};
use crate::heart::types::{Asked, Change, MemberId, Peer, Role};

fn learner(id: MemberId) -> Peer {
    Peer { learner: true, ..peer(id) }
}

/// A member that was added and has never started: it has no name yet.
fn unstarted(id: MemberId) -> Peer {
    Peer { name: String::new(), ..peer(id) }
}

fn members(peers: impl IntoIterator<Item = Peer>) -> Membership {
    let mut members = Membership::default();
    peers.into_iter().for_each(|peer| members.apply(&Change::Add(peer)));
    members
}

fn update(id: MemberId, url: &str) -> Change {
    Change::Update { id, peer_urls: vec![url.to_owned()] }
}

fn publish(id: MemberId) -> Change {
    Change::Publish { id, name: "new".to_owned(), client_urls: vec!["http://c".to_owned()] }
}

#[graded]
fn a_majority_is_more_than_half() {
    let majorities: Vec<usize> =
        (1..=7).map(|of| (0..).find(|some| is_majority(*some, of)).expect("all of them are")).collect();
    assert_eq!(majorities, [1, 2, 2, 3, 3, 4, 4]);
    // Counted by what follows from it.
    let mut cluster = Cluster::with_leader(3);
    let alone = cluster.change(1, Change::Remove(9));
    assert_eq!(cluster.node(1).refused, [(Asked::Change(alone), Error::MemberNotFound)]);
}

#[graded]
fn members_are_added_once_with_urls_of_their_own() {
    let mut members = members([peer(1), peer(2), learner(3)]);
    let check = |members: &Membership, peer: Peer| members.check(&Change::Add(peer));
    assert_eq!(check(&members, peer(4)), Ok(()));
    assert_eq!(check(&members, peer(2)), Err(Error::MemberExists));
    assert_eq!(check(&members, learner(3)), Err(Error::MemberExists));
    assert_eq!(check(&members, peer(0)), Err(Error::MemberExists), "0 is nobody's id");
    let urls = peer(2).peer_urls;
    let same = Peer { peer_urls: [vec!["http://x".to_owned()], urls].concat(), ..peer(5) };
    assert_eq!(check(&members, same), Err(Error::PeerUrlExists), "one of its URLs is member 2's");
    members.apply(&Change::Remove(2));
    assert_eq!(check(&members, peer(2)), Err(Error::MemberExists), "late messages may still speak of it");
    assert!(members.is_removed(2) && !members.is_removed(1));
}

#[graded]
fn learners_are_bounded() {
    assert_eq!(MAX_LEARNERS, 1);
    let mut members = members([peer(1), learner(2)]);
    assert_eq!(members.check(&Change::Add(learner(3))), Err(Error::TooManyLearners));
    assert_eq!(members.check(&Change::Add(peer(3))), Ok(()), "a voter may come");
    members.apply(&Change::Promote(2));
    assert_eq!(members.check(&Change::Add(learner(3))), Ok(()), "2 is none any more");
}

#[graded]
fn what_is_changed_must_be_there() {
    let mut members = members([peer(1), peer(2), learner(3)]);
    for change in [Change::Remove(9), Change::Promote(9), update(9, "http://x"), publish(9)] {
        assert_eq!(members.check(&change), Err(Error::MemberNotFound), "{change:?}");
    }
    assert_eq!(members.check(&Change::Promote(2)), Err(Error::NotLearner));
    assert_eq!(members.check(&Change::Promote(3)), Ok(()));
    assert_eq!(members.check(&update(2, "http://x")), Ok(()));
    assert_eq!(members.check(&update(2, "http://1:2380")), Err(Error::PeerUrlExists));
    assert_eq!(members.check(&update(2, "http://2:2380")), Ok(()), "its own it may keep");
    assert_eq!(members.check(&publish(3)), Ok(()));
    members.apply(&update(2, "http://x"));
    members.apply(&publish(2));
    let two = members.get(2).expect("a member");
    assert_eq!((two.name.as_str(), two.peer_urls.len(), two.client_urls.len()), ("new", 1, 1));
    assert_eq!(two.peer_urls, ["http://x"]);
}

#[graded]
fn the_last_voter_stays() {
    let mut members = members([peer(1), peer(2), learner(3)]);
    assert_eq!(members.check(&Change::Remove(1)), Ok(()));
    members.apply(&Change::Remove(1));
    assert_eq!(members.check(&Change::Remove(2)), Err(Error::NotEnoughStarted), "nobody could vote");
    assert_eq!(members.check(&Change::Remove(3)), Ok(()), "a learner may go");
}

fn health(active: &[MemberId]) -> Health {
    Health { active: active.iter().copied().collect(), ..Health::default() }
}

/// A voter that was added and does not start counts against the majority.
#[graded]
fn a_voter_comes_only_if_those_who_have_started_are_a_majority_then() {
    let add = |peers: Vec<Peer>| health(&[1, 2, 3, 4]).check(&members(peers), &Change::Add(unstarted(9)));
    assert_eq!(add(vec![peer(1), peer(2), peer(3)]), Ok(()), "three of four");
    assert_eq!(add(vec![peer(1), peer(2), unstarted(3)]), Err(Error::NotEnoughStarted), "two of four");
    assert_eq!(add(vec![peer(1), peer(2)]), Ok(()), "two of three");
    assert_eq!(add(vec![peer(1), unstarted(2)]), Err(Error::NotEnoughStarted), "one of three");
    assert_eq!(add(vec![peer(1)]), Ok(()), "one of two: how else should it become two");
    assert_eq!(add(vec![unstarted(1)]), Err(Error::NotEnoughStarted));
    assert_eq!(add(vec![peer(1), peer(2), learner(3)]), Ok(()), "a learner does not count");
    let as_learner = health(&[1, 2]).check(&members([peer(1), unstarted(2)]), &Change::Add(learner(9)));
    assert_eq!(as_learner, Ok(()), "it has no vote, so it takes nothing away");
}

#[graded]
fn nobody_comes_while_a_voter_is_not_heard_of() {
    let three = members([peer(1), peer(2), peer(3), learner(4)]);
    for new in [unstarted(9), learner(9)] {
        let check = |active: &[MemberId]| health(active).check(&three, &Change::Add(new.clone()));
        assert_eq!(check(&[1, 2, 3]), Ok(()), "the learner need not be there");
        assert_eq!(check(&[1, 2, 4]), Err(Error::Unhealthy), "repair what you have first");
    }
}

#[graded]
fn a_learner_is_promoted_when_it_has_what_the_leader_has() {
    let check = |peers: Vec<Peer>, matched: u64, last: u64| {
        let matched = [(4, matched)].into_iter().collect();
        let health = Health { matched, last, ..health(&[1]) };
        health.check(&members(peers), &Change::Promote(4))
    };
    let three = || vec![peer(1), peer(2), peer(3), learner(4)];
    assert_eq!(check(three(), 100, 100), Ok(()));
    assert_eq!(check(three(), 90, 100), Ok(()), "nine tenths are enough: the rest comes quickly");
    assert_eq!(check(three(), 89, 100), Err(Error::LearnerNotReady));
    let unknown = Health { last: 100, ..health(&[1]) }.check(&members(three()), &Change::Promote(4));
    assert_eq!(unknown, Err(Error::LearnerNotReady));
    let few = || vec![peer(1), unstarted(2), unstarted(3), learner(4)];
    assert_eq!(check(few(), 100, 100), Err(Error::NotEnoughStarted), "two of four");
    assert_eq!(check(vec![peer(1), unstarted(2), learner(4)], 100, 100), Ok(()), "two of three, with itself");
}

#[graded]
fn a_voter_goes_only_if_the_rest_can_go_on() {
    let remove = |peers: Vec<Peer>, active: &[MemberId], id| {
        health(active).check(&members(peers), &Change::Remove(id))
    };
    let three = || vec![peer(1), peer(2), peer(3)];
    assert_eq!(remove(three(), &[1, 2, 3], 3), Ok(()));
    assert_eq!(remove(three(), &[1, 2], 3), Ok(()), "it is down, so nothing is lost by it");
    assert_eq!(
        remove(three(), &[1, 2], 2),
        Err(Error::Unhealthy),
        "3 is down: 1 alone is no majority of two"
    );
    let some = || vec![peer(1), unstarted(2), unstarted(3)];
    assert_eq!(remove(some(), &[1], 3), Err(Error::NotEnoughStarted), "one of two");
    assert_eq!(remove(vec![peer(1), unstarted(2)], &[1], 2), Ok(()), "one of one");
    assert_eq!(remove(vec![peer(1), peer(2), learner(3)], &[1], 3), Ok(()), "a learner may always go");
    let four = vec![peer(1), peer(2), peer(3), unstarted(4)];
    assert_eq!(remove(four, &[1, 2, 3], 3), Ok(()), "two of three have started, and are there");
    let learning = vec![peer(1), peer(2), peer(3), learner(4)];
    assert_eq!(remove(learning, &[1, 4], 4), Ok(()), "even when the voters are not well: it helps nobody");
    let five = (1..=5).map(peer).collect();
    assert_eq!(remove(five, &[1, 2, 3], 3), Err(Error::Unhealthy), "two of four");
}

#[graded]
fn who_only_tells_about_itself_is_not_asked_how_the_others_are() {
    let three = members([peer(1), unstarted(2), unstarted(3)]);
    for change in [update(2, "http://x"), publish(2)] {
        assert_eq!(health(&[1]).check(&three, &change), Ok(()));
    }
}

/// The whole way of a new member: it gets the log as a learner, is promoted, votes, and the first one goes.
#[graded]
fn a_member_is_replaced_while_the_cluster_works() {
    let mut cluster = Cluster::with_leader(3);
    cluster.propose(1, "a");
    cluster.settle();
    let added = cluster.change(1, Change::Add(learner(4)));
    cluster.settle();
    assert!(cluster.node(1).changed.contains(&added));
    let early = cluster.change(1, Change::Promote(4));
    assert_eq!(
        cluster.node(1).refused,
        [(Asked::Change(early), Error::LearnerNotReady)],
        "it has not started"
    );
    cluster.start(4, Disk::default(), &[]);
    cluster.tick_all(5);
    assert_eq!((cluster.standing(4).role, cluster.commands(4)), (Role::Learner, vec!["a".to_owned()]));
    let promoted = cluster.change(1, Change::Promote(4));
    cluster.settle();
    cluster.tick_all(2);
    assert!(cluster.node(1).changed.contains(&promoted));
    assert_eq!(cluster.standing(4).role, Role::Follower);
    let removed = cluster.change(1, Change::Remove(3));
    cluster.settle();
    cluster.tick_all(1);
    assert!(cluster.node(1).changed.contains(&removed));
    assert_eq!(cluster.node(1).member.removed(), [3], "who knocks later is told so");
    let ids = |cluster: &mut Cluster, id| -> Vec<MemberId> {
        cluster.node(id).member.members().iter().map(|peer| peer.id).collect()
    };
    for id in [1, 2, 4] {
        assert_eq!(ids(&mut cluster, id), [1, 2, 4]);
    }
    cluster.isolate(2);
    let number = cluster.propose(4, "b");
    cluster.settle();
    cluster.tick_all(2);
    assert!(cluster.node(4).answered.contains_key(&number), "1 and 4 are a majority of three");
}

/// It has the log and no vote: in no majority, for nothing.
#[graded]
fn a_learner_counts_for_nothing() {
    let mut cluster = Cluster::with_leader(3);
    cluster.change(1, Change::Add(learner(4)));
    cluster.settle();
    cluster.start(4, Disk::default(), &[]);
    cluster.tick_all(5);
    cluster.isolate(4);
    cluster.isolate(3);
    let number = cluster.propose(1, "without");
    cluster.settle();
    assert!(cluster.node(1).answered.contains_key(&number), "two of three voters need no learner");
    cluster.heal();
    cluster.tick_all(3);
    cluster.isolate(2);
    cluster.isolate(3);
    let number = cluster.propose(1, "a");
    let read = cluster.read(1);
    cluster.settle();
    cluster.tick(1);
    cluster.settle();
    assert!(!cluster.node(1).answered.contains_key(&number), "1 and a learner are one of three voters");
    assert!(cluster.node(1).readable.iter().all(|(upto, _)| *upto < read), "nor may it let a leader read");
    cluster.isolate(1);
    cluster.tick_all(60);
    assert_eq!(cluster.standing(4).role, Role::Learner, "it does not stand for election");
}

#[graded]
fn changes_are_asked_of_the_leader_one_at_a_time() {
    let mut cluster = Cluster::with_leader(3);
    let elsewhere = cluster.change(2, Change::Add(unstarted(4)));
    assert_eq!(cluster.node(2).refused, [(Asked::Change(elsewhere), Error::NotLeader)]);
    let first = cluster.change(1, Change::Add(unstarted(4)));
    let second = cluster.change(1, Change::Remove(2));
    assert_eq!(cluster.node(1).refused, [(Asked::Change(second), Error::ChangeUnderWay)]);
    cluster.settle();
    assert!(cluster.node(1).changed.contains(&first));
    let third = cluster.change(1, Change::Add(unstarted(5)));
    let why = Error::Unhealthy;
    assert_eq!(cluster.node(1).refused.last(), Some(&(Asked::Change(third), why)), "4 was not heard of yet");
}

/// It is heard of while its messages are younger than an election timeout.
#[graded]
fn who_was_heard_of_lately_is_active() {
    let mut cluster = Cluster::with_leader(3);
    cluster.tick_all(3);
    cluster.isolate(3);
    cluster.tick_all(10);
    cluster.change(1, Change::Add(learner(4)));
    assert_eq!(cluster.node(1).refused, [], "ten ticks ago it was there");
    cluster.settle();
    cluster.tick_all(1);
    let late = cluster.change(1, Change::Add(unstarted(5)));
    assert_eq!(cluster.node(1).refused, [(Asked::Change(late), Error::Unhealthy)]);
}

/// A member tells its own name, wherever it is connected, and so does who moves.
#[graded]
fn a_follower_publishes_itself() {
    let mut cluster = Cluster::with_leader(3);
    let (published, updated) = (cluster.change(2, publish(2)), cluster.change(3, update(3, "http://new")));
    cluster.settle();
    cluster.tick_all(1);
    assert!(cluster.node(2).changed.contains(&published) && cluster.node(3).changed.contains(&updated));
    for id in 1..=3 {
        let members = cluster.node(id).member.members();
        assert_eq!((members[1].name.as_str(), members[2].peer_urls[0].as_str()), ("new", "http://new"));
    }
    let clash = cluster.change(2, update(2, "http://new"));
    assert_eq!(cluster.node(2).refused, [(Asked::Change(clash), Error::PeerUrlExists)]);
}

/// Two may be asked for at two members at once: then all find the second one impossible, in the same way.
#[graded]
fn what_has_become_impossible_meanwhile_is_refused_by_all() {
    let mut cluster = Cluster::with_leader(3);
    let first = cluster.change(2, update(2, "http://new"));
    let second = cluster.change(3, update(3, "http://new"));
    cluster.settle();
    cluster.tick_all(1);
    assert!(cluster.node(2).changed.contains(&first));
    assert_eq!(cluster.node(3).refused, [(Asked::Change(second), Error::PeerUrlExists)]);
    let members = cluster.node(1).member.members();
    assert_eq!(members[2].peer_urls, peer(3).peer_urls);
    assert_eq!(cluster.node(3).member.members(), members);
}

/// A leader that removes itself would have to say so to the others after it is none. So another one leads
/// first, and that one is asked again.
#[graded]
fn a_leader_lets_another_lead_before_it_is_removed() {
    let mut cluster = Cluster::with_leader(3);
    cluster.tick_all(2);
    let number = cluster.change(1, Change::Remove(1));
    assert_eq!(cluster.node(1).refused, [(Asked::Change(number), Error::NotLeader)]);
    cluster.settle();
    let leader = cluster.leader().filter(|leader| *leader != 1).expect("another one leads by now");
    cluster.tick_all(1);
    let number = cluster.change(leader, Change::Remove(1));
    cluster.settle();
    cluster.tick_all(1);
    assert!(cluster.node(leader).changed.contains(&number));
    assert!(cluster.node(1).member.is_removed(), "it has heard so itself");
    assert!(!cluster.node(2).member.is_removed());
}

/// It may still happen: the change was under way when it came to lead.
#[graded]
fn a_leader_that_is_removed_leads_no_more_and_the_others_know() {
    let mut cluster = Cluster::with_leader(3);
    cluster.tick_all(1);
    let number = cluster.change(1, Change::Remove(2));
    cluster.deliver_between(1, 2);
    cluster.deliver_between(1, 3);
    assert!(!cluster.node(1).changed.contains(&number), "it is on all disks, and nobody knows yet");
    cluster.isolate(1);
    cluster.elect(2);
    assert!(cluster.node(2).member.is_removed(), "it led until its own removal was committed");
    assert_ne!(cluster.standing(2).role, Role::Leader);
    cluster.settle();
    let left: Vec<MemberId> = cluster.node(3).member.members().iter().map(|peer| peer.id).collect();
    assert_eq!(left, [1, 3], "its last word was how far the log is committed");
    cluster.heal();
    cluster.isolate(2);
    cluster.tick_all(40);
    let leader = cluster.leader().expect("1 and 3 elect one");
    assert!(leader != 2 && cluster.standing(leader).term > cluster.standing(2).term);
}

/// The others let it go on talking: it has no voice. And what it has proposed is void.
#[graded]
fn who_was_removed_is_not_listened_to() {
    let mut cluster = Cluster::with_leader(3);
    cluster.tick_all(1);
    cluster.propose(3, "late");
    let late: Vec<_> = cluster.network.drain(..).collect();
    let number = cluster.change(1, Change::Remove(3));
    cluster.cut.insert((1, 3));
    cluster.settle();
    assert!(cluster.node(1).changed.contains(&number));
    let term = cluster.standing(1).term;
    late.iter().for_each(|(from, message)| cluster.deliver(*from, message));
    cluster.tick_all(60);
    assert_eq!((cluster.leader(), cluster.standing(1).term), (Some(1), term), "it can disturb nobody");
    assert_eq!(cluster.commands(1), Vec::<String>::new());
}

#[graded]
fn leadership_is_given_to_voters_only() {
    let mut cluster = Cluster::with_leader(3);
    cluster.change(1, Change::Add(learner(4)));
    cluster.settle();
    cluster.tick_all(1);
    assert_eq!(cluster.node(2).member.handle_transfer(3), Err(Error::NotLeader));
    assert_eq!(cluster.node(1).member.handle_transfer(4), Err(Error::BadTransferee), "a learner");
    assert_eq!(cluster.node(1).member.handle_transfer(9), Err(Error::BadTransferee), "nobody");
    assert_eq!(cluster.node(1).member.handle_transfer(2), Ok(()));
    cluster.act(1);
    cluster.settle();
    assert_eq!(cluster.leader(), Some(2));
}

/// One becomes three: the second member may come although it has not started.
#[graded]
fn a_cluster_of_one_grows() {
    let mut cluster = Cluster::with_leader(1);
    assert!(cluster.node(1).member.is_alone());
    cluster.propose(1, "a");
    cluster.snapshot(1);
    cluster.change(1, Change::Add(unstarted(2)));
    assert!(!cluster.node(1).member.is_alone(), "from now on it takes two");
    cluster.start(2, Disk::default(), &[]);
    cluster.tick_all(1);
    assert!(cluster.node(1).snapshot_wanted, "the one that there is does not know of member 2");
    cluster.tick_all(3);
    let wanted = cluster.trace.iter().filter(|line| line.contains("want")).count();
    assert_eq!(wanted, 1, "asked once, until there is one");
    cluster.snapshot(1);
    cluster.tick_all(10);
    let published = cluster.change(2, publish(2));
    cluster.settle();
    cluster.tick_all(1);
    assert!(cluster.node(2).changed.contains(&published), "{}", cluster.take_trace().join("\n"));
    let third = cluster.change(1, Change::Add(unstarted(3)));
    cluster.settle();
    assert!(cluster.node(1).changed.contains(&third), "{:?}", cluster.node(1).refused);
    cluster.start(3, Disk::default(), &[]);
    cluster.tick_all(1);
    cluster.snapshot(1);
    cluster.tick_all(10);
    for id in 1..=3 {
        assert_eq!(
            (cluster.commands(id), cluster.node(id).member.members().len()),
            (vec!["a".to_owned()], 3)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 0, ..Default::default() })]

    /// A law: while members come and go, all the others hold.
    #[graded]
    fn members_come_and_go_and_nothing_is_lost(seed: u64) {
        let mix = Mix {
            propose: true, read: true, lose: 30, double: 30, reorder: 200, crash: 5, slow: true, snapshot: 15,
            partition: 3, transfer: 5, change: 25,
        };
        run(seed, 1500, mix);
    }
}
