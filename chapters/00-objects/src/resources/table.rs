//! The rows of the table of kinds.

use super::Resource;

type GroupVersion = (&'static str, &'static str);

const CORE: GroupVersion = ("", "v1");
const APIREGISTRATION: GroupVersion = ("apiregistration.k8s.io", "v1");
const APPS: GroupVersion = ("apps", "v1");
const EVENTS: GroupVersion = ("events.k8s.io", "v1");
const AUTHENTICATION: GroupVersion = ("authentication.k8s.io", "v1");
const AUTHORIZATION: GroupVersion = ("authorization.k8s.io", "v1");
const AUTOSCALING_V2: GroupVersion = ("autoscaling", "v2");
const AUTOSCALING_V1: GroupVersion = ("autoscaling", "v1");
const BATCH: GroupVersion = ("batch", "v1");
const CERTIFICATES: GroupVersion = ("certificates.k8s.io", "v1");
const NETWORKING: GroupVersion = ("networking.k8s.io", "v1");
const POLICY: GroupVersion = ("policy", "v1");
const RBAC: GroupVersion = ("rbac.authorization.k8s.io", "v1");
const STORAGE: GroupVersion = ("storage.k8s.io", "v1");
const ADMISSION: GroupVersion = ("admissionregistration.k8s.io", "v1");
const APIEXTENSIONS: GroupVersion = ("apiextensions.k8s.io", "v1");
const SCHEDULING: GroupVersion = ("scheduling.k8s.io", "v1");
const COORDINATION: GroupVersion = ("coordination.k8s.io", "v1");
const NODE: GroupVersion = ("node.k8s.io", "v1");
const DISCOVERY: GroupVersion = ("discovery.k8s.io", "v1");
const FLOWCONTROL: GroupVersion = ("flowcontrol.apiserver.k8s.io", "v1");

/// All groups and versions in upstream's order of preference (kube-aggregator's priorities).
pub(super) static VERSIONS: &[GroupVersion] = &[
    CORE,
    APIREGISTRATION,
    APPS,
    EVENTS,
    AUTHENTICATION,
    AUTHORIZATION,
    AUTOSCALING_V2,
    AUTOSCALING_V1,
    BATCH,
    CERTIFICATES,
    NETWORKING,
    POLICY,
    RBAC,
    STORAGE,
    ADMISSION,
    APIEXTENSIONS,
    SCHEDULING,
    COORDINATION,
    NODE,
    DISCOVERY,
    FLOWCONTROL,
];

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const STATUS: &[&str] = &["status"];
const SCALE: &[&str] = &["scale", "status"];

impl Resource {
    const fn short(self, short_names: &'static [&'static str]) -> Resource {
        Resource { short_names, ..self }
    }

    const fn sub(self, subresources: &'static [&'static str]) -> Resource {
        Resource { subresources, ..self }
    }

    /// In `kubectl get all`.
    const fn in_all(self) -> Resource {
        Resource { categories: &["all"], ..self }
    }

    /// What adds to the API itself.
    const fn extends_api(self) -> Resource {
        Resource { categories: &["api-extensions"], ..self }
    }

    const fn only(self, verbs: &'static [&'static str]) -> Resource {
        Resource { verbs, ..self }
    }
}

const fn namespaced(
    (group, version): GroupVersion,
    kind: &'static str,
    (plural, singular): (&'static str, &'static str),
    storage_prefix: &'static str,
) -> Resource {
    Resource {
        group,
        version,
        kind,
        plural,
        singular,
        short_names: &[],
        namespaced: true,
        categories: &[],
        storage_prefix,
        verbs: VERBS,
        subresources: &[],
    }
}

const fn global(
    gv: GroupVersion,
    kind: &'static str,
    names: (&'static str, &'static str),
    storage_prefix: &'static str,
) -> Resource {
    Resource { namespaced: false, ..namespaced(gv, kind, names, storage_prefix) }
}

/// A kind that is a question or an order.
const fn question(gv: GroupVersion, kind: &'static str, names: (&'static str, &'static str)) -> Resource {
    global(gv, kind, names, "").only(&["create"])
}

