//! Who lives where. Three networks that never meet the host's: the machine room (the control plane
//! and the nodes), the pods, and the services, which exist only in the nodes' rules.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::PlanError;

/// The nodes' addresses start after this many: `.1` is the control plane, `.2` to `.10` stay free.
// lab:given
const BEFORE_THE_NODES: u32 = 10;

/// An IPv4 network in CIDR notation, with no bit set behind the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    base: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The number of addresses, the network's own and the broadcast address included.
    pub fn size(&self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let behind = u32::from(address).wrapping_sub(u32::from(self.base));
        u64::from(behind) < self.size() && address >= self.base
    }

    /// The `n`th address of the network, where 0 is the network's own; `None` from the broadcast
    /// address on (a /31 or /32 has none to give).
    pub fn nth(&self, n: u32) -> Option<Ipv4Addr> {
        // lab:begin 12.1 the nth address, if it lies inside and is not the broadcast address
        let broadcast = self.size() - 1;
        if u64::from(n) >= broadcast {
            return None;
        }
        Some(Ipv4Addr::from(u32::from(self.base) + n))
        // lab:end
    }
}

impl FromStr for Cidr {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        // lab:begin 12.1 an address, a slash, a prefix from 1 to 32; refuse an address with bits set behind the prefix
        let wrong = || PlanError::NotACidr { text: text.to_owned() };
        let (base, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        if prefix == 0 || prefix > 32 {
            return Err(wrong());
        }
        let cidr = Self { base, prefix };
        if u64::from(u32::from(base)) % cidr.size() != 0 {
            return Err(wrong());
        }
        Ok(cidr)
        // lab:end
    }
}

impl TryFrom<String> for Cidr {
    type Error = PlanError;

    fn try_from(text: String) -> Result<Self, PlanError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// The networks of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPlan {
    /// The control plane and the nodes.
    pub machine_room: Cidr,
    /// All pods; each node is given a part of it by the controller manager.
    pub pods: Cidr,
    /// The virtual addresses of Services.
    pub services: Cidr,
}

impl Default for AddressPlan {
    fn default() -> Self {
        let network = |a, b, prefix| Cidr { base: Ipv4Addr::new(10, a, b, 0), prefix };
        Self { machine_room: network(89, 0, 24), pods: network(244, 0, 16), services: network(96, 0, 16) }
    }
}

impl AddressPlan {
    /// The control plane's address in the machine room: the bridge itself.
    pub fn control_plane(&self) -> Ipv4Addr {
        self.first(self.machine_room)
    }

    /// The virtual address of the Service `default/kubernetes`: the first of its network, as upstream's.
    pub fn kubernetes_service(&self) -> Ipv4Addr {
        self.first(self.services)
    }

    /// The virtual address of the cluster's DNS: the tenth, as kubeadm's.
    pub fn dns_service(&self) -> Ipv4Addr {
        self.services.nth(10).unwrap_or_else(|| self.kubernetes_service())
    }

    fn first(&self, network: Cidr) -> Ipv4Addr {
        network.nth(1).unwrap_or(network.base)
    }

    /// The nodes of a cluster of `count`, numbered from 1.
    pub fn nodes(&self, count: u32) -> Result<Vec<Node>, PlanError> {
        // lab:begin 12.1 name the nodes node-1, node-2, … and give each its address, or say how many fit
        let network = self.machine_room.to_string();
        // The broadcast address and everything up to the first node are not for nodes.
        let most =
            u32::try_from(self.machine_room.size()).unwrap_or(u32::MAX).saturating_sub(BEFORE_THE_NODES + 2);
        if count == 0 {
            return Err(PlanError::NoNodes);
        }
        (1..=count)
            .map(|number| {
                let address = self.machine_room.nth(BEFORE_THE_NODES + number).ok_or_else(|| {
                    PlanError::TooManyNodes { asked: count, most, network: network.clone() }
                })?;
                Ok(Node { name: format!("node-{number}"), address })
            })
            .collect()
        // lab:end
    }
}

/// A machine of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its host name, and the name of its Node object.
    pub name: String,
    /// Its address in the machine room.
    pub address: Ipv4Addr,
}
