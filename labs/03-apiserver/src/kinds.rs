//! What is to be known of a kind beside its names and paths (those are chapter 00's table): one row
//! a kind that has something of its own, and a common row for the rest. Upstream has a strategy
//! object for each (`pkg/registry/GROUP/KIND/strategy.go`); this is what they differ in.

use objects::resources::{self, Resource};

/// `apps/v1`, or `v1` for the core group.
pub fn api_version(resource: &Resource) -> String {
    group_version(resource.group, resource.version)
}

pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_string() } else { format!("{group}/{version}") }
}

/// `deployments.apps`, or `pods`: how messages name a resource.
pub fn qualified_plural(resource: &Resource) -> String {
    qualify(resource.plural, resource.group)
}

/// `Deployment.apps`, or `Pod`: how an `Invalid` message names a kind.
pub fn qualify(word: &str, group: &str) -> String {
    if group.is_empty() { word.to_string() } else { format!("{word}.{group}") }
}

/// Where an object of this kind has pods in it: a JSON pointer to what has a pod's metadata and spec.
pub fn pod_template(resource: &Resource) -> Option<&'static str> {
    match (resource.group, resource.kind) {
        ("", "Pod") => Some(""),
        ("", "PodTemplate") => Some("/template"),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet")
        | ("batch", "Job") => Some("/spec/template"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

pub fn has_subresource(resource: &Resource, name: &str) -> bool {
    resource.subresources.contains(&name)
}

/// What a name must look like (`crate::names` has the rules).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    Subdomain,
    Label,
    /// A label that begins with a letter, for names that become parts of other names.
    Label1035,
    /// Whatever may stand between two slashes.
    PathSegment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub name: NameRule,
    /// `metadata.generation` counts the changes of what is wanted.
    pub generation: bool,
    /// A new object has not been counted yet: the first change is 1.
    pub counted_later: bool,
    /// What of the metadata is a wish too.
    pub wished_metadata: &'static [&'static str],
    /// What a write to `/status` may change of the metadata. A kubelet may note things on its node
    /// and its pods while it says how they are.
    pub status_metadata: &'static [&'static str],
    /// A PUT may create it.
    pub create_on_update: bool,
    /// Writers need not say which version they changed.
    pub unconditional_update: bool,
    /// A delete answers with the object as it was, not with a Status.
    pub returns_deleted: bool,
    /// What it owns stays when it is deleted, unless the request says otherwise.
    pub orphans: bool,
}

impl Facts {
    /// Kinds of which nothing else is said.
    const COMMON: Facts = Facts {
        name: NameRule::Subdomain,
        generation: false,
        counted_later: false,
        wished_metadata: &[],
        status_metadata: &["labels", "annotations", "finalizers"],
        create_on_update: false,
        unconditional_update: true,
        returns_deleted: false,
        orphans: false,
    };

    /// Custom kinds (`apiextensions-apiserver/pkg/registry/customresource/strategy.go`).
    const CUSTOM: Facts = Facts::COMMON.counted().status_alone().conditional();

    const fn counted(self) -> Facts {
        Facts { generation: true, ..self }
    }

    const fn status_alone(self) -> Facts {
        Facts { status_metadata: &[], ..self }
    }

    const fn conditional(self) -> Facts {
        Facts { unconditional_update: false, ..self }
    }

    const fn made_by_put(self) -> Facts {
        Facts { create_on_update: true, ..self }
    }

    const fn shown_when_deleted(self) -> Facts {
        Facts { returns_deleted: true, ..self }
    }

    const fn named(self, name: NameRule) -> Facts {
        Facts { name, ..self }
    }

    const fn orphaning(self) -> Facts {
        Facts { orphans: true, ..self }
    }
}

