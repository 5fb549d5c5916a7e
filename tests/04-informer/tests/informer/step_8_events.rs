use crate::heart::correlate::{Action, Correlator, Occurrence};
use graded::graded;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use k8s_openapi::jiff::{Timestamp, ToSpan};

fn happened(name: &str, reason: &str, message: &str) -> Occurrence {
    Occurrence {
        about: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(name.to_owned()),
            namespace: Some("web".to_owned()),
            uid: Some(format!("uid-of-{name}")),
            ..ObjectReference::default()
        },
        type_: "Warning".to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_700_000_000 + second, 0).expect("a time")
}

fn created(action: Action) -> Event {
    match action {
        Action::Create(event) => *event,
        other => panic!("expected a new Event: {other:?}"),
    }
}

/// It is what `kubectl describe` and `kubectl get events` print.
#[graded]
fn the_first_occurrence_is_a_complete_event() {
    let mut correlator = Correlator::new("kubelet", Some("node-1"));
    let event = created(correlator.handle(happened("a", "BackOff", "Back-off restarting"), at(0)));
    insta::assert_json_snapshot!(event);
}

/// A container that dies every ten seconds for a week is one line, `x60480`, and not a full store.
#[graded]
fn a_repeat_is_counted_in_the_same_event() {
    let mut correlator = Correlator::new("kubelet", None);
    let first = created(correlator.handle(happened("a", "BackOff", "again"), at(0)));
    let Action::Count(second) = correlator.handle(happened("a", "BackOff", "again"), at(60)) else {
        panic!("the same thing happened again: count it")
    };
    assert_eq!(second.metadata.name, first.metadata.name);
    assert_eq!(second.count, Some(2));
    assert_eq!(second.first_timestamp, first.first_timestamp);
    assert_eq!(second.last_timestamp.map(|time| time.0), Some(at(60)));
}

/// Events are objects, and two of one name would overwrite each other.
#[graded]
fn another_message_reason_or_object_is_another_event() {
    let mut correlator = Correlator::new("kubelet", None);
    let mut names = std::collections::BTreeSet::new();
    for (name, reason, message) in [("a", "R", "m"), ("b", "R", "m"), ("a", "S", "m"), ("a", "R", "n")] {
        // All in the same nanosecond: names must differ all the same.
        let event = created(correlator.handle(happened(name, reason, message), at(0)));
        assert!(names.insert(event.metadata.name), "two events of one name");
    }
}

/// An Event must live somewhere, and Nodes live in no namespace.
#[graded]
fn what_has_no_namespace_is_told_in_default() {
    let mut correlator = Correlator::new("node-controller", None);
    let mut node = happened("node-1", "NodeNotReady", "Node node-1 status is now: NodeNotReady");
    node.about.namespace = None;
    let event = created(correlator.handle(node, at(0)));
    assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
}

/// The quota is per object, or one broken pod would hide what happens to all others.
#[graded]
fn a_noisy_object_has_a_quota_and_does_not_silence_the_others() {
    let mut correlator = Correlator::new("kubelet", None);
    let mut tell = |name: &str, n: u32, time| correlator.handle(happened(name, "R", &n.to_string()), time);
    for n in 0..25 {
        created(tell("noisy", n, at(0)));
    }
    assert_eq!(tell("noisy", 25, at(1)), Action::Drop);
    created(tell("quiet", 0, at(1)));
    created(tell("noisy", 26, at(302)));
    assert_eq!(tell("noisy", 27, at(302)), Action::Drop, "one more each five minutes");
    let later = at(302).checked_add(1.hour()).expect("a time");
    created(tell("noisy", 28, later));
}

/// Each count is a write to the store, and a container that dies in a loop would write for ever.
#[graded]
fn what_repeats_has_to_keep_to_the_quota_too() {
    let mut correlator = Correlator::new("kubelet", None);
    let written = |action: &Action| !matches!(action, Action::Drop);
    let mut tell = |second| correlator.handle(happened("a", "BackOff", "again"), at(second));
    let burst: Vec<Action> = (0..40).map(|_| tell(0)).collect();
    assert_eq!(burst.iter().filter(|action| written(action)).count(), 25, "of forty within a second");
    let Action::Count(event) = tell(300) else { panic!("five minutes later there is a token again") };
    assert_eq!(event.count, Some(26), "what was dropped is not counted");
}
