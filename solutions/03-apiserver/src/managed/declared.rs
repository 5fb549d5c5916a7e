//! Whether an applied object has only what its kind has: an applier owns what he says, so what
//! nobody could store cannot be said (upstream: `structured-merge-diff/typed/validate.go`).

use super::parts::{Part, item, parts};
use super::path::{self, Element, Path};
use crate::kind::Kind;
use crate::meta;
use crate::schema::Shape;
use crate::status::{ApiError, Reason};
use serde_json::Value;
use std::collections::BTreeSet;

/// Read `applied` as this kind, or say what is wrong with it.
pub fn read(kind: &Kind, applied: &Value) -> Result<Value, ApiError> {
    let mut wrong = Vec::new();
    check(&kind.shape(), applied, &mut Vec::new(), &mut wrong);
    if wrong.is_empty() {
        let decoded = kind.decode(applied.clone())?;
        if decoded.unknown.is_empty() {
            return Ok(decoded.object);
        }
        wrong = decoded.unknown.iter().map(|path| format!(".{path}: field not declared in schema")).collect();
    }
    let wrong = match wrong.as_slice() {
        [only] => only.clone(),
        all => format!("errors:\n  {}", all.join("\n  ")),
    };
    let (namespace, name, resource) = (meta::namespace(applied), meta::name(applied), kind.resource);
    let gvk = format!("{}/{}, Kind={}", resource.group, resource.version, resource.kind);
    // Upstream does not say whose fault this is: no reason, and 500.
    Err(ApiError::new(
        Reason::Unknown,
        format!("failed to create typed patch object ({namespace}/{name}; {gvk}): {wrong}"),
    ))
}

fn check(shape: &Shape, value: &Value, at: &mut Path, wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (place, part) in parts(shape, value).unwrap_or_default().into_iter().enumerate() {
        let Part { element, shape: below, value, .. } = part;
        let why = match (shape.is_fixed(), &element) {
            (true, Element::Field(_)) if !part.named => Some("field not declared in schema".to_string()),
            (_, Element::Index(_)) => {
                item(&shape.resolved(), value).err().map(|why| format!("element {place}: {why}"))
            }
            (_, Element::Field(_)) => None,
            _ if !seen.insert(element.clone()) => Some(format!("duplicate entries for key {element}")),
            _ => None,
        };
        if let (None, Shape::Scalar(scalar)) = (&why, below.resolved())
            && let Err(why) = scalar.check(value)
        {
            wrong.push(format!("{}{element}: {why}", path::display(at)));
            continue;
        }
        match why {
            Some(why) => {
                let field = matches!(element, Element::Field(_));
                let here = path::display(at) + &if field { element.to_string() } else { String::new() };
                wrong.push(format!("{here}: {why}"));
            }
            None => {
                at.push(element);
                check(&below, value, at, wrong);
                at.pop();
            }
        }
    }
}

/// Refuse what is no object of this kind and version (upstream: `internal/versioncheck.go`).
pub fn check_type(applied: &Value, api_version: &str, kind: &str) -> Result<(), ApiError> {
    let text = |key| meta::text(applied, &[key]);
    if (text("apiVersion"), text("kind")) != (api_version, kind) {
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let sent = format!("{group}/{version}, Kind={}", text("kind"));
        return Err(ApiError::bad_request(format!("invalid object type: {sent}")));
    }
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    Ok(())
}
