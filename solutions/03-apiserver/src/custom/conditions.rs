//! What a definition's status says: whether its names are free, and whether it is served
//! (upstream: `apiextensions-apiserver/pkg/controller/{status,establish,apiapproval,finalizer}`).

use super::definition::Names;
use crate::meta;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const APPROVAL: &str = "api-approved.kubernetes.io";
const APPROVAL_RULE: &str = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";

/// Names of a group that are taken by others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taken {
    /// Plurals, singulars and short names.
    pub resources: BTreeSet<String>,
    /// Kinds and kinds of lists.
    pub kinds: BTreeSet<String>,
}

impl Taken {
    pub fn add(&mut self, names: &Names) {
        self.resources.extend([&names.plural, &names.singular].map(Clone::clone));
        self.resources.extend(names.short_names.iter().cloned());
        self.kinds.extend([&names.kind, &names.list_kind].map(Clone::clone));
    }
}

/// The definition with the status that it should have, given what others of its group are called.
/// Names that were accepted before stay, whoever came later.
pub fn settle(crd: &Value, taken: &Taken, now: Timestamp) -> Value {
    let mut out = crd.clone();
    let wanted = Names::parse(&crd["spec"]["names"]);
    let before = Names::parse(&crd["status"]["acceptedNames"]);
    let (accepted, conflict) = accept(&wanted, &before, taken);
    meta::map_at(&mut out, "status").insert("acceptedNames".into(), accepted.to_value());
    match &conflict {
        Some((reason, why)) => set(&mut out, "NamesAccepted", false, reason, why, now),
        None => set(&mut out, "NamesAccepted", true, "NoConflicts", "no conflicts found", now),
    }
    if !is_true(crd, "Established") {
        let installed = conflict.is_none();
        let (reason, why) = match installed {
            true => ("InitialNamesAccepted", "the initial names have been accepted"),
            false => ("NotAccepted", "not all names are accepted"),
        };
        set(&mut out, "Established", installed, reason, why, now);
    }
    if is_protected(meta::text(crd, &["spec", "group"])) {
        let (approved, reason, why) = approval(crd);
        set(&mut out, "KubernetesAPIApprovalPolicyConformant", approved, reason, &why, now);
    }
    out
}

fn accept(wanted: &Names, before: &Names, taken: &Taken) -> (Names, Option<(&'static str, String)>) {
    let mut accepted = before.clone();
    let mut conflict = None;
    let mut one = |name: &str, had: &str, used: &BTreeSet<String>, reason: &'static str| {
        let free = name == had || !used.contains(name);
        if !free {
            conflict = Some((reason, format!("{name:?} is already in use")));
        }
        free
    };
    if one(&wanted.plural, &before.plural, &taken.resources, "PluralConflict") {
        accepted.plural.clone_from(&wanted.plural);
    }
    if one(&wanted.singular, &before.singular, &taken.resources, "SingularConflict") {
        accepted.singular.clone_from(&wanted.singular);
    }
    let fresh: Vec<bool> = wanted
        .short_names
        .iter()
        .filter(|name| !before.short_names.contains(name))
        .map(|name| one(name, "", &taken.resources, "ShortNamesConflict"))
        .collect();
    if fresh.into_iter().all(|free| free) {
        accepted.short_names.clone_from(&wanted.short_names);
    }
    if one(&wanted.kind, &before.kind, &taken.kinds, "KindConflict") {
        accepted.kind.clone_from(&wanted.kind);
    }
    if one(&wanted.list_kind, &before.list_kind, &taken.kinds, "ListKindConflict") {
        accepted.list_kind.clone_from(&wanted.list_kind);
    }
    accepted.categories.clone_from(&wanted.categories);
    (accepted, conflict)
}

/// Groups that are Kubernetes' own.
pub fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|own| group == *own || group.ends_with(&format!(".{own}")))
}

/// Whether a definition in one of Kubernetes' groups was approved, as its annotation says.
pub fn approval(crd: &Value) -> (bool, &'static str, String) {
    match meta::text(crd, &["metadata", "annotations", APPROVAL]) {
        "" => (false, "MissingAnnotation", APPROVAL_RULE.into()),
        text if text.starts_with("unapproved") => {
            (false, "UnapprovedAnnotation", format!("not approved: {text:?}"))
        }
        text if text.contains("://") => (true, "ApprovedAnnotation", format!("approved in {text}")),
        _ => {
            let why = format!(
                "protected groups must have approval annotation {APPROVAL:?} with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
            );
            (false, "InvalidAnnotation", why)
        }
    }
}

pub fn is_true(crd: &Value, kind: &str) -> bool {
    let conditions = crd["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
}

/// Set a condition; its time moves only when its status does.
pub fn set(crd: &mut Value, kind: &str, holds: bool, reason: &str, why: &str, now: Timestamp) {
    let status = if holds { "True" } else { "False" };
    let conditions = meta::map_at(crd, "status").entry("conditions").or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Value::Array(list) = conditions else { return };
    let old = list.iter().position(|c| c["type"] == kind);
    let since = old.filter(|i| list[*i]["status"] == status).map(|i| list[i]["lastTransitionTime"].clone());
    let condition = json!({
        "lastTransitionTime": since.unwrap_or_else(|| json!(meta::time(now))),
        "message": why,
        "reason": reason,
        "status": status,
        "type": kind,
    });
    match old {
        Some(i) => list[i] = condition,
        None => list.push(condition),
    }
}
