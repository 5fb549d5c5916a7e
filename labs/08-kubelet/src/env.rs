//! A container's environment and command line.
//!
//! Variables come from four places, the later winning: the services of the namespace, `envFrom`,
//! and `env` in its order. Values may refer to variables before them by `$(NAME)`.
//! Upstream: `makeEnvironmentVariables` in `pkg/kubelet/kubelet_pods.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;
use objects::quantity::Quantity;

use crate::expand::expand;
use crate::names;
use crate::types::{all_containers, find_container, spec};

/// Why a container cannot be made as its spec says. Shown as `CreateContainerConfigError`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("{kind} \"{name}\" not found")]
    NoObject { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey { kind: &'static str, namespace: String, name: String, key: String },
    #[error("key {key} in {kind} {name} is not valid UTF-8")]
    NotText { kind: &'static str, name: String, key: String },
    #[error("unsupported fieldPath: {0}")]
    FieldPath(String),
    #[error("unsupported container resource: {0}")]
    ResourceField(String),
    #[error("{0}")]
    Security(String),
    #[error("{0}")]
    Volume(String),
}

/// What a pod refers to, fetched by the shell: all of the pod's own namespace.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub config_maps: BTreeMap<String, Arc<api::ConfigMap>>,
    pub secrets: BTreeMap<String, Arc<api::Secret>>,
    /// Those of the pod's namespace (and `default/kubernetes`).
    pub services: Vec<Arc<api::Service>>,
    /// Service account tokens by audience; an absent one could not be had.
    pub tokens: BTreeMap<String, String>,
    pub pod_ips: Vec<String>,
    pub host_ip: String,
    /// What a container without a limit may use: the node's allocatable.
    pub node_cpu_milli: i64,
    pub node_memory: i64,
}

/// The names of everything that [`Sources`] must hold for a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    pub config_maps: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
    /// Audience (empty: the API server's own) and lifetime in seconds.
    pub tokens: BTreeMap<String, i64>,
}

/// Finds all references of a pod, in its containers and its volumes.
pub fn references(pod: &api::Pod) -> References {
    let mut all = References::default();
    for (_, c) in all_containers(pod) {
        for from in c.env_from.iter().flatten() {
            if let Some(r) = &from.config_map_ref {
                all.config_maps.insert(r.name.clone());
            }
            if let Some(r) = &from.secret_ref {
                all.secrets.insert(r.name.clone());
            }
        }
        for source in c.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
            if let Some(r) = &source.config_map_key_ref {
                all.config_maps.insert(r.name.clone());
            }
            if let Some(r) = &source.secret_key_ref {
                all.secrets.insert(r.name.clone());
            }
        }
    }
    for volume in spec(pod).volumes.iter().flatten() {
        if let Some(source) = &volume.config_map {
            all.config_maps.insert(source.name.clone());
        }
        if let Some(name) = volume.secret.as_ref().and_then(|s| s.secret_name.clone()) {
            all.secrets.insert(name);
        }
        let projected = volume.projected.as_ref().and_then(|p| p.sources.as_ref());
        for source in projected.into_iter().flatten() {
            if let Some(c) = &source.config_map {
                all.config_maps.insert(c.name.clone());
            }
            if let Some(s) = &source.secret {
                all.secrets.insert(s.name.clone());
            }
            if let Some(t) = &source.service_account_token {
                let seconds = t.expiration_seconds.unwrap_or(3600);
                all.tokens.insert(t.audience.clone().unwrap_or_default(), seconds);
            }
        }
    }
    all
}

/// The environment of a container, in a stable order, each name once.
pub fn environment(
    pod: &api::Pod,
    container: &api::Container,
    sources: &Sources,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut env = Ordered::default();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        for (key, value) in env_from(from, sources)? {
            env.set(format!("{prefix}{key}"), value);
        }
    }
    let services = service_env(pod, &sources.services);
    for var in container.env.iter().flatten() {
        let value = match (&var.value, &var.value_from) {
            (_, Some(source)) => match value_from(pod, container, source, sources)? {
                Some(value) => value,
                None => continue,
            },
            (value, None) => expand(value.as_deref().unwrap_or_default(), &|name| {
                env.get(name).or_else(|| services.get(name)).map(str::to_owned)
            }),
        };
        env.set(var.name.clone(), value);
    }
    for (name, value) in services.list {
        if env.get(&name).is_none() {
            env.set(name, value);
        }
    }
    Ok(env.list)
}

