//! # Consensus

mod encoding;
pub mod error;
pub mod log;
pub mod member;
pub mod membership;
pub mod propose;
pub mod read;
mod ready;
pub mod sessions;
pub mod snapshot;
mod start;
mod storage;
mod timeout;
pub mod types;
mod wire;

pub use error::Error;
pub use member::{Action, Config, Member, Persist, Persisted};
