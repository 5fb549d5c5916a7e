//! Volumes: what each one is, where it is mounted, and how files change under a reader's eyes.
//!
//! Every volume becomes a plan that needs no file system: a directory to make, a path of the host
//! to check, or a set of files to write. [`atomic_update`] is how that set is written:
//!
//! ```text
//! volume/
//!   ..2026_01_01_00_00_00.1/      the files of one version
//!       user.conf
//!   ..data -> ..2026_01_01_00_00_00.1
//!   user.conf -> ..data/user.conf
//! ```
//!
//! A new version is written beside the old one, and then one `rename` of `..data` switches every
//! file at the same instant: a reader sees all of the old or all of the new.
//! Upstream: `pkg/volume/util/atomic_writer.go`, `pkg/volume/{configmap,secret,projected,…}`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as api;
use objects::quantity::Quantity;

use crate::env::{ConfigError, Sources, field_value, no_object, resource_value};
use crate::types::spec;

/// The contents of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
}

/// Files by their path within the volume, such as `user.conf` or `keys/a`.
pub type Payload = BTreeMap<String, File>;

/// What one volume is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumePlan {
    /// A directory of the pod's own, gone with the pod; in memory if `tmpfs`.
    EmptyDir {
        tmpfs: bool,
        size_limit: Option<i64>,
    },
    HostPath {
        path: String,
        kind: HostPathKind,
    },
    Files {
        /// Names the directory as upstream's plugin does, such as `kubernetes.io~configmap`.
        plugin: &'static str,
        payload: Payload,
    },
}

impl VolumePlan {
    /// The directory under `pods/UID/volumes/`.
    pub fn plugin(&self) -> Option<&'static str> {
        match self {
            VolumePlan::EmptyDir { .. } => Some("kubernetes.io~empty-dir"),
            VolumePlan::HostPath { .. } => None,
            VolumePlan::Files { plugin, .. } => Some(plugin),
        }
    }
}

/// What must be at a host path before it is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPathKind {
    Unchecked,
    Directory,
    DirectoryOrCreate,
    File,
    FileOrCreate,
    Socket,
    CharDevice,
    BlockDevice,
}

impl HostPathKind {
    fn parse(text: &str) -> Option<HostPathKind> {
        Some(match text {
            "" => HostPathKind::Unchecked,
            "Directory" => HostPathKind::Directory,
            "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
            "File" => HostPathKind::File,
            "FileOrCreate" => HostPathKind::FileOrCreate,
            "Socket" => HostPathKind::Socket,
            "CharDevice" => HostPathKind::CharDevice,
            "BlockDevice" => HostPathKind::BlockDevice,
            _ => return None,
        })
    }
}

/// Plans every volume of a pod; the first that cannot be is an error that says which.
pub fn plan(pod: &api::Pod, sources: &Sources) -> Result<BTreeMap<String, VolumePlan>, ConfigError> {
    let mut plans = BTreeMap::new();
    for volume in spec(pod).volumes.iter().flatten() {
        let plan = plan_one(pod, volume, sources).map_err(|cause| {
            ConfigError::Volume(format!("MountVolume.SetUp failed for volume \"{}\" : {cause}", volume.name))
        })?;
        plans.insert(volume.name.clone(), plan);
    }
    Ok(plans)
}

