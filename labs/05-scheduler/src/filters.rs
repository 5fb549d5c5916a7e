//! Filters: may this pod run on this node at all?
//!
//! Each filter is a small plugin that knows one reason for a refusal. For each node
//! the profile's filters are asked in order, and the first refusal ends it; the
//! texts of the refusals, counted over all nodes, are what a person reads in the
//! pod's `FailedScheduling` event, so they are upstream's to the letter.
//!
//! Upstream: `pkg/scheduler/framework/plugins/*`.

use crate::affinity::required_matches;
use crate::cycle::Cycle;
use crate::node_info::NodeInfo;
use crate::pod::node_name;
use crate::queue::ClusterEvent;

/// Why a node was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reasons: Vec<String>,
    /// Could it help to remove other pods from the node?
    pub resolvable: bool,
}

impl Refusal {
    pub fn resolvable(reason: impl Into<String>) -> Self {
        Refusal { reasons: vec![reason.into()], resolvable: true }
    }

    pub fn unresolvable(reason: impl Into<String>) -> Self {
        Refusal { reasons: vec![reason.into()], resolvable: false }
    }
}

pub type Verdict = Result<(), Refusal>;

/// One reason to refuse a node.
pub trait Filter: Send + Sync {
    fn name(&self) -> &'static str;
    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Verdict;
    /// The changes after which a refused pod is worth another attempt.
    fn woken_by(&self) -> &'static [ClusterEvent];
}

/// The filters of the default profile, in upstream's order.
pub fn default_filters() -> Vec<Box<dyn Filter>> {
    vec![
        Box::new(NodeUnschedulable),
        Box::new(NodeName),
        Box::new(TaintToleration),
        Box::new(NodeAffinity),
        Box::new(NodePorts),
        Box::new(NodeResourcesFit),
        Box::new(crate::spread::PodTopologySpread),
    ]
}

/// `kubectl cordon`: no new pods, unless they tolerate that very taint.
pub struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Verdict {
        let spec = node.node.as_ref().and_then(|node| node.spec.as_ref());
        if spec.and_then(|spec| spec.unschedulable) != Some(true) {
            return Ok(());
        }
        let taint = k8s_openapi::api::core::v1::Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Default::default()
        };
        let spec = cycle.pod.spec.as_ref();
        let mut tolerations = spec.and_then(|spec| spec.tolerations.as_ref()).into_iter().flatten();
        if tolerations.any(|toleration| crate::taints::tolerates(toleration, &taint)) {
            return Ok(());
        }
        Err(Refusal::unresolvable("node(s) were unschedulable"))
    }

    fn woken_by(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeTaints]
    }
}

/// The pod names its node already.
pub struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Verdict {
        match node_name(cycle.pod) {
            Some(name) if name != node.name() => {
                Err(Refusal::unresolvable("node(s) didn't match the requested node name"))
            }
            _ => Ok(()),
        }
    }

    fn woken_by(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded]
    }
}

/// Taints with `NoSchedule` and `NoExecute` refuse whoever does not tolerate them. The
/// text is `node(s) had untolerated taint {KEY: VALUE}`, for the first such taint, with
/// nothing behind the colon and its blank if the taint has no value. No eviction helps.
pub struct TaintToleration;

impl Filter for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Verdict {
        let _ = (&cycle, &node);
        todo!("lab 05.2: refuse for the first taint that the pod does not tolerate")
    }

    fn woken_by(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeTaints]
    }
}

/// `nodeSelector` and required node affinity.
pub struct NodeAffinity;

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Verdict {
        if required_matches(cycle.pod, node) {
            return Ok(());
        }
        Err(Refusal::unresolvable("node(s) didn't match Pod's node affinity/selector"))
    }

    fn woken_by(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeLabels]
    }
}

/// A host port can be taken once per node (and address, and protocol).
pub struct NodePorts;

impl Filter for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Verdict {
        let taken = |wanted| node.ports.iter().any(|(port, _)| port.conflicts_with(wanted));
        if cycle.ports.iter().any(taken) {
            let reason = "node(s) didn't have free ports for the requested pod ports";
            return Err(Refusal::resolvable(reason));
        }
        Ok(())
    }

    fn woken_by(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::PodGone]
    }
}

/// Is there room for the pod and for everything that it requests?
///
/// The reasons, all that there are: `Too many pods`, if the node's `pods` are used up; then
/// `Insufficient NAME` for each resource in name order. Removing other pods could help
/// (`resolvable`) unless some request is larger than all that the node has.
pub struct NodeResourcesFit;

impl Filter for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Verdict {
        let _ = (&cycle, &node);
        todo!("lab 05.2: collect every reason, and find out whether removing pods could help")
    }

    fn woken_by(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeAllocatable, ClusterEvent::PodGone]
    }
}
