//! What is used of a quota. Given to students; tested here, graded nowhere.

use k8s_openapi::api::core::v1::ResourceQuota;
use proptest::prelude::*;

use crate::heart::quota::{Found, counts, status};
use crate::{Value, at, json, object};

fn quota(hard: Value, scopes: Value) -> ResourceQuota {
    object(
        json!({ "metadata": { "name": "q", "namespace": "dev" }, "spec": { "hard": hard, "scopes": scopes } }),
    )
}

fn pod(cpu: &str) -> Value {
    json!({ "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": cpu } } }] } })
}

fn found(group: &str, plural: &str, objects: Vec<Value>) -> Found {
    Found { group: group.to_owned(), plural: plural.to_owned(), objects }
}

fn used(quota: &ResourceQuota, all: &[Found]) -> Value {
    let status = status(quota, all, at(0));
    assert_eq!(status.hard, quota.spec.clone().and_then(|spec| spec.hard));
    json!(status.used)
}

#[test]
fn what_is_bounded_is_counted_and_nothing_else() {
    let bounded = quota(
        json!({ "pods": "9", "requests.cpu": "1", "limits.cpu": "1", "count/deployments.apps": "2", "count/nobody.knows": "1" }),
        Value::Null,
    );
    let pods = || found("", "pods", vec![pod("300m"), pod("1"), json!({ "status": { "phase": "Failed" } })]);
    let deployments = || found("apps", "deployments", vec![json!({})]);
    let none = found("", "pods", vec![]);
    let nothing = json!({ "pods": "0", "requests.cpu": "0", "limits.cpu": "0" });
    assert_eq!(used(&bounded, &[none]), nothing);
    let all =
        json!({ "pods": "2", "requests.cpu": "1300m", "limits.cpu": "0", "count/deployments.apps": "1" });
    assert_eq!(used(&bounded, &[pods(), deployments()]), all);
    let scoped = quota(json!({ "pods": "9" }), json!(["BestEffort"]));
    assert_eq!(used(&scoped, &[pods()]), json!({ "pods": "0" }));

    assert!(counts(&bounded, "", "pods") && counts(&bounded, "apps", "deployments"));
    assert!(!counts(&bounded, "", "services") && !counts(&bounded, "apps", "replicasets"));
}

proptest! {
    /// What is counted once all have come is what each counts for, in any order and in any pieces.
    #[test]
    fn the_whole_is_its_parts(cpus in prop::collection::vec(0..30i64, 0..8), cut in 0..8usize) {
        let quota = quota(json!({ "pods": "9", "cpu": "1" }), Value::Null);
        let pods: Vec<Value> = cpus.iter().map(|cpu| pod(&format!("{cpu}00m"))).collect();
        let (first, last) = pods.split_at(cut.min(pods.len()));
        let whole = used(&quota, &[found("", "pods", pods.clone())]);
        let parts = [found("", "pods", last.to_vec()), found("", "pods", first.to_vec())];
        prop_assert_eq!(&whole, &used(&quota, &parts));
        let total = objects::quantity::Quantity::from_milli(cpus.iter().sum::<i64>() * 100).to_string();
        prop_assert_eq!(whole, json!({ "pods": cpus.len().to_string(), "cpu": total }));
    }
}
