use crate::any_json;
use crate::heart::patch::{
    LAST_APPLIED, PatchError, apply, json_merge, strategic, three_way_json, with_last_applied,
};
use crate::{any_deployment, deployment};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

fn three_way(original: &Value, modified: &Value, current: &Value) -> Value {
    three_way_json(original, modified, current).expect("a merge patch fits every document")
}

/// A custom resource's lists have no keys that anybody knows, so its patch is a JSON merge
/// patch, and the three questions are the same.
#[graded]
fn a_custom_resource_is_applied_by_a_merge_patch() {
    let original = json!({"spec": {"size": 1, "gone": {"a": 1}, "list": [1], "deep": {"x": 1, "y": 2}}});
    let modified = json!({"spec": {"size": 2, "list": [1, 2], "deep": {"x": 1}, "new": {}}});
    let current =
        json!({"spec": {"size": 1, "gone": {"a": 1}, "list": [1], "deep": {"x": 5, "y": 2}, "foreign": 1}});
    let patch = three_way(&original, &modified, &current);
    let expected = json!({"spec": {
        "gone": null, "size": 2, "list": [1, 2], "deep": {"x": 1, "y": null}, "new": {},
    }});
    assert_eq!(patch, expected);
    let result = json_merge(&current, &patch).expect("fits");
    assert_eq!(
        result,
        json!({"spec": {"size": 2, "list": [1, 2], "deep": {"x": 1}, "foreign": 1, "new": {}}})
    );
}

/// What others added is null in the one diff, what is new is a value in the other: both are
/// left out. What was deleted already is deleted once more.
#[graded]
fn each_diff_gives_its_half() {
    let empty = json!({});
    assert_eq!(three_way(&empty, &empty, &json!({"a": 1, "b": {"c": 1}})), empty, "foreign members");
    assert_eq!(three_way(&empty, &json!({"a": 1}), &json!({"a": 1})), empty, "as wished");
    assert_eq!(three_way(&json!({"a": 1}), &empty, &empty), json!({"a": null}), "a deletion");
    assert_eq!(
        three_way(&json!({"a": {"b": 1}}), &json!({"a": {}}), &json!({"a": {"b": 1}})),
        json!({"a": {"b": null}})
    );
    assert_eq!(three_way(&json!({"a": {"b": 1}}), &json!({"a": {}}), &empty), json!({"a": {"b": null}}));
    assert_eq!(
        three_way(&empty, &json!({"a": {"b": {}}}), &json!({"a": {}})),
        json!({"a": {"b": {}}}),
        "an empty object is a value"
    );
    assert_eq!(
        three_way(&json!({"a": {"b": 1}}), &json!({"a": {"c": 1}}), &empty),
        json!({"a": {"b": null, "c": 1}})
    );
}

/// kubectl remembers your file in the object itself. The text is Go's: members by name, three
/// signs escaped, a line's end. `annotations` is there even when the file has none, which is
/// why every applied object on earth says `"annotations":{}` in its annotation.
#[graded]
fn the_manifest_is_remembered_in_an_annotation() {
    let manifest =
        json!({"kind": "X", "apiVersion": "v1", "metadata": {"name": "n"}, "z": [{"b": 1, "a": "<&>"}]});
    let modified = with_last_applied(&manifest).expect("an object");
    let text = modified["metadata"]["annotations"][LAST_APPLIED].as_str().expect("a text");
    assert_eq!(
        text,
        "{\"apiVersion\":\"v1\",\"kind\":\"X\",\"metadata\":{\"annotations\":{},\"name\":\"n\"},\
         \"z\":[{\"a\":\"\\u003c\\u0026\\u003e\",\"b\":1}]}\n"
    );
    let mut without = modified.clone();
    without["metadata"].as_object_mut().expect("an object").remove("annotations");
    assert_eq!(without, manifest, "nothing else changes");
}

/// A manifest that came from `kubectl get -o yaml` has the annotation in it. It must not be
/// remembered inside itself, doll in doll.
#[graded]
fn an_old_annotation_is_not_remembered() {
    let manifest = json!({"metadata": {"annotations": {LAST_APPLIED: "old", "mine": "1"}, "name": "n"}});
    let modified = with_last_applied(&manifest).expect("an object");
    let annotations = &modified["metadata"]["annotations"];
    assert_eq!(annotations["mine"], json!("1"));
    let text = annotations[LAST_APPLIED].as_str().expect("a text");
    assert_eq!(text, "{\"metadata\":{\"annotations\":{\"mine\":\"1\"},\"name\":\"n\"}}\n");
    assert_eq!(with_last_applied(&modified), Ok(modified.clone()), "applied once more it is the same");
    let wrong = [json!({}), json!([]), json!({"metadata": 1})];
    for object in wrong {
        let expected = Err(PatchError::Malformed("an object to apply needs metadata".to_owned()));
        assert_eq!(with_last_applied(&object), expected);
    }
}

