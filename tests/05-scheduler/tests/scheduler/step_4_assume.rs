//! What was decided counts before it is confirmed: the whole scheduler in a small world.

use graded::graded;
use std::collections::{BTreeMap, VecDeque};

use k8s_openapi::api::core::v1::{Node, Pod};
use proptest::prelude::*;

use crate::heart::cache::Cache;
use crate::heart::pod::{node_name, pod_key};
use crate::heart::resources::pod_requests;
use crate::heart::schedule::schedule;
use crate::heart::{Action, Scheduler};
use crate::{Arc, at, bound, json, node, node_with, pod_asking, pod_with, profile};

/// One node of one cpu, and these pods, of which each wants more than half of it.
fn scheduler_with(pods: &[&str]) -> Scheduler {
    let mut scheduler = Scheduler::new("default-scheduler", profile());
    scheduler.handle_node(node("n1", 1000, 1000), at(0));
    for (index, name) in (0..).zip(pods) {
        scheduler.handle_pod(pod_asking(name, 700, 0), at(index));
    }
    scheduler
}

/// Whom the next decision is about, and what it is.
fn next(scheduler: &mut Scheduler, ms: i64) -> String {
    match scheduler.poll(at(ms), 0) {
        Some(Action::Bind { pod, node }) => format!("{} goes to {node}", pod_key(&pod)),
        Some(Action::TellWaiting { pod, .. }) => format!("{} waits", pod_key(&pod)),
        None => "nothing".to_owned(),
    }
}

/// The API server has not heard of the first decision when the second one is made.
#[graded]
fn an_assumed_pod_takes_its_room_at_once() {
    let mut scheduler = scheduler_with(&["a", "b"]);
    assert_eq!(next(&mut scheduler, 10), "default/a goes to n1");
    assert_eq!(next(&mut scheduler, 10), "default/b waits", "its room was given to default/a");
    assert!(scheduler.cache().is_assumed("default/a") && !scheduler.cache().is_assumed("default/b"));
    assert_eq!(next(&mut scheduler, 10), "nothing");
}

/// Room that nobody takes must not wait for the next event by chance: a refusal is one.
#[graded]
fn a_refused_binding_gives_the_room_back_and_wakes_who_waits_for_it() {
    let mut scheduler = scheduler_with(&["a", "b"]);
    assert_eq!(next(&mut scheduler, 10), "default/a goes to n1");
    assert_eq!(next(&mut scheduler, 10), "default/b waits");
    scheduler.handle_bind_failed("default/a", at(5_000));
    assert_eq!(next(&mut scheduler, 5_000), "default/b goes to n1", "its back-off was over");
    assert_eq!(next(&mut scheduler, 5_999), "nothing", "default/a is in its back-off");
    assert_eq!(next(&mut scheduler, 6_000), "default/a waits", "and its room is gone");
}

/// Two roads lead back from the API server, the answer and the watch, and the watch may be slower.
#[graded]
fn a_version_from_before_the_binding_is_old_news() {
    let mut scheduler = scheduler_with(&["a"]);
    assert_eq!(next(&mut scheduler, 10), "default/a goes to n1");
    scheduler.handle_pod(pod_asking("a", 700, 0), at(20));
    assert_eq!(next(&mut scheduler, 20), "nothing", "the binding is under way");
    scheduler.handle_bound("default/a");
    scheduler.handle_pod(pod_asking("a", 700, 0), at(30));
    assert_eq!(next(&mut scheduler, 30), "nothing", "the API server has said that it is bound");
    assert_eq!(scheduler.waiting(), 0);
}

