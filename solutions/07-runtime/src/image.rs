//! The documents of an OCI image, and what they mean for a process.
//!
//! ```text
//! index.json ── manifest ─┬─ config   (who runs what; the digests of the unpacked layers)
//!   name → digest         └─ layers   (tar archives, the lowest first)
//! ```
//! Every arrow is a digest: whoever trusts the first can check all the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub const MEDIA_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MEDIA_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const MEDIA_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const MEDIA_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The annotation in `index.json` that gives a manifest its name.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A pointer to a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
}

/// `index.json`, or an index of one image for several platforms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    pub config: Descriptor,
    /// The lowest first.
    pub layers: Vec<Descriptor>,
}

/// The image's configuration. Fields that nothing here reads are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub config: RunConfig,
    #[serde(default)]
    pub rootfs: RootFs,
}

/// What a container of this image runs unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub cmd: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Digests of the layers as plain tar archives, the lowest first.
    #[serde(default)]
    pub diff_ids: Vec<String>,
}

/// Docker writes `null` where it means an empty list.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(input)?.unwrap_or_default())
}

/// Why an image cannot make a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error("no command specified")]
    NoCommand,
    #[error("the image has {layers} layers but {diff_ids} diff ids")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error("working directory {0:?} is not absolute")]
    RelativeCwd(String),
}

/// `sha256:…` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Chain ids of the layers, the lowest first: each names a layer *and all below it*, so that an
/// unpacked directory under that name is right for every image that shares the stack.
///
/// The first is its diff id; each next one is the digest of `"<chain id below> <diff id>"`
/// (OCI image-spec, config.md, "Layer ChainID").
pub fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    // lab:begin 07.4 name each layer by itself and by all below it
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let id = match chain.last() {
            None => diff_id.clone(),
            Some(below) => digest(format!("{below} {diff_id}").as_bytes()),
        };
        chain.push(id);
    }
    chain
    // lab:end
}

/// The command line: CRI's `command` replaces entrypoint *and* command of the image, `args`
/// replace only its command.
pub fn command_line(
    image: &RunConfig,
    command: &[String],
    args: &[String],
) -> Result<Vec<String>, ImageError> {
    // lab:begin 07.4 command replaces entrypoint and cmd, args only cmd; if nothing is left, that is an error
    let mut line = if command.is_empty() { image.entrypoint.clone() } else { command.to_vec() };
    if args.is_empty() && command.is_empty() {
        line.extend_from_slice(&image.cmd);
    } else {
        line.extend_from_slice(args);
    }
    if line.is_empty() { Err(ImageError::NoCommand) } else { Ok(line) }
    // lab:end
}

/// The environment: the image's, then what the pod says; a later value replaces an earlier one
/// in its place. `PATH` is always there, and so is `HOSTNAME` when the pod has one.
pub fn environment(image: &[String], pod: &[(String, String)], hostname: &str) -> Vec<String> {
    // lab:begin 07.4 the defaults, the image's, the pod's; each name once, in the place where it came first
    let mut env: Vec<(String, String)> = vec![("PATH".into(), crate::process::DEFAULT_PATH.into())];
    if !hostname.is_empty() {
        env.push(("HOSTNAME".into(), hostname.into()));
    }
    let image = image.iter().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    });
    for (name, value) in image.chain(pod.iter().cloned()) {
        match env.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => env.push((name, value)),
        }
    }
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    // lab:end
}

/// The working directory: the pod's, else the image's, else `/`.
pub fn working_dir(image: &str, pod: &str) -> Result<String, ImageError> {
    let dir = [pod, image, "/"].into_iter().find(|dir| !dir.is_empty()).unwrap_or("/");
    if dir.starts_with('/') { Ok(dir.to_owned()) } else { Err(ImageError::RelativeCwd(dir.to_owned())) }
}
