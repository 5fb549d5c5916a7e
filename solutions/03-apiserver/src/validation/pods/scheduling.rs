//! Where a pod may run: affinity, tolerations, spread, gates.

use crate::fields::{Errors, quote};
use crate::names;
use crate::validation::at::At;
use crate::validation::meta;
use crate::validation::rules::{Row, Rule};
use std::collections::BTreeSet;

pub static TOLERATION: &[Row] = &[Row("", Rule::Code(toleration))];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn toleration(at: &At<'_>, errors: &mut Errors) {
    let (key, operator, value) = (at.get("key"), at.get("operator"), at.get("value"));
    let effect = at.get("effect");
    key.name(names::qualified, errors);
    if key.is_empty() && operator.text() != "Exists" {
        let why =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        operator.invalid_text(why, errors);
    }
    if at.get("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
        effect.invalid_text("effect must be 'NoExecute' when `tolerationSeconds` is set", errors);
    }
    match operator.text() {
        "" | "Equal" => {
            let wrong = names::label_value(value.text());
            if !wrong.is_empty() {
                errors.invalid(&operator.path, value.value, wrong.join(";"));
            }
        }
        "Exists" if !value.is_empty() => {
            let seconds = match at.get("tolerationSeconds").int() {
                None => "(*int64)(nil)".to_string(),
                // Upstream shows an address here, another each time.
                Some(seconds) => format!("(*int64)({seconds})"),
            };
            let printed = format!(
                "core.Toleration{{Key:{}, Operator:\"Exists\", Value:{}, Effect:{}, TolerationSeconds:{seconds}}}",
                quote(key.text()),
                quote(value.text()),
                quote(effect.text())
            );
            let why = "value must be empty when `operator` is 'Exists'";
            errors.invalid_text(&operator.path, &printed, why);
        }
        "Exists" => {}
        _ => operator.unsupported(&["Equal", "Exists"], errors),
    }
    if !effect.is_empty() {
        effect.one_of(&EFFECTS, errors);
    }
}

/// The taints of a node. Upstream reports them as if they were metadata.
pub fn taints(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for taint in list.named("metadata.taints").items() {
        let (key, value, effect) = (taint.get("key"), taint.get("value"), taint.get("effect"));
        key.obey(names::qualified, errors);
        let wrong = names::label_value(value.text());
        if !wrong.is_empty() {
            value.invalid(wrong.join(";"), errors);
        }
        effect.choice(&EFFECTS, errors);
        if !seen.insert((key.text(), effect.text())) {
            let printed = format!(
                "core.Taint{{Key:{}, Value:{}, Effect:{}, TimeAdded:<nil>}}: taints must be unique by key and effect pair",
                quote(key.text()),
                quote(value.text()),
                quote(effect.text())
            );
            errors.duplicate_text(&taint.path, &printed);
        }
    }
}

pub static AFFINITY: &[Row] = &[
    Row("nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", Rule::Code(node_selector)),
    Row(
        "nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
        Rule::Each(&[
            Row("weight", Rule::Code(weight)),
            Row("preference", Rule::Code(|term, errors| node_selector_term(term, false, errors))),
        ]),
    ),
    Row("podAffinity", Rule::Within(POD_AFFINITY)),
    Row("podAntiAffinity", Rule::Within(POD_AFFINITY)),
];

static POD_AFFINITY: &[Row] = &[
    Row("requiredDuringSchedulingIgnoredDuringExecution", Rule::Each(&[Row("", Rule::Code(pod_term))])),
    Row(
        "preferredDuringSchedulingIgnoredDuringExecution",
        Rule::Each(&[Row("weight", Rule::Code(weight)), Row("podAffinityTerm", Rule::Code(pod_term))]),
    ),
];

fn weight(at: &At<'_>, errors: &mut Errors) {
    if !at.int().is_some_and(|weight| (1..=100).contains(&weight)) {
        at.invalid_number("must be in the range 1-100", errors);
    }
}

/// Which nodes, in terms of which one must hold.
pub fn node_selector(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let terms = at.get("nodeSelectorTerms");
    if terms.is_empty() {
        terms.required("must have at least one node selector term", errors);
    }
    terms.items().for_each(|term| node_selector_term(&term, true, errors));
}

