//! JSON pointers, RFC 6901, and what a JSON patch does at the place that one names.

use super::{PatchError, malformed, unprocessable};
use serde_json::Value;
use std::fmt;

/// A place in a document: `/metadata/annotations/example.com~1owner`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    pub fn parse(text: &str) -> Result<Pointer, PatchError> {
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

    /// What stands there.
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.tokens.iter().try_fold(document, |value, token| match value {
            Value::Object(members) => members.get(token),
            Value::Array(items) => items.get(index(token, items.len())?),
            _ => None,
        })
    }

    /// Whether this place is part of what stands at the other.
    pub fn is_inside(&self, other: &Pointer) -> bool {
        self.tokens.len() > other.tokens.len() && self.tokens.starts_with(&other.tokens)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.tokens {
            write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

/// The error of an operation whose place does not exist.
pub fn missing(operation: &str, path: &Pointer) -> PatchError {
    unprocessable(format!("{operation} operation does not apply: doc is missing path: {path}"))
}

/// Sets a member, there or not, or puts a value in an element's place.
pub fn set(document: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchError> {
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
            let at = index(last, items.len()).filter(|at| *at < items.len());
            items[at.ok_or_else(|| missing("replace", path))?] = value;
            Ok(())
        }
        _ => Err(missing("replace", path)),
    }
}

/// Sets a member, or puts an element before the one at this place (`-` is the end).
pub fn add(document: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchError> {
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
            // Of the places between elements there is one more than of elements.
            let at = if last == "-" { Some(items.len()) } else { index(last, items.len() + 1) };
            let at = at.filter(|at| *at <= items.len()).ok_or_else(|| missing("add", path))?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(missing("add", path)),
    }
}

/// Takes a member or an element out.
pub fn remove(document: &mut Value, path: &Pointer) -> Result<Value, PatchError> {
    let (last, parent) =
        path.tokens.split_last().ok_or_else(|| malformed("cannot remove the whole document"))?;
    let removed = match find_mut(document, parent) {
        Some(Value::Object(members)) => members.shift_remove(last),
        Some(Value::Array(items)) => {
            index(last, items.len()).filter(|at| *at < items.len()).map(|at| items.remove(at))
        }
        _ => None,
    };
    removed.ok_or_else(|| missing("remove", path))
}

/// Equality as `test` has it. Numbers are equal by value: `1` and `1.0` are one number.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            // Two integers compare exactly: as floats, large neighbours would be the same.
            x == y || (x.is_f64() || y.is_f64()) && x.as_f64() == y.as_f64()
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

fn find_mut<'a>(document: &'a mut Value, tokens: &[String]) -> Option<&'a mut Value> {
    tokens.iter().try_fold(document, |value, token| match value {
        Value::Object(members) => members.get_mut(token),
        Value::Array(items) => {
            let at = index(token, items.len())?;
            items.get_mut(at)
        }
        _ => None,
    })
}

/// A position in an array of so many places: digits without a leading zero. As upstream's library has
/// it, and no RFC, `-1` is the last place, `-2` the one before it.
fn index(token: &str, places: usize) -> Option<usize> {
    let from_the_end = token.strip_prefix('-');
    let digits = from_the_end.unwrap_or(token);
    let canonical = digits == "0" || !digits.starts_with('0');
    if !canonical || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let at = digits.parse().ok()?;
    if from_the_end.is_some() { places.checked_sub(at) } else { Some(at) }
}
