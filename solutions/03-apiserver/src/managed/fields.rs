//! Which fields a value has: the answer to "what does this manifest claim?" (upstream:
//! `structured-merge-diff/typed/tofieldset.go`).

use super::set::Set;
use crate::schema::Shape;
use serde_json::Value;

/// The fields of `value`: everything that is owned as a whole; items of lists and keys of maps,
/// beside what is in them; a named field with parts is none itself, unless it is an empty object.
pub fn to_set(shape: &Shape, value: &Value) -> Set {
    // lab:begin 03.8 ask for the value's parts, and for each whether it is a field itself and which fields are in it
    use super::parts::parts;
    let mut out = Set::default();
    for part in parts(shape, value).unwrap_or_default() {
        let whole = parts(&part.shape, part.value).is_none();
        let empty = part.value.as_object().is_some_and(|map| map.is_empty());
        let below = to_set(&part.shape, part.value);
        out.put(part.element, whole || empty || !part.named, below);
    }
    out
    // lab:end
}
