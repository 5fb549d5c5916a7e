//! ResourceQuotas: what a namespace may hold altogether, taken off as objects are made (upstream:
//! `apiserver/pkg/admission/plugin/resourcequota/controller.go`). How much there is comes from the quota's
//! status, which a controller keeps; a quota that it has not seen yet bounds nothing.

use super::Operation;
use crate::meta;
use jiff::Timestamp;
use objects::quantity::Quantity;
use objects::resources::Resource;
use objects::usage::{self, Amounts};
use serde_json::{Value, json};

/// A write as quotas see it.
#[derive(Debug, Clone, Copy)]
pub struct Write<'w> {
    pub resource: &'w Resource,
    pub object: &'w Value,
    /// What there was before an update.
    pub old: Option<&'w Value>,
    pub now: Timestamp,
}

/// Whether such a write can cost anything: what is made always, what is changed only where a change can
/// make it dearer.
pub fn concerns(resource: &Resource, operation: Operation, subresource: &str) -> bool {
    let grows =
        resource.group.is_empty() && ["services", "persistentvolumeclaims"].contains(&resource.plural);
    resource.namespaced
        && subresource.is_empty()
        && match operation {
            Operation::Create => true,
            Operation::Update => grows,
            Operation::Delete | Operation::Connect => false,
        }
}

fn amounts(of: &Value) -> Amounts {
    let read =
        |(name, amount): (&String, &Value)| Some((name.clone(), Quantity::parse(amount.as_str()?).ok()?));
    of.as_object().into_iter().flatten().filter_map(read).collect()
}

impl Write<'_> {
    /// The quota with what this write costs added to what is used; none if it costs this quota nothing.
    /// An error says why the write does not fit.
    pub fn charge(&self, quota: &Value) -> Result<Option<Value>, String> {
        let (group, plural) = (self.resource.group, self.resource.plural);
        let mut hard = amounts(&quota["status"]["hard"]);
        hard.retain(|name, _| usage::counts_for(group, plural, name));
        if hard.is_empty() || !usage::in_scopes(quota, group, plural, self.object) {
            return Ok(None);
        }
        let name = meta::name(quota);
        if (group, plural) == ("", "pods") {
            let missing = usage::unsaid(hard.keys().map(String::as_str), self.object);
            let missing: Vec<String> = missing
                .into_iter()
                .map(|(resource, containers)| format!("{resource} for: {}", containers.join(",")))
                .collect();
            if !missing.is_empty() {
                return Err(format!("failed quota: {name}: must specify {}", missing.join("; ")));
            }
        }
        let used = amounts(&quota["status"]["used"]);
        if hard.keys().any(|resource| !used.contains_key(resource)) {
            let resources: Vec<&str> = hard.keys().map(String::as_str).collect();
            return Err(format!("status unknown for quota: {name}, resources: {}", resources.join(",")));
        }
        let cost = self.cost(&hard);
        if cost.is_empty() {
            return Ok(None);
        }
        let after: Amounts =
            cost.iter().map(|(resource, amount)| (resource.clone(), used[resource] + *amount)).collect();
        let exceeded = |resource: &String| after[resource] > hard[resource];
        if cost.keys().any(exceeded) {
            let shown = |of: &Amounts| {
                let shown = cost.keys().filter(|resource| exceeded(resource));
                let shown: Vec<String> =
                    shown.map(|resource| format!("{resource}={}", of[resource])).collect();
                shown.join(",")
            };
            let (requested, used, limited) = (shown(&cost), shown(&used), shown(&hard));
            return Err(format!(
                "exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"
            ));
        }
        let mut charged = quota.clone();
        for (resource, amount) in after {
            charged["status"]["used"][resource] = json!(amount.to_string());
        }
        Ok(Some(charged))
    }

    /// What it costs of these resources; nothing is given back.
    fn cost(&self, of: &Amounts) -> Amounts {
        let (group, plural) = (self.resource.group, self.resource.plural);
        let mut cost = usage::usage(group, plural, self.object, self.now);
        if let Some(old) = self.old {
            for (resource, before) in usage::usage(group, plural, old, self.now) {
                if let Some(amount) = cost.get_mut(&resource) {
                    *amount -= before;
                }
            }
        }
        cost.retain(|resource, amount| of.contains_key(resource) && *amount > Quantity::ZERO);
        cost
    }
}
