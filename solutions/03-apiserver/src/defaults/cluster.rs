//! Defaults of all kinds that run no pods.

use super::rows::{Fill, Row, fill};
use super::{each, inside, pods};
use crate::meta::{as_map, default_text, default_to};
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

pub static STORAGE_CLASS: &[Row] =
    &[Row("reclaimPolicy", Fill::Text("Delete")), Row("volumeBindingMode", Fill::Text("Immediate"))];

pub static CSI_DRIVER: &[Row] = &[
    Row("spec.attachRequired", Fill::Flag(true)),
    Row("spec.podInfoOnMount", Fill::Flag(false)),
    Row("spec.storageCapacity", Fill::Flag(false)),
    Row("spec.fsGroupPolicy", Fill::Text("ReadWriteOnceWithFSType")),
    Row("spec.volumeLifecycleModes", Fill::Texts(&["Persistent"])),
    Row("spec.requiresRepublish", Fill::Flag(false)),
    Row("spec.seLinuxMount", Fill::Flag(false)),
];

pub static PERSISTENT_VOLUME: &[Row] = &[
    Row("spec.persistentVolumeReclaimPolicy", Fill::Text("Retain")),
    Row("spec.volumeMode", Fill::Text("Filesystem")),
    Row("spec", Fill::Within(pods::SOURCES)),
];

pub static CLAIM: &[Row] = &[Row("spec.volumeMode", Fill::Text("Filesystem"))];

pub static PRIORITY_CLASS: &[Row] = &[Row("preemptionPolicy", Fill::Text("PreemptLowerPriority"))];

pub static INGRESS_CLASS: &[Row] =
    &[Row("spec.parameters", Fill::Within(&[Row("scope", Fill::Text("Cluster"))]))];

const POLICY_RULE: Fill = Fill::Each(&[Row("ports", Fill::Each(&[Row("protocol", Fill::Text("TCP"))]))]);

pub static NETWORK_POLICY: &[Row] = &[
    Row("spec.podSelector", Fill::Empty),
    Row("spec.ingress", POLICY_RULE),
    Row("spec.egress", POLICY_RULE),
    Row("spec.", Fill::Code(policy_types)),
];

/// A policy is about what comes in, and if it says anything of what goes out, about that too.
fn policy_types(spec: &mut Fields) {
    let goes_out = spec.get("egress").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let types: &[&str] = if goes_out { &["Ingress", "Egress"] } else { &["Ingress"] };
        spec.insert("policyTypes".into(), json!(types));
    }
}

const GROUP: &str = "rbac.authorization.k8s.io";

pub static BINDING: &[Row] = &[
    Row("roleRef.apiGroup", Fill::Text(GROUP)),
    Row("subjects", Fill::Each(&[Row("", Fill::Code(subject))])),
];

fn subject(subject: &mut Fields) {
    if subject.get("kind").is_some_and(|kind| kind == "User" || kind == "Group") {
        default_text(subject, "apiGroup", GROUP);
    }
}

const SCOPE: Row = Row("scope", Fill::Text("*"));
const FAIL: Row = Row("failurePolicy", Fill::Text("Fail"));

static WEBHOOK: &[Row] = &[
    FAIL,
    Row("matchPolicy", Fill::Text("Equivalent")),
    Row("namespaceSelector", Fill::Empty),
    Row("objectSelector", Fill::Empty),
    Row("timeoutSeconds", Fill::Number(10)),
    Row("rules", Fill::Each(&[SCOPE])),
    Row("clientConfig.service", Fill::Within(&[Row("port", Fill::Number(443))])),
];

pub static VALIDATING_WEBHOOKS: &[Row] = &[Row("webhooks", Fill::Each(WEBHOOK))];
pub static MUTATING_WEBHOOKS: &[Row] = &[
    Row("webhooks", Fill::Each(WEBHOOK)),
    Row("webhooks", Fill::Each(&[Row("reinvocationPolicy", Fill::Text("Never"))])),
];

static MATCH_RESOURCES: &[Row] = &[
    Row("matchPolicy", Fill::Text("Equivalent")),
    Row("namespaceSelector", Fill::Empty),
    Row("objectSelector", Fill::Empty),
    Row("resourceRules", Fill::Each(&[SCOPE])),
    Row("excludeResourceRules", Fill::Each(&[SCOPE])),
];

