//! What a pod is told when it cannot go on, in the words that people search for. Given.

use std::io;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::heart::actions::KillReason;
use crate::heart::hooks::{self, Failure, Hook};
use crate::heart::image_names::problem;
use crate::heart::images::Refusal;
use crate::heart::security::{ImageUser, effective};
use crate::heart::streams::{to_attach, to_exec, to_forward};
use crate::heart::types::{RuntimePod, SignedDuration, Waiting, WaitingReasons};
use crate::heart::{deadline, words};
use crate::support::{at, exited, pod, run, sandbox, simple, status_of};

/// A pod that began at `began`, and may stay for 60 seconds. Statuses are made at 100.
fn short_lived(policy: &str, began: i64) -> api::Pod {
    let mut pod = simple(policy);
    pod.spec.as_mut().expect("a spec").active_deadline_seconds = Some(60);
    let start_time = Some(Time(at(began)));
    pod.status =
        Some(api::PodStatus { start_time, phase: Some("Running".into()), ..api::PodStatus::default() });
    pod
}

fn told(pod: &api::Pod, runtime: &RuntimePod) -> (String, Option<String>, Option<String>) {
    let status = status_of(pod, runtime, &WaitingReasons::new(), false);
    (status.phase.expect("a phase"), status.reason, status.message)
}

#[test]
fn the_deadline_counts_from_the_start_that_the_status_shows() {
    let pod = short_lived("Always", 30);
    let status = pod.status.clone().expect("a status");
    assert_eq!(deadline::deadline(&pod, &status), Some(at(90)));
    let past = |now| deadline::is_past(&pod, &status, at(now));
    assert_eq!([past(89), past(90), past(500)], [false, true, true]);
    assert_eq!(deadline::deadline(&pod, &api::PodStatus::default()), None, "not seen to start");
    assert_eq!(deadline::deadline(&simple("Always"), &status), None, "no deadline");
}

#[test]
fn the_kubelet_wakes_at_the_deadline_and_never_in_a_circle() {
    let pod = short_lived("Always", 30);
    let status = pod.status.clone().expect("a status");
    let look = |now| deadline::look_at(&pod, &status, at(now));
    assert_eq!([look(40), look(89)], [Some(at(90)); 2]);
    assert_eq!([look(90), look(500)], [Some(at(91)), Some(at(501))]);
    assert_eq!(deadline::look_at(&simple("Always"), &status, at(40)), None);
}

#[test]
fn a_pod_past_its_deadline_has_failed_once_nothing_runs() {
    for policy in ["Always", "OnFailure", "Never"] {
        let pod = short_lived(policy, 30);
        let running = RuntimePod::new(vec![sandbox(0, true)], vec![run(&pod, "a", 0)]);
        assert_eq!(told(&pod, &running).0, "Running", "{policy}: it is being stopped");
        let stopped = vec![exited(run(&pod, "a", 0), 137, 95)];
        let stopped = RuntimePod::new(vec![sandbox(0, false)], stopped);
        let message = "Pod was active on the node longer than the specified deadline";
        let expected = ("Failed".to_owned(), Some("DeadlineExceeded".into()), Some(message.into()));
        assert_eq!(told(&pod, &stopped), expected, "{policy}");
    }
}

#[test]
fn a_deadline_changes_nothing_before_it_and_nothing_that_is_over() {
    let mut pod = short_lived("OnFailure", 50);
    let dead = RuntimePod::new(vec![sandbox(0, true)], vec![exited(run(&pod, "a", 0), 1, 95)]);
    assert_eq!(told(&pod, &dead), ("Running".into(), None, None), "it will be restarted");
    let status = pod.status.as_mut().expect("a status");
    (status.phase, status.start_time) = (Some("Succeeded".into()), Some(Time(at(0))));
    assert_eq!(told(&pod, &dead), ("Succeeded".into(), None, None));
    let status = pod.status.as_ref().expect("a status");
    assert!(!deadline::is_past(&pod, status, at(100)), "it was in time");
}

#[test]
fn names_that_no_image_can_have() {
    let lower = |path| Some(format!("invalid reference format: repository name ({path}) must be lowercase"));
    assert_eq!(problem("INVALID:::x"), lower("library/INVALID"));
    assert_eq!(problem("example/UPPER:1"), lower("example/UPPER"));
    let malformed = Some("invalid reference format".to_owned());
    for image in
        ["", "a:::x", "a//b", "/a", "a/", "a:", "a b", "-a", "a..b", "a___b", "a@sha256:12", "a/b:1/c"]
    {
        assert_eq!(problem(image), malformed, "{image:?}");
    }
    for image in ["ho$t:1/a", "-a.b/c", "a.b:x/c"] {
        assert_eq!(problem(image), malformed, "{image:?}");
    }
    let id = "ab".repeat(32);
    let expected = format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings");
    assert_eq!(problem(&id), Some(expected));
    let digest = |d: &str| problem(&format!("a@{d}"));
    assert_eq!(digest(&format!("md5:{id}")).as_deref(), Some("unsupported digest algorithm"));
    assert_eq!(digest(&format!("sha256:{id}00")).as_deref(), Some("invalid checksum digest length"));
    assert_eq!(
        digest(&format!("sha256:{}", id.to_uppercase())).as_deref(),
        Some("invalid checksum digest format")
    );
    let long = Some("repository name must not be more than 255 characters".to_owned());
    assert_eq!(problem(&format!("example/{}", "a".repeat(250))), long);
}

