//! `coracle node-routes`: routes to the pods of other nodes.
//!
//! Every Node says which network its pods are in and by which address it is reached; this process
//! watches them and keeps one route for each, as kindnet and flannel's host-gw do. The routes carry
//! a mark of ours, so that those of an earlier run are found again, and nobody else's are touched.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use futures_util::TryStreamExt as _;
use informer::{Client, Informer, Query};
use k8s_openapi::api::core::v1::Node;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::{Handle, RouteMessageBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Duration, Instant, sleep_until};

use crate::heart::network::{Cidr, NodeNet, RouteOp, plan_routes};
use crate::netlink;

/// Our mark on routes: a number that iproute2 lists under no name.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(82);
/// After a change that the kernel refused (the node's own link may not be up yet).
const RETRY: Duration = Duration::from_secs(1);

/// Keeps routes to the pods of other nodes.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// This node: its own pods need no route
    #[arg(long)]
    pub node_name: String,
}

/// What wakes this process.
enum Event {
    /// Nodes came, went or changed.
    Nodes,
    /// The last attempt failed.
    Retry,
    Terminate,
}

/// Serves until SIGTERM. The routes stay: other nodes' pods do not go away with this process.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let client = Client::from_kubeconfig(&args.kubeconfig)?.called("node-routes");
    let nodes: Informer<Node> = Informer::start(&client, Query::default());
    let mut changes = nodes.subscribe();
    let routes = netlink::handle()?;
    let mut retry_at: Option<Instant> = None;
    // Before the first full list, a route of an earlier run must not be taken for a stale one.
    loop {
        let event = tokio::select! {
            change = changes.recv() => if change.is_some() { Event::Nodes } else { Event::Terminate },
            () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => Event::Retry,
            _ = terminate.recv() => Event::Terminate,
            _ = interrupt.recv() => Event::Terminate,
        };
        match event {
            Event::Nodes | Event::Retry if !nodes.has_synced() => {}
            Event::Nodes | Event::Retry => {
                retry_at = None;
                if let Err(error) = reconcile(&routes, &args.node_name, &nodes.list()).await {
                    tracing::warn!("routes: {error:#}");
                    retry_at = Some(Instant::now() + RETRY);
                }
            }
            Event::Terminate => return Ok(()),
        }
    }
}

async fn reconcile(routes: &Handle, me: &str, nodes: &[Arc<Node>]) -> anyhow::Result<()> {
    let nodes: Vec<NodeNet> = nodes.iter().map(|node| node_net(node)).collect();
    for op in plan_routes(me, &nodes, &current(routes).await?) {
        tracing::info!("{op}");
        let done = match &op {
            RouteOp::Set { to, via } => {
                routes.route().add(route(*to).gateway(*via).build()).replace().execute().await
            }
            RouteOp::Remove { to } => routes.route().del(route(*to).build()).execute().await,
        };
        done.with_context(|| op.to_string())?;
    }
    Ok(())
}

fn route(to: Cidr) -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to.address(), to.prefix()).protocol(PROTOCOL)
}

/// The routes that bear our mark.
async fn current(routes: &Handle) -> anyhow::Result<BTreeMap<Cidr, Ipv4Addr>> {
    let mut found = BTreeMap::new();
    // Without a destination in it, the request means all routes and not the way to one.
    let mut dump = routes.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
    while let Some(message) = dump.try_next().await.context("listing routes")? {
        if message.header.protocol == PROTOCOL {
            found.extend(destination(&message));
        }
    }
    Ok(found)
}

fn destination(message: &RouteMessage) -> Option<(Cidr, Ipv4Addr)> {
    let address = |address: &RouteAddress| match address {
        RouteAddress::Inet(ip) => Some(*ip),
        _ => None,
    };
    let (mut to, mut via) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(ip) => to = address(ip),
            RouteAttribute::Gateway(ip) => via = address(ip),
            _ => {}
        }
    }
    Some((format!("{}/{}", to?, message.header.destination_prefix_length).parse().ok()?, via?))
}

fn node_net(node: &Node) -> NodeNet {
    let addresses = node.status.as_ref().and_then(|status| status.addresses.as_ref());
    let internal = addresses.into_iter().flatten().filter(|address| address.type_ == "InternalIP");
    let mut internal = internal.filter_map(|address| match address.address.parse() {
        Ok(IpAddr::V4(ip)) => Some(ip),
        _ => None,
    });
    let spec = node.spec.as_ref();
    let all = spec.and_then(|spec| spec.pod_cidrs.clone()).unwrap_or_default();
    let all = all.into_iter().chain(spec.and_then(|spec| spec.pod_cidr.clone()));
    NodeNet {
        name: node.metadata.name.clone().unwrap_or_default(),
        internal_ip: internal.next(),
        pod_cidr: all.filter_map(|cidr| cidr.parse().ok()).next(),
    }
}
