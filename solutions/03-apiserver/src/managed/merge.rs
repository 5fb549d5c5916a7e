//! An applied value laid over the live one (upstream: `structured-merge-diff/typed/merge.go`).

use super::parts::{Part, parts};
use super::path::Element;
use crate::schema::Shape;
use serde_json::{Map, Value};

/// `live` with everything that `applied` says. Nothing is removed: what is owned as a whole is
/// replaced, of everything else the parts are merged.
pub fn merge(shape: &Shape, live: &Value, applied: &Value) -> Value {
    match (parts(shape, live), parts(shape, applied)) {
        (Some(old), Some(new)) if !old.is_empty() => match live {
            Value::Array(_) => Value::Array(merged_items(&old, &new)),
            _ => Value::Object(merged_fields(&old, &new)),
        },
        // A whole, or nothing that could be merged with it.
        _ => applied.clone(),
    }
}

/// The fields of two objects as one: the live ones in their order, each with what was applied to
/// it, then what only the applied object has.
fn merged_fields(live: &[Part<'_>], applied: &[Part<'_>]) -> Map<String, Value> {
    // lab:begin 03.8 all live fields, then all applied ones over them; a field of both is merged by its shape
    let mut out = Map::new();
    for part in live {
        out.insert(name_of(part), part.value.clone());
    }
    for part in applied {
        let name = name_of(part);
        let value = match out.get(&name) {
            Some(live) => merge(&part.shape, live, part.value),
            None => part.value.clone(),
        };
        out.insert(name, value);
    }
    out
    // lab:end
}

// lab:given
fn name_of(part: &Part<'_>) -> String {
    match &part.element {
        Element::Field(name) => name.clone(),
        other => other.to_string(),
    }
}

/// The items of two lists as one. What both have stands in the applied order; between two such
/// items stands first what only the live list has there, then what only the applied one has.
fn merged_items(live: &[Part<'_>], applied: &[Part<'_>]) -> Vec<Value> {
    // lab:begin 03.8 from one shared item to the next: the live list's own items, the applied ones, the shared item
    let shared = |element: &Element| live.iter().any(|part| part.element == *element);
    let own = |element: &Element| applied.iter().all(|part| part.element != *element);
    let (mut out, mut rest, mut ahead) = (Vec::new(), live.iter().peekable(), applied.iter());
    loop {
        let next = ahead.clone().map(|part| &part.element).find(|element| shared(element));
        while let Some(part) = rest.next_if(|part| Some(&part.element) != next) {
            out.extend(own(&part.element).then(|| part.value.clone()));
        }
        for part in ahead.by_ref() {
            out.push(merged_item(live, part));
            if Some(&part.element) == next {
                break;
            }
        }
        if next.is_none() {
            return out;
        }
    }
    // lab:end
}

/// An applied item over the live one of the same key. Where the live list has several of that
/// key there is none to merge it with, and the applied one stands for all.
// lab:given
fn merged_item(live: &[Part<'_>], applied: &Part<'_>) -> Value {
    let mut same = live.iter().filter(|part| part.element == applied.element);
    match (same.next(), same.next()) {
        (Some(only), None) => merge(&applied.shape, only.value, applied.value),
        _ => applied.value.clone(),
    }
}
