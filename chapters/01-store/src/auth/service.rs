//! The Auth service.

use bytes::Bytes;
use tonic::{Request as Call, Response, Status};

use super::passwords::Passwords;
use super::sessions::letters;
use super::{Options, caller, status};
use crate::convert::share;
use crate::etcd::{self, auth_server, authpb};
use crate::heart::auth::{Access, Auth, AuthCommand, AuthError, Caller, PasswordHash, Permission};
use crate::heart::types::{KeyRange, RangeEnd};
use crate::heart::{Answer, Command, Store};
use crate::service::{Answered, Service, mismatch};

/// How often a password is compared again because users have changed meanwhile.
const TRIES: usize = 16;

pub struct AuthService {
    service: Service,
    passwords: Passwords,
}

impl AuthService {
    pub fn new(service: Service, options: Options) -> Self {
        AuthService { service, passwords: Passwords::new(options.bcrypt_cost) }
    }

    /// Makes a change; the header of the answer.
    async fn change(
        &self,
        caller: Option<Caller>,
        command: AuthCommand,
    ) -> Result<Option<etcd::ResponseHeader>, Status> {
        match self.service.write(caller, Command::Auth(command), 0).await? {
            Answer::Auth { revision } => Ok(self.service.answers().header(revision)),
            _ => Err(mismatch()),
        }
    }

    /// Looks something up; it, and the header of the answer.
    async fn look<T: Send + 'static>(
        &self,
        caller: Option<Caller>,
        look: impl FnOnce(&Auth, Option<&Caller>) -> Result<T, AuthError> + Send + 'static,
    ) -> Result<(Option<etcd::ResponseHeader>, T), Status> {
        let look = move |store: &Store| Ok((store.revision(), look(store.auth(), caller.as_ref())?));
        let (revision, found) = self.service.local().look(false, look).await?;
        Ok((self.service.answers().header(revision), found))
    }

    async fn hash(&self, password: &str, without: bool) -> Result<PasswordHash, Status> {
        if without { Ok(None) } else { self.passwords.hash(password.to_owned()).await.map(Some) }
    }

    /// The token for a password.
    async fn token(
        &self,
        asked: etcd::AuthenticateRequest,
    ) -> Result<(Option<etcd::ResponseHeader>, String), Status> {
        let old = status(AuthError::OldRevision);
        for _ in 0..TRIES {
            let user = asked.name.clone();
            let (_, (hash, revision)) = self.look(None, move |auth, _| auth.password(&user)).await?;
            if !self.passwords.matches(asked.password.clone(), hash).await? {
                return Err(status(AuthError::Failed));
            }
            let token = letters().ok_or_else(|| Status::internal("there is no randomness"))?;
            let command =
                AuthCommand::Authenticate { user: asked.name.clone(), token: token.clone(), revision };
            match self.change(None, command).await {
                Err(e) if e.code() == old.code() && e.message() == old.message() => continue,
                Err(e) => return Err(e),
                Ok(header) => {
                    let token = self.service.sessions.token(&token);
                    // Disabled just now, or deleted: then no token is good.
                    return Ok((header, token.ok_or_else(|| status(AuthError::Failed))?));
                }
            }
        }
        Err(old)
    }
}

#[tonic::async_trait]
impl auth_server::Auth for AuthService {
    async fn auth_enable(&self, call: Call<etcd::AuthEnableRequest>) -> Answered<etcd::AuthEnableResponse> {
        let caller = caller(&call);
        let header = self.change(caller, AuthCommand::Enable).await?;
        Ok(Response::new(etcd::AuthEnableResponse { header }))
    }

    async fn auth_disable(
        &self,
        call: Call<etcd::AuthDisableRequest>,
    ) -> Answered<etcd::AuthDisableResponse> {
        let caller = caller(&call);
        let header = self.change(caller, AuthCommand::Disable).await?;
        Ok(Response::new(etcd::AuthDisableResponse { header }))
    }

