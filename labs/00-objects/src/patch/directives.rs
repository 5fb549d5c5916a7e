//! The directives of a strategic merge patch, and the order of merged lists.

use super::{PatchError, malformed};
use serde_json::{Map, Value};

pub const PATCH: &str = "$patch";
pub const RETAIN_KEYS: &str = "$retainKeys";
pub const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
pub const SET_ORDER: &str = "$setElementOrder/";

pub type Object = Map<String, Value>;

/// Puts the elements that `order` names into that order, and the others among them where
/// `live`, the list before the change, suggests. Both groups keep their own order.
pub fn arrange(merged: Vec<Value>, order: &[Value], live: &[Value], key: Option<&str>) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    };
    let rank = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| rank(order, item).is_some());
    named.sort_by_key(|item| rank(order, item));
    others.sort_by_key(|item| rank(live, item).unwrap_or(usize::MAX));

    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in named {
        while let Some(other) = others.peek() {
            // An unnamed element goes first only where it stood before this one.
            match (rank(live, other), rank(live, &item)) {
                (Some(before), Some(after)) if before < after => arranged.extend(others.next()),
                _ => break,
            }
        }
        arranged.push(item);
    }
    arranged.extend(others);
    arranged
}

/// The `$patch` of an element.
pub fn directive(element: &Value) -> Option<&str> {
    element.get(PATCH).and_then(Value::as_str)
}

/// The value of a directive that must be a list.
pub fn list<'a>(name: &str, value: &'a Value) -> Result<&'a [Value], PatchError> {
    let items = value.as_array().map(Vec::as_slice);
    items.ok_or_else(|| malformed(format!("the value of {name} must be a list")))
}

/// What a patch becomes where there is nothing to merge it into: no directives, no nulls.
pub fn without_directives(patch: &Object) -> Object {
    let kept = patch.iter().filter(|(name, value)| {
        let is_directive = *name == PATCH
            || *name == RETAIN_KEYS
            || name.starts_with(SET_ORDER)
            || name.starts_with(DELETE_FROM_LIST);
        !is_directive && !value.is_null()
    });
    kept.map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// The same for a list: elements that are only directives go.
pub fn elements_without_directives(patch: &[Value]) -> Vec<Value> {
    let is_marker = |element: &Value| {
        directive(element) == Some("delete")
            || directive(element).is_some() && element.as_object().is_some_and(|o| o.len() == 1)
    };
    patch.iter().filter(|element| !is_marker(element)).map(plain).collect()
}

fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_directives(fields)),
        Value::Array(items) => Value::Array(elements_without_directives(items)),
        other => other.clone(),
    }
}
