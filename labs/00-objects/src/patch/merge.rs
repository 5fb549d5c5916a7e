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
    let _ = (&target, &patch);
    todo!("lab 00.6: merge member by member; null deletes; anything but an object replaces")
}

/// The smallest merge patch that leads from one document to another.
///
/// A merge patch cannot set a member to null, so `to` must hold no null inside an object.
pub fn json_merge_diff(from: &Value, to: &Value) -> Value {
    let _ = (&from, &to);
    todo!("lab 00.6: name what changed and what vanished")
}
