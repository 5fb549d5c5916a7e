//! What a machine can see: the mounts of the sandbox and of each node, as a list of steps.
//!
//! A node's root is memory. The host's programs and libraries are bound into it read-only, what the
//! node writes goes to memory or below the cluster's home, and the rest of the host is not there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Node;

/// One step. All paths are as the process sees them that carries the steps out, before `pivot_root`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A folder with its parents.
    Folder { path: PathBuf },
    /// A symbolic link.
    Link { path: PathBuf, target: PathBuf },
    /// A small file with this content.
    File { path: PathBuf, content: String },
    /// A copy of the host's file or folder, when the host has it.
    Copy { path: PathBuf, source: PathBuf },
    /// Memory.
    Tmpfs { path: PathBuf, mode: u32 },
    /// Another folder or file, with everything mounted below it. The mount point is made when it is
    /// missing; a device or kernel file that the host lacks is left out.
    Bind { path: PathBuf, source: PathBuf, read_only: bool },
    /// The processes of the own PID namespace.
    Proc { path: PathBuf },
    /// The devices of the own network namespace, read-only.
    Sysfs { path: PathBuf },
    /// Terminals of its own.
    Devpts { path: PathBuf },
    /// One hierarchy of control groups: these controllers of version 1, or version 2 when there are none.
    Cgroup { path: PathBuf, controllers: Vec<String> },
}

impl Step {
    /// What the step makes or changes.
    pub fn path(&self) -> &Path {
        match self {
            Step::Folder { path }
            | Step::Link { path, .. }
            | Step::File { path, .. }
            | Step::Copy { path, .. }
            | Step::Tmpfs { path, .. }
            | Step::Bind { path, .. }
            | Step::Proc { path }
            | Step::Sysfs { path }
            | Step::Devpts { path }
            | Step::Cgroup { path, .. } => path,
        }
    }
}

/// The control groups that this cluster may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cgroups {
    /// Limits are not enforced.
    #[default]
    None,
    /// One folder for each hierarchy, which names its controllers: `memory`, or `cpu,cpuacct`.
    V1(Vec<String>),
    V2,
}

/// What must be known of the host before a plan can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The system folders in `/` by name, with their target for those that are links (`bin` -> `usr/bin`).
    pub system: Vec<(String, Option<PathBuf>)>,
    pub cgroups: Cgroups,
    /// Whether root in here is root of the host, who could change the host through `/proc/sys`.
    /// (Otherwise the kernel forbids it by itself, and wants `/proc` unhidden for further mounts of it.)
    pub privileged: bool,
}

/// The top-level folders that hold programs and libraries, on all distributions that we know.
pub const SYSTEM_FOLDERS: [&str; 9] = ["bin", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "sbin", "usr"];

/// Of the host's /etc: what programs need to find libraries, users, protocols, certificates and each other.
const OF_ETC: [&str; 19] = [
    "alternatives",
    "bash.bashrc",
    "ethertypes",
    "group",
    "iproute2",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "login.defs",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "profile",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
];

/// Devices that are harmless and expected.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// Where things of the cluster lie in a node.
pub const NODE_BINARY: &str = "/opt/coracle/bin/coracle";
pub const NODE_CNI_PLUGIN: &str = "/opt/cni/bin/coracle-ptp";
pub const NODE_IMAGES: &str = "/var/lib/coracle/images";
pub const NODE_LOGS: &str = "/var/log/coracle";
pub const NODE_PKI: &str = "/etc/kubernetes";

/// The folders of a cluster on the host, below its home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomePaths {
    pub home: PathBuf,
}

impl HomePaths {
    pub fn binary(&self) -> PathBuf {
        self.home.join("bin/coracle")
    }

    pub fn images(&self) -> PathBuf {
        self.home.join("images")
    }

    /// What a node keeps when it is off.
    pub fn node_var(&self, node: &str) -> PathBuf {
        self.home.join("nodes").join(node).join("var")
    }

    /// A node's certificates and kubeconfigs.
    pub fn node_kubernetes(&self, node: &str) -> PathBuf {
        self.home.join("nodes").join(node).join("kubernetes")
    }

    pub fn node_logs(&self, node: &str) -> PathBuf {
        self.home.join("logs").join(node)
    }
}

/// The mounts of the sandbox: the host's files as they are, but processes, devices, control groups
/// and run-time files of its own.
pub fn sandbox(host: &Host) -> Vec<Step> {
    let mut steps = vec![
        Step::Proc { path: "/proc".into() },
        Step::Sysfs { path: "/sys".into() },
        Step::Tmpfs { path: "/run".into(), mode: 0o755 },
        Step::Folder { path: "/run/coracle".into() },
    ];
    steps.extend(control_groups(Path::new("/"), &host.cgroups));
    steps
}

/// The mounts of a node whose root will be `root`.
pub fn node(root: &Path, node: &Node, home: &HomePaths, host: &Host) -> Vec<Step> {
    let mut steps = vec![Step::Tmpfs { path: root.to_owned(), mode: 0o755 }];
    steps.extend(system_folders(root, host));
    steps.extend(own_folders(root, node, home));
    steps.extend(own_etc(root, node, home));
    steps.extend(devices(root));
    steps.extend(kernel_windows(root, host));
    steps
}

