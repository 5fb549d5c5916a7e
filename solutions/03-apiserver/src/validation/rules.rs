//! The vocabulary of simple rules. What can be said about one field is a row of a table; what
//! relates several fields is code, and stands in the same table, so that errors come in the
//! order in which upstream reports them.

use super::at::At;
use super::meta;
use crate::fields::{Errors, IMMUTABLE, go_selector};
use crate::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// Where, from the value that the table is about (`spec.ports`, or nothing for the value
/// itself), and what must hold there.
pub struct Row(pub &'static str, pub Rule);

pub enum Rule {
    /// There, and not empty; the text says more.
    Required(&'static str),
    /// If there, one of these.
    OneOf(&'static [&'static str]),
    /// One of these.
    Choice(&'static [&'static str]),
    NotNegative,
    Between(i64, i64),
    /// A text, if there is one.
    Name(names::Rule),
    /// A text, and it must not be empty.
    Named(names::Rule),
    /// Not more bytes than this.
    AtMost(i64),
    /// Keys and values of labels.
    Labels,
    /// A label selector, if there is one.
    Selector,
    /// No two items with the same value here; the error names the item's field.
    Unique(&'static str),
    /// If it is a map, these hold inside.
    Within(&'static [Row]),
    /// For every item of the list, these hold.
    Each(&'static [Row]),
    /// More than one field at a time.
    Code(fn(&At<'_>, &mut Errors)),
}

pub fn check(at: &At<'_>, rows: &[Row], errors: &mut Errors) {
    for Row(path, rule) in rows {
        let at = at.at(path);
        match rule {
            Rule::Required(why) if at.is_empty() => at.required(why, errors),
            Rule::Required(_) => {}
            Rule::OneOf(allowed) => at.one_of(allowed, errors),
            Rule::Choice(allowed) => at.choice(allowed, errors),
            Rule::NotNegative => at.not_negative(errors),
            Rule::Between(least, most) => at.between(*least, *most, errors),
            Rule::Name(rule) => at.name(*rule, errors),
            Rule::Named(rule) => {
                if at.require(errors) {
                    at.obey(*rule, errors);
                }
            }
            Rule::AtMost(most) => {
                if at.text().len() as i64 > *most {
                    errors.too_long(&at.path, *most);
                }
            }
            Rule::Labels => meta::labels(&at, errors),
            Rule::Selector => meta::selector(&at, errors),
            Rule::Unique(key) => unique(&at, key, errors),
            Rule::Within(rows) if at.value.is_object() => check(&at, rows, errors),
            Rule::Within(_) => {}
            Rule::Each(rows) => at.items().for_each(|item| check(&item, rows, errors)),
            Rule::Code(code) => code(&at, errors),
        }
    }
}

/// Items that share a value; an empty one shares nothing.
pub fn unique(list: &At<'_>, key: &str, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let here = item.at(key);
        if !here.text().is_empty() && !seen.insert(here.text().to_string()) {
            here.duplicate(errors);
        }
    }
}

/// What an update may not do.
pub enum Change {
    /// The value stays as it was made.
    Immutable(&'static str),
    /// As `Immutable`, for a label selector.
    ImmutableSelector(&'static str),
    /// More than one field at a time: the old object and the new.
    Code(fn(&At<'_>, &At<'_>, &mut Errors)),
}

pub fn check_changes(old: &At<'_>, new: &At<'_>, changes: &[Change], errors: &mut Errors) {
    for change in changes {
        match change {
            Change::Immutable(path) => immutable(&old.at(path), &new.at(path), errors),
            Change::ImmutableSelector(path) => {
                let (old, new) = (old.at(path), new.at(path));
                if !same(old.value, new.value) {
                    errors.invalid_text(&new.path, &go_selector(new.value), IMMUTABLE);
                }
            }
            Change::Code(code) => code(old, new, errors),
        }
    }
}

pub fn immutable(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    if !same(old.value, new.value) {
        new.invalid(IMMUTABLE, errors);
    }
}

/// Equal as upstream compares (`apiequality.Semantic`): nothing, an empty list and an empty map
/// are the same, and so is a field that is missing and one that is empty.
pub fn same(a: &Value, b: &Value) -> bool {
    let nothing = |v: &Value| match v {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().all(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => same(a, b),
                (one, other) => one.or(other).is_none_or(nothing),
            })
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b || (nothing(a) && nothing(b)),
    }
}
