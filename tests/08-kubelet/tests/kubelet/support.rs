//! Pods, runs and times to test with, and a naive machine that carries out plans.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};

use crate::heart::actions::{PodActions, View, compute};
use crate::heart::backoff::Backoff;
use crate::heart::names::container_hash;
use crate::heart::probe::Verdicts;
use crate::heart::status::{StatusView, generate};
use crate::heart::types::{
    ContainerKind, RunState, RuntimeContainer, RuntimePod, Sandbox, SignedDuration, Timestamp, Waiting,
    WaitingReasons, all_containers, find_container, is_host_network, is_sidecar, spec,
};

/// Seconds after an arbitrary beginning.
pub fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    begin + SignedDuration::from_secs(seconds)
}

pub fn pod_of(value: Value) -> api::Pod {
    serde_json::from_value(value).expect("a pod")
}

/// A pod `web` with this spec.
pub fn pod(spec: Value) -> api::Pod {
    pod_of(json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
        "spec": spec,
    }))
}

/// A pod with one container `a` and this restart policy.
pub fn simple(policy: &str) -> api::Pod {
    pod(json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "busybox:1"}]}))
}

pub fn sandbox(attempt: u32, ready: bool) -> Sandbox {
    Sandbox {
        id: format!("s{attempt}"),
        attempt,
        ready,
        created_at: at(0),
        ips: vec!["10.244.1.2".into()],
        host_network: false,
    }
}

/// A run of the container in sandbox `s0`, begun at 0.
pub fn run(pod: &api::Pod, name: &str, restart_count: u32) -> RuntimeContainer {
    let container = find_container(pod, name).expect("a container of the pod");
    RuntimeContainer {
        id: format!("{name}-{restart_count}"),
        name: name.into(),
        sandbox_id: "s0".into(),
        restart_count,
        hash: container_hash(container),
        state: RunState::Running,
        created_at: at(0),
        started_at: Some(at(0)),
        finished_at: None,
        exit_code: 0,
        reason: String::new(),
        message: String::new(),
        image: container.image.clone().unwrap_or_default(),
        image_id: "sha256:1".into(),
    }
}

pub fn exited(mut run: RuntimeContainer, code: i32, when: i64) -> RuntimeContainer {
    run.state = RunState::Exited;
    run.exit_code = code;
    run.finished_at = Some(at(when));
    run
}

/// What is to be done, from a fresh start with no probes.
pub fn plan(pod: &api::Pod, runtime: &RuntimePod, backoff: &Backoff, now: i64) -> PodActions {
    let verdicts = Verdicts::default();
    compute(&View { pod, runtime, verdicts: &verdicts, backoff, now: at(now) })
}

pub fn status_of(
    pod: &api::Pod,
    runtime: &RuntimePod,
    waiting: &WaitingReasons,
    terminal: bool,
) -> api::PodStatus {
    let old = pod.status.clone().unwrap_or_default();
    generate(&StatusView {
        pod,
        old: &old,
        runtime,
        waiting,
        verdicts: &Verdicts::default(),
        host_ip: "10.89.0.11",
        runtime_name: "coracle",
        terminal,
        now: at(100),
    })
}

/// A machine without any cleverness: it does what plans say and keeps a diary.
#[derive(Debug, Default)]
pub struct Machine {
    pub runtime: RuntimePod,
    pub backoff: Backoff,
    pub verdicts: Verdicts,
    pub now: i64,
    /// Every start: name, restart count, sandbox.
    pub started: Vec<(String, u32, String)>,
    next_id: u32,
}

impl Machine {
    /// One round: returns the plan that was carried out.
    pub fn round(&mut self, pod: &api::Pod) -> PodActions {
        let actions = compute(&View {
            pod,
            runtime: &self.runtime,
            verdicts: &self.verdicts,
            backoff: &self.backoff,
            now: at(self.now),
        });
        self.apply(pod, &actions);
        actions
    }

