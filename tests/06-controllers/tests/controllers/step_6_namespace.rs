//! Namespaces: emptied before they go, and saying what they wait for.

use graded::graded;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;

use crate::heart::namespace::{Content, Verdict, judge};
use crate::{Value, at, json, merge, object, text};

pub fn namespace(more: Value) -> Namespace {
    let mut value = json!({
        "metadata": { "name": "team", "deletionTimestamp": text(0) },
        "spec": { "finalizers": ["kubernetes"] },
        "status": { "phase": "Terminating" },
    });
    merge(&mut value, &more);
    object(value)
}

fn remaining() -> Content {
    Content {
        remaining: BTreeMap::from([("pods.".to_owned(), 2), ("deployments.apps".to_owned(), 1)]),
        finalizers: BTreeMap::from([("x.io/f".to_owned(), 1)]),
        ..Content::default()
    }
}

/// Even if it is empty.
#[graded]
fn a_namespace_that_nobody_deleted_is_left_alone() {
    let mut alive = namespace(json!({}));
    alive.metadata.deletion_timestamp = None;
    assert_eq!(judge(&alive, &Content::default(), at(0)), Verdict::NotTerminating);
}

/// Each finalizer belongs to somebody who has still something to do.
#[graded]
fn an_empty_namespace_loses_our_finalizer_and_keeps_the_others() {
    assert_eq!(judge(&namespace(json!({})), &Content::default(), at(0)), Verdict::Finalize(vec![]));
    let two = namespace(json!({ "spec": { "finalizers": ["kubernetes", "example.com/f"] } }));
    let verdict = judge(&two, &Content::default(), at(0));
    assert_eq!(verdict, Verdict::Finalize(vec!["example.com/f".to_owned()]));
}

/// A namespace that hangs in Terminating is a common question, and the answer stands there.
#[graded]
fn what_is_left_is_shown_in_conditions() {
    let Verdict::Wait(Some(status)) = judge(&namespace(json!({})), &remaining(), at(0)) else {
        panic!("a namespace with content must wait, and say for what");
    };
    let line = |c: &k8s_openapi::api::core::v1::NamespaceCondition| {
        let (reason, message) = (c.reason.as_deref(), c.message.as_deref());
        format!("{}={} {}: {}", c.type_, c.status, reason.unwrap_or_default(), message.unwrap_or_default())
    };
    let lines: Vec<String> = status.conditions.iter().flatten().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// A status that is written at each look wakes its own writer.
#[graded]
fn the_same_content_is_no_news() {
    let mut waiting = namespace(json!({}));
    let Verdict::Wait(Some(status)) = judge(&waiting, &remaining(), at(0)) else {
        panic!("a namespace with content must wait");
    };
    waiting.status = Some(status);
    assert_eq!(judge(&waiting, &remaining(), at(60)), Verdict::Wait(None));
}

/// They would stay behind, under a name that no longer exists.
#[graded]
fn a_kind_that_could_not_be_looked_at_may_still_have_objects() {
    for content in [
        Content { discovery_error: Some("503".to_owned()), ..Content::default() },
        Content { deletion_error: Some("500".to_owned()), ..Content::default() },
    ] {
        assert!(matches!(judge(&namespace(json!({})), &content, at(0)), Verdict::Wait(Some(_))));
    }
}
