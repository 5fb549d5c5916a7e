//! API servers behind this one: what an APIService means, and what its status says.

use crate::common::now;
use crate::heart::aggregation::{self, Backend, Finding};
use serde_json::{Value, json};

fn service() -> Value {
    json!({
        "metadata": { "name": "v1.metrics.example.com" },
        "spec": { "group": "metrics.example.com", "version": "v1", "service": { "namespace": "ns", "name": "s", "port": 8443 } },
    })
}

#[test]
fn every_finding_has_upstreams_words() {
    let told = |finding: Finding| {
        let settled = aggregation::settle(&service(), &finding, now());
        settled["status"]["conditions"][0].to_string()
    };
    let all = [
        Finding::Local,
        Finding::ServiceNotFound,
        Finding::NotListening,
        Finding::NoEndpoints,
        Finding::NoAddresses { port_name: "https".into() },
        Finding::NoAnswer { url: "https://10.0.0.1:8443/apis/x/v1".into(), why: "EOF".into() },
        Finding::Passed,
    ];
    insta::assert_snapshot!(all.map(told).join("\n"));
}

#[test]
fn a_condition_that_stays_keeps_its_time() {
    let first = aggregation::settle(&service(), &Finding::NoEndpoints, now());
    let later = now() + jiff::SignedDuration::from_secs(60);
    let still = aggregation::settle(&first, &Finding::ServiceNotFound, later);
    let time = |object: &Value| object["status"]["conditions"][0]["lastTransitionTime"].clone();
    assert_eq!(time(&first), time(&still), "false is false");
    let passed = aggregation::settle(&still, &Finding::Passed, later);
    assert_eq!(time(&passed), "2026-01-02T03:05:05Z");
    assert_eq!(
        aggregation::settle(&passed, &Finding::Passed, now()),
        passed,
        "the second time nothing is new"
    );
}

#[test]
fn what_is_answered_here_is_registered_and_nothing_else_is_touched() {
    let served = [
        ("".to_string(), "v1".to_string(), false),
        ("apps".to_string(), "v1".to_string(), false),
        ("apiregistration.k8s.io".to_string(), "v1".to_string(), false),
        ("example.com".to_string(), "v2".to_string(), true),
    ];
    let (made, gone) = aggregation::plan(&[service()], &served);
    let names: Vec<&Value> = made.iter().map(|object| &object["metadata"]["name"]).collect();
    assert_eq!(names, ["v1.", "v1.apps", "v2.example.com"]);
    assert_eq!(gone, Vec::<String>::new(), "whose it is not stays");
    assert_eq!(made[2]["spec"]["groupPriorityMinimum"], 1000);
    // A second look finds nothing to do.
    assert_eq!(aggregation::plan(&made, &served), (vec![], vec![]));
    // A definition is gone.
    assert_eq!(aggregation::plan(&made, &served[..2]), (vec![], vec!["v2.example.com".to_string()]));
}

#[test]
fn a_path_belongs_to_one_api_service() {
    for (path, name) in [
        ("/apis/metrics.example.com/v1", Some("v1.metrics.example.com")),
        ("/apis/metrics.example.com/v1/nodes/n", Some("v1.metrics.example.com")),
        ("/apis/metrics.example.com", None),
        ("/apis/metrics.example.com/", None),
        ("/api/v1/pods", None),
        ("/apis", None),
        ("/apis//v1", None),
    ] {
        assert_eq!(aggregation::api_service_of(path).as_deref(), name, "{path}");
    }
    let backend = Backend::read(&service()).expect("another server");
    assert_eq!(
        (backend.port, backend.available, backend.path().as_str()),
        (8443, false, "/apis/metrics.example.com/v1")
    );
    assert_eq!(Backend::read(&aggregation::local("apps", "v1", false)), None);
}
