//! The runtime's voice: its event stream while it is there, a list whenever it comes (back).

use std::time::Duration;

use runtime::cri as pb;
use tokio::sync::{mpsc, watch};
use tracing::debug;

use crate::cri::{Cri, identity};
use crate::kubelet::Event;

/// Without any event, the runtime is listed this often, in case one was lost.
const RELIST: Duration = Duration::from_secs(300);

/// Listens for ever. `moved` counts how often the runtime came or went.
pub async fn run(cri: Cri, events: mpsc::Sender<Event>, moved: watch::Sender<u64>) {
    let mut delay = Duration::from_millis(20);
    loop {
        if let Err(e) = listen_once(&cri, &events, &moved, &mut delay).await {
            debug!(error = e.message(), "the runtime is away");
        }
        // Whoever asks the runtime how it is asks again.
        moved.send_modify(|n| *n += 1);
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(1));
    }
}

async fn listen_once(
    cri: &Cri,
    events: &mpsc::Sender<Event>,
    moved: &watch::Sender<u64>,
    delay: &mut Duration,
) -> Result<(), tonic::Status> {
    let mut client = cri.runtime.clone();
    // Some runtimes answer this call only with their first event, so the list does not wait for it.
    let mut opening = std::pin::pin!(client.get_container_events(pb::GetEventsRequest {}));
    let mut stream = None;
    let mut seen = false;
    let mut relist = tokio::time::interval(RELIST);
    loop {
        let message = tokio::select! {
            opened = &mut opening, if stream.is_none() => {
                stream = Some(opened?.into_inner());
                // Whatever came between the list and the subscription is in the next list.
                relist.reset_immediately();
                continue;
            }
            _ = relist.tick() => {
                let known = cri.known().await?;
                *delay = Duration::from_millis(20);
                if !std::mem::replace(&mut seen, true) {
                    moved.send_modify(|n| *n += 1);
                }
                if events.send(Event::Listed(known)).await.is_err() {
                    return Ok(());
                }
                continue;
            }
            message = next(&mut stream) => message?,
        };
        let Some(message) = message else {
            return Ok(());
        };
        let sandbox = message.pod_sandbox_status.as_ref().map(|s| &s.labels);
        let labels = sandbox.into_iter().chain(message.containers_statuses.iter().map(|c| &c.labels));
        match labels.filter_map(identity).next() {
            Some(uid) => {
                if events.send(Event::Container(uid)).await.is_err() {
                    return Ok(());
                }
            }
            None => relist.reset_immediately(),
        }
    }
}

async fn next(
    stream: &mut Option<tonic::Streaming<pb::ContainerEventResponse>>,
) -> Result<Option<pb::ContainerEventResponse>, tonic::Status> {
    match stream {
        Some(stream) => stream.message().await,
        None => std::future::pending().await,
    }
}
