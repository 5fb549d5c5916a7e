//! What one attempt computes once, before it looks at single nodes.
//!
//! Upstream calls it `CycleState`, filled by the `PreFilter` and `PreScore` plugins.

use k8s_openapi::api::core::v1::Pod;

use crate::cache::Cache;
use crate::node_info::{HostPort, host_ports};
use crate::resources::{Resources, pod_requests, scored_requests};
use crate::spread::{SpreadState, Strictness};

/// One pod, for one attempt.
pub struct Cycle<'a> {
    pub pod: &'a Pod,
    pub requests: Resources,
    pub scored: Resources,
    pub ports: Vec<HostPort>,
    /// Counts for `topologySpreadConstraints` that refuse, and for those that prefer.
    pub must_spread: SpreadState,
    pub should_spread: SpreadState,
}

impl<'a> Cycle<'a> {
    pub fn new(pod: &'a Pod, cache: &Cache) -> Self {
        Cycle {
            pod,
            requests: pod_requests(pod),
            scored: scored_requests(pod),
            ports: host_ports(pod),
            must_spread: SpreadState::new(pod, cache, Strictness::DoNotSchedule),
            should_spread: SpreadState::new(pod, cache, Strictness::ScheduleAnyway),
        }
    }
}
