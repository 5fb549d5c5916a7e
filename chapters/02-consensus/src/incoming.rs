//! What other members send. Anybody who reaches the port may send anything: sizes have bounds, and
//! what is not right is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store::disk::{SnapshotFile, read_snapshot_file};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, oneshot};
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use crate::heart::Member;
use crate::heart::types::SnapshotMeta;
use crate::members::Leading;
use crate::raft_loop::Event;
use crate::storage::decode_meta;
use crate::view::Shared;
use crate::wire::proto::{Answer, Batch, Call, ClusterInfo, Head, Nothing, Piece, peer_server, piece};
use crate::wire::{self, Caller, MAX_MESSAGE_BYTES};

/// Who sends a snapshot and falls silent keeps its place no longer than this.
const SILENCE: Duration = Duration::from_secs(10);

/// A snapshot that has come from the leader, whole and safe, but not yet this member's own.
pub struct Arrived {
    pub message: Bytes,
    pub meta: SnapshotMeta,
    pub file: Unfinished,
    pub held: SnapshotFile,
    /// Dropped when it was of no use.
    pub taken: oneshot::Sender<()>,
}

/// A file that is removed with this, if it is still there.
pub struct Unfinished(pub PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where snapshots are while they come.
pub fn arrivals(dir: &Path) -> PathBuf {
    dir.join("arriving")
}

/// The service that other members call.
#[derive(Clone)]
pub struct Incoming {
    shared: Shared,
    leading: Leading,
    arrivals: PathBuf,
    /// One snapshot at a time.
    place: Arc<Semaphore>,
}

impl Incoming {
    pub fn new(shared: Shared, leading: Leading, dir: &Path) -> Incoming {
        Incoming { shared, leading, arrivals: arrivals(dir), place: Arc::new(Semaphore::new(1)) }
    }

    fn caller<T>(&self, call: &Request<T>) -> Result<Caller, Status> {
        let caller = Caller::of(call.metadata())?;
        let identity = &self.shared.identity;
        if caller.cluster != identity.cluster {
            let (theirs, ours) = (caller.cluster, identity.cluster);
            let why = format!("a member of cluster {theirs:x} calls one of cluster {ours:x}");
            warn!(from = format!("{:x}", caller.from), "refused: {why}");
            return Err(Status::failed_precondition(why));
        }
        if caller.to != identity.id {
            let why = format!("member {:x} is called, this is {:x}", caller.to, identity.id);
            return Err(Status::failed_precondition(why));
        }
        self.check_belongs(&caller)?;
        Ok(caller)
    }

    fn check_belongs(&self, caller: &Caller) -> Result<(), Status> {
        let is_removed = self.shared.view.borrow().removed.contains(&caller.from);
        if is_removed { Err(wire::removed()) } else { Ok(()) }
    }

    async fn receive(&self, head: Head, mut data: Streaming<Piece>) -> Result<(), Status> {
        let Head { message, size } = head;
        let malformed = |why: String| Status::invalid_argument(why);
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(malformed("the message is too large".into()));
        }
        let meta = Member::snapshot_of(&message).map_err(wire::status)?;
        let meta = meta.ok_or_else(|| malformed("the message stands for no snapshot".into()))?;
        let file = Unfinished(self.arrivals.join(format!("{:016x}.tmp", meta.index)));
        let failed = |e: std::io::Error| Status::internal(format!("cannot write the snapshot: {e}"));
        tokio::fs::create_dir_all(&self.arrivals).await.map_err(failed)?;
        let mut out = tokio::fs::File::create(&file.0).await.map_err(failed)?;
        let mut left = size;
        while let Some(Piece { piece }) = next(&mut data).await? {
            let Some(piece::Piece::Data(data)) = piece else {
                return Err(malformed("a snapshot has one head".into()));
            };
            left = left
                .checked_sub(data.len() as u64)
                .ok_or_else(|| malformed("the snapshot is longer than was said".into()))?;
            out.write_all(&data).await.map_err(failed)?;
        }
        if left != 0 {
            return Err(malformed(format!("{left} bytes of the snapshot have not come")));
        }
        out.sync_all().await.map_err(failed)?;
        let path = file.0.clone();
        let held = tokio::task::spawn_blocking(move || read_snapshot_file(&path)).await;
        let held = held.map_err(|e| Status::internal(e.to_string()))?;
        let held = held.map_err(|e| malformed(format!("the snapshot is not whole: {e:#}")))?;
        let kept = decode_meta(&held.extra, held.applied).map_err(|e| malformed(e.to_string()))?;
        if kept != meta {
            return Err(malformed(format!("a snapshot of {} came for {}", held.applied, meta.index)));
        }
        let (taken, done) = oneshot::channel();
        self.shared.door.tell(Event::Arrived(Box::new(Arrived { message, meta, file, held, taken })));
        done.await.map_err(|_| Status::aborted("the snapshot was of no use"))
    }
}

async fn next(pieces: &mut Streaming<Piece>) -> Result<Option<Piece>, Status> {
    let piece = tokio::time::timeout(SILENCE, pieces.message()).await;
    piece.map_err(|_| Status::deadline_exceeded("the snapshot does not go on"))?
}

#[tonic::async_trait]
impl peer_server::Peer for Incoming {
    async fn messages(&self, call: Request<Streaming<Batch>>) -> Result<Response<Nothing>, Status> {
        let caller = self.caller(&call)?;
        let mut batches = call.into_inner();
        while let Some(Batch { messages }) = batches.message().await? {
            self.check_belongs(&caller)?;
            for message in messages {
                self.shared.door.message(message);
            }
        }
        Ok(Response::new(Nothing {}))
    }

    async fn snapshot(&self, call: Request<Streaming<Piece>>) -> Result<Response<Nothing>, Status> {
        self.caller(&call)?;
        let busy = |_| Status::resource_exhausted("another snapshot is arriving");
        let _place = self.place.try_acquire().map_err(busy)?;
        let mut pieces = call.into_inner();
        match next(&mut pieces).await? {
            Some(Piece { piece: Some(piece::Piece::Head(head)) }) => self.receive(head, pieces).await?,
            _ => return Err(Status::invalid_argument("a snapshot begins with its head")),
        }
        Ok(Response::new(Nothing {}))
    }

    async fn cluster(&self, _: Request<Nothing>) -> Result<Response<ClusterInfo>, Status> {
        let members = self.shared.view.borrow().members.clone();
        Ok(Response::new(ClusterInfo {
            cluster: self.shared.identity.cluster,
            members: members.into_iter().map(Into::into).collect(),
        }))
    }

    async fn forward(&self, call: Request<Call>) -> Result<Response<Answer>, Status> {
        self.caller(&call)?;
        let call = call.into_inner().call.ok_or_else(|| Status::invalid_argument("an empty call"))?;
        Ok(Response::new(Answer { answer: self.leading.answer(call).await? }))
    }
}
