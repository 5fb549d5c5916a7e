use graded::graded;
use insta::assert_yaml_snapshot;
use k8s_openapi::api::core::v1 as api;
use proptest::prelude::*;
use serde_json::json;

use crate::heart::conditions::{Facts, Verdict, containers_ready, stamp};
use crate::heart::types::{RestartPolicy, RunState, RuntimePod, WaitingReasons, restart_policy};
use crate::history::{any_history, any_pod};
use crate::support::{Machine, at, exited, pod, run, sandbox, simple, status_of, waiting};

fn status(pod: &api::Pod, runtime: &RuntimePod) -> api::PodStatus {
    status_of(pod, runtime, &WaitingReasons::new(), false)
}

fn one(pod: &api::Pod, runs: Vec<crate::heart::types::RuntimeContainer>) -> RuntimePod {
    let _ = pod;
    RuntimePod::new(vec![sandbox(0, true)], runs)
}

fn condition<'a>(status: &'a api::PodStatus, name: &str) -> &'a api::PodCondition {
    let conditions = status.conditions.as_ref().expect("conditions");
    conditions.iter().find(|c| c.type_ == name).expect("the condition")
}

/// From its first moment a pod says which of its conditions hold and why the others do not.
#[graded]
fn a_pod_that_has_just_arrived() {
    assert_yaml_snapshot!(status(&simple("Always"), &RuntimePod::default()));
}

/// All that controllers, Services and people read of a healthy pod.
#[graded]
fn a_pod_that_runs() {
    let pod = simple("Always");
    assert_yaml_snapshot!(status(&pod, &one(&pod, vec![run(&pod, "a", 0)])));
}

/// state says that it waits and for what, lastState how it ended: both are needed to help.
#[graded]
fn a_pod_that_crashes_again_and_again() {
    let pod = simple("Always");
    let mut dead = exited(run(&pod, "a", 2), 1, 50);
    dead.message = "no such file".into();
    let message = "back-off 20s restarting failed container=a pod=web_default(u1)";
    let runtime = one(&pod, vec![dead]);
    assert_yaml_snapshot!(status_of(&pod, &runtime, &waiting("a", "CrashLoopBackOff", message), false));
}

/// The runtime knows nothing of a container that was never made; the reason comes from the kubelet.
#[graded]
fn a_pod_that_waits_for_its_image() {
    let pod = simple("Always");
    let message = "Back-off pulling image \"busybox:1\": ErrImagePull: not found";
    let why = waiting("a", "ImagePullBackOff", message);
    assert_yaml_snapshot!(status_of(&pod, &one(&pod, vec![]), &why, false).container_statuses);
}

/// A Job counts this phase, and a Service must not route to it any more.
#[graded]
fn a_pod_that_has_done_its_work() {
    let pod = simple("Never");
    let runtime = RuntimePod::new(vec![sandbox(0, false)], vec![exited(run(&pod, "a", 0), 0, 9)]);
    assert_yaml_snapshot!(status(&pod, &runtime));
}

/// `Init:0/1` in kubectl's table is made of this.
#[graded]
fn a_pod_whose_init_container_still_runs() {
    let pod = pod(json!({
        "initContainers": [{"name": "setup", "image": "x"}],
        "containers": [{"name": "a", "image": "x"}],
    }));
    assert_yaml_snapshot!(status(&pod, &one(&pod, vec![run(&pod, "setup", 0)])));
}

/// Under Never, too: a sidecar is there to serve for as long as the main containers run.
#[graded]
fn a_sidecar_that_ended_waits_for_its_next_run_whatever_the_policy() {
    let pod = pod(json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "proxy", "image": "x", "restartPolicy": "Always"}],
        "containers": [{"name": "a", "image": "x"}],
    }));
    let runtime = one(&pod, vec![exited(run(&pod, "proxy", 0), 1, 5), run(&pod, "a", 0)]);
    let why = waiting("proxy", "CrashLoopBackOff", "back-off");
    let status = status_of(&pod, &runtime, &why, false);
    let proxy = &status.init_container_statuses.as_ref().expect("statuses")[0];
    let reason = |state: &Option<api::ContainerState>| {
        state.as_ref().and_then(|s| s.waiting.as_ref()).and_then(|w| w.reason.clone())
    };
    assert_eq!(reason(&proxy.state).as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(status.phase.as_deref(), Some("Running"), "a sidecar cannot fail a pod");
}

/// An init container that succeeded is never run again, so nothing makes it wait.
#[graded]
fn an_init_container_that_succeeded_keeps_its_end() {
    let pod = pod(json!({
        "initContainers": [{"name": "setup", "image": "x"}],
        "containers": [{"name": "a", "image": "x"}],
    }));
    let runtime = one(&pod, vec![exited(run(&pod, "setup", 0), 0, 5)]);
    let status = status_of(&pod, &runtime, &waiting("setup", "CrashLoopBackOff", "back-off"), false);
    let setup = &status.init_container_statuses.as_ref().expect("statuses")[0];
    assert!(setup.ready && setup.state.as_ref().is_some_and(|s| s.terminated.is_some()));
}

