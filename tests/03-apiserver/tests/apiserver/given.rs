//! What students are given: defaults, validation, allocation. Tested here, graded nowhere.

use crate::common::{any_json, context, created, deployment, now, refused, resource};
use crate::heart::access::{self, User};
use crate::heart::admission::builtin;
use crate::heart::alloc::{ServiceNet, Used, allocate};
use crate::heart::query::Query;
use crate::heart::reading;
use crate::heart::request::RequestInfo;
use crate::heart::selection::Selection;
use crate::heart::tables::{self, Include};
use crate::heart::{convert, write};
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn create(kind: &str, object: Value) -> Result<Value, crate::heart::status::ApiError> {
    write::prepare_create(&context(kind), reading::decode_body(&context(kind), object)?.object)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON")
}

#[test]
fn a_new_deployment_is_complete() {
    insta::assert_snapshot!(pretty(&deployment()));
}

#[test]
fn a_new_pod_is_complete() {
    let pod = create(
        "Pod",
        json!({
            "metadata": { "generateName": "web-", "creationTimestamp": null },
            "spec": {
                "containers": [{
                    "name": "web", "image": "registry:5000/web", "ports": [{ "containerPort": 80 }],
                    "resources": { "limits": { "cpu": 0.5, "memory": "64Mi" } },
                    "readinessProbe": { "httpGet": { "port": 80 } },
                }],
                "volumes": [{ "name": "tmp" }, { "name": "c", "configMap": { "name": "c" } }],
            },
            "status": { "phase": "Running" },
        }),
    )
    .expect("is created");
    insta::assert_snapshot!(pretty(&pod));
}

#[test]
fn defaults_are_applied_once() {
    let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }] } });
    for (kind, object) in [("Deployment", deployment()), ("Service", created("Service", service))] {
        let mut again = object.clone();
        crate::heart::defaults::apply(resource(kind), &mut again);
        assert_eq!(again, object);
    }
}

#[test]
fn what_is_wrong_is_said_as_upstream_says_it() {
    let container = json!({ "name": "c", "image": "x" });
    let template =
        |labels: Value| json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    let wrong = [
        ("Pod", json!({ "metadata": { "name": "Web" }, "spec": { "containers": [{ "name": "c" }] } })),
        ("Pod", json!({ "metadata": {}, "spec": { "containers": [container] } })),
        ("Pod", json!({ "metadata": { "name": "p" }, "spec": {} })),
        ("Pod", json!({ "metadata": { "name": "p" }, "spec": { "containers": [container, container] } })),
        (
            "Pod",
            json!({ "metadata": { "name": "p" }, "spec": { "restartPolicy": "Sometimes", "containers": [container] } }),
        ),
        (
            "Pod",
            json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "x", "resources": { "requests": { "cpu": "2" }, "limits": { "cpu": "1" } } }] } }),
        ),
        (
            "Pod",
            json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "x", "resources": { "requests": { "cpu": "lots" } } }] } }),
        ),
        (
            "Deployment",
            json!({ "metadata": { "name": "d" }, "spec": { "selector": { "matchLabels": { "a": "b" } }, "template": template(json!({ "a": "c" })) } }),
        ),
        (
            "Deployment",
            json!({ "metadata": { "name": "d" }, "spec": { "template": template(json!({ "a": "c" })) } }),
        ),
        (
            "Deployment",
            json!({ "metadata": { "name": "d" }, "spec": { "replicas": -1, "selector": { "matchLabels": { "a": "b" } }, "template": template(json!({ "a": "b" })) } }),
        ),
        ("Service", json!({ "metadata": { "name": "1st" }, "spec": { "ports": [{ "port": 0 }] } })),
        (
            "Service",
            json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }, { "port": 81 }] } }),
        ),
        ("Service", json!({ "metadata": { "name": "s" }, "spec": {} })),
        ("ConfigMap", json!({ "metadata": { "name": "c" }, "data": { "a b": "c" } })),
        ("ConfigMap", json!({ "metadata": { "name": "c", "labels": { "-": "x y" } } })),
        ("ConfigMap", json!({ "metadata": { "name": "c", "resourceVersion": "5" } })),
        ("ConfigMap", json!({ "metadata": { "name": "c", "namespace": "other" } })),
        ("Namespace", json!({ "metadata": { "name": "a.b" } })),
        ("Pod", json!({ "kind": "Service", "metadata": { "name": "c" } })),
        ("Pod", json!({ "apiVersion": "v2", "metadata": { "name": "c" } })),
        ("Pod", json!({ "metadata": { "name": "c" }, "spec": { "containers": "none" } })),
        ("Pod", json!([])),
    ];
    let all: Vec<String> =
        wrong.into_iter().map(|(kind, object)| format!("{}\n", refused(create(kind, object)))).collect();
    insta::assert_snapshot!(all.concat());
}

