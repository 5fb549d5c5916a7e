//! Deployment: from one template to the next without losing the service.
//!
//! A Deployment owns one ReplicaSet per template that it ever had. A rollout is nothing
//! but growing one and shrinking the others, a step at a time:
//!
//! ```text
//!   template changed ─► new ReplicaSet, size 0..surge
//!        ▲                    │ its pods become available
//!        │                    ▼
//!   the next step ◄── shrink old ones as far as maxUnavailable allows, grow the new one
//! ```
//!
//! Nothing about a rollout is kept in memory: each [`plan`] reads sizes and statuses,
//! and makes the one step that they allow. The watch of what the step changed brings the
//! next plan. A controller that dies in the middle has lost nothing.
//!
//! Upstream: `pkg/controller/deployment`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::jiff::Timestamp;
use objects::labels::Selector;
use objects::meta;

pub mod rolling;
pub mod status;
pub mod template;

use crate::pods::{Note, time};
use crate::replica_set::{Claim, claim};
use rolling::{available, bounds, is_rolling, new_size, proportional, size, wanted};
use status::{Conditions, counted, is_complete, of_rollout, progress_deadline};
use template::{
    DESIRED, new_replica_set, refresh_annotations, revision, same_template, set_size_annotations,
    size_annotation,
};

/// Everything that one reconcile looks at.
pub struct Observed<'a> {
    pub deployment: &'a Deployment,
    /// The ReplicaSets that it controls, and those of its namespace that nobody controls.
    pub replica_sets: &'a [Arc<ReplicaSet>],
    /// Uids of ReplicaSets that still have pods which have not ended (for `Recreate`).
    pub with_pods: &'a BTreeSet<String>,
    pub now: Timestamp,
}

/// One request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Adopt(Arc<ReplicaSet>),
    Release(Arc<ReplicaSet>),
    /// If the name is taken by another template: raise `status.collisionCount` and plan anew.
    Create(Box<ReplicaSet>),
    /// Write `spec.replicas`, `spec.minReadySeconds` and the annotations of an existing one.
    Update(Box<ReplicaSet>),
    Delete(Box<ReplicaSet>),
    /// The Deployment's own `deployment.kubernetes.io/revision`.
    SetRevision(i64),
    Status(Box<DeploymentStatus>),
}

/// The requests of one step in their order, what to tell, and when to look again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub notes: Vec<Note>,
    pub look_again: Option<Duration>,
}

/// The next step.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let deployment = observed.deployment;
    let mut plan = Plan::default();
    let spec = deployment.spec.clone().unwrap_or_default();
    let Ok(selector) = Selector::from_label_selector(&spec.selector) else {
        return plan;
    };
    if selector.is_everything() {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        plan.notes.push(Note::warning("SelectingAll", message));
        return plan;
    }
    let mut rollout = Rollout::new(observed, &selector, &mut plan);
    let paused = spec.paused == Some(true);
    if deployment.metadata.deletion_timestamp.is_some() {
        rollout.finish_counted();
    } else {
        if progress_deadline(deployment).is_some() {
            rollout.conditions.note_pause(paused, observed.now);
        }
        if paused || rollout.is_scaling() {
            rollout.sync_new(false);
            rollout.scale();
            if paused {
                rollout.clean_up();
            }
            rollout.finish_counted();
        } else if is_rolling(deployment) {
            rollout.roll();
            rollout.finish();
        } else {
            rollout.recreate();
            rollout.finish();
        }
    }
    plan
}

/// A plan in the making: working copies that show what the actions so far will do.
struct Rollout<'a> {
    observed: &'a Observed<'a>,
    deployment: &'a Deployment,
    new: Option<ReplicaSet>,
    /// Oldest first.
    old: Vec<ReplicaSet>,
    conditions: Conditions,
    plan: &'a mut Plan,
}

impl<'a> Rollout<'a> {
    fn new(observed: &'a Observed<'a>, selector: &Selector, plan: &'a mut Plan) -> Self {
        let deployment = observed.deployment;
        let mut sets = Vec::new();
        for set in observed.replica_sets {
            match claim(&deployment.metadata, selector, &set.metadata) {
                Claim::Mine => sets.push(ReplicaSet::clone(set)),
                Claim::Adopt => {
                    plan.actions.push(Action::Adopt(Arc::clone(set)));
                    sets.push(ReplicaSet::clone(set));
                }
                Claim::Release => plan.actions.push(Action::Release(Arc::clone(set))),
                Claim::NotMine => {}
            }
        }
        sets.sort_by_key(|set| (time(&set.metadata.creation_timestamp), set.metadata.name.clone()));
        let template = deployment.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
        let current = sets.iter().position(|set| same_template(set, &template));
        let new = current.map(|index| sets.remove(index));
        let conditions = deployment.status.as_ref().and_then(|status| status.conditions.clone());
        let conditions = Conditions(conditions.unwrap_or_default());
        Rollout { observed, deployment, new, old: sets, conditions, plan }
    }

