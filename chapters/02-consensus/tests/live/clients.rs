//! Clients that never stop asking, and write down what they saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use simulator::history::{Answer, Call, Entry, History, Key, Outcome, Read, Value};
use simulator::random::Random;
use store::etcd::compare::{CompareResult, CompareTarget, TargetUnion};
use store::etcd::kv_client::KvClient;
use store::etcd::request_op::Request as Op;
use store::etcd::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, ResponseHeader, TxnRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::machines::endpoint;

pub const KEYS: Key = 12;
/// A value is a number; with this much behind it the log is soon worth a snapshot.
const VALUE_BYTES: usize = 300;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two requests of a client.
const PACE: Duration = Duration::from_millis(4);

/// What all clients know together.
pub struct Seen {
    pub history: Mutex<History>,
    started: Instant,
    /// The newest revision of each key that somebody saw: for compare-and-swap.
    revisions: Mutex<BTreeMap<Key, i64>>,
    next_value: std::sync::atomic::AtomicU64,
}

impl Seen {
    pub fn new() -> Arc<Seen> {
        Arc::new(Seen {
            history: Mutex::default(),
            started: Instant::now(),
            revisions: Mutex::default(),
            next_value: 1.into(),
        })
    }

    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// Writes once, and writes it down.
    pub async fn write(&self, machine: usize) -> Result<i64, Status> {
        self.ask(u64::MAX, &mut KvClient::new(channel(machine)), Call::Put(vec![(0, self.value())]))
            .await
            .map(|answer| answer.revision)
    }

    async fn ask(&self, client: u64, kv: &mut KvClient<Channel>, call: Call) -> Result<Answer, Status> {
        let began = self.now_us();
        let operation = self.history.lock().expect("a history").invoke(client, call.clone(), began);
        let answered = tokio::time::timeout(REQUEST_TIMEOUT, ask(kv, &call)).await;
        let answered = answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        let ended = self.now_us();
        let outcome = match &answered {
            Ok(answer) => Some(Outcome::Done(answer.clone())),
            Err(status) if is_refused(status) => Some(Outcome::Refused),
            Err(_) => None,
        };
        if let Some(outcome) = outcome {
            self.history.lock().expect("a history").end(operation, outcome, ended);
        }
        answered
    }

    fn value(&self) -> Value {
        self.next_value.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

pub fn key(key: Key) -> Vec<u8> {
    format!("k{key:03}").into_bytes()
}

pub fn key_number(key: &[u8]) -> Key {
    std::str::from_utf8(&key[1..]).expect("digits").parse().expect("a number")
}

fn encode(value: Value) -> Vec<u8> {
    let mut bytes = format!("{value:020}").into_bytes();
    bytes.resize(VALUE_BYTES, b'.');
    bytes
}

pub fn value_number(value: &[u8]) -> Value {
    assert_eq!(value.len(), VALUE_BYTES, "a whole value");
    std::str::from_utf8(&value[..20]).expect("digits").parse().expect("a number")
}

/// Connects when it is needed, and gives up on a machine that says nothing.
pub fn channel(machine: usize) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", endpoint(machine))).expect("a URL");
    let second = Duration::from_secs(1);
    endpoint
        .connect_timeout(second)
        .http2_keep_alive_interval(second)
        .keep_alive_timeout(second)
        .keep_alive_while_idle(true)
        .connect_lazy()
}

pub struct Client {
    pub number: u64,
    pub machine: usize,
    pub random: Random,
    pub seen: Arc<Seen>,
}

impl Client {
    /// Asks until it is aborted.
    pub async fn run(mut self) {
        let mut kv = KvClient::new(channel(self.machine));
        loop {
            let call = self.choose();
            let answered = self.seen.ask(self.number, &mut kv, call.clone()).await;
            let failed = answered.is_err();
            if let Ok(answer) = answered {
                self.remember(&call, &answer);
            }
            tokio::time::sleep(if failed { 20 * PACE } else { PACE }).await;
        }
    }

