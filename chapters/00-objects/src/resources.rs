//! The table of kinds: what the API server serves and where it stores it.
//!
//! Everything in the table is served. Only some kinds have somebody who acts on them; the
//! others are kept faithfully and do nothing, as on a cluster whose controller is switched
//! off. Two rows with one `storage_prefix` are two versions of the same objects: the API
//! server stores the one that [`Resource::is_storage_version`] names and converts.

// ANCHOR: resource
/// One resource in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub namespaced: bool,
    /// `all` is what `kubectl get all` lists.
    pub categories: &'static [&'static str],
    /// The store's key before `/NAMESPACE/NAME`: upstream's, so some are old names.
    pub storage_prefix: &'static str,
    pub verbs: &'static [&'static str],
    pub subresources: &'static [&'static str],
}
// ANCHOR_END: resource

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const STATUS: &[&str] = &["status"];
const SCALE: &[&str] = &["status", "scale"];
const ALL: &[&str] = &["all"];

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether the store holds these objects in this row's version. The first row of a
    /// storage prefix is the stored one.
    pub fn is_storage_version(&self) -> bool {
        let first = TABLE.iter().find(|other| other.storage_prefix == self.storage_prefix);
        first.is_some_and(|first| (first.group, first.version) == (self.group, self.version))
    }

    const fn short(self, short_names: &'static [&'static str]) -> Resource {
        Resource { short_names, ..self }
    }

    const fn sub(self, subresources: &'static [&'static str]) -> Resource {
        Resource { subresources, ..self }
    }

    const fn in_all(self) -> Resource {
        Resource { categories: ALL, ..self }
    }

    const fn only(self, verbs: &'static [&'static str]) -> Resource {
        Resource { verbs, ..self }
    }
}

type GroupVersion = (&'static str, &'static str);

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

const CORE: GroupVersion = ("", "v1");
const APPS: GroupVersion = ("apps", "v1");
const BATCH: GroupVersion = ("batch", "v1");
const NETWORKING: GroupVersion = ("networking.k8s.io", "v1");
const RBAC: GroupVersion = ("rbac.authorization.k8s.io", "v1");

/// In the order in which discovery lists groups and resources.
static TABLE: &[Resource] = &[
    namespaced(CORE, "ConfigMap", ("configmaps", "configmap"), "/registry/configmaps").short(&["cm"]),
    namespaced(CORE, "Endpoints", ("endpoints", "endpoints"), "/registry/services/endpoints").short(&["ep"]),
    namespaced(CORE, "Event", ("events", "event"), "/registry/events").short(&["ev"]),
    namespaced(CORE, "LimitRange", ("limitranges", "limitrange"), "/registry/limitranges").short(&["limits"]),
    // A namespace goes in two steps, so it is never deleted as part of a collection.
    global(CORE, "Namespace", ("namespaces", "namespace"), "/registry/namespaces")
        .short(&["ns"])
        .only(&["create", "delete", "get", "list", "patch", "update", "watch"])
        .sub(&["status", "finalize"]),
    global(CORE, "Node", ("nodes", "node"), "/registry/minions").short(&["no"]).sub(STATUS),
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
        "status",
        "log",
        "exec",
        "attach",
        "portforward",
        "binding",
        "eviction",
        "ephemeralcontainers",
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
    namespaced(("events.k8s.io", "v1"), "Event", ("events", "event"), "/registry/events").short(&["ev"]),
    namespaced(
        ("autoscaling", "v2"),
        "HorizontalPodAutoscaler",
        ("horizontalpodautoscalers", "horizontalpodautoscaler"),
        "/registry/horizontalpodautoscalers",
    )
    .short(&["hpa"])
    .in_all()
    .sub(STATUS),
    namespaced(
        ("autoscaling", "v1"),
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
        ("policy", "v1"),
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
    global(
        ("storage.k8s.io", "v1"),
        "StorageClass",
        ("storageclasses", "storageclass"),
        "/registry/storageclasses",
    )
    .short(&["sc"]),
    global(
        ("scheduling.k8s.io", "v1"),
        "PriorityClass",
        ("priorityclasses", "priorityclass"),
        "/registry/priorityclasses",
    )
    .short(&["pc"]),
    namespaced(("coordination.k8s.io", "v1"), "Lease", ("leases", "lease"), "/registry/leases"),
    global(
        ("node.k8s.io", "v1"),
        "RuntimeClass",
        ("runtimeclasses", "runtimeclass"),
        "/registry/runtimeclasses",
    ),
    namespaced(
        ("discovery.k8s.io", "v1"),
        "EndpointSlice",
        ("endpointslices", "endpointslice"),
        "/registry/endpointslices",
    ),
];

/// Every resource, group by group.
pub fn all() -> &'static [Resource] {
    TABLE
}

/// The resource of a path: `by_plural("apps", "v1", "deployments")`.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    TABLE.iter().find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// The resource of an object: `by_kind("apps", "v1", "Deployment")`.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    TABLE.iter().find(|r| r.group == group && r.version == version && r.kind == kind)
}