/// The answer to a binding was lost, and the watch was faster: the pod is bound after all.
#[graded]
fn a_refusal_of_what_the_watch_shows_bound_changes_nothing() {
    let mut scheduler = scheduler_with(&["a"]);
    assert_eq!(next(&mut scheduler, 10), "default/a goes to n1");
    scheduler.handle_pod(bound(&pod_asking("a", 700, 0), "n1"), at(20));
    scheduler.handle_bind_failed("default/a", at(30));
    assert_eq!(scheduler.waiting(), 0, "it must not be placed twice");
    scheduler.handle_pod(pod_asking("b", 700, 0), at(40));
    assert_eq!(next(&mut scheduler, 40), "default/b waits", "its room stays taken");
}

/// A late refusal is about an assumption, and this is none any more.
#[graded]
fn what_the_watch_has_confirmed_is_not_forgotten() {
    let mut cache = Cache::default();
    cache.set_node(node("n1", 1000, 1000));
    let pod = pod_asking("a", 700, 0);
    cache.assume(&pod, "n1");
    cache.confirm(bound(&pod, "n1"));
    cache.forget("default/a");
    assert!(schedule(&cache, &pod_asking("b", 700, 0), &profile(), 0).is_err());
}

/// Somebody else bound it: another scheduler, or a person.
#[graded]
fn if_the_watch_shows_another_node_than_assumed_the_watch_is_right() {
    let mut cache = Cache::default();
    cache.set_node(node("n1", 1000, 1000));
    cache.set_node(node("n2", 1000, 1000));
    let pod = pod_asking("a", 700, 0);
    cache.assume(&pod, "n1");
    cache.confirm(bound(&pod, "n2"));
    let decision = schedule(&cache, &pod_asking("b", 700, 0), &profile(), 0).expect("n1 is free");
    assert_eq!(decision.node, "n1");
}

/// A pod sleeps through changes that cannot help it, and wakes for the one that can.
#[graded]
fn a_change_of_a_node_wakes_the_pods_that_it_may_help() {
    let taint = json!([{ "key": "a", "effect": "NoSchedule" }]);
    let plain = || node("n1", 1000, 1000);
    let larger = || node("n1", 4000, 1000);
    let labelled = || node_with("n1", 1000, 1000, json!({ "metadata": { "labels": { "disk": "ssd" } } }));
    let tainted = || node_with("n1", 1000, 1000, json!({ "spec": { "taints": taint } }));
    let cordoned = || node_with("n1", 1000, 1000, json!({ "spec": { "unschedulable": true } }));
    let big = || pod_asking("p", 2000, 0);
    let picky = || pod_with("p", json!({ "nodeSelector": { "disk": "ssd" } }));
    let easy = || pod_asking("p", 100, 0);
    let woken = |pod: Arc<Pod>, before: Arc<Node>, after: Arc<Node>| {
        let mut scheduler = Scheduler::new("default-scheduler", profile());
        scheduler.handle_node(before, at(0));
        scheduler.handle_pod(pod, at(0));
        assert_eq!(next(&mut scheduler, 0), "default/p waits");
        scheduler.handle_node(after, at(5_000));
        next(&mut scheduler, 5_000)
    };
    assert_eq!(woken(big(), plain(), larger()), "default/p goes to n1");
    assert_eq!(woken(big(), plain(), labelled()), "nothing", "a label makes no room");
    assert_eq!(woken(picky(), plain(), labelled()), "default/p goes to n1");
    assert_eq!(woken(picky(), plain(), larger()), "nothing", "room makes no label");
    assert_eq!(woken(easy(), tainted(), plain()), "default/p goes to n1");
    assert_eq!(woken(easy(), cordoned(), plain()), "default/p goes to n1");
    assert_eq!(woken(easy(), tainted(), tainted()), "nothing", "nothing has changed");
}

/// Two schedulers share a cluster by leaving each other's pods alone.
#[graded]
fn only_pods_that_ask_for_this_scheduler_are_placed() {
    let mut scheduler = Scheduler::new("default-scheduler", profile());
    scheduler.handle_node(node("n1", 1000, 1000), at(0));
    scheduler.handle_pod(pod_with("other", json!({ "schedulerName": "mine" })), at(0));
    scheduler.handle_pod(pod_with("gated", json!({ "schedulingGates": [{ "name": "g" }] })), at(0));
    assert!(scheduler.poll(at(0), 0).is_none());
    scheduler.handle_pod(pod_with("ours", json!({ "schedulerName": "default-scheduler" })), at(0));
    assert!(matches!(scheduler.poll(at(0), 0), Some(Action::Bind { .. })));
}

