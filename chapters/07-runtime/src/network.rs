//! The runtime as a caller of CNI: which network a node has, and how a pod gets on it and off.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::heart::cni::{ConfList, addresses, environment, parse_conf, plugin_input, template};
use crate::heart::network::Cidr;
use crate::sys::write_atomically;

/// The file that the runtime writes when a node has no network configuration.
const OWN_CONF: &str = "10-coracle.conflist";
/// A plugin that takes longer is taken for hung.
const PLUGIN_TIME: Duration = Duration::from_secs(60);

/// Directories of the node's CNI set-up.
#[derive(Debug, Clone)]
pub struct Network {
    pub bin_dirs: Vec<PathBuf>,
    pub conf_dir: PathBuf,
}

/// Who is put on the network.
#[derive(Debug, Clone)]
pub struct PodName<'a> {
    pub sandbox: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
}

impl Network {
    /// The node's network: the first usable file of the directory, by name.
    pub fn load(&self) -> anyhow::Result<ConfList> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.conf_dir)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension().is_some_and(|kind| kind == "conflist" || kind == "conf" || kind == "json")
            })
            .collect();
        files.sort();
        for path in &files {
            match fs::read_to_string(path)
                .map_err(anyhow::Error::from)
                .and_then(|text| Ok(parse_conf(&text)?))
            {
                Ok(list) => return Ok(list),
                Err(error) => tracing::warn!("{}: {error:#}", path.display()),
            }
        }
        bail!("cni plugin not initialized: no network config found in {}", self.conf_dir.display())
    }

    /// Makes a network for the node's pods, unless somebody brought one.
    pub fn write_template(&self, pod_cidr: Cidr) -> anyhow::Result<()> {
        let own = self.conf_dir.join(OWN_CONF);
        if !own.exists() && self.load().is_ok() {
            return Ok(());
        }
        fs::create_dir_all(&self.conf_dir)?;
        let text = template(pod_cidr);
        if fs::read_to_string(&own).is_ok_and(|now| now == text) {
            return Ok(());
        }
        write_atomically(&own, text.as_bytes()).with_context(|| format!("writing {}", own.display()))
    }

    /// Puts a pod on the network; answers the last plugin's result and the pod's addresses.
    pub async fn add(
        &self,
        list: &ConfList,
        pod: &PodName<'_>,
        netns: &str,
    ) -> anyhow::Result<(Value, Vec<String>)> {
        let mut result = None;
        for plugin in 0..list.plugins.len() {
            let input = plugin_input(list, plugin, result.as_ref());
            result = Some(self.call("ADD", list, plugin, &input, pod, netns).await?);
        }
        let result = result.ok_or_else(|| anyhow!("network {} has no plugins", list.name))?;
        let ips = addresses(&result);
        if ips.is_empty() {
            bail!("network {} gave no address", list.name);
        }
        Ok((result, ips))
    }

    /// Takes a pod off the network, the last plugin first. The namespace may be gone already.
    pub async fn del(
        &self,
        list: &ConfList,
        pod: &PodName<'_>,
        netns: &str,
        result: &Value,
    ) -> anyhow::Result<()> {
        for plugin in (0..list.plugins.len()).rev() {
            let input = plugin_input(list, plugin, Some(result));
            self.call("DEL", list, plugin, &input, pod, netns).await?;
        }
        Ok(())
    }

    async fn call(
        &self,
        verb: &str,
        list: &ConfList,
        plugin: usize,
        input: &Value,
        pod: &PodName<'_>,
        netns: &str,
    ) -> anyhow::Result<Value> {
        let kind = list.plugins[plugin].get("type").and_then(Value::as_str).unwrap_or_default();
        let program = self.find(kind)?;
        let path = self.bin_dirs.iter().map(|dir| dir.to_string_lossy()).collect::<Vec<_>>().join(":");
        let args = [
            ("IgnoreUnknown", "1"),
            ("K8S_POD_NAMESPACE", pod.namespace),
            ("K8S_POD_NAME", pod.name),
            ("K8S_POD_INFRA_CONTAINER_ID", pod.sandbox),
            ("K8S_POD_UID", pod.uid),
        ];
        let mut child = Command::new(&program)
            .envs(environment(verb, pod.sandbox, netns, "eth0", &path, &args))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting CNI plugin {}", program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A plugin that does not read tells more by its answer than this would.
            let _ = stdin.write_all(input.to_string().as_bytes()).await;
        }
        let output = tokio::time::timeout(PLUGIN_TIME, child.wait_with_output());
        let output = output.await.map_err(|_| anyhow!("plugin {kind} does not answer"))??;
        let answer: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        if !output.status.success() {
            let said = |field: &str| answer.as_ref().and_then(|a| a.get(field)?.as_str().map(str::to_owned));
            let why = match (said("msg"), said("details").filter(|details| !details.is_empty())) {
                (Some(message), Some(details)) => format!("{message}: {details}"),
                (Some(message), None) => message,
                _ => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            };
            bail!("plugin type={kind:?} name={:?} failed ({}): {why}", list.name, verb.to_lowercase());
        }
        Ok(answer.unwrap_or(Value::Null))
    }

    fn find(&self, kind: &str) -> anyhow::Result<PathBuf> {
        let plain = !kind.is_empty() && Path::new(kind).components().count() == 1 && !kind.starts_with('.');
        let found = self.bin_dirs.iter().map(|dir| dir.join(kind)).find(|path| plain && path.exists());
        found.ok_or_else(|| anyhow!("failed to find plugin {kind:?} in path {:?}", self.bin_dirs))
    }
}

/// Makes the node a router: without this it would drop what its pods send to each other.
pub fn enable_forwarding() -> anyhow::Result<()> {
    const FILE: &str = "/proc/sys/net/ipv4/ip_forward";
    if fs::read_to_string(FILE).is_ok_and(|now| now.trim() == "1") {
        return Ok(());
    }
    fs::write(FILE, "1").context("enabling IPv4 forwarding")
}
