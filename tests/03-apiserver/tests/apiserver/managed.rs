//! Field ownership around the holes: sets and their text form, the list in the object, the
//! owners of updates, the way over from client-side apply.

use crate::common::{any_json, now, refused, resource};
use crate::heart::kind::Kind;
use crate::heart::managed::managers::{self, Operation};
use crate::heart::managed::options;
use crate::heart::managed::path::{Element, Path, Scalar, display};
use crate::heart::managed::set::Set;
use crate::heart::managed::{Writer, apply, note_update};
use crate::heart::query::Query;
use crate::heart::request::RequestInfo;
use crate::heart::subresources;
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub fn kind(name: &str) -> Kind {
    Kind::builtin(resource(name))
}

/// A write at `second` seconds past the minute.
pub fn writer<'a>(manager: &'a str, subresource: &'a str, kind: &'a Kind, second: i64) -> Writer<'a> {
    Writer { manager, subresource, kind, now: now() + jiff::SignedDuration::from_secs(second) }
}

/// The object as this update leaves it.
fn updated(writer: &Writer<'_>, old: Option<&Value>, new: &Value) -> Value {
    let mut new = new.clone();
    note_update(writer, old, &mut new);
    new
}

/// One line for each entry: who, how, in what, when, and the fields.
fn owners(object: &Value) -> String {
    let list = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let line = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or("-").to_string();
        let paths = Set::from_fields(&entry["fieldsV1"]).expect("fields").paths();
        let paths: Vec<String> = paths.iter().map(|path| display(path)).collect();
        let who = [text("manager"), text("operation"), text("apiVersion"), text("subresource")].join(" ");
        format!("{who} {}: {}\n", &text("time")[17..19], paths.join(" "))
    };
    list.iter().map(line).collect()
}

fn config_map(data: Value) -> Value {
    json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": { "name": "c", "namespace": "default", "uid": "u" }, "data": data,
    })
}

fn any_element() -> impl Strategy<Value = Element> {
    let name = "[a-z./:\"]{1,3}";
    prop_oneof![
        name.prop_map(|text| Element::field(&text)),
        (0..3i64).prop_map(Element::Index),
        any_json().prop_map(|value| Element::Value(Scalar(value))),
        prop::collection::btree_map(name, any_json(), 1..3)
            .prop_map(|fields| Element::key(fields.into_iter().collect())),
    ]
}

fn any_paths() -> impl Strategy<Value = BTreeSet<Path>> {
    // Few elements, so that paths meet.
    prop::collection::vec(any_element(), 3).prop_flat_map(|few| {
        prop::collection::btree_set(prop::collection::vec(prop::sample::select(few), 1..4), 0..8)
    })
}

fn set(paths: &BTreeSet<Path>) -> Set {
    Set::of(paths.iter().cloned())
}

proptest! {
    /// The oracle is a set of paths.
    #[test]
    fn a_set_of_fields_is_a_set(a in any_paths(), b in any_paths()) {
        let (x, y) = (set(&a), set(&b));
        prop_assert_eq!(x.paths().into_iter().collect::<BTreeSet<_>>(), a.clone());
        prop_assert_eq!(x.is_empty(), a.is_empty());
        prop_assert_eq!(x.union(&y), set(&a.union(&b).cloned().collect()));
        prop_assert_eq!(x.intersection(&y), set(&a.intersection(&b).cloned().collect()));
        prop_assert_eq!(x.difference(&y), set(&a.difference(&b).cloned().collect()));
        let under = |path: &Path, all: &BTreeSet<Path>| all.iter().any(|above| path.starts_with(above));
        let kept = a.iter().filter(|path| !under(path, &b)).cloned().collect();
        prop_assert_eq!(x.without_trees(&y), set(&kept));
        let leaf = |path: &&Path| !a.iter().any(|other| other != *path && other.starts_with(path));
        prop_assert_eq!(x.leaves(), set(&a.iter().filter(leaf).cloned().collect()));
        prop_assert!(a.iter().all(|path| x.contains(path)));
        prop_assert_eq!(b.iter().filter(|path| x.contains(path)).count(), a.intersection(&b).count());
    }

    #[test]
    fn fields_are_read_as_they_were_written(paths in any_paths()) {
        let written = set(&paths).to_fields();
        prop_assert_eq!(Set::from_fields(&written), Ok(set(&paths)));
        prop_assert_eq!(serde_json::from_str::<Value>(&written.to_string()).expect("JSON"), written);
    }

    /// What a client may send as `managedFields`.
    #[test]
    fn no_list_of_owners_makes_it_panic(fields in any_json(), list in any_json(), text in ".{0,8}") {
        let _ = Set::from_fields(&fields);
        let _ = Set::from_fields(&json!({ text.clone(): fields.clone() }));
        let _ = Element::parse(&text);
        let _ = managers::decode(&list);
        let config_maps = kind("ConfigMap");
        let mut new = config_map(fields.clone());
        new["metadata"]["managedFields"] = list.clone();
        note_update(&writer("x", "", &config_maps, 0), None, &mut new);
        let _ = apply(&writer("x", "", &config_maps, 0), false, Some(&new), &fields);
        let _ = apply(&writer("x", "", &config_maps, 0), false, Some(&list), &config_map(fields));
    }
}

