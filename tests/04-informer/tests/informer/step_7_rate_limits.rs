use crate::heart::limit::{RateLimiter, TokenBucket};
use crate::heart::queue::Queue;
use graded::graded;
use proptest::prelude::*;
use std::time::Duration;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A CronJob, a back-off, a lease to be renewed: much of what controllers do is waiting for a moment.
#[graded]
fn a_key_is_added_when_its_time_has_come() {
    let mut queue = Queue::default();
    queue.add_after("late", MS(20), MS(0));
    queue.add_after("early", MS(10), MS(0));
    assert_eq!(queue.poll_due(MS(9)), Some(MS(10)), "nothing is due; come back then");
    assert_eq!(queue.get(), None);
    assert_eq!(queue.poll_due(MS(15)), Some(MS(20)));
    assert_eq!(queue.get(), Some("early"));
    assert_eq!(queue.poll_due(MS(20)), None);
    assert_eq!(queue.get(), Some("late"));
}

/// The queue holds keys, not reasons. Whoever wants a look at ten gets one at ten; a look at twenty would
/// find nothing new.
#[graded]
fn of_several_wishes_for_a_key_the_earliest_counts() {
    let mut queue = Queue::default();
    queue.add_after("a", MS(30), MS(0));
    queue.add_after("a", MS(10), MS(0));
    queue.add_after("a", MS(20), MS(0));
    assert_eq!(queue.poll_due(MS(0)), Some(MS(10)));
    assert_eq!(queue.poll_due(MS(100)), None);
    assert_eq!(queue.get(), Some("a"));
    queue.done(&"a");
    assert_eq!(queue.get(), None, "the later wishes are forgotten");
}

/// A component that ends does not wait for a key that is due in five minutes.
#[graded]
fn no_delay_is_now_and_a_closed_queue_forgets_what_waits() {
    let mut queue = Queue::default();
    queue.add_after("now", Duration::ZERO, MS(5));
    queue.add_after("later", MS(10), MS(5));
    queue.shut_down();
    assert_eq!(queue.poll_due(MS(100)), None);
    assert_eq!(queue.get(), Some("now"));
    assert_eq!(queue.get(), None);
}

/// The failing key waits, and no other. What succeeded once begins anew.
#[graded]
fn each_failure_of_a_key_doubles_its_own_wait() {
    let mut limiter = RateLimiter::new(MS(5), Duration::from_secs(1000), None);
    let mut when = |key| limiter.when(key, MS(0)).as_millis();
    assert_eq!([when("a"), when("a"), when("a"), when("b"), when("a")], [5, 10, 20, 5, 40]);
    assert_eq!(limiter.retries(&"a"), 4);
    limiter.forget(&"a");
    assert_eq!(limiter.retries(&"a"), 0);
    assert_eq!(limiter.when("a", MS(0)), MS(5));
}

/// The hundredth failure is a real one: two to the hundredth is more than fits into a number.
#[graded]
fn a_wait_has_a_longest_one_however_often_a_key_fails() {
    let mut limiter = RateLimiter::new(MS(5), Duration::from_secs(1000), None);
    let last = (0..100).map(|_| limiter.when("a", MS(0))).last();
    assert_eq!(last, Some(Duration::from_secs(1000)));
}

/// A thousand broken objects must not become a thousand requests a second.
#[graded]
fn all_keys_share_ten_turns_a_second_and_a_hundred_at_once() {
    let mut limiter = RateLimiter::new(MS(5), Duration::from_secs(1000), Some(TokenBucket::new(10.0, 100)));
    let waits: Vec<u128> = (0..103).map(|key| limiter.when(key, MS(0)).as_millis()).collect();
    assert_eq!(waits[..100], [5; 100], "the burst waits no longer than its own 5 ms");
    assert_eq!(waits[100..], [100, 200, 300], "then a token comes each 100 ms");
    let later = limiter.when(1000, MS(10_300)).as_millis();
    assert_eq!(later, 5, "after ten quiet seconds the bucket is full");
}

proptest! {
    #[graded]
    fn in_any_stretch_of_time_a_bucket_lets_no_more_through_than_burst_and_rate(
        steps in prop::collection::vec(0..300u64, 1..60)
    ) {
        let mut bucket = TokenBucket::new(10.0, 5);
        let mut now = 0;
        let mut turns: Vec<u64> = Vec::new();
        for step in steps {
            now += step;
            turns.push(now + bucket.reserve(MS(now)).as_millis() as u64);
        }
        for (i, first) in turns.iter().enumerate() {
            for (j, last) in turns.iter().enumerate().skip(i) {
                let allowed = 5.0 + (last.saturating_sub(*first) as f64 + 1.0) / 100.0;
                prop_assert!((j - i + 1) as f64 <= allowed + 1e-6, "{} turns in {} ms", j - i + 1, last - first);
            }
        }
    }

    #[graded]
    fn every_key_comes_at_its_earliest_time_and_not_before(
        wishes in prop::collection::vec((0..4u8, 1..50u64), 1..20)
    ) {
        let mut queue = Queue::default();
        for (key, delay) in &wishes {
            queue.add_after(*key, MS(*delay), MS(0));
        }
        let mut came = std::collections::BTreeMap::new();
        let mut now = MS(0);
        while let Some(due) = queue.poll_due(now) {
            prop_assert!(due > now, "what is due at {:?} must be added, not waited for", due);
            now = due;
            queue.poll_due(now);
            while let Some(key) = queue.get() {
                prop_assert!(came.insert(key, now).is_none(), "{} came twice", key);
            }
        }
        for (key, at) in came {
            let earliest = wishes.iter().filter(|(other, _)| *other == key).map(|(_, delay)| MS(*delay)).min();
            prop_assert_eq!(Some(at), earliest);
        }
    }
}
