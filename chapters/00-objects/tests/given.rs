//! The parts of chapter 00 that are given: the table of kinds, manifests, durations.

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::duration::parse_go;
use objects::{meta, resources, yaml};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn storage_prefixes_are_upstreams_old_names() {
    let prefix = |group, plural| resources::by_plural(group, "v1", plural).map(|r| r.storage_prefix);
    assert_eq!(prefix("", "pods"), Some("/registry/pods"));
    assert_eq!(prefix("", "nodes"), Some("/registry/minions"));
    assert_eq!(prefix("", "services"), Some("/registry/services/specs"));
    assert_eq!(prefix("", "endpoints"), Some("/registry/services/endpoints"));
    assert_eq!(prefix("networking.k8s.io", "ingresses"), Some("/registry/ingress"));
    assert_eq!(prefix("", "deployments"), None);
}

#[test]
fn names_are_unique_within_a_group_and_version() {
    let mut seen = BTreeSet::new();
    for r in resources::all() {
        assert!(seen.insert((r.group, r.version, r.kind)), "{r:?} twice");
        assert_eq!(resources::by_kind(r.group, r.version, r.kind), Some(r));
        assert_eq!(resources::by_plural(r.group, r.version, r.plural), Some(r));
        assert_eq!(r.singular, r.kind.to_lowercase());
    }
}

#[test]
fn no_storage_prefix_lies_inside_another() {
    // A list of `/registry/pods/` must not find pod templates.
    let prefixes: BTreeSet<_> = resources::all().iter().map(|r| format!("{}/", r.storage_prefix)).collect();
    for a in &prefixes {
        assert!(a.starts_with("/registry/"));
        assert!(!prefixes.iter().any(|b| a != b && b.starts_with(a.as_str())), "{a}");
    }
}

#[test]
fn shared_objects_have_one_storage_version() {
    let stored =
        |group, version, kind| resources::by_kind(group, version, kind).expect("found").is_storage_version();
    assert!(stored("", "v1", "Event") && !stored("events.k8s.io", "v1", "Event"));
    assert!(stored("autoscaling", "v2", "HorizontalPodAutoscaler"));
    assert!(!stored("autoscaling", "v1", "HorizontalPodAutoscaler"));
}

#[test]
fn a_manifest_holds_documents_and_keeps_their_order() {
    let text = "# a comment\n---\nkind: B\napiVersion: v1\n---\n---\n{\"kind\": \"A\", \"n\": 1.5}\n";
    let documents = yaml::load(text).expect("valid");
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0].to_string(), r#"{"kind":"B","apiVersion":"v1"}"#);
    assert_eq!(documents[1], json!({"kind": "A", "n": 1.5}));
    assert_eq!(yaml::load("").expect("valid").len(), 0);
    let error = yaml::load("a: 1\n---\n[").expect_err("the second is broken");
    assert_eq!(error.document, 2);
}

#[test]
fn durations_are_gos() {
    let cases = [
        ("10s", 10_000),
        ("1m0s", 60_000),
        ("300ms", 300),
        ("1.5h", 5_400_000),
        ("0", 0),
        ("0s", 0),
        ("1h2m3s4ms", 3_723_004),
        ("+5s", 5000),
        (".5s", 500),
        ("1.s", 1000),
        ("2000us", 2),
        ("1000µs", 1),
    ];
    for (text, millis) in cases {
        assert_eq!(parse_go(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    let wrong = ["", "+", "s", "10", "1d", "-5s", "1 s", "1s ", ".s", "99999999999999999999h"];
    for text in wrong.into_iter().chain(["300000h1000000000h", "1.2.3s"]) {
        assert!(parse_go(text).is_err(), "{text:?}");
    }
}

#[test]
fn an_owner_is_known_by_its_uid() {
    let owner = |uid: &str| Node {
        metadata: ObjectMeta {
            name: Some("n".to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectMeta::default()
        },
        ..Node::default()
    };
    let reference = meta::owner_reference(&owner("1"));
    assert_eq!((reference.api_version.as_str(), reference.kind.as_str()), ("v1", "Node"));
    let owner_references = Some(vec![reference]);
    let pod = Pod { metadata: ObjectMeta { owner_references, ..ObjectMeta::default() }, ..Pod::default() };
    assert!(meta::is_controlled_by(&pod.metadata, &owner("1").metadata));
    assert!(!meta::is_controlled_by(&pod.metadata, &owner("2").metadata), "a name is not enough");
    assert_eq!(meta::controller_of(&pod.metadata).map(|o| o.name.as_str()), Some("n"));
    assert!(meta::controller_of(&ObjectMeta::default()).is_none());
}

#[test]
fn keys_come_apart_as_they_were_joined() {
    assert_eq!(meta::join_key("default", "web"), "default/web");
    assert_eq!(meta::split_key("default/web"), ("default", "web"));
    assert_eq!(meta::split_key(&meta::join_key("", "node-1")), ("", "node-1"));
}