#[test]
fn elements_are_written_as_upstream_writes_them() {
    let set = Set::of([
        vec![Element::field("spec"), Element::field("replicas")],
        vec![
            Element::field("ports"),
            Element::key(vec![("protocol".into(), json!("TCP")), ("port".into(), json!(80))]),
        ],
        vec![
            Element::field("ports"),
            Element::key(vec![("port".into(), json!(80)), ("protocol".into(), json!("TCP"))]),
            Element::field("name"),
        ],
        vec![Element::field("finalizers"), Element::Value(Scalar(json!("a/b")))],
        vec![Element::field("list"), Element::Index(2)],
    ]);
    insta::assert_snapshot!(set.to_fields(), @r#"{"f:finalizers":{"v:\"a/b\"":{}},"f:list":{"i:2":{}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"f:spec":{"f:replicas":{}}}"#);
    let shown: Vec<String> = set.paths().iter().map(|path| display(path)).collect();
    insta::assert_snapshot!(shown.join(" "), @r#".finalizers[="a/b"] .list[2] .ports[port=80,protocol="TCP"] .ports[port=80,protocol="TCP"].name .spec.replicas"#);
    assert_eq!(Element::parse("x:new"), Ok(None), "a newer server's");
    for wrong in ["", "f", "i:x", "k:3", "k:{", "v:"] {
        assert!(Element::parse(wrong).is_err(), "{wrong}");
    }
}

/// As `kubectl create deployment web --image=nginx` is recorded by upstream: the types' parts that
/// are always there have no owner, the defaults do.
#[test]
fn who_creates_owns_what_he_sent_and_the_defaults() {
    let deployments = kind("Deployment");
    let new = json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "nginx", "image": "nginx" }] },
            },
        },
    });
    let new = updated(&writer("kubectl-create", "", &deployments, 0), None, &new);
    insta::assert_snapshot!(serde_json::to_string_pretty(&new["metadata"]["managedFields"]).expect("JSON"));
}

