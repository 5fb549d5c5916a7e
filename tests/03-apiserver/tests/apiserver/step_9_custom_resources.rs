use crate::common::{any_json, now};
use crate::heart::custom::{self, Column, Scale, Schema};
use crate::heart::fields::Errors;
use graded::graded;
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What is wrong, one line an error, as a user reads it.
fn errors(errors: Errors) -> String {
    let pod = resources::by_kind("", "v1", "Pod").expect("a kind");
    let causes = match errors.into_result(pod, "x") {
        Ok(()) => return "ok\n".into(),
        Err(error) => error.details.map(|d| d.causes).unwrap_or_default(),
    };
    causes.iter().map(|c| format!("{}: {} [{}]\n", c.field, c.message, c.reason)).collect()
}

fn structural(schema: Value) -> String {
    let mut found = Errors::default();
    custom::check_structural(&Schema::parse(&schema), "schema", &mut found);
    errors(found)
}

fn validated(schema: &Value, object: Value, old: Option<Value>) -> String {
    let mut found = Errors::default();
    custom::validate(&object, &Schema::parse(schema), old.as_ref(), &mut found);
    errors(found)
}

fn pruned(schema: &Value, mut object: Value) -> (Value, Vec<String>) {
    let dropped = custom::prune(&mut object, &Schema::parse(schema));
    (object, dropped)
}

fn defaulted(schema: &Value, mut object: Value) -> Value {
    custom::apply_defaults(&mut object, &Schema::parse(schema));
    object
}

/// A schema of this object, of the fields `spec` and what is given.
fn spec(spec: Value) -> Value {
    json!({ "type": "object", "properties": { "spec": spec } })
}

/// What the schema does not know goes, and a strict client is told where it was.
#[graded]
fn what_is_not_in_the_schema_goes() {
    let schema = spec(json!({
        "type": "object",
        "properties": {
            "replicas": { "type": "integer" },
            "list": { "type": "array", "items": { "type": "object", "properties": { "a": { "type": "string" } } } },
            "map": { "type": "object", "additionalProperties": { "type": "object", "properties": { "a": {} } } },
        },
    }));
    let object = json!({
        "apiVersion": "example.com/v1", "kind": "Tab", "metadata": { "name": "x", "labels": { "a": "b" } },
        "spec": {
            "replicas": 1,
            "foo": { "bar": 1 },
            "list": [{ "a": "1" }, { "a": "2", "b": "3" }],
            "map": { "any": { "a": 1, "b": 2 } },
        },
        "other": 1,
    });
    let (kept, dropped) = pruned(&schema, object);
    assert_eq!(
        kept,
        json!({
            "apiVersion": "example.com/v1", "kind": "Tab", "metadata": { "name": "x", "labels": { "a": "b" } },
            "spec": {
                "replicas": 1, "list": [{ "a": "1" }, { "a": "2" }], "map": { "any": { "a": 1 } },
            },
        })
    );
    assert_eq!(dropped, ["spec.foo", "spec.list[1].b", "spec.map.any.b", "other"]);
}

/// The three fields of a resource are the root's, and an embedded resource's; nobody else's.
#[graded]
fn only_a_resource_keeps_the_fields_of_one() {
    let embedded =
        json!({ "type": "object", "x-kubernetes-embedded-resource": true, "properties": { "data": {} } });
    let schema = json!({
        "type": "object",
        "properties": {
            "plain": { "type": "object", "properties": { "data": {} } },
            "one": embedded,
            "many": { "type": "array", "items": embedded },
        },
    });
    let inner =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x" }, "data": 1, "more": 2 });
    let (kept, dropped) =
        pruned(&schema, json!({ "kind": "Tab", "plain": inner, "one": inner, "many": [inner] }));
    let resource = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x" }, "data": 1 });
    assert_eq!(kept, json!({ "kind": "Tab", "plain": { "data": 1 }, "one": resource, "many": [resource] }));
    assert_eq!(
        dropped,
        ["plain.apiVersion", "plain.kind", "plain.metadata", "plain.more", "one.more", "many[0].more"]
    );
}

/// A value that is no resource, such as a default, keeps none of the three.
#[graded]
fn a_default_is_no_resource() {
    let schema = Schema::parse(&json!({ "type": "object", "properties": { "a": {} } }));
    let mut value = json!({ "a": 1, "kind": "Tab" });
    assert_eq!(custom::prune_value(&mut value, &schema), ["kind"]);
    assert_eq!(value, json!({ "a": 1 }));
}

