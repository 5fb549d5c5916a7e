//! Chain names. iptables allows 28 characters, so a name is a prefix that says the role and sixteen
//! letters of a hash that say of what. They are upstream's, letter for letter: whoever debugs a real
//! node with `iptables-save | grep` finds here what they are used to.

use std::net::SocketAddrV4;

use crate::model::ServicePortName;

pub const SERVICES: &str = "KUBE-SERVICES";
pub const EXTERNAL_SERVICES: &str = "KUBE-EXTERNAL-SERVICES";
pub const NODE_PORTS: &str = "KUBE-NODEPORTS";
pub const POSTROUTING: &str = "KUBE-POSTROUTING";
pub const MARK_MASQ: &str = "KUBE-MARK-MASQ";
pub const FORWARD: &str = "KUBE-FORWARD";
pub const PROXY_FIREWALL: &str = "KUBE-PROXY-FIREWALL";
/// Holds nothing. Who flushes all rules of the machine deletes it too, and so gives himself away.
pub const CANARY: &str = "KUBE-PROXY-CANARY";

const SVC: &str = "KUBE-SVC-";
const SVL: &str = "KUBE-SVL-";
const EXT: &str = "KUBE-EXT-";
const FW: &str = "KUBE-FW-";
const SEP: &str = "KUBE-SEP-";

/// The first sixteen letters of base32(sha256(service port, protocol and endpoint, run together)).
/// `service_port` as [`ServicePortName`] prints it, `protocol` in lower case, `endpoint` as
/// `IP:PORT`, or empty for the service's own chains.
pub fn hash(service_port: &str, protocol: &str, endpoint: &str) -> String {
    let _ = (&service_port, &protocol, &endpoint);
    todo!("lab 09.1: sha256 over the three texts, base32, sixteen letters")
}

fn of_service(prefix: &str, name: &ServicePortName) -> String {
    format!("{prefix}{}", hash(&name.to_string(), name.protocol.as_str(), ""))
}

/// Spreads over the endpoints of every node.
pub fn cluster(name: &ServicePortName) -> String {
    of_service(SVC, name)
}

/// Spreads over the endpoints of this node.
pub fn local(name: &ServicePortName) -> String {
    of_service(SVL, name)
}

/// What came from outside the cluster goes through here first.
pub fn external(name: &ServicePortName) -> String {
    of_service(EXT, name)
}

/// Lets only `loadBalancerSourceRanges` pass.
pub fn firewall(name: &ServicePortName) -> String {
    of_service(FW, name)
}

/// One endpoint: the translation itself.
pub fn endpoint(name: &ServicePortName, address: SocketAddrV4) -> String {
    format!("{SEP}{}", hash(&name.to_string(), name.protocol.as_str(), &address.to_string()))
}

/// Whether a chain found in the kernel is one that we made for a service and may delete when no
/// service needs it.
pub fn is_of_a_service(chain: &str) -> bool {
    [SVC, SVL, EXT, FW, SEP].into_iter().any(|prefix| chain.starts_with(prefix))
}
