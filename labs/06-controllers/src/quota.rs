//! ResourceQuotas: what is used of what a namespace may hold (upstream:
//! `pkg/controller/resourcequota/resource_quota_controller.go`). The API server takes each new object off
//! that amount; this counts it anew when something has gone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::jiff::Timestamp;
use objects::usage::{self, Amounts};
use serde_json::Value;

/// The objects of one kind in the quota's namespace.
pub struct Found {
    pub group: String,
    pub plural: String,
    pub objects: Vec<Value>,
}

fn hard(quota: &ResourceQuota) -> BTreeMap<String, ApiQuantity> {
    quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default()
}

/// Whether objects of this kind must be looked at to say what is used.
pub fn counts(quota: &ResourceQuota, group: &str, plural: &str) -> bool {
    hard(quota).keys().any(|name| usage::counts_for(group, plural, name))
}

/// What the quota's status should say when these are all objects that it counts. A resource that no kind
/// counts for is left out: nobody knows what is used of it.
pub fn status(quota: &ResourceQuota, found: &[Found], now: Timestamp) -> ResourceQuotaStatus {
    let hard = hard(quota);
    let scopes = serde_json::to_value(quota).unwrap_or_default();
    let mut used = Amounts::new();
    for Found { group, plural, objects } in found {
        let counted = |name: &str| usage::counts_for(group, plural, name);
        for name in hard.keys().filter(|name| counted(name)) {
            used.entry(name.clone()).or_default();
        }
        for object in objects.iter().filter(|object| usage::in_scopes(&scopes, group, plural, object)) {
            for (name, amount) in usage::usage(group, plural, object, now) {
                if let Some(total) = used.get_mut(&name) {
                    *total += amount;
                }
            }
        }
    }
    let used = used.into_iter().map(|(name, amount)| (name, ApiQuantity(amount.to_string())));
    ResourceQuotaStatus { hard: Some(hard), used: Some(used.collect()) }
}
