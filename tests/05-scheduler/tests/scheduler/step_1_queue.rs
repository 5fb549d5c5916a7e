//! Who is next: priority, patience, back-off, and being woken for a reason.

use graded::graded;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;

use crate::heart::queue::{ClusterEvent, QueuedPod, SchedulingQueue, backoff_after};
use crate::{Arc, at, json, pod_with};

fn with_priority(name: &str, priority: i32) -> Arc<Pod> {
    pod_with(name, json!({ "priority": priority }))
}

fn name(queued: &QueuedPod) -> String {
    queued.pod.metadata.name.clone().expect("a name")
}

fn pop_all(queue: &mut SchedulingQueue, ms: i64) -> Vec<String> {
    std::iter::from_fn(|| queue.pop(at(ms)).map(|queued| name(&queued))).collect()
}

/// Priority is the cluster's own word for what may wait.
#[graded]
fn the_highest_priority_is_popped_first() {
    let mut queue = SchedulingQueue::default();
    for (name, priority) in [("low", -5), ("high", 100), ("middle", 0)] {
        queue.add(with_priority(name, priority), at(0));
    }
    assert_eq!(pop_all(&mut queue, 1), ["high", "middle", "low"]);
}

/// Or a steady stream of new pods would keep an old one waiting for ever.
#[graded]
fn among_equals_the_one_that_waits_longest_is_popped_first() {
    let mut queue = SchedulingQueue::default();
    for (name, ms) in [("c", 0), ("a", 1), ("b", 2)] {
        queue.add(with_priority(name, 0), at(ms));
    }
    assert_eq!(pop_all(&mut queue, 3), ["c", "a", "b"]);
}

/// A pod that fails again and again takes fewer and fewer turns from the others, and still gets one.
#[graded]
fn back_off_doubles_from_one_second_to_ten() {
    let seconds: Vec<u64> = (1..=8).map(|attempts| backoff_after(attempts).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 10, 10, 10, 10]);
    assert_eq!(backoff_after(u32::MAX).as_secs(), 10);
}

/// Ten thousand pods that wait for room must not all be tried again because a label changed.
#[graded]
fn a_pod_that_fits_nowhere_sleeps_through_events_that_cannot_help_it() {
    let mut queue = SchedulingQueue::default();
    queue.add(with_priority("p", 0), at(0));
    let queued = queue.pop(at(0)).expect("a pod");
    queue.no_node_fits(queued, BTreeSet::from([ClusterEvent::PodGone]), at(0));
    queue.cluster_event(ClusterEvent::NodeLabels, at(5_000));
    assert!(queue.pop(at(5_000)).is_none(), "labels make no room");
    queue.cluster_event(ClusterEvent::PodGone, at(5_000));
    let queued = queue.pop(at(5_000)).expect("there may be room now");
    assert_eq!(queued.attempts, 2);
}

/// An event that comes often must not turn back-off into polling, and must not be lost either.
#[graded]
fn an_event_within_the_back_off_wakes_at_its_end() {
    let mut queue = SchedulingQueue::default();
    queue.add(with_priority("p", 0), at(0));
    let queued = queue.pop(at(0)).expect("a pod");
    queue.no_node_fits(queued, BTreeSet::from([ClusterEvent::NodeAdded]), at(0));
    queue.cluster_event(ClusterEvent::NodeAdded, at(200));
    assert_eq!(queue.next_wakeup(), Some(at(1_000)));
    assert!(queue.pop(at(999)).is_none(), "the event came within its back-off of one second");
    assert!(queue.pop(at(1_000)).is_some(), "its back-off is over, and the event is not forgotten");
}

/// Insurance against an event that nobody thought of.
#[graded]
fn a_pod_that_no_event_helps_is_tried_again_after_five_minutes() {
    let mut queue = SchedulingQueue::default();
    queue.add(with_priority("p", 0), at(0));
    let queued = queue.pop(at(0)).expect("a pod");
    queue.no_node_fits(queued, BTreeSet::new(), at(0));
    assert!(queue.pop(at(299_999)).is_none(), "nothing has happened, and five minutes are not over");
    assert!(queue.pop(at(300_000)).is_some(), "after five minutes it is tried whatever happened");
}

