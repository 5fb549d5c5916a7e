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

#[graded]
fn null_deletes_and_lists_without_a_key_are_replaced() {
    let document = json!({"data": {"a": "1", "b": "2"}, "list": [1, 2]});
    let patch = json!({"data": {"a": null, "c": "3"}, "list": [3]});
    assert_eq!(patched(document, patch, &config_map()), json!({"data": {"b": "2", "c": "3"}, "list": [3]}));
}

#[graded]
fn patch_replace_takes_the_patch_for_the_whole_object() {
    // `kubectl rollout undo` of a DaemonSet replays a template so.
    let document =
        json!({"spec": {"template": {"metadata": {"labels": {"a": "1"}}, "spec": {"nodeName": "x"}}}});
    let patch = json!({"spec": {"template": {"$patch": "replace", "metadata": {"creationTimestamp": null}, "spec": {}}}});
    let expected = json!({"spec": {"template": {"metadata": {}, "spec": {}}}});
    assert_eq!(patched(document, patch, &deployment()), expected);
}

#[graded]
fn patch_delete_empties_the_object() {
    let document = json!({"data": {"a": "1"}, "kind": "ConfigMap"});
    let patch = json!({"data": {"$patch": "delete"}});
    assert_eq!(patched(document, patch, &config_map()), json!({"data": {}, "kind": "ConfigMap"}));
}

#[graded]
fn patch_merge_is_the_default_and_others_are_refused() {
    let document = json!({"data": {"a": "1"}});
    let patch = json!({"data": {"$patch": "merge", "b": "2"}});
    assert_eq!(patched(document.clone(), patch, &config_map()), json!({"data": {"a": "1", "b": "2"}}));
    let wrong = strategic(&document, &json!({"data": {"$patch": "twist"}}), &config_map());
    assert!(matches!(wrong, Err(PatchError::Malformed(_))), "{wrong:?}");
}

#[graded]
fn retain_keys_drops_every_other_member() {
    // A Deployment whose strategy becomes Recreate must lose its rollingUpdate block.
    let document = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(patched(document, patch, &deployment()), json!({"spec": {"strategy": {"type": "Recreate"}}}));
}

#[graded]
fn what_is_new_comes_without_directives_and_nulls() {
    let patch = json!({"spec": {
        "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
        "template": {"metadata": {"creationTimestamp": null, "$patch": "merge"}, "$setElementOrder/x": []},
    }});
    let expected = json!({"spec": {"strategy": {"type": "Recreate"}, "template": {"metadata": {}}}});
    assert_eq!(patched(json!({}), patch, &deployment()), expected);
}

#[graded]
fn a_primitive_set_grows_and_shrinks_by_its_own_directive() {
    let document = json!({"metadata": {"finalizers": ["a", "b"]}});
    let grown = patched(document.clone(), json!({"metadata": {"finalizers": ["c", "a"]}}), &config_map());
    assert_eq!(grown, json!({"metadata": {"finalizers": ["a", "b", "c"]}}));
    let shrunk = patched(
        document,
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b"]}}),
        &config_map(),
    );
    assert_eq!(shrunk, json!({"metadata": {"finalizers": ["b"]}}));
}

#[graded]
fn only_objects_can_be_patched_and_be_patches() {
    for (document, patch) in [(json!([]), json!({})), (json!({}), json!([])), (json!({}), json!(null))] {
        let answer = strategic(&document, &patch, &config_map());
        assert!(matches!(answer, Err(PatchError::Malformed(_))), "{patch} on {document}: {answer:?}");
    }
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
