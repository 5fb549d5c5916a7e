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

/// The six operations of RFC 6902, and the two escapes of a pointer (`~1` is a slash, `~0` a tilde).
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
            json!([{"op": "test", "path": "/metadata/labels", "value": {"app": "web"}}]),
            json!([{"op": "move", "from": "/metadata/name", "path": "/metadata/name"}]),
            json!([{"op": "add", "path": "", "value": 1}]),
            json!([{"op": "remove", "path": "/list/-1"}]),
            json!([{"op": "replace", "path": "/list/-3", "value": 9}]),
            json!([{"op": "add", "path": "/list/-1", "value": 9}]),
            json!([{"op": "add", "path": "/list/-4", "value": 9}]),
            json!([{"op": "test", "path": "/list/-2", "value": 2}]),
        ]
    ));
}

/// The patch is well made and the object is not what its author took it for: 422, so that a
/// client knows to read the object again.
#[graded]
fn what_does_not_fit_is_unprocessable() {
    insta::assert_snapshot!(check(
        &document(),
        &[
            json!([{"op": "remove", "path": "/nothing"}]),
            json!([{"op": "remove", "path": "/list/3"}]),
            json!([{"op": "replace", "path": "/nothing/below", "value": 1}]),
            json!([{"op": "replace", "path": "/metadata/name/x", "value": 1}]),
            json!([{"op": "replace", "path": "/list/3", "value": 1}]),
            json!([{"op": "replace", "path": "/list/-4", "value": 1}]),
            json!([{"op": "remove", "path": "/list/-0"}]),
            json!([{"op": "add", "path": "/list/-5", "value": 1}]),
            json!([{"op": "add", "path": "/nothing/below", "value": 1}]),
            json!([{"op": "add", "path": "/list/4", "value": 1}]),
            json!([{"op": "add", "path": "/list/01", "value": 1}]),
            json!([{"op": "add", "path": "/list/x", "value": 1}]),
            json!([{"op": "move", "from": "/nothing", "path": "/x"}]),
            json!([{"op": "copy", "from": "/nothing", "path": "/x"}]),
            json!([{"op": "test", "path": "/metadata/name", "value": "db"}]),
            json!([{"op": "test", "path": "/metadata", "value": {"name": "web"}}]),
            json!([{"op": "test", "path": "/list", "value": [1, 2]}]),
            json!([{"op": "test", "path": "/nothing", "value": 1}]),
            json!([{"op": "test", "path": "/metadata/name"}]),
            json!([{"op": "replace", "path": "/list/-", "value": 1}]),
            json!([{"op": "add", "path": "/metadata/name/x", "value": 1}]),
        ]
    ));
}

/// No object could make sense of such a patch: 400, and trying again is of no use.
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

/// kube-rs adds the first finalizer so: "if there is no list of finalizers, make one".
#[graded]
fn testing_for_null_succeeds_on_a_missing_member() {
    let patch = json!([
        {"op": "test", "path": "/metadata/finalizers", "value": null},
        {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/x"]},
    ]);
    let patched = json_patch(&document(), &patch).expect("the member is missing");
    assert_eq!(patched["metadata"]["finalizers"], json!(["example.com/x"]));
    let again = json_patch(&patched, &patch);
    assert!(matches!(again, Err(PatchError::Unprocessable(_))), "the member is there now: {again:?}");
}

/// The server writes no `paused: false`, so who wants to replace it cannot see whether it is there.
#[graded]
fn replacing_sets_a_missing_member() {
    let patch = json!([{"op": "replace", "path": "/spec/paused", "value": true}]);
    for spec in [json!({"replicas": 2}), json!({"replicas": 2, "paused": false})] {
        let patched = json_patch(&json!({"spec": spec}), &patch);
        assert_eq!(patched, Ok(json!({"spec": {"replicas": 2, "paused": true}})));
    }
}

/// Invariant 5. A lock that was half taken is held by nobody.
#[graded]
fn one_failing_operation_undoes_all() {
    let before = document();
    let patch = json!([{"op": "remove", "path": "/list"}, {"op": "test", "path": "/list", "value": 1}]);
    assert!(json_patch(&before, &patch).is_err());
    assert_eq!(before, document(), "the document that was given is never touched");
}

/// One request must not keep the API server busy for minutes.
#[graded]
fn ten_thousand_operations_are_the_limit() {
    let operations = |n: usize| Value::from(vec![json!({"op": "test", "path": "", "value": {}}); n]);
    assert!(json_patch(&json!({}), &operations(10_000)).is_ok());
    let too_many = json_patch(&json!({}), &operations(10_001));
    let Err(error @ PatchError::TooLarge { .. }) = too_many else { panic!("too many: {too_many:?}") };
    assert_eq!(error.to_string(), "the allowed maximum operations in a JSON patch is 10000, got 10001");
}

/// JSON has one kind of number, and clients in other languages write `1.0`. Two large integers
/// that are one apart are still two.
#[graded]
fn numbers_are_compared_by_value() {
    let test = |have: Value, wanted: Value| {
        json_patch(&json!({"n": have}), &json!([{"op": "test", "path": "/n", "value": wanted}])).is_ok()
    };
    assert!(
        test(json!(1), json!(1.0))
            && test(json!(1.0), json!(1))
            && test(json!([{"a": 1}]), json!([{"a": 1.0}]))
    );
    assert!(!test(json!(1), json!(1.5)) && !test(json!(1), json!("1")));
    assert!(!test(json!(9_007_199_254_740_993i64), json!(9_007_199_254_740_992i64)));
    assert!(!test(json!([1, 2]), json!([1])) && !test(json!({"a": 1}), json!({"a": 1, "b": 1})));
    assert!(!test(json!({"a": 1}), json!({"b": 1})));
}

/// A part of itself is not a place for the whole; its own place is.
#[graded]
fn nothing_moves_into_itself() {
    let moved = |from: &str, path: &str| {
        json_patch(&document(), &json!([{"op": "move", "from": from, "path": path}]))
    };
    assert!(matches!(moved("/metadata", "/metadata/labels"), Err(PatchError::Malformed(_))));
    assert_eq!(moved("/metadata", "/metadata").expect("nothing to do")["metadata"], document()["metadata"]);
    assert_eq!(moved("/metadata/labels", "/labels").expect("fits")["labels"], json!({"app": "web"}));
    // `/list` and `/listing` share letters, not a place.
    assert!(moved("/list", "/listing").is_ok());
}

proptest! {
    /// The operations agree with each other: what `add` puts, `test` finds and `remove` takes.
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

    /// RFC 6902 defines it so.
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