/// Command, arguments with `$(NAME)` replaced from the environment.
pub fn expand_all(words: Option<&Vec<String>>, env: &[(String, String)]) -> Vec<String> {
    let lookup = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    words.into_iter().flatten().map(|word| expand(word, &lookup)).collect()
}

/// A list of variables in which a later setting replaces an earlier one in its place.
#[derive(Default)]
struct Ordered {
    list: Vec<(String, String)>,
}

impl Ordered {
    fn get(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: String, value: String) {
        match self.list.iter_mut().find(|(key, _)| *key == name) {
            Some(slot) => slot.1 = value,
            None => self.list.push((name, value)),
        }
    }
}

fn env_from(from: &api::EnvFromSource, sources: &Sources) -> Result<Vec<(String, String)>, ConfigError> {
    if let Some(r) = &from.config_map_ref {
        return match sources.config_maps.get(&r.name) {
            Some(map) => Ok(map.data.clone().unwrap_or_default().into_iter().collect()),
            None if r.optional == Some(true) => Ok(Vec::new()),
            None => Err(no_object("configmap", &r.name)),
        };
    }
    let Some(r) = &from.secret_ref else {
        return Ok(Vec::new());
    };
    match sources.secrets.get(&r.name) {
        Some(secret) => (secret.data.iter().flatten())
            .map(|(key, value)| Ok((key.clone(), text("secret", &r.name, key, &value.0)?)))
            .collect(),
        None if r.optional == Some(true) => Ok(Vec::new()),
        None => Err(no_object("secret", &r.name)),
    }
}

/// `Ok(None)`: an optional source that is not there; the variable is left out.
fn value_from(
    pod: &api::Pod,
    container: &api::Container,
    source: &api::EnvVarSource,
    sources: &Sources,
) -> Result<Option<String>, ConfigError> {
    let no_key = |kind, name: &str, key: &str| ConfigError::NoKey {
        kind,
        namespace: names::namespace(pod).to_owned(),
        name: name.to_owned(),
        key: key.to_owned(),
    };
    if let Some(r) = &source.field_ref {
        return field_value(pod, &r.field_path, sources).map(Some);
    }
    if let Some(r) = &source.resource_field_ref {
        return resource_value(pod, Some(container), r, sources).map(Some);
    }
    if let Some(r) = &source.config_map_key_ref {
        let Some(map) = sources.config_maps.get(&r.name) else {
            return match r.optional {
                Some(true) => Ok(None),
                _ => Err(no_object("configmap", &r.name)),
            };
        };
        return match map.data.as_ref().and_then(|data| data.get(&r.key)) {
            Some(value) => Ok(Some(value.clone())),
            None if r.optional == Some(true) => Ok(None),
            None => Err(no_key("ConfigMap", &r.name, &r.key)),
        };
    }
    if let Some(r) = &source.secret_key_ref {
        let Some(secret) = sources.secrets.get(&r.name) else {
            return match r.optional {
                Some(true) => Ok(None),
                _ => Err(no_object("secret", &r.name)),
            };
        };
        return match secret.data.as_ref().and_then(|data| data.get(&r.key)) {
            Some(value) => text("secret", &r.name, &r.key, &value.0).map(Some),
            None if r.optional == Some(true) => Ok(None),
            None => Err(no_key("Secret", &r.name, &r.key)),
        };
    }
    Ok(None)
}

pub(crate) fn no_object(kind: &'static str, name: &str) -> ConfigError {
    ConfigError::NoObject { kind, name: name.to_owned() }
}

fn text(kind: &'static str, name: &str, key: &str, bytes: &[u8]) -> Result<String, ConfigError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ConfigError::NotText {
        kind,
        name: name.to_owned(),
        key: key.to_owned(),
    })
}

