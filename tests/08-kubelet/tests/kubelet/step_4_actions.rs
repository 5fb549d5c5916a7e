use graded::graded;
use insta::assert_debug_snapshot;
use k8s_openapi::api::core::v1 as api;
use proptest::prelude::*;
use serde_json::json;

use crate::heart::actions::{KillReason, SandboxNeed, sandbox_needed};
use crate::heart::backoff::Backoff;
use crate::heart::probe::{ProbeKind, Verdict, Verdicts};
use crate::heart::types::{RestartPolicy, RunState, RuntimePod, SignedDuration, restart_policy};
use crate::history::{any_history, any_pod};
use crate::support::{Machine, at, exited, plan, pod, run, sandbox, simple};

fn with_init(policy: &str) -> api::Pod {
    pod(json!({
        "restartPolicy": policy,
        "initContainers": [
            {"name": "setup", "image": "busybox:1"},
            {"name": "proxy", "image": "busybox:1", "restartPolicy": "Always"},
            {"name": "migrate", "image": "busybox:1"},
        ],
        "containers": [{"name": "a", "image": "busybox:1"}, {"name": "b", "image": "busybox:1"}],
    }))
}

fn names(machine: &Machine) -> Vec<&str> {
    machine.started.iter().map(|(name, ..)| name.as_str()).collect()
}

/// The sandbox comes first: it holds the address that the containers share.
#[graded]
fn a_new_pod_gets_a_sandbox_and_its_container() {
    assert_debug_snapshot!(plan(&simple("Always"), &RuntimePod::default(), &Backoff::default(), 0));
}

/// Converged means quiet. A plan that is never empty is a loop that never sleeps.
#[graded]
fn a_running_pod_needs_nothing() {
    let pod = simple("Always");
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![run(&pod, "a", 0)]);
    assert!(plan(&pod, &runtime, &Backoff::default(), 5).is_converged());
}

/// Each may count on what the one before has done: a schema, a certificate, a proxy that listens.
#[graded]
fn init_containers_run_in_order_before_the_main_ones() {
    let pod = with_init("Always");
    let mut machine = Machine::default();
    machine.settle(&pod);
    assert_eq!(names(&machine), ["setup"], "the first runs alone");
    machine.exit("setup", 0);
    machine.settle(&pod);
    assert_eq!(names(&machine), ["setup", "proxy", "migrate"], "a sidecar lets the next begin once it runs");
    machine.exit("migrate", 0);
    machine.settle(&pod);
    assert_eq!(names(&machine), ["setup", "proxy", "migrate", "a", "b"], "then all main ones at once");
}

/// It serves the main containers for as long as they live; the others are not disturbed.
#[graded]
fn a_sidecar_that_dies_restarts_beside_the_running_pod() {
    let pod = with_init("Always");
    let mut machine = Machine::default();
    for name in ["setup", "migrate"] {
        machine.settle(&pod);
        machine.exit(name, 0);
    }
    machine.settle(&pod);
    machine.exit("proxy", 0);
    machine.settle(&pod);
    assert_eq!(names(&machine).iter().filter(|n| **n == "proxy").count(), 2);
    assert_eq!(names(&machine).iter().filter(|n| **n == "setup").count(), 1, "the others are through");
}

/// A cleared-away record must not make a migration run twice beside the server.
#[graded]
fn once_a_main_container_was_made_init_containers_are_history() {
    let pod = pod(json!({
        "initContainers": [{"name": "setup", "image": "x"}],
        "containers": [{"name": "a", "image": "x"}],
    }));
    // Somebody cleared the dead init container away.
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![exited(run(&pod, "a", 0), 1, 5)]);
    let actions = plan(&pod, &runtime, &Backoff::default(), 9);
    let names: Vec<&str> = actions.start.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a"], "the work of setup is done in this sandbox");
}

