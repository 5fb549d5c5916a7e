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

/// Each component's flags, in the order of their names: programs do not mind another one.
fn listing(components: &[Component]) -> String {
    let one = |it: &Component| {
        let mut flags = it.arguments.clone();
        flags[1..].sort();
        format!("{} {}\n", it.tier, flags.join("\n    "))
    };
    components.iter().map(one).collect()
}

/// The real programs understand them, and could be started in the place of ours.
#[graded]
fn the_control_plane_has_upstreams_flags() {
    insta::assert_snapshot!(listing(&control_plane(&plan())), @r"
    0 store
        --advertise-client-urls=https://127.0.0.1:2379
        --cert-file=/c/pki/etcd/server.crt
        --client-cert-auth
        --data-dir=/c/store
        --key-file=/c/pki/etcd/server.key
        --listen-fd=8
        --listen-fd=9
        --name=default
        --trusted-ca-file=/c/pki/etcd/ca.crt
    1 apiserver
        --advertise-address=10.89.0.1
        --bind-address=10.89.0.1
        --client-ca-file=/c/pki/ca.crt
        --etcd-cafile=/c/pki/etcd/ca.crt
        --etcd-certfile=/c/pki/apiserver-etcd-client.crt
        --etcd-keyfile=/c/pki/apiserver-etcd-client.key
        --etcd-servers=https://127.0.0.1:2379
        --kubelet-certificate-authority=/c/pki/ca.crt
        --kubelet-client-certificate=/c/pki/apiserver-kubelet-client.crt
        --kubelet-client-key=/c/pki/apiserver-kubelet-client.key
        --listen-fd=7
        --proxy-client-cert-file=/c/pki/front-proxy-client.crt
        --proxy-client-key-file=/c/pki/front-proxy-client.key
        --requestheader-allowed-names=front-proxy-client
        --requestheader-client-ca-file=/c/pki/front-proxy-ca.crt
        --secure-port=6443
        --service-account-signing-key-file=/c/pki/sa.key
        --service-cluster-ip-range=10.96.0.0/16
        --tls-cert-file=/c/pki/apiserver.crt
        --tls-private-key-file=/c/pki/apiserver.key
    2 scheduler
        --kubeconfig=/c/kubeconfigs/scheduler.conf
    2 controller-manager
        --allocate-node-cidrs=true
        --cluster-cidr=10.244.0.0/16
        --kubeconfig=/c/kubeconfigs/controller-manager.conf
        --root-ca-file=/c/pki/ca.crt
    2 node-routes
        --kubeconfig=/c/kubeconfigs/kube-proxy.conf
        --node-name=control-plane
    ");
}

/// Whoever writes goes before what he writes to.
#[graded]
fn the_store_stops_last_and_the_api_server_before_it() {
    let tier = |name: &str| control_plane(&plan()).into_iter().find(|it| it.name == name).expect(name).tier;
    assert!(tier("store") < tier("apiserver"));
    assert!(tier("apiserver") < tier("scheduler"));
    assert!(tier("apiserver") < tier("controller-manager"));
}

/// An operator's setting must meet a program, and every program must be settable.
#[graded]
fn every_component_that_can_be_set_is_started_and_no_other() {
    let started = |components: Vec<Component>| -> BTreeSet<String> {
        components.into_iter().map(|it| it.name).collect()
    };
    assert_eq!(started(control_plane(&plan())), commands::CONTROL_PLANE.map(str::to_owned).into());
    assert_eq!(started(node_components()), commands::ON_EACH_NODE.map(str::to_owned).into());
}

/// Two values for one flag would leave it to the program which one counts.
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

/// Flags of one name mean different things to different programs.
#[graded]
fn a_setting_for_one_component_leaves_the_others_alone() {
    let settings = ["kubelet.kubeconfig=/tmp/x".parse().expect("a setting")];
    let mut proxy =
        node_components().into_iter().find(|it| it.name == "kube-proxy").expect("there is a kube-proxy");
    let before = proxy.clone();
    apply(&settings, &mut proxy);
    assert_eq!(proxy, before);
}

/// `cluster` is not `cluster-cidr`.
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

/// Lists are given so: a label, and one more.
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

/// URLs hold dots and equal signs.
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

/// A typing error that is swallowed is looked for in the wrong place for an hour.
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