    fn choose(&mut self) -> Call {
        let random = &mut self.random;
        let key = random.below(u64::from(KEYS)) as Key;
        let last = random.between(u64::from(key), u64::from(KEYS) - 1) as Key;
        match random.below(20) {
            0..7 => Call::Put(vec![(key, self.seen.value())]),
            7..9 if last > key => Call::Put(vec![(key, self.seen.value()), (last, self.seen.value())]),
            9..13 => {
                let revisions = self.seen.revisions.lock().expect("revisions");
                let expected = revisions.get(&key).copied().unwrap_or(0);
                Call::Swap { key, expected, value: self.seen.value() }
            }
            13 => Call::Delete(key, last.min(key + 1)),
            14 => Call::Read(Read { first: key, last, at: None, linearizable: false }),
            _ => Call::Read(Read { first: key, last, at: None, linearizable: true }),
        }
    }

    fn remember(&self, call: &Call, answer: &Answer) {
        let mut revisions = self.seen.revisions.lock().expect("revisions");
        let mut see = |key: Key, revision: i64| {
            let newest = revisions.entry(key).or_default();
            *newest = (*newest).max(revision);
        };
        match call {
            Call::Put(puts) => puts.iter().for_each(|(key, _)| see(*key, answer.revision)),
            Call::Swap { key, .. } if answer.changed => see(*key, answer.revision),
            Call::Read(_) => answer.entries.iter().for_each(|entry| see(entry.key, entry.revision)),
            Call::Swap { .. } | Call::Delete(..) => {}
        }
    }
}

/// The member says that it was not done: anything else may mean that it was, or will be.
fn is_refused(status: &Status) -> bool {
    let told = ["etcdserver: no leader", "etcdserver: too many requests"];
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) && told.contains(&status.message())
}

fn revision(header: Option<ResponseHeader>) -> i64 {
    header.expect("every answer has a header").revision
}

fn put(key: Key, value: Value) -> PutRequest {
    PutRequest { key: self::key(key).into(), value: encode(value).into(), ..Default::default() }
}

fn op(put: PutRequest) -> RequestOp {
    RequestOp { request: Some(Op::RequestPut(put)) }
}

async fn ask(kv: &mut KvClient<Channel>, call: &Call) -> Result<Answer, Status> {
    match call {
        Call::Put(puts) if puts.len() == 1 => {
            let answer = kv.put(put(puts[0].0, puts[0].1)).await?.into_inner();
            Ok(Answer { revision: revision(answer.header), changed: true, entries: Vec::new() })
        }
        Call::Put(puts) => {
            let success = puts.iter().map(|(key, value)| op(put(*key, *value))).collect();
            let answer = kv.txn(TxnRequest { success, ..Default::default() }).await?.into_inner();
            Ok(Answer { revision: revision(answer.header), changed: true, entries: Vec::new() })
        }
        Call::Swap { key, expected, value } => {
            let compare = Compare {
                result: CompareResult::Equal.into(),
                target: CompareTarget::Mod.into(),
                key: self::key(*key).into(),
                target_union: Some(TargetUnion::ModRevision(*expected)),
                ..Default::default()
            };
            let success = vec![op(put(*key, *value))];
            let txn = TxnRequest { compare: vec![compare], success, failure: Vec::new() };
            let answer = kv.txn(txn).await?.into_inner();
            Ok(Answer { revision: revision(answer.header), changed: answer.succeeded, entries: Vec::new() })
        }
        Call::Delete(first, last) => {
            let range_end = key(last + 1).into();
            let delete = DeleteRangeRequest { key: key(*first).into(), range_end, prev_kv: false };
            let answer = kv.delete_range(delete).await?.into_inner();
            Ok(Answer { revision: revision(answer.header), changed: answer.deleted > 0, entries: Vec::new() })
        }
        Call::Read(read) => {
            let range = RangeRequest {
                key: key(read.first).into(),
                range_end: key(read.last + 1).into(),
                serializable: !read.linearizable,
                ..Default::default()
            };
            let answer = kv.range(range).await?.into_inner();
            let entries = answer.kvs.iter().map(|kv| Entry {
                key: key_number(&kv.key),
                value: value_number(&kv.value),
                revision: kv.mod_revision,
            });
            Ok(Answer { revision: revision(answer.header), changed: false, entries: entries.collect() })
        }
    }
}
