//! The pod's conditions, in upstream's order.
//!
//! A condition carries the time of its last *transition*, so it needs the one before: same status,
//! same time. Conditions that somebody else wrote (a scheduler, a readiness gate's controller) are
//! handed on as they are.

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::types::{Timestamp, is_sidecar, spec};

const OURS: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Is this condition the kubelet's to write?
pub fn is_ours(type_: &str) -> bool {
    OURS.contains(&type_)
}

/// What the conditions are derived from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub pod: &'a api::Pod,
    /// The conditions before these, those of others included.
    pub old: &'a [api::PodCondition],
    pub phase: &'a str,
    pub init: &'a [api::ContainerStatus],
    pub main: &'a [api::ContainerStatus],
    /// There is a sandbox and it has its network.
    pub sandbox_ready: bool,
    pub now: Timestamp,
}

/// A condition without its times: true, or false for a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub holds: bool,
    pub reason: Option<&'static str>,
    pub message: Option<String>,
}

impl Verdict {
    pub fn yes() -> Self {
        Verdict { holds: true, ..Verdict::default() }
    }

    pub fn no(reason: &'static str, message: Option<String>) -> Self {
        Verdict { holds: false, reason: Some(reason), message }
    }
}

/// All conditions: ours in order, then those of others.
pub fn all(facts: &Facts<'_>) -> Vec<api::PodCondition> {
    let containers = containers_ready(facts);
    let ready = ready(facts, &containers);
    let sandbox = Verdict { holds: facts.sandbox_ready, ..Verdict::default() };
    let verdicts = [sandbox, initialized(facts), ready, containers, Verdict::yes()];
    let mut conditions: Vec<api::PodCondition> =
        OURS.iter().zip(verdicts).map(|(name, verdict)| stamp(name, verdict, facts.old, facts.now)).collect();
    let others = facts.old.iter().filter(|c| !is_ours(&c.type_));
    conditions.extend(others.cloned());
    conditions
}

/// Gives a verdict its transition time: the old one if the status is the same.
pub fn stamp(name: &str, verdict: Verdict, old: &[api::PodCondition], now: Timestamp) -> api::PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let same = old.iter().find(|c| c.type_ == name && c.status == status);
    let since = same.and_then(|c| c.last_transition_time.clone());
    api::PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message,
        last_transition_time: Some(since.unwrap_or(Time(now))),
        ..api::PodCondition::default()
    }
}

/// Have the init containers done their part?
pub fn initialized(facts: &Facts<'_>) -> Verdict {
    let incomplete: Vec<&str> = (spec(facts.pod).init_containers.iter().flatten())
        .filter(|c| {
            let status = facts.init.iter().find(|s| s.name == c.name);
            !status.is_some_and(|s| match is_sidecar(c) {
                true => s.started == Some(true),
                false => s.ready,
            })
        })
        .map(|c| c.name.as_str())
        .collect();
    let main_began = facts.main.iter().any(|s| s.container_id.is_some());
    if facts.phase == "Succeeded" {
        return Verdict { reason: Some("PodCompleted"), ..Verdict::yes() };
    }
    if incomplete.is_empty() || main_began {
        return Verdict::yes();
    }
    Verdict::no(
        "ContainersNotInitialized",
        Some(format!("containers with incomplete status: [{}]", incomplete.join(" "))),
    )
}

/// Is every container (sidecars too) ready? A pod that is over is not, for a reason of its own.
pub fn containers_ready(facts: &Facts<'_>) -> Verdict {
    let _ = &facts;
    todo!("lab 08.6: PodCompleted, PodFailed, ContainersNotReady with the names, or yes")
}

/// Ready: its containers are, and every readiness gate is true.
pub fn ready(facts: &Facts<'_>, containers: &Verdict) -> Verdict {
    if !containers.holds {
        return containers.clone();
    }
    let is_true = |name: &str| facts.old.iter().any(|c| c.type_ == name && c.status == "True");
    let shut: Vec<String> = (spec(facts.pod).readiness_gates.iter().flatten())
        .filter(|gate| !is_true(&gate.condition_type))
        .map(|gate| {
            format!(
                "corresponding condition of pod readiness gate \"{}\" does not exist or is not \"True\".",
                gate.condition_type
            )
        })
        .collect();
    match shut.is_empty() {
        true => Verdict::yes(),
        false => Verdict::no("ReadinessGatesNotReady", Some(shut.join(", "))),
    }
}
