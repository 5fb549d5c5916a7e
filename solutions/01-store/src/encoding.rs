//! Commands as bytes: what is logged, and what consensus will carry without looking inside.

use crate::alarm::{Alarm, AlarmKind};
use crate::auth::{AuthCommand, Caller};
use crate::codec::{Decoder, Encoder, Malformed};
use crate::command::Command;
use crate::range::{Range, SortOrder, SortTarget};
use crate::txn::{Compare, DeleteRange, Is, Op, Put, Target, Txn};
use crate::types::{KeyRange, LeaseId, RangeEnd};

/// Transactions nest at most as deep as their operations allow; bytes must not nest deeper.
const MAX_DEPTH: usize = crate::txn::MAX_TXN_OPS + 1;

impl Command {
    pub fn encode(&self) -> Vec<u8> {
        let mut e = Encoder { out: Vec::with_capacity(self.weight() + 64) };
        self.encode_to(&mut e);
        e.out
    }

    /// About how many bytes it carries.
    fn weight(&self) -> usize {
        let put = |put: &Put| put.key.len() + put.value.len() + 16;
        match self {
            Command::Put(p) => put(p),
            Command::Txn(txn) => {
                let ops = txn.success.iter().chain(&txn.failure);
                ops.map(|op| if let Op::Put(p) = op { put(p) } else { 64 }).sum()
            }
            Command::As(_, command) => command.weight(),
            _ => 0,
        }
    }

