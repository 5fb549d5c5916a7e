//! Bodies and patches that cannot be read, or say more than they should.

use crate::heart::bodies::{self, Body};
use crate::heart::fields::go_print;
use crate::heart::kind::Kind;
use crate::heart::meant;
use crate::heart::patches::{self, PatchType, Sent};
use crate::heart::query::FieldValidation;
use crate::heart::reading;
use crate::heart::schema::Scalar;
use crate::heart::status::ApiError;
use crate::heart::strict;
use objects::resources::Resource;
use proptest::prelude::*;
use serde_json::{Value, json};

fn deployment() -> Kind {
    Kind::named("apps", "v1", "Deployment").expect("it is in the table")
}

fn scale() -> Resource {
    reading::kind_of_body(deployment().resource, "scale")
}

fn body(text: &str) -> Body {
    bodies::json(text.as_bytes()).expect("JSON")
}

fn told(result: Result<impl std::fmt::Debug, ApiError>) -> String {
    let error = result.expect_err("is refused");
    let causes: Vec<String> =
        error.details.iter().flat_map(|d| &d.causes).map(|cause| format!("\n    {}", cause.field)).collect();
    format!("{} {:?}: {}{}", error.code(), error.reason, error.message, causes.concat())
}

#[test]
fn what_a_subresource_is_sent_has_a_kind_of_its_own() {
    let own = |plural: (&str, &str, &str), subresource: &str| {
        let kind = Kind::named(plural.0, plural.1, plural.2).expect("it is in the table");
        let own = reading::kind_of_body(kind.resource, subresource);
        format!("{} {}", own.api_version(), own.kind)
    };
    assert_eq!(own(("apps", "v1", "Deployment"), "scale"), "autoscaling/v1 Scale");
    assert_eq!(own(("", "v1", "Pod"), "eviction"), "policy/v1 Eviction");
    assert_eq!(own(("", "v1", "ServiceAccount"), "token"), "authentication.k8s.io/v1 TokenRequest");
    assert_eq!(own(("", "v1", "Pod"), "none"), "v1 Pod");
}