#[test]
fn names_that_an_image_may_have() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let images = [
        "busybox",
        "busybox:1",
        "localhost/a:T-1",
        "localhost:5000/a/b__c",
        "[::1]:5000/a",
        "index.docker.io/a",
        "registry.k8s.io/e2e-test-images/agnhost:2.52",
        "a---b.c_d",
        "a__b.c/d",
        "my.Host/a",
        // An upper-case letter before the first slash makes it a registry's name.
        "UPPER/x",
    ];
    for image in images {
        assert_eq!(problem(image), None, "{image:?}");
        assert_eq!(problem(&format!("{image}@{digest}")), None, "{image:?}");
    }
    assert_eq!(problem(&digest), None, "a tag of an image sha256, as upstream reads it");
}

fn events(refusal: &Refusal) -> Vec<(bool, String, String)> {
    refusal.events().into_iter().map(|(w, r, m)| (w, r.to_owned(), m)).collect()
}

fn event(warning: bool, reason: &str, message: &str) -> (bool, String, String) {
    (warning, reason.to_owned(), message.to_owned())
}

#[test]
fn an_invalid_image_name_is_said_where_people_look() {
    let refusal = Refusal::invalid_name("UPPER").expect("a refusal");
    let message = "Failed to apply default image tag \"UPPER\": couldn't parse image name \"UPPER\": invalid reference format: repository name (library/UPPER) must be lowercase";
    let waiting = Waiting { reason: "InvalidImageName".into(), message: message.into() };
    assert_eq!(refusal.waiting, waiting);
    let expected = [event(true, "InspectFailed", message), event(true, "Failed", "Error: InvalidImageName")];
    assert_eq!(events(&refusal), expected);
    assert_eq!(Refusal::invalid_name("busybox:1"), None);
}

#[test]
fn a_pod_that_backs_off_still_says_why_the_pull_failed() {
    let cause = "rpc error: code = NotFound desc = not found";
    let refusal = Refusal::back_off("nosuch:1", cause);
    let message = format!("Back-off pulling image \"nosuch:1\": ErrImagePull: {cause}");
    assert_eq!(refusal.waiting, Waiting { reason: "ImagePullBackOff".into(), message });
    let expected = [
        event(false, "BackOff", "Back-off pulling image \"nosuch:1\""),
        event(true, "Failed", "Error: ImagePullBackOff"),
    ];
    assert_eq!(events(&refusal), expected);
    let first = Refusal::not_pulled("nosuch:1", cause);
    assert_eq!(first.waiting, Waiting { reason: "ErrImagePull".into(), message: cause.into() });
    let expected = [
        event(true, "Failed", &format!("Failed to pull image \"nosuch:1\": {cause}")),
        event(true, "Failed", "Error: ErrImagePull"),
    ];
    assert_eq!(events(&first), expected);
}

#[test]
fn an_absent_image_that_is_never_pulled_makes_two_events() {
    let refusal = Refusal::never_pull("x");
    let message = "Container image \"x\" is not present with pull policy of Never";
    assert_eq!(refusal.waiting, Waiting { reason: "ErrImageNeverPull".into(), message: message.into() });
    let expected =
        [event(true, "ErrImageNeverPull", message), event(true, "Failed", "Error: ErrImageNeverPull")];
    assert_eq!(events(&refusal), expected);
    let broken = Refusal::not_inspected("x", "why");
    assert_eq!(broken.waiting.reason, "ImageInspectError");
    assert_eq!(broken.message, "Failed to inspect image \"x\": why");
}

#[test]
fn nobody_reaches_what_does_not_run() {
    let pod = simple("Never");
    let up = RuntimePod::new(vec![sandbox(0, true)], vec![run(&pod, "a", 0)]);
    assert_eq!(to_exec(&up, "a"), Ok("a-0"));
    assert_eq!(to_attach(&pod, &up, "a"), Ok("a-0"));
    assert_eq!(to_forward(&pod, &up), Ok("s0"));
    let down = RuntimePod::new(vec![sandbox(0, false)], vec![exited(run(&pod, "a", 0), 0, 1)]);
    for (runtime, container) in [(&down, "a"), (&up, "b")] {
        assert_eq!(to_exec(runtime, container), Err(format!("container not found (\"{container}\")")));
        let missing = format!("container {container} not found in pod web_default");
        assert_eq!(to_attach(&pod, runtime, container), Err(missing));
    }
    assert_eq!(to_forward(&pod, &down), Err("pod not found (\"web_default\")".into()));
}

