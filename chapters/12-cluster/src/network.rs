//! Links, addresses and routes, by rtnetlink. Nobody here makes a default route: what has no
//! address in the cluster has no way out of it.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::heart::{AddressPlan, Node};

/// The bridge that is the machine room's network.
const BRIDGE: &str = "coracle0";
/// A node's way to it.
const NODE_LINK: &str = "eth0";

/// The kernel's network of the namespace in which it was opened.
pub struct Network {
    handle: Handle,
}

impl Network {
    pub fn open() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().context("opening rtnetlink")?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// In the sandbox: the loopback, and a bridge that has the control plane's address.
    pub async fn set_up_machine_room(&self, plan: &AddressPlan) -> Result<()> {
        self.bring_up("lo").await?;
        let address = plan.control_plane();
        // An address that somebody gave stays when ports come and go: no neighbour needs to learn a new one.
        let bridge = LinkBridge::new(BRIDGE).address(hardware_address(address)).up();
        self.handle.link().add(bridge.build()).execute().await.context("making the bridge")?;
        let index = self.index(BRIDGE).await?;
        self.handle.address().add(index, address.into(), plan.machine_room.prefix()).execute().await?;
        forward()
    }

    /// In the sandbox: a cable from the bridge into the network namespace of a node's first process.
    pub async fn plug_in(&self, node: &Node, pid: u32) -> Result<()> {
        let name = format!("veth-{}", node.name);
        // The kernel takes its time with the network of a node that has just ended.
        if let Ok(index) = self.index(&name).await {
            let _ = self.handle.link().del(index).execute().await;
        }
        let inside = LinkUnspec::new_with_name(NODE_LINK)
            .address(hardware_address(node.address))
            .setns_by_pid(pid)
            .build();
        let cable = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(name.as_str())
            .set_info_data(InfoData::Veth(InfoVeth::Peer(inside)))
            .controller(self.index(BRIDGE).await?)
            .up();
        self.handle
            .link()
            .add(cable.build())
            .execute()
            .await
            .with_context(|| format!("making the link {name}"))
    }

    /// In a node: its address, and a way for its own packets to Services.
    pub async fn set_up_node(&self, plan: &AddressPlan, node: &Node) -> Result<()> {
        self.bring_up("lo").await?;
        self.bring_up(NODE_LINK).await?;
        let index = self.index(NODE_LINK).await?;
        self.handle.address().add(index, node.address.into(), plan.machine_room.prefix()).execute().await?;
        // kube-proxy rewrites what goes to a Service, but the kernel wants a route before it asks.
        // What no rule rewrites arrives at the control plane, which knows no way and says so.
        let services = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(
                plan.services.nth(0).context("an empty service network")?,
                plan.services.prefix(),
            )
            .gateway(plan.control_plane())
            .output_interface(index)
            .build();
        self.handle.route().add(services).execute().await.context("adding the route to services")?;
        forward()
    }

    async fn bring_up(&self, name: &str) -> Result<()> {
        let index = self.index(name).await?;
        let up = LinkUnspec::new_with_index(index).up().build();
        self.handle.link().set(up).execute().await.with_context(|| format!("bringing {name} up"))
    }

    async fn index(&self, name: &str) -> Result<u32> {
        let mut links = Box::pin(self.handle.link().get().match_name(name.to_owned()).execute());
        let link: Option<LinkMessage> =
            links.try_next().await.with_context(|| format!("looking for the link {name}"))?;
        Ok(link.with_context(|| format!("there is no link {name}"))?.header.index)
    }
}

/// A locally administered hardware address that follows from the IP address, so that a node that
/// comes back is who it was.
fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    [&[0x02, 0x00], address.octets().as_slice()].concat()
}

/// Lets this network namespace pass on what is not for itself.
fn forward() -> Result<()> {
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("switching on ip_forward")
}
