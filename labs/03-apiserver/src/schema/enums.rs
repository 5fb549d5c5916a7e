//! Which texts may stand in a field, where upstream says so in its schemas: types marked `+enum` in
//! `k8s.io/api` 1.32. What else is one of a few texts (a Secret's type, the name of a condition) may
//! grow, and upstream lists nothing.

use crate::validation::USAGES;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Upstream's package and the fields, as `Type.field`, and what they may say, in upstream's order. Of a
/// list it is what each item may say.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The values of a field, if they are told; by upstream's name of the type.
pub fn of(definition: &str, field: &str) -> Option<&'static [&'static str]> {
    let (package, name) = definition.rsplit_once('.')?;
    let package = package.strip_prefix("io.k8s.api.")?;
    let is_it = |of: &str| of.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) == Some(field);
    let row = ENUMS.iter().find(|(of, fields, _)| *of == package && fields.iter().any(|of| is_it(of)));
    row.map(|(_, _, values)| *values)
}

/// Write the values into the schema of their field. What each of them means is said in upstream's
/// descriptions, and not here.
pub fn note(property: &mut Map<String, Value>, values: &[&str]) {
    if let Some(items) = property.get_mut("items") {
        items["enum"] = json!(values);
        return;
    }
    if let Some(Value::String(description)) = property.get_mut("description") {
        description.push_str("\n\nPossible enum values:");
        for value in values {
            // A `String` takes what is written to it.
            let _ = write!(description, "\n - `\"{value}\"`");
        }
    }
    property.insert("enum".into(), json!(values));
}

/// All of the table, a field at a time.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    ENUMS.iter().flat_map(|(package, fields, values)| fields.iter().map(move |f| (*package, *f, *values)))
}

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
const POLICIES_OF_TRAFFIC: &[&str] = &["Cluster", "Local"];
const UPDATES: &[&str] = &["OnDelete", "RollingUpdate"];
const RECLAIM: &[&str] = &["Delete", "Recycle", "Retain"];

