//! Transactions: compare, then do one of two lists of operations, in one revision.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Error;
use crate::range::{Range, RangeAnswer};
use crate::store::{Store, Writer};
use crate::types::{Key, KeyRange, LeaseId, NO_LEASE, Record, Value};

/// Most compares, and most operations of one list, etcd's `--max-txn-ops`. What nests in a
/// transaction has what its parent leaves.
pub const MAX_TXN_OPS: usize = 128;

/// etcd's `PutRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    pub key: Key,
    pub value: Value,
    pub lease: LeaseId,
    pub prev_kv: bool,
    pub ignore_value: bool,
    pub ignore_lease: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutAnswer {
    pub revision: i64,
    pub prev: Option<Arc<Record>>,
}

/// etcd's `DeleteRangeRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRange {
    pub keys: KeyRange,
    pub prev_kv: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteAnswer {
    pub revision: i64,
    pub deleted: i64,
    /// When asked for.
    pub prev: Vec<Arc<Record>>,
}

/// One guard of a transaction: it must hold for every key of its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    pub keys: KeyRange,
    pub is: Is,
    pub than: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    Equal,
    Greater,
    Less,
    NotEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Version(i64),
    Create(i64),
    Mod(i64),
    Value(Value),
    Lease(LeaseId),
}

/// etcd's `TxnRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Txn {
    pub compare: Vec<Compare>,
    pub success: Vec<Op>,
    pub failure: Vec<Op>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Range(Range),
    Put(Put),
    Delete(DeleteRange),
    Txn(Txn),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TxnAnswer {
    /// 0 in a nested one, as etcd answers it.
    pub revision: i64,
    pub succeeded: bool,
    pub answers: Vec<OpAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpAnswer {
    Range(RangeAnswer),
    Put(PutAnswer),
    Delete(DeleteAnswer),
    Txn(TxnAnswer),
}

impl Put {
    pub fn new(key: impl Into<Key>, value: impl Into<Value>) -> Self {
        Put {
            key: key.into(),
            value: value.into(),
            lease: NO_LEASE,
            prev_kv: false,
            ignore_value: false,
            ignore_lease: false,
        }
    }

    /// What is wrong with the request whatever the store holds.
    pub fn check(&self) -> Result<(), Error> {
        if self.key.is_empty() {
            return Err(Error::EmptyKey);
        }
        if self.ignore_value && !self.value.is_empty() {
            return Err(Error::ValueProvided);
        }
        if self.ignore_lease && self.lease != NO_LEASE {
            return Err(Error::LeaseProvided);
        }
        Ok(())
    }
}

impl DeleteRange {
    pub fn check(&self) -> Result<(), Error> {
        if self.keys.start.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
    }
}

impl Compare {
    /// Whether the guard holds. Where there is no key, numbers are 0 and a value equals nothing,
    /// not even the empty value.
    pub fn holds(&self, store: &Store) -> bool {
        // lab:begin 01.3 hold for every living key of the range; without any, compare with zero, and refuse to compare a value
        let living = store.histories(&self.keys).filter_map(|(_, h)| h.latest());
        let mut any = false;
        for record in living {
            any = true;
            let order = match &self.than {
                Target::Version(x) => record.version.cmp(x),
                Target::Create(x) => record.create.cmp(x),
                Target::Mod(x) => record.revision.main.cmp(x),
                Target::Lease(x) => record.lease.cmp(x),
                Target::Value(x) => record.value().cmp(&**x),
            };
            if !self.is.accepts(order) {
                return false;
            }
        }
        any || match &self.than {
            Target::Value(_) => false,
            Target::Version(x) | Target::Create(x) | Target::Mod(x) | Target::Lease(x) => {
                self.is.accepts(0.cmp(x))
            }
        }
        // lab:end
    }
}

impl Is {
    pub fn accepts(self, order: std::cmp::Ordering) -> bool {
        match self {
            Is::Equal => order.is_eq(),
            Is::Greater => order.is_gt(),
            Is::Less => order.is_lt(),
            Is::NotEqual => order.is_ne(),
        }
    }
}

impl Txn {
    /// Nothing in it can write.
    pub fn is_read_only(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|op| match op {
            Op::Range(_) => true,
            Op::Put(_) | Op::Delete(_) => false,
            Op::Txn(txn) => txn.is_read_only(),
        })
    }

    /// What is wrong with the request whatever the store holds: its parts, its size, and keys that
    /// would be written twice.
    pub fn check(&self) -> Result<(), Error> {
        self.check_parts(MAX_TXN_OPS)?;
        Writes::of(&self.success)?;
        Writes::of(&self.failure)?;
        Ok(())
    }

    fn check_parts(&self, max: usize) -> Result<(), Error> {
        let size = self.compare.len().max(self.success.len()).max(self.failure.len());
        let Some(left) = max.checked_sub(size) else { return Err(Error::TooManyOps) };
        if self.compare.iter().any(|c| c.keys.start.is_empty()) {
            return Err(Error::EmptyKey);
        }
        self.success.iter().chain(&self.failure).try_for_each(|op| match op {
            Op::Range(range) => range.check(),
            Op::Put(put) => put.check(),
            Op::Delete(delete) => delete.check(),
            Op::Txn(txn) => txn.check_parts(left),
        })
    }
}

