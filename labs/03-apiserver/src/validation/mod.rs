//! What may be stored, and what may change later (upstream: `pkg/apis/*/validation`).
//!
//! A kind's rules are two tables: what must hold of an object (`rules::Row`), and what an update
//! may not do (`rules::Change`). A row says one thing about one field; what relates several
//! fields is a function in the same table. Messages and paths are upstream's, also where a path
//! leaves something out or names the wrong thing: people search for them.

mod admission;
mod apis;
pub(crate) mod at;
mod cluster;
mod config;
mod csr;
mod diff;
mod endpoints;
mod events;
mod meta;
mod networking;
mod pods;
mod quota;
mod rbac;
mod rules;
mod scaling;
mod services;
mod status;
mod storage;
mod workloads;

pub use apis::USAGES;

use crate::fields::Errors;
use crate::kinds::{self, NameRule};
use crate::names::{self, Rule};
use crate::status::ApiError;
use at::At;
use objects::resources::Resource;
use rules::{Change, Row};
use serde_json::Value;

/// Check a new object, defaults applied.
pub fn validate_create(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    let (mut errors, at) = (Errors::default(), At::root(object));
    early(resource, &at, object)?;
    object_meta(resource, &at, &mut errors);
    rules::check(&at, checks(resource).rules, &mut errors);
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::pod_create(&at, &mut errors),
        ("networking.k8s.io", "Ingress") => networking::ingress_create(&at, &mut errors),
        _ => {}
    }
    errors.into_result(resource, crate::meta::name(object))
}

/// Check a changed object against what it was.
pub fn validate_update(resource: &Resource, old: &Value, new: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    let (checks, before, now) = (checks(resource), At::root(old), At::root(new));
    early(resource, &now, new)?;
    meta::object_meta_update(&before, &now, &mut errors);
    object_meta(resource, &now, &mut errors);
    if checks.changes_first {
        rules::check_changes(&before, &now, checks.changes, &mut errors);
    }
    rules::check(&now, checks.rules, &mut errors);
    if !checks.changes_first {
        rules::check_changes(&before, &now, checks.changes, &mut errors);
    }
    errors.into_result(resource, crate::meta::name(new))
}

/// Check a changed status. What is beside it has been taken from the stored object.
pub fn validate_status(resource: &Resource, old: &Value, new: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    let (before, now) = (At::root(old), At::root(new));
    meta::object_meta_update(&before, &now, &mut errors);
    object_meta(resource, &now, &mut errors);
    status::update(resource, &before, &now, &mut errors);
    errors.into_result(resource, crate::meta::name(new))
}

/// Check a namespace of which some finalizers were taken away (upstream: `ValidateNamespaceFinalizeUpdate`).
pub fn validate_finalize(resource: &Resource, new: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    for finalizer in At::root(new).at("spec.finalizers").items() {
        finalizer.obey(names::qualified, &mut errors);
        meta::finalizer_name(&finalizer, &mut errors);
    }
    errors.into_result(resource, crate::meta::name(new))
}

/// Check what a version asks of an object beyond what is asked of its stored form: the newer form of an
/// event is strict. `new` and `old` are as they are stored, and of `resource`.
pub fn validate_served(
    served: &Resource,
    resource: &Resource,
    old: Option<&Value>,
    new: &Value,
) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    if (served.group, served.kind) == ("events.k8s.io", "Event") {
        match old {
            None => events::create(&At::root(new), &mut errors),
            Some(old) => events::update(&At::root(old), &At::root(new), &mut errors),
        }
    }
    errors.into_result(resource, crate::meta::name(new))
}

/// Check a pod to which containers for looking into it were added.
pub fn validate_ephemeral_containers(resource: &Resource, old: &Value, new: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    let (before, now) = (At::root(old), At::root(new));
    rules::check(&now, checks(resource).rules, &mut errors);
    pods::ephemeral_containers_update(&before, &now, &mut errors);
    errors.into_result(resource, crate::meta::name(new))
}

/// What is asked before anything else, and refused alone.
fn early(resource: &Resource, at: &At<'_>, object: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    if (resource.group, resource.kind) == ("", "Service") {
        services::cluster_ips(at, &mut errors);
    }
    errors.into_result(resource, crate::meta::name(object))
}