const ENUMS: &[Row] = &[
    (
        "admissionregistration.v1",
        &[
            "MutatingWebhook.failurePolicy",
            "ValidatingAdmissionPolicySpec.failurePolicy",
            "ValidatingWebhook.failurePolicy",
        ],
        &["Fail", "Ignore"],
    ),
    (
        "admissionregistration.v1",
        &["MatchResources.matchPolicy", "MutatingWebhook.matchPolicy", "ValidatingWebhook.matchPolicy"],
        &["Equivalent", "Exact"],
    ),
    ("admissionregistration.v1", &["MutatingWebhook.reinvocationPolicy"], &["IfNeeded", "Never"]),
    (
        "admissionregistration.v1",
        &["MutatingWebhook.sideEffects", "ValidatingWebhook.sideEffects"],
        &["None", "NoneOnDryRun", "Some", "Unknown"],
    ),
    (
        "admissionregistration.v1",
        &["NamedRuleWithOperations.operations", "RuleWithOperations.operations"],
        &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"],
    ),
    (
        "admissionregistration.v1",
        &["NamedRuleWithOperations.scope", "RuleWithOperations.scope"],
        &["*", "Cluster", "Namespaced"],
    ),
    ("admissionregistration.v1", &["ParamRef.parameterNotFoundAction"], &["Allow", "Deny"]),
    (
        "admissionregistration.v1",
        &["ValidatingAdmissionPolicyBindingSpec.validationActions"],
        &["Audit", "Deny", "Warn"],
    ),
    ("apps.v1", &["DaemonSetUpdateStrategy.type", "StatefulSetUpdateStrategy.type"], UPDATES),
    ("apps.v1", &["DeploymentStrategy.type"], &["Recreate", "RollingUpdate"]),
    ("apps.v1", &["StatefulSetSpec.podManagementPolicy"], &["OrderedReady", "Parallel"]),
    ("batch.v1", &["CronJobSpec.concurrencyPolicy"], &["Allow", "Forbid", "Replace"]),
    ("batch.v1", &["JobSpec.completionMode"], &["Indexed", "NonIndexed"]),
    ("batch.v1", &["JobSpec.podReplacementPolicy"], &["Failed", "TerminatingOrFailed"]),
    ("batch.v1", &["PodFailurePolicyOnExitCodesRequirement.operator"], &["In", "NotIn"]),
    ("batch.v1", &["PodFailurePolicyRule.action"], &["Count", "FailIndex", "FailJob", "Ignore"]),
    ("certificates.v1", &["CertificateSigningRequestSpec.usages"], &USAGES),
    ("core.v1", &["AppArmorProfile.type", "SeccompProfile.type"], PROFILES),
    ("core.v1", &["AzureDiskVolumeSource.cachingMode"], &["None", "ReadOnly", "ReadWrite"]),
    ("core.v1", &["AzureDiskVolumeSource.kind"], &["Dedicated", "Managed", "Shared"]),
    (
        "core.v1",
        &["Container.imagePullPolicy", "EphemeralContainer.imagePullPolicy", "ImageVolumeSource.pullPolicy"],
        &["Always", "IfNotPresent", "Never"],
    ),
    (
        "core.v1",
        &["Container.terminationMessagePolicy", "EphemeralContainer.terminationMessagePolicy"],
        &["FallbackToLogsOnError", "File"],
    ),
    ("core.v1", &["ContainerPort.protocol", "EndpointPort.protocol", "ServicePort.protocol"], PROTOCOLS),
    ("core.v1", &["HTTPGetAction.scheme"], &["HTTP", "HTTPS"]),
    (
        "core.v1",
        &["HostPathVolumeSource.type"],
        &[
            "",
            "BlockDevice",
            "CharDevice",
            "Directory",
            "DirectoryOrCreate",
            "File",
            "FileOrCreate",
            "Socket",
        ],
    ),
    ("core.v1", &["ModifyVolumeStatus.status"], &["InProgress", "Infeasible", "Pending"]),
    ("core.v1", &["NamespaceStatus.phase"], &["Active", "Terminating"]),
    (
        "core.v1",
        &["NodeSelectorRequirement.operator"],
        &["DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"],
    ),
    ("core.v1", &["NodeStatus.phase"], &["Pending", "Running", "Terminated"]),
    (
        "core.v1",
        &[
            "PersistentVolumeClaimSpec.accessModes",
            "PersistentVolumeClaimStatus.accessModes",
            "PersistentVolumeSpec.accessModes",
        ],
        &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"],
    ),
    (
        "core.v1",
        &["PersistentVolumeClaimSpec.volumeMode", "PersistentVolumeSpec.volumeMode"],
        &["Block", "Filesystem"],
    ),
    ("core.v1", &["PersistentVolumeClaimStatus.phase"], &["Bound", "Lost", "Pending"]),
    ("core.v1", &["PersistentVolumeSpec.persistentVolumeReclaimPolicy"], RECLAIM),
    ("core.v1", &["PersistentVolumeStatus.phase"], &["Available", "Bound", "Failed", "Pending", "Released"]),
    ("core.v1", &["PodSecurityContext.fsGroupChangePolicy"], &["Always", "OnRootMismatch"]),
    ("core.v1", &["PodSecurityContext.supplementalGroupsPolicy"], &["Merge", "Strict"]),
    ("core.v1", &["PodSpec.dnsPolicy"], &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("core.v1", &["PodSpec.preemptionPolicy"], &["Never", "PreemptLowerPriority"]),
    ("core.v1", &["PodSpec.restartPolicy"], &["Always", "Never", "OnFailure"]),
    ("core.v1", &["PodStatus.phase"], &["Failed", "Pending", "Running", "Succeeded", "Unknown"]),
    ("core.v1", &["PodStatus.qosClass"], &["BestEffort", "Burstable", "Guaranteed"]),
    (
        "core.v1",
        &["ResourceQuotaSpec.scopes", "ScopedResourceSelectorRequirement.scopeName"],
        &[
            "BestEffort",
            "CrossNamespacePodAffinity",
            "NotBestEffort",
            "NotTerminating",
            "PriorityClass",
            "Terminating",
        ],
    ),
    ("core.v1", &["ScopedResourceSelectorRequirement.operator"], &["DoesNotExist", "Exists", "In", "NotIn"]),
    ("core.v1", &["SecurityContext.procMount"], &["Default", "Unmasked"]),
    (
        "core.v1",
        &["ServiceSpec.externalTrafficPolicy", "ServiceSpec.internalTrafficPolicy"],
        POLICIES_OF_TRAFFIC,
    ),
    ("core.v1", &["ServiceSpec.ipFamilies"], &["", "IPv4", "IPv6"]),
    ("core.v1", &["ServiceSpec.ipFamilyPolicy"], &["PreferDualStack", "RequireDualStack", "SingleStack"]),
    ("core.v1", &["ServiceSpec.sessionAffinity"], &["ClientIP", "None"]),
    ("core.v1", &["ServiceSpec.type"], &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ("core.v1", &["Taint.effect", "Toleration.effect"], &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ("core.v1", &["Toleration.operator"], &["Equal", "Exists"]),
    (
        "core.v1",
        &["TopologySpreadConstraint.nodeAffinityPolicy", "TopologySpreadConstraint.nodeTaintsPolicy"],
        &["Honor", "Ignore"],
    ),
    ("core.v1", &["TopologySpreadConstraint.whenUnsatisfiable"], &["DoNotSchedule", "ScheduleAnyway"]),
    ("core.v1", &["VolumeMount.mountPropagation"], &["Bidirectional", "HostToContainer", "None"]),
    ("discovery.v1", &["EndpointPort.protocol"], PROTOCOLS),
    ("discovery.v1", &["EndpointSlice.addressType"], &["FQDN", "IPv4", "IPv6"]),
    ("networking.v1", &["HTTPIngressPath.pathType"], &["Exact", "ImplementationSpecific", "Prefix"]),
    ("networking.v1", &["NetworkPolicyPort.protocol"], PROTOCOLS),
    ("networking.v1", &["NetworkPolicySpec.policyTypes"], &["Egress", "Ingress"]),
    (
        "policy.v1",
        &["PodDisruptionBudgetSpec.unhealthyPodEvictionPolicy"],
        &["AlwaysAllow", "IfHealthyBudget"],
    ),
    ("scheduling.v1", &["PriorityClass.preemptionPolicy"], &["Never", "PreemptLowerPriority"]),
    ("storage.v1", &["StorageClass.reclaimPolicy"], RECLAIM),
    ("storage.v1", &["StorageClass.volumeBindingMode"], &["Immediate", "WaitForFirstConsumer"]),
];
