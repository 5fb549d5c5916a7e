//! One value as a column shows it.

use jiff::Timestamp;
use serde_json::Value;

/// A value in a column of this type. A number without a fraction is an integer, and a fraction is
/// cut off; a date becomes an age (`<unknown>` when there is none, `<invalid>` when it is no date);
/// a text column shows anything, objects and lists as JSON. What does not fit shows nothing.
pub fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    let _ = (&kind, &value, &now);
    todo!("lab 03.9: one arm for each type of column")
}

/// A text as it is, anything else as JSON.
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}