/// Unknown fields may be preserved: from there on down, but for what has a schema of its own.
#[graded]
fn what_is_preserved_stays_as_it_is() {
    let schema = json!({
        "type": "object",
        "properties": {
            "free": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": { "known": { "type": "object", "properties": { "a": {} } } },
            },
            "list": { "x-kubernetes-preserve-unknown-fields": true },
            "bare": { "type": "array", "items": { "type": "object" } },
        },
    });
    let object = json!({
        "free": { "any": { "thing": [{ "b": 1 }] }, "known": { "a": 1, "b": 2 } },
        "list": [{ "a": 1 }],
        "bare": [{ "a": 1 }],
    });
    let (kept, dropped) = pruned(&schema, object);
    assert_eq!(
        kept,
        json!({
            "free": { "any": { "thing": [{ "b": 1 }] }, "known": { "a": 1 } },
            "list": [{ "a": 1 }],
            "bare": [{}],
        })
    );
    assert_eq!(dropped, ["free.known.b", "bare[0].a"]);
    // Nothing is known of what has no schema at all.
    let (kept, _) =
        pruned(&json!({ "type": "object", "properties": { "l": {} } }), json!({ "l": [{ "a": 1 }] }));
    assert_eq!(kept, json!({ "l": [{}] }));
    let open = json!({ "type": "object", "properties": { "m": { "type": "object", "additionalProperties": true } } });
    let (kept, _) = pruned(&open, json!({ "m": { "a": "text", "b": { "c": 1 } } }));
    assert_eq!(kept, json!({ "m": { "a": "text", "b": {} } }));
}

/// A default is filled in where its parent is, and looked into.
#[graded]
fn what_was_left_unsaid_is_filled_in() {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "replicas": { "type": "integer", "default": 3 },
                    "policy": {
                        "type": "object", "default": {},
                        "properties": { "kind": { "type": "string", "default": "Always" } },
                    },
                    "said": { "type": "boolean", "default": true },
                },
            },
            "ports": {
                "type": "array",
                "items": { "type": "object", "properties": { "protocol": { "type": "string", "default": "TCP" } } },
            },
            "map": {
                "type": "object",
                "additionalProperties": { "type": "object", "properties": { "on": { "type": "boolean", "default": false } } },
            },
        },
    });
    assert_eq!(defaulted(&schema, json!({})), json!({}), "no parent, no default");
    assert_eq!(
        defaulted(
            &schema,
            json!({ "spec": { "said": false }, "ports": [{}, { "protocol": "UDP" }, 5], "map": { "a": {}, "b": { "on": true } } })
        ),
        json!({
            "spec": { "replicas": 3, "policy": { "kind": "Always" }, "said": false },
            "ports": [{ "protocol": "TCP" }, { "protocol": "UDP" }, 5],
            "map": { "a": { "on": false }, "b": { "on": true } },
        })
    );
}