#[test]
fn who_changes_a_field_owns_it_and_who_changes_nothing_owns_nothing() {
    let config_maps = kind("ConfigMap");
    let first = updated(&writer("a", "", &config_maps, 0), None, &config_map(json!({ "x": "1", "y": "1" })));
    let second =
        updated(&writer("b", "", &config_maps, 1), Some(&first), &config_map(json!({ "x": "2", "y": "1" })));
    let same =
        updated(&writer("c", "", &config_maps, 2), Some(&second), &config_map(json!({ "x": "2", "y": "1" })));
    assert_eq!(same, second);
    let third =
        updated(&writer("a", "", &config_maps, 3), Some(&same), &config_map(json!({ "y": "2", "z": "" })));
    insta::assert_snapshot!([&first, &second, &third].map(owners).join("--\n"), @r"
    a Update v1 - 05: .data .data.x .data.y
    --
    a Update v1 - 05: .data .data.y
    b Update v1 - 06: .data.x
    --
    a Update v1 - 08: .data .data.y .data.z
    ");
}

#[test]
fn a_client_may_rewrite_the_list_reset_it_and_not_break_it() {
    let config_maps = kind("ConfigMap");
    let old = updated(&writer("a", "", &config_maps, 0), None, &config_map(json!({ "x": "1" })));
    let send = |list: Value| {
        let mut new = config_map(json!({ "x": "1" }));
        new["metadata"]["managedFields"] = list;
        updated(&writer("b", "", &config_maps, 1), Some(&old), &new)
    };
    for forgotten in [json!([]), json!([{}])] {
        let new = send(forgotten);
        assert_eq!(new["metadata"].get("managedFields"), None);
        // Until somebody applies, nothing is noted any more.
        let later = updated(&writer("b", "", &config_maps, 2), Some(&new), &config_map(json!({ "x": "2" })));
        assert_eq!(later["metadata"].get("managedFields"), None);
    }
    let valid = &old["metadata"]["managedFields"][0];
    let with = |key: &str, value: Value| {
        let mut entry = valid.clone();
        entry[key] = value;
        json!([entry])
    };
    for broken in [
        Value::Null,
        json!("x"),
        json!([{ "manager": "x" }]),
        with("operation", json!("Delete")),
        with("apiVersion", json!("")),
        with("fieldsType", json!("FieldsV2")),
        with("fieldsV1", json!({ "data": {} })),
    ] {
        assert_eq!(send(broken.clone()), old, "{broken}");
    }
    assert_eq!(owners(&send(with("manager", json!("new")))), "new Update v1 - 05: .data .data.x\n");
}

#[test]
fn the_oldest_updates_are_put_together() {
    let config_maps = kind("ConfigMap");
    let mut object = None;
    for second in 0..14 {
        let mut new = object.clone().unwrap_or_else(|| config_map(json!({})));
        new["data"][format!("k{second:02}")] = json!("x");
        object =
            Some(updated(&writer(&format!("m{second:02}"), "", &config_maps, second), object.as_ref(), &new));
    }
    insta::assert_snapshot!(owners(&object.expect("made")), @r"
    ancient-changes Update v1 - 09: .data .data.k00 .data.k01 .data.k02 .data.k03 .data.k04
    m05 Update v1 - 10: .data.k05
    m06 Update v1 - 11: .data.k06
    m07 Update v1 - 12: .data.k07
    m08 Update v1 - 13: .data.k08
    m09 Update v1 - 14: .data.k09
    m10 Update v1 - 15: .data.k10
    m11 Update v1 - 16: .data.k11
    m12 Update v1 - 17: .data.k12
    m13 Update v1 - 18: .data.k13
    ");
}

/// The object itself and its status are two things that are owned apart.
#[test]
fn a_subresource_has_its_own_entries_and_its_own_fields() {
    let pods = kind("Pod");
    let pod = json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "p", "uid": "u" },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    });
    let created = updated(&writer("a", "", &pods, 0), None, &pod);
    let mut new = created.clone();
    new["status"] = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    new["spec"]["nodeName"] = json!("n");
    new["metadata"]["labels"] = json!({ "l": "x" });
    let mut main = updated(&writer("b", "", &pods, 1), Some(&created), &new);
    let status = updated(&writer("b", "status", &pods, 2), Some(&created), &new);
    let only = |object: &Value| owners(object).lines().filter(|l| l.starts_with("b ")).collect::<String>();
    insta::assert_snapshot!(only(&main), @"b Update v1 - 06: .metadata.labels .metadata.labels.l .spec.nodeName");
    insta::assert_snapshot!(only(&status), @r#"b Update v1 status 07: .metadata.labels .metadata.labels.l .status.conditions .status.conditions[type="Ready"] .status.conditions[type="Ready"].lastProbeTime .status.conditions[type="Ready"].lastTransitionTime .status.conditions[type="Ready"].status .status.conditions[type="Ready"].type .status.phase"#);
    // A list that is sent to a subresource is not read.
    main["metadata"]["managedFields"] = json!([]);
    main["status"] = json!({ "phase": "Failed" });
    let again = updated(&writer("b", "status", &pods, 3), Some(&status), &main);
    assert!(owners(&again).starts_with("a Update v1 - 05"), "{}", owners(&again));
}

