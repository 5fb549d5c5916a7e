//! The store as this server needs it: reads at a revision, and writes that fail when someone
//! else was first. Plain etcd v3, so that real etcd may stand on the other side.

use crate::heart::keys::range_end;
use crate::heart::status::ApiError;
use anyhow::Context as _;
use bytes::Bytes;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::dial::Connector;
use store::etcd::compare::{CompareResult, CompareTarget, TargetUnion};
use store::etcd::kv_client::KvClient;
use store::etcd::lease_client::LeaseClient;
use store::etcd::request_op::Request;
use store::etcd::response_op::Response;
use store::etcd::watch_client::WatchClient;
use store::etcd::watch_request::RequestUnion;
use store::etcd::*;
use store::tls::ClientFiles;
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint, Uri};

/// How long one call may take before the store counts as away.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers of the store that are not answers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// The revision that was asked for is forgotten.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    #[error("{}", .0.message())]
    Rpc(Box<tonic::Status>),
}

impl From<tonic::Status> for StoreError {
    fn from(status: tonic::Status) -> StoreError {
        match status.message().contains("required revision has been compacted") {
            true => StoreError::Compacted,
            false => StoreError::Rpc(Box::new(status)),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error {
            StoreError::Rpc(status)
                if !matches!(
                    status.code(),
                    tonic::Code::Unavailable
                        | tonic::Code::Unknown
                        | tonic::Code::Cancelled
                        | tonic::Code::DeadlineExceeded
                ) =>
            {
                ApiError::internal(status.message())
            }
            error => ApiError::unavailable(format!("the store does not answer: {error}")),
        }
    }
}

/// A value as the store holds it.
#[derive(Debug, Clone)]
pub struct Found {
    pub key: Bytes,
    pub value: Bytes,
    pub revision: i64,
}

/// How a write that compares first ended.
#[derive(Debug)]
pub enum Written {
    /// Done, at this revision.
    Done(i64),
    /// The key was not what it should have been; this is what it is.
    Changed(Option<Found>),
}

/// One page of a range.
#[derive(Debug)]
pub struct Range {
    pub items: Vec<Found>,
    /// The store's revision when it answered.
    pub revision: i64,
    pub more: bool,
    /// How many keys the range has, pages aside.
    pub count: i64,
}

#[derive(Clone)]
pub struct Store {
    kv: KvClient<Channel>,
    watch: WatchClient<Channel>,
    lease: LeaseClient<Channel>,
    /// Those who want to know the newest revision.
    asking: Arc<Mutex<Asking>>,
}

/// A read of the revision answers everybody who asked before it began, and nobody who asked later:
/// they may have seen a write that it has not.
#[derive(Default)]
struct Asking {
    under_way: bool,
    waiting: Vec<oneshot::Sender<Result<i64, StoreError>>>,
}

impl Store {
    /// Connects when it is first used, and again whenever the connection broke.
    pub fn new(url: &str, tls: &ClientFiles) -> anyhow::Result<Store> {
        let uri: Uri = url.parse().with_context(|| format!("--etcd-servers {url}"))?;
        let tls = match uri.scheme_str() {
            Some("https") => Some(Arc::new(store::tls::client_config(tls, &[b"h2"])?)),
            _ => None,
        };
        // The connector does TLS itself, so for tonic every store is plain.
        let plain = format!("http://{}", uri.authority().map(|a| a.as_str()).unwrap_or_default());
        let channel = Endpoint::from_shared(plain)?
            .connect_timeout(Duration::from_secs(2))
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .connect_with_connector_lazy(Connector { tls });
        let most = 64 * 1024 * 1024;
        Ok(Store {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(most),
            watch: WatchClient::new(channel.clone()).max_decoding_message_size(most),
            lease: LeaseClient::new(channel),
            asking: Arc::default(),
        })
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(StoreError::TimedOut),
        }
    }

    pub async fn get(&self, key: &str) -> Result<Option<Found>, StoreError> {
        let request = RangeRequest { key: Bytes::copy_from_slice(key.as_bytes()), ..Default::default() };
        let answer = self.call(self.kv.clone().range(request)).await?;
        Ok(answer.kvs.into_iter().next().map(found))
    }

