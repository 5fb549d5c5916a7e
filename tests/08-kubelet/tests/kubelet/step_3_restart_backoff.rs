use graded::graded;
use proptest::prelude::*;

use crate::heart::actions::should_restart;
use crate::heart::backoff::Backoff;
use crate::heart::types::{RestartPolicy, RunState, SignedDuration};
use crate::support::{at, exited, run, simple};

/// One crash is an accident; ten in a row are a state, and trying harder does not help.
#[graded]
fn the_first_restart_is_free_and_the_next_ones_wait_ever_longer() {
    let mut backoff = Backoff::default();
    let mut now = 0;
    let mut delays = Vec::new();
    for _ in 0..8 {
        let until = backoff.waits_until("a", at(now), at(now));
        let wait = until.map_or(0, |u| u.duration_since(at(now)).as_secs());
        delays.push(wait);
        // It waits, starts, and fails at once.
        backoff.next("a", at(now), at(now + wait));
        now += wait;
    }
    assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
}

/// A container that ran for an hour and fails has not waited for an hour.
#[graded]
fn waiting_counts_from_the_exit() {
    let mut backoff = Backoff::default();
    backoff.next("a", at(0), at(0));
    assert_eq!(backoff.waits_until("a", at(4), at(6)), Some(at(14)));
    assert_eq!(backoff.waits_until("a", at(4), at(14)), None, "at the end of the delay it is free");
}

/// Twice the longest delay: what crashes once a day should be back at once.
#[graded]
fn a_container_that_ran_well_for_ten_minutes_begins_anew() {
    let mut backoff = Backoff::default();
    backoff.next("a", at(0), at(0));
    backoff.next("a", at(5), at(15));
    assert_eq!(backoff.delay("a"), SignedDuration::from_secs(20));
    let failed = 15 + 601;
    assert_eq!(backoff.waits_until("a", at(failed), at(failed)), None);
    assert_eq!(backoff.next("a", at(failed), at(failed)), SignedDuration::from_secs(10));
}

/// A sidecar that crashes does not make the main container wait.
#[graded]
fn each_container_has_a_back_off_of_its_own() {
    let mut backoff = Backoff::default();
    backoff.next("a", at(0), at(0));
    assert_eq!(backoff.waits_until("b", at(0), at(0)), None);
}

/// Always is for servers, OnFailure for jobs that may try again, Never for those that must not.
#[graded]
fn the_restart_policy_looks_at_the_exit_code() {
    use RestartPolicy::{Always, Never, OnFailure};
    let pod = simple("Always");
    let good = exited(run(&pod, "a", 0), 0, 1);
    let bad = exited(run(&pod, "a", 0), 3, 1);
    let table = [Always, OnFailure, Never]
        .map(|p| (should_restart(p, Some(&good)), should_restart(p, Some(&bad)), should_restart(p, None)));
    assert_eq!(table, [(true, true, true), (false, true, true), (false, false, true)]);
}

/// Between making and starting a container the kubelet may die; under Never that was no run.
#[graded]
fn a_running_container_is_not_restarted_and_one_never_started_is() {
    let pod = simple("Never");
    let mut last = run(&pod, "a", 0);
    assert!(!should_restart(RestartPolicy::Always, Some(&last)));
    last.state = RunState::Created;
    assert!(should_restart(RestartPolicy::Never, Some(&last)), "made, but it never ran");
}

proptest! {
    /// Against a naive model: a list of all failures, from which the delay is worked out each time.
    #[graded]
    fn delays_double_within_bounds_and_agree_with_a_naive_history(
        lives in prop::collection::vec(0..1500_i64, 1..30)
    ) {
        let mut backoff = Backoff::default();
        let mut now = 0;
        let mut restarted_at: Option<i64> = None;
        let mut expected_delay = 0;
        for life in lives {
            now += life; // it ran for this long and failed
            let stale = restarted_at.is_none_or(|at| now - at > 600);
            let wait = backoff.waits_until("a", at(now), at(now)).map_or(0, |u| u.duration_since(at(now)).as_secs());
            prop_assert_eq!(wait, if stale { 0 } else { expected_delay });
            prop_assert!(wait <= 300);
            let failed = now;
            now += wait;
            let next = backoff.next("a", at(failed), at(now)).as_secs();
            expected_delay = if stale { 10 } else { (expected_delay * 2).min(300) };
            prop_assert_eq!(next, expected_delay);
            restarted_at = Some(now);
        }
    }
}
