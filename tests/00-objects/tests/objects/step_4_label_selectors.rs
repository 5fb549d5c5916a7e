use crate::heart::labels::{Operator, Requirement, Selector};
use crate::step_3_labels_match::any_requirement;
use graded::graded;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn check(texts: &[&str]) -> String {
    let line = |text: &&str| match Selector::parse(text) {
        Ok(selector) => format!("{text:?} -> {selector}\n"),
        Err(error) => format!("{text:?} -> error: {error}\n"),
    };
    texts.iter().map(line).collect()
}

/// What people type after `kubectl get -l`. Terms come back in the order of their keys and
/// values in their own, so that equal selectors are equal texts.
#[graded]
fn every_notation_of_kubectl_is_read() {
    insta::assert_snapshot!(check(&[
        "",
        "  ",
        "a",
        "!a",
        "! a",
        "a=b",
        "a==b",
        "a!=b",
        " a = b , c != d ",
        "a=",
        "a!=",
        "a=,b",
        "x in (b,a)",
        "x notin ( b , a )",
        "x in ()",
        "x in (,a)",
        "x in (a,)",
        "x in (,)",
        "x in (b,,a)",
        "x in (a,a)",
        "x in (in,notin)",
        "x in(a)",
        "a in (b),a=c,a",
        "\ta\n=\rb ",
        "n>3",
        "n < 9",
        "app.kubernetes.io/name=web",
        "z,y,x",
        "in in (in)",
        "notin",
        "env in (prod,qa),tier!=db,canary,!legacy",
    ]));
}

/// The texts are upstream's to the letter: scripts and people search for them.
#[graded]
fn what_is_no_selector_is_refused() {
    insta::assert_snapshot!(check(&[
        ",",
        "a,",
        ",a",
        "a b",
        "a in",
        "a in b",
        "a in (b",
        "a in (b c)",
        "=",
        "!",
        "!a=b",
        "a=b=c",
        "a=(b)",
        "a>x",
        "a>",
        "-a",
        "a=-b",
        "UPPER.case/x",
        "/x",
        "x/",
        "a/b/c",
        "a=b!",
        "ä=ö",
        "a=b,,c",
        "a=b,)",
        "(a)",
        "a=b)",
        "a===b",
        "a!b",
        "a<",
        "a=<",
        "a=)",
        "a in in",
        "a in (<)",
        "a in (b,<)",
        "a in (",
        "a in (b,",
        "a in (-b,_c)",
        "a>1.5",
        "a>-x",
        "-a=b=c",
        "!-a",
    ]));
}

/// Labels become file names, DNS names and metrics, so both halves are short and plain.
#[graded]
fn a_key_or_a_value_that_is_too_long_is_refused() {
    let (most, more) = ("a".repeat(63), "a".repeat(64));
    assert_eq!(
        Selector::parse(&format!("{most}={most}")).map(|s| s.to_string()),
        Ok(format!("{most}={most}"))
    );
    let prefix = "a.".repeat(126) + "a";
    assert!(Selector::parse(&format!("{prefix}/x")).is_ok(), "{} characters", prefix.len());
    insta::assert_snapshot!(check(&[
        &more,
        &format!("{more}-"),
        &format!("a={more}"),
        &format!("a={more}-"),
        &format!("{prefix}a/x"),
        &format!("a.{prefix}./x"),
    ]));
}

/// A Deployment's `spec.selector: {}` is there and asks for nothing in particular.
#[graded]
fn an_empty_selector_of_an_object_matches_everything() {
    let selector = Selector::from_label_selector(&LabelSelector::default()).expect("valid");
    assert!(selector.is_everything());
    assert_eq!(selector.to_string(), "");
}

/// Both halves of a `spec.selector` are one conjunction.
#[graded]
fn match_labels_and_match_expressions_must_all_hold() {
    let expression = |key: &str, operator: &str, values: &[&str]| LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
    };
    let selector = LabelSelector {
        match_labels: Some(BTreeMap::from([("app".to_owned(), "web".to_owned())])),
        match_expressions: Some(vec![
            expression("tier", "In", &["front", "back"]),
            expression("env", "NotIn", &["test"]),
            expression("canary", "Exists", &[]),
            expression("legacy", "DoesNotExist", &[]),
        ]),
    };
    let selector = Selector::from_label_selector(&selector).expect("valid");
    insta::assert_snapshot!(selector, @"app=web,canary,env notin (test),!legacy,tier in (back,front)");
}

