use crate::heart::patch::{GroupKind, PatchError, strategic};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn pod() -> GroupKind {
    GroupKind::new("", "Pod")
}

fn patched(document: Value, patch: Value, kind: &GroupKind) -> Value {
    strategic(&document, &patch, kind).expect("the patch fits")
}

fn containers(list: Value) -> Value {
    json!({"spec": {"containers": list}})
}

/// `kubectl set image` names one container, and must not lose the sidecar beside it.
#[graded]
fn kubectl_set_image_changes_one_container_and_its_template_only() {
    let document = json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [
        {"name": "web", "image": "nginx:1.7.9", "ports": [{"containerPort": 80}]},
        {"name": "log", "image": "busybox:1"},
    ]}}}});
    let patch = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "web"}, {"name": "log"}],
        "containers": [{"name": "web", "image": "nginx:1.9.1"}],
    }}}});
    insta::assert_json_snapshot!(patched(document, patch, &GroupKind::new("apps", "Deployment")));
}

/// Containers meet by name, and inside them environment variables do; arguments have no key.
#[graded]
fn elements_meet_by_their_key_and_lists_inside_them_too() {
    let document = containers(json!([
        {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
        {"name": "b", "args": ["1", "2"]},
    ]));
    let patch = containers(json!([
        {"name": "b", "args": ["3"]},
        {"name": "a", "env": [{"name": "Y", "value": null, "valueFrom": {"fieldRef": {}}}, {"name": "Z", "value": "3"}]},
        {"name": "c", "image": "new"},
    ]));
    insta::assert_json_snapshot!(patched(document, patch, &pod()));
}

/// Leaving an element out means nothing, so taking one away needs a word. What is not there is
/// already away.
#[graded]
fn patch_delete_removes_one_element() {
    let document = containers(json!([{"name": "a"}, {"name": "b"}]));
    let patch = containers(json!([{"name": "a", "$patch": "delete"}, {"name": "z", "$patch": "delete"}]));
    assert_eq!(patched(document, patch, &pod()), containers(json!([{"name": "b"}])));
}

/// The way to say that the list is all of it.
#[graded]
fn patch_replace_takes_the_other_elements_for_the_whole_list() {
    let document = containers(json!([{"name": "a"}, {"name": "b"}]));
    let patch = containers(json!([{"$patch": "replace"}, {"name": "c"}]));
    assert_eq!(patched(document.clone(), patch, &pod()), containers(json!([{"name": "c"}])));
    let empty = containers(json!([{"$patch": "replace"}]));
    assert_eq!(patched(document.clone(), empty, &pod()), containers(json!([])));
    let both = containers(json!([{"name": "a", "$patch": "delete"}, {"name": "c"}, {"$patch": "replace"}]));
    assert_eq!(patched(document, both, &pod()), containers(json!([{"name": "c"}])));
}

/// A volume is a union: with an emptyDir and a hostPath at once it would be neither.
#[graded]
fn retain_keys_lets_a_volume_change_its_source() {
    let document = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}});
    let patch = json!({"spec": {"volumes": [
        {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}},
    ]}});
    let expected = json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}});
    assert_eq!(patched(document, patch, &pod()), expected);
}

/// Without its key nobody knows which element is meant.
#[graded]
fn an_element_without_its_key_is_a_bad_request() {
    let error = |list: Value| match strategic(&containers(json!([{"name": "a"}])), &containers(list), &pod())
    {
        Err(PatchError::Malformed(why)) => why,
        other => panic!("an error, not {other:?}"),
    };
    let no_key = "does not contain declared merge key: name";
    assert_eq!(error(json!([{"image": "x"}])), format!("map: map[image:x] {no_key}"));
    assert_eq!(error(json!([{"$patch": "delete"}])), format!("map: map[$patch:delete] {no_key}"));
    assert_eq!(error(json!([{"name": "b"}, {}])), format!("map: map[] {no_key}"));
    assert_eq!(error(json!(["a"])), "list element types are not identical: [[map[name:a]] [a]]");
    assert_eq!(
        error(json!([{"name": "a", "$patch": "merge"}])),
        "merging lists cannot yet be specified in the patch"
    );
    assert_eq!(
        error(json!([{"name": "a", "$patch": "x"}])),
        "unknown patch type: x in map: map[$patch:x name:a]"
    );
}

