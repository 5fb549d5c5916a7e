use graded::graded;
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::range::Range;
use crate::heart::types::KeyRange;
use crate::heart::{Command, Store};
use crate::model::Model;
use crate::random::{both, put, range, same_range};
use crate::script::run;

/// The revision is the store's and orders everything; the version is the key's and counts its changes.
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

/// A list of many pages asks for each page at the revision of the first, and so sees one moment.
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

/// `a..c` is a and b: so neighbouring ranges neither overlap nor leave a key between them.
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

/// A pager shows "1-500 of 12000": the count is of what is there, not of what is sent.
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

/// "The newest three" is a sort and then a cut; the other way round it would be any three.
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

/// `ignore_value` is how etcd's own tools give a key another lease without sending its value.
#[graded]
fn a_put_may_keep_the_value() {
    assert_snapshot!(run("
        put a 1
        put a - keep-value prev
        get a
        put b - keep-value
        put a 1 keep-value
        put - 1
    "));
}

/// Kubernetes lists a kind by its prefix, `/registry/pods/`, and a namespace by a longer one.
#[graded]
fn a_prefix_ends_before_the_next_key_that_does_not_begin_with_it() {
    let pods = KeyRange::prefix(b"/registry/pods/");
    assert_eq!(pods, KeyRange::from_wire(b"/registry/pods/", b"/registry/pods0"), "0 follows / in ASCII");
    assert!(!pods.contains(b"/registry/podtemplates/default/a"));
}

/// A byte that cannot be raised is cut off, and if none is left there is no key behind all of them.
#[graded]
fn a_prefix_of_only_ff_has_no_end() {
    let keys = KeyRange::prefix(b"\xff");
    assert!(keys.contains(b"\xff\xff\xff"), "the key ff ff ff begins with ff");
    assert!(!keys.contains(b"\xfe"));
    let keys = KeyRange::prefix(b"a\xff");
    assert!(keys.contains(b"a\xff\xff"), "a ff ff begins with a ff");
    assert!(!keys.contains(b"b"), "b does not begin with a ff: the range ends before it");
}

proptest! {
    /// Against a look at the bytes themselves.
    #[graded]
    fn a_prefix_holds_exactly_the_keys_that_begin_with_it(
        prefix in proptest::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 0..3),
        key in proptest::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 0..4),
    ) {
        prop_assert_eq!(KeyRange::prefix(&prefix).contains(&key), key.starts_with(&prefix));
        let longer = [prefix.clone(), key].concat();
        prop_assert!(KeyRange::prefix(&prefix).contains(&longer), "{:?} begins with {:?}", longer, prefix);
    }

    /// At every revision, and with any wish of order, limit and bounds.
    #[graded]
    fn reads_are_those_of_a_store_that_copies_everything(
        puts in proptest::collection::vec(put(), 0..40),
        ranges in proptest::collection::vec(range(), 20),
    ) {
        let (mut store, mut model) = (Store::new(), Model::new());
        for put in puts {
            both(&mut store, &mut model, &Command::Put(put))?;
        }
        for range in &ranges {
            same_range(&store, &model, range)?;
        }
        for revision in 0..=store.revision() + 1 {
            same_range(&store, &model, &Range { revision, ..Range::of(KeyRange::all()) })?;
        }
    }
}
