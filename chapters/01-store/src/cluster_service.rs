//! The Cluster service: the members, as [`Peers`](crate::peers::Peers) has them.

use tonic::{Request as Call, Response, Status};

use crate::etcd::{self, cluster_server};
use crate::service::{Answered, Service};

#[tonic::async_trait]
impl cluster_server::Cluster for Service {
    async fn member_add(&self, call: Call<etcd::MemberAddRequest>) -> Answered<etcd::MemberAddResponse> {
        let etcd::MemberAddRequest { peer_urls, is_learner } = call.into_inner();
        let member = Some(self.peers.member_add(peer_urls, is_learner).await?);
        let (header, members) = self.members().await?;
        Ok(Response::new(etcd::MemberAddResponse { header, member, members }))
    }

    async fn member_remove(
        &self,
        call: Call<etcd::MemberRemoveRequest>,
    ) -> Answered<etcd::MemberRemoveResponse> {
        self.peers.member_remove(call.get_ref().id).await?;
        let (header, members) = self.members().await?;
        Ok(Response::new(etcd::MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        call: Call<etcd::MemberUpdateRequest>,
    ) -> Answered<etcd::MemberUpdateResponse> {
        let etcd::MemberUpdateRequest { id, peer_urls } = call.into_inner();
        self.peers.member_update(id, peer_urls).await?;
        let (header, members) = self.members().await?;
        Ok(Response::new(etcd::MemberUpdateResponse { header, members }))
    }

    async fn member_list(&self, call: Call<etcd::MemberListRequest>) -> Answered<etcd::MemberListResponse> {
        let members = self.peers.members(call.get_ref().linearizable).await?;
        Ok(Response::new(etcd::MemberListResponse { header: self.header().await?, members }))
    }

    async fn member_promote(
        &self,
        call: Call<etcd::MemberPromoteRequest>,
    ) -> Answered<etcd::MemberPromoteResponse> {
        self.peers.member_promote(call.get_ref().id).await?;
        let (header, members) = self.members().await?;
        Ok(Response::new(etcd::MemberPromoteResponse { header, members }))
    }
}

impl Service {
    /// After a change of members, which this member has seen done.
    async fn members(&self) -> Result<(Option<etcd::ResponseHeader>, Vec<etcd::Member>), Status> {
        Ok((self.header().await?, self.peers.members(false).await?))
    }
}
