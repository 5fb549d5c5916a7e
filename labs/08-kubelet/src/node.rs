//! The node's own object: what the machine is, and whether pods can run on it.
//!
//! Upstream: `pkg/kubelet/kubelet_node_status.go`, `pkg/kubelet/nodestatus/setters.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::types::Timestamp;

/// What does not change while the kubelet runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    pub name: String,
    pub internal_ip: String,
    pub cpus: u64,
    pub memory_bytes: u64,
    pub storage_bytes: u64,
    pub max_pods: u32,
    pub port: u16,
    /// `amd64`, `arm64`, as Go names it.
    pub arch: String,
    pub info: api::NodeSystemInfo,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<api::Taint>,
}

/// A condition that the runtime reports of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeCondition {
    pub kind: String,
    pub holds: bool,
    pub reason: String,
    pub message: String,
}

/// What does change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// `None` while the runtime does not answer.
    pub runtime: Option<Vec<RuntimeCondition>>,
    /// `name://version`, as the runtime gives it.
    pub runtime_version: String,
    pub images: Vec<api::ContainerImage>,
}

/// The object as it is created. A taint keeps pods away until the node is Ready; the node
/// controller's job otherwise, it is given at birth so that no pod slips in between.
pub fn object(machine: &Machine) -> api::Node {
    let mut labels = BTreeMap::from([
        ("kubernetes.io/hostname".to_owned(), machine.name.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("kubernetes.io/arch".to_owned(), machine.arch.clone()),
        ("beta.kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("beta.kubernetes.io/arch".to_owned(), machine.arch.clone()),
    ]);
    labels.extend(machine.labels.clone());
    api::Node {
        metadata: ObjectMeta {
            name: Some(machine.name.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(api::NodeSpec {
            taints: Some(machine.taints.clone()).filter(|t| !t.is_empty()),
            ..api::NodeSpec::default()
        }),
        status: None,
    }
}

/// Can pods run? Yes, or why not.
pub fn readiness(health: &Health) -> Result<(), String> {
    let Some(conditions) = &health.runtime else {
        return Err("container runtime is down".into());
    };
    let mut problems = Vec::new();
    for (kind, what) in [
        ("RuntimeReady", "container runtime not ready"),
        ("NetworkReady", "container runtime network not ready"),
    ] {
        match conditions.iter().find(|c| c.kind == kind) {
            Some(c) if c.holds => {}
            Some(c) => {
                problems.push(format!("{what}: {kind}=false reason:{} message:{}", c.reason, c.message))
            }
            None => problems.push(format!("{what}: {kind} is not reported")),
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("; ")),
    }
}

/// The node's status. Times of transitions come from the status before; heartbeats are `now`.
pub fn status(
    machine: &Machine,
    health: &Health,
    old: Option<&api::NodeStatus>,
    now: Timestamp,
) -> api::NodeStatus {
    let quantities = BTreeMap::from([
        ("cpu", machine.cpus.to_string()),
        ("memory", format!("{}Ki", machine.memory_bytes / 1024)),
        ("pods", machine.max_pods.to_string()),
        ("ephemeral-storage", format!("{}Ki", machine.storage_bytes / 1024)),
    ]);
    let capacity: BTreeMap<String, Quantity> =
        quantities.into_iter().map(|(name, value)| (name.to_owned(), Quantity(value))).collect();
    let address = |type_: &str, address: &str| api::NodeAddress {
        type_: type_.to_owned(),
        address: address.to_owned(),
    };
    let mut info = machine.info.clone();
    info.container_runtime_version = health.runtime_version.clone();
    api::NodeStatus {
        addresses: Some(vec![
            address("InternalIP", &machine.internal_ip),
            address("Hostname", &machine.name),
        ]),
        allocatable: Some(capacity.clone()),
        capacity: Some(capacity),
        conditions: Some(conditions(health, old, now)),
        daemon_endpoints: Some(api::NodeDaemonEndpoints {
            kubelet_endpoint: Some(api::DaemonEndpoint { port: i32::from(machine.port) }),
        }),
        images: Some(health.images.clone()).filter(|i| !i.is_empty()),
        node_info: Some(info),
        ..api::NodeStatus::default()
    }
}

fn conditions(health: &Health, old: Option<&api::NodeStatus>, now: Timestamp) -> Vec<api::NodeCondition> {
    let old = old.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let stamp = |kind: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let same = old.iter().find(|c| c.type_ == kind && c.status == status);
        let since = same.and_then(|c| c.last_transition_time.clone());
        api::NodeCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: Some(since.unwrap_or(Time(now))),
        }
    };
    let mut all = vec![
        stamp(
            "MemoryPressure",
            false,
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        stamp("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        stamp("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ];
    // What the runtime says beyond the two that upstream knows is said on: limits that this host
    // cannot enforce must be seen.
    for c in health.runtime.iter().flatten() {
        if c.kind != "RuntimeReady" && c.kind != "NetworkReady" {
            all.push(stamp(&c.kind, c.holds, &c.reason, &c.message));
        }
    }
    all.push(match readiness(health) {
        Ok(()) => stamp("Ready", true, "KubeletReady", "kubelet is posting ready status"),
        Err(why) => stamp("Ready", false, "KubeletNotReady", &why),
    });
    all
}

/// Do two statuses differ in more than their heartbeats?
pub fn differs(a: &api::NodeStatus, b: &api::NodeStatus) -> bool {
    let still = |status: &api::NodeStatus| {
        let mut status = status.clone();
        for c in status.conditions.iter_mut().flatten() {
            c.last_heartbeat_time = None;
        }
        status
    };
    let ours = |status: &api::NodeStatus| {
        let s = still(status);
        (s.addresses, s.allocatable, s.capacity, s.conditions, s.daemon_endpoints, s.images, s.node_info)
    };
    ours(a) != ours(b)
}

pub fn is_ready(status: Option<&api::NodeStatus>) -> bool {
    status
        .and_then(|s| s.conditions.as_ref())
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}
