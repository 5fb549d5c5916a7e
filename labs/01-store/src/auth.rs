//! Users, roles and permissions: who may read and write which keys.
//!
//! ```text
//!   user ──has──► roles ──have──► permissions: read, write or both, on a range of keys
//!                   │
//!                   └─ "root" may do everything
//! ```
//!
//! All of it is part of the store, changed by commands and the same on every member, so that every
//! member refuses alike. It is checked when a command is *applied*, not when it is proposed: then it
//! is certain which change came first. A command carries who asks ([`Command::As`]); one that carries
//! nobody is nobody's, and while authentication is on nobody may do anything.
//!
//! The state has a revision of its own. A caller is known as of one, and a command is refused if
//! anything has changed since: what the caller was allowed then may not be allowed now.
//!
//! What is secret stays outside: passwords come as hashes, made and compared by the shell, and tokens
//! are the shell's (a command only says that one was given, so that all members know it).
//!
//! Where etcd 3.4 lets anyone in, this store does as later etcds do: leases are granted and revoked
//! by users alone, and a put in a transaction needs all that a put alone needs. Compaction needs a
//! user, too.

mod check;
mod encoding;
mod error;
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use error::AuthError;
use rights::Rights;
pub use rights::{Access, Permission};

use crate::command::Command;
use crate::types::KeyRange;

/// The user, and the role, that may do everything. Neither can go while authentication is on.
pub const ROOT: &str = "root";

/// Who asks, as of a revision of [`Auth`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub user: Arc<str>,
    pub revision: u64,
}

/// A password as it is kept; nothing can be told from it. `None`: the user has none, and comes with
/// a certificate.
pub type PasswordHash = Option<Arc<str>>;

/// Changes of users, roles and permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthCommand {
    Enable,
    Disable,
    /// The password was right as of this revision; `token` is part of what will stand for the user.
    Authenticate {
        user: String,
        token: String,
        revision: u64,
    },
    UserAdd {
        user: String,
        password: PasswordHash,
    },
    UserDelete {
        user: String,
    },
    UserChangePassword {
        user: String,
        password: PasswordHash,
    },
    UserGrantRole {
        user: String,
        role: String,
    },
    UserRevokeRole {
        user: String,
        role: String,
    },
    RoleAdd {
        role: String,
    },
    RoleDelete {
        role: String,
    },
    RoleGrant {
        role: String,
        permission: Permission,
    },
    RoleRevoke {
        role: String,
        keys: KeyRange,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct User {
    password: PasswordHash,
    roles: BTreeSet<String>,
}

/// The state. Reads borrow it through [`Store::auth`](crate::Store::auth).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    enabled: bool,
    revision: u64,
    users: BTreeMap<String, User>,
    /// In the order in which etcd lists them: by first key, then by age.
    roles: BTreeMap<String, Vec<Permission>>,
    /// What each user may do, all roles together. Made of the rest.
    rights: BTreeMap<String, Rights>,
}

impl Default for Auth {
    fn default() -> Self {
        Auth {
            enabled: false,
            revision: 1,
            users: BTreeMap::new(),
            roles: BTreeMap::new(),
            rights: BTreeMap::new(),
        }
    }
}

impl Auth {
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Counts the changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A command of the store's own, which nobody asked for: root's.
    pub fn as_root(&self, command: Command) -> Command {
        if !self.enabled {
            return command;
        }
        Command::As(Caller { user: ROOT.into(), revision: self.revision }, Box::new(command))
    }

    /// What to compare a password with, and the revision to name in [`AuthCommand::Authenticate`].
    pub fn password(&self, user: &str) -> Result<(Arc<str>, u64), AuthError> {
        if !self.enabled {
            return Err(AuthError::NotEnabled);
        }
        let user = self.users.get(user).ok_or(AuthError::Failed)?;
        let password = user.password.clone().ok_or(AuthError::NoPassword)?;
        Ok((password, self.revision))
    }