/// The scheduler writes the status itself, and would wake the pod with it again and again.
#[graded]
fn a_change_of_its_status_does_not_wake_a_pod_and_a_change_of_its_spec_does() {
    let mut queue = SchedulingQueue::default();
    queue.add(with_priority("p", 0), at(0));
    let queued = queue.pop(at(0)).expect("a pod");
    queue.no_node_fits(queued, BTreeSet::new(), at(0));
    let mut pod = Pod::clone(&with_priority("p", 0));
    pod.status.get_or_insert_default().phase = Some("Pending".to_owned());
    queue.add(Arc::new(pod.clone()), at(2_000));
    assert!(queue.pop(at(2_000)).is_none(), "we wrote that status ourselves");
    pod.spec.get_or_insert_default().node_selector = Some(BTreeMap::new());
    queue.add(Arc::new(pod), at(2_000));
    assert!(queue.pop(at(2_000)).is_some(), "with another spec it may fit");
}

/// What the queue is compared with: a plain list, searched from end to end.
#[derive(Default)]
struct Naive(Vec<Waiting>);

#[derive(Clone)]
struct Waiting {
    name: String,
    priority: i32,
    since: i64,
    attempts: u32,
    /// `None` while asleep.
    ready_at: Option<i64>,
    wants: BTreeSet<ClusterEvent>,
}

impl Naive {
    fn pop(&mut self, now: i64) -> Option<Waiting> {
        let ready = |waiting: &Waiting| waiting.ready_at.unwrap_or(waiting.since + 300_000) <= now;
        let mut best: Option<usize> = None;
        for (index, waiting) in self.0.iter().enumerate().filter(|(_, waiting)| ready(waiting)) {
            let better = best.is_none_or(|best| {
                let other = &self.0[best];
                (other.priority, -other.since, &waiting.name)
                    < (waiting.priority, -waiting.since, &other.name)
            });
            if better {
                best = Some(index);
            }
        }
        best.map(|index| self.0.remove(index))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Add(u8, i32),
    /// Pop, and put back as this: it fits nowhere, its binding failed, or it was bound.
    Try(u8),
    Happened(bool),
    Wait(i64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0..6u8, -1..2i32).prop_map(|(pod, priority)| Op::Add(pod, priority)),
        (0..3u8).prop_map(Op::Try),
        any::<bool>().prop_map(Op::Happened),
        (1..4_000i64).prop_map(Op::Wait),
    ];
    prop::collection::vec(op, 0..60)
}

proptest! {
    /// The second opinion has no indexes: it searches a list from end to end.
    #[graded]
    fn the_queue_pops_what_a_plain_list_would(ops in ops()) {
        let (mut queue, mut naive, mut now) = (SchedulingQueue::default(), Naive::default(), 0);
        for op in ops {
            match op {
                Op::Add(pod, priority) => {
                    let name = format!("p{pod}");
                    if naive.0.iter().all(|waiting| waiting.name != name) {
                        queue.add(with_priority(&name, priority), at(now));
                        naive.0.push(Waiting {
                            name, priority, since: now, attempts: 0, ready_at: Some(now), wants: BTreeSet::new(),
                        });
                    }
                }
                Op::Try(end) => {
                    let (got, expected) = (queue.pop(at(now)), naive.pop(now));
                    prop_assert_eq!(got.as_ref().map(name), expected.as_ref().map(|w| w.name.clone()));
                    let (Some(got), Some(mut expected)) = (got, expected) else { continue };
                    expected.attempts += 1;
                    expected.since = now;
                    let pause = 1_000 * 2i64.pow(expected.attempts - 1);
                    expected.ready_at = (end == 1).then_some(now + pause.min(10_000));
                    expected.wants = BTreeSet::from([ClusterEvent::PodGone]);
                    match end {
                        0 => queue.no_node_fits(got, expected.wants.clone(), at(now)),
                        1 => queue.failed(got, at(now)),
                        _ => continue,
                    }
                    naive.0.push(expected);
                }
                Op::Happened(helps) => {
                    let event = if helps { ClusterEvent::PodGone } else { ClusterEvent::NodeTaints };
                    queue.cluster_event(event, at(now));
                    for waiting in naive.0.iter_mut().filter(|w| helps && w.ready_at.is_none()) {
                        let pause = 1_000 * 2i64.pow(waiting.attempts - 1);
                        waiting.ready_at = Some(waiting.since + pause.min(10_000));
                    }
                }
                Op::Wait(ms) => now += ms,
            }
            prop_assert_eq!(queue.len(), naive.0.len());
        }
    }
}
