//! What quotas let through, and what is taken off them.

use crate::common::now;
use crate::heart::admission::Operation;
use crate::heart::admission::quota::{Write, concerns};
use objects::quantity::Quantity;
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};

fn quota(hard: Value, used: Value) -> Value {
    json!({ "metadata": { "name": "q" }, "spec": { "hard": hard }, "status": { "hard": hard, "used": used } })
}

fn pod(cpu: &str) -> Value {
    json!({ "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": cpu } } }] } })
}

/// What is used afterwards, nothing if the write costs nothing, or why it is refused.
fn charge(plural: &str, object: &Value, old: Option<&Value>, quota: &Value) -> String {
    let resource = resources::by_plural("", "v1", plural).expect("it is in the table");
    match (Write { resource, object, old, now: now() }).charge(quota) {
        Ok(Some(charged)) => charged["status"]["used"].to_string(),
        Ok(None) => "nothing".into(),
        Err(why) => why,
    }
}

#[test]
fn a_write_is_taken_off_or_refused_in_upstreams_words() {
    let mut all = String::new();
    let mut check = |plural: &str, object: Value, old: Option<Value>, quota: Value| {
        let told = charge(plural, &object, old.as_ref(), &quota);
        all += &format!("{plural} {object} of {}\n    {told}\n", quota["status"]);
    };
    let some = |hard: Value| quota(hard, json!({ "pods": "1", "cpu": "500m", "requests.cpu": "500m" }));
    check("pods", pod("100m"), None, some(json!({ "pods": "2", "cpu": "1" })));
    check("pods", pod("500m"), None, some(json!({ "cpu": "1" })));
    check("pods", pod("501m"), None, some(json!({ "cpu": "1" })));
    check("pods", pod("2"), None, some(json!({ "pods": "1", "requests.cpu": "1" })));
    check(
        "pods",
        json!({ "spec": { "containers": [{ "name": "a" }, { "name": "b" }] } }),
        None,
        some(json!({ "pods": "1", "cpu": "1" })),
    );
    check("pods", pod("1"), None, some(json!({ "limits.cpu": "1" })));
    check("pods", pod("1"), None, some(json!({ "services": "0" })));
    check("pods", pod("1"), None, some(json!({ "memory": "0", "pods": "9" })));
    check("pods", pod("1"), None, quota(json!({ "pods": "2", "count/pods": "2" }), json!({ "pods": "0" })));
    // Its controller has not seen this one yet.
    check(
        "pods",
        pod("1"),
        None,
        json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "0" } } }),
    );
    let mut scoped = some(json!({ "pods": "1" }));
    scoped["spec"]["scopes"] = json!(["Terminating"]);
    check("pods", pod("1"), None, scoped);

    let service = |kind: &str, ports: usize| json!({ "spec": { "type": kind, "ports": vec![json!({ "port": 80 }); ports] } });
    let ports = || {
        quota(
            json!({ "services": "1", "services.nodeports": "2" }),
            json!({ "services": "1", "services.nodeports": "1" }),
        )
    };
    check("services", service("NodePort", 1), None, ports());
    check("services", service("NodePort", 2), Some(service("NodePort", 1)), ports());
    check("services", service("NodePort", 3), Some(service("ClusterIP", 3)), ports());
    check("services", service("ClusterIP", 3), Some(service("NodePort", 3)), ports());
    insta::assert_snapshot!(all);
}

#[test]
fn only_what_can_grow_is_looked_at_again() {
    let asked = |plural: &str, operation, subresource: &str| {
        concerns(resources::by_plural("", "v1", plural).expect("a kind"), operation, subresource)
    };
    assert!(asked("pods", Operation::Create, "") && asked("services", Operation::Update, ""));
    assert!(asked("persistentvolumeclaims", Operation::Update, ""));
    assert!(!asked("pods", Operation::Update, "") && !asked("services", Operation::Update, "status"));
    assert!(!asked("pods", Operation::Create, "binding") && !asked("pods", Operation::Delete, ""));
    assert!(!asked("nodes", Operation::Create, ""));
}

proptest! {
    /// Whatever comes in whatever order: what was let in is what is used, and it is never more than
    /// what may be; and whoever was refused would have been too much.
    #[test]
    fn no_more_is_let_in_than_there_is(wishes in prop::collection::vec(1..9i64, 1..12), cpu in 1..20i64, pods in 1..9i64) {
        let resource = resources::by_plural("", "v1", "pods").expect("a kind");
        let hard = json!({ "pods": pods.to_string(), "requests.cpu": format!("{cpu}00m") });
        let mut left = quota(hard, json!({ "pods": "0", "requests.cpu": "0" }));
        let (mut number, mut sum) = (0, 0);
        for wish in wishes {
            let pod = pod(&format!("{wish}00m"));
            let write = Write { resource, object: &pod, old: None, now: now() };
            match write.charge(&left) {
                Ok(charged) => {
                    left = charged.expect("a pod costs something");
                    (number, sum) = (number + 1, sum + wish);
                }
                Err(why) => prop_assert!(number + 1 > pods || sum + wish > cpu, "{}", why),
            }
            let used = |name: &str| {
                let used = left["status"]["used"][name].as_str().expect("a text");
                Quantity::parse(used).expect("a quantity").milli_value()
            };
            prop_assert_eq!((used("pods"), used("requests.cpu")), (number * 1000, sum * 100));
            prop_assert!(number <= pods && sum <= cpu);
        }
    }
}
