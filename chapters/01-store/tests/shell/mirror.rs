//! A real etcd beside our store: the same requests must get the same answers.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::SystemTime;

use store::etcd::compare::TargetUnion;
use store::etcd::kv_client::KvClient;
use store::etcd::lease_client::LeaseClient;
use store::etcd::request_op::Request;
use store::etcd::watch_client::WatchClient;
use store::etcd::watch_request::RequestUnion;
use store::etcd::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::support::{Random, Server, connect, have, runtime};

const REQUESTS: usize = 600;

/// An address that nobody else takes. etcd opens its own sockets, and a port that was free a moment ago may
/// be another test's by then; but all of 127.0.0.0/8 is this machine's, and a process has a number of its own.
fn own_address() -> SocketAddrV4 {
    static NEXT: AtomicU16 = AtomicU16::new(2379);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(127, 64 | high, middle, low), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub struct Etcd {
    child: Child,
    pub address: SocketAddrV4,
    _dir: tempfile::TempDir,
}

impl Etcd {
    pub fn start() -> Etcd {
        Etcd::start_with(&[])
    }

    pub fn start_with(more: &[&str]) -> Etcd {
        let dir = tempfile::tempdir().expect("a directory");
        let (address, peer) = (own_address(), own_address());
        let (client_url, peer_url) = (format!("http://{address}"), format!("http://{peer}"));
        let child = Command::new("etcd")
            .args(["--data-dir", dir.path().to_str().expect("a path"), "--log-level", "error"])
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("default={peer_url}")])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd");
        Etcd { child, address, _dir: dir }
    }

    /// Waits until it serves.
    pub async fn connect(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URL");
        let started = tokio::time::Instant::now();
        loop {
            if let Ok(channel) = endpoint.connect().await {
                let range = RangeRequest { key: "a".into(), ..Default::default() };
                if KvClient::new(channel.clone()).range(range).await.is_ok() {
                    return channel;
                }
            }
            assert!(started.elapsed().as_secs() < 20, "etcd does not start");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request of any kind.
#[derive(Debug, Clone)]
enum Ask {
    Range(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(CompactionRequest),
    Grant(LeaseGrantRequest),
    Revoke(LeaseRevokeRequest),
    TimeToLive(LeaseTimeToLiveRequest),
}

/// What came back, comparable: names and clocks of the servers are taken out.
async fn ask(channel: &Channel, ask: Ask) -> Result<String, (tonic::Code, String)> {
    let mut kv = KvClient::new(channel.clone());
    let mut lease = LeaseClient::new(channel.clone());
    fn plain(header: &mut Option<ResponseHeader>) {
        let header = header.as_mut().expect("a header");
        (header.cluster_id, header.member_id, header.raft_term) = (0, 0, 0);
    }
    macro_rules! done {
        ($call:expr) => {
            match $call.await {
                Ok(answer) => {
                    let mut answer = answer.into_inner();
                    plain(&mut answer.header);
                    Ok(format!("{answer:?}"))
                }
                Err(status) => Err((status.code(), status.message().to_owned())),
            }
        };
    }
    match ask {
        Ask::Range(r) => done!(kv.range(r)),
        Ask::Put(r) => done!(kv.put(r)),
        Ask::Delete(r) => done!(kv.delete_range(r)),
        Ask::Txn(r) => done!(kv.txn(r)),
        Ask::Compact(r) => done!(kv.compact(r)),
        Ask::Grant(r) => done!(lease.lease_grant(r)),
        Ask::Revoke(r) => done!(lease.lease_revoke(r)),
        Ask::TimeToLive(r) => {
            let mut answer = lease.lease_time_to_live(r).await.map(|a| a.into_inner());
            // etcd lists them in no order.
            let _ = answer.as_mut().map(|a| a.keys.sort());
            // The seconds that remain are not the same at two moments.
            let answer =
                answer.map(|a| format!("{} {} {} {:?}", a.id, a.ttl.signum(), a.granted_ttl, a.keys));
            answer.map_err(|s| (s.code(), s.message().to_owned()))
        }
    }
}

const KEYS: [&str; 8] = ["a", "aa", "ab", "b", "c", "ca", "d", "e"];

/// Makes requests that meet each other.
struct Maker {
    random: Random,
    revision: i64,
}

impl Maker {
    fn key(&mut self) -> &'static str {
        if self.random.one_in(60) { "" } else { self.random.pick(&KEYS) }
    }

    fn end(&mut self) -> &'static str {
        match self.random.below(6) {
            0 => "\0",
            1 | 2 => self.random.pick(&KEYS),
            _ => "",
        }
    }

    fn value(&mut self) -> String {
        ["", "1", "2", "3"][self.random.below(4) as usize].into()
    }

    fn revision(&mut self) -> i64 {
        match self.random.below(4) {
            0 => self.random.below(self.revision as u64 + 3) as i64,
            1 => (self.revision - self.random.below(10) as i64).max(0),
            _ => 0,
        }
    }

    fn bound(&mut self) -> i64 {
        if self.random.one_in(8) { self.random.below(self.revision as u64 + 1) as i64 } else { 0 }
    }

    fn lease(&mut self) -> i64 {
        if self.random.one_in(4) { 1 + self.random.below(4) as i64 } else { 0 }
    }

    fn range(&mut self) -> RangeRequest {
        RangeRequest {
            key: self.key().into(),
            range_end: self.end().into(),
            limit: if self.random.one_in(3) { self.random.below(5) as i64 - 1 } else { 0 },
            revision: self.revision(),
            sort_order: if self.random.one_in(2) { self.random.below(3) as i32 } else { 0 },
            sort_target: if self.random.one_in(2) { self.random.below(5) as i32 } else { 0 },
            serializable: self.random.one_in(4),
            keys_only: self.random.one_in(4),
            count_only: self.random.one_in(8),
            min_mod_revision: self.bound(),
            max_mod_revision: self.bound(),
            min_create_revision: self.bound(),
            max_create_revision: self.bound(),
        }
    }

    fn put(&mut self) -> PutRequest {
        PutRequest {
            key: self.key().into(),
            value: self.value().into(),
            lease: self.lease(),
            prev_kv: self.random.one_in(2),
            ignore_value: self.random.one_in(8),
            ignore_lease: self.random.one_in(8),
        }
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        DeleteRangeRequest {
            key: self.key().into(),
            range_end: self.end().into(),
            prev_kv: self.random.one_in(2),
        }
    }

    fn compare(&mut self) -> Compare {
        let small = self.random.below(4) as i64;
        let revision = self.bound();
        let target = self.random.below(5) as i32;
        let union = match if self.random.one_in(10) { 5 } else { target } {
            0 => Some(TargetUnion::Version(small)),
            1 => Some(TargetUnion::CreateRevision(revision)),
            2 => Some(TargetUnion::ModRevision(revision)),
            3 => Some(TargetUnion::Value(self.value().into())),
            4 => Some(TargetUnion::Lease(small)),
            _ => None,
        };
        Compare {
            result: self.random.below(4) as i32,
            target,
            key: self.key().into(),
            range_end: self.end().into(),
            target_union: union,
        }
    }

    fn ops(&mut self, depth: usize) -> Vec<RequestOp> {
        let count = self.random.below(4);
        (0..count)
            .map(|_| {
                let request = match self.random.below(if depth > 0 { 8 } else { 6 }) {
                    0 | 1 => Request::RequestRange(self.range()),
                    2..=4 => Request::RequestPut(self.put()),
                    5 => {
                        // An end that means "no end" is overlooked by etcd when it compares what a
                        // transaction writes, which can crash it: see `Writes` in our core.
                        let mut delete = self.delete();
                        if delete.range_end == "\0" {
                            delete.range_end = "e".into();
                        }
                        Request::RequestDeleteRange(delete)
                    }
                    _ => Request::RequestTxn(self.txn(depth - 1)),
                };
                RequestOp { request: Some(request) }
            })
            .collect()
    }

    fn txn(&mut self, depth: usize) -> TxnRequest {
        let compare = (0..self.random.below(3)).map(|_| self.compare()).collect();
        TxnRequest { compare, success: self.ops(depth), failure: self.ops(depth) }
    }

    fn ask(&mut self) -> Ask {
        match self.random.below(40) {
            0..10 => Ask::Range(self.range()),
            10..20 => Ask::Put(self.put()),
            20..24 => Ask::Delete(self.delete()),
            24..35 => Ask::Txn(self.txn(2)),
            35 => {
                Ask::Compact(CompactionRequest { revision: self.revision(), physical: self.random.one_in(2) })
            }
            36 | 37 => Ask::Grant(LeaseGrantRequest { id: 1 + self.random.below(4) as i64, ttl: 1000 }),
            38 => Ask::Revoke(LeaseRevokeRequest { id: 1 + self.random.below(4) as i64 }),
            _ => Ask::TimeToLive(LeaseTimeToLiveRequest { id: 1 + self.random.below(5) as i64, keys: true }),
        }
    }
}

/// All events of a watch up to a key that ends it, and how it came to an end.
async fn watch(channel: &Channel, create: WatchCreateRequest) -> Vec<String> {
    let (ask, asked) = tokio::sync::mpsc::channel(1);
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    ask.send(create).await.expect("sent");
    let answers = WatchClient::new(channel.clone()).watch(ReceiverStream::new(asked)).await;
    let mut answers = answers.expect("a stream").into_inner();
    let mut seen = Vec::new();
    loop {
        let answer = answers.message().await.expect("no error").expect("an answer");
        if answer.created || answer.canceled {
            let (id, at) = (answer.watch_id, answer.compact_revision);
            seen.push(format!(
                "watch {id} created {} canceled {} compacted {at}",
                answer.created, answer.canceled
            ));
            if answer.canceled {
                return seen;
            }
        }
        for event in answer.events {
            let end = event.kv.as_ref().is_some_and(|kv| kv.key == "zz");
            seen.push(format!("{event:?}"));
            if end {
                return seen;
            }
        }
    }
}

#[test]
fn our_store_answers_as_etcd_does() {
    if !have("etcd") {
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_nanos() as u64 | 1;
    let seed = std::env::var("STORE_TEST_SEED").map_or(now, |s| s.parse().expect("a number"));
    println!("to see it again: STORE_TEST_SEED={seed}");
    let dir = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Server::start(dir.path()), Etcd::start());
    runtime().block_on(async {
        let (ours, theirs) = (connect(ours.address).await, theirs.connect().await);
        let empty = TxnRequest { success: vec![RequestOp { request: None }], ..Default::default() };
        let empty = Ask::Txn(empty);
        assert_eq!(ask(&ours, empty.clone()).await, ask(&theirs, empty).await);
        let mut maker = Maker { random: Random(seed), revision: 1 };
        let mut compacted = 0;
        for step in 0..REQUESTS {
            let request = maker.ask();
            let (a, b) = tokio::join!(ask(&ours, request.clone()), ask(&theirs, request.clone()));
            assert_eq!(a, b, "seed {seed}, request {step}, left ours, right etcd's: {request:?}");
            if let (Ask::Compact(r), Ok(_)) = (&request, &a) {
                compacted = r.revision;
            }
            if a.is_ok()
                && let Some((_, rest)) = a.unwrap_or_default().split_once("revision: ")
            {
                let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
                maker.revision = maker.revision.max(digits.parse().unwrap_or(0));
            }
        }
        // The end of history, so that watches know when they have it all.
        let end = Ask::Put(PutRequest { key: "zz".into(), ..Default::default() });
        let (a, b) = tokio::join!(ask(&ours, end.clone()), ask(&theirs, end));
        assert_eq!(a, b);
        // etcd 3.4 loses deletions at the compacted revision itself (fixed in later releases), so
        // begin behind it, or well before it.
        for start in [compacted + 1, (compacted - 1).max(1), (compacted + maker.revision) / 2 + 1] {
            for (filters, prev_kv) in [(vec![], true), (vec![0], false), (vec![1], true)] {
                let create = WatchCreateRequest {
                    key: maker.random.pick(&KEYS).into(),
                    range_end: "\0".into(),
                    start_revision: start,
                    // The end is a put: it must not be filtered.
                    filters: if start > compacted && filters == [0] { vec![] } else { filters },
                    prev_kv,
                    ..Default::default()
                };
                let (a, b) = tokio::join!(watch(&ours, create.clone()), watch(&theirs, create.clone()));
                assert_eq!(a, b, "seed {seed}, left ours, right etcd's: {create:?}");
            }
        }
    });
}