    /// Was `spec.replicas` changed since the ReplicaSets were last sized?
    fn is_scaling(&self) -> bool {
        let active = self.old.iter().chain(&self.new).filter(|set| size(set) > 0);
        active
            .filter_map(|set| size_annotation(set, DESIRED))
            .any(|desired| desired != wanted(self.deployment))
    }

    /// Brings the current ReplicaSet's annotations and `minReadySeconds` up to date;
    /// creates it, at the size that it may have at once, if `create`.
    fn sync_new(&mut self, create: bool) {
        let deployment = self.deployment;
        let revision = self.old.iter().map(|set| revision(&set.metadata)).max().unwrap_or(0) + 1;
        let spec = deployment.spec.as_ref();
        let min_ready = spec.and_then(|spec| spec.min_ready_seconds).filter(|s| *s != 0);
        if let Some(new) = &mut self.new {
            let mut changed = refresh_annotations(deployment, new, revision);
            if let Some(spec) = &mut new.spec
                && spec.min_ready_seconds.filter(|seconds| *seconds != 0) != min_ready
            {
                spec.min_ready_seconds = Some(min_ready.unwrap_or(0));
                changed = true;
            }
            if changed {
                self.plan.actions.push(Action::Update(Box::new(new.clone())));
            }
            if progress_deadline(deployment).is_some() && self.conditions.get("Progressing").is_none() {
                self.conditions.note_new_set(false, meta::name(&new.metadata), self.observed.now);
            }
        } else if create {
            let mut new = new_replica_set(deployment, revision);
            let others = self.old.iter().map(size).sum();
            let replicas = new_size(deployment, others, 0);
            set_size(&mut new, replicas);
            set_size_annotations(&mut new, wanted(deployment), self.most());
            let name = meta::name(&new.metadata).to_owned();
            self.plan.actions.push(Action::Create(Box::new(new.clone())));
            if replicas > 0 {
                let message = format!("Scaled up replica set {name} from 0 to {replicas}");
                self.plan.notes.push(Note::normal("ScalingReplicaSet", message));
            }
            if progress_deadline(deployment).is_some() {
                self.conditions.note_new_set(true, &name, self.observed.now);
            }
            self.new = Some(new);
        }
        if let Some(new) = &self.new {
            let current = template::revision(&new.metadata);
            if template::revision(&deployment.metadata) != current {
                self.plan.actions.push(Action::SetRevision(current));
            }
        }
    }

    /// Rolling update: grow the new one if there is room, else shrink the old ones.
    fn roll(&mut self) {
        todo!(
            "lab 06.2: create it, or grow it, or shrink the others: one of the three; when none is left to do, clean up if complete"
        )
    }

    /// Recreate: everything old goes first, then the new one comes at full size.
    fn recreate(&mut self) {
        self.sync_new(false);
        let mut scaled = false;
        for index in 0..self.old.len() {
            scaled |= self.resize_old(index, 0);
        }
        if scaled || self.old_pods_remain() {
            return;
        }
        if self.new.is_none() {
            return self.sync_new(true);
        }
        if !self.grow_new() {
            self.clean_up_if_complete();
        }
    }

    fn old_pods_remain(&self) -> bool {
        let replicas = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
        let has_pods = |set: &ReplicaSet| self.observed.with_pods.contains(meta::uid(&set.metadata));
        self.old.iter().any(|set| replicas(set) > 0 || has_pods(set))
    }

    fn grow_new(&mut self) -> bool {
        let Some(current) = self.new.as_ref().map(size) else {
            return false;
        };
        let all = current + self.old.iter().map(size).sum::<i32>();
        let replicas = new_size(self.deployment, all, current);
        self.resize_new(replicas)
    }

    /// `spec.replicas` was changed (perhaps in the middle of a rollout, or while paused).
    fn scale(&mut self) {
        let wanted = wanted(self.deployment);
        let active: Vec<usize> = (0..self.old.len()).filter(|i| size(&self.old[*i]) > 0).collect();
        let new_active = self.new.as_ref().is_some_and(|new| size(new) > 0);
        match (active.as_slice(), new_active) {
            ([], _) if self.new.is_some() => drop(self.resize_new(wanted)),
            // Nothing is active and there is no current one: the latest stands in.
            ([], _) => {
                if let Some(latest) = self.old.len().checked_sub(1) {
                    self.resize_old(latest, wanted);
                }
            }
            ([only], false) => drop(self.resize_old(*only, wanted)),
            _ if self.new.as_ref().is_some_and(|new| self.is_saturated(new)) => {
                for index in active {
                    self.resize_old(index, 0);
                }
            }
            _ if is_rolling(self.deployment) => self.scale_in_proportion(active),
            _ => {}
        }
    }

