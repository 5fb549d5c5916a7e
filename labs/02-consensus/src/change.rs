//! A change of members that somebody asks for, and what it does once it is agreed on.

use crate::error::Error;
use crate::member::Member;
use crate::membership::{self, Health};
use crate::types::{Change, MemberId};

impl Member {
    /// Whether a change may be proposed here and now. See [`Member::handle_change`].
    pub(crate) fn check_change(&mut self, change: &Change) -> Result<(), Error> {
        let _ = &change;
        todo!(
            "lab 02.6: ask the members; who only tells about itself may do so anywhere; otherwise only a leader, one change at a time, when all are well; and who would remove itself lets the voter heard of last lead instead"
        )
    }

    #[allow(dead_code, reason = "used by your answer")]
    fn health(&self) -> Health {
        let lately = self.now.saturating_sub(self.config.election_ticks as u64);
        let heard = self.heard.iter().filter(|(_, at)| **at >= lately).map(|(id, _)| *id);
        let progress = self.node.raft.prs().iter().map(|(id, progress)| (*id, progress.matched));
        Health {
            active: heard.chain([self.config.id]).collect(),
            matched: progress.collect(),
            last: self.node.raft.raft_log.persisted,
        }
    }

    /// From now on another majority decides.
    pub(crate) fn change(&mut self, change: &Change) {
        if let Some(conf) = membership::conf_change(change) {
            self.node.apply_conf_change(&conf).expect("the change was checked");
        }
        if let Change::Remove(id) = change {
            self.member_removed(*id);
        }
    }

    /// A member is gone. A leader that is gone itself tells the others how far the log is committed, for
    /// its own removal is in there, and leads no more: one of them must.
    fn member_removed(&mut self, id: MemberId) {
        let _ = &id;
        todo!(
            "lab 02.6: it counts as heard of no more; and if it is this leader: send appends to all, then become a follower of nobody in the same term"
        )
    }
}
