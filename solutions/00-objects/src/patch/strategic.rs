//! Strategic merge patch: a merge patch that knows which lists have keys
//! (k8s.io/apimachinery/pkg/util/strategicpatch).
//!
//! ```text
//!   document  containers: [{name: web, image: a}, {name: log, image: b}]
//!   patch     containers: [{name: web, image: c}]
//!   result    containers: [{name: web, image: c}, {name: log, image: b}]
//! ```
//!
//! Four directives say what a partial object alone cannot:
//!
//! - `$patch: replace | delete | merge` inside an object or a list's element;
//! - `$retainKeys: [a, b]`: all other members go (a volume that changes its source);
//! - `$deleteFromPrimitiveList/finalizers: [x]`: these go from a set;
//! - `$setElementOrder/containers: [{name: x}, …]`: the order that the author's list has.

use super::directives::{Object, elements_without_directives, without_directives};
use super::schema::{Field, Type, of_kind};
use super::{GroupKind, PatchError, malformed};
use serde_json::Value;

/// Applies a strategic merge patch to an object of a built-in kind.
pub fn strategic(document: &Value, patch: &Value, kind: &GroupKind) -> Result<Value, PatchError> {
    if !document.is_object() || !patch.is_object() {
        return Err(malformed("a strategic merge patch must be an object, and so its target"));
    }
    merge_field(Some(document), patch, Some(Field::Object(of_kind(kind))))
}

/// Merges one object; `of` names the fields with rules of their own.
fn merge_object(target: Object, patch: &Object, of: Type) -> Result<Object, PatchError> {
    // lab:begin 00.8 obey the object's directives, then merge field by field
    use super::directives::{DELETE_FROM_LIST, PATCH, RETAIN_KEYS, SET_ORDER, arrange, list};
    let mut target = target;
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => return Ok(without_directives(patch)),
        Some("delete") => return Ok(Object::new()),
        Some(other) => return Err(malformed(format!("unknown patch type found: {other:?}"))),
    }
    if let Some(retained) = patch.get(RETAIN_KEYS) {
        let retained = list(RETAIN_KEYS, retained)?;
        target.retain(|name, _| retained.iter().any(|keep| keep == name.as_str()));
    }
    let before = target.clone();
    for (name, value) in patch {
        if name == PATCH || name == RETAIN_KEYS || name.starts_with(SET_ORDER) {
            continue;
        }
        if let Some(field) = name.strip_prefix(DELETE_FROM_LIST) {
            let doomed = list(name, value)?;
            if let Some(Value::Array(items)) = target.get_mut(field) {
                items.retain(|item| !doomed.contains(item));
            }
            continue;
        }
        if value.is_null() {
            target.shift_remove(name);
            continue;
        }
        let merged = merge_field(target.get(name), value, Field::of(of, name))?;
        target.insert(name.clone(), merged);
    }
    for (name, order) in patch {
        let Some(field) = name.strip_prefix(SET_ORDER) else { continue };
        let key = match Field::of(of, field) {
            Some(Field::Keyed { key, .. }) => Some(key),
            _ => None,
        };
        if let Some(Value::Array(items)) = target.get_mut(field) {
            let live = before.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            *items = arrange(std::mem::take(items), list(name, order)?, live, key);
        }
    }
    Ok(target)
    // lab:end
}

fn merge_field(target: Option<&Value>, patch: &Value, rule: Option<Field>) -> Result<Value, PatchError> {
    match (target, patch, rule) {
        (Some(Value::Object(target)), Value::Object(patch), rule) => {
            let of = if let Some(Field::Object(of)) = rule { of } else { &[] };
            merge_object(target.clone(), patch, of).map(Value::Object)
        }
        (Some(Value::Array(target)), Value::Array(patch), Some(Field::Keyed { key, element })) => {
            merge_keyed(target, patch, key, element).map(Value::Array)
        }
        (Some(Value::Array(target)), Value::Array(patch), Some(Field::Set)) => {
            Ok(Value::Array(merge_set(target, patch)))
        }
        // New, of another type, or without a rule: the patch's value, free of directives.
        (_, Value::Object(patch), _) => Ok(Value::Object(without_directives(patch))),
        (_, Value::Array(patch), _) => Ok(Value::Array(elements_without_directives(patch))),
        (_, plain, _) => Ok(plain.clone()),
    }
}

/// A set grows by what it lacks; new values stand behind the old ones.
fn merge_set(target: &[Value], patch: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for value in target.iter().chain(patch) {
        if !merged.contains(value) {
            merged.push(value.clone());
        }
    }
    merged
}

/// Merges lists of objects by the value of `key`.
fn merge_keyed(target: &[Value], patch: &[Value], key: &str, of: Type) -> Result<Vec<Value>, PatchError> {
    // lab:begin 00.9 match elements by their key; obey replace and delete; keep a stable order
    use super::directives::{arrange, directive};
    let mut merged = target.to_vec();
    let mut changed = Vec::new();
    if patch.iter().any(|element| directive(element) == Some("replace")) {
        let marker = |element: &&Value| directive(element) != Some("replace");
        let kept: Vec<Value> = patch.iter().filter(marker).cloned().collect();
        return Ok(elements_without_directives(&kept));
    }
    for element in patch {
        let Value::Object(fields) = element else {
            return Err(malformed(format!("an element of a list by {key} must be an object")));
        };
        let wanted = fields
            .get(key)
            .ok_or_else(|| malformed(format!("map: {element} does not contain declared merge key: {key}")))?;
        let place = merged.iter().position(|item| item.get(key) == Some(wanted));
        if directive(element) == Some("delete") {
            merged.retain(|item| item.get(key) != Some(wanted));
            continue;
        }
        changed.push(element.clone());
        match place.and_then(|at| merged.get_mut(at)) {
            Some(Value::Object(item)) => {
                *item = merge_object(std::mem::take(item), fields, of)?;
            }
            _ => merged.push(Value::Object(without_directives(fields))),
        }
    }
    Ok(arrange(merged, &changed, target, Some(key)))
    // lab:end
}