    async fn auth_status(&self, call: Call<etcd::AuthStatusRequest>) -> Answered<etcd::AuthStatusResponse> {
        let status = |auth: &Auth, caller: Option<&Caller>| {
            auth.check_root(caller)?;
            Ok((auth.is_enabled(), auth.revision()))
        };
        let (header, (enabled, auth_revision)) = self.look(caller(&call), status).await?;
        Ok(Response::new(etcd::AuthStatusResponse { header, enabled, auth_revision }))
    }

    async fn authenticate(
        &self,
        call: Call<etcd::AuthenticateRequest>,
    ) -> Answered<etcd::AuthenticateResponse> {
        let (header, token) = self.token(call.into_inner()).await?;
        Ok(Response::new(etcd::AuthenticateResponse { header, token }))
    }

    async fn user_add(&self, call: Call<etcd::AuthUserAddRequest>) -> Answered<etcd::AuthUserAddResponse> {
        let caller = caller(&call);
        let etcd::AuthUserAddRequest { name, password, options } = call.into_inner();
        let without = options.is_some_and(|options| options.no_password);
        let password = self.hash(&password, without).await?;
        let header = self.change(caller, AuthCommand::UserAdd { user: name, password }).await?;
        Ok(Response::new(etcd::AuthUserAddResponse { header }))
    }

    async fn user_get(&self, call: Call<etcd::AuthUserGetRequest>) -> Answered<etcd::AuthUserGetResponse> {
        let (caller, user) = (caller(&call), call.into_inner().name);
        let (header, roles) = self.look(caller, move |auth, caller| auth.user(caller, &user)).await?;
        Ok(Response::new(etcd::AuthUserGetResponse { header, roles }))
    }

    async fn user_list(&self, call: Call<etcd::AuthUserListRequest>) -> Answered<etcd::AuthUserListResponse> {
        let caller = caller(&call);
        let (header, users) = self.look(caller, move |auth, caller| auth.users(caller)).await?;
        Ok(Response::new(etcd::AuthUserListResponse { header, users }))
    }

    async fn user_delete(
        &self,
        call: Call<etcd::AuthUserDeleteRequest>,
    ) -> Answered<etcd::AuthUserDeleteResponse> {
        let caller = caller(&call);
        let etcd::AuthUserDeleteRequest { name } = call.into_inner();
        let header = self.change(caller, AuthCommand::UserDelete { user: name }).await?;
        Ok(Response::new(etcd::AuthUserDeleteResponse { header }))
    }

    async fn user_change_password(
        &self,
        call: Call<etcd::AuthUserChangePasswordRequest>,
    ) -> Answered<etcd::AuthUserChangePasswordResponse> {
        let caller = caller(&call);
        let etcd::AuthUserChangePasswordRequest { name, password } = call.into_inner();
        let password = self.hash(&password, false).await?;
        let header = self.change(caller, AuthCommand::UserChangePassword { user: name, password }).await?;
        Ok(Response::new(etcd::AuthUserChangePasswordResponse { header }))
    }

    async fn user_grant_role(
        &self,
        call: Call<etcd::AuthUserGrantRoleRequest>,
    ) -> Answered<etcd::AuthUserGrantRoleResponse> {
        let caller = caller(&call);
        let etcd::AuthUserGrantRoleRequest { user, role } = call.into_inner();
        let header = self.change(caller, AuthCommand::UserGrantRole { user, role }).await?;
        Ok(Response::new(etcd::AuthUserGrantRoleResponse { header }))
    }

    async fn user_revoke_role(
        &self,
        call: Call<etcd::AuthUserRevokeRoleRequest>,
    ) -> Answered<etcd::AuthUserRevokeRoleResponse> {
        let caller = caller(&call);
        let etcd::AuthUserRevokeRoleRequest { name, role } = call.into_inner();
        let header = self.change(caller, AuthCommand::UserRevokeRole { user: name, role }).await?;
        Ok(Response::new(etcd::AuthUserRevokeRoleResponse { header }))
    }

