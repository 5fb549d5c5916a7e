//! Whoever reaches a member's port may send anything: the member refuses it and goes on.

use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use store::etcd::kv_client::KvClient;
use store::etcd::{PutRequest, RangeRequest};
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::ids;
use crate::wire::proto::call::Call as Ask;
use crate::wire::proto::peer_client::PeerClient;
use crate::wire::proto::{Batch, Call, Head, Nothing, Piece, piece};
use crate::wire::{Caller, MAX_MESSAGE_BYTES};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: crate::Args,
}

struct Target {
    caller: Caller,
    peer: Channel,
    client: Channel,
    _dir: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<anyhow::Result<()>>,
}

async fn connect(port: u16) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("a URL");
    loop {
        match endpoint.connect().await {
            Ok(channel) => return channel,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

impl Target {
    async fn start() -> Target {
        let dir = tempfile::tempdir().expect("a directory");
        let free =
            || TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let (peer_port, client_port) = (free(), free());
        let url = format!("http://127.0.0.1:{peer_port}");
        let words = format!(
            "member --data-dir {} --listen-client-urls http://127.0.0.1:{client_port} --listen-peer-urls {url} \
             --initial-advertise-peer-urls {url} --heartbeat-interval 10 --election-timeout 100",
            dir.path().display()
        );
        let args = Cli::try_parse_from(words.split(' ')).expect("arguments").args;
        let id = ids::member_id(&[url], "etcd-cluster", None);
        let caller = Caller { cluster: ids::cluster_id(vec![id]), from: 7, to: id };
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(crate::serve(args, async { drop(stopped.await) }));
        let (peer, client) = (connect(peer_port).await, connect(client_port).await);
        Target { caller, peer, client, _dir: dir, stop, serving }
    }

    /// It serves as before.
    async fn check(&self) {
        let mut kv = KvClient::new(self.client.clone());
        let put = PutRequest { key: "a".into(), value: "1".into(), ..Default::default() };
        kv.put(put).await.expect("a write");
        kv.range(RangeRequest { key: "a".into(), ..Default::default() }).await.expect("a read");
    }

    async fn messages(&self, caller: Caller, messages: Vec<Bytes>) -> Result<(), Status> {
        let stream = tokio_stream::iter(vec![Batch { messages }]);
        PeerClient::new(self.peer.clone()).messages(caller.request(stream)).await.map(drop)
    }

    async fn snapshot(&self, pieces: Vec<piece::Piece>) -> Code {
        let pieces: Vec<Piece> = pieces.into_iter().map(|piece| Piece { piece: Some(piece) }).collect();
        let call = self.caller.request(tokio_stream::iter(pieces));
        PeerClient::new(self.peer.clone()).snapshot(call).await.expect_err("refused").code()
    }
}

/// Small, fast and the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_survives_whatever_its_port_is_sent() {
    let target = Target::start().await;
    target.check().await;
    let Caller { cluster, from, to } = target.caller;

    for wrong in [Caller { cluster: cluster + 1, from, to }, Caller { cluster, from, to: to + 1 }] {
        let refused = target.messages(wrong, vec![Bytes::from_static(b"x")]).await.expect_err("refused");
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    }
    let bare = tonic::Request::new(tokio_stream::iter(vec![Batch::default()]));
    let refused = PeerClient::new(target.peer.clone()).messages(bare).await.expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument);

    // Bytes that are no message, and some that nearly are: tags and small numbers.
    let mut random = Random(0x1234_5678_9abc_def1);
    for round in 0..200 {
        let messages = (0..16).map(|_| {
            let len = random.draw() % 64;
            let tags =
                [0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x3a, 0x40, 0x4a, 0x50, 0x58, 0x62, 0x01, 0x02, 0x07];
            let mut byte = || match round % 2 {
                0 => random.draw() as u8,
                _ => tags[(random.draw() % tags.len() as u64) as usize],
            };
            (0..len).map(|_| byte()).collect::<Vec<u8>>().into()
        });
        target.messages(target.caller, messages.collect()).await.expect("taken, and dropped");
    }
    target.check().await;

    let huge = vec![Bytes::from(vec![0; 2 * MAX_MESSAGE_BYTES + (4 << 20)])];
    assert!(target.messages(target.caller, huge).await.is_err(), "too large");
    let data = || piece::Piece::Data(Bytes::from_static(b"data"));
    let head =
        |message: &'static [u8]| piece::Piece::Head(Head { message: Bytes::from_static(message), size: 4 });
    assert_eq!(target.snapshot(vec![]).await, Code::InvalidArgument);
    assert_eq!(target.snapshot(vec![data()]).await, Code::InvalidArgument);
    for message in [&b""[..], b"nonsense", &[0x08, 0x07]] {
        let code = target.snapshot(vec![head(message), data()]).await;
        assert!(matches!(code, Code::InvalidArgument | Code::Internal), "{message:?}: {code:?}");
    }
    let empty = target.caller.request(Call { call: None });
    assert!(PeerClient::new(target.peer.clone()).forward(empty).await.is_err());
    let unknown = target.caller.request(Call { call: Some(Ask::TimeToLive(Bytes::from_static(b"\xff"))) });
    assert!(PeerClient::new(target.peer.clone()).forward(unknown).await.is_err());
    let info =
        PeerClient::new(target.peer.clone()).cluster(Nothing {}).await.expect("an answer").into_inner();
    assert_eq!((info.cluster, info.members.len()), (cluster, 1));

    target.check().await;
    drop(target.stop);
    target.serving.await.expect("no panic").expect("it ends as it should");
}
