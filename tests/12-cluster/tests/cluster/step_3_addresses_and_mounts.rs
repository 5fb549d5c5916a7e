//! Who lives where, and what a machine can see.

use graded::graded;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::heart::mounts::{self, Cgroups, HomePaths, Host, Step};
use crate::heart::{AddressPlan, Cidr, Node, PlanError};

const ROOT: &str = "/new";

fn home() -> HomePaths {
    HomePaths { home: "/home/ada/.coracle".into() }
}

fn node() -> Node {
    Node { name: "node-1".into(), address: Ipv4Addr::new(10, 89, 0, 11) }
}

/// A host of today: everything in /usr.
fn host(cgroups: Cgroups, privileged: bool) -> Host {
    let link = |name: &str, target: &str| (name.to_owned(), Some(PathBuf::from(target)));
    let system = vec![
        link("bin", "usr/bin"),
        link("lib", "usr/lib"),
        link("lib64", "usr/lib64"),
        ("usr".to_owned(), None),
    ];
    Host { system, cgroups, privileged }
}

fn plan(host: &Host) -> Vec<Step> {
    mounts::node(Path::new(ROOT), &node(), &home(), host)
}

fn everything() -> [Host; 4] {
    let v1 = Cgroups::V1(vec!["cpu,cpuacct".into(), "memory".into()]);
    [host(v1, true), host(Cgroups::V2, true), host(Cgroups::None, false), host(Cgroups::V2, false)]
}

