//! JSON patch, RFC 6902: a list of operations, all of which work or none.

use super::{PatchError, malformed, unprocessable};
use serde_json::Value;

/// Upstream's limit, so that one request cannot keep the server busy.
const MAX_OPERATIONS: usize = 10_000;

/// Applies the operations in order to a copy of the document.
///
/// As upstream's library does, `test` with a null value succeeds on a missing member:
/// clients ask so whether a list of finalizers is there at all.
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

fn apply(document: &mut Value, operation: &Value) -> Result<(), PatchError> {
    // lab:begin 00.7 carry out add, remove, replace, move, copy and test
    let text = |name: &str| {
        operation
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| malformed(format!("a JSON patch operation needs {name:?}: {operation}")))
    };
    let value = || {
        operation
            .get("value")
            .cloned()
            .ok_or_else(|| malformed(format!("a JSON patch operation needs a value: {operation}")))
    };
    let path = Pointer::parse(text("path")?)?;
    match text("op")? {
        "add" => add(document, &path, value()?),
        "remove" => remove(document, &path).map(drop),
        "replace" => {
            *path.find_mut(document).ok_or_else(|| missing("replace", &path))? = value()?;
            Ok(())
        }
        "move" => {
            let from = Pointer::parse(text("from")?)?;
            if path.is_inside(&from) {
                return Err(malformed(format!("cannot move {from} into itself")));
            }
            let moved = remove(document, &from)?;
            add(document, &path, moved)
        }
        "copy" => {
            let from = Pointer::parse(text("from")?)?;
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

fn missing(operation: &str, path: &Pointer) -> PatchError {
    unprocessable(format!("{operation} operation does not apply: doc is missing path: {path}"))
}

fn add(document: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchError> {
    let Some((last, parent)) = path.tokens.split_last() else {
        *document = value;
        return Ok(());
    };
    match find_mut(document, parent) {
        Some(Value::Object(members)) => {
            members.insert(last.clone(), value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let at = if last == "-" { Some(items.len()) } else { index(last) };
            let at = at.filter(|at| *at <= items.len()).ok_or_else(|| missing("add", path))?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(missing("add", path)),
    }
}

fn remove(document: &mut Value, path: &Pointer) -> Result<Value, PatchError> {
    let (last, parent) =
        path.tokens.split_last().ok_or_else(|| malformed("cannot remove the whole document"))?;
    let removed = match find_mut(document, parent) {
        Some(Value::Object(members)) => members.shift_remove(last),
        Some(Value::Array(items)) => index(last).filter(|at| *at < items.len()).map(|at| items.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| missing("remove", path))
}

/// Numbers are equal by value: `1` and `1.0` are one number in JSON.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

/// A place in a document, RFC 6901: `/metadata/annotations/example.com~1owner`.
struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    fn parse(text: &str) -> Result<Pointer, PatchError> {
        if text.is_empty() {
            return Ok(Pointer { tokens: Vec::new() });
        }
        let path = text
            .strip_prefix('/')
            .ok_or_else(|| malformed(format!("a JSON pointer starts with '/': {text:?}")))?;
        // `~1` first, or `~01` would become a slash.
        let token = |part: &str| part.replace("~1", "/").replace("~0", "~");
        Ok(Pointer { tokens: path.split('/').map(token).collect() })
    }

    fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.tokens.iter().try_fold(document, |value, token| match value {
            Value::Object(members) => members.get(token),
            Value::Array(items) => items.get(index(token)?),
            _ => None,
        })
    }

    fn find_mut<'a>(&self, document: &'a mut Value) -> Option<&'a mut Value> {
        find_mut(document, &self.tokens)
    }

    fn is_inside(&self, other: &Pointer) -> bool {
        self.tokens.len() > other.tokens.len() && self.tokens.starts_with(&other.tokens)
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for token in &self.tokens {
            write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

fn find_mut<'a>(document: &'a mut Value, tokens: &[String]) -> Option<&'a mut Value> {
    tokens.iter().try_fold(document, |value, token| match value {
        Value::Object(members) => members.get_mut(token),
        Value::Array(items) => items.get_mut(index(token)?),
        _ => None,
    })
}

/// Array positions have no sign and no leading zero.
fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with('0');
    let digits = !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit());
    if canonical && digits { token.parse().ok() } else { None }
}
