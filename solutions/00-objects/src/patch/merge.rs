//! JSON merge patch, RFC 7386: the patch looks like the object, `null` deletes, and a list
//! is replaced whole.

use super::PatchError;
use serde_json::Value;

/// Applies a merge patch. It fits every document; the error is for symmetry with the others.
pub fn json_merge(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let mut merged = document.clone();
    merge(&mut merged, patch);
    Ok(merged)
}

fn merge(target: &mut Value, patch: &Value) {
    // lab:begin 00.6 merge member by member; null deletes; anything but an object replaces
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { unreachable!("it was made an object") };
    for (name, change) in changes {
        if change.is_null() {
            // `shift_remove` keeps the order of the others.
            members.shift_remove(name);
        } else {
            // What is new is merged into nothing, so that nulls inside it vanish too.
            merge(members.entry(name.as_str()).or_insert(Value::Null), change);
        }
    }
    // lab:end
}

/// The smallest merge patch that leads from one document to another.
///
/// A merge patch cannot set a member to null, so `to` must hold no null inside an object.
pub fn json_merge_diff(from: &Value, to: &Value) -> Value {
    // lab:begin 00.6 name what changed and what vanished
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return to.clone();
    };
    let mut patch = serde_json::Map::new();
    for (name, value) in new {
        match old.get(name) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) => {
                patch.insert(name.clone(), json_merge_diff(before, value));
            }
            _ => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    Value::Object(patch)
    // lab:end
}