#[test]
fn what_may_not_change_is_said_as_upstream_says_it() {
    let update = |kind: &str, old: &Value, change: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        format!("{}\n", refused(write::prepare_update(&context(kind), write::Part::Main, old, 5, new)))
    };
    let mut service =
        created("Service", json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }] } }));
    service["spec"]["clusterIP"] = json!("10.96.0.9");
    let pod = created(
        "Pod",
        json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "x" }] } }),
    );
    let frozen =
        created("ConfigMap", json!({ "metadata": { "name": "c" }, "immutable": true, "data": { "a": "b" } }));
    let all = [
        update("Deployment", &deployment(), &|d| {
            d["spec"]["selector"]["matchLabels"] = json!({ "app": "x" });
            d["spec"]["template"]["metadata"]["labels"] = json!({ "app": "x" });
        }),
        update("Service", &service, &|s| s["spec"]["clusterIP"] = json!("10.96.0.10")),
        update("Pod", &pod, &|p| p["spec"]["containers"][0]["command"] = json!(["sh"])),
        update("Pod", &pod, &|p| p["metadata"]["name"] = json!("q")),
        update("ConfigMap", &frozen, &|c| c["data"]["a"] = json!("c")),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn fields_that_the_kind_does_not_have_are_named_by_path() {
    let object = json!({
        "metadata": { "name": "p", "foo": 1, "labels": { "any": "thing" } },
        "spec": { "bar": {}, "containers": [{ "name": "c", "image": "x", "ports": [{ "containerPort": 1, "baz": 2 }] }] },
    });
    let decoded = reading::decode_body(&context("Pod"), object).expect("decodes");
    assert_eq!(decoded.unknown, ["metadata.foo", "spec.bar", "spec.containers[0].ports[0].baz"]);
    assert!(decoded.object["spec"].get("bar").is_none(), "and they are dropped");
}

#[test]
fn nothing_is_made_in_a_namespace_that_is_missing_or_going() {
    let pods = resource("Pod");
    let going = json!({ "metadata": { "name": "dev", "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let missing = builtin::check_namespace(pods, "p", "dev", None).expect_err("is refused").to_status();
    let ending =
        builtin::check_namespace(pods, "p", "dev", Some(&going)).expect_err("is refused").to_status();
    insta::assert_snapshot!(format!("{}\n{}", pretty(&missing), pretty(&ending)));
}

#[test]
fn an_event_has_two_names_and_loses_nothing_between_them() {
    let newer = resources::by_plural("events.k8s.io", "v1", "events").expect("a resource");
    let event = json!({
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": { "name": "e", "namespace": "dev" },
        "regarding": { "kind": "Pod", "name": "p", "namespace": "dev" }, "note": "it happened", "reason": "Because",
        "type": "Normal", "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "test", "action": "Do",
        "reportingInstance": "t1",
    });
    let stored = convert::to_storage(newer, event.clone());
    assert_eq!((&stored["apiVersion"], &stored["message"]), (&json!("v1"), &json!("it happened")));
    assert_eq!(convert::from_storage(newer, stored), event);
}

#[test]
fn strangers_learn_that_the_server_lives_and_no_more() {
    let may = |user: &User, url: &str| {
        access::authorize(user, &RequestInfo::parse("GET", url).expect("a request")).is_ok()
    };
    let (stranger, admin) = (User::anonymous(), User::authenticated("admin", vec!["system:masters".into()]));
    for url in ["/healthz", "/livez", "/readyz", "/version", "/readyz/etcd"] {
        assert!(may(&stranger, url), "{url}");
    }
    for url in ["/api", "/apis", "/openapi/v2", "/api/v1/pods", "/versions", "/"] {
        assert!(!may(&stranger, url) && may(&admin, url), "{url}");
    }
}

/// One field with a length, as protobuf writes it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("a short field")];
    out.extend_from_slice(bytes);
    out
}

fn protobuf(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &meta), field(2, raw)].concat()
}

#[test]
fn a_protobuf_body_is_the_object_that_json_would_have_been() {
    let entry = |key: &str, value: &str| [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
    // Metadata with a name, a zero time and a label; a replica count of zero, which is a pointer and
    // stays; paused: false, which is none and goes; a number that only later versions know.
    let labels = field(11, &entry("app", "web"));
    let metadata = [field(1, b"web"), field(8, b""), labels].concat();
    let selector = field(1, &entry("app", "web"));
    let spec = [vec![1 << 3, 0], field(2, &selector), vec![7 << 3, 0], field(15, b"later")].concat();
    let body = protobuf("apps/v1", "Deployment", &[field(1, &metadata), field(2, &spec)].concat());
    let expected = json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "web" } } },
    });
    assert_eq!(crate::heart::protobuf::decode(&body), Ok(expected));
    let unknown = protobuf("example.com/v1", "Thing", b"");
    assert!(refused(crate::heart::protobuf::decode(&unknown)).starts_with("415 UnsupportedMediaType"));
}

