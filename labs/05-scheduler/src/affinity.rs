//! Which nodes a pod says it wants: `nodeSelector` and node affinity.
//!
//! A node selector is a list of terms, and one of them must hold. A term holds if
//! all of its expressions (over labels) and fields (`metadata.name` alone) hold. An
//! empty term, and an empty list, match nothing.
//!
//! Upstream: `k8s.io/component-helpers/scheduling/corev1/nodeaffinity`.

use k8s_openapi::api::core::v1::{NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm, Pod};

use crate::node_info::NodeInfo;

/// The pod's node affinity, if it has one.
pub fn node_affinity(pod: &Pod) -> Option<&NodeAffinity> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?;
    affinity.node_affinity.as_ref()
}

/// Does the node satisfy `nodeSelector` and the required node affinity, both?
pub fn required_matches(pod: &Pod, node: &NodeInfo) -> bool {
    let _ = (&pod, &node);
    todo!(
        "lab 05.2: every pair of the nodeSelector, and one of the required terms if there is such an affinity"
    )
}

/// Does this term hold on this node?
pub fn term_matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.iter().flatten();
    let fields = term.match_fields.iter().flatten();
    let mut requirements = 0;
    let mut all_hold = true;
    for requirement in expressions {
        requirements += 1;
        all_hold &= requirement_holds(requirement, node.label(&requirement.key));
    }
    for requirement in fields {
        requirements += 1;
        let field = (requirement.key == "metadata.name").then(|| node.name());
        all_hold &= requirement_holds(requirement, field);
    }
    requirements > 0 && all_hold
}

/// One requirement against the value under its key, `None` if there is none.
pub fn requirement_holds(requirement: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let _ = (&actual, &values);
    todo!("lab 05.2: In, NotIn, Exists, DoesNotExist, and Gt and Lt over whole numbers")
}
