//! What strangers send is read here: no input may make a parser panic, and each has a law. With
//! `PROPTEST_CASES=100000` each law is tried as often.

use crate::common::{any_json, resource};
use crate::heart::bodies;
use crate::heart::delete::{DeleteOptions, Propagation};
use crate::heart::negotiation::{View, Writing, offers};
use crate::heart::paging::Token;
use crate::heart::query::{ListOptions, Query, WriteOptions};
use crate::heart::request::RequestInfo;
use crate::heart::selection::{Selection, fields_of, labels_of};
use objects::fields::FieldSelector;
use objects::labels::Selector;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One requirement on a label, and what it says.
#[derive(Debug, Clone)]
enum Wish {
    Has(String),
    Lacks(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

fn key() -> impl Strategy<Value = String> {
    "[a-c]".prop_map(String::from)
}

fn wish() -> impl Strategy<Value = Wish> {
    let values = prop::collection::vec("[x-z]", 1..3);
    prop_oneof![
        key().prop_map(Wish::Has),
        key().prop_map(Wish::Lacks),
        (key(), values.clone()).prop_map(|(k, v)| Wish::In(k, v)),
        (key(), values).prop_map(|(k, v)| Wish::NotIn(k, v)),
    ]
}

impl Wish {
    fn print(&self) -> String {
        match self {
            Wish::Has(key) => key.clone(),
            Wish::Lacks(key) => format!("!{key}"),
            Wish::In(key, values) if values.len() == 1 => format!("{key}={}", values[0]),
            Wish::In(key, values) => format!("{key} in ({})", values.join(", ")),
            Wish::NotIn(key, values) if values.len() == 1 => format!("{key}!={}", values[0]),
            Wish::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
        }
    }

    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Wish::Has(key) => labels.contains_key(key),
            Wish::Lacks(key) => !labels.contains_key(key),
            Wish::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Wish::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
        }
    }
}

prop_compose! {
    fn delete_options()(
        grace_seconds in prop::option::of(any::<i64>()),
        propagation in prop::option::of(prop_oneof![
            Just(Propagation::Background), Just(Propagation::Foreground), Just(Propagation::Orphan)
        ]),
        uid in prop::option::of("[a-f0-9-]{0,36}"),
        resource_version in prop::option::of("[0-9]{0,9}"),
        dry_run in any::<bool>(),
    ) -> DeleteOptions {
        DeleteOptions { grace_seconds, propagation, cascades: false, uid, resource_version, dry_run }
    }
}

/// Text that looks like what is meant, and is wrong somewhere.
fn nearly_json() -> impl Strategy<Value = String> {
    "(\\{|\\}|\\[|\\]|,|:|\"|\\\\|\"a\"|\"b\":|1|-|\\.5|e9|null|true|nul| |\n|é|\\\\u00e9|\\\\ud800){0,14}"
}

fn nearly_yaml() -> impl Strategy<Value = String> {
    "(a: |b:|- |\n|  |\\{|\\}|\\[|\\]|,|&x |\\*x|<<: |!t |\\||>|#|\"|'|---\n|1|~|\t|é|\\? ){0,16}"
}