/// What a list of operations would write. A revision has one change of a key, so that "the value
/// at revision 7" means one thing. (As in etcd, a put in one nested transaction and a delete in a
/// later one pass; then the last one counts.)
#[derive(Default)]
struct Writes {
    puts: BTreeSet<Key>,
    deletes: Vec<KeyRange>,
}

impl Writes {
    /// The two lists of a nested transaction exclude each other, so they may write the same key.
    fn of(ops: &[Op]) -> Result<Writes, Error> {
        // lab:begin 01.3 collect this level's deletes, then what nested transactions write, then this level's puts; refuse a put that meets an earlier put or a delete
        let mut writes = Writes::default();
        writes.deletes.extend(ops.iter().filter_map(|op| match op {
            Op::Delete(delete) => Some(delete.keys.clone()),
            _ => None,
        }));
        for op in ops {
            let Op::Txn(txn) = op else { continue };
            let then = Writes::of(&txn.success)?;
            let other = Writes::of(&txn.failure)?;
            for key in &then.puts {
                writes.may_put(key)?;
            }
            for key in other.puts.difference(&then.puts) {
                writes.may_put(key)?;
            }
            writes.puts.extend(then.puts.into_iter().chain(other.puts));
            writes.deletes.extend(then.deletes.into_iter().chain(other.deletes));
        }
        for op in ops {
            let Op::Put(put) = op else { continue };
            writes.may_put(&put.key)?;
            writes.puts.insert(put.key.clone());
        }
        Ok(writes)
        // lab:end
    }

    // lab:given
    /// etcd overlooks deletes without an end here; a put that keeps the value of a key that such a
    /// delete has just removed then ends the server. We look.
    fn may_put(&self, key: &Key) -> Result<(), Error> {
        let twice = self.puts.contains(key) || self.deletes.iter().any(|d| d.contains(key));
        if twice { Err(Error::DuplicateKey) } else { Ok(()) }
    }
}

/// A transaction with its compares done. All of them, nested ones too, look at the store as it was
/// before anything of the transaction was written.
pub(crate) struct Decided<'a> {
    succeeded: bool,
    ops: Vec<DecidedOp<'a>>,
}

