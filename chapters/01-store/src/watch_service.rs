//! A watch stream: requests go to the loop, deliveries come from it through the stream's outbox.
//! What the client takes is counted, and the count goes back as credit.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use prost::Message;
use tokio::sync::{Notify, mpsc};
use tonic::{Request as Call, Response, Status, Streaming};

use crate::auth::Credentials;
use crate::convert::{self, Answers};
use crate::etcd::{self, WatchResponse, watch_request::RequestUnion, watch_server};
use crate::gate;
use crate::heart::Error;
use crate::heart::watch::{Delivery, StreamId, What};
use crate::request::{Request, WINDOW, WatchAsk, outbox};
use crate::service::{Identity, Service};

/// Credit goes back in portions of this many events. Less than the window, so a stream whose
/// client has taken everything always has credit.
const PORTION: usize = WINDOW / 4;
/// A stream whose client wants a leader to be there ends when there was none at so many looks, so far
/// apart.
const LOOKS: u32 = 3;
const LOOK: Duration = Duration::from_secs(1);

#[tonic::async_trait]
impl watch_server::Watch for Service {
    type WatchStream = Outbox;

    async fn watch(&self, call: Call<Streaming<etcd::WatchRequest>>) -> Result<Response<Outbox>, Status> {
        let stream = self.next_number();
        let (sender, deliveries) = outbox();
        self.local().send(Request::Watch(stream, WatchAsk::Open(sender))).await?;
        let flow = Arc::new(Flow::default());
        let needs_leader = gate::needs_leader(call.metadata());
        let credentials = Credentials::of(call.metadata().as_ref(), call.extensions());
        tokio::spawn(pump(self.clone(), stream, call.into_inner(), flow.clone(), needs_leader, credentials));
        Ok(Response::new(Outbox {
            deliveries,
            parts: VecDeque::new(),
            flow,
            identity: self.identity.clone(),
            max_message_bytes: self.limits.message_bytes(),
        }))
    }
}

/// What the reading end of a stream tells its pump.
#[derive(Debug, Default)]
struct Flow {
    taken: AtomicUsize,
    closed: AtomicBool,
    changed: Notify,
    /// The other way: the stream ends because nobody leads.
    leaderless: AtomicBool,
}

/// Carries a client's requests to the loop until the client, or the stream, is gone.
async fn pump(
    service: Service,
    stream: StreamId,
    mut asked: Streaming<etcd::WatchRequest>,
    flow: Arc<Flow>,
    needs_leader: bool,
    credentials: Credentials,
) {
    let mut look = tokio::time::interval(LOOK);
    let mut looks = 0;
    while !flow.closed.load(Ordering::Acquire) {
        let ask = tokio::select! {
            message = asked.message() => match message {
                Ok(Some(message)) => match message.request_union {
                    Some(RequestUnion::CreateRequest(r)) => match service.sessions.caller(&credentials).await {
                        Ok(caller) => WatchAsk::Create(convert::watch(&r), caller),
                        Err(why) => WatchAsk::Refuse(why),
                    },
                    Some(RequestUnion::CancelRequest(r)) => WatchAsk::Cancel(r.watch_id),
                    Some(RequestUnion::ProgressRequest(_)) => WatchAsk::Progress,
                    None => continue,
                },
                Ok(None) | Err(_) => break,
            },
            () = flow.changed.notified() => WatchAsk::Taken(flow.taken.swap(0, Ordering::AcqRel)),
            _ = look.tick(), if needs_leader => {
                looks = if service.identity.leader() == 0 { looks + 1 } else { 0 };
                if looks < LOOKS {
                    continue;
                }
                flow.leaderless.store(true, Ordering::Release);
                break;
            }
        };
        if service.local().send(Request::Watch(stream, ask)).await.is_err() {
            return;
        }
    }
    // The loop may be gone already, and every stream with it.
    let _ = service.local().send(Request::Watch(stream, WatchAsk::Close)).await;
}

/// The answers of a stream. It is polled only when the connection can take more.
pub struct Outbox {
    deliveries: mpsc::Receiver<Delivery>,
    /// Parts of an answer that was too large for one message.
    parts: VecDeque<WatchResponse>,
    flow: Arc<Flow>,
    identity: Identity,
    max_message_bytes: usize,
}

impl Stream for Outbox {
    type Item = Result<WatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(part) = self.parts.pop_front() {
            return Poll::Ready(Some(Ok(part)));
        }
        let Some(delivery) = std::task::ready!(self.deliveries.poll_recv(cx)) else {
            let leaderless = self.flow.leaderless.swap(false, Ordering::AcqRel);
            return Poll::Ready(leaderless.then(|| Err(gate::no_leader())));
        };
        if let What::Events { events, .. } = &delivery.what {
            let before = self.flow.taken.fetch_add(events.len(), Ordering::AcqRel);
            if before + events.len() >= PORTION {
                self.flow.changed.notify_one();
            }
        }
        self.parts = respond(self.identity.answers(), delivery, self.max_message_bytes);
        Poll::Ready(self.parts.pop_front().map(Ok))
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.flow.closed.store(true, Ordering::Release);
        self.flow.changed.notify_one();
    }
}

/// At least one message.
fn respond(answers: Answers, delivery: Delivery, max_bytes: usize) -> VecDeque<WatchResponse> {
    let header = answers.header(delivery.revision);
    let mut response = WatchResponse { header, watch_id: delivery.watch, ..Default::default() };
    match delivery.what {
        What::Created => response.created = true,
        What::Canceled => response.canceled = true,
        What::Progress => {}
        What::Refused(refusal) => {
            response.created = true;
            response.canceled = true;
            response.cancel_reason = refusal.to_string();
        }
        What::Compacted(revision) => {
            response.header = answers.header(0);
            response.canceled = true;
            response.compact_revision = revision;
            response.cancel_reason = Error::Compacted.to_string();
        }
        What::Events { events, fragment } => {
            response.events = events.iter().map(convert::event).collect();
            if fragment && response.encoded_len() > max_bytes {
                return split(response, max_bytes);
            }
        }
    }
    VecDeque::from([response])
}

/// As many events in each part as fit; all parts but the last say that more follows.
fn split(mut whole: WatchResponse, max_bytes: usize) -> VecDeque<WatchResponse> {
    let events = std::mem::take(&mut whole.events);
    whole.fragment = true;
    let mut parts = VecDeque::new();
    let mut part = whole.clone();
    let mut size = 0;
    for event in events {
        let len = event.encoded_len();
        if size + len > max_bytes && !part.events.is_empty() {
            parts.push_back(std::mem::replace(&mut part, whole.clone()));
            size = 0;
        }
        size += len;
        part.events.push(event);
    }
    part.fragment = false;
    parts.push_back(part);
    parts
}
