//! What users see when an object is refused: the causes of the Status, as upstream words them.
//! Each case is an object that is right, but for what the line says.

use crate::common::{any_json, context, created};
use crate::heart::alloc::{ServiceNet, Used, allocate};
use crate::heart::kind::Kind;
use crate::heart::reading;
use crate::heart::{defaults, validation, write};
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write;

/// A request for a certificate of `CN=x`, in PEM.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIR01HNENBUUF3RERFS01BZ0dBMVVFQXd3QmVEQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCQTlWRVpMNjJUTHVjcEpoZG9qUXRPS2RhZmFaLy9uS0ZGc1lwL1hUSXY0MDBlZEo0VTB4MTFGVDhodmRJdkQ4CmFka0REVUtDa00zZkJ3cTM5clltbXVHZ0FEQUtCZ2dxaGtqT1BRUURBZ05JQURCRkFpQkh6cEEzNmhkVFBwSGIKVHNUN3ZyYi85bUNyeVhmaTUycDBqNWw3d25zMUZBSWhBUFU3Y1crbkg1bUdFK3RVNVZlcTNvcDR0am0vQUNRbApUdDI3Y2ZTQWJoYVQKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";

/// The least of each kind that is accepted.
pub fn minimal(group: &str, kind: &str) -> Value {
    let labels = json!({ "app": "x" });
    let selector = json!({ "matchLabels": labels });
    let pod = json!({ "containers": [{ "name": "c", "image": "i" }] });
    let template = json!({ "metadata": { "labels": labels }, "spec": pod });
    let job = json!({ "template": { "spec": {
        "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }] } } });
    let rules = json!([{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"] }]);
    let webhook = json!({ "webhooks": [{
        "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": { "url": "https://example.com" }, "rules": rules,
    }] });
    let mut object = match (group, kind) {
        ("", "Pod") => json!({ "spec": pod }),
        ("", "PodTemplate") => json!({ "template": template }),
        ("", "Service") => json!({ "spec": { "ports": [{ "port": 80 }] } }),
        ("", "Event") => json!({ "involvedObject": { "namespace": "default" } }),
        ("events.k8s.io", "Event") => json!({ "regarding": { "namespace": "default" } }),
        ("", "Endpoints") => {
            json!({ "subsets": [{ "addresses": [{ "ip": "10.0.0.1" }], "ports": [{ "port": 80 }] }] })
        }
        ("", "ReplicationController") => json!({ "spec": { "template": template } }),
        ("", "PersistentVolume") => json!({ "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" }, "hostPath": { "path": "/d" } } }),
        ("", "PersistentVolumeClaim") => json!({ "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }),
        ("", "LimitRange") => {
            json!({ "spec": { "limits": [{ "type": "Container", "max": { "cpu": "1" } }] } })
        }
        ("", "ResourceQuota") => json!({ "spec": { "hard": { "pods": "3" } } }),
        ("apps", "ControllerRevision") => json!({ "revision": 1, "data": { "a": 1 } }),
        ("apps", _) => json!({ "spec": { "selector": selector, "template": template } }),
        ("autoscaling", _) => {
            json!({ "spec": { "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "d" } } })
        }
        ("batch", "Job") => json!({ "spec": job }),
        ("batch", "CronJob") => {
            json!({ "spec": { "schedule": "* * * * *", "jobTemplate": { "spec": job } } })
        }
        ("certificates.k8s.io", _) => json!({ "spec": {
            "request": REQUEST,
            "signerName": "example.com/s", "usages": ["client auth"] } }),
        ("networking.k8s.io", "Ingress") => json!({ "spec": { "rules": [{ "http": { "paths": [{
            "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "s", "port": { "number": 80 } } } }] } }] } }),
        ("networking.k8s.io", "IngressClass") => json!({ "spec": { "controller": "example.com/c" } }),
        ("networking.k8s.io", "NetworkPolicy") => {
            json!({ "spec": { "ingress": [{ "from": [{ "podSelector": {} }], "ports": [{ "port": 80 }] }] } })
        }
        ("policy", _) => json!({ "spec": { "minAvailable": 1, "selector": selector } }),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => {
            json!({ "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }] })
        }
        ("rbac.authorization.k8s.io", _) => json!({
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r" },
            "subjects": [{ "kind": "User", "name": "u" }] }),
        ("storage.k8s.io", "StorageClass") => json!({ "provisioner": "example.com/p" }),
        ("storage.k8s.io", "CSINode") => {
            json!({ "spec": { "drivers": [{ "name": "d", "nodeID": "n", "topologyKeys": [] }] } })
        }
        ("storage.k8s.io", "CSIStorageCapacity") => json!({ "storageClassName": "s" }),
        ("storage.k8s.io", "VolumeAttachment") => json!({ "spec": {
            "attacher": "a", "nodeName": "n", "source": { "persistentVolumeName": "p" } } }),
        ("scheduling.k8s.io", _) => json!({ "value": 5 }),
        ("node.k8s.io", _) => json!({ "handler": "h" }),
        ("discovery.k8s.io", _) => {
            json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.1"] }], "ports": [{ "port": 80 }] })
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => json!({ "spec": {
            "matchConstraints": { "resourceRules": rules }, "validations": [{ "expression": "true" }] } }),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => {
            json!({ "spec": { "policyName": "p", "validationActions": ["Deny"] } })
        }
        ("admissionregistration.k8s.io", _) => webhook,
        ("apiregistration.k8s.io", _) => json!({ "metadata": { "name": "v1.a.b" }, "spec": {
            "group": "a.b", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
            "service": { "name": "s", "namespace": "n" } } }),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => {
            json!({ "spec": { "priorityLevelConfiguration": { "name": "p" } } })
        }
        ("flowcontrol.apiserver.k8s.io", _) => {
            json!({ "spec": { "type": "Limited", "limited": { "limitResponse": { "type": "Queue", "queuing": {} } } } })
        }
        ("storage.k8s.io", "CSIDriver") => json!({ "spec": {} }),
        ("apiextensions.k8s.io", _) => json!({ "metadata": { "name": "as.b.c" }, "spec": {
            "group": "b.c", "scope": "Namespaced", "names": { "plural": "as", "kind": "A" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } } }] } }),
        _ => json!({}),
    };
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = json!("x");
    }
    object
}

/// Put a value at `spec.ports[0].name`; the word `none` takes away what is there.
fn put(object: &mut Value, path: &str, value: &str) {
    let value: Option<Value> =
        (value != "none").then(|| serde_json::from_str(value).unwrap_or_else(|_| json!(value)));
    let mut at = object;
    let steps: Vec<&str> = path.split(['.', '[']).collect();
    let (last, way) = steps.split_last().expect("a path");
    for step in way {
        at = step_into(at, step);
    }
    match value {
        Some(value) => *step_into(at, last) = value,
        None => {
            at.as_object_mut().expect("a map").shift_remove(*last);
        }
    }
}

fn step_into<'v>(at: &'v mut Value, step: &str) -> &'v mut Value {
    match step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
        Some(index) => {
            if !at.is_array() {
                *at = json!([]);
            }
            let list = at.as_array_mut().expect("a list");
            while list.len() <= index {
                list.push(json!({}));
            }
            &mut list[index]
        }
        // A key with a dot is written with a colon.
        None => &mut at[step.trim_end_matches(']').replace(':', ".")],
    }
}

fn kind_of(kind: &str) -> (&str, &str) {
    let (group, kind) = kind.rsplit_once('/').unwrap_or(("", kind));
    (group, kind)
}

pub fn context_of(kind: &str) -> write::Context<'static> {
    let (group, kind) = kind_of(kind);
    let row = resources::all().iter().find(|r| r.kind == kind && r.group.starts_with(group));
    let resource = row.unwrap_or_else(|| panic!("{group} {kind} is in the table"));
    write::Context {
        kind: Kind::builtin(resource),
        namespace: resource.namespaced.then_some("default"),
        ..context("Pod")
    }
}

/// The least of a kind, but for what a line says: `path=value`, several with ` ; ` between.
pub fn but_for(context: &write::Context<'_>, changes: &str) -> Value {
    let resource = context.kind.resource;
    let mut object = minimal(resource.group, resource.kind);
    change(&mut object, changes);
    object
}

pub fn change(object: &mut Value, changes: &str) {
    for change in changes.split(" ; ").filter(|change| !change.is_empty()) {
        let (path, value) = change.split_once('=').expect("a path and a value");
        put(object, path, value);
    }
}

fn causes<T>(result: Result<T, crate::heart::status::ApiError>) -> String {
    let Err(error) = result else { return "    accepted\n".into() };
    let status = error.to_status();
    let list = status["details"]["causes"].as_array().cloned().unwrap_or_default();
    let text = |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_string();
    let line =
        |c: &Value| format!("    {} {}: {}\n", text(c, "reason"), text(c, "field"), text(c, "message"));
    if list.is_empty() {
        format!("    {}\n", text(&status, "message"))
    } else {
        list.iter().map(line).collect()
    }
}

/// `kind`, and what is put where.
fn refused(cases: &str) -> String {
    let mut out = String::new();
    for case in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (kind, changes) = case.split_once(' ').expect("a kind and changes");
        let context = context_of(kind);
        let object = but_for(&context, changes);
        let result = reading::decode_body(&context, object)
            .and_then(|decoded| write::prepare_create(&context, decoded.object));
        write!(out, "{case}\n{}", causes(result)).expect("a text");
    }
    out
}

/// As `refused`: what is made first, then what is changed.
fn unchangeable(cases: &str) -> String {
    let mut out = String::new();
    for case in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (kind, changes) = case.split_once(' ').expect("a kind and changes");
        let (first, then) = changes.split_once(" -> ").unwrap_or(("", changes));
        let context = context_of(kind);
        let decoded = reading::decode_body(&context, but_for(&context, first)).expect("decodes");
        let old = write::prepare_create(&context, decoded.object)
            .unwrap_or_else(|e| panic!("{case}: {}", e.message));
        let mut new = old.clone();
        new["metadata"]["resourceVersion"] = json!("5");
        change(&mut new, then);
        let part = if then.starts_with("status") { write::Part::Status } else { write::Part::Main };
        let result = write::prepare_update(&context, part, &old, 5, new);
        write!(out, "{case}\n{}", causes(result)).expect("a text");
    }
    out
}

#[test]
fn the_least_of_each_kind_is_accepted_and_complete() {
    let mut out = String::new();
    for resource in resources::all().iter().filter(|r| r.is_storage_version()) {
        if !resource.verbs.contains(&"create")
            || !resource.verbs.contains(&"get")
            || resource.group == "apiextensions.k8s.io"
        {
            continue;
        }
        let context = write::Context {
            kind: Kind::builtin(resource),
            namespace: resource.namespaced.then_some("default"),
            ..context("Pod")
        };
        let decoded =
            reading::decode_body(&context, minimal(resource.group, resource.kind)).expect("decodes");
        let mut made =
            write::prepare_create(&context, decoded.object).unwrap_or_else(|e| panic!("{}", e.message));
        made.as_object_mut().expect("a map").shift_remove("metadata");
        writeln!(out, "{made}").expect("a text");
    }
    insta::assert_snapshot!(out);
}

#[test]
fn metadata_is_refused_in_upstreams_words() {
    insta::assert_snapshot!(refused(include_str!("validation/metadata.txt")));
}

#[test]
fn pods_are_refused_in_upstreams_words() {
    insta::assert_snapshot!(refused(include_str!("validation/pods.txt")));
}

#[test]
fn workloads_are_refused_in_upstreams_words() {
    insta::assert_snapshot!(refused(include_str!("validation/workloads.txt")));
}

#[test]
fn the_network_is_refused_in_upstreams_words() {
    insta::assert_snapshot!(refused(include_str!("validation/network.txt")));
}

#[test]
fn the_rest_is_refused_in_upstreams_words() {
    insta::assert_snapshot!(refused(include_str!("validation/cluster.txt")));
}

#[test]
fn changes_are_refused_in_upstreams_words() {
    insta::assert_snapshot!(unchangeable(include_str!("validation/changes.txt")));
}

#[test]
fn a_selected_pod_stays_what_it_was_when_nothing_changes() {
    let pod = created("Pod", minimal("", "Pod"));
    assert!(write::prepare_update(&context("Pod"), write::Part::Main, &pod, 5, pod.clone()).is_ok());
}

#[test]
fn a_load_balancer_that_stays_local_has_a_port_for_asking_and_keeps_it() {
    let mut service = minimal("", "Service");
    put(&mut service, "spec.type", "LoadBalancer");
    put(&mut service, "spec.externalTrafficPolicy", "Local");
    let mut service = created("Service", service);
    let net = ServiceNet::parse("10.96.0.0/16", "30000-30009").expect("a range");
    let resource = context("Service").kind.resource;
    allocate(resource, &mut service, &net, &Used::default(), 7).expect("there is room");
    let port = service["spec"]["healthCheckNodePort"].clone();
    assert!((30000..30010).contains(&port.as_u64().expect("a port")), "{port}");
    assert_ne!(port, service["spec"]["ports"][0]["nodePort"]);
    let update = |change: &[(&str, &str)]| {
        let mut new = service.clone();
        new["metadata"]["resourceVersion"] = json!("5");
        change.iter().for_each(|(path, value)| put(&mut new, path, value));
        write::prepare_update(&context("Service"), write::Part::Main, &service, 5, new)
    };
    let kept = update(&[("spec.healthCheckNodePort", "none")]).expect("is accepted");
    assert_eq!(kept["spec"]["healthCheckNodePort"], port);
    let plain = update(&[("spec.type", "ClusterIP")]).expect("is accepted");
    for key in ["healthCheckNodePort", "externalTrafficPolicy", "allocateLoadBalancerNodePorts"] {
        assert_eq!(plain["spec"].get(key), None, "{key}");
    }
    assert!(update(&[("spec.healthCheckNodePort", "30009")]).is_err(), "it is not for changing");
}

#[test]
fn what_has_ended_for_good_does_not_run_again() {
    let ended = json!([{ "name": "c", "state": { "terminated": { "exitCode": 1 } } }]);
    let running = json!([{ "name": "c", "state": { "running": {} } }]);
    for (policy, may) in [("Never", false), ("OnFailure", true), ("Always", true)] {
        let mut pod = minimal("", "Pod");
        put(&mut pod, "spec.restartPolicy", policy);
        let mut old = created("Pod", pod);
        old["status"]["containerStatuses"] = ended.clone();
        let mut new = old.clone();
        new["status"]["containerStatuses"] = running.clone();
        let result = write::prepare_update(&context("Pod"), write::Part::Status, &old, 5, new);
        assert_eq!(result.is_ok(), may, "{policy}");
        if !may {
            let why = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
            assert!(causes(result).contains(why));
        }
    }
}

#[test]
fn what_a_certificate_was_asked_for_stays() {
    let old =
        created("CertificateSigningRequest", minimal("certificates.k8s.io", "CertificateSigningRequest"));
    let mut new = old.clone();
    put(&mut new, "spec.signerName", "example.com/other");
    let context = context("CertificateSigningRequest");
    let stored = write::prepare_update(&context, write::Part::Main, &old, 5, new).expect("is accepted");
    assert_eq!(stored["spec"], old["spec"]);
}

/// Replace one of the values inside `object`, whichever the number says.
pub fn replace(object: &mut Value, number: usize, with: Value) {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Object(map) => map.values().map(count).sum::<usize>(),
            Value::Array(list) => list.iter().map(count).sum(),
            _ => 0,
        }
    }
    let mut left = number % count(object);
    let mut at = object;
    while left > 0 {
        left -= 1;
        let inner: Vec<&mut Value> = match at {
            Value::Object(map) => map.values_mut().collect(),
            Value::Array(list) => list.iter_mut().collect(),
            _ => return,
        };
        let mut next = None;
        for value in inner {
            let size = count(value);
            if left < size {
                next = Some(value);
                break;
            }
            left -= size;
        }
        match next {
            Some(value) => at = value,
            None => return,
        }
    }
    *at = with;
}

/// `a.b[0].c[any key]`: names with dots between them, and brackets that close.
fn is_path(path: &str) -> bool {
    let mut depth = 0i32;
    let mut previous = '.';
    for c in path.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            '.' if depth == 0 && previous == '.' => return false,
            _ => {}
        }
        if !(0..=1).contains(&depth) {
            return false;
        }
        previous = c;
    }
    depth == 0 && previous != '.' && !path.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_every_cause_has_a_path(
        kind in 0..resources::all().len(), spots in prop::collection::vec((any::<u16>(), any_json()), 1..4),
    ) {
        let resource = &resources::all()[kind];
        let old = minimal(resource.group, resource.kind);
        let mut object = old.clone();
        for (spot, value) in spots {
            replace(&mut object, usize::from(spot), value);
        }
        defaults::apply(resource, &mut object);
        let before = object.clone();
        let results = [
            validation::validate_create(resource, &object),
            validation::validate_update(resource, &old, &object),
            validation::validate_update(resource, &object, &old),
            validation::validate_status(resource, &old, &object),
        ];
        prop_assert_eq!(&before, &object);
        for error in results.into_iter().filter_map(Result::err) {
            let status = error.to_status();
            for cause in status["details"]["causes"].as_array().into_iter().flatten() {
                let field = cause["field"].as_str().unwrap_or_default();
                // Keys of maps are data: they may hold brackets of their own.
                prop_assert!(is_path(field) || field.contains("[["), "{}", cause);
            }
        }
    }

    #[test]
    fn completing_twice_is_completing_once(
        kind in 0..resources::all().len(), spots in prop::collection::vec((any::<u16>(), any_json()), 0..3),
    ) {
        let resource = &resources::all()[kind];
        let mut object = minimal(resource.group, resource.kind);
        for (spot, value) in spots {
            replace(&mut object, usize::from(spot), value);
        }
        defaults::apply(resource, &mut object);
        let once = object.clone();
        defaults::apply(resource, &mut object);
        prop_assert_eq!(object, once);
    }
}
