use crate::common::{now, resource};
use crate::heart::tables::{self, Include, time::human};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Print rows as `kubectl get -o wide` would.
fn print(kind: &str, objects: &[Value]) -> String {
    let resource = resource(kind);
    let mut rows =
        vec![tables::printer(resource).columns.iter().map(|c| c.name.to_uppercase()).collect::<Vec<_>>()];
    for object in objects {
        let row = tables::row(resource, object, Include::Nothing, now());
        let cells = row["cells"].as_array().cloned().unwrap_or_default();
        rows.push(cells.iter().map(|c| c.as_str().map_or(c.to_string(), str::to_string)).collect());
    }
    let width = |i: usize| rows.iter().map(|r| r.get(i).map_or(0, String::len)).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().enumerate().map(|(i, c)| format!("{c:<w$}", w = width(i))).collect();
        format!("{}\n", cells.join("   ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn pod(name: &str, status: Value) -> Value {
    json!({
        "metadata": { "name": name, "creationTimestamp": "2026-01-02T02:59:00Z" },
        "spec": {
            "nodeName": "node-1",
            "containers": [{ "name": "a" }, { "name": "b" }],
            "initContainers": [{ "name": "i1" }, { "name": "i2" }],
        },
        "status": status,
    })
}

fn running(name: &str) -> Value {
    json!({ "name": name, "ready": true, "restartCount": 0, "state": { "running": {} } })
}

fn waiting(name: &str, reason: &str, restarts: i64) -> Value {
    json!({
        "name": name, "ready": false, "restartCount": restarts, "state": { "waiting": { "reason": reason } },
        "lastState": { "terminated": { "finishedAt": "2026-01-02T03:03:45Z" } },
    })
}

fn ended(name: &str, code: i64, reason: &str) -> Value {
    json!({ "name": name, "restartCount": 0, "state": { "terminated": { "exitCode": code, "reason": reason } } })
}

/// The word that people act on at night.
#[graded]
fn the_status_of_a_pod_is_what_its_containers_tell() {
    let mut gone =
        pod("terminating", json!({ "phase": "Running", "containerStatuses": [running("a"), running("b")] }));
    gone["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:35Z");
    let mut sidecar = pod(
        "sidecar",
        json!({
            "phase": "Running",
            "initContainerStatuses": [ended("i1", 0, "Completed"),
                { "name": "i2", "ready": true, "started": true, "restartCount": 2, "state": { "running": {} } }],
            "containerStatuses": [running("a"), running("b")],
        }),
    );
    sidecar["spec"]["initContainers"][1]["restartPolicy"] = json!("Always");
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    let pods = [
        pod("unscheduled", json!({ "phase": "Pending" })),
        pod(
            "running",
            json!({ "phase": "Running", "podIP": "10.244.1.2", "containerStatuses": [running("a"), running("b")] }),
        ),
        pod(
            "creating",
            json!({ "phase": "Pending", "containerStatuses": [waiting("a", "ContainerCreating", 0), waiting("b", "ContainerCreating", 0)] }),
        ),
        pod(
            "init",
            json!({ "phase": "Pending", "initContainerStatuses": [ended("i1", 0, "Completed"), waiting("i2", "PodInitializing", 0)] }),
        ),
        pod("init-error", json!({ "phase": "Pending", "initContainerStatuses": [ended("i1", 1, "Error")] })),
        pod("init-exit", json!({ "phase": "Pending", "initContainerStatuses": [ended("i1", 3, "")] })),
        pod(
            "init-crash",
            json!({ "phase": "Pending", "initContainerStatuses": [waiting("i1", "CrashLoopBackOff", 3)] }),
        ),
        pod(
            "crash",
            json!({ "phase": "Running", "containerStatuses": [waiting("a", "CrashLoopBackOff", 4), running("b")] }),
        ),
        pod(
            "pull",
            json!({ "phase": "Pending", "containerStatuses": [waiting("a", "ImagePullBackOff", 0), running("b")] }),
        ),
        pod(
            "done",
            json!({ "phase": "Succeeded", "containerStatuses": [ended("a", 0, "Completed"), ended("b", 0, "Completed")] }),
        ),
        pod(
            "killed",
            json!({ "phase": "Failed", "containerStatuses": [ended("a", 137, "OOMKilled"), ended("b", 0, "Completed")] }),
        ),
        pod(
            "exit",
            json!({ "phase": "Failed", "containerStatuses": [ended("a", 7, ""), ended("b", 0, "Completed")] }),
        ),
        pod(
            "half-done",
            json!({ "phase": "Running", "containerStatuses": [ended("a", 0, "Completed"), running("b")] }),
        ),
        pod(
            "half-done-ready",
            json!({ "phase": "Running", "conditions": ready, "containerStatuses": [ended("a", 0, "Completed"), running("b")] }),
        ),
        pod("evicted", json!({ "phase": "Failed", "reason": "Evicted" })),
        gone,
        sidecar,
    ];
    insta::assert_snapshot!(print("Pod", &pods));
}

/// Words that do not come from the containers, and the columns beside.
#[graded]
fn gates_lost_nodes_and_the_last_restart_are_shown() {
    let mut gated = pod(
        "gated",
        json!({
            "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" }],
        }),
    );
    gated["spec"]["readinessGates"] = json!([{ "conditionType": "a" }, { "conditionType": "b" }]);
    gated["status"]["nominatedNodeName"] = json!("node-9");
    let deleted = |name: &str, status: Value| {
        let mut pod = pod(name, status);
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:35Z");
        pod
    };
    let mut sidecars = pod(
        "sidecars",
        json!({
            "phase": "Pending",
            "initContainerStatuses": [
                { "name": "i1", "ready": true, "started": true, "restartCount": 1, "state": { "running": {} } },
                { "name": "i2", "ready": false, "started": false, "restartCount": 2, "state": { "running": {} } },
            ],
        }),
    );
    for index in 0..2 {
        sidecars["spec"]["initContainers"][index]["restartPolicy"] = json!("Always");
    }
    let initialized = json!([{ "type": "Initialized", "status": "True" }, { "type": "a", "status": "True" }]);
    let mut restarted = pod(
        "restarted",
        json!({
            "phase": "Running", "conditions": initialized,
            "initContainerStatuses": [
                {
                    "name": "i1", "restartCount": 5, "state": { "terminated": { "exitCode": 1 } },
                    "lastState": { "terminated": { "finishedAt": "2026-01-02T03:04:00Z" } },
                },
            ],
            "containerStatuses": [running("a"), waiting("b", "CrashLoopBackOff", 4)],
        }),
    );
    restarted["spec"]["readinessGates"] = json!([{ "conditionType": "a" }, { "conditionType": "b" }]);
    let signal =
        json!({ "name": "a", "restartCount": 0, "state": { "terminated": { "exitCode": 0, "signal": 9 } } });
    let pods = [
        gated,
        deleted("lost", json!({ "phase": "Running", "reason": "NodeLost" })),
        deleted(
            "ended-and-going",
            json!({ "phase": "Succeeded", "containerStatuses": [ended("a", 0, "Completed")] }),
        ),
        sidecars,
        restarted,
        pod("killed", json!({ "phase": "Failed", "containerStatuses": [signal] })),
        pod(
            "not-ready",
            json!({
                "phase": "Running",
                "containerStatuses": [{ "name": "a", "ready": false, "restartCount": 0, "state": { "running": {} } }],
            }),
        ),
    ];
    insta::assert_snapshot!(print("Pod", &pods));
}

