use crate::heart::patch::{GroupKind, PatchError, strategic, strategic_diff, three_way_strategic};
use crate::{any_deployment, deployment};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

fn three_way(original: &Value, modified: &Value, current: &Value) -> Value {
    three_way_strategic(original, modified, current, &deployment()).expect("all are objects")
}

fn pod(spec: Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

/// The three questions of `kubectl apply`, in one object. `replicas` was in the file and is no
/// longer: it goes. `paused` is new: it comes. `nodeName` was never in the file: it stays.
#[graded]
fn what_left_the_file_goes_and_what_others_added_stays() {
    let original = json!({"spec": {"replicas": 2, "minReadySeconds": 5}});
    let modified = json!({"spec": {"minReadySeconds": 7, "paused": true}});
    let current = json!({"spec": {"replicas": 9, "minReadySeconds": 5, "nodeName": "x"}});
    let patch = three_way(&original, &modified, &current);
    assert_eq!(patch, json!({"spec": {"replicas": null, "minReadySeconds": 7, "paused": true}}));
    let result = strategic(&current, &patch, &deployment());
    assert_eq!(result, Ok(json!({"spec": {"minReadySeconds": 7, "nodeName": "x", "paused": true}})));
}

/// A member that the file still has and that somebody else changed is changed back; that is
/// what "apply" says. One that is as wished is not mentioned.
#[graded]
fn what_others_changed_is_changed_back() {
    let applied = json!({"spec": {"replicas": 2, "paused": false}});
    let live = json!({"spec": {"replicas": 5, "paused": false}});
    assert_eq!(three_way(&applied, &applied, &live), json!({"spec": {"replicas": 2}}));
    assert_eq!(three_way(&applied, &applied, &applied), json!({}));
    // What somebody else removed comes back.
    assert_eq!(three_way(&applied, &applied, &json!({})), applied);
}

/// The deletion is said although the member is gone already: kubectl cannot know whether it
/// will come back until the patch arrives.
#[graded]
fn a_deletion_is_said_even_if_it_was_done() {
    let original = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
    let modified = json!({"metadata": {"labels": {"b": "2"}}});
    let patch = three_way(&original, &modified, &modified);
    assert_eq!(patch, json!({"metadata": {"labels": {"a": null}}}));
    // Nothing was applied before: nothing can have been taken out of the file.
    assert_eq!(three_way(&json!({}), &modified, &original), json!({}));
}

/// A sidecar that an admission plugin injected is in nobody's file. It survives, and the
/// container that left the file does not.
#[graded]
fn an_injected_container_survives() {
    let original = pod(json!({"containers": [{"name": "web", "image": "a"}, {"name": "old"}]}));
    let modified = pod(json!({"containers": [{"name": "new"}, {"name": "web", "image": "b"}]}));
    let current = pod(json!({"containers": [
        {"name": "web", "image": "a", "imagePullPolicy": "Always"}, {"name": "injected"}, {"name": "old"},
    ]}));
    let patch = three_way(&original, &modified, &current);
    let expected = pod(json!({
        "$setElementOrder/containers": [{"name": "new"}, {"name": "web"}],
        "containers": [
            {"name": "new"},
            {"name": "web", "image": "b"},
            {"name": "old", "$patch": "delete"},
        ],
    }));
    assert_eq!(patch, expected);
    let result = strategic(&current, &patch, &deployment());
    let expected = pod(json!({"containers": [
        {"name": "new"}, {"name": "web", "image": "b", "imagePullPolicy": "Always"}, {"name": "injected"},
    ]}));
    assert_eq!(result, Ok(expected));
}

/// One element may have a change and a deletion at once: they are one element of the patch,
/// or the server would refuse the order.
#[graded]
fn a_change_and_a_deletion_meet_in_one_element() {
    let original = pod(json!({"containers": [
        {"name": "a", "tty": true, "env": [{"name": "X"}, {"name": "Y"}]}, {"name": "b", "stdin": true},
    ]}));
    let modified = pod(json!({"containers": [
        {"name": "b"}, {"name": "a", "image": "new", "env": [{"name": "Z"}, {"name": "Y"}]},
    ]}));
    let patch = three_way(&original, &modified, &original);
    let expected = pod(json!({
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
        "containers": [
            {"name": "b", "stdin": null},
            {
                "name": "a", "image": "new", "tty": null,
                "$setElementOrder/env": [{"name": "Z"}, {"name": "Y"}],
                "env": [{"name": "Z"}, {"name": "X", "$patch": "delete"}],
            },
        ],
    }));
    assert_eq!(patch, expected);
    assert_eq!(strategic(&original, &patch, &deployment()), Ok(modified));
}

/// Deletions alone bring the order with them, and a container that is only live stays.
#[graded]
fn deletions_alone_make_a_list() {
    let original = pod(json!({"containers": [{"name": "a"}, {"name": "b"}]}));
    let modified = pod(json!({"containers": [{"name": "a"}]}));
    let current = pod(json!({"containers": [{"name": "a"}]}));
    let expected = pod(json!({
        "$setElementOrder/containers": [{"name": "a"}],
        "containers": [{"name": "b", "$patch": "delete"}],
    }));
    assert_eq!(three_way(&original, &modified, &current), expected);
}

/// What is live as the file wants it is not sent, however it came to be so: neither the
/// elements nor their order. Of the file's history only deletions count.
#[graded]
fn what_is_live_already_is_not_sent() {
    let list =
        |names: &str| -> Value { names.chars().map(|name| json!({"name": name.to_string()})).collect() };
    for (original, modified) in [("a", "ab"), ("ab", "ba"), ("", "a"), ("", "")] {
        let with = |names: &str| pod(json!({"containers": list(names)}));
        let patch = three_way(&with(original), &with(modified), &with(modified));
        assert_eq!(patch, json!({}), "containers from {original:?} to {modified:?}");
        let set = |names: &str| -> Value { names.chars().map(|name| name.to_string()).collect() };
        let with = |names: &str| json!({"metadata": {"finalizers": set(names)}});
        let patch = three_way(&with(original), &with(modified), &with(modified));
        assert_eq!(patch, json!({}), "finalizers from {original:?} to {modified:?}");
    }
    let with = |list: Value| json!({"metadata": {"finalizers": list}});
    let patch = three_way(&with(json!(["a", "b"])), &with(json!(["b", "c"])), &with(json!(["b", "c"])));
    let expected = json!({"metadata": {
        "$setElementOrder/finalizers": ["b", "c"],
        "$deleteFromPrimitiveList/finalizers": ["a"],
    }});
    assert_eq!(patch, expected);
}

/// A new object under old deletions: both are in the patch.
#[graded]
fn a_new_object_meets_deletions_inside_it() {
    let original = json!({"metadata": {"labels": {"a": "1"}}});
    let modified = json!({"metadata": {"labels": {"b": "2"}}});
    let current = json!({"metadata": {}});
    let expected = json!({"metadata": {"labels": {"a": null, "b": "2"}}});
    assert_eq!(three_way(&original, &modified, &current), expected);
    // Or a value of another kind.
    let modified = json!({"metadata": {"labels": "none"}});
    assert_eq!(three_way(&original, &modified, &current), modified);
}

/// The server filled a union with defaults. When the file changes its kind, `$retainKeys`
/// takes the defaults away, though no file ever named them.
#[graded]
fn defaults_of_a_union_go_with_it() {
    let original = json!({"spec": {"replicas": 1}});
    let modified = json!({"spec": {"replicas": 1, "strategy": {"type": "Recreate"}}});
    let live = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}});
    let current = json!({"spec": {"replicas": 1, "strategy": live}});
    let patch = three_way(&original, &modified, &current);
    assert_eq!(patch, json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}));
    assert_eq!(strategic(&current, &patch, &deployment()), Ok(modified));
}

