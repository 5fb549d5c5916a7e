//! The directives of a strategic merge patch, and what is wrong with one.

use super::{PatchError, malformed};
use serde_json::{Map, Value};

pub const PATCH: &str = "$patch";
pub const RETAIN_KEYS: &str = "$retainKeys";
pub const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
pub const SET_ORDER: &str = "$setElementOrder";

pub type Object = Map<String, Value>;

// ANCHOR: directive
/// What a member of a patch is, if it is no field of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive<'a> {
    /// `$patch`
    Patch,
    /// `$retainKeys`
    RetainKeys,
    /// `$deleteFromPrimitiveList/FIELD`
    DeleteFrom(&'a str),
    /// `$setElementOrder/FIELD`
    SetOrder(&'a str),
}
// ANCHOR_END: directive

/// Reads a member's name. The two that are about a field must name it.
pub fn directive_of(name: &str) -> Result<Option<Directive<'_>>, PatchError> {
    let field = |rest: &'_ str| rest.strip_prefix('/').is_some();
    if name == PATCH {
        return Ok(Some(Directive::Patch));
    }
    if name == RETAIN_KEYS {
        return Ok(Some(Directive::RetainKeys));
    }
    if let Some(rest) = name.strip_prefix(DELETE_FROM_LIST) {
        let named = field(rest).then(|| Directive::DeleteFrom(&rest[1..]));
        return named.map(Some).ok_or_else(|| malformed("invalid patch format of primitive list"));
    }
    if let Some(rest) = name.strip_prefix(SET_ORDER) {
        let named = field(rest).then(|| Directive::SetOrder(&rest[1..]));
        return named.map(Some).ok_or_else(|| malformed("invalid patch format of setElementOrder list"));
    }
    Ok(None)
}

/// `$setElementOrder/containers`
pub fn order_of(field: &str) -> String {
    format!("{SET_ORDER}/{field}")
}

/// `$deleteFromPrimitiveList/finalizers`
pub fn deletions_of(field: &str) -> String {
    format!("{DELETE_FROM_LIST}/{field}")
}

/// The `$patch` of a list's element.
pub fn directive(element: &Value) -> Option<&Value> {
    element.get(PATCH)
}

/// The error of a `$patch` that is none.
pub fn unknown_patch_type(directive: &Value, patch: &Object) -> PatchError {
    malformed(format!("unknown patch type: {} in map: {}", go(directive), go_map(patch)))
}

/// The error of a list's element that has not the list's key.
pub fn no_merge_key(element: &Object, key: &str) -> PatchError {
    malformed(format!("map: {} does not contain declared merge key: {key}", go_map(element)))
}

/// The list that a directive wants.
pub fn must_be_list(value: &Value) -> Result<&[Value], PatchError> {
    let items = value.as_array().map(Vec::as_slice);
    items.ok_or_else(|| malformed(format!("expected a []interface {{}}, but received a {}", go_type(value))))
}

/// Upstream merges lists only if all their elements are of one type.
pub fn same_types(target: &[Value], patch: &[Value]) -> Result<(), PatchError> {
    let mut types = target.iter().chain(patch).map(go_type);
    let Some(first) = types.next() else { return Ok(()) };
    if first == go_type(&Value::Array(Vec::new())) {
        return Err(malformed("lists of lists are not supported"));
    }
    if types.any(|other| other != first) {
        let lists = Value::Array(vec![target.into(), patch.into()]);
        return Err(malformed(format!("list element types are not identical: {}", go(&lists))));
    }
    Ok(())
}

/// The object that an element of a list by `key` must be, and its key's value.
pub fn keyed<'a>(element: &'a Value, key: &str) -> Result<(&'a Object, &'a Value), PatchError> {
    let fields = element.as_object().ok_or_else(|| {
        malformed(format!("expected a map[string]interface {{}}, but received a {}", go_type(element)))
    })?;
    let value = fields.get(key).ok_or_else(|| no_merge_key(fields, key))?;
    Ok((fields, value))
}

/// Whether the elements of a patch stand in the order that goes with it, and are named there.
/// Elements with a `$patch` are not asked.
pub fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut named = order.iter();
    let in_order = patch
        .iter()
        .filter(|element| directive(element).is_none())
        .all(|element| named.by_ref().any(|other| same(element, other, key)));
    if in_order {
        return Ok(());
    }
    let (patch, order) = (go(&patch.into()), go(&order.into()));
    Err(malformed(format!("The order in patch list:\n{patch}\n doesn't match {SET_ORDER} list:\n{order}\n")))
}

/// Whether two elements of a list are one: by their key, or as they are.
fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    }
}

/// Puts the elements that `order` names into that order, and the others among them where
/// `live`, the list before the change, suggests. Both groups keep their own order.
pub fn arrange(merged: Vec<Value>, order: &[Value], live: &[Value], key: Option<&str>) -> Vec<Value> {
    let rank = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item, key));
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

/// What a patch becomes where there is nothing to merge it into: no directives, no nulls.
/// An object with a `$patch` says what to do with something, so it does not become one.
pub fn when_new(patch: &Value) -> Option<Value> {
    match patch {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => Some(Value::Object(without_directives(fields))),
        Value::Array(items) => Some(items.iter().filter_map(when_new).collect()),
        other => Some(other.clone()),
    }
}

/// The same for the members of an object, whatever its own `$patch` says.
pub fn without_directives(patch: &Object) -> Object {
    let fields = patch.iter().filter(|(name, value)| directive_of(name) == Ok(None) && !value.is_null());
    fields.filter_map(|(name, value)| Some((name.clone(), when_new(value)?))).collect()
}

/// A value as Go prints it with `%v`.
pub fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => go_map(fields),
        other => other.to_string(),
    }
}

/// An object as Go prints a map: by its keys' order.
fn go_map(fields: &Object) -> String {
    let mut members: Vec<_> = fields.iter().collect();
    members.sort_by_key(|(name, _)| name.as_str());
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}:{}", go(value))).collect();
    format!("map[{}]", members.join(" "))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
