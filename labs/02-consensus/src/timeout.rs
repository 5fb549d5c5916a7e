//! When to stand for election: after a random time, so that members seldom stand at once and split the vote.
//!
//! The `raft` crate throws its own dice. A core has no randomness, so this one throws them instead, from a
//! seed: the same calls make the same elections, and a run can be replayed.

use raft::{RawNode, StateRole, Storage};

#[derive(Debug)]
pub(crate) struct Timeout {
    state: u64,
    ticks: usize,
    /// Term, role and leader for which the dice were thrown.
    thrown_for: (u64, StateRole, u64),
}

impl Timeout {
    pub(crate) fn new(seed: u64) -> Self {
        Timeout { state: seed, ticks: 0, thrown_for: (0, StateRole::Follower, 0) }
    }

    /// To be called after each call that can have made the `raft` crate throw its dice.
    pub(crate) fn set<T: Storage>(&mut self, node: &mut RawNode<T>) {
        let raft = &mut node.raft;
        let now = (raft.term, raft.state, raft.leader_id);
        if self.ticks == 0 || self.thrown_for != now {
            let least = raft.election_timeout();
            self.ticks = least + (self.next() % least as u64) as usize;
            self.thrown_for = now;
        }
        raft.set_randomized_election_timeout(self.ticks);
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
