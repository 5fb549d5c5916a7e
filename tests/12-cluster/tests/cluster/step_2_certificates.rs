//! Who may say what he is.

use graded::graded;
use std::collections::{BTreeMap, BTreeSet};

use crate::heart::AddressPlan;
use crate::heart::certificates::{AltName, Authority, Certificate, Usage, certificates, to_issue};

fn plan(nodes: u32) -> Vec<Certificate> {
    let addresses = AddressPlan::default();
    certificates(&addresses, &addresses.nodes(nodes).expect("so many nodes fit"))
}

/// Three lines a certificate, as `openssl x509 -text` would tell it, in the order of their paths.
fn table(certificates: &[Certificate]) -> String {
    let mut certificates: Vec<&Certificate> = certificates.iter().collect();
    certificates.sort_by_key(|it| &it.path);
    certificates
        .iter()
        .map(|it| {
            let mut names: Vec<String> = it
                .alt_names
                .iter()
                .map(|name| match name {
                    AltName::Dns(name) => format!("DNS:{name}"),
                    AltName::Ip(address) => format!("IP:{address}"),
                })
                .collect();
            names.sort();
            format!(
                "{} by {:?}\n  CN={} O={}\n  {:?} {}\n",
                it.path,
                it.authority,
                it.common_name,
                it.organizations.join("+"),
                it.usages,
                names.join(" ")
            )
        })
        .collect()
}

