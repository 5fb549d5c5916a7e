use crate::heart::backoff::Backoff;
use crate::heart::dynamic::DynamicObject;
use crate::heart::reflector::{Failure, PAGE, Page, Reflector, Step};
use crate::heart::wire::WatchEvent;
use crate::{object, show};
use graded::graded;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use proptest::prelude::*;
use std::time::Duration;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn page(names: &[&str], version: &str, continue_: Option<&str>) -> Page<DynamicObject> {
    Page {
        items: names.iter().map(|name| object(name, name, 1)).collect(),
        resource_version: version.to_owned(),
        continue_: continue_.map(str::to_owned),
    }
}

fn list(continue_: Option<&str>) -> Step {
    Step::List { limit: Some(PAGE), continue_: continue_.map(str::to_owned) }
}

fn watch(version: &str) -> Step {
    Step::Watch { resource_version: version.to_owned() }
}

/// A reflector that has listed up to version 10 and watches since time 0.
fn watching() -> Reflector<DynamicObject> {
    let mut reflector = Reflector::default();
    reflector.poll_step(MS(0));
    reflector.handle_page(page(&["a"], "10", None));
    assert_eq!(reflector.poll_step(MS(0)), watch("10"));
    reflector.handle_opened(MS(0));
    reflector
}

fn status(code: i32) -> WatchEvent<DynamicObject> {
    WatchEvent::Error(Box::new(Status { code: Some(code), ..Status::default() }))
}

/// Between the list and the watch there is no gap: the version is the whole store's.
#[graded]
fn it_lists_page_by_page_and_then_watches_from_the_lists_version() {
    let mut reflector = Reflector::default();
    assert_eq!(reflector.poll_step(MS(0)), list(None));
    assert_eq!(reflector.handle_page(page(&["a"], "10", Some("next"))), None, "half a list is no list");
    assert_eq!(reflector.poll_step(MS(0)), list(Some("next")));
    let all = reflector.handle_page(page(&["b"], "10", None)).expect("the list is whole");
    assert_eq!(all.iter().map(|o| show(o)).collect::<Vec<_>>(), ["a(a)@1", "b(b)@1"]);
    assert_eq!(reflector.poll_step(MS(0)), watch("10"));
}

/// Servers leave the token out or send an empty one; both mean that this was the last page.
#[graded]
fn an_empty_continue_token_ends_the_list() {
    let mut reflector = Reflector::default();
    reflector.poll_step(MS(0));
    assert!(reflector.handle_page(page(&["a"], "10", Some(""))).is_some());
}

/// Every watch ends after some minutes. From the old version all would be told twice; from a newer one
/// something would be lost.
#[graded]
fn after_a_watch_ends_the_next_one_starts_at_the_last_version_that_was_told() {
    let mut reflector = watching();
    reflector.handle_event(WatchEvent::Modified(object("a", "a", 11))).expect("no failure");
    reflector.handle_event(WatchEvent::Deleted(object("a", "a", 12))).expect("no failure");
    reflector.handle_failure(Failure::Ended, MS(10), 0.0);
    assert_eq!(reflector.poll_step(MS(10)), watch("12"), "a deletion has a version too");
}

/// A watcher of quiet objects would otherwise hold a version that the server soon forgets.
#[graded]
fn a_bookmark_moves_the_version_and_tells_nothing() {
    let mut reflector = watching();
    let bookmark = WatchEvent::Bookmark { resource_version: "50".to_owned(), initial_events_end: false };
    assert_eq!(reflector.handle_event(bookmark), Ok(None));
    reflector.handle_failure(Failure::Ended, MS(10), 0.0);
    assert_eq!(reflector.poll_step(MS(10)), watch("50"));
}

/// What happened in the gap cannot be learned any more, only what is.
#[graded]
fn gone_means_list_again_at_once() {
    let mut reflector = watching();
    assert_eq!(reflector.handle_event(status(410)), Err(Failure::Gone));
    reflector.handle_failure(Failure::Gone, MS(10), 0.0);
    assert_eq!(reflector.poll_step(MS(10)), list(None));
}

/// The version is still good, and a list of ten thousand objects is no answer to a hiccup.
#[graded]
fn another_error_in_the_watch_waits_and_watches_on() {
    let mut reflector = watching();
    assert_eq!(reflector.handle_event(status(500)), Err(Failure::Refused));
    reflector.handle_failure(Failure::Refused, MS(1000), 0.0);
    assert_eq!(reflector.poll_step(MS(1000)), Step::Wait { until: MS(1800) });
    assert_eq!(reflector.poll_step(MS(1800)), watch("10"));
}

