use crate::any_json;
use crate::heart::patch::{GroupKind, PatchError, json_merge, json_merge_diff, strategic};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

fn config_map() -> GroupKind {
    GroupKind::new("", "ConfigMap")
}

fn deployment() -> GroupKind {
    GroupKind::new("apps", "Deployment")
}

fn patched(document: Value, patch: Value, kind: &GroupKind) -> Value {
    strategic(&document, &patch, kind).expect("the patch fits")
}

/// Where nothing is known of a field it is a merge patch.
#[graded]
fn null_deletes_and_lists_without_a_key_are_replaced() {
    let document = json!({"data": {"a": "1", "b": "2"}, "list": [1, 2]});
    let patch = json!({"data": {"a": null, "c": "3"}, "list": [3]});
    assert_eq!(patched(document, patch, &config_map()), json!({"data": {"b": "2", "c": "3"}, "list": [3]}));
}

/// `kubectl rollout undo` of a DaemonSet replays a template so: nothing of the other may stay.
#[graded]
fn patch_replace_takes_the_patch_for_the_whole_object() {
    let document =
        json!({"spec": {"template": {"metadata": {"labels": {"a": "1"}}, "spec": {"nodeName": "x"}}}});
    let patch = json!({"spec": {"template": {"$patch": "replace", "metadata": {"creationTimestamp": null}, "spec": {}}}});
    let expected = json!({"spec": {"template": {"metadata": {}, "spec": {}}}});
    assert_eq!(patched(document, patch, &deployment()), expected);
}

/// Upstream leaves an empty object, not none: the member itself was not to go.
#[graded]
fn patch_delete_empties_the_object() {
    let document = json!({"data": {"a": "1"}, "kind": "ConfigMap"});
    let patch = json!({"data": {"$patch": "delete"}});
    assert_eq!(patched(document, patch, &config_map()), json!({"data": {}, "kind": "ConfigMap"}));
}

/// A directive that is misunderstood would change what its author did not mean. Upstream
/// knows two words here; that merging is the default has no word.
#[graded]
fn other_directives_are_refused() {
    let error = |patch: Value| match strategic(&json!({"data": {"a": "1"}}), &patch, &config_map()) {
        Err(PatchError::Malformed(why)) => format!("{patch}\n    {why}\n"),
        other => panic!("{patch} is malformed, not: {other:?}"),
    };
    let texts = [
        error(json!({"data": {"$patch": "merge", "b": "2", "a": [1, null, {"z": 1.5, "y": true}]}})),
        error(json!({"data": {"$patch": 1}})),
        error(json!({"$patch": "twist"})),
        error(json!({"$setElementOrder": []})),
        error(json!({"$setElementOrderOf/x": []})),
        error(json!({"$deleteFromPrimitiveList": []})),
        error(json!({"$setElementOrder/x": "y"})),
        error(json!({"$setElementOrder/data": []})),
        error(json!({"$setElementOrder/x": [1], "x": {"y": 1}})),
        error(json!({"$retainKeys": "data"})),
        error(json!({"$retainKeys": ["x"], "data": {}})),
    ];
    insta::assert_snapshot!(texts.concat());
}

/// A list of merge type must be of one type, or keys and values would be mixed.
#[graded]
fn lists_of_unlike_elements_are_refused() {
    let error = |old: Value, new: Value| {
        let patch = json!({"metadata": {"finalizers": new}});
        match strategic(&json!({"metadata": {"finalizers": old}}), &patch, &config_map()) {
            Err(PatchError::Malformed(why)) => why,
            other => panic!("{patch} is malformed, not: {other:?}"),
        }
    };
    assert_eq!(
        error(json!(["a"]), json!([{"b": 1}])),
        "list element types are not identical: [[a] [map[b:1]]]"
    );
    assert_eq!(error(json!([]), json!([1, 1.5])), "list element types are not identical: [[] [1 1.5]]");
    assert_eq!(error(json!([["a"]]), json!([])), "lists of lists are not supported");
}

