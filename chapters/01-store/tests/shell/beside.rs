//! A real etcd beside our store again: this time each call is chosen, for its error or its edge, and
//! what a person types into etcdctl prints the same.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use store::etcd::alarm_request::AlarmAction;
use store::etcd::cluster_client::ClusterClient;
use store::etcd::kv_client::KvClient;
use store::etcd::lease_client::LeaseClient;
use store::etcd::maintenance_client::MaintenanceClient;
use store::etcd::request_op::Request as Op;
use store::etcd::watch_client::WatchClient;
use store::etcd::watch_request::RequestUnion;
use store::etcd::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::mirror::Etcd;
use crate::support::{Server, connect, have, runtime};

/// After so long without an answer there is none.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls in order, each with what came back; names and clocks of the servers are taken out.
struct Calls {
    channel: Channel,
    log: Vec<String>,
}

impl Calls {
    fn note(&mut self, what: &str, came: Result<String, Status>) {
        let came = came.unwrap_or_else(|e| format!("{:?}: {}", e.code(), e.message()));
        self.log.push(format!("{what}: {came}"));
    }
}

fn revision(header: Option<ResponseHeader>) -> i64 {
    header.expect("a header").revision
}

fn put(key: &str, value: impl Into<bytes::Bytes>) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.into(), ..Default::default() }
}

fn ops(count: usize) -> Vec<RequestOp> {
    let op = |n: usize| RequestOp { request: Some(Op::RequestPut(put(&format!("op-{n}"), "x"))) };
    (0..count).map(op).collect()
}

fn nested(depth: usize, inner: Vec<RequestOp>) -> TxnRequest {
    let txn = TxnRequest { success: inner, ..Default::default() };
    if depth == 0 {
        return txn;
    }
    nested(depth - 1, vec![RequestOp { request: Some(Op::RequestTxn(txn)) }])
}

async fn kv(calls: &mut Calls) {
    let mut kv = KvClient::new(calls.channel.clone());
    for (what, request) in [
        ("a put without a key", put("", "x")),
        ("a put", put("a", "1")),
        ("a put on no lease", PutRequest { lease: 77, ..put("a", "1") }),
        ("a put that keeps what is not", PutRequest { ignore_value: true, ..put("none", "") }),
        ("a put that keeps and gives", PutRequest { ignore_value: true, ..put("a", "2") }),
        (
            "a put that keeps a lease and gives one",
            PutRequest { ignore_lease: true, lease: 1, ..put("a", "2") },
        ),
        ("a large put", put("large", vec![b'x'; 1_500_000])),
        ("too large a put", put("large", vec![b'x'; 1_573_000])),
        ("much too large a put", put("large", vec![b'x'; 2_000_000])),
    ] {
        let came = kv.put(request).await.map(|a| format!("{}", revision(a.into_inner().header)));
        calls.note(what, came);
    }
    for (what, request) in [
        ("a range without a key", RangeRequest::default()),
        ("of the future", RangeRequest { key: "a".into(), revision: 99, ..Default::default() }),
        (
            "counted, of all",
            RangeRequest { key: "\0".into(), range_end: "\0".into(), count_only: true, ..Default::default() },
        ),
        ("backwards", RangeRequest { key: "b".into(), range_end: "a".into(), ..Default::default() }),
        (
            "without leader it would fail",
            RangeRequest { key: "a".into(), serializable: true, ..Default::default() },
        ),
    ] {
        let mut request = Request::new(request);
        request.metadata_mut().insert("hasleader", "true".parse().expect("a value"));
        let came = kv.range(request).await.map(|a| {
            let RangeResponse { kvs, more, count, header } = a.into_inner();
            format!("{} {more} {count} {kvs:?}", revision(header))
        });
        calls.note(what, came);
    }
    for (what, request) in [
        ("128 operations", nested(0, ops(128))),
        ("129 operations", nested(0, ops(129))),
        ("127 nested in one", nested(1, ops(127))),
        ("128 nested in one", nested(1, ops(128))),
        ("a key twice", nested(0, [ops(1), ops(1)].concat())),
    ] {
        let came = kv.txn(request).await.map(|a| {
            let a = a.into_inner();
            format!("{} {} {}", revision(a.header), a.succeeded, a.responses.len())
        });
        calls.note(what, came);
    }
    for (what, at) in [("compact", 3), ("again", 3), ("the future", 99), ("nothing", 0), ("below", -1)] {
        let compact = CompactionRequest { revision: at, physical: true };
        let came = kv.compact(compact).await.map(|a| format!("{}", revision(a.into_inner().header)));
        calls.note(what, came);
    }
}

