//! The loop: every trigger of the scheduler on one page.

use std::time::Duration;

use informer::{Client, Event as Change, EventRecorder, Informer};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::signal::unix::{SignalKind, signal};

use crate::apply::{Applier, Done};
use crate::heart::Scheduler;

// ANCHOR: event
/// Everything that the scheduler reacts to.
enum Event {
    Pod(Change<Pod>),
    Node(Change<Node>),
    /// A request has ended.
    Done(Done),
    /// A back-off is over.
    Timer,
    Stop,
}
// ANCHOR_END: event

pub async fn run(
    mut scheduler: Scheduler,
    client: Client,
    recorder: EventRecorder,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
) -> anyhow::Result<()> {
    let mut pods = pods.subscribe();
    let mut nodes = nodes.subscribe();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut applier = Applier::new(client, recorder);
    let (mut pods_known, mut nodes_known) = (false, false);
    // Equally good nodes are taken in turn.
    let mut tie = 0;
    loop {
        while pods_known && nodes_known && applier.has_room() {
            let Some(action) = scheduler.poll(Timestamp::now(), tie) else {
                break;
            };
            tie += 1;
            applier.start(action);
        }
        let wakeup = scheduler.next_wakeup().filter(|_| applier.has_room());
        let event = tokio::select! {
            Some(change) = pods.recv() => Event::Pod(change),
            Some(change) = nodes.recv() => Event::Node(change),
            Some(done) = applier.next() => Event::Done(done),
            () = until(wakeup) => Event::Timer,
            _ = terminate.recv() => Event::Stop,
            _ = interrupt.recv() => Event::Stop,
        };
        let now = Timestamp::now();
        match event {
            Event::Pod(Change::Added(pod) | Change::Updated { new: pod, .. }) => {
                scheduler.handle_pod(pod, now);
            }
            Event::Pod(Change::Deleted(pod)) => scheduler.handle_pod_gone(&pod, now),
            Event::Pod(Change::Synced) => pods_known = true,
            Event::Node(Change::Added(node) | Change::Updated { new: node, .. }) => {
                scheduler.handle_node(node, now);
            }
            Event::Node(Change::Deleted(node)) => {
                scheduler.handle_node_gone(objects::meta::name(&node.metadata));
            }
            Event::Node(Change::Synced) => nodes_known = true,
            Event::Done(Done::Bound(key)) => scheduler.handle_bound(&key),
            Event::Done(Done::NotBound(key)) => scheduler.handle_bind_failed(&key, now),
            Event::Done(Done::Told) | Event::Timer => {}
            Event::Stop => return Ok(()),
        }
    }
}

async fn until(time: Option<Timestamp>) {
    match time {
        Some(time) => {
            let left = time.duration_since(Timestamp::now());
            tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
        }
        None => std::future::pending().await,
    }
}
