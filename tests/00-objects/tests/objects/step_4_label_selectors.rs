use crate::heart::labels::{Requirement, Selector};
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
        "n>3",
        "n < 9",
        "app.kubernetes.io/name=web",
        "z,y,x",
        "in in (in)",
        "notin",
        "env in (prod,qa),tier!=db,canary,!legacy",
    ]));
}

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
    ]));
}

#[graded]
fn an_absent_selector_of_an_object_is_empty_and_matches_everything() {
    let selector = Selector::from_label_selector(&LabelSelector::default()).expect("valid");
    assert!(selector.is_everything());
    assert_eq!(selector.to_string(), "");
}

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
    #[graded]
    fn what_is_printed_is_read_back_as_the_same_selector(requirements in prop::collection::vec(any_requirement(), 0..5)) {
        let built = requirements.iter().map(|(key, operator, values)| {
            Requirement::new(key, *operator, values.clone()).expect("valid")
        });
        let selector = Selector::new(built.collect());
        let printed = selector.to_string();
        prop_assert_eq!(Selector::parse(&printed), Ok(selector), "{}", printed);
    }

    #[graded]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,16}|[a-b =!,()<>in]{0,16}") {
        let _ = Selector::parse(&text);
    }
}