/// The built-in kinds that differ from [`Facts::COMMON`].
static FACTS: &[(&str, &str, Facts)] = {
    const COMMON: Facts = Facts::COMMON;
    const COUNTED: Facts = COMMON.counted();
    const CONDITIONAL: Facts = COMMON.conditional();
    const SHOWN: Facts = COMMON.shown_when_deleted();
    const EXTENSION: Facts = COUNTED.conditional();
    const ROLE: Facts = COMMON.made_by_put().named(NameRule::PathSegment);
    &[
        ("", "Endpoints", COMMON.made_by_put()),
        ("", "Event", COMMON.made_by_put()),
        ("", "LimitRange", COMMON.made_by_put()),
        ("", "Namespace", COMMON.named(NameRule::Label)),
        ("", "PersistentVolume", SHOWN),
        ("", "PersistentVolumeClaim", SHOWN),
        ("", "Pod", SHOWN),
        ("", "PodTemplate", SHOWN.counted()),
        ("", "ReplicationController", COUNTED.orphaning()),
        ("", "ResourceQuota", SHOWN),
        ("", "Service", SHOWN.named(NameRule::Label1035)),
        ("", "ServiceAccount", SHOWN.conditional()),
        ("apiregistration.k8s.io", "APIService", CONDITIONAL.status_alone().named(NameRule::PathSegment)),
        ("apps", "DaemonSet", COUNTED),
        // Its annotations are copied to its replica sets; its labels are not its status's to change.
        (
            "apps",
            "Deployment",
            Facts {
                wished_metadata: &["annotations"],
                status_metadata: &["annotations", "finalizers"],
                ..COUNTED
            },
        ),
        ("apps", "ReplicaSet", COUNTED),
        ("apps", "StatefulSet", COUNTED),
        ("events.k8s.io", "Event", COMMON.made_by_put()),
        ("batch", "CronJob", COUNTED),
        // For the sake of clients that are older than garbage collection.
        ("batch", "Job", COUNTED.orphaning()),
        ("certificates.k8s.io", "CertificateSigningRequest", COMMON.named(NameRule::PathSegment)),
        ("networking.k8s.io", "Ingress", COUNTED),
        ("networking.k8s.io", "IngressClass", COUNTED),
        ("networking.k8s.io", "NetworkPolicy", COUNTED),
        ("policy", "PodDisruptionBudget", COUNTED.conditional()),
        ("rbac.authorization.k8s.io", "ClusterRole", ROLE),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding", ROLE),
        ("rbac.authorization.k8s.io", "Role", ROLE),
        ("rbac.authorization.k8s.io", "RoleBinding", ROLE),
        ("storage.k8s.io", "CSIDriver", Facts { counted_later: true, ..COUNTED.conditional() }),
        ("storage.k8s.io", "CSINode", CONDITIONAL),
        ("storage.k8s.io", "CSIStorageCapacity", CONDITIONAL),
        ("storage.k8s.io", "VolumeAttachment", CONDITIONAL.status_alone()),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", EXTENSION),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", EXTENSION.status_alone()),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", EXTENSION),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", EXTENSION),
        ("apiextensions.k8s.io", "CustomResourceDefinition", EXTENSION.status_alone()),
        ("scheduling.k8s.io", "PriorityClass", COUNTED),
        ("coordination.k8s.io", "Lease", CONDITIONAL.made_by_put()),
        ("node.k8s.io", "RuntimeClass", CONDITIONAL.made_by_put()),
        ("discovery.k8s.io", "EndpointSlice", Facts { wished_metadata: &["labels"], ..COUNTED }),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema", COUNTED.status_alone()),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", COUNTED.status_alone()),
    ]
};

/// What is to be known of this kind.
pub fn facts(resource: &Resource) -> Facts {
    let own = FACTS.iter().find(|(group, kind, _)| (*group, *kind) == (resource.group, resource.kind));
    match own {
        Some((_, _, facts)) => *facts,
        None if resources::by_kind(resource.group, resource.version, resource.kind).is_some() => {
            Facts::COMMON
        }
        None => Facts::CUSTOM,
    }
}

/// The kinds that one stored prefix is served as: the first is the form in which it is stored.
pub fn storage_kind(resource: &'static Resource) -> &'static Resource {
    resources::all().iter().find(|r| r.storage_prefix == resource.storage_prefix).unwrap_or(resource)
}
