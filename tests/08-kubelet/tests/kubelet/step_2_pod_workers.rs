use graded::graded;
use proptest::prelude::*;

use crate::heart::worker::{Action, Input, Outcome, PodState, PodWorker, Work};

const SEEN: Input = Input::Update { deletion_grace: None, finished: false };

fn deleted(grace: i64) -> Input {
    Input::Update { deletion_grace: Some(grace), finished: false }
}

fn terminate(grace_seconds: Option<i64>) -> Action {
    Action::Run(Work::Terminate { grace_seconds })
}

/// Nobody waits for a timer: what is new is looked at now.
#[graded]
fn a_new_pod_is_synced_at_once() {
    let mut worker = PodWorker::default();
    assert_eq!(worker.handle(SEEN), [Action::Run(Work::Sync)]);
}

/// The object goes last: its name, address and volumes are given to others afterwards.
#[graded]
fn a_deleted_pod_goes_through_all_states_and_is_forgotten_when_the_object_is_gone() {
    let mut worker = PodWorker::default();
    worker.handle(SEEN);
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), []);
    assert_eq!(worker.handle(deleted(30)), [terminate(Some(30))]);
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), [Action::Run(Work::CleanUp { remove: true })]);
    assert_eq!(worker.state(), PodState::Terminated);
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), []);
    assert_eq!(worker.state(), PodState::Finished);
    assert_eq!(worker.handle(Input::Gone { grace_seconds: None }), [Action::Forget]);
}

/// A Job's output is read after it has ended.
#[graded]
fn a_pod_that_finished_by_itself_keeps_its_logs_until_it_is_deleted() {
    let mut worker = PodWorker::default();
    worker.handle(SEEN);
    assert_eq!(worker.handle(Input::Done(Outcome::Finished)), [terminate(None)]);
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), [Action::Run(Work::CleanUp { remove: false })]);
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), []);
    assert_eq!(worker.handle(Input::Wake), [], "a finished pod has nothing to do");
    assert_eq!(worker.handle(deleted(0)), [Action::Run(Work::CleanUp { remove: true })]);
}

/// The work reads the latest state anyway, so what happened meanwhile needs to be counted only once.
#[graded]
fn what_happens_during_work_leads_to_one_more_look_not_to_many() {
    let mut worker = PodWorker::default();
    worker.handle(SEEN);
    for _ in 0..5 {
        assert_eq!(worker.handle(Input::Wake), [], "one piece of work at a time");
    }
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), [Action::Run(Work::Sync)]);
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), []);
}

/// A sync may wait minutes for an image; a deletion must not.
#[graded]
fn a_deletion_interrupts_a_sync_once() {
    let mut worker = PodWorker::default();
    worker.handle(SEEN);
    assert_eq!(worker.handle(deleted(30)), [Action::Interrupt]);
    assert_eq!(worker.handle(deleted(30)), []);
    assert_eq!(worker.handle(Input::Done(Outcome::Interrupted)), [terminate(Some(30))]);
}

/// The process has been told when it must be done, and may have planned for it.
#[graded]
fn a_grace_period_may_become_shorter_but_never_longer() {
    let mut worker = PodWorker::default();
    worker.handle(SEEN);
    worker.handle(Input::Done(Outcome::Ok));
    assert_eq!(worker.handle(deleted(30)), [terminate(Some(30))]);
    assert_eq!(worker.handle(deleted(60)), [], "longer is ignored");
    assert_eq!(worker.handle(deleted(0)), [Action::Interrupt]);
    assert_eq!(worker.handle(Input::Done(Outcome::Interrupted)), [terminate(Some(0))]);
}

/// More often than not, what happened was the failure's own doing.
#[graded]
fn work_that_failed_waits_for_its_wake_even_if_something_happened() {
    let mut worker = PodWorker::default();
    worker.handle(SEEN);
    worker.handle(Input::Wake);
    assert_eq!(worker.handle(Input::Done(Outcome::Failed)), [], "or a failure would repeat without a pause");
    assert_eq!(worker.handle(Input::Wake), [Action::Run(Work::Sync)]);
}