    async fn role_add(&self, call: Call<etcd::AuthRoleAddRequest>) -> Answered<etcd::AuthRoleAddResponse> {
        let caller = caller(&call);
        let etcd::AuthRoleAddRequest { name } = call.into_inner();
        let header = self.change(caller, AuthCommand::RoleAdd { role: name }).await?;
        Ok(Response::new(etcd::AuthRoleAddResponse { header }))
    }

    async fn role_get(&self, call: Call<etcd::AuthRoleGetRequest>) -> Answered<etcd::AuthRoleGetResponse> {
        let (caller, role) = (caller(&call), call.into_inner().role);
        let (header, permissions) = self.look(caller, move |auth, caller| auth.role(caller, &role)).await?;
        let perm = permissions.iter().map(to_wire).collect();
        Ok(Response::new(etcd::AuthRoleGetResponse { header, perm }))
    }

    async fn role_list(&self, call: Call<etcd::AuthRoleListRequest>) -> Answered<etcd::AuthRoleListResponse> {
        let caller = caller(&call);
        let (header, roles) = self.look(caller, move |auth, caller| auth.roles(caller)).await?;
        Ok(Response::new(etcd::AuthRoleListResponse { header, roles }))
    }

    async fn role_delete(
        &self,
        call: Call<etcd::AuthRoleDeleteRequest>,
    ) -> Answered<etcd::AuthRoleDeleteResponse> {
        let caller = caller(&call);
        let etcd::AuthRoleDeleteRequest { role } = call.into_inner();
        let header = self.change(caller, AuthCommand::RoleDelete { role }).await?;
        Ok(Response::new(etcd::AuthRoleDeleteResponse { header }))
    }

    async fn role_grant_permission(
        &self,
        call: Call<etcd::AuthRoleGrantPermissionRequest>,
    ) -> Answered<etcd::AuthRoleGrantPermissionResponse> {
        let caller = caller(&call);
        let etcd::AuthRoleGrantPermissionRequest { name, perm } = call.into_inner();
        let permission = perm.ok_or_else(|| status(AuthError::PermissionNotGiven))?;
        let permission = from_wire(&permission);
        let header = self.change(caller, AuthCommand::RoleGrant { role: name, permission }).await?;
        Ok(Response::new(etcd::AuthRoleGrantPermissionResponse { header }))
    }

    async fn role_revoke_permission(
        &self,
        call: Call<etcd::AuthRoleRevokePermissionRequest>,
    ) -> Answered<etcd::AuthRoleRevokePermissionResponse> {
        let caller = caller(&call);
        let etcd::AuthRoleRevokePermissionRequest { role, key, range_end } = call.into_inner();
        let keys = KeyRange::from_wire(&key, &range_end);
        let header = self.change(caller, AuthCommand::RoleRevoke { role, keys }).await?;
        Ok(Response::new(etcd::AuthRoleRevokePermissionResponse { header }))
    }
}

fn from_wire(permission: &authpb::Permission) -> Permission {
    let access = match permission.perm_type() {
        authpb::permission::Type::Read => Access::Read,
        authpb::permission::Type::Write => Access::Write,
        authpb::permission::Type::Readwrite => Access::ReadWrite,
    };
    Permission { access, keys: KeyRange::from_wire(&permission.key, &permission.range_end) }
}

fn to_wire(permission: &Permission) -> authpb::Permission {
    let perm_type = match permission.access {
        Access::Read => authpb::permission::Type::Read,
        Access::Write => authpb::permission::Type::Write,
        Access::ReadWrite => authpb::permission::Type::Readwrite,
    };
    let range_end = match &permission.keys.end {
        RangeEnd::Single => Bytes::new(),
        RangeEnd::Unbounded => Bytes::from_static(&[0]),
        RangeEnd::Before(end) => share(end),
    };
    authpb::Permission { perm_type: perm_type.into(), key: share(&permission.keys.start), range_end }
}