/// Two people who change one container each do not disagree about the list. Errors inside an
/// element are errors of the patch.
#[graded]
fn what_is_wrong_inside_an_element_is_wrong() {
    let patch = containers(json!([{"name": "a", "ports": [{"name": "http"}]}]));
    let document = containers(json!([{"name": "a", "ports": [{"containerPort": 80}]}]));
    let answer = strategic(&document, &patch, &pod());
    let why = "map: map[name:http] does not contain declared merge key: containerPort";
    assert_eq!(answer, Err(PatchError::Malformed(why.to_owned())));
}

/// An author who moves a container in the file sees it move, and what an admission plugin put
/// in between (`injected`, which the author never had) stays.
#[graded]
fn set_element_order_puts_named_elements_in_order_and_keeps_the_servers_own() {
    let document = containers(json!([{"name": "a"}, {"name": "injected"}, {"name": "b"}]));
    let patch = json!({"spec": {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
        "containers": [{"name": "c"}],
    }});
    assert_eq!(
        patched(document, patch, &pod()),
        containers(json!([{"name": "c"}, {"name": "injected"}, {"name": "b"}, {"name": "a"}])),
    );
}

/// New elements come where the patch has them, before the old ones that it does not name: a
/// surprise, and upstream's.
#[graded]
fn without_an_order_new_elements_come_first() {
    let document = containers(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]));
    let order = |patch: Value| names(&patched(document.clone(), containers(patch), &pod())).concat();
    assert_eq!(order(json!([{"name": "z"}])), "zabc");
    assert_eq!(order(json!([{"name": "b"}, {"name": "z"}])), "abzc");
    assert_eq!(order(json!([{"name": "c"}, {"name": "a"}])), "bca");
    assert_eq!(order(json!([{"name": "z"}, {"name": "b"}])), "zabc");
    assert_eq!(order(json!([{"name": "b", "$patch": "delete"}, {"name": "z"}])), "zac");
    assert_eq!(order(json!([{"name": "z"}, {"name": "z", "image": "x"}])), "zabc");
}

/// An order that does not fit the patch's own list is a mistake of its author.
#[graded]
fn an_order_must_fit_its_list() {
    let document = containers(json!([{"name": "a"}, {"name": "b"}]));
    let with = |order: Value, list: Value| {
        strategic(
            &document,
            &json!({"spec": {"$setElementOrder/containers": order, "containers": list}}),
            &pod(),
        )
    };
    let wrong = with(json!([{"name": "b"}, {"name": "a"}]), json!([{"name": "a"}, {"name": "b"}]));
    let Err(PatchError::Malformed(why)) = wrong else { panic!("an error, not {wrong:?}") };
    assert_eq!(
        why,
        "The order in patch list:\n[map[name:a] map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:b] map[name:a]]\n"
    );
    assert!(with(json!([{"name": "b"}]), json!([{"name": "c"}])).is_err(), "c has no place in the order");
    // An element that goes has no place in it either, and needs none.
    let gone = with(json!([{"name": "b"}]), json!([{"name": "b"}, {"name": "a", "$patch": "delete"}]));
    assert_eq!(names(&gone.expect("fits")), ["b"]);
    assert!(with(json!([]), json!([{"name": "c"}])).is_ok(), "an empty order says nothing");
}

