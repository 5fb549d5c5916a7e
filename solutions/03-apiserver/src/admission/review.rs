//! The question that a webhook is asked (AdmissionReview, admission.k8s.io/v1), and what may be
//! made of its answer (upstream: `pkg/admission/plugin/webhook/request`).

use super::Attributes;
use super::webhook::Call;
use crate::meta;
use crate::status::{ApiError, Reason};
use base64::Engine as _;
use objects::patch;
use serde_json::{Value, json};

const API_VERSION: &str = "admission.k8s.io/v1";

/// The review to be sent. Objects are in the kind that the webhook wants to see.
pub fn question(
    uid: &str,
    attributes: &Attributes,
    call: &Call<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Value {
    let mut request = attributes.request(&call.kind);
    meta::as_map(&mut request).shift_insert(0, "uid".into(), json!(uid));
    request["object"] = object.cloned().unwrap_or_default();
    request["oldObject"] = old.cloned().unwrap_or_default();
    json!({ "kind": "AdmissionReview", "apiVersion": API_VERSION, "request": request })
}

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// It may be written, changed like this (a JSON patch), or it may not.
    pub decision: Result<Option<Value>, Box<ApiError>>,
    pub warnings: Vec<String>,
}

/// Read an answer. `Err` is an answer that is none: what follows is up to the failure policy.
pub fn read_answer(webhook: &str, uid: &str, mutating: bool, answer: &Value) -> Result<Verdict, String> {
    let invalid = |why: String| format!("received invalid webhook response: {why}");
    let (version, kind) = (meta::text(answer, &["apiVersion"]), meta::text(answer, &["kind"]));
    let response = &answer["response"];
    if !response.is_object() {
        return Err(invalid("webhook response was absent".into()));
    }
    let got = meta::text(response, &["uid"]);
    if got != uid {
        return Err(invalid(format!("expected response.uid={uid:?}, got {got:?}")));
    }
    if (version, kind) != (API_VERSION, "AdmissionReview") {
        let shown = |version: &str, kind: &str| format!("{version}, Kind={kind}");
        return Err(invalid(format!(
            "expected webhook response of {}, got {}",
            shown(API_VERSION, "AdmissionReview"),
            shown(version, kind)
        )));
    }
    let (patch, patch_type) = (meta::text(response, &["patch"]), response["patchType"].as_str());
    match (mutating, patch.is_empty(), patch_type) {
        (true, false, None) => {
            return Err(invalid("webhook returned response.patch but not response.patchType".into()));
        }
        (true, true, Some(_)) => {
            return Err(invalid("webhook returned response.patchType but not response.patch".into()));
        }
        (false, false, _) => return Err(invalid("validating webhook may not return response.patch".into())),
        (false, _, Some(_)) => {
            return Err(invalid("validating webhook may not return response.patchType".into()));
        }
        _ => {}
    }
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let warnings = warnings.filter_map(|w| w.as_str().map(str::to_string)).collect();
    let decision = match response["allowed"].as_bool().unwrap_or(false) {
        false => Err(Box::new(denied(webhook, &response["status"]))),
        true => match patch_type {
            None => Ok(None),
            Some("JSONPatch") => Ok(Some(read_patch(patch)?)),
            Some(other) => return Err(format!("unsupported patch type {other:?}")),
        },
    };
    Ok(Verdict { decision, warnings })
}

fn read_patch(text: &str) -> Result<Value, String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Change an object as a webhook says. What goes wrong is the webhook's fault, not the client's.
pub fn apply_patch(object: &Value, changes: &Value) -> Result<Value, ApiError> {
    patch::json_patch(object, changes).map_err(ApiError::internal)
}

/// The client's answer when a webhook says no: the webhook's own Status, under its name.
fn denied(webhook: &str, status: &Value) -> ApiError {
    let (message, reason) = (meta::text(status, &["message"]), meta::text(status, &["reason"]));
    let why = match (message, reason) {
        ("", "") => " without explanation".to_string(),
        ("", reason) => format!(": {reason}"),
        (message, _) => format!(": {message}"),
    };
    let message = format!("admission webhook {webhook:?} denied the request{why}");
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| (400..600).contains(code)).unwrap_or(400);
    let mut shown = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure" });
    shown["message"] = json!(message);
    if !reason.is_empty() {
        shown["reason"] = json!(reason);
    }
    if status["details"].is_object() {
        shown["details"] = status["details"].clone();
    }
    shown["code"] = json!(code);
    let mut error = ApiError::new(Reason::named(reason).unwrap_or(Reason::Unknown), message);
    error.foreign = Some(Box::new(shown));
    error
}
