//! What objects count for against quotas. Given to students; tested here, graded nowhere.

use k8s_openapi::jiff::Timestamp;
use objects::quantity::Quantity;
use objects::usage::{Amounts, counts_for, in_scopes, unsaid, usage};
use proptest::prelude::*;
use serde_json::{Value, json};

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a time in range")
}

fn shown(amounts: &Amounts) -> String {
    let amounts: Vec<String> = amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    amounts.join(" ")
}

fn container(requests: Value, limits: Value) -> Value {
    json!({ "name": "c", "resources": { "requests": requests, "limits": limits } })
}

/// Each line is an object and what it counts for.
fn check(plural: &str, objects: &[Value]) -> String {
    let line = |object: &Value| format!("{object}\n    {}\n", shown(&usage("", plural, object, now())));
    objects.iter().map(line).collect()
}

#[test]
fn pods_count_for_what_their_containers_ask() {
    let one = |cpu: &str| container(json!({ "cpu": cpu }), json!({ "cpu": cpu }));
    let stays = |cpu: &str| {
        let mut container = one(cpu);
        container["restartPolicy"] = json!("Always");
        container
    };
    let with = |containers: Value, init: Value| json!({ "spec": { "containers": containers, "initContainers": init } });
    insta::assert_snapshot!(check(
        "pods",
        &[
            json!({ "spec": { "containers": [{ "name": "c" }] } }),
            with(json!([one("1"), one("500m")]), json!([])),
            // One after the other: the largest counts, if it is more than all that follow.
            with(json!([one("1")]), json!([one("3"), one("2")])),
            with(json!([one("4")]), json!([one("3"), one("2")])),
            // One that stays runs beside what comes after it.
            with(json!([one("1")]), json!([stays("1"), one("3")])),
            with(json!([one("1")]), json!([one("3"), stays("1")])),
            json!({ "spec": { "overhead": { "cpu": "100m", "memory": "1Mi" }, "containers": [one("1")] } }),
            with(
                json!([container(
                    json!({ "memory": "1Gi", "ephemeral-storage": "1G", "hugepages-2Mi": "4Mi", "example.com/gpu": 2, "odd": 1 }),
                    json!({ "memory": "2Gi", "example.com/gpu": "2" })
                )]),
                json!([])
            ),
            json!({ "status": { "phase": "Succeeded" }, "spec": { "containers": [one("1")] } }),
            json!({ "status": { "phase": "Running" }, "spec": { "containers": [one("1")] } }),
            // Going since ten seconds, of five; of sixty.
            json!({ "metadata": { "deletionTimestamp": "2023-11-14T22:13:10Z", "deletionGracePeriodSeconds": 5 }, "spec": { "containers": [one("1")] } }),
            json!({ "metadata": { "deletionTimestamp": "2023-11-14T22:13:10Z", "deletionGracePeriodSeconds": 60 }, "spec": { "containers": [one("1")] } }),
            json!({ "spec": "no pod" }),
            json!({ "spec": { "containers": [container(json!({ "cpu": "much" }), json!({}))] } }),
        ]
    ));
}

#[test]
fn services_and_claims_count_for_more_than_themselves() {
    let service = |kind: &str, more: Value| {
        let mut service =
            json!({ "spec": { "type": kind, "ports": [{ "port": 80, "nodePort": 30080 }, { "port": 81 }] } });
        for (name, value) in more.as_object().into_iter().flatten() {
            service["spec"][name] = value.clone();
        }
        service
    };
    let mut all = check(
        "services",
        &[
            service("ClusterIP", json!({})),
            service("NodePort", json!({})),
            service("LoadBalancer", json!({})),
            service("LoadBalancer", json!({ "allocateLoadBalancerNodePorts": false })),
        ],
    );
    let claim = |class: Value| json!({ "spec": { "storageClassName": class, "resources": { "requests": { "storage": "5Gi" } } } });
    let mut old = claim(json!("fast"));
    old["metadata"] = json!({ "annotations": { "volume.beta.kubernetes.io/storage-class": "gold" } });
    all += &check("persistentvolumeclaims", &[claim(Value::Null), claim(json!("fast")), old, json!({})]);
    all += &check("secrets", &[json!({})]);
    let deployment = usage("apps", "deployments", &json!({}), now());
    assert_eq!(shown(&deployment), "count/deployments.apps=1");
    insta::assert_snapshot!(all);
}