    /// A user's roles. Users may look at themselves, root at all.
    pub fn user(&self, caller: Option<&Caller>, user: &str) -> Result<Vec<String>, AuthError> {
        match self.check_root(caller) {
            Err(e) if caller.is_none_or(|c| *c.user != *user) => Err(e),
            _ => Ok(self.get_user(user)?.roles.iter().cloned().collect()),
        }
    }

    /// Their names.
    pub fn users(&self, caller: Option<&Caller>) -> Result<Vec<String>, AuthError> {
        self.check_root(caller)?;
        Ok(self.users.keys().cloned().collect())
    }

    /// A role's permissions. Users may look at the roles that they have, root at all.
    pub fn role(&self, caller: Option<&Caller>, role: &str) -> Result<Vec<Permission>, AuthError> {
        let has = |c: &Caller| self.users.get(&*c.user).is_some_and(|u| u.roles.contains(role));
        match self.check_root(caller) {
            Err(e) if !caller.is_some_and(has) => Err(e),
            _ => {
                let permissions = self.roles.get(role).ok_or(AuthError::RoleNotFound)?;
                Ok(if role == ROOT { vec![Permission::everything()] } else { permissions.clone() })
            }
        }
    }

    /// Their names.
    pub fn roles(&self, caller: Option<&Caller>) -> Result<Vec<String>, AuthError> {
        self.check_root(caller)?;
        Ok(self.roles.keys().cloned().collect())
    }

    fn get_user(&self, user: &str) -> Result<&User, AuthError> {
        self.users.get(user).ok_or(AuthError::UserNotFound)
    }

    fn get_user_mut(&mut self, user: &str) -> Result<&mut User, AuthError> {
        self.users.get_mut(user).ok_or(AuthError::UserNotFound)
    }

    /// Makes a change that [`Self::check`] allows. Only what changes something counts.
    pub(crate) fn apply(&mut self, command: &AuthCommand) -> Result<(), AuthError> {
        let changed = match command {
            AuthCommand::Enable => self.enable()?,
            AuthCommand::Disable => std::mem::replace(&mut self.enabled, false),
            AuthCommand::Authenticate { user, revision, .. } => self.authenticate(user, *revision)?,
            AuthCommand::UserAdd { user, password } => self.user_add(user, password)?,
            AuthCommand::UserDelete { user } => self.user_delete(user)?,
            AuthCommand::UserChangePassword { user, password } => self.user_password(user, password)?,
            AuthCommand::UserGrantRole { user, role } => self.user_grant(user, role)?,
            AuthCommand::UserRevokeRole { user, role } => self.user_revoke(user, role)?,
            AuthCommand::RoleAdd { role } => self.role_add(role)?,
            AuthCommand::RoleDelete { role } => self.role_delete(role)?,
            AuthCommand::RoleGrant { role, permission } => self.role_grant(role, permission)?,
            AuthCommand::RoleRevoke { role, keys } => self.role_revoke(role, keys)?,
        };
        self.revision += u64::from(changed);
        Ok(())
    }

    fn enable(&mut self) -> Result<bool, AuthError> {
        let root = self.users.get(ROOT).ok_or(AuthError::RootUserNotExist)?;
        if !root.roles.contains(ROOT) {
            return Err(AuthError::RootRoleNotExist);
        }
        self.enabled = true;
        // etcd does not count this one.
        Ok(false)
    }

    fn authenticate(&self, user: &str, revision: u64) -> Result<bool, AuthError> {
        let (_, now) = self.password(user)?;
        if now != revision {
            return Err(AuthError::OldRevision);
        }
        Ok(false)
    }

    fn user_add(&mut self, user: &str, password: &PasswordHash) -> Result<bool, AuthError> {
        if user.is_empty() {
            return Err(AuthError::UserEmpty);
        }
        if self.users.contains_key(user) {
            return Err(AuthError::UserExists);
        }
        let fresh = User { password: password.clone(), roles: BTreeSet::new() };
        self.users.insert(user.into(), fresh);
        self.refresh(user);
        Ok(true)
    }