/// In Go a Deployment has a template before anybody writes one; that of a ReplicationController is a
/// pointer. Whoever brings something into being owns all that comes with it, said or not.
#[test]
fn what_is_written_unsaid_is_owned_where_what_holds_it_is_new() {
    let template = json!({ "spec": { "containers": [{ "name": "c" }] } });
    let mut all = String::new();
    for name in ["Deployment", "ReplicationController"] {
        let kind = kind(name);
        let object = json!({
            "kind": name, "metadata": { "name": "x", "uid": "u" },
            "spec": { "template": template },
        });
        let made = updated(&writer("a", "", &kind, 0), None, &object);
        let fields = &made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"];
        let template =
            json!({ "f:metadata": fields["f:metadata"], "f:containers": fields["f:spec"]["f:containers"] });
        all += &format!("{name} {template}\n");
    }
    insta::assert_snapshot!(all, @r#"
    Deployment {"f:metadata":null,"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}}}
    ReplicationController {"f:metadata":{".":{},"f:creationTimestamp":{}},"f:containers":{".":{},"k:{\"name\":\"c\"}":{".":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}}}
    "#);
}

#[test]
fn a_namespace_is_finished_in_its_own_words() {
    let namespaces = kind("Namespace");
    let object = |finalizers: Value| {
        json!({
            "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "n", "uid": "u" },
            "spec": { "finalizers": finalizers },
        })
    };
    let old = updated(&writer("a", "", &namespaces, 0), None, &object(json!([])));
    let mut new = object(json!(["kubernetes"]));
    new["metadata"]["annotations"] = json!({ "not": "here" });
    let new = updated(&writer("b", "finalize", &namespaces, 1), Some(&old), &new);
    assert!(!owners(&new).contains("annotations"), "{}", owners(&new));
}

/// `kubectl scale`, and an apply of a Scale.
#[test]
fn a_scale_owns_the_number_of_replicas() {
    let deployments = kind("Deployment");
    let deployment = |replicas: i64| {
        json!({
            "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "web", "uid": "u" },
            "spec": { "replicas": replicas, "paused": true },
        })
    };
    let mine = writer("ci", "", &deployments, 0);
    let live = apply(
        &mine,
        false,
        None,
        &json!({
            "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "web" }, "spec": { "replicas": 1, "paused": true },
        }),
    );
    let live = live.expect("applies");
    let scaled = updated(&writer("kubectl", "scale", &deployments, 1), Some(&live), &deployment(2));
    insta::assert_snapshot!(owners(&scaled), @r"
    ci Apply apps/v1 - 05: .spec.paused
    kubectl Update apps/v1 scale 06: .spec.replicas
    ");
    let scale = |replicas: i64| {
        json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": { "name": "web" },
            "spec": { "replicas": replicas },
        })
    };
    let claim = subresources::scale_claim(&deployments, &scale(3)).expect("a scale");
    let hpa = writer("hpa", "scale", &deployments, 2);
    insta::assert_snapshot!(
        refused(apply(&hpa, false, Some(&scaled), &claim)),
        @r#"409 Conflict: Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas"#
    );
    let forced = apply(&hpa, true, Some(&scaled), &claim).expect("is forced");
    assert_eq!(forced["spec"], json!({ "replicas": 3, "paused": true }));
    insta::assert_snapshot!(owners(&forced), @r"
    ci Apply apps/v1 - 05: .spec.paused
    hpa Apply apps/v1 scale 07: .spec.replicas
    ");
    insta::assert_snapshot!(
        refused(subresources::scale_claim(&deployments, &deployment(3))),
        @"400 BadRequest: invalid object type: apps/v1, Kind=Deployment"
    );
}

/// The old autoscaler's number is the new one's metric; entries stay in the words of their version.
#[test]
fn an_entry_in_another_version_loses_what_changes_there() {
    let of = |version: &str| {
        let found =
            resources::all().iter().find(|r| r.version == version && r.plural == "horizontalpodautoscalers");
        Kind::builtin(found.expect("served"))
    };
    let (v1, v2) = (of("v1"), of("v2"));
    let object = |version: &str, spec: Value| {
        json!({
            "kind": "HorizontalPodAutoscaler", "apiVersion": format!("autoscaling/{version}"),
            "metadata": { "name": "h", "uid": "u" }, "spec": spec,
        })
    };
    let metric = |percent: i64| json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": percent } } });
    let old = object("v1", json!({ "maxReplicas": 3, "targetCPUUtilizationPercentage": 50 }));
    let old = updated(&writer("a", "", &v1, 0), None, &old);
    let mut seen = object("v2", json!({ "maxReplicas": 3, "metrics": [metric(50)] }));
    seen["metadata"] = old["metadata"].clone();
    let new = object("v2", json!({ "maxReplicas": 3, "metrics": [metric(80)] }));
    let new = updated(&writer("b", "", &v2, 1), Some(&seen), &new);
    insta::assert_snapshot!(owners(&new), @r"
    a Update autoscaling/v1 - 05: .spec.maxReplicas
    b Update autoscaling/v2 - 06: .spec.metrics
    ");
    let mut gone = seen.clone();
    gone["metadata"]["managedFields"][0]["apiVersion"] = json!("autoscaling/v2beta2");
    let new = object("v2", json!({ "maxReplicas": 4, "metrics": [metric(50)] }));
    let new = updated(&writer("b", "", &v2, 1), Some(&gone), &new);
    insta::assert_snapshot!(owners(&new), @"b Update autoscaling/v2 - 06: .spec.maxReplicas");
}

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The first server-side apply after a client-side one.
#[test]
fn kubectl_does_not_quarrel_with_its_own_past() {
    let config_maps = kind("ConfigMap");
    let sent = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "c" }, "data": { "x": "1", "y": "1" } });
    let mut created = config_map(json!({ "x": "1", "y": "1" }));
    created["metadata"]["annotations"] = json!({ LAST_APPLIED: sent.to_string() });
    let live = updated(&writer("kubectl-client-side-apply", "", &config_maps, 0), None, &created);
    let mut wanted = sent.clone();
    wanted["data"]["x"] = json!("2");
    // Under another name it is somebody else.
    insta::assert_snapshot!(
        refused(apply(&writer("ci", "", &config_maps, 1), false, Some(&live), &wanted)),
        @r#"409 Conflict: Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.x"#
    );
    let new = apply(&writer("kubectl", "", &config_maps, 1), false, Some(&live), &wanted).expect("applies");
    insta::assert_snapshot!(new["metadata"]["annotations"][LAST_APPLIED].as_str().expect("kept"), @r#"{"apiVersion":"v1","data":{"x":"2","y":"1"},"kind":"ConfigMap","metadata":{"name":"c"}}"#);
    insta::assert_snapshot!(owners(&new), @r#"
    kubectl Apply v1 - 06: .data.x .data.y
    kubectl-client-side-apply Update v1 - 05: .data .data.y .metadata.annotations .metadata.annotations.kubectl.kubernetes.io/last-applied-configuration
    "#);
    // What was changed since is not its own.
    let mut changed = live.clone();
    changed["data"]["y"] = json!("3");
    let changed = updated(&writer("vim", "", &config_maps, 1), Some(&live), &changed);
    wanted["data"]["y"] = json!("2");
    insta::assert_snapshot!(
        refused(apply(&writer("kubectl", "", &config_maps, 2), false, Some(&changed), &wanted)),
        @r#"409 Conflict: Apply failed with 1 conflict: conflict with "vim" using v1: .data.y"#
    );
}

/// What was there before anybody applied has an owner too.
#[test]
fn an_object_without_a_list_gets_one_at_the_first_apply() {
    let config_maps = kind("ConfigMap");
    let live = config_map(json!({ "x": "1" }));
    let wanted = |x: &str| json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "c" }, "data": { "x": x, "y": "1" } });
    let new = apply(&writer("ci", "", &config_maps, 1), false, Some(&live), &wanted("1")).expect("applies");
    insta::assert_snapshot!(owners(&new), @r"
    ci Apply v1 - 06: .data.x .data.y
    before-first-apply Update v1 - 06: .data .data.x
    ");
    insta::assert_snapshot!(
        refused(apply(&writer("ci", "", &config_maps, 1), false, Some(&live), &wanted("2"))),
        @r#"409 Conflict: Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.x"#
    );
}