/// A null that the schema does not allow says nothing: the default comes, or the field goes.
#[graded]
fn a_null_is_a_value_only_where_the_schema_says_so() {
    let schema = json!({
        "type": "object",
        "properties": {
            "plain": { "type": "string" },
            "filled": { "type": "string", "default": "x" },
            "nullable": { "type": "string", "nullable": true },
            "kept": { "type": "string", "nullable": true, "default": "x" },
            "list": { "type": "array", "items": { "type": "string", "default": "i" } },
            "bare": { "type": "array", "items": { "type": "string" } },
            "map": { "type": "object", "additionalProperties": { "type": "string", "default": "v" } },
            "drops": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    });
    let object = json!({
        "plain": null, "filled": null, "nullable": null, "kept": null, "unknown": null,
        "list": [null, "a"], "bare": [null], "map": { "a": null }, "drops": { "a": null, "b": "c" },
    });
    assert_eq!(
        defaulted(&schema, object),
        json!({
            "filled": "x", "nullable": null, "kept": null, "unknown": null,
            "list": ["i", "a"], "bare": [null], "map": { "a": "v" }, "drops": { "b": "c" },
        })
    );
}

/// Every field has a type, outside of any condition.
#[graded]
fn a_schema_says_of_every_field_what_it_is() {
    let mut out = String::new();
    for schema in [
        json!({}),
        json!({ "type": "string" }),
        json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        json!({ "x-kubernetes-preserve-unknown-fields": true }),
        spec(json!({})),
        spec(json!({ "type": "array" })),
        spec(json!({ "type": "array", "items": {} })),
        spec(json!({ "type": "object", "additionalProperties": {} })),
        spec(json!({ "x-kubernetes-int-or-string": true })),
        spec(json!({ "x-kubernetes-preserve-unknown-fields": true })),
        spec(json!({ "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true })),
        spec(
            json!({ "x-kubernetes-embedded-resource": true, "type": "string", "properties": { "a": { "type": "string" } } }),
        ),
        spec(json!({ "x-kubernetes-embedded-resource": true, "type": "object" })),
        spec(
            json!({ "x-kubernetes-embedded-resource": true, "type": "object", "properties": { "a": { "type": "string" } } }),
        ),
        spec(
            json!({ "x-kubernetes-embedded-resource": true, "type": "object", "additionalProperties": { "type": "string" } }),
        ),
        spec(json!({ "x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true })),
        spec(
            json!({ "x-kubernetes-int-or-string": true, "x-kubernetes-embedded-resource": true, "type": "object", "properties": { "a": { "type": "string" } } }),
        ),
    ] {
        out += &format!("{schema}\n{}\n", structural(schema.clone()));
    }
    insta::assert_snapshot!(out);
}

/// What a resource always has is the server's; conditions restrict and say nothing new.
#[graded]
fn conditions_speak_of_what_is_there() {
    let mut out = String::new();
    let string = json!({ "type": "string" });
    for schema in [
        json!({ "type": "object", "properties": { "kind": { "type": "integer" }, "apiVersion": {}, "metadata": { "type": "string" } } }),
        json!({ "type": "object", "properties": { "metadata": { "type": "object", "properties": { "name": { "type": "string", "maxLength": 5 } } } } }),
        json!({ "type": "object", "properties": { "metadata": { "type": "object", "properties": { "labels": { "type": "object" } } } } }),
        spec(
            json!({ "type": "object", "properties": { "a": string }, "allOf": [{ "properties": { "a": { "pattern": "^a" } } }, { "required": ["a"] }] }),
        ),
        spec(
            json!({ "type": "object", "properties": { "a": string }, "anyOf": [{ "properties": { "b": { "pattern": "^a" } } }] }),
        ),
        spec(
            json!({ "type": "object", "properties": { "a": string }, "oneOf": [{ "properties": { "a": { "type": "string" } } }] }),
        ),
        spec(json!({ "type": "array", "items": string, "not": { "items": { "enum": ["a"] } } })),
        spec(
            json!({ "type": "string", "not": { "items": { "enum": ["a"] }, "anyOf": [{ "items": { "not": { "properties": { "deep": {} } } } }] } }),
        ),
        spec(
            json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
        ),
        spec(
            json!({ "x-kubernetes-int-or-string": true, "allOf": [{ "anyOf": [{ "type": "integer" }, { "type": "string" }] }, { "pattern": "^a" }] }),
        ),
        spec(
            json!({ "x-kubernetes-int-or-string": true, "allOf": [{ "pattern": "^a" }, { "anyOf": [{ "type": "integer" }, { "type": "string" }] }] }),
        ),
        spec(json!({ "type": "object", "allOf": [{
            "additionalProperties": true, "default": {}, "title": "t", "description": "d", "nullable": true,
            "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-embedded-resource": true,
            "x-kubernetes-int-or-string": true, "x-kubernetes-list-map-keys": ["a"], "x-kubernetes-list-type": "set",
            "x-kubernetes-map-type": "atomic", "x-kubernetes-validations": [{ "rule": "true" }],
            "properties": { "metadata": {} },
        }] })),
        spec(json!({ "type": "string", "pattern": "(" })),
        spec(
            json!({ "type": "object", "additionalProperties": { "type": "object", "anyOf": [{ "properties": { "x": {} } }] } }),
        ),
    ] {
        out += &format!("{schema}\n{}\n", structural(schema.clone()));
    }
    insta::assert_snapshot!(out);
}

/// Types first: the pairs that fit although they differ, and the message of those that do not.
#[graded]
fn a_value_is_of_the_type_that_its_schema_wants() {
    let values =
        [json!(null), json!(true), json!("a"), json!(1), json!(1.5), json!(2.0), json!([]), json!({})];
    let mut out = String::new();
    for schema in [
        json!({}),
        json!({ "type": "string" }),
        json!({ "type": "string", "nullable": true }),
        json!({ "type": "integer" }),
        json!({ "type": "number" }),
        json!({ "type": "boolean" }),
        json!({ "type": "array", "items": {} }),
        json!({ "type": "object" }),
        json!({ "x-kubernetes-int-or-string": true }),
    ] {
        out += &format!("{schema}\n");
        for value in &values {
            out +=
                &format!("  {value}: {}", validated(&spec(schema.clone()), json!({ "spec": value }), None));
        }
    }
    insta::assert_snapshot!(out);
}

/// How many keys, which of them, and each by its own schema.
#[graded]
fn an_object_has_the_keys_that_it_needs() {
    let mut out = String::new();
    let bounded = json!({ "type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": { "type": "string" } });
    for object in
        [json!({}), json!({ "a": "1" }), json!({ "a": 1, "b": "2" }), json!({ "a": 1, "b": 2, "c": 3 })]
    {
        out += &format!("{object}: {}", validated(&spec(bounded.clone()), json!({ "spec": object }), None));
    }
    let required = json!({
        "type": "object", "required": ["a", "b"],
        "properties": { "a": { "type": "string" }, "b": {}, "c": { "type": "object", "required": ["d"] } },
    });
    for object in [
        json!({}),
        json!({ "a": 1 }),
        json!({ "a": "1", "b": null }),
        json!({ "a": "1", "b": 2, "c": {}, "z": 1 }),
    ] {
        out += &format!("{object}: {}", validated(&spec(required.clone()), json!({ "spec": object }), None));
    }
    let root = json!({ "type": "object", "required": ["spec"], "minProperties": 1 });
    out += &validated(&root, json!({ "kind": "Tab" }), None);
    out += &validated(&root, json!({}), None);
    insta::assert_snapshot!(out);
}

/// A part that is as it was is not complained about: objects may be older than rules (KEP-4008).
#[graded]
fn only_what_changed_is_held_against_the_schema() {
    let item = json!({
        "type": "object", "properties": { "name": { "type": "string" }, "size": { "type": "integer", "maximum": 5 } },
    });
    let keyed = json!({ "type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] });
    let schema = json!({
        "type": "object",
        "properties": {
            "a": { "type": "integer", "maximum": 5 },
            "b": { "type": "integer" },
            "o": { "type": "object", "required": ["x"], "properties": { "y": { "type": "integer" } } },
            "keyed": keyed,
            "plain": { "type": "array", "items": item },
        },
    });
    let old = json!({
        "a": 9, "b": 1, "o": { "y": 1 }, "keyed": [{ "name": "k", "size": 9 }], "plain": [{ "name": "k", "size": 9 }],
    });
    let with = |key: &str, value: Value| {
        let mut new = old.clone();
        new[key] = value;
        new
    };
    let mut out = String::new();
    for new in [
        with("b", json!(2)),
        with("a", json!(8)),
        with("b", json!("text")),
        with("o", json!({ "y": 2 })),
        with("keyed", json!([{ "name": "new", "size": 1 }, { "name": "k", "size": 9 }])),
        with("keyed", json!([{ "name": "k", "size": 8 }, { "name": "new", "size": 7 }])),
        with("plain", json!([{ "name": "new", "size": 1 }, { "name": "k", "size": 9 }])),
    ] {
        out += &format!("{new}\n{}\n", validated(&schema, new.clone(), Some(old.clone())));
    }
    insta::assert_snapshot!(out);
}

/// A value in a column of each type.
#[graded]
fn a_column_shows_what_fits_its_type() {
    let values = [
        json!(null),
        json!(true),
        json!("text"),
        json!("2026-01-02T03:00:00Z"),
        json!(7),
        json!(7.9),
        json!(-7.9),
        json!(["a", 1]),
        json!({ "a": 1 }),
    ];
    let mut out = String::new();
    for kind in ["integer", "number", "boolean", "string", "date", "other"] {
        let column = &Column::parse_all(&[json!({ "name": "C", "type": kind, "jsonPath": ".v" })])[0];
        for value in &values {
            out += &format!("{kind} {value}: {}\n", column.cell(&json!({ "v": value }), now()));
        }
    }
    insta::assert_snapshot!(out);
}

/// The value goes where the path says, and nothing else changes.
#[graded]
fn a_value_is_put_where_its_path_leads() {
    let path = ["spec", "size", "count"].map(String::from);
    for (before, after) in [
        (
            json!({ "spec": { "size": { "count": 1, "unit": "x" } }, "k": 1 }),
            json!({ "spec": { "size": { "count": 5, "unit": "x" } }, "k": 1 }),
        ),
        (json!({ "k": 1 }), json!({ "k": 1, "spec": { "size": { "count": 5 } } })),
        (json!({ "spec": null }), json!({ "spec": { "size": { "count": 5 } } })),
        (json!({ "spec": { "size": "small" } }), json!({ "spec": { "size": { "count": 5 } } })),
    ] {
        let mut object = before;
        custom::put(&mut object, &path, json!(5));
        assert_eq!(object, after);
    }
    let scale = Scale::parse(&json!({ "specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n" }));
    let mut object = json!({ "spec": { "n": 1 }, "status": { "n": 7 } });
    scale.expect("a scale").set(&mut object, 5);
    assert_eq!(object, json!({ "spec": { "n": 5 }, "status": { "n": 7 } }));
    let scale = Scale::parse(&json!({ "specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n" }));
    assert_eq!(scale.expect("a scale").of(&object)["status"]["replicas"], 7);
}

/// Every value is also held against the conditions beside its type, whatever it is.
#[graded]
fn a_value_meets_its_conditions() {
    let mut out = String::new();
    for (schema, value) in [
        (json!({ "type": "string", "pattern": "^a" }), json!("b")),
        (json!({ "type": "integer", "maximum": 3 }), json!(4)),
        (json!({ "type": "array", "items": { "type": "string" }, "maxItems": 1 }), json!([1, "2"])),
        (json!({ "type": "string", "enum": ["a"] }), json!("b")),
        (json!({ "enum": ["a"] }), json!(null)),
        (json!({ "type": "string", "nullable": true, "enum": ["a"], "not": {} }), json!(null)),
        (json!({ "type": "integer", "not": { "minimum": 3 } }), json!(4)),
        (json!({ "type": "object", "additionalProperties": false }), json!({ "a": 1 })),
        (json!({ "type": "object", "additionalProperties": true }), json!({ "a": 1 })),
        (
            json!({ "type": "object", "additionalProperties": false, "properties": { "a": {} } }),
            json!({ "a": 1 }),
        ),
    ] {
        out += &format!(
            "{schema} {value}\n{}\n",
            validated(&spec(schema.clone()), json!({ "spec": value }), None)
        );
    }
    insta::assert_snapshot!(out);
}

/// Schemas of the words that the two functions look at.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({ "type": "string" })),
        Just(json!({ "type": "string", "nullable": true })),
        Just(json!({ "type": "integer", "default": 3 })),
        Just(json!({ "x-kubernetes-preserve-unknown-fields": true })),
        Just(json!({ "type": "object", "default": {} })),
    ];
    let keys = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("name"),
        Just("labels"),
        Just("replicas"),
        Just("data")
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
            inner.clone().prop_map(|values| json!({ "type": "object", "additionalProperties": values })),
            (prop::collection::btree_map(keys.clone(), inner, 0..4), any::<bool>(), any::<bool>()).prop_map(
                |(properties, preserve, embedded)| json!({
                    "type": "object",
                    "properties": properties,
                    "x-kubernetes-preserve-unknown-fields": preserve,
                    "x-kubernetes-embedded-resource": embedded,
                })
            ),
        ]
    })
}

proptest! {
    /// Twice is once, and what is gone is exactly what was named.
    #[graded]
    fn pruning_twice_is_pruning_once(schema in any_schema(), object in any_json()) {
        let (once, dropped) = pruned(&schema, object.clone());
        prop_assert_eq!(dropped.is_empty(), once == object);
        let (twice, again) = pruned(&schema, once.clone());
        prop_assert_eq!(twice, once);
        prop_assert!(again.is_empty());
    }

    /// Twice is once, and defaults leave nothing to prune that was not there before.
    #[graded]
    fn defaulting_twice_is_defaulting_once(schema in any_schema(), object in any_json()) {
        let (kept, _) = pruned(&schema, object);
        let once = defaulted(&schema, kept);
        prop_assert_eq!(&defaulted(&schema, once.clone()), &once);
        prop_assert!(pruned(&schema, once).1.is_empty());
    }

    /// An object that did not change is right, whatever its schema says by now.
    #[graded]
    fn what_did_not_change_is_right(schema in any_schema(), object in any_json(), other in any_json()) {
        if validated(&schema, object.clone(), None) == "ok\n" {
            prop_assert_eq!(validated(&schema, object.clone(), Some(other)), "ok\n", "so is what is right by itself");
        }
        prop_assert_eq!(validated(&schema, object.clone(), Some(object)), "ok\n");
    }
}
