//! Administrators: members are added, promoted and removed, leadership is handed over, history compacted.

use consensus::heart::types::Change;
use store::heart::Command;

use crate::cluster::{AGAIN, Cluster, RETIRE, peer};
use crate::node::id_of;
use crate::requests::{Admin, MACHINES};
use crate::state::{Ask, Reply};

/// How often another member is asked, when one has refused: only the leader can do most of it.
const TRIES: usize = 12;
const PAUSE_US: u64 = 100_000;
/// A machine that was removed goes on for a while, up to this long.
const FAREWELL_US: u64 = 2_000_000;

#[derive(Clone)]
pub struct Asking {
    pub request: u64,
    admin: Admin,
    /// What it is about.
    machine: usize,
    ask: Ask,
    tries: usize,
}

impl Cluster<'_> {
    pub fn administrate(&mut self, admin: Admin) {
        let (ask, machine) = match admin {
            Admin::Add { learner } => {
                let machine = self.next_machine;
                if machine >= MACHINES {
                    return;
                }
                self.next_machine += 1;
                self.machines.push(machine);
                (Ask::Change(Change::Add(peer(machine, learner))), machine)
            }
            Admin::Promote => {
                let Some(machine) = self.machines.last().copied() else { return };
                (Ask::Change(Change::Promote(id_of(machine))), machine)
            }
            Admin::Remove(machine) if self.machines.contains(&machine) && self.machines.len() > 1 => {
                (Ask::Change(Change::Remove(id_of(machine))), machine)
            }
            Admin::Remove(_) => return,
            Admin::Transfer(machine) => (Ask::Transfer(id_of(machine)), machine),
            Admin::Compact { keep } => {
                let revision = (self.ledger.borrow().written.last() - keep).max(1);
                (Ask::Write(Command::Compact { revision }), 0)
            }
        };
        self.ask(Asking { request: 0, admin, machine, ask, tries: 0 });
    }

    fn ask(&mut self, asking: Asking) {
        let asked = *self.random.pick(&self.machines);
        self.shared.requests += 1;
        let request = self.shared.requests;
        let ask = asking.ask.clone();
        self.world.trace.note(None, || format!("an administrator to m{asked}: {ask:?}"));
        self.admin.push(Asking { request, tries: asking.tries + 1, ..asking });
        self.world.ask(asked, request, ask);
        self.world.wake(self.world.now_us() + self.shape.patience_us, request);
    }

    /// The time has come to ask once more for what was refused.
    pub fn ask_again(&mut self, refused: usize) {
        let asking = self.again[refused].clone();
        self.ask(asking);
    }

    /// Whether the answer was an administrator's.
    pub fn handle_admin(&mut self, request: u64, reply: &Reply) -> bool {
        let Some(at) = self.admin.iter().position(|asking| asking.request == request) else { return false };
        let asking = self.admin.remove(at);
        match reply {
            Reply::Done => self.handle_done(&asking),
            Reply::Refused { unknown: false } if asking.tries < TRIES && !self.healed => {
                self.again.push(asking);
                self.world.wake(self.world.now_us() + PAUSE_US, AGAIN + self.again.len() as u64 - 1);
            }
            _ => {}
        }
        true
    }

    fn handle_done(&mut self, Asking { admin, machine, .. }: &Asking) {
        match admin {
            Admin::Add { .. } => {
                self.changes += 1;
                self.start(*machine);
            }
            Admin::Promote => self.changes += 1,
            Admin::Remove(_) => {
                self.changes += 1;
                self.machines.retain(|other| other != machine);
                let at_us = self.world.now_us() + self.random.below(FAREWELL_US);
                self.world.wake(at_us, RETIRE + *machine as u64);
            }
            Admin::Transfer(_) | Admin::Compact { .. } => {}
        }
    }
}