fn at(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The host's programs and libraries, read-only.
fn system_folders(root: &Path, host: &Host) -> Vec<Step> {
    // lab:begin 12.3 a link stays a link, a folder is bound read-only
    host.system
        .iter()
        .map(|(name, link)| match link {
            Some(target) => Step::Link { path: at(root, name), target: target.clone() },
            None => Step::Bind { path: at(root, name), source: Path::new("/").join(name), read_only: true },
        })
        .collect()
    // lab:end
}

/// What a node writes: `/var` stays when the node is off, the rest is memory.
fn own_folders(root: &Path, node: &Node, home: &HomePaths) -> Vec<Step> {
    // lab:begin 12.3 /var, the images and the logs from the home; /run and /tmp from memory; the binary read-only
    let bind =
        |path: &str, source: PathBuf, read_only| Step::Bind { path: at(root, path), source, read_only };
    let mut steps = vec![
        bind("/var", home.node_var(&node.name), false),
        bind(NODE_IMAGES, home.images(), false),
        bind(NODE_LOGS, home.node_logs(&node.name), false),
        Step::Tmpfs { path: at(root, "/run"), mode: 0o755 },
        Step::Folder { path: at(root, "/run/coracle") },
        Step::Tmpfs { path: at(root, "/tmp"), mode: 0o1777 },
        bind(NODE_BINARY, home.binary(), true),
        Step::Folder { path: at(root, "/opt/cni/bin") },
        Step::Link { path: at(root, NODE_CNI_PLUGIN), target: NODE_BINARY.into() },
    ];
    steps.extend(["/home", "/mnt", "/root", "/srv"].map(|path| Step::Folder { path: at(root, path) }));
    steps
    // lab:end
}

/// A small /etc: what of the host's is harmless and needed, the node's own names, and its keys.
fn own_etc(root: &Path, node: &Node, home: &HomePaths) -> Vec<Step> {
    let file = |path: &str, content: String| Step::File { path: at(root, path), content };
    let mut steps = vec![Step::Folder { path: at(root, "/etc") }];
    for name in OF_ETC {
        steps.push(Step::Copy { path: at(root, "/etc").join(name), source: Path::new("/etc").join(name) });
    }
    steps.extend([
        file("/etc/hostname", format!("{}\n", node.name)),
        file(
            "/etc/hosts",
            format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{}\t{}\n", node.address, node.name),
        ),
        file("/etc/resolv.conf", String::new()),
        Step::Folder { path: at(root, "/etc/cni/net.d") },
        Step::Bind { path: at(root, NODE_PKI), source: home.node_kubernetes(&node.name), read_only: true },
    ]);
    steps
}

fn devices(root: &Path) -> Vec<Step> {
    let mut steps = vec![Step::Tmpfs { path: at(root, "/dev"), mode: 0o755 }];
    for name in DEVICES {
        let source = Path::new("/dev").join(name);
        steps.push(Step::Bind { path: at(root, "/dev").join(name), source, read_only: false });
    }
    steps.extend([
        Step::Devpts { path: at(root, "/dev/pts") },
        Step::Tmpfs { path: at(root, "/dev/shm"), mode: 0o1777 },
    ]);
    let links = [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    steps.extend(
        links.map(|(name, target)| Step::Link { path: at(root, "/dev").join(name), target: target.into() }),
    );
    steps
}

/// `/proc` and `/sys`. Root of the host could change the whole machine through `/proc/sys`: there
/// only the part that belongs to the network namespace stays writable.
fn kernel_windows(root: &Path, host: &Host) -> Vec<Step> {
    // lab:begin 12.3 proc and sysfs; protect what root of the host could reach through them, but not the network's own switches; then the control groups
    let mut steps = vec![Step::Proc { path: at(root, "/proc") }, Step::Sysfs { path: at(root, "/sys") }];
    if host.privileged {
        let network = at(root, "/proc/sys/net");
        // The writable part is taken first, and put back over the protected whole.
        let aside = at(root, "/run/coracle/proc-sys-net");
        steps.push(Step::Bind { path: aside.clone(), source: network.clone(), read_only: false });
        for path in ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"] {
            steps.push(Step::Bind { path: at(root, path), source: at(root, path), read_only: true });
        }
        steps.push(Step::Bind { path: network, source: aside, read_only: false });
    }
    steps.extend(control_groups(root, &host.cgroups));
    steps
    // lab:end
}

fn control_groups(root: &Path, cgroups: &Cgroups) -> Vec<Step> {
    let folder = at(root, "/sys/fs/cgroup");
    // lab:begin 12.3 version 2 is one tree; version 1 is a folder of hierarchies, in memory
    match cgroups {
        Cgroups::None => Vec::new(),
        Cgroups::V2 => vec![Step::Cgroup { path: folder, controllers: Vec::new() }],
        Cgroups::V1(hierarchies) => {
            let mut steps = vec![Step::Tmpfs { path: folder.clone(), mode: 0o755 }];
            for hierarchy in hierarchies {
                let controllers = hierarchy.split(',').map(str::to_owned).collect();
                steps.push(Step::Cgroup { path: folder.join(hierarchy), controllers });
            }
            steps
        }
    }
    // lab:end
}
