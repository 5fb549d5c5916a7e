use crate::common::{any_json, config_map, context, created, deployment, refused, resource};
use crate::heart::meta;
use crate::heart::patches::{PatchType, apply};
use crate::heart::reading::decode_body;
use crate::heart::write::{Context, Part, prepare_update};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

fn patched(kind: &str, how: PatchType, object: &Value, patch: Value) -> Value {
    apply(resource(kind), how, object, &patch).expect("applies")
}

/// The same text means different things as a merge patch and as a strategic one.
#[graded]
fn the_media_type_says_which_patch_it_is() {
    assert_eq!(PatchType::parse("application/json-patch+json"), Ok(PatchType::Json));
    assert_eq!(PatchType::parse("application/merge-patch+json; charset=utf-8"), Ok(PatchType::Merge));
    assert_eq!(PatchType::parse("application/strategic-merge-patch+json"), Ok(PatchType::Strategic));
    assert_eq!(PatchType::parse("application/apply-patch+yaml"), Ok(PatchType::Apply));
    insta::assert_snapshot!(refused(PatchType::parse("application/json")));
}

/// That is the difference for which the strategic patch was made.
#[graded]
fn a_strategic_patch_finds_a_container_by_its_name_and_a_merge_patch_replaces_the_list() {
    let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "side", "image": "side:1" }] } } } });
    let names = |object: &Value| {
        let containers =
            object["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
        containers.iter().map(|c| c["name"].as_str().unwrap_or_default().to_string()).collect::<Vec<_>>()
    };
    let mut both = names(&patched("Deployment", PatchType::Strategic, &deployment(), patch.clone()));
    both.sort();
    assert_eq!(both, ["side", "web"]);
    assert_eq!(names(&patched("Deployment", PatchType::Merge, &deployment(), patch)), ["side"]);
}

/// All operations of a JSON patch, or none.
#[graded]
fn a_test_that_fails_changes_nothing_and_says_so() {
    let patch = json!([
        { "op": "test", "path": "/spec/replicas", "value": 9 },
        { "op": "replace", "path": "/spec/replicas", "value": 2 },
    ]);
    let message = refused(apply(resource("Deployment"), PatchType::Json, &deployment(), &patch));
    assert!(
        message.starts_with("422 Invalid: the server rejected our request due to an error in our request"),
        "{message}"
    );
}

/// 400 is a mistake in the request, 422 one that lies between request and object.
#[graded]
fn what_is_no_patch_is_a_bad_request() {
    let something_else = json!([{ "op": "replace", "path": "", "value": "x" }]);
    for patch in [json!("x"), json!([{ "op": "fly" }]), json!({ "op": "add" }), something_else] {
        let message = refused(apply(resource("Deployment"), PatchType::Json, &deployment(), &patch));
        assert!(message.starts_with("400 BadRequest"), "{patch}: {message}");
    }
}

/// So that a patch can be an optimistic lock too.
#[graded]
fn a_patch_that_names_a_version_is_bound_to_it() {
    let mut old = created("ConfigMap", config_map("c", &[]));
    meta::set_resource_version(&mut old, 8);
    let context = Context { name: Some("c"), ..context("ConfigMap") };
    let write = |patch: Value| {
        let new = patched("ConfigMap", PatchType::Json, &old, patch);
        prepare_update(&context, Part::Main, &old, 8, decode_body(&context, new)?.object)
    };
    let lock = |version: &str| {
        json!([
            { "op": "replace", "path": "/metadata/resourceVersion", "value": version },
            { "op": "add", "path": "/data", "value": { "a": "b" } },
        ])
    };
    assert!(write(lock("8")).is_ok(), "8 is the newest version");
    let message = refused(write(lock("7")));
    assert!(message.starts_with("409 Conflict"), "{message}");
}

/// The idiom of controllers that share an object.
#[graded]
fn a_finalizer_is_added_by_testing_that_there_is_none() {
    let object = created("ConfigMap", config_map("c", &[]));
    let patch = json!([
        { "op": "test", "path": "/metadata/finalizers", "value": null },
        { "op": "add", "path": "/metadata/finalizers", "value": ["example.com/f"] },
    ]);
    let with = patched("ConfigMap", PatchType::Json, &object, patch);
    assert_eq!(meta::finalizers(&with), ["example.com/f"]);
}

proptest! {
    /// Chapter 00's way back is the oracle of the way here.
    #[graded]
    fn the_merge_patch_between_two_objects_makes_the_second_of_the_first(a in any_json(), b in any_json()) {
        let wrap = |inner: Value| {
            let mut object = json!({ "metadata": { "name": "x" }, "spec": inner });
            meta::drop_nulls(&mut object);
            object
        };
        let (a, b) = (wrap(a), wrap(b));
        let patch = objects::patch::json_merge_diff(&a, &b);
        prop_assert_eq!(patched("ConfigMap", PatchType::Merge, &a, patch), b);
    }

    /// A patch comes from anybody who may write.
    #[graded]
    fn no_patch_makes_it_panic(object in any_json(), patch in any_json()) {
        for how in [PatchType::Json, PatchType::Merge, PatchType::Strategic, PatchType::Apply] {
            for kind in ["Pod", "Deployment", "Service"] {
                let _ = apply(resource(kind), how, &object, &patch);
            }
        }
    }
}
