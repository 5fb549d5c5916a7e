//! Stands before the services while authentication is on: finds out who asks, and sends away who is
//! not root from where only root may go.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either, FutureExt};
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Request as Call, Status};
use tower_layer::Layer;
use tower_service::Service;

use super::{Credentials, Sessions, status};
use crate::heart::Store;
use crate::heart::auth::{AuthError, Caller};
use crate::local::Local;

/// Nothing in it is about keys, so there is nothing that a role could allow. (etcd 3.4 forgets the
/// last one.)
const FOR_ROOT: [&str; 9] = [
    "/etcdserverpb.Cluster/MemberAdd",
    "/etcdserverpb.Cluster/MemberRemove",
    "/etcdserverpb.Cluster/MemberUpdate",
    "/etcdserverpb.Cluster/MemberPromote",
    "/etcdserverpb.Maintenance/Defragment",
    "/etcdserverpb.Maintenance/Hash",
    "/etcdserverpb.Maintenance/HashKV",
    "/etcdserverpb.Maintenance/Snapshot",
    "/etcdserverpb.Maintenance/MoveLeader",
];
/// Of these, etcd does not translate the errors into those of its API.
const UNTRANSLATED: &[&str] = FOR_ROOT.split_at(4).1.split_at(4).0;
/// A token that has run out does not matter here: it is to be renewed, or it is looked at later, for each
/// message of a stream, or there is no secret.
const FOR_ANYONE: [&str; 5] = [
    "/etcdserverpb.Auth/Authenticate",
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Cluster/MemberList",
];

/// Who asks, as the guard has found.
pub fn caller<T>(call: &Call<T>) -> Option<Caller> {
    call.extensions().get::<Caller>().cloned()
}

#[derive(Clone)]
pub struct Guard {
    pub sessions: Arc<Sessions>,
    pub local: Local,
}

impl Guard {
    async fn check(&self, path: &str, credentials: &Credentials) -> Result<Option<Caller>, Status> {
        if FOR_ANYONE.contains(&path) {
            return Ok(None);
        }
        let translate = if UNTRANSLATED.contains(&path) { untranslated } else { status };
        let caller = self.sessions.caller(credentials).await.map_err(translate)?;
        if FOR_ROOT.contains(&path) {
            let root = caller.clone();
            let check = move |store: &Store| Ok(store.auth().check_root(root.as_ref()));
            self.local.look(true, check).await?.map_err(translate)?;
        }
        Ok(caller)
    }
}

fn untranslated(error: AuthError) -> Status {
    Status::unknown(error.to_string().replace("etcdserver: ", "auth: "))
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind the guard.
#[derive(Clone)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Request<B>) -> Self::Future {
        if !self.guard.sessions.is_enabled() {
            return Either::Left(self.inner.call(call));
        }
        let guard = self.guard.clone();
        // The one that was asked whether it is ready, and another for the next call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let guarded = async move {
            let credentials = Credentials::of(call.headers(), call.extensions());
            match guard.check(call.uri().path(), &credentials).await {
                Ok(caller) => {
                    if let Some(caller) = caller {
                        call.extensions_mut().insert(caller);
                    }
                    inner.call(call).await
                }
                Err(why) => Ok(why.into_http()),
            }
        };
        Either::Right(guarded.boxed())
    }
}
