//! Watch streams over the wire, with clients that do not behave.

use store::etcd::kv_client::KvClient;
use store::etcd::request_op::Request;
use store::etcd::watch_client::WatchClient;
use store::etcd::watch_request::RequestUnion;
use store::etcd::{
    CompactionRequest, PutRequest, RequestOp, TxnRequest, WatchCancelRequest, WatchCreateRequest,
    WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::support::{Server, connect, runtime};

struct Watch {
    ask: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
}

impl Watch {
    async fn open(channel: Channel) -> Watch {
        let (ask, asked) = mpsc::channel(16);
        let answers = WatchClient::new(channel).watch(ReceiverStream::new(asked)).await.expect("a stream");
        Watch { ask, answers: answers.into_inner() }
    }

    async fn send(&self, union: RequestUnion) {
        self.ask.send(WatchRequest { request_union: Some(union) }).await.expect("sent");
    }

    async fn create(&self, prefix: &'static str, from: i64) {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().expect("a prefix") += 1;
        let (key, range_end) = (prefix.into(), end.into());
        let create = WatchCreateRequest { key, range_end, start_revision: from, ..Default::default() };
        self.send(RequestUnion::CreateRequest(create)).await;
    }

    async fn next(&mut self) -> WatchResponse {
        self.answers.message().await.expect("no error").expect("an answer")
    }
}

async fn put(kv: &mut KvClient<Channel>, key: &'static str, value: Vec<u8>) -> i64 {
    let put = PutRequest { key: key.into(), value: value.into(), ..Default::default() };
    kv.put(put).await.expect("a put").into_inner().header.expect("a header").revision
}

#[test]
fn many_watches_share_a_stream_and_progress_comes_behind_the_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        let channel = connect(server.address).await;
        let mut kv = KvClient::new(channel.clone());
        put(&mut kv, "a/1", b"1".to_vec()).await;
        let mut watch = Watch::open(channel).await;
        watch.create("a", 2).await;
        watch.create("b", 0).await;
        let (a, first) = (watch.next().await, watch.next().await);
        assert!(a.created && a.watch_id == 0);
        // The second watch is created before or after the first has caught up.
        let (b, past) = if first.created { (first, watch.next().await) } else { (watch.next().await, first) };
        assert!(b.created && b.watch_id == 1);
        assert_eq!((past.watch_id, past.events.len()), (0, 1));
        let last = put(&mut kv, "b/1", b"1".to_vec()).await;
        watch.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
        let event = watch.next().await;
        assert_eq!((event.watch_id, event.events.len()), (1, 1));
        let progress = watch.next().await;
        assert_eq!((progress.watch_id, progress.header.expect("a header").revision), (-1, last));
        watch.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 1 })).await;
        let canceled = watch.next().await;
        assert!(canceled.canceled && canceled.watch_id == 1);
    });
}

/// A client that does not read holds back nothing but itself; when it reads, all is there.
#[test]
fn a_client_that_does_not_read_misses_nothing_and_holds_nobody_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        let mut lazy = Watch::open(connect(server.address).await).await;
        lazy.create("k", 2).await;
        assert!(lazy.next().await.created);
        let mut busy = Watch::open(connect(server.address).await).await;
        busy.create("k", 2).await;
        assert!(busy.next().await.created);
        let mut kv = KvClient::new(connect(server.address).await);
        // More events than the window, more bytes than the connection buffers.
        let revisions = WINDOW / AT_ONCE + 10;
        for n in 0..revisions {
            let put = |k| PutRequest {
                key: format!("k{k}").into(),
                value: vec![n as u8; 600].into(),
                ..Default::default()
            };
            let put = |k| RequestOp { request: Some(Request::RequestPut(put(k))) };
            let success = (0..AT_ONCE).map(put).collect();
            kv.txn(TxnRequest { success, ..Default::default() }).await.expect("a transaction");
            assert_eq!(busy.next().await.events.len(), AT_ONCE, "a revision comes in one piece");
        }
        let mut seen = 0;
        while seen < revisions * AT_ONCE {
            for event in lazy.next().await.events {
                let (kv, n) = (event.kv.expect("a key"), seen / AT_ONCE);
                assert_eq!((kv.mod_revision, kv.value[0]), (n as i64 + 2, n as u8));
                seen += 1;
            }
        }
    });
}

/// Events that a stream is sent ahead of its client.
const WINDOW: usize = 4096;
const AT_ONCE: usize = 64;

#[test]
fn a_watch_of_forgotten_history_is_told_and_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        let channel = connect(server.address).await;
        let mut kv = KvClient::new(channel.clone());
        for _ in 0..3 {
            put(&mut kv, "a", b"1".to_vec()).await;
        }
        kv.compact(CompactionRequest { revision: 3, physical: false }).await.expect("compaction");
        let mut watch = Watch::open(channel).await;
        watch.create("a", 2).await;
        assert!(watch.next().await.created);
        let end = watch.next().await;
        assert!(end.canceled);
        assert_eq!(end.compact_revision, 3);
    });
}

#[test]
fn large_revisions_come_in_fragments_when_asked() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        let channel = connect(server.address).await;
        let mut kv = KvClient::new(channel.clone());
        for key in ["k1", "k2", "k3", "k4"] {
            put(&mut kv, key, vec![1; 1_000_000]).await;
        }
        let mut watch = Watch::open(channel).await;
        let (key, range_end) = ("k".into(), "l".into());
        let create =
            WatchCreateRequest { key, range_end, start_revision: 2, fragment: true, ..Default::default() };
        watch.send(RequestUnion::CreateRequest(create)).await;
        assert!(watch.next().await.created);
        let mut events = 0;
        while events < 4 {
            events += watch.next().await.events.len();
        }
    });
}

#[test]
fn requests_that_are_too_large_are_refused_in_etcds_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        let mut kv = KvClient::new(connect(server.address).await);
        let value = vec![0; (3 << 19) + 100].into();
        let error =
            kv.put(PutRequest { key: "a".into(), value, ..Default::default() }).await.expect_err("too large");
        assert_eq!(
            (error.code(), error.message()),
            (tonic::Code::InvalidArgument, "etcdserver: request is too large")
        );
    });
}
