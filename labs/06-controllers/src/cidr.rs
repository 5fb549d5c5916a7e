//! Which node gets which part of the pods' network.
//!
//! Upstream: `pkg/controller/nodeipam/ipam/range_allocator.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Node;
use objects::meta;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    #[error("{0:?} is not an IPv4 network such as 10.244.0.0/16")]
    Malformed(String),
    #[error("a node's mask of /{mask} does not fit into {network}")]
    MaskOutOfRange { network: String, mask: u8 },
    #[error("no part of the pod network is free for node {0}")]
    Exhausted(String),
}

/// Hands out subnets of the cluster's network, the lowest free one first. A subnet that was
/// handed out counts as taken before the watch shows it on the node.
#[derive(Clone, Debug)]
pub struct CidrAllocator {
    base: u32,
    mask: u8,
    count: u32,
    by_node: BTreeMap<String, u32>,
    taken: BTreeSet<u32>,
}

fn parse(cidr: &str) -> Result<(u32, u8), CidrError> {
    let malformed = || CidrError::Malformed(cidr.to_owned());
    let (address, prefix) = cidr.split_once('/').ok_or_else(malformed)?;
    let address: Ipv4Addr = address.parse().map_err(|_| malformed())?;
    let prefix: u8 = prefix.parse().map_err(|_| malformed())?;
    if prefix > 32 {
        return Err(malformed());
    }
    let bits = u32::from(address);
    let kept = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    Ok((bits & kept, prefix))
}

impl CidrAllocator {
    /// Subnets with `mask` bits of the network `cluster` (`10.244.0.0/16`).
    pub fn new(cluster: &str, mask: u8) -> Result<Self, CidrError> {
        let (base, prefix) = parse(cluster)?;
        if mask < prefix || mask > 30 || mask - prefix > 16 {
            return Err(CidrError::MaskOutOfRange { network: cluster.to_owned(), mask });
        }
        let count = 1 << (mask - prefix);
        Ok(CidrAllocator { base, mask, count, by_node: BTreeMap::new(), taken: BTreeSet::new() })
    }

    /// A node has a subnet already: nobody else may get it.
    pub fn occupy(&mut self, node: &Node) {
        let Some(cidr) = node.spec.as_ref().and_then(|spec| spec.pod_cidr.as_deref()) else {
            return;
        };
        let Ok((address, _)) = parse(cidr) else {
            return;
        };
        let index = address.wrapping_sub(self.base) >> (32 - u32::from(self.mask));
        if index < self.count {
            self.taken.insert(index);
            self.by_node.insert(meta::name(&node.metadata).to_owned(), index);
        }
    }

    /// The subnet for a node that has none; the same one until the node is released.
    pub fn allocate(&mut self, node: &str) -> Result<String, CidrError> {
        let _ = &node;
        todo!("lab 06.4: what the node was given already, else the lowest free subnet, from now on taken")
    }

    /// The node is gone.
    pub fn release(&mut self, node: &str) {
        if let Some(index) = self.by_node.remove(node) {
            self.taken.remove(&index);
        }
    }
}
