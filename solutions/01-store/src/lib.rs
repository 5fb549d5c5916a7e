//! placeholder
pub mod codec;
pub mod command;
pub mod crc;
mod encoding;
pub mod error;
pub mod history;
pub mod lease;
pub mod log;
pub mod range;
pub mod snapshot;
pub mod store;
pub mod txn;
pub mod types;
pub mod wal;
pub mod watch;

pub use command::{Answer, Applied, Command};
pub use error::Error;
pub use store::Store;
