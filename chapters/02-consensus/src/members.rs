//! What the services ask about the other members, and of the one that leads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message;
use store::Local;
use store::etcd;
use store::peers::Peers;
use tokio::sync::Mutex;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::args::check_url;
use crate::dial::Dialer;
use crate::heart::Error;
use crate::heart::types::{Change, MemberId, Peer};
use crate::ids;
use crate::raft_loop::Event;
use crate::view::Shared;
use crate::wire::proto::Call;
use crate::wire::proto::call::Call as Ask;
use crate::wire::proto::peer_client::PeerClient;
use crate::wire::{etcd_member, status};

/// etcd's `ReqTimeout` for an election timeout of a second.
const TIMEOUT: Duration = Duration::from_secs(7);
/// How long a member waits to hear itself of what the leader has done.
const HEARSAY: Duration = Duration::from_millis(500);
/// Between two attempts to reach whoever leads.
const RETRY: Duration = Duration::from_millis(50);

/// What a leader does for others.
#[derive(Clone)]
pub struct Leading {
    pub shared: Shared,
    pub local: Local,
    /// How long a new leader may take to be elected.
    pub election: Duration,
}

impl Leading {
    /// Answers a call, as etcd's message where it has one.
    pub async fn answer(&self, ask: Ask) -> Result<Bytes, Status> {
        if !self.shared.leads() {
            return Err(status(Error::NotLeader));
        }
        let change = match ask {
            Ask::KeepAlive(id) => return Ok(self.local.keep_alive(id).await?.encode_to_vec().into()),
            Ask::TimeToLive(ask) => {
                let ask = etcd::LeaseTimeToLiveRequest::decode(ask)
                    .map_err(|e| Status::invalid_argument(e.to_string()))?;
                return Ok(self.local.time_to_live(ask).await?.encode_to_vec().into());
            }
            Ask::Add(peer) => Change::Add(peer.into()),
            Ask::Remove(id) => Change::Remove(id),
            Ask::Promote(id) => Change::Promote(id),
            Ask::Update(peer) => Change::Update { id: peer.id, peer_urls: peer.peer_urls },
            Ask::Publish(peer) => {
                Change::Publish { id: peer.id, name: peer.name, client_urls: peer.client_urls }
            }
        };
        self.shared.door.change(change).await.map_err(status)?;
        Ok(Bytes::new())
    }

    /// Returns when the other leads. As in etcd only the leader itself can be asked for it.
    async fn transfer(&self, to: MemberId) -> Result<(), Status> {
        if !self.shared.leads() {
            return Err(status(Error::NotLeader));
        }
        if to == self.shared.id() {
            return Ok(());
        }
        let mut view = self.shared.view.clone();
        self.shared.door.ask(|reply| Event::Transfer(to, reply)).await.map_err(status)?;
        let moved = view.wait_for(|view| view.standing.leader == to);
        match tokio::time::timeout(self.election, moved).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Status::unavailable("etcdserver: request timed out, leader transfer took too long")),
        }
    }

    /// Has another member lead before this one stops, so that nobody waits for an election.
    pub async fn hand_over(&self) {
        let (mut view, id) = (self.shared.view.clone(), self.shared.id());
        if self.shared.leads() && self.shared.door.ask(Event::HandOver).await.is_ok() {
            let moved = view.wait_for(|view| ![0, id].contains(&view.standing.leader));
            let _ = tokio::time::timeout(self.election, moved).await;
        }
    }
}

/// The other members, for the services.
pub struct Members {
    leading: Leading,
    dialer: Dialer,
    token: String,
    /// Whether this member listens for others at all.
    listens: bool,
    /// To the leader, as long as it is the same.
    channel: Mutex<Option<(Peer, Channel)>>,
}

impl Members {
    pub fn new(leading: Leading, dialer: Dialer, token: String, listens: bool) -> Arc<Members> {
        Arc::new(Members { leading, dialer, token, listens, channel: Mutex::default() })
    }

    fn shared(&self) -> &Shared {
        &self.leading.shared
    }

    /// Has the leader do it, wherever it is. An ask that may have been done is not repeated, but for
    /// those that do no harm a second time.
    async fn at_leader(&self, ask: Ask) -> Result<Bytes, Status> {
        let done = tokio::time::timeout(TIMEOUT, async {
            let mut view = self.shared().view.clone();
            loop {
                let found = view.wait_for(|view| view.standing.leader != 0).await;
                let leader = found.map_err(|_| status(Error::TimedOut))?.standing.leader;
                let answered = if leader == self.shared().id() {
                    self.leading.answer(ask.clone()).await
                } else {
                    self.forward(leader, ask.clone()).await
                };
                match answered {
                    Err(why) if is_elsewhere(&why, &ask) => tokio::time::sleep(RETRY).await,
                    answered => return answered,
                }
            }
        });
        let none = |_| {
            let leader = self.shared().view.borrow().standing.leader;
            status(if leader == 0 { Error::NoLeader } else { Error::TimedOut })
        };
        done.await.map_err(none)?
    }

    /// Has the leader change the members, and waits until this member has heard of it: `heard` looks at
    /// what it knows of the one in question.
    async fn change(
        &self,
        id: MemberId,
        ask: Ask,
        heard: impl Fn(Option<&Peer>) -> bool,
    ) -> Result<(), Status> {
        self.at_leader(ask).await?;
        let mut view = self.shared().view.clone();
        let known = view.wait_for(|view| heard(view.members.iter().find(|peer| peer.id == id)));
        // It is done in any case; and who is removed may not hear of it.
        let _ = tokio::time::timeout(HEARSAY, known).await;
        Ok(())
    }