pub static POLICY: &[Row] = &[
    Row("spec.failurePolicy", Fill::Text("Fail")),
    Row("spec.matchConstraints", Fill::Within(MATCH_RESOURCES)),
];
pub static POLICY_BINDING: &[Row] = &[Row("spec.matchResources", Fill::Within(MATCH_RESOURCES))];

pub static API_SERVICE: &[Row] = &[Row("spec.service", Fill::Within(&[Row("port", Fill::Number(443))]))];

pub static FLOW_SCHEMA: &[Row] = &[Row("spec.matchingPrecedence", Fill::Number(1000))];

pub static PRIORITY_LEVEL: &[Row] = &[
    Row(
        "spec.exempt",
        Fill::Within(&[
            Row("nominalConcurrencyShares", Fill::Number(0)),
            Row("lendablePercent", Fill::Number(0)),
        ]),
    ),
    Row(
        "spec.limited",
        Fill::Within(&[
            Row("nominalConcurrencyShares", Fill::Number(30)),
            Row("lendablePercent", Fill::Number(0)),
            Row(
                "limitResponse.queuing",
                Fill::Within(&[
                    Row("queues", Fill::Number(64)),
                    Row("handSize", Fill::Number(8)),
                    Row("queueLengthLimit", Fill::Number(50)),
                ]),
            ),
        ]),
    ),
];

pub static NODE: &[Row] = &[
    Row("spec", Fill::Within(&[Row("", Fill::Code(pod_cidrs))])),
    Row("status", Fill::Within(&[Row("", Fill::Code(allocatable))])),
];

/// The networks of a node's pods have two names. Where they differ, the older one is right
/// (upstream: `Convert_v1_NodeSpec_To_core_NodeSpec`).
fn pod_cidrs(spec: &mut Fields) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_string();
    let (one, first) = (text(spec.get("podCIDR")), text(spec.get("podCIDRs").and_then(|list| list.get(0))));
    if !one.is_empty() && one != first {
        spec.insert("podCIDRs".into(), json!([one]));
    } else if one.is_empty() && !first.is_empty() {
        spec.insert("podCIDR".into(), json!(first));
    }
}

/// Unless a kubelet says otherwise, all that a node has is for pods.
fn allocatable(status: &mut Fields) {
    if let Some(capacity) = status.get("capacity").filter(|c| c.is_object()).cloned() {
        default_to(status, "allocatable", capacity);
    }
}

pub static LIMIT_RANGE: &[Row] = &[Row("spec.limits", Fill::Each(&[Row("", Fill::Code(limit))]))];

/// What a container is limited to, and what it asks for, where only bounds are told.
fn limit(item: &mut Fields) {
    if item.get("type").is_none_or(|kind| kind != "Container") {
        return;
    }
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let Some(Value::Object(amounts)) = item.get(from).cloned() else { continue };
        let target = as_map(item.entry(to).or_insert_with(|| json!({})));
        for (name, amount) in amounts {
            target.entry(name).or_insert(amount);
        }
    }
}

pub static AUTOSCALER: &[Row] = &[
    Row("spec.minReplicas", Fill::Number(1)),
    Row("spec.", Fill::Code(metrics)),
    Row("spec.behavior", Fill::Within(&[Row("", Fill::Code(behavior))])),
];

/// Who names no metric means eighty per cent of the cpu that is asked for.
fn metrics(spec: &mut Fields) {
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let target = json!({ "type": "Utilization", "averageUtilization": 80 });
        let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        spec.insert("metrics".into(), json!([cpu]));
    }
}

fn behavior(behavior: &mut Fields) {
    let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
    for (key, policies) in [("scaleUp", json!([pods, percent])), ("scaleDown", json!([percent]))] {
        let rules = as_map(behavior.entry(key).or_insert_with(|| json!({})));
        if key == "scaleUp" {
            default_to(rules, "stabilizationWindowSeconds", 0);
        }
        default_text(rules, "selectPolicy", "Max");
        default_to(rules, "policies", policies);
    }
}

/// The claims that a stateful set makes: they look like claims that were made.
pub fn claim_templates(spec: &mut Fields) {
    each(spec, "volumeClaimTemplates", |claim| {
        default_text(claim, "kind", "PersistentVolumeClaim");
        default_text(claim, "apiVersion", "v1");
        inside(claim, "spec", |spec| fill(spec, &[Row("volumeMode", Fill::Text("Filesystem"))]));
        default_to(claim, "status", json!({ "phase": "Pending" }));
    });
}