enum DecidedOp<'a> {
    // lab:given
    Range(&'a Range),
    // lab:given
    Put(&'a Put),
    // lab:given
    Delete(&'a DeleteRange),
    // lab:given
    Txn(Decided<'a>),
}

impl<'a> Decided<'a> {
    pub(crate) fn new(txn: &'a Txn, store: &Store) -> Self {
        // lab:begin 01.3 take all compares, choose the branch, and decide what nests in it, before anything is written
        let succeeded = txn.compare.iter().all(|c| c.holds(store));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let ops = ops.iter().map(|op| match op {
            Op::Range(range) => DecidedOp::Range(range),
            Op::Put(put) => DecidedOp::Put(put),
            Op::Delete(delete) => DecidedOp::Delete(delete),
            Op::Txn(txn) => DecidedOp::Txn(Decided::new(txn, store)),
        });
        Decided { succeeded, ops: ops.collect() }
        // lab:end
    }

    /// Whatever can fail fails here, before the first write: a transaction is done whole or not
    /// at all. Puts are looked at before reads, as etcd does, so that the error is the same.
    pub(crate) fn check(&self, store: &Store) -> Result<(), Error> {
        self.each(&mut |op| match op {
            DecidedOp::Put(put) => put.check_key(store).and_then(|()| store.leases.check(put.lease)),
            _ => Ok(()),
        })?;
        self.each(&mut |op| match op {
            DecidedOp::Range(range) if range.revision > store.revision() => Err(Error::FutureRevision),
            DecidedOp::Range(range) if range.revision != 0 && range.revision < store.compacted() => {
                Err(Error::Compacted)
            }
            _ => Ok(()),
        })
    }

    fn each(&self, look: &mut impl FnMut(&DecidedOp<'a>) -> Result<(), Error>) -> Result<(), Error> {
        for op in &self.ops {
            look(op)?;
            if let DecidedOp::Txn(txn) = op {
                txn.each(look)?;
            }
        }
        Ok(())
    }

    /// Does the operations in order; each read sees the writes before it.
    pub(crate) fn apply(&self, writer: &mut Writer<'_>) -> Result<TxnAnswer, Error> {
        let mut answer = TxnAnswer { revision: 0, succeeded: self.succeeded, answers: Vec::new() };
        for op in &self.ops {
            answer.answers.push(match op {
                DecidedOp::Range(range) => OpAnswer::Range(writer.range(range)?),
                DecidedOp::Put(put) => OpAnswer::Put(put.apply(writer)?),
                DecidedOp::Delete(delete) => OpAnswer::Delete(delete.apply(writer)),
                DecidedOp::Txn(txn) => OpAnswer::Txn(txn.apply(writer)?),
            });
        }
        Ok(answer)
    }
}

impl Put {
    /// What only the store can tell: whether the lease exists, and the key when it is to be kept.
    pub(crate) fn check_against(&self, store: &Store) -> Result<(), Error> {
        store.leases.check(self.lease)?;
        self.check_key(store)
    }

    fn check_key(&self, store: &Store) -> Result<(), Error> {
        let needed = self.ignore_value || self.ignore_lease;
        if needed && store.get(&self.key).is_none() { Err(Error::KeyNotFound) } else { Ok(()) }
    }

    pub(crate) fn apply(&self, writer: &mut Writer<'_>) -> Result<PutAnswer, Error> {
        let needed = self.prev_kv || self.ignore_value || self.ignore_lease;
        let prev = if needed { writer.store.get(&self.key).cloned() } else { None };
        let keep = |wanted: bool| match (&prev, wanted) {
            (_, false) => Ok(None),
            (Some(prev), true) => Ok(Some(prev)),
            (None, true) => Err(Error::KeyNotFound),
        };
        let value = match keep(self.ignore_value)? {
            Some(prev) => prev.value.clone().unwrap_or_default(),
            None => self.value.clone(),
        };
        let lease = keep(self.ignore_lease)?.map_or(self.lease, |prev| prev.lease);
        writer.put(&self.key, value, lease);
        Ok(PutAnswer { revision: writer.revision(), prev: prev.filter(|_| self.prev_kv) })
    }
}

impl DeleteRange {
    pub(crate) fn apply(&self, writer: &mut Writer<'_>) -> DeleteAnswer {
        let gone = writer.delete(&self.keys);
        DeleteAnswer {
            revision: writer.revision(),
            deleted: gone.len() as i64,
            prev: if self.prev_kv { gone } else { Vec::new() },
        }
    }
}

impl Store {
    /// A transaction that only reads.
    pub fn read_txn(&self, txn: &Txn) -> Result<TxnAnswer, Error> {
        debug_assert!(txn.is_read_only(), "a writing transaction is a command");
        let decided = Decided::new(txn, self);
        decided.check(self)?;
        decided.read(self)
    }
}

impl Decided<'_> {
    fn read(&self, store: &Store) -> Result<TxnAnswer, Error> {
        let mut answer = self.read_ops(store)?;
        answer.revision = store.revision();
        Ok(answer)
    }

    fn read_ops(&self, store: &Store) -> Result<TxnAnswer, Error> {
        let answers = self.ops.iter().map(|op| match op {
            DecidedOp::Range(range) => store.range(range).map(OpAnswer::Range),
            DecidedOp::Txn(txn) => txn.read_ops(store).map(OpAnswer::Txn),
            DecidedOp::Put(_) | DecidedOp::Delete(_) => unreachable!("checked: it only reads"),
        });
        let answers = answers.collect::<Result<_, _>>()?;
        Ok(TxnAnswer { revision: 0, succeeded: self.succeeded, answers })
    }
}