/// The container runs again; why it had to is in lastState.
#[graded]
fn the_run_before_the_present_one_is_the_last_state() {
    let pod = simple("Always");
    let runtime = one(&pod, vec![run(&pod, "a", 1), exited(run(&pod, "a", 0), 3, 5)]);
    let status = status(&pod, &runtime);
    let a = &status.container_statuses.as_ref().expect("statuses")[0];
    assert_eq!(a.restart_count, 1);
    assert!(a.state.as_ref().is_some_and(|s| s.running.is_some()));
    let last = a.last_state.as_ref().and_then(|s| s.terminated.as_ref()).expect("a last state");
    assert_eq!((last.exit_code, last.reason.as_deref()), (3, Some("Error")));
}

/// 137 could be anybody's kill; OOMKilled tells to raise the limit.
#[graded]
fn a_container_killed_for_its_memory_says_so() {
    let pod = simple("Never");
    let mut dead = exited(run(&pod, "a", 0), 137, 5);
    dead.reason = "OOMKilled".into();
    let status = status(&pod, &one(&pod, vec![dead]));
    let statuses = status.container_statuses.expect("statuses");
    let ended = statuses[0].state.as_ref().and_then(|s| s.terminated.as_ref()).expect("it ended");
    assert_eq!(ended.reason.as_deref(), Some("OOMKilled"));
    assert_eq!(status.phase.as_deref(), Some("Failed"));
}

/// One word for a whole pod. Whether an end is final depends on whether it will be started again.
#[graded]
fn phases_follow_policy_and_exit_codes() {
    let mut table = Vec::new();
    for policy in ["Always", "OnFailure", "Never"] {
        let pod = pod(json!({
            "restartPolicy": policy,
            "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}],
        }));
        let good = |name| exited(run(&pod, name, 0), 0, 1);
        let bad = |name| exited(run(&pod, name, 0), 1, 1);
        let phase = |runs| status(&pod, &one(&pod, runs)).phase.unwrap_or_default();
        table.push((
            policy,
            phase(vec![run(&pod, "a", 0)]),
            phase(vec![run(&pod, "a", 0), bad("b")]),
            phase(vec![good("a"), good("b")]),
            phase(vec![good("a"), bad("b")]),
        ));
    }
    let row = |policy, last: [&str; 4]| {
        let [a, b, c, d] = last.map(str::to_owned);
        (policy, a, b, c, d)
    };
    let expected = vec![
        row("Always", ["Pending", "Running", "Running", "Running"]),
        row("OnFailure", ["Pending", "Running", "Succeeded", "Running"]),
        row("Never", ["Pending", "Running", "Succeeded", "Failed"]),
    ];
    assert_eq!(table, expected, "(one not made yet, one running, both well, one badly)");
}

/// An evicted pod restarts nowhere: its controller makes another one.
#[graded]
fn a_stopped_pod_is_over_whatever_its_policy() {
    let pod = simple("Always");
    let phase = |code| {
        let runtime = RuntimePod::new(vec![sandbox(0, false)], vec![exited(run(&pod, "a", 0), code, 5)]);
        status_of(&pod, &runtime, &WaitingReasons::new(), true).phase
    };
    assert_eq!(phase(0).as_deref(), Some("Succeeded"));
    assert_eq!(phase(137).as_deref(), Some("Failed"));
}

/// Controllers have counted it. A pod that came back from Failed would be counted twice.
#[graded]
fn what_is_over_stays_over() {
    let mut pod = simple("Always");
    pod.status = Some(api::PodStatus { phase: Some("Failed".into()), ..Default::default() });
    let status = status(&pod, &one(&pod, vec![run(&pod, "a", 0)]));
    assert_eq!(status.phase.as_deref(), Some("Failed"));
}

/// A Deployment waits until a pod has been ready for a while: the time must not move with each
/// report.
#[graded]
fn a_condition_keeps_its_time_until_it_changes() {
    let pod = simple("Always");
    let mut later = pod.clone();
    let mut first = status(&pod, &RuntimePod::default());
    for c in first.conditions.iter_mut().flatten() {
        c.last_transition_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(7)));
    }
    later.status = Some(first);
    let second = status(&later, &one(&pod, vec![run(&pod, "a", 0)]));
    let time = |name| condition(&second, name).last_transition_time.as_ref().map(|t| t.0);
    assert_eq!(time("PodScheduled"), Some(at(7)), "true before, true now");
    assert_eq!(time("Ready"), Some(at(100)), "false before, true now");
}

/// The kubelet is one of several writers of a pod's conditions.
#[graded]
fn conditions_of_others_are_kept() {
    let mut pod = simple("Always");
    let theirs =
        api::PodCondition { type_: "DisruptionTarget".into(), status: "True".into(), ..Default::default() };
    pod.status = Some(api::PodStatus { conditions: Some(vec![theirs.clone()]), ..Default::default() });
    assert_eq!(condition(&status(&pod, &RuntimePod::default()), "DisruptionTarget"), &theirs);
}

