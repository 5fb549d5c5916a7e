//! What students are given, and rely on.

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::jiff::Timestamp;

use crate::heart::deployment::template::{same_template, template_hash};
use crate::heart::endpoints::selector;
use crate::heart::expectations::CaughtUp;
use crate::heart::gc::{Graph, group_of};
use crate::heart::pods::{after, available_at};
use crate::heart::service_account::{missing_account, root_ca};
use crate::heart::taints::TaintClock;
use crate::step_2_deployment::{deployment, plan_for, set};
use crate::step_3_endpoints::service;
use crate::step_4_nodes::node;
use crate::step_5_garbage::{checks, identity, meta};
use crate::step_6_namespace::namespace;
use crate::{at, json, pod, text};

#[test]
fn a_key_waits_until_its_own_write_has_come_back() {
    let mut caught_up = CaughtUp::default();
    caught_up.wrote("key", "Pod", "12", at(0));
    assert!(caught_up.satisfied("other", at(0)));
    caught_up.seen("Pod", "11");
    caught_up.seen("Node", "99");
    assert!(!caught_up.satisfied("key", at(0)));
    caught_up.seen("Pod", "13");
    assert!(caught_up.satisfied("key", at(0)));
    caught_up.wrote("key", "Pod", "13", at(0));
    assert!(caught_up.satisfied("key", at(0)), "the watch was faster than the answer");
}

#[test]
fn equal_templates_have_equal_hashes_of_safe_letters_and_collisions_change_them() {
    let template = deployment(1, json!({})).spec.expect("a spec").template;
    let other = deployment(1, json!({ "spec": { "template": { "spec": { "hostNetwork": true } } } }));
    let hash = template_hash(&template, None);
    assert_eq!(hash, template_hash(&template.clone(), None));
    assert_ne!(hash, template_hash(&other.spec.expect("a spec").template, None));
    assert_ne!(hash, template_hash(&template, Some(1)));
    assert!(hash.chars().all(|letter| "bcdfghjklmnpqrstvwxz2456789".contains(letter)), "{hash}");
    assert!(same_template(&set("web:1", 0, 0, json!({})), &template), "the hash label does not count");
    assert!(!same_template(&set("web:2", 0, 0, json!({})), &template));
}

/// Whoever may write a status may write any time into it, and must not stop the others' work.
#[test]
fn the_end_of_all_times_is_the_last() {
    assert_eq!(after(at(1), 2), at(3));
    assert_eq!(after(Timestamp::MAX, 1), Timestamp::MAX);
    assert_eq!(after(at(0), i64::MAX), Timestamp::MAX);
    let conditions =
        json!([{ "type": "Ready", "status": "True", "lastTransitionTime": "9999-12-30T21:59:59Z" }]);
    let late = pod("late", json!({ "status": { "conditions": conditions } }));
    assert_eq!(available_at(&late, i32::MAX), Some(Timestamp::MAX));
}

#[test]
fn a_selector_that_selects_everything_is_refused_aloud() {
    let mut web = deployment(2, json!({}));
    web.spec.as_mut().expect("a spec").selector =
        k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector::default();
    let plan = plan_for(&web, &[], 0);
    assert!(plan.actions.is_empty());
    assert_eq!(plan.notes[0].reason, "SelectingAll");
}

#[test]
fn services_without_a_selector_are_somebody_elses_business() {
    let mut api_server = service(json!({}));
    api_server.spec.as_mut().expect("a spec").selector = None;
    assert!(selector(&api_server).is_none());
    assert!(selector(&service(json!({ "spec": { "type": "ExternalName" } }))).is_none());
    assert!(selector(&service(json!({}))).is_some());
}

#[test]
fn a_taint_counts_from_its_own_time_or_from_when_it_was_first_seen() {
    let mut clock = TaintClock::default();
    let dated = json!({ "key": "a", "effect": "NoExecute", "timeAdded": text(5) });
    let undated = json!({ "key": "b", "effect": "NoExecute" });
    let tainted = node("n", json!({ "spec": { "taints": [dated, undated] } }));
    let times = |taints: Vec<(Taint, Timestamp)>| taints.into_iter().map(|(_, at)| at).collect::<Vec<_>>();
    assert_eq!(times(clock.handle_node(&tainted, at(20))), [at(5), at(20)]);
    assert_eq!(times(clock.handle_node(&tainted, at(30))), [at(5), at(20)]);
    clock.handle_node(&node("n", json!({})), at(40));
    assert_eq!(times(clock.handle_node(&tainted, at(50))), [at(5), at(50)], "it was gone in between");
}

#[test]
fn every_namespace_gets_an_account_and_the_root_certificate_unless_it_is_going() {
    let mut alive = namespace(json!({}));
    alive.metadata.deletion_timestamp = None;
    let account = missing_account(&alive, None).expect("it is missing");
    assert_eq!(account.metadata.name.as_deref(), Some("default"));
    assert!(missing_account(&alive, Some(&account)).is_none());
    assert!(missing_account(&namespace(json!({})), None).is_none());
    let map = root_ca(&alive, "PEM", None).expect("it is missing");
    assert_eq!(map.metadata.name.as_deref(), Some("kube-root-ca.crt"));
    assert!(root_ca(&alive, "PEM", Some(&map)).is_none());
    let renewed = root_ca(&alive, "NEW", Some(&map)).expect("it is outdated");
    assert_eq!(renewed.data.expect("data")["ca.crt"], "NEW");
}

/// A kind may be served later than objects name owners of it.
#[test]
fn dependents_of_owners_that_nobody_has_seen_are_found_by_the_owners_kind() {
    let mut graph = Graph::default();
    let solid = meta("owner", &[], json!({}));
    graph.handle(identity(&solid), &solid);
    for (name, owner) in [("a", "owner"), ("b", "unseen"), ("c", "unseen")] {
        let dependent = meta(name, &[(owner, false)], json!({}));
        graph.handle(identity(&dependent), &dependent);
    }
    let of = |kind: &'static str| graph.without_owner(move |owner| owner.kind == kind);
    assert_eq!(checks(&of("Thing")), ["b", "c"]);
    assert!(checks(&of("Other")).is_empty());
    assert_eq!((group_of("v1"), group_of("apps/v1")), ("", "apps"));
}
