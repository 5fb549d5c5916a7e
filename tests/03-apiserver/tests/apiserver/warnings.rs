//! What is stored and warned of, in upstream's words. Each case is an object of which nothing is to
//! be said, but for what the line says.

use crate::common::{any_json, context};
use crate::heart::kind::Kind;
use crate::heart::{defaults, reading, warnings, write};
use crate::validation::{but_for, change, context_of, minimal, replace};
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write;

fn created(context: &write::Context<'_>, object: Value) -> Value {
    let decoded = reading::decode_body(context, object).expect("decodes");
    write::prepare_create(context, decoded.object).unwrap_or_else(|e| panic!("{}", e.message))
}

fn lines(said: &[String]) -> String {
    said.iter().map(|warning| format!("    {warning}\n")).collect()
}

/// `kind`, and what is put where; after ` -> ` what is changed then, and only that is warned of.
fn said(cases: &str) -> String {
    let mut out = String::new();
    for case in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (kind, changes) = case.split_once(' ').expect("a kind and changes");
        let (first, then) = changes.split_once(" -> ").map_or((changes, None), |(a, b)| (a, Some(b)));
        let context = context_of(kind);
        let old = created(&context, but_for(&context, first));
        let said = match then {
            None => warnings::of_create(&context.kind, &old),
            Some(then) => {
                let mut new = old.clone();
                new["metadata"]["resourceVersion"] = json!("5");
                change(&mut new, then);
                let new = write::prepare_update(&context, write::Part::Main, &old, 5, new)
                    .unwrap_or_else(|e| panic!("{case}: {}", e.message));
                warnings::of_update(&context.kind, &new, &old)
            }
        };
        write!(out, "{case}\n{}", lines(&said)).expect("a text");
    }
    out
}

#[test]
fn pods_are_warned_of_in_upstreams_words() {
    insta::assert_snapshot!(said(include_str!("warnings/pods.txt")));
}

#[test]
fn other_kinds_are_warned_of_in_upstreams_words() {
    insta::assert_snapshot!(said(include_str!("warnings/others.txt")));
}

#[test]
fn of_the_least_of_each_kind_there_is_nothing_to_say() {
    for resource in resources::all().iter().filter(|r| r.is_storage_version()) {
        if !resource.verbs.contains(&"create") || !resource.verbs.contains(&"get") {
            continue;
        }
        let context = write::Context {
            kind: Kind::builtin(resource),
            namespace: resource.namespaced.then_some("default"),
            ..context("Pod")
        };
        let mut object = created(&context, minimal(resource.group, resource.kind));
        assert_eq!(warnings::of_create(&context.kind, &object), Vec::<String>::new(), "{}", resource.kind);
        let old = object.clone();
        object["metadata"]["generation"] = json!(7);
        let said = warnings::of_update(&context.kind, &object, &old);
        assert_eq!(said, Vec::<String>::new(), "{}", resource.kind);
    }
}

#[test]
fn kinds_of_ones_own_are_not_warned_of() {
    let catalog = crate::common::crontabs();
    let kind = catalog.custom.first().expect("a kind");
    let object = json!({ "metadata": { "name": "a.b" }, "spec": { "nodeSelector": { "beta.kubernetes.io/os": "x" } } });
    assert_eq!(warnings::of_create(kind, &object), Vec::<String>::new());
}

#[test]
fn what_was_said_is_not_said_again() {
    let mut said = vec!["a".to_string()];
    warnings::add(&mut said, vec!["b".into(), "a".into(), "b".into()]);
    assert_eq!(said, ["a", "b"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_the_object_stays_as_it_is(
        kind in 0..resources::all().len(), spots in prop::collection::vec((any::<u16>(), any_json()), 1..4),
    ) {
        let resource = &resources::all()[kind];
        let (kind, old) = (Kind::builtin(resource), minimal(resource.group, resource.kind));
        let mut object = old.clone();
        for (spot, value) in spots {
            replace(&mut object, usize::from(spot), value);
        }
        defaults::apply(resource, &mut object);
        let before = object.clone();
        let said = [
            warnings::of_create(&kind, &object),
            warnings::of_update(&kind, &object, &old),
            warnings::of_update(&kind, &old, &object),
        ];
        prop_assert_eq!(&before, &object);
        prop_assert!(said.iter().flatten().all(|warning| !warning.is_empty()));
    }
}