#[test]
fn what_cannot_be_stored_cannot_be_applied() {
    let deployments = kind("Deployment");
    let said = |metadata: Value, spec: Value| {
        let applied =
            json!({ "kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata, "spec": spec });
        refused(apply(&writer("ci", "", &deployments, 0), false, None, &applied))
    };
    let named = || json!({ "name": "web", "namespace": "dev" });
    let pod = |containers: Value| json!({ "template": { "spec": { "containers": containers } } });
    let wrong = [
        said(json!({ "name": "web", "managedFields": [] }), json!({})),
        said(json!({ "name": "web", "uid": "u" }), json!({})),
        said(named(), json!({ "foo": 1 })),
        said(named(), json!({ "foo": 1, "template": { "bar": 1 } })),
        said(named(), pod(json!([{ "name": "a", "imagee": "x" }]))),
        said(named(), pod(json!([{ "image": "x" }]))),
        said(named(), pod(json!([{ "name": "a" }, { "name": "a" }]))),
        said(named(), json!({ "replicas": "many" })),
        refused(apply(&writer("ci", "", &deployments, 0), false, None, &json!({ "apiVersion": "apps/v2" }))),
        refused(apply(&writer("ci", "", &deployments, 0), false, None, &json!("x"))),
    ];
    insta::assert_snapshot!(wrong.join("\n"));
}

#[test]
fn who_applies_must_say_who_he_is() {
    let said = |query: &str, shown, applies| {
        let line = format!("/api/v1/namespaces/default/pods/p?{query}");
        let info = RequestInfo::parse("PATCH", &line).expect("a request");
        let query: &Query = &info.query;
        match options::check(query, shown, applies) {
            Ok(force) => format!("force {force}"),
            Err(error) => refused::<()>(Err(error)),
        }
    };
    let long = "m".repeat(129);
    let all = [
        said("", "PatchOptions", true),
        said("fieldManager=me", "PatchOptions", true),
        said("fieldManager=me&force=true", "PatchOptions", true),
        said("fieldManager=me&force=maybe", "PatchOptions", true),
        said("fieldManager=me&force=False", "PatchOptions", true),
        said("force=true", "PatchOptions", false),
        said(&format!("fieldManager={long}"), "CreateOptions", false),
        said("fieldManager=a%0Ab&force=1", "PatchOptions", false),
        said("fieldManager=ok", "UpdateOptions", false),
    ];
    insta::assert_snapshot!(all.join("\n"));
    assert_eq!(options::manager_of("kubectl/v1.32.3 (linux/amd64)"), "kubectl");
    assert_eq!(options::manager_of(""), "unknown");
    assert_eq!(options::manager_of(&"é".repeat(100)), "é".repeat(64));
}

#[test]
fn those_that_apply_stand_first_then_time_decides() {
    let config_maps = kind("ConfigMap");
    let old = updated(&writer("z", "", &config_maps, 5), None, &config_map(json!({ "x": "1" })));
    let mut new = old.clone();
    new["data"]["y"] = json!("1");
    let new = updated(&writer("a", "", &config_maps, 6), Some(&old), &new);
    let wanted =
        json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "c" }, "data": { "w": "1" } });
    let new = apply(&writer("m", "", &config_maps, 7), false, Some(&new), &wanted).expect("applies");
    let list = managers::decode(&new["metadata"]["managedFields"]).expect("valid");
    assert_eq!(managers::encode(&list), new["metadata"]["managedFields"]);
    assert_eq!(list.keys().filter(|id| id.operation == Operation::Apply).count(), 1);
    insta::assert_snapshot!(owners(&new), @r"
    m Apply v1 - 12: .data.w
    z Update v1 - 10: .data .data.x
    a Update v1 - 11: .data.y
    ");
}
