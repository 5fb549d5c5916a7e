//! A pod and its containers, as the runtime wants to be told of them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow};
use k8s_openapi::api::core::v1 as api;
use runtime::cri as pb;

use crate::ctx::Ctx;
use crate::disk::sub_path;
use crate::heart::env::{Sources, environment, expand_all};
use crate::heart::resources::{CgroupLimits, cgroup_limits};
use crate::heart::security::{ImageUser, Security, effective};
use crate::heart::types::{Uid, is_host_network, spec};
use crate::heart::volumes::VolumePlan;
use crate::heart::{dns, expand, names};

fn int64(value: Option<i64>) -> Option<pb::Int64Value> {
    value.map(|value| pb::Int64Value { value })
}

fn namespaces(pod: &api::Pod) -> pb::NamespaceOption {
    let spec = spec(pod);
    let mode = |host: Option<bool>, otherwise| match host {
        Some(true) => pb::NamespaceMode::Node as i32,
        _ => otherwise as i32,
    };
    let pid = match spec.share_process_namespace {
        Some(true) => pb::NamespaceMode::Pod,
        _ => pb::NamespaceMode::Container,
    };
    pb::NamespaceOption {
        network: mode(spec.host_network, pb::NamespaceMode::Pod),
        pid: mode(spec.host_pid, pid),
        ipc: mode(spec.host_ipc, pb::NamespaceMode::Pod),
        ..Default::default()
    }
}

fn seccomp(profile: Option<&api::SeccompProfile>) -> Option<pb::SecurityProfile> {
    use pb::security_profile::ProfileType;
    let profile = profile?;
    let kind = match profile.type_.as_str() {
        "Localhost" => ProfileType::Localhost,
        "Unconfined" => ProfileType::Unconfined,
        _ => ProfileType::RuntimeDefault,
    };
    let localhost_ref = profile.localhost_profile.clone().unwrap_or_default();
    Some(pb::SecurityProfile { profile_type: kind as i32, localhost_ref })
}

/// The sandbox's configuration. The same for the same pod and attempt, so that it can be built
/// again for each container.
pub fn sandbox(ctx: &Ctx, pod: &api::Pod, attempt: u32) -> pb::PodSandboxConfig {
    let spec = spec(pod);
    let uid = Uid::of(pod);
    let (namespace, name) = (names::namespace(pod), names::name(pod));
    let dns = dns::config(pod, &ctx.node_dns, &ctx.args.cluster_dns, &ctx.args.cluster_domain);
    let log_directory = ctx.dirs.logs.join(names::log_directory(namespace, name, &uid));
    let (host_name, _) = dns::host_name(pod, &ctx.args.cluster_domain);
    let of_pod = spec.security_context.clone().unwrap_or_default();
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let privileged =
        |c: &api::Container| c.security_context.as_ref().is_some_and(|s| s.privileged == Some(true));
    let mut groups = of_pod.supplemental_groups.clone().unwrap_or_default();
    groups.extend(of_pod.fs_group);
    let sysctls = of_pod.sysctls.iter().flatten().map(|s| (s.name.clone(), s.value.clone()));
    pb::PodSandboxConfig {
        metadata: Some(pb::PodSandboxMetadata {
            name: name.to_owned(),
            uid: uid.0.clone(),
            namespace: namespace.to_owned(),
            attempt,
        }),
        hostname: if is_host_network(pod) { String::new() } else { host_name },
        log_directory: log_directory.to_string_lossy().into_owned(),
        dns_config: Some(pb::DnsConfig {
            servers: dns.servers,
            searches: dns.searches,
            options: dns.options,
        }),
        port_mappings: containers()
            .flat_map(|c| c.ports.iter().flatten())
            .filter(|p| p.host_port.unwrap_or(0) > 0)
            .map(|p| pb::PortMapping {
                protocol: protocol(p.protocol.as_deref()) as i32,
                container_port: p.container_port,
                host_port: p.host_port.unwrap_or(0),
                host_ip: p.host_ip.clone().unwrap_or_default(),
            })
            .collect(),
        labels: names::sandbox_labels(pod),
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        linux: Some(pb::LinuxPodSandboxConfig {
            cgroup_parent: format!("/kubepods/pod{uid}"),
            security_context: Some(pb::LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces(pod)),
                run_as_user: int64(of_pod.run_as_user),
                run_as_group: int64(of_pod.run_as_group),
                supplemental_groups: groups,
                privileged: containers().any(privileged),
                seccomp: seccomp(of_pod.seccomp_profile.as_ref()),
                ..Default::default()
            }),
            sysctls: sysctls.collect(),
            resources: Some(pod_resources(ctx, spec)),
            ..Default::default()
        }),
    }
}

