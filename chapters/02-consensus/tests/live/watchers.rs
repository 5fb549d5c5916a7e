//! Watchers that come back where they stopped, however often their stream ends.

use std::sync::Arc;
use std::time::Duration;

use simulator::history::{Change, Key};
use simulator::judge::revisions::{Revision, Written};
use simulator::judge::watch::{Told, Watched};
use store::etcd::EventType;
use store::etcd::watch_client::WatchClient;
use store::etcd::watch_request::RequestUnion;
use store::etcd::{WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use crate::clients::{channel, key, key_number, value_number};

/// The first change of an empty store.
pub const FIRST: i64 = 2;
const PAUSE: Duration = Duration::from_millis(50);

/// Watches keys at a machine, until `enough` is a revision that it has reached, and then returns.
pub async fn run(machine: usize, first: Key, last: Key, enough: Arc<watch::Sender<Option<i64>>>) -> Watched {
    let mut watched = Watched { first, last, from: FIRST, told: Vec::new() };
    let (mut next, mut enough) = (FIRST, enough.subscribe());
    loop {
        let ended = follow(machine, &mut watched, &mut next, &mut enough).await;
        if ended.is_ok() {
            return watched;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One stream. `Ok`: that was all.
async fn follow(
    machine: usize,
    watched: &mut Watched,
    next: &mut i64,
    enough: &mut watch::Receiver<Option<i64>>,
) -> anyhow::Result<()> {
    let (asks, stream) = mpsc::channel(4);
    let create = WatchCreateRequest {
        key: key(watched.first).into(),
        range_end: key(watched.last + 1).into(),
        start_revision: *next,
        ..Default::default()
    };
    asks.send(ask(RequestUnion::CreateRequest(create))).await?;
    let mut client = WatchClient::new(channel(machine));
    let mut answers = client.watch(ReceiverStream::new(stream)).await?.into_inner();
    let mut progress = tokio::time::interval(Duration::from_millis(200));
    loop {
        if enough.borrow().is_some_and(|enough| *next > enough) {
            return Ok(());
        }
        tokio::select! {
            answer = answers.message() => match answer? {
                Some(answer) => take(answer, watched, next)?,
                None => anyhow::bail!("the stream has ended"),
            },
            // Who watches few keys learns so how far the store is.
            _ = progress.tick() => asks.send(ask(RequestUnion::ProgressRequest(Default::default()))).await?,
        }
    }
}

fn ask(union: RequestUnion) -> WatchRequest {
    WatchRequest { request_union: Some(union) }
}

fn take(answer: WatchResponse, watched: &mut Watched, next: &mut i64) -> anyhow::Result<()> {
    let revision = answer.header.map_or(0, |header| header.revision);
    if answer.canceled {
        anyhow::bail!("canceled: {}", answer.cancel_reason);
    }
    if answer.created {
        return Ok(());
    }
    if answer.events.is_empty() {
        watched.told.push(Told::Progress(revision));
        *next = (*next).max(revision + 1);
        return Ok(());
    }
    let changes: Vec<(i64, Change)> = answer
        .events
        .iter()
        .map(|event| {
            let kv = event.kv.as_ref().expect("an event has a key");
            let value = (event.r#type() == EventType::Put).then(|| value_number(&kv.value));
            (kv.mod_revision, Change { key: key_number(&kv.key), value })
        })
        .collect();
    *next = changes.last().map_or(*next, |(revision, _)| revision + 1);
    watched.told.push(Told::Changes { revision, changes });
    Ok(())
}

/// What a watcher of all keys was told, as the store's history.
pub fn written(watched: &Watched) -> Written {
    let mut written = Written::default();
    for told in &watched.told {
        let Told::Changes { changes, .. } = told else { continue };
        for (revision, change) in changes {
            let made = written.revisions.entry(*revision).or_insert_with(Revision::default);
            made.changes.push(*change);
        }
    }
    written
}