proptest! {
    #[test]
    fn a_request_line_is_read_or_refused(method in "(GET|HEAD|PUT|POST|PATCH|DELETE|[A-Z]{0,5})", url in "(/|api|apis|v1|namespaces|watch|pods|\\?|&|=|%2F|%|\\.\\.|status|x|\\PC){0,14}") {
        let _ = RequestInfo::parse(&method, &url);
    }

    #[test]
    fn a_query_is_what_was_encoded(pairs in prop::collection::vec(("\\PC{1,8}", "\\PC{0,12}"), 0..5)) {
        let text: Vec<String> =
            pairs.iter().map(|(k, v)| format!("{}={}", Query::encode(k), Query::encode(v))).collect();
        let query = Query::parse(&text.join("&"));
        for (key, _) in &pairs {
            let sent: Vec<&str> = pairs.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect();
            prop_assert_eq!(query.all(key).collect::<Vec<_>>(), sent);
        }
    }

    #[test]
    fn options_are_read_or_refused(text in "(resourceVersion|resourceVersionMatch|limit|continue|sendInitialEvents|timeoutSeconds|dryRun|fieldValidation|propagationPolicy|gracePeriodSeconds|orphanDependents|=|&|0|1|-1|true|false|Exact|NotOlderThan|All|99999999999999999999|%00|\\PC){0,16}") {
        let query = Query::parse(&text);
        for watch in [false, true] {
            if let Err(error) = ListOptions::parse(&query, watch) {
                prop_assert!([400, 422].contains(&error.reason.code()), "{}", error);
            }
        }
        let _ = WriteOptions::parse("CreateOptions", &query);
        let _ = DeleteOptions::parse(&Value::Null, &query);
    }

    #[test]
    fn a_label_selector_selects_what_it_says(
        wishes in prop::collection::vec(wish(), 0..4),
        labels in prop::collection::btree_map(key(), "[x-z]", 0..3),
    ) {
        let text = wishes.iter().map(Wish::print).collect::<Vec<_>>().join(",");
        let query = Query::parse(&format!("labelSelector={}", Query::encode(&text)));
        let selection = Selection::parse(resource("Pod"), &query).expect("a selector");
        let pod = json!({ "metadata": { "name": "p", "labels": labels } });
        let selected = selection.matches(&labels_of(&pod), &fields_of(resource("Pod"), &pod));
        prop_assert_eq!(selected, wishes.iter().all(|w| w.holds(&labels)), "{}", text);
        let selector = Selector::parse(&text).expect("a selector");
        prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
    }

    #[test]
    fn a_field_selector_selects_what_it_says(
        terms in prop::collection::vec((prop_oneof![Just("metadata.name"), Just("spec.nodeName"), Just("status.phase")], any::<bool>(), "[ab,=\\\\]{0,3}"), 0..4),
        name in "[ab,=\\\\]{0,3}", node in "[ab,=\\\\]{0,3}", phase in "[ab]{0,2}",
    ) {
        let escape = |v: &str| v.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
        let print = |(path, equal, value): &(&str, bool, String)| format!("{path}{}{}", if *equal { "=" } else { "!=" }, escape(value));
        let text = terms.iter().map(print).collect::<Vec<_>>().join(",");
        let query = Query::parse(&format!("fieldSelector={}", Query::encode(&text)));
        let selection = Selection::parse(resource("Pod"), &query).expect("a selector");
        let pod = json!({ "metadata": { "name": name }, "spec": { "nodeName": node }, "status": { "phase": phase } });
        let value = |path: &str| match path { "metadata.name" => &name, "spec.nodeName" => &node, _ => &phase };
        let expected = terms.iter().all(|(path, equal, wanted)| (value(path) == wanted) == *equal);
        prop_assert_eq!(selection.matches(&labels_of(&pod), &fields_of(resource("Pod"), &pod)), expected, "{}", text);
        let selector = FieldSelector::parse(&text).expect("a selector");
        prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
    }

    #[test]
    fn any_text_is_a_selector_or_is_refused(labels in "([a-c]|=|!|,|\\(|\\)|in|notin| |<|>|\\PC){0,10}", fields in "(metadata\\.name|spec\\.nodeName|x|=|!|,|\\\\|\\PC){0,8}") {
        let query = Query::parse(&format!("labelSelector={}&fieldSelector={}", Query::encode(&labels), Query::encode(&fields)));
        if let Err(error) = Selection::parse(resource("Pod"), &query) {
            prop_assert_eq!(error.reason.code(), 400);
        }
    }

    #[test]
    fn json_is_read_as_it_was_printed(value in any_json()) {
        let text = value.to_string();
        let body = bodies::json(text.as_bytes()).expect("JSON");
        prop_assert_eq!(&body.value, &value);
        prop_assert!(body.duplicates.is_empty());
        let yaml = bodies::yaml(text.as_bytes()).expect("JSON is YAML");
        prop_assert_eq!(&yaml.value, &value);
        for writing in [Writing::Pretty, Writing::Yaml] {
            let (_, text) = writing.rewrite(text.as_bytes()).expect("is rewritten");
            prop_assert_eq!(bodies::yaml(&text).expect("YAML").value, value.clone());
        }
    }

    /// The plain parser is the oracle of which texts are JSON.
    #[test]
    fn any_bytes_are_json_or_are_refused(text in nearly_json(), bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let _ = bodies::read("Pod", "application/json", &bytes);
        let plain = serde_json::from_str::<Value>(&text).ok();
        prop_assert_eq!(bodies::json(text.as_bytes()).ok().map(|b| b.value), plain);
    }

    #[test]
    fn any_bytes_are_yaml_or_are_refused(text in nearly_yaml(), bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        for bytes in [text.as_bytes(), &bytes] {
            if let Err(error) = bodies::read("Pod", "application/yaml", bytes) {
                prop_assert_eq!(error.reason.code(), 400);
            }
        }
    }

    /// A field that is said twice is noted, and one that is not is not.
    #[test]
    fn duplicates_are_counted(keys in prop::collection::vec("[a-e]", 0..8)) {
        let different: std::collections::BTreeSet<&String> = keys.iter().collect();
        let json: Vec<String> = keys.iter().map(|k| format!("{k:?}:1")).collect();
        let body = bodies::json(format!("{{{}}}", json.join(",")).as_bytes()).expect("JSON");
        prop_assert_eq!(body.duplicates.len(), keys.len() - different.len());
        let yaml: String = keys.iter().map(|k| format!("{k}: 1\n")).collect();
        let noted = bodies::warnings(&bodies::yaml(yaml.as_bytes()).expect("YAML").duplicates);
        let twice = keys.iter().enumerate().filter(|(i, k)| keys[..*i].contains(k));
        let expected: Vec<String> =
            twice.map(|(i, k)| format!("line {}: key {k:?} already set in map", i + 1)).collect();
        prop_assert_eq!(noted, expected);
    }

    #[test]
    fn delete_options_are_read_as_they_were_printed(options in delete_options(), other in any_json()) {
        prop_assert_eq!(DeleteOptions::parse(&options.to_value(), &Query::default()), Ok(options));
        let _ = DeleteOptions::parse(&other, &Query::default());
    }

    #[test]
    fn a_token_is_read_as_it_was_printed(rv in 1..i64::MAX, start in "[a-z0-9.\u{0}-]{1,20}(/[a-z0-9.\u{0}-]{1,20})?", text in "[A-Za-z0-9_=-]{0,40}|\\PC{0,20}") {
        prop_assume!(!start.split('/').any(|part| part == ".."));
        let token = Token::new(rv, &start);
        prop_assert_eq!(Token::decode(&token.encode()), Ok(token));
        if let Err(error) = Token::decode(&text) {
            prop_assert_eq!(error.reason.code(), 400);
        }
    }

    /// No offer that is preferred could have been met.
    #[test]
    fn the_best_offer_that_can_be_met_is_taken(
        list in prop::collection::vec((prop_oneof![Just("text/html"), Just("application/json"), Just("application/yaml"), Just("*/*"), Just("application/*")], 1..1000u32), 1..6),
    ) {
        let header: Vec<String> = list.iter().map(|(media, q)| format!("{media};q=0.{q:03}")).collect();
        let header = header.join(", ");
        let best = list.iter().filter(|(media, _)| *media != "text/html").map(|(_, q)| *q).max();
        prop_assert_eq!(View::negotiate(&header, &Query::default()).is_ok(), best.is_some());
        let yaml = list.iter().filter(|(media, _)| *media == "application/yaml").map(|(_, q)| *q).max();
        let json = list.iter().filter(|(m, _)| *m != "application/yaml" && *m != "text/html").map(|(_, q)| *q).max();
        if yaml != json {
            let wanted = if yaml > json { Writing::Yaml } else { Writing::Compact };
            prop_assert_eq!(Writing::negotiate(&header, &Query::default(), ""), wanted);
        }
    }

    #[test]
    fn any_accept_header_is_read(text in "(application/json|\\*|/|;|,|q=|0\\.5|-1|nan|as=Table|g=meta\\.k8s\\.io|v=v1| |\\PC){0,14}") {
        let _ = offers(&text);
        let query = Query::default();
        let (_, _, _) = (View::negotiate(&text, &query), View::negotiate_stream(&text, &query), Writing::negotiate(&text, &query, &text));
    }
}
