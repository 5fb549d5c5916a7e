//! Spreading: two replicas of one thing should not die together.
//!
//! A spread constraint counts the pods of a group in each domain: a domain is the set
//! of nodes with the same value under `topologyKey`. With `DoNotSchedule` a domain
//! may have at most `maxSkew` pods more than the emptiest one; with
//! `ScheduleAnyway` emptier domains score higher.
//!
//! A pod that says nothing still spreads: pods of the same controller prefer
//! different hosts, and different zones. Upstream does the same with its default
//! constraints (it finds the group through Services, ReplicaSets and StatefulSets
//! that select the pod; here the group is "same controller").
//!
//! Upstream: `pkg/scheduler/framework/plugins/podtopologyspread`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, TopologySpreadConstraint};
use objects::labels::Selector;

use crate::cache::Cache;
use crate::cycle::Cycle;
use crate::filters::{Filter, Verdict};
use crate::node_info::NodeInfo;
use crate::queue::ClusterEvent;
use crate::scores::{MAX_SCORE, Score};

pub const HOSTNAME: &str = "kubernetes.io/hostname";
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// What a constraint does when it cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    DoNotSchedule,
    ScheduleAnyway,
}

/// Whose pods are counted.
#[derive(Clone, Debug)]
enum Group {
    Controller(String),
    Labelled(Selector, BTreeMap<String, String>),
}

impl Group {
    fn holds(&self, pod: &Pod) -> bool {
        let none = BTreeMap::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
        match self {
            Group::Controller(uid) => {
                objects::meta::controller_of(&pod.metadata).is_some_and(|owner| owner.uid == *uid)
            }
            Group::Labelled(selector, equal) => {
                selector.matches(labels) && equal.iter().all(|(key, value)| labels.get(key) == Some(value))
            }
        }
    }
}

/// One constraint and what was counted for it.
#[derive(Clone, Debug)]
pub struct SpreadCount {
    pub key: String,
    pub max_skew: i64,
    /// Does the incoming pod itself belong to the group?
    pub counts_itself: bool,
    /// Pods of the group in each domain, the empty domains included.
    pub domains: BTreeMap<String, i64>,
    min_domains: usize,
    #[allow(dead_code, reason = "used by your answer")]
    group: Group,
}

impl SpreadCount {
    /// The count that every other domain is compared with.
    pub fn emptiest(&self) -> i64 {
        if self.domains.len() < self.min_domains {
            return 0;
        }
        self.domains.values().copied().min().unwrap_or(0)
    }
}

/// All constraints of one strictness.
#[derive(Clone, Debug, Default)]
pub struct SpreadState {
    pub counts: Vec<SpreadCount>,
    /// Constraints of the pod's own ask for every key on the node; the defaults do not.
    pub every_key_needed: bool,
}

impl SpreadState {
    pub fn new(pod: &Pod, cache: &Cache, strictness: Strictness) -> Self {
        let (counts, every_key_needed) = constraints(pod, strictness);
        if counts.is_empty() {
            return SpreadState::default();
        }
        let _ = (&cache, &every_key_needed);
        todo!("lab 05.5: count the group's pods in each domain, over the nodes that take part")
    }
}

fn constraints(pod: &Pod, strictness: Strictness) -> (Vec<SpreadCount>, bool) {
    let spec = pod.spec.as_ref();
    let own = spec.and_then(|spec| spec.topology_spread_constraints.as_deref());
    if let Some(own) = own.filter(|own| !own.is_empty()) {
        let wanted = match strictness {
            Strictness::DoNotSchedule => "DoNotSchedule",
            Strictness::ScheduleAnyway => "ScheduleAnyway",
        };
        let own = own.iter().filter(|c| c.when_unsatisfiable == wanted);
        return (own.filter_map(|c| own_constraint(pod, c)).collect(), true);
    }
    let Some(owner) = objects::meta::controller_of(&pod.metadata) else {
        return (Vec::new(), false);
    };
    if strictness == Strictness::DoNotSchedule {
        return (Vec::new(), false);
    }
    let default = |key: &str, max_skew| SpreadCount {
        key: key.to_owned(),
        max_skew,
        counts_itself: true,
        domains: BTreeMap::new(),
        min_domains: 0,
        group: Group::Controller(owner.uid.clone()),
    };
    (vec![default(HOSTNAME, 5), default(ZONE, 3)], false)
}

fn own_constraint(pod: &Pod, constraint: &TopologySpreadConstraint) -> Option<SpreadCount> {
    let selector = constraint.label_selector.as_ref()?;
    let mut equal = BTreeMap::new();
    for key in constraint.match_label_keys.iter().flatten() {
        if let Some(value) = pod.metadata.labels.as_ref().and_then(|l| l.get(key)) {
            equal.insert(key.clone(), value.clone());
        }
    }
    let group = Group::Labelled(Selector::from_label_selector(selector).ok()?, equal);
    Some(SpreadCount {
        key: constraint.topology_key.clone(),
        max_skew: i64::from(constraint.max_skew),
        counts_itself: group.holds(pod),
        domains: BTreeMap::new(),
        min_domains: usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(1),
        group,
    })
}

/// Both halves of spreading: the constraints that refuse and those that prefer.
///
/// A refusal says `node(s) didn't match pod topology spread constraints`, and that could be
/// resolved by removing pods. For a node that lacks the key ` (missing required label)` follows,
/// and it could not.
pub struct PodTopologySpread;

impl Filter for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Verdict {
        if cycle.must_spread.counts.is_empty() {
            return Ok(());
        }
        let _ = &node;
        todo!("lab 05.5: with the pod in it, no domain may be further ahead of the emptiest than maxSkew")
    }

    fn woken_by(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeLabels, ClusterEvent::PodGone, ClusterEvent::PodPlaced]
    }
}

/// Marks a node that the constraints do not cover; it scores nothing.
const NOT_COVERED: i64 = -1;

impl Score for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    /// The lower the better, until [`Score::normalize`] turns it round: for each constraint
    /// the group's pods in the node's domain times ln(domains + 2), plus `maxSkew` - 1. The
    /// logarithm is upstream's: where domains are few (zones) each holds many pods, and would
    /// outvote the many small ones (hosts). A node that lacks a key counts nothing for it, or
    /// is `NOT_COVERED` if every key is needed.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let state = &cycle.should_spread;
        if state.counts.is_empty() {
            return 0;
        }
        let _ = &node;
        todo!(
            "lab 05.5: for each constraint the pods in this node's domain, weighted, plus the skew that it allows"
        )
    }

    fn normalize(&self, scores: &mut [i64]) {
        let covered = || scores.iter().copied().filter(|score| *score != NOT_COVERED);
        let (least, most) = (covered().min().unwrap_or(0), covered().max().unwrap_or(0));
        for score in scores.iter_mut() {
            *score = if *score == NOT_COVERED {
                0
            } else if most == 0 {
                MAX_SCORE
            } else {
                MAX_SCORE * (most + least - *score) / most
            };
        }
    }
}
