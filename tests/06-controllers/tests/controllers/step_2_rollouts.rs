//! Whole rollouts, step by step, in a small world: a Deployment, its ReplicaSets, pods that
//! take their time, and statuses that are late.

use graded::graded;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use proptest::prelude::*;

use crate::heart::deployment::rolling::{bounds, size, wanted};
use crate::heart::deployment::template::same_template;
use crate::heart::deployment::{Action, Observed, plan};
use crate::step_2_deployment::{deployment, strategy};
use crate::{Value, at, json, merge};

/// A ReplicaSet and the pods that it really has: true for the available ones.
struct Real {
    set: ReplicaSet,
    pods: Vec<bool>,
}

struct World {
    deployment: Deployment,
    sets: Vec<Real>,
    now: i64,
}

impl World {
    fn new(deployment: Deployment) -> Self {
        World { deployment, sets: Vec::new(), now: 0 }
    }

    /// One reconcile of the Deployment. Returns what was told.
    fn roll(&mut self) -> (usize, Vec<String>) {
        let sets: Vec<Arc<ReplicaSet>> = self.sets.iter().map(|real| Arc::new(real.set.clone())).collect();
        let with_pods: BTreeSet<String> = self
            .sets
            .iter()
            .filter(|real| !real.pods.is_empty())
            .filter_map(|real| real.set.metadata.uid.clone())
            .collect();
        let observed = Observed {
            deployment: &self.deployment,
            replica_sets: &sets,
            with_pods: &with_pods,
            now: at(self.now),
        };
        let plan = plan(&observed);
        for action in &plan.actions {
            match action {
                Action::Create(set) => {
                    let mut set = ReplicaSet::clone(set);
                    set.metadata.uid.clone_from(&set.metadata.name);
                    set.metadata.generation = Some(1);
                    set.metadata.creation_timestamp =
                        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(self.now)));
                    self.sets.push(Real { set, pods: Vec::new() });
                }
                Action::Update(new) => {
                    let real = self.sets.iter_mut().find(|real| real.set.metadata.name == new.metadata.name);
                    let real = real.expect("an update of a set that exists");
                    if real.set.spec != new.spec {
                        real.set.metadata.generation = real.set.metadata.generation.map(|g| g + 1);
                    }
                    real.set.spec.clone_from(&new.spec);
                    real.set.metadata.annotations.clone_from(&new.metadata.annotations);
                }
                Action::Delete(gone) => {
                    self.sets.retain(|real| real.set.metadata.name != gone.metadata.name);
                }
                Action::SetRevision(revision) => {
                    let annotations = self.deployment.metadata.annotations.get_or_insert_default();
                    annotations.insert(
                        crate::heart::deployment::template::REVISION.to_owned(),
                        revision.to_string(),
                    );
                }
                Action::Status(status) => self.deployment.status = Some((**status).clone()),
                Action::Adopt(_) | Action::Release(_) => panic!("nobody is without an owner here"),
            }
        }
        self.now += 1;
        (plan.actions.len(), plan.notes.into_iter().map(|note| note.message).collect())
    }

    /// The ReplicaSet's controller makes its pods as many as wanted; the unready go first.
    fn fill(&mut self, index: usize) {
        if let Some(real) = self.sets.get_mut(index) {
            real.pods.sort_by_key(|available| !available);
            real.pods.resize(usize::try_from(size(&real.set)).expect("not negative"), false);
        }
    }

    /// One more pod becomes available.
    fn ready(&mut self, index: usize) {
        if let Some(pod) =
            self.sets.get_mut(index).and_then(|real| real.pods.iter_mut().find(|ready| !**ready))
        {
            *pod = true;
        }
    }

    /// The status catches up with the pods.
    fn report(&mut self, index: usize) {
        if let Some(real) = self.sets.get_mut(index) {
            let available = i32::try_from(real.pods.iter().filter(|ready| **ready).count()).expect("few");
            let status = real.set.status.get_or_insert_default();
            status.replicas = i32::try_from(real.pods.len()).expect("few");
            status.ready_replicas = Some(available);
            status.available_replicas = Some(available);
            status.observed_generation = real.set.metadata.generation;
        }
    }

    fn asked_for(&self) -> i32 {
        self.sets.iter().map(|real| size(&real.set)).sum()
    }

    /// Available pods that nobody has asked to go.
    fn available(&self) -> i32 {
        let of = |real: &Real| {
            let available = real.pods.iter().filter(|ready| **ready).count();
            available.min(usize::try_from(size(&real.set)).expect("not negative"))
        };
        i32::try_from(self.sets.iter().map(of).sum::<usize>()).expect("few")
    }

    /// Everybody does their work until nothing changes.
    fn settle(&mut self) -> usize {
        let mut quiet = 0;
        for round in 0..500 {
            for index in 0..self.sets.len() {
                self.fill(index);
                for _ in 0..20 {
                    self.ready(index);
                }
                self.report(index);
            }
            quiet = if self.roll().0 == 0 { quiet + 1 } else { 0 };
            if quiet == 2 {
                return round;
            }
        }
        panic!("the rollout never comes to rest");
    }

    fn set_image(&mut self, image: &str) {
        let mut value = serde_json::to_value(&self.deployment).expect("JSON");
        let generation = self.deployment.metadata.generation.unwrap_or(0) + 1;
        merge(
            &mut value,
            &json!({
                "metadata": { "generation": generation },
                "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } },
            }),
        );
        self.deployment = serde_json::from_value(value).expect("a deployment");
    }

    fn set_replicas(&mut self, replicas: i32) {
        self.deployment.spec.as_mut().expect("a spec").replicas = Some(replicas);
        self.deployment.metadata.generation = self.deployment.metadata.generation.map(|g| g + 1);
    }

    fn is_done(&self) -> bool {
        let template = &self.deployment.spec.as_ref().expect("a spec").template;
        self.sets.iter().all(|real| {
            let current = same_template(&real.set, template);
            let expected = if current { wanted(&self.deployment) } else { 0 };
            size(&real.set) == expected && real.pods.len() == usize::try_from(expected).expect("not negative")
        })
    }
}

