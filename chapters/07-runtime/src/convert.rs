//! From CRI's words to a [`ContainerSpec`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::cri;
use crate::heart::cgroups::{Hierarchies, Limits, plan as plan_cgroup};
use crate::heart::image::{command_line, environment, working_dir};
use crate::heart::namespaces::{Mode, Wanted};
use crate::heart::ops::Propagation;
use crate::heart::process::signal_number;
use crate::heart::sandbox::{cgroup_path, log_path, sysctl_allowed};
use crate::heart::spec::{ContainerSpec, MountSpec, ProcessSpec, RootSpec, SandboxSetup, UserSpec};
use crate::heart::{capabilities, rootfs};
use crate::images::Image;
use crate::state::{Disk, SandboxRecord};

/// What every specification of this runtime has in common.
pub struct Node<'a> {
    pub disk: &'a Disk,
    pub trees: &'a Hierarchies,
    pub cgroup_parent: &'a str,
    pub layers_dir: &'a Path,
    pub in_user_namespace: bool,
    pub tty_group: bool,
}

impl Node<'_> {
    /// The pause process of a pod.
    pub fn pause(
        &self,
        record: &SandboxRecord,
        image: &Image,
        layers: Vec<String>,
    ) -> anyhow::Result<ContainerSpec> {
        let own_network = !record.host_network();
        let linux = record.config.linux.clone().unwrap_or_default();
        let mut sysctls = Vec::new();
        if own_network {
            // As containerd: ports below 1024 and ping need no privilege inside a pod.
            sysctls.push(("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()));
        }
        for (name, value) in linux.sysctls {
            ensure!(
                sysctl_allowed(&name, own_network, !record.host_ipc()),
                "sysctl {name:?} does not belong to a namespace of the pod"
            );
            sysctls.push((name, value));
        }
        let hostname = Some(record.config.hostname.clone()).filter(|name| own_network && !name.is_empty());
        let process = ProcessSpec {
            args: command_line(&image.config.config, &[], &[])?,
            env: environment(&image.config.config.env, &[], ""),
            cwd: "/".into(),
            no_new_privs: true,
            oom_score_adj: Some(-998),
            ..ProcessSpec::default()
        };
        Ok(ContainerSpec {
            id: record.id.clone(),
            namespaces: self.namespaces(record, None, None),
            root: RootSpec {
                readonly: true,
                ..self.root(record, self.disk.sandbox(&record.id), layers, None)
            },
            mounts: Vec::new(),
            process,
            cgroup: plan_cgroup(self.trees, &self.group(record, &record.id), &Limits::default()),
            log_path: None,
            sandbox: Some(SandboxSetup { hostname, own_network, sysctls }),
            stop_signal: libc::SIGTERM,
        })
    }

    /// A container of a pod; `target` is the process whose PID namespace it shall see.
    pub fn container(
        &self,
        record: &SandboxRecord,
        id: &str,
        config: &cri::ContainerConfig,
        image: &Image,
        layers: Vec<String>,
        target: Option<i32>,
    ) -> anyhow::Result<ContainerSpec> {
        let run = &image.config.config;
        let linux = config.linux.clone().unwrap_or_default();
        let security = linux.security_context.clone().unwrap_or_default();
        let limits = linux.resources.clone().unwrap_or_default();
        let sandbox_security = record.config.linux.as_ref().and_then(|linux| linux.security_context.clone());
        let may_be_privileged = sandbox_security.is_some_and(|security| security.privileged);
        ensure!(!security.privileged || may_be_privileged, "no privileged container allowed in sandbox");

        let asked = security.capabilities.clone().unwrap_or_default();
        let ambient = capabilities::effective(&asked.add_ambient_capabilities, &["ALL".into()], false)?;
        let mut add = asked.add_capabilities;
        add.extend(asked.add_ambient_capabilities);
        let envs: Vec<(String, String)> =
            config.envs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect();
        let hostname = if record.host_network() { "" } else { record.config.hostname.as_str() };
        let process = ProcessSpec {
            args: command_line(run, &config.command, &config.args)?,
            env: environment(&run.env, &envs, hostname),
            cwd: working_dir(&run.working_dir, &config.working_dir)?.into(),
            user: user(&security, &run.user)?,
            capabilities: capabilities::effective(&add, &asked.drop_capabilities, security.privileged)?,
            ambient,
            no_new_privs: security.no_new_privs,
            terminal: config.tty,
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            oom_score_adj: i32::try_from(limits.oom_score_adj).ok().filter(|score| *score != 0),
        };
        let mut mounts = config.mounts.iter().map(mount).collect::<anyhow::Result<Vec<_>>>()?;
        self.add_pod_files(record, &mut mounts);
        let log = log_path(&record.config.log_directory, &config.log_path);
        ensure!(config.log_path.is_empty() || log.is_some(), "log path {:?} is not usable", config.log_path);
        Ok(ContainerSpec {
            id: id.to_owned(),
            namespaces: self.namespaces(record, security.namespace_options.as_ref(), target),
            root: self.root(record, self.disk.container(id), layers, Some(&security)),
            mounts,
            process,
            cgroup: plan_cgroup(self.trees, &self.group(record, id), &convert_limits(&limits)),
            log_path: log,
            sandbox: None,
            stop_signal: signal_number(&run.stop_signal),
        })
    }

    fn namespaces(
        &self,
        record: &SandboxRecord,
        options: Option<&cri::NamespaceOption>,
        target: Option<i32>,
    ) -> Wanted {
        let linux = record.config.linux.as_ref();
        let pod = linux.and_then(|linux| linux.security_context.as_ref()?.namespace_options.clone());
        let pod = pod.unwrap_or_default();
        let shared =
            |mode: cri::NamespaceMode| if mode == cri::NamespaceMode::Node { Mode::Node } else { Mode::Pod };
        let pid = match options.unwrap_or(&pod).pid() {
            cri::NamespaceMode::Pod => Mode::Pod,
            cri::NamespaceMode::Container => Mode::Container,
            cri::NamespaceMode::Node => Mode::Node,
            cri::NamespaceMode::Target => target.map_or(Mode::Container, Mode::Target),
        };
        Wanted {
            network: shared(pod.network()),
            ipc: shared(pod.ipc()),
            pid,
            cgroup: matches!(self.trees, Hierarchies::V2 { .. }),
        }
    }

    fn root(
        &self,
        record: &SandboxRecord,
        bundle: PathBuf,
        layers: Vec<String>,
        security: Option<&cri::LinuxContainerSecurityContext>,
    ) -> RootSpec {
        let privileged = security.is_some_and(|security| security.privileged);
        let paths = |asked: &[String], usual: &[&str]| -> Vec<PathBuf> {
            if asked.is_empty() {
                usual.iter().map(PathBuf::from).collect()
            } else {
                asked.iter().map(PathBuf::from).collect()
            }
        };
        let empty = cri::LinuxContainerSecurityContext::default();
        let security = security.unwrap_or(&empty);
        RootSpec {
            layers_dir: self.layers_dir.to_owned(),
            layers,
            bundle,
            readonly: security.readonly_rootfs,
            userxattr: self.in_user_namespace,
            tty_group: self.tty_group,
            privileged,
            masked_paths: paths(&security.masked_paths, &rootfs::MASKED_PATHS),
            readonly_paths: paths(&security.readonly_paths, &rootfs::READONLY_PATHS),
            shm: Some(if record.host_ipc() { "/dev/shm".into() } else { self.disk.shm(&record.id) }),
            cgroup2: matches!(self.trees, Hierarchies::V2 { .. }),
        }
    }

    /// The pod's three files, where the kubelet brings none of its own.
    fn add_pod_files(&self, record: &SandboxRecord, mounts: &mut Vec<MountSpec>) {
        for name in ["hostname", "hosts", "resolv.conf"] {
            let target = Path::new("/etc").join(name);
            if !mounts.iter().any(|mount| mount.target == target) {
                let source = self.disk.sandbox(&record.id).join(name);
                mounts.push(MountSpec { source, target, readonly: false, propagation: Propagation::Private });
            }
        }
    }

    fn group(&self, record: &SandboxRecord, id: &str) -> PathBuf {
        let pod_parent = record.config.linux.as_ref().map_or("", |linux| linux.cgroup_parent.as_str());
        let uid = record.config.metadata.as_ref().map_or("", |metadata| metadata.uid.as_str());
        cgroup_path(self.cgroup_parent, pod_parent, uid, id)
    }
}

fn mount(asked: &cri::Mount) -> anyhow::Result<MountSpec> {
    ensure!(asked.image.is_none(), "image volumes are not supported");
    ensure!(
        asked.uid_mappings.is_empty() && asked.gid_mappings.is_empty(),
        "mapped mounts are not supported"
    );
    let target = Path::new(&asked.container_path);
    let target = if target.is_absolute() { target.to_owned() } else { Path::new("/").join(target) };
    ensure!(target != Path::new("/"), "a volume cannot replace /");
    ensure!(!target.starts_with("/proc"), "a volume cannot lie in /proc ({})", target.display());
    let source = match fs::canonicalize(&asked.host_path) {
        Ok(path) => path,
        // As containerd, which learnt it from Docker: a missing directory of the node is made.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(&asked.host_path)
                .with_context(|| format!("making host path {:?}", asked.host_path))?;
            fs::canonicalize(&asked.host_path)?
        }
        Err(error) => bail!("host path {:?}: {error}", asked.host_path),
    };
    let propagation = match asked.propagation() {
        cri::MountPropagation::PropagationPrivate => Propagation::Private,
        cri::MountPropagation::PropagationHostToContainer => Propagation::Slave,
        cri::MountPropagation::PropagationBidirectional => Propagation::Shared,
    };
    Ok(MountSpec { source, target, readonly: asked.readonly, propagation })
}

