use bytes::Bytes;
use graded::graded;
use proptest::prelude::*;

use crate::chaos::{Mix, run};
use crate::cluster::{Cluster, Disk, config, peer};
use crate::heart::types::{Peer, Role};
use crate::heart::{Action, Member, Persisted};

/// Three members with entries 1 to 3, which made them members, and further ones that only some have.
fn three(commands: [&[&str]; 3]) -> Cluster {
    let peers: Vec<Peer> = (1..=3).map(peer).collect();
    Cluster::of(&commands.map(|commands| Disk::founded(&peers, commands)))
}

/// Where a line with all these words stands in a trace.
#[track_caller]
fn find(trace: &[String], words: &[&str]) -> usize {
    let found = trace.iter().position(|line| words.iter().all(|word| line.contains(word)));
    found.unwrap_or_else(|| panic!("nothing like {words:?} was done:\n{}", trace.join("\n")))
}

fn has(trace: &[String], words: &[&str]) -> bool {
    trace.iter().any(|line| words.iter().all(|word| line.contains(word)))
}

/// Member 1's time goes by, and it talks with member 2, until something is so.
#[track_caller]
fn talk_until(cluster: &mut Cluster, so: impl Fn(&Cluster) -> bool) {
    for _ in 0..100 {
        if so(cluster) {
            return;
        }
        cluster.tick(1);
        cluster.deliver_between(1, 2);
        cluster.deliver_between(2, 1);
    }
    panic!("members 1 and 2 come to nothing:\n{}", cluster.take_trace().join("\n"));
}

/// The whole of an election, as the shells see it: pre-vote, vote, the first entry of the term.
#[graded]
fn an_election_is_a_conversation_between_disks() {
    let mut cluster = three([&["a"], &[], &[]]);
    cluster.take_trace();
    cluster.elect(1);
    cluster.tick_all(1);
    insta::assert_snapshot!(cluster.take_trace().join("\n"));
}

#[graded]
fn what_a_majority_has_is_applied_by_all_in_order() {
    let mut cluster = three([&["a", "b"], &[], &["a"]]);
    cluster.elect(1);
    cluster.tick_all(1);
    for id in 1..=3 {
        assert_eq!(cluster.commands(id), ["a", "b"], "member {id} applies what is committed, in order");
        assert_eq!(cluster.standing(id).leader, 1);
    }
    assert_eq!(cluster.standing(2).applied, 5);
}

#[graded]
fn nothing_comes_behind_persist_until_the_disk_is_done() {
    let persisted = Persisted { bootstrap: vec![peer(1)], ..Persisted::default() };
    let mut member = Member::new(config(1, 1), persisted).expect("it starts");
    let actions = member.poll_actions();
    let [Action::Persist(persist)] = actions.as_slice() else { panic!("first its members: {actions:?}") };
    assert_eq!(persist.entries.len(), 1, "the one member is an entry of the log");
    member.handle_tick();
    assert_eq!(member.poll_actions(), [], "nothing is said or applied before that is on disk");
    member.handle_persisted(persist.number + 1);
    assert_eq!(member.poll_actions(), [], "another write than the one that was asked for");
    member.handle_persisted(persist.number);
    assert!(member.poll_actions().contains(&Action::Members), "now the member is one");
    assert!(member.is_alone());
    for _ in 0..20 {
        member.handle_tick();
    }
    let actions = member.poll_actions();
    let Some(Action::Persist(vote)) = actions.last() else { panic!("it votes for itself: {actions:?}") };
    let first = vote.entries.first().map(|entry| (entry.index, entry.data.is_empty()));
    assert_eq!(first, Some((2, true)), "a leader begins with an empty entry");
    member.handle_persisted(vote.number);
    member.poll_actions();
    assert_eq!((member.standing().role, member.standing().commit), (Role::Leader, 2));
}

