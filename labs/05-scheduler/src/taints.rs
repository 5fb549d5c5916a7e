//! Taints keep pods away from a node; tolerations let some of them stay.

use k8s_openapi::api::core::v1::{Pod, Taint, Toleration};

use crate::node_info::NodeInfo;

/// Does this toleration cover this taint? An empty key with `Exists` covers every
/// key, an empty effect every effect.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let _ = (&taint, &effect, &key);
    todo!("lab 05.2: compare effect, key, and then what the operator says about the value")
}

/// The first taint with one of these effects that the pod does not tolerate.
pub fn untolerated<'a>(pod: &Pod, node: &'a NodeInfo, effects: &[&str]) -> Option<&'a Taint> {
    untolerated_taints(pod, node, effects).next()
}

/// All of them, in the node's order.
pub fn untolerated_taints<'a>(
    pod: &Pod,
    node: &'a NodeInfo,
    effects: &[&str],
) -> impl Iterator<Item = &'a Taint> {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_ref());
    let taints = node.node.as_ref().and_then(|node| node.spec.as_ref()).and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().filter(move |taint| {
        effects.contains(&taint.effect.as_str())
            && !tolerations.into_iter().flatten().any(|toleration| tolerates(toleration, taint))
    })
}
