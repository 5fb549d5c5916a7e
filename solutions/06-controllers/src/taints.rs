//! Eviction by taint: a `NoExecute` taint sends away the pods that do not tolerate it,
//! and those that tolerate it for a time only, when that time is over.
//!
//! Upstream: `pkg/controller/tainteviction`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use k8s_openapi::jiff::Timestamp;
use objects::meta;

use crate::pods::{has_ended, is_going};

/// Does this toleration cover this taint?
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    match text(&toleration.operator).as_str() {
        "Exists" => true,
        "" | "Equal" => text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}

/// When to evict the pod from a node with these taints; each comes with the time since
/// when it counts. `None`: it may stay.
///
/// A taint that no toleration covers evicts at once (at the time of the taint). One that
/// is tolerated for `tolerationSeconds` evicts that much later. The earliest counts.
pub fn evict_at(pod: &Pod, taints: &[(Taint, Timestamp)]) -> Option<Timestamp> {
    if has_ended(pod) || is_going(pod) {
        return None;
    }
    let none = Vec::new();
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_ref()).unwrap_or(&none);
    // lab:begin 06.4 over all NoExecute taints, the earliest end of the pod's patience
    use crate::pods::after;
    let mut earliest: Option<Timestamp> = None;
    for (taint, since) in taints.iter().filter(|(taint, _)| taint.effect == "NoExecute") {
        let patience = match tolerations.iter().find(|toleration| tolerates(toleration, taint)) {
            None => 0,
            Some(toleration) => match toleration.toleration_seconds {
                None => continue,
                Some(seconds) => seconds.clamp(0, 1 << 31),
            },
        };
        let at = after(*since, patience);
        earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
    }
    earliest
    // lab:end
}

type TaintId = (String, String, String);

/// Since when each node has its taints. Those of the node lifecycle carry their time;
/// for those that a person adds it is the time at which they were first seen.
#[derive(Clone, Debug, Default)]
pub struct TaintClock {
    seen: BTreeMap<String, BTreeMap<TaintId, Timestamp>>,
}

impl TaintClock {
    /// The node's `NoExecute` taints, each with its time.
    pub fn handle_node(&mut self, node: &Node, now: Timestamp) -> Vec<(Taint, Timestamp)> {
        let name = meta::name(&node.metadata).to_owned();
        let mut before = self.seen.remove(&name).unwrap_or_default();
        let mut current = BTreeMap::new();
        let mut timed = Vec::new();
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        for taint in taints.into_iter().flatten().filter(|taint| taint.effect == "NoExecute") {
            let id = (taint.key.clone(), taint.value.clone().unwrap_or_default(), taint.effect.clone());
            let said = taint.time_added.as_ref().map(|time| time.0);
            let since = said.or_else(|| before.remove(&id)).unwrap_or(now);
            current.insert(id, since);
            timed.push((taint.clone(), since));
        }
        if !current.is_empty() {
            self.seen.insert(name, current);
        }
        timed
    }

    pub fn handle_gone(&mut self, node: &str) {
        self.seen.remove(node);
    }
}
