//! Random runs of a whole cluster, from a seed. What must hold at every moment, [`Cluster`] checks; what
//! must hold in the end is checked here.

use std::collections::BTreeSet;

use crate::cluster::{Cluster, Disk, peer};
use crate::heart::types::{Change, MemberId, Peer, Role};

/// What happens in a run, and how often: in how many of a thousand steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mix {
    pub propose: bool,
    pub read: bool,
    pub lose: u64,
    pub double: u64,
    /// The next message is one from the middle of the queue.
    pub reorder: u64,
    pub crash: u64,
    /// Disks write when it is their turn, and a crash loses what they were given.
    pub slow: bool,
    pub snapshot: u64,
    pub partition: u64,
    pub change: u64,
    pub transfer: u64,
}

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn chance(&mut self, of_thousand: u64) -> bool {
        self.next() % 1000 < of_thousand
    }
}

/// A run of so many steps with three members; returns it when all is quiet again.
pub fn run(seed: u64, steps: u32, mix: Mix) -> Cluster {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut cluster = Cluster::new(3);
    let mut proposed = BTreeSet::new();
    for _ in 0..steps {
        let ids: Vec<MemberId> = cluster.nodes.keys().copied().collect();
        let id = ids[dice.below(ids.len())];
        cluster.node(id).slow = mix.slow;
        let (from, other) = (ids[dice.below(ids.len())], ids[dice.below(ids.len())]);
        match dice.below(12) {
            0..2 => cluster.tick(id),
            2 if mix.propose => {
                let command = format!("c{}", proposed.len());
                cluster.propose(id, &command);
                proposed.insert(command);
            }
            3 if mix.read => {
                cluster.read(id);
            }
            4 | 5 if mix.slow => {
                cluster.write(id);
                cluster.act(id);
            }
            _ => message(&mut cluster, &mut dice, mix),
        }
        if dice.chance(mix.crash) {
            cluster.crash(id);
        }
        // Not while a snapshot from elsewhere is being written.
        let free = cluster.node(id).unwritten.as_ref().is_none_or(|persist| persist.snapshot.is_none());
        if dice.chance(mix.snapshot) && free {
            cluster.snapshot(id);
        }
        if dice.chance(mix.partition) {
            cluster.cut.insert((from, other));
        }
        if dice.chance(mix.partition / 2) {
            cluster.heal();
        }
        if dice.chance(mix.transfer) {
            let _ = cluster.node(id).member.handle_transfer(other);
            cluster.act(id);
        }
        if dice.chance(mix.change) {
            change(&mut cluster, &mut dice, id);
        }
    }
    quiet(&mut cluster);
    check(&cluster);
    cluster
}

fn message(cluster: &mut Cluster, dice: &mut Dice, mix: Mix) {
    if cluster.network.is_empty() {
        return;
    }
    let at = if dice.chance(mix.reorder) { dice.below(cluster.network.len()) } else { 0 };
    let Some((from, message)) = cluster.network.remove(at) else { return };
    if dice.chance(mix.lose) {
        if message.snapshot.is_some() {
            cluster.node(from).member.handle_snapshot_sent(message.to, false);
            cluster.act(from);
        }
        return;
    }
    if dice.chance(mix.double) && message.snapshot.is_none() {
        cluster.network.push_back((from, message.clone()));
    }
    cluster.deliver(from, &message);
}

/// A member comes, is promoted, or goes. Whoever is gone is stopped a little later, as a shell would.
fn change(cluster: &mut Cluster, dice: &mut Dice, id: MemberId) {
    let members: Vec<Peer> = cluster.node(id).member.members();
    let new = cluster.nodes.keys().max().copied().unwrap_or_default() + 1;
    let change = match dice.below(4) {
        0 if cluster.nodes.len() < 5 => Change::Add(peer(new)),
        1 if cluster.nodes.len() < 5 => Change::Add(Peer { learner: true, ..peer(new) }),
        2 => match members.iter().find(|peer| peer.learner) {
            Some(learner) => Change::Promote(learner.id),
            None => return,
        },
        _ if members.len() > 2 => Change::Remove(members[dice.below(members.len())].id),
        _ => return,
    };
    let joins = matches!(change, Change::Add(_));
    cluster.change(id, change);
    if joins {
        // It starts whether it was added or not: nobody is disturbed by who waits.
        cluster.start(new, Disk::default(), &[]);
    }
}

/// Everything heals, and all has time to be done.
pub fn quiet(cluster: &mut Cluster) {
    cluster.heal();
    for id in cluster.nodes.keys().copied().collect::<Vec<_>>() {
        cluster.node(id).slow = false;
        cluster.write(id);
        cluster.act(id);
    }
    cluster.settle();
    for _ in 0..150 {
        cluster.tick_all(1);
        for id in cluster.nodes.keys().copied().collect::<Vec<_>>() {
            if cluster.node(id).snapshot_wanted {
                cluster.snapshot(id);
            }
        }
    }
}

/// Someone leads, all members have applied the same, and no command was applied twice.
pub fn check(cluster: &Cluster) {
    let leader = cluster.leader().expect("somebody leads when all is quiet");
    let members = cluster.nodes[&leader].member.members();
    for Peer { id, .. } in &members {
        let (node, first) = (&cluster.nodes[id], &cluster.nodes[&leader]);
        assert_eq!(node.member.members(), members, "members {id} and {leader} know other members");
        let (ours, theirs) = (cluster.commands(*id), cluster.commands(leader));
        assert_eq!(ours, theirs, "members {id} and {leader} have other stores");
        assert_eq!(node.store.last().map(|c| c.index), first.store.last().map(|c| c.index));
        assert!(cluster.standing(*id).role != Role::Candidate);
    }
    let store = &cluster.nodes[&leader].store;
    let stored: Vec<(u64, _)> = store.iter().map(|c| (c.index, c.command.clone())).collect();
    let truth: Vec<(u64, _)> = cluster.truth.clone().into_iter().collect();
    assert_eq!(stored, truth, "what was applied once, and perhaps answered, is lost");
    let commands = cluster.commands(leader);
    let different: BTreeSet<&String> = commands.iter().collect();
    assert_eq!(different.len(), commands.len(), "a command was applied twice");
}