async fn leases(calls: &mut Calls) {
    let mut leases = LeaseClient::new(calls.channel.clone());
    for (what, id, ttl) in [
        ("a lease", 7, 100),
        ("again", 7, 100),
        ("short", 8, 0),
        ("negative", 9, -5),
        ("long", 10, 9_000_000_001),
    ] {
        let came = leases.lease_grant(LeaseGrantRequest { id, ttl }).await;
        calls.note(what, came.map(|a| a.into_inner()).map(|a| format!("{} {} {:?}", a.id, a.ttl, a.error)));
    }
    for (what, id) in [("what is left", 7), ("of nothing", 70)] {
        let came = leases.lease_time_to_live(LeaseTimeToLiveRequest { id, keys: true }).await;
        let came = came.map(|a| a.into_inner());
        calls.note(what, came.map(|a| format!("{} {} {} {:?}", a.id, a.ttl > 0, a.granted_ttl, a.keys)));
    }
    let asks = [7, 70].map(|id| LeaseKeepAliveRequest { id });
    let came = leases.lease_keep_alive(tokio_stream::iter(asks)).await;
    match came {
        Ok(stream) => {
            let mut stream = stream.into_inner();
            for _ in 0..2 {
                let came = stream.message().await.map(|a| {
                    let a = a.expect("an answer");
                    format!("{} {}", a.id, a.ttl)
                });
                calls.note("keep alive", came);
            }
        }
        Err(e) => calls.note("keep alive", Err(e)),
    }
    for (what, id) in [("revoked", 7), ("again", 7), ("nothing", 0)] {
        let came = leases.lease_revoke(LeaseRevokeRequest { id }).await;
        calls.note(what, came.map(|a| format!("{}", revision(a.into_inner().header))));
    }
}

async fn maintenance(calls: &mut Calls, member: u64) {
    let mut maintenance = MaintenanceClient::new(calls.channel.clone());
    let mut kv = KvClient::new(calls.channel.clone());
    let mut lease = LeaseClient::new(calls.channel.clone());
    for revision in [2, 99] {
        let came = maintenance.hash_kv(HashKvRequest { revision }).await;
        calls.note("hash", came.map(|a| format!("compacted {}", a.into_inner().compact_revision)));
    }
    use AlarmAction::{Activate, Deactivate, Get};
    use AlarmType::{Corrupt, None, Nospace};
    for (what, action, id, alarm) in [
        ("none", Get, 0, None),
        ("raised", Activate, member, Nospace),
        ("raised again", Activate, member, Nospace),
        ("listed", Get, 0, None),
        ("listed by kind", Get, 0, Corrupt),
        ("writes", Get, 0, Nospace),
        ("of another member", Deactivate, 5, Nospace),
        ("taken back", Deactivate, member, Nospace),
        ("taken back again", Deactivate, member, Nospace),
    ] {
        let request = AlarmRequest { action: action.into(), member_id: id, alarm: alarm.into() };
        let came = maintenance.alarm(request).await.map(|a| {
            let named = |a: &AlarmMember| format!("{} {:?}", a.member_id == member, a.alarm());
            format!("{:?}", a.into_inner().alarms.iter().map(named).collect::<Vec<_>>())
        });
        calls.note(what, came);
        if what == "writes" {
            calls.note("put", kv.put(put("a", "x")).await.map(|_| String::new()));
            let delete = DeleteRangeRequest { key: "op-1".into(), ..Default::default() };
            calls.note("delete", kv.delete_range(delete).await.map(|_| String::new()));
            calls.note("txn", kv.txn(nested(0, ops(1))).await.map(|_| String::new()));
            let read = RangeRequest { key: "a".into(), ..Default::default() };
            calls.note("get", kv.range(read).await.map(|a| format!("{}", a.into_inner().count)));
            let grant = LeaseGrantRequest { id: 90, ttl: 10 };
            calls.note("grant", lease.lease_grant(grant).await.map(|_| String::new()));
            let status = maintenance.status(StatusRequest {}).await.map(|a| a.into_inner());
            let errors = status.map(|s| format!("{:?}", s.errors).replace(&member.to_string(), "M"));
            calls.note("status", errors);
        }
    }
    let came = maintenance.move_leader(MoveLeaderRequest { target_id: 5 }).await;
    calls.note("move leader", came.map(|_| String::new()));
}

