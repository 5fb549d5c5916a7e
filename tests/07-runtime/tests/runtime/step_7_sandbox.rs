use graded::graded;
use std::path::Path;

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::ops::listing;
use crate::heart::rootfs::plan_sandbox;
use crate::heart::sandbox::{Dns, cgroup_path, resolv_conf, sysctl_allowed};
use crate::heart::spec::SandboxSetup;
use crate::strings;

/// A new network namespace has a loopback device, and it is down: nothing could speak to itself.
#[graded]
fn a_pods_first_process_names_it_raises_loopback_and_writes_settings() {
    let setup = SandboxSetup {
        hostname: Some("web-0".into()),
        own_network: true,
        sysctls: vec![("net.core.somaxconn".into(), "1024".into())],
    };
    assert_snapshot!(listing(&plan_sandbox(&setup)));
    assert!(plan_sandbox(&SandboxSetup::default()).is_empty());
}

/// `search` is what makes `http://web` mean `web.default.svc.cluster.local`.
#[graded]
fn resolver_settings_are_written_in_the_usual_order() {
    let dns = Dns {
        servers: strings(&["10.96.0.10", "10.96.0.11"]),
        searches: strings(&["default.svc.cluster.local", "svc.cluster.local"]),
        options: strings(&["ndots:5"]),
    };
    let expected = "search default.svc.cluster.local svc.cluster.local\n\
                    nameserver 10.96.0.10\nnameserver 10.96.0.11\noptions ndots:5\n";
    assert_eq!(resolv_conf(&dns, "nameserver 1.1.1.1\n"), expected);
}

/// Before there is a cluster DNS, pods must be able to resolve at all.
#[graded]
fn a_pod_without_settings_resolves_as_its_node() {
    assert_eq!(resolv_conf(&Dns::default(), "nameserver 1.1.1.1\n"), "nameserver 1.1.1.1\n");
}

/// A pod's limit holds for all its containers together, because the kernel adds up along the path.
#[graded]
fn a_containers_group_lies_below_its_pods() {
    assert_eq!(
        cgroup_path("/coracle-1/node-1", "", "uid", "c1"),
        Path::new("/coracle-1/node-1/kubepods/poduid/c1")
    );
    assert_eq!(cgroup_path("coracle", "/kubepods/pod7", "uid", "c1"), Path::new("/coracle/kubepods/pod7/c1"));
}

/// `vm.swappiness` has no namespace: a pod that set it would set it for everybody.
#[graded]
fn a_pod_may_change_its_own_settings_and_none_of_the_nodes() {
    assert!(sysctl_allowed("net.ipv4.ip_local_port_range", true, true));
    assert!(sysctl_allowed("kernel.shmmax", true, true));
    for (name, network, ipc) in [
        ("kernel.panic", true, true),
        ("vm.swappiness", true, true),
        ("net.core.somaxconn", false, true),
        ("kernel.shmmax", true, false),
        ("net./../../x", true, true),
    ] {
        assert!(!sysctl_allowed(name, network, ipc), "{name}");
    }
}

proptest! {
    /// A group outside of the runtime's would have none of its limits.
    #[graded]
    fn no_pod_can_climb_out_of_the_runtimes_group(pod in "[a./]{0,12}", uid in "[a./]{0,6}", id in "[a./]{1,6}") {
        let path = cgroup_path("/top/node", &pod, &uid, &id);
        prop_assert!(path.starts_with("/top/node"));
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        prop_assert!(!climbs, "{}", path.display());
    }
}
