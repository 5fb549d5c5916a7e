//! What belongs to the pod as a whole: its names and the three files made for it.

use std::path::{Path, PathBuf};

/// Resolver settings of a pod (CRI's `DNSConfig`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// The pod's `/etc/resolv.conf`; without any setting it is the node's.
pub fn resolv_conf(dns: &Dns, node: &str) -> String {
    // lab:begin 07.7 the node's text if nothing is said; else search, nameserver and options, each where there is one
    if *dns == Dns::default() {
        return node.to_owned();
    }
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    for server in &dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    text
    // lab:end
}

/// The pod's `/etc/hosts`, for containers whose kubelet brings none.
pub fn hosts(ip: Option<&str>, hostname: &str) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    if let (Some(ip), false) = (ip, hostname.is_empty()) {
        text.push_str(&format!("{ip}\t{hostname}\n"));
    }
    text
}

/// Group of a container: the runtime's own parent, the kubelet's path for the pod, the container.
///
/// The kubelet's path may not climb out of the runtime's.
pub fn cgroup_path(runtime_parent: &str, pod_parent: &str, pod_uid: &str, container: &str) -> PathBuf {
    // lab:begin 07.7 three parts under one another, and nothing in them that climbs
    let own = format!("/kubepods/pod{pod_uid}");
    let pod = if pod_parent.is_empty() { own.as_str() } else { pod_parent };
    let parts = [runtime_parent, pod, container].into_iter().flat_map(|path| path.split('/'));
    parts
        .filter(|part| !matches!(*part, "" | "." | ".."))
        .fold(PathBuf::from("/"), |path, part| path.join(part))
    // lab:end
}

/// Kernel settings that each IPC namespace has for itself, beside all that begin with `fs.mqueue.` or
/// `kernel.msg`. A network namespace has all that begin with `net.`.
pub const IPC_SETTINGS: [&str; 5] =
    ["kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"];

/// Settings that a pod may change: they live in its own namespaces. The node's stay the node's.
///
/// Every dot of a name becomes a slash of a path below `/proc/sys`, so a name in which there is a
/// slash already, or `..`, is not allowed, whatever it begins with.
pub fn sysctl_allowed(name: &str, own_network: bool, own_ipc: bool) -> bool {
    // lab:begin 07.7 whose setting is it, and is that namespace the pod's own?
    if name.contains('/') || name.contains("..") {
        return false;
    }
    let of_ipc = ["fs.mqueue.", "kernel.msg"].iter().any(|prefix| name.starts_with(prefix))
        || IPC_SETTINGS.contains(&name);
    (own_network && name.starts_with("net.")) || (own_ipc && of_ipc)
    // lab:end
}

/// Where the log of a container goes. The kubelet's relative path stays below its directory.
pub fn log_path(directory: &str, path: &str) -> Option<PathBuf> {
    let inside = !path.is_empty()
        && Path::new(path).components().all(|c| matches!(c, std::path::Component::Normal(_)));
    (!directory.is_empty() && inside).then(|| Path::new(directory).join(path))
}
