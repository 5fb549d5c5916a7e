//! Who belongs to the cluster, and how that changes: one member at a time.
//!
//! A majority before a change and a majority after it have a member in common as long as one voter at most
//! comes or goes (Raft thesis, section 4.1), so there can never be two leaders who do not know of each
//! other. A change is an entry of the log; each member goes by it from the moment it applies it.
//!
//! What can be wrong with a change is asked twice. [`Membership::check`] looks at the members alone: all
//! members ask it when they apply the change, and all come to the same answer. [`Health::check`] looks at
//! what the leader knows of them at this moment, before it proposes anything: a change that the log allows
//! can still leave a cluster without a majority that is up.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeType, ConfState};

use crate::encoding::{Reader, Writer};
use crate::error::Error;
use crate::sessions::What;
use crate::storage;
use crate::types::{Change, EntryKind, MemberId, Peer};

/// Learners cost the leader as much as voters and bring no safety: etcd's `--max-learners`.
pub const MAX_LEARNERS: usize = 1;

/// The members, as a part of the replicated state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    peers: BTreeMap<MemberId, Peer>,
    /// An id is never used again.
    removed: BTreeSet<MemberId>,
}

impl Membership {
    pub fn get(&self, id: MemberId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    pub fn voters(&self) -> impl Iterator<Item = &Peer> {
        self.peers().filter(|peer| !peer.learner)
    }

    pub fn is_removed(&self, id: MemberId) -> bool {
        self.removed.contains(&id)
    }

    pub fn removed(&self) -> impl Iterator<Item = MemberId> {
        self.removed.iter().copied()
    }

    /// Whether these members can make this change.
    pub fn check(&self, change: &Change) -> Result<(), Error> {
        // lab:begin 02.6 an id is new, known, or known and a learner, as the change needs it; URLs belong to one member; there is a voter left, and no learner too many
        let known = |id: &MemberId| self.get(*id).ok_or(Error::MemberNotFound);
        match change {
            Change::Add(peer) => {
                if self.peers.contains_key(&peer.id) || self.is_removed(peer.id) || peer.id == 0 {
                    return Err(Error::MemberExists);
                }
                self.check_urls(peer.id, &peer.peer_urls)?;
                let learners = self.peers().filter(|peer| peer.learner).count();
                if peer.learner && learners >= MAX_LEARNERS {
                    return Err(Error::TooManyLearners);
                }
                Ok(())
            }
            Change::Remove(id) => {
                let last = !known(id)?.learner && self.voters().count() == 1;
                if last { Err(Error::NotEnoughStarted) } else { Ok(()) }
            }
            Change::Promote(id) => {
                if known(id)?.learner {
                    Ok(())
                } else {
                    Err(Error::NotLearner)
                }
            }
            Change::Update { id, peer_urls } => known(id).and_then(|_| self.check_urls(*id, peer_urls)),
            Change::Publish { id, .. } => known(id).map(|_| ()),
        }
        // lab:end
    }

    // lab:given
    fn check_urls(&self, id: MemberId, urls: &[String]) -> Result<(), Error> {
        let mut others = self.peers().filter(|peer| peer.id != id).flat_map(|peer| &peer.peer_urls);
        if others.any(|url| urls.contains(url)) { Err(Error::PeerUrlExists) } else { Ok(()) }
    }

    /// Makes a change that [`Self::check`] found possible.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Add(peer) => {
                self.peers.insert(peer.id, peer.clone());
            }
            Change::Remove(id) => {
                self.peers.remove(id);
                self.removed.insert(*id);
            }
            Change::Promote(id) => self.change(*id, |peer| peer.learner = false),
            Change::Update { id, peer_urls } => self.change(*id, |peer| peer.peer_urls = peer_urls.clone()),
            Change::Publish { id, name, client_urls } => self.change(*id, |peer| {
                peer.name = name.clone();
                peer.client_urls = client_urls.clone();
            }),
        }
    }

    fn change(&mut self, id: MemberId, with: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.get_mut(&id) {
            with(peer);
        }
    }

    pub(crate) fn conf_state(&self) -> ConfState {
        let learners = self.peers().filter(|peer| peer.learner);
        storage::conf_state(self.voters().map(|p| p.id).collect(), learners.map(|p| p.id).collect())
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u64(self.peers.len() as u64);
        self.peers().for_each(|peer| w.peer(peer));
        w.u64(self.removed.len() as u64);
        self.removed.iter().for_each(|id| w.u64(*id));
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Membership, Error> {
        let peers = r.list(Reader::peer)?;
        let removed = r.list(Reader::u64)?;
        Ok(Membership {
            peers: peers.into_iter().map(|peer| (peer.id, peer)).collect(),
            removed: removed.into_iter().collect(),
        })
    }
}