/// Each write of a condition wakes every watcher of the pod, the scheduler too.
#[graded]
fn a_pod_that_waits_says_so_once() {
    let mut scheduler = Scheduler::new("default-scheduler", profile());
    let pod = pod_asking("a", 700, 0);
    scheduler.handle_pod(Arc::clone(&pod), at(0));
    let Some(Action::TellWaiting { condition: Some(condition), .. }) = scheduler.poll(at(0), 0) else {
        panic!("a pod without a node to go to must be told about, with a condition");
    };
    assert_eq!((condition.type_.as_str(), condition.status.as_str()), ("PodScheduled", "False"));
    assert_eq!(condition.reason.as_deref(), Some("Unschedulable"));
    let mut told = Pod::clone(&pod);
    told.status.get_or_insert_default().conditions = Some(vec![condition]);
    scheduler.handle_pod(Arc::new(told), at(10));
    assert!(scheduler.poll(at(10), 0).is_none(), "our own condition is no news");
    let Some(Action::TellWaiting { condition, .. }) = scheduler.poll(at(300_000), 0) else {
        panic!("it is tried again after five minutes");
    };
    assert!(condition.is_none(), "the pod carries this condition already");
}

/// What a watch has to tell of a pod.
enum News {
    Is(Arc<Pod>),
    Gone(Arc<Pod>),
}

/// The API server, with watches that lag and bindings that take their time.
#[derive(Default)]
struct World {
    nodes: BTreeMap<String, Arc<Node>>,
    pods: BTreeMap<String, Arc<Pod>>,
    /// Not delivered yet, one line for each kind.
    pod_news: VecDeque<News>,
    node_news: VecDeque<Arc<Node>>,
    /// Bindings under way.
    bindings: VecDeque<(String, String, String)>,
}

impl World {
    fn write(&mut self, pod: Arc<Pod>) {
        self.pods.insert(pod_key(&pod), Arc::clone(&pod));
        self.pod_news.push_back(News::Is(pod));
    }

    fn delete(&mut self, key: &str) {
        if let Some(old) = self.pods.remove(key) {
            self.pod_news.push_back(News::Gone(old));
        }
    }

    /// The API server's own check of a binding: the pod exists and has no node.
    fn bind(&mut self, key: &str, uid: &str, node: &str) -> bool {
        match self.pods.get(key) {
            Some(pod) if node_name(pod).is_none() && pod.metadata.uid.as_deref() == Some(uid) => {
                let bound = bound(pod, node);
                self.write(bound);
                true
            }
            _ => false,
        }
    }

    fn used(&self, node: &str) -> i64 {
        let there = self.pods.values().filter(|pod| node_name(pod) == Some(node));
        there.map(|pod| pod_requests(pod).get("cpu")).sum()
    }

    fn room(&self, node: &Node) -> i64 {
        let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
        let room = crate::heart::resources::Resources::from_list(allocatable);
        room.get("cpu") - self.used(node.metadata.name.as_deref().unwrap_or_default())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8, i64),
    Delete(u8),
    AddNode(u8),
    DeliverPod,
    DeliverNode,
    /// A binding arrives; its answer may be lost on the way, and the pod is read instead.
    EndBinding,
    RefuseBinding,
    Decide,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..12u8, 100..700i64).prop_map(|(pod, cpu)| Step::Create(pod, cpu)),
        1 => (0..12u8).prop_map(Step::Delete),
        1 => (0..3u8).prop_map(Step::AddNode),
        4 => Just(Step::DeliverPod),
        1 => Just(Step::DeliverNode),
        3 => Just(Step::EndBinding),
        1 => Just(Step::RefuseBinding),
        4 => Just(Step::Decide),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..80)
}

