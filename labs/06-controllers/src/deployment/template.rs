//! Templates, their hashes, and the annotations that tie a Deployment's ReplicaSets
//! into a history.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use objects::meta;

/// The label that tells the pods of one ReplicaSet from those of its siblings.
pub const HASH_LABEL: &str = "pod-template-hash";
pub const REVISION: &str = "deployment.kubernetes.io/revision";
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of the Deployment that say nothing about its ReplicaSets.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// A short name for a template: equal templates, equal names. `collisions` changes it
/// when another template took the name. Letters that could spell a word are left out.
pub fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    // FNV-1a over the template's JSON, whose fields and keys are in a fixed order.
    let mut hash: u32 = 0x811c_9dc5;
    let text = serde_json::to_vec(template).unwrap_or_default();
    let salt = collisions.map(|count| count.to_le_bytes()).unwrap_or_default();
    for byte in text.into_iter().chain(salt) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string().bytes().map(|digit| char::from(SAFE[usize::from(digit) % SAFE.len()])).collect()
}

/// Is this the ReplicaSet of this template? The hash label is ours, and does not count.
pub fn same_template(set: &ReplicaSet, template: &PodTemplateSpec) -> bool {
    let Some(theirs) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else {
        return false;
    };
    without_hash(theirs) == without_hash(template)
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let metadata = template.metadata.get_or_insert_default();
    if let Some(labels) = &mut metadata.labels {
        labels.remove(HASH_LABEL);
        if labels.is_empty() {
            metadata.labels = None;
        }
    }
    template
}

pub fn revision(object: &ObjectMeta) -> i64 {
    meta::annotation(object, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A ReplicaSet for the Deployment's current template, still without replicas.
pub fn new_replica_set(deployment: &Deployment, revision: i64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = template_hash(&spec.template, collisions);
    let with_hash = |labels: Option<BTreeMap<String, String>>| {
        let mut labels = labels.unwrap_or_default();
        labels.insert(HASH_LABEL.to_owned(), hash.clone());
        Some(labels)
    };
    let mut template = spec.template;
    let template_meta = template.metadata.get_or_insert_default();
    template_meta.labels = with_hash(template_meta.labels.take());
    let labels = template_meta.labels.clone();
    let mut set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", meta::name(&deployment.metadata))),
            namespace: deployment.metadata.namespace.clone(),
            labels,
            owner_references: Some(vec![meta::owner_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds.filter(|seconds| *seconds != 0),
            selector: LabelSelector {
                match_labels: with_hash(spec.selector.match_labels),
                match_expressions: spec.selector.match_expressions,
            },
            template: Some(template),
        }),
        status: None,
    };
    copy_annotations(deployment, &mut set);
    set_annotation(&mut set, REVISION, revision.to_string());
    set
}

/// Brings the annotations of the current ReplicaSet up to date. True if they changed.
pub fn refresh_annotations(deployment: &Deployment, set: &mut ReplicaSet, revision: i64) -> bool {
    let mut changed = copy_annotations(deployment, set);
    let old = self::revision(&set.metadata);
    if old < revision {
        // It was current before, under an older number: this is a rollback.
        if old > 0 {
            let history = meta::annotation(&set.metadata, REVISION_HISTORY);
            let history = history.map_or(old.to_string(), |history| format!("{history},{old}"));
            set_annotation(set, REVISION_HISTORY, history);
        }
        changed |= set_annotation(set, REVISION, revision.to_string());
    }
    changed
}

/// Notes on the set how large the Deployment wants to be: the next scaling compares.
pub fn set_size_annotations(set: &mut ReplicaSet, desired: i32, max: i32) -> bool {
    let changed = set_annotation(set, DESIRED, desired.to_string());
    set_annotation(set, MAX, max.to_string()) || changed
}

pub fn size_annotation(set: &ReplicaSet, name: &str) -> Option<i32> {
    meta::annotation(&set.metadata, name).and_then(|text| text.parse().ok())
}

fn copy_annotations(deployment: &Deployment, set: &mut ReplicaSet) -> bool {
    let mut changed = false;
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&name.as_str()) {
            changed |= set_annotation(set, name, value.clone());
        }
    }
    changed
}

fn set_annotation(set: &mut ReplicaSet, name: &str, value: String) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(name.to_owned(), value.clone()) != Some(value)
}
