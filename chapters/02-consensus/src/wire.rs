//! The members' protocol as Rust: generated types, what stands in the metadata, errors as etcd's.

use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use crate::heart::Error;
use crate::heart::types::{MemberId, Peer};

pub mod proto {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
    tonic::include_proto!("coracle.consensus");
}

/// Largest message that is taken from another member: what raft puts in one, and one request more.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// A stream's batch ends when it has so many bytes.
pub const BATCH_BYTES: usize = 1 << 20;

const CLUSTER: &str = "coracle-cluster";
const FROM: &str = "coracle-from";
const TO: &str = "coracle-to";

/// Told to a member that belongs to the cluster no more.
const REMOVED: &str = "the member has been permanently removed from the cluster";

/// Who calls whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub cluster: u64,
    pub from: MemberId,
    pub to: MemberId,
}

impl Caller {
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, number) in [(CLUSTER, self.cluster), (FROM, self.from), (TO, self.to)] {
            let value = format!("{number:x}").parse().expect("digits are a value");
            request.metadata_mut().insert(name, value);
        }
        request
    }

    pub fn of(metadata: &MetadataMap) -> Result<Caller, Status> {
        let number = |name| {
            let text = metadata.get(name)?.to_str().ok()?;
            u64::from_str_radix(text, 16).ok()
        };
        let needed =
            |name| number(name).ok_or_else(|| Status::invalid_argument(format!("{name} is missing")));
        Ok(Caller { cluster: needed(CLUSTER)?, from: needed(FROM)?, to: needed(TO)? })
    }
}

pub fn removed() -> Status {
    Status::permission_denied(REMOVED)
}

pub fn is_removed(status: &Status) -> bool {
    status.code() == Code::PermissionDenied && status.message() == REMOVED
}

/// What a client is told, with etcd's codes.
pub fn status(error: Error) -> Status {
    let code = match error {
        Error::NoLeader | Error::TimedOut | Error::Unhealthy | Error::ChangeUnderWay => Code::Unavailable,
        Error::TooManyRequests => Code::ResourceExhausted,
        Error::MemberNotFound => Code::NotFound,
        Error::NotLeader
        | Error::BadTransferee
        | Error::MemberExists
        | Error::PeerUrlExists
        | Error::NotLearner
        | Error::LearnerNotReady
        | Error::TooManyLearners
        | Error::NotEnoughStarted => Code::FailedPrecondition,
        Error::Malformed(_) => Code::Internal,
    };
    Status::new(code, error.to_string())
}

impl From<Peer> for proto::Member {
    fn from(peer: Peer) -> Self {
        let Peer { id, name, peer_urls, client_urls, learner } = peer;
        proto::Member { id, name, peer_urls, client_urls, learner }
    }
}

impl From<proto::Member> for Peer {
    fn from(member: proto::Member) -> Self {
        let proto::Member { id, name, peer_urls, client_urls, learner } = member;
        Peer { id, name, peer_urls, client_urls, learner }
    }
}

pub fn etcd_member(peer: Peer) -> store::etcd::Member {
    let Peer { id, name, peer_urls, client_urls, learner } = peer;
    store::etcd::Member { id, name, peer_urls, client_urls, is_learner: learner }
}
