//! This member's own loop, for the services, and for other members that ask it.

use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::convert::{share, status};
use crate::etcd;
use crate::heart::types::LeaseId;
use crate::heart::{Error, Store};
use crate::request::{QUEUE, Read, Request};

/// The way to the loop. Cheap to clone.
#[derive(Clone)]
pub struct Local {
    requests: mpsc::Sender<Request>,
}

/// The loop's end of it, for [`crate::serve_with`].
pub struct Queue(pub(crate) mpsc::Receiver<Request>);

pub fn local() -> (Local, Queue) {
    let (requests, queue) = mpsc::channel(QUEUE);
    (Local { requests }, Queue(queue))
}

pub(crate) fn stopped<E>(_: E) -> Status {
    Status::unavailable("etcdserver: server stopped")
}

impl Local {
    pub(crate) async fn send(&self, request: Request) -> Result<(), Status> {
        self.requests.send(request).await.map_err(stopped)
    }

    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        self.send(request(reply)).await?;
        answer.await.map_err(stopped)
    }

    /// Looks at the store in one moment: now, or if `serializable` will do, as this member has it.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        serializable: bool,
        look: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        let look = |reply: oneshot::Sender<Result<T, Status>>| {
            let look = move |store: Result<&Store, Status>| {
                let _ = reply.send(store.and_then(|store| look(store).map_err(status)));
            };
            Request::Read(Read::Look { serializable, look: Box::new(look) })
        };
        self.ask(look).await?
    }

    /// Starts a lease's time anew, if this member keeps the leases' time; unavailable if it does not.
    /// The answer has no header.
    pub async fn keep_alive(&self, id: LeaseId) -> Result<etcd::LeaseKeepAliveResponse, Status> {
        let (_, ttl) = self.ask(|reply| Request::KeepAlive(id, reply)).await??;
        Ok(etcd::LeaseKeepAliveResponse { header: None, id, ttl: ttl.unwrap_or(0) })
    }

    /// What is left of a lease, if this member keeps the leases' time; unavailable if it does not. The
    /// answer has no header.
    pub async fn time_to_live(
        &self,
        ask: etcd::LeaseTimeToLiveRequest,
    ) -> Result<etcd::LeaseTimeToLiveResponse, Status> {
        let etcd::LeaseTimeToLiveRequest { id, keys } = ask;
        let (_, lease) = self.ask(|reply| Request::TimeToLive(id, reply)).await??;
        let mut answer = etcd::LeaseTimeToLiveResponse { id, ttl: -1, ..Default::default() };
        if let Some(lease) = lease {
            answer.ttl = lease.remaining;
            answer.granted_ttl = lease.granted;
            if keys {
                answer.keys = lease.keys.iter().map(share).collect();
            }
        }
        Ok(answer)
    }
}
