use crate::common::{refused, resource};
use crate::heart::kind::Kind;
use crate::heart::managed::compare::{Comparison, compare};
use crate::heart::managed::fields::to_set;
use crate::heart::managed::forget::{forget, remove};
use crate::heart::managed::managers::{self, Conflict, Entry, Manager, Managers, Operation};
use crate::heart::managed::merge::merge;
use crate::heart::managed::ownership::settle;
use crate::heart::managed::path::{Element, Path, display};
use crate::heart::managed::set::Set;
use crate::heart::managed::{Writer, apply, note_update};
use crate::heart::schema::{Key, Shape};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A type with a field of every sort.
fn shape() -> Shape {
    let fixed = |fields: Vec<(&str, Shape)>| {
        Shape::Struct(Arc::new(fields.into_iter().map(|(name, shape)| (name.to_string(), shape)).collect()))
    };
    let item =
        fixed(vec![("name", Shape::Leaf), ("proto", Shape::Leaf), ("v", Shape::Leaf), ("tags", Shape::Set)]);
    let keys = [
        Key { name: "name".into(), default: None },
        Key { name: "proto".into(), default: Some(json!("TCP")) },
    ];
    fixed(vec![
        ("one", Shape::Leaf),
        ("two", Shape::Leaf),
        ("box", fixed(vec![("x", Shape::Leaf), ("y", Shape::Leaf)])),
        ("labels", Shape::Map(Arc::new(Shape::Leaf))),
        ("boxes", Shape::Map(Arc::new(fixed(vec![("x", Shape::Leaf), ("y", Shape::Leaf)])))),
        ("items", Shape::ListMap { keys: keys.into(), items: Arc::new(item) }),
        ("tags", Shape::Set),
        ("free", Shape::Unknown),
    ])
}

fn lines(set: &Set) -> String {
    set.paths().iter().map(|path| display(path) + "\n").collect()
}

/// What applying this value claims.
fn claims(value: Value) -> String {
    lines(&to_set(&shape(), &value))
}