    async fn forward(&self, leader: MemberId, ask: Ask) -> Result<Bytes, Status> {
        let peer = self.shared().member(leader).ok_or_else(|| status(Error::NotLeader))?;
        let channel = self.channel_to(peer).await?;
        let call = self.shared().call(leader).request(Call { call: Some(ask) });
        let answered = PeerClient::new(channel).forward(call).await;
        if answered.as_ref().is_err_and(|why| matches!(why.code(), Code::Unavailable | Code::Unknown)) {
            *self.channel.lock().await = None;
        }
        Ok(answered?.into_inner().answer)
    }

    async fn channel_to(&self, peer: Peer) -> Result<Channel, Status> {
        let mut kept = self.channel.lock().await;
        if let Some((to, channel)) = &*kept
            && (to.id, &to.peer_urls) == (peer.id, &peer.peer_urls)
        {
            return Ok(channel.clone());
        }
        let channel = self.dialer.connect_any(&peer.peer_urls).await;
        // Nothing was sent, so it may be tried again.
        let channel = channel.map_err(|_| status(Error::NotLeader))?;
        *kept = Some((peer, channel.clone()));
        Ok(channel)
    }

    /// Tells all members this one's name and where clients find it, if they do not know.
    pub async fn publish(self: Arc<Self>, name: String, client_urls: Vec<String>) {
        let id = self.shared().id();
        let mut view = self.shared().view.clone();
        loop {
            let known = view
                .wait_for(|view| view.standing.leader != 0 && view.members.iter().any(|peer| peer.id == id));
            if known.await.is_err() {
                return;
            }
            let mine = self.shared().member(id).unwrap_or_default();
            if (&mine.name, &mine.client_urls) == (&name, &client_urls) {
                return;
            }
            let publish =
                Peer { id, name: name.clone(), client_urls: client_urls.clone(), ..Peer::default() };
            if let Err(e) = self.at_leader(Ask::Publish(publish.into())).await {
                tracing::debug!("not published yet: {e}");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Not done, because the one that was asked does not lead; or maybe done, and no harm to do again.
fn is_elsewhere(why: &Status, ask: &Ask) -> bool {
    let repeatable = matches!(ask, Ask::KeepAlive(_) | Ask::TimeToLive(_) | Ask::Publish(_));
    why.message() == Error::NotLeader.to_string() || (repeatable && why.code() == Code::Unavailable)
}

fn checked(mut peer_urls: Vec<String>) -> Result<Vec<String>, Status> {
    peer_urls.sort();
    let unique: BTreeSet<&String> = peer_urls.iter().collect();
    if peer_urls.is_empty()
        || unique.len() < peer_urls.len()
        || peer_urls.iter().any(|u| check_url(u).is_err())
    {
        return Err(Status::invalid_argument("etcdserver: given member URLs are invalid"));
    }
    Ok(peer_urls)
}

#[tonic::async_trait]
impl Peers for Members {
    async fn members(&self, linearizable: bool) -> Result<Vec<etcd::Member>, Status> {
        if linearizable {
            let read = self.shared().door.ask(Event::Barrier);
            let done = tokio::time::timeout(TIMEOUT, read).await.map_err(|_| status(Error::TimedOut))?;
            done.map_err(status)?;
        }
        let members = self.shared().view.borrow().members.clone();
        Ok(members.into_iter().map(etcd_member).collect())
    }

    async fn member_add(&self, peer_urls: Vec<String>, learner: bool) -> Result<etcd::Member, Status> {
        let peer_urls = checked(peer_urls)?;
        if !self.listens {
            let why = "this member does not listen for others: start it with --listen-peer-urls";
            return Err(Status::failed_precondition(why));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let id = ids::member_id(&peer_urls, &self.token, Some(now));
        let peer = Peer { id, peer_urls, learner, ..Peer::default() };
        self.change(id, Ask::Add(peer.clone().into()), |known| known.is_some()).await?;
        Ok(etcd_member(peer))
    }

    async fn member_remove(&self, id: u64) -> Result<(), Status> {
        self.change(id, Ask::Remove(id), |known| known.is_none()).await
    }

    async fn member_update(&self, id: u64, peer_urls: Vec<String>) -> Result<(), Status> {
        let peer = Peer { id, peer_urls: checked(peer_urls)?, ..Peer::default() };
        let urls = peer.peer_urls.clone();
        self.change(id, Ask::Update(peer.into()), |known| known.is_some_and(|p| p.peer_urls == urls)).await
    }

    async fn member_promote(&self, id: u64) -> Result<(), Status> {
        self.change(id, Ask::Promote(id), |known| known.is_some_and(|peer| !peer.learner)).await
    }

    async fn move_leader(&self, target: u64) -> Result<(), Status> {
        self.leading.transfer(target).await
    }

    async fn keep_alive(&self, lease: i64) -> Result<Option<etcd::LeaseKeepAliveResponse>, Status> {
        if self.shared().leads() {
            return Ok(None);
        }
        let answer = self.at_leader(Ask::KeepAlive(lease)).await?;
        etcd::LeaseKeepAliveResponse::decode(answer).map(Some).map_err(|e| Status::internal(e.to_string()))
    }

    async fn time_to_live(
        &self,
        ask: etcd::LeaseTimeToLiveRequest,
    ) -> Result<Option<etcd::LeaseTimeToLiveResponse>, Status> {
        if self.shared().leads() {
            return Ok(None);
        }
        let answer = self.at_leader(Ask::TimeToLive(ask.encode_to_vec().into())).await?;
        etcd::LeaseTimeToLiveResponse::decode(answer).map(Some).map_err(|e| Status::internal(e.to_string()))
    }

    fn is_learner(&self) -> bool {
        let (view, id) = (self.shared().view.borrow(), self.shared().id());
        view.members.iter().any(|peer| peer.id == id && peer.learner)
    }
}
