use crate::heart::dynamic::DynamicObject;
use crate::heart::fifo::{Delta, DeltaFifo};
use crate::{shared, show};
use graded::graded;
use proptest::prelude::*;

fn line(delta: &Delta<DynamicObject>) -> String {
    match delta {
        Delta::Added(object) => format!("+{}", show(object)),
        Delta::Updated(object) => format!("~{}", show(object)),
        Delta::Deleted(object) => format!("-{}", show(object)),
        Delta::Replaced(object) => format!("={}", show(object)),
        Delta::Vanished => "-?".to_owned(),
    }
}

/// Everything in the queue, one line an object.
fn drain(fifo: &mut DeltaFifo<DynamicObject>) -> Vec<String> {
    std::iter::from_fn(|| fifo.pop())
        .map(|(key, deltas)| format!("{key}: {}", deltas.iter().map(line).collect::<Vec<_>>().join(" ")))
        .collect()
}

/// An object that changes all the time cannot push the others back, nor be pushed back by them.
#[graded]
fn objects_come_in_the_order_of_their_first_change_with_all_their_changes() {
    let mut fifo = DeltaFifo::default();
    fifo.push(Delta::Added(shared("a", "1", 1)));
    fifo.push(Delta::Added(shared("b", "2", 2)));
    fifo.push(Delta::Updated(shared("a", "1", 3)));
    fifo.push(Delta::Deleted(shared("a", "1", 4)));
    assert_eq!(fifo.len(), 2);
    assert_eq!(drain(&mut fifo), ["default/a: +a(1)@1 ~a(1)@3 -a(1)@4", "default/b: +b(2)@2"]);
    assert!(fifo.is_empty());
}

/// What was handed out is somebody's; what comes now is new.
#[graded]
fn an_object_that_was_popped_queues_up_anew() {
    let mut fifo = DeltaFifo::default();
    fifo.push(Delta::Added(shared("a", "1", 1)));
    fifo.pop();
    fifo.push(Delta::Updated(shared("a", "1", 2)));
    assert_eq!(drain(&mut fifo), ["default/a: ~a(1)@2"]);
}

/// A list does not say what is gone. That is worked out here, from what was known.
#[graded]
fn a_list_replaces_what_it_holds_and_ends_what_it_lacks() {
    let mut fifo = DeltaFifo::default();
    fifo.push(Delta::Added(shared("waiting", "1", 1)));
    fifo.replace(vec![shared("b", "2", 5), shared("a", "3", 4)], ["default/a", "default/gone"]);
    assert_eq!(
        drain(&mut fifo),
        ["default/waiting: +waiting(1)@1 -?", "default/b: =b(2)@5", "default/a: =a(3)@4", "default/gone: -?"],
    );
}

/// A deletion that was told carries the object's last state, and is worth more than one that was inferred.
#[graded]
fn what_has_ended_does_not_end_twice() {
    let mut fifo = DeltaFifo::default();
    fifo.push(Delta::Deleted(shared("a", "1", 2)));
    fifo.push(Delta::Deleted(shared("a", "1", 2)));
    fifo.replace(vec![], ["default/a"]);
    assert_eq!(drain(&mut fifo), ["default/a: -a(1)@2"], "the last known state is worth more than '?'");
}

/// A controller that acts before it has seen everything creates what exists already.
#[graded]
fn it_has_synced_when_all_of_the_first_list_was_popped() {
    let mut fifo = DeltaFifo::default();
    assert!(!fifo.has_synced(), "before the first list nothing is known");
    fifo.replace(vec![shared("a", "1", 1), shared("b", "2", 1)], []);
    fifo.pop();
    assert!(!fifo.has_synced(), "one of the list still waits");
    fifo.push(Delta::Added(shared("c", "3", 2)));
    fifo.pop();
    assert!(fifo.has_synced(), "what came later does not count");
    fifo.replace(vec![shared("a", "1", 1)], []);
    assert!(fifo.has_synced(), "nor does a later list");
}

/// A cluster without Jobs must still start its Job controller.
#[graded]
fn an_empty_first_list_is_synced_at_once() {
    let mut fifo = DeltaFifo::<DynamicObject>::default();
    fifo.replace(vec![], []);
    assert!(fifo.has_synced());
}

proptest! {
    /// Whatever the interleaving of pushes and pops.
    #[graded]
    fn no_change_is_lost_and_each_objects_changes_keep_their_order(
        steps in prop::collection::vec((0..4usize, any::<bool>()), 0..60)
    ) {
        let mut fifo = DeltaFifo::default();
        let mut pushed = vec![Vec::new(); 4];
        let mut popped = vec![Vec::new(); 4];
        let mut take = |fifo: &mut DeltaFifo<DynamicObject>| {
            let Some((key, deltas)) = fifo.pop() else { return false };
            let name: usize = key.trim_start_matches("default/").parse().expect("a number");
            popped[name].extend(deltas.iter().map(line));
            true
        };
        for (version, (name, pop)) in steps.iter().enumerate() {
            let delta = Delta::Updated(shared(&name.to_string(), "u", version as u64));
            pushed[*name].push(line(&delta));
            fifo.push(delta);
            if *pop {
                take(&mut fifo);
            }
        }
        while take(&mut fifo) {}
        prop_assert_eq!(pushed, popped);
    }
}