/// What the leader knows of the others at this moment.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Members, the leader included, from whom something was heard lately.
    pub active: BTreeSet<MemberId>,
    /// How much of the leader's log each member has.
    pub matched: BTreeMap<MemberId, u64>,
    /// The leader's last entry that is on its own disk.
    pub last: u64,
}

impl Health {
    /// Whether it is wise to make this change now. etcd asks the same under the name of
    /// `--strict-reconfig-check`.
    ///
    /// - A member counts as started once it has published its name.
    /// - A voter may come, or a learner become one, if the voters that have started are a majority of all
    ///   voters afterwards. The new one counts as started only if it was a learner before. A cluster of
    ///   one may always get a second member.
    /// - Nobody may be added while a voter is not active.
    /// - A learner may be promoted if it has nine tenths of what the leader has.
    /// - A voter may go if those that have started are a majority of the rest; and if it is active
    ///   itself, then the other active ones must be a majority of the rest. A learner may always go.
    pub fn check(&self, members: &Membership, change: &Change) -> Result<(), Error> {
        // lab:begin 02.6 as the doc says, in the order of its sentences: count the voters that have started, then look at who is active or caught up
        let started = |peer: &&Peer| !peer.name.is_empty();
        let voters = members.voters().count();
        let ready = members.voters().filter(started).count();
        match change {
            Change::Add(peer) => {
                let first = ready == 1 && voters == 1;
                if !peer.learner && !first && !is_majority(ready, voters + 1) {
                    return Err(Error::NotEnoughStarted);
                }
                let all = members.voters().all(|peer| self.active.contains(&peer.id));
                if all { Ok(()) } else { Err(Error::Unhealthy) }
            }
            Change::Promote(id) => {
                let matched = self.matched.get(id).copied().unwrap_or(0);
                if u128::from(matched) * 10 < u128::from(self.last) * 9 {
                    return Err(Error::LearnerNotReady);
                }
                let enough = is_majority(ready + 1, voters + 1);
                if enough { Ok(()) } else { Err(Error::NotEnoughStarted) }
            }
            Change::Remove(id) if members.get(*id).is_some_and(|peer| !peer.learner) => {
                let rest = || members.voters().filter(|peer| peer.id != *id);
                if !is_majority(rest().filter(started).count(), voters - 1) {
                    return Err(Error::NotEnoughStarted);
                }
                let up = rest().filter(|peer| self.active.contains(&peer.id)).count();
                let harmless = !self.active.contains(id) || is_majority(up, voters - 1);
                if harmless { Ok(()) } else { Err(Error::Unhealthy) }
            }
            Change::Remove(_) | Change::Update { .. } | Change::Publish { .. } => Ok(()),
        }
        // lab:end
    }
}

/// Whether so many are a majority of so many.
pub fn is_majority(some: usize, of: usize) -> bool {
    some > of / 2
}

/// How a change stands in an entry. One of who votes or gets the log is an entry of its own kind, in the
/// `raft` crate's words, for that crate has to know; the others are its business no more than a command.
pub(crate) fn encode(change: &Change) -> (EntryKind, What, Bytes) {
    match conf_change(change) {
        Some(conf) => {
            let bytes = conf.write_to_bytes().expect("a message without required fields");
            (EntryKind::Change, What::Change, bytes.into())
        }
        None => (EntryKind::Normal, What::Change, change_bytes(change)),
    }
}

pub(crate) fn decode(kind: EntryKind, data: &[u8]) -> Result<Change, Error> {
    let conf;
    let bytes = match kind {
        EntryKind::Normal => data,
        EntryKind::Change => {
            conf = ConfChange::parse_from_bytes(data).map_err(|e| Error::Malformed(e.to_string()))?;
            &conf.context
        }
    };
    let mut r = Reader::new(bytes);
    let change = r.change()?;
    r.finish()?;
    Ok(change)
}

pub(crate) fn conf_change(change: &Change) -> Option<ConfChange> {
    let (id, kind) = match change {
        Change::Add(peer) if peer.learner => (peer.id, ConfChangeType::AddLearnerNode),
        Change::Add(peer) => (peer.id, ConfChangeType::AddNode),
        Change::Promote(id) => (*id, ConfChangeType::AddNode),
        Change::Remove(id) => (*id, ConfChangeType::RemoveNode),
        Change::Update { .. } | Change::Publish { .. } => return None,
    };
    let mut conf = ConfChange::new();
    conf.node_id = id;
    conf.set_change_type(kind);
    conf.context = change_bytes(change);
    Some(conf)
}

fn change_bytes(change: &Change) -> Bytes {
    let mut w = Writer::default();
    w.change(change);
    w.out.into()
}
