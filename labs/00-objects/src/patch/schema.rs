//! Which lists merge, and by which key: the `patchStrategy` and `patchMergeKey` tags of
//! upstream's Go types, as a small graph of types.
//!
//! What is not listed here is an object without special lists, or a list that is replaced
//! whole (tolerations, taints, args, Ingress rules, …): the rule where upstream has no tag.

use super::GroupKind;

/// The fields of a type that need a rule of their own.
pub type Type = &'static [(&'static str, Field)];

/// How a field merges.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// An object with special lists somewhere inside.
    Object(Type),
    /// A list of objects, matched by the value of this key.
    Keyed { key: &'static str, element: Type },
    /// A list of plain values that acts as a set.
    Set,
}

impl Field {
    /// The rule of the field `name` of `of`.
    pub fn of(of: Type, name: &str) -> Option<Field> {
        of.iter().find(|(field, _)| *field == name).map(|(_, rule)| *rule)
    }
}

const fn keyed(key: &'static str) -> Field {
    Field::Keyed { key, element: &[] }
}

const META: Type = &[("finalizers", Field::Set), ("ownerReferences", keyed("uid"))];

const CONTAINER: Type = &[
    ("ports", keyed("containerPort")),
    ("env", keyed("name")),
    ("volumeMounts", keyed("mountPath")),
    ("volumeDevices", keyed("devicePath")),
];

const CONTAINERS: Field = Field::Keyed { key: "name", element: CONTAINER };

const POD_SPEC: Type = &[
    ("containers", CONTAINERS),
    ("initContainers", CONTAINERS),
    ("ephemeralContainers", CONTAINERS),
    ("volumes", keyed("name")),
    ("imagePullSecrets", keyed("name")),
    ("hostAliases", keyed("ip")),
    ("topologySpreadConstraints", keyed("topologyKey")),
    ("schedulingGates", keyed("name")),
    ("resourceClaims", keyed("name")),
];

const POD_STATUS: Type = &[
    ("conditions", keyed("type")),
    ("podIPs", keyed("ip")),
    ("hostIPs", keyed("ip")),
    ("resourceClaimStatuses", keyed("name")),
];

const CONDITIONS: Field = Field::Object(&[("conditions", keyed("type"))]);

const TEMPLATE: Field =
    Field::Object(&[("metadata", Field::Object(META)), ("spec", Field::Object(POD_SPEC))]);

const WORKLOAD_SPEC: Field = Field::Object(&[("template", TEMPLATE)]);

const WORKLOAD: Type = &[("metadata", Field::Object(META)), ("spec", WORKLOAD_SPEC), ("status", CONDITIONS)];

const JOB_TEMPLATE: Field = Field::Object(&[("metadata", Field::Object(META)), ("spec", WORKLOAD_SPEC)]);

const POD: Type = &[
    ("metadata", Field::Object(META)),
    ("spec", Field::Object(POD_SPEC)),
    ("status", Field::Object(POD_STATUS)),
];

const SERVICE: Type = &[
    ("metadata", Field::Object(META)),
    ("spec", Field::Object(&[("ports", keyed("port"))])),
    ("status", CONDITIONS),
];

const NODE: Type = &[
    ("metadata", Field::Object(META)),
    ("spec", Field::Object(&[("podCIDRs", Field::Set)])),
    ("status", Field::Object(&[("conditions", keyed("type")), ("addresses", keyed("type"))])),
];

const SERVICE_ACCOUNT: Type = &[("metadata", Field::Object(META)), ("secrets", keyed("name"))];

const CRON_JOB: Type =
    &[("metadata", Field::Object(META)), ("spec", Field::Object(&[("jobTemplate", JOB_TEMPLATE)]))];

const WEBHOOKS: Type = &[("metadata", Field::Object(META)), ("webhooks", keyed("name"))];

/// Every other kind: metadata, and conditions by type.
const PLAIN: Type = &[("metadata", Field::Object(META)), ("status", CONDITIONS)];

/// The type of a whole object.
pub fn of_kind(kind: &GroupKind) -> Type {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => POD,
        ("", "PodTemplate") => &[("metadata", Field::Object(META)), ("template", TEMPLATE)],
        ("", "Service") => SERVICE,
        ("", "Node") => NODE,
        ("", "ServiceAccount") => SERVICE_ACCOUNT,
        ("", "ReplicationController")
        | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job") => WORKLOAD,
        ("batch", "CronJob") => CRON_JOB,
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => WEBHOOKS,
        _ => PLAIN,
    }
}
