use crate::common::{refused, resource};
use crate::heart::keys::{list_prefix, object_key, range_end, split_key};
use graded::graded;
use objects::resources;
use proptest::prelude::*;

#[graded]
fn every_kind_has_its_place_in_the_store() {
    let line = |r: &objects::resources::Resource| {
        let key = object_key(r, Some("NAMESPACE"), "NAME").expect("a key");
        format!("{:<40} {key}\n", format!("{}/{}", r.api_version(), r.plural))
    };
    let all: Vec<String> = resources::all().iter().map(line).collect();
    insta::assert_snapshot!(all.concat());
}

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

#[graded]
fn the_prefix_of_one_namespace_does_not_begin_another() {
    let pods = resource("Pod");
    let dev = list_prefix(pods, Some("dev")).expect("a prefix");
    let other = object_key(pods, Some("dev-2"), "web").expect("a key");
    assert!(!other.starts_with(&dev), "{dev} must not find {other}");
}

#[graded]
fn a_kind_without_namespaces_ignores_them() {
    let nodes = resource("Node");
    assert_eq!(object_key(nodes, Some("default"), "n1"), Ok("/registry/minions/n1".to_string()));
    assert_eq!(list_prefix(nodes, Some("default")), Ok("/registry/minions/".to_string()));
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9.-]{0,10}[a-z0-9])?"
}

proptest! {
    #[graded]
    fn a_key_tells_where_it_came_from(namespace in name(), name in name(), kind in 0..resources::all().len()) {
        let resource = &resources::all()[kind];
        let key = object_key(resource, Some(&namespace), &name).expect("a key");
        let namespace = resource.namespaced.then_some(namespace.as_str());
        prop_assert_eq!(split_key(resource, &key), Some((namespace, name.as_str())));
        prop_assert!(key.starts_with(&list_prefix(resource, namespace).expect("a prefix")));
        prop_assert!(key.starts_with(&list_prefix(resource, None).expect("a prefix")));
    }

    #[graded]
    fn a_range_holds_what_begins_with_its_prefix_and_nothing_else(prefix in "[ab/\u{7f}]{1,4}", key in "[ab/\u{7f}]{0,6}") {
        let end = range_end(&prefix);
        let inside = key.as_bytes() >= prefix.as_bytes() && key.as_bytes() < end.as_slice();
        prop_assert_eq!(inside, key.starts_with(&prefix));
    }

    #[graded]
    fn no_key_makes_it_panic(key in "\\PC{0,40}", kind in 0..resources::all().len()) {
        let _ = split_key(&resources::all()[kind], &key);
        let _ = object_key(&resources::all()[kind], Some(&key), &key);
    }
}
