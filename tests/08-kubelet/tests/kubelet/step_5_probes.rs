use graded::graded;
use k8s_openapi::api::core::v1 as api;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::heart::probe::{ContainerProbes, ProbeKind, ProbeMachine, Timing, Verdicts};
use crate::support::at;

use ProbeKind::{Liveness, Readiness, Startup};

fn container(probes: Value) -> api::Container {
    let mut value = json!({"name": "a", "image": "x"});
    for (key, probe) in probes.as_object().expect("an object") {
        value[key] = probe.clone();
    }
    serde_json::from_value(value).expect("a container")
}

fn exec(extra: Value) -> Value {
    let mut probe = json!({"exec": {"command": ["true"]}});
    for (key, value) in extra.as_object().expect("an object") {
        probe[key] = value.clone();
    }
    probe
}

/// A Service would send it traffic that it cannot serve yet.
#[graded]
fn a_container_is_not_ready_before_its_probe_says_so() {
    let c = container(json!({"readinessProbe": exec(json!({}))}));
    let mut probes = ContainerProbes::new(&c, at(0), false);
    let ready = |p: &ContainerProbes| Verdicts([("id".into(), p.verdict())].into()).ready(&c, "id");
    assert!(!ready(&probes));
    assert!(probes.handle_answer(Readiness, true, at(1)));
    assert!(ready(&probes));
}

/// A lost packet is no outage; and a success in between shows that it was none.
#[graded]
fn three_failures_in_a_row_take_it_out_and_two_do_not() {
    let c = container(json!({"readinessProbe": exec(json!({}))}));
    let mut probes = ContainerProbes::new(&c, at(0), false);
    probes.handle_answer(Readiness, true, at(0));
    let changes: Vec<bool> = [false, false, true, false, false, false]
        .into_iter()
        .map(|answer| probes.handle_answer(Readiness, answer, at(1)))
        .collect();
    assert_eq!(changes, [false, false, false, false, false, true]);
    assert_eq!(probes.verdict().readiness, Some(false));
}

/// A server that flaps should prove itself before it gets traffic again.
#[graded]
fn the_success_threshold_counts_as_well() {
    let c = container(json!({"readinessProbe": exec(json!({"successThreshold": 2}))}));
    let mut probes = ContainerProbes::new(&c, at(0), false);
    assert!(!probes.handle_answer(Readiness, true, at(0)));
    assert!(probes.handle_answer(Readiness, true, at(1)));
}

/// Between verdict and end it would fail again and again, and each failure would be one more event.
#[graded]
fn a_live_container_is_condemned_once_and_then_left_alone() {
    let c = container(json!({"livenessProbe": exec(json!({"failureThreshold": 1}))}));
    let mut probes = ContainerProbes::new(&c, at(0), false);
    assert_eq!(probes.verdict().liveness, Some(true), "innocent until the threshold");
    assert!(probes.handle_answer(Liveness, false, at(0)));
    let verdicts = Verdicts([("id".into(), probes.verdict())].into());
    assert_eq!(verdicts.failed("id"), Some(Liveness));
    assert!(probes.askable().is_empty(), "the next run is asked, not this one");
    assert_eq!(probes.next_due(), None);
}

/// A slow starter would be killed by its own liveness probe, over and over.
#[graded]
fn until_the_startup_probe_succeeds_the_others_wait() {
    let c = container(json!({
        "startupProbe": exec(json!({"periodSeconds": 1, "failureThreshold": 30})),
        "livenessProbe": exec(json!({})),
        "readinessProbe": exec(json!({})),
    }));
    let mut probes = ContainerProbes::new(&c, at(0), false);
    assert_eq!(probes.askable(), [Startup]);
    assert!(!Verdicts([("id".into(), probes.verdict())].into()).started(&c, "id"));
    assert!(probes.handle_answer(Startup, true, at(3)));
    assert_eq!(probes.askable(), [Liveness, Readiness], "and it is never asked again");
    assert!(Verdicts([("id".into(), probes.verdict())].into()).started(&c, "id"));
}

/// A probe that hangs must not pile up others behind it.
#[graded]
fn probes_come_when_they_are_due_and_one_at_a_time() {
    let c = container(json!({"livenessProbe": exec(json!({"initialDelaySeconds": 5, "periodSeconds": 3}))}));
    let mut probes = ContainerProbes::new(&c, at(10), false);
    assert_eq!(probes.next_due(), Some(at(15)));
    assert_eq!(probes.poll_due(at(14)), []);
    assert_eq!(probes.poll_due(at(15)), [Liveness]);
    assert_eq!(probes.poll_due(at(60)), [], "the answer is still out");
    probes.handle_answer(Liveness, true, at(16));
    assert_eq!(probes.next_due(), Some(at(19)));
}

/// Restarting kubelets one after the other would otherwise take the cluster's services down.
#[graded]
fn a_restarted_kubelet_does_not_take_a_ready_container_out_of_service() {
    let c = container(json!({"startupProbe": exec(json!({})), "readinessProbe": exec(json!({}))}));
    let probes = ContainerProbes::new(&c, at(0), true);
    assert!(Verdicts([("id".into(), probes.verdict())].into()).ready(&c, "id"));
    assert_eq!(probes.askable(), [Readiness]);
}

proptest! {
    /// The naive judge keeps all answers and looks at the last few each time.
    #[graded]
    fn the_verdict_is_what_the_last_answers_say(
        answers in prop::collection::vec(any::<bool>(), 0..40),
        success in 1..4_u32,
        failure in 1..4_u32,
        initial in prop::option::of(any::<bool>()),
    ) {
        let timing = Timing {
            success_threshold: success,
            failure_threshold: failure,
            ..Timing::of(&api::Probe::default())
        };
        let mut machine = ProbeMachine::new(timing, at(0), initial);
        let mut naive = initial;
        for n in 1..=answers.len() {
            let seen = &answers[..n];
            let all = |answer: bool, count: u32| {
                let count = count as usize;
                seen.len() >= count && seen[seen.len() - count..].iter().all(|a| *a == answer)
            };
            let before = naive;
            if all(true, success) {
                naive = Some(true);
            } else if all(false, failure) {
                naive = Some(false);
            }
            let changed = machine.handle_answer(seen[n - 1], at(n as i64));
            prop_assert_eq!(machine.verdict(), naive);
            prop_assert_eq!(changed, if naive == before { None } else { naive });
        }
    }
}