fn plan_one(pod: &api::Pod, volume: &api::Volume, sources: &Sources) -> Result<VolumePlan, ConfigError> {
    let files = |plugin, payload| VolumePlan::Files { plugin, payload };
    if let Some(v) = &volume.host_path {
        let kind = v.type_.as_deref().unwrap_or_default();
        return Ok(VolumePlan::HostPath {
            path: v.path.clone(),
            kind: HostPathKind::parse(kind)
                .ok_or_else(|| ConfigError::Volume(format!("unknown hostPath type {kind}")))?,
        });
    }
    if let Some(v) = &volume.config_map {
        let from = Projection::ConfigMap {
            name: &v.name,
            items: v.items.as_deref(),
            optional: v.optional == Some(true),
        };
        let payload = from.payload(v.default_mode, sources)?;
        return Ok(files("kubernetes.io~configmap", payload));
    }
    if let Some(v) = &volume.secret {
        let from = Projection::Secret {
            name: v.secret_name.as_deref().unwrap_or_default(),
            items: v.items.as_deref(),
            optional: v.optional == Some(true),
        };
        let payload = from.payload(v.default_mode, sources)?;
        return Ok(files("kubernetes.io~secret", payload));
    }
    if let Some(v) = &volume.downward_api {
        let items = v.items.as_deref().unwrap_or_default();
        let payload = downward(pod, items, v.default_mode, sources)?;
        return Ok(files("kubernetes.io~downward-api", payload));
    }
    if let Some(v) = &volume.projected {
        let payload = projected(pod, v, sources)?;
        return Ok(files("kubernetes.io~projected", payload));
    }
    let known = volume.empty_dir.is_some();
    // A volume with no source at all is an emptyDir; one with another source is not ours.
    let bare = api::Volume { name: volume.name.clone(), ..api::Volume::default() };
    if !known && *volume != bare {
        return Err(ConfigError::Volume("no volume plugin matched".into()));
    }
    let source = volume.empty_dir.clone().unwrap_or_default();
    Ok(VolumePlan::EmptyDir {
        tmpfs: source.medium.as_deref() == Some("Memory"),
        size_limit: source.size_limit.and_then(|q| Quantity::parse(&q.0).ok()).map(|q| q.value()),
    })
}

/// Files out of a ConfigMap or a Secret.
enum Projection<'a> {
    ConfigMap { name: &'a str, items: Option<&'a [api::KeyToPath]>, optional: bool },
    Secret { name: &'a str, items: Option<&'a [api::KeyToPath]>, optional: bool },
}

impl Projection<'_> {
    fn payload(&self, mode: Option<i32>, sources: &Sources) -> Result<Payload, ConfigError> {
        let (kind, name, items, optional) = match *self {
            Projection::ConfigMap { name, items, optional } => ("configmap", name, items, optional),
            Projection::Secret { name, items, optional } => ("secret", name, items, optional),
        };
        let data: Option<BTreeMap<String, Vec<u8>>> = match self {
            Projection::ConfigMap { .. } => sources.config_maps.get(name).map(|map| {
                let text = map.data.iter().flatten();
                let binary = map.binary_data.iter().flatten();
                text.map(|(k, v)| (k.clone(), v.clone().into_bytes()))
                    .chain(binary.map(|(k, v)| (k.clone(), v.0.clone())))
                    .collect()
            }),
            Projection::Secret { .. } => sources.secrets.get(name).map(|secret| {
                (secret.data.iter().flatten()).map(|(k, v)| (k.clone(), v.0.clone())).collect()
            }),
        };
        let data = match data {
            Some(data) => data,
            None if optional => return Ok(Payload::new()),
            None => return Err(no_object(kind, name)),
        };
        let Some(items) = items else {
            let file = |data| File { data, mode: file_mode(None, mode) };
            return Ok(data.into_iter().map(|(k, v)| (k, file(v))).collect());
        };
        let mut payload = Payload::new();
        for item in items {
            let Some(bytes) = data.get(&item.key) else {
                if optional {
                    continue;
                }
                return Err(ConfigError::Volume(format!("references non-existent config key: {}", item.key)));
            };
            let file = File { data: bytes.clone(), mode: file_mode(item.mode, mode) };
            payload.insert(safe_path(&item.path)?, file);
        }
        Ok(payload)
    }
}

fn file_mode(own: Option<i32>, default: Option<i32>) -> u32 {
    let mode = own.or(default).unwrap_or(0o644);
    u32::try_from(mode).unwrap_or(0o644) & 0o777
}

/// A path that stays within its volume and off the writer's own names.
fn safe_path(path: &str) -> Result<String, ConfigError> {
    let clean: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let bad = path.starts_with('/')
        || clean.is_empty()
        || clean.contains(&"..")
        || clean.first().is_some_and(|p| p.starts_with(".."));
    match bad {
        true => Err(ConfigError::Volume(format!("invalid path: {path}"))),
        false => Ok(clean.join("/")),
    }
}

fn downward(
    pod: &api::Pod,
    items: &[api::DownwardAPIVolumeFile],
    mode: Option<i32>,
    sources: &Sources,
) -> Result<Payload, ConfigError> {
    let mut payload = Payload::new();
    for item in items {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => field_value(pod, &field.field_path, sources)?,
            (None, Some(resource)) => resource_value(pod, None, resource, sources)?,
            (None, None) => String::new(),
        };
        let file = File { data: text.into_bytes(), mode: file_mode(item.mode, mode) };
        payload.insert(safe_path(&item.path)?, file);
    }
    Ok(payload)
}

