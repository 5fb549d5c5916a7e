//! The gRPC services, except Watch: each call becomes a request to the loop and waits for its
//! answer. Converting and encoding happens here, beside the loop and not in it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::Stream;
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as Call, Response, Status, Streaming};

use crate::convert::{self, Answers, status};
use crate::etcd::{self, cluster_server, kv_server, lease_server, maintenance_server};
use crate::heart::snapshot::Snapshot;
use crate::heart::types::{LeaseId, NO_LEASE};
use crate::heart::{Answer, Command, Error};
use crate::journal::Standing;
use crate::local::Local;
use crate::peers::Peers;
use crate::request::{Read, Request, ServerStatus};

/// Largest request, etcd's `--max-request-bytes`.
const MAX_REQUEST_BYTES: usize = 3 << 19;
/// What the connection lets through, so that a request somewhat too large is answered in words.
pub const MAX_MESSAGE_BYTES: usize = MAX_REQUEST_BYTES + (512 << 10);
/// The API that is served: clients turn features on by it.
const VERSION: &str = "3.5.21";
/// Pieces of a snapshot on their way to the client.
const SNAPSHOT_PIECES: usize = 4;
const KEEP_ALIVES: usize = 16;

/// Who answers.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cluster_id: u64,
    pub member_id: u64,
    pub standing: Arc<Standing>,
}

impl Identity {
    pub fn answers(&self) -> Answers {
        let raft_term = self.standing.term.load(Ordering::Relaxed);
        Answers { cluster_id: self.cluster_id, member_id: self.member_id, raft_term }
    }
}

/// The door to the loop. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    local: Local,
    peers: Arc<dyn Peers>,
    identity: Identity,
    /// For choosing leases' numbers and streams'.
    counter: Arc<AtomicU64>,
}

type Result<T> = std::result::Result<Response<T>, Status>;

impl Service {
    pub fn new(local: Local, peers: Arc<dyn Peers>, identity: Identity) -> Self {
        Service { local, peers, identity, counter: Arc::default() }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    fn answers(&self) -> Answers {
        self.identity.answers()
    }

    pub fn next_number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    pub async fn send(&self, request: Request) -> std::result::Result<(), Status> {
        self.local.send(request).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> std::result::Result<T, Status> {
        self.local.ask(request).await
    }

    /// `size` is what the request takes on the wire.
    async fn write(&self, command: Command, size: usize) -> std::result::Result<Answer, Status> {
        command.check().map_err(status)?;
        if size > MAX_REQUEST_BYTES {
            return Err(Status::invalid_argument("etcdserver: request is too large"));
        }
        let bytes = command.encode();
        self.ask(|reply| Request::Write(command, bytes, reply)).await?
    }

    async fn status(&self) -> std::result::Result<ServerStatus, Status> {
        self.ask(Request::Status).await
    }

    /// For answers that say nothing else of the store.
    async fn header(&self) -> std::result::Result<Option<etcd::ResponseHeader>, Status> {
        Ok(self.answers().header(self.status().await?.revision))
    }

    /// Random enough that a client's guess does not hit it, and never the same twice.
    fn choose_lease(&self) -> LeaseId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let id = (self.identity.member_id << 48) ^ (now << 12) ^ (self.next_number() & 0xfff);
        ((id & (i64::MAX as u64)) as LeaseId).max(1)
    }
}

/// The answer of a command is always of the command's kind.
fn mismatch() -> Status {
    Status::internal("the store answered another question")
}

#[tonic::async_trait]
impl kv_server::Kv for Service {
    async fn range(&self, call: Call<etcd::RangeRequest>) -> Result<etcd::RangeResponse> {
        let range = convert::range(call.get_ref());
        range.check().map_err(status)?;
        let (range, serializable) = (Box::new(range), call.get_ref().serializable);
        let read = |reply| Request::Read(Read::Range { range, serializable, reply });
        let answer = self.ask(read).await??;
        Ok(Response::new(self.answers().range(&answer)))
    }

