//! Whether a caller may do what is asked.

use super::{Auth, AuthCommand, AuthError, Caller, ROOT, Rights};
use crate::command::Command;
use crate::lease::Leases;
use crate::txn::{DeleteRange, Op, Put, Txn};
use crate::types::{KeyRange, LeaseId, NO_LEASE};

/// What a caller may do with keys.
enum May<'a> {
    Everything,
    Only(&'a Rights),
    Nothing,
}

impl May<'_> {
    fn read(&self, keys: &KeyRange) -> Result<(), AuthError> {
        self.is(|rights| rights.may_read(keys))
    }

    fn write(&self, keys: &KeyRange) -> Result<(), AuthError> {
        self.is(|rights| rights.may_write(keys))
    }

    fn is(&self, allowed: impl FnOnce(&Rights) -> bool) -> Result<(), AuthError> {
        let allowed = match self {
            May::Everything => true,
            May::Only(rights) => allowed(rights),
            May::Nothing => false,
        };
        if allowed { Ok(()) } else { Err(AuthError::PermissionDenied) }
    }

    /// Whoever ends a lease deletes its keys, so it takes a right to them, and so does hanging one's
    /// own keys on it: they would go when others end it.
    fn write_lease(&self, id: LeaseId, leases: &Leases) -> Result<(), AuthError> {
        let mut keys = leases.get(id).into_iter().flat_map(|lease| &lease.keys);
        keys.try_for_each(|key| self.write(&KeyRange::single(key.clone())))
    }

    fn read_lease(&self, id: LeaseId, leases: &Leases) -> Result<(), AuthError> {
        let mut keys = leases.get(id).into_iter().flat_map(|lease| &lease.keys);
        keys.try_for_each(|key| self.read(&KeyRange::single(key.clone())))
    }

    fn put(&self, put: &Put, leases: &Leases) -> Result<(), AuthError> {
        let key = KeyRange::single(put.key.clone());
        self.write(&key)?;
        if put.lease != NO_LEASE {
            self.write_lease(put.lease, leases)?;
        }
        if put.prev_kv { self.read(&key) } else { Ok(()) }
    }

    fn delete(&self, delete: &DeleteRange) -> Result<(), AuthError> {
        self.write(&delete.keys)?;
        if delete.prev_kv { self.read(&delete.keys) } else { Ok(()) }
    }

    /// All compares and both branches: which one is taken tells something, too.
    fn txn(&self, txn: &Txn, leases: &Leases) -> Result<(), AuthError> {
        txn.compare.iter().try_for_each(|compare| self.read(&compare.keys))?;
        txn.success.iter().chain(&txn.failure).try_for_each(|op| match op {
            Op::Range(range) => self.read(&range.keys),
            Op::Put(put) => self.put(put, leases),
            Op::Delete(delete) => self.delete(delete),
            Op::Txn(txn) => self.txn(txn, leases),
        })
    }
}

impl Auth {
    /// Whether the caller may have the command done now.
    pub fn check(
        &self,
        caller: Option<&Caller>,
        command: &Command,
        leases: &Leases,
    ) -> Result<(), AuthError> {
        if !self.is_enabled() {
            return Ok(());
        }
        match command {
            Command::Put(put) => self.may(caller)?.put(put, leases),
            Command::Delete(delete) => self.may(caller)?.delete(delete),
            Command::Txn(txn) => self.may(caller)?.txn(txn, leases),
            Command::Compact { .. } | Command::LeaseGrant { .. } => self.check_user(caller),
            // Root's commands are not refused for their age: the store's own are among them.
            Command::LeaseRevoke { .. } if self.check_root(caller).is_ok() => Ok(()),
            Command::LeaseRevoke { id } => {
                self.check_user(caller)?;
                self.may(caller)?.write_lease(*id, leases)
            }
            // Nobody has a password before this.
            Command::Auth(AuthCommand::Authenticate { .. }) => Ok(()),
            Command::Auth(_) => self.check_root(caller),
            // Clients cannot ask for the one, and are looked at before the other is proposed.
            Command::LeaseCheckpoint { .. } | Command::Alarm { .. } => Ok(()),
            Command::As(caller, command) => self.check(Some(caller), command, leases),
        }
    }

    /// Whether the caller may read the keys, or watch them.
    pub fn check_range(&self, caller: Option<&Caller>, keys: &KeyRange) -> Result<(), AuthError> {
        if self.is_enabled() { self.may(caller)?.read(keys) } else { Ok(()) }
    }

    /// For transactions that only read: others are commands.
    pub fn check_txn(&self, caller: Option<&Caller>, txn: &Txn) -> Result<(), AuthError> {
        if self.is_enabled() { self.may(caller)?.txn(txn, &Leases::default()) } else { Ok(()) }
    }

    /// Whether the caller may be told a lease's keys.
    pub fn check_lease(
        &self,
        caller: Option<&Caller>,
        id: LeaseId,
        leases: &Leases,
    ) -> Result<(), AuthError> {
        if self.is_enabled() { self.may(caller)?.read_lease(id, leases) } else { Ok(()) }
    }

    /// Whether the caller may do what belongs to the cluster and not to keys.
    pub fn check_root(&self, caller: Option<&Caller>) -> Result<(), AuthError> {
        if !self.is_enabled() {
            return Ok(());
        }
        match caller.filter(|c| !c.user.is_empty()) {
            None => Err(AuthError::UserEmpty),
            Some(caller) if self.is_root(&caller.user) => Ok(()),
            Some(_) => Err(AuthError::PermissionDenied),
        }
    }

    /// Whether the caller is anybody.
    pub fn check_user(&self, caller: Option<&Caller>) -> Result<(), AuthError> {
        match self.check_root(caller) {
            Err(AuthError::PermissionDenied) if caller.is_some_and(|c| self.users.contains_key(&*c.user)) => {
                Ok(())
            }
            checked => checked,
        }
    }

    fn is_root(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(|user| user.roles.contains(ROOT))
    }

    fn may(&self, caller: Option<&Caller>) -> Result<May<'_>, AuthError> {
        let caller = caller.ok_or(AuthError::UserEmpty)?;
        if caller.revision < self.revision() {
            return Err(AuthError::OldRevision);
        }
        Ok(match self.rights.get(&*caller.user) {
            _ if self.is_root(&caller.user) => May::Everything,
            Some(rights) => May::Only(rights),
            None => May::Nothing,
        })
    }
}