/// The whole of `kubectl apply`: read the annotation, compare, and send the new annotation
/// with the rest.
#[graded]
fn apply_reads_and_writes_the_annotation() {
    let file = |replicas: Value| json!({"metadata": {"name": "web"}, "spec": replicas});
    let first = file(json!({"replicas": 1, "paused": true}));
    let live =
        strategic(&json!({}), &apply(&first, &json!({}), Some(&deployment())).expect("fits"), &deployment());
    let live = live.expect("fits");
    assert_eq!(live["spec"], first["spec"]);

    let second = file(json!({"replicas": 2}));
    let patch = apply(&second, &live, Some(&deployment())).expect("fits");
    assert_eq!(patch["spec"], json!({"replicas": 2, "paused": null}));
    let annotation = &patch["metadata"]["annotations"][LAST_APPLIED];
    assert_eq!(
        annotation,
        "{\"metadata\":{\"annotations\":{},\"name\":\"web\"},\"spec\":{\"replicas\":2}}\n"
    );
    let live = strategic(&live, &patch, &deployment()).expect("fits");
    assert_eq!(apply(&second, &live, Some(&deployment())), Ok(json!({})), "unchanged");
    assert_eq!(apply(&second, &live, None), Ok(json!({})), "unchanged");
}

/// Who never applied cannot have taken anything out of a file; and a memory that is no JSON
/// is an error, not a guess.
#[graded]
fn an_object_that_was_never_applied_loses_nothing() {
    let live = json!({"metadata": {"name": "web"}, "spec": {"replicas": 1, "paused": true}});
    let patch =
        apply(&json!({"metadata": {"name": "web"}, "spec": {"replicas": 2}}), &live, None).expect("fits");
    assert_eq!(patch["spec"], json!({"replicas": 2}));
    let broken = json!({"metadata": {"annotations": {LAST_APPLIED: "{"}}});
    let answer = apply(&live, &broken, None);
    assert_eq!(answer, Err(PatchError::Malformed("invalid JSON document".to_owned())));
}

/// A built-in kind keeps what others put into its lists; a custom one cannot.
#[graded]
fn the_kind_decides_the_dialect() {
    let containers =
        |list: Value| json!({"metadata": {}, "spec": {"template": {"spec": {"containers": list}}}});
    let (file, live) = (containers(json!([{"name": "a"}])), containers(json!([{"name": "b"}])));
    let built_in = apply(&file, &live, Some(&deployment())).expect("fits");
    assert!(built_in["spec"]["template"]["spec"].get("$setElementOrder/containers").is_some(), "{built_in}");
    let custom = apply(&file, &live, None).expect("fits");
    assert_eq!(custom["spec"], file["spec"]);
}

/// A document as an API server keeps them: an object.
fn any_object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", any_json(), 0..4).prop_map(|members| json!(members))
}

/// The second oracle, naive: walk the three documents together and build the result.
fn naive(original: Option<&Value>, modified: &Value, current: &Value) -> Value {
    let (Value::Object(wished), Value::Object(live)) = (modified, current) else {
        return modified.clone();
    };
    let had = |name: &str| original.and_then(|original| original.get(name));
    let mut result = serde_json::Map::new();
    for (name, live) in live {
        match wished.get(name) {
            Some(wished) => result.insert(name.clone(), naive(had(name), wished, live)),
            None if had(name).is_some() => None,
            None => result.insert(name.clone(), live.clone()),
        };
    }
    for (name, wished) in wished {
        result.entry(name.clone()).or_insert(wished.clone());
    }
    Value::Object(result)
}

proptest! {
    /// Patch and merge must give what one would write down by hand.
    #[graded]
    fn a_merge_in_three_ways_is_what_one_would_write_by_hand(a in any_object(), b in any_object(), c in any_object()) {
        let patch = three_way(&a, &b, &c);
        let result = json_merge(&c, &patch).expect("fits");
        prop_assert_eq!(&result, &naive(Some(&a), &b, &c), "by {}", patch);
        let again = json_merge(&result, &three_way(&b, &b, &result)).expect("fits");
        prop_assert_eq!(again, result, "applied once more");
    }

    /// Applying a file twice changes nothing the second time. Where somebody else has an element
    /// in one of the file's lists, upstream sends the order of the list again and again, and
    /// kubectl says `configured`; otherwise nothing is sent and it says `unchanged`.
    #[graded]
    fn the_second_time_nothing_changes(file in any_deployment(), live in any_deployment()) {
        let mut file = file;
        file["metadata"]["name"] = json!("web");
        let patch = apply(&file, &live, Some(&deployment())).expect("fits");
        let live = strategic(&live, &patch, &deployment()).expect("fits");
        let again = apply(&file, &live, Some(&deployment())).expect("fits");
        prop_assert_eq!(strategic(&live, &again, &deployment()), Ok(live.clone()), "by {}", again);
        prop_assert!(again == json!({}) || again.to_string().contains("$setElementOrder/"), "{}", again);
        let alone = with_last_applied(&file).expect("an object");
        prop_assert_eq!(apply(&file, &alone, Some(&deployment())), Ok(json!({})));
    }
}