proptest! {
    #[test]
    fn no_protobuf_makes_it_panic(raw in prop::collection::vec(any::<u8>(), 0..100), kind in 0..resources::all().len()) {
        let resource = &resources::all()[kind];
        let _ = crate::heart::protobuf::decode(&raw);
        let _ = crate::heart::protobuf::decode(&protobuf(&resource.api_version(), resource.kind, &raw));
    }

    #[test]
    fn no_address_and_no_port_is_given_twice(randoms in prop::collection::vec(any::<u64>(), 1..40)) {
        let net = ServiceNet::parse("10.96.0.0/26", "30000-30049").expect("a range");
        let (mut used, mut ips, mut ports) = (Used::default(), BTreeSet::new(), BTreeSet::new());
        for random in randoms {
            let mut service = created("Service", json!({ "metadata": { "name": "s" }, "spec": { "type": "NodePort", "ports": [{ "port": 80 }] } }));
            allocate(resource("Service"), &mut service, &net, &used, random).expect("there is room");
            let ip = service["spec"]["clusterIP"].as_str().expect("an address").to_string();
            prop_assert!(net.contains(ip.parse().expect("an address")));
            prop_assert!(ips.insert(ip));
            prop_assert!(ports.insert(service["spec"]["ports"][0]["nodePort"].as_u64().expect("a port")));
            used.add(&service);
        }
    }

    #[test]
    fn no_body_makes_it_panic(body in any_json(), old in any_json(), kind in 0..resources::all().len()) {
        let resource = &resources::all()[kind];
        let context = write::Context { kind: crate::heart::kind::Kind::builtin(resource), ..context("Pod") };
        if let Ok(decoded) = reading::decode_body(&context, body.clone())
            && let Ok(mut object) = write::prepare_create(&context, decoded.object)
        {
            let net = ServiceNet::parse("10.96.0.0/16", "30000-32767").expect("a range");
            let _ = allocate(resource, &mut object, &net, &Used::default(), 1);
            for part in [write::Part::Main, write::Part::Status, write::Part::Finalize] {
                let _ = write::prepare_update(&context, part, &object, 5, object.clone());
            }
        }
        let _ = write::prepare_update(&context, write::Part::Status, &old, 5, body.clone());
        let _ = crate::heart::delete::prepare_delete(resource, &old, 5, &Default::default(), now());
        let _ = crate::heart::subresources::bind(resource, &old, &body, now());
        let _ = crate::heart::subresources::scale_of(&old);
    }
}

#[test]
fn a_field_that_is_not_indexed_is_refused_and_not_empty() {
    let query = Query::parse("fieldSelector=spec.foo%3Dx");
    insta::assert_snapshot!(refused(Selection::parse(resource("Pod"), &query)));
}

#[test]
fn every_kind_has_columns() {
    let line = |r: &objects::resources::Resource| {
        let show =
            |c: &tables::Column| if c.priority > 0 { format!("({})", c.name) } else { c.name.to_string() };
        let names: Vec<String> = tables::printer(r).columns.iter().map(show).collect();
        format!("{}/{}: {}\n", r.api_version(), r.plural, names.join(", "))
    };
    let all: Vec<String> = resources::all().iter().map(line).collect();
    insta::assert_snapshot!(all.concat());
}

