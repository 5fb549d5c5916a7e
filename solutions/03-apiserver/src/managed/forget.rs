//! What an applier no longer says, and nobody else does, goes (upstream:
//! `structured-merge-diff/typed/remove.go` and `merge/update.go`, `prune`).

use super::path::Element;
use super::set::Set;
use crate::schema::Shape;
use serde_json::{Map, Value};

/// `merged` without the fields that the applier had (`last`) and that now belong to nobody
/// (`owned` is what all managers have together, the applier with his new fields among them).
pub fn forget(shape: &Shape, merged: &Value, last: &Set, owned: &Set) -> Value {
    // lab:begin 03.8 who owns something in a named field has a say in the field; then take away what is left
    let had = last.with_named_fields(shape);
    let owned = owned.with_named_fields(shape);
    let gone = had.difference(&owned);
    match remove(shape, merged, &gone) {
        Some(left) => left,
        // The object itself is nobody's to take.
        None => merged.clone(),
    }
    // lab:end
}

/// `value` without the members of `set`; `None` when nothing is left of it.
pub fn remove(shape: &Shape, value: &Value, set: &Set) -> Option<Value> {
    // lab:begin 03.8 parts that are members go with all that is in them; parts with members in them are looked into
    use super::parts::parts;
    let Some(all) = parts(shape, value).filter(|all| !all.is_empty()) else { return Some(value.clone()) };
    let left: Vec<(Element, Value)> = all
        .into_iter()
        .filter(|part| !set.has(&part.element))
        .filter_map(|part| {
            let value = match set.below(&part.element) {
                Some(below) => remove(&part.shape, part.value, below)?,
                None => part.value.clone(),
            };
            Some((part.element, value))
        })
        .collect();
    (!left.is_empty()).then(|| assemble(value, left))
    // lab:end
}

/// A value of the same sort as `value`, of these parts.
// lab:given
fn assemble(value: &Value, parts: Vec<(Element, Value)>) -> Value {
    if value.is_array() {
        return Value::Array(parts.into_iter().map(|(_, value)| value).collect());
    }
    let named = |(element, value)| match element {
        Element::Field(name) => Some((name, value)),
        _ => None,
    };
    Value::Object(parts.into_iter().filter_map(named).collect::<Map<_, _>>())
}