/// A preference may name values that no label can have.
fn node_selector_term(term: &At<'_>, strict: bool, errors: &mut Errors) {
    for requirement in term.get("matchExpressions").items() {
        let (operator, values) = (requirement.get("operator"), requirement.get("values"));
        match operator.text() {
            "In" | "NotIn" if values.is_empty() => {
                values.required("must be specified when `operator` is 'In' or 'NotIn'", errors);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                values
                    .forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'", errors);
            }
            "Gt" | "Lt" if values.len() != 1 => {
                values.required("must be specified single value when `operator` is 'Lt' or 'Gt'", errors);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            _ => operator.invalid_text("not a valid selector operator", errors),
        }
        requirement.get("key").obey(names::qualified, errors);
        if strict {
            values.items().for_each(|value| value.obey(names::label_value, errors));
        }
    }
    for requirement in term.get("matchFields").items() {
        let (key, operator, values) =
            (requirement.get("key"), requirement.get("operator"), requirement.get("values"));
        match operator.text() {
            "In" | "NotIn" if values.len() != 1 => {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                values.required(why, errors);
            }
            "In" | "NotIn" => {}
            _ => operator.invalid_text("not a valid selector operator", errors),
        }
        if key.text() == "metadata.name" {
            values.items().for_each(|value| value.obey(names::subdomain, errors));
        } else {
            key.invalid_text("not a valid field selector key", errors);
        }
    }
}

/// Which pods, and within what: a term of pod affinity.
fn pod_term(term: &At<'_>, errors: &mut Errors) {
    let selector = term.get("labelSelector");
    meta::selector(&selector, errors);
    meta::selector(&term.get("namespaceSelector"), errors);
    for namespace in term.get("namespaces").items() {
        namespace.named(term.child("namespace")).obey(names::label, errors);
    }
    let mismatched = term.get("mismatchLabelKeys");
    for keys in [term.get("matchLabelKeys"), mismatched.clone()] {
        if !keys.is_empty() && !selector.is_set() {
            keys.forbidden("must not be specified when labelSelector is not set", errors);
        } else {
            keys.items().for_each(|key| key.obey(names::qualified, errors));
        }
    }
    for key in term.get("matchLabelKeys").items() {
        if mismatched.texts().contains(&key.text()) {
            key.invalid("exists in both matchLabelKeys and mismatchLabelKeys", errors);
        }
    }
    let topology = term.get("topologyKey");
    if topology.is_empty() {
        topology.required("can not be empty", errors);
    }
    topology.obey(names::qualified, errors);
}

/// How evenly pods are spread.
pub fn spread(list: &At<'_>, errors: &mut Errors) {
    let key_of =
        |c: &At<'_>| format!("{{{}, {}}}", c.get("topologyKey").text(), c.get("whenUnsatisfiable").text());
    let all: Vec<At<'_>> = list.items().collect();
    for (i, at) in all.iter().enumerate() {
        let (skew, domains, action) = (at.get("maxSkew"), at.get("minDomains"), at.get("whenUnsatisfiable"));
        if skew.int().unwrap_or(0) <= 0 {
            skew.invalid_number("must be greater than zero", errors);
        }
        if at.get("topologyKey").is_empty() {
            at.get("topologyKey").required("can not be empty", errors);
        }
        action.unsupported(&["DoNotSchedule", "ScheduleAnyway"], errors);
        if all[i + 1..].iter().any(|later| key_of(later) == key_of(at)) {
            let path = at.child("{topologyKey, whenUnsatisfiable}");
            errors.duplicate(&path, &key_of(at).into());
        }
        if domains.is_set() {
            if domains.int().unwrap_or(0) <= 0 {
                domains.invalid("must be greater than zero", errors);
            }
            if action.text() != "DoNotSchedule" {
                let why = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                    action.text()
                );
                domains.invalid(why, errors);
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            at.get(policy).one_of(&["Honor", "Ignore"], errors);
        }
        match_label_keys(at, errors);
        meta::selector(&at.get("labelSelector"), errors);
    }
}

fn match_label_keys(at: &At<'_>, errors: &mut Errors) {
    let (keys, selector) = (at.get("matchLabelKeys"), at.get("labelSelector"));
    if !keys.is_empty() && !selector.is_set() {
        keys.forbidden("must not be specified when labelSelector is not set", errors);
    }
    let labels = selector.get("matchLabels");
    let expressions = selector.get("matchExpressions");
    for key in keys.items() {
        key.obey(names::qualified, errors);
        let selected = labels.entries().any(|(label, _)| label == key.text())
            || expressions.items().any(|e| e.get("key").text() == key.text());
        if selected {
            key.invalid("exists in both matchLabelKeys and labelSelector", errors);
        }
    }
}

/// What must be taken away before a pod is scheduled.
pub fn gates(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for gate in list.items() {
        let name = gate.get("name").named(&*gate.path);
        name.obey(names::qualified, errors);
        if !seen.insert(name.text()) {
            name.duplicate(errors);
        }
    }
}
