//! What all gRPC services share, and the KV service: each call becomes a request to the loop and waits
//! for its answer. Converting and encoding happens here, beside the loop and not in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message;
use tokio::sync::oneshot;
use tonic::{Request as Call, Response, Status};

use crate::args::Limits;
use crate::auth::{Sessions, caller};
use crate::convert::{self, Answers, status};
use crate::etcd::{self, kv_server};
use crate::gate::not_for_learners;
use crate::heart::auth::Caller;
use crate::heart::{Answer, Command};
use crate::journal::Standing;
use crate::local::Local;
use crate::peers::Peers;
use crate::request::{Read, Request, ServerStatus};

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

    /// 0 when none is known.
    pub fn leader(&self) -> u64 {
        self.standing.leader.load(Ordering::Relaxed)
    }
}

/// The door to the loop. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    local: Local,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) sessions: Arc<Sessions>,
    /// For choosing leases' numbers and streams'.
    counter: Arc<AtomicU64>,
}

pub type Answered<T> = Result<Response<T>, Status>;

impl Service {
    pub fn new(
        local: Local,
        peers: Arc<dyn Peers>,
        identity: Identity,
        limits: Limits,
        sessions: Arc<Sessions>,
    ) -> Self {
        Service { local, peers, identity, limits, sessions, counter: Arc::default() }
    }

    pub fn answers(&self) -> Answers {
        self.identity.answers()
    }

    pub fn local(&self) -> &Local {
        &self.local
    }

    pub fn next_number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    pub async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Status> {
        self.local.ask(request).await
    }

    /// `size` is what the request takes on the wire.
    pub async fn write(
        &self,
        caller: Option<Caller>,
        command: Command,
        size: usize,
    ) -> Result<Answer, Status> {
        command.check().map_err(status)?;
        if size > self.limits.request_bytes {
            return Err(Status::invalid_argument("etcdserver: request is too large"));
        }
        let command = match caller {
            Some(caller) => Command::As(caller, Box::new(command)),
            None => command,
        };
        let bytes = command.encode();
        self.ask(|reply| Request::Write(command, bytes, reply)).await?
    }

    pub async fn server_status(&self) -> Result<ServerStatus, Status> {
        self.ask(Request::Status).await
    }

    /// For answers that say nothing else of the store.
    pub async fn header(&self) -> Result<Option<etcd::ResponseHeader>, Status> {
        Ok(self.answers().header(self.server_status().await?.revision))
    }
}

/// The answer of a command is always of the command's kind.
pub fn mismatch() -> Status {
    Status::internal("the store answered another question")
}

#[tonic::async_trait]
impl kv_server::Kv for Service {
    async fn range(&self, call: Call<etcd::RangeRequest>) -> Answered<etcd::RangeResponse> {
        if self.peers.is_learner() && !call.get_ref().serializable {
            return Err(not_for_learners());
        }
        let range = convert::range(call.get_ref());
        range.check().map_err(status)?;
        convert::check_sort(call.get_ref())?;
        let (range, caller, serializable) = (Box::new(range), caller(&call), call.get_ref().serializable);
        let read = |reply| Request::Read(Read::Range { range, caller, serializable, reply });
        let answer = self.ask(read).await??;
        Ok(Response::new(self.answers().range(&answer)))
    }

    async fn put(&self, call: Call<etcd::PutRequest>) -> Answered<etcd::PutResponse> {
        let (caller, call) = (caller(&call), call.into_inner());
        match self.write(caller, Command::Put(convert::put(&call)), call.encoded_len()).await? {
            Answer::Put(answer) => Ok(Response::new(self.answers().put(&answer))),
            _ => Err(mismatch()),
        }
    }

    async fn delete_range(
        &self,
        call: Call<etcd::DeleteRangeRequest>,
    ) -> Answered<etcd::DeleteRangeResponse> {
        let (caller, call) = (caller(&call), call.into_inner());
        match self.write(caller, Command::Delete(convert::delete(&call)), call.encoded_len()).await? {
            Answer::Delete(answer) => Ok(Response::new(self.answers().delete(&answer))),
            _ => Err(mismatch()),
        }
    }

    async fn txn(&self, call: Call<etcd::TxnRequest>) -> Answered<etcd::TxnResponse> {
        let (caller, call) = (caller(&call), call.into_inner());
        let txn = convert::txn(&call, self.limits.txn_ops).map_err(status)?;
        convert::check_sorts(&call)?;
        if txn.is_read_only() {
            txn.check().map_err(status)?;
            let (bytes, serializable) = (call.encoded_len(), convert::is_serializable(&call));
            let read = |reply| Request::Read(Read::Txn { txn, caller, serializable, bytes, reply });
            let answer = self.ask(read).await??;
            return Ok(Response::new(self.answers().txn(&answer)));
        }
        match self.write(caller, Command::Txn(txn), call.encoded_len()).await? {
            Answer::Txn(answer) => Ok(Response::new(self.answers().txn(&answer))),
            _ => Err(mismatch()),
        }
    }

    async fn compact(&self, call: Call<etcd::CompactionRequest>) -> Answered<etcd::CompactionResponse> {
        // Memory is given back as part of the command, so `physical` has nothing to wait for.
        let revision = call.get_ref().revision;
        match self.write(caller(&call), Command::Compact { revision }, 0).await? {
            Answer::Compact { revision } => {
                Ok(Response::new(etcd::CompactionResponse { header: self.answers().header(revision) }))
            }
            _ => Err(mismatch()),
        }
    }
}
