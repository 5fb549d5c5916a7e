//! The node's object: registered once, its status told when it changes, its lease renewed.
//!
//! The node must become Ready at once when everything is there, so this loop is woken by the watch
//! on its own object (the pod CIDR), and by the runtime coming and going. The clock is for the rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use informer::{Error, Informer, Patch, Query};
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use runtime::cri as pb;
use serde_json::json;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::ctx::Ctx;
use crate::heart::node::{self, Health, RuntimeCondition};
use crate::heart::types::Timestamp;

const LEASE_SECONDS: i32 = 40;
const LEASE_RENEWAL: Duration = Duration::from_secs(10);
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// An unchanged status is sent this often.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// How many images a node lists.
const MAX_IMAGES: usize = 50;

/// Calls until it answers: quickly at first, every two seconds in the end.
async fn patiently<T, F: Future<Output = Result<T, Error>>>(what: &str, mut call: impl FnMut() -> F) -> T {
    let mut delay = Duration::from_millis(50);
    loop {
        match call().await {
            Ok(value) => return value,
            Err(e) if e.is_retriable() => debug!(error = %e, "{what}: trying again"),
            Err(e) => warn!(error = %e, "{what}: trying again"),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(2));
    }
}

/// Creates the Node, or, if it is there from before, gives it this kubelet's labels.
async fn register(ctx: &Ctx) -> api::Node {
    let mut object = node::object(&ctx.machine);
    object.status = Some(node::status(&ctx.machine, &Health::default(), None, Timestamp::now()));
    let name = ctx.machine.name.as_str();
    patiently("registering the node", async || match ctx.client.create(&object).await {
        Ok(node) => {
            info!(node = name, "registered");
            Ok(node)
        }
        Err(e) if e.is_already_exists() => {
            let labels = json!({"metadata": {"labels": object.metadata.labels}});
            ctx.client.patch("", name, &Patch::Merge(labels), None).await
        }
        Err(e) => Err(e),
    })
    .await
}

fn reference(name: &str) -> api::ObjectReference {
    // Upstream names the node as its own uid here, and kubectl looks for that.
    api::ObjectReference {
        kind: Some("Node".into()),
        name: Some(name.to_owned()),
        uid: Some(name.to_owned()),
        ..api::ObjectReference::default()
    }
}

/// Asks the runtime how it is.
async fn health(ctx: &Ctx, name: &watch::Sender<String>) -> Health {
    let (mut cri, mut images) = (ctx.cri.runtime.clone(), ctx.cri.images.clone());
    let asked = tokio::try_join!(
        cri.version(pb::VersionRequest::default()),
        async { ctx.cri.runtime.clone().status(pb::StatusRequest::default()).await },
        images.list_images(pb::ListImagesRequest::default()),
    );
    let Ok((version, status, images)) = asked else {
        return Health::default();
    };
    let version = version.into_inner();
    name.send_if_modified(|old| {
        let new = *old != version.runtime_name && !version.runtime_name.is_empty();
        if new {
            old.clone_from(&version.runtime_name);
        }
        new
    });
    let conditions = status.into_inner().status.unwrap_or_default().conditions;
    let mut images: Vec<pb::Image> = images.into_inner().images;
    images.sort_by(|a, b| b.size.cmp(&a.size).then(a.id.cmp(&b.id)));
    images.truncate(MAX_IMAGES);
    Health {
        runtime: Some(
            conditions
                .into_iter()
                .map(|c| RuntimeCondition {
                    kind: c.r#type,
                    holds: c.status,
                    reason: c.reason,
                    message: c.message,
                })
                .collect(),
        ),
        runtime_version: format!("{}://{}", version.runtime_name, version.runtime_version),
        images: images
            .into_iter()
            .map(|i| api::ContainerImage {
                names: Some(i.repo_digests.into_iter().chain(i.repo_tags).collect()),
                size_bytes: i64::try_from(i.size).ok(),
            })
            .collect(),
    }
}

/// Tells the runtime which addresses its pods may have.
async fn configure(ctx: &Ctx, pod_cidr: &str) -> bool {
    let network = pb::NetworkConfig { pod_cidr: pod_cidr.to_owned() };
    let config = pb::RuntimeConfig { network_config: Some(network) };
    let request = pb::UpdateRuntimeConfigRequest { runtime_config: Some(config) };
    match ctx.cri.runtime.clone().update_runtime_config(request).await {
        Ok(_) => {
            info!(pod_cidr, "the runtime has its pod network");
            true
        }
        Err(e) => {
            debug!(error = e.message(), "the runtime does not take its pod network");
            false
        }
    }
}