fn sizes(world: &World) -> String {
    let of = |real: &Real| {
        let available = real.pods.iter().filter(|ready| **ready).count();
        format!("{}({available} available)", size(&real.set))
    };
    world.sets.iter().map(of).collect::<Vec<_>>().join(" ")
}

fn trace(deployment: Deployment) -> String {
    let mut world = World::new(deployment);
    world.settle();
    world.set_image("web:2");
    let mut out = String::new();
    for _ in 0..20 {
        let (actions, told) = world.roll();
        let steps: Vec<&str> =
            told.iter().filter_map(|line| line.split_once(" replica set ").map(|(a, _)| a)).collect();
        writeln!(out, "{:<40} {}", sizes(&world), steps.join(", ")).expect("a string");
        if actions == 0 {
            break;
        }
        for index in 0..world.sets.len() {
            world.fill(index);
            for _ in 0..20 {
                world.ready(index);
            }
            world.report(index);
        }
    }
    out
}

/// The whole rollout, plan by plan.
#[graded]
fn a_rolling_update_goes_in_steps_of_what_the_bounds_allow() {
    insta::assert_snapshot!(trace(deployment(4, json!({}))));
}

/// A cluster without room for one more pod can still be updated.
#[graded]
fn a_rolling_update_without_surge_takes_away_before_it_adds() {
    insta::assert_snapshot!(trace(deployment(3, strategy(json!(0), json!(1)))));
}

/// That is its price, and its purpose.
#[graded]
fn recreate_has_a_moment_without_any_pod() {
    insta::assert_snapshot!(trace(deployment(3, json!({ "spec": { "strategy": { "type": "Recreate" } } }))));
}

