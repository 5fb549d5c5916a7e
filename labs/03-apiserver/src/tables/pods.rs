//! The STATUS of a pod is not one field: it is the story that its containers tell.

use super::{AGE, Column, NAME, count, items, made, or_none, str_of, text_or, time};
use serde_json::{Value, json};

pub const POD: &[Column] = &[
    NAME,
    made("Ready", |pod, _| {
        let summary = summarize(pod);
        json!(format!("{}/{}", summary.ready, summary.containers))
    }),
    made("Status", |pod, _| json!(summarize(pod).reason)),
    made("Restarts", |pod, now| {
        let summary = summarize(pod);
        json!(match (&summary.last_restart, summary.restarts) {
            (Some(last), n) if n > 0 => format!("{n} ({} ago)", time::since(&json!(last), now)),
            (_, n) => n.to_string(),
        })
    }),
    AGE,
    text_or("IP", "/status/podIP", "<none>").wide(),
    text_or("Node", "/spec/nodeName", "<none>").wide(),
    text_or("Nominated Node", "/status/nominatedNodeName", "<none>").wide(),
    made("Readiness Gates", |pod, _| or_none(readiness_gates(pod))).wide(),
];

/// What the cells of a pod are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub ready: usize,
    pub containers: usize,
    pub restarts: i64,
    pub last_restart: Option<String>,
    pub reason: String,
}

/// Whether the pod has this condition, and it holds.
pub fn condition_is_true(pod: &Value, kind: &str) -> bool {
    items(&pod["status"], "conditions").any(|c| c["type"] == kind && c["status"] == "True")
}

fn readiness_gates(pod: &Value) -> String {
    let gates: Vec<&str> =
        items(&pod["spec"], "readinessGates").map(|g| str_of(g, "conditionType")).collect();
    if gates.is_empty() {
        return String::new();
    }
    let met = gates.iter().filter(|gate| condition_is_true(pod, gate)).count();
    format!("{met}/{}", gates.len())
}

/// An init container that keeps running.
pub fn is_sidecar(pod: &Value, container: &str) -> bool {
    items(&pod["spec"], "initContainers").any(|c| c["name"] == container && c["restartPolicy"] == "Always")
}

fn summarize(pod: &Value) -> Summary {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let sidecars = items(spec, "initContainers").filter(|c| c["restartPolicy"] == "Always").count();
    let mut out = Summary {
        ready: 0,
        containers: items(spec, "containers").len() + sidecars,
        restarts: 0,
        last_restart: None,
        reason: str_of(status, "phase").to_string(),
    };
    if !str_of(status, "reason").is_empty() {
        out.reason = str_of(status, "reason").to_string();
    }
    if items(status, "conditions").any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated") {
        out.reason = "SchedulingGated".into();
    }
    let init = initialization(pod, &mut out);
    if let Some(reason) = init.filter(|_| !condition_is_true(pod, "Initialized")) {
        out.reason = reason;
    } else {
        main_containers(pod, &mut out);
    }
    if super::meta::is_deleting(pod) {
        if str_of(status, "reason") == "NodeLost" {
            out.reason = "Unknown".into();
        } else if !["Succeeded", "Failed"].contains(&str_of(status, "phase")) {
            out.reason = "Terminating".into();
        }
    }
    out
}

/// Note a container's restarts in `out`.
pub fn count_restarts(status: &Value, out: &mut Summary) {
    out.restarts += count(&status["restartCount"]);
    let finished = status["lastState"]["terminated"]["finishedAt"].as_str().map(str::to_string);
    out.last_restart = finished.max(out.last_restart.take());
}

/// Why the pod is still initializing, if it is: `Init:1/3`, `Init:Error`, `Init:CrashLoopBackOff`.
///
/// Init containers run one after the other, so the first that is not done is the reason. Done is
/// one that ended with code 0, and a sidecar that has `started` (it counts as ready if it is). The
/// reason is [how it ended](end_reason); or why it waits, unless that is only `PodInitializing`; or
/// how many are done, of how many in the spec. Every container that is looked at
/// [counts its restarts](count_restarts).
fn initialization(pod: &Value, out: &mut Summary) -> Option<String> {
    let _ = (&pod, &out);
    todo!("lab 03.7: the first init container that is not done says why")
}

/// Why a container ended, in one word.
pub fn end_reason(terminated: &Value) -> String {
    match (str_of(terminated, "reason"), count(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", count(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_string(),
    }
}

/// The word of the containers themselves, and how many of them are ready.
///
/// A container's word is why it waits, else [how it ended](end_reason); one that runs and is ready
/// has none, and is counted. The first container has the last word. `Completed` is not true of a
/// pod in which another one runs: it is `Running` if the pod has the condition `Ready`, and
/// `NotReady` otherwise. Restarts are counted anew here: those of the sidecars and of all these.
fn main_containers(pod: &Value, out: &mut Summary) {
    let _ = (&pod, &out);
    todo!("lab 03.7: every container has a word, and the first one the last")
}
