//! What authentication and authorization refuse, in etcd's words.

use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthError {
    #[error("etcdserver: root user does not exist")]
    RootUserNotExist,
    #[error("etcdserver: root user does not have root role")]
    RootRoleNotExist,
    #[error("etcdserver: user name already exists")]
    UserExists,
    /// Also: nobody asks, and somebody must.
    #[error("etcdserver: user name is empty")]
    UserEmpty,
    #[error("etcdserver: user name not found")]
    UserNotFound,
    #[error("etcdserver: role name already exists")]
    RoleExists,
    #[error("etcdserver: role name not found")]
    RoleNotFound,
    #[error("etcdserver: role name is empty")]
    RoleEmpty,
    #[error("etcdserver: permission not given")]
    PermissionNotGiven,
    #[error("etcdserver: authentication failed, invalid user ID or password")]
    Failed,
    /// A password was given for a user who has none. etcd does not translate this one.
    #[error("auth: authentication failed, password was given for no password user")]
    NoPassword,
    #[error("etcdserver: permission denied")]
    PermissionDenied,
    #[error("etcdserver: role is not granted to the user")]
    RoleNotGranted,
    #[error("etcdserver: permission is not granted to the role")]
    PermissionNotGranted,
    #[error("etcdserver: authentication is not enabled")]
    NotEnabled,
    #[error("etcdserver: invalid auth token")]
    InvalidToken,
    /// Users, roles or permissions have changed since the caller was looked up: try again.
    #[error("etcdserver: revision of auth store is old")]
    OldRevision,
    /// Would leave nobody in charge.
    #[error("etcdserver: invalid auth management")]
    InvalidManagement,
}

impl AuthError {
    /// gRPC's name of the code that goes with it.
    pub fn code(self) -> &'static str {
        use AuthError::*;
        match self {
            RootUserNotExist | RootRoleNotExist | UserExists | UserNotFound | RoleExists | RoleNotFound
            | RoleNotGranted | PermissionNotGranted | NotEnabled => "FailedPrecondition",
            UserEmpty | RoleEmpty | PermissionNotGiven | Failed | OldRevision | InvalidManagement => {
                "InvalidArgument"
            }
            PermissionDenied => "PermissionDenied",
            InvalidToken => "Unauthenticated",
            NoPassword => "Unknown",
        }
    }
}