/// A Deployment whose strategy becomes Recreate must lose its rollingUpdate block, which the
/// author of the patch may never have seen: the API server wrote its defaults.
#[graded]
fn retain_keys_drops_every_other_member() {
    let document = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(patched(document, patch, &deployment()), json!({"spec": {"strategy": {"type": "Recreate"}}}));
}

/// A list of what stays and a member that does not: somebody is wrong, and the patch is refused.
/// A null, an order and a list of deletions set nothing.
#[graded]
fn retain_keys_must_name_what_the_patch_sets() {
    let document = json!({"spec": {"strategy": {"type": "RollingUpdate"}, "list": ["a"], "gone": 1}});
    let wrong = json!({"spec": {"$retainKeys": ["strategy"], "strategy": {}, "other": 1}});
    let answer = strategic(&document, &wrong, &deployment());
    assert_eq!(answer, Err(PatchError::Malformed("invalid patch format of retainKeys".to_owned())));
    let right = json!({"spec": {
        "$retainKeys": ["list"], "gone": null,
        "$setElementOrder/list": ["a"], "$deleteFromPrimitiveList/list": ["a"],
    }});
    assert_eq!(patched(document, right, &deployment()), json!({"spec": {"list": []}}));
}

/// Directives are for the server. One that was stored would be read as a field by everybody.
#[graded]
fn what_is_new_comes_without_directives_and_nulls() {
    let patch = json!({"spec": {
        "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
        "template": {
            "metadata": {"creationTimestamp": null, "labels": {"$patch": "delete", "a": "b"}},
            "spec": {"volumes": [{"name": "v", "$patch": "delete"}, {"name": "w", "x": null}, {"$patch": "replace"}]},
            "$setElementOrder/x": [],
            "$deleteFromPrimitiveList/y": [],
        },
    }});
    let expected = json!({"spec": {
        "strategy": {"type": "Recreate"},
        "template": {"metadata": {}, "spec": {"volumes": [{"name": "w"}]}},
    }});
    assert_eq!(patched(json!({}), patch, &deployment()), expected);
}

/// Finalizers belong to different controllers. Each adds and removes its own.
#[graded]
fn a_primitive_set_grows_and_shrinks_by_its_own_directive() {
    let document = json!({"metadata": {"finalizers": ["a", "b"]}});
    let grown = patched(document.clone(), json!({"metadata": {"finalizers": ["c", "a"]}}), &config_map());
    // What the patch names stands in the patch's order; the others stay where they can.
    assert_eq!(grown, json!({"metadata": {"finalizers": ["c", "a", "b"]}}));
    let shrunk = patched(
        document,
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b"]}}),
        &config_map(),
    );
    assert_eq!(shrunk, json!({"metadata": {"finalizers": ["b"]}}));
}

/// An order comes with what it orders, and agrees with it.
#[graded]
fn a_set_is_ordered_and_thinned_out_by_directives() {
    let document = json!({"metadata": {"finalizers": ["a", "b", "c"], "name": "x"}});
    let with = |patch: Value| strategic(&document, &json!({"metadata": patch}), &config_map());
    let list = |patch: Value| with(patch).expect("the patch fits")["metadata"]["finalizers"].clone();
    assert_eq!(list(json!({"$setElementOrder/finalizers": ["c", "b"]})), json!(["a", "c", "b"]));
    assert_eq!(
        list(json!({"$setElementOrder/finalizers": ["d", "c", "e"], "finalizers": ["d", "e"]})),
        json!(["d", "a", "b", "c", "e"])
    );
    assert_eq!(
        list(json!({"$deleteFromPrimitiveList/finalizers": ["b", "z"], "finalizers": ["d"]})),
        json!(["d", "a", "c"])
    );
    let disordered = with(json!({"$setElementOrder/finalizers": ["d", "e"], "finalizers": ["e", "d"]}));
    let Err(PatchError::Malformed(why)) = disordered else { panic!("an error, not {disordered:?}") };
    assert_eq!(why, "The order in patch list:\n[e d]\n doesn't match $setElementOrder list:\n[d e]\n");
    assert!(with(json!({"$setElementOrder/finalizers": ["d"], "finalizers": ["d", "e"]})).is_err());
}

