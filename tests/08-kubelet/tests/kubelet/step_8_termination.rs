use graded::graded;
use proptest::prelude::*;
use serde_json::json;

use crate::heart::actions::KillReason;
use crate::heart::probe::ProbeKind;
use crate::heart::termination::{grace_seconds, stop_order};
use crate::heart::types::{RuntimePod, find_container};
use crate::support::{exited, pod, run, sandbox};

/// Whoever wrote the more particular figure knew more.
#[graded]
fn the_most_particular_grace_period_counts() {
    let mut pod = pod(json!({
        "terminationGracePeriodSeconds": 60,
        "containers": [{"name": "a", "image": "x", "livenessProbe": {
            "exec": {"command": ["true"]}, "terminationGracePeriodSeconds": 5,
        }}],
    }));
    let grace = |pod: &_, reason, limit| grace_seconds(pod, find_container(pod, "a"), &reason, limit);
    let liveness = KillReason::Probe(ProbeKind::Liveness);
    assert_eq!(grace(&pod, KillReason::Pod, None), 60, "the spec's");
    assert_eq!(grace(&pod, liveness.clone(), None), 5, "the probe's, if it is the reason");
    assert_eq!(
        grace(&pod, KillReason::Probe(ProbeKind::Startup), None),
        60,
        "another probe's does not count"
    );
    pod.metadata.deletion_grace_period_seconds = Some(10);
    assert_eq!(grace(&pod, KillReason::Pod, None), 10, "the deletion's");
    assert_eq!(grace(&pod, KillReason::Pod, Some(3)), 3, "a more urgent order shortens it");
    assert_eq!(grace(&pod, KillReason::Pod, Some(30)), 10, "and never makes it longer");
}

/// The API server fills the figure in; a pod without one comes from elsewhere.
#[graded]
fn without_any_figure_it_is_thirty_seconds() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "x"}]}));
    assert_eq!(grace_seconds(&pod, None, &KillReason::Changed, None), 30);
}

/// A proxy that went first would cut the last answers off; a log shipper would miss the last lines.
#[graded]
fn sidecars_go_last_and_in_reverse() {
    let pod = pod(json!({
        "initContainers": [
            {"name": "log", "image": "x", "restartPolicy": "Always"},
            {"name": "setup", "image": "x"},
            {"name": "proxy", "image": "x", "restartPolicy": "Always"},
        ],
        "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}],
    }));
    let mut runs: Vec<_> = ["log", "proxy", "a", "b"].map(|n| run(&pod, n, 0)).into();
    runs.push(exited(run(&pod, "setup", 0), 0, 1));
    let runtime = RuntimePod::new(vec![sandbox(0, true)], runs);
    let expected: Vec<Vec<String>> =
        vec![vec!["a-0".into(), "b-0".into()], vec!["proxy-0".into()], vec!["log-0".into()]];
    assert_eq!(stop_order(Some(&pod), &runtime), expected);
}

/// An orphan has no spec any more, but it has processes.
#[graded]
fn what_nobody_knows_is_stopped_all_the_same() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "x"}]}));
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![run(&pod, "a", 0)]);
    assert_eq!(stop_order(None, &runtime), [["a-0".to_owned()]]);
}

proptest! {
    /// One that is forgotten keeps its pod from ever ending.
    #[graded]
    fn every_running_container_is_stopped_exactly_once(kinds in prop::collection::vec(0..3_u8, 1..6)) {
        let (mut init, mut main) = (vec![], vec![json!({"name": "m", "image": "x"})]);
        for (i, kind) in kinds.iter().enumerate() {
            match kind {
                0 => init.push(json!({"name": format!("c{i}"), "image": "x", "restartPolicy": "Always"})),
                1 => init.push(json!({"name": format!("c{i}"), "image": "x"})),
                _ => main.push(json!({"name": format!("c{i}"), "image": "x"})),
            }
        }
        let pod = pod(json!({"initContainers": init, "containers": main}));
        let names: Vec<String> = (0..kinds.len()).map(|i| format!("c{i}")).chain(["m".into()]).collect();
        let runtime = RuntimePod::new(vec![sandbox(0, true)], names.iter().map(|n| run(&pod, n, 0)).collect());
        let mut stopped: Vec<String> = stop_order(Some(&pod), &runtime).concat();
        stopped.sort();
        let mut all: Vec<String> = names.iter().map(|n| format!("{n}-0")).collect();
        all.sort();
        prop_assert_eq!(stopped, all);
    }
}
