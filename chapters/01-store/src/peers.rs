//! The other members, as far as the services need them. Alone there are none; chapter 02 has them.

use tonic::Status;

use crate::etcd;

/// What a service cannot answer from its own store.
#[tonic::async_trait]
pub trait Peers: Send + Sync + 'static {
    /// All members, this one included; `linearizable`: as of now, not as of the last that was heard.
    async fn members(&self, linearizable: bool) -> Result<Vec<etcd::Member>, Status>;
    /// The new member.
    async fn member_add(&self, peer_urls: Vec<String>, learner: bool) -> Result<etcd::Member, Status>;
    async fn member_remove(&self, id: u64) -> Result<(), Status>;
    async fn member_update(&self, id: u64, peer_urls: Vec<String>) -> Result<(), Status>;
    async fn member_promote(&self, id: u64) -> Result<(), Status>;
    async fn move_leader(&self, target: u64) -> Result<(), Status>;
    /// `None`: this member leads (or is alone), so the caller's own loop keeps the leases' time.
    /// `Some`: the leader's answer, the time to live in seconds or nothing if there is no such lease.
    async fn keep_alive(&self, lease: i64) -> Result<Option<etcd::LeaseKeepAliveResponse>, Status>;
    /// The same for the time that a lease has left.
    async fn time_to_live(
        &self,
        ask: etcd::LeaseTimeToLiveRequest,
    ) -> Result<Option<etcd::LeaseTimeToLiveResponse>, Status>;
    /// This member is a learner, which serves no linearizable reads and no writes.
    fn is_learner(&self) -> bool;
}

const ALONE: &str = "this store knows no other members: chapter 02's does";

/// No other members.
pub struct Alone {
    pub myself: etcd::Member,
}

impl Alone {
    fn refuse(&self, id: u64) -> Result<(), Status> {
        if id == self.myself.id {
            return Err(Status::unimplemented(ALONE));
        }
        Err(Status::not_found("etcdserver: member not found"))
    }
}

#[tonic::async_trait]
impl Peers for Alone {
    async fn members(&self, _linearizable: bool) -> Result<Vec<etcd::Member>, Status> {
        Ok(vec![self.myself.clone()])
    }

    async fn member_add(&self, _peer_urls: Vec<String>, _learner: bool) -> Result<etcd::Member, Status> {
        Err(Status::unimplemented(ALONE))
    }

    async fn member_remove(&self, id: u64) -> Result<(), Status> {
        self.refuse(id)
    }

    async fn member_update(&self, id: u64, _peer_urls: Vec<String>) -> Result<(), Status> {
        self.refuse(id)
    }

    async fn member_promote(&self, id: u64) -> Result<(), Status> {
        self.refuse(id)
    }

    async fn move_leader(&self, target: u64) -> Result<(), Status> {
        if target == self.myself.id {
            return Ok(());
        }
        Err(Status::failed_precondition("etcdserver: bad leader transferee"))
    }

    async fn keep_alive(&self, _lease: i64) -> Result<Option<etcd::LeaseKeepAliveResponse>, Status> {
        Ok(None)
    }

    async fn time_to_live(
        &self,
        _ask: etcd::LeaseTimeToLiveRequest,
    ) -> Result<Option<etcd::LeaseTimeToLiveResponse>, Status> {
        Ok(None)
    }

    fn is_learner(&self) -> bool {
        false
    }
}