proptest! {
    #[test]
    fn a_row_has_as_many_cells_as_columns_whatever_the_object(object in any_json(), kind in 0..resources::all().len()) {
        let resource = &resources::all()[kind];
        let row = tables::row(resource, &object, Include::Metadata, now());
        prop_assert_eq!(row["cells"].as_array().map(Vec::len), Some(tables::printer(resource).columns.len()));
    }
}

#[test]
fn who_deletes_a_job_is_told_that_its_pods_stay() {
    use crate::heart::delete::{DeleteOptions, Propagation, warning};
    let unsaid = DeleteOptions::default();
    assert!(warning(resource("Job"), &unsaid).is_some_and(|text| text.contains("child pods are preserved")));
    let said = DeleteOptions { propagation: Some(Propagation::Background), ..unsaid.clone() };
    assert_eq!(warning(resource("Job"), &said), None, "who said what should happen needs no warning");
    assert_eq!(warning(resource("Deployment"), &unsaid), None, "its pods go with it");
}

/// Whoever may write the certificate may not approve it.
#[test]
fn the_status_of_a_request_for_a_certificate_approves_nothing() {
    let old = json!({
        "metadata": { "name": "jane" },
        "spec": { "request": "LS0t", "signerName": "example.com/any", "usages": ["client auth"] },
        "status": { "conditions": [{
            "type": "Denied", "status": "True", "lastUpdateTime": null, "lastTransitionTime": null }] },
    });
    let mut new = old.clone();
    new["status"] =
        json!({ "certificate": "LS0t", "conditions": [{ "type": "Approved", "status": "True" }] });
    let context = write::Context { name: Some("jane"), ..context("CertificateSigningRequest") };
    let written = write::prepare_update(&context, write::Part::Status, &old, 5, new);
    let conditions = match written {
        Ok(object) => object["status"]["conditions"].clone(),
        Err(refused) => json!(refused.message),
    };
    assert_eq!(conditions, old["status"]["conditions"], "approval has a door of its own");
}

/// Two finalizers are the garbage collector's, and say what a delete means for what the object owns.
#[test]
fn the_policy_of_a_delete_is_written_as_finalizers_beside_those_of_others() {
    use crate::heart::delete::{DeleteOptions, Deletion, Propagation, prepare_delete};
    let after = |kind: &str, finalizers: &[&str], propagation: Option<Propagation>| {
        let object = json!({ "metadata": { "name": "x", "finalizers": finalizers } });
        let options = DeleteOptions { propagation, ..DeleteOptions::default() };
        match prepare_delete(resource(kind), &object, 5, &options, now()).expect("is deleted") {
            Deletion::Mark(marked) => crate::heart::meta::finalizers(&marked).join(" "),
            other => format!("{other:?}"),
        }
    };
    use Propagation::{Background, Foreground, Orphan};
    for (kind, before, policy, expected) in [
        ("ConfigMap", vec![], None, "Remove"),
        ("ConfigMap", vec![], Some(Background), "Remove"),
        ("ConfigMap", vec![], Some(Foreground), "foregroundDeletion"),
        ("ConfigMap", vec![], Some(Orphan), "orphan"),
        ("ConfigMap", vec!["a.io/b", "orphan"], Some(Foreground), "a.io/b foregroundDeletion"),
        ("ConfigMap", vec!["foregroundDeletion", "a.io/b"], Some(Orphan), "a.io/b orphan"),
        ("ConfigMap", vec!["foregroundDeletion", "orphan"], Some(Background), "Remove"),
        ("ConfigMap", vec!["orphan"], None, "orphan"),
        // A job's pods stay, unless it is said.
        ("Job", vec![], None, "orphan"),
        ("Job", vec!["a.io/b"], None, "a.io/b orphan"),
        ("Job", vec!["foregroundDeletion"], None, "foregroundDeletion"),
        ("Job", vec!["orphan"], None, "orphan"),
        ("Job", vec![], Some(Background), "Remove"),
    ] {
        assert_eq!(after(kind, &before, policy), expected, "{kind} {before:?} {policy:?}");
    }
}
