//! What the types of `k8s-openapi` do not say of their fields: which lists are sets or maps, which
//! maps are atomic, how strategic patches merge, what upstream fills in. Facts of Kubernetes 1.32
//! (`api/openapi-spec/swagger.json`; the defaults from the `+default` marks in `k8s.io/api`).
//!
//! What is not here follows the rule: a list is atomic, a map is granular. Two kinds of lists have
//! no type upstream, which means the same: `items` of a kind's list, and `APIResource.verbs`.

/// One thing about a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact {
    /// `x-kubernetes-list-type: map`, with `x-kubernetes-list-map-keys`.
    MapBy(&'static [&'static str]),
    /// `x-kubernetes-list-type: set`.
    Set,
    /// `x-kubernetes-list-type: atomic` where the value is no list: bytes, mostly.
    AtomicList,
    /// `x-kubernetes-map-type`.
    AtomicMap,
    /// `x-kubernetes-map-type`, against an atomic type.
    GranularMap,
    /// A list without `x-kubernetes-list-type`.
    Untyped,
    /// `x-kubernetes-patch-strategy`.
    Strategy(&'static str),
    /// `x-kubernetes-patch-merge-key`.
    MergeKey(&'static str),
    /// Named in `required`, though its Rust type is an `Option`.
    Required,
    /// `default`; such a field is never required.
    Default(&'static str),
}

use Fact::*;

/// The facts of a field of a type; by upstream's name of the type.
pub fn of(definition: &str, field: &str) -> impl Iterator<Item = Fact> {
    let (package, name) = definition.rsplit_once('.').unwrap_or(("", definition));
    let types = PACKAGES.iter().filter(move |(p, _)| *p == package).flat_map(|(_, types)| types.iter());
    let fields = types.filter(move |(n, _)| *n == name).flat_map(|(_, fields)| fields.iter());
    fields.filter(move |(f, _)| *f == field).flat_map(|(_, facts)| facts.iter().copied())
}

/// Package, type and the type's fields that something is known of.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static [Field])> {
    PACKAGES
        .iter()
        .flat_map(|(package, types)| types.iter().map(move |(name, fields)| (*package, *name, *fields)))
}

/// Whether values of this type are owned as a whole (`x-kubernetes-map-type: atomic`).
pub fn atomic_type(definition: &str) -> bool {
    ATOMIC_TYPES.contains(&definition)
}

const ATOMIC_TYPES: &[&str] = &[
    "io.k8s.api.admissionregistration.v1.MatchResources",
    "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations",
    "io.k8s.api.admissionregistration.v1.ParamKind",
    "io.k8s.api.admissionregistration.v1.ParamRef",
    "io.k8s.api.admissionregistration.v1.Variable",
    "io.k8s.api.autoscaling.v1.CrossVersionObjectReference",
    "io.k8s.api.core.v1.ConfigMapKeySelector",
    "io.k8s.api.core.v1.EndpointAddress",
    "io.k8s.api.core.v1.EndpointPort",
    "io.k8s.api.core.v1.LocalObjectReference",
    "io.k8s.api.core.v1.NodeSelector",
    "io.k8s.api.core.v1.NodeSelectorTerm",
    "io.k8s.api.core.v1.ObjectFieldSelector",
    "io.k8s.api.core.v1.ObjectReference",
    "io.k8s.api.core.v1.ResourceFieldSelector",
    "io.k8s.api.core.v1.ScopeSelector",
    "io.k8s.api.core.v1.SecretKeySelector",
    "io.k8s.api.core.v1.SecretReference",
    "io.k8s.api.core.v1.TopologySelectorTerm",
    "io.k8s.api.core.v1.TypedLocalObjectReference",
    "io.k8s.api.discovery.v1.EndpointPort",
    "io.k8s.api.networking.v1.ServiceBackendPort",
    "io.k8s.api.rbac.v1.RoleRef",
    "io.k8s.api.rbac.v1.Subject",
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
    "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
];

pub type Field = (&'static str, &'static [Fact]);
type Members = &'static [(&'static str, &'static str)];

/// `x-kubernetes-unions`: a type, the field that says which member is set, and the members by the
/// value of that field.
pub const UNIONS: &[(&str, &str, Members)] = &[
    ("io.k8s.api.core.v1.AppArmorProfile", "type", &[("localhostProfile", "LocalhostProfile")]),
    ("io.k8s.api.core.v1.SeccompProfile", "type", &[("localhostProfile", "LocalhostProfile")]),
    ("io.k8s.api.flowcontrol.v1.LimitResponse", "type", &[("queuing", "Queuing")]),
    (
        "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec",
        "type",
        &[("exempt", "Exempt"), ("limited", "Limited")],
    ),
    (
        "io.k8s.api.flowcontrol.v1.Subject",
        "kind",
        &[("group", "Group"), ("serviceAccount", "ServiceAccount"), ("user", "User")],
    ),
];

type Type = (&'static str, &'static [Field]);

/// By package, type and field.
const PACKAGES: &[(&str, &[Type])] = &[
    (
        "io.k8s.api.admissionregistration.v1",
        &[
            (
                "MutatingWebhook",
                &[("matchConditions", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")])],
            ),
            (
                "MutatingWebhookConfiguration",
                &[("webhooks", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")])],
            ),
            ("ValidatingAdmissionPolicyBindingSpec", &[("validationActions", &[Set])]),
            (
                "ValidatingAdmissionPolicySpec",
                &[
                    ("matchConditions", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    ("variables", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                ],
            ),
            ("ValidatingAdmissionPolicyStatus", &[("conditions", &[MapBy(&["type"])])]),
            (
                "ValidatingWebhook",
                &[("matchConditions", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")])],
            ),
            (
                "ValidatingWebhookConfiguration",
                &[("webhooks", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")])],
            ),
        ],
    ),
    (
        "io.k8s.api.apps.v1",
        &[
            ("DaemonSetStatus", &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])]),
            ("DeploymentSpec", &[("strategy", &[Strategy("retainKeys")])]),
            ("DeploymentStatus", &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])]),
            ("ReplicaSetStatus", &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])]),
            ("StatefulSetSpec", &[("serviceName", &[Required])]),
            (
                "StatefulSetStatus",
                &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])],
            ),
        ],
    ),
    (
        "io.k8s.api.autoscaling.v2",
        &[(
            "HorizontalPodAutoscalerStatus",
            &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])],
        )],
    ),
    (
        "io.k8s.api.batch.v1",
        &[
            ("JobStatus", &[("conditions", &[Strategy("merge"), MergeKey("type")])]),
            ("PodFailurePolicyOnExitCodesRequirement", &[("values", &[Set])]),
            ("UncountedTerminatedPods", &[("failed", &[Set]), ("succeeded", &[Set])]),
        ],
    ),
    (
        "io.k8s.api.certificates.v1",
        &[
            ("CertificateSigningRequestSpec", &[("request", &[AtomicList])]),
            (
                "CertificateSigningRequestStatus",
                &[("certificate", &[AtomicList]), ("conditions", &[MapBy(&["type"])])],
            ),
        ],
    ),
    (
        "io.k8s.api.core.v1",
        &[
            (
                "AzureDiskVolumeSource",
                &[
                    ("cachingMode", &[Default("ReadWrite")]),
                    ("fsType", &[Default("ext4")]),
                    ("kind", &[Default("Shared")]),
                ],
            ),
            ("ComponentStatus", &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])]),
            ("ConfigMapEnvSource", &[("name", &[Default("")])]),
            ("ConfigMapKeySelector", &[("name", &[Default("")])]),
            ("ConfigMapProjection", &[("name", &[Default("")])]),
            ("ConfigMapVolumeSource", &[("name", &[Default("")])]),
            (
                "Container",
                &[
                    ("env", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    (
                        "ports",
                        &[
                            MapBy(&["containerPort", "protocol"]),
                            Strategy("merge"),
                            MergeKey("containerPort"),
                        ],
                    ),
                    ("volumeDevices", &[MapBy(&["devicePath"]), Strategy("merge"), MergeKey("devicePath")]),
                    ("volumeMounts", &[MapBy(&["mountPath"]), Strategy("merge"), MergeKey("mountPath")]),
                ],
            ),
            ("ContainerPort", &[("protocol", &[Default("TCP")])]),
            (
                "ContainerStatus",
                &[
                    ("allocatedResourcesStatus", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    ("volumeMounts", &[MapBy(&["mountPath"]), Strategy("merge"), MergeKey("mountPath")]),
                ],
            ),
            (
                "EphemeralContainer",
                &[
                    ("env", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    (
                        "ports",
                        &[
                            MapBy(&["containerPort", "protocol"]),
                            Strategy("merge"),
                            MergeKey("containerPort"),
                        ],
                    ),
                    ("volumeDevices", &[MapBy(&["devicePath"]), Strategy("merge"), MergeKey("devicePath")]),
                    ("volumeMounts", &[MapBy(&["mountPath"]), Strategy("merge"), MergeKey("mountPath")]),
                ],
            ),
            ("GRPCAction", &[("service", &[Default("")])]),
            ("ISCSIPersistentVolumeSource", &[("iscsiInterface", &[Default("default")])]),
            ("ISCSIVolumeSource", &[("iscsiInterface", &[Default("default")])]),
            ("LocalObjectReference", &[("name", &[Default("")])]),
            ("NamespaceStatus", &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])]),
            ("NodeSpec", &[("podCIDRs", &[Set, Strategy("merge")])]),
            (
                "NodeStatus",
                &[
                    ("addresses", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")]),
                    ("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")]),
                ],
            ),
            (
                "PersistentVolumeClaimStatus",
                &[
                    ("allocatedResourceStatuses", &[GranularMap]),
                    ("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")]),
                ],
            ),
            ("PersistentVolumeSpec", &[("claimRef", &[GranularMap])]),
            (
                "PodSpec",
                &[
                    ("containers", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    ("ephemeralContainers", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    ("hostAliases", &[MapBy(&["ip"]), Strategy("merge"), MergeKey("ip")]),
                    ("imagePullSecrets", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    ("initContainers", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    ("nodeSelector", &[AtomicMap]),
                    ("resourceClaims", &[MapBy(&["name"]), Strategy("merge,retainKeys"), MergeKey("name")]),
                    ("schedulingGates", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")]),
                    (
                        "topologySpreadConstraints",
                        &[
                            MapBy(&["topologyKey", "whenUnsatisfiable"]),
                            Strategy("merge"),
                            MergeKey("topologyKey"),
                        ],
                    ),
                    ("volumes", &[MapBy(&["name"]), Strategy("merge,retainKeys"), MergeKey("name")]),
                ],
            ),
            (
                "PodStatus",
                &[
                    ("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")]),
                    ("hostIPs", &[Strategy("merge"), MergeKey("ip")]),
                    ("podIPs", &[MapBy(&["ip"]), Strategy("merge"), MergeKey("ip")]),
                    (
                        "resourceClaimStatuses",
                        &[MapBy(&["name"]), Strategy("merge,retainKeys"), MergeKey("name")],
                    ),
                ],
            ),
            (
                "RBDPersistentVolumeSource",
                &[
                    ("keyring", &[Default("/etc/ceph/keyring")]),
                    ("pool", &[Default("rbd")]),
                    ("user", &[Default("admin")]),
                ],
            ),
            (
                "RBDVolumeSource",
                &[
                    ("keyring", &[Default("/etc/ceph/keyring")]),
                    ("pool", &[Default("rbd")]),
                    ("user", &[Default("admin")]),
                ],
            ),
            ("ReplicationControllerSpec", &[("selector", &[AtomicMap])]),
            (
                "ReplicationControllerStatus",
                &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])],
            ),
            ("ResourceRequirements", &[("claims", &[MapBy(&["name"])])]),
            ("ResourceStatus", &[("resources", &[MapBy(&["resourceID"])])]),
            (
                "ScaleIOPersistentVolumeSource",
                &[("fsType", &[Default("xfs")]), ("storageMode", &[Default("ThinProvisioned")])],
            ),
            (
                "ScaleIOVolumeSource",
                &[("fsType", &[Default("xfs")]), ("storageMode", &[Default("ThinProvisioned")])],
            ),
            ("SecretEnvSource", &[("name", &[Default("")])]),
            ("SecretKeySelector", &[("name", &[Default("")])]),
            ("SecretProjection", &[("name", &[Default("")])]),
            ("ServiceAccount", &[("secrets", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")])]),
            ("ServicePort", &[("protocol", &[Default("TCP")])]),
            (
                "ServiceSpec",
                &[
                    ("ports", &[MapBy(&["port", "protocol"]), Strategy("merge"), MergeKey("port")]),
                    ("selector", &[AtomicMap]),
                ],
            ),
            ("ServiceStatus", &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])]),
        ],
    ),
    ("io.k8s.api.discovery.v1", &[("Endpoint", &[("addresses", &[Set])])]),
    ("io.k8s.api.events.v1", &[("Event", &[("eventTime", &[Required])])]),
    (
        "io.k8s.api.flowcontrol.v1",
        &[
            ("FlowSchemaStatus", &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])]),
            ("NonResourcePolicyRule", &[("nonResourceURLs", &[Set]), ("verbs", &[Set])]),
            (
                "PriorityLevelConfigurationStatus",
                &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])],
            ),
            (
                "ResourcePolicyRule",
                &[("apiGroups", &[Set]), ("namespaces", &[Set]), ("resources", &[Set]), ("verbs", &[Set])],
            ),
        ],
    ),
    ("io.k8s.api.networking.v1", &[("NetworkPolicySpec", &[("podSelector", &[Required])])]),
    ("io.k8s.api.node.v1", &[("Scheduling", &[("nodeSelector", &[AtomicMap])])]),
    (
        "io.k8s.api.policy.v1",
        &[
            ("PodDisruptionBudgetSpec", &[("selector", &[Strategy("replace")])]),
            (
                "PodDisruptionBudgetStatus",
                &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])],
            ),
        ],
    ),
    (
        "io.k8s.api.storage.v1",
        &[
            ("CSIDriverSpec", &[("volumeLifecycleModes", &[Set])]),
            ("CSINodeSpec", &[("drivers", &[MapBy(&["name"]), Strategy("merge"), MergeKey("name")])]),
        ],
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
        &[
            ("CustomResourceDefinitionStatus", &[("conditions", &[MapBy(&["type"])])]),
            (
                "JSONSchemaProps",
                &[("x-kubernetes-validations", &[MapBy(&["rule"]), Strategy("merge"), MergeKey("rule")])],
            ),
        ],
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1",
        &[
            ("APIResource", &[("verbs", &[Untyped])]),
            (
                "ObjectMeta",
                &[
                    ("finalizers", &[Set, Strategy("merge")]),
                    ("ownerReferences", &[MapBy(&["uid"]), Strategy("merge"), MergeKey("uid")]),
                ],
            ),
            ("Status", &[("details", &[AtomicList])]),
        ],
    ),
    (
        "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
        &[
            ("APIServiceSpec", &[("caBundle", &[AtomicList])]),
            ("APIServiceStatus", &[("conditions", &[MapBy(&["type"]), Strategy("merge"), MergeKey("type")])]),
        ],
    ),
];
