//! Field errors, collected while an object is checked, and printed as users know them from
//! kubectl (upstream: `apimachinery/pkg/util/validation/field`).

use crate::kinds;
use crate::status::{ApiError, Cause, Reason};
use objects::resources::Resource;
use serde_json::Value;

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
        self.list.push(FieldError { field: field.into(), reason, message });
    }

    pub fn required(&mut self, field: &str, why: &str) {
        let message = if why.is_empty() { "Required value".into() } else { format!("Required value: {why}") };
        self.push(field, "FieldValueRequired", message);
    }

    /// A value that may not be what it is. Texts are printed in quotes, the rest as JSON.
    pub fn invalid(&mut self, field: &str, value: &Value, why: impl AsRef<str>) {
        self.push(
            field,
            "FieldValueInvalid",
            format!("Invalid value: {}: {}", go_value(value), why.as_ref()),
        );
    }

    /// As `invalid`, for a value that Go would print in a form of its own.
    pub fn invalid_text(&mut self, field: &str, printed: &str, why: &str) {
        self.push(field, "FieldValueInvalid", format!("Invalid value: {printed}: {why}"));
    }

    pub fn unsupported(&mut self, field: &str, value: &Value, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|s| format!("\"{s}\"")).collect();
        let message =
            format!("Unsupported value: {}: supported values: {}", go_value(value), list.join(", "));
        self.push(field, "FieldValueNotSupported", message);
    }

    pub fn duplicate(&mut self, field: &str, value: &Value) {
        self.push(field, "FieldValueDuplicate", format!("Duplicate value: {}", go_value(value)));
    }

    pub fn forbidden(&mut self, field: &str, why: &str) {
        self.push(field, "FieldValueForbidden", format!("Forbidden: {why}"));
    }

    pub fn not_found(&mut self, field: &str, value: &Value) {
        self.push(field, "FieldValueNotFound", format!("Not found: {}", go_value(value)));
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// `Ok` when nothing was wrong, else one `Invalid` with a cause for each.
    pub fn into_result(self, resource: &Resource, name: &str) -> Result<(), ApiError> {
        if self.list.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = self.list.iter().map(|e| format!("{}: {}", e.field, e.message)).collect();
        let what = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {what}", kinds::qualified_kind(resource));
        Err(ApiError::new(Reason::Invalid, message).with(|details| {
            details.name = name.into();
            details.group = resource.group.into();
            details.kind = resource.kind.into();
            let cause = |e: FieldError| Cause { reason: e.reason.into(), message: e.message, field: e.field };
            details.causes = self.list.into_iter().map(cause).collect();
        }))
    }
}

fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}
