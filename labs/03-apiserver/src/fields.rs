//! Field errors, collected while an object is checked, and printed as users know them from
//! kubectl (upstream: `apimachinery/pkg/util/validation/field`).

use crate::kinds;
use crate::status::{ApiError, Cause, Reason};
use objects::resources::Resource;
use serde_json::{Map, Value};

/// What upstream says of most fields that stay as they were made.
pub const IMMUTABLE: &str = "field is immutable";

/// All that is wrong with one object.
#[derive(Debug, Default, PartialEq)]
pub struct Errors {
    list: Vec<FieldError>,
}

#[derive(Debug, PartialEq)]
struct FieldError {
    field: String,
    reason: &'static str,
    message: String,
}

impl Errors {
    fn push(&mut self, field: &str, reason: &'static str, message: String) {
        // An error about the whole object has no path; upstream prints the empty path so.
        let field = if field.is_empty() { "[]" } else { field };
        self.list.push(FieldError { field: field.into(), reason, message });
    }

    pub fn required(&mut self, field: &str, why: &str) {
        let message = if why.is_empty() { "Required value".into() } else { format!("Required value: {why}") };
        self.push(field, "FieldValueRequired", message);
    }

    /// A value that may not be what it is.
    pub fn invalid(&mut self, field: &str, value: &Value, why: impl AsRef<str>) {
        self.invalid_text(field, &go_value(value), why.as_ref());
    }

    /// As `invalid`, for a value that Go would print in a form of its own.
    pub fn invalid_text(&mut self, field: &str, printed: &str, why: &str) {
        self.push(field, "FieldValueInvalid", format!("Invalid value: {printed}: {why}"));
    }

    /// As `invalid`, without the value.
    pub fn invalid_plain(&mut self, field: &str, why: &str) {
        self.push(field, "FieldValueInvalid", format!("Invalid value: {why}"));
    }

    pub fn unsupported(&mut self, field: &str, value: &Value, supported: &[&str]) {
        self.unsupported_text(field, &go_value(value), supported);
    }

    /// As `unsupported`, for a value that Go would print in a form of its own.
    pub fn unsupported_text(&mut self, field: &str, printed: &str, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|s| quote(s)).collect();
        let message = format!("Unsupported value: {printed}: supported values: {}", list.join(", "));
        self.push(field, "FieldValueNotSupported", message);
    }

    pub fn duplicate(&mut self, field: &str, value: &Value) {
        self.push(field, "FieldValueDuplicate", format!("Duplicate value: {}", go_value(value)));
    }

    /// As `duplicate`, for a value that Go would print in a form of its own.
    pub fn duplicate_text(&mut self, field: &str, printed: &str) {
        self.push(field, "FieldValueDuplicate", format!("Duplicate value: {printed}"));
    }

    pub fn forbidden(&mut self, field: &str, why: &str) {
        self.push(field, "FieldValueForbidden", format!("Forbidden: {why}"));
    }

    pub fn not_found(&mut self, field: &str, value: &Value) {
        self.push(field, "FieldValueNotFound", format!("Not found: {}", go_value(value)));
    }

    /// More bytes than allowed. The value is not repeated.
    pub fn too_long(&mut self, field: &str, most: i64) {
        let bytes = if most == 1 { "byte" } else { "bytes" };
        self.push(field, "FieldValueTooLong", format!("Too long: may not be more than {most} {bytes}"));
    }

    pub fn too_many(&mut self, field: &str, count: usize, most: i64) {
        let items = if most == 1 { "item" } else { "items" };
        self.push(field, "FieldValueTooMany", format!("Too many: {count}: must have at most {most} {items}"));
    }

    /// As `invalid`, for a value that is not of the type that its schema wants.
    pub fn type_invalid(&mut self, field: &str, value: &Value, why: impl AsRef<str>) {
        let message = format!("Invalid value: {}: {}", go_value(value), why.as_ref());
        self.push(field, "FieldValueTypeInvalid", message);
    }

    /// Whether any error has one of these reasons.
    pub fn has_reason(&self, reasons: &[&str]) -> bool {
        self.list.iter().any(|error| reasons.contains(&error.reason))
    }

    /// All of another list, after what is here.
    pub fn append(&mut self, other: Errors) {
        self.list.extend(other.list);
    }

    /// All of another list, whose fields are inside `field`.
    pub fn append_under(&mut self, field: &str, other: Errors) {
        self.list.extend(other.list.into_iter().map(|error| match error.field.as_str() {
            "<nil>" => FieldError { field: field.into(), ..error },
            inner => FieldError { field: format!("{field}.{inner}"), ..error },
        }));
    }

    /// Order by field and message, for what is found in no order that a reader could follow.
    pub fn sort(&mut self) {
        self.list.sort_by(|a, b| (&a.field, &a.message).cmp(&(&b.field, &b.message)));
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// `Ok` when nothing was wrong, else one `Invalid` with a cause for each.
    pub fn into_result(self, resource: &Resource, name: &str) -> Result<(), ApiError> {
        if self.list.is_empty() {
            return Ok(());
        }
        Err(self.into_error(resource.group, resource.kind, name))
    }

    /// All in one line, which says the same thing only once.
    fn text(&self) -> String {
        let mut texts: Vec<String> = Vec::new();
        for error in &self.list {
            let text = format!("{}: {}", error.field, error.message);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        }
    }

    /// What was wrong, where upstream names neither the object nor a reason.
    pub fn into_text(self) -> Option<String> {
        (!self.list.is_empty()).then(|| self.text())
    }

    pub fn into_error(self, group: &str, kind: &str, name: &str) -> ApiError {
        let message = format!("{} {} is invalid: {}", kinds::qualify(kind, group), quote(name), self.text());
        ApiError::new(Reason::Invalid, message).with(|details| {
            details.name = name.into();
            details.group = group.into();
            details.kind = kind.into();
            let cause = |e: FieldError| Cause { reason: e.reason.into(), message: e.message, field: e.field };
            details.causes = self.list.into_iter().map(cause).collect();
        })
    }
}

