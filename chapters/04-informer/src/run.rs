//! The informer's loop: the reflector's steps on one side, the subscribers on the other.

use crate::client::{Client, List, ListOptions};
use crate::heart;
use crate::http_client::Watch;
use crate::informer::{Shared, UNREAD};
use crate::{ApiResource, Error, Event as Told, Keyed};
use futures_util::future::{BoxFuture, FutureExt, select_all};
use heart::fifo::DeltaFifo;
use heart::reflector::{Failure, Page, Reflector, Step, watch_timeout_s};
use heart::wire::WatchEvent;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// A watch should have ended by itself this long before we end it.
const GRACE: Duration = Duration::from_secs(30);

/// What is followed, and through whom.
pub(crate) struct Source<K> {
    client: Client,
    resource: ApiResource,
    options: ListOptions,
    kind: PhantomData<fn() -> K>,
}

impl<K> Source<K> {
    pub(crate) fn new(client: &Client, resource: ApiResource, options: ListOptions) -> Source<K> {
        Source { client: client.clone(), resource, options, kind: PhantomData }
    }
}

// ANCHOR: event
/// Everything that makes the loop turn.
enum Event<K> {
    /// A page of the list came, or did not.
    Listed(Result<List<K>, Error>),
    /// The server accepted the watch, or did not.
    Opened(Result<Watch, Error>),
    /// The watch told something, or (`None`) ended.
    Watched(Option<Result<WatchEvent<K>, Error>>),
    /// The wait is over.
    Woke,
    /// Somebody subscribed.
    Joined,
    /// A subscriber read something, or went.
    Room,
    /// The last handle of the informer was dropped.
    Abandoned,
}
// ANCHOR_END: event

