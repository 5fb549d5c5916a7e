//! Users at the door.

use tonic::{Code, Status};

use crate::heart::auth::AuthError;

pub fn status(error: AuthError) -> Status {
    let code = match error.code() {
        "InvalidArgument" => Code::InvalidArgument,
        "FailedPrecondition" => Code::FailedPrecondition,
        "PermissionDenied" => Code::PermissionDenied,
        "Unauthenticated" => Code::Unauthenticated,
        _ => Code::Unknown,
    };
    Status::new(code, error.to_string())
}
