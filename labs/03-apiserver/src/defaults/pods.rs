//! Defaults of pods and pod templates.

use super::rows::{Fill, Row, fill};
use super::{each, inside};
use crate::meta::{self, as_map, default_text, default_to, map_at};
use jiff::Timestamp;
use objects::quantity::Quantity;
use serde_json::{Map, Value, json};

pub fn pod(object: &mut Value) {
    let spec = map_at(object, "spec");
    pod_spec(spec);
    for list in ["containers", "initContainers"] {
        each(spec, list, requests_from_limits);
    }
    default_to(spec, "enableServiceLinks", true);
    // With the host's network, a port of the container is the host's port.
    if spec.get("hostNetwork") == Some(&json!(true)) {
        for list in ["initContainers", "containers"] {
            each(spec, list, |container| {
                each(container, "ports", |port| {
                    if let Some(number) = port.get("containerPort").cloned() {
                        default_to(port, "hostPort", number);
                    }
                })
            });
        }
    }
}

/// `template` of a workload.
pub fn template(template: &mut Map<String, Value>) {
    template.entry("metadata").or_insert_with(|| json!({}));
    let spec = template.entry("spec").or_insert_with(|| json!({}));
    pod_spec(as_map(spec));
}

/// What upstream's admission adds to a pod whenever it is written, and `admission::builtin` does not: it is
/// nobody's field.
pub fn on_write(object: &mut Value) {
    let spec = map_at(object, "spec");
    tolerate_lost_nodes(spec);
}

/// A pod that is not to be scheduled yet says so from the first moment (upstream:
/// `applySchedulingGatedCondition`).
pub fn initial_status(pod: &Value, now: Timestamp) -> Value {
    let mut status = json!({ "phase": "Pending", "qosClass": qos_class(pod) });
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "lastProbeTime": null,
            "lastTransitionTime": meta::time(now), "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    status
}

/// `podIP` is the first of `podIPs`. A writer that knows of the one alone is older than the list, and is
/// believed (upstream: `Convert_v1_PodStatus_To_core_PodStatus` and back).
pub fn one_list_of_addresses(status: &mut Map<String, Value>) {
    let one = status.get("podIP").and_then(Value::as_str).unwrap_or_default().to_string();
    let list = status.get("podIPs").and_then(Value::as_array);
    let first = list.and_then(|list| list.first()).map(|address| meta::text(address, &["ip"]).to_string());
    match first {
        Some(first) if one.is_empty() => default_text(status, "podIP", &first),
        Some(first) if first == one => {}
        None if one.is_empty() => {}
        _ => _ = status.insert("podIPs".into(), json!([{ "ip": one }])),
    }
}

/// A pod stays on a node that was lost for five minutes, unless it says otherwise.
fn tolerate_lost_nodes(spec: &mut Map<String, Value>) {
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Value::Array(tolerations) = tolerations else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|t| {
            let its_key = t["key"].as_str().unwrap_or_default();
            let effect = t["effect"].as_str().unwrap_or_default();
            (its_key == key || its_key.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !tolerated {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

fn requests_from_limits(container: &mut Map<String, Value>) {
    inside(container, "resources", |resources| {
        let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
        let requests = as_map(resources.entry("requests").or_insert_with(|| json!({})));
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    });
}

fn pod_spec(spec: &mut Map<String, Value>) {
    default_text(spec, "restartPolicy", "Always");
    default_to(spec, "terminationGracePeriodSeconds", 30);
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default_to(spec, "securityContext", json!({}));
    default_text(spec, "schedulerName", "default-scheduler");
    // The old name of the field follows the new one.
    for (from, to) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if let Some(account) = spec.get(from).filter(|v| v.as_str() != Some("")).cloned() {
            default_text(spec, to, account.as_str().unwrap_or_default());
        }
    }
    each(spec, "volumes", volume);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, list, container);
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if uses_latest(image) { "Always" } else { "IfNotPresent" };
    each(container, "ports", |port| default_text(port, "protocol", "TCP"));
    each(container, "env", |env| {
        inside(env, "valueFrom", |from| {
            inside(from, "fieldRef", |field| default_text(field, "apiVersion", "v1"));
        });
    });
    default_to(container, "resources", json!({}));
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        inside(container, name, probe);
    }
    inside(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            inside(lifecycle, hook, |hook| inside(hook, "httpGet", http_get));
        }
    });
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    default_text(container, "imagePullPolicy", policy);
}

