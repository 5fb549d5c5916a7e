//! One attempt: filter, score, choose. And what to say when nothing fits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::Pod;

use crate::cache::Cache;
use crate::cycle::Cycle;
use crate::filters::{Filter, Refusal, default_filters};
use crate::node_info::NodeInfo;
use crate::queue::ClusterEvent;
use crate::scores::{Packing, Score, default_scores};

/// Which plugins decide, and how much each score weighs.
pub struct Profile {
    pub filters: Vec<Box<dyn Filter>>,
    pub scores: Vec<(Box<dyn Score>, i64)>,
}

impl Profile {
    pub fn new(packing: Packing) -> Self {
        Profile { filters: default_filters(), scores: default_scores(packing) }
    }
}

/// The chosen node, and what every feasible node scored (in name order).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub node: String,
    pub scores: Vec<(String, i64)>,
}

/// No node fits. Displays as upstream's `FailedScheduling` message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FitError {
    pub refusals: BTreeMap<String, Refusal>,
    /// What the filters that refused want to be woken by.
    pub woken_by: BTreeSet<ClusterEvent>,
    /// The pod says `preemptionPolicy: Never`.
    pub never_preempts: bool,
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.refusals.len();
        if all == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        let reasons = self.refusals.values().flat_map(|refusal| refusal.reasons.iter());
        let reasons = histogram(reasons.map(String::as_str));
        write!(f, "0/{all} nodes are available: {reasons}. preemption: ")?;
        if self.never_preempts {
            return f.write_str("not eligible due to preemptionPolicy=Never.");
        }
        let helpful = self.refusals.values().map(|refusal| match refusal.resolvable {
            true => "No preemption victims found for incoming pod",
            false => "Preemption is not helpful for scheduling",
        });
        let reasons = histogram(helpful);
        write!(f, "0/{all} nodes are available: {reasons}.")
    }
}

/// `"2 Insufficient cpu, 1 Too many pods"`, sorted as text: that is upstream's order.
fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut lines: Vec<String> = counts.iter().map(|(r, n)| format!("{n} {r}")).collect();
    lines.sort();
    lines.join(", ")
}

/// Finds the best node for the pod. Of several best ones, in name order, `tie` picks one: 0 the
/// first, 1 the second, and round again, so that the same number gives the same answer.
pub fn schedule(cache: &Cache, pod: &Pod, profile: &Profile, tie: u64) -> Result<Decision, FitError> {
    let _ = (&cache, &pod, &profile, &tie);
    todo!("lab 05.3: filter, score, and of the best ones the tie-th")
}

/// The nodes that no filter refuses; if there are none, everything that was said.
pub fn feasible_nodes<'c>(
    cache: &'c Cache,
    cycle: &Cycle<'_>,
    profile: &Profile,
) -> Result<Vec<&'c NodeInfo>, FitError> {
    let mut feasible: Vec<&NodeInfo> = Vec::new();
    let mut refusals = BTreeMap::new();
    let mut woken_by = BTreeSet::from([ClusterEvent::NodeAdded]);
    for node in cache.nodes() {
        let mut refused = None;
        for filter in &profile.filters {
            if let Err(refusal) = filter.filter(cycle, node) {
                woken_by.extend(filter.woken_by());
                refused = Some(refusal);
                break;
            }
        }
        match refused {
            Some(refusal) => drop(refusals.insert(node.name().to_owned(), refusal)),
            None => feasible.push(node),
        }
    }
    if !feasible.is_empty() {
        return Ok(feasible);
    }
    let spec = cycle.pod.spec.as_ref();
    let never_preempts = spec.and_then(|s| s.preemption_policy.as_deref()) == Some("Never");
    Err(FitError { refusals, woken_by, never_preempts })
}

/// The weighted sum of the normalised scores of each node, in the nodes' order.
pub fn score_nodes(nodes: &[&NodeInfo], cycle: &Cycle<'_>, profile: &Profile) -> Vec<(String, i64)> {
    let _ = (&nodes, &cycle, &profile);
    todo!("lab 05.3: ask every plugin for every node, normalise per plugin, weigh, sum")
}
