//! Carries out [`heart::network`](crate::heart::network) plans over netlink.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, anyhow};
use nix::sched::{CloneFlags, setns};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute};
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder, new_connection};

use crate::heart::network::{NetOp, Side};

/// Netlink sockets into both namespaces. A socket belongs to the namespace it was opened in,
/// wherever its owner goes afterwards.
pub struct Both {
    node: Handle,
    pod: Handle,
    netns: OwnedFd,
}

impl Both {
    /// Opens both. The calling thread is left in the pod's namespace: use it in a program of one
    /// thread that has nothing else to do.
    pub fn open(netns: OwnedFd) -> anyhow::Result<Both> {
        let node = handle()?;
        setns(&netns, CloneFlags::CLONE_NEWNET).context("entering the pod's network namespace")?;
        let pod = handle()?;
        Ok(Both { node, pod, netns })
    }

    fn side(&self, side: Side) -> &Handle {
        match side {
            Side::Pod => &self.pod,
            Side::Node => &self.node,
        }
    }

    pub async fn apply(&self, op: &NetOp) -> anyhow::Result<()> {
        self.try_apply(op).await.with_context(|| op.to_string())
    }

    async fn try_apply(&self, op: &NetOp) -> anyhow::Result<()> {
        match op {
            NetOp::Veth { host, host_mac, pod, pod_mac, mtu } => {
                let mut peer = LinkMessageBuilder::<LinkUnspec>::new().name(pod).mtu(*mtu).build();
                peer.attributes.push(LinkAttribute::Address(pod_mac.to_vec()));
                peer.attributes.push(LinkAttribute::NetNsFd(self.netns.as_raw_fd()));
                let cable = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
                    .name(host)
                    .mtu(*mtu)
                    .address(host_mac.to_vec())
                    .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
                    .build();
                Ok(self.node.link().add(cable).execute().await?)
            }
            NetOp::Address { side, link, ip } => {
                let handle = self.side(*side);
                let index = index(handle, link).await?;
                Ok(handle.address().add(index, IpAddr::V4(*ip), 32).execute().await?)
            }
            NetOp::Up { side, link } => {
                let up = LinkUnspec::new_with_name(link).up().build();
                Ok(self.side(*side).link().change(up).execute().await?)
            }
            NetOp::Route { side, link, to, via } => {
                let handle = self.side(*side);
                let route = RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                    .destination_prefix(to.address(), to.prefix())
                    .output_interface(index(handle, link).await?);
                let route = match via {
                    Some(via) => route.gateway(*via),
                    None => route.scope(RouteScope::Link),
                };
                Ok(handle.route().add(route.build()).replace().execute().await?)
            }
            NetOp::Neighbour { side, link, ip, mac } => {
                let handle = self.side(*side);
                let index = index(handle, link).await?;
                let entry = handle.neighbours().add(index, IpAddr::V4(*ip)).link_layer_address(mac);
                Ok(entry.replace().execute().await?)
            }
        }
    }
}

/// A netlink socket in the caller's namespace, and a task that serves it.
pub fn handle() -> anyhow::Result<Handle> {
    let (connection, handle, _) = new_connection().context("opening netlink")?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Removes a link of the caller's namespace; false: there is none of that name.
pub async fn remove_link(handle: &Handle, name: &str) -> anyhow::Result<bool> {
    let Ok(index) = index(handle, name).await else { return Ok(false) };
    handle.link().del(index).execute().await.with_context(|| format!("removing link {name}"))?;
    Ok(true)
}

/// Number of a link.
pub async fn index(handle: &Handle, name: &str) -> anyhow::Result<u32> {
    use futures_util::TryStreamExt as _;
    let mut found = handle.link().get().match_name(name.to_owned()).execute();
    let link = found.try_next().await.with_context(|| format!("finding link {name}"))?;
    Ok(link.ok_or_else(|| anyhow!("no link {name}"))?.header.index)
}
