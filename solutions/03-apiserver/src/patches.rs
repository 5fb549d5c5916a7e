//! The four ways to say what should change, told apart by their media type.

use crate::status::ApiError;
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
    pub fn parse(content_type: &str) -> Result<PatchType, ApiError> {
        // lab:begin 03.4 the media type without its parameters; anything else is 415
        const ACCEPTED: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(PatchType::Json),
            "application/merge-patch+json" => Ok(PatchType::Merge),
            "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
            "application/apply-patch+yaml" => Ok(PatchType::Apply),
            _ => Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: {ACCEPTED}"
            ))),
        }
        // lab:end
    }
}

/// What server-side apply is answered, whether the object exists or not.
pub fn apply_is_not_served() -> ApiError {
    ApiError::unsupported_media_type(
        "server-side apply is not served yet; use kubectl apply without --server-side",
    )
}

/// The object as the patch wants it. `object` carries its resourceVersion, so that a patch may
/// test it; what comes out goes through `write::prepare_update` like any other update.
pub fn apply(resource: &Resource, kind: PatchType, object: &Value, patch: &Value) -> Result<Value, ApiError> {
    // lab:begin 03.4 the three engines live in chapter 00; a patch that does not fit is 422, one that is none is 400
    use crate::status::Reason;
    use objects::patch::{self, GroupKind, PatchError};
    let result = match kind {
        PatchType::Json => patch::json_patch(object, patch),
        PatchType::Merge => patch::json_merge(object, patch),
        PatchType::Strategic => {
            patch::strategic(object, patch, &GroupKind::new(resource.group, resource.kind))
        }
        PatchType::Apply => return Err(apply_is_not_served()),
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