/// The keys are upstream's struct tags. A test beside the graded ones asks kubectl for them.
#[graded]
fn each_list_has_the_key_of_its_upstream_type() {
    let cases = [
        ("", "Service", "/spec/ports", "port"),
        ("", "Node", "/status/conditions", "type"),
        ("", "Node", "/status/addresses", "type"),
        ("", "Pod", "/status/conditions", "type"),
        ("", "Pod", "/status/podIPs", "ip"),
        ("", "Pod", "/spec/imagePullSecrets", "name"),
        ("", "Pod", "/spec/hostAliases", "ip"),
        ("", "Pod", "/spec/ephemeralContainers", "name"),
        ("", "Pod", "/spec/topologySpreadConstraints", "topologyKey"),
        ("", "Pod", "/metadata/ownerReferences", "uid"),
        ("", "ServiceAccount", "/secrets", "name"),
        ("apps", "Deployment", "/status/conditions", "type"),
        ("apps", "StatefulSet", "/spec/template/spec/initContainers", "name"),
        ("batch", "CronJob", "/spec/jobTemplate/spec/template/spec/volumes", "name"),
        ("batch", "Job", "/spec/template/metadata/ownerReferences", "uid"),
        ("storage.k8s.io", "CSINode", "/spec/drivers", "name"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "/spec/variables", "name"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "/webhooks", "name"),
        ("policy", "PodDisruptionBudget", "/status/conditions", "type"),
        ("", "PodTemplate", "/template/spec/containers", "name"),
        ("", "Namespace", "/status/conditions", "type"),
    ];
    let at = |path: &str, value: Value| {
        path.rsplit('/').filter(|name| !name.is_empty()).fold(value, |inner, name| json!({name: inner}))
    };
    for (group, kind, path, key) in cases {
        let document = at(path, json!([{key: "1", "kept": true}, {key: "2"}]));
        let patch = at(path, json!([{key: "1", "new": true}]));
        let expected = at(path, json!([{key: "1", "kept": true, "new": true}, {key: "2"}]));
        assert_eq!(patched(document, patch, &GroupKind::new(group, kind)), expected, "{kind} {path}");
    }
}

/// Nothing inside them tells one from another, so a patch cannot mean one of them.
#[graded]
fn tolerations_taints_and_arguments_are_replaced_whole() {
    for (kind, field) in [("Pod", "tolerations"), ("Node", "taints"), ("Pod", "readinessGates")] {
        let document = json!({"spec": {field: [{"key": "a"}, {"key": "b"}]}});
        let patch = json!({"spec": {field: [{"key": "c"}]}});
        assert_eq!(patched(document, patch.clone(), &GroupKind::new("", kind)), patch, "{kind} {field}");
    }
}

/// Container lists with distinct names and a number each.
fn any_list() -> impl Strategy<Value = Vec<(String, i64)>> {
    prop::collection::btree_map("[a-e]", 0..3i64, 0..5)
        .prop_map(|map| map.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

fn elements(list: &[(String, i64)]) -> Value {
    list.iter().map(|(name, n)| json!({"name": name, "n": n})).collect()
}

fn names(document: &Value) -> Vec<String> {
    let list = document["spec"]["containers"].as_array().cloned().unwrap_or_default();
    list.iter().map(|element| element["name"].as_str().expect("a name").to_owned()).collect()
}

proptest! {
    /// The second oracle: the list as the map that it is.
    #[graded]
    fn elements_are_those_of_a_map_by_key(live in any_list(), changes in any_list(), doomed in any_list()) {
        let mut model: BTreeMap<String, i64> = live.iter().cloned().collect();
        model.extend(changes.iter().cloned());
        let doomed: Vec<_> = doomed.iter().filter(|(name, _)| !changes.iter().any(|(other, _)| other == name)).collect();
        let mut patch = elements(&changes);
        for (name, _) in &doomed {
            model.remove(name);
            patch.as_array_mut().expect("a list").push(json!({"name": name, "$patch": "delete"}));
        }
        let result = patched(containers(elements(&live)), containers(patch.clone()), &pod());
        let list = result["spec"]["containers"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(list.len(), model.len(), "no element twice: {}", result);
        for element in &list {
            prop_assert_eq!(element["n"].as_i64(), model.get(element["name"].as_str().expect("a name")).copied());
        }
        let again = patched(result.clone(), containers(patch), &pod());
        prop_assert_eq!(again, result, "the same patch again changes nothing");
    }

    /// Both the author and the server keep the order of what is theirs.
    #[graded]
    fn named_elements_stand_in_the_patchs_order_and_the_others_in_their_own(live in any_list(), order in any_list()) {
        let order: Vec<String> = order.into_iter().map(|(name, _)| name).filter(|name| live.iter().any(|(other, _)| other == name)).collect();
        let keys: Vec<Value> = order.iter().map(|name| json!({"name": name})).collect();
        let document = containers(elements(&live));
        let result = names(&patched(document.clone(), json!({"spec": {"$setElementOrder/containers": keys}}), &pod()));
        let (named, others): (Vec<String>, Vec<String>) = result.into_iter().partition(|name| order.contains(name));
        prop_assert_eq!(named, order.clone());
        let before: Vec<String> = names(&document).into_iter().filter(|name| !order.contains(name)).collect();
        prop_assert_eq!(others, before);
    }
}
