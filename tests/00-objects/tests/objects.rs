//! The grading suite of chapter 00. Each module judges one step.

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

#[cfg(feature = "lab")]
use objects_lab as heart;
#[cfg(not(feature = "lab"))]
use objects_solution as heart;