/// A struct's own name is not claimed, what is in it is: so two managers can share it.
#[graded]
fn a_value_has_the_fields_that_are_owned_as_a_whole() {
    insta::assert_snapshot!(claims(json!({ "one": [1, { "a": 2 }], "box": { "x": { "deep": 1 } } })), @r"
    .box.x
    .one
    ");
}

/// That somebody wants an item or a label is a claim of its own beside what is in it.
#[graded]
fn items_and_keys_are_fields_beside_what_is_in_them() {
    let value = json!({
        "labels": { "a": "1" }, "boxes": { "b": { "x": 1 } }, "tags": ["t"],
        "items": [{ "name": "n", "v": 1 }, { "name": "n", "proto": "UDP", "tags": ["t"] }],
    });
    insta::assert_snapshot!(claims(value), @r#"
    .boxes.b
    .boxes.b.x
    .items[name="n",proto="TCP"]
    .items[name="n",proto="TCP"].name
    .items[name="n",proto="TCP"].v
    .items[name="n",proto="UDP"]
    .items[name="n",proto="UDP"].name
    .items[name="n",proto="UDP"].proto
    .items[name="n",proto="UDP"].tags[="t"]
    .labels.a
    .tags[="t"]
    "#);
}

/// `emptyDir: {}` wants something; `ports: []` wants nothing in particular.
#[graded]
fn an_empty_object_is_a_field_and_an_empty_list_is_none() {
    insta::assert_snapshot!(claims(json!({ "box": {}, "boxes": {}, "tags": [], "items": [], "one": [] })), @r"
    .box
    .boxes
    .one
    ");
}

/// Of a value without a schema only the objects are known to have parts.
#[graded]
fn a_value_of_unknown_shape_is_taken_apart_by_its_objects() {
    insta::assert_snapshot!(claims(json!({ "free": { "a": { "b": [1, { "c": 2 }] }, "d": null } })), @r"
    .free.a
    .free.a.b
    .free.d
    ");
}

fn merged(live: Value, applied: Value) -> Value {
    merge(&shape(), &live, &applied)
}

/// The manager says what he wants; what he does not mention is none of his business.
#[graded]
fn what_is_applied_is_laid_over_what_is_there() {
    let live = json!({
        "one": { "a": 1 }, "two": 2, "box": { "x": 1, "y": 1 }, "labels": { "a": "1" },
        "items": [{ "name": "n", "v": 1, "tags": ["a"] }], "free": { "a": { "b": 1 }, "l": [1] },
    });
    let applied = json!({
        "one": { "b": 1 }, "box": { "y": 2 }, "labels": { "b": "2" }, "boxes": { "b": { "x": 1 } },
        "items": [{ "name": "n", "proto": "TCP", "tags": ["b"] }, { "name": "n", "proto": "UDP" }],
        "free": { "a": { "c": 1 }, "l": [2] },
    });
    let expected = json!({
        "one": { "b": 1 }, "two": 2, "box": { "x": 1, "y": 2 }, "labels": { "a": "1", "b": "2" },
        "items": [
            { "name": "n", "v": 1, "tags": ["a", "b"], "proto": "TCP" },
            { "name": "n", "proto": "UDP" },
        ],
        "free": { "a": { "b": 1, "c": 1 }, "l": [2] },
        "boxes": { "b": { "x": 1 } },
    });
    let new = merged(live, applied);
    assert_eq!(new, expected);
    let order: Vec<&String> = new.as_object().expect("an object").keys().collect();
    assert_eq!(
        order,
        ["one", "two", "box", "labels", "items", "free", "boxes"],
        "live fields keep their places"
    );
}

/// Nothing is removed by saying nothing of it.
#[graded]
fn what_is_empty_takes_nothing_away() {
    for empty in
        [json!({}), json!({ "box": {}, "items": [], "tags": [], "labels": {} }), json!({ "box": null })]
    {
        let live =
            json!({ "box": { "x": 1 }, "items": [{ "name": "n" }], "tags": ["t"], "labels": { "l": "1" } });
        assert_eq!(merged(live.clone(), empty), live);
    }
    let items = json!({ "items": [{ "name": "n" }] });
    assert_eq!(merged(json!({ "items": null }), items.clone()), items);
    // Between two that are empty the applied one counts.
    assert_eq!(merged(json!({ "box": null }), json!({ "box": {} })), json!({ "box": {} }));
    assert_eq!(
        merged(json!({ "free": { "a": { "b": 1 } } }), json!({ "free": { "a": 1 } })),
        json!({ "free": { "a": 1 } })
    );
}

/// A list in which keys repeat was not made by an applier. What is applied of such a key stands
/// for all of them; the others stay as they are.
#[graded]
fn an_applied_item_stands_for_all_that_have_its_key() {
    let live = json!({ "items": [{ "name": "a", "tags": ["t"] }, { "name": "b" }, { "name": "a", "v": 2 }] });
    let new = merged(live.clone(), json!({ "items": [{ "name": "a", "v": 3 }] }));
    assert_eq!(new, json!({ "items": [{ "name": "a", "v": 3 }, { "name": "b" }] }));
    let new = merged(live, json!({ "items": [{ "name": "b", "v": 3 }] }));
    let expected = json!({ "items": [{ "name": "a", "tags": ["t"] }, { "name": "b", "v": 3 }, { "name": "a", "v": 2 }] });
    assert_eq!(new, expected);
}

/// The order of a list means something (init containers run in it), so the applier's is kept.
#[graded]
fn a_merged_list_is_in_the_applied_order_with_the_others_in_their_places() {
    let order = |live: &str, applied: &str| {
        let tags = |text: &str| json!({ "tags": text.split_whitespace().collect::<Vec<_>>() });
        let new = merged(tags(live), tags(applied));
        let new: Vec<&str> =
            new["tags"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        format!("{live} + {applied} = {}\n", new.join(" "))
    };
    let all = [
        order("a b c", "c b a"),
        order("a b", "c d"),
        order("a b c", "b x"),
        order("a b c", "x b"),
        order("1 a 2 b 3", "x a y b z"),
        order("1 a 2 b 3", "x b y a z"),
        order("a 1 b 2 c", "c a"),
        order("a", "a b"),
    ];
    insta::assert_snapshot!(all.concat(), @r"
    a b c + c b a = c b a
    a b + c d = a b c d
    a b c + b x = a b c x
    a b c + x b = a x b c
    1 a 2 b 3 + x a y b z = 1 x a 2 y b 3 z
    1 a 2 b 3 + x b y a z = 1 2 x b 3 y a z
    a 1 b 2 c + c a = 1 b 2 c a
    a + a b = a b
    ");
}

fn path(text: &str) -> Path {
    text.split('.').map(Element::field).collect()
}

fn fields(paths: &[&str]) -> Set {
    Set::of(paths.iter().map(|text| path(text)))
}

fn manager(name: &str, operation: Operation) -> Manager {
    let api_version = if operation == Operation::Update { "v1".into() } else { String::new() };
    Manager { name: name.into(), operation, api_version, subresource: String::new() }
}

fn entry(paths: &[&str]) -> Entry {
    Entry { fields: fields(paths), api_version: "v1".into(), time: Some("then".into()) }
}

fn owned(managers: &Managers) -> String {
    managers
        .iter()
        .map(|(id, entry)| format!("{}: {}", id.name, lines(&entry.fields).replace('\n', " ")))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whose fields are they now? `a` writes; `b` applied, `c` updated.
fn three() -> (Manager, Managers) {
    let a = manager("a", Operation::Apply);
    let managers = [
        (a.clone(), entry(&["x", "y"])),
        (manager("b", Operation::Apply), entry(&["x", "z"])),
        (manager("c", Operation::Update), entry(&["y", "w.one", "w.two"])),
    ];
    (a, managers.into())
}

fn change(added: &[&str], modified: &[&str], removed: &[&str]) -> impl Fn(&str) -> Option<Comparison> {
    let change = Comparison { added: fields(added), modified: fields(modified), removed: fields(removed) };
    move |version| (version == "v1").then(|| change.clone())
}

/// Two managers who want the same value share the field: only a new value is a quarrel.
#[graded]
fn an_owner_must_not_be_written_over() {
    let (a, mut managers) = three();
    let before = managers.clone();
    let conflicts = settle(&mut managers, Some(&a), &change(&["w.two"], &["x", "y", "v"], &["z"]), false);
    let told: Vec<String> = conflicts
        .expect_err("b and c own some of these")
        .iter()
        .map(|Conflict { manager, path }| format!("{} {}", manager.name, display(path)))
        .collect();
    assert_eq!(told, ["b .x", "c .w.two", "c .y"]);
    assert_eq!(managers, before, "who is refused changes nothing");
    assert_eq!(settle(&mut managers, Some(&a), &change(&["v"], &["w"], &[]), false), Ok(()));
    assert_eq!(managers, before, "nobody owned these");
}

/// What is written over has one owner, and what is gone has none.
#[graded]
fn with_force_the_others_lose_what_was_written_over() {
    let (a, mut managers) = three();
    settle(&mut managers, Some(&a), &change(&[], &["x", "w.one"], &["y"]), true)
        .expect("no conflicts with force");
    insta::assert_snapshot!(owned(&managers), @r"
    a: .x .y 
    b: .z 
    c: .w.two
    ");
    let (_, mut managers) = three();
    settle(&mut managers, None, &change(&[], &["x", "w.one"], &["y"]), true)
        .expect("no conflicts with force");
    insta::assert_snapshot!(owned(&managers), @r"
    b: .z 
    c: .w.two
    ");
}

/// Taking away is no quarrel: a field that goes was the writer's own, or is forced.
#[graded]
fn what_is_removed_is_lost_without_a_conflict() {
    let (a, mut managers) = three();
    settle(&mut managers, Some(&a), &change(&[], &[], &["z", "x"]), false).expect("nothing is written over");
    insta::assert_snapshot!(owned(&managers), @r"
    a: .x .y 
    c: .w.one .w.two .y
    ");
}

/// Entries are in the words of a version; one that is no longer served says nothing any more.
#[graded]
fn an_entry_in_a_version_that_is_gone_is_dropped() {
    let (a, mut managers) = three();
    managers.get_mut(&manager("b", Operation::Apply)).expect("there").api_version = "v0".into();
    managers.get_mut(&a).expect("there").api_version = "v0".into();
    settle(&mut managers, Some(&a), &change(&[], &["x"], &[]), false).expect("b is not asked");
    let left: Vec<&str> = managers.keys().map(|id| id.name.as_str()).collect();
    assert_eq!(left, ["a", "c"], "the writer is not judged by his last version");
}

fn forgotten(merged: Value, last: Value, owned: &[Value]) -> Value {
    let shape = shape();
    let owned = owned.iter().fold(Set::default(), |all, value| all.union(&to_set(&shape, value)));
    forget(&shape, &merged, &to_set(&shape, &last), &owned)
}

/// Deleting a line from a manifest deletes the field.
#[graded]
fn what_is_no_longer_applied_goes() {
    let merged = json!({
        "one": 1, "two": 2, "labels": { "a": "1", "b": "1" }, "tags": ["s", "t"],
        "items": [{ "name": "n", "v": 1 }, { "name": "m" }],
    });
    let last = json!({ "one": 1, "labels": { "a": "1" }, "tags": ["s"], "items": [{ "name": "n" }] });
    let others = json!({ "labels": { "b": "1" }, "tags": ["t"], "items": [{ "name": "m" }] });
    let new = forgotten(merged, last, &[others, json!({ "two": 2 })]);
    assert_eq!(new, json!({ "two": 2, "labels": { "b": "1" }, "tags": ["t"], "items": [{ "name": "m" }] }));
}

/// One who still wants it is enough.
#[graded]
fn what_somebody_else_owns_stays() {
    let merged = json!({ "one": 1, "box": { "x": 1, "y": 1 }, "items": [{ "name": "n", "v": 1 }] });
    let last = merged.clone();
    let new = forgotten(
        merged,
        last,
        &[json!({ "one": 5 }), json!({ "box": { "y": 1 }, "items": [{ "name": "n" }] })],
    );
    assert_eq!(new, json!({ "one": 1, "box": { "y": 1 }, "items": [{ "name": "n" }] }));
}

/// The last owner of a struct takes it with him, with what the server had filled in.
#[graded]
fn a_struct_goes_with_the_last_who_had_a_say_in_it() {
    let merged = json!({ "one": 1, "box": { "x": 1, "y": "a default" } });
    assert_eq!(
        forgotten(merged.clone(), json!({ "box": { "x": 1 } }), &[json!({ "one": 1 })]),
        json!({ "one": 1 })
    );
    let still = forgotten(merged, json!({ "box": { "x": 1 } }), &[json!({ "box": { "y": 1 } })]);
    assert_eq!(still, json!({ "one": 1, "box": { "y": "a default" } }));
    // Nobody can take the object itself.
    assert_eq!(forgotten(json!({ "one": 1 }), json!({ "one": 1 }), &[]), json!({ "one": 1 }));
}

/// An item is forgotten with everything in it, also what others wrote there.
#[graded]
fn an_item_goes_with_all_that_is_in_it() {
    let merged = json!({ "one": 1, "items": [{ "name": "n", "v": 1 }] });
    let shape = shape();
    let last = to_set(&shape, &json!({ "items": [{ "name": "n" }] }));
    let key = Element::key(vec![("name".into(), json!("n")), ("proto".into(), json!("TCP"))]);
    let other = Set::of([vec![Element::field("items"), key, Element::field("v")]]);
    assert_eq!(forget(&shape, &merged, &last, &other), json!({ "one": 1 }));
}

#[graded]
fn what_was_not_there_is_not_missed() {
    let value = json!({ "one": 1, "box": {}, "items": [{ "name": "n", "v": 1 }] });
    let gone = to_set(&shape(), &json!({ "two": 2, "box": { "x": 1 }, "items": [{ "name": "m", "v": 1 }] }));
    assert_eq!(remove(&shape(), &value, &gone), Some(value));
}

fn some<T: Clone + std::fmt::Debug + 'static>(of: &[T]) -> impl Strategy<Value = Vec<T>> + use<T> {
    prop::sample::subsequence(of.to_vec(), 0..=of.len()).prop_shuffle()
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![(0..3i64).prop_map(Value::from), Just(json!("s")), Just(json!([1]))]
}

fn object(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let pairs = some(keys).prop_flat_map(|keys| {
        keys.into_iter().map(|key| (Just(key.to_string()), leaf())).collect::<Vec<_>>()
    });
    pairs.prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

/// A value of the shape, in which no part that has parts is empty.
fn value() -> impl Strategy<Value = Value> {
    let items = some(&["a", "b", "c", "d"]).prop_flat_map(|names| {
        let item = |name: &str| {
            (Just(json!(name)), object(&["v"]), some(&["s", "t", "u"])).prop_map(|(name, mut item, tags)| {
                item["name"] = name;
                item["tags"] = json!(tags);
                item
            })
        };
        names.into_iter().map(item).collect::<Vec<_>>()
    });
    let all = (
        object(&["one", "two"]),
        object(&["x", "y"]),
        object(&["l", "m", "n"]),
        items,
        some(&["s", "t", "u", "v", "w"]),
        object(&["p", "q"]),
    );
    all.prop_map(|(mut out, one_box, labels, items, tags, free)| {
        out["boxes"] = json!({ "b": one_box });
        out["box"] = one_box;
        out["labels"] = labels;
        out["items"] = json!(items);
        out["tags"] = json!(tags);
        out["free"] = free;
        prune(&mut out);
        out
    })
}

fn prune(value: &mut Value) {
    if let Value::Object(map) = value {
        map.values_mut().for_each(prune);
        map.retain(|key, value| {
            key == "one" || key == "two" || !(value == &json!({}) || value == &json!([]))
        });
    }
    if let Value::Array(list) = value {
        list.iter_mut().for_each(prune);
    }
}

fn names(value: &Value) -> Vec<String> {
    value["tags"].as_array().into_iter().flatten().map(Value::to_string).collect()
}

proptest! {
    /// Merging adds and changes, and everything that was applied is there afterwards.
    #[graded]
    fn a_merge_has_all_that_was_applied_and_loses_nothing(live in value(), applied in value()) {
        let shape = shape();
        let new = merge(&shape, &live, &applied);
        prop_assert_eq!(compare(&shape, Some(&live), Some(&new)).removed, Set::default());
        let since = compare(&shape, Some(&applied), Some(&new));
        prop_assert_eq!((since.modified, since.removed), (Set::default(), Set::default()));
        prop_assert_eq!(to_set(&shape, &new), to_set(&shape, &live).union(&to_set(&shape, &applied)));
        prop_assert_eq!(merge(&shape, &new, &applied), new);
        prop_assert_eq!(merge(&shape, &live, &live), live);
    }

    /// Whoever is alone in a list finds his own order in it.
    #[graded]
    fn a_merged_list_keeps_both_orders(live in value(), applied in value()) {
        let (old, wanted, new) = (names(&live), names(&applied), names(&merge(&shape(), &live, &applied)));
        let only = |list: &[String], of: &dyn Fn(&String) -> bool| list.iter().filter(|n| of(n)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(only(&new, &|n| wanted.contains(n)), wanted.clone());
        let left_alone = |n: &String| old.contains(n) && !wanted.contains(n);
        prop_assert_eq!(only(&new, &left_alone), only(&old, &left_alone));
    }

    /// A value is its fields.
    #[graded]
    fn without_its_fields_nothing_is_left_of_a_value(value in value(), other in value()) {
        let shape = shape();
        let (mine, yours) = (to_set(&shape, &value), to_set(&shape, &other));
        prop_assert_eq!(remove(&shape, &value, &mine).is_none(), value != json!({}));
        let Some(left) = remove(&shape, &value, &yours) else { return Ok(()) };
        prop_assert_eq!(to_set(&shape, &left), mine.difference(&yours).intersection(&to_set(&shape, &left)));
        prop_assert!(to_set(&shape, &left).intersection(&yours).is_empty());
        // Who takes back what he alone applied leaves what was there before, if anything was.
        if value == json!({}) {
            return Ok(());
        }
        let new = merge(&shape, &value, &other);
        let back = forget(&shape, &new, &yours.difference(&mine), &mine);
        prop_assert_eq!(to_set(&shape, &back), mine);
    }
}

// From here on all together: `apply` and `note_update` on deployments.

fn kind() -> Kind {
    Kind::builtin(resource("Deployment"))
}

fn writer<'a>(manager: &'a str, kind: &'a Kind) -> Writer<'a> {
    Writer { manager, subresource: "", kind, now: crate::common::now() }
}

fn deployment(spec: Value) -> Value {
    json!({ "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "web", "namespace": "default" }, "spec": spec })
}

fn applied(manager: &str, force: bool, live: Option<&Value>, spec: Value) -> Result<Value, String> {
    let kind = kind();
    match apply(&writer(manager, &kind), force, live, &deployment(spec)) {
        Ok(mut object) => {
            kind.apply_defaults(&mut object);
            Ok(object)
        }
        Err(error) => Err(refused::<()>(Err(error))),
    }
}

fn entries(object: &Value) -> String {
    let managers = managers::decode(&object["metadata"]["managedFields"]).expect("valid entries");
    let line = |(id, entry): (&Manager, &Entry)| {
        format!("{} {:?}: {}", id.name, id.operation, lines(&entry.fields).trim_end().replace('\n', " "))
    };
    managers.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn pods(image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": image }] },
    })
}

/// The scenario of the documentation of server-side apply: an autoscaler takes over.
#[graded]
fn a_field_is_handed_over_by_applying_it_together() {
    let live = applied("me", false, None, json!({ "replicas": 3, "template": pods("a") })).expect("creates");
    let kind = kind();
    let mut scaled = live.clone();
    scaled["spec"]["replicas"] = json!(5);
    note_update(&writer("hpa", &kind), Some(&live), &mut scaled);
    insta::assert_snapshot!(
        applied("me", false, Some(&scaled), json!({ "replicas": 3, "template": pods("a") })).expect_err("two want it"),
        @r#"409 Conflict: Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.replicas"#
    );
    // Whoever does not say it any more leaves it to the other.
    let left =
        applied("me", false, Some(&scaled), json!({ "template": pods("a") })).expect("does not want it");
    assert_eq!(left["spec"]["replicas"], 5);
    // Whoever says the same shares it, and may then leave.
    let shared =
        applied("me", false, Some(&scaled), json!({ "replicas": 5, "template": pods("a") })).expect("agrees");
    insta::assert_snapshot!(entries(&shared), @r#"
    hpa Update: .spec.replicas
    me Apply: .spec.replicas .spec.template.metadata.labels.app .spec.template.spec.containers[name="web"] .spec.template.spec.containers[name="web"].image .spec.template.spec.containers[name="web"].name
    "#);
    let forced = applied("me", true, Some(&scaled), json!({ "replicas": 3, "template": pods("a") }))
        .expect("is forced");
    assert_eq!(forced["spec"]["replicas"], 3);
    assert!(!entries(&forced).contains("hpa"), "{}", entries(&forced));
}

/// The reason for all this: two people change one object without a common manifest.
#[graded]
fn two_managers_keep_out_of_each_others_way() {
    let live = applied("a", false, None, json!({ "template": pods("web:1") })).expect("creates");
    let side = json!({ "template": { "spec": { "containers": [{ "name": "side", "image": "side:1" }] } } });
    let both = applied("b", false, Some(&live), side).expect("nobody had it");
    let next = applied("a", false, Some(&both), json!({ "template": pods("web:2") })).expect("it is his own");
    let images = |object: &Value| {
        let list = object["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
        list.iter().map(|c| c["image"].as_str().unwrap_or_default().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(images(&next), ["web:2", "side:1"]);
    insta::assert_snapshot!(
        applied("b", false, Some(&next), json!({ "paused": true, "template": pods("web:3") })).expect_err("a's image"),
        @r#"409 Conflict: Apply failed with 1 conflict: conflict with "a": .spec.template.spec.containers[name="web"].image"#
    );
    let gone = applied("b", false, Some(&next), Value::Null).expect("takes back what is his");
    assert_eq!(images(&gone), ["web:2"]);
    assert!(!entries(&gone).contains("b Apply"), "who owns nothing has no entry: {}", entries(&gone));
}

/// All conflicts at once, by manager.
#[graded]
fn a_refusal_names_everybody_and_every_field() {
    let live = applied("a", false, None, json!({ "replicas": 1, "paused": true, "template": pods("x") }))
        .expect("creates");
    let kind = kind();
    let mut new = live.clone();
    new["spec"]["minReadySeconds"] = json!(7);
    note_update(&writer("c", &kind), Some(&live), &mut new);
    let wanted = json!({ "replicas": 2, "paused": false, "minReadySeconds": 8, "template": pods("y") });
    insta::assert_snapshot!(applied("b", false, Some(&new), wanted).expect_err("a quarrel"), @r#"
    409 Conflict: Apply failed with 4 conflicts: conflicts with "a":
    - .spec.paused
    - .spec.replicas
    - .spec.template.spec.containers[name="web"].image
    conflicts with "c" using apps/v1:
    - .spec.minReadySeconds
    "#);
}

/// Then no write happens, no watcher wakes, and the time stays.
#[graded]
fn to_apply_the_same_again_changes_nothing() {
    let live = applied("a", false, None, json!({ "replicas": 1, "template": pods("x") })).expect("creates");
    let kind = kind();
    let later = Writer { now: "2026-02-03T04:05:06Z".parse().expect("a time"), ..writer("a", &kind) };
    let again =
        apply(&later, false, Some(&live), &deployment(json!({ "replicas": 1, "template": pods("x") })));
    assert_eq!(again.expect("applies"), live);
    // Another set is another time, even if the object is as it was.
    let less = apply(
        &later,
        false,
        Some(&live),
        &deployment(json!({ "template": pods("x"), "revisionHistoryLimit": 10 })),
    );
    let less = less.expect("applies");
    assert_eq!(less["metadata"]["managedFields"][0]["time"], "2026-02-03T04:05:06Z");
}

// The model: an object is a flat map from paths to values, and everybody owns a set of paths.

type Flat = BTreeMap<String, Value>;

#[derive(Default)]
struct Model {
    values: Flat,
    owners: BTreeMap<(&'static str, Operation), BTreeSet<String>>,
}

impl Model {
    fn owned_by_another(&self, who: &(&'static str, Operation), path: &str) -> bool {
        self.owners.iter().any(|(other, paths)| other != who && paths.contains(path))
    }

    fn update(&mut self, name: &'static str, new: &Flat) {
        let written: Vec<String> = new
            .iter()
            .filter(|(path, value)| self.values.get(*path) != Some(value))
            .map(|(p, _)| p.clone())
            .collect();
        for paths in self.owners.values_mut() {
            paths.retain(|path| new.contains_key(path) && !written.contains(path));
        }
        self.owners.entry((name, Operation::Update)).or_default().extend(written);
        self.values = new.clone();
    }

    /// False, and nothing done, if somebody is in the way.
    fn apply(&mut self, name: &'static str, force: bool, doc: &Flat) -> bool {
        let me = (name, Operation::Apply);
        let other_value = |path: &String| self.values.get(path) != doc.get(path);
        let taken: BTreeSet<String> = doc
            .keys()
            .filter(|path| other_value(path) && self.owned_by_another(&me, path))
            .cloned()
            .collect();
        if !force && !taken.is_empty() {
            return false;
        }
        let last = self.owners.insert(me, doc.keys().cloned().collect()).unwrap_or_default();
        self.values.extend(doc.clone());
        for path in last.iter().filter(|path| !doc.contains_key(*path)) {
            if !self.owned_by_another(&me, path) {
                // An item goes with what is in it.
                self.values.retain(|other, _| other != path && !other.starts_with(&format!("{path}.")));
            }
        }
        let values = &self.values;
        for (who, paths) in &mut self.owners {
            paths.retain(|path| values.contains_key(path) && (*who == me || !taken.contains(path)));
        }
        true
    }
}

const LEAVES: [&str; 4] = ["spec.paused", "spec.minReadySeconds", "metadata.labels.l", "metadata.labels.m"];
const CONTAINERS: [&str; 3] = ["a", "b", "c"];
const TAGS: [&str; 2] = ["x/1", "x/2"];

/// Everything that the model knows of an object; what is filled in by defaults is not in it.
fn flat(object: &Value) -> Flat {
    let mut out = Flat::new();
    for path in LEAVES {
        let pointer = format!("/{}", path.replace('.', "/"));
        out.extend(object.pointer(&pointer).map(|value| (format!(".{path}"), value.clone())));
    }
    for tag in object["metadata"]["finalizers"].as_array().into_iter().flatten() {
        out.insert(format!(".metadata.finalizers[={tag}]"), tag.clone());
    }
    for container in object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten() {
        let item = format!(".spec.template.spec.containers[name={}]", container["name"]);
        out.insert(item.clone(), json!("is there"));
        for field in ["name", "image", "workingDir"] {
            out.extend(container.get(field).map(|value| (format!("{item}.{field}"), value.clone())));
        }
    }
    out
}

/// A document that says some of what the model knows.
fn document() -> impl Strategy<Value = Value> {
    let container = |name: &'static str| {
        (prop::option::of(0..3u8), prop::option::of(0..3u8)).prop_map(move |(image, dir)| {
            let mut out = json!({ "name": name });
            out.as_object_mut().into_iter().for_each(|map| {
                map.extend(image.map(|n| ("image".to_string(), json!(format!("i{n}")))));
                map.extend(dir.map(|n| ("workingDir".to_string(), json!(format!("/{n}")))));
            });
            out
        })
    };
    let containers =
        some(&CONTAINERS).prop_flat_map(move |names| names.into_iter().map(container).collect::<Vec<_>>());
    // No zeros: whoever writes one has said nothing.
    let value = || prop::option::of(1..4u8);
    (prop::option::of(Just(true)), value(), value(), value(), some(&TAGS), containers).prop_map(
        |(paused, ready, l, m, tags, containers)| {
            let mut labels = Map::new();
            labels.extend(l.map(|n| ("l".to_string(), json!(n.to_string()))));
            labels.extend(m.map(|n| ("m".to_string(), json!(n.to_string()))));
            let (mut out, mut spec) = (deployment(json!({})), Map::new());
            spec.extend(paused.map(|paused| ("paused".to_string(), json!(paused))));
            spec.extend(ready.map(|n| ("minReadySeconds".to_string(), json!(n))));
            if !containers.is_empty() {
                spec.insert("template".into(), json!({ "spec": { "containers": containers } }));
            }
            out["spec"] = Value::Object(spec);
            if !labels.is_empty() {
                out["metadata"]["labels"] = Value::Object(labels);
            }
            if !tags.is_empty() {
                out["metadata"]["finalizers"] = json!(tags);
            }
            out
        },
    )
}

#[derive(Debug, Clone)]
enum Act {
    Apply(&'static str, bool, Value),
    Update(&'static str, Value),
}

fn act() -> impl Strategy<Value = Act> {
    let who = || prop::sample::select(vec!["anna", "ben", "carl"]);
    prop_oneof![
        3 => (who(), any::<bool>(), document()).prop_map(|(who, force, doc)| Act::Apply(who, force, doc)),
        1 => (who(), document()).prop_map(|(who, doc)| Act::Update(who, doc)),
    ]
}

proptest! {
    /// Any number of people, applying and updating: values and owners are the model's.
    #[graded]
    fn owners_and_values_are_those_of_a_flat_map(first in document(), acts in prop::collection::vec(act(), 1..8)) {
        let kind = kind();
        let mut model = Model::default();
        let mut live = first;
        note_update(&writer("zoe", &kind), None, &mut live);
        kind.apply_defaults(&mut live);
        model.update("zoe", &flat(&live));
        for act in acts {
            match &act {
                Act::Update(who, new) => {
                    let mut new = new.clone();
                    note_update(&writer(who, &kind), Some(&live), &mut new);
                    kind.apply_defaults(&mut new);
                    model.update(who, &flat(&new));
                    live = new;
                }
                Act::Apply(who, force, doc) => {
                    let done = apply(&writer(who, &kind), *force, Some(&live), doc);
                    prop_assert_eq!(done.is_ok(), model.apply(who, *force, &flat(doc)), "{:?}", &act);
                    if let Ok(mut done) = done {
                        kind.apply_defaults(&mut done);
                        live = done;
                    }
                }
            }
            prop_assert_eq!(flat(&live), model.values.clone(), "after {:?}", &act);
            let managers = managers::decode(&live["metadata"]["managedFields"]).expect("valid");
            for (who, paths) in &model.owners {
                let entry = managers.iter().find(|(id, _)| (id.name.as_str(), id.operation) == *who);
                let known = entry.map(|(_, entry)| entry.fields.paths()).unwrap_or_default();
                let known: BTreeSet<String> =
                    known.iter().map(|path| display(path)).filter(|path| model.values.contains_key(path)).collect();
                prop_assert_eq!(&known, paths, "{:?} after {:?}", who, &act);
            }
        }
    }
}