/// A deletion that is no list, and one from a field that is no list or is not there, deletes nothing: what
/// it asks for is so already, and an apply must not fail for that.
#[graded]
fn deletions_that_are_no_list_or_meet_none_delete_nothing() {
    let document = json!({"metadata": {"finalizers": ["a", "b"], "name": "x"}});
    for (directive, meets) in [
        (json!({"$deleteFromPrimitiveList/finalizers": "b"}), "a directive that is no list"),
        (json!({"$deleteFromPrimitiveList/name": ["b"]}), "a field that is no list"),
        (json!({"$deleteFromPrimitiveList/none": ["b"]}), "a field that is not there"),
    ] {
        let patched = strategic(&document, &json!({ "metadata": directive }), &config_map());
        assert_eq!(patched, Ok(document.clone()), "{meets}");
    }
}

/// A patch of another type is a mistake; one that is null is none at all.
#[graded]
fn only_objects_can_be_patched_and_be_patches() {
    for (document, patch) in [(json!([]), json!({})), (json!({}), json!([])), (json!({}), json!("x"))] {
        let answer = strategic(&document, &patch, &config_map());
        assert!(matches!(answer, Err(PatchError::Malformed(_))), "{patch} on {document}: {answer:?}");
    }
    let document = json!({"data": {"a": "1"}});
    assert_eq!(strategic(&document, &Value::Null, &config_map()), Ok(document.clone()));
    // What is written over a patch of another kind of value is the patch's.
    assert_eq!(patched(document.clone(), json!({"data": [1]}), &config_map()), json!({"data": [1]}));
    assert_eq!(
        patched(document, json!({"data": {"b": null}, "x": null}), &config_map()),
        json!({"data": {"a": "1"}})
    );
}

/// `kubectl get -o yaml` shows an object as its author wrote it: invariant 6.
#[graded]
fn members_keep_their_order() {
    let document = json!({"kind": "x", "apiVersion": "v1", "metadata": {}, "data": {}});
    let patched = patched(document, json!({"apiVersion": null, "kind": "y", "new": 1}), &config_map());
    assert_eq!(patched.to_string(), r#"{"kind":"y","metadata":{},"data":{},"new":1}"#);
}

/// A disruption budget's selector names its pods as a whole: half of an old one under half of
/// a new one would protect pods that nobody meant.
#[graded]
fn a_replaced_object_is_replaced_whole() {
    let document = json!({"spec": {"selector": {"matchLabels": {"a": "1"}}, "minAvailable": 1}});
    let patch = json!({"spec": {"selector": {"matchLabels": {"b": "2"}, "x": null}}});
    let expected = json!({"spec": {"selector": {"matchLabels": {"b": "2"}}, "minAvailable": 1}});
    assert_eq!(patched(document, patch, &GroupKind::new("policy", "PodDisruptionBudget")), expected);
}

proptest! {
    /// Where no list has a key a strategic merge patch is a merge patch: the second oracle.
    #[graded]
    fn without_keyed_lists_it_equals_a_merge_patch(
        document in prop::collection::btree_map("[a-d]", any_json(), 0..4),
        from in prop::collection::btree_map("[a-d]", any_json(), 0..4),
        to in prop::collection::btree_map("[a-d]", any_json(), 0..4),
    ) {
        let document = json!(document);
        let patch = json_merge_diff(&json!(from), &json!(to));
        prop_assert_eq!(strategic(&document, &patch, &config_map()), json_merge(&document, &patch));
    }
}
