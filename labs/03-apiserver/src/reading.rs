//! From what a client sent to an object of a kind: is it one, whose is it, and what else does it say?

use crate::bodies::Body;
use crate::fields;
use crate::kinds;
use crate::meta;
use crate::patches::{PatchType, Sent};
use crate::query::FieldValidation;
use crate::status::ApiError;
use crate::strict;
use crate::typed::{self, Decoded, Reader};
use crate::write::Context;
use objects::resources::{self, Resource};
use serde_json::{Value, json};

/// Check that a body is of the kind that its URL is about, and read it as that kind.
pub fn decode_body(context: &Context<'_>, object: Value) -> Result<Decoded, ApiError> {
    let (kind, resource) = (&context.kind, context.kind.resource);
    if kind.custom.is_some() {
        check_custom(resource, &object)?;
        return kind.decode(object);
    }
    check_kind(resource, &object)?;
    kind.decode(object)
}

/// Upstream reads custom objects as objects of any kind, and looks at the words afterwards.
fn check_custom(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    let (kind, version) = (meta::text(object, &["kind"]), meta::text(object, &["apiVersion"]));
    let expected = kinds::api_version(resource);
    if !object.is_object() {
        return Err(ApiError::bad_request(NO_OBJECT));
    }
    if !version.is_empty() && version != expected {
        return Err(other_version(version, &expected));
    }
    let mut errors = fields::Errors::default();
    if !kind.is_empty() && kind != resource.kind {
        errors.invalid("kind", &json!(kind), format!("must be {}", resource.kind));
    }
    errors.into_result(resource, meta::name(object))
}

const NO_OBJECT: &str = "the body of the request is not an object";

fn other_version(sent: &str, expected: &str) -> ApiError {
    ApiError::bad_request(format!(
        "the API version in the data ({sent}) does not match the expected API version ({expected})"
    ))
}

/// The kind of what is sent to a subresource: `Scale`, say. Some take the object itself.
pub fn kind_of_body(resource: &Resource, subresource: &str) -> Resource {
    let own = resource.subresource(subresource);
    own.map_or(*resource, |own| Resource {
        group: own.group,
        version: own.version,
        kind: own.kind,
        ..*resource
    })
}

/// Read a body of a kind that is never stored: what a subresource is sent, or a question.
pub fn decode_small(
    resource: &Resource,
    sent: Body,
    wanted: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value, ApiError> {
    check_kind(resource, &sent.value)?;
    let (value, twice) = strict::apart(sent);
    let read = typed::decode(resource, value, Reader::Decoder);
    let decoded = read.map_err(|why| strict::unreadable(resource, &why))?;
    strict::judge(resource, wanted, &twice.remarks(&decoded.unknown), warnings)?;
    Ok(decoded.object)
}

/// Read what a patch has made of an object, and what is to be remarked of both. `patched` makes it anew.
/// What cannot be read is `Invalid`, and of no kind (upstream: `endpoints/handlers/patch.go`).
pub fn decode_patched(
    resource: &Resource,
    read: impl Fn(Value, Reader) -> Result<Decoded, String>,
    patch: &Sent,
    wanted: FieldValidation,
    patched: impl Fn() -> Result<Value, ApiError>,
) -> Result<(Value, Vec<String>), ApiError> {
    let is_strategic = patch.kind == PatchType::Strategic;
    let invalid = |why: &str| {
        let shown = match is_strategic {
            true => fields::go_print(&patch.value),
            false => patched().unwrap_or_default().to_string(),
        };
        let mut errors = fields::Errors::default();
        errors.invalid("patch", &json!(shown), why);
        errors.into_error("", "", "")
    };
    let object = patched()?;
    check_kind(resource, &object)?;
    let reader = if is_strategic { Reader::Converter } else { Reader::Decoder };
    let decoded = read(object, reader).map_err(|why| invalid(&why))?;
    let unknown = strict::remarks(&Value::Null, &decoded.unknown, &[]);
    let remarks: Vec<String> = patch.remarks.iter().cloned().chain(unknown).collect();
    match wanted {
        FieldValidation::Strict if !remarks.is_empty() => Err(invalid(&strict::message(&remarks))),
        FieldValidation::Warn => Ok((decoded.object, remarks)),
        _ => Ok((decoded.object, Vec::new())),
    }
}

/// Whether an object says that it is of this kind, or says nothing (upstream: `transformDecodeError`).
fn check_kind(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::bad_request(NO_OBJECT));
    }
    let expected = kinds::api_version(resource);
    let said =
        |key, default| Some(meta::text(object, &[key])).filter(|said| !said.is_empty()).unwrap_or(default);
    let (kind, api_version) = (said("kind", resource.kind), said("apiVersion", &expected));
    // The first version of an Eviction is no longer served, and still understood.
    let understood = api_version == expected || (kind, api_version) == ("Eviction", "policy/v1beta1");
    if kind == resource.kind && understood {
        return Ok(());
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let why = if resources::by_kind(group, version, kind).is_none() {
        format!("no kind {kind:?} is registered for version {api_version:?} in scheme \"{SCHEME}\"")
    } else if kind != resource.kind {
        // The package of upstream's internal types.
        let package = match resource.group.split('.').next().unwrap_or_default() {
            "" | "events" => "core",
            group => group,
        };
        format!("converting ({version}.{kind}) to ({package}.{}): unknown conversion", resource.kind)
    } else {
        return Err(other_version(api_version, &expected));
    };
    Err(ApiError::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {}: {why}",
        resource.kind
    )))
}

/// Where upstream registers the kinds that it has built in.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";