fn object_meta(resource: &Resource, object: &At<'_>, errors: &mut Errors) {
    meta::object_meta(object, resource.namespaced, name_rule(resource), errors);
    if !matches!(resource.group, "admissionregistration.k8s.io" | "apiregistration.k8s.io") {
        meta::kube_finalizers(object, errors);
    }
}

/// Metadata alone, for kinds whose content is checked elsewhere.
pub(crate) fn metadata(resource: &Resource, object: &Value, errors: &mut Errors) {
    meta::object_meta(&At::root(object), resource.namespaced, name_rule(resource), errors);
}

/// Once an object is going, nobody may hold it back any more.
pub(crate) fn finalizers_while_deleting(old: &Value, new: &Value, errors: &mut Errors) {
    meta::object_meta_update(&At::root(old), &At::root(new), errors);
}

/// Keys and values of labels, anywhere.
pub(crate) fn labels(labels: &Value, at: &str, errors: &mut Errors) {
    meta::labels(&At::root(labels).named(at), errors);
}

/// What must hold of a kind.
#[derive(Clone, Copy)]
struct Checks {
    rules: &'static [Row],
    changes: &'static [Change],
    /// Upstream reports some kinds' forbidden changes before what else is wrong.
    changes_first: bool,
}

impl Checks {
    const fn of(rules: &'static [Row]) -> Checks {
        Checks { rules, changes: &[], changes_first: false }
    }

    const fn then(self, changes: &'static [Change]) -> Checks {
        Checks { changes, ..self }
    }

    const fn after(self, changes: &'static [Change]) -> Checks {
        Checks { changes, changes_first: true, ..self }
    }
}

static POD: &[Row] = &[Row("", rules::Rule::Code(pods::pod))];
static POD_CHANGES: &[Change] = &[Change::Code(pods::pod_update)];
static POD_TEMPLATE: &[Row] = &[Row("template", rules::Rule::Code(pods::template))];