struct Run {
    world: World,
    scheduler: Scheduler,
    now: i64,
    created: u32,
}

impl Run {
    fn step(&mut self, step: &Step) {
        let now = at(self.now);
        match step {
            Step::Create(pod, cpu) => {
                let name = format!("p{pod}");
                if !self.world.pods.contains_key(&format!("default/{name}")) {
                    let mut pod = Pod::clone(&pod_asking(&name, *cpu, 0));
                    self.created += 1;
                    pod.metadata.uid = Some(format!("uid-{}", self.created));
                    self.world.write(Arc::new(pod));
                }
            }
            Step::Delete(pod) => self.world.delete(&format!("default/p{pod}")),
            Step::AddNode(index) => {
                let node = node(&format!("n{index}"), 1000, 1000);
                self.world.nodes.insert(format!("n{index}"), Arc::clone(&node));
                self.world.node_news.push_back(node);
            }
            Step::DeliverPod => match self.world.pod_news.pop_front() {
                Some(News::Is(pod)) => self.scheduler.handle_pod(pod, now),
                Some(News::Gone(pod)) => self.scheduler.handle_pod_gone(&pod, now),
                None => {}
            },
            Step::DeliverNode => {
                if let Some(node) = self.world.node_news.pop_front() {
                    self.scheduler.handle_node(node, now);
                }
            }
            Step::EndBinding | Step::RefuseBinding => {
                if let Some((key, uid, node)) = self.world.bindings.pop_front() {
                    let arrived = matches!(step, Step::EndBinding);
                    if arrived && self.world.bind(&key, &uid, &node) {
                        self.scheduler.handle_bound(&key);
                    } else {
                        self.scheduler.handle_bind_failed(&key, now);
                    }
                }
            }
            Step::Decide => {
                if let Some(Action::Bind { pod, node }) = self.scheduler.poll(now, 0) {
                    let uid = pod.metadata.uid.clone().unwrap_or_default();
                    self.world.bindings.push_back((pod_key(&pod), uid, node));
                }
            }
            // Killed: requests under way are lost, and the next one lists what there is.
            Step::Restart => {
                self.world.bindings.clear();
                self.world.pod_news.clear();
                self.world.node_news.clear();
                self.scheduler = Scheduler::new("default-scheduler", profile());
                for node in self.world.nodes.values() {
                    self.scheduler.handle_node(Arc::clone(node), now);
                }
                for pod in self.world.pods.values() {
                    self.scheduler.handle_pod(Arc::clone(pod), now);
                }
            }
        }
        self.now += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Watches lag, answers are lost, the scheduler is killed: a small world in which all of that
    /// happens.
    #[graded]
    fn whatever_the_order_of_events_no_node_is_over_committed_and_what_fits_is_placed(steps in steps()) {
        let scheduler = Scheduler::new("default-scheduler", profile());
        let mut run = Run { world: World::default(), scheduler, now: 0, created: 0 };
        for step in &steps {
            run.step(step);
            for node in run.world.nodes.values() {
                prop_assert!(run.world.room(node) >= 0, "{:?} is over-committed after {:?}", node.metadata.name, step);
            }
        }
        // Peace: everything is delivered and decided, time passes.
        for _ in 0..30 {
            for step in [Step::DeliverPod, Step::DeliverNode, Step::EndBinding, Step::Decide] {
                for _ in 0..40 {
                    run.step(&step);
                }
            }
            run.now += 20_000;
        }
        for node in run.world.nodes.values() {
            let room = run.world.room(node);
            prop_assert!(room >= 0, "{:?} is over-committed in the end", node.metadata.name);
            for pod in run.world.pods.values().filter(|pod| node_name(pod).is_none()) {
                prop_assert!(pod_requests(pod).get("cpu") > room, "{} waits, and fits", pod_key(pod));
            }
        }
    }
}