    fn encode_to(&self, e: &mut Encoder) {
        match self {
            Command::Put(put) => {
                e.out.push(1);
                encode_put(e, put);
            }
            Command::Delete(delete) => {
                e.out.push(2);
                encode_delete(e, delete);
            }
            Command::Txn(txn) => {
                e.out.push(3);
                encode_txn(e, txn);
            }
            Command::Compact { revision } => {
                e.out.push(4);
                e.i64(*revision);
            }
            Command::LeaseGrant { id, ttl } => {
                e.out.push(5);
                e.i64(*id);
                e.i64(*ttl);
            }
            Command::LeaseRevoke { id } => {
                e.out.push(6);
                e.i64(*id);
            }
            Command::LeaseCheckpoint { leases } => {
                e.out.push(7);
                encode_times(e, leases);
            }
            Command::Alarm { alarm, raise } => {
                e.out.push(8);
                encode_alarm(e, alarm);
                e.bool(*raise);
            }
            Command::Auth(command) => {
                e.out.push(9);
                command.encode(e);
            }
            Command::As(caller, command) => {
                e.out.push(10);
                caller.encode(e);
                command.encode_to(e);
            }
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Command, Malformed> {
        let mut d = Decoder::new(bytes);
        let command = match bytes.first() {
            Some(10) => {
                d.u8()?;
                Command::As(Caller::decode(&mut d)?, Box::new(Self::decode_unsigned(&mut d)?))
            }
            _ => Self::decode_unsigned(&mut d)?,
        };
        d.finish()?;
        Ok(command)
    }

    fn decode_unsigned(d: &mut Decoder<'_>) -> Result<Command, Malformed> {
        Ok(match d.u8()? {
            1 => Command::Put(decode_put(d)?),
            2 => Command::Delete(decode_delete(d)?),
            3 => Command::Txn(decode_txn(d, MAX_DEPTH)?),
            4 => Command::Compact { revision: d.i64()? },
            5 => Command::LeaseGrant { id: d.i64()?, ttl: d.i64()? },
            6 => Command::LeaseRevoke { id: d.i64()? },
            7 => Command::LeaseCheckpoint { leases: decode_times(d)? },
            8 => Command::Alarm { alarm: decode_alarm(d)?, raise: d.bool()? },
            9 => Command::Auth(AuthCommand::decode(d)?),
            _ => return Err(Malformed("an unknown command")),
        })
    }
}

/// Leases, and seconds for each.
pub(crate) fn encode_times(e: &mut Encoder, leases: &[(LeaseId, i64)]) {
    e.list(leases, |e, (id, seconds)| {
        e.i64(*id);
        e.i64(*seconds);
    });
}

pub(crate) fn decode_times(d: &mut Decoder<'_>) -> Result<Vec<(LeaseId, i64)>, Malformed> {
    d.list(|d| Ok((d.i64()?, d.i64()?)))
}

pub(crate) fn encode_alarm(e: &mut Encoder, alarm: &Alarm) {
    e.u64(alarm.member);
    e.out.push(alarm.kind as u8);
}

pub(crate) fn decode_alarm(d: &mut Decoder<'_>) -> Result<Alarm, Malformed> {
    let member = d.u64()?;
    let kind = AlarmKind::from_byte(d.u8()?).ok_or(Malformed("an unknown alarm"))?;
    Ok(Alarm { member, kind })
}

pub(crate) fn encode_keys(e: &mut Encoder, keys: &KeyRange) {
    e.bytes(&keys.start);
    match &keys.end {
        RangeEnd::Single => e.out.push(0),
        RangeEnd::Unbounded => e.out.push(1),
        RangeEnd::Before(end) => {
            e.out.push(2);
            e.bytes(end);
        }
    }
}

pub(crate) fn decode_keys(d: &mut Decoder<'_>) -> Result<KeyRange, Malformed> {
    let start = d.bytes()?;
    let end = match d.u8()? {
        0 => RangeEnd::Single,
        1 => RangeEnd::Unbounded,
        2 => RangeEnd::Before(d.bytes()?),
        _ => return Err(Malformed("an unknown end of a range")),
    };
    Ok(KeyRange { start, end })
}

fn encode_put(e: &mut Encoder, put: &Put) {
    e.bytes(&put.key);
    e.bytes(&put.value);
    e.i64(put.lease);
    e.bool(put.prev_kv);
    e.bool(put.ignore_value);
    e.bool(put.ignore_lease);
}

fn decode_put(d: &mut Decoder<'_>) -> Result<Put, Malformed> {
    Ok(Put {
        key: d.bytes()?,
        value: d.bytes()?,
        lease: d.i64()?,
        prev_kv: d.bool()?,
        ignore_value: d.bool()?,
        ignore_lease: d.bool()?,
    })
}

fn encode_delete(e: &mut Encoder, delete: &DeleteRange) {
    encode_keys(e, &delete.keys);
    e.bool(delete.prev_kv);
}

fn decode_delete(d: &mut Decoder<'_>) -> Result<DeleteRange, Malformed> {
    Ok(DeleteRange { keys: decode_keys(d)?, prev_kv: d.bool()? })
}

fn encode_range(e: &mut Encoder, range: &Range) {
    encode_keys(e, &range.keys);
    for n in [range.limit, range.revision, range.min_mod, range.max_mod, range.min_create, range.max_create] {
        e.i64(n);
    }
    e.out.push(match range.order {
        SortOrder::None => 0,
        SortOrder::Ascend => 1,
        SortOrder::Descend => 2,
    });
    e.out.push(match range.target {
        SortTarget::Key => 0,
        SortTarget::Version => 1,
        SortTarget::Create => 2,
        SortTarget::Mod => 3,
        SortTarget::Value => 4,
    });
    e.bool(range.keys_only);
    e.bool(range.count_only);
}

fn decode_range(d: &mut Decoder<'_>) -> Result<Range, Malformed> {
    let mut range = Range::of(decode_keys(d)?);
    range.limit = d.i64()?;
    range.revision = d.i64()?;
    range.min_mod = d.i64()?;
    range.max_mod = d.i64()?;
    range.min_create = d.i64()?;
    range.max_create = d.i64()?;
    range.order = match d.u8()? {
        0 => SortOrder::None,
        1 => SortOrder::Ascend,
        2 => SortOrder::Descend,
        _ => return Err(Malformed("an unknown order")),
    };
    range.target = match d.u8()? {
        0 => SortTarget::Key,
        1 => SortTarget::Version,
        2 => SortTarget::Create,
        3 => SortTarget::Mod,
        4 => SortTarget::Value,
        _ => return Err(Malformed("an unknown target of an order")),
    };
    range.keys_only = d.bool()?;
    range.count_only = d.bool()?;
    Ok(range)
}

fn encode_compare(e: &mut Encoder, compare: &Compare) {
    encode_keys(e, &compare.keys);
    e.out.push(match compare.is {
        Is::Equal => 0,
        Is::Greater => 1,
        Is::Less => 2,
        Is::NotEqual => 3,
    });
    let (tag, number) = match &compare.than {
        Target::Version(n) => (0, n),
        Target::Create(n) => (1, n),
        Target::Mod(n) => (2, n),
        Target::Lease(n) => (4, n),
        Target::Value(value) => {
            e.out.push(3);
            return e.bytes(value);
        }
    };
    e.out.push(tag);
    e.i64(*number);
}

fn decode_compare(d: &mut Decoder<'_>) -> Result<Compare, Malformed> {
    let keys = decode_keys(d)?;
    let is = match d.u8()? {
        0 => Is::Equal,
        1 => Is::Greater,
        2 => Is::Less,
        3 => Is::NotEqual,
        _ => return Err(Malformed("an unknown comparison")),
    };
    let than = match d.u8()? {
        0 => Target::Version(d.i64()?),
        1 => Target::Create(d.i64()?),
        2 => Target::Mod(d.i64()?),
        3 => Target::Value(d.bytes()?),
        4 => Target::Lease(d.i64()?),
        _ => return Err(Malformed("an unknown target of a comparison")),
    };
    Ok(Compare { keys, is, than })
}

fn encode_txn(e: &mut Encoder, txn: &Txn) {
    e.list(&txn.compare, encode_compare);
    e.list(&txn.success, encode_op);
    e.list(&txn.failure, encode_op);
}

fn decode_txn(d: &mut Decoder<'_>, depth: usize) -> Result<Txn, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed("transactions nest too deep"))?;
    Ok(Txn {
        compare: d.list(decode_compare)?,
        success: d.list(|d| decode_op(d, depth))?,
        failure: d.list(|d| decode_op(d, depth))?,
    })
}

fn encode_op(e: &mut Encoder, op: &Op) {
    match op {
        Op::Range(range) => {
            e.out.push(0);
            encode_range(e, range);
        }
        Op::Put(put) => {
            e.out.push(1);
            encode_put(e, put);
        }
        Op::Delete(delete) => {
            e.out.push(2);
            encode_delete(e, delete);
        }
        Op::Txn(txn) => {
            e.out.push(3);
            encode_txn(e, txn);
        }
    }
}

fn decode_op(d: &mut Decoder<'_>, depth: usize) -> Result<Op, Malformed> {
    Ok(match d.u8()? {
        0 => Op::Range(decode_range(d)?),
        1 => Op::Put(decode_put(d)?),
        2 => Op::Delete(decode_delete(d)?),
        3 => Op::Txn(decode_txn(d, depth)?),
        _ => return Err(Malformed("an unknown operation")),
    })
}