/// Level, not edge: it matters what is wanted now, and not which way it came.
#[graded]
fn a_rollout_that_is_turned_back_half_way_ends_with_the_first_template() {
    let mut world = World::new(deployment(4, json!({})));
    world.settle();
    world.set_image("web:2");
    world.roll();
    world.fill(1);
    world.roll();
    world.set_image("web:1");
    world.settle();
    assert!(world.is_done(), "{}", sizes(&world));
    assert_eq!(world.sets.len(), 2, "no third set for a template that has one");
}

#[derive(Clone, Debug)]
enum Step {
    Roll,
    Fill(usize),
    Ready(usize),
    Report(usize),
    Image(u8),
    Scale(i32),
}

fn step(with_scaling: bool) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Roll),
        6 => (0..4usize).prop_map(Step::Fill),
        6 => (0..4usize).prop_map(Step::Ready),
        6 => (0..4usize).prop_map(Step::Report),
        1 => (1..4u8).prop_map(Step::Image),
        1 => (0..12i32).prop_map(move |replicas| if with_scaling { Step::Scale(replicas) } else { Step::Roll }),
    ]
}

fn bound() -> impl Strategy<Value = Value> {
    prop_oneof![(0..4i32).prop_map(|count| json!(count)), (0..101i32).prop_map(|p| json!(format!("{p}%")))]
}

fn apply(world: &mut World, step: &Step) {
    match step {
        Step::Roll => drop(world.roll()),
        Step::Fill(index) => world.fill(*index),
        Step::Ready(index) => world.ready(*index),
        Step::Report(index) => world.report(*index),
        Step::Image(tag) => world.set_image(&format!("web:{tag}")),
        Step::Scale(replicas) => world.set_replicas(*replicas),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever order pods, statuses and plans come in, both promises hold after each step.
    #[graded]
    fn no_step_breaks_max_surge_or_max_unavailable_and_the_end_is_the_new_template(
        replicas in 1..10i32, surge in bound(), unavailable in bound(),
        steps in prop::collection::vec(step(false), 0..80),
    ) {
        let mut world = World::new(deployment(replicas, strategy(surge, unavailable)));
        world.settle();
        prop_assert_eq!(world.available(), replicas);
        let bounds = bounds(&world.deployment);
        for step in steps.iter().chain([&Step::Image(9)]) {
            apply(&mut world, step);
            prop_assert!(world.asked_for() <= replicas + bounds.surge, "{} after {:?}", sizes(&world), step);
            prop_assert!(world.available() >= replicas - bounds.unavailable, "{} after {:?}", sizes(&world), step);
        }
        world.settle();
        prop_assert!(world.is_done(), "{}", sizes(&world));
        prop_assert_eq!(world.roll().0, 0, "a second reconcile has nothing to do");
        let status = world.deployment.status.as_ref().expect("a status");
        prop_assert_eq!(status.available_replicas, Some(replicas));
    }

    /// A load peak does not wait for the end of an update.
    #[graded]
    fn scaling_in_the_middle_of_a_rollout_ends_at_the_new_size_and_template(
        replicas in 1..10i32, surge in bound(), unavailable in bound(), recreate in any::<bool>(),
        steps in prop::collection::vec(step(true), 0..80),
    ) {
        let mut web = deployment(replicas, strategy(surge, unavailable));
        if recreate {
            web.spec.as_mut().expect("a spec").strategy =
                Some(serde_json::from_value(json!({ "type": "Recreate" })).expect("a strategy"));
        }
        let mut world = World::new(web);
        world.settle();
        for step in &steps {
            apply(&mut world, step);
        }
        world.settle();
        prop_assert!(world.is_done(), "{} of {}", sizes(&world), wanted(&world.deployment));
        prop_assert_eq!(world.roll().0, 0, "a second reconcile has nothing to do");
    }
}