/// A Service's selector and a pod's nodeSelector are plain maps.
#[graded]
fn a_plain_map_asks_for_each_of_its_pairs() {
    let map = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), String::new())]);
    assert_eq!(Selector::from_labels(&map).map(|s| s.to_string()), Ok("a=,b=2".to_owned()));
    assert!(Selector::from_labels(&BTreeMap::new()).expect("valid").is_everything());
    assert!(Selector::from_labels(&BTreeMap::from([("-".to_owned(), String::new())])).is_err());
    let more = Selector::parse("x=y").expect("valid");
    assert_eq!(more.requirements().len(), 1);
    assert_eq!((more.requirements()[0].key(), more.requirements()[0].operator()), ("x", Operator::Equals));
    assert!(more.requirements()[0].values().contains("y"));
}

/// A selector with a mistake in it must not select: a controller that took it for empty would
/// adopt every pod of the namespace.
#[graded]
fn a_selector_of_an_object_is_checked() {
    let error = |key: &str, operator: &str, values: Option<&[&str]>| {
        let selector = LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: values.map(|all| all.iter().map(|v| (*v).to_owned()).collect()),
            }]),
            ..LabelSelector::default()
        };
        match Selector::from_label_selector(&selector) {
            Ok(selector) => format!("{operator} {values:?} -> {selector}\n"),
            Err(error) => format!("{operator} {values:?} -> error: {error}\n"),
        }
    };
    let texts = [
        error("a", "In", None),
        error("a", "NotIn", Some(&[])),
        error("a", "Exists", Some(&["x"])),
        error("a", "DoesNotExist", Some(&["x", "y"])),
        error("a", "Exists", None),
        error("a", "In", Some(&["-"])),
        error("-", "In", Some(&["-", "_"])),
        error("a", "Gt", Some(&["1"])),
    ];
    insta::assert_snapshot!(texts.concat());
    let numbers = |values: &[&str]| {
        let built = Requirement::new("a", Operator::GreaterThan, values.iter().map(|v| (*v).to_owned()));
        built.map(|one| one.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(numbers(&["1"]).as_deref(), Ok("a>1"));
    insta::assert_snapshot!(numbers(&["1", "2"]).unwrap_err(), @r#"values: Invalid value: []string{"1", "2"}: for 'Gt', 'Lt' operators, exactly one value is required"#);
    let equals = Requirement::new("a", Operator::DoubleEquals, ["1".to_owned(), "2".to_owned()]);
    insta::assert_snapshot!(equals.unwrap_err(), @r#"values: Invalid value: []string{"1", "2"}: exact-match compatibility requires one single value"#);
}

/// Operators have four names here, and case matters.
#[graded]
fn an_unknown_operator_or_a_missing_value_is_an_error() {
    let with = |operator: &str| LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "a".to_owned(),
            operator: operator.to_owned(),
            values: None,
        }]),
        ..LabelSelector::default()
    };
    for operator in ["Equals", "in", "", "In", "NotIn"] {
        assert!(Selector::from_label_selector(&with(operator)).is_err(), "{operator:?} without values");
    }
    assert!(Selector::from_label_selector(&with("Exists")).is_ok());
}

proptest! {
    /// Invariant 2. A controller hands its selector to the API server as a text.
    #[graded]
    fn what_is_printed_is_read_back_as_the_same_selector(requirements in prop::collection::vec(any_requirement(), 0..5)) {
        let built = requirements.iter().map(|(key, operator, values)| {
            Requirement::new(key, *operator, values.clone()).expect("valid")
        });
        let selector = Selector::new(built.collect());
        let printed = selector.to_string();
        prop_assert_eq!(Selector::parse(&printed), Ok(selector), "{}", printed);
    }

    /// The text comes out of a URL.
    #[graded]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,16}|[a-b =!,()<>in]{0,16}") {
        let _ = Selector::parse(&text);
    }
}
