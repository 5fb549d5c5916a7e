//! How each program is started.

use graded::graded;
use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::heart::commands::{self, Component, ControlPlane, Setting, apply, control_plane, on_node};
use crate::heart::{AddressPlan, PlanError};

fn plan() -> ControlPlane {
    ControlPlane {
        addresses: AddressPlan::default(),
        pki: "/c/pki".into(),
        kubeconfigs: "/c/kubeconfigs".into(),
        data: "/c/store".into(),
        api_socket: 7,
        store_sockets: vec![8, 9],
    }
}

fn node_components() -> Vec<Component> {
    let addresses = AddressPlan::default();
    let node = addresses.nodes(1).expect("one fits").remove(0);
    on_node(&addresses, &node)
}

fn listing(components: &[Component]) -> String {
    components.iter().map(|it| format!("{} {}\n", it.tier, it.arguments.join("\n    "))).collect()
}

#[graded]
fn the_control_plane_has_upstreams_flags() {
    insta::assert_snapshot!(listing(&control_plane(&plan())), @r"
    0 store
        --name=default
        --data-dir=/c/store
        --advertise-client-urls=https://127.0.0.1:2379
        --cert-file=/c/pki/etcd/server.crt
        --key-file=/c/pki/etcd/server.key
        --trusted-ca-file=/c/pki/etcd/ca.crt
        --client-cert-auth
        --listen-fd=8
        --listen-fd=9
    1 apiserver
        --etcd-servers=https://127.0.0.1:2379
        --etcd-cafile=/c/pki/etcd/ca.crt
        --etcd-certfile=/c/pki/apiserver-etcd-client.crt
        --etcd-keyfile=/c/pki/apiserver-etcd-client.key
        --bind-address=10.89.0.1
        --secure-port=6443
        --listen-fd=7
        --advertise-address=10.89.0.1
        --tls-cert-file=/c/pki/apiserver.crt
        --tls-private-key-file=/c/pki/apiserver.key
        --client-ca-file=/c/pki/ca.crt
        --kubelet-client-certificate=/c/pki/apiserver-kubelet-client.crt
        --kubelet-client-key=/c/pki/apiserver-kubelet-client.key
        --kubelet-certificate-authority=/c/pki/ca.crt
        --service-cluster-ip-range=10.96.0.0/16
    2 scheduler
        --kubeconfig=/c/kubeconfigs/scheduler.conf
    2 controller-manager
        --kubeconfig=/c/kubeconfigs/controller-manager.conf
        --allocate-node-cidrs=true
        --cluster-cidr=10.244.0.0/16
        --root-ca-file=/c/pki/ca.crt
    2 node-routes
        --kubeconfig=/c/kubeconfigs/kube-proxy.conf
        --node-name=control-plane
    ");
}

#[graded]
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

#[graded]
fn the_store_stops_last_and_the_api_server_before_it() {
    let tier = |name: &str| control_plane(&plan()).into_iter().find(|it| it.name == name).expect(name).tier;
    assert!(tier("store") < tier("apiserver"));
    assert!(tier("apiserver") < tier("scheduler"));
    assert!(tier("apiserver") < tier("controller-manager"));
}

#[graded]
fn every_component_that_can_be_set_is_started_and_no_other() {
    let started = |components: Vec<Component>| -> BTreeSet<String> {
        components.into_iter().map(|it| it.name).collect()
    };
    assert_eq!(started(control_plane(&plan())), commands::CONTROL_PLANE.map(str::to_owned).into());
    assert_eq!(started(node_components()), commands::ON_EACH_NODE.map(str::to_owned).into());
}

#[graded]
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

#[graded]
fn a_setting_replaces_the_flag_of_its_name() {
    let settings = ["kubelet.node-ip=10.0.0.9".parse().expect("a setting")];
    let mut kubelet =
        node_components().into_iter().find(|it| it.name == "kubelet").expect("there is a kubelet");
    let before = kubelet.arguments.len();
    apply(&settings, &mut kubelet);
    assert_eq!(kubelet.arguments.len(), before);
    let ips: Vec<&String> = kubelet.arguments.iter().filter(|it| it.contains("node-ip")).collect();
    assert_eq!(ips, ["--node-ip=10.0.0.9"]);
}

#[graded]
fn a_setting_for_one_component_leaves_the_others_alone() {
    let settings = ["kubelet.kubeconfig=/tmp/x".parse().expect("a setting")];
    let mut proxy =
        node_components().into_iter().find(|it| it.name == "kube-proxy").expect("there is a kube-proxy");
    let before = proxy.clone();
    apply(&settings, &mut proxy);
    assert_eq!(proxy, before);
}

#[graded]
fn a_flag_whose_name_only_begins_alike_stays() {
    let settings = ["controller-manager.cluster=x".parse().expect("a setting")];
    let mut component =
        control_plane(&plan()).into_iter().find(|it| it.name == "controller-manager").expect("there is one");
    apply(&settings, &mut component);
    assert!(
        component.arguments.contains(&"--cluster-cidr=10.244.0.0/16".to_owned()),
        "{:?}",
        component.arguments
    );
}

#[graded]
fn a_flag_can_be_set_several_times() {
    let settings: Vec<Setting> = ["kubelet.node-labels=a=1", "kubelet.node-labels=b=2"]
        .iter()
        .map(|it| it.parse().expect("a setting"))
        .collect();
    let mut kubelet =
        node_components().into_iter().find(|it| it.name == "kubelet").expect("there is a kubelet");
    apply(&settings, &mut kubelet);
    assert!(kubelet.arguments.ends_with(&["--node-labels=a=1".to_owned(), "--node-labels=b=2".to_owned()]));
}

#[graded]
fn the_value_of_a_setting_may_hold_anything() {
    let setting: Setting =
        "store.listen-client-urls=https://127.0.0.1:2379?a=b.c".parse().expect("a setting");
    assert_eq!((setting.component.as_str(), setting.flag.as_str()), ("store", "listen-client-urls"));
    assert_eq!(setting.value, "https://127.0.0.1:2379?a=b.c");
    let dotted: Setting = "kubelet.feature.gates=x".parse().expect("the component ends at the first dot");
    assert_eq!((dotted.component.as_str(), dotted.flag.as_str()), ("kubelet", "feature.gates"));
    let dashed: Setting = "store.--name=x".parse().expect("dashes are forgiven");
    assert_eq!(dashed.flag, "name");
}

#[graded]
fn what_is_no_setting_is_refused_with_a_hint() {
    for wrong in ["", "kubelet", "kubelet.x", "kubelet=x", ".x=y", "kubelet.=x", "kubelet.--=x"] {
        assert_eq!(wrong.parse::<Setting>(), Err(PlanError::NotASetting { text: wrong.into() }));
    }
    let refusal = "kublet.max-pods=5".parse::<Setting>().expect_err("no such component");
    insta::assert_snapshot!(refusal, @r#"there is no component "kublet"; the components are apiserver, controller-manager, kube-proxy, kubelet, node-routes, runtime, scheduler, store"#);
}

proptest! {
    #[graded]
    fn a_setting_reads_back_as_it_was_written(flag in "[a-z][a-z-]{0,20}", value in ".{0,40}") {
        let text = format!("kubelet.{flag}={value}");
        let setting: Setting = text.parse().expect("a setting");
        prop_assert_eq!(setting.to_string(), text);
    }

    #[graded]
    fn settings_applied_twice_are_settings_applied_once(pairs in proptest::collection::vec(("[ab]{1,2}", "[xy=]{0,2}"), 0..6)) {
        let settings: Vec<Setting> = pairs.iter().map(|(flag, value)| format!("kubelet.{flag}={value}").parse().expect("a setting")).collect();
        let mut once = node_components().remove(1);
        apply(&settings, &mut once);
        let mut twice = once.clone();
        apply(&settings, &mut twice);
        prop_assert_eq!(once, twice);
    }
}