    async fn put(&self, call: Call<etcd::PutRequest>) -> Result<etcd::PutResponse> {
        let call = call.into_inner();
        match self.write(Command::Put(convert::put(&call)), call.encoded_len()).await? {
            Answer::Put(answer) => Ok(Response::new(self.answers().put(&answer))),
            _ => Err(mismatch()),
        }
    }

    async fn delete_range(&self, call: Call<etcd::DeleteRangeRequest>) -> Result<etcd::DeleteRangeResponse> {
        let call = call.into_inner();
        match self.write(Command::Delete(convert::delete(&call)), call.encoded_len()).await? {
            Answer::Delete(answer) => Ok(Response::new(self.answers().delete(&answer))),
            _ => Err(mismatch()),
        }
    }

    async fn txn(&self, call: Call<etcd::TxnRequest>) -> Result<etcd::TxnResponse> {
        let call = call.into_inner();
        let txn = convert::txn(&call).map_err(status)?;
        if txn.is_read_only() {
            txn.check().map_err(status)?;
            let (bytes, serializable) = (call.encoded_len(), convert::is_serializable(&call));
            let read = |reply| Request::Read(Read::Txn { txn, serializable, bytes, reply });
            let answer = self.ask(read).await??;
            return Ok(Response::new(self.answers().txn(&answer)));
        }
        match self.write(Command::Txn(txn), call.encoded_len()).await? {
            Answer::Txn(answer) => Ok(Response::new(self.answers().txn(&answer))),
            _ => Err(mismatch()),
        }
    }

    async fn compact(&self, call: Call<etcd::CompactionRequest>) -> Result<etcd::CompactionResponse> {
        // Memory is given back as part of the command, so `physical` has nothing to wait for.
        let revision = call.get_ref().revision;
        match self.write(Command::Compact { revision }, 0).await? {
            Answer::Compact { revision } => {
                Ok(Response::new(etcd::CompactionResponse { header: self.answers().header(revision) }))
            }
            _ => Err(mismatch()),
        }
    }
}

type KeepAliveStream =
    Pin<Box<dyn Stream<Item = std::result::Result<etcd::LeaseKeepAliveResponse, Status>> + Send>>;

#[tonic::async_trait]
impl lease_server::Lease for Service {
    async fn lease_grant(&self, call: Call<etcd::LeaseGrantRequest>) -> Result<etcd::LeaseGrantResponse> {
        let etcd::LeaseGrantRequest { id, ttl } = call.into_inner();
        let id = if id == NO_LEASE { self.choose_lease() } else { id };
        match self.write(Command::LeaseGrant { id, ttl }, 0).await? {
            Answer::LeaseGrant { revision, id, ttl } => Ok(Response::new(etcd::LeaseGrantResponse {
                header: self.answers().header(revision),
                id,
                ttl,
                error: String::new(),
            })),
            _ => Err(mismatch()),
        }
    }

    async fn lease_revoke(&self, call: Call<etcd::LeaseRevokeRequest>) -> Result<etcd::LeaseRevokeResponse> {
        let id = call.get_ref().id;
        match self.write(Command::LeaseRevoke { id }, 0).await? {
            Answer::LeaseRevoke { revision } => {
                Ok(Response::new(etcd::LeaseRevokeResponse { header: self.answers().header(revision) }))
            }
            _ => Err(mismatch()),
        }
    }

    type LeaseKeepAliveStream = KeepAliveStream;