/// Upstream's bands, as scripts cut them out of tables.
#[graded]
fn ages_are_short_and_grow_coarse() {
    let minute = 60;
    let (hour, day) = (60 * minute, 24 * 60 * minute);
    let seconds = [
        -5,
        -1,
        0,
        59,
        119,
        120,
        185,
        10 * minute,
        179 * minute,
        180 * minute,
        5 * hour + 7 * minute,
        8 * hour,
        47 * hour,
        48 * hour,
        7 * day + 5 * hour,
        8 * day,
        400 * day,
        800 * day,
        9 * 365 * day,
    ];
    let all: Vec<String> = seconds.iter().map(|s| format!("{s} {}\n", human(*s))).collect();
    insta::assert_snapshot!(all.concat());
    let year = 365 * day;
    for (bound, before, from, small, after) in [
        (2 * minute, "119s", "2m", 1, "2m1s"),
        (10 * minute, "9m59s", "10m", 5, "10m"),
        (3 * hour, "179m", "3h", minute, "3h1m"),
        (8 * hour, "7h59m", "8h", 5 * minute, "8h"),
        (2 * day, "47h", "2d", hour, "2d1h"),
        (8 * day, "7d23h", "8d", hour, "8d"),
        (2 * year, "729d", "2y", day, "2y1d"),
        (8 * year, "7y364d", "8y", day, "8y"),
    ] {
        let around = [bound - 1, bound, bound + small].map(human);
        assert_eq!(around, [before, from, after], "around {bound} seconds");
    }
}

