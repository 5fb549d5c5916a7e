//! ReplicaSet: whose a pod is, how many are missing, which one goes, and never twice.

use graded::graded;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;

use crate::heart::expectations::Expectations;
use crate::heart::ranking::sort_for_deletion;
use crate::heart::replica_set::{Failure, Observed, Plan, new_pod, plan, slow_start, status};
use crate::{Value, at, json, merge, object, owner, pod, text};

fn set(replicas: i32, more: Value) -> ReplicaSet {
    let mut value = json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "web", "generation": 3 },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "c" }] } },
        },
    });
    merge(&mut value, &more);
    object(value)
}

fn mine(name: &str, more: Value) -> Arc<Pod> {
    let mut value = json!({ "metadata": { "ownerReferences": owner("ReplicaSet", "web") } });
    merge(&mut value, &more);
    pod(name, value)
}

fn plan_for(set: &ReplicaSet, pods: &[Arc<Pod>]) -> Plan {
    plan(&Observed { replica_set: set, pods, siblings: pods, may_act: true, now: at(0) })
}

fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
    pods.iter().map(|pod| pod.metadata.name.as_deref().expect("a name")).collect()
}

/// A number and a template: that is all a ReplicaSet knows.
#[graded]
fn missing_pods_are_created_and_surplus_ones_deleted() {
    let pods = [mine("a", json!({})), mine("b", json!({}))];
    assert_eq!(plan_for(&set(5, json!({})), &pods).create, 3);
    assert!(plan_for(&set(2, json!({})), &pods).is_empty());
    assert_eq!(plan_for(&set(1, json!({})), &pods).delete.len(), 1);
    assert_eq!(plan_for(&set(0, json!({})), &pods).delete.len(), 2);
}

/// Waiting for a pod that is going away to be gone would leave the service short all that time.
#[graded]
fn pods_that_have_ended_or_are_going_do_not_count() {
    let pods = [
        mine("failed", json!({ "status": { "phase": "Failed" } })),
        mine("done", json!({ "status": { "phase": "Succeeded" } })),
        mine("going", json!({ "metadata": { "deletionTimestamp": text(0) } })),
    ];
    assert_eq!(plan_for(&set(2, json!({})), &pods).create, 2);
}

/// Two sets with overlapping selectors must not take each other's pods in turns, for ever.
#[graded]
fn the_owner_reference_decides_and_the_selector_decides_only_what_has_no_owner() {
    let other = json!({ "metadata": { "ownerReferences": owner("ReplicaSet", "other") } });
    let unlabelled = json!({ "metadata": { "labels": { "app": "debug" } } });
    let pods = [
        mine("kept", json!({})),
        pod("adopted", json!({})),
        mine("released", unlabelled.clone()),
        pod("of-another", other),
        pod("stranger", unlabelled),
    ];
    let plan = plan_for(&set(2, json!({})), &pods);
    assert_eq!(names(&plan.mine), ["kept", "adopted"]);
    assert_eq!(names(&plan.adopt), ["adopted"]);
    assert_eq!(names(&plan.release), ["released"]);
    assert_eq!((plan.create, plan.delete.len()), (0, 0));
}

/// Or it would fight the garbage collector over its own pods.
#[graded]
fn a_set_that_is_going_away_adopts_creates_and_deletes_nothing() {
    let going = json!({ "metadata": { "deletionTimestamp": text(0) } });
    let pods = [pod("orphan", json!({}))];
    assert!(plan_for(&set(3, going), &pods).is_empty());
}

/// What the cache does not show may exist already.
#[graded]
fn nothing_is_created_while_the_cache_lags() {
    let (set, pods) = (set(3, json!({})), [mine("a", json!({})), pod("b", json!({}))]);
    let plan =
        plan(&Observed { replica_set: &set, pods: &pods, siblings: &pods, may_act: false, now: at(0) });
    assert_eq!((plan.create, plan.delete.len()), (0, 0));
    assert_eq!(names(&plan.adopt), ["b"], "adopting twice does no harm");
}

/// A quota that refuses the first pod would refuse the other 499 as well.
#[graded]
fn pods_are_created_in_batches_that_double() {
    assert_eq!(slow_start(0), Vec::<usize>::new());
    assert_eq!(slow_start(1), [1]);
    assert_eq!(slow_start(2), [1, 1]);
    assert_eq!(slow_start(20), [1, 2, 4, 8, 5]);
}