    async fn lease_keep_alive(
        &self,
        call: Call<Streaming<etcd::LeaseKeepAliveRequest>>,
    ) -> Result<Self::LeaseKeepAliveStream> {
        let (service, mut asked) = (self.clone(), call.into_inner());
        let (answer, answers) = mpsc::channel(KEEP_ALIVES);
        tokio::spawn(async move {
            while let Ok(Some(etcd::LeaseKeepAliveRequest { id })) = asked.message().await {
                let kept = service.keep_alive(id).await;
                // A client whose keep-alive failed begins a stream anew.
                let failed = kept.is_err();
                if answer.send(kept).await.is_err() || failed {
                    break;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn lease_time_to_live(
        &self,
        call: Call<etcd::LeaseTimeToLiveRequest>,
    ) -> Result<etcd::LeaseTimeToLiveResponse> {
        let ask = call.into_inner();
        let mut answer = match self.peers.time_to_live(ask).await? {
            Some(answer) => answer,
            None => self.local.time_to_live(ask).await?,
        };
        answer.header = self.header().await?;
        Ok(Response::new(answer))
    }

    async fn lease_leases(&self, _: Call<etcd::LeaseLeasesRequest>) -> Result<etcd::LeaseLeasesResponse> {
        let (revision, ids) = self.ask(Request::Leases).await?;
        let leases = ids.into_iter().map(|id| etcd::LeaseStatus { id }).collect();
        Ok(Response::new(etcd::LeaseLeasesResponse { header: self.answers().header(revision), leases }))
    }
}

impl Service {
    async fn keep_alive(&self, id: LeaseId) -> std::result::Result<etcd::LeaseKeepAliveResponse, Status> {
        let mut answer = match self.peers.keep_alive(id).await? {
            Some(answer) => answer,
            None => self.local.keep_alive(id).await?,
        };
        answer.header = self.header().await?;
        Ok(answer)
    }
}

type SnapshotStream = Pin<Box<dyn Stream<Item = std::result::Result<etcd::SnapshotResponse, Status>> + Send>>;

#[tonic::async_trait]
impl maintenance_server::Maintenance for Service {
    async fn alarm(&self, call: Call<etcd::AlarmRequest>) -> Result<etcd::AlarmResponse> {
        if call.get_ref().action() == etcd::alarm_request::AlarmAction::Activate {
            return Err(Status::unimplemented("this store raises no alarms"));
        }
        let header = self.header().await?;
        Ok(Response::new(etcd::AlarmResponse { header, alarms: Vec::new() }))
    }

    async fn status(&self, _: Call<etcd::StatusRequest>) -> Result<etcd::StatusResponse> {
        let status = Service::status(self).await?;
        let answers = self.answers();
        Ok(Response::new(etcd::StatusResponse {
            header: answers.header(status.revision),
            version: VERSION.into(),
            db_size: status.disk_bytes as i64,
            leader: self.identity.standing.leader.load(Ordering::Relaxed),
            raft_index: status.applied,
            raft_term: answers.raft_term,
            raft_applied_index: status.applied,
            db_size_in_use: status.data_bytes as i64,
            is_learner: self.peers.is_learner(),
            ..Default::default()
        }))
    }

    async fn defragment(&self, _: Call<etcd::DefragmentRequest>) -> Result<etcd::DefragmentResponse> {
        let revision = self.ask(Request::Defragment).await?;
        Ok(Response::new(etcd::DefragmentResponse { header: self.answers().header(revision) }))
    }

    async fn hash(&self, _: Call<etcd::HashRequest>) -> Result<etcd::HashResponse> {
        let (snapshot, hash) = self.hash_of(0).await?;
        Ok(Response::new(etcd::HashResponse { header: self.answers().header(snapshot.revision), hash }))
    }

    async fn hash_kv(&self, call: Call<etcd::HashKvRequest>) -> Result<etcd::HashKvResponse> {
        let asked = call.get_ref().revision;
        let (snapshot, hash) = self.hash_of(asked).await?;
        Ok(Response::new(etcd::HashKvResponse {
            header: self.answers().header(snapshot.revision),
            hash,
            compact_revision: snapshot.compacted,
            hash_revision: if asked == 0 { snapshot.revision } else { asked },
        }))
    }

    type SnapshotStream = SnapshotStream;

    async fn snapshot(&self, _: Call<etcd::SnapshotRequest>) -> Result<Self::SnapshotStream> {
        let snapshot = self.ask(Request::Snapshot).await?;
        let header = self.answers().header(snapshot.revision);
        let (piece, pieces) = mpsc::channel(SNAPSHOT_PIECES);
        tokio::task::spawn_blocking(move || {
            let mut left: u64 = snapshot_blobs(&snapshot).map(|b| b.len() as u64).sum();
            for blob in snapshot_blobs(&snapshot) {
                left -= blob.len() as u64;
                let blob = etcd::SnapshotResponse {
                    header,
                    remaining_bytes: left,
                    blob: blob.into(),
                    version: VERSION.into(),
                };
                if piece.blocking_send(Ok(blob)).is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(pieces))))
    }

    async fn move_leader(&self, call: Call<etcd::MoveLeaderRequest>) -> Result<etcd::MoveLeaderResponse> {
        self.peers.move_leader(call.get_ref().target_id).await?;
        Ok(Response::new(etcd::MoveLeaderResponse { header: self.header().await? }))
    }
}

/// The file that `etcdctl snapshot save` writes: frames, zeros up to a whole block, and a SHA-256
/// of all that, which etcdctl looks for.
fn snapshot_blobs(snapshot: &Snapshot) -> impl Iterator<Item = Vec<u8>> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut frames = Some(snapshot.frames());
    std::iter::from_fn(move || {
        if let Some(frame) = frames.as_mut()?.next() {
            hash.update(&frame);
            size += frame.len();
            return Some(frame);
        }
        frames = None;
        let mut end = vec![0; size.next_multiple_of(512) - size];
        hash.update(&end);
        end.extend_from_slice(&hash.finalize_reset());
        Some(end)
    })
}

impl Service {
    /// A hash of what is remembered up to a revision, 0 being now.
    async fn hash_of(&self, revision: i64) -> std::result::Result<(Snapshot, u32), Status> {
        let snapshot = self.ask(Request::Snapshot).await?;
        if revision > snapshot.revision {
            return Err(status(Error::FutureRevision));
        }
        if revision != 0 && revision < snapshot.compacted {
            return Err(status(Error::Compacted));
        }
        let upto = if revision == 0 { snapshot.revision } else { revision };
        let hashed = tokio::task::spawn_blocking(move || {
            let hash = snapshot.hash(upto);
            (snapshot, hash)
        });
        hashed.await.map_err(|e| Status::internal(e.to_string()))
    }
}

#[tonic::async_trait]
impl cluster_server::Cluster for Service {
    async fn member_add(&self, call: Call<etcd::MemberAddRequest>) -> Result<etcd::MemberAddResponse> {
        let etcd::MemberAddRequest { peer_urls, is_learner } = call.into_inner();
        let member = Some(self.peers.member_add(peer_urls, is_learner).await?);
        let (header, members) = self.members().await?;
        Ok(Response::new(etcd::MemberAddResponse { header, member, members }))
    }

    async fn member_remove(
        &self,
        call: Call<etcd::MemberRemoveRequest>,
    ) -> Result<etcd::MemberRemoveResponse> {
        self.peers.member_remove(call.get_ref().id).await?;
        let (header, members) = self.members().await?;
        Ok(Response::new(etcd::MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        call: Call<etcd::MemberUpdateRequest>,
    ) -> Result<etcd::MemberUpdateResponse> {
        let etcd::MemberUpdateRequest { id, peer_urls } = call.into_inner();
        self.peers.member_update(id, peer_urls).await?;
        let (header, members) = self.members().await?;
        Ok(Response::new(etcd::MemberUpdateResponse { header, members }))
    }

    async fn member_list(&self, call: Call<etcd::MemberListRequest>) -> Result<etcd::MemberListResponse> {
        let members = self.peers.members(call.get_ref().linearizable).await?;
        Ok(Response::new(etcd::MemberListResponse { header: self.header().await?, members }))
    }

    async fn member_promote(
        &self,
        call: Call<etcd::MemberPromoteRequest>,
    ) -> Result<etcd::MemberPromoteResponse> {
        self.peers.member_promote(call.get_ref().id).await?;
        let (header, members) = self.members().await?;
        Ok(Response::new(etcd::MemberPromoteResponse { header, members }))
    }
}

impl Service {
    /// After a change of members, which this member has seen done.
    async fn members(
        &self,
    ) -> std::result::Result<(Option<etcd::ResponseHeader>, Vec<etcd::Member>), Status> {
        Ok((self.header().await?, self.peers.members(false).await?))
    }
}
