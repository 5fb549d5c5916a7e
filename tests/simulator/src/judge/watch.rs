//! The judge of watchers: told = what happened to their keys, in order, once, whole revisions at a time.

use crate::history::{Change, Key, Violation};
use crate::judge::revisions::Written;

/// What one watcher was told, over all the connections that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub first: Key,
    pub last: Key,
    /// It asked for everything from this revision on.
    pub from: i64,
    pub told: Vec<Told>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Changes, each with its revision, and the store's revision when they were sent.
    Changes { revision: i64, changes: Vec<(i64, Change)> },
    /// All up to this revision was told.
    Progress(i64),
    /// What is older than this revision is forgotten, so the watcher begins anew, there.
    Compacted(i64),
}

/// `until`: the watcher has been given the time to hear of everything up to this revision.
pub fn judge(watched: &Watched, written: &Written, until: Option<i64>) -> Result<(), Violation> {
    let Watched { first, last, from, told } = watched;
    let wrong = |why: String| Err(Violation(format!("watcher of k{first} to k{last} from {from}: {why}")));
    let wanted = |change: &Change| (*first..=*last).contains(&change.key);
    // Everything before this revision was told.
    let mut next = *from;
    for told in told {
        match told {
            Told::Changes { revision, changes } => {
                let Some((newest, _)) = changes.last() else {
                    return wrong("was told of nothing".into());
                };
                let due = due(written, next, *newest, wanted);
                if *changes != due {
                    return wrong(format!("was told {changes:?}, where it should have been {due:?}"));
                }
                if newest > revision {
                    return wrong(format!("was told {changes:?} by a store that was at revision {revision}"));
                }
                next = newest + 1;
            }
            Told::Progress(revision) => {
                let untold = due(written, next, *revision, wanted);
                if !untold.is_empty() {
                    return wrong(format!("was told that {revision} is reached, but not of {untold:?}"));
                }
                // Nothing of what is so far may come later.
                next = next.max(revision + 1);
            }
            Told::Compacted(revision) => {
                if *revision <= next {
                    return wrong(format!("needs {next} and is told that {revision} is the oldest"));
                }
                next = *revision;
            }
        }
    }
    let untold = due(written, next, until.unwrap_or(i64::MIN), wanted);
    if untold.is_empty() { Ok(()) } else { wrong(format!("was never told of {untold:?}")) }
}

fn due(written: &Written, from: i64, to: i64, wanted: impl Fn(&Change) -> bool) -> Vec<(i64, Change)> {
    if from > to {
        return Vec::new();
    }
    let revisions = written.revisions.range(from..=to);
    let changes = revisions.flat_map(|(revision, made)| made.changes.iter().map(move |c| (*revision, *c)));
    changes.filter(|(_, change)| wanted(change)).collect()
}
