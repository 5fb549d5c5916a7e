//! How each program is started: upstream's flags, filled in from the address plan and the places
//! where the certificates lie.
//!
//! Every flag is one argument, `--name=value` or `--name`, so that a setting can replace it by its name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AddressPlan, Node, PlanError};

/// The last one is there because pods talk to the API server, whose answers need a way back to them.
pub const CONTROL_PLANE: [&str; 5] = ["store", "apiserver", "scheduler", "controller-manager", "node-routes"];
pub const ON_EACH_NODE: [&str; 4] = ["runtime", "kubelet", "kube-proxy", "node-routes"];

/// In place of a value: the flag is a switch that needs none.
const SWITCH: &str = "";
/// Where the kubelet and the runtime meet, inside a node.
const RUNTIME_SOCKET: &str = "unix:///run/coracle/runtime.sock";

/// One program: its unit's name and its arguments, the subcommand first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    pub name: String,
    pub arguments: Vec<String>,
    /// What others depend on has a lower tier, and stops later.
    pub tier: u8,
}

impl Component {
    fn new(name: &str, tier: u8, flags: &[(&str, String)]) -> Self {
        let mut arguments = vec![name.to_owned()];
        arguments.extend(flags.iter().map(|(flag, value)| match value.as_str() {
            SWITCH => format!("--{flag}"),
            value => format!("--{flag}={value}"),
        }));
        Self { name: name.to_owned(), arguments, tier }
    }
}

/// What the operator wants otherwise: `COMPONENT.flag=value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Setting {
    pub component: String,
    pub flag: String,
    pub value: String,
}

impl FromStr for Setting {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        // lab:begin 12.5 take COMPONENT.flag=value apart; the value may hold dots and equal signs, the component must exist
        let wrong = || PlanError::NotASetting { text: text.to_owned() };
        let (path, value) = text.split_once('=').ok_or_else(wrong)?;
        let (component, flag) = path.split_once('.').ok_or_else(wrong)?;
        let flag = flag.trim_start_matches('-');
        if component.is_empty() || flag.is_empty() {
            return Err(wrong());
        }
        let mut known = [&CONTROL_PLANE[..], &ON_EACH_NODE].concat();
        known.sort_unstable();
        known.dedup();
        if !known.contains(&component) {
            return Err(PlanError::UnknownComponent {
                component: component.to_owned(),
                known: known.join(", "),
            });
        }
        Ok(Self { component: component.to_owned(), flag: flag.to_owned(), value: value.to_owned() })
        // lab:end
    }
}

impl TryFrom<String> for Setting {
    type Error = PlanError;

    fn try_from(text: String) -> Result<Self, PlanError> {
        text.parse()
    }
}

impl From<Setting> for String {
    fn from(setting: Setting) -> Self {
        setting.to_string()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}={}", self.component, self.flag, self.value)
    }
}

/// Puts the operator's settings for a component in place of the flags of the same name. A flag that
/// a setting names several times stays several times, so that `--feature` lists can be given.
pub fn apply(settings: &[Setting], component: &mut Component) {
    // lab:begin 12.5 drop the flags that a setting names, then add the settings in their order
    let mine: Vec<&Setting> = settings.iter().filter(|setting| setting.component == component.name).collect();
    component.arguments.retain(|argument| {
        let name = argument.trim_start_matches("--").split('=').next().unwrap_or_default();
        !(argument.starts_with("--") && mine.iter().any(|setting| setting.flag == name))
    });
    component.arguments.extend(mine.iter().map(|setting| format!("--{}={}", setting.flag, setting.value)));
    // lab:end
}

/// What the control plane's command lines depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlane {
    pub addresses: AddressPlan,
    /// Certificates, by the paths of the certificate plan.
    pub pki: PathBuf,
    /// Kubeconfigs, as `NAME.conf`.
    pub kubeconfigs: PathBuf,
    /// The store's folder.
    pub data: PathBuf,
    /// Listening sockets that they inherit, by their numbers. The store's are all that it has: who
    /// connects while it is away waits in them, and is not refused.
    pub api_socket: i32,
    pub store_sockets: Vec<i32>,
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A file of the certificate plan.
fn certificate(plan: &ControlPlane, path: &str) -> String {
    text(&plan.pki.join(format!("{path}.crt")))
}

/// The key that lies beside it.
fn key(plan: &ControlPlane, path: &str) -> String {
    text(&plan.pki.join(format!("{path}.key")))
}

