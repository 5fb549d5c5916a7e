//! The same cluster, run by an ordinary user who has nothing: no subordinate ids, no home, no rights.

use e2e::workload::WEB;
use e2e::{Cluster, User};
use serde_json::Value;

const OTHER_USER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: other-user}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: 'coracle/web:1', securityContext: {runAsUser: 1000}}]
";

fn is_root() -> bool {
    e2e::run(std::process::Command::new("id").arg("-u")).ok().trim() == "0"
}

#[test]
fn an_ordinary_user_has_a_whole_cluster() {
    if !is_root() {
        println!("skipped: these tests run as an ordinary user already, so every other suite shows this");
        return;
    }
    let cluster = Cluster::up_as(User::Nobody, &[]);
    let ns = cluster.namespace("rootless");
    cluster.apply(&ns, WEB);
    cluster.apply(&ns, OTHER_USER);
    let ready = |pods: &[Value]| {
        pods.len() == 2 && pods.iter().all(|pod| pod["status"]["containerStatuses"][0]["ready"] == true)
    };
    let pods = cluster.wait_for_all(&ns, &["pods", "-l", "app=web"], ready);
    assert_ne!(pods[0]["spec"]["nodeName"], pods[1]["spec"]["nodeName"]);

    // Bridges, overlay and iptables work: a service spreads requests over the nodes.
    let address =
        cluster.get(&ns, "service/web")["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    let (url, pod) =
        (format!("http://{address}/"), pods[0]["metadata"]["name"].as_str().expect("a name").to_owned());
    let answers = e2e::retry("both pods answer", e2e::PATIENCE, || {
        let ran =
            cluster.kubectl(&["-n", &ns, "exec", &pod, "--", "/coracle", "fetch", &url, "--count", "30"]);
        let mut answers: Vec<String> = ran.stdout.lines().map(str::to_owned).collect();
        answers.sort();
        answers.dedup();
        (answers.len() == 2).then_some(answers)
    });
    assert!(pods.iter().all(|pod| {
        answers.iter().any(|answer| answer.contains(pod["metadata"]["name"].as_str().unwrap_or("?")))
    }));

    // One id is mapped, so another user cannot be had, and an event says so.
    let event = cluster.watch(&ns, &["events", "--field-selector", "involvedObject.name=other-user"]).until(
        "an event about the user",
        e2e::PATIENCE,
        |event| event["type"] == "Warning",
    );
    assert!(
        event["message"].as_str().is_some_and(|message| message.contains("1000")),
        "{}",
        event["message"]
    );

    // Limits that this user may not set are said to be not enforced.
    let node = cluster.get("", "node/node-1");
    let conditions = node["status"]["conditions"].as_array().expect("conditions");
    let said = conditions.iter().find(|condition| condition["type"] == "LimitsEnforced");
    assert!(said.is_some_and(|condition| condition["status"] == "False"), "{conditions:#?}");

    cluster.coracle(&["down"]).ok();
    cluster.coracle(&["up"]).ok();
    cluster.wait_for_all(&ns, &["pods", "-l", "app=web"], ready);
}