proptest! {
    #[graded]
    fn the_batches_add_up_and_none_is_more_than_twice_the_one_before(count in 0..600usize) {
        let batches = slow_start(count);
        prop_assert_eq!(batches.iter().sum::<usize>(), count);
        prop_assert!(batches.windows(2).all(|pair| pair[1] <= 2 * pair[0]), "{:?}", batches);
        prop_assert!(batches.iter().all(|batch| *batch > 0), "{:?}", batches);
    }
}

/// Upstream's order, line by line.
#[graded]
fn the_pods_that_are_missed_least_go_first() {
    let ready = |since: i64, more: Value| {
        let mut value = json!({ "status": { "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": text(since) },
        ] } });
        merge(&mut value, &more);
        value
    };
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    let cost = |cost: &str| json!({ "metadata": { "annotations": { "controller.kubernetes.io/pod-deletion-cost": cost } } });
    let restarted = json!({ "status": { "containerStatuses": [
        { "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 7 },
    ] } });
    let mut pods = [
        mine("old and ready", ready(-100_000, json!({}))),
        mine("ready for an hour", ready(-3_600, json!({}))),
        mine("restarted often", ready(-100_000, restarted)),
        mine("on a crowded node", ready(-100_000, json!({ "spec": { "nodeName": "crowded" } }))),
        mine("cheap to delete", ready(-100_000, cost("-10"))),
        mine("dear", ready(-100_000, cost("10"))),
        mine("not ready", unready),
        mine("unknown", json!({ "status": { "phase": "Unknown" } })),
        mine("pending", json!({ "status": { "phase": "Pending" } })),
        mine("on no node", json!({ "spec": { "nodeName": "" }, "status": { "phase": "Pending" } })),
    ];
    let mut siblings = pods.to_vec();
    for index in 0..20 {
        siblings.push(mine(&format!("sibling-{index}"), json!({ "spec": { "nodeName": "crowded" } })));
    }
    sort_for_deletion(&mut pods, &siblings, at(0));
    insta::assert_snapshot!(names(&pods).join("\n"));
}

proptest! {
    /// A controller that is restarted between two looks must choose the same victims.
    #[graded]
    fn the_order_of_deletion_does_not_depend_on_the_order_of_the_cache(
        kinds in prop::collection::vec((0..2u8, 0..2u8, 0..3i64), 1..8), turn in 0..8usize,
    ) {
        let pods: Vec<Arc<Pod>> = kinds.iter().enumerate().map(|(index, (node, ready, cost))| {
            mine(&format!("p{index}"), json!({
                "metadata": { "annotations": { "controller.kubernetes.io/pod-deletion-cost": cost.to_string() } },
                "spec": { "nodeName": format!("n{node}") },
                "status": { "conditions": [{ "type": "Ready", "status": if *ready == 1 { "True" } else { "False" } }] },
            }))
        }).collect();
        let mut one = pods.clone();
        sort_for_deletion(&mut one, &pods, at(0));
        let mut other = pods.clone();
        other.rotate_left(turn % pods.len());
        sort_for_deletion(&mut other, &pods, at(0));
        prop_assert_eq!(names(&one), names(&other));
        let is_ready = |pod: &Arc<Pod>| crate::heart::pods::is_ready(pod);
        prop_assert!(one.windows(2).all(|pair| is_ready(&pair[0]) <= is_ready(&pair[1])), "the unready go first");
    }
}

/// A pod that is ready may fail in its first seconds; only one that stayed ready is counted on.
#[graded]
fn the_status_counts_what_is_and_waits_for_min_ready_seconds() {
    let ready = |since: i64| {
        json!({ "status": { "conditions": [
        { "type": "Ready", "status": "True", "lastTransitionTime": text(since) },
    ] } })
    };
    let unready =
        json!({ "status": { "conditions": [] }, "metadata": { "labels": { "app": "web", "x": "y" } } });
    let pods = [mine("a", ready(-60)), mine("b", ready(-4)), mine("c", unready)];
    let set = set(3, json!({ "spec": { "minReadySeconds": 10 } }));
    let (status, again) = status(&set, &pods, None, at(0));
    assert_eq!(status.replicas, 3);
    assert_eq!(status.ready_replicas, Some(2));
    assert_eq!(status.available_replicas, Some(1));
    assert_eq!(status.fully_labeled_replicas, Some(3));
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(again.map(|again| again.as_secs()), Some(6), "b becomes available by time alone");
}

