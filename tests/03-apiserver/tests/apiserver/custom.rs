//! Definitions and custom kinds: what students are given.

use crate::common::{any_json, now};
use crate::heart::custom::{self, Definition, JsonPath, Names, Schema, Taken};
use crate::heart::fields::Errors;
use crate::heart::kind::Kind;
use crate::heart::reading;
use crate::heart::schema::Shape;
use crate::heart::status::ApiError;
use crate::heart::tables::Include;
use crate::heart::write::{self, Context, Part};
use objects::resources::{self, Resource};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn definitions() -> &'static Resource {
    resources::by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition").expect("a kind")
}

/// A definition with this schema under `spec`, and what `change` makes of it.
fn definition(spec: Value, change: impl FnOnce(&mut Value)) -> Value {
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    let mut crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "tabs.example.com" },
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": { "plural": "tabs", "singular": "tab", "kind": "Tab", "listKind": "TabList" },
            "conversion": { "strategy": "None" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    });
    change(&mut crd);
    crd
}

fn kind(crd: &Value) -> Kind {
    Arc::new(Definition::parse(crd)).kind("v1").expect("a version")
}

fn lines(result: Result<(), ApiError>) -> String {
    match result {
        Ok(()) => "ok\n".into(),
        Err(error) => {
            let causes = error.details.map(|details| details.causes).unwrap_or_default();
            causes.iter().map(|cause| format!("{}: {}\n", cause.field, cause.message)).collect()
        }
    }
}

