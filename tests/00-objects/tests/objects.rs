//! The grading suite of chapter 00. Each module judges one step.

#[path = "objects/step_10_strategic_diff.rs"]
mod step_10_strategic_diff;
#[path = "objects/step_11_three_way_apply.rs"]
mod step_11_three_way_apply;
#[path = "objects/step_12_apply.rs"]
mod step_12_apply;
#[path = "objects/step_1_quantities.rs"]
mod step_1_quantities;
#[path = "objects/step_2_canonical_form.rs"]
mod step_2_canonical_form;
#[path = "objects/step_3_labels_match.rs"]
mod step_3_labels_match;
#[path = "objects/step_4_label_selectors.rs"]
mod step_4_label_selectors;
#[path = "objects/step_5_field_selectors.rs"]
mod step_5_field_selectors;
#[path = "objects/step_6_merge_patch.rs"]
mod step_6_merge_patch;
#[path = "objects/step_7_json_patch.rs"]
mod step_7_json_patch;
#[path = "objects/step_8_strategic_objects.rs"]
mod step_8_strategic_objects;
#[path = "objects/step_9_strategic_lists.rs"]
mod step_9_strategic_lists;

#[path = "objects/given.rs"]
mod given;
#[path = "objects/kubectl.rs"]
mod kubectl;

/// JSON values that look like parts of objects: small, nested, few names, so that two of
/// them often meet.
fn any_json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
    use proptest::prelude::*;
    use serde_json::Value;
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..4i64).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn deployment() -> heart::patch::GroupKind {
    heart::patch::GroupKind::new("apps", "Deployment")
}

/// A Deployment in which every kind of field can differ: plain members, a union, lists by key
/// in lists by key, a list without a key, a set. Each list holds a key once.
fn any_deployment() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    let named = |element: BoxedStrategy<Value>| {
        prop::collection::btree_map("[a-d]", element, 0..4)
            .prop_map(|elements| elements.into_iter().collect::<Vec<_>>())
            .prop_shuffle()
            .prop_map(|elements| {
                let name = |(name, mut element): (String, Value)| {
                    element["name"] = json!(name);
                    element
                };
                Value::from(elements.into_iter().map(name).collect::<Vec<Value>>())
            })
    };
    let variable = prop::sample::select(vec![json!({"value": "1"}), json!({"value": "2"}), json!({})]);
    let container = (
        prop::option::of("[xy]"),
        prop::option::of(named(variable.boxed())),
        prop::option::of(prop::collection::vec("[pq]", 0..3)),
    );
    let container = container
        .prop_map(|(image, env, args)| without_nulls(json!({"image": image, "env": env, "args": args})));
    let volume = prop::sample::select(vec![
        json!({"emptyDir": {}}),
        json!({"emptyDir": {"medium": "Memory"}}),
        json!({"hostPath": {"path": "/x"}}),
    ]);
    let strategy = prop::sample::select(vec![
        Value::Null,
        json!({"type": "Recreate"}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
        json!({"type": "RollingUpdate"}),
    ]);
    let labels = prop::collection::btree_map("[a-c]", "[1-2]", 0..3);
    let finalizers = prop::collection::btree_set("[a-d]", 0..4)
        .prop_map(|set| set.into_iter().collect::<Vec<_>>())
        .prop_shuffle();
    (
        (labels, prop::option::of(finalizers), prop::option::of(0..3i64), strategy),
        (prop::option::of(named(container.boxed())), prop::option::of(named(volume.boxed()))),
    )
        .prop_map(|((labels, finalizers, replicas, strategy), (containers, volumes))| {
            without_nulls(json!({
                "metadata": {"labels": labels, "finalizers": finalizers},
                "spec": {
                    "replicas": replicas,
                    "strategy": strategy,
                    "template": {"spec": {"containers": containers, "volumes": volumes}},
                },
            }))
        })
}

fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        other => other,
    }
}

#[cfg(feature = "lab")]
use objects_lab as heart;
#[cfg(not(feature = "lab"))]
use objects_solution as heart;