fn protocol(text: Option<&str>) -> pb::Protocol {
    match text {
        Some("UDP") => pb::Protocol::Udp,
        Some("SCTP") => pb::Protocol::Sctp,
        _ => pb::Protocol::Tcp,
    }
}

/// What the pod's containers may use together; no limit if one of them has none.
fn pod_resources(ctx: &Ctx, spec: &api::PodSpec) -> pb::LinuxContainerResources {
    let each: Vec<CgroupLimits> =
        spec.containers.iter().map(|c| cgroup_limits(spec, c, ctx.memory_bytes())).collect();
    let sum = |of: fn(&CgroupLimits) -> i64| match each.iter().any(|c| of(c) == 0) {
        true => 0,
        false => each.iter().map(of).sum(),
    };
    pb::LinuxContainerResources {
        cpu_period: each.first().map_or(0, |c| c.cpu_period_us),
        cpu_quota: sum(|c| c.cpu_quota_us),
        cpu_shares: sum(|c| c.cpu_shares),
        memory_limit_in_bytes: sum(|c| c.memory_limit),
        ..Default::default()
    }
}

/// What [`container`] needs besides the pod.
pub struct ContainerInputs<'a> {
    pub restart_count: u32,
    /// What the image service said to use, and what the author wrote.
    pub image_ref: &'a str,
    pub image_user: &'a ImageUser,
    pub sources: &'a Sources,
    pub volumes: &'a BTreeMap<String, VolumePlan>,
    pub termination_message: &'a Path,
}

/// A container's configuration.
pub fn container(
    ctx: &Ctx,
    pod: &api::Pod,
    container: &api::Container,
    inputs: &ContainerInputs<'_>,
) -> anyhow::Result<pb::ContainerConfig> {
    let spec = spec(pod);
    let env = environment(pod, container, inputs.sources)?;
    let security = effective(pod, container, inputs.image_user)?;
    let limits = cgroup_limits(spec, container, ctx.memory_bytes());
    let image = container.image.clone().unwrap_or_default();
    Ok(pb::ContainerConfig {
        metadata: Some(pb::ContainerMetadata { name: container.name.clone(), attempt: inputs.restart_count }),
        image: Some(pb::ImageSpec {
            image: inputs.image_ref.to_owned(),
            user_specified_image: image,
            ..Default::default()
        }),
        command: expand_all(container.command.as_ref(), &env),
        args: expand_all(container.args.as_ref(), &env),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        mounts: mounts(ctx, pod, container, inputs, &env)?,
        envs: env.into_iter().map(|(key, value)| pb::KeyValue { key, value }).collect(),
        labels: names::container_labels(pod, &container.name),
        annotations: names::container_annotations(pod, container, inputs.restart_count),
        log_path: names::log_file(&container.name, inputs.restart_count),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(pb::LinuxContainerConfig {
            resources: Some(pb::LinuxContainerResources {
                cpu_period: limits.cpu_period_us,
                cpu_quota: limits.cpu_quota_us,
                cpu_shares: limits.cpu_shares,
                memory_limit_in_bytes: limits.memory_limit,
                oom_score_adj: limits.oom_score_adj,
                ..Default::default()
            }),
            security_context: Some(security_context(pod, security)),
        }),
        ..Default::default()
    })
}