/// An image without tag or digest means `:latest`.
fn uses_latest(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains('@') {
        return false;
    }
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(probe: &mut Map<String, Value>) {
    inside(probe, "httpGet", http_get);
    inside(probe, "grpc", |grpc| default_to(grpc, "service", ""));
    for (key, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe.get(key).is_none_or(|v| v.is_null() || *v == json!(0)) {
            probe.insert(key.into(), json!(value));
        }
    }
}

fn http_get(action: &mut Map<String, Value>) {
    default_text(action, "path", "/");
    default_text(action, "scheme", "HTTP");
}

fn volume(volume: &mut Map<String, Value>) {
    let named = |key: &str| key == "name";
    if volume.keys().all(|key| named(key)) {
        volume.insert("emptyDir".into(), json!({}));
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        inside(volume, kind, |source| {
            default_to(source, "defaultMode", 420);
            each(source, "items", |item| inside(item, "fieldRef", |f| default_text(f, "apiVersion", "v1")));
            each(source, "sources", |part| {
                inside(part, "serviceAccountToken", |token| default_to(token, "expirationSeconds", 3600));
                inside(part, "downwardAPI", |d| {
                    each(d, "items", |i| inside(i, "fieldRef", |f| default_text(f, "apiVersion", "v1")));
                });
            });
        });
    }
    fill(volume, SOURCES);
    inside(volume, "ephemeral", |source| {
        inside(source, "volumeClaimTemplate", |claim| {
            inside(claim, "spec", |spec| default_text(spec, "volumeMode", "Filesystem"));
        });
    });
}

/// Sources that a pod's volumes and persistent volumes have in common.
pub static SOURCES: &[Row] = &[
    Row("hostPath", Fill::Within(&[Row("type", Fill::Text(""))])),
    Row("iscsi", Fill::Within(&[Row("iscsiInterface", Fill::Text("default"))])),
    Row(
        "rbd",
        Fill::Within(&[
            Row("pool", Fill::Text("rbd")),
            Row("user", Fill::Text("admin")),
            Row("keyring", Fill::Text("/etc/ceph/keyring")),
        ]),
    ),
    Row(
        "azureDisk",
        Fill::Within(&[
            Row("cachingMode", Fill::Text("ReadWrite")),
            Row("kind", Fill::Text("Shared")),
            Row("fsType", Fill::Text("ext4")),
            Row("readOnly", Fill::Flag(false)),
        ]),
    ),
    Row(
        "scaleIO",
        Fill::Within(&[Row("storageMode", Fill::Text("ThinProvisioned")), Row("fsType", Fill::Text("xfs"))]),
    ),
];

/// How much a pod may count on what it asked for (upstream: `ComputePodQOS`): Guaranteed when
/// every container limits cpu and memory and asks for just that, BestEffort when none asks for
/// anything, Burstable in between.
pub fn qos_class(pod: &Value) -> &'static str {
    let empty = Vec::new();
    let lists = ["containers", "initContainers"];
    let containers = lists.iter().flat_map(|l| pod["spec"][*l].as_array().unwrap_or(&empty));
    let amount = |v: &Value| v.as_str().and_then(|s| Quantity::parse(s).ok()).filter(|q| !q.is_zero());
    let (mut any, mut all) = (false, true);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let limit = amount(&container["resources"]["limits"][resource]);
            let request = amount(&container["resources"]["requests"][resource]);
            any |= limit.is_some() || request.is_some();
            all &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