/// They go even where nothing else changes: the file names the members that it wants, and the
/// server will fill in the rest again. A null is nothing that could go.
#[graded]
fn what_a_union_does_not_name_is_enough_for_a_patch() {
    let strategy = |strategy: Value| json!({"spec": {"strategy": strategy}});
    let file = strategy(json!({"type": "RollingUpdate"}));
    let live = strategy(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}));
    assert_eq!(three_way(&file, &file, &live), strategy(json!({"$retainKeys": ["type"]})));
    let live = strategy(json!({"type": "RollingUpdate", "rollingUpdate": null}));
    assert_eq!(three_way(&file, &file, &live), json!({}));
}

/// A controller's finalizer is not in the file, and must not go because the file has others.
#[graded]
fn a_foreign_finalizer_survives() {
    let with = |list: Value| json!({"metadata": {"finalizers": list}});
    let patch =
        three_way(&with(json!(["a", "b"])), &with(json!(["b", "c"])), &with(json!(["a", "b", "foreign"])));
    let expected = json!({"metadata": {
        "$setElementOrder/finalizers": ["b", "c"],
        "finalizers": ["c"],
        "$deleteFromPrimitiveList/finalizers": ["a"],
    }});
    assert_eq!(patch, expected);
    let result = strategic(&with(json!(["a", "b", "foreign"])), &patch, &deployment());
    assert_eq!(result, Ok(with(json!(["b", "c", "foreign"]))));
}

