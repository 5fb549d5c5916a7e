//! The four ways to say what should change, told apart by their media type, and the engines of
//! three of them; the fourth is in `managed`.

use crate::bodies;
use crate::status::ApiError;
use crate::strict;
use objects::resources::Resource;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902: a list of operations.
    Json,
    /// RFC 7386: an object laid over the other; null deletes, lists are replaced.
    Merge,
    /// As merge, but lists whose elements have a key are merged by it.
    Strategic,
    /// Server-side apply: the fields that one manager wants to own.
    Apply,
}

impl PatchType {
    /// Read a `Content-Type`; parameters (`; charset=utf-8`) do not matter.
    pub fn parse(content_type: &str) -> Result<PatchType, ApiError> {
        // lab:begin 03.4 the four media types, and nothing else
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(PatchType::Json),
            "application/merge-patch+json" => Ok(PatchType::Merge),
            "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
            "application/apply-patch+yaml" => Ok(PatchType::Apply),
            _ => Err(unknown_format()),
        }
        // lab:end
    }
}

/// The answer to any other type: 415, with a list of those that there are.
// lab:given
fn unknown_format() -> ApiError {
    ApiError::unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, \
         application/strategic-merge-patch+json, application/apply-patch+yaml",
    )
}

/// Lists of a custom kind have no keys that a strategic patch would know.
pub fn strategic_is_for_built_in_kinds() -> ApiError {
    ApiError::unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    )
}

/// A patch as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub kind: PatchType,
    pub value: Value,
    /// What it says twice, or in words that no patch has.
    pub remarks: Vec<String>,
}

impl Sent {
    /// Read the body of a patch of one of the three types that change an object.
    pub fn read(kind: PatchType, bytes: &[u8]) -> Result<Sent, ApiError> {
        let before = if kind == PatchType::Strategic { "" } else { "error decoding patch: " };
        let refuse = |why: String| ApiError::bad_request(format!("{before}{why}"));
        let body = bodies::json(bytes).map_err(refuse)?;
        let (fits, wanted) = match kind {
            PatchType::Json => (body.value.is_array(), "[]handlers.jsonPatchOp"),
            _ => (body.value.is_object(), "map[string]interface {}"),
        };
        if !fits && !body.value.is_null() {
            return Err(refuse(bodies::misfit(&body.value, wanted)));
        }
        let (unknown, before) = match kind {
            PatchType::Json => (unknown_words(&body.value), "json patch "),
            _ => (Vec::new(), ""),
        };
        let remarks = strict::remarks(&body.value, &unknown, &body.duplicates);
        let remarks = remarks.into_iter().map(|remark| format!("{before}{remark}")).collect();
        Ok(Sent { kind, value: body.value, remarks })
    }
}

/// Of the operations of a JSON patch, the fields that none has.
fn unknown_words(operations: &Value) -> Vec<String> {
    const WORDS: [&str; 4] = ["op", "path", "from", "value"];
    let all = operations.as_array().into_iter().flatten().enumerate();
    let fields =
        all.flat_map(|(i, operation)| operation.as_object().into_iter().flatten().map(move |f| (i, f.0)));
    fields.filter(|(_, key)| !WORDS.contains(&key.as_str())).map(|(i, key)| format!("[{i}].{key}")).collect()
}

/// The object as the patch wants it. `object` carries its resourceVersion, so that a patch may
/// test it; what comes out goes through `write::prepare_update` like any other update.
///
/// An apply is no change to an object but a claim on it, and is not among those that come here:
/// see `managed::apply`.
///
/// A patch that is none, or that makes something else of the object, is a bad request. One that
/// does not fit this object is `Invalid`: `the server rejected our request due to an error in our
/// request: WHY`. One that makes it too large is `RequestEntityTooLarge`.
pub fn apply(resource: &Resource, kind: PatchType, object: &Value, patch: &Value) -> Result<Value, ApiError> {
    // lab:begin 03.4 call chapter 00's engine for this type, and tell apart whose fault a failure is
    use crate::status::Reason;
    use objects::patch::{self, GroupKind, PatchError};
    let result = match kind {
        PatchType::Json => patch::json_patch(object, patch),
        PatchType::Merge => patch::json_merge(object, patch),
        PatchType::Strategic => {
            patch::strategic(object, patch, &GroupKind::new(resource.group, resource.kind))
        }
        PatchType::Apply => return Err(unknown_format()),
    };
    let name = crate::meta::name(object);
    match result {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(ApiError::bad_request("a patch may not replace the whole object by something else")),
        Err(PatchError::Malformed(why)) => Err(ApiError::bad_request(why).about(resource, name)),
        Err(error @ PatchError::TooLarge { .. }) => {
            Err(ApiError::new(Reason::RequestEntityTooLarge, error.to_string()))
        }
        Err(PatchError::Unprocessable(why)) => {
            let message = format!("the server rejected our request due to an error in our request: {why}");
            // No name in the details: kubectl then prints the message.
            Err(ApiError::new(Reason::Invalid, message).with(|_| {}))
        }
    }
    // lab:end
}
