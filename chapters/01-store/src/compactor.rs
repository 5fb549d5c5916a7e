//! Forgetting old history by itself: `--auto-compaction-mode` and `--auto-compaction-retention`.
//!
//! By time, the revisions of the past are noted a few times per retention, and the newest one that is
//! old enough is compacted to; by number, the one that is so many behind. Only the leader does it, as
//! in etcd, for a compaction is a command like any other.

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{debug, info};

use crate::heart::{Command, Store};
use crate::local::Local;
use crate::request::Request;
use crate::service::Identity;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    Time(Duration),
    Revisions(u64),
}

/// How often by number: etcd's.
const REVISION_INTERVAL: Duration = Duration::from_secs(300);
/// Longest time between two compactions by time: etcd's.
const LONGEST_PERIOD: Duration = Duration::from_secs(3600);
/// Revisions are noted so often between two compactions.
const NOTES: u32 = 10;

/// Decides. It has no clock: it is told of each [`Self::tick`] that has gone by.
#[derive(Debug)]
pub struct Compactor {
    retention: Retention,
    /// Revisions at past ticks, oldest first; as many as the retention has.
    notes: VecDeque<i64>,
    ticks: u32,
    /// What was compacted to last.
    last: i64,
}

impl Compactor {
    pub fn new(retention: Retention) -> Self {
        Compactor { retention, notes: VecDeque::new(), ticks: 0, last: 0 }
    }

    /// The time between two calls of [`Self::handle_tick`].
    pub fn tick(&self) -> Duration {
        match self.retention {
            Retention::Time(time) => time.min(LONGEST_PERIOD) / NOTES,
            Retention::Revisions(_) => REVISION_INTERVAL,
        }
    }

    /// The revision to compact to now, if any. `leads` is false as long as this is another member's
    /// task: time counts all the same.
    pub fn handle_tick(&mut self, revision: i64, leads: bool) -> Option<i64> {
        let at = match self.retention {
            Retention::Revisions(keep) => revision.checked_sub_unsigned(keep)?,
            Retention::Time(time) => {
                self.notes.push_back(revision);
                let ticks = time.div_duration_f64(self.tick()).round() as usize;
                if self.notes.len() <= ticks {
                    return None;
                }
                let old = self.notes.pop_front()?;
                self.ticks = (self.ticks + 1) % NOTES;
                if self.ticks != 1 {
                    return None;
                }
                old
            }
        };
        if !leads || at <= self.last.max(0) {
            return None;
        }
        self.last = at;
        Some(at)
    }
}

/// Compacts whenever it is time, until the loop has ended.
pub async fn run(retention: Retention, local: Local, identity: Identity) {
    let mut compactor = Compactor::new(retention);
    let mut ticks = tokio::time::interval(compactor.tick());
    loop {
        ticks.tick().await;
        let Ok(status) = local.ask(Request::Status).await else { return };
        let leads = identity.leader() == identity.member_id;
        let Some(revision) = compactor.handle_tick(status.revision, leads) else { continue };
        let command = move |store: &Store| Ok(store.auth().as_root(Command::Compact { revision }));
        let Ok(command) = local.look(true, command).await else { return };
        let bytes = command.encode();
        match local.ask(|reply| Request::Write(command, bytes, reply)).await {
            Ok(Ok(_)) => info!(revision, "compacted by itself"),
            // Somebody else was faster, or nobody leads: there is a next time.
            Ok(Err(e)) => debug!(revision, "not compacted: {}", e.message()),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_number_so_many_revisions_are_kept() {
        let mut compactor = Compactor::new(Retention::Revisions(100));
        assert_eq!(compactor.tick(), Duration::from_secs(300));
        assert_eq!(compactor.handle_tick(50, true), None);
        assert_eq!(compactor.handle_tick(150, true), Some(50));
        assert_eq!(compactor.handle_tick(150, true), None, "nothing new is old");
        assert_eq!(compactor.handle_tick(300, false), None);
        assert_eq!(compactor.handle_tick(300, true), Some(200));
    }

    #[test]
    fn by_time_what_was_current_so_long_ago_is_compacted_to_once_a_period() {
        for (retention, period) in [(300, 300), (2 * 3600, 3600)] {
            let mut compactor = Compactor::new(Retention::Time(Duration::from_secs(retention)));
            let tick = compactor.tick().as_secs();
            // The revision is the time in seconds.
            let compacted: Vec<_> = (0..)
                .map(|n| n * tick)
                .take_while(|now| *now <= retention + 2 * period)
                .filter_map(|now| Some((now, compactor.handle_tick(now as i64 + 1, true)?)))
                .collect();
            let at = |n| (retention + n * period, (n * period) as i64 + 1);
            assert_eq!(compacted, [at(0), at(1), at(2)]);
        }
    }
}
