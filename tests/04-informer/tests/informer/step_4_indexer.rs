use crate::heart::dynamic::DynamicObject;
use crate::heart::indexer::{IndexFn, Indexer};
use crate::heart::keyed::Keyed;
use crate::{shared, show};
use graded::graded;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn shown(objects: &[Arc<DynamicObject>]) -> Vec<String> {
    objects.iter().map(|object| show(object)).collect()
}

/// Files objects under each letter of their uid.
fn by_letter() -> Vec<(&'static str, IndexFn<DynamicObject>)> {
    vec![("letter", Box::new(|object| object.uid().chars().map(String::from).collect()))]
}

/// What was there before is handed back: the fan-out compares the two.
#[graded]
fn an_object_takes_the_place_of_what_had_its_key() {
    let mut indexer = Indexer::new(vec![]);
    assert!(indexer.insert(shared("a", "1", 1)).is_none());
    let old = indexer.insert(shared("a", "1", 2)).expect("the old one");
    assert_eq!(show(&old), "a(1)@1");
    assert_eq!(shown(&indexer.list()), ["a(1)@2"]);
    assert_eq!(indexer.remove("default/a").map(|o| show(&o)), Some("a(1)@2".to_owned()));
    assert!(indexer.is_empty() && indexer.get("default/a").is_none());
}

/// Namespaces may begin alike. A controller that counts `a-b`'s pods as `a`'s deletes the wrong ones.
#[graded]
fn a_namespace_holds_its_own_objects_only() {
    let mut indexer = Indexer::new(vec![]);
    for namespace in ["a", "a-b", "a.b", "ab", "b"] {
        let mut object = DynamicObject::clone(&shared("x", namespace, 1));
        object.metadata.namespace = Some(namespace.to_owned());
        indexer.insert(Arc::new(object));
    }
    assert_eq!(shown(&indexer.list_in("a")), ["x(a)@1"], "not a-b's, not ab's");
    assert_eq!(shown(&indexer.list_in("c")), [""; 0]);
}

/// A pod without a node gets one: it moves from one value of the index to another.
#[graded]
fn an_index_follows_an_object_that_changes_its_values() {
    let mut indexer = Indexer::new(by_letter());
    indexer.insert(shared("a", "xy", 1));
    indexer.insert(shared("b", "y", 1));
    assert_eq!(shown(&indexer.by_index("letter", "y")), ["a(xy)@1", "b(y)@1"]);
    indexer.insert(shared("a", "z", 2));
    assert_eq!(shown(&indexer.by_index("letter", "y")), ["b(y)@1"]);
    assert_eq!(shown(&indexer.by_index("letter", "z")), ["a(z)@2"]);
    indexer.remove("default/b");
    assert!(indexer.by_index("letter", "y").is_empty());
    assert!(indexer.by_index("nobody made this", "y").is_empty());
}

proptest! {
    /// Against the slow way, which is plainly right.
    #[graded]
    fn an_index_finds_what_a_search_through_everything_finds(
        steps in prop::collection::vec(("[a-d]", "[xyz]{0,2}", any::<bool>()), 0..40)
    ) {
        let mut indexer = Indexer::new(by_letter());
        let mut model = BTreeMap::new();
        for (version, (name, letters, remove)) in steps.into_iter().enumerate() {
            let key = format!("default/{name}");
            if remove {
                prop_assert_eq!(indexer.remove(&key), model.remove(&key));
            } else {
                let object = shared(&name, &letters, version as u64);
                prop_assert_eq!(indexer.insert(object.clone()), model.insert(key, object));
            }
        }
        prop_assert_eq!(indexer.list(), model.values().cloned().collect::<Vec<_>>());
        for letter in ["x", "y", "z"] {
            let found = model.values().filter(|object| object.uid().contains(letter)).cloned();
            prop_assert_eq!(indexer.by_index("letter", letter), found.collect::<Vec<_>>());
        }
    }
}