/// The whole of it, with kubeadm's names.
#[graded]
fn a_cluster_of_one_node_has_these_certificates() {
    insta::assert_snapshot!(table(&plan(1)), @r#"
    admin by Cluster
      CN=kubernetes-admin O=system:masters
      [ClientAuth] 
    apiserver by Cluster
      CN=kube-apiserver O=
      [ServerAuth] DNS:kubernetes DNS:kubernetes.default DNS:kubernetes.default.svc DNS:kubernetes.default.svc.cluster.local DNS:localhost IP:10.89.0.1 IP:10.96.0.1 IP:127.0.0.1
    apiserver-etcd-client by Etcd
      CN=kube-apiserver-etcd-client O=
      [ClientAuth] 
    apiserver-kubelet-client by Cluster
      CN=kube-apiserver-kubelet-client O=system:masters
      [ClientAuth] 
    controller-manager by Cluster
      CN=system:kube-controller-manager O=
      [ClientAuth] 
    etcd/healthcheck-client by Etcd
      CN=kube-etcd-healthcheck-client O=
      [ClientAuth] 
    etcd/server by Etcd
      CN=etcd O=
      [ServerAuth] DNS:localhost IP:10.89.0.1 IP:127.0.0.1
    front-proxy-client by FrontProxy
      CN=front-proxy-client O=
      [ClientAuth] 
    kube-proxy by Cluster
      CN=system:kube-proxy O=
      [ClientAuth] 
    nodes/node-1/kubelet by Cluster
      CN=system:node:node-1 O=system:nodes
      [ServerAuth] DNS:node-1 IP:10.89.0.11
    nodes/node-1/kubelet-client by Cluster
      CN=system:node:node-1 O=system:nodes
      [ClientAuth] 
    scheduler by Cluster
      CN=system:kube-scheduler O=
      [ClientAuth] 
    "#);
}

/// A client checks the name that it dialled. What is not in the certificate cannot be reached.
#[graded]
fn the_api_server_is_certified_for_every_way_that_leads_to_it() {
    let addresses = AddressPlan::default();
    let plan = plan(2);
    let names =
        &plan.iter().find(|it| it.path == "apiserver").expect("the API server has a certificate").alt_names;
    let ways = [
        // kubectl on the host, the components in the machine room, pods by address and by DNS.
        AltName::Ip("127.0.0.1".parse().expect("an address")),
        AltName::ip(addresses.control_plane()),
        AltName::ip(addresses.kubernetes_service()),
        AltName::dns("localhost"),
        AltName::dns("kubernetes"),
        AltName::dns("kubernetes.default"),
        AltName::dns("kubernetes.default.svc"),
        AltName::dns("kubernetes.default.svc.cluster.local"),
    ];
    for way in ways {
        assert!(
            names.contains(&way),
            "a client that connects to {way:?} would refuse the certificate: {names:?}"
        );
    }
}

/// One purpose a certificate, so that a stolen one serves one purpose.
#[graded]
fn a_server_certificate_names_addresses_and_a_client_certificate_none() {
    for it in plan(3) {
        assert_eq!(
            it.usages.len(),
            1,
            "{}: one purpose a certificate, so that a stolen one serves one purpose",
            it.path
        );
        let serves = it.usages.contains(&Usage::ServerAuth);
        assert_eq!(
            serves,
            !it.alt_names.is_empty(),
            "{}: clients look at subjectAltName and at nothing else",
            it.path
        );
    }
}

/// The store itself, the API server, and the operator's etcdctl: whoever reads the store reads every Secret.
#[graded]
fn no_cluster_certificate_opens_the_store() {
    let of_etcd: BTreeSet<String> =
        plan(2).into_iter().filter(|it| it.authority == Authority::Etcd).map(|it| it.path).collect();
    let allowed = ["apiserver-etcd-client", "etcd/server", "etcd/healthcheck-client"];
    assert_eq!(of_etcd, allowed.map(str::to_owned).into(), "whom the store believes");
}

/// Whoever shows one of this authority's may say that he is anybody.
#[graded]
fn nobody_but_the_api_server_passes_on_what_others_ask() {
    let of_the_proxy: Vec<String> =
        plan(2).into_iter().filter(|it| it.authority == Authority::FrontProxy).map(|it| it.path).collect();
    assert_eq!(of_the_proxy, ["front-proxy-client"], "whom servers behind the API server believe");
}

/// The group system:masters passes every check, and cannot be taken away by any rule.
#[graded]
fn only_the_administrator_and_the_api_server_are_masters() {
    let masters: BTreeSet<String> = plan(2)
        .into_iter()
        .filter(|it| it.organizations.iter().any(|group| group == "system:masters"))
        .map(|it| it.path)
        .collect();
    assert_eq!(
        masters,
        ["apiserver-kubelet-client", "admin"].map(str::to_owned).into(),
        "the group system:masters passes every RBAC check"
    );
}

/// The Node authorizer lets `system:node:NAME` read the Secrets of that node's pods, and no others.
#[graded]
fn a_kubelet_is_a_node_to_the_api_server_and_nothing_more() {
    for it in plan(3).iter().filter(|it| it.path.starts_with("nodes/")) {
        let node = it.path.split('/').nth(1).expect("nodes/NAME/…");
        assert_eq!(
            it.common_name,
            format!("system:node:{node}"),
            "the Node authorizer reads the node's name from the user"
        );
        assert_eq!(it.organizations, ["system:nodes"]);
    }
}

/// Who did it is read from the user: two that share one could not be told apart.
#[graded]
fn no_two_clients_are_the_same_user_and_no_two_certificates_the_same_file() {
    let plan = plan(20);
    let paths: BTreeSet<&str> = plan.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths.len(), plan.len());
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for it in plan.iter().filter(|it| it.usages.contains(&Usage::ClientAuth)) {
        users.entry(&it.common_name).or_default().push(&it.path);
    }
    for (user, holders) in users {
        assert_eq!(holders.len(), 1, "{holders:?} are all {user}: their deeds could not be told apart");
    }
}

/// A new certificate cuts off whoever holds the old one.
#[graded]
fn a_second_up_issues_nothing() {
    assert_eq!(to_issue(&plan(2), &plan(2)), []);
}

/// A cluster grows while it runs.
#[graded]
fn a_new_node_gets_certificates_and_the_others_keep_theirs() {
    let issued: Vec<String> = to_issue(&plan(2), &plan(3)).into_iter().map(|it| it.path).collect();
    assert_eq!(issued, ["nodes/node-3/kubelet-client", "nodes/node-3/kubelet"]);
}

/// An address plan that changes must reach the server's certificate, or nobody can connect.
#[graded]
fn a_certificate_that_says_something_else_than_it_should_is_issued_anew() {
    let mut have = plan(1);
    let old = have.iter_mut().find(|it| it.path == "apiserver").expect("the API server has a certificate");
    old.alt_names.pop();
    let issued: Vec<String> = to_issue(&have, &plan(1)).into_iter().map(|it| it.path).collect();
    assert_eq!(issued, ["apiserver"]);
}