/// Forget a vote, and you give it twice: two members of three elect two leaders.
#[graded]
fn a_vote_is_on_disk_before_it_is_sent() {
    let mut cluster = three([&[], &[], &[]]);
    cluster.isolate(3);
    cluster.node(2).slow = true;
    talk_until(&mut cluster, |cluster| cluster.standing(1).term == 2);
    cluster.take_trace();
    cluster.deliver_between(1, 2);
    let trace = cluster.take_trace();
    find(&trace, &["2: persist", "vote 1"]);
    assert!(!has(&trace, &["2: send"]), "the vote is sent before it is on disk:\n{}", trace.join("\n"));
    assert_eq!(cluster.node(2).disk.vote.vote, 0, "the disk has not got it yet");
    cluster.write(2);
    cluster.act(2);
    assert!(has(&cluster.take_trace(), &["2: send to 1"]), "the vote must be sent when it is on disk");
    cluster.deliver_between(2, 1);
    assert_eq!(cluster.leader(), Some(1));
}

#[graded]
fn a_vote_outlives_a_crash() {
    let mut cluster = three([&[], &[], &[]]);
    cluster.isolate(3);
    cluster.elect(1);
    let (term, vote) = (cluster.standing(1).term, cluster.node(2).disk.vote);
    assert_eq!((vote.term, vote.vote), (term, 1), "the disk must know in which term for whom");
    cluster.crash(2);
    assert_eq!(cluster.standing(2).term, term, "who starts again goes on in the term of its disk");
}

/// The leader counts it when it is acknowledged, and tells a client.
#[graded]
fn an_entry_is_on_disk_before_it_is_acknowledged() {
    let mut cluster = three([&["a"], &[], &[]]);
    cluster.isolate(3);
    talk_until(&mut cluster, |cluster| cluster.leader().is_some());
    cluster.node(2).slow = true;
    for _ in 0..3 {
        cluster.deliver_between(1, 2);
        cluster.deliver_between(2, 1);
    }
    let unwritten = cluster.node(2).unwritten.clone().expect("the leader has entries that 2 has not");
    assert_eq!(unwritten.entries.first().map(|entry| entry.index), Some(4));
    cluster.take_trace();
    cluster.tick(1);
    cluster.deliver_between(1, 2);
    assert!(!has(&cluster.take_trace(), &["2: send"]), "entries are acknowledged before they are on disk");
    cluster.write(2);
    cluster.act(2);
    assert!(has(&cluster.take_trace(), &["2: send to 1"]));
    assert_eq!(cluster.node(2).disk.entries.len(), 5);
}

/// A leader's appends claim nothing of its own disk, and so the disks of all can write at once.
#[graded]
fn a_leader_sends_before_its_own_disk_is_done_and_counts_itself_after() {
    let mut cluster = three([&["a"], &["a"], &["a"]]);
    cluster.isolate(3);
    talk_until(&mut cluster, |cluster| cluster.standing(1).term == 2);
    cluster.deliver_between(1, 2);
    cluster.node(1).slow = true;
    cluster.take_trace();
    cluster.deliver_between(2, 1);
    let trace = cluster.take_trace();
    let (sent, persist) = (find(&trace, &["1: send to 2"]), find(&trace, &["1: persist"]));
    assert!(sent < persist, "a leader's appends need not wait for its disk:\n{}", trace.join("\n"));
    for _ in 0..3 {
        cluster.deliver_between(1, 2);
        cluster.deliver_between(2, 1);
        cluster.tick(1);
    }
    assert_eq!(cluster.node(2).disk.entries.len(), 5, "member 2 has the leader's first entry");
    assert_eq!(cluster.standing(1).commit, 3, "one disk of three has entry 5: that is no majority");
    cluster.write(1);
    cluster.act(1);
    for _ in 0..3 {
        cluster.deliver_between(1, 2);
        cluster.deliver_between(2, 1);
        cluster.tick(1);
    }
    assert_eq!((cluster.standing(1).commit, cluster.commands(1)), (5, vec!["a".to_owned()]));
}

/// Alone it is elected by itself, without a word. If its first appends went out before its term is on disk,
/// a crash would let it lead twice in one term, with different entries.
#[graded]
fn an_only_voter_says_nothing_in_a_term_that_its_disk_does_not_know() {
    let peers = [peer(1), Peer { learner: true, ..peer(2) }];
    let disk = Disk::founded(&peers, &[]);
    let mut cluster = Cluster::of(&[disk.clone(), disk]);
    cluster.node(1).slow = true;
    for _ in 0..20 {
        cluster.tick(1);
    }
    let trace = cluster.take_trace();
    find(&trace, &["1: persist term 2"]);
    assert!(!has(&trace, &["1: send to 2"]), "a term is on disk first:\n{}", trace.join("\n"));
    cluster.write(1);
    cluster.act(1);
    assert!(has(&cluster.take_trace(), &["1: send to 2"]), "then what has waited is sent");
    cluster.node(1).slow = false;
    cluster.settle();
    assert_eq!(cluster.standing(2).role, Role::Learner);
}

