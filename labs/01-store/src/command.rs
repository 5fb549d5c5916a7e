//! Commands: everything that changes the store. They are logged, then applied, in one order.

use crate::alarm::Alarm;
use crate::auth::{AuthCommand, Caller};
use crate::error::Error;
use crate::store::{Store, Writer};
use crate::txn::{Decided, DeleteAnswer, DeleteRange, Put, PutAnswer, Txn, TxnAnswer};
use crate::types::{Event, LeaseId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Put(Put),
    Delete(DeleteRange),
    Txn(Txn),
    Compact {
        revision: i64,
    },
    /// Whoever proposes it has chosen the number: choosing is not deterministic.
    LeaseGrant {
        id: LeaseId,
        /// Seconds.
        ttl: i64,
    },
    LeaseRevoke {
        id: LeaseId,
    },
    /// How much time is left to leases: what whoever takes charge of them goes by.
    LeaseCheckpoint {
        /// In seconds; 0 for all of the time to live. Leases that do not exist are passed over.
        leases: Vec<(LeaseId, i64)>,
    },
    Alarm {
        alarm: Alarm,
        /// Or take it back.
        raise: bool,
    },
    /// Of users, roles and permissions.
    Auth(AuthCommand),
    /// A command, and who asked for it. Needed while authentication is on; without it a command is
    /// nobody's.
    As(Caller, Box<Command>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Put(PutAnswer),
    Delete(DeleteAnswer),
    Txn(TxnAnswer),
    Compact {
        revision: i64,
    },
    LeaseGrant {
        revision: i64,
        id: LeaseId,
        ttl: i64,
    },
    LeaseRevoke {
        revision: i64,
    },
    LeaseCheckpoint {
        revision: i64,
    },
    /// `alarm`: the one that was raised or taken back, if there was something to take back.
    Alarm {
        revision: i64,
        alarm: Option<Alarm>,
    },
    Auth {
        revision: i64,
    },
}

/// What a command did.
#[derive(Debug)]
pub struct Applied {
    pub answer: Result<Answer, Error>,
    /// All of one main revision, in order; empty when nothing was written.
    pub events: Vec<Event>,
}

impl Command {
    /// What is wrong with the request whatever the store holds: refused before it is logged.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Command::Put(put) => put.check(),
            Command::Delete(delete) => delete.check(),
            Command::Txn(txn) => txn.check(),
            Command::Compact { .. }
            | Command::LeaseGrant { .. }
            | Command::LeaseRevoke { .. }
            | Command::LeaseCheckpoint { .. }
            | Command::Alarm { .. }
            | Command::Auth(_) => Ok(()),
            Command::As(_, command) => command.check(),
        }
    }

    /// Who asked, and for what.
    pub fn unsigned(&self) -> (Option<&Caller>, &Command) {
        match self {
            Command::As(caller, command) => (Some(caller), command.unsigned().1),
            command => (None, command),
        }
    }
}

impl Store {
    /// Does a command. The outcome, errors included, depends on nothing but the store and the
    /// command.
    pub fn apply(&mut self, command: &Command) -> Applied {
        let (caller, command) = command.unsigned();
        let allowed = self.auth.check(caller, command, &self.leases).map_err(Error::from);
        if let Err(e) = allowed.and_then(|()| self.alarms.check(command)) {
            return Applied { answer: Err(e), events: Vec::new() };
        }
        let answer = match command {
            Command::Put(put) => match put.check_against(self) {
                Ok(()) => return self.write(|w| put.apply(w).map(Answer::Put)),
                Err(e) => Err(e),
            },
            Command::Delete(delete) => return self.write(|w| Ok(Answer::Delete(delete.apply(w)))),
            Command::Txn(txn) => {
                let decided = Decided::new(txn, self);
                match decided.check(self) {
                    Ok(()) => {
                        return self.write(|w| {
                            let mut answer = decided.apply(w)?;
                            answer.revision = w.revision();
                            Ok(Answer::Txn(answer))
                        });
                    }
                    Err(e) => Err(e),
                }
            }
            Command::LeaseRevoke { id } => return self.revoke(*id),
            Command::LeaseGrant { id, ttl } => self.leases.grant(*id, *ttl).map(|ttl| {
                let revision = self.revision();
                Answer::LeaseGrant { revision, id: *id, ttl }
            }),
            Command::LeaseCheckpoint { leases } => {
                leases.iter().for_each(|(id, remaining)| self.leases.checkpoint(*id, *remaining));
                Ok(Answer::LeaseCheckpoint { revision: self.revision() })
            }
            Command::Compact { revision } => {
                self.compact(*revision).map(|()| Answer::Compact { revision: self.revision() })
            }
            Command::Alarm { alarm, raise } => {
                let alarm = self.alarms.set(*alarm, *raise);
                Ok(Answer::Alarm { revision: self.revision(), alarm })
            }
            Command::Auth(command) => {
                let done = self.auth.apply(command).map_err(Error::from);
                done.map(|()| Answer::Auth { revision: self.revision() })
            }
            Command::As(..) => unreachable!("nobody's command is left"),
        };
        Applied { answer, events: Vec::new() }
    }

    /// A lease ends, whoever wanted it, and takes its keys along.
    fn revoke(&mut self, id: LeaseId) -> Applied {
        let _ = &id;
        todo!(
            "lab 01.6: take the lease out, then delete every key that hung on it, in order, in one revision"
        )
    }

    fn write(&mut self, change: impl FnOnce(&mut Writer<'_>) -> Result<Answer, Error>) -> Applied {
        let mut writer = Writer::new(self);
        let answer = change(&mut writer);
        let events = writer.finish();
        assert!(answer.is_ok() || events.is_empty(), "a command that fails has changed nothing");
        Applied { answer, events }
    }
}
