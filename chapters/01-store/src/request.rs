//! What clients can ask of the loop, and how they are answered.

use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::heart::alarm::Alarm;
use crate::heart::auth::{AuthError, Caller};
use crate::heart::range::{Range, RangeAnswer};
use crate::heart::snapshot::Snapshot;
use crate::heart::txn::{Txn, TxnAnswer};
use crate::heart::types::{Key, LeaseId};
use crate::heart::watch::{Delivery, StreamId, WatchId, WatchSpec};
use crate::heart::{Answer, Command, Store};

/// Requests that wait for the loop. When it is full, clients wait.
pub const QUEUE: usize = 1024;
/// Events that a watch stream is sent ahead of what its client has taken.
pub const WINDOW: usize = 4096;
/// Answers that a stream may have beyond its events. A client that asks for more without reading
/// any loses its stream.
const CONTROL: usize = 1024;

/// A failed send means that the client has gone; there is nobody to tell.
pub type Reply<T> = oneshot::Sender<Result<T, Status>>;

pub enum Request {
    Read(Read),
    /// The command, also as bytes.
    Write(Command, Vec<u8>, Reply<Answer>),
    /// Starts a lease's time anew; answered with the revision and the time to live, if there is such a
    /// lease.
    KeepAlive(LeaseId, Reply<(i64, Option<i64>)>),
    TimeToLive(LeaseId, Reply<(i64, Option<TimeToLive>)>),
    Leases(oneshot::Sender<(i64, Vec<LeaseId>)>),
    Status(oneshot::Sender<ServerStatus>),
    /// The store as it is now, to be read at leisure.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Gives back disk space; answered with the store's revision when it is done.
    Defragment(oneshot::Sender<i64>),
    Watch(StreamId, WatchAsk),
}

/// Is given the store, or why it is not.
pub type Look = Box<dyn FnOnce(Result<&Store, Status>) + Send>;

/// `serializable`: what this member has will do, even if it is old.
pub enum Read {
    Range {
        range: Box<Range>,
        caller: Option<Caller>,
        serializable: bool,
        reply: Reply<RangeAnswer>,
    },
    /// It only reads. `bytes` is its size on the wire.
    Txn {
        txn: Txn,
        caller: Option<Caller>,
        serializable: bool,
        bytes: usize,
        reply: Reply<TxnAnswer>,
    },
    /// What is not about keys. The closure answers.
    Look {
        serializable: bool,
        look: Look,
    },
}

pub enum WatchAsk {
    Open(mpsc::Sender<Delivery>),
    Create(WatchSpec, Option<Caller>),
    /// Instead of one whose client is not who it says.
    Refuse(AuthError),
    Cancel(WatchId),
    Progress,
    /// The client has taken so many events.
    Taken(usize),
    Close,
}

pub struct TimeToLive {
    pub remaining: i64,
    pub granted: i64,
    pub keys: Vec<Key>,
}

pub struct ServerStatus {
    pub revision: i64,
    pub applied: u64,
    pub disk_bytes: u64,
    pub data_bytes: u64,
    pub alarms: Vec<Alarm>,
}

/// A channel for an outbox: as many places as a stream can be sent messages.
pub fn outbox() -> (mpsc::Sender<Delivery>, mpsc::Receiver<Delivery>) {
    mpsc::channel(WINDOW + CONTROL)
}
