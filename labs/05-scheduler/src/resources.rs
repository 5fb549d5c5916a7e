//! What a pod asks for and what a node has to give.
//!
//! Upstream: `k8s.io/component-helpers/resource` (`PodRequests`) and the
//! scheduler's `framework.Resource`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use objects::quantity::Quantity;

/// What a container that requests no cpu counts as when nodes are *scored*
/// (thousandths of a core). Filters count what was requested, nothing else.
pub const DEFAULT_MILLI_CPU: i64 = 100;
/// The same for memory, in bytes.
pub const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts by resource name: `cpu` in thousandths of a core, everything else in
/// whole units (bytes, pods, devices). A missing name is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources(BTreeMap<String, i64>);

impl Resources {
    /// Reads a `requests` or `allocatable` map. The API server has refused what
    /// does not parse, so here it counts as nothing.
    pub fn from_list(list: Option<&BTreeMap<String, RawQuantity>>) -> Self {
        let mut out = Resources::default();
        for (name, raw) in list.into_iter().flatten() {
            if let Ok(quantity) = Quantity::parse(&raw.0) {
                let amount = if name == "cpu" { quantity.milli_value() } else { quantity.value() };
                out.set(name, amount);
            }
        }
        out
    }

    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn set(&mut self, name: &str, amount: i64) {
        self.0.insert(name.to_owned(), amount);
    }

    /// Names and amounts, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    pub fn add(&mut self, other: &Resources) {
        for (name, amount) in other.iter() {
            let sum = self.get(name).saturating_add(amount);
            self.set(name, sum);
        }
    }

    pub fn subtract(&mut self, other: &Resources) {
        for (name, amount) in other.iter() {
            let rest = self.get(name).saturating_sub(amount);
            self.set(name, rest);
        }
    }

    /// Raises each amount to at least the other's.
    pub fn raise_to(&mut self, other: &Resources) {
        for (name, amount) in other.iter() {
            if amount > self.get(name) {
                self.set(name, amount);
            }
        }
    }
}

/// What the pod needs reserved on its node.
///
/// Init containers run one after the other before the others start, so the pod
/// needs the larger of "all containers together" and "the largest init
/// container". An init container with `restartPolicy: Always` (a sidecar) keeps
/// running: it adds to everything that starts after it. `overhead` comes on top.
pub fn pod_requests(pod: &Pod) -> Resources {
    sum_requests(pod, |container| {
        Resources::from_list(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    })
}

/// The same sum for scoring, where a container that requests no cpu or memory
/// counts as a small one: otherwise any number of them would look free.
pub fn scored_requests(pod: &Pod) -> Resources {
    sum_requests(pod, |container| {
        let mut amounts = Resources::from_list(
            container.resources.as_ref().and_then(|resources| resources.requests.as_ref()),
        );
        if !amounts.contains("cpu") {
            amounts.set("cpu", DEFAULT_MILLI_CPU);
        }
        if !amounts.contains("memory") {
            amounts.set("memory", DEFAULT_MEMORY);
        }
        amounts
    })
}

fn sum_requests(pod: &Pod, of: impl Fn(&Container) -> Resources) -> Resources {
    let Some(spec) = &pod.spec else {
        return Resources::default();
    };
    let _ = (&of, &spec);
    todo!("lab 05.2: follow the pod's start in time, and find its hungriest moment")
}
