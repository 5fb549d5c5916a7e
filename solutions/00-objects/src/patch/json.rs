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
// lab:given
fn text<'a>(operation: &'a Value, name: &str) -> Result<&'a str, PatchError> {
    let text = operation.get(name).and_then(Value::as_str);
    text.ok_or_else(|| malformed(format!("a JSON patch operation needs {name:?}: {operation}")))
}

/// The value of an operation that must have one.
// lab:given
fn value(operation: &Value) -> Result<Value, PatchError> {
    let value = operation.get("value").cloned();
    value.ok_or_else(|| malformed(format!("a JSON patch operation needs a value: {operation}")))
}

/// Carries one operation out.
fn apply(document: &mut Value, operation: &Value) -> Result<(), PatchError> {
    // lab:begin 00.7 carry out add, remove, replace, move, copy and test
    use super::pointer::{Pointer, add, missing, remove, same, set};
    use super::unprocessable;
    let path = Pointer::parse(text(operation, "path")?)?;
    match text(operation, "op")? {
        "add" => add(document, &path, value(operation)?),
        "remove" => remove(document, &path).map(drop),
        "replace" => set(document, &path, value(operation)?),
        "move" => {
            let from = Pointer::parse(text(operation, "from")?)?;
            if path.is_inside(&from) {
                return Err(malformed(format!("cannot move {from} into itself")));
            }
            let moved = remove(document, &from)?;
            add(document, &path, moved)
        }
        "copy" => {
            let from = Pointer::parse(text(operation, "from")?)?;
            let copied = from.find(document).cloned().ok_or_else(|| missing("copy", &from))?;
            add(document, &path, copied)
        }
        "test" => {
            let expected = operation.get("value").unwrap_or(&Value::Null);
            let found = path.find(document).unwrap_or(&Value::Null);
            if same(found, expected) {
                Ok(())
            } else {
                Err(unprocessable(format!("testing value {path} failed")))
            }
        }
        other => Err(malformed(format!("unknown JSON patch operation {other:?}"))),
    }
    // lab:end
}
