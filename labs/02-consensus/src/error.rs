//! What can be wrong. Texts are etcd's where clients see them.

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// Nothing was done: the member was too long without a leader.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// It was given to a leader and never seen again, or its answer is lost: it may have been done or not,
    /// or (what was asked for is a read) nothing was to be done.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// Nothing was done.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// Nothing was done: ask the leader.
    #[error("etcdserver: not leader")]
    NotLeader,
    #[error("etcdserver: bad leader transferee")]
    BadTransferee,
    #[error("etcdserver: member not found")]
    MemberNotFound,
    #[error("etcdserver: member ID already exist")]
    MemberExists,
    #[error("etcdserver: Peer URLs already exists")]
    PeerUrlExists,
    #[error("etcdserver: can only promote a learner member")]
    NotLearner,
    #[error("etcdserver: can only promote a learner member which is in sync with leader")]
    LearnerNotReady,
    #[error("etcdserver: too many learner members in cluster")]
    TooManyLearners,
    #[error("etcdserver: re-configuration failed due to not enough started members")]
    NotEnoughStarted,
    #[error("etcdserver: unhealthy cluster")]
    Unhealthy,
    /// A change of members is still under way.
    #[error("etcdserver: a change of members is under way")]
    ChangeUnderWay,
    /// A message or what the disk held is not what it should be.
    #[error("{0}")]
    Malformed(String),
}
