//! Labels of nodes that have newer names (upstream: `pkg/api/node/util.go`).

use crate::names;
use crate::validation::at::At;

static DEPRECATED: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// What is to be said of the label of a node.
pub fn deprecated(label: &str) -> Option<&'static str> {
    DEPRECATED.iter().find(|(old, _)| *old == label).map(|(_, why)| *why)
}

/// A text that is the key of such a label.
pub fn key(at: &At<'_>, said: &mut Vec<String>) {
    if let Some(why) = deprecated(at.text()) {
        at.warn(format!("{} is {why}", at.text()), said);
    }
}

/// A map from labels to values.
pub fn selector(map: &At<'_>, said: &mut Vec<String>) {
    for (label, entry) in map.entries() {
        if let Some(why) = deprecated(label) {
            entry.warn(why, said);
        }
    }
}

/// What a node is asked for. A preference may name values that no label has; they are told here,
/// for nothing refuses them.
pub fn term(term: &At<'_>, with_values: bool, said: &mut Vec<String>) {
    for requirement in term.get("matchExpressions").items() {
        key(&requirement.get("key"), said);
        for value in requirement.get("values").items().filter(|_| with_values) {
            for why in names::label_value(value.text()) {
                value.warn(format!("{} is invalid, {why}", value.text()), said);
            }
        }
    }
}
