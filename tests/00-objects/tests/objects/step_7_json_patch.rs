use crate::any_json;
use crate::heart::patch::{PatchError, json_patch};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

fn check(document: &Value, patches: &[Value]) -> String {
    let line = |patch: &Value| match json_patch(document, patch) {
        Ok(patched) => format!("{patch}\n    {patched}\n"),
        Err(PatchError::Malformed(why)) => format!("{patch}\n    400 {why}\n"),
        Err(PatchError::Unprocessable(why)) => format!("{patch}\n    422 {why}\n"),
        Err(PatchError::TooLarge { .. }) => format!("{patch}\n    413\n"),
    };
    patches.iter().map(line).collect()
}

fn document() -> Value {
    json!({"metadata": {"name": "web", "labels": {"app": "web"}}, "list": [1, 2, 3], "a/b": {"m~n": 1}})
}

#[graded]
fn each_operation_does_its_work() {
    insta::assert_snapshot!(check(
        &document(),
        &[
            json!([{"op": "add", "path": "/metadata/labels/tier", "value": "front"}]),
            json!([{"op": "add", "path": "/list/1", "value": 9}]),
            json!([{"op": "add", "path": "/list/-", "value": 9}]),
            json!([{"op": "add", "path": "/list/3", "value": 9}]),
            json!([{"op": "remove", "path": "/list/0"}]),
            json!([{"op": "remove", "path": "/metadata/labels"}]),
            json!([{"op": "replace", "path": "/metadata/name", "value": "db"}]),
            json!([{"op": "replace", "path": "/list/2", "value": null}]),
            json!([{"op": "replace", "path": "", "value": {}}]),
            json!([{"op": "move", "from": "/list/0", "path": "/list/2"}]),
            json!([{"op": "copy", "from": "/metadata/labels", "path": "/copied"}]),
            json!([{"op": "test", "path": "/list", "value": [1, 2, 3.0]}]),
            json!([{"op": "replace", "path": "/a~1b/m~0n", "value": 2}]),
            json!([]),
        ]
    ));
}

#[graded]
fn what_does_not_fit_is_unprocessable() {
    insta::assert_snapshot!(check(
        &document(),
        &[
            json!([{"op": "remove", "path": "/nothing"}]),
            json!([{"op": "remove", "path": "/list/3"}]),
            json!([{"op": "replace", "path": "/metadata/uid", "value": 1}]),
            json!([{"op": "add", "path": "/nothing/below", "value": 1}]),
            json!([{"op": "add", "path": "/list/4", "value": 1}]),
            json!([{"op": "add", "path": "/list/01", "value": 1}]),
            json!([{"op": "add", "path": "/list/x", "value": 1}]),
            json!([{"op": "move", "from": "/nothing", "path": "/x"}]),
            json!([{"op": "copy", "from": "/nothing", "path": "/x"}]),
            json!([{"op": "test", "path": "/metadata/name", "value": "db"}]),
        ]
    ));
}

#[graded]
fn what_is_no_patch_is_a_bad_request() {
    insta::assert_snapshot!(check(
        &document(),
        &[
            json!({"op": "add"}),
            json!([{"op": "add", "path": "/x"}]),
            json!([{"path": "/x", "value": 1}]),
            json!([{"op": "add", "value": 1}]),
            json!([{"op": "add", "path": "x", "value": 1}]),
            json!([{"op": "jump", "path": "/x"}]),
            json!([{"op": "move", "path": "/x"}]),
            json!([{"op": "move", "from": "/metadata", "path": "/metadata/labels/self"}]),
            json!([{"op": "remove", "path": ""}]),
            json!([1]),
        ]
    ));
}

#[graded]
fn testing_for_null_succeeds_on_a_missing_member() {
    // kube-rs adds the first finalizer so: "if there is no list of finalizers, make one".
    let patch = json!([
        {"op": "test", "path": "/metadata/finalizers", "value": null},
        {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/x"]},
    ]);
    let patched = json_patch(&document(), &patch).expect("the member is missing");
    assert_eq!(patched["metadata"]["finalizers"], json!(["example.com/x"]));
    let again = json_patch(&patched, &patch);
    assert!(matches!(again, Err(PatchError::Unprocessable(_))), "the member is there now: {again:?}");
}

#[graded]
fn one_failing_operation_undoes_all() {
    let before = document();
    let patch = json!([{"op": "remove", "path": "/list"}, {"op": "test", "path": "/list", "value": 1}]);
    assert!(json_patch(&before, &patch).is_err());
    assert_eq!(before, document(), "the document that was given is never touched");
}

#[graded]
fn ten_thousand_operations_are_the_limit() {
    let operations = |n: usize| Value::from(vec![json!({"op": "test", "path": "", "value": {}}); n]);
    assert!(json_patch(&json!({}), &operations(10_000)).is_ok());
    let too_many = json_patch(&json!({}), &operations(10_001));
    assert!(matches!(too_many, Err(PatchError::TooLarge { count: 10_001, .. })), "{too_many:?}");
}

proptest! {
    #[graded]
    fn what_is_added_is_found_and_removing_it_restores(document in any_json(), value in any_json()) {
        let document = json!({"in": document});
        let added = json_patch(&document, &json!([{"op": "add", "path": "/new", "value": value}])).expect("fits");
        prop_assert_eq!(&added["new"], &value);
        let tested = json_patch(&added, &json!([{"op": "test", "path": "/new", "value": value}]));
        prop_assert_eq!(tested.as_ref(), Ok(&added));
        let removed = json_patch(&added, &json!([{"op": "remove", "path": "/new"}])).expect("it is there");
        prop_assert_eq!(removed, document);
    }

    #[graded]
    fn moving_is_removing_and_adding(items in prop::collection::vec(0..9i64, 1..6), from in 0..6usize, to in 0..6usize) {
        let (from, to) = (from % items.len(), to % items.len());
        let mut expected = items.clone();
        let moved = expected.remove(from);
        expected.insert(to, moved);
        let patch = json!([{"op": "move", "from": format!("/{from}"), "path": format!("/{to}")}]);
        prop_assert_eq!(json_patch(&json!(items), &patch), Ok(json!(expected)));
    }
}
