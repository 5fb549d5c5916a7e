//! The life of a pod on this node, as a state machine.
//!
//! ```text
//!            deleted, evicted, finished by itself
//!   Syncing ──────────────────────────────────▶ Terminating ──▶ Terminated ──▶ Finished ──▶ (forgotten)
//!   converge towards the spec,                 kill whatever    nothing runs:   only the API
//!   again and again                            still runs       volumes, dirs   still knows it
//! ```
//!
//! There is no way back: a pod that has begun to terminate never runs a container again, whatever
//! the API server says later. One piece of work runs at a time for each pod; what happens
//! meanwhile is not queued but remembered as "once more", because the work always reads the latest
//! state. Only two things interrupt work under way: the end of the pod, and a shorter grace period.
//! Upstream: `pkg/kubelet/pod_workers.go`.

/// Where the pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodState {
    /// The pod should run. Next: `Terminating`.
    Syncing,
    /// The pod must stop; containers may still run. Next: `Terminated`.
    Terminating,
    /// No container runs. What the pod held is given back. Next: `Finished`.
    Terminated,
    /// Nothing is left to do until the API server deletes the pod.
    Finished,
}

// ANCHOR: work
/// One piece of work that the shell does for the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Compare the spec with what runs, and act.
    Sync,
    /// Stop everything. `None`: with the grace period that the pod itself names.
    Terminate { grace_seconds: Option<i64> },
    /// Nothing runs any more. With `remove`, nothing may stay behind either: no dead container,
    /// no log, no directory. Without, the logs of the dead containers are kept to be read.
    CleanUp { remove: bool },
}
// ANCHOR_END: work

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The pod arrived or changed at the API server.
    Update {
        /// Its `deletionGracePeriodSeconds`, if it is being deleted.
        deletion_grace: Option<i64>,
        /// Its phase there is already `Succeeded` or `Failed`.
        finished: bool,
    },
    /// Something about the pod moved: a container died, a back-off ended, an image came.
    Wake,
    /// The node wants it gone (eviction).
    Kill { grace_seconds: Option<i64> },
    /// The API server does not have the pod (any more).
    Gone { grace_seconds: Option<i64> },
    /// The work given out last has ended.
    Done(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done. For `Sync`: the pod is as it should be, for now.
    Ok,
    /// `Sync` found that every container has ended for good.
    Finished,
    /// It broke off; the shell sends a `Wake` when it is time to try again.
    Failed,
    /// It was interrupted, as ordered.
    Interrupted,
}

// ANCHOR: actions
/// What the shell must do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin this work; answer with [`Input::Done`]. Never given while other work runs.
    Run(Work),
    /// Make the work that runs now end soon.
    Interrupt,
    /// Drop the worker: the pod is no more.
    Forget,
}
// ANCHOR_END: actions

/// The state machine of one pod. Call [`PodWorker::handle`] with everything that happens; do what
/// it returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodWorker {
    state: PodState,
    /// The work that runs now.
    running: Option<Work>,
    interrupted: bool,
    /// Something happened while work was running: do it once more.
    again: bool,
    grace_seconds: Option<i64>,
    /// The API server has marked the pod as deleted.
    deleted: bool,
    /// The API server does not have the pod.
    gone: bool,
    /// The last clean-up left nothing behind.
    removed: bool,
}

impl Default for PodWorker {
    fn default() -> Self {
        PodWorker {
            state: PodState::Syncing,
            running: None,
            interrupted: false,
            again: false,
            grace_seconds: None,
            deleted: false,
            gone: false,
            removed: false,
        }
    }
}

impl PodWorker {
    pub fn state(&self) -> PodState {
        self.state
    }

    pub fn running(&self) -> Option<Work> {
        self.running
    }

