//! What a client says about a delete (meta/v1 `DeleteOptions`), read and checked as upstream does
//! (`apiserver/pkg/endpoints/handlers/delete.go`, `apimachinery/pkg/apis/meta/v1/validation`).

use crate::query::{self, Query};
use crate::status::{ApiError, Cause};
use serde_json::{Value, json};

/// What happens to the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteOptions {
    pub grace_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    /// The older word for the policy was used: `orphanDependents: false`.
    pub cascades: bool,
    /// Preconditions: delete only this very object, in this very state.
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
}

/// The options as they were sent, before they are checked.
#[derive(Default)]
struct Sent {
    grace_seconds: Option<i64>,
    orphan: Option<bool>,
    policy: Option<String>,
    dry_run: Vec<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    /// Options come in a body (`null` when there is none), in the query, or not at all. Where
    /// there is a body the query says nothing.
    pub fn parse(body: &Value, query: &Query) -> Result<DeleteOptions, ApiError> {
        let sent = if body.is_null() { of_query(query)? } else { of_body(body)? };
        let mut wrong = Vec::new();
        let policy = sent.policy.as_deref();
        if let (Some(policy), Some(_)) = (policy, sent.orphan) {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            let message = format!("Invalid value: {policy:?}: {why}");
            wrong.push(Cause::new("FieldValueInvalid", "propagationPolicy", message));
        }
        let propagation = match policy {
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                wrong.push(Cause::unsupported("propagationPolicy", &format!("{other:?}"), &supported));
                None
            }
            None => sent.orphan.map(|o| if o { Propagation::Orphan } else { Propagation::Background }),
        };
        let dry_run: Vec<&str> = sent.dry_run.iter().map(String::as_str).collect();
        wrong.extend(query::wrong_dry_run(&dry_run));
        if !wrong.is_empty() {
            return Err(ApiError::invalid_options("DeleteOptions", wrong));
        }
        Ok(DeleteOptions {
            grace_seconds: sent.grace_seconds,
            propagation,
            cascades: sent.orphan == Some(false),
            uid: sent.uid,
            resource_version: sent.resource_version,
            dry_run: !dry_run.is_empty(),
        })
    }

    /// As an object, for those who are asked about the delete.
    pub fn to_value(&self) -> Value {
        let mut out = json!({ "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1" });
        if let Some(seconds) = self.grace_seconds {
            out["gracePeriodSeconds"] = json!(seconds);
        }
        if let Some(propagation) = self.propagation {
            out["propagationPolicy"] = json!(format!("{propagation:?}"));
        }
        let preconditions = [("uid", &self.uid), ("resourceVersion", &self.resource_version)];
        for (key, value) in preconditions.into_iter().filter_map(|(k, v)| Some((k, v.as_ref()?))) {
            out["preconditions"][key] = json!(value);
        }
        if self.dry_run {
            out["dryRun"] = json!(["All"]);
        }
        out
    }
}

fn of_query(query: &Query) -> Result<Sent, ApiError> {
    let text = |key: &str| query.get(key).filter(|text| !text.is_empty()).map(str::to_string);
    Ok(Sent {
        grace_seconds: query.number("gracePeriodSeconds")?,
        orphan: query.switch("orphanDependents"),
        policy: text("propagationPolicy"),
        dry_run: query.all("dryRun").map(str::to_string).collect(),
        uid: text("uid"),
        resource_version: None,
    })
}

/// A field of the wrong type is refused: a delete that was meant otherwise cannot be taken back.
fn of_body(body: &Value) -> Result<Sent, ApiError> {
    let Some(map) = body.as_object() else {
        return Err(wrong_type(body, "", "v1.DeleteOptions"));
    };
    let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !["", "DeleteOptions"].contains(&kind) {
        let version = map.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        return Err(ApiError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a DeleteOptions: \
             decoded object cannot be converted to DeleteOptions"
        )));
    }
    let preconditions = &body["preconditions"];
    if !preconditions.is_null() && !preconditions.is_object() {
        return Err(wrong_type(preconditions, "preconditions", "v1.Preconditions"));
    }
    let dry_run = match &body["dryRun"] {
        Value::Null => Vec::new(),
        Value::Array(list) => list
            .iter()
            .map(|value| Ok(text(value, "dryRun")?.unwrap_or_default()))
            .collect::<Result<Vec<_>, ApiError>>()?,
        other => return Err(wrong_type(other, "dryRun", "[]string")),
    };
    Ok(Sent {
        grace_seconds: match &body["gracePeriodSeconds"] {
            Value::Null => None,
            value => Some(value.as_i64().ok_or_else(|| wrong_type(value, "gracePeriodSeconds", "int64"))?),
        },
        orphan: match &body["orphanDependents"] {
            Value::Null => None,
            value => Some(value.as_bool().ok_or_else(|| wrong_type(value, "orphanDependents", "bool"))?),
        },
        policy: text(&body["propagationPolicy"], "propagationPolicy")?,
        dry_run,
        uid: text(&preconditions["uid"], "preconditions.uid")?,
        resource_version: text(&preconditions["resourceVersion"], "preconditions.resourceVersion")?,
    })
}

fn text(value: &Value, field: &str) -> Result<Option<String>, ApiError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        other => Err(wrong_type(other, field, "string")),
    }
}

/// Go's words for a value of the wrong type.
fn wrong_type(value: &Value, field: &str, wanted: &str) -> ApiError {
    let found = match value {
        Value::Null => "null".to_string(),
        Value::Bool(_) => "bool".to_string(),
        Value::Number(number) if number.is_f64() => format!("number {number}"),
        Value::Number(_) => "number".to_string(),
        Value::String(_) => "string".to_string(),
        Value::Array(_) => "array".to_string(),
        Value::Object(_) => "object".to_string(),
    };
    let place = if field.is_empty() { "value".into() } else { format!("struct field DeleteOptions.{field}") };
    ApiError::bad_request(format!("json: cannot unmarshal {found} into Go {place} of type {wanted}"))
}