async fn watches(calls: &mut Calls) {
    let (ask, asked) = tokio::sync::mpsc::channel(16);
    let create = |key: &str, id, start, progress_notify| {
        RequestUnion::CreateRequest(WatchCreateRequest {
            key: key.to_owned().into(),
            watch_id: id,
            start_revision: start,
            progress_notify,
            ..Default::default()
        })
    };
    // etcd opens a stream with its first answer.
    let first = WatchRequest { request_union: Some(create("w", 0, 0, false)) };
    ask.send(first).await.expect("sent");
    let answers = WatchClient::new(calls.channel.clone()).watch(ReceiverStream::new(asked)).await;
    let mut answers = match answers {
        Ok(answers) => answers.into_inner(),
        Err(e) => return calls.note("watch", Err(e)),
    };
    let empty = WatchCreateRequest { key: "b".into(), range_end: "a".into(), ..Default::default() };
    for (what, union) in [
        ("watch", create("w", 0, 0, false)),
        ("a chosen id", create("w", 5, 0, false)),
        ("the same id", create("w", 5, 0, false)),
        ("of the future", create("w", 0, 1000, false)),
        ("compacted", create("w", 0, 1, false)),
        ("empty range", RequestUnion::CreateRequest(empty)),
        ("cancel", RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 5 })),
        ("progress", RequestUnion::ProgressRequest(WatchProgressRequest {})),
    ] {
        if what != "watch" {
            ask.send(WatchRequest { request_union: Some(union) }).await.expect("sent");
        }
        for part in 0..if what == "compacted" { 2 } else { 1 } {
            let Ok(came) = tokio::time::timeout(PATIENCE, answers.message()).await else {
                calls.log.push(format!("{what} {part}: nothing"));
                continue;
            };
            let came = came.map(|a| {
                let a = a.expect("an answer");
                let (created, canceled) = (a.created, a.canceled);
                let compacted = a.compact_revision;
                // Later releases than 3.4 give a reason here too, as we do.
                let reason = if compacted == 0 { a.cancel_reason.as_str() } else { "" };
                format!("{} created {created} canceled {canceled} {compacted} {:?}", a.watch_id, reason)
            });
            calls.note(&format!("{what} {part}"), came);
        }
    }
}

async fn all(channel: Channel) -> Vec<String> {
    let mut calls = Calls { channel: channel.clone(), log: Vec::new() };
    let members = ClusterClient::new(channel).member_list(MemberListRequest::default()).await;
    let members = members.expect("members").into_inner().members;
    let within = Duration::from_secs(20);
    tokio::time::timeout(within, kv(&mut calls)).await.expect("answers about keys");
    tokio::time::timeout(within, leases(&mut calls)).await.expect("answers about leases");
    tokio::time::timeout(within, maintenance(&mut calls, members[0].id)).await.expect("answers about alarms");
    tokio::time::timeout(within, watches(&mut calls)).await.expect("answers to watches");
    calls.log
}

#[test]
fn errors_and_edges_are_etcds() {
    if !have("etcd") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Server::start(dir.path()), Etcd::start());
    let (ours, theirs) = runtime()
        .block_on(async { (all(connect(ours.address).await).await, all(theirs.connect().await).await) });
    let differ: Vec<_> = ours.iter().zip(&theirs).filter(|(a, b)| a != b).collect();
    assert!(differ.is_empty() && ours.len() == theirs.len(), "ours, etcd's: {differ:#?}");
}