    /// The newest revision there is. However many ask, one read is under way at a time.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut asking = self.asking();
            asking.waiting.push(answer);
            !std::mem::replace(&mut asking.under_way, true)
        };
        if first {
            // A task of its own: who asked first may go away, and the others still wait.
            tokio::spawn(self.clone().answer_those_who_ask());
        }
        answered.await.unwrap_or(Err(StoreError::TimedOut))
    }

    async fn answer_those_who_ask(self) {
        loop {
            let waiting = {
                let mut asking = self.asking();
                if asking.waiting.is_empty() {
                    asking.under_way = false;
                    return;
                }
                std::mem::take(&mut asking.waiting)
            };
            let revision = self.read_revision().await;
            for answer in waiting {
                // Nobody waits for it any more, perhaps.
                let _ = answer.send(revision.clone());
            }
        }
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn read_revision(&self) -> Result<i64, StoreError> {
        let request =
            RangeRequest { key: Bytes::from_static(b"/registry/"), count_only: true, ..Default::default() };
        Ok(revision(self.call(self.kv.clone().range(request)).await?.header))
    }

    /// Keys from `start` (within the prefix) on; `at` 0 means now, `limit` 0 all.
    pub async fn list(&self, prefix: &str, start: &str, limit: usize, at: i64) -> Result<Range, StoreError> {
        let request = RangeRequest {
            key: Bytes::from(format!("{prefix}{start}")),
            range_end: range_end(prefix.as_bytes()).into(),
            limit: limit as i64,
            revision: at,
            ..Default::default()
        };
        let answer = self.call(self.kv.clone().range(request)).await?;
        Ok(Range {
            revision: revision(answer.header),
            more: answer.more,
            count: answer.count,
            items: answer.kvs.into_iter().map(found).collect(),
        })
    }

    /// Write `value` if the key's last write was at `expected` (0: there is no such key).
    pub async fn put(
        &self,
        key: &str,
        expected: i64,
        value: Bytes,
        lease: i64,
    ) -> Result<Written, StoreError> {
        let key = Bytes::copy_from_slice(key.as_bytes());
        let put = PutRequest { key: key.clone(), value, lease, ..Default::default() };
        self.compare_and_do(key, expected, Request::RequestPut(put)).await
    }

    /// Delete the key if its last write was at `expected`.
    pub async fn delete(&self, key: &str, expected: i64) -> Result<Written, StoreError> {
        let key = Bytes::copy_from_slice(key.as_bytes());
        let delete = DeleteRangeRequest { key: key.clone(), ..Default::default() };
        self.compare_and_do(key, expected, Request::RequestDeleteRange(delete)).await
    }

    async fn compare_and_do(&self, key: Bytes, expected: i64, then: Request) -> Result<Written, StoreError> {
        let compare = Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Mod as i32,
            key: key.clone(),
            target_union: Some(TargetUnion::ModRevision(expected)),
            ..Default::default()
        };
        let read = Request::RequestRange(RangeRequest { key, ..Default::default() });
        let request = TxnRequest {
            compare: vec![compare],
            success: vec![RequestOp { request: Some(then) }],
            failure: vec![RequestOp { request: Some(read) }],
        };
        let answer = self.call(self.kv.clone().txn(request)).await?;
        if answer.succeeded {
            return Ok(Written::Done(revision(answer.header)));
        }
        let now = answer.responses.into_iter().find_map(|r| match r.response {
            Some(Response::ResponseRange(range)) => range.kvs.into_iter().next(),
            _ => None,
        });
        Ok(Written::Changed(now.map(found)))
    }

    /// A lease that ends by itself after `ttl_seconds`.
    pub async fn grant(&self, ttl_seconds: i64) -> Result<i64, StoreError> {
        let request = LeaseGrantRequest { ttl: ttl_seconds, id: 0 };
        Ok(self.call(self.lease.clone().lease_grant(request)).await?.id)
    }

    pub async fn compact(&self, revision: i64) -> Result<(), StoreError> {
        let request = CompactionRequest { revision, physical: false };
        self.call(self.kv.clone().compact(request)).await.map(drop)
    }

    /// Everything that happens from `revision` on, to any key: every revision of the store
    /// arrives, so the last one that arrived says how far this server has come.
    pub async fn watch(&self, start: i64) -> Result<tonic::Streaming<WatchResponse>, StoreError> {
        let create = WatchCreateRequest {
            key: Bytes::from_static(b"\0"),
            range_end: Bytes::from_static(b"\0"),
            start_revision: start,
            ..Default::default()
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // The request side stays open: closing it would end the watch.
        use futures_util::StreamExt as _;
        let requests = futures_util::stream::once(async { request }).chain(futures_util::stream::pending());
        self.call(self.watch.clone().watch(requests)).await
    }
}

fn found(kv: KeyValue) -> Found {
    Found { key: kv.key, value: kv.value, revision: kv.mod_revision }
}

fn revision(header: Option<ResponseHeader>) -> i64 {
    header.map(|h| h.revision).unwrap_or_default()
}
