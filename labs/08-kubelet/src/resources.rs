//! Requests and limits as the kernel takes them: shares, quota, bytes, and who dies first.
//!
//! Upstream: `pkg/kubelet/cm/helpers_linux.go`, `pkg/apis/core/v1/helper/qos`, `pkg/kubelet/qos`.

use k8s_openapi::api::core::v1 as api;
use objects::quantity::Quantity;

/// The class by which a pod is treated when memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    /// Every container has limits for cpu and memory, and requests equal to them.
    Guaranteed,
    Burstable,
    /// Nobody asked for anything.
    BestEffort,
}

impl QosClass {
    pub fn as_str(self) -> &'static str {
        match self {
            QosClass::Guaranteed => "Guaranteed",
            QosClass::Burstable => "Burstable",
            QosClass::BestEffort => "BestEffort",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Requests,
    Limits,
}

/// A positive amount, if one is given. A limit without a request is its own request.
fn amount(container: &api::Container, side: Side, name: &str) -> Option<Quantity> {
    let resources = container.resources.as_ref()?;
    let get = |map: &Option<std::collections::BTreeMap<_, _>>| -> Option<Quantity> {
        let quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity = map.as_ref()?.get(name)?;
        Quantity::parse(&quantity.0).ok().filter(|q| !q.is_zero() && !q.is_negative())
    };
    match side {
        Side::Limits => get(&resources.limits),
        Side::Requests => get(&resources.requests).or_else(|| get(&resources.limits)),
    }
}

pub fn qos_class(spec: &api::PodSpec) -> QosClass {
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let all = ["cpu", "memory"];
    let asked = containers().any(|c| all.iter().any(|r| amount(c, Side::Requests, r).is_some()));
    let guaranteed = containers().all(|c| {
        all.iter().all(|r| {
            let limit = amount(c, Side::Limits, r);
            limit.is_some() && limit == amount(c, Side::Requests, r)
        })
    });
    match (asked, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

/// What goes into a container's cgroup. Zero means: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Relative weight, 1024 for one cpu.
    pub cpu_shares: i64,
    /// Microseconds of cpu per `cpu_period_us`.
    pub cpu_quota_us: i64,
    pub cpu_period_us: i64,
    pub memory_limit: i64,
    pub oom_score_adj: i64,
}

const PERIOD_US: i64 = 100_000;

/// 1024 shares a cpu, within what the kernel accepts.
pub fn cpu_shares(milli_cpu: i64) -> i64 {
    (milli_cpu.saturating_mul(1024) / 1000).clamp(2, 262_144)
}

/// The quota for a limit, at least a millisecond a period; 0 for no limit.
pub fn cpu_quota(milli_cpu: i64) -> i64 {
    match milli_cpu {
        0 => 0,
        m => (m.saturating_mul(PERIOD_US) / 1000).max(1000),
    }
}

/// How readily the kernel kills a process when memory runs out: -997 hardly ever, 1000 first.
/// A burstable container is the safer the larger its share of the machine that it asked for.
pub fn oom_score_adj(class: QosClass, priority: i32, memory_request: i64, node_memory: i64) -> i64 {
    const SYSTEM_CRITICAL: i32 = 2_000_000_000;
    if priority >= SYSTEM_CRITICAL {
        return -997;
    }
    match class {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let share = 1000_i64.saturating_mul(memory_request) / node_memory.max(1);
            (1000 - share).clamp(3, 999)
        }
    }
}

pub fn cgroup_limits(spec: &api::PodSpec, container: &api::Container, node_memory: i64) -> CgroupLimits {
    let milli = |side| amount(container, side, "cpu").map_or(0, |q| q.milli_value());
    let bytes = |side| amount(container, side, "memory").map_or(0, |q| q.value());
    CgroupLimits {
        cpu_shares: cpu_shares(milli(Side::Requests)),
        cpu_quota_us: cpu_quota(milli(Side::Limits)),
        cpu_period_us: PERIOD_US,
        memory_limit: bytes(Side::Limits),
        oom_score_adj: oom_score_adj(
            qos_class(spec),
            spec.priority.unwrap_or(0),
            bytes(Side::Requests),
            node_memory,
        ),
    }
}

/// Does any container name a limit that a cgroup must hold?
pub fn has_limits(spec: &api::PodSpec) -> bool {
    spec.containers
        .iter()
        .any(|c| amount(c, Side::Limits, "cpu").is_some() || amount(c, Side::Limits, "memory").is_some())
}
