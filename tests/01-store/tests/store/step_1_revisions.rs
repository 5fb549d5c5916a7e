use graded::graded;
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::Store;
use crate::heart::range::Range;
use crate::heart::types::KeyRange;
use crate::model::{Model, holds};
use crate::random::{both, command, key, keys, range, same_range};
use crate::script::run;

#[graded]
fn every_put_takes_a_revision_and_raises_the_version() {
    assert_snapshot!(run("
        put a 1
        put a 2
        put b 1
        get a
        get b
        put a 3 prev
    "));
}

#[graded]
fn a_read_of_the_past_sees_the_past() {
    assert_snapshot!(run("
        put a 1
        put b 1
        put a 2
        get a* rev=1
        get a* rev=2
        get a.. rev=3
        get a.. rev=4
        get a rev=5
    "));
}

#[graded]
fn a_range_leaves_out_its_end_and_a_zero_byte_means_no_end() {
    assert_snapshot!(run("
        put a 1
        put aa 1
        put b 1
        put c 1
        get a..c keys
        get b.. keys
        get a* keys
        get c..a
        get b..b
    "));
}

#[graded]
fn count_ignores_limit_and_bounds() {
    assert_snapshot!(run("
        put a 1
        put b 1
        put c 1
        put b 2
        get a.. limit=2
        get a.. limit=3
        get a.. min-mod=4
        get a.. max-mod=4 limit=1
        get a.. min-create=3 max-create=3
        get a.. count limit=1
    "));
}

#[graded]
fn answers_are_sorted_by_any_field_and_cut_afterwards() {
    assert_snapshot!(run("
        put a 3
        put b 2
        put c 1
        put a 9
        get a.. sort=mod asc keys
        get a.. sort=mod desc limit=1
        get a.. sort=value asc keys
        get a.. sort=version desc keys
        get a.. sort=create desc keys
        get a.. sort=key desc keys
        get a.. sort=value keys
    "));
}

#[graded]
fn a_put_may_keep_the_value_or_the_lease() {
    assert_snapshot!(run("
        grant 7 60
        put a 1 lease=7
        put a 2 keep-lease
        put a - keep-value
        get a
        put b - keep-value
        put b 1 keep-lease
        put a 1 keep-value
        put a 1 lease=7 keep-lease
        put a 1 lease=8
        put - 1
    "));
}

#[graded]
fn a_prefix_of_only_ff_has_no_end() {
    let keys = KeyRange::prefix(b"\xff");
    assert!(keys.contains(b"\xff\xff\xff"), "the key ff ff ff begins with ff");
    assert!(!keys.contains(b"\xfe"));
    let keys = KeyRange::prefix(b"a\xff");
    assert!(keys.contains(b"a\xff\xff") && !keys.contains(b"b"));
}

proptest! {
    #[graded]
    fn a_range_holds_what_the_wire_says(keys in keys(), key in key()) {
        prop_assert_eq!(keys.contains(key), holds(&keys, key));
        if keys.is_empty() {
            prop_assert!(!keys.contains(key));
        }
    }

    /// At every revision, and with any wish of order, limit and bounds.
    #[graded]
    fn reads_are_those_of_a_store_that_copies_everything(
        history in proptest::collection::vec(command(), 0..40),
        ranges in proptest::collection::vec(range(), 20),
    ) {
        let (mut store, mut model) = (Store::new(), Model::new());
        for command in &history {
            both(&mut store, &mut model, command)?;
        }
        for range in &ranges {
            same_range(&store, &model, range)?;
        }
        for revision in 0..=store.revision() + 1 {
            same_range(&store, &model, &Range { revision, ..Range::of(KeyRange::all()) })?;
        }
    }
}
