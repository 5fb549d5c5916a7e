//! # Consensus

pub mod error;
pub mod member;
pub mod types;

pub use error::Error;
pub use member::{Action, Config, Member, Persist, Persisted};
