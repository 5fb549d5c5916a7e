//! What stands on given code, or on a step's as a golden only: it does not count for a step.

use crate::heart::certificates::Kubeconfig;
use crate::heart::commands::{Component, on_node};
use crate::heart::{AddressPlan, Node};

#[test]
fn a_kubeconfig_carries_all_that_a_client_needs() {
    let wanted = Kubeconfig {
        certificate: "admin".into(),
        user: "kubernetes-admin".into(),
        server: "https://127.0.0.1:6443".into(),
    };
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&wanted.content("Q0E=", "Q1JU", "S0VZ")).expect("JSON"),
        @r#"
    {
      "apiVersion": "v1",
      "kind": "Config",
      "clusters": [
        {
          "name": "coracle",
          "cluster": {
            "server": "https://127.0.0.1:6443",
            "certificate-authority-data": "Q0E="
          }
        }
      ],
      "users": [
        {
          "name": "kubernetes-admin",
          "user": {
            "client-certificate-data": "Q1JU",
            "client-key-data": "S0VZ"
          }
        }
      ],
      "contexts": [
        {
          "name": "kubernetes-admin@coracle",
          "context": {
            "cluster": "coracle",
            "user": "kubernetes-admin"
          }
        }
      ],
      "current-context": "kubernetes-admin@coracle"
    }
    "#
    );
}

fn node_components() -> Vec<Component> {
    let node = Node { name: "node-1".into(), address: "10.89.0.11".parse().expect("an address") };
    on_node(&AddressPlan::default(), &node)
}

fn listing(components: &[Component]) -> String {
    components.iter().map(|it| format!("{} {}\n", it.tier, it.arguments.join("\n    "))).collect()
}

#[test]
fn a_node_has_upstreams_flags() {
    insta::assert_snapshot!(listing(&node_components()), @r"
    0 runtime
        --root=/var/lib/coracle/runtime
        --state=/run/coracle/runtime
        --address=unix:///run/coracle/runtime.sock
        --images=/var/lib/coracle/images
        --cgroup-parent=/
    1 kubelet
        --kubeconfig=/etc/kubernetes/kubelet.conf
        --hostname-override=node-1
        --node-ip=10.89.0.11
        --container-runtime-endpoint=unix:///run/coracle/runtime.sock
        --tls-cert-file=/etc/kubernetes/pki/kubelet.crt
        --tls-private-key-file=/etc/kubernetes/pki/kubelet.key
        --client-ca-file=/etc/kubernetes/pki/ca.crt
        --cluster-dns=10.96.0.10
        --cluster-domain=cluster.local
        --image-notify=/var/lib/coracle/images/index.json
    1 kube-proxy
        --kubeconfig=/etc/kubernetes/kube-proxy.conf
        --hostname-override=node-1
        --cluster-cidr=10.244.0.0/16
    1 node-routes
        --kubeconfig=/etc/kubernetes/kube-proxy.conf
        --node-name=node-1
    ");
}

#[test]
fn a_node_knows_no_path_of_the_host() {
    for component in node_components() {
        for argument in &component.arguments[1..] {
            let value = argument.split_once('=').expect("--flag=value").1;
            let own = ["/etc/", "/var/", "/run/"];
            assert!(
                !value.starts_with('/') || value == "/" || own.iter().any(|it| value.starts_with(it)),
                "{argument} is no path in a node"
            );
        }
    }
}
