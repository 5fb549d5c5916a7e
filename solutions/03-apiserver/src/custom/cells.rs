//! One value as a column shows it.

use jiff::Timestamp;
use serde_json::Value;

/// A value in a column of this type. A number without a fraction is an integer, and a fraction is
/// cut off; a date becomes an age (`<unknown>` when there is none, `<invalid>` when it is no date);
/// a text column shows anything, objects and lists as JSON. What does not fit shows nothing.
pub fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    // lab:begin 03.9 one arm for each type of column
    use serde_json::json;
    match kind {
        "integer" => match value.as_i64() {
            Some(number) => json!(number),
            None => value.as_f64().map_or(Value::Null, |number| json!(number as i64)),
        },
        "number" => value.as_f64().map_or(Value::Null, |_| value.clone()),
        "boolean" => value.as_bool().map_or(Value::Null, Value::from),
        "string" => json!(shown(value)),
        "date" => match value {
            Value::String(text) if text.parse::<Timestamp>().is_ok() => {
                json!(crate::tables::time::since(value, now))
            }
            Value::String(_) => json!("<invalid>"),
            _ => json!("<unknown>"),
        },
        _ => Value::Null,
    }
    // lab:end
}

/// A text as it is, anything else as JSON.
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}
