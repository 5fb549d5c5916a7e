use crate::heart::labels::{Operator, Requirement, Selector};
use graded::graded;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement::new(key, operator, values.iter().map(|v| (*v).to_owned())).expect("valid")
}

/// `tier!=db` asks for everything that is not a database, and a pod that nobody gave a tier
/// is not one.
#[graded]
fn an_absent_label_satisfies_not_equals_and_notin() {
    let none = labels(&[]);
    assert!(requirement("env", Operator::NotEquals, &["prod"]).matches(&none));
    assert!(requirement("env", Operator::NotIn, &["prod"]).matches(&none));
    assert!(requirement("env", Operator::DoesNotExist, &[]).matches(&none));
}

/// All other operators say something about a value, and there is none. An empty value is one.
#[graded]
fn an_absent_label_satisfies_nothing_else() {
    let none = labels(&[]);
    assert!(!requirement("env", Operator::Equals, &[""]).matches(&none));
    assert!(!requirement("env", Operator::DoubleEquals, &[""]).matches(&none));
    assert!(!requirement("env", Operator::In, &[""]).matches(&none));
    assert!(!requirement("env", Operator::Exists, &[]).matches(&none));
    assert!(!requirement("env", Operator::GreaterThan, &["1"]).matches(&none));
    assert!(!requirement("env", Operator::LessThan, &["1"]).matches(&none));
}

/// Node labels count things (`cpus=10`). As texts 10 would come before 9.
#[graded]
fn greater_and_less_compare_integers_and_refuse_words() {
    let more = requirement("cpus", Operator::GreaterThan, &["9"]);
    assert!(more.matches(&labels(&[("cpus", "10")])), "10 is more than 9, though '1' sorts before '9'");
    assert!(!more.matches(&labels(&[("cpus", "9")])));
    assert!(!more.matches(&labels(&[("cpus", "many")])));
    let less = requirement("cpus", Operator::LessThan, &["9"]);
    assert!(less.matches(&labels(&[("cpus", "-3")])));
    assert!(!less.matches(&labels(&[("cpus", "9")])));
    assert!(!less.matches(&labels(&[("cpus", "99999999999999999999")])), "too large for a number");
}

/// A label that is there counts, whatever its value: `!canary` excludes `canary=false` too.
#[graded]
fn a_present_label_exists_whatever_its_value() {
    let canary = labels(&[("canary", "")]);
    assert!(requirement("canary", Operator::Exists, &[]).matches(&canary));
    assert!(!requirement("canary", Operator::DoesNotExist, &[]).matches(&canary));
    assert!(requirement("canary", Operator::In, &["", "yes"]).matches(&canary));
    assert!(!requirement("canary", Operator::NotIn, &["", "yes"]).matches(&canary));
    assert!(!requirement("canary", Operator::NotEquals, &[""]).matches(&canary));
}

/// Invariant 4: a NetworkPolicy's empty podSelector is every pod; a Service without a
/// selector has no pods of its own.
#[graded]
fn everything_matches_all_and_nothing_matches_none() {
    assert!(Selector::everything().matches(&labels(&[])));
    assert!(Selector::everything().is_everything() && Selector::default().is_everything());
    assert!(!Selector::nothing().matches(&labels(&[("a", "b")])));
    assert!(!Selector::nothing().is_everything());
    // The step's own part must hold too, or this would say nothing about it.
    let both =
        Selector::new(vec![requirement("a", Operator::Exists, &[]), requirement("b", Operator::Exists, &[])]);
    assert!(both.matches(&labels(&[("a", ""), ("b", "")])));
    assert!(!both.matches(&labels(&[("a", "")])), "all requirements must hold");
}

/// What a requirement means, written as one would say it.
fn naive(key: &str, operator: Operator, values: &[String], labels: &BTreeMap<String, String>) -> bool {
    let Some(have) = labels.get(key) else {
        return [Operator::NotEquals, Operator::NotIn, Operator::DoesNotExist].contains(&operator);
    };
    match operator {
        Operator::Exists => true,
        Operator::DoesNotExist => false,
        Operator::Equals | Operator::DoubleEquals | Operator::In => values.iter().any(|value| value == have),
        Operator::NotEquals | Operator::NotIn => values.iter().all(|value| value != have),
        Operator::GreaterThan => {
            have.parse::<i64>().is_ok_and(|have| have > values[0].parse().expect("checked"))
        }
        Operator::LessThan => {
            have.parse::<i64>().is_ok_and(|have| have < values[0].parse().expect("checked"))
        }
    }
}

pub fn any_requirement() -> impl Strategy<Value = (String, Operator, Vec<String>)> {
    let set = prop::sample::select(vec![Operator::In, Operator::NotIn]);
    let single = prop::sample::select(vec![Operator::Equals, Operator::DoubleEquals, Operator::NotEquals]);
    let bare = prop::sample::select(vec![Operator::Exists, Operator::DoesNotExist]);
    let number = prop::sample::select(vec![Operator::GreaterThan, Operator::LessThan]);
    let key = "[a-c]|example\\.com/[a-c]|in|notin";
    prop_oneof![
        (key, set, prop::collection::vec("[x-z0-3]{0,1}", 1..4)),
        (key, single, prop::collection::vec("[x-z0-3]{0,1}", 1)),
        (key, bare, prop::collection::vec("x", 0)),
        (
            key,
            number,
            prop::collection::vec("-?[0-3]", 1)
                .prop_filter("labels start with a letter or a digit", |v| !v[0].starts_with('-'))
        ),
    ]
}

proptest! {
    /// The second oracle: each operator as one would say it.
    #[graded]
    fn a_selector_matches_as_its_words_say(
        requirements in prop::collection::vec(any_requirement(), 0..4),
        labels in prop::collection::btree_map("[a-c]|example\\.com/[a-c]", "[x-z0-3]{0,1}", 0..4),
    ) {
        let built = requirements.iter().map(|(key, operator, values)| {
            Requirement::new(key, *operator, values.clone()).expect("valid")
        });
        let selector = Selector::new(built.collect());
        let expected = requirements.iter().all(|(key, operator, values)| naive(key, *operator, values, &labels));
        prop_assert_eq!(selector.matches(&labels), expected, "{:?} on {:?}", selector, labels);
    }
}
