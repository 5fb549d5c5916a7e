//! What a body says that its kind does not have, or says twice: `fieldValidation` decides whether that
//! is refused, told or passed over (KEP-2885; upstream: `sigs.k8s.io/json`, `UnmarshalStrict`).

use crate::bodies::{self, Body};
use crate::query::FieldValidation;
use crate::status::ApiError;
use objects::resources::Resource;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a body says twice, and where.
pub struct Twice {
    /// Only a body that says something twice is kept.
    sent: Value,
    duplicates: Vec<String>,
}

/// A body to be read, and what it says twice.
pub fn apart(body: Body) -> (Value, Twice) {
    let sent = if body.duplicates.is_empty() { Value::Null } else { body.value.clone() };
    (body.value, Twice { sent, duplicates: body.duplicates })
}

impl Twice {
    /// With what is unknown, each in upstream's words, as they come in the document.
    pub fn remarks(&self, unknown: &[String]) -> Vec<String> {
        remarks(&self.sent, unknown, &self.duplicates)
    }
}

/// A text in YAML that says things twice is complained of first, and as a whole.
pub fn remarks(sent: &Value, unknown: &[String], duplicates: &[String]) -> Vec<String> {
    let of_json = |text: &&String| text.starts_with(DUPLICATE);
    let unknown = unknown.iter().map(|path| format!("unknown field \"{path}\""));
    let mut all: Vec<String> = unknown.chain(duplicates.iter().filter(of_json).cloned()).collect();
    if !duplicates.is_empty() {
        let path = |text: &str| text.split('"').nth(1).unwrap_or_default().to_string();
        let paths: Vec<String> = all.iter().map(|text| path(text)).collect();
        let places = places(sent, paths.iter().map(String::as_str));
        // What is unknown comes before its second time: the order within one place stays.
        all.sort_by_cached_key(|text| places.get(path(text).as_str()).copied());
    }
    duplicates.iter().filter(|text| !of_json(text)).cloned().chain(all).collect()
}

const DUPLICATE: &str = "duplicate field ";

/// How many fields stand before each of these.
fn places<'p>(sent: &Value, paths: impl Iterator<Item = &'p str>) -> BTreeMap<&'p str, usize> {
    let mut places: BTreeMap<&str, usize> = paths.map(|path| (path, usize::MAX)).collect();
    let (mut at, mut count) = (String::new(), 0);
    walk(sent, &mut at, &mut |path| {
        count += 1;
        if let Some(place) = places.get_mut(path) {
            *place = count;
        }
    });
    places
}

fn walk(value: &Value, at: &mut String, visit: &mut impl FnMut(&str)) {
    let here = at.len();
    let mut below = |step: &str, value: &Value, at: &mut String| {
        at.push_str(step);
        visit(at);
        walk(value, at, visit);
        at.truncate(here);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match here {
            0 => below(key, value, at),
            _ => below(&format!(".{key}"), value, at),
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| below(&format!("[{i}]"), value, at))
        }
        _ => {}
    }
}

/// All of them in one line.
pub fn message(remarks: &[String]) -> String {
    format!("strict decoding error: {}", remarks.join(", "))
}

/// Refuse the body for what is to be remarked of it, or warn of that.
pub fn judge(
    resource: &Resource,
    fields: FieldValidation,
    remarks: &[String],
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    match fields {
        FieldValidation::Strict if !remarks.is_empty() => Err(unreadable(resource, &message(remarks))),
        FieldValidation::Warn => {
            warnings.extend(bodies::warnings(remarks));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The same for what is applied, which is YAML: it may only say things twice.
pub fn judge_applied(
    fields: FieldValidation,
    duplicates: &[String],
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    match (fields, duplicates) {
        (FieldValidation::Strict, [first, ..]) => Err(ApiError::bad_request(format!(
            "error strict decoding YAML: error converting YAML to JSON: {first}"
        ))),
        (FieldValidation::Warn, _) => {
            warnings.extend(bodies::warnings(duplicates));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A body that cannot be read as its kind.
pub fn unreadable(resource: &Resource, why: &str) -> ApiError {
    let (kind, version) = (resource.kind, resource.version);
    ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
}
