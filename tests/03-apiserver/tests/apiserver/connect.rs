//! Requests that are passed on: where they go, and in what words. The lab gives all of it.

use crate::common::{context, created, resource};
use crate::heart::connect::{
    Address, Place, Via, command_query, container, kubelet, node_place, pod_place, port_name, ports_query,
    rewrite_location, service_place, split_at_proxy,
};
use crate::heart::logs::LogOptions;
use crate::heart::query::Query;
use crate::heart::status::ApiError;
use crate::heart::write::{Context, Part, prepare_update};
use serde_json::{Value, json};

/// A place, or the message of the refusal.
fn told(place: Result<Place, ApiError>) -> String {
    match place {
        Ok(Place { via, host, port }) => format!("{via:?} {host} {port}"),
        Err(error) => format!("{} {}", error.reason.code(), error.message),
    }
}

fn pod_at(ip: &str) -> Value {
    json!({
        "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "a" }, { "name": "b", "ports": [{ "containerPort": 8080 }] }] },
        "status": { "podIP": ip, "podIPs": [{ "ip": ip }] },
    })
}

#[test]
fn a_pod_is_reached_at_its_own_address_and_first_port() {
    let go = |id: &str, ip: &str| {
        told(Address::parse("pod", id).and_then(|address| pod_place(&pod_at(ip), &address)))
    };
    assert_eq!(go("p", "10.0.0.7"), "Http 10.0.0.7 8080");
    assert_eq!(go("p:90", "10.0.0.7"), "Http 10.0.0.7 90");
    assert_eq!(go("https:p:", "10.0.0.7"), "Https 10.0.0.7 8080");
    assert_eq!(
        go("p:http", "10.0.0.7"),
        "503 error trying to reach service: dial tcp: address http: invalid port"
    );
    assert_eq!(go("ftp:p:1", "10.0.0.7"), "400 invalid pod request \"ftp:p:1\"");
    for id in ["", ":80", "a:b:c:d"] {
        assert_eq!(go(id, "10.0.0.7"), format!("400 invalid pod request {id:?}"));
    }
    for ip in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "224.0.0.1", ""] {
        assert_eq!(go("p:90", ip), "400 address not allowed", "{ip}: a way around this server's locks");
    }
}

#[test]
fn a_service_is_one_of_its_ready_endpoints_in_turn() {
    let subset = |ips: &[&str], name: &str, port: u16| {
        let addresses: Vec<Value> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
        json!({ "addresses": addresses, "ports": [{ "name": name, "port": port }] })
    };
    let endpoints = json!({ "subsets": [
        subset(&["10.0.0.1", "10.0.0.2"], "web", 8080),
        subset(&["10.0.0.3"], "web", 9090),
        subset(&["10.0.0.4"], "other", 1),
        { "notReadyAddresses": [{ "ip": "10.0.0.5" }], "ports": [{ "name": "web", "port": 8080 }] },
    ]});
    let address = Address::parse("service", "s:web").expect("an address");
    let turn = |seed| told(service_place(&endpoints, "s:web", &address, "web", seed));
    let round: Vec<String> = (0..4).map(turn).collect();
    assert_eq!(
        round,
        ["Http 10.0.0.1 8080", "Http 10.0.0.2 8080", "Http 10.0.0.3 9090", "Http 10.0.0.1 8080"]
    );
    let none = service_place(&endpoints, "s:web", &address, "missing", 7);
    assert_eq!(told(none), "503 no endpoints available for service \"s:web\"");
    let service = json!({ "spec": { "ports": [{ "port": 80, "name": "web" }, { "port": 81 }] } });
    let name = |id| {
        let address = Address::parse("service", id).expect("an address");
        port_name(&service, &address).map_err(|error| error.message)
    };
    assert_eq!(name("s:80"), Ok("web".into()));
    assert_eq!(name("s:81"), Ok(String::new()));
    assert_eq!(name("s:any"), Ok("any".into()));
    assert_eq!(name("s:82"), Err("no service port 82 found for service \"s\"".into()));
}

