//! From a stack of layers to `/`: overlay, pivot_root, and the mounts of a container.
//!
//! The order is the whole trick. First the layers are stacked and `pivot_root` makes them `/`;
//! the node's old root is kept for a moment as the *working directory*. Every later mount names
//! its source relative to that directory and its target as an absolute path. So the kernel itself
//! resolves targets inside the container, symbolic links and all, and no string is ever joined to
//! a prefix (the classic mistake: see CVE-2021-30465 and its relatives in runc's history).
//!
//! Devices are bind mounts of the node's, on a tmpfs that is `nodev`, as is the root: a container
//! that makes device nodes of its own cannot open them. This works the same with and without
//! root, where `mknod` is refused.

use std::path::Path;

use crate::ops::Op;
// lab:begin 07.2 what operations are made of
use crate::ops::{Flags, Propagation};
// lab:end
use crate::spec::{MountSpec, RootSpec, SandboxSetup};

/// Device nodes that every container has.
pub const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// Links in `/dev` that every container has, and where they lead.
pub const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Hidden from containers unless CRI says otherwise (the kubelet sends the same list).
pub const MASKED_PATHS: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];

/// Read-only in containers unless CRI says otherwise.
pub const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Everything from a fresh mount namespace to the moment before the user changes.
pub fn plan(root: &RootSpec, mounts: &[MountSpec], cwd: &Path) -> Vec<Op> {
    // lab:begin 07.2 the order of set-up: root, devices, volumes, /proc, letting go, hiding
    let mut plan = enter_root(root, mounts);
    plan.extend(devices(root));
    plan.push(Op::kernel_view("sysfs", "/sys", root.privileged));
    if root.cgroup2 {
        plan.push(Op::kernel_view("cgroup2", "/sys/fs/cgroup", root.privileged));
    }
    plan.extend(volumes(mounts, root.privileged));
    plan.push(Op::mount("proc", "/proc", Flags::DATA, ""));
    plan.push(Op::DetachOldRoot);
    plan.extend(protect(root));
    plan.push(Op::MakeDir { path: cwd.into() });
    if root.readonly {
        plan.push(Op::ReadOnly { path: "/".into() });
    }
    plan.push(Op::Chdir { path: cwd.into() });
    plan
    // lab:end
}

/// Stacks the layers and makes them `/`.
///
/// Mounts of the node must reach this namespace, and none of ours the node's: `rslave`. Only when
/// a volume spreads both ways does the tree stay shared; then the mount that holds the bundle is
/// made private, so that the stack itself does not show up on the node.
pub fn enter_root(root: &RootSpec, mounts: &[MountSpec]) -> Vec<Op> {
    // lab:begin 07.2 propagation, overlay, pivot_root
    let target = root.bundle.join("rootfs");
    let both_ways = mounts.iter().any(|mount| mount.propagation == Propagation::Shared);
    let spread = if both_ways {
        Op::PrivateParent { path: target.clone() }
    } else {
        Op::Propagate { path: "/".into(), how: Propagation::Slave }
    };
    let overlay = Op::Overlay {
        layers_dir: root.layers_dir.clone(),
        lower: root.layers.clone(),
        upper: root.bundle.join("upper"),
        work: root.bundle.join("work"),
        target: target.clone(),
        userxattr: root.userxattr,
    };
    vec![spread, overlay, Op::PivotRoot { new_root: target }]
    // lab:end
}

/// `/dev`: the node's for privileged containers, else a small one of its own.
pub fn devices(root: &RootSpec) -> Vec<Op> {
    // lab:begin 07.2 /dev: device nodes by bind mounts, terminals, shared memory, message queues
    let mut plan = Vec::new();
    if root.privileged {
        plan.push(Op::device("/dev"));
    } else {
        let flags = Flags { noexec: false, ..Flags::DATA };
        plan.push(Op::mount("tmpfs", "/dev", flags, "mode=755,size=65536k"));
        for name in DEVICES {
            plan.push(Op::device(&format!("/dev/{name}")));
        }
        for (link, to) in LINKS {
            plan.push(Op::Symlink { link: link.into(), to: to.into() });
        }
    }
    let group = if root.tty_group { ",gid=5" } else { "" };
    let pts = Flags { nodev: false, ..Flags::DATA };
    plan.push(Op::mount("devpts", "/dev/pts", pts, &format!("newinstance,ptmxmode=0666,mode=0620{group}")));
    plan.push(Op::mount("mqueue", "/dev/mqueue", Flags::DATA, ""));
    if let Some(shm) = &root.shm {
        plan.push(Op::Bind {
            source: shm.clone(),
            target: "/dev/shm".into(),
            recursive: false,
            flags: Flags::DATA,
            how: Propagation::Private,
            optional: false,
        });
    }
    plan
    // lab:end
}

/// Volumes, parents before what lies inside them; equal depths keep the order of the request.
pub fn volumes(mounts: &[MountSpec], privileged: bool) -> Vec<Op> {
    // lab:begin 07.2 volumes: parents first, read-only where asked, no device nodes
    let mut sorted: Vec<&MountSpec> = mounts.iter().collect();
    sorted.sort_by_key(|mount| mount.target.components().count());
    sorted
        .into_iter()
        .map(|mount| Op::Bind {
            source: mount.source.clone(),
            target: mount.target.clone(),
            recursive: true,
            flags: Flags { ro: mount.readonly, nodev: !privileged, ..Flags::NONE },
            how: mount.propagation,
            optional: false,
        })
        .collect()
    // lab:end
}

/// Hides and write-protects the paths of the specification; a privileged container sees all.
pub fn protect(root: &RootSpec) -> Vec<Op> {
    if root.privileged {
        return Vec::new();
    }
    let read_only = root.readonly_paths.iter().map(|path| Op::ReadOnly { path: path.clone() });
    let masked = root.masked_paths.iter().map(|path| Op::Mask { path: path.clone() });
    read_only.chain(masked).collect()
}

/// What the pause process does in the pod's fresh namespaces before it enters its own root: the
/// node's `/proc` is still there, and shows the network settings of whoever looks.
pub fn plan_sandbox(setup: &SandboxSetup) -> Vec<Op> {
    // lab:begin 07.7 host name, loopback and kernel settings of a pod
    let mut plan = Vec::new();
    if let Some(name) = &setup.hostname {
        plan.push(Op::SetHostname { name: name.clone() });
    }
    if setup.own_network {
        plan.push(Op::LoopbackUp);
    }
    for (name, value) in &setup.sysctls {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        plan.push(Op::WriteFile { path, value: value.clone() });
    }
    plan
    // lab:end
}