/// What the reflector's current step has under way.
enum Io<K> {
    Listing(BoxFuture<'static, Result<List<K>, Error>>),
    Opening(BoxFuture<'static, Result<Watch, Error>>),
    Watching(Box<Watch>, Instant),
    Sleeping(Instant),
}

/// One subscriber, and what it was not told yet.
struct Subscriber<K> {
    sender: mpsc::Sender<Told<K>>,
    untold: VecDeque<Told<K>>,
}

pub(crate) async fn run<K>(source: Source<K>, shared: Arc<Shared<K>>, mut abandoned: oneshot::Receiver<()>)
where
    K: Keyed + DeserializeOwned + Send + Sync + 'static,
{
    let start = Instant::now();
    let mut reflector = Reflector::default();
    let mut fifo = DeltaFifo::default();
    let mut subscribers = Vec::new();
    let mut orphan = false;
    let mut io = begin(&source, &mut reflector, start);
    loop {
        tell(&mut subscribers);
        if orphan && subscribers.is_empty() {
            return;
        }
        let held_back = subscribers.iter().any(|s: &Subscriber<K>| s.untold.len() > UNREAD);
        let event = tokio::select! {
            event = advance(&mut io), if !held_back => event,
            () = room(&subscribers) => Event::Room,
            () = shared.joined.notified() => Event::Joined,
            _ = &mut abandoned, if !orphan => Event::Abandoned,
        };
        let now = start.elapsed();
        match event {
            Event::Listed(Ok(list)) => {
                let List { items, resource_version, continue_ } = list;
                if let Some(all) = reflector.handle_page(Page { items, resource_version, continue_ }) {
                    let store = shared.store.read().unwrap_or_else(PoisonError::into_inner);
                    fifo.replace(all, store.keys());
                }
                io = begin(&source, &mut reflector, start);
            }
            Event::Opened(Ok(watch)) => {
                reflector.handle_opened(now);
                let longest = Duration::from_secs(u64::from(watch_timeout_s(1.0))) + GRACE;
                io = Io::Watching(Box::new(watch), Instant::now() + longest);
            }
            Event::Watched(Some(Ok(event))) => match reflector.handle_event(event) {
                Ok(delta) => delta.into_iter().for_each(|delta| fifo.push(delta)),
                Err(failure) => {
                    tracing::debug!(kind = source.resource.kind, ?failure, "watch refused");
                    reflector.handle_failure(failure, now, jitter());
                    io = begin(&source, &mut reflector, start);
                }
            },
            Event::Listed(Err(error)) | Event::Opened(Err(error)) => {
                log(&source, &reflector, &error);
                reflector.handle_failure(failure_of(&error), now, jitter());
                io = begin(&source, &mut reflector, start);
            }
            Event::Watched(over) => {
                let failure = match &over {
                    // A broken connection is how watches end when a server restarts.
                    Some(Err(Error::Decode(error))) => {
                        tracing::warn!(kind = source.resource.kind, %error, "unreadable event");
                        Failure::Undecodable
                    }
                    _ => Failure::Ended,
                };
                reflector.handle_failure(failure, now, jitter());
                io = begin(&source, &mut reflector, start);
            }
            Event::Woke => io = begin(&source, &mut reflector, start),
            Event::Joined => meet(&shared, &mut subscribers),
            Event::Room => {}
            Event::Abandoned => {
                // Whoever subscribed before the last handle went still listens.
                meet(&shared, &mut subscribers);
                orphan = true;
            }
        }
        // Newcomers are met before anything changes, so that they hear of it exactly once.
        if !fifo.is_empty() || fifo.has_synced() != *shared.synced.borrow() {
            meet(&shared, &mut subscribers);
            settle(&shared, &mut fifo, &mut subscribers);
        }
    }
}

/// Starts what the reflector wants next.
fn begin<K>(source: &Source<K>, reflector: &mut Reflector<K>, start: Instant) -> Io<K>
where
    K: Keyed + DeserializeOwned + Send + 'static,
{
    let Source { client, resource, options, .. } = source;
    let (client, resource) = (client.clone(), resource.clone());
    match reflector.poll_step(start.elapsed()) {
        Step::List { limit, continue_ } => {
            let options = ListOptions { limit, continue_, ..options.clone() };
            Io::Listing(async move { client.list_at(&resource, &options).await }.boxed())
        }
        Step::Watch { resource_version } => {
            let resource_version = Some(resource_version);
            let options = ListOptions { resource_version, ..options.clone() };
            let timeout = watch_timeout_s(jitter());
            let opening = async move { client.watch_at(&resource, &options, Some(timeout)).await };
            Io::Opening(opening.boxed())
        }
        Step::Wait { until } => Io::Sleeping(start + until),
    }
}

/// Waits for the step under way. Nothing is lost when this is dropped half-way.
async fn advance<K: DeserializeOwned>(io: &mut Io<K>) -> Event<K> {
    match io {
        Io::Listing(listing) => Event::Listed(listing.await),
        Io::Opening(opening) => Event::Opened(opening.await),
        Io::Watching(watch, end) => {
            Event::Watched(tokio::time::timeout_at(*end, watch.next()).await.unwrap_or(None))
        }
        Io::Sleeping(until) => {
            tokio::time::sleep_until(*until).await;
            Event::Woke
        }
    }
}

/// Carries all waiting changes into the cache, then puts what they mean on every
/// subscriber's list.
fn settle<K: Keyed>(shared: &Shared<K>, fifo: &mut DeltaFifo<K>, subscribers: &mut [Subscriber<K>]) {
    let mut events = Vec::new();
    let mut store = shared.store.write().unwrap_or_else(PoisonError::into_inner);
    while let Some((key, deltas)) = fifo.pop() {
        events.extend(store.apply(&key, deltas));
    }
    drop(store);
    let first = fifo.has_synced() && !shared.synced.send_replace(fifo.has_synced());
    events.extend(first.then_some(Told::Synced));
    for subscriber in subscribers {
        subscriber.untold.extend(events.iter().cloned());
    }
}

/// Makes those who subscribed known: they are owed all that the cache holds.
fn meet<K: Keyed>(shared: &Shared<K>, subscribers: &mut Vec<Subscriber<K>>) {
    let mut joining = shared.joining.lock().unwrap_or_else(PoisonError::into_inner);
    for sender in joining.drain(..) {
        let store = shared.store.read().unwrap_or_else(PoisonError::into_inner);
        let mut untold: VecDeque<_> = store.list().into_iter().map(Told::Added).collect();
        untold.extend(shared.synced.borrow().then_some(Told::Synced));
        subscribers.push(Subscriber { sender, untold });
    }
}

/// Tells every subscriber as much as it has room for, and forgets those who went.
fn tell<K>(subscribers: &mut Vec<Subscriber<K>>) {
    subscribers.retain_mut(|subscriber| {
        while let Some(event) = subscriber.untold.pop_front() {
            match subscriber.sender.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    subscriber.untold.push_front(event);
                    return true;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
            }
        }
        !subscriber.sender.is_closed()
    });
}

/// Waits until a subscriber who is owed something has room for it, or one goes.
async fn room<K: Send + Sync>(subscribers: &[Subscriber<K>]) {
    let waits = subscribers.iter().map(|subscriber| {
        async move {
            if subscriber.untold.is_empty() {
                subscriber.sender.closed().await;
            } else {
                // The place is given back at once; `tell` takes it.
                let _ = subscriber.sender.reserve().await;
            }
        }
        .boxed()
    });
    let waits: Vec<_> = waits.collect();
    if waits.is_empty() {
        std::future::pending::<()>().await;
    }
    select_all(waits).await;
}

fn failure_of(error: &Error) -> Failure {
    match error {
        Error::Transport(_) => Failure::Unreachable,
        Error::Decode(_) => Failure::Undecodable,
        error if error.is_gone() => Failure::Gone,
        _ => Failure::Refused,
    }
}

/// One line when it starts to go wrong, and then one now and then.
fn log<K: Keyed>(source: &Source<K>, reflector: &Reflector<K>, error: &Error) {
    let (kind, failures) = (&source.resource.kind, reflector.failures());
    if failures % 20 == 0 {
        tracing::info!(kind, %error, failures, "cannot list or watch, trying again");
    } else {
        tracing::debug!(kind, %error, failures, "cannot list or watch, trying again");
    }
}

/// A number from 0 to 1: every hasher of the standard library starts at random.
fn jitter() -> f64 {
    let random = RandomState::new().hash_one(0u8);
    (random >> 11) as f64 / (1u64 << 53) as f64
}
