//! The scheduling queue: which pod is next, and which are better left alone for now.
//!
//! ```text
//!            add                    pop
//!   new pod ──────►  ACTIVE  ───────────────►  one attempt ──► bound
//!                    ▲    ▲                        │
//!        time is up  │    │ an event may help      │ no node fits
//!                    │    │ and no back-off left   ▼
//!                 BACKOFF ◄──────────────── UNSCHEDULABLE
//!                          an event may help
//! ```
//!
//! * ACTIVE is ordered by priority, then by the time of joining, then by key.
//! * UNSCHEDULABLE pods are not tried again until a cluster event might help one of
//!   the filters that refused them; the longest wait is [`LONGEST_WAIT`], against
//!   events that were forgotten.
//! * BACKOFF keeps a pod that fails again and again from filling every round: 1 s,
//!   doubled by each attempt, 10 s at most.
//!
//! Upstream: `pkg/scheduler/backend/queue/scheduling_queue.go`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use crate::pod::{pod_key, priority};

pub const FIRST_BACKOFF: Duration = Duration::from_secs(1);
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// After this an unschedulable pod is tried again whatever happened.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

// ANCHOR: events
/// A change of the cluster that may make room for a waiting pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterEvent {
    NodeAdded,
    /// A node offers more of something.
    NodeAllocatable,
    NodeLabels,
    /// Taints, or `spec.unschedulable`.
    NodeTaints,
    /// A pod left its node, or ended there.
    PodGone,
    /// A pod took its place on a node.
    PodPlaced,
}
// ANCHOR_END: events

/// A pod with its history in the queue.
#[derive(Clone, Debug)]
pub struct QueuedPod {
    pub pod: Arc<Pod>,
    /// How many times it was popped.
    pub attempts: u32,
    /// When it last joined the queue.
    pub since: Timestamp,
}

#[derive(Clone, Debug)]
enum Place {
    Active,
    /// Becomes active at this time.
    Backoff(Timestamp),
    /// Waits for one of these events, until this time at most.
    // lab:given
    Unschedulable(Timestamp, BTreeSet<ClusterEvent>),
}

type Rank = (Reverse<i32>, Timestamp, String);

/// See the module's text. Every pod is in at most one place.
#[derive(Clone, Debug, Default)]
pub struct SchedulingQueue {
    pods: BTreeMap<String, (QueuedPod, Place)>,
    active: BTreeSet<Rank>,
    /// When the others become active if nothing happens before.
    timers: BTreeSet<(Timestamp, String)>,
}

/// How long a pod is left alone after so many attempts.
pub fn backoff_after(attempts: u32) -> Duration {
    // lab:begin 05.1 double FIRST_BACKOFF for each attempt after the first, up to LONGEST_BACKOFF; no number of attempts may overflow
    let mut backoff = FIRST_BACKOFF;
    for _ in 1..attempts {
        backoff *= 2;
        if backoff >= LONGEST_BACKOFF {
            return LONGEST_BACKOFF;
        }
    }
    backoff
    // lab:end
}

impl SchedulingQueue {
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// A new pod, or a newer version of one that waits. A waiting pod whose spec or
    /// labels changed may fit now; a change of its status (ours, mostly) means nothing.
    pub fn add(&mut self, pod: Arc<Pod>, now: Timestamp) {
        // lab:begin 05.1 a new pod is active; another uid is a new pod; a known one keeps its history, and sleeps on unless the news may help it
        let key = pod_key(&pod);
        let Some((queued, place)) = self.take(&key) else {
            let queued = QueuedPod { pod, attempts: 0, since: now };
            return self.put(key, queued, Place::Active);
        };
        if queued.pod.metadata.uid != pod.metadata.uid {
            return self.add(pod, now);
        }
        let changed = queued.pod.spec != pod.spec || queued.pod.metadata.labels != pod.metadata.labels;
        let queued = QueuedPod { pod, ..queued };
        match place {
            Place::Unschedulable(..) if changed => self.put_when_ready(key, queued, now),
            place => self.put(key, queued, place),
        }
        // lab:end
    }

    /// The pod was bound by someone, or is gone.
    pub fn remove(&mut self, key: &str) {
        self.take(key);
    }

    /// The next pod to place. It leaves the queue: hand it back with
    /// [`SchedulingQueue::no_node_fits`] or [`SchedulingQueue::failed`] if it was not bound.
    pub fn pop(&mut self, now: Timestamp) -> Option<QueuedPod> {
        // lab:begin 05.1 first make active whoever's time has come; then take the one of highest rank, and count the attempt
        while let Some((at, key)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            if let Some((queued, _)) = self.take(&key) {
                self.put(key, queued, Place::Active);
            }
        }
        let (_, _, key) = self.active.first().cloned()?;
        let (mut queued, _) = self.take(&key)?;
        queued.attempts += 1;
        Some(queued)
        // lab:end
    }

    /// No node fits: wait for one of `events`.
    pub fn no_node_fits(&mut self, mut queued: QueuedPod, events: BTreeSet<ClusterEvent>, now: Timestamp) {
        queued.since = now;
        let place = Place::Unschedulable(now + LONGEST_WAIT, events);
        self.put(pod_key(&queued.pod), queued, place);
    }

    /// The attempt failed for a reason that time may heal (the binding was refused).
    pub fn failed(&mut self, mut queued: QueuedPod, now: Timestamp) {
        queued.since = now;
        let key = pod_key(&queued.pod);
        self.put_when_ready(key, queued, now);
    }

    /// Something happened in the cluster: wakes the pods that it may help.
    pub fn cluster_event(&mut self, event: ClusterEvent, now: Timestamp) {
        // lab:begin 05.1 every pod that waits for this event goes on as its back-off allows; nobody else moves
        let woken: Vec<String> = self
            .pods
            .iter()
            .filter(|(_, (_, place))| match place {
                Place::Unschedulable(_, events) => events.contains(&event),
                Place::Active | Place::Backoff(_) => false,
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in woken {
            if let Some((queued, _)) = self.take(&key) {
                self.put_when_ready(key, queued, now);
            }
        }
        // lab:end
    }

    /// When to look again if nothing happens until then.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn put_when_ready(&mut self, key: String, queued: QueuedPod, now: Timestamp) {
        let until = queued.since + backoff_after(queued.attempts);
        let place = if until <= now { Place::Active } else { Place::Backoff(until) };
        self.put(key, queued, place);
    }

    fn put(&mut self, key: String, queued: QueuedPod, place: Place) {
        match &place {
            Place::Active => {
                self.active.insert(rank(&key, &queued));
            }
            Place::Backoff(at) | Place::Unschedulable(at, _) => {
                self.timers.insert((*at, key.clone()));
            }
        }
        let replaced = self.pods.insert(key, (queued, place));
        assert!(replaced.is_none(), "a pod was queued twice");
    }

    fn take(&mut self, key: &str) -> Option<(QueuedPod, Place)> {
        let (queued, place) = self.pods.remove(key)?;
        match &place {
            Place::Active => {
                self.active.remove(&rank(key, &queued));
            }
            Place::Backoff(at) | Place::Unschedulable(at, _) => {
                self.timers.remove(&(*at, key.to_owned()));
            }
        }
        Some((queued, place))
    }
}

fn rank(key: &str, queued: &QueuedPod) -> Rank {
    (Reverse(priority(&queued.pod)), queued.since, key.to_owned())
}
