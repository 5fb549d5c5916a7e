//! What the student is given, tried apart from what is graded.

use crate::heart::notation::{
    Scale, binary_nanos, decimal_nanos, looks_like_suffix, parse_suffix, split_digits,
};
use crate::heart::patch::directives::{arrange, go};
use crate::heart::quantity::Format;
use serde_json::json;

#[test]
fn digits_end_where_something_else_begins() {
    assert_eq!(split_digits("12Ki"), ("12", "Ki"));
    assert_eq!(split_digits("Ki"), ("", "Ki"));
    assert_eq!(split_digits("12"), ("12", ""));
}

#[test]
fn a_suffix_has_a_shape_and_a_meaning() {
    for text in ["", "Ki", "e3", "E-3", "i", "K", "e", "+3", "3"] {
        assert!(looks_like_suffix(text), "{text:?}");
    }
    for text in ["x", " ", "e3e", "e1.5", "Ki ", "++3"] {
        assert!(!looks_like_suffix(text), "{text:?}");
    }
    assert_eq!(parse_suffix("E"), Some((Scale::Ten(18), Format::DecimalSi)));
    assert_eq!(parse_suffix("E3"), Some((Scale::Ten(3), Format::DecimalExponent)));
    assert_eq!(parse_suffix("Ei"), Some((Scale::Two(60), Format::BinarySi)));
    assert_eq!(parse_suffix("e"), None);
}

#[test]
fn what_is_left_below_a_nano_unit_is_told() {
    assert_eq!(decimal_nanos("1", "5", 0), (1_500_000_000, false));
    assert_eq!(decimal_nanos("", "00000000001", 0), (0, true));
    assert_eq!(decimal_nanos("1", "", -30), (0, true));
    assert_eq!(decimal_nanos("000", "", 99999), (0, false));
    assert_eq!(binary_nanos("1", "5", 10), (1_536_000_000_000, false));
    assert_eq!(binary_nanos("", "0000000000001", 10), (0, true));
}

#[test]
fn unnamed_elements_stand_where_the_live_list_had_them() {
    let list = |names: &str| names.chars().map(|name| json!(name.to_string())).collect::<Vec<_>>();
    let order = |merged: &str, order: &str, live: &str| {
        let arranged = arrange(list(merged), &list(order), &list(live), None);
        arranged.iter().map(|name| name.as_str().expect("a text")).collect::<String>()
    };
    assert_eq!(order("abc", "cb", "abc"), "acb");
    assert_eq!(order("abcz", "z", "abc"), "zabc");
    assert_eq!(order("abc", "", "cba"), "cba");
}

#[test]
fn values_are_shown_as_go_shows_them() {
    assert_eq!(go(&json!({"b": [1, "x y", null], "a": {"c": true}})), "map[a:map[c:true] b:[1 x y <nil>]]");
}
