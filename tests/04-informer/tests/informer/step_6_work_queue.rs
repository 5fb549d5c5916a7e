use crate::heart::queue::Queue;
use graded::graded;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn drain(queue: &mut Queue<&'static str>) -> Vec<&'static str> {
    std::iter::from_fn(|| queue.get()).collect()
}

/// Ten changes of an object are one piece of work: the worker looks at what is, not at what happened.
#[graded]
fn keys_come_in_the_order_in_which_they_were_added_each_once() {
    let mut queue = Queue::default();
    for key in ["b", "a", "b", "c", "a"] {
        queue.add(key);
    }
    assert_eq!(queue.len(), 3);
    assert_eq!(drain(&mut queue), ["b", "a", "c"]);
}

/// Two workers on one object would each create the missing pod.
#[graded]
fn a_key_that_is_worked_on_is_not_handed_out_again_until_done() {
    let mut queue = Queue::default();
    queue.add("a");
    assert_eq!(queue.get(), Some("a"));
    queue.add("a");
    queue.add("a");
    assert_eq!(queue.get(), None, "two workers on one object would fight");
    queue.done(&"a");
    assert_eq!(queue.get(), Some("a"), "the news may have come after the work looked");
    queue.done(&"a");
    assert_eq!(queue.get(), None, "and once is enough");
}

/// Otherwise a queue would never be empty again.
#[graded]
fn done_without_news_forgets_the_key() {
    let mut queue = Queue::default();
    queue.add("a");
    queue.get();
    queue.done(&"a");
    assert!(queue.is_empty());
    queue.add("a");
    assert_eq!(queue.get(), Some("a"));
}

/// A worker that says it twice must not bring the key into two hands.
#[graded]
fn done_for_a_key_that_nobody_works_on_changes_nothing() {
    let mut queue = Queue::default();
    queue.add("a");
    queue.done(&"a");
    assert_eq!(drain(&mut queue), ["a"], "handed out once, not twice");
}

/// A component ends when its workers have done what they had; with new work it never would.
#[graded]
fn a_queue_that_is_shut_down_gives_out_what_it_has_and_takes_nothing() {
    let mut queue = Queue::default();
    queue.add("a");
    queue.shut_down();
    queue.add("b");
    assert_eq!(drain(&mut queue), ["a"]);
    assert!(queue.is_shut_down());
}

#[derive(Clone, Debug)]
enum Act {
    Add(u8),
    Get,
    /// Ends the work on one of the keys in hand.
    Done(usize),
}

proptest! {
    #[graded]
    fn no_key_is_in_two_hands_and_no_news_is_lost(
        acts in prop::collection::vec(
            prop_oneof![3 => (0..4u8).prop_map(Act::Add), 3 => Just(Act::Get), 2 => (0..4usize).prop_map(Act::Done)],
            0..100,
        )
    ) {
        let mut queue = Queue::default();
        let mut in_hand = BTreeSet::new();
        // For each key, whether it was added since somebody last took it.
        let mut news = BTreeMap::<u8, bool>::new();
        for act in acts {
            match act {
                Act::Add(key) => {
                    queue.add(key);
                    news.insert(key, true);
                }
                Act::Get => {
                    if let Some(key) = queue.get() {
                        prop_assert!(in_hand.insert(key), "{} is in two hands", key);
                        prop_assert_eq!(news.insert(key, false), Some(true), "{} came without news", key);
                    } else {
                        let waiting = news.iter().find(|(key, news)| **news && !in_hand.contains(*key));
                        prop_assert_eq!(waiting, None, "a key with news is not handed out");
                    }
                }
                Act::Done(index) => {
                    if let Some(key) = in_hand.iter().nth(index).copied() {
                        in_hand.remove(&key);
                        queue.done(&key);
                    }
                }
            }
        }
        // At the end all news is handed out.
        for key in std::mem::take(&mut in_hand) {
            queue.done(&key);
        }
        while let Some(key) = queue.get() {
            news.insert(key, false);
        }
        prop_assert!(news.values().all(|news| !news), "lost: {:?}", news);
    }
}
