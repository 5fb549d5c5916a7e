//! CNI: how a runtime asks somebody else for a network (spec 1.0 and 1.1).
//!
//! A plugin is a program. It gets a verb and names in its environment, its configuration on
//! standard input, and answers on standard output: addresses, or an error. Plugins are chained,
//! each seeing the result of those before it; taking a pod off the network runs them backwards.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::network::Cidr;

/// The version that our own configuration and plugin speak.
pub const VERSION: &str = "1.0.0";
/// All that the plugin understands.
pub const SUPPORTED: [&str; 5] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0", "0.3.0"];

/// A network: a name and the plugins that make it, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfList {
    #[serde(default)]
    pub cni_version: String,
    pub name: String,
    #[serde(default)]
    pub disable_check: bool,
    pub plugins: Vec<Map<String, Value>>,
}

/// Why a configuration file is no network.
#[derive(Debug, thiserror::Error)]
pub enum ConfError {
    #[error("not a CNI configuration: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a network needs a name")]
    NoName,
    #[error("plugin {0} has no type")]
    NoType(usize),
    #[error("a network needs at least one plugin")]
    NoPlugins,
}

/// Reads a `.conflist`, or a `.conf` of a single plugin.
pub fn parse_conf(text: &str) -> Result<ConfList, ConfError> {
    let _ = &text;
    todo!(
        "lab 07.8: read a list, or a single plugin as a list of one; refuse what lacks a name, a plugin or a type"
    )
}

/// What one plugin reads on standard input: its own part of the list with the network's name and
/// version, and the result so far.
pub fn plugin_input(list: &ConfList, plugin: usize, previous: Option<&Value>) -> Value {
    let _ = (&list, &plugin, &previous);
    todo!(
        "lab 07.8: the plugin's own part with the network's name and version, without capabilities, with the result so far"
    )
}

/// The network that the runtime writes when a node has none.
pub fn template(pod_cidr: Cidr) -> String {
    let list = json!({
        "cniVersion": VERSION,
        "name": "coracle",
        "plugins": [{
            "type": "coracle-ptp",
            "ipam": { "type": "host-local", "subnet": pod_cidr.to_string() },
        }],
    });
    format!("{list:#}\n")
}

/// What `coracle-ptp` reads of its configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginConf {
    #[serde(default)]
    pub cni_version: String,
    #[serde(default)]
    pub name: String,
    /// Absent in the input of some verbs.
    #[serde(default)]
    pub ipam: Option<IpamConf>,
    #[serde(default)]
    pub mtu: Option<u32>,
    #[serde(default)]
    pub prev_result: Option<Value>,
    /// GC: the attachments that shall stay.
    #[serde(default, rename = "cni.dev/valid-attachments")]
    pub valid_attachments: Option<Vec<Attachment>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpamConf {
    pub subnet: Cidr,
    #[serde(default)]
    pub data_dir: Option<String>,
}

/// A container's interface: what an address belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Attachment {
    #[serde(rename = "containerID")]
    pub container_id: String,
    pub ifname: String,
}

/// A successful ADD in the shape of spec 1.0: both ends of the cable, the address, the route.
pub fn result(
    version: &str,
    host: &str,
    pod: &str,
    mac: &str,
    sandbox: &str,
    ip: Ipv4Addr,
    gateway: Ipv4Addr,
) -> Value {
    json!({
        "cniVersion": version,
        "interfaces": [
            { "name": host },
            { "name": pod, "mac": mac, "sandbox": sandbox },
        ],
        "ips": [{ "address": format!("{ip}/32"), "gateway": gateway.to_string(), "interface": 1 }],
        "routes": [{ "dst": "0.0.0.0/0", "gw": gateway.to_string() }],
        "dns": {},
    })
}

/// A failure. Codes under 100 are the spec's (4 environment, 6 decoding, 7 configuration, 11 try
/// again later), from 100 on the plugin's.
pub fn error(version: &str, code: u32, message: &str, details: &str) -> Value {
    json!({ "cniVersion": version, "code": code, "msg": message, "details": details })
}

/// Addresses of a result, those of the pod's side: what CRI reports as the pod's.
pub fn addresses(result: &Value) -> Vec<String> {
    let ips = result.get("ips").and_then(Value::as_array);
    let address = |ip: &Value| Some(ip.get("address")?.as_str()?.split('/').next()?.to_owned());
    ips.into_iter().flatten().filter_map(address).collect()
}

/// `CNI_*` of a call.
pub fn environment(
    verb: &str,
    id: &str,
    netns: &str,
    interface: &str,
    path: &str,
    args: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let args: Vec<String> = args.iter().map(|(name, value)| format!("{name}={value}")).collect();
    [
        ("CNI_COMMAND", verb.to_owned()),
        ("CNI_CONTAINERID", id.to_owned()),
        ("CNI_NETNS", netns.to_owned()),
        ("CNI_IFNAME", interface.to_owned()),
        ("CNI_PATH", path.to_owned()),
        ("CNI_ARGS", args.join(";")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
