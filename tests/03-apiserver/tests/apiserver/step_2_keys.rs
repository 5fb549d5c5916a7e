use crate::common::{refused, resource};
use crate::heart::keys::{list_prefix, object_key, range_end, split_key};
use graded::graded;
use objects::resources;
use proptest::prelude::*;

/// Upstream's places, old names included: a node lives under minions.
#[graded]
fn every_kind_has_its_place_in_the_store() {
    let line = |r: &objects::resources::Resource| {
        let key = object_key(r, Some("NAMESPACE"), "NAME").expect("a key");
        format!("{:<40} {key}\n", format!("{}/{}", r.api_version(), r.plural))
    };
    let all: Vec<String> = resources::all().iter().map(line).collect();
    insta::assert_snapshot!(all.concat());
}

/// Who may read one pod must not thereby read a secret.
#[graded]
fn a_name_cannot_climb_out_of_its_place() {
    let pods = resource("Pod");
    for name in ["", ".", "..", "../../secrets/default/token", "a/b", "a%2Fb", "a\0"] {
        let message = refused(object_key(pods, Some("default"), name));
        assert!(message.starts_with("400 BadRequest: invalid resource name"), "{name:?}: {message}");
        refused(object_key(pods, Some(name), "web"));
    }
    refused(object_key(pods, None, "web"));
}

/// A tenant called dev-2 is not a part of dev.
#[graded]
fn the_prefix_of_one_namespace_does_not_begin_another() {
    let pods = resource("Pod");
    let dev = list_prefix(pods, Some("dev")).expect("a prefix");
    let other = object_key(pods, Some("dev-2"), "web").expect("a key");
    assert!(!other.starts_with(&dev), "{dev} must not find {other}");
}

/// There is one node-1, whoever asks from where.
#[graded]
fn a_kind_without_namespaces_ignores_them() {
    let nodes = resource("Node");
    assert_eq!(object_key(nodes, Some("default"), "n1"), Ok("/registry/minions/n1".to_string()));
    assert_eq!(list_prefix(nodes, Some("default")), Ok("/registry/minions/".to_string()));
}

/// The store may hold keys that others wrote; taking one for an object would name an object that is not there.
#[graded]
fn what_no_object_could_have_as_its_key_stands_for_none() {
    let (pods, nodes) = (resource("Pod"), resource("Node"));
    assert_eq!(split_key(pods, "/registry/pods/dev/web"), Some((Some("dev"), "web")));
    assert_eq!(split_key(nodes, "/registry/minions/n1"), Some((None, "n1")));
    for key in
        ["/registry/pods/dev", "/registry/pods/dev/", "/registry/pods/dev/web/x", "/registry/podsdev/web"]
    {
        assert_eq!(split_key(pods, key), None, "{key}");
    }
    for key in ["/registry/minions", "/registry/minions/", "/registry/minions/a/b", "/registry/pods/n1"] {
        assert_eq!(split_key(nodes, key), None, "{key}");
    }
}

#[graded]
fn a_prefix_of_the_greatest_bytes_has_no_end() {
    assert_eq!(range_end(b"/registry/pods/"), b"/registry/pods0", "0 is the byte after the slash");
    assert_eq!(range_end(&[1, 0xff, 0xff]), [2]);
    assert_eq!(range_end(&[0xff, 0xff]), [0], "one zero byte: to the end of all keys");
}

/// Few different bytes, and the ones at which a range's end is hard.
fn bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, 2, 0xfe, 0xff]), length)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9.-]{0,10}[a-z0-9])?"
}

proptest! {
    /// The watch over all keys gets nothing else to tell objects apart by.
    #[graded]
    fn a_key_tells_where_it_came_from(namespace in name(), name in name(), kind in 0..resources::all().len()) {
        let resource = &resources::all()[kind];
        let key = object_key(resource, Some(&namespace), &name).expect("a key");
        let namespace = resource.namespaced.then_some(namespace.as_str());
        prop_assert_eq!(split_key(resource, &key), Some((namespace, name.as_str())));
        prop_assert!(key.starts_with(&list_prefix(resource, namespace).expect("a prefix")));
        prop_assert!(key.starts_with(&list_prefix(resource, None).expect("a prefix")));
    }

    /// etcd knows no prefixes, only ranges; a list is read as one.
    #[graded]
    fn a_range_holds_what_begins_with_its_prefix_and_nothing_else(prefix in bytes(1..4), key in bytes(0..5)) {
        let end = range_end(&prefix);
        let below = end == [0] || key < end;
        prop_assert_eq!(key >= prefix && below, key.starts_with(&prefix), "the range ends before {:?}", end);
    }

    /// The store may hold keys that other programs wrote.
    #[graded]
    fn no_key_makes_it_panic(key in "\\PC{0,40}", kind in 0..resources::all().len()) {
        let _ = split_key(&resources::all()[kind], &key);
        let _ = object_key(&resources::all()[kind], Some(&key), &key);
    }
}
