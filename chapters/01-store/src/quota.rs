//! How much a request may make the data grow, so that it is refused before the space is used up.

use crate::heart::Command;
use crate::heart::txn::{Op, Put};

/// What a key and a value take beside their bytes, as etcd counts it.
const KEY_BYTES: u64 = 256;
const LEASE_BYTES: u64 = 64;

/// Bytes; `None` for what does not make data grow: with too little space, deleting must be possible.
pub fn cost(command: &Command) -> Option<u64> {
    match command {
        Command::Put(put) => Some(cost_of_put(put)),
        Command::Txn(txn) => {
            let cost = cost_of_ops(&txn.success).max(cost_of_ops(&txn.failure));
            (cost > 0).then_some(cost)
        }
        Command::LeaseGrant { .. } => Some(LEASE_BYTES),
        Command::As(_, command) => cost(command),
        _ => None,
    }
}

fn cost_of_put(put: &Put) -> u64 {
    KEY_BYTES + (put.key.len() + put.value.len()) as u64
}

fn cost_of_ops(ops: &[Op]) -> u64 {
    let costs = ops.iter().map(|op| match op {
        Op::Put(put) => cost_of_put(put),
        Op::Txn(txn) => cost_of_ops(&txn.success).max(cost_of_ops(&txn.failure)),
        Op::Range(_) | Op::Delete(_) => 0,
    });
    costs.sum()
}
