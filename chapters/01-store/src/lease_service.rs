//! The Lease service. The leases' time is kept by one member: the others ask it.

use std::pin::Pin;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as Call, Response, Status, Streaming};

use crate::auth::{Credentials, caller, status};
use crate::etcd::{self, lease_server};
use crate::heart::auth::Caller;
use crate::heart::types::{LeaseId, NO_LEASE};
use crate::heart::{Answer, Command, Store};
use crate::request::Request;
use crate::service::{Answered, Service, mismatch};

/// Answers of a keep-alive stream that its client has not taken yet. When it is full, its requests wait.
const KEEP_ALIVES: usize = 16;

type KeepAliveStream = Pin<Box<dyn Stream<Item = Result<etcd::LeaseKeepAliveResponse, Status>> + Send>>;

#[tonic::async_trait]
impl lease_server::Lease for Service {
    async fn lease_grant(&self, call: Call<etcd::LeaseGrantRequest>) -> Answered<etcd::LeaseGrantResponse> {
        let (caller, etcd::LeaseGrantRequest { id, ttl }) = (caller(&call), call.into_inner());
        let id = if id == NO_LEASE { self.choose_lease() } else { id };
        match self.write(caller, Command::LeaseGrant { id, ttl }, 0).await? {
            Answer::LeaseGrant { revision, id, ttl } => Ok(Response::new(etcd::LeaseGrantResponse {
                header: self.answers().header(revision),
                id,
                ttl,
                error: String::new(),
            })),
            _ => Err(mismatch()),
        }
    }

    async fn lease_revoke(
        &self,
        call: Call<etcd::LeaseRevokeRequest>,
    ) -> Answered<etcd::LeaseRevokeResponse> {
        let id = call.get_ref().id;
        match self.write(caller(&call), Command::LeaseRevoke { id }, 0).await? {
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
    ) -> Answered<Self::LeaseKeepAliveStream> {
        let credentials = Credentials::of(call.metadata().as_ref(), call.extensions());
        let (service, mut asked) = (self.clone(), call.into_inner());
        let (answer, answers) = mpsc::channel(KEEP_ALIVES);
        tokio::spawn(async move {
            while let Ok(Some(etcd::LeaseKeepAliveRequest { id })) = asked.message().await {
                let kept = match service.may_keep_alive(id, &credentials).await {
                    Ok(()) => service.keep_alive(id).await,
                    Err(e) => Err(e),
                };
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
    ) -> Answered<etcd::LeaseTimeToLiveResponse> {
        let (caller, ask) = (caller(&call), call.into_inner());
        self.may_look_at_leases(caller, if ask.keys { vec![ask.id] } else { Vec::new() }).await?;
        let mut answer = match self.peers.time_to_live(ask).await? {
            Some(answer) => answer,
            None => self.local().time_to_live(ask).await?,
        };
        answer.header = self.header().await?;
        Ok(Response::new(answer))
    }

    async fn lease_leases(
        &self,
        call: Call<etcd::LeaseLeasesRequest>,
    ) -> Answered<etcd::LeaseLeasesResponse> {
        let (revision, ids) = self.ask(Request::Leases).await?;
        self.may_look_at_leases(caller(&call), ids.clone()).await?;
        let leases = ids.into_iter().map(|id| etcd::LeaseStatus { id }).collect();
        Ok(Response::new(etcd::LeaseLeasesResponse { header: self.answers().header(revision), leases }))
    }
}

impl Service {
    /// Whoever may end a lease may keep it.
    async fn may_keep_alive(&self, id: LeaseId, credentials: &Credentials) -> Result<(), Status> {
        if !self.sessions.is_enabled() {
            return Ok(());
        }
        let caller = self.sessions.caller(credentials).await.map_err(status)?;
        let check = move |store: &Store| {
            let revoke = Command::LeaseRevoke { id };
            Ok(store.auth().check(caller.as_ref(), &revoke, store.leases())?)
        };
        self.local().look(true, check).await
    }

    /// It takes to be a user; and to be told of leases' keys, a right to read them.
    async fn may_look_at_leases(&self, caller: Option<Caller>, ids: Vec<LeaseId>) -> Result<(), Status> {
        if !self.sessions.is_enabled() {
            return Ok(());
        }
        let check = move |store: &Store| {
            let (auth, leases) = (store.auth(), store.leases());
            auth.check_user(caller.as_ref())?;
            Ok(ids.iter().try_for_each(|id| auth.check_lease(caller.as_ref(), *id, leases))?)
        };
        self.local().look(true, check).await
    }

    async fn keep_alive(&self, id: LeaseId) -> Result<etcd::LeaseKeepAliveResponse, Status> {
        let mut answer = match self.peers.keep_alive(id).await? {
            Some(answer) => answer,
            None => self.local().keep_alive(id).await?,
        };
        answer.header = self.header().await?;
        Ok(answer)
    }

    /// Random enough that a client's guess does not hit it, and never the same twice.
    fn choose_lease(&self) -> LeaseId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let id = (self.identity.member_id << 48) ^ (now << 12) ^ (self.next_number() & 0xfff);
        ((id & (i64::MAX as u64)) as LeaseId).max(1)
    }
}