/// The control plane: the store is reached by nobody but the API server (and the operator's
/// etcdctl), the API server by everybody.
pub fn control_plane(plan: &ControlPlane) -> Vec<Component> {
    let kubeconfig = |name: &str| text(&plan.kubeconfigs.join(format!("{name}.conf")));
    let mut store = Component::new(
        "store",
        0,
        &[
            ("name", "default".into()),
            ("data-dir", text(&plan.data)),
            ("advertise-client-urls", "https://127.0.0.1:2379".into()),
            ("cert-file", certificate(plan, "etcd/server")),
            ("key-file", key(plan, "etcd/server")),
            ("trusted-ca-file", certificate(plan, "etcd/ca")),
            ("client-cert-auth", SWITCH.into()),
        ],
    );
    store.arguments.extend(plan.store_sockets.iter().map(|socket| format!("--listen-fd={socket}")));
    let scheduler = Component::new("scheduler", 2, &[("kubeconfig", kubeconfig("scheduler"))]);
    let controller_manager = Component::new(
        "controller-manager",
        2,
        &[
            ("kubeconfig", kubeconfig("controller-manager")),
            ("allocate-node-cidrs", "true".into()),
            ("cluster-cidr", plan.addresses.pods.to_string()),
            ("root-ca-file", certificate(plan, "ca")),
        ],
    );
    let routes = Component::new(
        "node-routes",
        2,
        &[("kubeconfig", kubeconfig("kube-proxy")), ("node-name", "control-plane".into())],
    );
    vec![store, apiserver(plan), scheduler, controller_manager, routes]
}

/// A server to everybody, a client to the store, and a client to each kubelet.
fn apiserver(plan: &ControlPlane) -> Component {
    // lab:begin 12.5 fill in upstream's flags: for each side on which the API server stands, what it shows and whom it believes
    Component::new(
        "apiserver",
        1,
        &[
            ("etcd-servers", "https://127.0.0.1:2379".into()),
            ("etcd-cafile", certificate(plan, "etcd/ca")),
            ("etcd-certfile", certificate(plan, "apiserver-etcd-client")),
            ("etcd-keyfile", key(plan, "apiserver-etcd-client")),
            ("bind-address", plan.addresses.control_plane().to_string()),
            ("secure-port", "6443".into()),
            ("listen-fd", plan.api_socket.to_string()),
            ("advertise-address", plan.addresses.control_plane().to_string()),
            ("tls-cert-file", certificate(plan, "apiserver")),
            ("tls-private-key-file", key(plan, "apiserver")),
            ("client-ca-file", certificate(plan, "ca")),
            ("kubelet-client-certificate", certificate(plan, "apiserver-kubelet-client")),
            ("kubelet-client-key", key(plan, "apiserver-kubelet-client")),
            ("kubelet-certificate-authority", certificate(plan, "ca")),
            ("proxy-client-cert-file", certificate(plan, "front-proxy-client")),
            ("proxy-client-key-file", key(plan, "front-proxy-client")),
            ("requestheader-client-ca-file", certificate(plan, "front-proxy-ca")),
            ("requestheader-allowed-names", "front-proxy-client".into()),
            ("service-account-signing-key-file", key(plan, "sa")),
            ("service-cluster-ip-range", plan.addresses.services.to_string()),
        ],
    )
    // lab:end
}

/// The programs of a node. All paths are the node's own: so is the top of its control groups, below
/// which the kubelet asks for `/kubepods/podUID`.
pub fn on_node(addresses: &AddressPlan, node: &Node) -> Vec<Component> {
    let runtime = Component::new(
        "runtime",
        0,
        &[
            ("root", "/var/lib/coracle/runtime".into()),
            ("state", "/run/coracle/runtime".into()),
            ("address", RUNTIME_SOCKET.into()),
            ("images", crate::mounts::NODE_IMAGES.into()),
            ("cgroup-parent", "/".into()),
        ],
    );
    let kubelet = Component::new(
        "kubelet",
        1,
        &[
            ("kubeconfig", "/etc/kubernetes/kubelet.conf".into()),
            ("hostname-override", node.name.clone()),
            ("node-ip", node.address.to_string()),
            ("container-runtime-endpoint", RUNTIME_SOCKET.into()),
            ("tls-cert-file", "/etc/kubernetes/pki/kubelet.crt".into()),
            ("tls-private-key-file", "/etc/kubernetes/pki/kubelet.key".into()),
            ("client-ca-file", "/etc/kubernetes/pki/ca.crt".into()),
            ("cluster-dns", addresses.dns_service().to_string()),
            ("cluster-domain", "cluster.local".into()),
            ("image-notify", format!("{}/index.json", crate::mounts::NODE_IMAGES)),
        ],
    );
    let kube_proxy = Component::new(
        "kube-proxy",
        1,
        &[
            ("kubeconfig", "/etc/kubernetes/kube-proxy.conf".into()),
            ("hostname-override", node.name.clone()),
            ("cluster-cidr", addresses.pods.to_string()),
        ],
    );
    let routes = Component::new(
        "node-routes",
        1,
        &[("kubeconfig", "/etc/kubernetes/kube-proxy.conf".into()), ("node-name", node.name.clone())],
    );
    vec![runtime, kubelet, kube_proxy, routes]
}