#[test]
fn connections_fail_in_gos_words() {
    let system = |number| io::Error::from_raw_os_error(number);
    let timeout: io::Error = io::ErrorKind::TimedOut.into();
    let refused = words::dial("10.1.2.3", 99, &system(111));
    assert_eq!(refused, "dial tcp 10.1.2.3:99: connect: connection refused");
    assert_eq!(words::dial("10.1.2.3", 99, &timeout), "dial tcp 10.1.2.3:99: i/o timeout");
    assert_eq!(words::dial("::1", 99, &system(113)), "dial tcp [::1]:99: connect: no route to host");
    let resolver = io::Error::other("failed to lookup address information: Name or service not known");
    assert_eq!(words::dial("nowhere", 99, &resolver), "dial tcp: lookup nowhere: no such host");
    let reset = words::read("10.1.2.1:5", "10.1.2.3:99", &system(104));
    assert_eq!(reset, "read tcp 10.1.2.1:5->10.1.2.3:99: read: connection reset by peer");
    let url = "http://10.1.2.3:99/healthz";
    let get = words::get(url, &refused);
    assert_eq!(get, "Get \"http://10.1.2.3:99/healthz\": dial tcp 10.1.2.3:99: connect: connection refused");
    let late = "Get \"http://10.1.2.3:99/healthz\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    assert_eq!(words::get(url, words::NO_ANSWER), late);
    let slow = words::command("sleep 99", SignedDuration::from_secs(80));
    assert_eq!(slow, "command timed out: \"sleep 99\" timed out after 1m20s");
}

#[test]
fn no_error_of_the_system_keeps_its_number() {
    for number in 1..134 {
        let said = words::system(&io::Error::from_raw_os_error(number));
        assert!(!said.contains("os error"), "{said}");
    }
    assert_eq!(words::system(&io::Error::from_raw_os_error(28)), "no space left on device");
}

#[test]
fn who_would_run_as_root_is_named() {
    let said = |user: Value, image: ImageUser| {
        let pod = pod(json!({"securityContext": user, "containers": [{"name": "c"}]}));
        let container = &pod.spec.as_ref().expect("a spec").containers[0];
        effective(&pod, container, &image).map(|_| ()).map_err(|e| e.to_string())
    };
    let non_root = || json!({"runAsNonRoot": true});
    let of = |what: &str| Err(format!("{what} (pod: \"web_default(u1)\", container: c)"));
    let root = of("container has runAsNonRoot and image will run as root");
    assert_eq!(said(non_root(), ImageUser::default()), root);
    assert_eq!(said(non_root(), ImageUser { uid: Some(0), ..ImageUser::default() }), root);
    assert_eq!(
        said(json!({"runAsNonRoot": true, "runAsUser": 0}), ImageUser::default()),
        of("container's runAsUser breaks non-root policy")
    );
    assert_eq!(
        said(non_root(), ImageUser { username: "nginx".into(), uid: None }),
        of(
            "container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user is non-root"
        )
    );
    assert_eq!(
        said(non_root(), ImageUser { uid: Some(-1), ..ImageUser::default() }),
        of(
            "container has runAsNonRoot and image has an invalid user id (-1). (Must be 1-(2147483647)): must be between 0 and 2147483647, inclusive"
        )
    );
    let mine = json!({"runAsNonRoot": true, "runAsUser": 7});
    assert_eq!(said(mine, ImageUser { username: "nginx".into(), uid: None }), Ok(()));
    assert_eq!(said(non_root(), ImageUser { uid: Some(101), ..ImageUser::default() }), Ok(()));
}

#[test]
fn what_a_hook_printed_is_in_no_event() {
    assert_eq!(Hook::PostStart.event(), ("FailedPostStartHook", "PostStartHook failed"));
    assert_eq!(Hook::PreStop.event(), ("FailedPreStopHook", "PreStopHook failed"));
    let kill = hooks::kill("c1", "a");
    assert_eq!((kill.reason, kill.message.as_str()), (KillReason::PostStart, "FailedPostStartHook"));
    let pod = simple("Always");
    let hook: api::LifecycleHandler =
        serde_json::from_value(json!({"exec": {"command": ["sh", "-c", "exit 3"]}})).expect("a hook");
    let why = Failure { error: "command 'sh -c exit 3' exited with 3: ".into(), output: "hunter2".into() };
    let waiting = hooks::waiting(&pod, &pod.spec.as_ref().expect("a spec").containers[0], &hook, &why);
    let message = "Exec lifecycle hook ([sh -c exit 3]) for Container \"a\" in Pod \"web_default(u1)\" failed - error: command 'sh -c exit 3' exited with 3: , message: \"hunter2\"";
    assert_eq!(waiting, Waiting { reason: "PostStartHookError".into(), message: message.into() });
}