    /// Rounds until nothing is left to do; panics if that never comes.
    pub fn settle(&mut self, pod: &api::Pod) -> PodActions {
        for _ in 0..10 {
            let actions = self.round(pod);
            if actions.is_converged() {
                return actions;
            }
        }
        panic!("after ten rounds there is still something to do: {:?}", self.round(pod));
    }

    pub fn exit(&mut self, name: &str, code: i32) {
        let now = at(self.now);
        for c in &mut self.runtime.containers {
            if c.name == name && c.state == RunState::Running {
                c.state = RunState::Exited;
                c.exit_code = code;
                c.finished_at = Some(now);
            }
        }
    }

    /// The sandbox dies, and everything in it.
    pub fn kill_sandbox(&mut self) {
        for s in &mut self.runtime.sandboxes {
            s.ready = false;
        }
        let names: BTreeSet<String> = self.runtime.running().map(|c| c.name.clone()).collect();
        for name in names {
            self.exit(&name, 137);
        }
    }

    fn apply(&mut self, pod: &api::Pod, actions: &PodActions) {
        if actions.kill_pod {
            self.kill_sandbox();
        }
        for kill in &actions.kill {
            self.exit(&kill.name, 137);
        }
        self.runtime.containers.retain(|c| !actions.remove.contains(&c.id));
        if let Some(attempt) = actions.create_sandbox {
            let host_network = is_host_network(pod);
            let ips = if host_network { vec![] } else { vec!["10.244.1.2".into()] };
            let new = Sandbox { host_network, ips, ..sandbox(attempt, true) };
            self.runtime.sandboxes.push(new);
        }
        for start in &actions.start {
            let sandbox = self.runtime.sandboxes.iter().find(|s| s.ready).expect("a sandbox to start in");
            let sandbox = sandbox.id.clone();
            assert!(
                !self.runtime.running().any(|c| c.name == start.name),
                "{} was started while it ran",
                start.name
            );
            if let Some(failed_at) = start.failed_at {
                self.backoff.next(&start.backoff_key, failed_at, at(self.now));
            }
            self.next_id += 1;
            self.started.push((start.name.clone(), start.restart_count, sandbox.clone()));
            self.runtime.containers.push(RuntimeContainer {
                id: format!("c{}", self.next_id),
                sandbox_id: sandbox,
                created_at: at(self.now),
                started_at: Some(at(self.now)),
                ..run(pod, &start.name, start.restart_count)
            });
        }
        let (sandboxes, containers) =
            (std::mem::take(&mut self.runtime.sandboxes), std::mem::take(&mut self.runtime.containers));
        self.runtime = RuntimePod::new(sandboxes, containers);
    }

    /// Every name runs at most once.
    pub fn check_single(&self) {
        let mut seen = BTreeSet::new();
        for c in self.runtime.running() {
            assert!(seen.insert(&c.name), "{} runs twice", c.name);
        }
    }

    /// When a main container runs, the init containers of its sandbox are through.
    pub fn check_init_order(&self, pod: &api::Pod) {
        let names: BTreeMap<&str, ContainerKind> =
            all_containers(pod).map(|(kind, c)| (c.name.as_str(), kind)).collect();
        for c in self.runtime.running().filter(|c| names[c.name.as_str()] == ContainerKind::Main) {
            for init in spec(pod).init_containers.iter().flatten().filter(|i| !is_sidecar(i)) {
                let done = self
                    .runtime
                    .newest_in(&init.name, &c.sandbox_id)
                    .is_some_and(|i| i.state == RunState::Exited && i.exit_code == 0);
                assert!(done, "{} runs although {} is not through", c.name, init.name);
            }
        }
    }
}

pub fn waiting(name: &str, reason: &str, message: &str) -> WaitingReasons {
    BTreeMap::from([(name.into(), Waiting { reason: reason.into(), message: message.into() })])
}