#[test]
fn scopes_choose_pods() {
    let pod = |spec: Value| json!({ "spec": spec });
    let quota = |scope: Value| json!({ "spec": { "scopeSelector": { "matchExpressions": [scope] } } });
    let class = |operator: &str, values: Value| {
        quota(json!({ "scopeName": "PriorityClass", "operator": operator, "values": values }))
    };
    let high = pod(json!({ "priorityClassName": "high" }));
    let plain = pod(json!({}));
    for (quota, object, expected) in [
        (class("In", json!(["high", "low"])), &high, true),
        (class("In", json!(["low"])), &high, false),
        (class("In", json!(["low"])), &plain, false),
        (class("NotIn", json!(["low"])), &plain, true),
        (class("Exists", Value::Null), &high, true),
        (class("Exists", Value::Null), &plain, false),
        (class("DoesNotExist", Value::Null), &plain, true),
        (json!({ "spec": { "scopes": ["PriorityClass"] } }), &high, true),
        (json!({ "spec": { "scopes": ["PriorityClass", "Terminating"] } }), &high, false),
        (json!({ "spec": { "scopes": ["Terminating"] } }), &pod(json!({ "activeDeadlineSeconds": 5 })), true),
        (json!({ "spec": { "scopes": ["Unheard"] } }), &plain, false),
        (json!({ "spec": { "scopes": [] } }), &plain, true),
    ] {
        assert_eq!(in_scopes(&quota, "", "pods", object), expected, "{quota} {object}");
    }
    let best_effort = json!({ "spec": { "scopes": ["BestEffort"] } });
    assert!(!in_scopes(&best_effort, "", "services", &plain), "only pods have scopes");
    let near = |term: Value| {
        pod(
            json!({ "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] } } }),
        )
    };
    let far = json!({ "spec": { "scopes": ["CrossNamespacePodAffinity"] } });
    assert!(in_scopes(&far, "", "pods", &near(json!({ "namespaces": ["other"] }))));
    assert!(in_scopes(&far, "", "pods", &near(json!({ "namespaceSelector": {} }))));
    assert!(!in_scopes(&far, "", "pods", &near(json!({ "topologyKey": "zone" }))));
    let soft = json!({ "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "podAffinityTerm": { "namespaces": ["other"] } }] });
    assert!(in_scopes(&far, "", "pods", &pod(json!({ "affinity": { "podAntiAffinity": soft } }))));
}

/// Whoever bounds cpu must hear from each container how much it takes.
#[test]
fn what_a_quota_bounds_every_container_says() {
    let pod = json!({ "spec": {
        "initContainers": [{ "name": "z" }, { "name": "a" }],
        "containers": [container(json!({ "cpu": "1" }), json!({ "memory": "1Gi" }))],
    } });
    let hard = ["pods", "cpu", "requests.cpu", "limits.memory", "requests.memory", "services"];
    let missing = unsaid(hard.into_iter(), &pod);
    let missing: Vec<String> =
        missing.into_iter().map(|(name, containers)| format!("{name}: {}", containers.join(","))).collect();
    assert_eq!(missing, ["cpu: a,z", "limits.memory: a,z", "requests.cpu: a,z", "requests.memory: a,c,z"]);
}

fn any_pod() -> impl Strategy<Value = Value> {
    let amount = prop_oneof![Just(Value::Null), (0..5i64).prop_map(|cpu| json!(format!("{cpu}00m")))];
    let container = (amount.clone(), amount, any::<bool>()).prop_map(|(request, limit, stays)| {
        let mut made = container(json!({}), json!({}));
        for (list, amount) in [("requests", request), ("limits", limit)] {
            if !amount.is_null() {
                made["resources"][list]["cpu"] = amount;
            }
        }
        if stays {
            made["restartPolicy"] = json!("Always");
        }
        made
    });
    let containers = prop::collection::vec(container.clone(), 1..4);
    (containers, prop::collection::vec(container, 0..3), prop::option::of(1..9i64)).prop_map(
        |(containers, init, deadline)| {
            json!({ "spec": { "containers": containers, "initContainers": init, "activeDeadlineSeconds": deadline } })
        },
    )
}

proptest! {
    /// A quota is about a pod by one of two scopes, never by both and never by none.
    #[test]
    fn scopes_come_in_pairs(pod in any_pod()) {
        for (one, other) in [("Terminating", "NotTerminating"), ("BestEffort", "NotBestEffort")] {
            let by = |scope: &str| in_scopes(&json!({ "spec": { "scopes": [scope] } }), "", "pods", &pod);
            prop_assert!(by(one) != by(other), "{} {}", one, other);
        }
    }

    /// What is counted has a name that somebody may bound, and no pod counts for less than its
    /// containers together, nor for more than all that it lists.
    #[test]
    fn a_pod_counts_for_its_containers(pod in any_pod()) {
        let used = usage("", "pods", &pod, now());
        prop_assert!(used.keys().all(|name| counts_for("", "pods", name)), "{}", shown(&used));
        let sum = |lists: &[&str]| -> Quantity {
            let all = lists.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten());
            let cpus = all.filter_map(|container| container["resources"]["requests"]["cpu"].as_str());
            cpus.map(|cpu| Quantity::parse(cpu).expect("a quantity")).sum()
        };
        let cpu = used.get("requests.cpu").copied().unwrap_or_default();
        prop_assert!(sum(&["containers"]) <= cpu && cpu <= sum(&["containers", "initContainers"]));
        prop_assert_eq!(used.get("cpu"), used.get("requests.cpu"));
    }
}