pub(super) static STORED: &[Resource] = &[
    namespaced(CORE, "ConfigMap", ("configmaps", "configmap"), "/registry/configmaps").short(&["cm"]),
    namespaced(CORE, "Endpoints", ("endpoints", "endpoints"), "/registry/services/endpoints").short(&["ep"]),
    namespaced(CORE, "Event", ("events", "event"), "/registry/events").short(&["ev"]),
    namespaced(CORE, "LimitRange", ("limitranges", "limitrange"), "/registry/limitranges").short(&["limits"]),
    // A namespace goes in two steps, so it is never deleted as part of a collection.
    global(CORE, "Namespace", ("namespaces", "namespace"), "/registry/namespaces")
        .short(&["ns"])
        .only(&["create", "delete", "get", "list", "patch", "update", "watch"])
        .sub(&["finalize", "status"]),
    global(CORE, "Node", ("nodes", "node"), "/registry/minions").short(&["no"]).sub(&["proxy", "status"]),
    namespaced(
        CORE,
        "PersistentVolumeClaim",
        ("persistentvolumeclaims", "persistentvolumeclaim"),
        "/registry/persistentvolumeclaims",
    )
    .short(&["pvc"])
    .sub(STATUS),
    global(
        CORE,
        "PersistentVolume",
        ("persistentvolumes", "persistentvolume"),
        "/registry/persistentvolumes",
    )
    .short(&["pv"])
    .sub(STATUS),
    namespaced(CORE, "Pod", ("pods", "pod"), "/registry/pods").short(&["po"]).in_all().sub(&[
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "log",
        "portforward",
        "proxy",
        "status",
    ]),
    namespaced(CORE, "PodTemplate", ("podtemplates", "podtemplate"), "/registry/podtemplates"),
    namespaced(
        CORE,
        "ReplicationController",
        ("replicationcontrollers", "replicationcontroller"),
        "/registry/controllers",
    )
    .short(&["rc"])
    .in_all()
    .sub(SCALE),
    namespaced(CORE, "ResourceQuota", ("resourcequotas", "resourcequota"), "/registry/resourcequotas")
        .short(&["quota"])
        .sub(STATUS),
    namespaced(CORE, "Secret", ("secrets", "secret"), "/registry/secrets"),
    namespaced(CORE, "ServiceAccount", ("serviceaccounts", "serviceaccount"), "/registry/serviceaccounts")
        .short(&["sa"])
        .sub(&["token"]),
    namespaced(CORE, "Service", ("services", "service"), "/registry/services/specs")
        .short(&["svc"])
        .in_all()
        .sub(&["proxy", "status"]),
    global(
        APIREGISTRATION,
        "APIService",
        ("apiservices", "apiservice"),
        "/registry/apiregistration.k8s.io/apiservices",
    )
    .extends_api()
    .sub(STATUS),
    namespaced(
        APPS,
        "ControllerRevision",
        ("controllerrevisions", "controllerrevision"),
        "/registry/controllerrevisions",
    ),
    namespaced(APPS, "DaemonSet", ("daemonsets", "daemonset"), "/registry/daemonsets")
        .short(&["ds"])
        .in_all()
        .sub(STATUS),
    namespaced(APPS, "Deployment", ("deployments", "deployment"), "/registry/deployments")
        .short(&["deploy"])
        .in_all()
        .sub(SCALE),
    namespaced(APPS, "ReplicaSet", ("replicasets", "replicaset"), "/registry/replicasets")
        .short(&["rs"])
        .in_all()
        .sub(SCALE),
    namespaced(APPS, "StatefulSet", ("statefulsets", "statefulset"), "/registry/statefulsets")
        .short(&["sts"])
        .in_all()
        .sub(SCALE),
    namespaced(EVENTS, "Event", ("events", "event"), "/registry/events").short(&["ev"]),
    namespaced(
        AUTOSCALING_V2,
        "HorizontalPodAutoscaler",
        ("horizontalpodautoscalers", "horizontalpodautoscaler"),
        "/registry/horizontalpodautoscalers",
    )
    .short(&["hpa"])
    .in_all()
    .sub(STATUS),
    namespaced(
        AUTOSCALING_V1,
        "HorizontalPodAutoscaler",
        ("horizontalpodautoscalers", "horizontalpodautoscaler"),
        "/registry/horizontalpodautoscalers",
    )
    .short(&["hpa"])
    .in_all()
    .sub(STATUS),
    namespaced(BATCH, "CronJob", ("cronjobs", "cronjob"), "/registry/cronjobs")
        .short(&["cj"])
        .in_all()
        .sub(STATUS),
    namespaced(BATCH, "Job", ("jobs", "job"), "/registry/jobs").in_all().sub(STATUS),
    global(
        CERTIFICATES,
        "CertificateSigningRequest",
        ("certificatesigningrequests", "certificatesigningrequest"),
        "/registry/certificatesigningrequests",
    )
    .short(&["csr"])
    .sub(&["approval", "status"]),
    global(NETWORKING, "IngressClass", ("ingressclasses", "ingressclass"), "/registry/ingressclasses"),
    namespaced(NETWORKING, "Ingress", ("ingresses", "ingress"), "/registry/ingress")
        .short(&["ing"])
        .sub(STATUS),
    namespaced(
        NETWORKING,
        "NetworkPolicy",
        ("networkpolicies", "networkpolicy"),
        "/registry/networkpolicies",
    )
    .short(&["netpol"]),
    namespaced(
        POLICY,
        "PodDisruptionBudget",
        ("poddisruptionbudgets", "poddisruptionbudget"),
        "/registry/poddisruptionbudgets",
    )
    .short(&["pdb"])
    .sub(STATUS),
    global(
        RBAC,
        "ClusterRoleBinding",
        ("clusterrolebindings", "clusterrolebinding"),
        "/registry/clusterrolebindings",
    ),
    global(RBAC, "ClusterRole", ("clusterroles", "clusterrole"), "/registry/clusterroles"),
    namespaced(RBAC, "RoleBinding", ("rolebindings", "rolebinding"), "/registry/rolebindings"),
    namespaced(RBAC, "Role", ("roles", "role"), "/registry/roles"),
    global(STORAGE, "CSIDriver", ("csidrivers", "csidriver"), "/registry/csidrivers"),
    global(STORAGE, "CSINode", ("csinodes", "csinode"), "/registry/csinodes"),
    namespaced(
        STORAGE,
        "CSIStorageCapacity",
        ("csistoragecapacities", "csistoragecapacity"),
        "/registry/csistoragecapacities",
    ),
    global(STORAGE, "StorageClass", ("storageclasses", "storageclass"), "/registry/storageclasses")
        .short(&["sc"]),
    global(
        STORAGE,
        "VolumeAttachment",
        ("volumeattachments", "volumeattachment"),
        "/registry/volumeattachments",
    )
    .sub(STATUS),
    global(
        ADMISSION,
        "MutatingWebhookConfiguration",
        ("mutatingwebhookconfigurations", "mutatingwebhookconfiguration"),
        "/registry/mutatingwebhookconfigurations",
    )
    .extends_api(),
    global(
        ADMISSION,
        "ValidatingAdmissionPolicy",
        ("validatingadmissionpolicies", "validatingadmissionpolicy"),
        "/registry/validatingadmissionpolicies",
    )
    .extends_api()
    .sub(STATUS),
    global(
        ADMISSION,
        "ValidatingAdmissionPolicyBinding",
        ("validatingadmissionpolicybindings", "validatingadmissionpolicybinding"),
        "/registry/validatingadmissionpolicybindings",
    )
    .extends_api(),
    global(
        ADMISSION,
        "ValidatingWebhookConfiguration",
        ("validatingwebhookconfigurations", "validatingwebhookconfiguration"),
        "/registry/validatingwebhookconfigurations",
    )
    .extends_api(),
    global(
        APIEXTENSIONS,
        "CustomResourceDefinition",
        ("customresourcedefinitions", "customresourcedefinition"),
        "/registry/apiextensions.k8s.io/customresourcedefinitions",
    )
    .short(&["crd", "crds"])
    .extends_api()
    .sub(STATUS),
    global(SCHEDULING, "PriorityClass", ("priorityclasses", "priorityclass"), "/registry/priorityclasses")
        .short(&["pc"]),
    namespaced(COORDINATION, "Lease", ("leases", "lease"), "/registry/leases"),
    global(NODE, "RuntimeClass", ("runtimeclasses", "runtimeclass"), "/registry/runtimeclasses"),
    namespaced(DISCOVERY, "EndpointSlice", ("endpointslices", "endpointslice"), "/registry/endpointslices"),
    global(FLOWCONTROL, "FlowSchema", ("flowschemas", "flowschema"), "/registry/flowschemas").sub(STATUS),
    global(
        FLOWCONTROL,
        "PriorityLevelConfiguration",
        ("prioritylevelconfigurations", "prioritylevelconfiguration"),
        "/registry/prioritylevelconfigurations",
    )
    .sub(STATUS),
];

pub(super) static UNSTORED: &[Resource] = &[
    Resource { namespaced: true, ..question(CORE, "Binding", ("bindings", "binding")) },
    // What etcd and others say of their health: outdated, and still listed.
    question(CORE, "ComponentStatus", ("componentstatuses", "componentstatus"))
        .short(&["cs"])
        .only(&["get", "list"]),
    question(AUTHENTICATION, "SelfSubjectReview", ("selfsubjectreviews", "selfsubjectreview")),
    question(AUTHENTICATION, "TokenReview", ("tokenreviews", "tokenreview")),
    Resource {
        namespaced: true,
        ..question(
            AUTHORIZATION,
            "LocalSubjectAccessReview",
            ("localsubjectaccessreviews", "localsubjectaccessreview"),
        )
    },
    question(
        AUTHORIZATION,
        "SelfSubjectAccessReview",
        ("selfsubjectaccessreviews", "selfsubjectaccessreview"),
    ),
    question(AUTHORIZATION, "SelfSubjectRulesReview", ("selfsubjectrulesreviews", "selfsubjectrulesreview")),
    question(AUTHORIZATION, "SubjectAccessReview", ("subjectaccessreviews", "subjectaccessreview")),
];
