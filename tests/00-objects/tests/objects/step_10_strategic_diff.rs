use crate::heart::patch::{GroupKind, PatchError, strategic, strategic_diff};
use crate::{any_deployment, deployment};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

fn diff(from: &Value, to: &Value) -> Value {
    strategic_diff(from, to, &deployment()).expect("both are objects")
}

fn pod(spec: Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

fn config_map() -> GroupKind {
    GroupKind::new("", "ConfigMap")
}

/// kubectl sends the difference and not the object: what a controller changed meanwhile is
/// not in it, and so is not undone.
#[graded]
fn a_diff_names_only_what_changed() {
    let from =
        json!({"spec": {"replicas": 2, "paused": true, "selector": {"matchLabels": {"a": "b"}}}, "x": [1]});
    let to = json!({"spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b", "c": "d"}}}, "x": [1], "y": {}});
    let expected =
        json!({"spec": {"replicas": 3, "selector": {"matchLabels": {"c": "d"}}, "paused": null}, "y": {}});
    assert_eq!(diff(&from, &to), expected);
    assert_eq!(diff(&to, &to), json!({}));
}

/// Where a value becomes another kind of value there is nothing to merge.
#[graded]
fn another_type_is_a_new_value() {
    assert_eq!(diff(&json!({"a": {"b": 1}}), &json!({"a": [1]})), json!({"a": [1]}));
    assert_eq!(diff(&json!({"a": [1]}), &json!({"a": {"b": 1}})), json!({"a": {"b": 1}}));
    assert_eq!(
        diff(&json!({"a": [1, 2]}), &json!({"a": [2, 1]})),
        json!({"a": [2, 1]}),
        "a list without a key"
    );
    assert_eq!(diff(&json!({"a": 1}), &json!({"a": "1"})), json!({"a": "1"}));
}

/// One container's image, and not the sidecar's: the element is named by its key, and the
/// order of all goes along, so that the server need not guess.
#[graded]
fn a_changed_element_is_named_by_its_key() {
    let from = pod(
        json!({"containers": [{"name": "web", "image": "a", "args": ["x"]}, {"name": "log", "image": "b"}]}),
    );
    let to = pod(
        json!({"containers": [{"name": "web", "image": "c", "args": ["x"]}, {"name": "log", "image": "b"}]}),
    );
    let expected = pod(json!({
        "$setElementOrder/containers": [{"name": "web"}, {"name": "log"}],
        "containers": [{"name": "web", "image": "c"}],
    }));
    assert_eq!(diff(&from, &to), expected);
}

/// An element that is missing says nothing, so one that goes gets a `$patch: delete`. Those
/// stand behind the others, by the order of their keys.
#[graded]
fn elements_come_and_go() {
    let from = pod(json!({"containers": [{"name": "z"}, {"name": "b"}, {"name": "c", "image": "x"}]}));
    let to = pod(json!({"containers": [{"name": "new", "image": "y"}, {"name": "c", "image": "z"}]}));
    let expected = pod(json!({
        "$setElementOrder/containers": [{"name": "new"}, {"name": "c"}],
        "containers": [
            {"name": "new", "image": "y"},
            {"name": "c", "image": "z"},
            {"name": "b", "$patch": "delete"},
            {"name": "z", "$patch": "delete"},
        ],
    }));
    assert_eq!(diff(&from, &to), expected);
    // Without a list there is nothing to merge into; without elements there is no order.
    assert_eq!(diff(&pod(json!({})), &to), to);
    assert_eq!(diff(&pod(json!({"containers": []})), &to), to);
    let nothing = pod(json!({"containers": []}));
    let gone = diff(&pod(json!({"containers": [{"name": "a"}]})), &nothing);
    assert_eq!(gone, pod(json!({"containers": [{"name": "a", "$patch": "delete"}]})));
    assert_eq!(diff(&nothing, &nothing), json!({}));
}

/// The order of containers is the order in which they start, so it is a change of its own.
#[graded]
fn a_new_order_is_a_change() {
    let from = pod(json!({"containers": [{"name": "a"}, {"name": "b"}]}));
    let to = pod(json!({"containers": [{"name": "b"}, {"name": "a"}]}));
    assert_eq!(diff(&from, &to), pod(json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]})));
}

/// A member of an element that goes is a null inside it; lists inside elements work alike.
#[graded]
fn elements_have_lists_inside() {
    let from = pod(
        json!({"containers": [{"name": "a", "tty": true, "env": [{"name": "X", "value": "1"}, {"name": "Y"}]}]}),
    );
    let to = pod(json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}]}]}));
    let expected = pod(json!({
        "$setElementOrder/containers": [{"name": "a"}],
        "containers": [{
            "name": "a", "tty": null,
            "$setElementOrder/env": [{"name": "X"}],
            "env": [{"name": "X", "value": "2"}, {"name": "Y", "$patch": "delete"}],
        }],
    }));
    assert_eq!(diff(&from, &to), expected);
}

