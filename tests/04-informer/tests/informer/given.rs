//! What stands on given code alone: it does not count for a step.

use crate::heart::dynamic::DynamicObject;
use crate::heart::limit::TokenBucket;
use crate::heart::wire::{WatchEvent, decode};
use std::time::Duration;

fn check(lines: &[&str]) -> String {
    let line = |line: &&str| match decode::<DynamicObject>(line.as_bytes()) {
        Ok(event) => {
            let shown = match &event {
                WatchEvent::Added(o) => format!("Added {}", crate::show(o)),
                WatchEvent::Modified(o) => format!("Modified {}", crate::show(o)),
                WatchEvent::Deleted(o) => format!("Deleted {}", crate::show(o)),
                WatchEvent::Bookmark { resource_version, initial_events_end } => {
                    format!("Bookmark {resource_version} end={initial_events_end}")
                }
                WatchEvent::Error(status) => format!("Error {:?} {:?}", status.code, status.reason),
            };
            format!("{line}\n    {shown}\n")
        }
        Err(error) => format!("{line}\n    error: {error}\n"),
    };
    lines.iter().map(line).collect()
}

#[test]
fn every_type_of_event_is_read_and_the_order_of_members_does_not_matter() {
    insta::assert_snapshot!(check(&[
        r#"{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","uid":"u","resourceVersion":"5"},"data":{"k":"v"}}}"#,
        r#"{"type":"MODIFIED","object":{"metadata":{"name":"a","resourceVersion":"6"}}}"#,
        r#"{"object":{"metadata":{"name":"a","resourceVersion":"7"}},"type":"DELETED"}"#,
        r#"{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"9","creationTimestamp":null}}}"#,
        r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
        r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}}"#,
        r#"{"type":"TWISTED","object":{}}"#,
        r#"{"object":{"metadata":{}}}"#,
        r#"{"type":"ADDED"}"#,
        r#"[]"#,
        r#"{"type":"ADDED","object":{"metadata":"#,
    ]));
}

#[test]
fn a_bucket_gives_no_more_than_it_holds() {
    let mut bucket = TokenBucket::new(1.0, 2);
    let taken: Vec<bool> = (0..3).map(|_| bucket.try_take(Duration::ZERO)).collect();
    assert_eq!(taken, [true, true, false]);
    assert!(!bucket.try_take(Duration::from_millis(900)));
    assert!(bucket.try_take(Duration::from_millis(1000)));
}
