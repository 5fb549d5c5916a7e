//! Scores: of the nodes that may, which one should?
//!
//! Each score plugin gives every feasible node a number; it is normalised to 0..=100,
//! multiplied by the plugin's weight, and summed.
//!
//! How to fill machines is the old question of bin packing. **Worst fit**
//! (`LeastAllocated`, the default) spreads load, and leaves each node some room for
//! peaks; **best fit** (`MostAllocated`) keeps whole nodes free for large pods. Both
//! strand resources: a node out of memory cannot use its idle cores. Borg's **hybrid**
//! tries to use cpu and memory in step (Verma et al., "Large-scale cluster management
//! at Google with Borg", 2015, section 3.2).
//!
//! Upstream: `pkg/scheduler/framework/plugins/noderesources` and neighbours.

use crate::affinity::{node_affinity, term_matches};
use crate::cycle::Cycle;
use crate::node_info::NodeInfo;
use crate::taints::untolerated_taints;

pub const MAX_SCORE: i64 = 100;

/// One opinion on how good a node is.
pub trait Score: Send + Sync {
    fn name(&self) -> &'static str;
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64;
    /// Brings the scores of all feasible nodes into 0..=100.
    fn normalize(&self, _scores: &mut [i64]) {}
}

/// How `NodeResourcesFit` fills nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Packing {
    /// Worst fit.
    #[default]
    LeastAllocated,
    /// Best fit.
    MostAllocated,
    /// Best fit, less what it would strand.
    Hybrid,
}

impl std::str::FromStr for Packing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "LeastAllocated" => Ok(Packing::LeastAllocated),
            "MostAllocated" => Ok(Packing::MostAllocated),
            "Hybrid" => Ok(Packing::Hybrid),
            _ => Err(format!("unknown strategy {text:?}: use LeastAllocated, MostAllocated or Hybrid")),
        }
    }
}

/// The scores of the default profile with upstream's weights.
pub fn default_scores(packing: Packing) -> Vec<(Box<dyn Score>, i64)> {
    vec![
        (Box::new(TaintToleration), 3),
        (Box::new(NodeAffinity), 2),
        (Box::new(crate::spread::PodTopologySpread), 2),
        (Box::new(NodeResourcesFit(packing)), 1),
        (Box::new(BalancedAllocation), 1),
    ]
}

/// Stretches scores so that the largest becomes 100; `reverse` turns them round.
pub fn stretch(scores: &mut [i64], reverse: bool) {
    let _ = (&scores, &reverse);
    todo!("lab 05.3: scale by the largest score; with nothing to scale, reversed means that all are best")
}

/// (cpu, memory) of the node in use, as if the pod were on it, from 0.0 to 1.0;
/// `None` for a resource that the node has none of.
pub fn fractions(cycle: &Cycle<'_>, node: &NodeInfo) -> [Option<f64>; 2] {
    ["cpu", "memory"].map(|name| {
        let allocatable = node.allocatable.get(name);
        let used = node.scored.get(name).saturating_add(cycle.scored.get(name));
        (allocatable > 0).then(|| (used as f64 / allocatable as f64).clamp(0.0, 1.0))
    })
}

/// Room, by the chosen strategy.
pub struct NodeResourcesFit(pub Packing);

impl Score for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let used = fractions(cycle, node);
        let _ = &used;
        todo!(
            "lab 05.3: the mean of what stays free, the mean of what is used, or half that and half the balance; in whole points, rounded"
        )
    }
}

/// 1.0 if cpu and memory are used in step, less the further they are apart: what one
/// of them leaves idle, the other has stranded.
pub fn balance(used: [Option<f64>; 2]) -> f64 {
    match used {
        [Some(cpu), Some(memory)] => 1.0 - (cpu - memory).abs() / 2.0,
        _ => 1.0,
    }
}

/// Prefers nodes whose cpu and memory would be used in step.
pub struct BalancedAllocation;

impl Score for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        (balance(fractions(cycle, node)) * MAX_SCORE as f64).round() as i64
    }
}

/// Counts the `PreferNoSchedule` taints that the pod does not tolerate.
pub struct TaintToleration;

impl Score for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        untolerated_taints(cycle.pod, node, &["PreferNoSchedule"]).count() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        stretch(scores, true);
    }
}

/// Adds up the weights of the preferred terms that hold.
pub struct NodeAffinity;

impl Score for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        node_affinity(cycle.pod)
            .and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref())
            .into_iter()
            .flatten()
            .filter(|preferred| term_matches(&preferred.preference, node))
            .map(|preferred| i64::from(preferred.weight))
            .sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        stretch(scores, false);
    }
}
