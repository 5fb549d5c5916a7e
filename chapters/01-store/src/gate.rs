//! What is refused before a service sees it, by where the member stands: no leader although the client
//! wants one, or a learner that is asked for more than it can know.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tower_layer::Layer;
use tower_service::Service;

use crate::peers::Peers;
use crate::service::Identity;

/// What a learner serves. (Of ranges only serializable ones, which is seen later.)
const FOR_LEARNERS: [&str; 3] =
    ["/etcdserverpb.KV/Range", "/etcdserverpb.Maintenance/Status", "/etcdserverpb.Maintenance/Snapshot"];
const ETCD: &str = "/etcdserverpb.";

pub fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

pub fn not_for_learners() -> Status {
    Status::unavailable("etcdserver: rpc not supported for learner")
}

/// The client would rather hear that there is no leader than old news.
pub fn needs_leader(metadata: &MetadataMap) -> bool {
    metadata.get("hasleader").is_some_and(|value| value == "true")
}

#[derive(Clone)]
pub struct Gate {
    pub identity: Identity,
    pub peers: Arc<dyn Peers>,
}

impl Gate {
    fn check<B>(&self, call: &Request<B>) -> Result<(), Status> {
        let path = call.uri().path();
        if !path.starts_with(ETCD) {
            return Ok(());
        }
        if self.peers.is_learner() && !FOR_LEARNERS.contains(&path) {
            return Err(not_for_learners());
        }
        let needs_leader = call.headers().get("hasleader").is_some_and(|value| value == "true");
        if needs_leader && self.identity.leader() == 0 {
            return Err(no_leader());
        }
        Ok(())
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S, B> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Request<B>) -> Self::Future {
        match self.gate.check(&call) {
            Ok(()) => Either::Left(self.inner.call(call)),
            Err(why) => Either::Right(ready(Ok(why.into_http()))),
        }
    }
}