#[test]
fn what_is_wrong_with_a_definition_is_said_as_upstream_says_it() {
    let mut out = String::new();
    let mut check = |what: &str, crd: Value| {
        out += &format!("# {what}\n{}", lines(custom::check_create(definitions(), &crd)));
    };
    let object = || json!({ "type": "object" });
    check("fine", definition(object(), |_| {}));
    check("the name", definition(object(), |crd| crd["metadata"]["name"] = json!("tabs")));
    check("no names", definition(object(), |crd| crd["spec"]["names"] = json!({})));
    check(
        "bad names",
        definition(object(), |crd| {
            crd["spec"]["names"] = json!({
                "plural": "tabs", "singular": "A", "kind": "Tab", "listKind": "Tab", "shortNames": ["x_y"], "categories": ["All"],
            });
        }),
    );
    check("the group", definition(object(), |crd| crd["spec"]["group"] = json!("example")));
    check("the scope", definition(object(), |crd| crd["spec"]["scope"] = json!("Global")));
    check("preserve", definition(object(), |crd| crd["spec"]["preserveUnknownFields"] = json!(true)));
    check("no storage", definition(object(), |crd| crd["spec"]["versions"][0]["storage"] = json!(false)));
    check(
        "two versions of one name",
        definition(object(), |crd| {
            let mut second = crd["spec"]["versions"][0].clone();
            second["storage"] = json!(false);
            crd["spec"]["versions"] = json!([crd["spec"]["versions"][0], second]);
        }),
    );
    check("no schema", definition(object(), |crd| crd["spec"]["versions"][0]["schema"] = json!(null)));
    check("not structural", definition(json!({}), |_| {}));
    check(
        "what is unknown is pruned without saying so",
        definition(json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": false }), |_| {}),
    );
    check(
        "not structural in one of two versions",
        definition(json!({}), |crd| {
            let mut second = crd["spec"]["versions"][0].clone();
            (second["name"], second["storage"]) = (json!("v2"), json!(false));
            second["schema"]["openAPIV3Schema"]["properties"]["spec"]["type"] = json!("object");
            crd["spec"]["versions"] = json!([crd["spec"]["versions"][0], second]);
        }),
    );
    check(
        "the root beside a status",
        definition(object(), |crd| {
            let version = &mut crd["spec"]["versions"][0];
            version["subresources"] = json!({ "status": {} });
            version["schema"]["openAPIV3Schema"]["anyOf"] = json!([{ "required": ["spec"] }]);
        }),
    );
    check(
        "scale",
        definition(object(), |crd| {
            crd["spec"]["versions"][0]["subresources"] = json!({ "scale": {
                "specReplicasPath": ".status.replicas", "statusReplicasPath": "status.replicas", "labelSelectorPath": ".spec.a[0]",
            } });
        }),
    );
    check(
        "columns",
        definition(object(), |crd| {
            crd["spec"]["versions"][0]["additionalPrinterColumns"] = json!([{ "name": "", "type": "text", "format": "x", "jsonPath": "spec" }, { "name": "A", "type": "", "jsonPath": "" }]);
        }),
    );
    check(
        "fields",
        definition(json!({ "type": "object", "properties": { "a": { "type": "string" } } }), |crd| {
            crd["spec"]["versions"][0]["selectableFields"] = json!([
                { "jsonPath": ".spec.a" }, { "jsonPath": ".spec" }, { "jsonPath": ".spec.b" }, { "jsonPath": "a" }, { "jsonPath": "" },
                { "jsonPath": ".spec.a" }, { "jsonPath": ".metadata.name" },
            ]);
        }),
    );
    for conversion in [
        json!({}),
        json!({ "strategy": "Magic" }),
        json!({ "strategy": "None", "webhook": { "conversionReviewVersions": ["v1"] } }),
        json!({ "strategy": "Webhook" }),
        json!({ "strategy": "Webhook", "webhook": { "conversionReviewVersions": ["v9"], "clientConfig": {} } }),
        json!({ "strategy": "Webhook", "webhook": { "conversionReviewVersions": ["v1"], "clientConfig": { "url": "https://x" } } }),
    ] {
        let what = format!("conversion {conversion}");
        check(&what, definition(object(), |crd| crd["spec"]["conversion"] = conversion));
    }
    let protected = |annotation: Option<&str>| {
        definition(object(), |crd| {
            crd["spec"]["group"] = json!("x.k8s.io");
            crd["metadata"]["name"] = json!("tabs.x.k8s.io");
            if let Some(text) = annotation {
                crd["metadata"]["annotations"] = json!({ "api-approved.kubernetes.io": text });
            }
        })
    };
    check("not approved", protected(None));
    check("badly approved", protected(Some("yes")));
    check("knowingly unapproved", protected(Some("unapproved, experimental")));
    check("approved", protected(Some("https://github.com/kubernetes/kubernetes/pull/1")));
    insta::assert_snapshot!(out);
}

#[test]
fn what_a_schema_may_not_say() {
    let mut out = String::new();
    for spec in [
        json!({ "type": "null" }),
        json!({ "type": "text" }),
        json!({ "type": "string", "$ref": "#/a", "id": "x", "definitions": {}, "patternProperties": { "a": {} } }),
        json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true }),
        json!({ "type": "string", "x-kubernetes-int-or-string": true }),
        json!({ "type": "object", "properties": { "a": { "type": "string" } }, "additionalProperties": { "type": "string" } }),
        json!({ "type": "object", "x-kubernetes-list-type": "set", "x-kubernetes-map-type": "odd" }),
        json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "bag", "x-kubernetes-map-type": "atomic" }),
        json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "map" }),
        json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-map-keys": ["a"] }),
        json!({
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b", "c", "d"],
            "items": { "type": "object", "required": ["c"], "properties": {
                "b": { "type": "string" }, "c": { "type": "object" }, "d": { "type": "string", "default": "x" },
            } },
        }),
        json!({ "type": "integer", "default": "x" }),
        json!({ "type": "object", "default": { "a": 1, "b": 2 }, "properties": { "a": { "type": "integer", "maximum": 0 } } }),
        json!({ "type": "integer", "x-kubernetes-validations": [
            { "rule": "self > 3" }, { "rule": "" }, { "rule": "self +" }, { "rule": "self + 1" }, { "rule": "other" },
            { "rule": "self > 3", "message": "a\nb", "messageExpression": "self +", "reason": "Because" },
            { "rule": "self > 3", "optionalOldSelf": true, "fieldPath": ".a" },
            { "rule": "self >\n3" },
            { "rule": "self > 3", "messageExpression": "self" },
        ] }),
    ] {
        let crd = definition(spec.clone(), |_| {});
        out += &format!("{spec}\n{}\n", lines(custom::check_create(definitions(), &crd)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn what_of_a_definition_may_not_change() {
    let old = definition(json!({ "type": "object" }), |crd| {
        crd["status"] = json!({
            "storedVersions": ["v1"], "conditions": [{ "type": "Established", "status": "True" }],
        });
    });
    let mut new = old.clone();
    new["spec"]["scope"] = json!("Cluster");
    new["spec"]["names"]["kind"] = json!("Other");
    new["spec"]["names"]["plural"] = json!("others");
    new["spec"]["group"] = json!("example.org");
    new["status"]["storedVersions"] = json!(["v0", "v1"]);
    let mut young = old.clone();
    young["status"]["conditions"] = json!([]);
    let mut out = lines(custom::check_update(definitions(), &old, &new));
    out += &format!("# not yet established\n{}", lines(custom::check_update(definitions(), &young, &new)));
    insta::assert_snapshot!(out);
}

#[test]
fn what_is_wrong_with_a_custom_object_is_said_as_upstream_says_it() {
    let spec = json!({
        "type": "object",
        "properties": {
            "text": { "type": "string", "minLength": 2, "maxLength": 4, "pattern": "^a" },
            "number": { "type": "number", "minimum": 1, "maximum": 10, "multipleOf": 0.5 },
            "open": { "type": "integer", "minimum": 1, "maximum": 10, "exclusiveMinimum": true, "exclusiveMaximum": true },
            "small": { "type": "integer", "format": "int32" },
            "list": { "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 3 },
            "choice": { "type": "string", "enum": ["a", "b"] },
            "numbers": { "type": "integer", "enum": [1, 2] },
            "time": { "type": "string", "format": "date-time" },
            "set": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
            "map": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "p"],
                "items": { "type": "object", "properties": { "k": { "type": "string" }, "p": { "type": "string", "default": "TCP" } } },
            },
            "any": { "type": "object", "properties": { "a": {}, "b": {} }, "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] },
            "one": { "type": "object", "properties": { "a": {}, "b": {} }, "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] },
            "all": { "type": "integer", "allOf": [{ "minimum": 2 }, { "maximum": 1 }] },
            "not": { "type": "string", "not": { "pattern": "^no" } },
            "template": { "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true },
        },
    });
    let kind = kind(&definition(spec, |_| {}));
    let mut out = String::new();
    for spec in [
        json!({ "text": "a" }),
        json!({ "text": "bbbbb" }),
        json!({ "text": "bb" }),
        json!({ "text": "aé12" }),
        json!({ "number": 0.7 }),
        json!({ "number": 11 }),
        json!({ "open": 1 }),
        json!({ "open": 10 }),
        json!({ "open": 5 }),
        json!({ "small": 3_000_000_000u64 }),
        json!({ "list": ["a"] }),
        json!({ "list": ["a", "b", "c", "d"] }),
        json!({ "choice": "c", "numbers": 3 }),
        json!({ "time": "yesterday" }),
        json!({ "set": ["a", "b", "a"] }),
        json!({ "map": [{ "k": "a" }, { "k": "a", "p": "UDP" }, { "k": "a", "p": "TCP" }] }),
        json!({ "any": {} }),
        json!({ "one": {} }),
        json!({ "one": { "a": 1, "b": 1 } }),
        json!({ "all": 0 }),
        json!({ "not": "not me" }),
        json!({ "template": {} }),
        json!({ "template": { "apiVersion": "v1", "kind": "Config Map", "metadata": { "name": "a/b", "labels": { "a": "?" } } } }),
    ] {
        let object = json!({ "metadata": { "name": "x", "namespace": "default" }, "spec": spec });
        out += &format!("{spec}\n{}\n", lines(kind.validate_create(&object)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn rules_are_asked_and_answer_in_their_own_words() {
    let spec = json!({
        "type": "object",
        "properties": {
            "min": { "type": "integer", "x-kubernetes-validations": [{ "rule": "self >= oldSelf", "message": "may not shrink" }] },
            "max": { "type": "integer" },
            "name": { "type": "string", "x-kubernetes-validations": [{ "rule": "self == self.lowerAscii()", "reason": "FieldValueForbidden" }] },
            "list": { "type": "array", "items": { "type": "string", "x-kubernetes-validations": [{ "rule": "size(self) < 3", "message": "too long" }] } },
            "maybe": { "type": "integer", "x-kubernetes-validations": [{ "rule": "!oldSelf.hasValue() || self == oldSelf.value()", "optionalOldSelf": true, "message": "is fixed" }] },
        },
        "x-kubernetes-validations": [
            { "rule": "!has(self.max) || self.min <= self.max", "messageExpression": "'min ' + string(self.min) + ' is more than max'", "fieldPath": ".min" },
            { "rule": "self.max < 100" },
        ],
    });
    let kind = kind(&definition(spec, |_| {}));
    let object = |spec: &Value| json!({ "metadata": { "name": "x", "namespace": "default" }, "spec": spec });
    let mut out = String::new();
    for (old, new) in [
        (None, json!({ "min": 1, "max": 2 })),
        (None, json!({ "min": 3, "max": 2 })),
        (None, json!({ "min": 3 })),
        (None, json!({ "min": 3, "max": 200 })),
        (None, json!({ "min": 3, "max": 5, "name": "Big", "list": ["ok", "long"], "maybe": 1 })),
        (None, json!({ "min": "text", "max": 0 })),
        (Some(json!({ "min": 3, "max": 5 })), json!({ "min": 2, "max": 5 })),
        (Some(json!({ "min": 3, "max": 500 })), json!({ "min": 3, "max": 500 })),
        (
            Some(json!({ "min": 3, "max": 500, "name": "Big" })),
            json!({ "min": 4, "max": 600, "name": "Big" }),
        ),
        (Some(json!({ "min": 3, "max": 5, "maybe": 1 })), json!({ "min": 3, "max": 5, "maybe": 2 })),
    ] {
        let result = match &old {
            None => kind.validate_create(&object(&new)),
            Some(old) => kind.validate_update(&object(old), &object(&new)),
        };
        out += &format!("{} -> {new}\n{}\n", old.unwrap_or_default(), lines(result));
    }
    insta::assert_snapshot!(out);
}

fn context(kind: &Kind) -> Context<'static> {
    Context {
        kind: kind.clone(),
        namespace: Some("default"),
        name: None,
        now: now(),
        uid: "00000000-0000-4000-8000-000000000001",
        suffix: "x7k2p",
    }
}

#[test]
fn an_object_is_completed_and_its_status_kept_apart() {
    let crd = definition(
        json!({ "type": "object", "properties": { "a": { "type": "integer", "default": 1 }, "b": { "type": "integer" } } }),
        |crd| {
            let version = &mut crd["spec"]["versions"][0];
            version["subresources"] = json!({ "status": {} });
            version["schema"]["openAPIV3Schema"]["properties"]["status"] =
                json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
        },
    );
    let kind = kind(&crd);
    let sent = json!({
        "apiVersion": "example.com/v1", "kind": "Tab", "metadata": { "name": "x", "foo": 1 },
        "spec": { "c": 1 }, "status": { "n": 1 },
    });
    let decoded = reading::decode_body(&context(&kind), sent).expect("decodes");
    assert_eq!(decoded.unknown, ["metadata.foo", "spec.c"]);
    let made = write::prepare_create(&context(&kind), decoded.object).expect("is made");
    assert_eq!((&made["spec"], made.get("status")), (&json!({ "a": 1 }), None));
    assert_eq!(made["metadata"]["generation"], 1);
    let mut new = made.clone();
    // Whoever changes a custom object says which version of it.
    new["metadata"]["resourceVersion"] = json!("5");
    (new["spec"]["b"], new["status"]) = (json!(2), json!({ "n": 2 }));
    let main = write::prepare_update(&context(&kind), Part::Main, &made, 5, new.clone()).expect("is changed");
    assert_eq!((&main["metadata"]["generation"], main.get("status")), (&json!(2), None));
    let status =
        write::prepare_update(&context(&kind), Part::Status, &made, 5, new.clone()).expect("is changed");
    assert_eq!((&status["spec"], &status["status"]), (&json!({ "a": 1 }), &json!({ "n": 2 })));
    new["status"] = json!({ "n": "many" });
    let refused =
        write::prepare_update(&context(&kind), Part::Status, &made, 5, new).expect_err("is refused");
    assert!(refused.message.contains("status.n in body must be of type integer"), "{refused}");
}

#[test]
fn a_status_without_a_path_of_its_own_is_a_wish_like_the_rest() {
    let crd = definition(json!({ "type": "object" }), |crd| {
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["status"] =
            json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    });
    let kind = kind(&crd);
    let sent = json!({ "metadata": { "name": "x" }, "spec": {}, "status": { "n": 1 } });
    let made = write::prepare_create(&context(&kind), sent).expect("is made");
    assert_eq!((&made["status"], &made["metadata"]["generation"]), (&json!({ "n": 1 }), &json!(1)));
    let mut new = made.clone();
    new["metadata"]["resourceVersion"] = json!("5");
    let same = write::prepare_update(&context(&kind), Part::Main, &made, 5, new.clone()).expect("is changed");
    assert_eq!(same["metadata"]["generation"], 1);
    new["status"] = json!({ "n": 2 });
    let changed = write::prepare_update(&context(&kind), Part::Main, &made, 5, new).expect("is changed");
    assert_eq!((&changed["status"], &changed["metadata"]["generation"]), (&json!({ "n": 2 }), &json!(2)));
}

#[test]
fn metadata_has_the_types_that_it_has_everywhere() {
    let kind = kind(&definition(json!({ "type": "object" }), |_| {}));
    let sent = json!({ "metadata": { "name": "x", "labels": { "a": 1 } } });
    let refused = reading::decode_body(&context(&kind), sent).expect_err("is refused");
    assert_eq!(refused.reason.code(), 400);
    assert!(
        refused.message.starts_with("Tab in version \"v1\" cannot be handled as a Tab: metadata:"),
        "{refused}"
    );
}

#[test]
fn columns_selectors_and_scales_follow_their_paths() {
    let crd = definition(json!({ "type": "object" }), |crd| {
        let version = &mut crd["spec"]["versions"][0];
        version["additionalPrinterColumns"] = json!([
            { "name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1, "description": "how many" },
            { "name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status" },
            { "name": "Names", "type": "string", "jsonPath": ".spec.list[*].name" },
            { "name": "Last", "type": "string", "jsonPath": ".spec.list[-1].name" },
            { "name": "Label", "type": "string", "jsonPath": ".metadata.labels.example\\.com/app" },
            { "name": "Odd", "type": "string", "jsonPath": ".spec[1:2" },
        ]);
        version["selectableFields"] =
            json!([{ "jsonPath": ".spec.replicas" }, { "jsonPath": ".spec.missing" }]);
        version["subresources"] = json!({ "scale": {
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector",
        } });
    });
    let kind = kind(&crd);
    let object = json!({
        "metadata": { "name": "x", "namespace": "default", "labels": { "example.com/app": "web" } },
        "spec": { "replicas": 3, "list": [{ "name": "a" }, { "name": "b" }] },
        "status": { "replicas": 2, "selector": "app=web", "conditions": [{ "type": "A", "status": "1" }, { "type": "Ready", "status": "True" }] },
    });
    insta::assert_json_snapshot!(json!({
        "columns": kind.column_definitions(),
        "cells": kind.row(&object, Include::Nothing, now())["cells"],
        "fields": kind.fields_of(&object),
        "scale": kind.scale_of(&object),
    }));
    assert_eq!(kind.resource.subresources, ["scale"]);
    let scale = json!({ "spec": { "replicas": 5 } });
    assert_eq!(kind.apply_scale(&object, &scale).expect("fits")["spec"]["replicas"], 5);
    let mut negative = object.clone();
    negative["spec"]["replicas"] = json!(-1);
    negative["status"]["replicas"] = json!(3_000_000_000u64);
    assert_eq!(
        lines(kind.validate_create(&negative)),
        ".spec.replicas: Invalid value: -1: should be a non-negative integer\n.status.replicas: Invalid value: 3000000000: should be less than or equal to 2147483647\n"
    );
}

#[test]
fn names_belong_to_whom_they_were_given_first() {
    let crd =
        definition(json!({ "type": "object" }), |crd| crd["spec"]["names"]["shortNames"] = json!(["t"]));
    let free = custom::settle(&crd, &Taken::default(), now());
    insta::assert_json_snapshot!("a definition whose names are free", free["status"]);
    assert_eq!(custom::settle(&free, &Taken::default(), now()), free, "settled is settled");
    let mut taken = Taken::default();
    taken.add(&Names { plural: "t".into(), kind: "Tab".into(), ..Names::default() });
    let late = custom::settle(&crd, &taken, now());
    insta::assert_json_snapshot!("a definition that came late", late["status"]);
    assert_eq!(custom::settle(&free, &taken, now()), free, "who came first keeps the name");
    assert!(custom::is_true(&free, "Established") && !custom::is_true(&late, "Established"));
}

#[test]
fn the_newest_stable_version_comes_first() {
    let mut versions =
        ["v1alpha1", "foo", "v2", "v1", "v10", "v1beta2", "v11beta1", "v1beta10", "bar", "v3alpha1", "v01"];
    versions.sort_by(|a, b| custom::by_priority(a, b));
    assert_eq!(
        versions,
        ["v10", "v2", "v1", "v11beta1", "v1beta10", "v1beta2", "v3alpha1", "v1alpha1", "bar", "foo", "v01"]
    );
}

#[test]
fn a_custom_kind_describes_itself() {
    let spec = json!({
        "type": "object",
        "properties": {
            "port": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
            "when": { "type": "string", "nullable": true },
            "ports": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                "items": { "type": "object", "properties": { "port": { "type": "integer" }, "name": { "type": "string", "default": "x" } } },
            },
            "set": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
            "atomic": { "type": "object", "x-kubernetes-map-type": "atomic", "properties": { "a": { "type": "string" } } },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "map": { "type": "object", "additionalProperties": { "type": "integer" } },
        },
    });
    let kind = kind(&definition(spec, |_| {}));
    let custom = kind.custom.as_ref().expect("a custom kind");
    insta::assert_json_snapshot!(json!({ "v2": custom.openapi_v2(), "v3": custom.openapi_v3() }));
    let Shape::Struct(fields) = kind.shape() else { panic!("a struct") };
    insta::assert_debug_snapshot!(fields["spec"]);
}

#[test]
fn conversions_are_held_to_what_they_may_change() {
    let definition = Definition::parse(&definition(json!({ "type": "object" }), |_| {}));
    let object = json!({
        "apiVersion": "example.com/v1", "kind": "Tab", "metadata": { "name": "x", "uid": "1", "labels": { "a": "b" } }, "spec": { "a": 1 },
    });
    let objects = [object.clone()];
    let review = custom::review(&definition, "u", "example.com/v2", &objects);
    insta::assert_json_snapshot!(review.request());
    let answer = |change: &dyn Fn(&mut Value)| {
        let mut converted = object.clone();
        converted["apiVersion"] = json!("example.com/v2");
        converted["spec"] = json!({ "b": 1 });
        converted["metadata"] =
            json!({ "name": "x", "uid": "1", "annotations": { "c": "d" }, "generation": 7 });
        let mut answer = json!({ "response": { "uid": "u", "result": { "status": "Success" }, "convertedObjects": [converted] } });
        change(&mut answer["response"]);
        review.read(&answer).map_err(|error| error.message)
    };
    assert_eq!(
        answer(&|_| {}).expect("is taken"),
        [json!({
            "apiVersion": "example.com/v2", "kind": "Tab",
            "metadata": { "name": "x", "uid": "1", "annotations": { "c": "d" } }, "spec": { "b": 1 },
        })]
    );
    let refusals: Vec<String> = [
        &(|r: &mut Value| r["uid"] = json!("other")) as &dyn Fn(&mut Value),
        &|r| r["result"] = json!({ "status": "Failed", "message": "no" }),
        &|r| r["convertedObjects"] = json!([]),
        &|r| r["convertedObjects"][0]["apiVersion"] = json!("example.com/v3"),
        &|r| r["convertedObjects"][0]["kind"] = json!("Other"),
        &|r| r["convertedObjects"][0]["metadata"]["name"] = json!("y"),
    ]
    .iter()
    .map(|change| answer(change).expect_err("is refused"))
    .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn formats_know_what_they_are_called_after() {
    let accepts = |format: &str, text: &str| {
        let schema = Schema::parse(&json!({ "type": "string", "format": format }));
        let mut errors = Errors::default();
        custom::validate(&json!(text), &schema, None, &mut errors);
        errors.is_empty()
    };
    for (format, good, bad) in [
        ("date-time", "2026-01-02T03:04:05Z", "2026-01-02"),
        ("date", "2026-01-02", "2026-1-2"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("cidr", "fd00::/64", "fd00::/129"),
        ("mac", "00:11:22:33:44:55", "00:11:22:33:44"),
        ("mac", "0011.2233.4455", "0011.2233.44xx"),
        ("byte", "YQ==", "YQ="),
        ("duration", "1h30m", "1 fortnight"),
        ("duration", "3 days", ""),
        ("uuid", "01234567-89ab-4def-8123-456789abcdef", "01234567-89ab-4def-8123-456789abcde"),
        ("uuid4", "01234567-89ab-4def-8123-456789abcdef", "01234567-89ab-3def-8123-456789abcdef"),
        ("hostname", "a.example.com", "a_b"),
        ("email", "a@example.com", "a.example.com"),
        ("uri", "https://example.com/a", "example"),
        ("bsonobjectid", "507f1f77bcf86cd799439011", "507f1f77bcf86cd79943901"),
        ("hexcolor", "#fff", "#ffff"),
        ("rgbcolor", "rgb(1, 2, 255)", "rgb(1,2,256)"),
        ("isbn", "0306406152", "0306406153"),
        ("isbn13", "978-0-306-40615-7", "978-0-306-40615-8"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("ssn", "123-45-6789", "123-456-789"),
    ] {
        assert!(accepts(format, good), "{good:?} is a {format}");
        assert!(!accepts(format, bad), "{bad:?} is no {format}");
    }
    assert!(accepts("something-else", "anything"));
}

proptest! {
    /// Anything may stand in a definition's schema or in an object: nothing panics, and what was
    /// read once reads the same again.
    #[test]
    fn garbage_is_refused_and_never_a_panic(schema in any_json(), object in any_json(), old in any_json()) {
        let crd = definition(schema.clone(), |_| {});
        let _ = custom::check_create(definitions(), &crd);
        let _ = custom::check_create(definitions(), &schema);
        let _ = custom::check_update(definitions(), &schema, &object);
        let parsed = Definition::parse(&object);
        prop_assert_eq!(&parsed, &Definition::parse(&object));
        let kind = kind(&crd);
        let decoded = kind.decode(object.clone());
        let mut filled = decoded.map_or_else(|_| object.clone(), |decoded| decoded.object);
        kind.apply_defaults(&mut filled);
        let _ = kind.validate_create(&filled);
        let _ = kind.validate_update(&old, &filled);
        let _ = (kind.row(&filled, Include::Metadata, now()), kind.fields_of(&filled), kind.scale_of(&filled));
        let settled = custom::settle(&object, &Taken::default(), now());
        prop_assert_eq!(custom::settle(&settled, &Taken::default(), now()), settled);
    }

    /// A path of a column is read or not, and never more.
    #[test]
    fn paths_never_panic(path in "[.a-z\\[\\]*?@()='\"\\\\0-9{}$-]{0,20}", object in any_json()) {
        if let Some(path) = JsonPath::parse(&path) {
            let _ = path.find(&object);
        }
    }
}