/// A union names the members that may stay, by their order, so that what the server added for
/// the old one goes: `rollingUpdate` of a strategy, the old source of a volume.
#[graded]
fn unions_name_what_may_stay() {
    let from = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let to = json!({"spec": {"strategy": {"type": "Recreate"}}});
    let strategy = json!({"$retainKeys": ["type"], "type": "Recreate", "rollingUpdate": null});
    assert_eq!(diff(&from, &to), json!({"spec": {"strategy": strategy}}));
    assert_eq!(diff(&to, &to), json!({}), "no change, no directive");
    let empty = json!({"spec": {"strategy": {}}});
    assert_eq!(diff(&to, &empty), json!({"spec": {"strategy": {"type": null}}}), "nothing may stay");

    let volume = |source: &str| pod(json!({"volumes": [{"name": "v", source: {"a": 1}}]}));
    let expected = pod(json!({
        "$setElementOrder/volumes": [{"name": "v"}],
        "volumes": [{"name": "v", "$retainKeys": ["emptyDir", "name"], "emptyDir": {"a": 1}, "hostPath": null}],
    }));
    assert_eq!(diff(&volume("hostPath"), &volume("emptyDir")), expected);
    // Containers are no unions.
    let image = |image: &str| pod(json!({"containers": [{"name": "a", "image": image}]}));
    assert_eq!(diff(&image("x"), &image("y")).to_string().matches("retainKeys").count(), 0);
}

/// A null in the new object retains nothing.
#[graded]
fn a_null_is_no_member_to_retain() {
    let from = json!({"spec": {"strategy": {"type": "RollingUpdate", "old": null}}});
    let to = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": null}}});
    let expected =
        json!({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": null, "old": null}}});
    assert_eq!(diff(&from, &to), expected);
}

/// Finalizers are a set of plain values, so what goes has a list of its own.
#[graded]
fn sets_have_a_list_of_deletions() {
    let with = |list: Value| json!({"metadata": {"finalizers": list}});
    let patch = diff(&with(json!(["c", "a", "b"])), &with(json!(["b", "d"])));
    assert_eq!(
        patch,
        json!({"metadata": {
            "$setElementOrder/finalizers": ["b", "d"],
            "finalizers": ["d"],
            "$deleteFromPrimitiveList/finalizers": ["a", "c"],
        }})
    );
    assert_eq!(diff(&with(json!(["a"])), &with(json!(["a"]))), json!({}));
    assert_eq!(
        diff(&with(json!(["a", "b"])), &with(json!(["b", "a"]))),
        json!({"metadata": {"$setElementOrder/finalizers": ["b", "a"]}})
    );
    assert_eq!(diff(&with(json!([])), &with(json!(["a"]))), with(json!(["a"])));
    assert_eq!(
        diff(&with(json!(["a", "a"])), &with(json!([]))),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})
    );
}

/// A disruption budget's selector is sent whole, even unchanged: upstream asks no questions.
#[graded]
fn a_replaced_object_is_always_sent() {
    let budget = GroupKind::new("policy", "PodDisruptionBudget");
    let object =
        |label: &str| json!({"spec": {"selector": {"matchLabels": {label: "1"}}, "minAvailable": 1}});
    let selector = |label: &str| json!({"spec": {"selector": {"matchLabels": {label: "1"}}}});
    assert_eq!(strategic_diff(&object("a"), &object("b"), &budget), Ok(selector("b")));
    assert_eq!(strategic_diff(&object("a"), &object("a"), &budget), Ok(selector("a")));
}

/// A list by key whose elements have no key cannot be compared.
#[graded]
fn elements_without_a_key_have_no_diff() {
    let with = |list: Value| pod(json!({"containers": list}));
    let why = |from: Value, to: Value| match strategic_diff(&with(from), &with(to), &deployment()) {
        Err(PatchError::Malformed(why)) => why,
        other => panic!("an error, not {other:?}"),
    };
    let no_key = "map: map[image:x] does not contain declared merge key: name";
    assert_eq!(why(json!([{"name": "a"}]), json!([{"image": "x"}])), no_key);
    assert_eq!(why(json!([{"image": "x"}]), json!([{"name": "a"}])), no_key);
    assert_eq!(
        why(json!([{"name": "a"}]), json!(["a"])),
        "list element types are not identical: [[map[name:a]] [a]]"
    );
    assert_eq!(why(json!(["a"]), json!(["b"])), "expected a map[string]interface {}, but received a string");
    let not_objects = [(json!([]), json!({})), (json!({}), json!(null))];
    for (from, to) in not_objects {
        let expected = Err(PatchError::Malformed("invalid JSON document".to_owned()));
        assert_eq!(strategic_diff(&from, &to, &config_map()), expected);
    }
}

proptest! {
    /// What a diff is for, and the second oracle: step 8 and 9 read what this step writes.
    #[graded]
    fn applying_the_diff_leads_to_the_target(from in any_deployment(), to in any_deployment()) {
        let patch = diff(&from, &to);
        let result = strategic(&from, &patch, &deployment());
        prop_assert_eq!(result.as_ref(), Ok(&to), "by {}", patch);
        let again = strategic(&to, &patch, &deployment());
        prop_assert_eq!(again, Ok(to), "the same patch again: {}", patch);
    }

    /// Nothing to send, nothing sent.
    #[graded]
    fn nothing_changed_makes_an_empty_patch(object in any_deployment()) {
        prop_assert_eq!(diff(&object, &object), json!({}));
    }

    /// What somebody else added meanwhile is not in the patch, and stays.
    #[graded]
    fn what_others_added_stays(from in any_deployment(), to in any_deployment()) {
        let patch = diff(&from, &to);
        let mut live = from.clone();
        live["metadata"]["annotations"]["foreign"] = json!("kept");
        live["status"] = json!({"replicas": 3});
        let result = strategic(&live, &patch, &deployment()).expect("fits");
        prop_assert_eq!(&result["metadata"]["annotations"]["foreign"], &json!("kept"));
        prop_assert_eq!(&result["status"], &live["status"]);
    }
}
