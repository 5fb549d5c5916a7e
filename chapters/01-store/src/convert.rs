//! Messages of the wire to values of the core, and back. Keys and values going out share the
//! store's memory.

use std::sync::Arc;

use bytes::Bytes;
use tonic::{Code, Status};

use crate::etcd;
use crate::heart::Error;
use crate::heart::range::{Range, RangeAnswer, SortOrder, SortTarget};
use crate::heart::txn::{
    Compare, DeleteAnswer, DeleteRange, Is, Op, OpAnswer, Put, PutAnswer, Target, Txn, TxnAnswer,
};
use crate::heart::types::{Event, KeyRange, Record};
use crate::heart::watch::WatchSpec;

pub fn status(error: Error) -> Status {
    let code = match error {
        Error::EmptyKey
        | Error::KeyNotFound
        | Error::ValueProvided
        | Error::LeaseProvided
        | Error::TooManyOps
        | Error::DuplicateKey => Code::InvalidArgument,
        Error::Compacted | Error::FutureRevision | Error::LeaseTtlTooLarge => Code::OutOfRange,
        Error::LeaseNotFound => Code::NotFound,
        Error::LeaseExists => Code::FailedPrecondition,
        Error::NoSpace => Code::ResourceExhausted,
        Error::Corrupt => Code::DataLoss,
        Error::Auth(error) => return crate::auth::status(error),
    };
    Status::new(code, error.to_string())
}

pub fn range(r: &etcd::RangeRequest) -> Range {
    use etcd::range_request::{SortOrder as Order, SortTarget as By};
    Range {
        keys: KeyRange::from_wire(&r.key, &r.range_end),
        limit: r.limit,
        revision: r.revision,
        order: match r.sort_order() {
            Order::None => SortOrder::None,
            Order::Ascend => SortOrder::Ascend,
            Order::Descend => SortOrder::Descend,
        },
        target: match r.sort_target() {
            By::Key => SortTarget::Key,
            By::Version => SortTarget::Version,
            By::Create => SortTarget::Create,
            By::Mod => SortTarget::Mod,
            By::Value => SortTarget::Value,
        },
        keys_only: r.keys_only,
        count_only: r.count_only,
        min_mod: r.min_mod_revision,
        max_mod: r.max_mod_revision,
        min_create: r.min_create_revision,
        max_create: r.max_create_revision,
    }
}

/// A number that stands for no order would end a real etcd 3.4; later ones answer so.
pub fn check_sort(r: &etcd::RangeRequest) -> Result<(), Status> {
    use etcd::range_request::{SortOrder as Order, SortTarget as By};
    if Order::try_from(r.sort_order).is_err() || By::try_from(r.sort_target).is_err() {
        return Err(Status::invalid_argument("etcdserver: invalid sort option"));
    }
    Ok(())
}

/// The same for all reads of a transaction.
pub fn check_sorts(r: &etcd::TxnRequest) -> Result<(), Status> {
    use etcd::request_op::Request;
    let ops = r.success.iter().chain(&r.failure);
    ops.filter_map(|op| op.request.as_ref()).try_for_each(|op| match op {
        Request::RequestRange(range) => check_sort(range),
        Request::RequestTxn(txn) => check_sorts(txn),
        Request::RequestPut(_) | Request::RequestDeleteRange(_) => Ok(()),
    })
}

pub fn put(r: &etcd::PutRequest) -> Put {
    Put {
        key: Arc::from(&*r.key),
        value: Arc::from(&*r.value),
        lease: r.lease,
        prev_kv: r.prev_kv,
        ignore_value: r.ignore_value,
        ignore_lease: r.ignore_lease,
    }
}

pub fn delete(r: &etcd::DeleteRangeRequest) -> DeleteRange {
    DeleteRange { keys: KeyRange::from_wire(&r.key, &r.range_end), prev_kv: r.prev_kv }
}

/// `max_ops` is what its longest list may have; what nests in it has what is left. An operation without
/// a request is answered as etcd does.
pub fn txn(r: &etcd::TxnRequest, max_ops: usize) -> Result<Txn, Error> {
    let longest = r.compare.len().max(r.success.len()).max(r.failure.len());
    let left = max_ops.checked_sub(longest).ok_or(Error::TooManyOps)?;
    let ops = |ops: &[etcd::RequestOp]| ops.iter().map(|r| op(r, left)).collect::<Result<_, _>>();
    Ok(Txn {
        compare: r.compare.iter().map(compare).collect(),
        success: ops(&r.success)?,
        failure: ops(&r.failure)?,
    })
}

/// Every read in it is content with what this member has.
pub fn is_serializable(r: &etcd::TxnRequest) -> bool {
    use etcd::request_op::Request;
    let ops = r.success.iter().chain(&r.failure);
    ops.filter_map(|op| op.request.as_ref()).all(|op| match op {
        Request::RequestRange(range) => range.serializable,
        Request::RequestTxn(txn) => is_serializable(txn),
        Request::RequestPut(_) | Request::RequestDeleteRange(_) => false,
    })
}

fn op(r: &etcd::RequestOp, max_ops: usize) -> Result<Op, Error> {
    use etcd::request_op::Request;
    Ok(match r.request.as_ref().ok_or(Error::KeyNotFound)? {
        Request::RequestRange(r) => Op::Range(range(r)),
        Request::RequestPut(r) => Op::Put(put(r)),
        Request::RequestDeleteRange(r) => Op::Delete(delete(r)),
        Request::RequestTxn(r) => Op::Txn(txn(r, max_ops)?),
    })
}

