//! A polite delete of a pod: disruption budgets may refuse it
//! (KEP-85; upstream: `pkg/registry/core/pod/storage/eviction.go`).

use crate::meta::{self, map_at};
use crate::status::{ApiError, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::labels::Selector;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is to happen before the pod may go.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nobody minds.
    Free,
    /// One budget pays: this is what it becomes.
    Paid(Value),
}

/// Budgets have so many pods on their way at most; one that has more is asked again later.
const MAX_DISRUPTED: usize = 2000;

/// Judge the eviction of `pod` by the budgets of its namespace.
pub fn judge(pod: &Value, budgets: &[Value], now: Timestamp) -> Result<Verdict, ApiError> {
    // Who has ended, or never ran, disrupts nothing.
    if ["Succeeded", "Failed", "Pending"].contains(&meta::text(pod, &["status", "phase"]))
        || meta::is_deleting(pod)
    {
        return Ok(Verdict::Free);
    }
    let mut minding = budgets.iter().filter(|budget| covers(budget, pod));
    let Some(budget) = minding.next() else { return Ok(Verdict::Free) };
    if minding.next().is_some() {
        return Err(ApiError::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    if !is_ready(pod) && is_free_while_unready(budget) {
        return Ok(Verdict::Free);
    }
    pay(pod, budget, now).map(Verdict::Paid)
}

fn covers(budget: &Value, pod: &Value) -> bool {
    let selector = LabelSelector::deserialize(&budget["spec"]["selector"])
        .ok()
        .and_then(|selector| Selector::from_label_selector(&selector).ok());
    let labels: BTreeMap<String, String> = crate::selection::labels_of(pod);
    let in_reach = meta::namespace(budget) == meta::namespace(pod) && !budget["spec"]["selector"].is_null();
    in_reach && selector.is_some_and(|selector| selector.matches(&labels))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// A pod that is not ready counts for no budget; whether it may go at once is the budget's policy.
fn is_free_while_unready(budget: &Value) -> bool {
    let status = &budget["status"];
    let healthy = status["currentHealthy"].as_i64().unwrap_or(0);
    let desired = status["desiredHealthy"].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" || (healthy >= desired && desired > 0)
}

/// Take one disruption off the budget, and note for whom.
fn pay(pod: &Value, budget: &Value, now: Timestamp) -> Result<Value, ApiError> {
    let name = meta::name(budget);
    let status = &budget["status"];
    let observed = status["observedGeneration"].as_i64().unwrap_or(0);
    if observed < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        let message = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refused(&message).retry_after(10));
    }
    let allowed = status["disruptionsAllowed"].as_i64().unwrap_or(0);
    if allowed <= 0 {
        let healthy = status["currentHealthy"].as_i64().unwrap_or(0);
        let desired = status["desiredHealthy"].as_i64().unwrap_or(0);
        let message = match healthy <= desired {
            true => format!(
                "The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
            ),
            false => format!("The disruption budget {name} does not allow evicting pods currently"),
        };
        return Err(refused(&message));
    }
    let disrupted = status["disruptedPods"].as_object().map_or(0, serde_json::Map::len);
    if disrupted > MAX_DISRUPTED {
        let message = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(ApiError::new(Reason::Forbidden, message));
    }
    let mut paid = budget.clone();
    let status = map_at(&mut paid, "status");
    status.insert("disruptionsAllowed".into(), json!(allowed - 1));
    let noted = meta::as_map(status.entry("disruptedPods").or_insert_with(|| json!({})));
    noted.insert(meta::name(pod).into(), json!(meta::time(now)));
    Ok(paid)
}

fn refused(why: &str) -> ApiError {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    ApiError::new(Reason::TooManyRequests, message).cause("DisruptionBudget", why, "")
}