/// Its name, address and volumes are given to others as soon as the pod counts as stopped.
#[graded]
fn a_pod_that_could_not_be_stopped_is_not_cleaned_up() {
    let mut worker = PodWorker::default();
    worker.handle(deleted(5));
    assert_eq!(worker.handle(Input::Done(Outcome::Failed)), [], "it waits for its wake");
    assert_eq!(worker.state(), PodState::Terminating);
    assert_eq!(worker.handle(Input::Wake), [terminate(Some(5))]);
}

/// The pause after a failure is for trying the same again, and ending is something else.
#[graded]
fn a_pod_deleted_while_its_sync_fails_terminates_at_once() {
    let mut worker = PodWorker::default();
    worker.handle(SEEN);
    worker.handle(deleted(5));
    assert_eq!(worker.handle(Input::Done(Outcome::Failed)), [terminate(Some(5))]);
}

/// The pod was deleted while this kubelet was down; nobody will ever speak of it again.
#[graded]
fn an_orphan_is_killed_removed_and_forgotten() {
    let mut worker = PodWorker::default();
    assert_eq!(worker.handle(Input::Gone { grace_seconds: Some(1) }), [terminate(Some(1))]);
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), [Action::Run(Work::CleanUp { remove: true })]);
    assert_eq!(worker.handle(Input::Done(Outcome::Ok)), [Action::Forget]);
}

/// A Job that succeeded must not run again because a kubelet restarted.
#[graded]
fn a_pod_that_was_over_before_this_kubelet_began_is_never_synced() {
    let mut worker = PodWorker::default();
    let over = Input::Update { deletion_grace: None, finished: true };
    assert_eq!(worker.handle(over), [terminate(None)]);
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => Just(SEEN),
        4 => Just(Input::Wake),
        2 => (0..40_i64).prop_map(deleted),
        1 => Just(Input::Update { deletion_grace: None, finished: true }),
        1 => prop::option::of(0..40_i64).prop_map(|grace_seconds| Input::Kill { grace_seconds }),
        1 => prop::option::of(0..40_i64).prop_map(|grace_seconds| Input::Gone { grace_seconds }),
        6 => prop_oneof![
            Just(Outcome::Ok), Just(Outcome::Finished), Just(Outcome::Failed), Just(Outcome::Interrupted)
        ].prop_map(Input::Done),
    ]
}

proptest! {
    /// Whatever happens: states only go forward, one piece of work runs at a time, nothing is
    /// synced once the pod terminates, grace periods shrink, and a woken pod always gets to its end.
    #[graded]
    fn the_machine_keeps_its_laws(inputs in prop::collection::vec(input(), 1..80)) {
        let mut worker = PodWorker::default();
        let (mut busy, mut forgotten, mut last_grace) = (false, false, None::<i64>);
        let mut state = worker.state();
        for input in inputs {
            if matches!(input, Input::Done(_)) && !busy {
                continue;
            }
            if matches!(input, Input::Done(_)) {
                busy = false;
            }
            for action in worker.handle(input) {
                prop_assert!(!forgotten, "a forgotten pod still acts");
                match action {
                    Action::Run(work) => {
                        prop_assert!(!busy, "two pieces of work at a time");
                        busy = true;
                        if work == Work::Sync {
                            prop_assert_eq!(worker.state(), PodState::Syncing);
                        }
                        if let Work::Terminate { grace_seconds } = work {
                            if let (Some(before), now) = (last_grace, grace_seconds) {
                                prop_assert!(now.is_some_and(|now| now <= before), "the grace period grew");
                            }
                            last_grace = grace_seconds;
                        }
                    }
                    Action::Interrupt => prop_assert!(busy, "nothing to interrupt"),
                    Action::Forget => {
                        prop_assert!(!busy);
                        forgotten = true;
                    }
                }
            }
            prop_assert!(worker.state() >= state, "a pod went back from {:?} to {:?}", state, worker.state());
            state = worker.state();
            if forgotten {
                return Ok(());
            }
        }
        // From anywhere: once it is gone and all work succeeds, it ends.
        let mut actions = worker.handle(Input::Gone { grace_seconds: Some(0) });
        for _ in 0..6 {
            if actions.contains(&Action::Forget) {
                return Ok(());
            }
            actions = worker.handle(Input::Done(Outcome::Ok));
        }
        prop_assert!(false, "the pod never ends: {worker:?}");
    }
}