/// None of the three may be anything but an object.
#[graded]
fn only_objects_can_be_applied() {
    let (object, wrong) = (json!({}), json!([]));
    for (original, modified, current) in
        [(&wrong, &object, &object), (&object, &wrong, &object), (&object, &object, &wrong)]
    {
        let answer = three_way_strategic(original, modified, current, &GroupKind::new("", "Pod"));
        assert_eq!(answer, Err(PatchError::Malformed("invalid JSON document".to_owned())));
    }
    let broken = pod(json!({"containers": [{"image": "x"}]}));
    assert!(three_way_strategic(&broken, &broken, &broken, &deployment()).is_err());
}

/// Whether all of `part` is in `whole`; lists of objects by their name.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => part.iter().all(|part| {
            whole.iter().any(|whole| part.get("name") == whole.get("name") && contains(whole, part))
        }),
        _ => whole == part,
    }
}

proptest! {
    /// After `apply` the file is what is live, in all that it names.
    #[graded]
    fn the_result_has_all_of_the_file(a in any_deployment(), b in any_deployment(), c in any_deployment()) {
        let patch = three_way(&a, &b, &c);
        let result = strategic(&c, &patch, &deployment());
        let result = result.unwrap_or_else(|error| panic!("{error}: {patch} on {c}"));
        prop_assert!(contains(&result, &b), "{} misses some of {}", result, b);
        // And whoever applies the same file again changes nothing.
        prop_assert_eq!(strategic(&result, &three_way(&b, &b, &result), &deployment()), Ok(result));
    }

    /// Where nobody else touched the object, three ways are two.
    #[graded]
    fn alone_in_the_cluster_the_result_is_the_file(original in any_deployment(), modified in any_deployment()) {
        let patch = three_way(&original, &modified, &original);
        prop_assert_eq!(strategic(&original, &patch, &deployment()), Ok(modified.clone()));
        let two_way = strategic_diff(&original, &modified, &deployment()).expect("objects");
        prop_assert_eq!(strategic(&original, &two_way, &deployment()), Ok(modified));
    }

    /// What is in neither file is somebody else's, whatever it is. (Who takes the whole list of
    /// containers out of the file takes it all away, so such a pair of files is not asked.)
    #[graded]
    fn foreign_members_stay(original in any_deployment(), modified in any_deployment(), live in any_deployment()) {
        let lists = |file: &Value| file.pointer("/spec/template/spec/containers").is_some();
        prop_assume!(lists(&modified) || !lists(&original));
        let mut current = live;
        current["status"] = json!({"readyReplicas": 1});
        current["metadata"]["annotations"]["foreign"] = json!("kept");
        let containers = current["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
        let containers: Vec<Value> = containers.into_iter().chain([json!({"name": "injected", "image": "x"})]).collect();
        current["spec"]["template"]["spec"]["containers"] = json!(containers);
        let patch = three_way(&original, &modified, &current);
        let result = strategic(&current, &patch, &deployment()).expect("fits");
        prop_assert_eq!(&result["status"], &current["status"]);
        prop_assert_eq!(&result["metadata"]["annotations"]["foreign"], &json!("kept"));
        let containers = result["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
        prop_assert!(containers.contains(&json!({"name": "injected", "image": "x"})), "{}", result);
    }
}
