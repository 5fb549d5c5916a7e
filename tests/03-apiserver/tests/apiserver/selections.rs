//! Which words a selector may use, kind by kind, and where their values are found.

use crate::common::{refused, resource};
use crate::heart::query::Query;
use crate::heart::selection::{Selection, fields_of};
use objects::resources::{self, Resource};
use serde_json::json;

fn parse(resource: &Resource, field: &str) -> Result<Selection, crate::heart::status::ApiError> {
    let query = format!("fieldSelector={}", field.replace('=', "%3D"));
    Selection::parse(resource, &Query::parse(&query))
}

/// Events have two vocabularies, one for each of their groups, and share the rest.
#[test]
fn an_event_is_selected_in_the_words_of_its_group() {
    let older = resource("Event");
    let newer = resources::by_plural("events.k8s.io", "v1", "events").expect("a kind");
    for (path, in_older, in_newer) in [
        ("involvedObject.kind", true, false),
        ("involvedObject.name", true, false),
        ("reportingComponent", true, false),
        ("source", true, false),
        ("regarding.kind", false, true),
        ("regarding.uid", false, true),
        ("reportingController", false, true),
        ("reason", true, true),
        ("type", true, true),
        ("note", false, false),
    ] {
        let known = |r: &Resource| parse(r, &format!("{path}=x")).is_ok();
        assert_eq!((known(older), known(newer)), (in_older, in_newer), "{path}");
    }
}

/// Whatever a field is called in a selector, its value is looked up where it is stored.
#[test]
fn selectable_fields_are_found_where_they_are_stored() {
    let event = json!({
        "metadata": { "name": "e", "namespace": "dev" }, "reason": "Because", "type": "Normal",
        "source": { "component": "kubelet" }, "reportingComponent": "kubelet-2",
        "involvedObject": { "kind": "Pod", "name": "p" },
    });
    let newer = resources::by_plural("events.k8s.io", "v1", "events").expect("a kind");
    for kind in [resource("Event"), newer] {
        let fields = fields_of(kind, &event);
        for (path, expected) in [
            ("source", "kubelet"),
            ("reportingComponent", "kubelet-2"),
            ("reportingController", "kubelet-2"),
            ("involvedObject.name", "p"),
            ("regarding.name", "p"),
            ("reason", "Because"),
        ] {
            assert_eq!(fields.get(path).map(String::as_str), Some(expected), "{path}");
        }
    }
    let pod = fields_of(resource("Pod"), &json!({ "spec": { "nodeName": "n1" } }));
    assert_eq!((pod["spec.host"].as_str(), pod["spec.nodeName"].as_str()), ("n1", "n1"));
    let job = json!({ "metadata": { "name": "j" }, "status": { "succeeded": 3 } });
    assert_eq!(fields_of(resource("Job"), &job).get("status.successful").map(String::as_str), Some("3"));
}

/// `GET …/pods/web?fieldSelector=…`: two names for one object must be one.
#[test]
fn a_path_and_a_selector_must_mean_the_same_name() {
    let of = |field: &str| {
        let selection =
            if field.is_empty() { Ok(Selection::everything()) } else { parse(resource("Pod"), field) };
        selection.expect("a selection").of_name("web")
    };
    for agreeing in ["", "metadata.name=web", "spec.nodeName=n1,metadata.name=web"] {
        assert!(of(agreeing).is_ok(), "{agreeing}");
    }
    for other in [
        "metadata.name=db",
        "metadata.name!=web",
        "metadata.name!=db",
        "spec.nodeName=web",
        "spec.nodeName=n1",
    ] {
        assert_eq!(
            refused(of(other)),
            "400 BadRequest: fieldSelector metadata.name doesn't match requested name",
            "{other}"
        );
    }
    let pod = |name: &str| fields_of(resource("Pod"), &json!({ "metadata": { "name": name } }));
    let only = of("").expect("a selection");
    assert!(only.matches(&Default::default(), &pod("web")) && !only.matches(&Default::default(), &pod("db")));
}

/// Upstream has four ways to say it.
#[test]
fn a_field_that_is_not_indexed_is_refused_in_the_words_of_its_kind() {
    let all: Vec<String> = ["Pod", "Job", "ConfigMap", "ReplicaSet", "Event"]
        .iter()
        .map(|kind| format!("{kind}: {}\n", refused(parse(resource(kind), "spec.foo=x"))))
        .collect();
    insta::assert_snapshot!(all.concat());
}

#[test]
fn only_what_asks_for_nothing_is_everything() {
    let of = |query: &str| Selection::parse(resource("Pod"), &Query::parse(query)).expect("a selection");
    assert!(of("").is_everything());
    for query in [
        "labelSelector=a",
        "fieldSelector=metadata.name%3Dx",
        "labelSelector=a&fieldSelector=metadata.name%3Dx",
    ] {
        assert!(!of(query).is_everything(), "{query}");
    }
}