/// A compare whose value is of another kind than its target compares with zero, or with nothing.
fn compare(r: &etcd::Compare) -> Compare {
    use etcd::compare::{CompareResult, CompareTarget, TargetUnion};
    let union = r.target_union.as_ref();
    let than = match (r.target(), union) {
        (CompareTarget::Version, Some(TargetUnion::Version(n))) => Target::Version(*n),
        (CompareTarget::Version, _) => Target::Version(0),
        (CompareTarget::Create, Some(TargetUnion::CreateRevision(n))) => Target::Create(*n),
        (CompareTarget::Create, _) => Target::Create(0),
        (CompareTarget::Mod, Some(TargetUnion::ModRevision(n))) => Target::Mod(*n),
        (CompareTarget::Mod, _) => Target::Mod(0),
        (CompareTarget::Lease, Some(TargetUnion::Lease(n))) => Target::Lease(*n),
        (CompareTarget::Lease, _) => Target::Lease(0),
        (CompareTarget::Value, Some(TargetUnion::Value(v))) => Target::Value(Arc::from(&**v)),
        (CompareTarget::Value, _) => Target::Value(Arc::default()),
    };
    let is = match r.result() {
        CompareResult::Equal => Is::Equal,
        CompareResult::Greater => Is::Greater,
        CompareResult::Less => Is::Less,
        CompareResult::NotEqual => Is::NotEqual,
    };
    Compare { keys: KeyRange::from_wire(&r.key, &r.range_end), is, than }
}

pub fn watch(r: &etcd::WatchCreateRequest) -> WatchSpec {
    use etcd::watch_create_request::FilterType;
    // The smallest key, so that an empty key with no end watches everything.
    let key: &[u8] = if r.key.is_empty() { &[0] } else { &r.key };
    WatchSpec {
        keys: KeyRange::from_wire(key, &r.range_end),
        start: r.start_revision,
        no_put: r.filters().any(|f| f == FilterType::Noput),
        no_delete: r.filters().any(|f| f == FilterType::Nodelete),
        prev_kv: r.prev_kv,
        progress_notify: r.progress_notify,
        fragment: r.fragment,
        id: r.watch_id,
    }
}

struct Shared(Arc<[u8]>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

pub fn share(bytes: &Arc<[u8]>) -> Bytes {
    Bytes::from_owner(Shared(bytes.clone()))
}

fn key_value(r: &Record) -> etcd::KeyValue {
    etcd::KeyValue {
        key: share(&r.key),
        create_revision: r.create,
        mod_revision: r.revision.main,
        version: r.version,
        value: r.value.as_ref().map(share).unwrap_or_default(),
        lease: r.lease,
    }
}

fn key_values(records: &[Arc<Record>]) -> Vec<etcd::KeyValue> {
    records.iter().map(|r| key_value(r)).collect()
}

pub fn event(e: &Event) -> etcd::Event {
    let kind = if e.record.is_tombstone() { etcd::EventType::Delete } else { etcd::EventType::Put };
    etcd::Event {
        r#type: kind.into(),
        kv: Some(key_value(&e.record)),
        prev_kv: e.prev.as_deref().map(key_value),
    }
}

/// Writes answers; the outermost header is complete, those of a transaction's operations hold the
/// revision alone, as etcd's.
#[derive(Debug, Clone, Copy)]
pub struct Answers {
    pub cluster_id: u64,
    pub member_id: u64,
    pub raft_term: u64,
}

const INNER: Answers = Answers { cluster_id: 0, member_id: 0, raft_term: 0 };

impl Answers {
    pub fn header(&self, revision: i64) -> Option<etcd::ResponseHeader> {
        let Answers { cluster_id, member_id, raft_term } = *self;
        Some(etcd::ResponseHeader { cluster_id, member_id, revision, raft_term })
    }

    pub fn range(&self, a: &RangeAnswer) -> etcd::RangeResponse {
        let mut kvs = key_values(&a.records);
        if a.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
        etcd::RangeResponse { header: self.header(a.revision), kvs, more: a.more, count: a.count }
    }

    pub fn put(&self, a: &PutAnswer) -> etcd::PutResponse {
        etcd::PutResponse { header: self.header(a.revision), prev_kv: a.prev.as_deref().map(key_value) }
    }

    pub fn delete(&self, a: &DeleteAnswer) -> etcd::DeleteRangeResponse {
        let header = self.header(a.revision);
        etcd::DeleteRangeResponse { header, deleted: a.deleted, prev_kvs: key_values(&a.prev) }
    }

    pub fn txn(&self, a: &TxnAnswer) -> etcd::TxnResponse {
        use etcd::response_op::Response;
        let responses = a.answers.iter().map(|answer| match answer {
            OpAnswer::Range(a) => Response::ResponseRange(INNER.range(a)),
            OpAnswer::Put(a) => Response::ResponsePut(INNER.put(a)),
            OpAnswer::Delete(a) => Response::ResponseDeleteRange(INNER.delete(a)),
            OpAnswer::Txn(a) => Response::ResponseTxn(INNER.txn(a)),
        });
        let responses = responses.map(|r| etcd::ResponseOp { response: Some(r) }).collect();
        etcd::TxnResponse { header: self.header(a.revision), succeeded: a.succeeded, responses }
    }
}