    fn is_saturated(&self, new: &ReplicaSet) -> bool {
        let wanted = wanted(self.deployment);
        size_annotation(new, DESIRED) == Some(wanted) && size(new) == wanted && available(new) == wanted
    }

    fn scale_in_proportion(&mut self, active: Vec<usize>) {
        // `None` stands for the new set, which is the newest of all.
        let mut order: Vec<Option<usize>> = active.into_iter().map(Some).collect();
        if self.new.as_ref().is_some_and(|new| size(new) > 0) {
            order.push(None);
        }
        let set = |index: &Option<usize>| match index {
            Some(index) => self.old.get(*index),
            None => self.new.as_ref(),
        };
        let total: i32 = order.iter().filter_map(set).map(size).sum();
        if wanted(self.deployment) > 0 && self.most() > total {
            order.reverse();
        }
        order.sort_by_key(|index| std::cmp::Reverse(set(index).map_or(0, size)));
        let sets: Vec<ReplicaSet> = order.iter().filter_map(set).cloned().collect();
        for (index, replicas) in order.into_iter().zip(proportional(self.deployment, &sets)) {
            match index {
                Some(index) => self.resize_old(index, replicas),
                None => self.resize_new(replicas),
            };
        }
    }

    fn most(&self) -> i32 {
        wanted(self.deployment).saturating_add(bounds(self.deployment).surge)
    }

    fn resize_new(&mut self, replicas: i32) -> bool {
        let Some(mut set) = self.new.take() else {
            return false;
        };
        let scaled = self.resize(&mut set, replicas);
        self.new = Some(set);
        scaled
    }

    fn resize_old(&mut self, index: usize, replicas: i32) -> bool {
        let mut set = self.old[index].clone();
        let scaled = self.resize(&mut set, replicas);
        self.old[index] = set;
        scaled
    }

    /// True if the size changed; annotations alone are no step of a rollout.
    fn resize(&mut self, set: &mut ReplicaSet, replicas: i32) -> bool {
        let before = size(set);
        if replicas == before && replicas == 0 {
            return false;
        }
        let noted = set_size_annotations(set, wanted(self.deployment), self.most());
        if replicas == before && !noted {
            return false;
        }
        set_size(set, replicas);
        // An update that is planned already takes this change with it.
        let name = set.metadata.name.clone();
        let earlier = self.plan.actions.iter_mut().find_map(|action| match action {
            Action::Update(earlier) if earlier.metadata.name == name => Some(earlier),
            _ => None,
        });
        match earlier {
            Some(earlier) => **earlier = set.clone(),
            None => self.plan.actions.push(Action::Update(Box::new(set.clone()))),
        }
        if replicas != before {
            let direction = if replicas > before { "up" } else { "down" };
            let name = meta::name(&set.metadata);
            let message = format!("Scaled {direction} replica set {name} from {before} to {replicas}");
            self.plan.notes.push(Note::normal("ScalingReplicaSet", message));
        }
        replicas != before
    }

    fn clean_up_if_complete(&mut self) {
        let conditions = self.conditions.clone();
        let status = counted(self.deployment, self.new.as_ref(), &self.old, conditions, self.observed.now);
        if is_complete(self.deployment, &status) {
            self.clean_up();
        }
    }

    /// Deletes the oldest of what has been empty for long, beyond `revisionHistoryLimit`.
    fn clean_up(&mut self) {
        let limit = self.deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
            return;
        };
        let mut sets: Vec<&ReplicaSet> =
            self.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
        sets.sort_by_key(|set| revision(&set.metadata));
        let surplus = sets.len().saturating_sub(limit);
        for set in sets.into_iter().take(surplus) {
            let status = set.status.clone().unwrap_or_default();
            let unseen = set.metadata.generation > status.observed_generation;
            if size(set) == 0 && status.replicas == 0 && !unseen {
                self.plan.actions.push(Action::Delete(Box::new(set.clone())));
            }
        }
    }

    fn finish(&mut self) {
        let conditions = self.conditions.clone();
        let now = self.observed.now;
        let (status, wait) = of_rollout(self.deployment, self.new.as_ref(), &self.old, conditions, now);
        self.plan.look_again = wait;
        self.write_status(status);
    }

    fn finish_counted(&mut self) {
        let conditions = self.conditions.clone();
        let now = self.observed.now;
        let status = counted(self.deployment, self.new.as_ref(), &self.old, conditions, now);
        self.write_status(status);
    }

    fn write_status(&mut self, status: DeploymentStatus) {
        if self.deployment.status.as_ref() != Some(&status) {
            self.plan.actions.push(Action::Status(Box::new(status)));
        }
    }
}

fn set_size(set: &mut ReplicaSet, replicas: i32) {
    set.spec.get_or_insert_default().replicas = Some(replicas);
}