#[test]
fn a_node_is_its_kubelet_unless_another_port_is_asked_for() {
    let node = json!({ "status": {
        "addresses": [{ "type": "Hostname", "address": "n" }, { "type": "InternalIP", "address": "10.89.0.11" }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10251 } },
    }});
    let go = |id| told(node_place(&node, &Address::parse("node", id).expect("an address")));
    assert_eq!(go("n"), "Kubelet 10.89.0.11 10251");
    assert_eq!(go("n:10251"), "Kubelet 10.89.0.11 10251");
    assert_eq!(go("https:n:9100"), "Https 10.89.0.11 9100");
    let bare = json!({ "status": { "addresses": [{ "type": "InternalDNS", "address": "n" }] } });
    assert_eq!(
        told(kubelet(&bare)),
        "500 Internal error occurred: no preferred addresses found; known addresses: [InternalDNS]"
    );
}

#[test]
fn paths_are_cut_after_proxy_and_nowhere_else() {
    let pod = "/api/v1/namespaces/d/pods/p:80/proxy";
    assert_eq!(split_at_proxy(pod, true), (pod, ""));
    assert_eq!(split_at_proxy(&format!("{pod}/"), true), (pod, "/"));
    assert_eq!(split_at_proxy(&format!("{pod}//a%2Fb/proxy/"), true), (pod, "//a%2Fb/proxy/"));
    assert_eq!(split_at_proxy("/api/v1/nodes/n/proxy/x/y", false), ("/api/v1/nodes/n/proxy", "/x/y"));
}

#[test]
fn redirects_lead_back_through_the_proxy() {
    let place = Place { via: Via::Http, host: "10.0.0.7".into(), port: 80 };
    let (own, prefix) = ("api:6443", "/api/v1/nodes/n/proxy");
    let go = |location| rewrite_location(location, prefix, own, &place);
    for (location, rewritten) in [
        ("/a/b?c#d", "https://api:6443/api/v1/nodes/n/proxy/a/b?c#d"),
        ("http://10.0.0.7:80/a/", "https://api:6443/api/v1/nodes/n/proxy/a/"),
        ("http://10.0.0.7", "https://api:6443/api/v1/nodes/n/proxy/"),
        ("https://api:6443/a", "https://api:6443/api/v1/nodes/n/proxy/a"),
        ("/api/v1/nodes/n/proxy/a", "https://api:6443/api/v1/nodes/n/proxy/a"),
        ("a/b", "a/b"),
        ("https://example.com/a", "https://example.com/a"),
    ] {
        assert_eq!(go(location), rewritten);
    }
}

#[test]
fn the_only_container_is_meant_when_none_is_named() {
    let pod = |main: &[&str], init: &[&str]| {
        let named = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
        json!({ "metadata": { "name": "p" }, "spec": {
            "containers": named(main), "initContainers": named(init), "ephemeralContainers": named(&["e"]),
        }})
    };
    let ask = |pod: &Value, asked| container(pod, asked).map(str::to_owned).map_err(|error| error.message);
    assert_eq!(ask(&pod(&["a"], &["i"]), None), Ok("a".into()));
    assert_eq!(ask(&pod(&["a"], &["i"]), Some("")), Ok("a".into()));
    assert_eq!(ask(&pod(&["a"], &["i"]), Some("i")), Ok("i".into()));
    assert_eq!(ask(&pod(&["a"], &["i"]), Some("e")), Ok("e".into()));
    assert_eq!(ask(&pod(&["a"], &[]), Some("x")), Err("container x is not valid for pod p".into()));
    assert_eq!(
        ask(&pod(&["a", "b"], &["i", "j"]), None),
        Err("a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i j]".into())
    );
}

#[test]
fn kubelets_are_asked_in_their_own_words() {
    let query =
        Query::parse("stdin=true&stdout=1&stderr=false&tty=true&command=sh&command=a+%26b&container=c");
    assert_eq!(command_query(&query), "input=1&output=1&tty=1&command=sh&command=a%20%26b");
    assert_eq!(ports_query(&Query::parse("ports=80&ports=81,82")).expect("ports"), "port=80&port=81&port=82");
    assert_eq!(ports_query(&Query::parse("")).expect("none: SPDY names them later"), "");
    assert!(ports_query(&Query::parse("ports=0")).is_err());
}

