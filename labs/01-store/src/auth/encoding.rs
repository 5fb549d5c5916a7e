//! Users, roles and their changes as bytes.

use std::sync::Arc;

use super::{Access, Auth, AuthCommand, Caller, PasswordHash, Permission, User};
use crate::codec::{Decoder, Encoder, Malformed};
use crate::encoding::{decode_keys, encode_keys};

fn encode_text(e: &mut Encoder, text: &str) {
    e.bytes(text.as_bytes());
}

fn decode_text(d: &mut Decoder<'_>) -> Result<String, Malformed> {
    let text = std::str::from_utf8(d.slice()?).map_err(|_| Malformed("a name is not UTF-8"))?;
    Ok(text.to_owned())
}

fn encode_password(e: &mut Encoder, password: &PasswordHash) {
    e.bool(password.is_some());
    if let Some(password) = password {
        encode_text(e, password);
    }
}

fn decode_password(d: &mut Decoder<'_>) -> Result<PasswordHash, Malformed> {
    d.bool()?.then(|| decode_text(d).map(Arc::from)).transpose()
}

fn encode_permission(e: &mut Encoder, permission: &Permission) {
    e.out.push(match permission.access {
        Access::Read => 0,
        Access::Write => 1,
        Access::ReadWrite => 2,
    });
    encode_keys(e, &permission.keys);
}

fn decode_permission(d: &mut Decoder<'_>) -> Result<Permission, Malformed> {
    let access = match d.u8()? {
        0 => Access::Read,
        1 => Access::Write,
        2 => Access::ReadWrite,
        _ => return Err(Malformed("an unknown kind of permission")),
    };
    Ok(Permission { access, keys: decode_keys(d)? })
}

impl Caller {
    pub(crate) fn encode(&self, e: &mut Encoder) {
        encode_text(e, &self.user);
        e.u64(self.revision);
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Caller, Malformed> {
        Ok(Caller { user: decode_text(d)?.into(), revision: d.u64()? })
    }
}

impl AuthCommand {
    pub(crate) fn encode(&self, e: &mut Encoder) {
        let tagged = |e: &mut Encoder, tag, texts: &[&str]| {
            e.out.push(tag);
            texts.iter().for_each(|text| encode_text(e, text));
        };
        match self {
            AuthCommand::Enable => tagged(e, 1, &[]),
            AuthCommand::Disable => tagged(e, 2, &[]),
            AuthCommand::Authenticate { user, token, revision } => {
                tagged(e, 3, &[user, token]);
                e.u64(*revision);
            }
            AuthCommand::UserAdd { user, password } => {
                tagged(e, 4, &[user]);
                encode_password(e, password);
            }
            AuthCommand::UserDelete { user } => tagged(e, 5, &[user]),
            AuthCommand::UserChangePassword { user, password } => {
                tagged(e, 6, &[user]);
                encode_password(e, password);
            }
            AuthCommand::UserGrantRole { user, role } => tagged(e, 7, &[user, role]),
            AuthCommand::UserRevokeRole { user, role } => tagged(e, 8, &[user, role]),
            AuthCommand::RoleAdd { role } => tagged(e, 9, &[role]),
            AuthCommand::RoleDelete { role } => tagged(e, 10, &[role]),
            AuthCommand::RoleGrant { role, permission } => {
                tagged(e, 11, &[role]);
                encode_permission(e, permission);
            }
            AuthCommand::RoleRevoke { role, keys } => {
                tagged(e, 12, &[role]);
                encode_keys(e, keys);
            }
        }
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<AuthCommand, Malformed> {
        let text = decode_text;
        Ok(match d.u8()? {
            1 => AuthCommand::Enable,
            2 => AuthCommand::Disable,
            3 => AuthCommand::Authenticate { user: text(d)?, token: text(d)?, revision: d.u64()? },
            4 => AuthCommand::UserAdd { user: text(d)?, password: decode_password(d)? },
            5 => AuthCommand::UserDelete { user: text(d)? },
            6 => AuthCommand::UserChangePassword { user: text(d)?, password: decode_password(d)? },
            7 => AuthCommand::UserGrantRole { user: text(d)?, role: text(d)? },
            8 => AuthCommand::UserRevokeRole { user: text(d)?, role: text(d)? },
            9 => AuthCommand::RoleAdd { role: text(d)? },
            10 => AuthCommand::RoleDelete { role: text(d)? },
            11 => AuthCommand::RoleGrant { role: text(d)?, permission: decode_permission(d)? },
            12 => AuthCommand::RoleRevoke { role: text(d)?, keys: decode_keys(d)? },
            _ => return Err(Malformed("an unknown change of users and roles")),
        })
    }
}

impl Auth {
    /// For a snapshot.
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.bool(self.enabled);
        e.u64(self.revision);
        e.u64(self.roles.len() as u64);
        for (role, permissions) in &self.roles {
            encode_text(e, role);
            e.list(permissions, encode_permission);
        }
        e.u64(self.users.len() as u64);
        for (name, user) in &self.users {
            encode_text(e, name);
            encode_password(e, &user.password);
            e.u64(user.roles.len() as u64);
            user.roles.iter().for_each(|role| encode_text(e, role));
        }
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Auth, Malformed> {
        let mut auth = Auth { enabled: d.bool()?, revision: d.u64()?, ..Auth::default() };
        let roles = d.list(|d| Ok((decode_text(d)?, d.list(decode_permission)?)))?;
        auth.roles = roles.into_iter().collect();
        let users = d.list(|d| {
            let (name, password) = (decode_text(d)?, decode_password(d)?);
            Ok((name, User { password, roles: d.list(decode_text)?.into_iter().collect() }))
        })?;
        for (name, user) in users {
            auth.users.insert(name.clone(), user);
            auth.refresh(&name);
        }
        Ok(auth)
    }
}
