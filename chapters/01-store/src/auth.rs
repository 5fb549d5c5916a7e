//! Users at the door: who asks, and how they prove it.
//!
//! ```text
//!   Authenticate ──password──► compare with the hash, beside the loop
//!                                   │ right
//!                                   ▼
//!                    Command::Authenticate { token } through the journal
//!                                   │ applied, on every member
//!                                   ▼
//!   request ──token, or──► Sessions ──► Caller { user, revision } ──► the command carries it,
//!             certificate                                            the core judges it
//! ```
//!
//! What users may do is part of the store (`heart::auth`), and judged there. Here are the things that
//! a core may not have: time (tokens run out), randomness (tokens again) and hashes that are slow on
//! purpose. While authentication is off all of it costs a request one look at a flag.

mod guard;
mod passwords;
mod peer;
mod service;
mod sessions;

pub use guard::{Guard, caller};
pub use peer::Peer;
pub use service::AuthService;
pub use sessions::{Credentials, Sessions};

use std::time::Duration;

use tonic::{Code, Status};

use crate::heart::auth::AuthError;

/// What the flags say.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Of a token that is not used.
    pub token_ttl: Duration,
    /// Of passwords' hashes: one more is twice the work.
    pub bcrypt_cost: u32,
}

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
