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
    let _ = (&root, &mounts, &cwd);
    todo!("lab 07.2: the order of set-up: root, devices, volumes, /proc, letting go, hiding")
}

/// Stacks the layers and makes them `/`.
///
/// Mounts of the node must reach this namespace, and none of ours the node's: `rslave`. Only when
/// a volume spreads both ways does the tree stay shared; then the mount that holds the bundle is
/// made private, so that the stack itself does not show up on the node.
pub fn enter_root(root: &RootSpec, mounts: &[MountSpec]) -> Vec<Op> {
    let _ = (&root, &mounts);
    todo!("lab 07.2: propagation, overlay, pivot_root")
}

/// `/dev`: the node's for privileged containers, else a small one of its own.
pub fn devices(root: &RootSpec) -> Vec<Op> {
    let _ = &root;
    todo!("lab 07.2: /dev: device nodes by bind mounts, terminals, shared memory, message queues")
}

/// Volumes, parents before what lies inside them; equal depths keep the order of the request.
pub fn volumes(mounts: &[MountSpec], privileged: bool) -> Vec<Op> {
    let _ = (&mounts, &privileged);
    todo!("lab 07.2: volumes: parents first, read-only where asked, no device nodes")
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
    let _ = &setup;
    todo!("lab 07.7: host name, loopback and kernel settings of a pod")
}
