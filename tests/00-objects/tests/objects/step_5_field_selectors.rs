use crate::heart::fields::{FieldSelector, Operator, Requirement};
use graded::graded;
use proptest::prelude::*;

fn check(texts: &[&str]) -> String {
    let line = |text: &&str| match FieldSelector::parse(text) {
        Ok(selector) => {
            let parts = selector.requirements().iter();
            let parts: String =
                parts.map(|r| format!(" [{} {:?} {:?}]", r.path, r.operator, r.value)).collect();
            format!("{text:?} ->{parts}\n")
        }
        Err(error) => format!("{text:?} -> error: {error}\n"),
    };
    texts.iter().map(line).collect()
}

/// Terms come in the order of their texts, as upstream sorts them: equal selectors, equal texts.
#[graded]
fn paths_operators_and_values_are_taken_apart() {
    insta::assert_snapshot!(check(&[
        "",
        "metadata.name=web",
        "status.phase==Running",
        "status.phase!=Failed",
        "spec.nodeName=,status.phase!=Succeeded",
        "a=b,,c=d",
        r"a=x\,y,b=z",
        r"a=\=\\",
        "a!=",
        "=b",
        "!=b",
        "b=1,a!=2,a=3",
        r"a=\\,b=c",
        r"a\b=c",
        "é=ü",
    ]));
}

/// Upstream's texts again, even where they show a character as its number.
#[graded]
fn what_is_no_field_selector_is_refused() {
    insta::assert_snapshot!(check(&[
        "a", "a=b,c", r"a=\x", r"a=b\", "a=b=c", "a===b", "a!=b=c", "a<3", r"b=\x,a"
    ]));
}

/// `kubectl get pods --field-selector spec.nodeName=` finds what is not scheduled yet.
#[graded]
fn an_unset_field_counts_as_empty() {
    let unset = |_: &str| None;
    assert!(FieldSelector::parse("spec.nodeName=").expect("valid").matches(unset));
    assert!(FieldSelector::parse("spec.nodeName!=node-1").expect("valid").matches(unset));
    assert!(!FieldSelector::parse("spec.nodeName=node-1").expect("valid").matches(unset));
}

/// A comma is an "and", as in label selectors.
#[graded]
fn all_requirements_must_hold() {
    let field = |path: &str| Some(if path == "a" { "1" } else { "2" }.to_owned());
    assert!(FieldSelector::parse("a=1,b=2").expect("valid").matches(field));
    assert!(!FieldSelector::parse("a=1,b=1").expect("valid").matches(field));
    assert!(!FieldSelector::parse("a=1,b!=2").expect("valid").matches(field));
}

/// A list by `metadata.name` can be one read instead of a walk over everything.
#[graded]
fn an_exact_value_is_known_before_anything_is_read() {
    let selector = FieldSelector::parse("metadata.name=web,status.phase!=Failed").expect("valid");
    assert_eq!(selector.exact("metadata.name"), Some("web"));
    assert_eq!(selector.exact("status.phase"), None);
    assert_eq!(selector.exact("spec.nodeName"), None);
    assert!(!selector.is_everything());
    assert!(FieldSelector::everything().is_everything());
    assert!(FieldSelector::parse("").expect("valid").is_everything());
}

/// A watch hands its selector to the API server in this form.
#[graded]
fn a_selector_is_printed_with_one_comma_between_terms() {
    let printed = |text: &str| FieldSelector::parse(text).expect("valid").to_string();
    assert_eq!(printed("b!=2,a==1"), "a=1,b!=2");
    assert_eq!(printed(r"a=\,\=\\"), r"a=\,\=\\");
    assert_eq!(printed(""), "");
}

fn any_selector() -> impl Strategy<Value = Vec<(String, bool, String)>> {
    prop::collection::vec(("[a-c](\\.[a-c]){0,2}", any::<bool>(), "[x,=\\\\ !é]{0,4}"), 0..4)
}

proptest! {
    /// Invariant 2, with all the characters that need a backslash.
    #[graded]
    fn what_is_printed_is_read_back_as_the_same_selector(parts in any_selector()) {
        let requirements = parts.into_iter().map(|(path, equals, value)| Requirement {
            path,
            operator: if equals { Operator::Equals } else { Operator::NotEquals },
            value,
        });
        let selector = FieldSelector::new(requirements.collect());
        let printed = selector.to_string();
        prop_assert_eq!(FieldSelector::parse(&printed), Ok(selector), "{}", printed);
    }

    /// The second oracle: every term as one would say it.
    #[graded]
    fn a_selector_matches_as_its_words_say(parts in any_selector(), have in "[x,=]{0,2}") {
        let text = FieldSelector::new(parts.iter().map(|(path, equals, value)| Requirement {
            path: path.clone(),
            operator: if *equals { Operator::Equals } else { Operator::NotEquals },
            value: value.clone(),
        }).collect());
        // Half of the fields have this value, the others have none.
        let field = |path: &str| path.starts_with('a').then(|| have.clone());
        let expected = parts.iter().all(|(path, equals, value)| {
            let is = if path.starts_with('a') { *value == have } else { value.is_empty() };
            is == *equals
        });
        prop_assert_eq!(text.matches(field), expected);
    }
}