#[test]
fn logs_take_what_upstreams_take() {
    let ask = |text: &str| -> Result<String, String> {
        let options = LogOptions::parse(&Query::parse(text)).map_err(|error| error.message)?;
        options.validate(resource("Pod"), "p").map_err(|error| error.message)?;
        Ok(options.to_query())
    };
    assert_eq!(
        ask("follow=true&previous=false&timestamps&container=c&insecureSkipTLSVerifyBackend=true"),
        Ok("follow=true&timestamps=true".into())
    );
    assert_eq!(
        ask("tailLines=0&limitBytes=1&sinceSeconds=1"),
        Ok("sinceSeconds=1&tailLines=0&limitBytes=1".into())
    );
    assert_eq!(
        ask("sinceTime=2026-01-02T03:04:05%2B01:00"),
        Ok("sinceTime=2026-01-02T02%3A04%3A05Z".into()),
        "one instant, whatever its zone"
    );
    let invalid = |what: &str| Err(format!("PodLogOptions \"p\" is invalid: {what}"));
    assert_eq!(
        ask("tailLines=-1"),
        invalid("tailLines: Invalid value: -1: must be greater than or equal to 0")
    );
    assert_eq!(ask("limitBytes=0"), invalid("limitBytes: Invalid value: 0: must be greater than 0"));
    assert_eq!(ask("sinceSeconds=0"), invalid("sinceSeconds: Invalid value: 0: must be greater than 0"));
    assert_eq!(
        ask("sinceSeconds=1&sinceTime=2026-01-02T03:04:05Z"),
        invalid("[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified")
    );
    assert_eq!(ask("stream=Stdout"), invalid("stream: Forbidden: may not be specified"));
    assert_eq!(ask("tailLines=many"), Err("strconv.ParseInt: parsing \"many\": invalid syntax".into()));
    assert_eq!(
        ask("sinceTime=yesterday"),
        Err("parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"".into())
    );
}

#[test]
fn containers_that_look_into_a_pod_may_come_and_none_may_change_or_go() {
    let old = created(
        "Pod",
        json!({
            "metadata": { "name": "p" },
            "spec": { "containers": [{ "name": "main", "image": "x" }] },
        }),
    );
    let send = |old: &Value, guests: Value| -> Result<Value, String> {
        let mut new = old.clone();
        new["spec"]["ephemeralContainers"] = guests;
        // Whatever else is sent is not meant.
        new["spec"]["containers"][0]["image"] = json!("other");
        let context = Context { name: Some("p"), ..context("Pod") };
        prepare_update(&context, Part::EphemeralContainers, old, 7, new).map_err(|error| error.message)
    };
    let guest = json!({ "name": "guest", "image": "y", "targetContainerName": "main" });
    let with = send(&old, json!([guest])).expect("it may come");
    assert_eq!(with["spec"]["containers"][0]["image"], "x");
    assert_eq!(
        with["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"], "File",
        "it has its defaults"
    );
    assert_eq!(send(&with, json!([guest])).expect("it may stay")["spec"], with["spec"]);
    let refused = |guests| send(&with, guests).expect_err("it is refused");
    assert_eq!(
        refused(json!([])),
        "Pod \"p\" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers \"guest\" may not be removed\n"
    );
    let mut other = guest.clone();
    other["image"] = json!("z");
    assert!(refused(json!([other])).contains("\"guest\" may not be changed\n"));
    let two = |more: Value| json!([guest, more]);
    for (more, what) in [
        (
            json!({ "name": "main", "image": "y" }),
            "spec.ephemeralContainers[1].name: Duplicate value: \"main\"",
        ),
        (json!({ "name": "b" }), "spec.ephemeralContainers[1].image: Required value"),
        (
            json!({ "name": "b", "image": "y", "targetContainerName": "c" }),
            "spec.ephemeralContainers[1].targetContainerName: Not found: \"c\"",
        ),
        (
            json!({ "name": "b", "image": "y", "lifecycle": { "preStop": { "exec": { "command": ["x"] } } } }),
            "spec.ephemeralContainers[1].lifecycle: Forbidden: cannot be set for an Ephemeral Container",
        ),
    ] {
        let said = refused(two(more));
        assert!(said.contains(what), "{said}");
    }
}