/// CRI's user wins over the image's; a group needs a user.
fn user(security: &cri::LinuxContainerSecurityContext, image: &str) -> anyhow::Result<UserSpec> {
    let number = |id: i64| u32::try_from(id).with_context(|| format!("{id} is not a user or group id"));
    let user = match (&security.run_as_user, security.run_as_username.as_str()) {
        (Some(uid), _) => number(uid.value)?.to_string(),
        (None, "") => image.to_owned(),
        (None, name) => name.to_owned(),
    };
    let group = security.run_as_group.as_ref().map(|gid| number(gid.value)).transpose()?;
    let supplemental =
        security.supplemental_groups.iter().map(|gid| number(*gid)).collect::<anyhow::Result<_>>()?;
    let strict_groups = security.supplemental_groups_policy() == cri::SupplementalGroupsPolicy::Strict;
    Ok(UserSpec { user, group, supplemental, strict_groups })
}

pub fn convert_limits(asked: &cri::LinuxContainerResources) -> Limits {
    Limits {
        cpu_shares: asked.cpu_shares,
        cpu_quota: asked.cpu_quota,
        cpu_period: asked.cpu_period,
        memory_bytes: asked.memory_limit_in_bytes,
        memory_swap_bytes: asked.memory_swap_limit_in_bytes,
        pids: asked.unified.get("pids.max").and_then(|max| max.parse().ok()).unwrap_or(0),
        unified: asked.unified.clone(),
    }
}
