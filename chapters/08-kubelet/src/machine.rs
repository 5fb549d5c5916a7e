//! What this machine is: processors, memory, disk, names and versions.

use std::fs;
use std::net::IpAddr;

use anyhow::Context;
use k8s_openapi::api::core::v1 as api;
use nix::sys::statvfs::statvfs;

use crate::args::Args;
use crate::heart::node::Machine;

/// The Kubernetes release whose kubelet this one behaves as.
pub const KUBELET_VERSION: &str = "v1.32.0";

pub fn look(args: &Args) -> anyhow::Result<Machine> {
    let name = match &args.hostname_override {
        Some(name) => name.to_lowercase(),
        None => read("/proc/sys/kernel/hostname").to_lowercase(),
    };
    let internal_ip = match args.node_ip {
        Some(ip) => ip,
        None => {
            tracing::warn!("no --node-ip: the node can be reached from itself only");
            IpAddr::from([127, 0, 0, 1])
        }
    };
    let disk = statvfs(&args.root_dir).context("looking at the root directory's file system")?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let machine_id = read("/etc/machine-id");
    Ok(Machine {
        internal_ip: internal_ip.to_string(),
        cpus: u64::try_from(cpus).unwrap_or(1),
        memory_bytes: memory_bytes(),
        storage_bytes: disk.blocks().saturating_mul(disk.fragment_size()),
        max_pods: args.max_pods,
        port: args.port,
        arch: arch.to_owned(),
        info: api::NodeSystemInfo {
            architecture: arch.to_owned(),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            kernel_version: read("/proc/sys/kernel/osrelease"),
            kubelet_version: KUBELET_VERSION.to_owned(),
            kube_proxy_version: KUBELET_VERSION.to_owned(),
            system_uuid: match read("/sys/class/dmi/id/product_uuid") {
                uuid if uuid.is_empty() => machine_id.clone(),
                uuid => uuid,
            },
            machine_id,
            operating_system: "linux".to_owned(),
            os_image: os_image(),
            ..api::NodeSystemInfo::default()
        },
        labels: args.node_labels.iter().cloned().collect(),
        taints: args.register_with_taints.clone(),
        name,
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn memory_bytes() -> u64 {
    let text = read("/proc/meminfo");
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn os_image() -> String {
    let text = read("/etc/os-release");
    let name = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    name.map_or("Linux", |n| n.trim_matches('"')).to_owned()
}