/// The server compacted between two pages. In pages the same could happen again, for ever.
#[graded]
fn a_lost_continue_token_starts_the_list_over_in_one_piece() {
    let mut reflector = Reflector::default();
    reflector.poll_step(MS(0));
    reflector.handle_page(page(&["a"], "10", Some("next")));
    reflector.poll_step(MS(0));
    reflector.handle_failure(Failure::Gone, MS(0), 0.0);
    assert_eq!(reflector.poll_step(MS(0)), Step::List { limit: None, continue_: None });
    let all = reflector.handle_page(page(&["a", "b"], "11", None)).expect("the list is whole");
    assert_eq!(all.len(), 2, "pages of the old list are forgotten");
}

/// No server should say so, and one that does must not be asked a thousand times a second.
#[graded]
fn a_list_that_is_gone_by_itself_does_not_spin() {
    let mut reflector = Reflector::<DynamicObject>::default();
    reflector.poll_step(MS(0));
    reflector.handle_failure(Failure::Gone, MS(0), 0.0);
    assert!(matches!(reflector.poll_step(MS(0)), Step::Wait { .. }));
}

/// A proxy that accepts and hangs up looks like a server that ends watches; the difference is the time.
#[graded]
fn a_watch_that_dies_at_once_and_silently_waits() {
    let mut reflector = watching();
    reflector.handle_failure(Failure::Ended, MS(999), 0.0);
    assert_eq!(reflector.poll_step(MS(999)), Step::Wait { until: MS(1049) });
    assert_eq!(reflector.poll_step(MS(1049)), watch("10"));

    let mut reflector = watching();
    reflector.handle_failure(Failure::Ended, MS(1000), 0.0);
    assert_eq!(reflector.poll_step(MS(1000)), watch("10"), "a second is a life");
}

/// The same event would come again from the same version. A list may show the object's newer state.
#[graded]
fn an_unreadable_event_leads_to_a_list() {
    let mut reflector = watching();
    reflector.handle_failure(Failure::Undecodable, MS(0), 0.0);
    let Step::Wait { until } = reflector.poll_step(MS(0)) else { panic!("it must wait first") };
    assert_eq!(reflector.poll_step(until), list(None));
}

/// The waits of a reflector that fails again and again, without jitter.
fn waits(reflector: &mut Reflector<DynamicObject>, failure: Failure, times: usize) -> Vec<u128> {
    let mut now = MS(10_000);
    let mut waits = Vec::new();
    for _ in 0..times {
        reflector.poll_step(now);
        reflector.handle_failure(failure, now, 0.0);
        let Step::Wait { until } = reflector.poll_step(now) else { panic!("it must wait") };
        waits.push((until - now).as_millis());
        now = until;
    }
    waits
}

/// A cluster starts all at once: the server that refuses now is there in a second.
#[graded]
fn before_the_first_list_every_failure_is_retried_quickly() {
    let quick = [50, 100, 200, 400, 800, 1600, 2000, 2000];
    assert_eq!(waits(&mut Reflector::default(), Failure::Unreachable, 8), quick);
    assert_eq!(waits(&mut Reflector::default(), Failure::Refused, 8), quick, "it may be starting");
}

/// A server that answers with errors suffers; one that is gone costs nobody anything, and is soon back.
#[graded]
fn later_an_error_is_retried_slowly_and_an_absent_server_quickly() {
    assert_eq!(
        waits(&mut watching(), Failure::Refused, 8),
        [800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]
    );
    assert_eq!(waits(&mut watching(), Failure::Unreachable, 3), [50, 100, 200]);
}

/// The wait is for failures in a row.
#[graded]
fn success_forgets_earlier_failures() {
    let mut reflector = watching();
    waits(&mut reflector, Failure::Unreachable, 5);
    reflector.poll_step(MS(99_999));
    reflector.handle_opened(MS(99_999));
    reflector.handle_event(WatchEvent::Added(object("b", "b", 11))).expect("no failure");
    assert_eq!(waits(&mut reflector, Failure::Unreachable, 1), [50]);
}

proptest! {
    /// Jitter spreads those that failed together; it must not make one of them wait for ever, or not at all.
    #[graded]
    fn a_wait_never_exceeds_its_bound_nor_falls_below_half(failures in 0..100u32, jitter in 0.0..1.0f64) {
        for backoff in [Backoff::UNREACHABLE, Backoff::REFUSED] {
            let whole = backoff.delay(failures, 0.0);
            let shortened = backoff.delay(failures, jitter);
            prop_assert!(whole <= backoff.longest);
            prop_assert!(shortened <= whole && shortened >= whole.mul_f64(0.499));
        }
    }
}