/// A line a step, without the copies and links.
fn table(steps: &[Step]) -> String {
    let line = |step: &Step| match step {
        Step::Folder { path } => format!("folder  {}", path.display()),
        Step::Link { path, target } => format!("link    {} -> {}", path.display(), target.display()),
        Step::File { path, .. } => format!("file    {}", path.display()),
        Step::Copy { path, source } => format!("copy    {} of {}", path.display(), source.display()),
        Step::Tmpfs { path, mode } => format!("tmpfs   {} {mode:o}", path.display()),
        Step::Bind { path, source, read_only } => {
            format!(
                "bind-{} {} of {}",
                if *read_only { "ro" } else { "rw" },
                path.display(),
                source.display()
            )
        }
        Step::Proc { path } => format!("proc    {}", path.display()),
        Step::Sysfs { path } => format!("sysfs   {}", path.display()),
        Step::Devpts { path } => format!("devpts  {}", path.display()),
        Step::Cgroup { path, controllers } => format!("cgroup  {} {}", path.display(), controllers.join("+")),
    };
    steps
        .iter()
        .filter(|step| !matches!(step, Step::Copy { .. } | Step::Link { .. }))
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

#[graded]
fn the_address_plan_is_the_documented_one() {
    let plan = AddressPlan::default();
    assert_eq!(plan.control_plane(), Ipv4Addr::new(10, 89, 0, 1));
    assert_eq!(plan.kubernetes_service(), Ipv4Addr::new(10, 96, 0, 1));
    assert_eq!(plan.dns_service(), Ipv4Addr::new(10, 96, 0, 10));
    let nodes: Vec<String> = plan
        .nodes(3)
        .expect("three fit")
        .into_iter()
        .map(|node| format!("{} {}", node.name, node.address))
        .collect();
    assert_eq!(nodes, ["node-1 10.89.0.11", "node-2 10.89.0.12", "node-3 10.89.0.13"]);
}

#[graded]
fn more_nodes_than_addresses_are_refused_with_the_number_that_fits() {
    let plan = AddressPlan::default();
    let last = plan.nodes(244).expect("244 fit").pop().expect("there is a last one");
    assert_eq!(last.address, Ipv4Addr::new(10, 89, 0, 254));
    let refusal = plan.nodes(245).expect_err("245 do not fit");
    assert_eq!(refusal, PlanError::TooManyNodes { asked: 245, most: 244, network: "10.89.0.0/24".into() });
    assert_eq!(plan.nodes(0), Err(PlanError::NoNodes));
}

#[graded]
fn a_network_is_written_with_its_prefix_and_nothing_behind_it() {
    for wrong in ["10.89.0.0", "10.89.0.1/24", "10.89.0.0/33", "10.89.0.0/0", "10.89.0/24", "ten/24", ""] {
        assert_eq!(wrong.parse::<Cidr>(), Err(PlanError::NotACidr { text: wrong.into() }));
    }
}

proptest! {
    #[graded]
    fn the_nth_address_lies_inside_and_is_neither_the_first_nor_the_last(bits: u32, prefix in 8..=32_u8, n: u32) {
        let mask = u32::MAX << (32 - u32::from(prefix));
        let cidr: Cidr = format!("{}/{prefix}", Ipv4Addr::from(bits & mask)).parse().expect("a network");
        // The naive model: count from the network's own address, and compare as plain numbers.
        let first = u64::from(bits & mask);
        let broadcast = first + (1_u64 << (32 - u32::from(prefix))) - 1;
        let expected = first + u64::from(n);
        let n_th = cidr.nth(n);
        prop_assert_eq!(n_th.is_some(), expected < broadcast);
        if let Some(address) = n_th {
            prop_assert_eq!(u64::from(u32::from(address)), expected);
            prop_assert!(cidr.contains(address));
        }
        prop_assert_eq!(cidr.to_string().parse::<Cidr>(), Ok(cidr));
    }
}

#[graded]
fn a_node_on_a_host_with_cgroups_of_version_1() {
    insta::assert_snapshot!(table(&plan(&everything()[0])), @r"
    tmpfs   /new 755
    bind-ro /new/usr of /usr
    bind-rw /new/var of /home/ada/.coracle/nodes/node-1/var
    bind-rw /new/var/lib/coracle/images of /home/ada/.coracle/images
    bind-rw /new/var/log/coracle of /home/ada/.coracle/logs/node-1
    tmpfs   /new/run 755
    folder  /new/run/coracle
    tmpfs   /new/tmp 1777
    bind-ro /new/opt/coracle/bin/coracle of /home/ada/.coracle/bin/coracle
    folder  /new/opt/cni/bin
    folder  /new/home
    folder  /new/mnt
    folder  /new/root
    folder  /new/srv
    folder  /new/etc
    file    /new/etc/hostname
    file    /new/etc/hosts
    file    /new/etc/resolv.conf
    folder  /new/etc/cni/net.d
    bind-ro /new/etc/kubernetes of /home/ada/.coracle/nodes/node-1/kubernetes
    tmpfs   /new/dev 755
    bind-rw /new/dev/full of /dev/full
    bind-rw /new/dev/null of /dev/null
    bind-rw /new/dev/random of /dev/random
    bind-rw /new/dev/tty of /dev/tty
    bind-rw /new/dev/urandom of /dev/urandom
    bind-rw /new/dev/zero of /dev/zero
    devpts  /new/dev/pts
    tmpfs   /new/dev/shm 1777
    proc    /new/proc
    sysfs   /new/sys
    bind-rw /new/run/coracle/proc-sys-net of /new/proc/sys/net
    bind-ro /new/proc/sys of /new/proc/sys
    bind-ro /new/proc/sysrq-trigger of /new/proc/sysrq-trigger
    bind-ro /new/proc/irq of /new/proc/irq
    bind-ro /new/proc/bus of /new/proc/bus
    bind-rw /new/proc/sys/net of /new/run/coracle/proc-sys-net
    tmpfs   /new/sys/fs/cgroup 755
    cgroup  /new/sys/fs/cgroup/cpu,cpuacct cpu+cpuacct
    cgroup  /new/sys/fs/cgroup/memory memory
    ");
}

#[graded]
fn a_node_of_an_ordinary_user_has_no_groups_and_an_unhidden_proc() {
    let steps = plan(&everything()[2]);
    assert!(!table(&steps).contains("cgroup"));
    let proc = Path::new("/new/proc");
    let below_proc: Vec<&Step> =
        steps.iter().filter(|step| step.path() != proc && step.path().starts_with(proc)).collect();
    assert!(
        below_proc.is_empty(),
        "the kernel lets an ordinary user mount /proc for a container only where nothing hides it: {below_proc:?}"
    );
}

#[graded]
fn nothing_that_a_node_writes_lies_outside_the_home() {
    for host in everything() {
        for step in plan(&host) {
            let Step::Bind { path, source, read_only: false } = &step else { continue };
            let own = source.starts_with(home().home) || source.starts_with(ROOT);
            let device = path.starts_with("/new/dev") && source.starts_with("/dev");
            assert!(own || device, "a hostPath volume could change the host through {step:?}");
        }
    }
}

#[graded]
fn no_node_sees_another_nodes_files_or_the_clusters_keys() {
    for host in everything() {
        for step in plan(&host) {
            let Step::Bind { source, .. } = &step else { continue };
            let Ok(inside) = source.strip_prefix(home().home) else { continue };
            let allowed =
                ["bin/coracle", "images", "logs/node-1", "nodes/node-1/kubernetes", "nodes/node-1/var"];
            assert!(
                allowed.iter().any(|it| inside == Path::new(it)),
                "{} is not this node's",
                source.display()
            );
        }
    }
}

#[graded]
fn root_of_the_host_cannot_reach_the_kernels_switches_apart_from_the_networks() {
    let steps = plan(&everything()[0]);
    let at = |wanted: &str| {
        steps
            .iter()
            .rev()
            .find_map(|step| match step {
                Step::Bind { path, read_only, .. } if path == Path::new(wanted) => Some(*read_only),
                _ => None,
            })
            .unwrap_or_else(|| panic!("{wanted} is as the kernel made it: writable"))
    };
    assert!(at("/new/proc/sys"));
    assert!(at("/new/proc/sysrq-trigger"));
    assert!(
        !at("/new/proc/sys/net"),
        "kube-proxy and the CNI plugin set up their own network namespaces there"
    );
}

#[graded]
fn a_mount_never_hides_what_an_earlier_step_made() {
    for host in everything() {
        for plan in [plan(&host), mounts::sandbox(&host)] {
            for (number, step) in plan.iter().enumerate() {
                let hides = match step {
                    Step::Tmpfs { path, .. }
                    | Step::Proc { path }
                    | Step::Sysfs { path }
                    | Step::Devpts { path } => path,
                    // The home's folders are bound into each other on purpose, the outer one first.
                    Step::Bind { path, source, .. } if !path.starts_with(source) => path,
                    Step::Cgroup { path, .. } => path,
                    _ => continue,
                };
                let hidden = plan[..number]
                    .iter()
                    .find(|earlier| earlier.path().starts_with(hides) && earlier.path() != hides);
                assert!(hidden.is_none(), "{step:?} hides what {hidden:?} made");
            }
        }
    }
}

#[graded]
fn system_folders_stay_what_they_are_on_the_host() {
    let steps = plan(&everything()[0]);
    let bin = Step::Link { path: "/new/bin".into(), target: "usr/bin".into() };
    let usr = Step::Bind { path: "/new/usr".into(), source: "/usr".into(), read_only: true };
    assert!(steps.contains(&bin) && steps.contains(&usr));
    assert!(
        !steps.iter().any(|step| matches!(step, Step::Bind { path, .. } if path == Path::new("/new/bin")))
    );
}

#[graded]
fn version_2_is_one_tree_and_version_1_a_folder_of_hierarchies() {
    let of = |host: &Host| -> Vec<String> {
        plan(host)
            .iter()
            .filter(|step| matches!(step, Step::Cgroup { .. }))
            .map(|step| table(std::slice::from_ref(step)))
            .collect()
    };
    let [v1, v2, ..] = everything();
    assert_eq!(
        of(&v1),
        ["cgroup  /new/sys/fs/cgroup/cpu,cpuacct cpu+cpuacct", "cgroup  /new/sys/fs/cgroup/memory memory"]
    );
    assert_eq!(of(&v2), ["cgroup  /new/sys/fs/cgroup "]);
}

#[graded]
fn the_sandbox_has_its_own_processes_devices_and_run_time_files() {
    insta::assert_snapshot!(table(&mounts::sandbox(&everything()[1])), @r"
    proc    /proc
    sysfs   /sys
    tmpfs   /run 755
    folder  /run/coracle
    cgroup  /sys/fs/cgroup 
    ");
}