/// To the letter: the client prints what the server says.
#[graded]
fn workloads_services_and_nodes_print_as_upstream() {
    let meta = |name: &str| json!({ "name": name, "creationTimestamp": "2026-01-02T03:00:00Z" });
    let template =
        json!({ "metadata": {}, "spec": { "containers": [{ "name": "web", "image": "nginx:1.7.9" }] } });
    let selector = json!({ "matchLabels": { "app": "web" } });
    let mut out = String::new();
    out += &print(
        "Deployment",
        &[json!({
            "metadata": meta("web"), "spec": { "replicas": 3, "selector": selector, "template": template },
            "status": { "readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2 },
        })],
    );
    out += &print(
        "ReplicaSet",
        &[json!({
            "metadata": meta("web-1"), "spec": { "replicas": 3, "selector": selector, "template": template },
            "status": { "replicas": 3, "readyReplicas": 2 },
        })],
    );
    out += &print(
        "Service",
        &[
            json!({ "metadata": meta("a"), "spec": { "type": "ClusterIP", "clusterIP": "10.96.0.7", "ports": [{ "port": 80, "protocol": "TCP" }, { "port": 53, "protocol": "UDP" }] } }),
            json!({ "metadata": meta("b"), "spec": { "type": "NodePort", "clusterIP": "10.96.0.8", "selector": { "app": "b" }, "ports": [{ "port": 80, "nodePort": 30080, "protocol": "TCP" }] } }),
            json!({ "metadata": meta("c"), "spec": { "type": "LoadBalancer", "clusterIP": "10.96.0.9", "ports": [] } }),
            json!({ "metadata": meta("d"), "spec": { "type": "ExternalName", "externalName": "example.com" } }),
            json!({ "metadata": meta("e"), "spec": { "type": "ClusterIP", "clusterIP": "None" } }),
        ],
    );
    out += &print(
        "Node",
        &[
            json!({
                "metadata": { "name": "n1", "creationTimestamp": "2026-01-02T03:00:00Z", "labels": { "node-role.kubernetes.io/control-plane": "" } },
                "spec": { "unschedulable": true },
                "status": {
                    "conditions": [{ "type": "Ready", "status": "True" }], "addresses": [{ "type": "InternalIP", "address": "10.89.0.11" }],
                    "nodeInfo": { "kubeletVersion": "v1.32.0", "osImage": "Debian", "kernelVersion": "6.1", "containerRuntimeVersion": "coracle://0.1" },
                },
            }),
            json!({ "metadata": meta("n2"), "status": { "conditions": [{ "type": "Ready", "status": "Unknown" }] } }),
            json!({ "metadata": meta("n3") }),
        ],
    );
    let subset = |n: usize| json!({ "addresses": (1..=n).map(|i| json!({ "ip": format!("10.244.1.{i}") })).collect::<Vec<_>>(), "ports": [{ "port": 80 }] });
    out += &print(
        "Endpoints",
        &[
            json!({ "metadata": meta("few"), "subsets": [subset(2)] }),
            json!({ "metadata": meta("many"), "subsets": [subset(5)] }),
            json!({ "metadata": meta("none") }),
        ],
    );
    out += &print(
        "EndpointSlice",
        &[
            json!({ "metadata": meta("s"), "addressType": "IPv4", "ports": [{ "port": 80 }], "endpoints": [{ "addresses": ["10.244.1.1"] }, { "addresses": ["10.244.1.2"] }] }),
        ],
    );
    out += &print(
        "Event",
        &[json!({
            "metadata": { "name": "p.1", "creationTimestamp": "2026-01-02T03:00:00Z" }, "type": "Warning", "reason": "FailedScheduling",
            "message": "0/2 nodes are available: 2 Insufficient cpu.\n", "count": 3, "source": { "component": "default-scheduler" },
            "involvedObject": { "kind": "Pod", "name": "p" }, "firstTimestamp": "2026-01-02T03:00:00Z", "lastTimestamp": "2026-01-02T03:04:00Z",
        })],
    );
    out += &print(
        "Job",
        &[
            json!({ "metadata": meta("j"), "spec": { "completions": 3, "template": template, "selector": selector }, "status": { "succeeded": 1, "startTime": "2026-01-02T03:00:00Z" } }),
            json!({ "metadata": meta("done"), "spec": { "completions": 1, "template": template, "selector": selector }, "status": {
                "succeeded": 1, "startTime": "2026-01-02T03:00:00Z", "completionTime": "2026-01-02T03:01:05Z",
                "conditions": [{ "type": "Complete", "status": "True" }],
            } }),
        ],
    );
    insta::assert_snapshot!(out);
}

proptest! {
    /// A column has only so much room.
    #[graded]
    fn an_age_has_two_units_at_most(seconds in -10..40_000_000_000i64) {
        let text = human(seconds);
        prop_assert!(text == "<invalid>" || text.chars().filter(|c| c.is_alphabetic()).count() <= 2, "{}", text);
    }
}
