//! What stands on given code alone: it does not count for a step.

use proptest::prelude::*;

use crate::heart::range::Range;
use crate::heart::txn::{DeleteRange, Op, Put, Txn};
use crate::heart::types::{KeyRange, Record, Revision};
use crate::heart::{Command, crc};
use crate::model::holds;
use crate::random::{alarming, key};

#[test]
fn the_checksum_is_crc_32c() {
    assert_eq!(crc::update(0, b"123456789"), 0xe306_9283);
    assert_eq!(crc::update(crc::update(0, b"1234"), b"56789"), 0xe306_9283, "in parts as in one");
}

/// What the quota counts, and where a portion of history ends.
#[test]
fn a_record_costs_its_bytes_and_a_little_more() {
    let record = |key: &[u8], value: Option<&[u8]>| Record {
        key: key.into(),
        value: value.map(Into::into),
        revision: Revision { main: 2, sub: 0 },
        create: 2,
        version: 1,
        lease: 0,
    };
    let little = record(b"", None).size();
    assert!((1..200).contains(&little));
    assert_eq!(record(&[1; 30], Some(&[2; 1000])).size(), little + 1030);
    assert_eq!(record(&[1; 30], None).size(), little + 30);
}

/// Reads need no disk and no consensus; whatever might write does.
#[test]
fn a_transaction_reads_only_if_nothing_in_it_can_write() {
    let txn = |success, failure| Txn { success, failure, ..Default::default() };
    let get = || Op::Range(Range::of(KeyRange::all()));
    assert!(txn(vec![], vec![]).is_read_only());
    assert!(txn(vec![get()], vec![Op::Txn(txn(vec![get()], vec![]))]).is_read_only());
    let put = Op::Put(Put::new(*b"a", *b"1"));
    let delete = Op::Delete(DeleteRange { keys: KeyRange::single(*b"a"), prev_kv: false });
    for write in [put, delete] {
        assert!(!txn(vec![get(), write.clone()], vec![]).is_read_only());
        assert!(
            !txn(vec![], vec![write.clone()]).is_read_only(),
            "it is not known yet which branch is taken"
        );
        assert!(!txn(vec![Op::Txn(txn(vec![], vec![write]))], vec![]).is_read_only());
    }
}

proptest! {
    #[test]
    fn a_range_holds_what_the_wire_says(start in key(), end in key(), key in key()) {
        for end in [&b""[..], b"\0", end] {
            let keys = KeyRange::from_wire(start, end);
            prop_assert_eq!(keys.contains(key), holds(&keys, key));
            prop_assert!(!(keys.is_empty() && keys.contains(key)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..Default::default() })]

    #[test]
    fn a_command_is_the_same_after_writing_and_reading(command in alarming()) {
        prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
    }

    #[test]
    fn a_command_cut_short_is_malformed(command in alarming()) {
        let bytes = command.encode();
        for cut in 0..bytes.len() {
            prop_assert!(Command::decode(&bytes[..cut]).is_err());
        }
    }
}
