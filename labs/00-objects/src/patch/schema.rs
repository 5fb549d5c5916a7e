//! Which lists merge, and by which key: the `patchStrategy` and `patchMergeKey` tags of
//! upstream's Go types, as a small graph of types.
//!
//! What is not listed here is an object without special lists, or a list that is replaced
//! whole (tolerations, taints, args, Ingress rules, …): the rule where upstream has no tag.
//!
//! Checked field by field against the tags inside kubectl 1.32: every list and object of every
//! v1 kind was patched with `kubectl patch --local --type=strategic`, whose error names the
//! merge key and whose result tells merge from replace. A test of chapter 00 asks kubectl
//! about this table again, where there is a kubectl.

use super::GroupKind;

/// The fields of a type that need a rule of their own.
pub type Type = &'static [(&'static str, Field)];

/// How a field merges.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// An object with special lists somewhere inside.
    Object(Type),
    /// A union: a diff names all members that may stay (`patchStrategy:"retainKeys"`).
    Retained(Type),
    /// An object that is replaced whole (`patchStrategy:"replace"`).
    Replaced,
    /// A list of objects, matched by the value of this key. Where `retain` is set each
    /// element is a union.
    Keyed { key: &'static str, element: Type, retain: bool },
    /// A list of plain values that acts as a set.
    Set,
}

impl Field {
    /// The rule of the field `name` of `of`.
    pub fn of(of: Type, name: &str) -> Option<Field> {
        of.iter().find(|(field, _)| *field == name).map(|(_, rule)| *rule)
    }

    /// The rules inside an object; a list has none of its own.
    pub fn inside(self) -> Type {
        match self {
            Field::Object(of) | Field::Retained(of) => of,
            Field::Replaced | Field::Keyed { .. } | Field::Set => &[],
        }
    }
}

const fn keyed(key: &'static str) -> Field {
    Field::Keyed { key, element: &[], retain: false }
}

const fn union(key: &'static str) -> Field {
    Field::Keyed { key, element: &[], retain: true }
}

const META: Type = &[("finalizers", Field::Set), ("ownerReferences", keyed("uid"))];

const CONTAINER: Type = &[
    ("ports", keyed("containerPort")),
    ("env", keyed("name")),
    ("volumeMounts", keyed("mountPath")),
    ("volumeDevices", keyed("devicePath")),
];

const CONTAINERS: Field = Field::Keyed { key: "name", element: CONTAINER, retain: false };

/// The template of a claim inside a volume has metadata of its own.
const VOLUME: Type = &[(
    "ephemeral",
    Field::Object(&[("volumeClaimTemplate", Field::Object(&[("metadata", Field::Object(META))]))]),
)];

const POD_SPEC: Type = &[
    ("containers", CONTAINERS),
    ("initContainers", CONTAINERS),
    ("ephemeralContainers", CONTAINERS),
    ("volumes", Field::Keyed { key: "name", element: VOLUME, retain: true }),
    ("imagePullSecrets", keyed("name")),
    ("hostAliases", keyed("ip")),
    ("topologySpreadConstraints", keyed("topologyKey")),
    ("schedulingGates", keyed("name")),
    ("resourceClaims", union("name")),
];

const POD_STATUS: Type = &[
    ("conditions", keyed("type")),
    ("podIPs", keyed("ip")),
    ("hostIPs", keyed("ip")),
    ("resourceClaimStatuses", union("name")),
];

const CONDITIONS: Field = Field::Object(&[("conditions", keyed("type"))]);

const TEMPLATE: Field =
    Field::Object(&[("metadata", Field::Object(META)), ("spec", Field::Object(POD_SPEC))]);

const WORKLOAD_SPEC: Field = Field::Object(&[("template", TEMPLATE)]);

const WORKLOAD: Type = &[("metadata", Field::Object(META)), ("spec", WORKLOAD_SPEC), ("status", CONDITIONS)];

/// Its strategy is a union: `rollingUpdate` has to go when the type becomes `Recreate`.
const DEPLOYMENT: Type = &[
    ("metadata", Field::Object(META)),
    ("spec", Field::Object(&[("template", TEMPLATE), ("strategy", Field::Retained(&[]))])),
    ("status", CONDITIONS),
];

const JOB_TEMPLATE: Field = Field::Object(&[("metadata", Field::Object(META)), ("spec", WORKLOAD_SPEC)]);

const CRON_JOB: Type =
    &[("metadata", Field::Object(META)), ("spec", Field::Object(&[("jobTemplate", JOB_TEMPLATE)]))];

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

const DISRUPTION_BUDGET: Type = &[
    ("metadata", Field::Object(META)),
    ("spec", Field::Object(&[("selector", Field::Replaced)])),
    ("status", CONDITIONS),
];

const CSI_NODE: Type =
    &[("metadata", Field::Object(META)), ("spec", Field::Object(&[("drivers", keyed("name"))]))];

const WEBHOOKS: Type = &[
    ("metadata", Field::Object(META)),
    ("webhooks", Field::Keyed { key: "name", element: &[("matchConditions", keyed("name"))], retain: false }),
];

const ADMISSION_POLICY: Type = &[
    ("metadata", Field::Object(META)),
    ("spec", Field::Object(&[("matchConditions", keyed("name")), ("variables", keyed("name"))])),
];

const WITH_CONDITIONS: Type = &[("metadata", Field::Object(META)), ("status", CONDITIONS)];

/// Every other kind.
const PLAIN: Type = &[("metadata", Field::Object(META))];

/// The type of a whole object.
pub fn of_kind(kind: &GroupKind) -> Type {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => POD,
        ("", "PodTemplate") => &[("metadata", Field::Object(META)), ("template", TEMPLATE)],
        ("", "Service") => SERVICE,
        ("", "Node") => NODE,
        ("", "ServiceAccount") => SERVICE_ACCOUNT,
        ("apps", "Deployment") => DEPLOYMENT,
        ("", "ReplicationController")
        | ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job") => WORKLOAD,
        ("batch", "CronJob") => CRON_JOB,
        ("policy", "PodDisruptionBudget") => DISRUPTION_BUDGET,
        ("storage.k8s.io", "CSINode") => CSI_NODE,
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => WEBHOOKS,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => ADMISSION_POLICY,
        ("", "Namespace" | "PersistentVolumeClaim")
        | ("autoscaling", "HorizontalPodAutoscaler")
        | ("flowcontrol.apiserver.k8s.io", "FlowSchema" | "PriorityLevelConfiguration")
        | ("apiregistration.k8s.io", "APIService") => WITH_CONDITIONS,
        _ => PLAIN,
    }
}
