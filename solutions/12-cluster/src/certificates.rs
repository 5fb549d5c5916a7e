//! Which certificates a cluster needs, and what each says. Paths are kubeadm's, so that whoever
//! knows `/etc/kubernetes/pki` finds his way; the keys lie beside the certificates.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::{AddressPlan, Node};

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// What the API server believes, and what its clients believe of it.
    Cluster,
    /// What the store believes, and nobody else.
    Etcd,
    /// What API servers behind the API server believe: whoever shows a certificate of this one may
    /// say in a header whose request it is that he passes on.
    FrontProxy,
}

impl Authority {
    pub const ALL: [Authority; 3] = [Authority::Cluster, Authority::Etcd, Authority::FrontProxy];

    /// Where its certificate and key lie below the pki folder, without `.crt` and `.key`.
    pub fn path(self) -> &'static str {
        match self {
            Authority::Cluster => "ca",
            Authority::Etcd => "etcd/ca",
            Authority::FrontProxy => "front-proxy-ca",
        }
    }

    pub fn common_name(self) -> &'static str {
        match self {
            Authority::Cluster => "kubernetes",
            Authority::Etcd => "etcd-ca",
            Authority::FrontProxy => "front-proxy-ca",
        }
    }
}

/// What a certificate may be used for (`extendedKeyUsage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    ServerAuth,
    ClientAuth,
}

/// A name by which a server is reached (`subjectAltName`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AltName {
    Dns(String),
    Ip(IpAddr),
}

impl AltName {
    pub fn dns(name: &str) -> Self {
        AltName::Dns(name.to_owned())
    }

    pub fn ip(address: Ipv4Addr) -> Self {
        AltName::Ip(IpAddr::V4(address))
    }
}

/// One certificate to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Where it lies below the pki folder, without `.crt`.
    pub path: String,
    pub authority: Authority,
    /// To the API server: the user.
    pub common_name: String,
    /// To the API server: the user's groups.
    pub organizations: Vec<String>,
    pub alt_names: Vec<AltName>,
    pub usages: Vec<Usage>,
}

impl Certificate {
    // lab:given
    /// For a client that the cluster knows as `user` in `groups`.
    fn client(path: &str, authority: Authority, user: &str, groups: &[&str]) -> Self {
        Self {
            path: path.to_owned(),
            authority,
            common_name: user.to_owned(),
            organizations: groups.iter().map(|&group| group.to_owned()).collect(),
            alt_names: Vec::new(),
            usages: vec![Usage::ClientAuth],
        }
    }

    // lab:given
    /// For a server that is reached as `alt_names`.
    fn server(path: &str, authority: Authority, common_name: &str, alt_names: Vec<AltName>) -> Self {
        Self { alt_names, usages: vec![Usage::ServerAuth], ..Self::client(path, authority, common_name, &[]) }
    }
}

/// The certificate that a node's kubelet shows to the API server, below the pki folder.
pub fn kubelet_client(node: &Node) -> String {
    format!("nodes/{}/kubelet-client", node.name)
}

/// The certificate that a node's kubelet serves with, below the pki folder.
pub fn kubelet_serving(node: &Node) -> String {
    format!("nodes/{}/kubelet", node.name)
}

/// Every certificate of a cluster with these nodes, apart from the authorities' own.
///
/// The API server's names are all the ways to it: the host's loopback, the machine room, and the
/// Service `kubernetes` by address and by each of its DNS names.
pub fn certificates(addresses: &AddressPlan, nodes: &[Node]) -> Vec<Certificate> {
    let mut all = control_plane_certificates(addresses);
    for node in nodes {
        all.extend(node_certificates(node));
    }
    all
}

fn control_plane_certificates(addresses: &AddressPlan) -> Vec<Certificate> {
    // lab:begin 12.2 the control plane's certificates: two servers, and a client for each who asks them
    use Authority::{Cluster, Etcd, FrontProxy};
    let local =
        [AltName::dns("localhost"), AltName::ip(Ipv4Addr::LOCALHOST), AltName::ip(addresses.control_plane())];
    let mut api_names: Vec<AltName> = local.to_vec();
    api_names.push(AltName::ip(addresses.kubernetes_service()));
    let service = "kubernetes.default.svc.cluster.local";
    for name in ["kubernetes", "kubernetes.default", "kubernetes.default.svc", service] {
        api_names.push(AltName::dns(name));
    }
    vec![
        Certificate::server("apiserver", Cluster, "kube-apiserver", api_names),
        Certificate::client("front-proxy-client", FrontProxy, "front-proxy-client", &[]),
        Certificate::client(
            "apiserver-kubelet-client",
            Cluster,
            "kube-apiserver-kubelet-client",
            &["system:masters"],
        ),
        Certificate::client("apiserver-etcd-client", Etcd, "kube-apiserver-etcd-client", &[]),
        Certificate::server("etcd/server", Etcd, "etcd", local.to_vec()),
        Certificate::client("etcd/healthcheck-client", Etcd, "kube-etcd-healthcheck-client", &[]),
        Certificate::client("admin", Cluster, "kubernetes-admin", &["system:masters"]),
        Certificate::client("controller-manager", Cluster, "system:kube-controller-manager", &[]),
        Certificate::client("scheduler", Cluster, "system:kube-scheduler", &[]),
        Certificate::client("kube-proxy", Cluster, "system:kube-proxy", &[]),
    ]
    // lab:end
}

/// A node's kubelet is a client (it watches its pods) and a server (it gives out logs), with one
/// identity: `system:node:NAME` in the group `system:nodes`, which is what the Node authorizer reads.
fn node_certificates(node: &Node) -> [Certificate; 2] {
    // lab:begin 12.2 a kubelet's two certificates: one identity, two purposes
    let user = format!("system:node:{}", node.name);
    let client = Certificate::client(&kubelet_client(node), Authority::Cluster, &user, &["system:nodes"]);
    let serving = Certificate {
        path: kubelet_serving(node),
        alt_names: vec![AltName::dns(&node.name), AltName::ip(node.address)],
        usages: vec![Usage::ServerAuth],
        ..client.clone()
    };
    [client, serving]
    // lab:end
}

/// What must be issued when certificates after the plan `have` exist: what is new, and what says
/// something else than it should.
pub fn to_issue(have: &[Certificate], wanted: &[Certificate]) -> Vec<Certificate> {
    // As little as possible: a certificate that is made anew cuts off whoever holds the old one.
    wanted.iter().filter(|certificate| !have.contains(certificate)).cloned().collect()
}

/// A client's kubeconfig to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubeconfig {
    /// The certificate's path below the pki folder.
    pub certificate: String,
    /// The context's user name.
    pub user: String,
    /// The API server's URL.
    pub server: String,
}

impl Kubeconfig {
    /// The file's content, with the three PEM texts already in base64.
    pub fn content(&self, authority: &str, certificate: &str, key: &str) -> serde_json::Value {
        let cluster = "coracle";
        let context = format!("{}@{cluster}", self.user);
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": cluster, "cluster": { "server": self.server, "certificate-authority-data": authority } }],
            "users": [{ "name": self.user, "user": { "client-certificate-data": certificate, "client-key-data": key } }],
            "contexts": [{ "name": context, "context": { "cluster": cluster, "user": self.user } }],
            "current-context": context,
        })
    }
}
