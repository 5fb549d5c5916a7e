//! What is agreed on has its turn: commands go to the store, changes of members to the `raft` crate, and
//! whoever asked is answered.

use raft::ReadState;
use raft::eraftpb::Entry;

use crate::member::{Action, Member};
use crate::sessions::Origin;
use crate::snapshot::Effect;
use crate::types::{Asked, Committed, LogEntry};

impl Member {
    /// Gives each entry its turn.
    #[allow(dead_code, reason = "used by your answer")]
    pub(crate) fn apply(&mut self, entries: Vec<Entry>, out: &mut Vec<Action>) {
        let mut commands = Vec::new();
        for entry in entries.into_iter().map(LogEntry::from) {
            self.applied = entry.index;
            let effect = self.state.apply(&entry);
            if effect == Effect::Nothing {
                continue;
            }
            let origin = Origin::decode(&entry.context).ok();
            let asked = origin.and_then(|origin| self.proposals.applied(&origin));
            match effect {
                Effect::Nothing => {}
                Effect::Command => {
                    let number = asked.and_then(|asked| match asked {
                        Asked::Proposal(number) => Some(number),
                        Asked::Change(_) | Asked::Reads(_) => None,
                    });
                    self.handed_out = entry.index;
                    commands.push(Committed { index: entry.index, number, command: entry.data });
                }
                Effect::Change(change, possible) => {
                    if !commands.is_empty() {
                        out.push(Action::Apply(std::mem::take(&mut commands)));
                    }
                    if possible.is_ok() {
                        self.change(&change);
                        out.push(Action::Members);
                    }
                    if let Some(what @ Asked::Change(number)) = asked {
                        out.push(match possible {
                            Ok(()) => Action::Changed { number },
                            Err(why) => Action::Refuse { what, why },
                        });
                    }
                }
            }
        }
        if !commands.is_empty() {
            out.push(Action::Apply(commands));
        }
    }

    #[allow(dead_code, reason = "used by your answer")]
    pub(crate) fn confirm_reads(&mut self, states: Vec<ReadState>) {
        for state in states {
            self.reads.confirm(&state.request_ctx, state.index);
        }
    }

    /// Reads that have waited for what is applied now.
    #[allow(dead_code, reason = "used by your answer")]
    pub(crate) fn tell_readable(&mut self, out: &mut Vec<Action>) {
        if !self.reads.is_idle()
            && let Some(number) = self.reads.readable(self.applied)
        {
            out.push(Action::Readable { number, index: self.handed_out });
        }
    }
}