/// A load balancer outside of the cluster may have its say before traffic comes.
#[graded]
fn a_readiness_gate_holds_ready_back_but_not_containers_ready() {
    let mut pod = simple("Always");
    pod.spec.as_mut().expect("a spec").readiness_gates =
        Some(vec![api::PodReadinessGate { condition_type: "example.com/lb".into() }]);
    let status = status(&pod, &one(&pod, vec![run(&pod, "a", 0)]));
    assert_eq!(condition(&status, "ContainersReady").status, "True");
    assert_eq!(condition(&status, "Ready").reason.as_deref(), Some("ReadinessGatesNotReady"));
}

/// Of ten containers, which one? This message is what `kubectl describe` shows.
#[graded]
fn unready_containers_are_named() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]}));
    let status = status(&pod, &one(&pod, vec![run(&pod, "a", 0)]));
    let main = status.container_statuses.as_deref().unwrap_or_default();
    let facts =
        Facts { pod: &pod, old: &[], phase: "Pending", init: &[], main, sandbox_ready: true, now: at(0) };
    let message = "containers with unready status: [b]".to_owned();
    assert_eq!(containers_ready(&facts), Verdict::no("ContainersNotReady", Some(message)));
    for (phase, reason) in [("Succeeded", "PodCompleted"), ("Failed", "PodFailed")] {
        assert_eq!(containers_ready(&Facts { phase, ..facts }), Verdict::no(reason, None));
    }
    assert_eq!(stamp("Ready", Verdict::yes(), &[], at(3)).status, "True");
}

/// It ran, the API server was told so, and now nobody knows how it ended: that is an end, too.
#[graded]
fn a_container_that_the_runtime_lost_is_not_forgotten() {
    let mut pod = simple("Always");
    let runtime = one(&pod, vec![run(&pod, "a", 1)]);
    pod.status = Some(status(&pod, &runtime));
    let after = status(&pod, &one(&pod, vec![]));
    let a = &after.container_statuses.as_ref().expect("statuses")[0];
    assert_eq!(a.restart_count, 2);
    let last = a.last_state.as_ref().and_then(|s| s.terminated.as_ref()).expect("how it ended");
    assert_eq!((last.exit_code, last.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
}

/// A container without probes is ready while it runs, and not a moment before.
#[graded]
fn ready_needs_a_running_container() {
    let pod = simple("Always");
    let mut made = run(&pod, "a", 0);
    made.state = RunState::Created;
    let status = status(&pod, &one(&pod, vec![made]));
    let a = &status.container_statuses.as_ref().expect("statuses")[0];
    assert_eq!((a.ready, a.started), (false, Some(false)));
    assert_eq!(condition(&status, "Ready").status, "False");
}

/// The phase, worked out from the diary alone.
fn naive_phase(pod: &api::Pod, machine: &Machine) -> &'static str {
    let spec = pod.spec.as_ref().expect("a spec");
    let policy = restart_policy(pod);
    let runs: Vec<_> = spec.containers.iter().map(|c| machine.runtime.newest(&c.name)).collect();
    let init_failed = (spec.init_containers.iter().flatten())
        .filter(|c| c.restart_policy.is_none())
        .filter_map(|c| machine.runtime.newest(&c.name))
        .any(|c| c.state == RunState::Exited && c.exit_code != 0);
    if policy == RestartPolicy::Never && init_failed {
        return if runs.iter().flatten().any(|r| r.state == RunState::Running) {
            "Running"
        } else {
            "Failed"
        };
    }
    if runs.iter().any(Option::is_none) {
        return "Pending";
    }
    let runs: Vec<_> = runs.into_iter().flatten().collect();
    if runs.iter().any(|r| r.state == RunState::Running) {
        return "Running";
    }
    let all_good = runs.iter().all(|r| r.exit_code == 0);
    match policy {
        RestartPolicy::Always => "Running",
        RestartPolicy::OnFailure if all_good => "Succeeded",
        RestartPolicy::OnFailure => "Running",
        RestartPolicy::Never if all_good => "Succeeded",
        RestartPolicy::Never => "Failed",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Pods by chance, and what may happen to them; the phase is worked out from what they ran, naively.
    #[graded]
    fn the_phase_is_the_one_that_the_diary_tells(mut pod in any_pod(), history in any_history()) {
        let mut machine = Machine::default();
        machine.settle(&pod);
        for happening in history {
            happening.to(&mut machine, &mut pod);
            machine.settle(&pod);
            if pod.metadata.deletion_timestamp.is_none() {
                let phase = status(&pod, &machine.runtime).phase;
                prop_assert_eq!(phase.as_deref(), Some(naive_phase(&pod, &machine)));
            }
        }
    }
}
