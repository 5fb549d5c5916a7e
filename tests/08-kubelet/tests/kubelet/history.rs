//! Pods made by chance, and what may happen to them.

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::heart::backoff::Backoff;
use crate::heart::probe::Verdict;
use crate::support::{Machine, at, pod};

#[derive(Clone, Debug)]
pub enum Happening {
    Wait(i64),
    Exit(usize, i32),
    SandboxDies,
    Unhealthy(usize),
    Forgetful,
    Delete,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..400_i64).prop_map(Happening::Wait),
        8 => (0..5_usize, prop_oneof![Just(0), Just(1), Just(137)]).prop_map(|(i, c)| Happening::Exit(i, c)),
        1 => Just(Happening::SandboxDies),
        1 => (0..5_usize).prop_map(Happening::Unhealthy),
        1 => Just(Happening::Forgetful),
        1 => Just(Happening::Delete),
    ]
}

/// Up to 25 things that happen to a pod.
pub fn any_history() -> impl Strategy<Value = Vec<Happening>> {
    prop::collection::vec(happening(), 0..25)
}

/// A pod with init containers, sidecars and main ones, of any policy.
pub fn any_pod() -> impl Strategy<Value = api::Pod> {
    let policy = prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")];
    (policy, prop::collection::vec(any::<bool>(), 0..3), 1..3_usize, any::<bool>()).prop_map(
        |(policy, init, main, host_network)| {
            let init: Vec<Value> = init
                .iter()
                .enumerate()
                .map(|(i, sidecar)| match sidecar {
                    true => json!({"name": format!("i{i}"), "image": "x", "restartPolicy": "Always"}),
                    false => json!({"name": format!("i{i}"), "image": "x"}),
                })
                .collect();
            let main: Vec<Value> =
                (0..main).map(|i| json!({"name": format!("m{i}"), "image": "x"})).collect();
            pod(json!({
                "restartPolicy": policy, "hostNetwork": host_network,
                "initContainers": init, "containers": main,
            }))
        },
    )
}

impl Happening {
    pub fn to(self, machine: &mut Machine, pod: &mut api::Pod) {
        let running: Vec<String> = machine.runtime.running().map(|c| c.name.clone()).collect();
        match self {
            Happening::Wait(seconds) => machine.now += seconds,
            Happening::Exit(i, code) => {
                if let Some(name) = running.get(i % running.len().max(1)) {
                    machine.exit(name, code);
                }
            }
            Happening::SandboxDies => machine.kill_sandbox(),
            Happening::Unhealthy(i) => {
                if let Some(c) = machine.runtime.running().nth(i % running.len().max(1)) {
                    let verdict = Verdict { liveness: Some(false), ..Verdict::default() };
                    machine.verdicts.0.insert(c.id.clone(), verdict);
                }
            }
            // A kubelet that restarts remembers no delays.
            Happening::Forgetful => machine.backoff = Backoff::default(),
            Happening::Delete => pod.metadata.deletion_timestamp = Some(Time(at(machine.now))),
        }
    }
}
