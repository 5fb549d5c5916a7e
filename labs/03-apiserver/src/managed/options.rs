//! What the query of a write says about ownership (upstream:
//! `apimachinery/pkg/apis/meta/v1/validation`, `ValidatePatchOptions` and its siblings).

use crate::fields::Errors;
use crate::query::Query;
use crate::status::ApiError;
use objects::resources::{self, Resource};
use serde_json::json;

/// The longest name of a manager, in bytes.
const LONGEST: usize = 128;

/// Check `fieldManager` and `force`; the answer is `force`. `options` is what upstream calls them
/// (`PatchOptions`); a patch that `applies` must say who it is, and nothing else may use force.
pub fn check(query: &Query, options: &'static str, applies: bool) -> Result<bool, ApiError> {
    let mut wrong = Errors::default();
    let manager = query.get("fieldManager").unwrap_or_default();
    let force = query.switch("force");
    if applies && manager.is_empty() {
        wrong.required("fieldManager", "is required for apply patch");
    }
    if !applies && force.is_some() && options == "PatchOptions" {
        wrong.forbidden("force", "may not be specified for non-apply patch");
    }
    if manager.len() > LONGEST {
        wrong.too_long("fieldManager", LONGEST as i64);
    }
    if manager.chars().any(char::is_control) {
        wrong.invalid("fieldManager", &json!(manager), "should only contain printable characters");
    }
    let shown = resources::all().first().map(|row| Resource { group: "meta.k8s.io", kind: options, ..*row });
    shown.map_or(Ok(()), |shown| wrong.into_result(&shown, ""))?;
    Ok(force.unwrap_or(false))
}

/// Who writes, when the request does not say: what stands before the first slash of the
/// User-Agent, as far as it can be printed.
pub fn manager_of(user_agent: &str) -> String {
    let name = user_agent.split('/').next().unwrap_or_default();
    let mut printable: String = name.chars().filter(|c: &char| !c.is_control()).collect();
    while printable.len() > LONGEST {
        printable.pop();
    }
    if printable.is_empty() { "unknown".into() } else { printable }
}
