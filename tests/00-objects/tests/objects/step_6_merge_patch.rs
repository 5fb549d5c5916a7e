use crate::any_json;
use crate::heart::patch::{json_merge, json_merge_diff};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

fn merged(document: &Value, patch: &Value) -> Value {
    json_merge(document, patch).expect("a merge patch fits every document")
}

/// RFC 7386, appendix A: what every client of every server expects of this dialect.
#[graded]
fn the_table_of_the_rfc_holds() {
    let cases = [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a":"b"}), json!(["c"]), json!(["c"])),
        (json!({"a":"foo"}), json!(null), json!(null)),
        (json!({"a":"foo"}), json!("bar"), json!("bar")),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
        (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        // A list is replaced as it stands, nulls and all.
        (json!({"a":[1]}), json!({"a":[{"b":null}]}), json!({"a":[{"b":null}]})),
        (json!({"a":{"b":1}}), json!({"a":{}}), json!({"a":{"b":1}})),
    ];
    for (document, patch, expected) in cases {
        assert_eq!(merged(&document, &patch), expected, "{patch} on {document}");
    }
}

/// `kubectl get -o yaml` shows an object as its author wrote it: invariant 6.
#[graded]
fn members_keep_their_order() {
    let document = json!({"kind": "x", "apiVersion": "v1", "metadata": {}, "data": {}});
    let patched = merged(&document, &json!({"apiVersion": null, "kind": "y", "new": 1}));
    assert_eq!(patched.to_string(), r#"{"kind":"y","metadata":{},"data":{},"new":1}"#);
}

/// Two people who change two members must not undo each other, so a patch names no third.
#[graded]
fn a_diff_names_only_what_changed() {
    let from = json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1], "f": 1});
    let to = json!({"a": 1, "b": {"c": 1, "d": 3}, "e": [1, 2], "g": {}});
    assert_eq!(json_merge_diff(&from, &to), json!({"b": {"d": 3}, "e": [1, 2], "g": {}, "f": null}));
    assert_eq!(json_merge_diff(&json!({"a": {"b": 1}}), &json!({"a": 1})), json!({"a": 1}));
    assert_eq!(json_merge_diff(&json!({"a": 1}), &json!({"a": {"b": 1}})), json!({"a": {"b": 1}}));
    assert_eq!(json_merge_diff(&json!([1]), &json!({})), json!({}));
}

proptest! {
    /// What a diff is for. (A document with a null inside an object cannot be reached so.)
    #[graded]
    fn applying_the_diff_leads_to_the_target(from in any_json(), to in any_json()) {
        prop_assert_eq!(merged(&from, &json_merge_diff(&from, &to)), to);
    }

    /// Invariant 7: a client whose connection broke sends its patch again.
    #[graded]
    fn applying_a_patch_twice_changes_nothing_more(document in any_json(), from in any_json(), to in any_json()) {
        // A diff between any two is a patch with nulls in it.
        let patch = json_merge_diff(&from, &to);
        let once = merged(&document, &patch);
        prop_assert_eq!(merged(&once, &patch), once);
    }

    /// An empty patch is one that need not be sent: kubectl says `unchanged`.
    #[graded]
    fn nothing_changed_makes_an_empty_patch(document in prop::collection::btree_map("[a-d]", any_json(), 0..4)) {
        let document = json!(document);
        prop_assert_eq!(json_merge_diff(&document, &document), json!({}));
    }
}
