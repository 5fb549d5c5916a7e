//! A pod's network: one virtual cable, one address, one route on either side.
//!
//! ```text
//!      pod's namespace                 │             node's namespace
//!   eth0  10.244.1.5/32                │   vethf00…   ee:ee:ee:ee:ee:ee, no address
//!   default via 169.254.1.1 dev eth0 ──┼──►  forwarded by the node's own table
//!   169.254.1.1 is ee:ee:ee:ee:ee:ee   │   10.244.1.5/32 dev vethf00…
//! ```
//! There is no bridge, so whatever a pod sends is *routed*, and so passes the node's rules: traffic
//! to a Service is translated back on its way home even on kernels without `br_netfilter`. The
//! gateway's address exists nowhere; a permanent neighbour entry stands for it. Nobody asks ARP.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What pods call their router.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The node's end of every cable.
pub const GATEWAY_MAC: [u8; 6] = [0xee; 6];

/// An IPv4 network in its canonical form: no bits beyond the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    base: u32,
    prefix: u8,
}

/// A string that is no IPv4 network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 network like 10.244.1.0/24")]
pub struct BadCidr(pub String);

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Cidr, BadCidr> {
        let bad = || BadCidr(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(bad)?;
        Ok(Cidr { base: u32::from(address) & mask(prefix), prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Cidr, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Cidr {
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base)
    }

    pub fn prefix(self) -> u8 {
        self.prefix
    }

    pub fn contains(self, ip: Ipv4Addr) -> bool {
        u32::from(ip) & mask(self.prefix) == self.base
    }

    /// The first and last address that pods may have: all but the network's own, the gateway's
    /// (the first) and the broadcast address. `None`: the network is too small.
    pub fn range(self) -> Option<(u32, u32)> {
        let last = self.base | !mask(self.prefix);
        let (first, last) = (self.base.checked_add(2)?, last.checked_sub(1)?);
        (first <= last).then_some((first, last))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The next free address, going round from the one after `last`: an address that was just given
/// back is used again as late as can be, for some other pod may still hold connections to it.
/// `None`: the network is full.
pub fn allocate(subnet: Cidr, used: &BTreeSet<Ipv4Addr>, last: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    let _ = (&subnet, &used, &last);
    todo!("lab 07.8: go round the range from behind the last one, and take the first that is free")
}

/// One change to links, addresses, routes or neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetOp {
    /// Makes a cable: `host` here, `pod` in the pod's namespace.
    Veth {
        host: String,
        host_mac: [u8; 6],
        pod: String,
        pod_mac: [u8; 6],
        mtu: u32,
    },
    Address {
        side: Side,
        link: String,
        ip: Ipv4Addr,
    },
    Up {
        side: Side,
        link: String,
    },
    /// `ip/prefix dev link`, or through a gateway on that link.
    Route {
        side: Side,
        link: String,
        to: Cidr,
        via: Option<Ipv4Addr>,
    },
    /// A permanent entry: nobody needs to ask who has `ip`.
    Neighbour {
        side: Side,
        link: String,
        ip: Ipv4Addr,
        mac: [u8; 6],
    },
}

/// Which of the two namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Pod,
    Node,
}

impl fmt::Display for NetOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |side: &Side| if *side == Side::Pod { "pod" } else { "node" };
        match self {
            NetOp::Veth { host, host_mac, pod, pod_mac, mtu } => {
                write!(f, "veth {host} {} to {pod} {} mtu {mtu}", mac_text(*host_mac), mac_text(*pod_mac))
            }
            NetOp::Address { side, link, ip } => write!(f, "{}: address {ip}/32 dev {link}", at(side)),
            NetOp::Up { side, link } => write!(f, "{}: link {link} up", at(side)),
            NetOp::Route { side, link, to, via } => {
                write!(f, "{}: route {to}", at(side))?;
                if let Some(via) = via {
                    write!(f, " via {via}")?;
                }
                write!(f, " dev {link}")
            }
            NetOp::Neighbour { side, link, ip, mac } => {
                write!(f, "{}: neighbour {ip} is {} dev {link}", at(side), mac_text(*mac))
            }
        }
    }
}

/// A hardware address as people write it.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Hardware address of a pod: made of its IP address, so that it is the same on every look.
pub fn pod_mac(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [0x0a, 0x58, a, b, c, d]
}

/// Name of the node's end: at most 15 characters, the same for the same attachment.
pub fn host_link(container: &str, interface: &str) -> String {
    let digest = crate::image::digest(format!("{container}/{interface}").as_bytes());
    format!("veth{}", &digest["sha256:".len()..][..8])
}

/// Puts a pod with address `ip` on the network.
///
/// The pod's route to its gateway comes before the one through it, and every link is up before
/// it carries a route: the kernel refuses anything else.
pub fn plan_attach(host: &str, pod: &str, ip: Ipv4Addr, mtu: u32) -> Vec<NetOp> {
    let _ = (&host, &pod, &ip, &mtu);
    todo!("lab 07.8: a cable, an address, both ends up; then the pod's way out, and the node's way in")
}

/// A change to the node's routes to other nodes' pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteOp {
    /// Adds, or replaces what leads there now.
    Set {
        to: Cidr,
        via: Ipv4Addr,
    },
    Remove {
        to: Cidr,
    },
}

impl fmt::Display for RouteOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteOp::Set { to, via } => write!(f, "route {to} via {via}"),
            RouteOp::Remove { to } => write!(f, "remove route {to}"),
        }
    }
}

/// What a node says of itself: its address and the network of its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNet {
    pub name: String,
    pub internal_ip: Option<Ipv4Addr>,
    pub pod_cidr: Option<Cidr>,
}

/// Routes to every other node's pods through that node (flannel's host-gw, kindnet).
///
/// `current` are the routes that we made earlier. Removals come first; a second run over its own
/// result changes nothing.
pub fn plan_routes(me: &str, nodes: &[NodeNet], current: &BTreeMap<Cidr, Ipv4Addr>) -> Vec<RouteOp> {
    let _ = (&me, &nodes, &current);
    todo!(
        "lab 07.8: compare what should be with what we made: first what goes, then what is missing or has moved"
    )
}