/// The container sees the processes of another one.
pub fn share_processes(config: &mut pb::ContainerConfig, target_id: String) {
    let security = config.linux.as_mut().and_then(|linux| linux.security_context.as_mut());
    if let Some(namespaces) = security.and_then(|security| security.namespace_options.as_mut()) {
        namespaces.pid = pb::NamespaceMode::Target as i32;
        namespaces.target_id = target_id;
    }
}

fn security_context(pod: &api::Pod, security: Security) -> pb::LinuxContainerSecurityContext {
    pb::LinuxContainerSecurityContext {
        capabilities: Some(pb::Capability {
            add_capabilities: security.add_capabilities,
            drop_capabilities: security.drop_capabilities,
            ..Default::default()
        }),
        privileged: security.privileged,
        namespace_options: Some(namespaces(pod)),
        run_as_user: int64(security.run_as_user),
        run_as_username: security.run_as_username.unwrap_or_default(),
        run_as_group: int64(security.run_as_group),
        readonly_rootfs: security.readonly_rootfs,
        supplemental_groups: security.supplemental_groups,
        no_new_privs: security.no_new_privs,
        masked_paths: security.masked_paths,
        readonly_paths: security.readonly_paths,
        seccomp: seccomp(security.seccomp.as_ref()),
        ..Default::default()
    }
}

fn mounts(
    ctx: &Ctx,
    pod: &api::Pod,
    container: &api::Container,
    inputs: &ContainerInputs<'_>,
    env: &[(String, String)],
) -> anyhow::Result<Vec<pb::Mount>> {
    let uid = Uid::of(pod);
    let mut mounts = Vec::new();
    for m in container.volume_mounts.iter().flatten() {
        let plan = inputs.volumes.get(&m.name).ok_or_else(|| {
            anyhow!("cannot find volume {:?} to mount into container {:?}", m.name, container.name)
        })?;
        let dir = ctx.dirs.volume_dir(&uid, &m.name, plan);
        let lookup = |name: &str| env.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
        let sub = match &m.sub_path_expr {
            Some(text) => Some(expand::expand(text, &lookup)),
            None => m.sub_path.clone(),
        };
        let host = match sub.filter(|s| !s.is_empty()) {
            Some(sub) => sub_path(&dir, &sub)
                .with_context(|| format!("failed to prepare subPath for volumeMount {:?}", m.name))?,
            None => dir,
        };
        // Files of ours are read-only: the next version would undo what a container wrote.
        let ours = matches!(plan, VolumePlan::Files { .. });
        mounts.push(pb::Mount {
            container_path: m.mount_path.clone(),
            host_path: host.to_string_lossy().into_owned(),
            readonly: ours || m.read_only == Some(true),
            propagation: match m.mount_propagation.as_deref() {
                Some("HostToContainer") => pb::MountPropagation::PropagationHostToContainer,
                Some("Bidirectional") => pb::MountPropagation::PropagationBidirectional,
                _ => pb::MountPropagation::PropagationPrivate,
            } as i32,
            ..Default::default()
        });
    }
    let taken = |path: &str| mounts.iter().any(|m: &pb::Mount| m.container_path == path);
    let mut own = Vec::new();
    if !is_host_network(pod) && !taken("/etc/hosts") {
        own.push(("/etc/hosts".to_owned(), ctx.dirs.hosts_file(&uid)));
    }
    let message = names::termination_message_path(container);
    if !taken(message) {
        own.push((message.to_owned(), inputs.termination_message.to_owned()));
    }
    mounts.extend(own.into_iter().map(|(container_path, host)| pb::Mount {
        container_path,
        host_path: host.to_string_lossy().into_owned(),
        ..Default::default()
    }));
    Ok(mounts)
}