static KINDS: &[(&str, &str, Checks)] = &[
    ("", "ConfigMap", Checks::of(config::CONFIG_MAP).after(config::CONFIG_MAP_CHANGES)),
    ("", "Endpoints", Checks::of(endpoints::ENDPOINTS)),
    ("", "Event", Checks::of(events::EVENT)),
    ("", "LimitRange", Checks::of(quota::LIMIT_RANGE)),
    ("", "Namespace", Checks::of(cluster::NAMESPACE)),
    ("", "Node", Checks::of(cluster::NODE).then(cluster::NODE_CHANGES)),
    ("", "PersistentVolume", Checks::of(storage::PERSISTENT_VOLUME).then(storage::PERSISTENT_VOLUME_CHANGES)),
    ("", "PersistentVolumeClaim", Checks::of(storage::CLAIM).then(storage::CLAIM_CHANGES)),
    ("", "Pod", Checks::of(POD).then(POD_CHANGES)),
    ("", "PodTemplate", Checks::of(POD_TEMPLATE)),
    ("", "ReplicationController", Checks::of(workloads::REPLICATION_CONTROLLER)),
    ("", "ResourceQuota", Checks::of(quota::QUOTA).then(quota::QUOTA_CHANGES)),
    ("", "Secret", Checks::of(config::SECRET).after(config::SECRET_CHANGES)),
    ("", "Service", Checks::of(services::SERVICE).after(services::SERVICE_CHANGES)),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", Checks::of(admission::MUTATING)),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", Checks::of(admission::POLICY)),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        Checks::of(admission::POLICY_BINDING),
    ),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", Checks::of(admission::VALIDATING)),
    ("apiregistration.k8s.io", "APIService", Checks::of(apis::API_SERVICE)),
    (
        "apps",
        "ControllerRevision",
        Checks::of(workloads::CONTROLLER_REVISION).then(workloads::CONTROLLER_REVISION_CHANGES),
    ),
    ("apps", "DaemonSet", Checks::of(workloads::DAEMON_SET).then(workloads::SELECTOR_CHANGES)),
    ("apps", "Deployment", Checks::of(workloads::DEPLOYMENT).then(workloads::SELECTOR_CHANGES)),
    ("apps", "ReplicaSet", Checks::of(workloads::REPLICA_SET).then(workloads::SELECTOR_CHANGES)),
    ("apps", "StatefulSet", Checks::of(workloads::STATEFUL_SET).then(workloads::STATEFUL_SET_CHANGES)),
    ("autoscaling", "HorizontalPodAutoscaler", Checks::of(scaling::AUTOSCALER)),
    ("batch", "CronJob", Checks::of(workloads::jobs::CRON_JOB)),
    ("batch", "Job", Checks::of(workloads::jobs::JOB).then(workloads::jobs::JOB_CHANGES)),
    (
        "certificates.k8s.io",
        "CertificateSigningRequest",
        Checks::of(apis::SIGNING_REQUEST).then(apis::SIGNING_REQUEST_CHANGES),
    ),
    ("coordination.k8s.io", "Lease", Checks::of(cluster::LEASE)),
    (
        "discovery.k8s.io",
        "EndpointSlice",
        Checks::of(endpoints::ENDPOINT_SLICE).then(endpoints::ENDPOINT_SLICE_CHANGES),
    ),
    ("events.k8s.io", "Event", Checks::of(events::EVENT)),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", Checks::of(apis::FLOW_SCHEMA)),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", Checks::of(apis::PRIORITY_LEVEL)),
    ("networking.k8s.io", "Ingress", Checks::of(networking::INGRESS)),
    (
        "networking.k8s.io",
        "IngressClass",
        Checks::of(networking::INGRESS_CLASS).after(networking::INGRESS_CLASS_CHANGES),
    ),
    ("networking.k8s.io", "NetworkPolicy", Checks::of(networking::NETWORK_POLICY)),
    ("node.k8s.io", "RuntimeClass", Checks::of(cluster::RUNTIME_CLASS).then(cluster::RUNTIME_CLASS_CHANGES)),
    ("policy", "PodDisruptionBudget", Checks::of(scaling::BUDGET)),
    ("rbac.authorization.k8s.io", "ClusterRole", Checks::of(rbac::CLUSTER_ROLE)),
    (
        "rbac.authorization.k8s.io",
        "ClusterRoleBinding",
        Checks::of(rbac::CLUSTER_ROLE_BINDING).then(rbac::BINDING_CHANGES),
    ),
    ("rbac.authorization.k8s.io", "Role", Checks::of(rbac::ROLE)),
    ("rbac.authorization.k8s.io", "RoleBinding", Checks::of(rbac::ROLE_BINDING).then(rbac::BINDING_CHANGES)),
    (
        "scheduling.k8s.io",
        "PriorityClass",
        Checks::of(cluster::PRIORITY_CLASS).then(cluster::PRIORITY_CLASS_CHANGES),
    ),
    ("storage.k8s.io", "CSIDriver", Checks::of(storage::CSI_DRIVER).then(storage::CSI_DRIVER_CHANGES)),
    ("storage.k8s.io", "CSINode", Checks::of(storage::CSI_NODE).then(storage::CSI_NODE_CHANGES)),
    (
        "storage.k8s.io",
        "CSIStorageCapacity",
        Checks::of(storage::CSI_CAPACITY).then(storage::CSI_CAPACITY_CHANGES),
    ),
    (
        "storage.k8s.io",
        "StorageClass",
        Checks::of(storage::STORAGE_CLASS).after(storage::STORAGE_CLASS_CHANGES),
    ),
    ("storage.k8s.io", "VolumeAttachment", Checks::of(storage::ATTACHMENT).then(storage::ATTACHMENT_CHANGES)),
];

fn checks(resource: &Resource) -> Checks {
    let row = KINDS.iter().find(|(group, kind, _)| (*group, *kind) == (resource.group, resource.kind));
    row.map_or(Checks::of(&[]), |(_, _, checks)| *checks)
}

/// What may be the name of an object of this kind. Two kinds have rules that no other has.
fn name_rule(resource: &Resource) -> Rule {
    match (resource.group, resource.kind, kinds::facts(resource).name) {
        ("batch", "CronJob", _) => workloads::jobs::cron_job_name,
        ("storage.k8s.io", "CSIDriver", _) => storage::driver_name,
        (_, _, NameRule::Subdomain) => names::subdomain,
        (_, _, NameRule::Label) => names::label,
        (_, _, NameRule::Label1035) => names::label_1035,
        (_, _, NameRule::PathSegment) => names::path_segment,
    }
}