    /// Takes in what happened and says what to do.
    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Update { deletion_grace, finished } => {
                if let Some(grace) = deletion_grace {
                    self.deleted = true;
                    self.stop(Some(grace));
                } else if finished {
                    self.stop(None);
                }
            }
            Input::Wake => {}
            Input::Kill { grace_seconds } => self.stop(grace_seconds),
            Input::Gone { grace_seconds } => {
                self.gone = true;
                self.stop(grace_seconds);
            }
            Input::Done(outcome) => {
                let ran = self.running;
                let moved = self.advance(outcome);
                // What failed is not tried again at once, even if something happened meanwhile:
                // more often than not that was its own doing. The shell's `Wake` comes soon.
                let later = outcome == Outcome::Failed && ran == self.wanted();
                if later || (!moved && !self.again) {
                    self.again = false;
                    return self.ended().into_iter().collect();
                }
            }
        }
        self.dispatch()
    }

    /// The pod must end. A grace period may become shorter, never longer.
    pub fn stop(&mut self, grace_seconds: Option<i64>) {
        // lab:begin 08.2 enter Terminating from Syncing only; keep the shortest grace period named so far
        if self.state == PodState::Syncing {
            self.state = PodState::Terminating;
        }
        self.grace_seconds = match (self.grace_seconds, grace_seconds) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
        // lab:end
    }

    /// The work that was running has ended: take the pod to its next state. Returns whether there
    /// is a reason to look again at once (the state moved, or the work was interrupted).
    pub fn advance(&mut self, outcome: Outcome) -> bool {
        // lab:begin 08.2 which state follows, given the work that ran and how it ended
        self.interrupted = false;
        let next = match (self.running.take(), outcome) {
            (_, Outcome::Interrupted) => return true,
            (Some(Work::Sync), Outcome::Finished) => PodState::Terminating,
            (Some(Work::Terminate { .. }), Outcome::Ok | Outcome::Finished) => PodState::Terminated,
            (Some(Work::CleanUp { remove }), Outcome::Ok | Outcome::Finished) => {
                self.removed |= remove;
                PodState::Finished
            }
            _ => self.state,
        };
        // Never backwards: a pod that was deleted while it synced stays Terminating.
        let moved = next > self.state;
        self.state = self.state.max(next);
        moved
        // lab:end
    }

    /// The work that the pod's state asks for; `None` once nothing is left to do.
    pub fn wanted(&self) -> Option<Work> {
        // lab:begin 08.2 one kind of work for each state; a finished pod is removed once nobody needs its logs
        let unneeded = self.deleted || self.gone;
        match self.state {
            PodState::Syncing => Some(Work::Sync),
            PodState::Terminating => Some(Work::Terminate { grace_seconds: self.grace_seconds }),
            PodState::Terminated => Some(Work::CleanUp { remove: unneeded }),
            PodState::Finished if unneeded && !self.removed => Some(Work::CleanUp { remove: true }),
            PodState::Finished => None,
        }
        // lab:end
    }

    /// Hands out the work that is wanted, or, while other work runs, notes that it is wanted.
    pub fn dispatch(&mut self) -> Vec<Action> {
        let Some(want) = self.wanted() else {
            return self.ended().into_iter().collect();
        };
        // lab:begin 08.2 idle: run it. Busy: once more later, and interrupt if the pod must end (sooner)
        let Some(running) = self.running else {
            self.again = false;
            self.running = Some(want);
            return vec![Action::Run(want)];
        };
        self.again = true;
        let must_end = match (running, want) {
            (Work::Sync, Work::Terminate { .. }) => true,
            (Work::Terminate { grace_seconds: old }, Work::Terminate { grace_seconds: new }) => old != new,
            _ => false,
        };
        if must_end && !self.interrupted {
            self.interrupted = true;
            return vec![Action::Interrupt];
        }
        Vec::new()
        // lab:end
    }

    /// Nothing runs, nothing is left behind, nobody knows the pod: forget it.
    fn ended(&self) -> Option<Action> {
        let over = self.state == PodState::Finished && self.running.is_none();
        (over && self.gone && self.removed).then_some(Action::Forget)
    }
}