/// A heartbeat and a new commit index cost no write: what is committed can be found out again.
#[graded]
fn what_need_not_be_on_disk_is_answered_at_once() {
    let mut cluster = three([&["a"], &[], &[]]);
    cluster.elect(1);
    cluster.tick_all(1);
    cluster.take_trace();
    cluster.tick_all(5);
    let trace = cluster.take_trace();
    assert!(has(&trace, &["2: send to 1"]), "a heartbeat is answered");
    assert!(!has(&trace, &["persist"]), "a heartbeat needs no disk:\n{}", trace.join("\n"));
}

/// A leader that hears of no majority steps down by itself, and a member that was cut off does not disturb
/// the others when it is back.
#[graded]
fn who_is_cut_off_neither_leads_nor_disturbs() {
    let mut cluster = three([&["a"], &[], &[]]);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.tick_all(40);
    assert_eq!(cluster.standing(1).leader, 0, "nobody follows it, so it does not lead");
    let (leader, term) = (cluster.leader().expect("two of three are a majority"), cluster.standing(2).term);
    cluster.tick_all(40);
    cluster.heal();
    cluster.tick_all(5);
    assert_eq!((cluster.leader(), cluster.standing(1).term), (Some(leader), term), "no election was needed");
    assert_eq!(cluster.standing(1).leader, leader);
}

/// Entries of a leader that nobody else has are replaced by those of the next one.
#[graded]
fn what_was_never_committed_gives_way() {
    let mut cluster = three([&["lost", "lost too"], &[], &[]]);
    cluster.isolate(1);
    cluster.elect(2);
    cluster.heal();
    cluster.tick_all(30);
    assert_eq!(cluster.commands(1), Vec::<String>::new());
    let entries = |id| cluster.nodes[&id].disk.entries.clone();
    assert_eq!(entries(1), entries(2), "the disk of member 1 has what its leader has");
}

/// What comes from the network is not believed. Members that were never written by us, other versions and
/// broken machines are out there.
#[graded]
fn what_no_member_says_is_refused_and_stops_nobody() {
    let mut cluster = three([&["a", "b"], &[], &[]]);
    cluster.node(1).slow = true;
    let mut said = Vec::new();
    for round in 0..60 {
        for id in 1..=3 {
            cluster.tick(id);
            cluster.write(id);
            cluster.act(id);
        }
        said.extend(cluster.network.iter().map(|(_, message)| message.clone()));
        while cluster.step() {}
        if round == 30 {
            cluster.isolate(cluster.leader().unwrap_or(1));
        }
    }
    let mut refused = 0;
    for (at, message) in said.iter().enumerate() {
        let whole = message.bytes.to_vec();
        for (place, value) in (0..whole.len()).flat_map(|at| [(at, 0), (at, 0xff), (at, 0x7f), (at, 2)]) {
            let mut bytes = whole.clone();
            bytes[place] = value;
            let to = cluster.node(1 + (at as u64 + place as u64) % 3);
            refused += usize::from(to.member.handle_message(&Bytes::from(bytes)).is_err());
            to.member.poll_actions();
            if let Some(persist) = to.unwritten.take() {
                to.member.handle_persisted(persist.number);
            }
        }
        let cut = Bytes::from(whole[..whole.len() / 2].to_vec());
        let _ = cluster.node(2).member.handle_message(&cut);
    }
    assert!(refused > 0, "something of it must have been refused");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, ..Default::default() })]

    /// A law: whatever is lost, late, doubled or forgotten in a crash, no term has two leaders, and in the
    /// end there is one.
    #[graded]
    fn a_term_has_one_leader(seed: u64) {
        let mix = Mix { lose: 100, double: 50, reorder: 300, crash: 20, slow: true, partition: 5, ..Mix::default() };
        run(seed, 800, mix);
    }
}
