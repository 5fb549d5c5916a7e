//! Ephemeral containers, which the lab gives: they come to a running pod, once.

use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};

use crate::heart::backoff::Backoff;
use crate::heart::ephemeral::{find_any, target};
use crate::heart::types::{ContainerKind, RuntimePod, WaitingReasons};
use crate::support::{exited, plan, pod, run, sandbox, status_of, waiting};

fn visited(guests: Value) -> api::Pod {
    pod(json!({
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "x"}],
        "ephemeralContainers": guests,
    }))
}

fn started(pod: &api::Pod, runtime: &RuntimePod) -> Vec<(String, ContainerKind)> {
    let actions = plan(pod, runtime, &Backoff::default(), 100);
    actions.start.into_iter().map(|start| (start.name, start.kind)).collect()
}

#[test]
fn a_guest_starts_beside_what_runs_and_never_again() {
    let pod = visited(json!([{"name": "guest", "image": "y"}]));
    let main = run(&pod, "main", 0);
    let mut guest = main.clone();
    (guest.name, guest.id) = ("guest".into(), "guest-0".into());
    let with = |more: &[_]| {
        let containers = [std::slice::from_ref(&main), more].concat();
        RuntimePod::new(vec![sandbox(0, true)], containers)
    };
    assert_eq!(started(&pod, &with(&[])), [("guest".to_owned(), ContainerKind::Ephemeral)]);
    assert_eq!(started(&pod, &with(std::slice::from_ref(&guest))), []);
    assert_eq!(started(&pod, &with(&[exited(guest, 1, 90)])), [], "not even after a failure");
}

#[test]
fn a_pod_that_is_over_receives_no_guests() {
    let pod = visited(json!([{"name": "guest", "image": "y"}]));
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![exited(run(&pod, "main", 0), 0, 90)]);
    let actions = plan(&pod, &runtime, &Backoff::default(), 100);
    assert!(actions.kill_pod && actions.start.is_empty(), "{actions:?}");
}

#[test]
fn a_guest_has_a_status_of_its_own_and_changes_no_other() {
    let mut pod = visited(json!([{"name": "guest", "image": "y"}]));
    let main = run(&pod, "main", 0);
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![main.clone()]);
    let why = waiting("guest", "ErrImagePull", "no such image");
    let status = status_of(&pod, &runtime, &why, false);
    let guests = status.ephemeral_container_statuses.expect("a status");
    let state = guests[0].state.clone().and_then(|state| state.waiting).expect("it waits");
    assert_eq!((state.reason.as_deref(), guests[0].ready), (Some("ErrImagePull"), false));
    let mut guest = main.clone();
    (guest.name, guest.id) = ("guest".into(), "guest-0".into());
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![main, exited(guest, 3, 90)]);
    let none = WaitingReasons::new();
    let told = status_of(&pod, &runtime, &none, false);
    let guests = told.ephemeral_container_statuses.clone().expect("a status");
    let ended = guests[0].state.clone().and_then(|state| state.terminated).expect("it has ended");
    assert_eq!(ended.exit_code, 3);
    assert_eq!(told.phase.as_deref(), Some("Running"), "a guest's failure is not the pod's");
    // The runtime forgets it; the status does not.
    let runtime = RuntimePod::new(vec![sandbox(0, true)], vec![run(&pod, "main", 0)]);
    pod.status = Some(told.clone());
    let later = status_of(&pod, &runtime, &none, false);
    assert_eq!(later.ephemeral_container_statuses, told.ephemeral_container_statuses);
}

#[test]
fn a_guest_finds_the_processes_that_it_came_for() {
    let guests = json!([
        {"name": "alone", "image": "y", "command": ["sh"]},
        {"name": "guest", "image": "y", "targetContainerName": "main"},
        {"name": "lost", "image": "y", "targetContainerName": "gone"},
    ]);
    let pod = visited(guests);
    let main = run(&pod, "main", 0);
    let up = RuntimePod::new(vec![sandbox(0, true)], vec![main.clone()]);
    assert_eq!(target(&pod, "alone", &up), Ok(None));
    assert_eq!(target(&pod, "main", &up), Ok(None));
    assert_eq!(target(&pod, "guest", &up), Ok(Some(main.id.clone())));
    assert_eq!(target(&pod, "lost", &up), Err("unable to find target container \"gone\"".into()));
    let down = RuntimePod::new(vec![sandbox(0, true)], vec![exited(main, 0, 90)]);
    assert_eq!(target(&pod, "guest", &down), Err("target container \"main\" is not running".into()));
    assert_eq!(find_any(&pod, "alone").and_then(|guest| guest.command.clone()), Some(vec!["sh".into()]));
    assert!(find_any(&pod, "nobody").is_none());
}