/// The set says what keeps it from its number, and its owner shows it on.
#[graded]
fn a_refused_creation_shows_as_a_condition_that_keeps_its_time_and_goes_with_the_trouble() {
    let mut set = set(1, json!({}));
    let failure = Failure::Create("quota".to_owned());
    set.status = Some(status(&set, &[], Some(&failure), at(0)).0);
    let later = status(&set, &[], Some(&failure), at(60)).0;
    assert_eq!(Some(&later), set.status.as_ref(), "the same trouble is no news");
    let conditions = later.conditions.expect("a condition");
    assert_eq!(conditions[0].reason.as_deref(), Some("FailedCreate"));
    assert!(status(&set, &[], None, at(60)).0.conditions.is_none());
}

/// What stands in the status is compared with what was: a zero that is written in one place and left out in
/// another would be a change for ever.
#[graded]
fn pods_on_their_way_out_are_replicas_and_nothing_else() {
    let going = json!({ "metadata": { "deletionTimestamp": text(0) } });
    let other = json!({ "metadata": { "labels": { "app": "other" } } });
    let of = |pods: &[Arc<Pod>]| {
        let (status, again) = status(&set(3, json!({})), pods, None, at(0));
        assert_eq!(again, None, "nothing changes by time alone");
        let counts = (status.fully_labeled_replicas, status.ready_replicas, status.available_replicas);
        (status.replicas, counts)
    };
    assert_eq!(of(&[]), (0, (None, None, None)));
    assert_eq!(of(&[mine("a", going)]), (1, (None, None, None)));
    assert_eq!(of(&[mine("a", other)]), (1, (None, Some(1), Some(1))), "it lacks the template's label");
}

/// Of several moments the next one counts.
#[graded]
fn the_set_is_looked_at_again_when_the_first_pod_becomes_available() {
    let ready = |since: i64| {
        json!({ "status": { "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": text(since) },
        ] } })
    };
    let set = set(3, json!({ "spec": { "minReadySeconds": 10 } }));
    let pods = [mine("a", ready(-2)), mine("b", ready(-7)), mine("c", ready(-5)), mine("d", ready(-10))];
    let (status, again) = status(&set, &pods, None, at(0));
    assert_eq!(status.available_replicas, Some(1), "d has been ready for ten seconds");
    assert_eq!(again.map(|again| again.as_secs()), Some(3), "then b has");
}

/// Acting on half of one's own writes does the other half twice.
#[graded]
fn expectations_hold_until_every_creation_and_deletion_was_seen() {
    let mut expectations = Expectations::default();
    assert!(expectations.satisfied("set", at(0)));
    expectations.expect("set", 2, ["gone".to_owned()], at(0));
    expectations.creation_seen("set");
    expectations.creation_seen("set");
    assert!(!expectations.satisfied("set", at(1)));
    expectations.deletion_seen("set", "another");
    assert!(!expectations.satisfied("set", at(1)));
    expectations.deletion_seen("set", "gone");
    assert!(expectations.satisfied("set", at(1)));
    expectations.expect("set", 1, [], at(2));
    assert!(!expectations.satisfied("set", at(2)), "the next round has expectations of its own");
    expectations.creation_seen("another");
    assert!(!expectations.satisfied("set", at(2)), "that was another set's pod");
    expectations.forget("set");
    assert!(expectations.satisfied("set", at(2)), "a set that was deleted is waited for no more");
}

/// An event that is lost must cost time, and not the set.
#[graded]
fn what_never_arrives_is_given_up_after_five_minutes() {
    let mut expectations = Expectations::default();
    expectations.expect("set", 1, [], at(0));
    assert!(!expectations.satisfied("set", at(299)));
    assert!(expectations.satisfied("set", at(300)));
}

/// A server that keeps pods, a watch that lags, and a controller with a cache.
struct World {
    set: ReplicaSet,
    truth: BTreeMap<String, Arc<Pod>>,
    news: VecDeque<(String, Option<Arc<Pod>>)>,
    cache: BTreeMap<String, Arc<Pod>>,
    expectations: Expectations,
    refuse_next: usize,
    made: usize,
    now: i64,
}