/// What is typed, in order; `<` parts the standard input off.
const LINES: &str = "
    put a 1
    put a 2 --prev-kv
    put b 1 -w fields
    put c 3 -w json
    get a
    get a -w fields
    get '' --prefix -w json
    get '' --from-key --keys-only
    get a d --order DESCEND --sort-by MODIFY --limit 2 -w json
    get a --rev 2 --print-value-only
    get a --rev 99
    get a --consistency s -w json
    del b --prev-kv
    del x y -w json
    txn<mod(\"a\") > \"0\"\\n\\nput a 5\\nget a\\n\\nput a 6\\n\\n
    txn -w json<ver(\"a\") = \"9\"\\n\\nput a 5\\n\\nget a --rev 2\\ndel c\\n\\n
    put a 1 --lease 1f
    lease grant 100 -w fields
    lease revoke 1f
    lease timetolive 1f
    lease timetolive 1f -w json
    lease keep-alive --once 1f
    compaction 4
    compaction 4
    compaction 400
    get a --rev 2
    watch a --rev 2
    alarm list
    alarm disarm
    endpoint health
    defrag
    put a
    member remove 5
    move-leader 5
    user list
    role list
    auth enable
    user add '':x
    role get nobody
    check perf --load x
";

/// How it ended, and what it said; what no two servers have in common is taken out.
fn etcdctl(endpoint: &str, line: &str) -> String {
    let (line, input) = line.split_once('<').unwrap_or((line, ""));
    let words = line.split_whitespace().map(|w| w.replace("''", ""));
    let mut command = Command::new("timeout");
    command.arg("10").arg("etcdctl").env("ETCDCTL_API", "3").args(["--endpoints", endpoint]).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("etcdctl");
    let stdin = child.stdin.take().expect("stdin");
    std::io::Write::write_all(&mut { stdin }, input.replace("\\n", "\n").as_bytes()).expect("input");
    let output = child.wait_with_output().expect("output");
    let said = String::from_utf8_lossy(&output.stdout).replace(endpoint, "SERVER");
    let complaint = String::from_utf8_lossy(&output.stderr).replace(endpoint, "SERVER");
    let complaint = complaint.lines().last().unwrap_or_default().to_owned();
    format!("{:?}\n{}\n{}", output.status.code(), plain(&said), plain(&complaint))
}

/// Numbers behind these words are the server's own, and so are times.
fn plain(text: &str) -> String {
    const OWN: [&str; 10] = [
        "cluster_id\":",
        "member_id\":",
        "raft_term\":",
        "ClusterID\" : ",
        "MemberID\" : ",
        "RaftTerm\" : ",
        "\"ID\" : ",
        "took = ",
        "retry from ",
        "\"ts\":",
    ];
    let mut text = text.to_owned();
    for word in OWN {
        let mut from = 0;
        while let Some(at) = text[from..].find(word) {
            let start = from + at + word.len();
            let len = text[start..].find([',', '}', '\n', ' ']).unwrap_or(text.len() - start);
            text.replace_range(start..start + len, "N");
            from = start;
        }
    }
    text
}

#[test]
fn etcdctl_prints_what_it_prints_of_etcd() {
    if !have("etcd") || !have("etcdctl") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Server::start(dir.path()), Etcd::start());
    runtime().block_on(async { theirs.connect().await });
    let endpoint = theirs.address.to_string();
    let mut differ = BTreeMap::new();
    for line in LINES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (a, b) = (etcdctl(&ours.endpoint(), line), etcdctl(&endpoint, line));
        if a != b {
            differ.insert(line, format!("ours:\n{a}\netcd's:\n{b}"));
        }
    }
    let differ: String = differ.iter().map(|(line, both)| format!("\n=== {line}\n{both}\n")).collect();
    assert!(differ.is_empty(), "{differ}");
}