/// Under Never one failure is the answer for the whole pod.
#[graded]
fn an_init_container_that_fails_is_tried_again_unless_the_policy_is_never() {
    for (policy, runs) in [("Always", 2), ("OnFailure", 2), ("Never", 1)] {
        let pod = with_init(policy);
        let mut machine = Machine::default();
        machine.settle(&pod);
        machine.exit("setup", 1);
        machine.settle(&pod);
        assert_eq!(names(&machine), vec!["setup"; runs], "{policy}");
        assert!(
            machine.started.iter().all(|(.., sandbox)| sandbox == "s0"),
            "{policy}: the sandbox still serves"
        );
    }
}

/// The address of a Job that has ended is wanted by others.
#[graded]
fn a_pod_whose_containers_are_done_gives_its_sandbox_back() {
    let pod = simple("Never");
    let mut machine = Machine::default();
    machine.settle(&pod);
    machine.exit("a", 0);
    let actions = machine.round(&pod);
    assert!(actions.kill_pod);
    assert!(machine.round(&pod).is_converged(), "and wants no new one");
}

/// Its network is gone, and what the init containers set up with it.
#[graded]
fn a_dead_sandbox_is_replaced_and_everything_begins_anew() {
    let pod = with_init("Always");
    let mut machine = Machine::default();
    for name in ["setup", "migrate"] {
        machine.settle(&pod);
        machine.exit(name, 0);
    }
    machine.settle(&pod);
    machine.now = 700;
    machine.kill_sandbox();
    machine.settle(&pod);
    let last = machine.started.last().expect("a start");
    assert_eq!((last.0.as_str(), last.1, last.2.as_str()), ("setup", 1, "s1"));
}

/// CrashLoopBackOff is no error of the cluster, it is this wait, made visible.
#[graded]
fn a_crashing_container_is_seen_to_wait_with_its_delay() {
    let pod = simple("Always");
    let mut machine = Machine::default();
    machine.settle(&pod);
    machine.now = 1;
    machine.exit("a", 1);
    assert!(machine.settle(&pod).backing_off.is_empty(), "the first restart is free");
    machine.now = 2;
    machine.exit("a", 1);
    let waiting = machine.settle(&pod).backing_off;
    assert_eq!(waiting["a"].delay, SignedDuration::from_secs(10));
    assert_eq!(waiting["a"].until, at(12));
    machine.now = 12;
    machine.settle(&pod);
    let counts: Vec<u32> = machine.started.iter().map(|(_, count, _)| *count).collect();
    assert_eq!(counts, [0, 1, 2]);
}

/// Two ready sandboxes are two addresses for one pod; none with an address is none at all.
#[graded]
fn which_sandbox_serves() {
    let pod = simple("Always");
    let need = |sandboxes: Vec<_>| sandbox_needed(&pod, &RuntimePod::new(sandboxes, vec![]));
    assert_eq!(need(vec![]), SandboxNeed::New { attempt: 0 });
    assert_eq!(need(vec![sandbox(0, true)]), SandboxNeed::Keep("s0".into()));
    assert_eq!(need(vec![sandbox(0, false), sandbox(1, true)]), SandboxNeed::Keep("s1".into()));
    assert_eq!(need(vec![sandbox(3, false)]), SandboxNeed::New { attempt: 4 });
    assert_eq!(
        need(vec![sandbox(0, true), sandbox(1, true)]),
        SandboxNeed::New { attempt: 2 },
        "two are one too many"
    );
    let mut bare = sandbox(0, true);
    bare.ips.clear();
    assert_eq!(need(vec![bare]), SandboxNeed::New { attempt: 1 }, "without an address it is of no use");
    let mut host = sandbox(0, true);
    host.host_network = true;
    assert_eq!(need(vec![host]), SandboxNeed::New { attempt: 1 }, "the wrong network");
}

