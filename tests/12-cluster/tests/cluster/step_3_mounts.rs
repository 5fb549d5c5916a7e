//! What a machine can see.

use graded::graded;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::heart::Node;
use crate::heart::mounts::{self, Cgroups, HomePaths, Host, Step};

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

/// A line a step, without the copies and links, in the order of their places: what must come before what
/// is judged by laws, not by a golden.
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
    let shown = |step: &&Step| !matches!(step, Step::Copy { .. } | Step::Link { .. });
    let mut lines: Vec<(&Path, String)> =
        steps.iter().filter(shown).map(|step| (step.path(), line(step))).collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

/// The whole of it, in the order of the places.
#[graded]
fn a_node_on_a_host_with_cgroups_of_version_1() {
    insta::assert_snapshot!(table(&plan(&everything()[0])), @r"
    tmpfs   /new 755
    tmpfs   /new/dev 755
    bind-rw /new/dev/full of /dev/full
    bind-rw /new/dev/null of /dev/null
    devpts  /new/dev/pts
    bind-rw /new/dev/random of /dev/random
    tmpfs   /new/dev/shm 1777
    bind-rw /new/dev/tty of /dev/tty
    bind-rw /new/dev/urandom of /dev/urandom
    bind-rw /new/dev/zero of /dev/zero
    folder  /new/etc
    folder  /new/etc/cni/net.d
    file    /new/etc/hostname
    file    /new/etc/hosts
    bind-ro /new/etc/kubernetes of /home/ada/.coracle/nodes/node-1/kubernetes
    file    /new/etc/resolv.conf
    folder  /new/home
    folder  /new/mnt
    folder  /new/opt/cni/bin
    bind-ro /new/opt/coracle/bin/coracle of /home/ada/.coracle/bin/coracle
    proc    /new/proc
    bind-ro /new/proc/bus of /new/proc/bus
    bind-ro /new/proc/irq of /new/proc/irq
    bind-ro /new/proc/sys of /new/proc/sys
    bind-rw /new/proc/sys/net of /new/run/coracle/proc-sys-net
    bind-ro /new/proc/sysrq-trigger of /new/proc/sysrq-trigger
    folder  /new/root
    tmpfs   /new/run 755
    folder  /new/run/coracle
    bind-rw /new/run/coracle/proc-sys-net of /new/proc/sys/net
    folder  /new/srv
    sysfs   /new/sys
    tmpfs   /new/sys/fs/cgroup 755
    cgroup  /new/sys/fs/cgroup/cpu,cpuacct cpu+cpuacct
    cgroup  /new/sys/fs/cgroup/memory memory
    tmpfs   /new/tmp 1777
    bind-ro /new/usr of /usr
    bind-rw /new/var of /home/ada/.coracle/nodes/node-1/var
    bind-rw /new/var/lib/coracle/images of /home/ada/.coracle/images
    bind-rw /new/var/log/coracle of /home/ada/.coracle/logs/node-1
    ");
}

/// The kernel lets an ordinary user mount /proc for a container only where nothing is mounted over it.
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

/// A hostPath volume is any folder of the node, and whoever may create a pod may ask for one.
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

/// Whoever takes over one node should have one node.
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

/// One write to /proc/sysrq-trigger restarts your machine; one to /proc/sys/kernel/core_pattern owns it.
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

/// A bind mount shows what is at its source when it is made, protection and all.
#[graded]
fn what_shall_stay_writable_is_taken_aside_before_the_whole_is_protected() {
    for host in everything().iter().filter(|host| host.privileged) {
        let steps = plan(host);
        let binds = |wanted: &str| -> Vec<usize> {
            let at = |step: &Step| matches!(step, Step::Bind { path, .. } if path == Path::new(wanted));
            (0..steps.len()).filter(|number| at(&steps[*number])).collect()
        };
        let (aside, whole, back) =
            (binds("/new/run/coracle/proc-sys-net"), binds("/new/proc/sys"), binds("/new/proc/sys/net"));
        let ([aside], [whole], [back]) = (&aside[..], &whole[..], &back[..]) else {
            panic!("each of the three is bound once: {aside:?}, {whole:?}, {back:?}");
        };
        assert!(aside < whole, "taken from a protected whole, the part is protected too");
        assert!(whole < back, "the protected whole hides what was put into it before");
        let made = steps.iter().position(|step| step.path() == Path::new("/new/run/coracle"));
        assert!(made.is_some_and(|made| made < *aside), "the place aside is in a folder that must exist");
    }
}

/// Outer places come first: /var, then what is bound into it.
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

/// Programs ask for /bin/sh and for /usr/bin/sh, and both must be the same file.
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

/// A runtime looks for `memory` by name, and finds out by the folder which version it has.
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

/// In the sandbox itself the host's files are there as they are, for the tools; its processes are not.
#[graded]
fn the_sandbox_has_its_own_processes_devices_and_run_time_files() {
    insta::assert_snapshot!(table(&mounts::sandbox(&everything()[1])), @r"
    proc    /proc
    tmpfs   /run 755
    folder  /run/coracle
    sysfs   /sys
    cgroup  /sys/fs/cgroup 
    ");
}
