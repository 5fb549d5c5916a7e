//! How much a pod may take from its node: the Pod Security Standards, one level a namespace
//! (KEP-2579; upstream: `staging/src/k8s.io/pod-security-admission`).
//!
//! ```text
//!  the namespace's labels ──► policy: enforce, warn, audit
//!                                │
//!  a pod ───────────────────► checks ──► findings ──► 403, or a warning
//!  a Deployment's template ──►   "          "     ──► a warning: its pods will be refused later
//!  the namespace itself ─────► its pods     "     ──► a warning: they stay, but could not come again
//! ```
//!
//! * `policy`: what the labels say.
//! * `checks`: which checks belong to a level; `baseline`, `restricted`: the checks.
//!
//! Levels are nested: what restricted allows, baseline allows, and privileged allows everything.
//!
//! What is left out: every version means the newest checks (upstream keeps the older ones), nobody is
//! exempt (`AdmissionConfiguration`), and `audit` is read but told to nobody.

mod baseline;
mod checks;
mod policy;
mod restricted;

pub use checks::{Finding, Pod, find};
pub use policy::{Level, Measure, Policy, Version};

use super::{Attributes, Operation};
use crate::kinds;
use crate::meta;
use crate::status::ApiError;
use serde_json::Value;
use std::collections::BTreeMap;

/// What of a write there is to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The labels of a namespace.
    Namespace,
    Pod,
    /// A template of pods: the pointer to it.
    Template(&'static str),
}

/// Parts of a pod that say nothing of what its containers may do.
const HARMLESS_PARTS: [&str; 8] =
    ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

/// What there is to judge in this write, if anything.
pub fn subject(attributes: &Attributes) -> Option<Subject> {
    if !matches!(attributes.operation, Operation::Create | Operation::Update) {
        return None;
    }
    let (resource, part) = (attributes.kind.resource, attributes.subresource.as_str());
    match (resource.group, resource.kind) {
        ("", "Pod") => (!HARMLESS_PARTS.contains(&part)).then_some(Subject::Pod),
        _ if !part.is_empty() => None,
        ("", "Namespace") => Some(Subject::Namespace),
        _ => kinds::pod_template(resource).map(Subject::Template),
    }
}

/// Whether a pod may be written in this namespace, and what its writer is warned of.
pub fn judge_pod(
    attributes: &Attributes,
    pod: &Value,
    old: Option<&Value>,
    namespace: &Value,
) -> Result<Option<String>, ApiError> {
    if old.is_some_and(|old| !matters(pod, old)) {
        return Ok(None);
    }
    let (policy, _) = Policy::read(&namespace["metadata"]["labels"]);
    let shown = Pod::of(pod);
    match violation(policy.enforce, &shown) {
        Some(violation) => Err(attributes.forbidden(Some(pod), &format!("violates {violation}"))),
        None => Ok(warning(policy.warn, &shown)),
    }
}

/// What the writer of a template is warned of. It is not refused: the pods made of it will be.
pub fn judge_template(object: &Value, pointer: &str, namespace: &Value) -> Option<String> {
    // A ReplicationController may be without one.
    let template = object.pointer(pointer).filter(|template| template.is_object())?;
    let (policy, _) = Policy::read(&namespace["metadata"]["labels"]);
    warning(policy.warn, &Pod::of(template))
}

/// What a pod violates, with its details.
fn violation(measure: Measure, pod: &Pod<'_>) -> Option<String> {
    let findings = find(measure.level, pod);
    let shown: Vec<String> = findings.iter().map(Finding::to_string).collect();
    (!findings.is_empty()).then(|| format!("PodSecurity \"{measure}\": {}", shown.join(", ")))
}

fn warning(measure: Measure, pod: &Pod<'_>) -> Option<String> {
    violation(measure, pod).map(|violation| format!("would violate {violation}"))
}

/// Whether a change of a pod is one that may make it less safe: of what may change at all, images
/// and old annotations alone.
fn matters(new: &Value, old: &Value) -> bool {
    const OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    let annotation = |pod: &Value, key: &str| pod["metadata"]["annotations"][key].clone();
    let changed = |container: &Value, before: &Value| {
        let key = format!("container.{}/{}", &OF_POD[..OF_POD.len() - 4], meta::text(container, &["name"]));
        container["image"] != before["image"] || annotation(new, &key) != annotation(old, &key)
    };
    let list = |pod: &Value, key: &str| pod["spec"][key].as_array().cloned().unwrap_or_default();
    if annotation(new, OF_POD) != annotation(old, OF_POD) {
        return true;
    }
    for key in ["containers", "initContainers"] {
        let (new, old) = (list(new, key), list(old, key));
        if new.len() != old.len() || new.iter().zip(&old).any(|(new, old)| changed(new, old)) {
            return true;
        }
    }
    let before = list(old, "ephemeralContainers");
    list(new, "ephemeralContainers").iter().any(|container| {
        let same = before.iter().find(|before| before["name"] == container["name"]);
        same.is_none_or(|before| changed(container, before))
    })
}

/// Whether a namespace's labels are good; and what its pods have to be measured by when they
/// became stricter.
pub fn judge_namespace(
    attributes: &Attributes,
    new: &Value,
    old: Option<&Value>,
) -> Result<Option<Measure>, ApiError> {
    let (policy, errors) = Policy::read(&new["metadata"]["labels"]);
    let (before, known) = match old {
        Some(old) => Policy::read(&old["metadata"]["labels"]),
        None => Policy::read(&Value::Null),
    };
    // What was wrong before is not in the way of another change.
    if !errors.is_empty() && (old.is_none() || errors != known) {
        return Err(errors.into_error("", attributes.kind.resource.kind, meta::name(new)));
    }
    let (wanted, before) = (policy.enforce, before.enforce);
    let relaxed = wanted.version == before.version && wanted.level <= before.level;
    let skip = old.is_none() || wanted.level == Level::Privileged || relaxed;
    Ok((!skip).then_some(wanted))
}

/// More pods than these are not looked at.
const MOST_PODS: usize = 3000;

/// What is said of the pods that a namespace has and would no longer get.
pub fn existing<'p>(
    namespace: &str,
    measure: Measure,
    pods: impl ExactSizeIterator<Item = &'p Value>,
) -> Vec<String> {
    let total = pods.len();
    let mut wrong: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for pod in pods.take(MOST_PODS) {
        let reasons: Vec<&str> = find(measure.level, &Pod::of(pod)).iter().map(|f| f.reason).collect();
        if !reasons.is_empty() {
            wrong.entry(reasons.join(", ")).or_default().push(meta::name(pod));
        }
    }
    let mut said = Vec::new();
    if total > MOST_PODS {
        said.push(format!(
            "new PodSecurity enforce level only checked against the first {MOST_PODS} of {total} existing pods"
        ));
    }
    if !wrong.is_empty() {
        said.push(format!(
            "existing pods in namespace \"{namespace}\" violate the new PodSecurity enforce level \"{measure}\""
        ));
    }
    let mut groups: Vec<String> = wrong
        .into_iter()
        .map(|(reasons, names)| {
            let first = names.iter().min().copied().unwrap_or_default();
            match names.len() {
                1 => format!("{first}: {reasons}"),
                2 => format!("{first} (and 1 other pod): {reasons}"),
                more => format!("{first} (and {} other pods): {reasons}", more - 1),
            }
        })
        .collect();
    groups.sort();
    said.extend(groups);
    said
}