#[test]
fn a_small_body_is_read_as_its_kind() {
    let read = |text: &str, fields: FieldValidation| {
        let mut warnings = Vec::new();
        reading::decode_small(&scale(), body(text), fields, &mut warnings).map(|read| (read, warnings))
    };
    let (read_one, warnings) =
        read(r#"{"spec":{"replicas":3},"nope":1}"#, FieldValidation::Warn).expect("a Scale");
    assert_eq!(read_one["spec"], json!({ "replicas": 3 }));
    assert_eq!((&read_one["kind"], &read_one["nope"]), (&json!("Scale"), &Value::Null));
    assert_eq!(warnings, ["unknown field \"nope\""]);
    let (_, warnings) = read(r#"{"nope":1,"nope":2}"#, FieldValidation::Ignore).expect("a Scale");
    assert_eq!(warnings, Vec::<String>::new());
    let refused: Vec<String> = [
        r#"{"spec":{"replicas":"3"}}"#,
        r#"{"kind":"Pod","apiVersion":"autoscaling/v1"}"#,
        r#"{"apiVersion":"v1"}"#,
        r#"{"apiVersion":"v1","kind":"Pod"}"#,
        r#"{"apiVersion":"policy/v1beta1","kind":"Eviction"}"#,
        r#"{"nope":1,"spec":{"replicas":1,"replicas":2}}"#,
        "[]",
    ]
    .into_iter()
    .map(|text| told(read(text, FieldValidation::Strict)))
    .collect();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    400 BadRequest: Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32
    400 BadRequest: Pod in version "v1" cannot be handled as a Scale: no kind "Pod" is registered for version "autoscaling/v1" in scheme "pkg/api/legacyscheme/scheme.go:30"
    400 BadRequest: Scale in version "v1" cannot be handled as a Scale: no kind "Scale" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"
    400 BadRequest: Pod in version "v1" cannot be handled as a Scale: converting (v1.Pod) to (autoscaling.Scale): unknown conversion
    400 BadRequest: Eviction in version "v1beta1" cannot be handled as a Scale: no kind "Eviction" is registered for version "policy/v1beta1" in scheme "pkg/api/legacyscheme/scheme.go:30"
    400 BadRequest: Scale in version "v1" cannot be handled as a Scale: strict decoding error: unknown field "nope", duplicate field "spec.replicas"
    400 BadRequest: the body of the request is not an object
    "#);
}

#[test]
fn an_eviction_of_the_first_version_is_understood() {
    let pod = Kind::named("", "v1", "Pod").expect("it is in the table");
    let own = reading::kind_of_body(pod.resource, "eviction");
    for version in ["policy/v1", "policy/v1beta1"] {
        let sent = body(&format!(r#"{{"apiVersion":"{version}","kind":"Eviction"}}"#));
        let read = reading::decode_small(&own, sent, FieldValidation::Strict, &mut Vec::new());
        assert!(read.is_ok(), "{version}: {read:?}");
    }
}

#[test]
fn who_replaces_an_object_names_it() {
    let check = |metadata: Value, namespace: Option<&str>| {
        meant::check_name(&json!({ "metadata": metadata }), namespace, "web")
    };
    assert_eq!(check(json!({ "name": "web" }), Some("dev")), Ok(()));
    assert_eq!(check(json!({ "name": "web", "namespace": "dev" }), Some("dev")), Ok(()));
    assert_eq!(check(json!({ "name": "web", "namespace": "dev" }), None), Ok(()));
    insta::assert_snapshot!(
        [
            told(check(json!({}), None)),
            told(check(json!({ "name": "wbe" }), None)),
            told(check(json!({ "name": "web", "namespace": "prod" }), Some("dev"))),
        ]
        .join("\n"),
        @r"
    400 BadRequest: the name of the object (web based on URL) was undeterminable: name must be provided
    400 BadRequest: the name of the object (wbe) does not match the name on the URL (web)
    400 BadRequest: the namespace of the object (prod) does not match the namespace on the request (dev)
    "
    );
}

/// What a patch makes of a Deployment: it and the remarks, or the refusal.
fn patched(kind: PatchType, text: &str, fields: FieldValidation) -> Result<(Value, Vec<String>), ApiError> {
    let old = json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "d" }, "spec": { "replicas": 2 },
    });
    let (of, sent) = (deployment(), Sent::read(kind, text.as_bytes())?);
    let read = |object, reader| of.read(object, reader);
    reading::decode_patched(of.resource, read, &sent, fields, || {
        patches::apply(of.resource, kind, &old, &sent.value)
    })
}

#[test]
fn a_patch_is_remarked_of_and_so_is_what_it_makes() {
    let twice = r#"{"spec":{"replicas":3,"replicas":4},"nope":1}"#;
    let both = ["duplicate field \"spec.replicas\"", "unknown field \"nope\""];
    for kind in [PatchType::Merge, PatchType::Strategic] {
        let (made, remarks) = patched(kind, twice, FieldValidation::Warn).expect("is made");
        assert_eq!(made["spec"]["replicas"], 4);
        assert_eq!(remarks, both, "{kind:?}");
        assert_eq!(patched(kind, twice, FieldValidation::Ignore).expect("is made").1, Vec::<String>::new());
    }
    let list = r#"[{"op":"add","path":"/nope","value":1,"from":"","zip":2},{"op":"test","op":"remove","path":"/nope","to":1}]"#;
    let (_, remarks) = patched(PatchType::Json, list, FieldValidation::Warn).expect("is made");
    assert_eq!(
        remarks,
        [
            "json patch unknown field \"[0].zip\"",
            "json patch duplicate field \"[1].op\"",
            "json patch unknown field \"[1].to\"",
        ]
    );
    let refused: Vec<String> = [
        (PatchType::Merge, twice),
        (PatchType::Strategic, twice),
        (PatchType::Json, list),
        (PatchType::Merge, r#"{"spec":{"replicas":"x"}}"#),
        (PatchType::Strategic, r#"{"spec":{"replicas":"x"}}"#),
        (PatchType::Merge, r#"{"kind":"Pod"}"#),
        (PatchType::Merge, "[]"),
        (PatchType::Json, "{}"),
        (PatchType::Json, "true"),
        (PatchType::Strategic, "1"),
        (PatchType::Strategic, r#""x""#),
        (PatchType::Strategic, "{"),
        (PatchType::Merge, "{"),
    ]
    .into_iter()
    .map(|(kind, text)| format!("{kind:?} {text}\n  {}", told(patched(kind, text, FieldValidation::Strict))))
    .collect();
    insta::assert_snapshot!(refused.join("\n"));
}

/// Of a strategic patch, what does not fit is told without its place.
#[test]
fn the_converter_has_words_of_its_own() {
    let told: Vec<String> = [
        r#"{"spec":{"replicas":"x"}}"#,
        r#"{"spec":{"replicas":2.5}}"#,
        r#"{"spec":{"paused":1}}"#,
        r#"{"spec":{"paused":"x"}}"#,
        r#"{"spec":{"strategy":{"type":1}}}"#,
        r#"{"spec":{"strategy":{"type":1.5}}}"#,
        r#"{"spec":{"strategy":[]}}"#,
        r#"{"spec":{"template":{"metadata":{"labels":"x"}}}}"#,
        r#"{"spec":{"template":{"spec":{"volumes":{}}}}}"#,
        r#"{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":true}}}}"#,
    ]
    .into_iter()
    .map(|text| {
        let why = told(patched(PatchType::Strategic, text, FieldValidation::Ignore));
        format!("{text}  {}", why.split("]\": ").last().unwrap_or_default())
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_scalar_is_of_its_type() {
    let values = [json!("x"), json!(1), json!(1.5), json!(true), json!([]), json!({}), Value::Null];
    let mut said = String::new();
    for name in ["string", "integer", "number", "boolean"] {
        let scalar = Scalar::of(name).expect("a scalar");
        for value in &values {
            let why = scalar.check(value).err().unwrap_or_else(|| "fits".into());
            said += &format!("{name} {value}: {why}\n");
        }
    }
    insta::assert_snapshot!(said);
    assert_eq!(Scalar::of("object"), None);
}

#[test]
fn values_of_no_type_are_printed_as_go_does() {
    let value = json!({ "b": [1, "x", null, true], "a": { "c": {} } });
    assert_eq!(go_print(&value), "map[a:map[c:map[]] b:[1 x <nil> true]]");
}

#[test]
fn what_is_said_twice_in_yaml_comes_first_and_as_a_whole() {
    let body = bodies::yaml(b"nope: 1\na: 1\na: 2\n").expect("YAML");
    let unknown = ["nope".to_string(), "a".to_string()];
    let remarks = strict::remarks(&body.value, &unknown, &body.duplicates);
    assert_eq!(remarks.len(), 3);
    assert_eq!(remarks[0], body.duplicates[0]);
    assert_eq!(remarks[1..], ["unknown field \"nope\"", "unknown field \"a\""]);
    let mut warnings = Vec::new();
    let judge =
        |fields, warnings: &mut Vec<String>| strict::judge_applied(fields, &body.duplicates, warnings);
    assert_eq!(judge(FieldValidation::Ignore, &mut warnings), Ok(()));
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(judge(FieldValidation::Warn, &mut warnings), Ok(()));
    assert_eq!(warnings, ["line 3: key \"a\" already set in map"]);
    let refused = told(judge(FieldValidation::Strict, &mut warnings));
    assert!(refused.starts_with("400 BadRequest: error strict decoding YAML: error converting"), "{refused}");
    assert_eq!(strict::judge_applied(FieldValidation::Strict, &[], &mut Vec::new()), Ok(()));
}

proptest! {
    /// However a document is made, what is remarked of it comes in its order.
    #[test]
    fn remarks_come_in_the_order_of_the_document(
        keys in prop::collection::vec(("[a-d]", any::<bool>(), any::<bool>()), 1..8),
    ) {
        let (mut text, mut unknown, mut expected) = (String::new(), Vec::new(), Vec::new());
        for (i, (key, is_unknown, twice)) in keys.iter().enumerate() {
            let path = format!("{key}{i}.in");
            let once = format!("\"{key}{i}\":{{\"in\":1{}}},", if *twice { ",\"in\":2" } else { "" });
            text += &once;
            if *is_unknown {
                unknown.push(path.clone());
                expected.push(format!("unknown field \"{path}\""));
            }
            if *twice {
                expected.push(format!("duplicate field \"{path}\""));
            }
        }
        let body = body(&format!("{{{}}}", text.trim_end_matches(',')));
        prop_assert_eq!(strict::remarks(&body.value, &unknown, &body.duplicates), expected);
    }

    #[test]
    fn no_patch_makes_the_server_stumble(text in "[\\[{}\\]\":,a-c0-9]{0,40}") {
        for kind in [PatchType::Json, PatchType::Merge, PatchType::Strategic] {
            let _ = patched(kind, &text, FieldValidation::Strict);
        }
    }
}