/// A text as Go's `%q` prints it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value as upstream's messages show it: plain numbers, quoted texts, lists of texts as Go
/// writes them. A missing value is the word null. Whole structures are printed as JSON: what
/// upstream prints there names its internal types.
pub fn go_value(value: &Value) -> String {
    match value {
        Value::Null => quote("null"),
        Value::String(text) => quote(text),
        Value::Array(list) if list.iter().all(Value::is_string) => go_strings("string", value),
        other => other.to_string(),
    }
}

/// A value of no type as Go prints it: `map[a:1 b:[x y]]`, keys in order.
pub fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(go_print).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let pairs = pairs.into_iter().map(|(key, value)| format!("{key}:{}", go_print(value)));
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// `[]string{"a", "b"}`; the type's name is told.
pub fn go_strings(of: &str, list: &Value) -> String {
    let Some(list) = list.as_array() else { return format!("[]{of}(nil)") };
    let items: Vec<String> = list.iter().map(|item| quote(item.as_str().unwrap_or_default())).collect();
    format!("[]{of}{{{}}}", items.join(", "))
}

/// `map[string]string{"app":"x"}`, keys in order.
pub fn go_map(value: &Value) -> String {
    let Some(map) = value.as_object() else { return "map[string]string(nil)".into() };
    format!("map[string]string{{{}}}", go_pairs(map).join(", "))
}

fn go_pairs(map: &Map<String, Value>) -> Vec<String> {
    let pair = |(key, value): (&String, &Value)| {
        format!("{}:{}", quote(key), quote(value.as_str().unwrap_or_default()))
    };
    let mut pairs: Vec<String> = map.iter().map(pair).collect();
    pairs.sort();
    pairs
}

/// A number or a percentage.
pub fn go_int_or_string(value: &Value) -> String {
    let (kind, number, text) = match value {
        Value::String(text) => (1, 0, text.as_str()),
        other => (0, other.as_i64().unwrap_or(0), ""),
    };
    format!("intstr.IntOrString{{Type:{kind}, IntVal:{number}, StrVal:{}}}", quote(text))
}

/// A `metav1.LabelSelector`.
pub fn go_selector(selector: &Value) -> String {
    let expression = |e: &Value| {
        format!(
            "v1.LabelSelectorRequirement{{Key:{}, Operator:{}, Values:{}}}",
            quote(e["key"].as_str().unwrap_or_default()),
            quote(e["operator"].as_str().unwrap_or_default()),
            go_strings("string", &e["values"])
        )
    };
    let expressions = match selector["matchExpressions"].as_array() {
        None => "[]v1.LabelSelectorRequirement(nil)".to_string(),
        Some(list) => {
            let list: Vec<String> = list.iter().map(expression).collect();
            format!("[]v1.LabelSelectorRequirement{{{}}}", list.join(", "))
        }
    };
    format!(
        "v1.LabelSelector{{MatchLabels:{}, MatchExpressions:{expressions}}}",
        go_map(&selector["matchLabels"])
    )
}
