//! Pods, services and what lies beyond: every packet arrives where it should, or dies inside.

use std::collections::BTreeMap;

use e2e::Cluster;
use e2e::workload::WEB;
use serde_json::Value;

fn cluster() -> &'static Cluster {
    Cluster::shared(&[])
}

/// Two web pods, ready and behind their service.
fn web(ns: &str) -> Vec<Value> {
    cluster().apply(ns, WEB);
    let pods = cluster().wait_for_all(ns, &["pods", "-l", "app=web"], |pods| {
        pods.len() == 2 && pods.iter().all(|pod| pod["status"]["containerStatuses"][0]["ready"] == true)
    });
    cluster().wait_for_all(ns, &["endpointslices"], |slices| {
        slices
            .iter()
            .filter_map(|slice| slice["endpoints"].as_array())
            .flatten()
            .filter(|e| e["conditions"]["ready"] == true)
            .count()
            == 2
    });
    pods
}

fn fetch_from_pod(ns: &str, pod: &str, url: &str, count: u32) -> Vec<String> {
    let count = count.to_string();
    let ran = cluster().kubectl(&["-n", ns, "exec", pod, "--", "/coracle", "fetch", url, "--count", &count]);
    ran.ok().lines().map(str::to_owned).collect()
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().expect("a pod has a name")
}

/// kube-proxy writes its rules a moment after the API knows of an endpoint.
fn until_served(ns: &str, pod: &str, url: &str) {
    e2e::retry(&format!("{url} answers"), e2e::PATIENCE, || {
        cluster().kubectl(&["-n", ns, "exec", pod, "--", "/coracle", "fetch", url]).succeeded().then_some(())
    });
}

#[test]
fn every_pod_reaches_every_pod_on_every_node() {
    let ns = cluster().namespace("net-pods");
    let pods = web(&ns);
    assert_ne!(pods[0]["spec"]["nodeName"], pods[1]["spec"]["nodeName"]);
    for from in &pods {
        for to in &pods {
            let url = format!("http://{}:8080/", to["status"]["podIP"].as_str().expect("an address"));
            assert!(
                fetch_from_pod(&ns, name(from), &url, 1)[0].contains(name(to)),
                "{} to {}",
                name(from),
                name(to)
            );
        }
    }
}

#[test]
fn a_cluster_ip_spreads_requests_over_its_pods() {
    let ns = cluster().namespace("net-service");
    let pods = web(&ns);
    let address =
        cluster().get(&ns, "service/web")["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    let url = format!("http://{address}/");
    until_served(&ns, name(&pods[0]), &url);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for answer in fetch_from_pod(&ns, name(&pods[0]), &url, 60) {
        *seen.entry(answer).or_default() += 1;
    }
    // 60 fair coins: fewer than 10 of one kind is less likely than one in ten million.
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.values().all(|count| *count >= 10), "{seen:?}");
}

#[test]
fn a_node_port_answers_on_every_node_from_outside_the_nodes() {
    let ns = cluster().namespace("net-nodeport");
    let pods = web(&ns);
    let port = cluster().get(&ns, "service/web")["spec"]["ports"][0]["nodePort"].as_u64().expect("a port");
    assert!((30000..32768).contains(&port));
    until_served(&ns, name(&pods[0]), &format!("http://10.89.0.12:{port}/"));
    let binary = e2e::binary().to_str().expect("a plain path");
    for node in ["10.89.0.11", "10.89.0.12"] {
        let url = format!("http://{node}:{port}/");
        e2e::retry(&url, e2e::PATIENCE, || {
            cluster().enter("", &[binary, "fetch", &url]).succeeded().then_some(())
        });
    }
}

#[test]
fn the_api_server_is_reached_by_its_service_address() {
    let ns = cluster().namespace("net-api");
    let manifest = "
apiVersion: v1
kind: Pod
metadata: {name: caller}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: 'busybox:1', command: [sh, -c, 'nc -w 5 10.96.0.1 443 </dev/null']}
";
    cluster().apply(&ns, manifest);
    let pod = cluster().wait_for(&ns, "pod/caller", |pod| {
        pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed"
    });
    assert_eq!(pod["status"]["phase"], "Succeeded", "{}", pod["status"]["containerStatuses"]);
}

#[test]
fn a_service_without_endpoints_refuses_at_once() {
    let ns = cluster().namespace("net-empty");
    let pods = web(&ns);
    cluster().apply(
        &ns,
        &WEB[WEB.find("---").expect("two documents")..]
            .replace("name: web", "name: empty")
            .replace("app: web", "app: nobody"),
    );
    let address =
        cluster().get(&ns, "service/empty")["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    let refusal = e2e::retry("a refusal", e2e::PATIENCE, || {
        let ran = cluster().kubectl(&[
            "-n",
            &ns,
            "exec",
            name(&pods[0]),
            "--",
            "/coracle",
            "fetch",
            &format!("http://{address}/"),
            "--timeout",
            "2s",
        ]);
        ran.stderr.to_lowercase().contains("refused").then_some(ran)
    });
    assert!(!refusal.succeeded());
}

#[test]
fn rules_have_upstreams_shape_and_names() {
    let ns = cluster().namespace("net-rules");
    web(&ns);
    let save = e2e::retry("the rules of the service", e2e::PATIENCE, || {
        let save = cluster().enter("node-1", &["iptables-save", "-t", "nat"]).ok();
        (save.matches("net-rules/web ->").count() >= 2).then_some(save)
    });
    for line in [
        ":KUBE-SERVICES - ",
        ":KUBE-NODEPORTS - ",
        ":KUBE-MARK-MASQ - ",
        "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
    ] {
        assert!(save.contains(line), "no {line:?} in\n{save}");
    }
    // default/kubernetes:https + tcp, as on every cluster in the world.
    assert!(save.contains("KUBE-SVC-NPX46M4PTMTKRN6Y"), "{save}");
    assert!(save.contains("-m statistic --mode random --probability 0.5"), "{save}");
}

#[test]
fn a_packet_for_an_unknown_cluster_address_dies_inside() {
    let ns = cluster().namespace("net-unknown");
    let pods = web(&ns);
    for address in ["10.89.0.99", "10.244.77.7", "10.200.0.1", "172.16.5.5", "192.168.3.3", "8.8.8.8"] {
        let url = format!("http://{address}:9/");
        let ran = cluster().kubectl(&[
            "-n",
            &ns,
            "exec",
            name(&pods[0]),
            "--",
            "/coracle",
            "fetch",
            &url,
            "--timeout",
            "1s",
        ]);
        assert!(!ran.succeeded(), "{address} answered: {}", ran.stdout);
    }
    // Neither the sandbox nor a node knows a way out: every route is on a link of their own.
    for place in ["", "node-1", "node-2"] {
        let routes = cluster().enter(place, &["ip", "route"]).ok();
        assert!(!routes.contains("default"), "a default route in {place:?}:\n{routes}");
        let links = cluster().enter(place, &["ip", "-o", "link"]).ok();
        assert!(
            links.lines().all(|link| ["lo", "veth", "eth0", "coracle", "node", "cali", "br"]
                .iter()
                .any(|own| link.contains(own))),
            "{links}"
        );
    }
}