/// Registers the node and keeps its status, for ever.
pub async fn run(
    ctx: Arc<Ctx>,
    runtime_name: watch::Sender<String>,
    network: watch::Sender<Option<String>>,
    mut runtime_moves: watch::Receiver<u64>,
) {
    let name = ctx.machine.name.clone();
    let mut current = register(&ctx).await;
    ctx.recorder.event(&reference(&name), "Normal", "Starting", "Starting kubelet.");
    let query = Query { field_selector: Some(format!("metadata.name={name}")), ..Query::default() };
    let informer = Informer::<api::Node>::start(&ctx.client, query);
    let mut changes = informer.subscribe();
    let mut clock = tokio::time::interval(ctx.args.node_status_update_frequency);
    let mut configured: Option<String> = None;
    let mut said_at: Option<Instant> = None;
    let mut soon = Duration::from_millis(20);
    loop {
        let pod_cidr = current.spec.as_ref().and_then(|s| s.pod_cidr.clone());
        if let Some(cidr) = pod_cidr.filter(|c| configured.as_ref() != Some(c))
            && configure(&ctx, &cidr).await
        {
            configured = Some(cidr);
        }
        let health = health(&ctx, &runtime_name).await;
        let problem = node::readiness(&health).err();
        network.send_if_modified(|old| {
            let new = *old != problem;
            if new {
                old.clone_from(&problem);
            }
            new
        });
        let status = node::status(&ctx.machine, &health, current.status.as_ref(), Timestamp::now());
        let changed = current.status.as_ref().is_none_or(|old| node::differs(old, &status));
        let stale = said_at.is_none_or(|at| at.elapsed() >= HEARTBEAT);
        let mut told = true;
        if changed || stale {
            match tell(&ctx, &status).await {
                Ok(node) => {
                    let (was, is) = (node::is_ready(current.status.as_ref()), problem.is_none());
                    if was != is {
                        let reason = if is { "NodeReady" } else { "NodeNotReady" };
                        info!(node = name, problem, "{reason}");
                        let message = format!("Node {name} status is now: {reason}");
                        ctx.recorder.event(&reference(&name), "Normal", reason, &message);
                    }
                    current = node;
                    said_at = Some(Instant::now());
                }
                Err(e) if e.is_not_found() => current = register(&ctx).await,
                Err(e) => {
                    debug!(error = %e, "the node's status was not taken");
                    told = false;
                }
            }
        }
        // Not ready yet, or not said yet: look again soon. Otherwise wait to be woken.
        let settled = problem.is_none() && told;
        soon = if settled { Duration::from_millis(20) } else { (soon * 2).min(Duration::from_secs(1)) };
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(informer::Event::Added(node) | informer::Event::Updated { new: node, .. }) => {
                        if is_echo(&current, &node) {
                            continue;
                        }
                        current = (*node).clone();
                    }
                    Some(informer::Event::Deleted(_)) => {
                        warn!(node = name, "the node was deleted; registering it again");
                        current = register(&ctx).await;
                    }
                    Some(informer::Event::Synced) => continue,
                    None => return,
                },
                Ok(()) = runtime_moves.changed() => configured = None,
                _ = clock.tick() => {}
                () = tokio::time::sleep(soon), if !settled => {}
            }
            break;
        }
    }
}

/// Is this the version that we have just read or written, or an older one?
fn is_echo(current: &api::Node, seen: &api::Node) -> bool {
    let version = |n: &api::Node| n.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
    current.metadata.uid == seen.metadata.uid && version(seen) <= version(current)
}

async fn tell(ctx: &Ctx, status: &api::NodeStatus) -> Result<api::Node, Error> {
    let mut status = serde_json::to_value(status)?;
    // Addresses merge by type; of the images the whole list is meant.
    if let Some(addresses) = status.get_mut("addresses").and_then(|a| a.as_array_mut()) {
        addresses.push(json!({"$patch": "replace"}));
    }
    let patch = Patch::Strategic(json!({ "status": status }));
    ctx.client.patch("", &ctx.machine.name, &patch, Some("status")).await
}

/// Renews the node's lease every ten seconds: the cheap sign of life.
pub async fn renew_lease(ctx: Arc<Ctx>) {
    let name = ctx.machine.name.as_str();
    let mut lease: Option<coordination::Lease> = None;
    let mut clock = tokio::time::interval(LEASE_RENEWAL);
    loop {
        clock.tick().await;
        let mut delay = Duration::from_millis(50);
        loop {
            match renew_once(&ctx, name, lease.take()).await {
                Ok(renewed) => {
                    lease = Some(renewed);
                    break;
                }
                Err(e) => {
                    debug!(error = %e, "the lease was not renewed");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(Duration::from_secs(2));
                }
            }
        }
    }
}

async fn renew_once(
    ctx: &Ctx,
    name: &str,
    known: Option<coordination::Lease>,
) -> Result<coordination::Lease, Error> {
    let now = Some(MicroTime(Timestamp::now()));
    let known = match known {
        Some(lease) => Some(lease),
        None => match ctx.client.get::<coordination::Lease>(LEASE_NAMESPACE, name).await {
            Ok(lease) => Some(lease),
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(e),
        },
    };
    if let Some(mut lease) = known {
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = now;
        spec.holder_identity = Some(name.to_owned());
        spec.lease_duration_seconds = Some(LEASE_SECONDS);
        return ctx.client.replace(&lease).await;
    }
    // The lease belongs to its node and goes with it.
    let node: api::Node = ctx.client.get("", name).await?;
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.to_owned(),
        uid: node.metadata.uid.unwrap_or_default(),
        ..OwnerReference::default()
    };
    let lease = coordination::Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(LEASE_NAMESPACE.to_owned()),
            labels: None::<BTreeMap<String, String>>,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(coordination::LeaseSpec {
            holder_identity: Some(name.to_owned()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: now,
            ..coordination::LeaseSpec::default()
        }),
    };
    ctx.client.create(&lease).await
}