/// A field of the pod itself: the downward API.
pub fn field_value(pod: &api::Pod, path: &str, sources: &Sources) -> Result<String, ConfigError> {
    let meta = &pod.metadata;
    let all = |map: &Option<BTreeMap<String, String>>| -> String {
        let lines = map.iter().flatten().map(|(k, v)| format!("{k}={v:?}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let entry = |map: &Option<BTreeMap<String, String>>, key: &str| {
        let found = map.as_ref().and_then(|m| m.get(key));
        found.cloned().unwrap_or_default()
    };
    let key = path.split_once("['").and_then(|(field, rest)| Some((field, rest.strip_suffix("']")?)));
    match key {
        Some(("metadata.labels", key)) => return Ok(entry(&meta.labels, key)),
        Some(("metadata.annotations", key)) => return Ok(entry(&meta.annotations, key)),
        _ => {}
    }
    Ok(match path {
        "metadata.name" => names::name(pod).to_owned(),
        "metadata.namespace" => names::namespace(pod).to_owned(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => all(&meta.labels),
        "metadata.annotations" => all(&meta.annotations),
        "spec.nodeName" => spec(pod).node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec(pod).service_account_name.clone().unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => sources.host_ip.clone(),
        "status.podIP" => sources.pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => sources.pod_ips.join(","),
        other => return Err(ConfigError::FieldPath(other.to_owned())),
    })
}

/// A container's limit or request, divided by the divisor and rounded up. Without a limit it is
/// what the node has.
pub fn resource_value(
    pod: &api::Pod,
    own: Option<&api::Container>,
    selector: &api::ResourceFieldSelector,
    sources: &Sources,
) -> Result<String, ConfigError> {
    let unsupported = || ConfigError::ResourceField(selector.resource.clone());
    let named = selector.container_name.as_deref().filter(|n| !n.is_empty());
    let container = match named {
        Some(name) => find_container(pod, name),
        None => own,
    };
    let resources = container.ok_or_else(unsupported)?.resources.clone().unwrap_or_default();
    let (side, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let given = match side {
        "limits" => resources.limits,
        "requests" => resources.requests,
        _ => return Err(unsupported()),
    };
    let quantity = given.unwrap_or_default().get(name).and_then(|q| Quantity::parse(&q.0).ok());
    let is_cpu = name == "cpu";
    let value = match (quantity, side) {
        (Some(q), _) if is_cpu => q.milli_value(),
        (Some(q), _) => q.value(),
        (None, "limits") if is_cpu => sources.node_cpu_milli,
        (None, "limits") if name == "memory" => sources.node_memory,
        (None, _) => 0,
    };
    let divisor = selector.divisor.as_ref().and_then(|q| Quantity::parse(&q.0).ok()).filter(|q| !q.is_zero());
    let divisor = match (divisor, is_cpu) {
        (Some(d), true) => d.milli_value().max(1),
        (None, true) => 1000,
        (Some(d), false) => d.value().max(1),
        (None, false) => 1,
    };
    Ok((value.saturating_add(divisor - 1) / divisor).to_string())
}

/// The variables by which a container finds the services of its namespace, as Docker links had
/// them. `default/kubernetes` is there for every pod, the others unless `enableServiceLinks` is off.
fn service_env(pod: &api::Pod, services: &[Arc<api::Service>]) -> Ordered {
    let links = spec(pod).enable_service_links != Some(false);
    let mut env = Ordered::default();
    for service in services {
        let (ns, name) = (
            service.metadata.namespace.as_deref().unwrap_or_default(),
            service.metadata.name.as_deref().unwrap_or_default(),
        );
        let master = ns == "default" && name == "kubernetes";
        let Some(spec) = service.spec.as_ref() else {
            continue;
        };
        let ip = spec.cluster_ip.as_deref().unwrap_or_default();
        if ip.is_empty() || ip == "None" || !(master || (links && ns == names::namespace(pod))) {
            continue;
        }
        let upper = |s: &str| s.to_uppercase().replace('-', "_");
        let prefix = upper(name);
        let ports = spec.ports.as_deref().unwrap_or_default();
        env.set(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
        if let Some(first) = ports.first() {
            env.set(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
        }
        for port in ports {
            if let Some(name) = port.name.as_deref().filter(|n| !n.is_empty()) {
                let key = format!("{prefix}_SERVICE_PORT_{}", upper(name));
                env.set(key, port.port.to_string());
            }
        }
        for (i, port) in ports.iter().enumerate() {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let url = format!("{}://{ip}:{}", protocol.to_lowercase(), port.port);
            let key = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
            if i == 0 {
                env.set(format!("{prefix}_PORT"), url.clone());
            }
            env.set(format!("{key}_PROTO"), protocol.to_lowercase());
            env.set(format!("{key}_PORT"), port.port.to_string());
            env.set(format!("{key}_ADDR"), ip.to_owned());
            env.set(key, url);
        }
    }
    env
}