    fn user_delete(&mut self, user: &str) -> Result<bool, AuthError> {
        if self.enabled && user == ROOT {
            return Err(AuthError::InvalidManagement);
        }
        self.users.remove(user).ok_or(AuthError::UserNotFound)?;
        self.rights.remove(user);
        Ok(true)
    }

    /// Who has no password does not get one.
    fn user_password(&mut self, user: &str, password: &PasswordHash) -> Result<bool, AuthError> {
        let user = self.get_user_mut(user)?;
        if user.password.is_some() {
            user.password = password.clone();
        }
        Ok(true)
    }

    fn user_grant(&mut self, user: &str, role: &str) -> Result<bool, AuthError> {
        let known = role == ROOT || self.roles.contains_key(role);
        let to = self.get_user_mut(user)?;
        if !known {
            return Err(AuthError::RoleNotFound);
        }
        let changed = to.roles.insert(role.into());
        self.refresh(user);
        Ok(changed)
    }

    fn user_revoke(&mut self, user: &str, role: &str) -> Result<bool, AuthError> {
        if self.enabled && user == ROOT && role == ROOT {
            return Err(AuthError::InvalidManagement);
        }
        if !self.get_user_mut(user)?.roles.remove(role) {
            return Err(AuthError::RoleNotGranted);
        }
        self.refresh(user);
        Ok(true)
    }

    fn role_add(&mut self, role: &str) -> Result<bool, AuthError> {
        if role.is_empty() {
            return Err(AuthError::RoleEmpty);
        }
        if self.roles.contains_key(role) {
            return Err(AuthError::RoleExists);
        }
        self.roles.insert(role.into(), Vec::new());
        Ok(true)
    }

    fn role_delete(&mut self, role: &str) -> Result<bool, AuthError> {
        if self.enabled && role == ROOT {
            return Err(AuthError::InvalidManagement);
        }
        self.roles.remove(role).ok_or(AuthError::RoleNotFound)?;
        for user in self.having(role) {
            self.get_user_mut(&user)?.roles.remove(role);
            self.refresh(&user);
        }
        Ok(true)
    }

    /// A second permission on the same range takes the place of the first.
    fn role_grant(&mut self, role: &str, permission: &Permission) -> Result<bool, AuthError> {
        let permissions = self.roles.get_mut(role).ok_or(AuthError::RoleNotFound)?;
        match permissions.iter_mut().find(|p| p.keys == permission.keys) {
            Some(old) => old.access = permission.access,
            None => {
                let at = permissions.partition_point(|p| p.keys.start <= permission.keys.start);
                permissions.insert(at, permission.clone());
            }
        }
        self.refresh_having(role);
        Ok(true)
    }

    fn role_revoke(&mut self, role: &str, keys: &KeyRange) -> Result<bool, AuthError> {
        let permissions = self.roles.get_mut(role).ok_or(AuthError::RoleNotFound)?;
        let before = permissions.len();
        permissions.retain(|p| p.keys != *keys);
        if permissions.len() == before {
            return Err(AuthError::PermissionNotGranted);
        }
        self.refresh_having(role);
        Ok(true)
    }

    fn having(&self, role: &str) -> Vec<String> {
        let having = self.users.iter().filter(|(_, user)| user.roles.contains(role));
        having.map(|(name, _)| name.clone()).collect()
    }

    fn refresh_having(&mut self, role: &str) {
        for user in self.having(role) {
            self.refresh(&user);
        }
    }

    fn refresh(&mut self, user: &str) {
        let Some(roles) = self.users.get(user).map(|u| &u.roles) else { return };
        let permissions = roles.iter().filter_map(|role| self.roles.get(role)).flatten();
        self.rights.insert(user.into(), Rights::of(permissions));
    }
}