fn projected(
    pod: &api::Pod,
    source: &api::ProjectedVolumeSource,
    sources: &Sources,
) -> Result<Payload, ConfigError> {
    let mode = source.default_mode;
    let mut payload = Payload::new();
    for part in source.sources.iter().flatten() {
        if let Some(p) = &part.config_map {
            let from = Projection::ConfigMap {
                name: &p.name,
                items: p.items.as_deref(),
                optional: p.optional == Some(true),
            };
            payload.extend(from.payload(mode, sources)?);
        }
        if let Some(p) = &part.secret {
            let from = Projection::Secret {
                name: &p.name,
                items: p.items.as_deref(),
                optional: p.optional == Some(true),
            };
            payload.extend(from.payload(mode, sources)?);
        }
        if let Some(p) = &part.downward_api {
            let items = p.items.as_deref().unwrap_or_default();
            payload.extend(downward(pod, items, mode, sources)?);
        }
        if let Some(p) = &part.service_account_token {
            let audience = p.audience.as_deref().unwrap_or_default();
            let token = sources.tokens.get(audience).ok_or_else(|| {
                ConfigError::Volume("failed to fetch token: the API server grants none".into())
            })?;
            // Where the pod has a group of its own, the group may read it, and nobody else.
            let group = spec(pod).security_context.as_ref().and_then(|s| s.fs_group);
            let file = File { data: token.clone().into_bytes(), mode: file_mode(group.map(|_| 0o600), mode) };
            payload.insert(safe_path(&p.path)?, file);
        }
    }
    Ok(payload)
}

/// What a volume's directory holds at present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnDisk {
    /// Where `..data` points.
    pub data_dir: Option<String>,
    /// The files there, as far as they are known; `None` after a restart.
    pub payload: Option<Payload>,
    /// The names beside `..data` that a container sees.
    pub links: BTreeSet<String>,
}

/// One system call or two, relative to the volume's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FsStep {
    MakeDir(String),
    Write {
        path: String,
        data: Vec<u8>,
        mode: u32,
    },
    Symlink {
        at: String,
        to: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// A link, or a directory with all that is in it.
    Remove(String),
}

/// Brings a volume to `desired`, writing the new version into `new_dir` (a name that begins with
/// `..` and was never used). Nothing at all if it is there already.
///
/// The order is the point: first everything new is complete, then `..data` is renamed over the old
/// one, then names are added, and only then what nobody can see any more is removed.
pub fn atomic_update(current: &OnDisk, desired: &Payload, new_dir: &str) -> Vec<FsStep> {
    // lab:begin 08.7 directories, files, ..data_tmp, rename, new links, stale links, the old version
    if current.data_dir.is_some() && current.payload.as_ref() == Some(desired) {
        return Vec::new();
    }
    let top = |path: &str| path.split('/').next().unwrap_or(path).to_owned();
    let mut steps = vec![FsStep::MakeDir(new_dir.to_owned())];
    let mut made = BTreeSet::new();
    for (path, file) in desired {
        for (at, _) in path.match_indices('/') {
            if made.insert(&path[..at]) {
                steps.push(FsStep::MakeDir(format!("{new_dir}/{}", &path[..at])));
            }
        }
        steps.push(FsStep::Write {
            path: format!("{new_dir}/{path}"),
            data: file.data.clone(),
            mode: file.mode,
        });
    }
    let (at, to) = ("..data_tmp".to_owned(), new_dir.to_owned());
    steps.push(FsStep::Symlink { at: at.clone(), to });
    let to = "..data".to_owned();
    steps.push(FsStep::Rename { from: at, to });
    let wanted: BTreeSet<String> = desired.keys().map(|path| top(path)).collect();
    for at in wanted.difference(&current.links) {
        let to = format!("..data/{at}");
        steps.push(FsStep::Symlink { at: at.clone(), to });
    }
    let stale = current.links.difference(&wanted).cloned();
    steps.extend(stale.chain(current.data_dir.clone()).map(FsStep::Remove));
    steps
    // lab:end
}