impl World {
    fn new() -> Self {
        World {
            set: set(0, json!({})),
            truth: BTreeMap::new(),
            news: VecDeque::new(),
            cache: BTreeMap::new(),
            expectations: Expectations::default(),
            refuse_next: 0,
            made: 0,
            now: 0,
        }
    }

    fn delete(&mut self, name: &str) {
        self.truth.remove(name);
        self.news.push_back((name.to_owned(), None));
    }

    fn reconcile(&mut self) -> Plan {
        let pods: Vec<Arc<Pod>> = self.cache.values().cloned().collect();
        let may_act = self.expectations.satisfied("web", at(self.now));
        let observed =
            Observed { replica_set: &self.set, pods: &pods, siblings: &pods, may_act, now: at(self.now) };
        let plan = plan(&observed);
        if plan.create == 0 && plan.delete.is_empty() {
            return plan;
        }
        let going = plan.delete.iter().map(|pod| pod.metadata.uid.clone().expect("a uid"));
        self.expectations.expect("web", plan.create, going, at(self.now));
        let mut left = plan.create;
        for batch in slow_start(plan.create) {
            left -= batch;
            let refused = batch.min(self.refuse_next);
            self.refuse_next -= refused;
            for _ in 0..batch - refused {
                self.made += 1;
                let mut pod = new_pod(&self.set);
                let name = format!("web-{}", self.made);
                pod.metadata.name = Some(name.clone());
                pod.metadata.uid = Some(name.clone());
                self.truth.insert(name.clone(), Arc::new(pod.clone()));
                self.news.push_back((name, Some(Arc::new(pod))));
            }
            for _ in 0..refused {
                self.expectations.creation_seen("web");
            }
            if refused > 0 {
                for _ in 0..left {
                    self.expectations.creation_seen("web");
                }
                break;
            }
        }
        for pod in &plan.delete {
            let name = pod.metadata.name.clone().expect("a name");
            if self.truth.contains_key(&name) {
                self.delete(&name);
            } else {
                self.expectations.deletion_seen("web", &name);
            }
        }
        plan
    }

    fn deliver(&mut self) {
        match self.news.pop_front() {
            Some((name, Some(pod))) => {
                self.expectations.creation_seen("web");
                self.cache.insert(name, pod);
            }
            Some((name, None)) => {
                self.expectations.deletion_seen("web", &name);
                self.cache.remove(&name);
            }
            None => {}
        }
    }

    /// Killed, and started again: the cache is listed anew, what was expected is forgotten.
    fn restart(&mut self) {
        self.news.clear();
        self.cache.clone_from(&self.truth);
        self.expectations = Expectations::default();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Reconcile,
    Deliver,
    Scale(i32),
    Kill(usize),
    Refuse(usize),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Reconcile),
        4 => Just(Step::Deliver),
        1 => (0..9i32).prop_map(Step::Scale),
        1 => (0..9usize).prop_map(Step::Kill),
        1 => (1..4usize).prop_map(Step::Refuse),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A world whose watch lags and whose controller is killed: two pods for one that was missing is
    /// the classic mistake.
    #[graded]
    fn however_the_cache_lags_the_set_arrives_and_never_has_more_than_was_ever_wanted(steps in steps()) {
        let mut world = World::new();
        let mut most = 0;
        for step in steps {
            world.now += 1;
            match step {
                Step::Reconcile => drop(world.reconcile()),
                Step::Deliver => world.deliver(),
                Step::Scale(replicas) => {
                    world.set.spec.as_mut().expect("a spec").replicas = Some(replicas);
                    most = most.max(usize::try_from(replicas).expect("not negative"));
                }
                Step::Kill(index) => {
                    if let Some(name) = world.truth.keys().nth(index).cloned() {
                        world.delete(&name);
                    }
                }
                Step::Refuse(count) => world.refuse_next = count,
                Step::Restart => world.restart(),
            }
            prop_assert!(world.truth.len() <= most, "{} pods, though never more than {} were wanted", world.truth.len(), most);
        }
        for _ in 0..20 {
            while !world.news.is_empty() {
                world.deliver();
            }
            world.reconcile();
        }
        let wanted = world.set.spec.as_ref().and_then(|spec| spec.replicas).expect("replicas");
        prop_assert_eq!(world.truth.len(), usize::try_from(wanted).expect("not negative"));
        prop_assert!(world.reconcile().is_empty(), "a second reconcile has nothing to do");
    }
}