/// `kubectl set image` on a pod: the only part of a running container that may be changed.
#[graded]
fn a_changed_image_kills_the_container_and_its_successor_runs_the_new_one() {
    let before = simple("Always");
    let mut machine = Machine::default();
    machine.settle(&before);
    let mut after = before.clone();
    after.spec.as_mut().expect("a spec").containers[0].image = Some("busybox:2".into());
    let actions = machine.round(&after);
    assert_eq!(actions.kill[0].reason, KillReason::Changed);
    assert_eq!(actions.kill[0].message, "Container a definition changed, will be restarted");
    machine.settle(&after);
    assert_eq!(
        machine.runtime.newest("a").map(|c| (c.restart_count, c.image.as_str())),
        Some((1, "busybox:2"))
    );
}

/// A process that hangs does not end by itself, and only what has ended is restarted.
#[graded]
fn a_failed_liveness_probe_kills() {
    let pod = simple("Always");
    let mut machine = Machine::default();
    machine.settle(&pod);
    let id = machine.runtime.containers[0].id.clone();
    let verdict = Verdict { liveness: Some(false), ..Verdict::default() };
    machine.verdicts = Verdicts([(id, verdict)].into());
    let actions = machine.round(&pod);
    assert_eq!(actions.kill[0].reason, KillReason::Probe(ProbeKind::Liveness));
    assert_eq!(actions.kill[0].message, "Container a failed liveness probe, will be restarted");
    assert!(actions.start.is_empty(), "its successor starts when its end has been seen");
    machine.settle(&pod);
    assert_eq!(machine.runtime.running().count(), 1);
}

/// It never ran, so the restart count must not tell that it did.
#[graded]
fn a_container_that_was_made_but_not_started_is_made_again_under_its_number() {
    let pod = simple("Never");
    let mut made = run(&pod, "a", 2);
    made.state = RunState::Created;
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![made]);
    let actions = plan(&pod, &runtime, &Backoff::default(), 0);
    assert_eq!(actions.remove, ["a-2"]);
    assert_eq!(actions.start[0].restart_count, 2);
}

/// Its exit code is the lastState, its log is `kubectl logs --previous`; more would fill the disk.
#[graded]
fn one_dead_run_of_each_container_is_kept() {
    let pod = simple("Always");
    let old: Vec<_> = (0..3).map(|n| exited(run(&pod, "a", n), 1, i64::from(n))).collect();
    let mut all = old;
    all.push(run(&pod, "a", 3));
    let runtime = RuntimePod::new(vec![sandbox(0, true)], all);
    assert_eq!(plan(&pod, &runtime, &Backoff::default(), 9).remove, ["a-1", "a-0"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens to a pod: the machine settles, a second look finds nothing to do, no name
    /// runs twice, init containers come first, policies and deletion are obeyed.
    #[graded]
    fn every_history_keeps_the_laws(mut pod in any_pod(), history in any_history()) {
        let mut machine = Machine::default();
        machine.settle(&pod);
        let policy = restart_policy(&pod);
        for happening in history {
            happening.to(&mut machine, &mut pod);
            let before = machine.started.len();
            machine.settle(&pod);
            prop_assert!(machine.round(&pod).is_converged(), "a second look found something to do");
            machine.check_single();
            machine.check_init_order(&pod);
            if pod.metadata.deletion_timestamp.is_some() {
                prop_assert_eq!(machine.started.len(), before, "a terminating pod started a container");
                prop_assert!(machine.runtime.is_stopped());
            }
            for c in &pod.spec.as_ref().expect("a spec").containers {
                let counts: Vec<u32> =
                    machine.started.iter().filter(|(n, ..)| *n == c.name).map(|(_, count, _)| *count).collect();
                let expected: Vec<u32> = (0..).take(counts.len()).collect();
                prop_assert_eq!(&counts, &expected, "restart counts go up by one");
                prop_assert!(policy != RestartPolicy::Never || counts.len() <= 1, "Never means once");
            }
        }
    }
}
