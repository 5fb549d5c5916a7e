//! JSON patch, RFC 6902: a list of operations, all of which work or none.

use super::{PatchError, malformed};
use serde_json::Value;

/// Upstream's limit, so that one request cannot keep the server busy.
const MAX_OPERATIONS: usize = 10_000;

/// Applies the operations in order to a copy of the document.
///
/// In two places upstream's library is kinder than the RFC, and clients rely on it. `test` with a null
/// value succeeds on a missing member: they ask so whether a list of finalizers is there at all. And
/// `replace` sets a missing member, since the server leaves out what is zero: who replaces
/// `/spec/paused` cannot know whether `false` stands there.
pub fn json_patch(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations =
        patch.as_array().ok_or_else(|| malformed("a JSON patch must be a list of operations"))?;
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge { count: operations.len(), limit: MAX_OPERATIONS });
    }
    let mut patched = document.clone();
    for operation in operations {
        apply(&mut patched, operation)?;
    }
    Ok(patched)
}

/// A member of an operation that must be there, and a text.
#[allow(dead_code, reason = "used by your answer")]
fn text<'a>(operation: &'a Value, name: &str) -> Result<&'a str, PatchError> {
    let text = operation.get(name).and_then(Value::as_str);
    text.ok_or_else(|| malformed(format!("a JSON patch operation needs {name:?}: {operation}")))
}

/// The value of an operation that must have one.
#[allow(dead_code, reason = "used by your answer")]
fn value(operation: &Value) -> Result<Value, PatchError> {
    let value = operation.get("value").cloned();
    value.ok_or_else(|| malformed(format!("a JSON patch operation needs a value: {operation}")))
}

/// Carries one operation out.
fn apply(document: &mut Value, operation: &Value) -> Result<(), PatchError> {
    let _ = (&document, &operation);
    todo!("lab 00.7: carry out add, remove, replace, move, copy and test")
}
